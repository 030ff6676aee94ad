//! Tells in the resources what has become of them: conditions, and events for what changes. One replica does, which holds
//! the lease; the others look on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::core::params::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use strait_federation::{PeerRecord, Refusal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::keeper::View;
use super::lease::{Candidate, LeaseTimes};
use super::objects::{EVENTS, GROUP, Resource, ResourceKind, VERSION};
use super::status::{self, Condition, Difference, Status};
use super::{KubernetesStore, time};
use crate::WatchFault;
use crate::watch::api::Api;

/// The lease.
const LEASE: &str = "strait-gateway";
/// Who writes statuses and events.
const NAME: &str = "strait-gateway";
/// How often what is told is compared with what is.
const EVERY: Duration = Duration::from_secs(1);
/// A status of which only words have changed is not written more often than this.
const WORDS_EVERY: Duration = Duration::from_secs(60);
/// Statuses written in one round at most; the others have the next.
const MAX_WRITES: usize = 16;

/// What is seen of a peer from here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// The links to it; none when there are none.
    pub links: Option<Links>,
    /// How it asks us.
    pub asking: Asking,
}

/// Links to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// Whether a question would be answered.
    pub is_up: bool,
    /// Whether it is too early to say.
    pub is_new: bool,
    /// The same for people.
    pub in_words: String,
}

/// How a peer asks us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asking {
    /// Its connections now.
    pub connections: u64,
    /// When it asked last, seconds since 1970-01-01 UTC.
    pub last_query_at: Option<i64>,
}

/// Sees how peers do.
pub trait Observe: Send + Sync + 'static {
    /// What is seen of this one.
    fn observe(&self, peer: &PeerRecord) -> Observation;
}

/// What a herald needs.
pub struct HeraldSettings {
    /// Who this replica is; no two have the same.
    pub identity: String,
    /// How long leases last.
    pub lease: LeaseTimes,
}

/// Tells what has become of peers and zones, while it holds the lease.
pub struct Herald {
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl Herald {
    /// Begins to ask for the lease. Needs a tokio runtime.
    pub fn start(store: &KubernetesStore, settings: HeraldSettings, observer: Arc<dyn Observe>) -> Self {
        let (HeraldSettings { identity, lease }, road) = (settings, store.road());
        let work = Work {
            store: store.clone(),
            candidate: Candidate::new(road.api(), LEASE, identity.clone(), lease),
            api: road.api(),
            namespace: road.namespace.clone(),
            identity,
            observer,
            written: HashMap::new(),
            failing: false,
        };
        let stop = CancellationToken::new();
        Self { work: tokio::spawn(work.run(stop.clone())), stop }
    }

    /// Gives the lease up, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.work.await;
    }
}

struct Work {
    store: KubernetesStore,
    candidate: Candidate,
    api: Api,
    namespace: String,
    identity: String,
    observer: Arc<dyn Observe>,
    /// When the status of a resource was written last.
    written: HashMap<(ResourceKind, String), Instant>,
    /// Whether the last write failed: the log has one line for a series of them.
    failing: bool,
}

impl Work {
    async fn run(mut self, stop: CancellationToken) {
        let mut rounds = interval(EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = rounds.tick() => {}
            }
            // What is under way is not broken off: a write may have reached the server.
            let is_ours = self.candidate.holds().await;
            self.store.metrics().set_lease_held(is_ours);
            if is_ours {
                self.round().await;
            }
        }
        self.store.metrics().set_lease_held(false);
        self.candidate.give_up().await;
    }

    /// Writes what has changed, of so many resources at most.
    async fn round(&mut self) {
        let view = self.store.view().borrow().clone();
        self.written.retain(|(kind, name), _| {
            view.of(*kind).resources.as_ref().is_some_and(|resources| resources.contains_key(name))
        });
        let mut writes = 0;
        for kind in [ResourceKind::Peer, ResourceKind::Zone] {
            for resource in view.of(kind).resources.iter().flat_map(|resources| resources.values()) {
                if writes == MAX_WRITES {
                    return;
                }
                let Some(status) = self.due(&view, kind, resource) else { continue };
                writes += 1;
                let outcome = self.write(kind, resource, &status).await;
                self.note(&outcome);
                if outcome.is_err() {
                    return;
                }
            }
        }
    }

    /// The status to write; none when there is nothing new, or not new enough.
    fn due(&self, view: &View, kind: ResourceKind, resource: &Resource) -> Option<Status> {
        let name = &resource.metadata.name;
        let mut status = self.status(view, kind, name);
        let is_recent = || {
            let written = self.written.get(&(kind, name.clone()));
            written.is_some_and(|written| written.elapsed() < WORDS_EVERY)
        };
        match status::settle(resource, &mut status) {
            Difference::None => None,
            Difference::Words if is_recent() => None,
            Difference::Words | Difference::Substance => Some(status),
        }
    }

    /// What has become of the resource of that name.
    fn status(&self, view: &View, kind: ResourceKind, name: &str) -> Status {
        let unjudged = Refusal { reason: "NotJudged", message: "not looked at yet".to_owned() };
        let refusal = view.of(kind).refused.get(name).unwrap_or(&unjudged);
        match kind {
            ResourceKind::Peer => {
                let record = view.set.as_ref().and_then(|set| set.get(name));
                let observation = record.map(|record| self.observer.observe(record)).unwrap_or_default();
                status::of_peer(record.map(|record| record.directions).ok_or(refusal), &observation, now())
            }
            ResourceKind::Zone => {
                let shared = view.set.as_ref().and_then(|set| set.zones().get(name));
                status::of_zone(shared.ok_or(refusal).and_then(|shared| shared.zone()).map(AsRef::as_ref))
            }
        }
    }

    async fn write(&mut self, kind: ResourceKind, resource: &Resource, status: &Status) -> Result<(), WatchFault> {
        let name = resource.metadata.name.as_str();
        let (params, patch) = (PatchParams::apply(NAME).force(), Patch::Apply(status::patch(kind, resource, status)));
        let write = |_: kube::core::Request| {
            kube::core::Request::new(kind.collection().path(Some(&self.namespace)))
                .patch_subresource("status", name, &params, &patch)
        };
        match self.api.act::<Value>("patch", kind.status(), write).await {
            Ok(_) => {}
            // It is gone, or another by now: the watch tells.
            Err(WatchFault::Refused { code: 404 | 409, .. }) => return Ok(()),
            Err(fault) => return Err(fault),
        }
        self.written.insert((kind, name.to_owned()), Instant::now());
        for condition in status::changed(resource, status) {
            let event = self.event(kind, resource, condition).to_string().into_bytes();
            self.api.act::<Value>("create", EVENTS, |request| request.create(&PostParams::default(), event)).await?;
        }
        Ok(())
    }

    /// An event of that condition: a warning when it does not hold.
    fn event(&self, kind: ResourceKind, resource: &Resource, condition: &Condition) -> Value {
        let (name, now) = (&resource.metadata.name, time::now());
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "generateName": format!("{name}."), "namespace": self.namespace },
            "involvedObject": {
                "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind.name(), "namespace": self.namespace, "name": name,
                "uid": resource.metadata.uid, "resourceVersion": resource.metadata.resource_version,
            },
            "type": if condition.status == "True" { "Normal" } else { "Warning" },
            "reason": condition.reason,
            "message": format!("{}: {}", condition.kind, condition.message),
            "source": { "component": NAME },
            "reportingComponent": NAME,
            "reportingInstance": self.identity,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        })
    }

    fn note(&mut self, outcome: &Result<(), WatchFault>) {
        match outcome {
            Ok(()) => self.failing = false,
            Err(fault) if !self.failing => {
                self.failing = true;
                tracing::warn!(%fault, "the status of resources cannot be written");
            }
            Err(_) => {}
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
