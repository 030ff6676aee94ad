//! The catalog of this cluster's own services: followed from the API server, and told of in `/readyz`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::Registry;
use strait_catalog::{ApiAccess, Catalog, CatalogFeed, CatalogSettings, FeedSettings, FeedState, PodMode, SyncState};
use strait_config::{KubernetesAccess, KubernetesSettings, PodNames};
use strait_process::Gate;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The catalog while it is followed.
pub(crate) struct OwnCatalog {
    feed: CatalogFeed,
    herald: JoinHandle<()>,
}

impl OwnCatalog {
    /// Starts with what is on disk and follows the API server; `gate` is ready once there is something to tell.
    pub(crate) async fn start(settings: &KubernetesSettings, gate: Gate, registry: &Registry) -> anyhow::Result<Self> {
        let settings = FeedSettings { registry: registry.clone(), ..feed_settings(settings) };
        let feed = CatalogFeed::start(settings).await?;
        let herald = tokio::spawn(announce(feed.state(), gate));
        Ok(Self { feed, herald })
    }

    /// The catalog, whichever is the last.
    pub(crate) fn current(&self) -> Arc<ArcSwap<Catalog>> {
        self.feed.catalog()
    }

    /// Stops, and waits until the catalog is on disk.
    pub(crate) async fn stop(self) {
        self.herald.abort();
        self.feed.stop().await;
    }
}

/// How the API server is reached.
pub(crate) fn api_access(access: &KubernetesAccess) -> ApiAccess {
    match access.kubeconfig.clone() {
        Some(path) => ApiAccess::Kubeconfig { path, context: access.context.clone() },
        None => ApiAccess::InCluster,
    }
}

fn feed_settings(settings: &KubernetesSettings) -> FeedSettings {
    let pods = match settings.pods {
        PodNames::Off => PodMode::Off,
        PodNames::Insecure => PodMode::Insecure,
        PodNames::Verified => PodMode::Verified,
    };
    FeedSettings {
        catalog: CatalogSettings { ttl: settings.ttl, pods },
        file: Some(settings.snapshot.clone()),
        cluster_set: settings.cluster_set.is_some(),
        stale_after: settings.stale_after,
        ..FeedSettings::new(api_access(&settings.access))
    }
}

/// Tells readiness how the catalog stands, whenever that changes.
async fn announce(mut states: watch::Receiver<FeedState>, gate: Gate) {
    loop {
        let state = states.borrow_and_update().clone();
        match state.sync {
            SyncState::Waiting => gate.not_ready(state.to_string()),
            _ if state.is_stale => gate.impaired(state.to_string()),
            SyncState::Stale { .. } | SyncState::Synced { .. } => gate.ready(),
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}
