//! Shared by the themes below: scripted servers, a group, its counters.

mod entropy;
mod failover;
mod forgeries;
mod groups;
mod latency;
mod slow;
mod streams;
mod unusable;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::Registry;
use strait_wire::{AnswerKind, Ede, EdnsOption, Flags, Message, RecordType, option};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::testing::{
    a_record, address_in, answer, ask, eventually, failure, serve_tcp, serve_udp, truncated, udp_and_tcp, udp_server,
    wire,
};

const GOOD: [u8; 4] = [192, 0, 2, 1];
const FORGED: [u8; 4] = [203, 0, 113, 66];
const NOW: Duration = Duration::ZERO;

fn settings(servers: &[SocketAddr]) -> UpstreamSettings {
    crate::testing::upstream_settings(servers.iter().map(|address| UpstreamServer::Plain(*address)).collect())
}

fn start(settings: UpstreamSettings) -> (Arc<UpstreamGroup>, Registry) {
    let registry = Registry::new();
    let metrics = Arc::new(LinkMetrics::new(&registry).unwrap());
    (UpstreamGroup::start(settings, metrics).unwrap(), registry)
}

/// The sum of a counter over the series that have these label values.
fn count(registry: &Registry, name: &str, values: &[&str]) -> u64 {
    let families = registry.gather();
    let series = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
    series
        .filter(|metric| values.iter().all(|value| metric.get_label().iter().any(|label| label.value() == *value)))
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

/// An address where nothing listens.
async fn nowhere() -> SocketAddr {
    let (udp, _tcp) = udp_and_tcp().await;
    udp.local_addr().unwrap()
}

/// An address that takes questions and says nothing.
async fn silent() -> SocketAddr {
    udp_server(|_, _| Vec::new()).await
}

/// As `server::FALL`.
const FALL_SEEN: u32 = 3;
