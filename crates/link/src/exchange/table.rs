//! Who waits for which id: a slab of slots, found by id without a search.
//!
//! A slot is taken by a question from its asking until its asker has taken the answer, or gave up and the answer came
//! or is no longer expected. Those that wait are chained in the order they were asked, so that who is late is found
//! at the head. No lock, no clock.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{LinkError, MAX_GIVEN_UP, MAX_IN_FLIGHT};

/// The end of the chain; no slot has this number, since there are fewer.
const NONE: u16 = u16::MAX;

/// The answer with the time it took, or why there is none.
pub(super) type Outcome = Result<(Bytes, Duration), LinkError>;

/// A question's place: its slot, and the serial number that tells it from later holders of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    slot: u16,
    serial: u64,
}

struct Slot {
    serial: u64,
    state: State,
    asked: Instant,
    /// Neighbours in the chain.
    earlier: u16,
    later: u16,
}

enum State {
    Free,
    /// In the chain, with who is woken by the answer.
    Waiting(Option<Waker>),
    /// Waits as well, but was found late and left the chain.
    Late(Option<Waker>),
    /// The asker has not come for it yet.
    Done(Outcome),
    /// An answer may still come, for nobody.
    GivenUp,
}

/// What an asker finds.
pub(super) enum Found {
    /// Nothing yet. Whether the answer is late.
    Waits { late: bool },
    /// What it waits for. Its slot is free again.
    Done(Outcome),
}

/// The slots.
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Slots of questions given up, the oldest first; those since freed by their answer are skipped by serial number.
    given_up: VecDeque<Place>,
    serial: u64,
    /// Added to a slot's number it is the id: where the ids of a connection begin is not to be guessed (RFC 5452 9.2).
    first_id: u16,
    /// Slots that a question holds, answered or not.
    held: usize,
    /// Questions without an answer.
    waiting: usize,
    oldest: u16,
    newest: u16,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            given_up: VecDeque::new(),
            serial: 0,
            first_id: rand::random(),
            held: 0,
            waiting: 0,
            oldest: NONE,
            newest: NONE,
        }
    }

    /// Questions that wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes a slot for a question and gives its id; none while too many are in flight.
    pub(super) fn enter(&mut self, now: Instant) -> Option<(u16, Place)> {
        if self.held >= MAX_IN_FLIGHT {
            return None;
        }
        self.serial += 1;
        let new =
            Slot { serial: self.serial, state: State::Waiting(None), asked: now, earlier: self.newest, later: NONE };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[usize::from(slot)] = new;
                slot
            }
            None => {
                // Held and given up together are bounded by half of the 16-bit numbers.
                let slot = u16::try_from(self.slots.len()).ok().filter(|slot| *slot != NONE)?;
                self.slots.push(new);
                slot
            }
        };
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.slots[usize::from(newest)].later = slot,
        }
        self.newest = slot;
        self.held += 1;
        self.waiting += 1;
        Some((slot.wrapping_add(self.first_id), Place { slot, serial: self.serial }))
    }

    /// Notes an answer, and who is to be woken for it. False: nobody waits for that id.
    pub(super) fn deliver(&mut self, id: u64, answer: Bytes, now: Instant, wake: &mut Vec<Waker>) -> bool {
        let Ok(id) = u16::try_from(id) else { return false };
        let number = id.wrapping_sub(self.first_id);
        let Some(slot) = self.slots.get(usize::from(number)) else { return false };
        match &slot.state {
            State::Waiting(_) => self.unchain(number),
            State::Late(_) => {}
            State::GivenUp => {
                self.release(number);
                return false;
            }
            State::Free | State::Done(_) => return false,
        }
        let slot = &mut self.slots[usize::from(number)];
        let done = State::Done(Ok((answer, now.saturating_duration_since(slot.asked))));
        if let State::Waiting(waker) | State::Late(waker) = std::mem::replace(&mut slot.state, done) {
            wake.extend(waker);
        }
        self.waiting -= 1;
        true
    }

    /// What there is for the asker at `place`; while there is nothing, `waker` is kept.
    pub(super) fn look(&mut self, place: Place, waker: &Waker) -> Found {
        let slot = &mut self.slots[usize::from(place.slot)];
        let (kept, late) = match &mut slot.state {
            State::Waiting(kept) => (kept, false),
            State::Late(kept) => (kept, true),
            _ => {
                let State::Done(outcome) = std::mem::replace(&mut slot.state, State::Free) else {
                    // A place is looked at by its holder only, and before it is given up.
                    return Found::Done(Err(LinkError::Lost("the connection was given up".into())));
                };
                self.held -= 1;
                self.release(place.slot);
                return Found::Done(outcome);
            }
        };
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
        Found::Waits { late }
    }

    /// The asker at `place` went away. Its id is held back while an answer may come, the longest of those given up for
    /// the time that so many others are.
    pub(super) fn give_up(&mut self, place: Place) {
        let slot = &mut self.slots[usize::from(place.slot)];
        if slot.serial != place.serial || matches!(slot.state, State::Free | State::GivenUp) {
            return;
        }
        self.held -= 1;
        match std::mem::replace(&mut slot.state, State::GivenUp) {
            State::Done(_) => return self.release(place.slot),
            State::Waiting(_) => self.unchain(place.slot),
            _ => {}
        }
        self.waiting -= 1;
        if self.given_up.len() >= MAX_GIVEN_UP
            && let Some(oldest) = self.given_up.pop_front()
            && let slot = &self.slots[usize::from(oldest.slot)]
            && slot.serial == oldest.serial
            && matches!(slot.state, State::GivenUp)
        {
            self.release(oldest.slot);
        }
        self.given_up.push_back(place);
    }

    /// When the oldest that waits and is not known to be late was asked.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.slots.get(usize::from(self.oldest)).map(|slot| slot.asked)
    }

    /// Takes everyone asked until `then` for late; they are to be woken.
    pub(super) fn find_late(&mut self, then: Instant, wake: &mut Vec<Waker>) {
        while self.oldest().is_some_and(|asked| asked <= then) {
            let number = self.oldest;
            self.unchain(number);
            let slot = &mut self.slots[usize::from(number)];
            if let State::Waiting(waker) = std::mem::replace(&mut slot.state, State::Late(None)) {
                wake.extend(waker);
            }
        }
    }

    /// Nobody gets an answer any more.
    pub(super) fn fail(&mut self, error: &LinkError, wake: &mut Vec<Waker>) {
        for slot in &mut self.slots {
            if let State::Waiting(waker) | State::Late(waker) = &mut slot.state {
                wake.extend(waker.take());
                slot.state = State::Done(Err(error.clone()));
            }
        }
        (self.waiting, self.oldest, self.newest) = (0, NONE, NONE);
    }

    fn release(&mut self, slot: u16) {
        self.slots[usize::from(slot)].state = State::Free;
        self.free.push(slot);
    }

    fn unchain(&mut self, slot: u16) {
        let Slot { earlier, later, .. } = self.slots[usize::from(slot)];
        match earlier {
            NONE => self.oldest = later,
            earlier => self.slots[usize::from(earlier)].later = later,
        }
        match later {
            NONE => self.newest = earlier,
            later => self.slots[usize::from(later)].earlier = earlier,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn table() -> (Table, Instant, Vec<Waker>) {
        (Table::new(), Instant::now(), Vec::new())
    }

    fn answered(table: &mut Table, place: Place) -> bool {
        matches!(table.look(place, Waker::noop()), Found::Done(Ok(_)))
    }

    #[test]
    fn an_id_is_not_used_twice_while_an_answer_may_come() {
        let (mut table, now, mut wake) = table();
        let (first, _) = table.enter(now).unwrap();
        let (second, place) = table.enter(now).unwrap();
        assert_ne!(first, second);
        table.give_up(place);
        assert_eq!(table.waiting(), 1);
        // Given up: held back, until its answer has come.
        let (third, _) = table.enter(now).unwrap();
        assert!(third != first && third != second);
        assert!(!table.deliver(u64::from(second), Bytes::new(), now, &mut wake), "nobody waits for it");
        assert_eq!(table.enter(now).unwrap().0, second);
    }

    #[test]
    fn every_id_in_flight_is_another() {
        let (mut table, now, mut wake) = table();
        let mut in_flight: std::collections::HashMap<u16, Place> = std::collections::HashMap::new();
        for round in 0..100_000 {
            let (id, place) = table.enter(now).unwrap();
            assert!(in_flight.insert(id, place).is_none(), "{id} was in flight");
            // Some are answered, some given up and never answered.
            if round % 3 > 0 {
                let id = *in_flight.keys().next().unwrap();
                let place = in_flight.remove(&id).unwrap();
                assert!(table.deliver(u64::from(id), Bytes::new(), now, &mut wake));
                assert!(answered(&mut table, place));
            } else if round % 30 == 0 && in_flight.len() > 10 {
                let id = *in_flight.keys().next().unwrap();
                table.give_up(in_flight.remove(&id).unwrap());
            }
            if in_flight.len() >= 10_000 {
                break;
            }
        }
    }

    #[test]
    fn giving_up_late_does_not_hurt_the_next_holder_of_the_id() {
        let (mut table, now, mut wake) = table();
        let (id, place) = table.enter(now).unwrap();
        assert!(table.deliver(u64::from(id), Bytes::new(), now, &mut wake));
        assert!(answered(&mut table, place));
        let (again, next) = table.enter(now).unwrap();
        assert_eq!(id, again);
        table.give_up(place);
        assert!(table.deliver(u64::from(id), Bytes::new(), now, &mut wake));
        assert!(answered(&mut table, next));
    }

    #[test]
    fn what_is_in_flight_is_bounded() {
        let (mut table, now, mut wake) = table();
        let held: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| table.enter(now).unwrap()).collect();
        assert!(table.enter(now).is_none());
        // An answer that its asker has not taken counts as well.
        assert!(table.deliver(u64::from(held[0].0), Bytes::new(), now, &mut wake));
        assert!(table.enter(now).is_none());
        assert!(answered(&mut table, held[0].1));
        assert!(table.enter(now).is_some());
    }

    #[test]
    fn ids_held_back_are_bounded() {
        let (mut table, now, _) = table();
        for _ in 0..3 * MAX_GIVEN_UP {
            let (_, place) = table.enter(now).unwrap();
            table.give_up(place);
        }
        assert_eq!(table.given_up.len(), MAX_GIVEN_UP);
        assert!(table.slots.len() <= MAX_GIVEN_UP + 1);
        // And so many may be in flight beside them.
        assert!((0..MAX_IN_FLIGHT).all(|_| table.enter(now).is_some()));
        assert!(table.slots.len() <= usize::from(u16::MAX) / 2 + 1);
    }

    #[test]
    fn the_late_are_found_in_order_whatever_was_answered_between() {
        let (mut table, began, mut wake) = table();
        let places: Vec<_> = (0..10).map(|i| table.enter(began + Duration::from_secs(i)).unwrap()).collect();
        for answered in [0, 4, 9] {
            assert!(table.deliver(u64::from(places[answered].0), Bytes::new(), began, &mut wake));
        }
        assert_eq!(table.oldest(), Some(began + Duration::from_secs(1)));
        table.find_late(began + Duration::from_secs(5), &mut wake);
        let is_late = |table: &mut Table, i: usize| match table.look(places[i].1, Waker::noop()) {
            Found::Waits { late } => Some(late),
            Found::Done(_) => None,
        };
        let late: Vec<_> = (0..10).map(|i| is_late(&mut table, i)).collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(late, [None, yes, yes, yes, None, yes, no, no, no, None]);
        assert_eq!(table.oldest(), Some(began + Duration::from_secs(6)));
        // A late answer is an answer, with the time it took.
        assert!(table.deliver(u64::from(places[1].0), Bytes::new(), began + Duration::from_secs(8), &mut wake));
        let Found::Done(Ok((_, took))) = table.look(places[1].1, Waker::noop()) else { panic!("an answer") };
        assert_eq!(took, Duration::from_secs(7));
        assert_eq!(table.waiting(), 6);
    }
}
