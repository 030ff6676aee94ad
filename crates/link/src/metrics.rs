//! Counters per upstream and per peer endpoint: requests, failures, latency, up or down.
//!
//! Handles are resolved once per server ([`ServerMetrics`]) and per group of servers ([`GroupMetrics`]); series live
//! as long as someone holds their handles.

mod family;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

use self::family::{Family, STATES, counters};
use crate::State;

pub(crate) use family::{Ignored, Kind, Reason};

/// The metric families of `link`; names in `docs/metrics.md`.
pub struct LinkMetrics {
    upstream: Family,
    peer: Family,
    ignored: IntCounterVec,
    over_tcp: IntCounterVec,
    hedges: IntCounterVec,
    servers: Mutex<HashMap<ServerKey, Weak<ServerMetrics>>>,
    groups: Mutex<HashMap<GroupKey, Weak<GroupMetrics>>>,
}

type GroupKey = (Kind, String);
type ServerKey = (Kind, String, String);

impl LinkMetrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            upstream: Family::new(registry, "strait_upstream", "strait_upstream", ["zone", "upstream"], "an upstream")?,
            peer: Family::new(
                registry,
                "strait_peer",
                "strait_peer_endpoint",
                ["peer", "endpoint"],
                "a peer's endpoint",
            )?,
            ignored: counters(
                registry,
                "strait_upstream_ignored_replies_total",
                "Datagrams from an upstream's address that were not taken for the answer, by reason.",
                &["zone", "upstream", "reason"],
            )?,
            over_tcp: counters(
                registry,
                "strait_upstream_tcp_retries_total",
                "Questions asked again over TCP: truncated, or after replies that may be forged.",
                &["zone", "upstream"],
            )?,
            hedges: counters(
                registry,
                "strait_peer_hedges_total",
                "Questions asked of a second endpoint because the first was late.",
                &["peer"],
            )?,
            servers: Mutex::default(),
            groups: Mutex::default(),
        })
    }

    /// The handles of one server, shared by all that hold them.
    pub(crate) fn server(self: &Arc<Self>, kind: Kind, group: &str, server: &impl fmt::Display) -> Arc<ServerMetrics> {
        let key = (kind, group.to_owned(), server.to_string());
        shared(&self.servers, &key, || ServerMetrics::new(self, key.clone()))
    }

    /// The handles of one group, shared by all that hold them.
    pub(crate) fn group(self: &Arc<Self>, kind: Kind, group: &str) -> Arc<GroupMetrics> {
        let key = (kind, group.to_owned());
        shared(&self.groups, &key, || GroupMetrics::new(self, key.clone()))
    }

    fn family(&self, kind: Kind) -> &Family {
        match kind {
            Kind::Upstream => &self.upstream,
            Kind::Peer => &self.peer,
        }
    }
}

/// Who holds which handles.
type Holders<K, T> = Mutex<HashMap<K, Weak<T>>>;

fn lock<K, T>(holders: &Holders<K, T>) -> MutexGuard<'_, HashMap<K, Weak<T>>> {
    holders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handles that someone holds already, or new ones.
fn shared<K: Clone + Eq + Hash, T>(holders: &Holders<K, T>, key: &K, new: impl FnOnce() -> T) -> Arc<T> {
    let mut holders = lock(holders);
    if let Some(handles) = holders.get(key).and_then(Weak::upgrade) {
        return handles;
    }
    let handles = Arc::new(new());
    holders.insert(key.clone(), Arc::downgrade(&handles));
    handles
}

/// Runs `remove` for handles that are gone, unless a newer holder has taken the same series over in the meantime.
fn release<K: Eq + Hash, T>(holders: &Holders<K, T>, key: &K, remove: impl FnOnce()) {
    let mut holders = lock(holders);
    if holders.get(key).is_some_and(|handles| handles.strong_count() == 0) {
        holders.remove(key);
        remove();
    }
}

/// The handles of one group of servers: an upstream group, or a peer.
pub(crate) struct GroupMetrics {
    families: Arc<LinkMetrics>,
    key: GroupKey,
    /// Questions refused for want of room.
    pub(crate) overloaded: IntCounter,
    /// Questions not answered yet.
    pub(crate) outstanding: IntGauge,
    /// Questions asked of a second endpoint because the first was late; peers only.
    hedges: Option<IntCounter>,
}

impl GroupMetrics {
    fn new(families: &Arc<LinkMetrics>, key: GroupKey) -> Self {
        Self {
            overloaded: families.family(key.0).overloaded.with_label_values(&[&key.1]),
            outstanding: families.family(key.0).outstanding.with_label_values(&[&key.1]),
            hedges: (key.0 == Kind::Peer).then(|| families.hedges.with_label_values(&[&key.1])),
            families: Arc::clone(families),
            key,
        }
    }

    /// A second endpoint is asked because the first is late.
    pub(crate) fn hedged(&self) {
        if let Some(hedges) = &self.hedges {
            hedges.inc();
        }
    }
}

impl Drop for GroupMetrics {
    fn drop(&mut self) {
        let (kind, group) = &self.key;
        release(&self.families.groups, &self.key, || {
            self.families.family(*kind).remove_group(group);
            if *kind == Kind::Peer {
                let _ = self.families.hedges.remove_label_values(&[group]);
            }
        });
    }
}

/// The handles of one server. Dropping the last holder's takes its series away.
pub(crate) struct ServerMetrics {
    families: Arc<LinkMetrics>,
    key: ServerKey,
    requests: IntCounter,
    duration: Histogram,
    failures: [IntCounter; Reason::ALL.len()],
    /// Upstreams only.
    datagrams: Option<DatagramMetrics>,
    up: IntGauge,
    states: [IntGauge; STATES.len()],
    /// Records that were not the server's to give.
    pub(crate) dropped: IntCounter,
    /// Answers on a stream that nobody waited for.
    pub(crate) unmatched: IntCounter,
    /// Connections after the first.
    pub(crate) reconnects: IntCounter,
}

/// The handles of a server that is asked over UDP.
struct DatagramMetrics {
    ignored: [IntCounter; Ignored::ALL.len()],
    over_tcp: IntCounter,
}

impl ServerMetrics {
    fn new(families: &Arc<LinkMetrics>, key: ServerKey) -> Self {
        let family = families.family(key.0);
        let labels = [key.1.as_str(), key.2.as_str()];
        Self {
            requests: family.requests.with_label_values(&labels),
            duration: family.duration.with_label_values(&labels),
            failures: Reason::ALL.map(|r| family.failures.with_label_values(&[labels[0], labels[1], r.as_str()])),
            datagrams: (key.0 == Kind::Upstream).then(|| DatagramMetrics {
                ignored: Ignored::ALL.map(|r| families.ignored.with_label_values(&[labels[0], labels[1], r.as_str()])),
                over_tcp: families.over_tcp.with_label_values(&labels),
            }),
            up: family.up.with_label_values(&labels),
            states: STATES.map(|s| family.state.with_label_values(&[labels[0], labels[1], s.as_str()])),
            dropped: family.dropped.with_label_values(&labels),
            unmatched: family.unmatched.with_label_values(&labels),
            reconnects: family.reconnects.with_label_values(&labels),
            families: Arc::clone(families),
            key,
        }
    }

    /// A question is sent.
    pub(crate) fn asked(&self) {
        self.requests.inc();
    }

    /// It was answered.
    pub(crate) fn answered(&self, after: Duration) {
        self.duration.observe(after.as_secs_f64());
    }

    /// It failed.
    pub(crate) fn failed(&self, reason: Reason) {
        self.failures[reason as usize].inc();
    }

    /// The server is now in this state.
    pub(crate) fn state(&self, now: State) {
        self.up.set(i64::from(matches!(now, State::Up | State::Degraded)));
        for (state, gauge) in STATES.iter().zip(&self.states) {
            gauge.set(i64::from(*state == now));
        }
    }

    /// A datagram was not taken for the answer.
    pub(crate) fn ignored(&self, reason: Ignored) {
        if let Some(datagrams) = &self.datagrams {
            datagrams.ignored[reason as usize].inc();
        }
    }

    /// A question went over to TCP.
    pub(crate) fn over_tcp(&self) {
        if let Some(datagrams) = &self.datagrams {
            datagrams.over_tcp.inc();
        }
    }
}

impl Drop for ServerMetrics {
    fn drop(&mut self) {
        let (kind, group, server) = &self.key;
        let labels = [group.as_str(), server.as_str()];
        release(&self.families.servers, &self.key, || {
            self.families.family(*kind).remove(labels);
            let _ = self.families.over_tcp.remove_label_values(&labels);
            for reason in Ignored::ALL {
                let _ = self.families.ignored.remove_label_values(&[labels[0], labels[1], reason.as_str()]);
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn names(registry: &Registry) -> Vec<String> {
        registry.gather().iter().map(|family| family.name().to_owned()).collect()
    }

    #[test]
    fn series_go_with_the_last_holder() {
        let registry = Registry::new();
        let metrics = Arc::new(LinkMetrics::new(&registry).unwrap());
        let first = metrics.server(Kind::Peer, "b", &"tls://a:853");
        let second = metrics.server(Kind::Peer, "b", &"tls://a:853");
        let group = metrics.group(Kind::Peer, "b");
        group.hedged();
        second.asked();
        drop(first);
        assert!(names(&registry).contains(&"strait_peer_endpoint_requests_total".to_owned()));
        assert!(names(&registry).contains(&"strait_peer_hedges_total".to_owned()));
        drop((second, group));
        assert_eq!(names(&registry), Vec::<String>::new());
    }

    /// Handles are kept by position.
    #[test]
    fn reasons_are_in_order() {
        for (position, reason) in Ignored::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position);
        }
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position);
        }
    }

    #[test]
    fn the_state_gauges_say_one_state() {
        let registry = Registry::new();
        let metrics = Arc::new(LinkMetrics::new(&registry).unwrap());
        let server = metrics.server(Kind::Upstream, ".", &"192.0.2.1:53");
        server.state(State::Down);
        server.state(State::Degraded);
        assert_eq!(server.states.each_ref().map(|g| g.get()), [0, 0, 1, 0]);
        assert_eq!(server.up.get(), 1);
    }
}
