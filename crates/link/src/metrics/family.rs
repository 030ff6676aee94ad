//! The labels and the families of one kind of server.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::State;

/// What kind of server a series is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// An ordinary upstream; its group is the zone.
    Upstream,
    /// An endpoint of a peer; its group is the peer.
    Peer,
}

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
    pub(super) const ALL: [Self; 6] =
        [Self::Timeout, Self::Connection, Self::BadAnswer, Self::Servfail, Self::Refused, Self::Full];

    pub(super) const fn as_str(self) -> &'static str {
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
    /// A response to the question, but one that neither answers nor denies.
    NoAnswer,
    /// A response to a question that nobody waits for any more.
    Late,
}

impl Ignored {
    pub(super) const ALL: [Self; 7] =
        [Self::Malformed, Self::NotAResponse, Self::Id, Self::Question, Self::Case, Self::NoAnswer, Self::Late];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotAResponse => "not_a_response",
            Self::Id => "id",
            Self::Question => "question",
            Self::Case => "case",
            Self::NoAnswer => "no_answer",
            Self::Late => "late",
        }
    }
}

pub(super) const STATES: [State; 4] = [State::Connecting, State::Up, State::Degraded, State::Down];

/// Seconds; from a gateway next door to a try budget over the ocean.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// The families of one kind of server; two labels name the server.
pub(super) struct Family {
    pub(super) requests: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) up: IntGaugeVec,
    pub(super) state: IntGaugeVec,
    pub(super) dropped: IntCounterVec,
    pub(super) unmatched: IntCounterVec,
    pub(super) reconnects: IntCounterVec,
    /// By group only.
    pub(super) outstanding: IntGaugeVec,
    /// By group only.
    pub(super) overloaded: IntCounterVec,
}

impl Family {
    pub(super) fn new(
        registry: &Registry,
        group: &str,
        prefix: &str,
        labels: [&str; 2],
        whom: &str,
    ) -> Result<Self, prometheus::Error> {
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
            reconnects: counters(
                registry,
                &name("reconnects_total"),
                &format!("Connections made to {whom} after the first one."),
                &labels,
            )?,
            outstanding: IntGaugeVec::new(
                Opts::new(format!("{group}_outstanding"), format!("Questions to {whom} not answered yet.")),
                &labels[..1],
            )?,
            overloaded: counters(
                registry,
                &format!("{group}_overloaded_total"),
                &format!("Questions for {whom} refused because too many were outstanding."),
                &labels[..1],
            )?,
        };
        registry.register(Box::new(family.outstanding.clone()))?;
        registry.register(Box::new(family.duration.clone()))?;
        registry.register(Box::new(family.up.clone()))?;
        registry.register(Box::new(family.state.clone()))?;
        Ok(family)
    }

    /// Takes the series of one server away.
    pub(super) fn remove(&self, labels: [&str; 2]) {
        // An error only says that there is no such series.
        for counters in [&self.requests, &self.dropped, &self.unmatched, &self.reconnects] {
            let _ = counters.remove_label_values(&labels);
        }
        let _ = self.duration.remove_label_values(&labels);
        let _ = self.up.remove_label_values(&labels);
        for reason in Reason::ALL {
            let _ = self.failures.remove_label_values(&[labels[0], labels[1], reason.as_str()]);
        }
        for state in STATES {
            let _ = self.state.remove_label_values(&[labels[0], labels[1], state.as_str()]);
        }
    }

    /// Takes the series of one group of servers away.
    pub(super) fn remove_group(&self, group: &str) {
        // An error only says that there is no such series.
        let _ = self.outstanding.remove_label_values(&[group]);
        let _ = self.overloaded.remove_label_values(&[group]);
    }
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
