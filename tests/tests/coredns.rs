//! The gRPC that CoreDNS speaks, in both roles: `coredns.dns.DnsService/Query` with `DnsPacket { bytes msg = 1; }`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strait_tests::client::{TlsIdentity, tls};
use strait_tests::upstream::address_record;
use strait_tests::{
    Authority, ClusterPlan, CoreDnsServer, Folder, GrpcClient, Home, Leaf, Program, ask, free_address, lines, query,
    until,
};
use strait_wire::{Class, Message, Name, Rcode, Rdata, Record, RecordType, option};

#[test]
fn a_client_made_from_the_message_alone_gets_what_dns_over_tls_gets() {
    let b = ClusterPlan::new(
        "cluster-b",
        Home::Zones(&[
            "web.shop.svc A 10.2.0.1",
            "_http._tcp.web.shop.svc SRV 0 100 80 web.shop.svc",
            "alias.shop.svc CNAME web.shop.svc",
            "text.shop.svc TXT hello",
        ]),
    )
    .start();
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    b.add_peer(&a, &a.endpoints("grpc"));
    let identity = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    let seat = &b.gateway().seat;
    let grpc = GrpcClient::connect(seat.grpc, Some(&identity)).unwrap();
    let mut dot = tls(seat.tls, Some(&identity), &["dot"]).unwrap();
    for (name, rtype) in [
        ("web.shop.svc.cluster-b.example.com", "A"),
        ("web.shop.svc.cluster-b.example.com", "AAAA"),
        ("_http._tcp.web.shop.svc.cluster-b.example.com", "SRV"),
        ("alias.shop.svc.cluster-b.example.com", "A"),
        ("text.shop.svc.cluster-b.example.com", "TXT"),
        ("none.shop.svc.cluster-b.example.com", "A"),
        ("cluster-b.example.com", "SOA"),
        ("web.shop.svc.cluster-b.example.com", "ANY"),
        ("web.shop.svc.cluster-b.example.com", "AXFR"),
        ("web.shop.svc.cluster.local", "A"),
        ("www.example.org", "A"),
    ] {
        let question = query(name, rtype);
        let over_grpc = Message::parse(&grpc.query(&question.to_wire().unwrap()).unwrap()).unwrap();
        let over_tls = dot.ask(&question).unwrap();
        assert_eq!(without_ttls(over_grpc), without_ttls(over_tls), "{name} {rtype}");
    }
    // What is no question is an error of the call, and the connection serves on.
    let status = grpc.query(b"no header").unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(grpc.query(&query("web.shop.svc.cluster-b.example.com", "A").to_wire().unwrap()).is_ok());
}

/// A second may go by between two answers.
fn without_ttls(mut message: Message) -> Message {
    let sections = [&mut message.answers, &mut message.authorities, &mut message.additionals];
    sections.into_iter().flatten().for_each(|record| record.ttl = 0);
    message
}

#[test]
fn a_client_without_a_good_certificate_gets_no_answer() {
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    let stranger = Authority::new("stranger.example.com");
    let question = query("web.shop.svc.cluster-b.example.com", "A").to_wire().unwrap();
    for identity in [None, Some(stranger.issue(&Leaf::of("spiffe://stranger.example.com/gateway")))] {
        let asked = GrpcClient::connect(b.gateway().seat.grpc, identity.as_ref()).map(|client| client.query(&question));
        assert!(!matches!(asked, Ok(Ok(_))), "{asked:?}");
    }
}

const SUFFIX: &str = "cluster-x.example.com";

/// A server as CoreDNS would be one, and an agent of cluster-y that has it for a peer.
struct Pair {
    agent: Program,
    dns: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
    _server: CoreDnsServer,
    _folder: Folder,
}

impl Pair {
    /// The server shows a certificate for `server_id` and believes the CA of `client_domain`.
    fn start(server_id: &str, client_domain: &str) -> Self {
        let (theirs, ours) = (Authority::new(SUFFIX), Authority::new("cluster-y.example.com"));
        let clients = if client_domain == "cluster-y.example.com" { None } else { Some(Authority::new(client_domain)) };
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let server = CoreDnsServer::start(
            &theirs.issue(&Leaf::of(server_id)),
            clients.as_ref().unwrap_or(&ours).certificate(),
            move |packet| {
                count.fetch_add(1, Ordering::SeqCst);
                answer(&Message::parse(packet).ok()?).to_wire().ok()
            },
        );
        let (dns, admin, folder) = (free_address(), free_address(), Folder::new());
        let TlsIdentity { certificate, key } = ours.issue(&Leaf::of("spiffe://cluster-y.example.com/node-agent/n1"));
        folder.write("tls.crt", certificate);
        folder.write("tls.key", key);
        folder.write("ca.crt", ours.certificate());
        folder.write("x.crt", theirs.certificate());
        let config = folder.write(
            "agent.yaml",
            format!(
                "listen: [\"{dns}\"]\nadmin: \"{admin}\"\nlameduck: 0s\nhealth: {{ interval: 500ms, timeout: 500ms }}\n\
                 identity: {{ certificate: tls.crt, key: tls.key, trustBundle: ca.crt }}\n\
                 peers: [{{ name: cluster-x, suffix: {SUFFIX}, endpoints: [\"grpc://{}\"], \
                 trustDomain: {SUFFIX}, trustBundle: x.crt }}]\n",
                server.address()
            ),
        );
        let agent = Program::daemon("node-agent", &config, admin);
        Self { agent, dns, asked, _server: server, _folder: folder }
    }
}

/// The zone of the server: its SOA, an address at `web`, an alias, and nothing else.
fn answer(question: &Message) -> Message {
    let asked = question.questions[0].clone();
    let apex: Name = SUFFIX.parse().unwrap();
    let record = |rtype, rdata| Record { name: asked.name.clone(), rtype, class: Class::IN, ttl: 5, rdata };
    let soa = Record {
        name: apex.clone(),
        rtype: RecordType::SOA,
        class: Class::IN,
        ttl: 5,
        rdata: Rdata::soa(&apex, &apex, [1, 2, 3, 4, 5]),
    };
    let mut message = Message::response(asked.clone(), Rcode::NOERROR);
    message.id = question.id;
    match (asked.name.to_string().split('.').next().unwrap(), asked.rtype) {
        (_, RecordType::SOA) => message.answers = vec![soa],
        ("web", RecordType::A) => message.answers = vec![address_record(asked.name.clone(), "10.9.0.1", 5)],
        ("alias", RecordType::A) => {
            let web: Name = format!("web.{SUFFIX}").parse().unwrap();
            message.answers = vec![record(RecordType::CNAME, Rdata::name(&web)), address_record(web, "10.9.0.1", 5)];
        }
        ("web", _) => message.authorities = vec![soa],
        _ => (message.rcode, message.authorities) = (Rcode::NXDOMAIN, vec![soa]),
    }
    message
}

#[test]
fn our_agent_asks_a_server_that_knows_nothing_but_coredns() {
    let pair = Pair::start("spiffe://cluster-x.example.com/gateway", "cluster-y.example.com");
    until("the peer to be up", || pair.agent.metric("strait_peer_endpoint_up") == 1.0);
    let chain = [format!("alias.{SUFFIX}. CNAME web.{SUFFIX}."), format!("web.{SUFFIX}. A 10.9.0.1")];
    assert_eq!(lines(&ask(pair.dns, &format!("alias.{SUFFIX}"), "A")), chain);
    assert_eq!(lines(&ask(pair.dns, &format!("web.{SUFFIX}"), "A")), chain[1..]);
    assert_eq!(ask(pair.dns, &format!("web.{SUFFIX}"), "AAAA").rcode, Rcode::NOERROR);
    let none = ask(pair.dns, &format!("none.{SUFFIX}"), "A");
    assert_eq!((none.rcode, none.authorities[0].rtype), (Rcode::NXDOMAIN, RecordType::SOA));
}

#[test]
fn a_server_that_is_not_the_peers_gateway_is_not_asked() {
    // Its own CA signed it, for something that is no gateway; and for another trust domain.
    for id in ["spiffe://cluster-x.example.com/node-agent/n1", "spiffe://cluster-y.example.com/gateway"] {
        let pair = Pair::start(id, "cluster-y.example.com");
        until("the peer to be down", || {
            pair.agent.log().contains("state=down") || pair.agent.log().contains("to=down")
        });
        let failed = ask(pair.dns, &format!("web.{SUFFIX}"), "A");
        assert_eq!((failed.rcode, pair.asked.load(Ordering::SeqCst)), (Rcode::SERVFAIL, 0), "{id}");
    }
}

#[test]
fn a_server_that_does_not_believe_us_gives_no_answer() {
    let pair = Pair::start("spiffe://cluster-x.example.com/gateway", "cluster-z.example.com");
    let failed = ask(pair.dns, &format!("web.{SUFFIX}"), "A");
    assert_eq!((failed.rcode, pair.asked.load(Ordering::SeqCst)), (Rcode::SERVFAIL, 0));
    let ede = failed.edns.unwrap();
    assert!(ede.option(option::EDE).is_some(), "{ede:?}");
}
