//! A resolver on a bench: with scripted sources, asked by packets, its counters read.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use strait_wire::{Message, Rcode, option};

use crate::resolver::Travelled;
use crate::resolver::reply::Step;
use crate::testing::{Scripted, name, origin_from, query};
use crate::{
    AccessList, CacheSettings, Now, Origin, QueryLog, ResolveMetrics, Resolver, ResolverSettings, Respond, Route,
    RouteTable, Source, Transit, Transport,
};

/// What was said at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Reply,
    Nothing,
    Later,
}

pub(crate) struct Bench {
    pub(crate) resolver: Arc<Resolver>,
    registry: Registry,
}

/// A table of zone, kind and source. What is in memory is not cached.
pub(crate) fn table<const N: usize>(routes: [(&str, &'static str, Arc<Scripted>); N]) -> RouteTable {
    let route = |(zone, kind, source): (&str, &'static str, Arc<Scripted>)| Route {
        zone: name(zone),
        kind,
        source: source as Arc<dyn Source>,
        cached: kind != "static",
    };
    RouteTable::new(routes.map(route)).0
}

impl Bench {
    pub(crate) fn new<const N: usize>(routes: [(&str, &'static str, Arc<Scripted>); N]) -> Self {
        Self::with(table(routes), |_| {})
    }

    pub(crate) fn with(routes: RouteTable, change: impl FnOnce(&mut ResolverSettings)) -> Self {
        let registry = Registry::new();
        let mut settings = ResolverSettings {
            admit: Arc::new(AccessList::local()),
            cache: CacheSettings::default(),
            routes,
            follow_aliases: true,
            transit: Transit::Refused,
            deadline: Duration::from_secs(3),
            metrics: Arc::new(ResolveMetrics::new(&registry).unwrap()),
            query_log: QueryLog::off(),
        };
        change(&mut settings);
        Self { resolver: Arc::new(Resolver::new(settings)), registry }
    }

    /// The whole road, over UDP from the loopback address.
    pub(crate) async fn ask(&self, name: &str, rtype: &str) -> Message {
        self.send(&query(name, rtype)).await.unwrap()
    }

    /// The whole road for a packet.
    pub(crate) async fn send(&self, packet: &[u8]) -> Option<Message> {
        let reply = self.resolver.respond(packet, &local()).await;
        reply.map(|octets| Message::parse(&octets).unwrap())
    }

    /// The road as far as it goes without waiting.
    pub(crate) fn now(&self, name: &str, rtype: &str) -> (Said, Option<Message>) {
        self.send_now(&query(name, rtype), &local())
    }

    pub(crate) fn send_now(&self, packet: &[u8], origin: &Origin) -> (Said, Option<Message>) {
        let mut reply = Vec::new();
        let said = match self.resolver.respond_now(packet, origin, &mut reply) {
            Now::Reply => Said::Reply,
            Now::Nothing => Said::Nothing,
            Now::Later(_) => Said::Later,
        };
        assert_eq!(said == Said::Reply, !reply.is_empty());
        (said, (!reply.is_empty()).then(|| Message::parse(&reply).unwrap()))
    }

    /// The cached answer as it is told some time from now.
    pub(crate) fn at(&self, later: Duration, name: &str, rtype: &str) -> Option<Message> {
        let (packet, origin, road) = (query(name, rtype), local(), &self.resolver.road);
        let mut reply = Vec::new();
        let mut asked = road.receive(&packet, &origin, &mut reply).ok()?;
        asked.arrived += later;
        match road.travel(&asked, &road.active.load()) {
            Travelled::Done(step @ Step::Cached(..)) => road.reply(&asked, &step, &mut reply),
            _ => return None,
        };
        Some(Message::parse(&reply).unwrap())
    }

    /// Checks samples of the metrics.
    pub(crate) fn counts(&self, expected: &[(&str, u64)]) {
        let text = self.text();
        for (sample, value) in expected {
            let line = format!("{sample} {value}");
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    /// A scrape.
    pub(crate) fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.resolver.road.flights.len()
    }
}

pub(crate) fn local() -> Origin {
    origin_from("127.0.0.1", Transport::Udp)
}

/// The extended errors of a reply, in order.
pub(crate) fn told(message: &Message) -> Vec<(u16, String)> {
    let options = message.edns.iter().flat_map(|edns| &edns.options).filter(|o| o.code == option::EDE);
    let read = |data: &[u8]| (u16::from_be_bytes([data[0], data[1]]), String::from_utf8(data[2..].to_vec()).unwrap());
    options.map(|o| read(&o.data)).collect()
}

/// A query that has passed `path`.
pub(crate) fn query_with_path(text: &str, rtype: &str, path: &str) -> Vec<u8> {
    let mut message = Message::query(5, name(text), rtype.parse().unwrap());
    let passed = strait_wire::EdnsOption { code: option::CLUSTER_PATH, data: path.as_bytes().to_vec() };
    message.edns.get_or_insert_default().options.push(passed);
    message.to_wire().unwrap()
}

pub(crate) fn refused(message: &Message) -> (Rcode, u16) {
    (message.rcode, told(message)[0].0)
}
