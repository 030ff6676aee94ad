//! Which replica writes: the one that holds a Lease (`coordination.k8s.io/v1`).
//!
//! Clocks of replicas are not compared: a lease has run out when it has not changed for its time, by the clock of
//! whoever watches it. Two that take it at once are told apart by its version.

use std::time::Duration;

use kube::core::params::{GetParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::objects::LEASES;
use super::time;
use crate::WatchFault;
use crate::watch::api::Api;

/// How long leases last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// After this time without a sign of life another replica takes over. In whole seconds.
    pub duration: Duration,
    /// How often the holder gives one.
    pub renew: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), renew: Duration::from_secs(5) }
    }
}

/// Whoever wants the lease.
pub(super) struct Candidate {
    api: Api,
    name: &'static str,
    identity: String,
    times: LeaseTimes,
    /// What another holds, and since when it has been so.
    seen: Option<(Held, Instant)>,
    /// When we gave the last sign of life; none while we do not hold it.
    renewed: Option<Instant>,
    /// Whether the server refused when it was asked last: the log has one line for a series of that.
    refused: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lease {
    metadata: Version,
    spec: Held,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Version {
    resource_version: String,
}

/// What a lease says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Held {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u64>,
    acquire_time: Option<String>,
    renew_time: Option<String>,
    lease_transitions: Option<u64>,
}

impl Held {
    /// Who holds it; nobody when it was given up.
    fn holder(&self) -> Option<&str> {
        self.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// The lease as it is once `identity` has taken it, or holds it on.
    fn by(&self, identity: &str, duration: Duration) -> Self {
        let now = time::now_in_micros();
        let is_ours = self.holder() == Some(identity);
        let transitions = self.lease_transitions.unwrap_or(0);
        Self {
            holder_identity: Some(identity.to_owned()),
            lease_duration_seconds: Some(duration.as_secs().max(1)),
            acquire_time: if is_ours { self.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if is_ours { transitions } else { transitions.saturating_add(1) }),
        }
    }
}

impl Candidate {
    pub(super) fn new(api: Api, name: &'static str, identity: String, times: LeaseTimes) -> Self {
        Self { api, name, identity, times, seen: None, renewed: None, refused: false }
    }

    /// Takes the lease if it is free, holds it on if it is ours and due, and says whether we hold it. To be asked more
    /// often than it is to be renewed.
    pub(super) async fn holds(&mut self) -> bool {
        let held = self.renewed;
        if held.is_some_and(|renewed| renewed.elapsed() < self.times.renew) {
            return true;
        }
        let taken = self.take().await;
        self.note(taken.as_ref().err());
        match taken {
            Ok(true) => self.renewed = Some(Instant::now()),
            Ok(false) => self.renewed = None,
            Err(_) => {
                // Before another may take it, we must not count on it.
                self.renewed = held.filter(|renewed| renewed.elapsed() < self.times.duration.mul_f64(0.7));
            }
        }
        match (held.is_some(), self.renewed.is_some()) {
            (false, true) => tracing::info!(lease = self.name, identity = self.identity, "this replica writes now"),
            (true, false) => tracing::info!(lease = self.name, identity = self.identity, "this replica writes no more"),
            _ => {}
        }
        self.renewed.is_some()
    }

    /// Tells why it cannot be had. That the server is away is told by whoever follows the resources.
    fn note(&mut self, fault: Option<&WatchFault>) {
        let refusal = fault.filter(|fault| matches!(fault, WatchFault::Forbidden { .. } | WatchFault::Refused { .. }));
        match (std::mem::replace(&mut self.refused, refusal.is_some()), refusal, fault) {
            (false, Some(fault), _) => {
                tracing::warn!(lease = self.name, %fault, "the lease cannot be had: this replica writes no status");
            }
            (_, _, Some(fault)) => tracing::debug!(lease = self.name, %fault, "the lease cannot be had"),
            _ => {}
        }
    }

    /// Gives it up, so that another need not wait.
    pub(super) async fn give_up(&mut self) {
        if self.renewed.take().is_none() {
            return;
        }
        let Ok(Some(lease)) = self.read().await else { return };
        if lease.spec.holder() == Some(&self.identity) {
            let free = Held { holder_identity: Some(String::new()), ..lease.spec };
            // Who cannot say so is found out by its silence.
            let _ = self.replace(&free, &lease.metadata).await;
        }
    }

    async fn take(&mut self) -> Result<bool, WatchFault> {
        let Some(lease) = self.read().await? else { return self.create().await };
        if !self.is_free(&lease.spec) {
            return Ok(false);
        }
        let ours = lease.spec.by(&self.identity, self.times.duration);
        self.replace(&ours, &lease.metadata).await
    }

    /// Whether it is ours, nobody's, or has not changed for its time.
    fn is_free(&mut self, held: &Held) -> bool {
        if held.holder().is_none_or(|holder| holder == self.identity) {
            self.seen = None;
            return true;
        }
        let known = self.seen.take().filter(|(seen, _)| seen == held);
        let (_, since) = self.seen.insert(known.unwrap_or_else(|| (held.clone(), Instant::now())));
        let lasts = held.lease_duration_seconds.map_or(self.times.duration, Duration::from_secs);
        since.elapsed() >= lasts
    }

    async fn read(&mut self) -> Result<Option<Lease>, WatchFault> {
        let name = self.name;
        match self.api.act("get", LEASES, |request| request.get(name, &GetParams::default())).await {
            Ok(lease) => Ok(Some(lease)),
            Err(WatchFault::Refused { code: 404, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn create(&mut self) -> Result<bool, WatchFault> {
        let spec = Held::default().by(&self.identity, self.times.duration);
        let body = self.body(&spec, None);
        let made =
            self.api.act::<Lease>("create", LEASES, |request| request.create(&PostParams::default(), body)).await;
        is_ours(made)
    }

    async fn replace(&mut self, spec: &Held, version: &Version) -> Result<bool, WatchFault> {
        let (name, body) = (self.name, self.body(spec, Some(version)));
        let replace = |request: kube::core::Request| request.replace(name, &PostParams::default(), body);
        is_ours(self.api.act::<Lease>("update", LEASES, replace).await)
    }

    fn body(&self, spec: &Held, version: Option<&Version>) -> Vec<u8> {
        let mut metadata = json!({ "name": self.name });
        if let Some(version) = version {
            metadata["resourceVersion"] = json!(version.resource_version);
        }
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec })
            .to_string()
            .into_bytes()
    }
}

/// Whoever comes second is told of a conflict.
fn is_ours(written: Result<Lease, WatchFault>) -> Result<bool, WatchFault> {
    match written {
        Ok(_) => Ok(true),
        Err(WatchFault::Refused { code: 409, .. }) => Ok(false),
        Err(fault) => Err(fault),
    }
}
