//! What peers with different policies see of the same answers, over one cache.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use strait_resolve::{
    Ask, BoxFuture, CacheSettings, QueryLog, ResolveMetrics, Resolver, ResolverSettings, Respond, Route, RouteTable,
    Source, SourceError, Transit,
};
use strait_wire::{Class, Question, Rcode, Rdata, Record};

use super::*;
use crate::NamespacePolicy;

/// The zone as it is under the suffix: aliases, services and addresses that lead from one namespace to another.
const RECORDS: &[(&str, &str, &str)] = &[
    ("web.shop.svc", "A", ""),
    ("_http._tcp.web.shop.svc", "SRV", "web.shop.svc"),
    ("dns.kube-system.svc", "A", ""),
    ("dns.kube-system.svc", "TXT", ""),
    ("_dns._udp.dns.kube-system.svc", "SRV", "dns.kube-system.svc"),
    ("alias.shop.svc", "CNAME", "dns.kube-system.svc"),
    ("port.shop.svc", "SRV", "10-0-0-1.dns.kube-system.svc"),
    ("mail.shop.svc", "MX", "dns.kube-system.svc"),
    ("addresses", "PTR", "dns.kube-system.svc"),
    ("pods", "PTR", "10-0-0-1.kube-system.pod"),
    ("address", "PTR", "web.shop.svc"),
];

fn under(text: &str) -> Name {
    format!("{text}.cluster-a.example.com").parse().unwrap()
}

/// Answers from [`RECORDS`], at once or not; counts how often it was asked.
struct Zone {
    at_once: AtomicBool,
    asked: AtomicUsize,
}

impl Zone {
    fn look_up(&self, ask: &Ask) -> Answer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Question { name, rtype, .. } = &ask.question;
        let mut message = Message::response(ask.question.clone(), Rcode::NOERROR);
        let here =
            RECORDS.iter().filter(|(owner, of, _)| under(owner) == *name && (*of == "CNAME" || parse(of) == *rtype));
        message.answers.extend(here.map(|(_, of, target)| record(name.clone(), of, target)));
        if message.answers.is_empty() {
            message.rcode = Rcode::NXDOMAIN;
            // The name server lies in a namespace that few may see.
            let rdata = Rdata::soa(&under("dns.kube-system.svc"), &under("hostmaster"), [1, 2, 3, 4, 60]);
            message.authorities.push(Record { rdata, ..record(under("x"), "SOA", "") });
        }
        Answer::new(&message).unwrap()
    }
}

fn parse(rtype: &str) -> RecordType {
    rtype.parse().unwrap()
}

fn record(name: Name, rtype: &str, target: &str) -> Record {
    let rdata = match rtype {
        "A" => Rdata::opaque(vec![10, 0, 0, 1]),
        "SRV" => Rdata::srv(0, 100, 53, &under(target)),
        "MX" => Rdata::parse(RecordType::MX, &[&[0, 10], under(target).as_wire()].concat()).unwrap(),
        "CNAME" | "PTR" => Rdata::name(&under(target)),
        _ => Rdata::opaque(b"\x05words".to_vec()),
    };
    Record { name, rtype: parse(rtype), class: Class::IN, ttl: 60, rdata }
}

impl Source for Zone {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.at_once.load(Ordering::Relaxed).then(|| self.look_up(ask))
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move { Ok(self.look_up(ask)) })
    }
}

struct Gateway {
    book: Arc<InboundBook>,
    resolver: Resolver,
    zone: Arc<Zone>,
}

/// cluster-b may see what every peer may; cluster-c may see everything.
fn peers() -> PeerSet {
    let everything = NamespacePolicy::parse(["*", "kube-system"], []).unwrap();
    PeerSet::new(Generation(1), [peer("cluster-b"), PeerRecord { namespaces: everything, ..peer("cluster-c") }])
        .unwrap()
}

impl Gateway {
    fn new(at_once: bool) -> Self {
        let registry = Registry::new();
        let book = InboundBook::new(&registry).unwrap();
        book.apply(&peers());
        let zone = Arc::new(Zone { at_once: at_once.into(), asked: AtomicUsize::new(0) });
        let source = Arc::clone(&zone) as Arc<dyn Source>;
        let resolver = Resolver::new(ResolverSettings {
            admit: Arc::new(InboundPolicy::new(home(), Arc::clone(&book))),
            cache: CacheSettings::default(),
            routes: RouteTable::new([Route { zone: home().suffix, kind: "home", source, cached: !at_once }]).0,
            follow_aliases: false,
            transit: Transit::Refused,
            deadline: std::time::Duration::from_secs(3),
            metrics: Arc::new(ResolveMetrics::new(&registry).unwrap()),
            query_log: QueryLog::off(),
        });
        Self { book, resolver, zone }
    }

    async fn ask(&self, cluster: &str, name: &Name, rtype: &str) -> Message {
        let wire = Message::query(1, name.clone(), parse(rtype)).to_wire().unwrap();
        let id = format!("spiffe://{cluster}.example.com/gateway");
        let reply = self.resolver.respond(&wire, &origin(Some(&id))).await.unwrap();
        Message::parse(&reply).unwrap()
    }

    fn asked(&self) -> usize {
        self.zone.asked.load(Ordering::Relaxed)
    }
}

fn is_refused(reply: &Message) -> bool {
    let Some(ede) = reply.edns.as_ref().and_then(|edns| edns.ede()) else { return false };
    assert_eq!((ede.code, ede.text.as_ref()), (18, "not shown to peer cluster-b: the namespaces it may see"));
    assert_eq!((reply.rcode, reply.records().count()), (Rcode::REFUSED, 0));
    true
}

/// (name, type, whether cluster-b gets it)
const CASES: &[(&str, &str, bool)] = &[
    ("web.shop.svc", "A", true),
    ("_http._tcp.web.shop.svc", "SRV", true),
    ("address", "PTR", true),
    // Denials, though the SOA names a server in that namespace.
    ("nothing.shop.svc", "A", true),
    ("web.shop.svc", "AAAA", true),
    // By the question.
    ("dns.kube-system.svc", "A", false),
    ("DNS.Kube-System.SVC", "A", false),
    ("dns.kube-system.svc", "TXT", false),
    ("_dns._udp.dns.kube-system.svc", "SRV", false),
    ("10-0-0-1.kube-system.pod", "A", false),
    ("kube-system.svc", "A", false),
    // Whether it exists or not.
    ("nothing.kube-system.svc", "A", false),
    // By where the answer leads.
    ("alias.shop.svc", "A", false),
    ("alias.shop.svc", "CNAME", false),
    ("port.shop.svc", "SRV", false),
    ("mail.shop.svc", "MX", false),
    ("addresses", "PTR", false),
    ("pods", "PTR", false),
];

#[tokio::test]
async fn a_peer_is_not_led_into_a_namespace_it_may_not_see_whoever_has_filled_the_cache() {
    for (first, second) in [("cluster-c", "cluster-b"), ("cluster-b", "cluster-c")] {
        for (name, rtype, shown) in CASES {
            let gateway = Gateway::new(false);
            for cluster in [first, second, first, second] {
                let reply = gateway.ask(cluster, &under(name), rtype).await;
                let expected = *shown || cluster == "cluster-c";
                assert_eq!(!is_refused(&reply), expected, "{cluster} after {first}: {name} {rtype}");
            }
            assert_eq!(gateway.asked(), 1, "one cache for both: {name} {rtype}");
        }
    }
}

#[tokio::test]
async fn the_same_holds_for_answers_that_are_not_cached() {
    let gateway = Gateway::new(true);
    for (name, rtype, shown) in CASES {
        assert_eq!(!is_refused(&gateway.ask("cluster-b", &under(name), rtype).await), *shown, "{name} {rtype}");
        assert!(!is_refused(&gateway.ask("cluster-c", &under(name), rtype).await), "{name} {rtype}");
    }
}

#[tokio::test]
async fn what_is_withheld_is_counted_and_a_change_of_policy_is_in_force_at_once() {
    let gateway = Gateway::new(false);
    let alias = under("alias.shop.svc");
    assert!(is_refused(&gateway.ask("cluster-b", &alias, "A").await));
    let report = gateway.book.report("cluster-b").unwrap();
    assert_eq!((report.queries, report.refused), (0, 1));
    let sentence = "alias.shop.svc.cluster-a.example.com.: not shown to peer cluster-b: the namespaces it may see";
    assert_eq!(report.last_error.unwrap().0, sentence);
    let shown = NamespacePolicy::parse(["shop", "kube-system"], []).unwrap();
    gateway.book.apply(&PeerSet::new(Generation(2), [PeerRecord { namespaces: shown, ..peer("cluster-b") }]).unwrap());
    assert!(!is_refused(&gateway.ask("cluster-b", &alias, "A").await));
    let report = gateway.book.report("cluster-b").unwrap();
    assert_eq!((report.queries, report.refused), (1, 1), "its counters stay");
    // A peer that has gone while its answer was on its way gets nothing.
    gateway.book.apply(&PeerSet::default());
    assert_eq!(gateway.ask("cluster-b", &alias, "A").await.rcode, Rcode::REFUSED);
}

#[tokio::test]
async fn our_own_agents_see_everything() {
    let gateway = Gateway::new(false);
    for (name, rtype, _) in CASES {
        assert!(!is_refused(&gateway.ask("cluster-a", &under(name), rtype).await), "{name} {rtype}");
    }
}
