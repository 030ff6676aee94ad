//! One open socket, and the questions that were ever asked there.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::ports::BoundedSocket;
use super::super::waiter::Waiter;
use super::Place;

/// Questions that a socket takes.
pub(super) const USES: RangeInclusive<u8> = 8..=24;
/// How long a socket takes questions.
pub(super) const LIFE: Range<Duration> = Duration::from_millis(500)..Duration::from_secs(1);

pub(super) struct Slot {
    pub(super) socket: Arc<BoundedSocket>,
    /// Every question that was ever asked here. An id is used once per socket, so that nothing late or doubled can meet
    /// another question.
    pub(super) entries: Vec<Entry>,
    pub(super) waiting: usize,
    pub(super) takes_questions: bool,
    pub(super) uses_left: u8,
    pub(super) closes: Instant,
    pub(super) forged: u32,
    /// Nobody's time is up before.
    pub(super) earliest: Option<Instant>,
}

pub(super) struct Entry {
    pub(super) id: u16,
    /// None once nobody waits any more.
    pub(super) waiter: Option<Arc<Waiter>>,
    /// None once the waiter has been told.
    pub(super) until: Option<Instant>,
}

impl Entry {
    /// Whether the place is this one, and still the waiter's.
    pub(super) fn is_of(&self, place: Place, waiter: &Arc<Waiter>) -> bool {
        self.id == place.id && self.waiter.as_ref().is_some_and(|own| Arc::ptr_eq(own, waiter))
    }
}

impl Slot {
    /// A socket without questions yet.
    pub(super) fn new(socket: &Arc<BoundedSocket>, now: Instant) -> Self {
        let uses = rand::random_range(USES);
        Self {
            socket: Arc::clone(socket),
            entries: Vec::with_capacity(usize::from(uses)),
            waiting: 0,
            takes_questions: true,
            uses_left: uses,
            closes: now + rand::random_range(LIFE),
            forged: 0,
            earliest: None,
        }
    }

    /// Takes a question in, under an id that was not used here.
    pub(super) fn put(&mut self, waiter: &Arc<Waiter>, until: Instant) -> u16 {
        let id = loop {
            let id = rand::random();
            if self.entries.iter().all(|entry| entry.id != id) {
                break id;
            }
        };
        self.entries.push(Entry { id, waiter: Some(Arc::clone(waiter)), until: Some(until) });
        self.waiting += 1;
        self.earliest = sooner(self.earliest, until);
        self.uses_left -= 1;
        id
    }

    /// Takes the waiters whose time is up; they stay in their places until they leave.
    pub(super) fn expire(&mut self, now: Instant, expired: &mut Vec<Arc<Waiter>>) {
        for entry in &mut self.entries {
            if entry.until.is_some_and(|until| until <= now) {
                entry.until = None;
                expired.extend(entry.waiter.clone());
            }
        }
        self.earliest = self.entries.iter().filter_map(|entry| entry.until).min();
    }
}

/// The earlier of the two.
pub(super) fn sooner(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}
