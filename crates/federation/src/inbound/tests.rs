#![allow(clippy::unwrap_used)]

mod shown;

use prometheus::Registry;
use strait_identity::{Identity, Rejection, SpiffeId};
use strait_resolve::Transport;
use strait_serve::ConnectionObserver;
use strait_wire::{ClusterPath, EdnsOption, Message, RecordType, option};

use super::*;
use crate::testkit::{home, peer};
use crate::{Directions, Generation, PeerRecord, PeerSet};

fn identity(id: &str) -> Arc<Identity> {
    Arc::new(Identity { id: id.parse().unwrap(), not_after: i64::MAX })
}

fn origin(id: Option<&str>) -> Origin {
    let client = "192.0.2.7:4000".parse().unwrap();
    Origin { identity: id.map(identity), ..Origin::new(client, Transport::Dot) }
}

fn question(name: &str, path: &[&str]) -> Vec<u8> {
    let mut message = Message::query(1, name.parse().unwrap(), RecordType::A);
    if !path.is_empty() {
        let path = path.iter().try_fold(ClusterPath::default(), |path, cluster| path.passing(cluster)).unwrap();
        let data = path.encode();
        message.edns.as_mut().unwrap().options.push(EdnsOption { code: option::CLUSTER_PATH, data });
    }
    message.to_wire().unwrap()
}

struct Setting {
    registry: Registry,
    book: Arc<InboundBook>,
    policy: InboundPolicy,
}

/// cluster-a with two peers: cluster-b may ask, cluster-c is only asked.
fn setting() -> Setting {
    let registry = Registry::new();
    let book = InboundBook::new(&registry).unwrap();
    let outbound = PeerRecord { directions: Directions::OutboundOnly, ..peer("cluster-c") };
    book.apply(&PeerSet::new(Generation(1), [peer("cluster-b"), outbound]).unwrap());
    Setting { registry, policy: InboundPolicy::new(home(), Arc::clone(&book)), book }
}

impl Setting {
    fn ask(&self, id: Option<&str>, name: &str, path: &[&str]) -> Result<(), (u16, String)> {
        let wire = question(name, path);
        let (origin, query) = (origin(id), QueryView::parse(&wire).unwrap());
        match self.policy.admit(&origin, &query) {
            Admission::Admit => {
                // What has to wait for an answer is looked at again; it counts once.
                assert_eq!(self.policy.admit(&origin, &query), Admission::Admit);
                self.policy.answered(&origin);
                Ok(())
            }
            Admission::Drop => panic!("a peer is always answered"),
            Admission::Refuse(ede) => Err((ede.code, ede.text.into_owned())),
        }
    }

    fn metric(&self, name: &str, peer: &str) -> Option<f64> {
        metric(&self.registry, name, peer)
    }
}

fn metric(registry: &Registry, name: &str, peer: &str) -> Option<f64> {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name)?;
    let metric = family.get_metric().iter().find(|m| m.get_label().first().is_none_or(|l| l.value() == peer))?;
    Some(if name.ends_with("_total") { metric.get_counter().get_value() } else { metric.get_gauge().get_value() })
}

const B: &str = "spiffe://cluster-b.example.com/gateway";

#[test]
fn each_refusal_says_its_rule() {
    let name = "web.shop.svc.cluster-a.example.com";
    let own = "spiffe://cluster-a.example.com/node-agent/n1";
    let refused = |code, text: &str| Err((code, text.to_owned()));
    let outside = "peer cluster-b may ask only names under cluster-a.example.com";
    type Case<'a> = (Option<&'a str>, &'a str, &'a [&'a str], Result<(), (u16, String)>);
    let cases: &[Case<'_>] = &[
        // A peer's gateway, and its agents, which dial us directly.
        (Some(B), name, &[], Ok(())),
        (Some("spiffe://cluster-b.example.com/node-agent/n9"), name, &["cluster-b.example.com"], Ok(())),
        // The suffix itself, in any case: health questions ask for it.
        (Some(B), "Cluster-A.EXAMPLE.com", &[], Ok(())),
        // Our own agents and gateways.
        (Some(own), name, &[], Ok(())),
        // Outside the suffix: the world, the home zone, our parent, a name that only ends alike.
        (Some(B), "example.org", &[], refused(18, outside)),
        (Some(B), "web.shop.svc.cluster.local", &[], refused(18, outside)),
        (Some(B), "example.com", &[], refused(18, outside)),
        (Some(B), "xcluster-a.example.com", &[], refused(18, outside)),
        (Some(own), "example.org", &[], refused(20, "this gateway answers only names under cluster-a.example.com")),
        // Nobody, a stranger, and one whom we only ask.
        (None, name, &[], refused(18, "no client certificate: this gateway answers known peers")),
        (
            Some("spiffe://stranger.example/gateway"),
            name,
            &[],
            refused(18, "no peer of trust domain stranger.example may ask here"),
        ),
        (
            Some("spiffe://cluster-c.example.com/gateway"),
            name,
            &[],
            refused(18, "no peer of trust domain cluster-c.example.com may ask here"),
        ),
        // A loop is named.
        (
            Some(B),
            name,
            &["cluster-a.example.com", "cluster-b.example.com"],
            refused(
                18,
                "loop: the question has passed cluster-a.example.com > cluster-b.example.com and is here again",
            ),
        ),
        // Having passed others is not a loop.
        (Some(B), name, &["cluster-d.example.com", "cluster-b.example.com"], Ok(())),
    ];
    let setting = setting();
    for (id, name, path, expected) in cases {
        assert_eq!(setting.ask(*id, name, path), *expected, "{id:?} {name} {path:?}");
    }
}

#[test]
fn a_path_that_cannot_be_read_is_refused() {
    let mut message = Message::query(1, "cluster-a.example.com".parse().unwrap(), RecordType::A);
    let data = b"cluster b".to_vec();
    message.edns.as_mut().unwrap().options.push(EdnsOption { code: option::CLUSTER_PATH, data });
    let wire = message.to_wire().unwrap();
    let verdict = setting().policy.admit(&origin(Some(B)), &QueryView::parse(&wire).unwrap());
    assert_eq!(verdict, Admission::Refuse(Ede::new(18, "the list of clusters passed cannot be read")));
}

#[test]
fn the_generation_and_the_end_of_each_bundle_are_told() {
    let Setting { registry, book, .. } = &setting();
    let generation = || metric(registry, "strait_peers_generation", "");
    let end = |peer: &str| metric(registry, "strait_peer_bundle_not_after_timestamp_seconds", peer);
    assert_eq!(generation(), Some(1.0));
    assert!(end("cluster-b").is_some_and(|end| end > crate::gateway::now() as f64));
    // Both directions: the links depend on it as well.
    assert_eq!([end("cluster-b"), end("cluster-c")].map(|end| end.is_some()), [true, true]);
    book.apply(&PeerSet::new(Generation(2), [peer("cluster-c")]).unwrap());
    assert_eq!((generation(), end("cluster-b")), (Some(2.0), None));
    assert!(end("cluster-c").is_some());
}

#[test]
fn what_a_peer_does_is_in_the_book_and_the_metrics() {
    let setting = setting();
    let gateway = identity(B);
    setting.book.opened(&gateway);
    setting.book.opened(&gateway);
    setting.book.closed(&gateway);
    setting.ask(Some(B), "web.shop.svc.cluster-a.example.com", &[]).unwrap();
    setting.ask(Some(B), "example.org", &[]).unwrap_err();
    let report = setting.book.report("cluster-b").unwrap();
    assert_eq!((report.connections, report.queries, report.refused), (1, 1, 1));
    assert!(report.last_query_at.is_some());
    let sentence = "example.org.: peer cluster-b may ask only names under cluster-a.example.com";
    assert_eq!(report.last_error.unwrap().0, sentence);
    assert_eq!(setting.metric("strait_peer_inbound_connections", "cluster-b"), Some(1.0));
    assert_eq!(setting.metric("strait_peer_inbound_requests_total", "cluster-b"), Some(1.0));
    assert_eq!(setting.metric("strait_peer_inbound_refused_total", "cluster-b"), Some(1.0));
    assert_eq!(setting.book.report("cluster-c"), None);
}

#[test]
fn a_failed_handshake_is_told_at_the_peers_it_is_about() {
    let setting = setting();
    let client = "192.0.2.9:1".parse().unwrap();
    // A stranger is nobody's trouble.
    let stranger: SpiffeId = "spiffe://stranger.example/gateway".parse().unwrap();
    setting.book.rejected(client, &Rejection::UnknownTrustDomain { presented: stranger });
    assert_eq!(setting.book.report("cluster-b").unwrap().last_error, None);
    // cluster-b's CA signs for our own trust domain: that is cluster-b's doing.
    let presented: SpiffeId = "spiffe://cluster-a.example.com/gateway".parse().unwrap();
    let signer = "cluster-b.example.com".parse().unwrap();
    let rejection = Rejection::WrongTrustDomain { presented, signer };
    setting.book.rejected(client, &rejection);
    let told = setting.book.report("cluster-b").unwrap().last_error.unwrap().0;
    assert_eq!(told, format!("handshake: {rejection}"));
}

#[test]
fn a_removed_peer_may_not_ask_and_leaves_no_metrics() {
    let setting = setting();
    setting.book.opened(&identity(B));
    setting.ask(Some(B), "cluster-a.example.com", &[]).unwrap();
    setting.book.apply(&PeerSet::default());
    setting.ask(Some(B), "cluster-a.example.com", &[]).unwrap_err();
    assert_eq!(setting.book.report("cluster-b"), None);
    assert_eq!(setting.metric("strait_peer_inbound_requests_total", "cluster-b"), None);
    // Back again before the old connection is gone: it still counts, and is taken off when it closes.
    setting.book.apply(&PeerSet::new(Generation(3), [peer("cluster-b")]).unwrap());
    assert_eq!(setting.book.report("cluster-b").unwrap().connections, 1);
    setting.book.closed(&identity(B));
    assert_eq!(setting.book.report("cluster-b").unwrap().connections, 0);
}

#[test]
fn a_change_keeps_the_counters_of_who_stays() {
    let setting = setting();
    setting.ask(Some(B), "cluster-a.example.com", &[]).unwrap();
    setting.book.apply(&PeerSet::new(Generation(2), [peer("cluster-b"), peer("cluster-d")]).unwrap());
    assert_eq!(setting.book.report("cluster-b").unwrap().queries, 1);
    assert_eq!(setting.book.report("cluster-d").unwrap(), InboundReport::default());
}

#[test]
fn zones_at_home_are_for_our_own_alone() {
    let zones = ["cluster.local", "in-addr.arpa"].map(|zone| zone.parse().unwrap());
    let Setting { registry, book, policy } = setting();
    let setting = Setting { registry, book, policy: policy.with_own_zones(zones.into()) };
    let (web, address) = ("web.shop.svc.cluster.local", "1.0.96.10.in-addr.arpa");
    let peer = Err((18, "peer cluster-b may ask only names under cluster-a.example.com".to_owned()));
    let outside = "this gateway answers only names under cluster-a.example.com, cluster.local, in-addr.arpa";
    let stranger = Err((18, "no peer of trust domain stranger.example may ask here".to_owned()));
    let looped = Err((18, "loop: the question has passed cluster-a.example.com and is here again".to_owned()));
    let agent = Some("spiffe://cluster-a.example.com/node-agent/n1");
    let cases = [
        (agent, web, &[][..], Ok(())),
        (agent, "cluster.LOCAL", &[], Ok(())),
        (agent, address, &[], Ok(())),
        (agent, "web.shop.svc.cluster-a.example.com", &[], Ok(())),
        // Our other gateways, too.
        (Some("spiffe://cluster-a.example.com/gateway"), web, &[], Ok(())),
        (agent, "example.org", &[], Err((20, outside.to_owned()))),
        (agent, web, &["cluster-a.example.com"], looped),
        // A peer's gateway and its agents, a stranger, nobody.
        (Some(B), web, &[], peer.clone()),
        (Some(B), address, &[], peer.clone()),
        (Some("spiffe://cluster-b.example.com/node-agent/n9"), "cluster.local", &[], peer),
        (Some("spiffe://stranger.example/node-agent/n1"), web, &[], stranger),
        (None, web, &[], Err((18, "no client certificate: this gateway answers known peers".to_owned()))),
    ];
    for (id, name, path, expected) in cases {
        assert_eq!(setting.ask(id, name, path), expected, "{id:?} {name} {path:?}");
    }
}
