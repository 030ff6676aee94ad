//! Delegations that point at each other: a question never runs in a circle, and nothing else suffers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, OnceLock};

use strait_tests::client::{query, tls};
use strait_tests::upstream::address_record;
use strait_tests::{Cluster, ClusterPlan, Home, Leaf, ScriptedServer, ask, ask_udp, free_address, lines};
use strait_wire::{Class, Ede, Edns, EdnsOption, Message, Name, Rcode, Rdata, Record, RecordType, option};

/// What a forwarder does with EDNS options it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Options {
    Kept,
    Stripped,
}

/// The cluster DNS of cluster-a: knows `web`, and sends every name that begins with `loop` out again, to the agent
/// of cluster-b under cluster-a's suffix.
struct Circle {
    address: SocketAddr,
    back: Arc<OnceLock<SocketAddr>>,
    passed: Arc<Mutex<Vec<Message>>>,
}

impl Circle {
    /// Works as long as the test process.
    fn start(options: Options) -> Self {
        let address = free_address();
        let socket = UdpSocket::bind(address).unwrap();
        let circle = Self { address, back: Arc::default(), passed: Arc::default() };
        let (back, passed) = (Arc::clone(&circle.back), Arc::clone(&circle.passed));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let Ok(question) = Message::parse(&buffer[..length]) else { continue };
                let (socket, back, passed) = (socket.try_clone().unwrap(), Arc::clone(&back), Arc::clone(&passed));
                // A thread each: a question that waits for itself holds up no other.
                std::thread::spawn(move || {
                    let reply = match question.questions[0].name.labels().next() {
                        Some(label) if label.eq_ignore_ascii_case(b"loop") => {
                            passed.lock().unwrap().push(question.clone());
                            pass_back(&question, *back.get().unwrap(), options)
                        }
                        _ => known(&question),
                    };
                    let _ = socket.send_to(&reply.to_wire().unwrap(), client);
                });
            }
        });
        circle
    }

    fn rounds(&self) -> usize {
        self.passed.lock().unwrap().len()
    }
}

/// Asks the agent of cluster-b the same question under the name that cluster-a has outside.
fn pass_back(question: &Message, agent: SocketAddr, options: Options) -> Message {
    let asked = &question.questions[0];
    let (home, suffix): (Name, Name) = ("cluster.local".parse().unwrap(), "cluster-a.example.com".parse().unwrap());
    let outside = asked.name.replace_suffix(&home, &suffix).unwrap().unwrap();
    let mut onward = question.clone();
    onward.questions[0].name = outside;
    if options == Options::Stripped {
        onward.edns = Some(Edns::default());
    }
    let answered = ask_udp(agent, &onward).unwrap_or_else(|_| Message::response(asked.clone(), Rcode::SERVFAIL));
    Message { id: question.id, questions: question.questions.clone(), ..answered }
}

fn known(question: &Message) -> Message {
    let asked = question.questions[0].clone();
    let mut message = Message::response(asked.clone(), Rcode::NOERROR);
    (message.id, message.edns) = (question.id, question.edns.as_ref().map(|_| Edns::default()));
    message.answers = match asked.rtype {
        RecordType::A => vec![address_record(asked.name, "10.1.0.1", 0)],
        _ => {
            let rdata = Rdata::soa(&asked.name, &asked.name, [1, 2, 3, 4, 5]);
            vec![Record { name: asked.name, rtype: RecordType::SOA, class: Class::IN, ttl: 5, rdata }]
        }
    };
    message
}

/// Both clusters, peered over `scheme`, with the circle behind the gateway of cluster-a.
fn clusters(scheme: &str, options: Options) -> (Cluster, Cluster, Circle) {
    let circle = Circle::start(options);
    let a = ClusterPlan::new("cluster-a", Home::ClusterDns(circle.address)).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    circle.back.set(b.dns).unwrap();
    a.add_peer(&b, &b.endpoints(scheme));
    b.add_peer(&a, &a.endpoints(scheme));
    b.resolve("web.shop.svc.cluster-a.example.com");
    a.resolve("web.shop.svc.cluster-b.example.com");
    (a, b, circle)
}

fn ede(message: &Message) -> Ede {
    message.edns.as_ref().and_then(Edns::ede).unwrap_or_else(|| panic!("no extended error: {message:?}"))
}

#[test]
fn a_question_in_a_circle_makes_one_round_and_names_its_path() {
    for scheme in ["tls", "grpc"] {
        let (mut a, mut b, circle) = clusters(scheme, Options::Kept);
        let refused = b.ask("loop.cluster-a.example.com", "A");
        assert_eq!(refused.rcode, Rcode::REFUSED, "{scheme}");
        let ede = ede(&refused);
        assert!(ede.code == Ede::PROHIBITED && ede.text.contains("cluster-b.example.com"), "{scheme}: {ede:?}");
        assert_eq!(circle.rounds(), 1, "{scheme}");
        // What passed through had the path with it.
        let passed = circle.passed.lock().unwrap()[0].clone();
        let path = passed.edns.unwrap().option(option::CLUSTER_PATH).map(<[u8]>::to_vec);
        assert_eq!(path.as_deref(), Some(&b"cluster-b.example.com"[..]), "{scheme}");
        // One question crossed between the clusters for it, and the other names answer as before.
        b.resolve("web.shop.svc.cluster-a.example.com");
        a.resolve("web.shop.svc.cluster-b.example.com");
        assert_eq!(a.agent().metric("strait_refused_total{reason=\"loop\""), 0.0, "{scheme}");
        assert_eq!(b.agent().metric("strait_refused_total{reason=\"loop\""), 1.0, "{scheme}");
        // Nobody has taken a peer for dead because of it.
        for cluster in [&mut a, &mut b] {
            assert_eq!(cluster.agent().metric("strait_peer_endpoint_up"), 1.0, "{scheme}");
        }
    }
}

#[test]
fn without_the_path_a_question_waits_for_itself_and_no_other_does() {
    let (a, b, circle) = clusters("tls", Options::Stripped);
    let (agent, asked) = (b.dns, query("loop.cluster-a.example.com", "A"));
    let circling = std::thread::spawn(move || ask_udp(agent, &asked));
    strait_tests::until("the question to come round", || circle.rounds() > 0);
    b.resolve("web.shop.svc.cluster-a.example.com");
    a.resolve("web.shop.svc.cluster-b.example.com");
    let failed = circling.join().unwrap().unwrap();
    assert_eq!(failed.rcode, Rcode::SERVFAIL);
    // Each try of the gateway is a round that ends in the one exchange that is in flight already.
    let rounds = circle.rounds();
    assert!(rounds <= 8, "{rounds} rounds");
    b.resolve("web.shop.svc.cluster-a.example.com");
}

fn with_path(name: &str, path: &[u8]) -> Message {
    let options = vec![EdnsOption { code: option::CLUSTER_PATH, data: path.to_vec() }];
    Message { edns: Some(Edns { options, ..Edns::default() }), ..query(name, "A") }
}

const OF_B: &str = "web.shop.svc.cluster-b.example.com";

#[test]
fn a_question_that_passed_another_cluster_is_not_sent_on_to_a_peer() {
    let upstream = ScriptedServer::with_address("192.0.2.80");
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"]))
        .agent(&format!("upstreams: {{ servers: [\"{}\"] }}", upstream.address()))
        .agent("zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.1 }, { name: alias, type: CNAME, value: web.shop.svc.cluster-b.example.com. }] }]")
        .start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    a.add_peer(&b, &b.endpoints("tls"));
    b.add_peer(&a, &a.endpoints("tls"));
    let full = ["x.example"; 8].join(",");
    // Before and after the answer is cached: what came from a peer is told to no other cluster.
    for _ in 0..2 {
        for path in [&b"x.example"[..], full.as_bytes(), b"cluster-a.example.com", b"cluster-b.example.com"] {
            let refused = ask_udp(a.dns, &with_path(OF_B, path)).unwrap();
            assert_eq!((refused.rcode, lines(&refused).len()), (Rcode::REFUSED, 0));
            let first = path.split(|octet| *octet == b',').next().unwrap();
            assert!(ede(&refused).text.contains(std::str::from_utf8(first).unwrap()), "{:?}", ede(&refused));
            // Nor by the way of an alias.
            let alias = ask_udp(a.dns, &with_path("alias.static.example", path)).unwrap();
            assert!(!lines(&alias).iter().any(|line| line.contains("10.2.0.1")), "{alias:?}");
        }
        a.resolve(OF_B);
        a.resolve("alias.static.example");
    }
    // What is no peer's is answered whatever the path.
    for name in ["api.static.example", "www.example.org"] {
        assert_eq!(ask_udp(a.dns, &with_path(name, b"x.example")).unwrap().answers.len(), 1, "{name}");
    }
}

#[test]
fn a_path_that_cannot_be_read_is_a_format_error() {
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    let identity = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    let mut link = tls(b.gateway().seat.tls, Some(&identity), &["dot"]).unwrap();
    let nine = ["x.example"; 9].join(",");
    let unreadable: [&[u8]; 6] = [nine.as_bytes(), b",", b"a,,b", b"UPPER", b"a b", b"\xff\xfe"];
    for path in unreadable {
        let question = with_path(OF_B, path);
        for reply in [link.ask(&question).unwrap(), ask_udp(b.dns, &question).unwrap()] {
            assert_eq!((reply.rcode, lines(&reply).len()), (Rcode::FORMERR, 0), "{:?}", String::from_utf8_lossy(path));
        }
    }
    assert_eq!(link.ask(&query(OF_B, "A")).unwrap().answers.len(), 1, "the connection serves on");
}

#[test]
fn a_gateway_refuses_a_question_that_has_been_there_before() {
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    let identity = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    let mut link = tls(b.gateway().seat.tls, Some(&identity), &["dot"]).unwrap();
    // Also when the answer is cached.
    for _ in 0..2 {
        for path in [&b"cluster-b.example.com"[..], b"cluster-a.example.com,cluster-b.example.com,x.example"] {
            let refused = link.ask(&with_path(OF_B, path)).unwrap();
            assert_eq!((refused.rcode, lines(&refused).len()), (Rcode::REFUSED, 0));
            let ede = ede(&refused);
            assert!(ede.code == Ede::PROHIBITED && ede.text.contains("cluster-b.example.com"), "{ede:?}");
        }
        // Other clusters in the path are how a question comes from one.
        for path in [&b"cluster-a.example.com"[..], b"x.example,cluster-a.example.com"] {
            assert_eq!(lines(&link.ask(&with_path(OF_B, path)).unwrap()), [format!("{OF_B}. A 10.2.0.1")]);
        }
    }
    assert_eq!(lines(&ask(b.dns, "web.shop.svc.cluster-b.example.com", "A")).len(), 0, "it is no peer of itself");
}
