//! Where peers are kept: what every store must do, and what one does that is shared through an API server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod battery;
mod herald;
mod programs;
mod shared;
mod zones;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use strait_catalog::{ApiAccess, ApiTimes, KubernetesStore, ResourceSettings};
use strait_federation::{Directions, FileStore, Home, NamespacePolicy, PeerRecord};
use strait_identity::{CertificateAuthority, TrustBundle};
use strait_tests::program::Folder;
use strait_tests::{ApiServer, Collection, StartApi, over_each_api_server, patience};

/// Whose resources they are.
const NAMESPACE: &str = "strait-system";

fn peers() -> Collection {
    Collection::new("strait.dev", "v1alpha1", "peers")
}

fn zones() -> Collection {
    Collection::new("strait.dev", "v1alpha1", "zones")
}

fn leases() -> Collection {
    Collection::new("coordination.k8s.io", "v1", "leases")
}

/// cluster-a, which is at home.
fn home() -> Home {
    let own = "cluster-a.example.com";
    let (suffix, trust_domain) = (own.parse().unwrap(), own.parse().unwrap());
    Home { suffix, trust_domain, home_zone: "cluster.local".parse().unwrap() }
}

/// A peer as others know it: suffix and trust domain `NAME.example.com`, with a CA of its own.
fn record(name: &str) -> PeerRecord {
    let suffix = format!("{name}.example.com");
    let authority = CertificateAuthority::create(&suffix.parse().unwrap(), Duration::from_secs(86_400)).unwrap();
    PeerRecord {
        name: name.parse().unwrap(),
        suffix: suffix.parse().unwrap(),
        endpoints: vec!["tls://192.0.2.1:853".parse().unwrap(), "grpc://192.0.2.2:8443".parse().unwrap()],
        trust_bundle: TrustBundle::from_pem(authority.certificate_pem(), None).unwrap(),
        directions: Directions::Both,
        namespaces: NamespacePolicy::default(),
        addresses: vec![],
        changed_at: 1_700_000_000,
    }
}

/// The same as somebody writes it for `kubectl apply`: no more than is needed.
fn manifest(peer: &PeerRecord) -> Value {
    json!({
        "kind": "Peer",
        "spec": {
            "suffix": peer.suffix.to_string(),
            "endpoints": peer.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "trustBundle": peer.trust_bundle.to_pem(),
        },
    })
}

/// A watch is short, so that what is dead is found while the test runs.
fn times() -> ApiTimes {
    ApiTimes { request: patience(), watch: Duration::from_secs(1), ..ApiTimes::default() }
}

/// An API server that serves our resources, and replicas of a gateway that keep their peers there.
struct Cluster {
    api: Box<dyn ApiServer>,
    folder: Folder,
}

impl Cluster {
    fn new(start: StartApi) -> Self {
        let api = start();
        api.serve(peers());
        Self { api, folder: Folder::new() }
    }

    fn copy(&self, replica: &str) -> PathBuf {
        self.folder.path(format!("{replica}.json"))
    }

    fn access(&self) -> ApiAccess {
        let path = self.folder.write("kubeconfig", self.api.kubeconfig("gateway"));
        ApiAccess::Kubeconfig { path, context: None }
    }

    /// The store of a replica.
    async fn replica(&self, name: &str) -> KubernetesStore {
        self.replica_with(name, times()).await
    }

    async fn replica_with(&self, name: &str, times: ApiTimes) -> KubernetesStore {
        let settings = ResourceSettings {
            access: self.access(),
            times,
            // The kubeconfig's.
            namespace: None,
            copy: FileStore::open(self.copy(name)).unwrap(),
            home: home(),
            registry: Default::default(),
        };
        KubernetesStore::start(settings).await.unwrap()
    }

    /// As `kubectl apply` does.
    fn kubectl_apply(&self, name: &str, manifest: Value) {
        self.api.apply(&peers(), NAMESPACE, name, manifest);
    }

    fn stored(&self, name: &str) -> Option<Value> {
        self.api.get(&peers(), NAMESPACE, name)
    }
}

/// Waits until the condition holds, without holding up whoever is to make it so.
async fn until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(patience(), waited).await.is_ok(), "waited in vain for: {what}");
}
