//! Counters per upstream and per peer endpoint: requests, failures, latency, up or down.
//!
//! Handles are resolved once per server ([`ServerMetrics`]); its series live as long as someone holds them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::State;

/// Why a question to one server failed; the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No answer in time.
    Timeout,
    /// There is no connection, or it was lost.
    Connection,
    /// An answer that cannot be used.
    BadAnswer,
    /// SERVFAIL.
    Servfail,
    /// REFUSED.
    Refused,
    /// Too many questions in flight to that server.
    Full,
}

impl Reason {
    const ALL: [Self; 6] =
        [Self::Timeout, Self::Connection, Self::BadAnswer, Self::Servfail, Self::Refused, Self::Full];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::BadAnswer => "bad_answer",
            Self::Servfail => "servfail",
            Self::Refused => "refused",
            Self::Full => "full",
        }
    }
}

/// Why a datagram was not taken for the answer; the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// It cannot be read.
    Malformed,
    /// It is not a response to a query.
    NotAResponse,
    /// Another identifier than the question's.
    Id,
    /// Another question.
    Question,
    /// The same question in another case.
    Case,
}

impl Ignored {
    const ALL: [Self; 5] = [Self::Malformed, Self::NotAResponse, Self::Id, Self::Question, Self::Case];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotAResponse => "not_a_response",
            Self::Id => "id",
            Self::Question => "question",
            Self::Case => "case",
        }
    }
}

const STATES: [State; 4] = [State::Connecting, State::Up, State::Degraded, State::Down];

/// Seconds; from a gateway next door to a try budget over the ocean.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// The families of one kind of server; two labels name the server.
struct Family {
    requests: IntCounterVec,
    failures: IntCounterVec,
    duration: HistogramVec,
    up: IntGaugeVec,
    state: IntGaugeVec,
    dropped: IntCounterVec,
    unmatched: IntCounterVec,
}

impl Family {
    fn new(registry: &Registry, prefix: &str, labels: [&str; 2], whom: &str) -> Result<Self, prometheus::Error> {
        let name = |suffix: &str| format!("{prefix}_{suffix}");
        let with = |label| [labels[0], labels[1], label];
        let duration = HistogramOpts::new(name("duration_seconds"), format!("Time to an answer of {whom}."));
        let family = Self {
            requests: counters(registry, &name("requests_total"), &format!("Questions sent to {whom}."), &labels)?,
            failures: counters(
                registry,
                &name("failures_total"),
                &format!("Questions to {whom} that failed, by reason."),
                &with("reason"),
            )?,
            duration: HistogramVec::new(duration.buckets(BUCKETS.to_vec()), &labels)?,
            up: IntGaugeVec::new(Opts::new(name("up"), format!("1 while {whom} answers.")), &labels)?,
            state: IntGaugeVec::new(
                Opts::new(name("state"), format!("1 for the state that {whom} is in.")),
                &with("state"),
            )?,
            dropped: counters(
                registry,
                &name("dropped_records_total"),
                &format!("Records in answers of {whom} that were not theirs to give."),
                &labels,
            )?,
            unmatched: counters(
                registry,
                &name("unmatched_answers_total"),
                &format!("Answers of {whom} on a stream that nobody waited for."),
                &labels,
            )?,
        };
        registry.register(Box::new(family.duration.clone()))?;
        registry.register(Box::new(family.up.clone()))?;
        registry.register(Box::new(family.state.clone()))?;
        Ok(family)
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// The metric families of `link`; names in `docs/metrics.md`.
pub struct LinkMetrics {
    upstream: Family,
    peer: Family,
    ignored: IntCounterVec,
    over_tcp: IntCounterVec,
    reconnects: IntCounterVec,
    hedges: IntCounterVec,
    overloaded: IntCounterVec,
    live: Mutex<HashMap<Key, Weak<ServerMetrics>>>,
}

/// What kind of server a series is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// An ordinary upstream; its group is the zone.
    Upstream,
    /// An endpoint of a peer; its group is the peer.
    Peer,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Peer => "peer",
        }
    }
}

type Key = (Kind, String, String);

impl LinkMetrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            upstream: Family::new(registry, "strait_upstream", ["zone", "upstream"], "an upstream")?,
            peer: Family::new(registry, "strait_peer_endpoint", ["peer", "endpoint"], "a peer's endpoint")?,
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
            reconnects: counters(
                registry,
                "strait_link_reconnects_total",
                "Connections made to a server after its first one.",
                &["kind", "group", "server"],
            )?,
            hedges: counters(
                registry,
                "strait_peer_hedges_total",
                "Questions asked of a second endpoint because the first was late.",
                &["peer"],
            )?,
            overloaded: counters(
                registry,
                "strait_link_overloaded_total",
                "Questions refused because too many were outstanding.",
                &["kind", "group"],
            )?,
            live: Mutex::default(),
        })
    }

    /// The handles of one server, shared by all that hold them.
    pub(crate) fn server(self: &Arc<Self>, kind: Kind, group: &str, server: &impl fmt::Display) -> Arc<ServerMetrics> {
        let key: Key = (kind, group.to_owned(), server.to_string());
        let mut live = self.live();
        if let Some(handles) = live.get(&key).and_then(Weak::upgrade) {
            return handles;
        }
        let handles = Arc::new(ServerMetrics::new(self, key.clone()));
        live.insert(key, Arc::downgrade(&handles));
        handles
    }

    /// The hedges of one peer.
    pub(crate) fn hedges(&self, peer: &str) -> IntCounter {
        self.hedges.with_label_values(&[peer])
    }

    /// The questions refused for want of room in one group.
    pub(crate) fn overloaded(&self, kind: Kind, group: &str) -> IntCounter {
        self.overloaded.with_label_values(&[kind.as_str(), group])
    }

    fn family(&self, kind: Kind) -> &Family {
        match kind {
            Kind::Upstream => &self.upstream,
            Kind::Peer => &self.peer,
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Key, Weak<ServerMetrics>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the series of a server away, and those of its group with the last server.
    fn remove(&self, (kind, group, server): &Key, last_of_group: bool) {
        let family = self.family(*kind);
        let labels = [group.as_str(), server.as_str()];
        // An error only says that there is no such series.
        let _ = family.requests.remove_label_values(&labels);
        let _ = family.duration.remove_label_values(&labels);
        let _ = family.up.remove_label_values(&labels);
        let _ = family.dropped.remove_label_values(&labels);
        let _ = family.unmatched.remove_label_values(&labels);
        let _ = self.over_tcp.remove_label_values(&labels);
        let _ = self.reconnects.remove_label_values(&[kind.as_str(), group, server]);
        for reason in Reason::ALL {
            let _ = family.failures.remove_label_values(&[labels[0], labels[1], reason.as_str()]);
        }
        for reason in Ignored::ALL {
            let _ = self.ignored.remove_label_values(&[labels[0], labels[1], reason.as_str()]);
        }
        for state in STATES {
            let _ = family.state.remove_label_values(&[labels[0], labels[1], state.as_str()]);
        }
        if last_of_group {
            let _ = self.overloaded.remove_label_values(&[kind.as_str(), group]);
            if *kind == Kind::Peer {
                let _ = self.hedges.remove_label_values(&[group]);
            }
        }
    }
}

/// The handles of one server. Dropping the last holder's takes its series away.
pub(crate) struct ServerMetrics {
    families: Arc<LinkMetrics>,
    key: Key,
    requests: IntCounter,
    duration: Histogram,
    failures: [IntCounter; Reason::ALL.len()],
    up: IntGauge,
    states: [IntGauge; STATES.len()],
    /// Records that were not the server's to give.
    pub(crate) dropped: IntCounter,
    /// Answers on a stream that nobody waited for.
    pub(crate) unmatched: IntCounter,
    /// Connections after the first.
    pub(crate) reconnects: IntCounter,
}

impl ServerMetrics {
    fn new(families: &Arc<LinkMetrics>, key: Key) -> Self {
        let family = families.family(key.0);
        let labels = [key.1.as_str(), key.2.as_str()];
        Self {
            requests: family.requests.with_label_values(&labels),
            duration: family.duration.with_label_values(&labels),
            failures: Reason::ALL.map(|r| family.failures.with_label_values(&[labels[0], labels[1], r.as_str()])),
            up: family.up.with_label_values(&labels),
            states: STATES.map(|s| family.state.with_label_values(&[labels[0], labels[1], s.as_str()])),
            dropped: family.dropped.with_label_values(&labels),
            unmatched: family.unmatched.with_label_values(&labels),
            reconnects: families.reconnects.with_label_values(&[key.0.as_str(), labels[0], labels[1]]),
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
        self.families.ignored.with_label_values(&[&self.key.1, &self.key.2, reason.as_str()]).inc();
    }

    /// A question went over to TCP.
    pub(crate) fn over_tcp(&self) {
        self.families.over_tcp.with_label_values(&[&self.key.1, &self.key.2]).inc();
    }
}

impl Drop for ServerMetrics {
    fn drop(&mut self) {
        let mut live = self.families.live();
        // A newer holder may have taken the same series over in the meantime.
        if live.get(&self.key).is_some_and(|weak| weak.strong_count() > 0) {
            return;
        }
        live.remove(&self.key);
        let last = !live.keys().any(|(kind, group, _)| *kind == self.key.0 && *group == self.key.1);
        self.families.remove(&self.key, last);
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
        metrics.hedges("b").inc();
        second.asked();
        drop(first);
        assert!(names(&registry).contains(&"strait_peer_endpoint_requests_total".to_owned()));
        assert!(names(&registry).contains(&"strait_peer_hedges_total".to_owned()));
        drop(second);
        assert_eq!(names(&registry), Vec::<String>::new());
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
