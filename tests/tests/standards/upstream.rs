//! How upstreams are asked, and what of their answers is kept, and how long.

use std::collections::HashSet;
use std::time::Duration;

use strait_tests::client::udp;
use strait_tests::upstream::{address_record, response};
use strait_tests::{Reply, ScriptedServer, ask, ask_udp, lines, query, until};
use strait_wire::{Ede, Edns, Flags, Message, Name, Rcode, Record};

use crate::bench::Agent;

fn edes(message: &Message) -> Vec<u16> {
    message.edns.iter().filter_map(|edns| edns.ede()).map(|ede| ede.code).collect()
}

#[test]
fn rfc2308_5_a_denial_lives_for_the_lesser_of_ttl_and_minimum_and_is_counted_down() {
    let upstream = ScriptedServer::start(|received| {
        let name = received.question().name.to_string().to_lowercase();
        let rcode = if name.starts_with("nodata") { Rcode::NOERROR } else { Rcode::NXDOMAIN };
        let denial = |ttl, minimum| {
            let mut message = Message::parse(&Reply::negative(received, rcode, "example", minimum).bytes).unwrap();
            message.authorities[0].ttl = ttl;
            vec![Reply::message(&message)]
        };
        match name.split('.').nth(1).unwrap() {
            "minimum" => denial(1_000, 100),
            "ttl" => denial(100, 1_000),
            "long" => denial(86_400, 86_400),
            "zero" => denial(0, 100),
            _ => vec![Reply::rcode(received, rcode)],
        }
    });
    let agent = Agent::with_upstream(&upstream, "cache: { maxNegativeTtl: 300s }");
    // The name, the TTL of the SOA, and questions upstream for two of a client.
    for (name, ttl, asked) in [
        ("nxdomain.minimum.example", 100, 1),
        ("nodata.minimum.example", 100, 1),
        ("nxdomain.ttl.example", 100, 1),
        ("nodata.ttl.example", 100, 1),
        // No longer than the setting.
        ("nxdomain.long.example", 300, 1),
        ("nodata.long.example", 300, 1),
        ("nxdomain.zero.example", 0, 2),
    ] {
        let first = ask(agent.dns, name, "A");
        assert_eq!(first.authorities[0].ttl, ttl, "{name}");
        let again = ask(agent.dns, name, "A");
        assert!(again.rcode == first.rcode && again.authorities[0].ttl <= ttl, "{name}: {again:?}");
        assert_eq!(upstream.count(name), asked, "{name}");
    }
    until("the TTL to be counted down", || ask(agent.dns, "nxdomain.minimum.example", "A").authorities[0].ttl < 100);
    // Without an SOA nothing says how long: not kept.
    for _ in 0..2 {
        assert_eq!(ask(agent.dns, "nxdomain.bare.example", "A").rcode, Rcode::NXDOMAIN);
    }
    assert_eq!(upstream.count("nxdomain.bare.example"), 2);
}

#[test]
fn rfc2308_5_a_denial_of_one_type_says_nothing_of_another() {
    let upstream = ScriptedServer::start(|received| match received.question().rtype.to_string().as_str() {
        "AAAA" => vec![Reply::negative(received, Rcode::NOERROR, "example", 300)],
        _ => vec![Reply::address(received, "192.0.2.1")],
    });
    let agent = Agent::with_upstream(&upstream, "");
    assert!(ask(agent.dns, "a.example", "AAAA").answers.is_empty());
    assert_eq!(ask(agent.dns, "a.example", "A").answers.len(), 1);
    assert!(ask(agent.dns, "a.example", "AAAA").answers.is_empty());
    assert_eq!(upstream.count("a.example"), 2);
}

#[test]
fn rfc1035_3_2_1_ttls_are_counted_down_and_kept_within_the_settings() {
    let upstream = ScriptedServer::start(|received| {
        let name = received.question().name.clone();
        let ttl = match name.to_string().to_lowercase().split('.').next().unwrap() {
            "short" => 1,
            "zero" => 0,
            // RFC 2181 8: the high bit makes it 0.
            "negative" => 0x8000_0001,
            _ => 86_400,
        };
        vec![Reply::answer(received, vec![address_record(name, "192.0.2.1", ttl)])]
    });
    let capped = Agent::with_upstream(&upstream, "cache: { maxTtl: 500s }");
    assert_eq!(ask(capped.dns, "long.example", "A").answers[0].ttl, 500);
    until("the TTL to be counted down", || ask(capped.dns, "long.example", "A").answers[0].ttl < 500);
    assert_eq!(upstream.count("long.example"), 1);
    for name in ["zero.example", "negative.example"] {
        for _ in 0..2 {
            assert_eq!(ask(capped.dns, name, "A").answers[0].ttl, 0, "{name}");
        }
        assert_eq!(upstream.count(name), 2, "{name}: TTL 0 is not kept");
    }
    assert_eq!(ask(capped.dns, "short.example", "A").answers[0].ttl, 1);
    until("the short one to run out and be asked for again", || {
        ask(capped.dns, "short.example", "A");
        upstream.count("short.example") > 1
    });
}

#[test]
fn rfc2181_5_2_a_set_with_several_ttls_gets_the_lowest() {
    let upstream = ScriptedServer::start(|received| {
        let name = &received.question().name;
        let record = |address, ttl| address_record(name.clone(), address, ttl);
        vec![Reply::answer(received, vec![record("192.0.2.1", 900), record("192.0.2.2", 100)])]
    });
    let agent = Agent::with_upstream(&upstream, "");
    for _ in 0..2 {
        let ttls: Vec<u32> = ask(agent.dns, "set.example", "A").answers.iter().map(|record| record.ttl).collect();
        assert!(ttls.len() == 2 && ttls[0] == ttls[1] && ttls[0] <= 100, "{ttls:?}");
    }
}

#[test]
fn rfc5452_9_1_what_is_not_the_answer_is_passed_over_and_waiting_goes_on() {
    let upstream = ScriptedServer::start(|received| {
        if received.tcp {
            return Vec::new();
        }
        let good = Reply::address(received, "192.0.2.1");
        let forged = Reply::address(received, "203.0.113.66");
        let bytes = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut reply = forged.clone();
            change(&mut reply.bytes);
            reply
        };
        match received.question().name.to_string().to_lowercase().split('.').next().unwrap() {
            "id" => vec![forged.clone().with_wrong_id(), good.after(Duration::from_millis(50))],
            "question" => vec![forged.clone().with_wrong_question(), good.after(Duration::from_millis(50))],
            // QR is not set; a header and no more; data cut off; no question.
            "query" => vec![bytes(&|b| b[2] &= 0x7f), good.after(Duration::from_millis(50))],
            "header" => vec![bytes(&|b| b.truncate(12)), good.after(Duration::from_millis(50))],
            "cut" => vec![bytes(&|b| b.truncate(b.len() - 2)), good.after(Duration::from_millis(50))],
            "none" => vec![bytes(&|b| b[5] = 0), good.after(Duration::from_millis(50))],
            // Another type, another class.
            "type" => vec![bytes(&|b| change_question(b, 4, 28)), good.after(Duration::from_millis(50))],
            "class" => vec![bytes(&|b| change_question(b, 2, 3)), good.after(Duration::from_millis(50))],
            "empty" => vec![Reply { after: Duration::ZERO, bytes: Vec::new() }, good.after(Duration::from_millis(50))],
            _ => vec![good],
        }
    });
    let agent = Agent::with_upstream(&upstream, "");
    for kind in ["id", "question", "query", "header", "cut", "none", "type", "class", "empty"] {
        let name = format!("{kind}.example");
        assert_eq!(lines(&ask(agent.dns, &name, "A")), [format!("{name}. A 192.0.2.1")]);
        let udp = upstream.received().iter().filter(|r| !r.tcp && r.question().name == name.parse().unwrap()).count();
        assert_eq!(udp, 1, "{kind}: the question was asked again");
    }
}

/// Changes the low octet of a field of the question, counted from its end.
fn change_question(bytes: &mut [u8], from_end: usize, value: u8) {
    let mut at = 12;
    while bytes[at] != 0 {
        at += 1 + usize::from(bytes[at]);
    }
    bytes[at + 5 - from_end + 1] = value;
}

#[test]
fn rfc5452_9_1_a_flood_of_guesses_moves_the_question_to_tcp() {
    let upstream = ScriptedServer::start(|received| match received.tcp {
        true => vec![Reply::address(received, "192.0.2.1")],
        false => vec![Reply::address(received, "203.0.113.66").with_wrong_id(); 8],
    });
    let agent = Agent::with_upstream(&upstream, "");
    assert_eq!(lines(&ask(agent.dns, "guess.example", "A")), ["guess.example. A 192.0.2.1"]);
}

#[test]
fn rfc5452_9_2_ports_ids_and_case_differ_from_question_to_question() {
    const QUESTIONS: usize = 64;
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let agent = Agent::with_upstream(&upstream, "");
    for number in 0..QUESTIONS {
        ask(agent.dns, &format!("n{number}.abcdefghijklmnopqrstuvwxyz.example"), "A");
    }
    let received = upstream.received();
    assert_eq!(received.len(), QUESTIONS);
    let different = |values: HashSet<Vec<u8>>| values.len();
    let ports = different(received.iter().map(|r| r.client.port().to_be_bytes().to_vec()).collect());
    let ids = different(received.iter().map(|r| r.message.id.to_be_bytes().to_vec()).collect());
    let cases = different(received.iter().map(|r| r.question().name.as_wire()[4..].to_vec()).collect());
    // Chance allows a few to be equal: 64 of 28,000 ports or 65,536 ids.
    assert!(ports >= QUESTIONS - 4 && ids >= QUESTIONS - 4, "{ports} ports, {ids} identifiers");
    assert!(cases >= QUESTIONS - 4, "{cases} ways to write the name");
}

#[test]
fn a_server_that_does_not_keep_case_is_asked_over_tcp() {
    let upstream = ScriptedServer::start(|received| {
        let mut message = Message::parse(&Reply::address(received, "192.0.2.1").bytes).unwrap();
        message.questions[0].name = message.questions[0].name.to_lowercase();
        vec![Reply::message(&message)]
    });
    let agent = Agent::with_upstream(&upstream, "");
    assert_eq!(ask(agent.dns, "a-name-with-enough-letters.example", "A").answers.len(), 1);
    assert!(upstream.received().iter().any(|received| received.tcp));
}

#[test]
fn rfc5452_6_a_thousand_equal_questions_are_one_upstream() {
    const CLIENTS: usize = 1_000;
    let upstream =
        ScriptedServer::start(|received| vec![Reply::address(received, "192.0.2.1").after(Duration::from_millis(400))]);
    let agent = Agent::with_upstream(&upstream, "");
    let sockets: Vec<_> = (0..CLIENTS).map(|_| udp(agent.dns).unwrap()).collect();
    for (id, socket) in sockets.iter().enumerate() {
        let question = Message { id: id as u16, ..query("popular.example", "A") };
        socket.send(&question.to_wire().unwrap()).unwrap();
    }
    for (id, socket) in sockets.iter().enumerate() {
        let reply = strait_tests::client::receive(socket).unwrap();
        assert_eq!((usize::from(reply.id), reply.answers.len()), (id, 1));
    }
    assert_eq!(upstream.count("popular.example"), 1);
}

#[test]
fn rfc9520_3_2_a_failure_is_kept_so_that_ten_clients_cost_one_question() {
    let upstream = ScriptedServer::start(|received| vec![Reply::rcode(received, Rcode::SERVFAIL)]);
    let agent = Agent::with_upstream(&upstream, "cache: { failureTtl: 60s }");
    let first = ask(agent.dns, "broken.example", "A");
    assert_eq!((first.rcode, edes(&first).contains(&Ede::CACHED_ERROR)), (Rcode::SERVFAIL, false));
    for _ in 0..9 {
        let again = ask(agent.dns, "broken.example", "A");
        assert_eq!((again.rcode, edes(&again)), (Rcode::SERVFAIL, vec![Ede::CACHED_ERROR]));
    }
    assert_eq!(upstream.count("broken.example"), 1);
    // 3.2: another type is another question.
    assert_eq!(ask(agent.dns, "broken.example", "AAAA").rcode, Rcode::SERVFAIL);
    assert_eq!(upstream.count("broken.example"), 2);
    // A failure is gone soon enough, and what comes after it is believed.
    let agent = Agent::with_upstream(&upstream, "cache: { failureTtl: 1s }");
    assert_eq!(ask(agent.dns, "mended.example", "A").rcode, Rcode::SERVFAIL);
    upstream.set(|received| vec![Reply::address(received, "192.0.2.1")]);
    until("the failure to be forgotten", || ask(agent.dns, "mended.example", "A").answers.len() == 1);
}

#[test]
fn rfc9520_3_1_a_silent_server_is_asked_at_most_three_times() {
    let upstream = ScriptedServer::silent();
    let agent = Agent::with_upstream(&upstream, "cache: { failureTtl: 60s }");
    let failed = ask(agent.dns, "silent.example", "A");
    assert_eq!((failed.rcode, edes(&failed)), (Rcode::SERVFAIL, vec![Ede::NO_REACHABLE_AUTHORITY]));
    ask(agent.dns, "silent.example", "A");
    let tries = upstream.count("silent.example");
    assert!((1..=3).contains(&tries), "{tries} tries");
}

#[test]
fn rfc4035_3_2_do_and_cd_go_upstream_and_are_cached_apart() {
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let agent = Agent::with_upstream(&upstream, "");
    let name = "flags.example";
    let variants = [(false, false), (true, false), (false, true), (true, true)];
    for _ in 0..2 {
        for (dnssec_ok, checking_disabled) in variants {
            let flags = Flags(Flags::RD).with(Flags::CD, checking_disabled);
            let edns = Some(Edns { dnssec_ok, ..Edns::default() });
            let reply = ask_udp(agent.dns, &Message { flags, edns, ..query(name, "A") }).unwrap();
            // 3.2.2: CD comes back.
            assert_eq!((reply.answers.len(), reply.flags.has(Flags::CD)), (1, checking_disabled));
        }
    }
    let seen: Vec<(bool, bool)> = upstream
        .received()
        .iter()
        .map(|r| (r.message.edns.as_ref().unwrap().dnssec_ok, r.message.flags.has(Flags::CD)))
        .collect();
    assert_eq!(seen, variants);
}

#[test]
fn rfc6840_5_7_authentic_data_is_told_to_who_asks_for_it() {
    let upstream = ScriptedServer::start(|received| {
        let mut message = Message::parse(&Reply::address(received, "192.0.2.1").bytes).unwrap();
        let authentic = received.question().name.to_string().to_lowercase().starts_with("signed");
        message.flags = message.flags.with(Flags::AD, authentic);
        vec![Reply::message(&message)]
    });
    let agent = Agent::with_upstream(&upstream, "");
    let with = |ad, dnssec_ok| {
        let flags = Flags(Flags::RD).with(Flags::AD, ad);
        Message { flags, edns: Some(Edns { dnssec_ok, ..Edns::default() }), ..query("signed.example", "A") }
    };
    // Twice, so that the second answers come from the cache.
    for _ in 0..2 {
        for (ad, dnssec_ok) in [(false, false), (true, false), (false, true), (true, true)] {
            let reply = ask_udp(agent.dns, &with(ad, dnssec_ok)).unwrap();
            assert_eq!(reply.flags.has(Flags::AD), ad || dnssec_ok, "AD {ad}, DO {dnssec_ok}");
        }
    }
    let plain = Message { flags: Flags(Flags::RD | Flags::AD), ..query("plain.example", "A") };
    assert!(!ask_udp(agent.dns, &plain).unwrap().flags.has(Flags::AD), "what is not authentic is not called so");
}

#[test]
fn rfc6761_6_special_names_never_reach_an_upstream() {
    let upstream = ScriptedServer::with_address("203.0.113.66");
    let agent = Agent::with_upstream(&upstream, "");
    for (name, rtype, rcode, answers) in [
        // 6.3.
        ("localhost", "A", Rcode::NOERROR, 1),
        ("localhost", "AAAA", Rcode::NOERROR, 1),
        ("LOCALHOST", "MX", Rcode::NOERROR, 0),
        ("a.localhost", "A", Rcode::NOERROR, 1),
        // 6.4, 6.2.
        ("a.invalid", "A", Rcode::NXDOMAIN, 0),
        ("a.test", "A", Rcode::NXDOMAIN, 0),
        // RFC 6762 22.1, RFC 7686 2, RFC 9476 3, RFC 8375 4.
        ("printer.local", "A", Rcode::NXDOMAIN, 0),
        ("a.b.onion", "A", Rcode::NXDOMAIN, 0),
        ("a.alt", "A", Rcode::NXDOMAIN, 0),
        ("a.home.arpa", "A", Rcode::NXDOMAIN, 0),
        // RFC 6303 4.
        ("1.0.0.127.in-addr.arpa", "PTR", Rcode::NOERROR, 1),
        ("5.0.0.10.in-addr.arpa", "PTR", Rcode::NXDOMAIN, 0),
        ("5.0.31.172.in-addr.arpa", "PTR", Rcode::NXDOMAIN, 0),
        ("5.0.168.192.in-addr.arpa", "PTR", Rcode::NXDOMAIN, 0),
        ("5.5.254.169.in-addr.arpa", "PTR", Rcode::NXDOMAIN, 0),
        ("a.d.f.ip6.arpa", "PTR", Rcode::NXDOMAIN, 0),
    ] {
        let reply = ask(agent.dns, name, rtype);
        assert_eq!((reply.rcode, reply.answers.len()), (rcode, answers), "{name} {rtype}");
        assert_eq!(upstream.count(name), 0, "{name} {rtype} went upstream");
    }
    // Names beside them do.
    for name in ["a.nottest", "5.0.32.172.in-addr.arpa", "a.mylocalhost"] {
        ask(agent.dns, name, "A");
        assert_eq!(upstream.count(name), 1, "{name}");
    }
}

#[test]
fn rfc6761_6_a_configured_zone_wins_over_a_special_name() {
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let agent = Agent::start(&format!("forward: [{{ zone: corp.test, servers: [\"{}\"] }}]", upstream.address()));
    assert_eq!(ask(agent.dns, "a.corp.test", "A").answers.len(), 1);
    assert_eq!(ask(agent.dns, "a.other.test", "A").rcode, Rcode::NXDOMAIN);
}

#[test]
fn rfc3597_4_data_of_unknown_types_comes_through_as_it_is() {
    let upstream = ScriptedServer::start(|received| {
        // Octets that would be a compression pointer and a name, were this a known type.
        let data = strait_wire::Rdata::opaque(vec![0xc0, 0x0c, 0x03, b'w', b'w', b'W', 0xff]);
        let name = received.question().name.clone();
        let class = received.question().class;
        vec![Reply::answer(
            received,
            vec![Record { name, rtype: received.question().rtype, class, ttl: 60, rdata: data }],
        )]
    });
    let agent = Agent::with_upstream(&upstream, "");
    for _ in 0..2 {
        for rtype in ["TYPE65400", "TYPE1234", "TYPE62000"] {
            let reply = ask(agent.dns, "opaque.example", rtype);
            assert_eq!(reply.answers[0].rdata.as_bytes(), [0xc0, 0x0c, 0x03, b'w', b'w', b'W', 0xff], "{rtype}");
        }
    }
}

#[test]
fn rfc8914_4_an_upstreams_refusal_is_told_as_it_is() {
    let upstream = ScriptedServer::start(|received| vec![Reply::message(&response(received, Rcode::REFUSED))]);
    let agent = Agent::with_upstream(&upstream, "");
    assert_eq!(ask(agent.dns, "refused.example", "A").rcode, Rcode::REFUSED);
}

#[test]
fn rfc1035_4_3_1_without_rd_nothing_is_asked_further() {
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let agent = Agent::with_upstream(
        &upstream,
        "zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.1 }] }]",
    );
    let without_rd = |name: &str| Message { flags: Flags(0), ..query(name, "A") };
    let reply = ask_udp(agent.dns, &without_rd("norecursion.example")).unwrap();
    assert_eq!((reply.rcode, upstream.count("norecursion.example")), (Rcode::REFUSED, 0));
    assert_eq!(ask_udp(agent.dns, &without_rd("api.static.example")).unwrap().answers.len(), 1);
    // What is cached may be told.
    ask(agent.dns, "norecursion.example", "A");
    assert_eq!(ask_udp(agent.dns, &without_rd("norecursion.example")).unwrap().answers.len(), 1);
}

#[test]
fn names_of_any_octets_go_through() {
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let agent = Agent::with_upstream(&upstream, "");
    for label in [&b"with space"[..], b"dot.in.label", b"\0\x01\xff", b"qu\"ote\n", &[b'a'; 63]] {
        let name = Name::from_labels([label, b"example"]).unwrap();
        let question = Message::query(7, name.clone(), strait_wire::RecordType::A);
        let reply = ask_udp(agent.dns, &question).unwrap();
        assert_eq!(reply.answers[0].name, name);
    }
    let (_, page) = agent.program.get("/metrics").unwrap();
    assert!(!page.contains("in.label") && !page.contains("ote"), "a name became a label of a metric");
}
