//! Questions on their way over one socket or connection: a fixed number of places, each filled again when its answer comes.

use std::time::{Duration, Instant};

use crate::names::{Names, is_answer};

/// A question without an answer is lost after so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The lower bits of an identifier are the place, the upper ones tell its users apart.
const PLACE_BITS: u32 = 10;

/// As many places as there may be.
pub(crate) const MAX_PLACES: usize = 1 << PLACE_BITS;

/// The places of one socket or connection.
pub(crate) struct Window {
    places: Vec<Place>,
}

#[derive(Clone)]
struct Place {
    question: Vec<u8>,
    asked: Instant,
    waiting: bool,
}

/// What a message from the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The answer to the question at this place, that was asked then.
    Right(usize, Instant),
    /// Something else for the question at this place.
    Wrong(usize),
    /// Nothing that is waited for.
    Stray,
}

impl Window {
    /// So many empty places.
    pub(crate) fn new(places: usize) -> Self {
        assert!(places <= MAX_PLACES, "at most {MAX_PLACES} questions are on their way over one socket");
        Self { places: vec![Place { question: vec![0; 2], asked: Instant::now(), waiting: false }; places] }
    }

    /// Puts the next question at a place, and returns it.
    pub(crate) fn ask(&mut self, place: usize, names: &mut Names, now: Instant) -> &[u8] {
        let slot = &mut self.places[place];
        let last = u16::from_be_bytes([slot.question[0], slot.question[1]]);
        let id = ((last >> PLACE_BITS) + 1) << PLACE_BITS | place as u16;
        slot.question.clear();
        slot.question.extend_from_slice(names.next());
        slot.question[..2].copy_from_slice(&id.to_be_bytes());
        slot.asked = now;
        slot.waiting = true;
        &slot.question
    }

    /// Takes a message from the server.
    pub(crate) fn take(&mut self, reply: &[u8]) -> Taken {
        let Some(id) = reply.first_chunk::<2>() else { return Taken::Stray };
        let place = usize::from(u16::from_be_bytes(*id)) % MAX_PLACES;
        match self.places.get_mut(place) {
            Some(slot) if slot.waiting && slot.question[..2] == *id => {
                slot.waiting = false;
                if is_answer(&slot.question, reply) { Taken::Right(place, slot.asked) } else { Taken::Wrong(place) }
            }
            _ => Taken::Stray,
        }
    }

    /// Gives up a place whose question has waited too long.
    pub(crate) fn give_up(&mut self, now: Instant) -> Option<usize> {
        let late = |slot: &Place| slot.waiting && now.saturating_duration_since(slot.asked) > PATIENCE;
        let place = self.places.iter().position(late)?;
        self.places[place].waiting = false;
        Some(place)
    }

    /// How many questions are on their way.
    pub(crate) fn waiting(&self) -> usize {
        self.places.iter().filter(|slot| slot.waiting).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ADDRESS;

    fn reply(question: &[u8]) -> Vec<u8> {
        let mut reply = question.to_vec();
        reply[2] |= 0x80;
        reply[7] = 1;
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
        reply.extend_from_slice(&ADDRESS);
        reply
    }

    #[test]
    fn an_answer_counts_once_and_for_its_own_question() {
        let mut names = Names::fresh("example");
        let mut window = Window::new(2);
        let now = Instant::now();
        let first = reply(window.ask(0, &mut names, now));
        let second = reply(window.ask(1, &mut names, now));
        assert_eq!(window.take(&second), Taken::Right(1, now));
        assert_eq!(window.take(&second), Taken::Stray, "a second time");
        let again = window.ask(1, &mut names, now).to_vec();
        assert_eq!(window.take(&second), Taken::Stray, "the answer to what was asked before");
        let mut other = reply(&again);
        other[13] ^= 1;
        assert_eq!(window.take(&other), Taken::Wrong(1), "another name");
        assert_eq!(window.take(&first), Taken::Right(0, now));
        assert_eq!(window.take(&[]), Taken::Stray);
    }

    #[test]
    fn what_waits_too_long_is_given_up() {
        let mut window = Window::new(1);
        let now = Instant::now();
        window.ask(0, &mut Names::fresh("example"), now);
        assert_eq!(window.give_up(now + PATIENCE), None);
        assert_eq!(window.give_up(now + PATIENCE * 2), Some(0));
        assert_eq!(window.waiting(), 0);
    }
}
