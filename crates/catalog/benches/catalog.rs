//! What a catalog of 10,000 services with 100,000 endpoints costs: `cargo bench -p strait-catalog`.
//!
//! To build it, in time and in resident memory; a change of one slice; and a look-up, beside that of a static zone.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use strait_catalog::{
    Catalog, CatalogSettings, CatalogZone, Change, Endpoint, EndpointSlice, Kind, Label, Object, Picture, Port,
    Protocol, Service, ServiceKind, ZoneSettings,
};
use strait_resolve::Source;
use strait_resolve::zone::ZoneBuilder;
use strait_wire::{Message, Name, QueryView, RecordType, ReplyLimits};

/// What the daemons allocate with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: u32 = 10_000;
const NAMESPACES: u32 = 100;
const ENDPOINTS: u32 = 10;
const CHANGES: u32 = 100_000;
const QUESTIONS: usize = 2_000_000;

fn main() {
    let before = resident();
    let mut picture = Picture::new(CatalogSettings::default());
    picture.apply(Change::Replace(Kind::Namespace, Vec::new()));
    picture.apply(Change::Replace(Kind::Service, Vec::new()));
    picture.apply(Change::Replace(Kind::Endpoints, Vec::new()));
    let cpu = cpu_time();
    for n in 0..SERVICES {
        picture.apply(Change::Apply(service(n)));
        picture.apply(Change::Apply(slice(n, 0, ENDPOINTS)));
    }
    let applied = cpu_time() - cpu;
    let catalog = Arc::new(ArcSwap::new(picture.publish()));
    let all = cpu_time() - cpu;
    println!("     build: {all:?}, of which applied in {applied:?}; {} KiB resident", (resident() - before) >> 10);

    change_one_by_one(&mut picture, &catalog);
    println!("            after the changes {} KiB resident", (resident() - before) >> 10);
    look_up(catalog);
}

fn change_one_by_one(picture: &mut Picture, catalog: &ArcSwap<Catalog>) {
    let mut measure = |what: &str, count: u32, change: &dyn Fn(u32) -> Object| {
        let mut each = Vec::with_capacity(count as usize);
        for n in 0..count {
            let change = Change::Apply(change(n));
            let began = Instant::now();
            picture.apply(change);
            catalog.store(picture.publish());
            each.push(began.elapsed());
        }
        let mean = each.iter().sum::<Duration>() / count;
        each.sort_unstable();
        let at = |share: usize| each[each.len() * share / 1_000];
        println!("    change: mean {mean:?}, p50 {:?}, p99 {:?} ({what})", at(500), at(990));
    };
    measure("one of ten endpoints", CHANGES, &|n| slice(shuffled(n), n, ENDPOINTS));
    measure("one of ten endpoints, headless", CHANGES / 10, &|n| slice(shuffled(n) / 10 * 10, n, ENDPOINTS));
    measure("one of a thousand endpoints, headless", 1_000, &|n| slice(0, n, 1_000));
    measure("ten again", 1, &|_| slice(0, 0, ENDPOINTS));
}

/// Questions for every service in turn, to the catalog and to a static zone with the same names.
fn look_up(catalog: Arc<ArcSwap<Catalog>>) {
    let apex: Name = "cluster.local".parse().unwrap();
    let mut builder = ZoneBuilder::new(apex.clone(), 5);
    for n in 0..SERVICES {
        builder.record(&format!("{}.svc", owner(n)), RecordType::A, None, &cluster_ip(n).to_string()).unwrap();
    }
    let zone = builder.build().unwrap();
    let settings = ZoneSettings { home: apex.clone(), apex, name_server: Box::default() };
    let catalog = CatalogZone::new(catalog, settings).unwrap();
    let queries = |below: &str| -> Vec<(Name, Vec<u8>)> {
        let name = |n| format!("{}.svc.{below}cluster.local", owner(n)).parse::<Name>().unwrap();
        let query = |name: Name| (name.clone(), Message::query(1, name, RecordType::A).to_wire().unwrap());
        (0..SERVICES).map(shuffled).map(name).map(query).collect()
    };
    let (there, absent) = (queries(""), queries("svc."));
    // What a static zone has been asked once lies ready.
    for (name, _) in &there {
        let question =
            strait_wire::Question { name: name.clone(), rtype: RecordType::A, class: strait_wire::Class::IN };
        let path = strait_wire::ClusterPath::default();
        zone.answer_now(&strait_resolve::Ask { question, dnssec_ok: false, checking_disabled: false, path }).unwrap();
    }
    for (what, queries) in [("address", &there), ("no name", &absent)] {
        for round in ["first", "again"] {
            let (ours, theirs) = (cost(&catalog, queries), cost(&zone, queries));
            println!("{what:>10}: catalog {ours:.1} ns, static zone {theirs:.1} ns of CPU with the reply ({round})");
        }
    }
}

/// Nanoseconds of CPU for a look-up and its reply.
fn cost(source: &dyn Source, queries: &[(Name, Vec<u8>)]) -> f64 {
    let mut out = Vec::with_capacity(4096);
    let cpu = cpu_time();
    for (name, query) in queries.iter().cycle().take(QUESTIONS) {
        out.clear();
        let view = QueryView::parse(query).unwrap();
        let answer = source.ready(name.as_wire(), RecordType::A).unwrap();
        answer.write_reply(&view, 0, ReplyLimits::udp(&view), None, &mut out);
        black_box(&out);
    }
    (cpu_time() - cpu).as_nanos() as f64 / QUESTIONS as f64
}

/// Not in the order in which memory was taken: nobody asks like that.
fn shuffled(n: u32) -> u32 {
    n.wrapping_mul(7_919) % SERVICES
}

fn owner(n: u32) -> String {
    format!("service-{n}.namespace-{}", n % NAMESPACES)
}

fn cluster_ip(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn service(n: u32) -> Object {
    let (namespace, name) = (label(&format!("namespace-{}", n % NAMESPACES)), label(&format!("service-{n}")));
    let ports = [Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 80 }].into();
    // Every tenth has its endpoints' addresses for its own.
    let kind = match n % 10 {
        0 => ServiceKind::Headless,
        _ => ServiceKind::ClusterIp([cluster_ip(n)].into()),
    };
    Object::Service(Service { namespace, name, kind, ports, publish_not_ready: false })
}

/// So many endpoints of a service, one of which is another with every `version`.
fn slice(n: u32, version: u32, endpoints: u32) -> Object {
    let endpoint = |e: u32| {
        let moved = if e == 0 { version } else { 0 };
        let address = Ipv4Addr::from_bits(0x0b00_0000 + (n * ENDPOINTS + e + moved * 31) % 0x00ff_ffff);
        Endpoint { addresses: [address.into()].into(), ready: true, hostname: None }
    };
    Object::Endpoints(EndpointSlice {
        namespace: label(&format!("namespace-{}", n % NAMESPACES)),
        name: format!("service-{n}-abcde").into(),
        service: Some(label(&format!("service-{n}"))),
        imported: None,
        ports: [Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 8080 }].into(),
        endpoints: (0..endpoints).map(endpoint).collect(),
    })
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
