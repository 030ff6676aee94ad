//! A peer with scripted gateways on real TLS.

mod answers;
mod choice;
mod health;
mod roads;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prometheus::Registry;
use strait_wire::{
    Class, ClusterPath, Ede, Edns, EdnsOption, MAX_CLUSTERS_PASSED, Message, QueryView, Question, Rcode, Rdata, Record,
    RecordType, option,
};
use tokio::net::TcpListener;

use super::*;
use crate::testing::cluster::{
    Cluster, Gateway, Script, gateway_answer, gateway_script, is_probe, stream_service, stream_service_noting,
    unary_service,
};
use crate::testing::{CUT, a_record, address_in, ask, eventually, failure, wire};

const SUFFIX: &str = "cluster-b.example.com";
const NAME: &str = "web.shop.svc.cluster-b.example.com";
const ONE: [u8; 4] = [192, 0, 2, 1];
const TWO: [u8; 4] = [192, 0, 2, 2];
const LOCAL: &str = "127.0.0.1:0";

/// Our cluster, theirs, and what is needed to be their peer.
struct Pair {
    ours: Cluster,
    theirs: Cluster,
}

impl Pair {
    fn new() -> Self {
        Self { ours: Cluster::new("cluster-a.example.com"), theirs: Cluster::new(SUFFIX) }
    }

    async fn dot(&self, at: &str, script: Script) -> Gateway {
        Gateway::dot(at.parse().unwrap(), self.theirs.acceptor(Role::Gateway, &self.ours), script).await
    }

    fn settings(&self, endpoints: &[String]) -> PeerSettings {
        PeerSettings {
            name: "cluster-b".to_owned(),
            suffix: SUFFIX.parse().unwrap(),
            endpoints: endpoints.iter().map(|url| url.parse().unwrap()).collect(),
            trust_bundle: self.theirs.bundle(),
            own_cluster: Some("cluster-a.example.com".parse().unwrap()),
            also: Vec::new(),
            health: HealthSettings::default(),
            try_budget: Duration::from_millis(150),
            max_age: Duration::from_secs(3600),
            deadline: Duration::from_secs(2),
            max_outstanding: 10_000,
        }
    }

    fn start(&self, settings: PeerSettings) -> (Arc<Peer>, Registry) {
        let registry = Registry::new();
        let metrics = Arc::new(LinkMetrics::new(&registry).unwrap());
        let credentials = self.ours.credentials(Role::NodeAgent("worker-1".into()));
        (Peer::start(settings, credentials, metrics), registry)
    }

    fn peer(&self, endpoints: &[String]) -> (Arc<Peer>, Registry) {
        self.start(self.settings(endpoints))
    }
}

fn tls(address: SocketAddr) -> String {
    format!("tls://{address}")
}

fn grpc(address: SocketAddr) -> String {
    format!("grpc://{address}")
}

async fn wait_for(peer: &Peer, state: State) {
    eventually(&format!("the peer is {state}"), || async { peer.status().state == state }).await;
}

/// The last error of the only endpoint, once there is one.
async fn last_error(peer: &Peer) -> String {
    eventually("there is an error", || async { peer.status().endpoints[0].last_error.is_some() }).await;
    peer.status().endpoints[0].last_error.clone().unwrap().0
}

fn count(registry: &Registry, name: &str) -> u64 {
    let families = registry.gather();
    let series = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
    series.map(|metric| metric.get_counter().get_value() as u64).sum()
}

/// An address where nothing listens.
async fn nowhere() -> SocketAddr {
    TcpListener::bind(LOCAL).await.unwrap().local_addr().unwrap()
}

/// What a gateway of the suffix says, but for what `special` says first.
fn script_with(special: impl Fn(&[u8]) -> Option<(Duration, Vec<u8>)> + Send + Sync + 'static) -> Script {
    Arc::new(move |query| {
        let usual = || (Duration::ZERO, wire(&gateway_answer(query, &SUFFIX.parse().unwrap(), ONE)));
        Some(special(query).unwrap_or_else(usual))
    })
}

fn failure_with(query: &[u8], rcode: Rcode, ede: Ede) -> Vec<u8> {
    let mut message = failure(query, rcode);
    let data = [&ede.code.to_be_bytes(), ede.text.as_bytes()].concat();
    message.edns = Some(Edns { options: vec![EdnsOption { code: option::EDE, data }], ..Edns::default() });
    wire(&message)
}
