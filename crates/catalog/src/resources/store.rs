//! Peers kept by the API server, as [`StateStore`] wants them kept.

use std::sync::Arc;

use kube::core::Request;
use kube::core::params::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::Value;
use strait_federation::{Generation, PeerName, PeerRecord, PeerSet, StateStore, StoreChange, StoreError};
use strait_resolve::BoxFuture;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::keeper::{Keeper, ResourceState, View};
use super::metrics::ResourceMetrics;
use super::objects::{Metadata, PEERS, Resource};
use super::reflector::{Reflector, Told};
use super::{NEWS_WITHIN, ResourceSettings, peer};
use crate::watch::api::Api;
use crate::{ApiAccess, ApiTimes, FeedError, WatchFault};

/// Who writes what operators want, in the words of server-side apply. Whoever applies a peer by the same name owns the same
/// fields.
const FIELD_MANAGER: &str = "gatewayctl";

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
        let (tell, told) = watch::channel(Told::default());
        let keeper = Keeper { home, copy, view: view_in };
        keeper.restore().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(Reflector::new(road.api(), PEERS, tell).run());
        tasks.spawn(keeper.run(told));
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

    async fn put(&self, base: Generation, record: &PeerRecord) -> Result<PeerSet, StoreError> {
        let name = record.name.as_str();
        for _ in 0..MAX_TRIES {
            let view = self.view_at(base)?;
            let known = view.resources.as_ref().and_then(|resources| resources.get(name));
            if let Some(refusal) = view.refused.get(name) {
                let why = format!("{}; change or delete it with kubectl (peers.strait.dev {name})", refusal.message);
                return Err(StoreError::NotInForce { name: record.name.clone(), why });
            }
            match self.write(record, known.map(|known| &known.metadata)).await {
                Ok(written) => return self.in_force(&record.name, &written).await,
                Err(WatchFault::Refused { code: 409, .. }) => self.wait_for_other_than(name, known).await,
                Err(fault) => return Err(unavailable(&fault)),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Makes a new resource, or applies to the one that was seen.
    async fn write(&self, record: &PeerRecord, known: Option<&Metadata>) -> Result<Metadata, WatchFault> {
        let mut resource = peer::resource(record);
        let written: Resource = match known {
            None => {
                let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                let body = resource.to_string().into_bytes();
                self.act("create", |request| request.create(&params, body)).await?
            }
            Some(known) => {
                // Between what was seen and this nobody has come.
                resource["metadata"]["resourceVersion"] = Value::from(known.resource_version.clone());
                let params = PatchParams::apply(FIELD_MANAGER).force();
                let name = record.name.as_str();
                self.act("patch", |request| request.patch(name, &params, &Patch::Apply(&resource))).await?
            }
        };
        Ok(written.metadata)
    }

    async fn remove(&self, base: Generation, name: &PeerName) -> Result<PeerSet, StoreError> {
        let view = self.view_at(base)?;
        let known = view.resources.as_ref().and_then(|resources| resources.get(name.as_str()));
        let Some(known) = known.map(|known| known.metadata.clone()) else { return Err(StoreError::Conflict) };
        let preconditions = Preconditions { uid: Some(known.uid.clone()), ..Preconditions::default() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.act::<Value>("delete", |request| request.delete(name.as_str(), &params)).await {
            Ok(_) => {}
            // Somebody else was faster; or it is another by now.
            Err(WatchFault::Refused { code: 404 | 409, .. }) => return Err(StoreError::Conflict),
            Err(fault) => return Err(unavailable(&fault)),
        }
        let is_gone = |view: &View| {
            let resources = view.resources.as_ref();
            resources.is_some_and(|all| all.get(name.as_str()).is_none_or(|other| other.metadata.uid != known.uid))
        };
        self.heard(is_gone).await.and_then(|view| set_of(&view))
    }

    /// Waits until what was written has come back, and is in force.
    async fn in_force(&self, name: &PeerName, written: &Metadata) -> Result<PeerSet, StoreError> {
        let is_told = |view: &View| {
            let told = view.resources.as_ref().and_then(|resources| resources.get(name.as_str()));
            told.is_some_and(|told| written.is_reached_by(&told.metadata))
        };
        let view = self.heard(is_told).await?;
        match view.refused.get(name.as_str()) {
            Some(refusal) => Err(StoreError::NotInForce { name: name.clone(), why: refusal.message.clone() }),
            None => set_of(&view),
        }
    }

    async fn heard(&self, is_it: impl Fn(&View) -> bool) -> Result<View, StoreError> {
        let mut view = self.shared.view.clone();
        let heard = timeout(NEWS_WITHIN, view.wait_for(|view| is_it(view))).await;
        let late = |_| {
            let text =
                format!("the change is stored at the API server, which has not told of it within {NEWS_WITHIN:?}");
            StoreError::Unavailable(text)
        };
        heard.map_err(late)?.map(|view| view.clone()).map_err(|_| StoreError::Stopping)
    }

    /// What is known, if the API server has told it and it is that generation.
    fn view_at(&self, base: Generation) -> Result<View, StoreError> {
        let view = self.shared.view.borrow().clone();
        if view.resources.is_none() {
            let why =
                view.fault.map_or_else(|| "the API server has not told its peers yet".to_owned(), |f| f.to_string());
            return Err(StoreError::Unavailable(why));
        }
        if view.generation() == Some(base) { Ok(view) } else { Err(StoreError::Conflict) }
    }

    /// Waits for a while until the resource is not any more as it was seen.
    async fn wait_for_other_than(&self, name: &str, seen: Option<&Resource>) {
        let mut view = self.shared.view.clone();
        let is_other = |view: &View| {
            let now = view.resources.as_ref().and_then(|resources| resources.get(name));
            now.map(|now| &now.metadata.resource_version) != seen.map(|seen| &seen.metadata.resource_version)
        };
        let _ = timeout(NEWS_WITHIN, view.wait_for(is_other)).await;
    }

    async fn act<T: serde::de::DeserializeOwned>(
        &self,
        verb: &'static str,
        request: impl FnOnce(Request) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, WatchFault> {
        self.shared.api.lock().await.act(verb, PEERS, request).await
    }
}

impl StateStore for KubernetesStore {
    fn load(&self) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        Box::pin(async { self.known().await.map(Arc::unwrap_or_clone) })
    }

    fn commit(&self, base: Generation, change: StoreChange) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        Box::pin(async move {
            match change {
                StoreChange::Put(record) => self.put(base, &record).await,
                StoreChange::Remove(name) => self.remove(base, &name).await,
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

fn unavailable(fault: &WatchFault) -> StoreError {
    StoreError::Unavailable(fault.to_string())
}
