//! The test kit: the real programs on free ports, servers that misbehave on demand, clients, wrong certificates.
//!
//! Everything here is blocking and cleans up when it is dropped. A failure is a panic that says what
//! was waited for; the logs of the programs follow it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]
#![allow(clippy::print_stderr, reason = "what cannot run and what went wrong is told to whoever runs the tests")]

pub mod api_server;
pub mod busy;
pub mod chart;
pub mod client;
pub mod cluster;
pub mod documented;
pub mod grpc;
pub mod kube_api;
pub mod ordinary;
pub mod pki;
pub mod program;
pub mod real_api;
pub mod relay;
pub mod tools;
pub mod upstream;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub use api_server::{ApiServer, StartApi};
pub use client::{TlsIdentity, ask, ask_tcp, ask_udp, lines, query};
pub use cluster::{Cluster, ClusterPlan, Home, peered};
pub use grpc::{CoreDnsServer, GrpcClient};
pub use kube_api::{ApiWeather, Collection, KubeApi, Role, Seen};
pub use ordinary::OrdinaryServer;
pub use pki::{Authority, Leaf};
pub use program::{Folder, Program, gatewayctl};
pub use real_api::RealApi;
pub use relay::{Relay, Weather};
pub use tools::tool;
pub use upstream::{Reply, ScriptedServer};

/// How long something may take that normally takes no time: 20 s, times `STRAIT_TEST_PATIENCE`.
pub fn patience() -> Duration {
    let factor = std::env::var("STRAIT_TEST_PATIENCE").ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(1.0);
    Duration::from_secs_f64(20.0 * factor)
}

/// Asks again and again until there is something, and fails when patience ends.
#[track_caller]
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited {:?} in vain for: {what}", patience());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// [`eventually`] for a condition.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || condition().then_some(()));
}

/// A loopback address whose port is free for UDP and TCP, and that this process has not given out before.
pub fn free_address() -> SocketAddr {
    /// Below the ports that Linux picks by itself (32768), above those of the examples.
    const FIRST: u16 = 26_000;
    const COUNT: u16 = 6_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin at different places.
    let offset = (std::process::id() as u16).wrapping_mul(131) % COUNT;
    for _ in 0..COUNT {
        let port = FIRST + (offset + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port from {FIRST} on is free");
}
