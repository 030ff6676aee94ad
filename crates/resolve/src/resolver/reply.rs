//! Reply: what the client gets, its size and its options, and the one place where questions are counted.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use strait_wire::{Answer, Ede, Query, QueryView, Rcode, ReplyLimits};

use super::{Asked, Road};
use crate::active::ZoneState;
use crate::cache::Entry;
use crate::flight::Overloaded;
use crate::metrics::Took;
use crate::moment::Moment;
use crate::{Now, Origin, QueryLogEntry, Reply, Transport};

/// Where the stages have brought a question.
pub(crate) enum Step<'t> {
    /// Silence.
    Drop,
    /// No answer, and why.
    Refuse(Refusing),
    /// An answer from the cache, as it is at that moment.
    Cached(Arc<Entry>, Moment),
    /// An answer that lies ready at the zone's source.
    Ready(&'t ZoneState, Cow<'t, Answer>),
    /// An answer that the zone's source has made at once.
    Local(Arc<ZoneState>, Answer),
    /// An answer just got.
    Exchanged(Arc<Entry>),
    /// An answer past its time, since no better one is to be had in time.
    Stale(Arc<Entry>),
}

impl Step<'_> {
    /// Whether the client gets neither an answer nor an absence.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Refuse(_) => true,
            Self::Exchanged(entry) => entry.is_failure(),
            Self::Drop | Self::Cached(..) | Self::Ready(..) | Self::Local(..) | Self::Stale(_) => false,
        }
    }

    /// Whether an answer past its time is better for the client.
    pub(super) fn is_worse_than_stale(&self) -> bool {
        match self {
            Self::Exchanged(entry) => entry.is_failure() && !entry.is_prohibition(),
            _ => self.is_failure(),
        }
    }

    /// The answer it has come to.
    fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Drop | Self::Refuse(_) => None,
            Self::Cached(entry, _) | Self::Exchanged(entry) | Self::Stale(entry) => Some(&entry.answer),
            Self::Ready(_, answer) => Some(answer),
            Self::Local(_, answer) => Some(answer),
        }
    }
}

/// Appends a reply; false when there is none to give.
type Make = dyn FnOnce(&mut Vec<u8>) -> bool + Send;

/// A reply that took time.
pub(crate) enum Due {
    /// Made by somebody else.
    Made(Box<(Origin, Box<Make>)>),
    /// To be made, from where the question has come to.
    Step(Arc<Road>, Box<Awaiting>),
}

/// A question on its way, with what its reply needs: put together once, and handed on.
pub(crate) struct Awaiting {
    query: Query,
    origin: Origin,
    arrived: Instant,
    step: Step<'static>,
}

impl Awaiting {
    /// It has come nowhere yet.
    pub(crate) fn new(asked: &Asked<'_>) -> Self {
        let (query, origin) = (Query::new(&asked.query), asked.origin.clone());
        Self { query, origin, arrived: asked.arrived, step: Step::Drop }
    }

    pub(crate) fn packet(&self) -> &[u8] {
        self.query.view().bytes()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn query(&self) -> QueryView<'_> {
        self.query.view()
    }

    /// The reply, now that it has come to `step`.
    pub(super) fn reply(mut self: Box<Self>, road: Arc<Road>, step: Step<'static>) -> Reply {
        self.step = step;
        Reply(Due::Step(road, self))
    }
}

impl Due {
    pub(crate) fn origin(&self) -> &Origin {
        match self {
            Self::Made(made) => &made.0,
            Self::Step(_, awaiting) => &awaiting.origin,
        }
    }

    /// Appends the reply; false when there is none to give.
    pub(crate) fn write(self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Made(made) => (made.1)(out),
            Self::Step(road, awaiting) => {
                let Awaiting { query, origin, arrived, step } = &*awaiting;
                let asked = Asked::again(query.view(), origin, *arrived);
                matches!(road.reply(&asked, step, out), Now::Reply)
            }
        }
    }
}

/// Why there is no answer.
pub(crate) enum Refusing {
    NotAllowed(Ede),
    NoRoute,
    Loop(Arc<ZoneState>, Ede),
    NoRecursion(Arc<ZoneState>),
    Overloaded(Arc<ZoneState>, Overloaded),
    BrokenOff(Arc<ZoneState>),
    Deadline(Arc<ZoneState>, Duration),
}

impl Refusing {
    /// The one place that says what a client is told.
    fn told(&self) -> (Rcode, Ede) {
        let (rcode, code, text) = match self {
            Self::NotAllowed(ede) | Self::Loop(_, ede) => return (Rcode::REFUSED, ede.clone()),
            Self::NoRoute => (
                Rcode::REFUSED,
                Ede::NOT_AUTHORITATIVE,
                "no zone here holds this name and no upstreams are configured".into(),
            ),
            Self::NoRecursion(_) => (
                Rcode::REFUSED,
                Ede::NOT_AUTHORITATIVE,
                "not known here, and the query does not desire recursion (RD)".into(),
            ),
            Self::Overloaded(_, Overloaded::Full) => {
                (Rcode::SERVFAIL, Ede::OTHER, "too many questions are waiting for answers".into())
            }
            Self::Overloaded(_, Overloaded::ClientShare) => {
                (Rcode::SERVFAIL, Ede::OTHER, "too many questions of this client are waiting for answers".into())
            }
            Self::BrokenOff(_) => (Rcode::SERVFAIL, Ede::OTHER, "the exchange broke off".into()),
            Self::Deadline(_, deadline) => {
                (Rcode::SERVFAIL, Ede::NO_REACHABLE_AUTHORITY, format!("no answer within {deadline:?}").into())
            }
        };
        (rcode, Ede { code, text })
    }

    /// The word in `strait_refused_total`.
    fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed(_) => "not_allowed",
            Self::NoRoute => "no_route",
            Self::Loop(..) => "loop",
            Self::NoRecursion(_) => "no_recursion",
            Self::Overloaded(_, Overloaded::Full) => "overloaded",
            Self::Overloaded(_, Overloaded::ClientShare) => "client_share",
            Self::BrokenOff(_) => "broken_off",
            Self::Deadline(..) => "deadline",
        }
    }

    fn zone(&self) -> Option<&Arc<ZoneState>> {
        match self {
            Self::NotAllowed(_) | Self::NoRoute => None,
            Self::Loop(zone, _)
            | Self::NoRecursion(zone)
            | Self::Overloaded(zone, _)
            | Self::BrokenOff(zone)
            | Self::Deadline(zone, _) => Some(zone),
        }
    }
}

impl Road {
    /// Appends the reply and counts the question.
    pub(super) fn reply(&self, asked: &Asked<'_>, step: &Step<'_>, reply: &mut Vec<u8>) -> Now<'static> {
        let (query, limits) = (&asked.query, limits(asked));
        let withheld = self.withhold(asked, step);
        let step = withheld.as_ref().unwrap_or(step);
        let (zone, rcode, cached): (&ZoneState, _, _) = match step {
            Step::Drop => {
                self.settings.metrics.refuse("not_allowed");
                return Now::Nothing;
            }
            Step::Refuse(refusing) => {
                self.settings.metrics.refuse(refusing.reason());
                let (rcode, ede) = refusing.told();
                query.write_error(rcode, Some(&ede), reply);
                (refusing.zone().unwrap_or(&self.nowhere), rcode, false)
            }
            Step::Cached(entry, now) => {
                entry.zone.metrics.hit(entry.answer.kind());
                if entry.write_cached(query, *now, limits, reply) {
                    self.settings.metrics.stale.inc();
                }
                (&entry.zone, entry.answer.rcode(), true)
            }
            Step::Stale(entry) => {
                entry.zone.metrics.hit(entry.answer.kind());
                entry.write_stale(query, limits, reply);
                self.settings.metrics.stale.inc();
                (&entry.zone, entry.answer.rcode(), true)
            }
            Step::Ready(zone, answer) => {
                answer.write_reply(query, 0, limits, None, reply);
                (zone, answer.rcode(), false)
            }
            Step::Local(zone, answer) => {
                answer.write_reply(query, 0, limits, None, reply);
                (zone, answer.rcode(), false)
            }
            Step::Exchanged(entry) => {
                if entry.write_awaited(query, Moment::now(), limits, reply) {
                    self.settings.metrics.stale.inc();
                }
                (&entry.zone, entry.answer.rcode(), false)
            }
        };
        if !matches!(step, Step::Refuse(Refusing::NotAllowed(_))) {
            self.settings.admit.answered(asked.origin);
        }
        let took = match step {
            Step::Cached(..) | Step::Ready(..) | Step::Local(..) => Took::AtOnce(asked.arrived),
            _ => Took::Known(asked.arrived.elapsed()),
        };
        zone.metrics.answered(asked.origin.transport, asked.query.rtype(), rcode, took);
        if self.settings.query_log.picks(rcode) {
            self.log(asked, zone, rcode, cached);
        }
        Now::Reply
    }

    /// The refusal in the place of an answer whose names who asks may not see.
    fn withhold(&self, asked: &Asked<'_>, step: &Step<'_>) -> Option<Step<'static>> {
        let answer = step.answer().filter(|answer| answer.names_others())?;
        let verdict = self.settings.admit.may_tell(asked.origin, &asked.query, answer);
        verdict.err().map(|ede| Step::Refuse(Refusing::NotAllowed(ede)))
    }

    fn log(&self, asked: &Asked<'_>, zone: &ZoneState, rcode: Rcode, cached: bool) {
        self.settings.query_log.record(QueryLogEntry {
            time: SystemTime::now(),
            client: asked.origin.client,
            transport: asked.origin.transport,
            identity: asked.origin.identity.clone(),
            name: asked.query.qname(),
            rtype: asked.query.rtype(),
            rcode,
            zone: Arc::clone(&zone.label),
            source: zone.kind,
            cached,
            duration: asked.arrived.elapsed(),
        });
    }
}

/// Size and options, by the transport and what the client can take.
fn limits(asked: &Asked<'_>) -> ReplyLimits {
    match asked.origin.transport {
        Transport::Udp => ReplyLimits::udp(&asked.query),
        Transport::Tcp => ReplyLimits { keepalive: asked.origin.keepalive, ..ReplyLimits::stream() },
        Transport::Dot | Transport::Grpc => {
            ReplyLimits { keepalive: asked.origin.keepalive, padding: true, ..ReplyLimits::stream() }
        }
    }
}
