//! One question at one server: sent when made, listened to for as long as the question has time. After its budget a try is
//! overdue, and others are asked; an answer that comes nevertheless is an answer.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use strait_resolve::{Ask, BoxFuture};
use strait_wire::{Answer, CheckError, Flags, Header};

use super::server::Server;
use super::udp::{Event, OpenError, UdpQuestion, UdpRoad};
use crate::dial::explain;
use crate::exchange::LinkError;
use crate::metrics::{Ignored, Reason};
use crate::question::Padding;

/// How long a good answer is still awaited after a bad one that fits the question (TuDoor, CVE-2023-28452). Short: most
/// likely the bad one is the server's own, and will be so again.
const BAD_ANSWER_PATIENCE: Duration = Duration::from_millis(200);

/// Why one server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TryError {
    #[error("timed out")]
    Timeout,
    #[error("{0}")]
    Connection(String),
    #[error("{0}")]
    BadAnswer(String),
    #[error("cannot be asked from here now: {0}")]
    Full(String),
}

impl TryError {
    /// Whether the server answered, with something that cannot be used.
    pub(super) fn is_bad_answer(&self) -> bool {
        matches!(self, Self::BadAnswer(_))
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Timeout => Reason::Timeout,
            Self::Connection(_) => Reason::Connection,
            Self::BadAnswer(_) => Reason::BadAnswer,
            Self::Full(_) => Reason::Full,
        }
    }
}

impl From<CheckError> for TryError {
    fn from(error: CheckError) -> Self {
        Self::BadAnswer(error.to_string())
    }
}

impl From<LinkError> for TryError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Full => Self::Full(error.to_string()),
            LinkError::Lost(cause) | LinkError::Failed(cause) => Self::Connection(cause.to_string()),
        }
    }
}

impl From<OpenError> for TryError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoRoom(error) => Self::Full(error.to_string()),
            OpenError::NotReachable(error) => Self::Connection(explain(&error)),
        }
    }
}

/// What came of a try.
pub(super) type Outcome = Result<Answer, TryError>;

/// One question at one server.
pub(super) struct Attempt<'a> {
    pub(super) server: &'a Server,
    ask: &'a Ask,
    asked: Instant,
    /// Its budget is spent then.
    overdue: Instant,
    /// Nothing is listened to from then on.
    gives_up: Instant,
    /// There is nothing more to say about the server.
    settled: bool,
    road: Road<'a>,
    /// The last response over UDP that could not be used.
    bad: Option<CheckError>,
}

/// How it is asked.
enum Road<'a> {
    Udp(Udp<'a>),
    Link(BoxFuture<'a, Outcome>),
    /// It could not be sent.
    Nowhere(TryError),
}

impl<'a> Attempt<'a> {
    /// Asks now. The question has until `deadline`; the first look at the outcome is until `until`.
    pub(super) fn new(server: &'a Server, ask: &'a Ask, now: Instant, until: Instant, deadline: Instant) -> Self {
        let overdue = now + server.settings.max_try_budget;
        let road = match &server.udp {
            None => Road::Link(Box::pin(server.ask_link(ask, Padding::On, overdue))),
            Some(udp) => match Udp::new(udp, ask, until.min(deadline), now) {
                Ok(udp) => Road::Udp(udp),
                Err(error) => Road::Nowhere(error.into()),
            },
        };
        Self { server, ask, asked: now, overdue, gives_up: deadline, settled: false, road, bad: None }
    }

    /// When its budget is spent.
    pub(super) fn overdue(&self) -> Instant {
        self.overdue
    }

    /// The server has answered the question, if not this try of it: that this one has not been answered says nothing.
    pub(super) fn excuse(&mut self) {
        self.settled = true;
    }

    /// What came of it, if anything has until then. If nothing has, it may be asked for once more. Nothing is lost when
    /// this future is dropped.
    pub(super) async fn outcome(&mut self, until: Instant) -> Option<Outcome> {
        let outcome = loop {
            let until = until.min(self.gives_up);
            let heard = match &mut self.road {
                Road::Udp(udp) => udp.next(until).await,
                Road::Link(answer) => match tokio::time::timeout_at(until.into(), answer).await {
                    Ok(outcome) => break outcome,
                    Err(_) if until < self.gives_up => return None,
                    Err(_) => break Err(TryError::Timeout),
                },
                Road::Nowhere(error) => break Err(error.clone()),
            };
            match heard {
                Heard::Event(Event::Response(response)) if is_truncated(&response) => self.leave_udp(),
                Heard::Event(Event::Response(response)) => match self.server.check(&response, self.ask) {
                    Ok(answer) => break Ok(answer),
                    Err(error) => self.take_bad(error),
                },
                // A server that does not keep the case, most likely, or a forger: TCP settles it either way.
                Heard::Event(Event::OtherCase | Event::Suspicious) => self.ask_over_tcp_as_well(),
                // Of a wait that has been changed since.
                Heard::Event(Event::Expired) if Instant::now() < until => {}
                Heard::Event(Event::Expired) if until < self.gives_up => return None,
                Heard::Event(Event::Expired) => break Err(self.bad.map_or(TryError::Timeout, TryError::from)),
                Heard::Event(Event::Failed(cause)) => match self.take_tcp() {
                    // The answer may still come over TCP.
                    Some(tcp) => self.road = Road::Link(tcp),
                    None => break Err(OpenError::of_sending(cause).into()),
                },
                Heard::OverTcp(Ok(answer)) => break Ok(answer),
                // A failure over TCP leaves the wait for UDP as it was.
                Heard::OverTcp(Err(_)) => {}
            }
        };
        self.settled = true;
        self.take_note(&outcome);
        Some(outcome)
    }

    /// RFC 1035 4.2.1: the whole answer is to be had over TCP.
    fn leave_udp(&mut self) {
        let tcp = self.take_tcp().unwrap_or_else(|| self.over_tcp());
        self.road = Road::Link(tcp);
    }

    fn ask_over_tcp_as_well(&mut self) {
        if matches!(&self.road, Road::Udp(Udp { tcp: Tcp::NotAsked, .. })) {
            let asked = Tcp::Asked(self.over_tcp());
            if let Road::Udp(udp) = &mut self.road {
                udp.tcp = asked;
            }
        }
    }

    fn over_tcp(&self) -> BoxFuture<'a, Outcome> {
        self.server.metrics.over_tcp();
        Box::pin(self.server.ask_link(self.ask, Padding::Off, self.overdue))
    }

    fn take_tcp(&mut self) -> Option<BoxFuture<'a, Outcome>> {
        let Road::Udp(udp) = &mut self.road else { return None };
        match std::mem::replace(&mut udp.tcp, Tcp::Failed) {
            Tcp::Asked(answer) => Some(answer),
            Tcp::NotAsked | Tcp::Failed => None,
        }
    }

    /// A response that fits the question and cannot be used: a better one is awaited for a little while.
    fn take_bad(&mut self, error: CheckError) {
        self.server.metrics.ignored(match error {
            CheckError::Malformed(_) => Ignored::Malformed,
            _ => Ignored::NoAnswer,
        });
        if self.bad.replace(error).is_none() {
            self.gives_up = self.gives_up.min(Instant::now() + BAD_ANSWER_PATIENCE);
        }
    }

    fn take_note(&self, outcome: &Outcome) {
        let (server, now) = (self.server, Instant::now());
        let after = now.saturating_duration_since(self.asked);
        match outcome {
            Ok(answer) => {
                server.metrics.answered(after);
                server.alive();
                if super::refusal(answer.rcode()).is_none() {
                    server.latency.note(after, now);
                }
            }
            Err(error) => {
                server.metrics.failed(error.reason());
                // What ran out before the budget was the question's time, not the server's.
                if *error != TryError::Timeout || self.overdue <= now {
                    server.failed(error, now);
                }
            }
        }
    }
}

impl Drop for Attempt<'_> {
    /// Another has answered meanwhile, or whoever asked has left.
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let now = Instant::now();
        if self.overdue <= now {
            self.server.metrics.failed(Reason::Timeout);
            self.server.overdue(now);
        }
    }
}

fn is_truncated(response: &[u8]) -> bool {
    Header::parse(response).is_some_and(|header| header.flags.has(Flags::TC))
}

/// A question over UDP, and over TCP as well once UDP does not seem to be enough.
struct Udp<'a> {
    question: UdpQuestion<'a>,
    /// When it is told that the time is up, if it is.
    until: Option<Instant>,
    tcp: Tcp<'a>,
}

enum Tcp<'a> {
    NotAsked,
    Asked(BoxFuture<'a, Outcome>),
    Failed,
}

enum Heard {
    Event(Event),
    OverTcp(Outcome),
}

impl<'a> Udp<'a> {
    fn new(road: &'a UdpRoad, ask: &Ask, until: Instant, now: Instant) -> Result<Self, OpenError> {
        Ok(Self { question: road.submit(ask, until, now)?, until: Some(until), tcp: Tcp::NotAsked })
    }

    /// Waits for what happens next; that it is `until` is an event, too.
    async fn next(&mut self, until: Instant) -> Heard {
        if self.until.replace(until) != Some(until) {
            self.question.wait_until(until);
        }
        poll_fn(|cx| {
            if let Poll::Ready(event) = self.question.poll(cx) {
                if matches!(event, Event::Expired) {
                    self.until = None;
                }
                return Poll::Ready(Heard::Event(event));
            }
            let Tcp::Asked(answer) = &mut self.tcp else { return Poll::Pending };
            let answer = std::task::ready!(answer.as_mut().poll(cx));
            self.tcp = Tcp::Failed;
            Poll::Ready(Heard::OverTcp(answer))
        })
        .await
    }
}
