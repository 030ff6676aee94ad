//! What the cache holds in memory is what it says, and what its setting allows. Alone in its program: nothing else
//! adds to the resident memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "figures for whoever reads the output")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use strait_resolve::{
    AccessList, Ask, BoxFuture, CacheSettings, Origin, QueryLog, ResolveMetrics, Resolver, ResolverSettings, Respond,
    Route, RouteTable, Source, SourceError, Transit, Transport,
};
use strait_wire::{Answer, Class, Message, Rcode, Rdata, Record, RecordType};

/// What the daemons allocate with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZE: u64 = 16 << 20;

/// Beyond the budget: what the allocator keeps of what has gone, and the work in progress.
const SLACK: u64 = SIZE / 4 + (4 << 20);

/// Has an address for every name.
struct Everywhere;

impl Source for Everywhere {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            let (name, rdata) = (ask.question.name.clone(), Rdata::opaque(vec![192, 0, 2, 1]));
            let record = Record { name, rtype: RecordType::A, class: Class::IN, ttl: 3_600, rdata };
            let message = Message { answers: vec![record], ..Message::response(ask.question.clone(), Rcode::NOERROR) };
            Ok(Answer::new(&message).unwrap())
        })
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn resident_memory_is_what_the_budget_says() {
    let route = Route { zone: ".".parse().unwrap(), kind: "upstream", source: Arc::new(Everywhere), cached: true };
    let resolver = Resolver::new(ResolverSettings {
        admit: Arc::new(AccessList::local()),
        cache: CacheSettings { size: SIZE, ..CacheSettings::default() },
        routes: RouteTable::new([route]).0,
        follow_aliases: true,
        transit: Transit::Refused,
        deadline: Duration::from_secs(30),
        metrics: Arc::new(ResolveMetrics::new(&Registry::new()).unwrap()),
        query_log: QueryLog::off(),
    });
    let client = SocketAddr::from(([127, 0, 0, 1], 4242));
    let ask = async |i: usize| {
        let origin = Origin::new(client, Transport::Udp);
        let name = format!("pod-{i}.shop.svc.example.com");
        let query = Message::query(1, name.parse().unwrap(), RecordType::A).to_wire().unwrap();
        resolver.respond(&query, &origin).await.unwrap();
    };
    for i in 0..100 {
        ask(i).await;
    }
    let (before, few) = (resident(), resolver.cached());
    for i in 100..10_100 {
        ask(i).await;
    }
    let (ten_thousand, held) = (resident() - before, resolver.cached());
    let counted = held.bytes - few.bytes;
    assert_eq!(held.entries - few.entries, 10_000);
    assert!(
        (counted * 3 / 4..counted * 3 / 2).contains(&ten_thousand),
        "10,000 answers: {ten_thousand} octets resident, {counted} counted"
    );
    // The target: at most 12 MiB for a node-agent with as many.
    assert!(ten_thousand < 4 << 20, "10,000 answers take {ten_thousand} octets");
    for i in 10_100..60_000 {
        ask(i).await;
    }
    let (all, held) = (resident() - before, resolver.cached());
    assert!(held.bytes <= SIZE && held.bytes > SIZE * 9 / 10, "{held:?}");
    assert!(all < SIZE + SLACK, "{all} octets resident with {held:?}");
    println!("10,000 answers: {ten_thousand} octets resident, {counted} counted; full: {all}, {}", held.bytes);
}
