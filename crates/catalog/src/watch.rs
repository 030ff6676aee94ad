//! The road from an API server to the catalog.
//!
//! ```text
//! API server ─► Follower (one a kind: list, watch) ─► News ─► Keeper (owns the Picture) ─► ArcSwap<Catalog>
//!                                                               └─► CatalogFile, FeedState
//! ```
//!
//! This is the only part of the program that speaks to an API server for names. How it is spoken to (`access.rs`, `api.rs`) is
//! shared with `resources`; nobody else knows the client.

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod backoff;
pub(crate) mod fault;
pub(crate) mod follower;
mod keeper;
pub(crate) mod objects;
mod saver;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use prometheus::Registry;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use access::ApiAccess;
pub use api::ApiTimes;
pub use fault::WatchFault;

use self::api::Api;
use self::follower::Follower;
use self::keeper::Keeper;
use self::objects::{RawExport, RawImport, RawNamespace, RawPod, RawService, RawSlice};
use self::saver::Saver;
use crate::metrics::CatalogMetrics;
use crate::picture::SET_KINDS;
use crate::{Catalog, CatalogFile, CatalogSettings, Kind, Picture, SyncState};

/// News that wait for the keeper; over it the followers wait, and with them the API server.
const MAX_WAITING_NEWS: usize = 1_024;

/// Where the catalog comes from, and how.
#[derive(Debug, Clone)]
pub struct FeedSettings {
    /// How the catalog tells what it knows.
    pub catalog: CatalogSettings,
    /// How the API server is reached.
    pub access: ApiAccess,
    /// How long it may take.
    pub times: ApiTimes,
    /// Whether exports and imports are followed, where the API server has them.
    pub cluster_set: bool,
    /// Where the catalog is kept for a start without the API server.
    pub file: Option<PathBuf>,
    /// How often it is saved; it is saved as well once it is known whole, when changes cease, and at the end.
    pub save_every: Duration,
    /// What has not been known to be current for so long is stale.
    pub stale_after: Duration,
    /// Where what is counted is registered.
    pub registry: Registry,
}

impl FeedSettings {
    /// Those for an API server, with the usual times, and nothing on disk.
    pub fn new(access: ApiAccess) -> Self {
        Self {
            catalog: CatalogSettings::default(),
            access,
            times: ApiTimes::default(),
            cluster_set: false,
            file: None,
            save_every: Duration::from_secs(60),
            stale_after: Duration::from_secs(60),
            registry: Registry::new(),
        }
    }
}

/// How the catalog stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedState {
    /// How much is known.
    pub sync: SyncState,
    /// Whether what is told has not been known to be current for too long.
    pub is_stale: bool,
    /// The kinds whose changes do not come, and why.
    pub faults: BTreeMap<Kind, WatchFault>,
}

impl fmt::Display for FeedState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sync {
            SyncState::Waiting => out.write_str("the cluster's services are not known yet")?,
            SyncState::Stale { since } => {
                write!(out, "the cluster's services are told as they were at {}", moment(since))?;
            }
            SyncState::Synced { .. } => out.write_str("the cluster's services are current")?,
        }
        self.faults.iter().try_for_each(|(kind, fault)| write!(out, "; {}: {fault}", kind.resource()))
    }
}

/// A time as people read it (RFC 3339, UTC, whole seconds).
fn moment(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at).replace_nanosecond(0);
    // Years of more than four digits have no such form.
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| "a time unknown".to_owned())
}

/// What a feed has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedCounts {
    /// Changes told by the API server; a list is one.
    pub changes: u64,
    /// Catalogs published.
    pub published: u64,
    /// Names that were no DNS labels.
    pub left_out: u64,
}

/// Why what follows the API server does not start.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// How the API server is reached cannot be known.
    #[error(transparent)]
    Access(#[from] WatchFault),
    /// Its metrics are registered already: there is one for a registry.
    #[error("the metrics of what follows the API server: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Keeps a catalog as an API server tells. Dropped, it stops; the last catalog stays.
pub struct CatalogFeed {
    catalog: Arc<ArcSwap<Catalog>>,
    state: watch::Receiver<FeedState>,
    metrics: Arc<CatalogMetrics>,
    stop: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
}

impl CatalogFeed {
    /// Starts with what is on disk and follows the API server, be it there or not. An error: how to reach it cannot be
    /// known. Needs a tokio runtime.
    pub async fn start(settings: FeedSettings) -> Result<Self, FeedError> {
        settings.access.client().await?;
        let optional: &[Kind] = if settings.cluster_set { &SET_KINDS } else { &[] };
        let kinds = [settings.catalog.kinds(), optional].concat();
        let metrics = Arc::new(CatalogMetrics::new(&settings.registry, &kinds)?);
        let file = settings.file.as_ref().map(CatalogFile::new);
        let mut picture = restore(settings.catalog, file.clone()).await;
        let catalog = Arc::new(ArcSwap::new(picture.publish()));
        let (tell_state, state) =
            watch::channel(FeedState { sync: picture.sync(), is_stale: false, faults: BTreeMap::new() });
        metrics.observe(&catalog);
        let (tell, news) = mpsc::channel(MAX_WAITING_NEWS);
        let mut followers = JoinSet::new();
        let times = settings.times.noticing_within(settings.stale_after);
        for kind in kinds {
            let follower = Follower::new(Api::new(settings.access.clone(), times), tell.clone(), Arc::clone(&metrics));
            match kind {
                Kind::Namespace => followers.spawn(follower.run::<RawNamespace>()),
                Kind::Service => followers.spawn(follower.run::<RawService>()),
                Kind::Endpoints => followers.spawn(follower.run::<RawSlice>()),
                Kind::Pod => followers.spawn(follower.run::<RawPod>()),
                Kind::Export => followers.spawn(follower.run::<RawExport>()),
                Kind::Import => followers.spawn(follower.run::<RawImport>()),
            };
        }
        let keeper = Keeper {
            picture,
            catalog: Arc::clone(&catalog),
            state: tell_state,
            metrics: Arc::clone(&metrics),
            arrivals: Vec::new(),
            saver: file.map(|file| Saver::new(file, settings.save_every)),
            faults: BTreeMap::new(),
            left_out: BTreeMap::new(),
            stale_after: settings.stale_after,
        };
        let (stop, stopped) = oneshot::channel();
        let keeper = tokio::spawn(async move {
            keeper.run(news, stopped).await;
            drop(followers);
        });
        Ok(Self { catalog, state, metrics, stop, keeper })
    }

    /// The catalog, whichever is the last.
    pub fn catalog(&self) -> Arc<ArcSwap<Catalog>> {
        Arc::clone(&self.catalog)
    }

    /// How it stands, and when that changes.
    pub fn state(&self) -> watch::Receiver<FeedState> {
        self.state.clone()
    }

    /// What has been done so far.
    pub fn counts(&self) -> FeedCounts {
        FeedCounts {
            changes: self.metrics.changes(),
            published: self.metrics.swaps.get(),
            left_out: self.metrics.left_out(),
        }
    }

    /// Stops, and waits until the catalog is on disk.
    pub async fn stop(self) {
        let Self { stop, keeper, .. } = self;
        drop(stop);
        let _ = keeper.await;
    }
}

/// What was saved, or an empty picture: a file that cannot be used must not keep the gateway from starting.
async fn restore(settings: CatalogSettings, file: Option<CatalogFile>) -> Picture {
    let loaded = tokio::task::spawn_blocking(move || file.map(|file| file.load())).await;
    match loaded.ok().flatten() {
        Some(Ok(Some(restored))) => {
            tracing::info!("the catalog on disk is told until the API server has told everything");
            Picture::restored(settings, restored.snapshot, restored.saved)
        }
        Some(Err(error)) => {
            tracing::warn!(%error, "the catalog on disk cannot be used");
            Picture::new(settings)
        }
        Some(Ok(None)) | None => Picture::new(settings),
    }
}
