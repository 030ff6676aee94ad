//! The hit path by itself: answers so many questions from the cache (`hit cached COUNT`), from a static zone
//! (`hit static COUNT`) or from a catalog of Kubernetes services (`hit catalog COUNT`), without sockets. Made for
//! `valgrind --tool=callgrind`; the benchmark counts the instructions of one answer with it.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a program for whoever measures: a panic is its report")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use strait_catalog::{
    CatalogSettings, CatalogZone, Change, Kind, Label, Object, Picture, Service, ServiceKind, ZoneSettings,
};
use strait_resolve::zone::ZoneBuilder;
use strait_resolve::{
    AccessList, Ask, BoxFuture, CacheSettings, Now, Origin, QueryLog, ResolveMetrics, Resolver, ResolverSettings,
    Respond, Route, RouteTable, Source, SourceError, Transit, Transport,
};
use strait_wire::{Answer, Name, RecordType};

/// Where the names lie.
const APEX: &str = "bench.example";

/// Names asked for in turn.
const NAMES: usize = 1_000;

/// Questions that come together.
const BATCH: usize = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, count] = arguments.as_slice() else {
        eprintln!("usage: hit cached|static|catalog COUNT");
        std::process::exit(2);
    };
    let count: usize = count.parse().unwrap();
    let resolver = resolver(kind);
    let questions: Vec<Vec<u8>> = (0..NAMES).map(question).collect();
    let mut origin = Origin::new("127.0.0.1:4242".parse().unwrap(), Transport::Udp);
    warm(&resolver, &questions, &origin);
    let mut reply = Vec::with_capacity(4096);
    for number in 0..count {
        // One look at the clock for each batch, as the workers have it.
        if number % BATCH == 0 {
            origin.arrived = Some(Instant::now());
        }
        reply.clear();
        let now = resolver.respond_now(&questions[number % NAMES], &origin, &mut reply);
        assert!(matches!(now, Now::Reply), "every question is answered at once");
    }
    assert!(count == 0 || reply.ends_with(&[192, 0, 2, 1]), "with the address");
}

/// Asks every question once.
fn warm(resolver: &Resolver, questions: &[Vec<u8>], origin: &Origin) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for question in questions {
            resolver.respond(question, origin).await.unwrap();
        }
    });
}

fn resolver(kind: &str) -> Resolver {
    let apex: Name = APEX.parse().unwrap();
    let (kind, source, cached): (_, Arc<dyn Source>, _) = match kind {
        "cached" => ("upstream", Arc::new(Distant(zone(&apex))), true),
        "static" => ("static", zone(&apex), false),
        "catalog" => ("home", catalog(&apex), false),
        other => panic!("no kind {other}"),
    };
    let (routes, _) = RouteTable::new([Route { zone: apex, kind, source, cached }]);
    Resolver::new(ResolverSettings {
        admit: Arc::new(AccessList::local()),
        cache: CacheSettings::default(),
        routes,
        follow_aliases: true,
        transit: Transit::Refused,
        deadline: Duration::from_secs(3),
        metrics: Arc::new(ResolveMetrics::new(&prometheus::Registry::new()).unwrap()),
        query_log: QueryLog::off(),
    })
}

/// The names in a static zone.
fn zone(apex: &Name) -> Arc<dyn Source> {
    let mut zone = ZoneBuilder::new(apex.clone(), 3600);
    for number in 0..NAMES {
        zone.record(&format!("h{number}.n.svc"), RecordType::A, None, "192.0.2.1").unwrap();
    }
    Arc::new(zone.build().unwrap())
}

/// The names as those of services with an address.
fn catalog(apex: &Name) -> Arc<dyn Source> {
    let mut picture = Picture::new(CatalogSettings::default());
    let service = |number| {
        Object::Service(Service {
            namespace: Label::new("n").unwrap(),
            name: Label::new(&format!("h{number}")).unwrap(),
            kind: ServiceKind::ClusterIp(["192.0.2.1".parse().unwrap()].into()),
            ports: Box::default(),
            publish_not_ready: false,
        })
    };
    picture.apply(Change::Replace(Kind::Service, (0..NAMES).map(service).collect()));
    for kind in [Kind::Namespace, Kind::Endpoints] {
        picture.apply(Change::Replace(kind, Vec::new()));
    }
    let settings = ZoneSettings { home: apex.clone(), apex: apex.clone(), name_server: Box::default() };
    Arc::new(CatalogZone::new(Arc::new(ArcSwap::new(picture.publish())), settings).unwrap())
}

/// A source that is not asked at once, as if it were behind a network.
struct Distant(Arc<dyn Source>);

impl Source for Distant {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move { Ok(self.0.answer_now(ask).unwrap()) })
    }
}

/// A question as a stub resolver asks it.
fn question(number: usize) -> Vec<u8> {
    let name: Name = format!("h{number}.n.svc.{APEX}").parse().unwrap();
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(name.as_wire());
    packet.extend_from_slice(&[0, 1, 0, 1]);
    packet
}
