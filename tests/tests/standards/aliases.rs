//! Aliases that lead from one source into another (RFC 1034 3.6.2, 4.3.2).

use strait_tests::upstream::address_record;
use strait_tests::{Reply, ScriptedServer, ask, lines, query};
use strait_wire::{Class, Ede, Message, Name, Rcode, Rdata, Record, RecordType};

use crate::bench::{Agent, Bench};

pub(crate) fn alias(owner: &Name, target: &str) -> Record {
    let rdata = Rdata::name(&target.parse().unwrap());
    Record { name: owner.clone(), rtype: RecordType::CNAME, class: Class::IN, ttl: 300, rdata }
}

fn zone(records: &[(&str, &str)]) -> String {
    let records: Vec<String> =
        records.iter().map(|(name, target)| format!("{{ name: {name}, type: CNAME, value: {target} }}")).collect();
    format!("zones: [{{ name: static.example, records: [{}] }}]", records.join(", "))
}

#[test]
fn rfc1034_4_3_2_from_a_static_zone_into_upstreams_zones_peers_and_nowhere() {
    let bench = Bench::shared();
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let forward =
        ScriptedServer::start(|received| vec![Reply::negative(received, Rcode::NXDOMAIN, "inside.example", 60)]);
    let agent = Agent::with_upstream(
        &upstream,
        &format!(
            "forward: [{{ zone: inside.example, servers: [\"{}\"] }}]\n{}",
            forward.address(),
            zone(&[
                ("up", "www.example.net."),
                ("gone", "gone.inside.example."),
                ("own", "localhost."),
                ("twice", "up"),
            ])
        ),
    );
    let up = "www.example.net. A 192.0.2.1";
    for _ in 0..2 {
        assert_eq!(lines(&ask(agent.dns, "up.static.example", "A")), ["up.static.example. CNAME www.example.net.", up]);
        assert_eq!(lines(&ask(agent.dns, "twice.static.example", "A")).len(), 3);
        assert_eq!(
            lines(&ask(agent.dns, "own.static.example", "A")),
            ["own.static.example. CNAME localhost.", "localhost. A 127.0.0.1"]
        );
        // RFC 6604 3: the rcode is that of the last name.
        let gone = ask(agent.dns, "gone.static.example", "A");
        assert_eq!((gone.rcode, lines(&gone).len()), (Rcode::NXDOMAIN, 1));
        assert_eq!(gone.authorities[0].name, "inside.example".parse().unwrap());
    }
    assert_eq!((upstream.count("www.example.net"), forward.count("gone.inside.example")), (1, 1));
    // The alias itself needs nobody.
    assert_eq!(lines(&ask(agent.dns, "up.static.example", "CNAME")).len(), 1);

    // Into a peer.
    let agent = bench.agent_with(&zone(&[("peer", "one.cluster-b.example.com.")]));
    let expected = ["peer.static.example. CNAME one.cluster-b.example.com.", "one.cluster-b.example.com. A 192.0.2.1"];
    strait_tests::until("the peer to be up", || lines(&ask(agent.dns, "peer.static.example", "A")) == expected);
}

#[test]
fn rfc1034_4_3_2_from_an_upstream_into_a_static_zone() {
    let upstream = ScriptedServer::start(|received| {
        vec![Reply::answer(received, vec![alias(&received.question().name, "api.static.example")])]
    });
    let agent = Agent::with_upstream(
        &upstream,
        "zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.7 }] }]",
    );
    for _ in 0..2 {
        let reply = ask(agent.dns, "outer.example", "A");
        assert_eq!(lines(&reply)[1], "api.static.example. A 192.0.2.7");
        let absent = ask(agent.dns, "outer.example", "AAAA");
        assert_eq!((absent.rcode, lines(&absent).len()), (Rcode::NOERROR, 1));
    }
}

#[test]
fn rfc1034_5_2_2_chains_and_circles_end() {
    // Each name is an alias of the next; `circleN` comes back to itself after N steps.
    let upstream = ScriptedServer::start(|received| {
        let owner = received.question().name.clone();
        let text = owner.to_string().to_lowercase();
        let (kind, rest) = text.trim_end_matches(".example.").split_once('-').unwrap();
        let number: usize = rest.parse().unwrap();
        let target = match kind {
            "chain" if number == 0 => return vec![Reply::address(received, "192.0.2.1")],
            "chain" => format!("chain-{}.example", number - 1),
            circle => {
                let length: usize = circle.trim_start_matches("circle").parse().unwrap();
                format!("{circle}-{}.example", (number + 1) % length)
            }
        };
        vec![Reply::answer(received, vec![alias(&owner, &target)])]
    });
    let agent = Agent::with_upstream(&upstream, "");
    let longest = ask(agent.dns, "chain-11.example", "A");
    assert_eq!((longest.rcode, longest.answers.len()), (Rcode::NOERROR, 12));
    for name in ["chain-12.example", "chain-100.example", "circle1-0.example", "circle2-0.example", "circle3-0.example"]
    {
        let before = upstream.received().len();
        let failed = ask(agent.dns, name, "A");
        assert_eq!((failed.rcode, failed.answers.len()), (Rcode::SERVFAIL, 0), "{name}");
        let ede = failed.edns.unwrap().ede().unwrap_or_else(|| panic!("{name}: no extended error"));
        assert!(ede.code == Ede::INVALID_DATA && ede.text.contains("aliases"), "{name}: {ede:?}");
        let asked = upstream.received().len() - before;
        assert!(asked <= 13, "{name}: one question set off {asked}");
    }
}

#[test]
fn rfc1034_3_6_2_a_chain_in_one_answer_is_taken_as_far_as_it_goes() {
    let upstream = ScriptedServer::start(|received| {
        let owner = received.question().name.clone();
        match owner.to_string().to_lowercase().starts_with("www") {
            true => {
                let end = address_record("c.example".parse().unwrap(), "192.0.2.1", 300);
                let middle = "b.example".parse().unwrap();
                vec![Reply::answer(received, vec![alias(&owner, "b.example"), alias(&middle, "c.example"), end])]
            }
            false => Vec::new(),
        }
    });
    let agent = Agent::with_upstream(&upstream, "");
    assert_eq!(ask(agent.dns, "www.example", "A").answers.len(), 3);
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn rfc1034_3_6_2_an_alias_without_rd_is_told_and_not_followed() {
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let agent = Agent::with_upstream(&upstream, &zone(&[("up", "www.example.net.")]));
    let question = Message { flags: strait_wire::Flags(0), ..query("up.static.example", "A") };
    let reply = strait_tests::ask_udp(agent.dns, &question).unwrap();
    assert_eq!(lines(&reply), ["up.static.example. CNAME www.example.net."]);
    assert_eq!(upstream.received().len(), 0);
}
