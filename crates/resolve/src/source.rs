//! What a route leads to: something that can answer.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use strait_wire::{Answer, Class, ClusterPath, Ede, Name, QueryView, Question, Rcode, RecordType};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A question on its way to a source: what of the query matters beyond the question itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The question, its name in lower case.
    pub question: Question,
    /// DNSSEC records wanted.
    pub dnssec_ok: bool,
    /// Checking disabled.
    pub checking_disabled: bool,
    /// The clusters passed so far.
    pub path: ClusterPath,
}

impl Ask {
    /// What `query` asks, having passed the clusters of `path`.
    pub fn new(query: &QueryView<'_>, path: ClusterPath) -> Self {
        let question = Question { name: query.qname_lower(), rtype: query.rtype(), class: Class::IN };
        Self { question, dnssec_ok: query.dnssec_ok(), checking_disabled: query.checking_disabled(), path }
    }
}

/// Something that answers questions for a zone.
pub trait Source: Send + Sync {
    /// The answer, when it lies in memory ready to be told: nothing is made for it, and an owned one shares its octets
    /// with the source, whose state may change at any time. `lower` is the name in wire form, in lower case. It leads to
    /// no other name by an alias. None: ask [`Source::answer_now`].
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        let _ = (lower, rtype);
        None
    }

    /// The answer, when it needs no waiting: names held in memory. Never blocks. None: ask [`Source::answer`].
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        let _ = ask;
        None
    }

    /// What is told to those outside the cluster in its place ([`Admit::is_outside`](crate::Admit::is_outside)); none
    /// when they are told the same. It answers at once whatever it answers.
    fn told_outside(&self) -> Option<&dyn Source> {
        None
    }

    /// The zone that its questions are counted with, whatever zone leads to it: who answers for many zones would have as
    /// many series otherwise. None: each with its own.
    fn counted_with(&self) -> Option<&Name> {
        None
    }

    /// How many questions it has on their way at most; none when that is no concern of its.
    fn capacity(&self) -> Option<usize> {
        None
    }

    /// Answers, within a time the source bounds itself.
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>>;
}

/// Why a source gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// Nothing could be reached, or nothing answered in time.
    #[error("{0}")]
    Unreachable(String),
    /// Something answered, but with nothing usable.
    #[error("{0}")]
    BadAnswer(String),
    /// The exchange ended without a word: a fault of ours.
    #[error("the exchange broke off")]
    BrokenOff,
    /// Too many questions are outstanding.
    #[error("{0}")]
    Overloaded(String),
    /// The source knows nothing yet.
    #[error("{0}")]
    NotReady(String),
    /// The question has been here before, or may not go on.
    #[error("{0}")]
    Loop(String),
    /// The answer cannot be given under the name asked for.
    #[error("{0}")]
    Unmappable(String),
}

impl SourceError {
    /// The rcode a client gets.
    pub fn rcode(&self) -> Rcode {
        match self {
            Self::Loop(_) => Rcode::REFUSED,
            _ => Rcode::SERVFAIL,
        }
    }

    /// Whether the next client would be told the same: neither a passing shortage of ours, nor what is due to the
    /// way this one question came.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        !matches!(self, Self::Overloaded(_) | Self::BrokenOff | Self::Loop(_))
    }

    /// The extended error a client gets.
    pub fn ede(&self) -> Ede {
        let code = match self {
            Self::Unreachable(_) => Ede::NO_REACHABLE_AUTHORITY,
            Self::BadAnswer(_) | Self::Unmappable(_) => Ede::INVALID_DATA,
            Self::Overloaded(_) | Self::BrokenOff => Ede::OTHER,
            Self::NotReady(_) => Ede::NOT_READY,
            Self::Loop(_) => Ede::PROHIBITED,
        };
        Ede::new(code, self.to_string())
    }
}
