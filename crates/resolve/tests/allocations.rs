//! An answer from the cache, and one from a static zone, allocate nothing. Alone in its program, since the counting
//! allocator is the program's.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use prometheus::Registry;
use strait_resolve::zone::ZoneBuilder;
use strait_resolve::{
    AccessList, Ask, BoxFuture, CacheSettings, Now, Origin, QueryLog, ResolveMetrics, Resolver, ResolverSettings,
    Respond, Route, RouteTable, Source, SourceError, Transit, Transport,
};
use strait_wire::{Answer, Edns, Message, Name, RecordType};

/// Questions asked of each kind while allocations are counted: enough for the cache's housekeeping, which some of them
/// do, and for every answer whose time is taken.
const ROUNDS: usize = 1_000;

/// A zone that is not asked at once, as if it were behind a network.
struct Distant(Arc<dyn Source>);

impl Source for Distant {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move { Ok(self.0.answer_now(ask).expect("the zone answers at once")) })
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn zone() -> Arc<dyn Source> {
    let mut zone = ZoneBuilder::new(name("example.com"), 300);
    for (owner, rtype, value) in [
        ("web", RecordType::A, "192.0.2.1"),
        ("web", RecordType::TXT, "text"),
        ("mail", RecordType::MX, "10 web"),
        ("*.apps", RecordType::A, "192.0.2.2"),
    ] {
        zone.record(owner, rtype, None, value).unwrap();
    }
    zone.template("node-[0-9]+", RecordType::A, None, "10.0.0.1").unwrap();
    Arc::new(zone.build().unwrap())
}

fn resolver(cached: bool) -> Resolver {
    let (kind, source) = if cached { ("upstream", Arc::new(Distant(zone())) as _) } else { ("static", zone()) };
    Resolver::new(ResolverSettings {
        admit: Arc::new(AccessList::local()),
        cache: CacheSettings::default(),
        routes: RouteTable::new([Route { zone: name("example.com"), kind, source, cached }]).0,
        follow_aliases: true,
        transit: Transit::Refused,
        deadline: Duration::from_secs(30),
        metrics: Arc::new(ResolveMetrics::new(&Registry::new()).unwrap()),
        query_log: QueryLog::off(),
    })
}

fn questions() -> Vec<Vec<u8>> {
    let cases = [
        ("web.example.com", RecordType::A),
        ("WEB.Example.com", RecordType::TXT),
        ("mail.example.com", RecordType::MX),
        // What a wildcard and a template say.
        ("some.apps.example.com", RecordType::A),
        ("node-7.example.com", RecordType::A),
        // No such type, no such name.
        ("web.example.com", RecordType::AAAA),
        ("no.example.com", RecordType::A),
    ];
    let plain = |(asked, rtype): (&str, RecordType)| Message { edns: None, ..Message::query(1, name(asked), rtype) };
    let with_edns = |message: Message| Message {
        edns: Some(Edns { udp_payload: 1232, dnssec_ok: true, ..Edns::default() }),
        ..message
    };
    let both = cases.into_iter().map(plain).flat_map(|message| [message.clone(), with_edns(message)]);
    both.map(|message| message.to_wire().unwrap()).collect()
}

#[tokio::test]
async fn answers_at_once_allocate_nothing() {
    for cached in [true, false] {
        let resolver = resolver(cached);
        let client = SocketAddr::from(([127, 0, 0, 1], 4242));
        let origin = Origin { arrived: Some(Instant::now()), ..Origin::new(client, Transport::Udp) };
        let mut reply = Vec::with_capacity(4096);
        for question in questions() {
            // The first time puts the answer in its place.
            for _ in 0..2 {
                resolver.respond(&question, &origin).await.unwrap();
            }
            let mut ask = || {
                reply.clear();
                assert!(matches!(resolver.respond_now(&question, &origin, &mut reply), Now::Reply));
            };
            // The thread's counters, and what the cache and the patterns keep for a thread.
            (0..ROUNDS).for_each(|_| ask());
            let counted = measure(|| (0..ROUNDS).for_each(|_| ask()));
            let asked = Message::parse(&question).unwrap().questions;
            assert_eq!(counted.count_total, 0, "cached: {cached}, {asked:?}");
        }
    }
}

#[test]
fn what_does_allocate_is_seen() {
    assert_eq!(measure(|| drop(Box::new(7))).count_total, 1);
}
