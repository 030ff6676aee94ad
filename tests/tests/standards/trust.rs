//! Who may say what: an upstream speaks for its zone, a peer for its suffix, and nobody for more.

use strait_tests::upstream::{address_record, response};
use strait_tests::{Authority, CoreDnsServer, Folder, Leaf, Reply, ScriptedServer, ask, lines, until};
use strait_wire::{Class, Message, Name, Rcode, Rdata, Record, RecordType};

use crate::aliases::alias;
use crate::bench::Agent;

const FORGED: &str = "203.0.113.66";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn names_server(owner: &str, target: &str) -> Record {
    Record { name: name(owner), rtype: RecordType::NS, class: Class::IN, ttl: 300, rdata: Rdata::name(&name(target)) }
}

/// Every way in which a server of `inside.example` may try to speak for `victim.example`.
fn lie(question: &Message) -> Message {
    let asked = question.questions[0].clone();
    let own = address_record(asked.name.clone(), "192.0.2.1", 300);
    let victim = || address_record(name("www.victim.example"), FORGED, 300);
    let mut message = Message::response(asked.clone(), Rcode::NOERROR);
    message.id = question.id;
    message.edns = question.edns.as_ref().map(|_| strait_wire::Edns::default());
    match asked.name.to_string().to_lowercase().split('.').next().unwrap() {
        "extra" => message.answers = vec![own, victim()],
        "additional" => (message.answers, message.additionals) = (vec![own], vec![victim()]),
        "servers" => {
            message.answers = vec![own];
            message.authorities =
                vec![names_server("victim.example", "www.victim.example"), names_server(".", "www.victim.example")];
            message.additionals = vec![victim()];
        }
        "alias" => message.answers = vec![alias(&asked.name, "www.victim.example"), victim()],
        "dname" => {
            let dname = Record { rtype: RecordType::DNAME, ..alias(&name("example"), "inside.example") };
            message.answers = vec![own, dname];
        }
        _ if asked.rtype == RecordType::SOA => {
            let apex = asked.name.clone();
            let rdata = Rdata::soa(&apex, &apex, [1, 2, 3, 4, 5]);
            message.answers = vec![Record { name: apex, rtype: RecordType::SOA, class: Class::IN, ttl: 5, rdata }];
        }
        // Only the name of another.
        _ => message.answers = vec![victim()],
    }
    message
}

const LIES: [&str; 6] = ["extra", "additional", "servers", "alias", "dname", "other"];

/// Asks for every lie, and after each for the truth.
#[track_caller]
fn nothing_is_believed(agent: &Agent, zone: &str) {
    for kind in LIES {
        let asked = format!("{kind}.{zone}");
        for _ in 0..2 {
            let reply = ask(agent.dns, &asked, "A");
            let text = format!("{:?}", lines(&reply));
            assert!(!text.contains(FORGED), "{asked}: {text}");
            for record in reply.records().filter(|record| record.rtype != RecordType::SOA) {
                let through_alias = kind == "alias" && record.name == name("www.victim.example");
                assert!(record.name.is_within(&name(zone)) || through_alias, "{asked}: {record:?}");
            }
            if kind == "other" {
                assert_eq!(reply.rcode, Rcode::SERVFAIL, "{asked}: an answer to another question is none");
            }
        }
        // The alias is followed to who may speak for its target.
        assert_eq!(lines(&ask(agent.dns, "www.victim.example", "A")), ["www.victim.example. A 192.0.2.2"], "{kind}");
    }
}

#[test]
fn rfc5452_6_a_forwarder_speaks_for_its_zone_only() {
    let truth = ScriptedServer::with_address("192.0.2.2");
    let liar = ScriptedServer::start(|received| vec![Reply::message(&lie(&received.message))]);
    let forward = format!("forward: [{{ zone: inside.example, servers: [\"{}\"] }}]", liar.address());
    let agent = Agent::with_upstream(&truth, &forward);
    nothing_is_believed(&agent, "inside.example");
    assert!(agent.program.metric("strait_upstream_dropped_records_total") > 0.0, "and it is counted");
    assert_eq!(liar.count("www.victim.example"), 0);
}

#[test]
fn rfc5452_6_a_peer_speaks_for_its_suffix_only() {
    const SUFFIX: &str = "cluster-x.example.com";
    let (theirs, ours) = (Authority::new(SUFFIX), Authority::new("cluster-y.example.com"));
    let identity = theirs.issue(&Leaf::of("spiffe://cluster-x.example.com/gateway"));
    let liar =
        CoreDnsServer::start(&identity, ours.certificate(), |packet| lie(&Message::parse(packet).ok()?).to_wire().ok());
    let truth = ScriptedServer::with_address("192.0.2.2");
    let folder = Folder::new();
    let own = ours.issue(&Leaf::of("spiffe://cluster-y.example.com/node-agent/node-1"));
    let path = |file: &str, text: &str| folder.write(file, text).display().to_string();
    let agent = Agent::with_upstream(
        &truth,
        &format!(
            "identity: {{ certificate: {}, key: {}, trustBundle: {} }}\n\
             peers: [{{ name: cluster-x, suffix: {SUFFIX}, endpoints: [\"grpc://{}\"], trustDomain: {SUFFIX}, trustBundle: {} }}]",
            path("tls.crt", &own.certificate),
            path("tls.key", &own.key),
            path("ca.crt", ours.certificate()),
            liar.address(),
            path("x.crt", theirs.certificate()),
        ),
    );
    until("the peer to be up", || agent.program.metric("strait_peer_endpoint_up") == 1.0);
    nothing_is_believed(&agent, SUFFIX);
    assert!(agent.program.metric("strait_peer_endpoint_dropped_records_total") > 0.0, "and it is counted");
}

#[test]
fn rfc2308_7_1_a_denial_needs_an_soa_of_its_own_zone() {
    // The SOA of a zone beside the one asked says nothing about it, and does not make the denial last.
    let upstream =
        ScriptedServer::start(|received| vec![Reply::negative(received, Rcode::NXDOMAIN, "victim.example", 300)]);
    let agent = Agent::start(&format!("forward: [{{ zone: inside.example, servers: [\"{}\"] }}]", upstream.address()));
    for _ in 0..2 {
        let reply = ask(agent.dns, "none.inside.example", "A");
        assert!(reply.authorities.is_empty(), "{:?}", reply.authorities);
    }
    assert_eq!(upstream.count("none.inside.example"), 2);
}

#[test]
fn rfc1034_4_3_1_a_referral_is_no_answer() {
    let upstream = ScriptedServer::start(|received| {
        let mut message = response(received, Rcode::NOERROR);
        message.authorities = vec![names_server("inside.example", "ns.inside.example")];
        message.additionals = vec![address_record(name("ns.inside.example"), FORGED, 300)];
        vec![Reply::message(&message)]
    });
    let agent = Agent::with_upstream(&upstream, "");
    let reply = ask(agent.dns, "www.inside.example", "A");
    assert_eq!((reply.rcode, reply.records().count()), (Rcode::SERVFAIL, 0));
}
