//! Sources that are more than one: for who asks from outside, and for several zones.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use strait_wire::{Answer, Ede, Name, QueryView, Rcode};

use crate::resolver::kit::{Bench, Said, local, told};
use crate::testing::{Scripted, address, name, origin_from, query};
use crate::{Admission, Admit, Ask, BoxFuture, Origin, RefusedZone, Route, RouteTable, Source, SourceError, Transport};

/// A source that says one thing inside and another outside, as far as that can be told at once.
struct TwoFaced {
    inside: Arc<Scripted>,
    outside: Arc<Scripted>,
}

impl Source for TwoFaced {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.inside.answer_now(ask)
    }

    fn told_outside(&self) -> Option<&dyn Source> {
        Some(&*self.outside)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        self.inside.answer(ask)
    }
}

/// Whoever is not on the loopback is outside.
struct Outside;

impl Admit for Outside {
    fn admit(&self, _: &Origin, _: &QueryView<'_>) -> Admission {
        Admission::Admit
    }

    fn is_outside(&self, origin: &Origin) -> bool {
        !origin.client.ip().is_loopback()
    }
}

fn bench(inside: Arc<Scripted>, outside: Arc<Scripted>) -> Bench {
    let source = Arc::new(TwoFaced { inside, outside });
    let route = Route { zone: name("example.com"), kind: "home", source, cached: false };
    Bench::with(RouteTable::new([route]).0, |settings| settings.admit = Arc::new(Outside))
}

#[tokio::test]
async fn whoever_is_outside_is_told_what_is_for_outside() {
    let bench = bench(Scripted::local(|ask| address(ask, 60, 1)), Scripted::local(|ask| address(ask, 60, 2)));
    let stranger = origin_from("192.0.2.7", Transport::Udp);
    // In this order and back: nothing of it is kept for the other.
    for (origin, last) in [(local(), 1), (stranger.clone(), 2), (local(), 1), (stranger, 2)] {
        let (_, reply) = bench.send_now(&query("web.example.com", "A"), &origin);
        assert_eq!(reply.unwrap().answers[0].rdata.as_bytes()[3], last, "{origin:?}");
    }
}

#[tokio::test]
async fn nobody_outside_waits_for_what_is_told_inside() {
    // Both know nothing at once; only the source of those inside can be waited for.
    let inside = Scripted::new(|ask| address(ask, 60, 1));
    let bench = bench(Arc::clone(&inside), Scripted::new(|ask| address(ask, 60, 2)));
    let (said, reply) = bench.send_now(&query("web.example.com", "A"), &origin_from("192.0.2.7", Transport::Udp));
    let reply = reply.unwrap();
    assert_eq!((said, reply.rcode, told(&reply)[0].0), (Said::Reply, Rcode::SERVFAIL, Ede::NOT_READY));
    assert_eq!(inside.calls(), 0);
}

/// A source that answers for many zones and is counted with one.
struct Many(Name);

impl Source for Many {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        address(ask, 60, 1).ok()
    }

    fn counted_with(&self) -> Option<&Name> {
        Some(&self.0)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(address(ask, 60, 1)))
    }
}

#[tokio::test]
async fn the_zones_of_one_source_are_counted_together_as_long_as_one_of_them_is_there() {
    let source: Arc<dyn Source> = Arc::new(Many(name("cluster-b.example.com")));
    let route = |zone: &str| Route { zone: name(zone), kind: "peer", source: Arc::clone(&source), cached: false };
    let table = |zones: &[&str]| RouteTable::new(zones.iter().map(|zone| route(zone))).0;
    let bench = Bench::with(table(&["cluster-b.example.com", "96.10.in-addr.arpa"]), |_| {});
    let ask = async |name: &str| assert_eq!(bench.ask(name, "A").await.rcode, Rcode::NOERROR);
    ask("web.cluster-b.example.com").await;
    ask("1.0.96.10.in-addr.arpa").await;
    // Another zone beside them, and one of them gone: it is the same series.
    bench.resolver.replace_routes(table(&["cluster-b.example.com", "97.10.in-addr.arpa"]));
    ask("1.0.97.10.in-addr.arpa").await;
    let counted = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("strait_requests_total") && line.contains("zone=\""));
        let zones = lines.filter_map(|line| line.split("zone=\"").nth(1)?.split('"').next().map(str::to_owned));
        zones.collect::<std::collections::BTreeSet<_>>()
    };
    let zones = counted(&bench.text());
    assert!(zones.contains("cluster-b.example.com."), "{}", bench.text());
    assert!(zones.iter().all(|zone| !zone.ends_with("arpa.")), "{zones:?}");
}

#[tokio::test]
async fn a_refused_zone_says_why_to_who_asks() {
    let source = Arc::new(RefusedZone::new("10.96.0.0/16 is claimed by two".to_owned()));
    let route = Route { zone: name("96.10.in-addr.arpa"), kind: "refused", source, cached: false };
    let bench = Bench::with(RouteTable::new([route]).0, |_| {});
    let reply = bench.ask("1.0.96.10.in-addr.arpa", "PTR").await;
    assert_eq!(reply.rcode, Rcode::REFUSED);
    assert_eq!(told(&reply), [(Ede::OTHER, "10.96.0.0/16 is claimed by two".to_owned())]);
}
