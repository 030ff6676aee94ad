//! Answers strung together along aliases into one.

use std::sync::Arc;
use std::time::Duration;

use strait_wire::{
    Answer, AnswerKind, Ede, Flags, MAX_ALIASES, Message, Name, Question, Rcode, Record, RecordType, WireError,
};

use crate::active::{ActiveRoute, ZoneState};
use crate::cache::Entry;
use crate::moment::Moment;

/// What one source, or the cache, said.
pub(super) struct Part {
    pub(super) answer: Answer,
    /// How long it may be kept.
    pub(super) lifetime: Duration,
    pub(super) zone: Arc<ZoneState>,
    /// Whether answers of its zone go through the cache.
    pub(super) cached: bool,
    /// Seconds since it was made.
    age: u32,
    via: Vec<(Name, Arc<ZoneState>)>,
}

impl Part {
    pub(super) fn new(answer: Answer, lifetime: Duration, route: &ActiveRoute) -> Self {
        let (zone, cached) = (Arc::clone(&route.zone), route.route.cached);
        Self { answer, lifetime, zone, cached, age: 0, via: Vec::new() }
    }

    pub(super) fn cached(entry: &Entry, now: Moment) -> Self {
        let stale = entry.is_stale(now);
        Self {
            answer: if stale { entry.as_stale() } else { entry.answer.clone() },
            lifetime: entry.remaining(now),
            zone: Arc::clone(&entry.zone),
            cached: true,
            age: if stale { 0 } else { entry.age(now) },
            via: entry.via.to_vec(),
        }
    }
}

/// The answer so far.
pub(super) struct Chain<'a> {
    question: &'a Question,
    answer: Answer,
    /// The least of the parts'.
    lifetime: Duration,
    zone: Arc<ZoneState>,
    via: Vec<(Name, Arc<ZoneState>)>,
    /// Whether any part came from a zone that is cached: what is in memory anyway is not kept twice.
    cached: bool,
    /// Whether the last alias leads where nobody can be asked.
    open: bool,
    failure_lifetime: Duration,
}

impl<'a> Chain<'a> {
    pub(super) fn begin(question: &'a Question, first: Part, failure_lifetime: Duration) -> Self {
        let Part { answer, lifetime, zone, cached, age: _, via } = first;
        Self { question, answer, lifetime, zone, via, cached, open: false, failure_lifetime }
    }

    /// The name to ask next; none when all is said. A circle or too long a chain ends in SERVFAIL.
    pub(super) fn dangling(&mut self) -> Option<Name> {
        let target = self.answer.dangling_alias().filter(|_| !self.open)?.clone();
        let aliases = match self.answer.to_message() {
            Ok(message) => message.answers.into_iter().filter(|r| r.rtype == RecordType::CNAME).collect::<Vec<_>>(),
            Err(error) => {
                self.fail(Rcode::SERVFAIL, Some(Ede::new(Ede::INVALID_DATA, error.to_string())));
                return None;
            }
        };
        let trouble = if aliases.len() > MAX_ALIASES {
            format!("more than {MAX_ALIASES} aliases from {}", self.question.name)
        } else if aliases.iter().any(|alias| alias.name == target) {
            format!("the aliases from {} go in a circle", self.question.name)
        } else {
            return Some(target);
        };
        self.fail(Rcode::SERVFAIL, Some(Ede::new(Ede::INVALID_DATA, trouble)));
        None
    }

    /// Adds what is said about `target`.
    pub(super) fn add(&mut self, target: Name, part: &Part) {
        self.lifetime = self.lifetime.min(part.lifetime);
        self.cached |= part.cached;
        self.via.push((target, Arc::clone(&part.zone)));
        self.via.extend(part.via.iter().cloned());
        if part.answer.kind() == AnswerKind::Failure {
            let (lifetime, ede) = (self.lifetime, part.answer.ede().cloned());
            self.fail(part.answer.rcode(), ede);
            self.lifetime = lifetime;
            return;
        }
        match join(&self.answer, part) {
            Ok(answer) => self.answer = answer,
            Err(error) => self.fail(Rcode::SERVFAIL, Some(Ede::new(Ede::INVALID_DATA, error.to_string()))),
        }
    }

    /// Ends the chain at an alias into a zone that is not here: as an authoritative server would answer. It is
    /// not kept, since the zone may come.
    pub(super) fn leave_open(&mut self) {
        (self.open, self.lifetime) = (true, Duration::ZERO);
    }

    pub(super) fn finish(self, generation: u64) -> Entry {
        let lifetime = if self.cached { self.lifetime } else { Duration::ZERO };
        Entry::new(self.answer, self.zone, self.via, lifetime, generation)
    }

    fn fail(&mut self, rcode: Rcode, ede: Option<Ede>) {
        self.answer = Answer::failure(self.question.clone(), rcode, ede);
        self.lifetime = self.lifetime.min(self.failure_lifetime);
    }
}

/// The records of `before` and then those of `part`. The rcode and the proof of absence are the last's; AA is the
/// first's, which owns the name asked for (RFC 1035 4.1.1); AD is told only of what is all authentic (RFC 4035 3.2.3).
fn join(before: &Answer, part: &Part) -> Result<Answer, WireError> {
    let mut message = before.to_message()?;
    let next = part.answer.to_message()?;
    let authentic = message.flags.has(Flags::AD) && next.flags.has(Flags::AD);
    message.flags = message.flags.with(Flags::AD, authentic);
    message.rcode = next.rcode;
    message.answers.extend(aged(next.answers, part.age));
    message.authorities = aged(next.authorities, part.age).collect();
    message.additionals = aged(next.additionals, part.age).collect();
    Answer::new(&Message { edns: next.edns, ..message })
}

fn aged(records: Vec<Record>, age: u32) -> impl Iterator<Item = Record> {
    records.into_iter().map(move |record| Record { ttl: record.ttl.saturating_sub(age), ..record })
}
