//! Peers kept by the API server, as [`StateStore`] wants them kept.

use std::sync::Arc;
use std::time::Duration;

use kube::core::Request;
use kube::core::params::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::Value;
use strait_federation::{Generation, PeerName, PeerRecord, PeerSet, StateStore, StoreChange, StoreError};
use strait_resolve::BoxFuture;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::keeper::{Keeper, ResourceState, View};
use super::metrics::ResourceMetrics;
use super::objects::{Metadata, PEERS, Resource, ResourceKind};
use super::reflector::{Presence, Reflector, Told};
use super::{ResourceSettings, peer};
use crate::watch::api::Api;
use crate::{ApiAccess, ApiTimes, FeedError, WatchFault};

/// Who writes what operators want, in the words of server-side apply. Whoever applies a peer by the same name owns the same
/// fields.
const FIELD_MANAGER: &str = "gatewayctl";

/// How long a gateway that has just started waits for the API server to tell its peers, before it changes any.
const FIRST_NEWS_WITHIN: Duration = Duration::from_secs(3);

/// How long the API server may take for a change, until it has told of it again. With the above it is less than gatewayctl
/// waits, so that it is the gateway that says what is the matter.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);

/// How often a write is tried again that came between a change of the status.
const MAX_TRIES: u32 = 5;

/// The peers of a namespace. Cheap to clone; clones share them, and the last one dropped ends what follows them.
#[derive(Clone)]
pub struct KubernetesStore {
    shared: Arc<Shared>,
}

/// The way to the resources.
pub(super) struct Road {
    access: ApiAccess,
    times: ApiTimes,
    pub(super) namespace: String,
}

impl Road {
    /// A client of its own.
    pub(super) fn api(&self) -> Api {
        Api::new(self.access.clone(), self.times).within(&self.namespace)
    }
}

struct Shared {
    road: Road,
    view: watch::Receiver<View>,
    metrics: Arc<ResourceMetrics>,
    /// For writes, one after another.
    api: Mutex<Api>,
    _tasks: JoinSet<()>,
}

impl KubernetesStore {
    /// Begins to follow the API server, be it there or not, from the copy on disk. An error: how to reach it cannot be
    /// known. Needs a tokio runtime.
    pub async fn start(settings: ResourceSettings) -> Result<Self, FeedError> {
        let ResourceSettings { access, times, namespace, copy, home, registry } = settings;
        let client = access.client().await?;
        let metrics = Arc::new(ResourceMetrics::new(&registry)?);
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let road = Road { access, times, namespace };
        let (view_in, view) = watch::channel(View::default());
        let (tell_peers, peers) = watch::channel(Told::default());
        let (tell_zones, zones) = watch::channel(Told::default());
        let keeper = Keeper::new(home, copy, view_in);
        keeper.restore().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(Reflector::new(road.api(), PEERS, Presence::Required, tell_peers).run());
        tasks.spawn(Reflector::new(road.api(), ResourceKind::Zone.collection(), Presence::Optional, tell_zones).run());
        tasks.spawn(keeper.run(peers, zones));
        tasks.spawn(Arc::clone(&metrics).follow(view.clone()));
        Ok(Self { shared: Arc::new(Shared { view, metrics, api: Mutex::new(road.api()), road, _tasks: tasks }) })
    }

    /// How the peers stand now.
    pub fn state(&self) -> ResourceState {
        self.shared.view.borrow().state()
    }

    /// Waits until they stand otherwise.
    pub async fn state_changed(&self, known: &ResourceState) {
        let mut view = self.shared.view.clone();
        // The sender goes with the last clone.
        let _ = view.wait_for(|view| view.state() != *known).await;
    }

    pub(super) fn road(&self) -> &Road {
        &self.shared.road
    }

    pub(super) fn metrics(&self) -> &ResourceMetrics {
        &self.shared.metrics
    }

    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.shared.view.clone()
    }

    async fn known(&self) -> Result<Arc<PeerSet>, StoreError> {
        let mut view = self.shared.view.clone();
        let known = view.wait_for(|view| view.set.is_some()).await.map_err(|_| StoreError::Stopping)?;
        known.set.clone().ok_or(StoreError::Stopping)
    }

    async fn put(&self, base: Generation, record: &PeerRecord, by: Instant) -> Result<PeerSet, StoreError> {
        let name = record.name.as_str();
        for _ in 0..MAX_TRIES {
            let view = self.view_at(base)?;
            let known = view.peers.resources.as_ref().and_then(|resources| resources.get(name));
            if let Some(refusal) = view.peers.refused.get(name) {
                let why = format!("{}; change or delete it with kubectl (peers.strait.dev {name})", refusal.message);
                return Err(StoreError::NotInForce { name: record.name.clone(), why });
            }
            match self.write(record, known.map(|known| &known.metadata), by).await {
                Ok(written) => return self.in_force(&record.name, &written, by).await,
                Err(WatchFault::Refused { code: 409, .. }) => self.wait_for_other_than(name, known, by).await,
                Err(fault) => return Err(failed(&fault)),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Makes a new resource, or applies to the one that was seen.
    async fn write(&self, record: &PeerRecord, known: Option<&Metadata>, by: Instant) -> Result<Metadata, WatchFault> {
        let mut resource = peer::resource(record);
        let written: Resource = match known {
            None => {
                let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                let body = resource.to_string().into_bytes();
                self.act("create", by, |request| request.create(&params, body)).await?
            }
            Some(known) => {
                // Between what was seen and this nobody has come.
                resource["metadata"]["resourceVersion"] = Value::from(known.resource_version.clone());
                let params = PatchParams::apply(FIELD_MANAGER).force();
                let name = record.name.as_str();
                self.act("patch", by, |request| request.patch(name, &params, &Patch::Apply(&resource))).await?
            }
        };
        Ok(written.metadata)
    }

    async fn remove(&self, base: Generation, name: &PeerName, by: Instant) -> Result<PeerSet, StoreError> {
        let view = self.view_at(base)?;
        let known = view.peers.resources.as_ref().and_then(|resources| resources.get(name.as_str()));
        let Some(known) = known.map(|known| known.metadata.clone()) else { return Err(StoreError::Conflict) };
        let preconditions = Preconditions { uid: Some(known.uid.clone()), ..Preconditions::default() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.act::<Value>("delete", by, |request| request.delete(name.as_str(), &params)).await {
            Ok(_) => {}
            // Somebody else was faster; or it is another by now.
            Err(WatchFault::Refused { code: 404 | 409, .. }) => return Err(StoreError::Conflict),
            Err(fault) => return Err(failed(&fault)),
        }
        let is_gone = |view: &View| {
            let resources = view.peers.resources.as_ref();
            resources.is_some_and(|all| all.get(name.as_str()).is_none_or(|other| other.metadata.uid != known.uid))
        };
        self.heard(is_gone, by).await.and_then(|view| set_of(&view))
    }

    /// Waits until what was written has come back, and is in force.
    async fn in_force(&self, name: &PeerName, written: &Metadata, by: Instant) -> Result<PeerSet, StoreError> {
        let is_told = |view: &View| {
            let told = view.peers.resources.as_ref().and_then(|resources| resources.get(name.as_str()));
            told.is_some_and(|told| written.is_reached_by(&told.metadata))
        };
        let view = self.heard(is_told, by).await?;
        match view.peers.refused.get(name.as_str()) {
            Some(refusal) => {
                let text = format!("peer {name} is stored, but not in force: {}", refusal.message);
                Err(StoreError::Unsettled(text))
            }
            None => set_of(&view),
        }
    }

    async fn heard(&self, is_it: impl Fn(&View) -> bool, by: Instant) -> Result<View, StoreError> {
        let mut view = self.shared.view.clone();
        let heard = timeout_at(by, view.wait_for(|view| is_it(view))).await;
        let late = |_| {
            let text = "the change is stored at the API server, which has not told of it yet; it comes into force when it does";
            StoreError::Unsettled(text.to_owned())
        };
        heard.map_err(late)?.map(|view| view.clone()).map_err(|_| StoreError::Stopping)
    }

    /// What is known, if the API server has told it and it is that generation.
    fn view_at(&self, base: Generation) -> Result<View, StoreError> {
        let view = self.shared.view.borrow().clone();
        if view.peers.resources.is_none() {
            let why = view.fault().map_or_else(
                || "the API server has not told its peers yet; try again in a moment".to_owned(),
                ToString::to_string,
            );
            return Err(StoreError::Unavailable(why));
        }
        if view.generation() == Some(base) { Ok(view) } else { Err(StoreError::Conflict) }
    }

    /// Waits for a while until the resource is not any more as it was seen.
    async fn wait_for_other_than(&self, name: &str, seen: Option<&Resource>, by: Instant) {
        let mut view = self.shared.view.clone();
        let is_other = |view: &View| {
            let now = view.peers.resources.as_ref().and_then(|resources| resources.get(name));
            now.map(|now| &now.metadata.resource_version) != seen.map(|seen| &seen.metadata.resource_version)
        };
        let _ = timeout_at(by, view.wait_for(is_other)).await;
    }

    async fn act<T: serde::de::DeserializeOwned>(
        &self,
        verb: &'static str,
        by: Instant,
        request: impl FnOnce(Request) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, WatchFault> {
        let acted = timeout_at(by, async { self.shared.api.lock().await.act(verb, PEERS, request).await }).await;
        acted.unwrap_or_else(|_| {
            // Its connection may be dead. Where another change has it, that one finds out.
            if let Ok(mut api) = self.shared.api.try_lock() {
                api.reset();
            }
            Err(WatchFault::Silent(CHANGE_WITHIN))
        })
    }

    /// Waits a little for the first news, if there are none and it is not known why.
    async fn first_news(&self) {
        let mut view = self.shared.view.clone();
        let is_told = |view: &View| view.peers.resources.is_some() || view.fault().is_some();
        // What is missing then is said by whoever needs it.
        let _ = timeout(FIRST_NEWS_WITHIN, view.wait_for(is_told)).await;
    }
}

impl StateStore for KubernetesStore {
    fn load(&self) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        Box::pin(async { self.known().await.map(Arc::unwrap_or_clone) })
    }

    fn commit(&self, base: Generation, change: StoreChange) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        Box::pin(async move {
            self.first_news().await;
            let by = Instant::now() + CHANGE_WITHIN;
            match change {
                StoreChange::Put(record) => self.put(base, &record, by).await,
                StoreChange::Remove(name) => self.remove(base, &name, by).await,
            }
        })
    }

    fn changed(&self, known: Generation) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut view = self.shared.view.clone();
            let is_other = |view: &View| view.generation().is_some_and(|generation| generation != known);
            if view.wait_for(is_other).await.is_err() {
                // Nothing will ever change again.
                std::future::pending::<()>().await;
            }
        })
    }
}

fn set_of(view: &View) -> Result<PeerSet, StoreError> {
    view.set.as_deref().cloned().ok_or(StoreError::Stopping)
}

/// What is said of a write that failed so.
fn failed(fault: &WatchFault) -> StoreError {
    match fault {
        WatchFault::Silent(_) => {
            let text = format!(
                "the API server has not answered within {CHANGE_WITHIN:?}, so that nobody knows whether the change is stored; if it is, it comes into force by itself. Look at the peers (gatewayctl peer list) once the API server answers, and try again if nothing has changed"
            );
            StoreError::Unsettled(text)
        }
        fault => StoreError::Unavailable(fault.to_string()),
    }
}
