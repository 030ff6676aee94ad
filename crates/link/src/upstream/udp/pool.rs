//! The open sockets of one server, and which question waits on which. No input or output happens here.
//!
//! A socket takes a few questions for a short time, then no more, and is closed once nobody waits on it. A question goes
//! to a random one of the open sockets when there are many, and otherwise to a fresh one, so that with little traffic
//! every question has a port of its own. Why this is as good as a port per question: docs/decisions/0008.

mod slot;

use std::sync::Arc;
use std::time::{Duration, Instant};

use strait_wire::{Flags, Header, Opcode};

use self::slot::{Slot, sooner};
use super::ports::BoundedSocket;
use super::waiter::Waiter;
use crate::metrics::Ignored;

/// Sockets a question is drawn among; while fewer take questions it gets a fresh one.
pub(super) const OPEN: usize = 64;
/// Sockets of one server, those included that only wait for answers.
const MAX_SOCKETS: usize = 4096;
/// Datagrams on one socket that answer no question of it before its questions go over TCP as well, where nobody
/// can forge from outside, and no further question goes there.
const MAX_FORGED: u32 = 3;
/// Between two looks for what is due.
pub(super) const SWEEP: Duration = Duration::from_millis(10);

/// The sockets.
#[derive(Default)]
pub(super) struct Pool {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Those that take questions.
    open: Vec<usize>,
    /// Questions that wait, on whichever socket.
    waiting: usize,
    /// When the driver looks next for what is due.
    planned: Option<Instant>,
    /// The earliest of what has become due since it planned that.
    due: Option<Instant>,
}

/// Where a question was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) id: u16,
}

/// A question's socket, and its place there.
pub(super) type Placed = (Arc<BoundedSocket>, Place);

/// Whose a datagram is.
pub(super) enum Verdict {
    /// The response to this waiter's question.
    Response(Arc<Waiter>),
    /// Not an answer, for this reason, with who is told that its name came back in another case.
    Ignored(Ignored, Option<Arc<Waiter>>),
    /// As well, and these are to go over TCP.
    Suspicious(Ignored, Vec<Arc<Waiter>>),
}

impl Pool {
    /// Puts a question on a random open socket. None when a fresh one is due.
    pub(super) fn join(&mut self, waiter: &Arc<Waiter>, until: Instant, now: Instant) -> Option<Placed> {
        while self.open.len() >= OPEN {
            if let Some(placed) = self.join_any(waiter, until, now) {
                return Some(placed);
            }
        }
        None
    }

    /// As [`Pool::join`], however few sockets there are: when no fresh one can be had.
    pub(super) fn join_any(&mut self, waiter: &Arc<Waiter>, until: Instant, now: Instant) -> Option<Placed> {
        while !self.open.is_empty() {
            let at = self.open[rand::random_range(0..self.open.len())];
            match &mut self.slots[at] {
                Some(slot) if now < slot.closes => {
                    let socket = Arc::clone(&slot.socket);
                    let id = slot.put(waiter, until);
                    return Some((socket, self.has_put(at, id, until)));
                }
                _ => self.shut(at),
            }
        }
        None
    }

    /// Whether there is room for a fresh socket.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() - self.free.len() < MAX_SOCKETS
    }

    /// Takes a fresh socket up, with its first question.
    pub(super) fn add(
        &mut self,
        socket: &Arc<BoundedSocket>,
        waiter: &Arc<Waiter>,
        until: Instant,
        now: Instant,
    ) -> Place {
        let mut slot = Slot::new(socket, now);
        let id = slot.put(waiter, until);
        self.becomes_due(slot.closes);
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[at] = Some(slot);
        self.open.push(at);
        self.has_put(at, id, until)
    }

    /// Takes note of a question that was put into a slot.
    fn has_put(&mut self, at: usize, id: u16, until: Instant) -> Place {
        self.waiting += 1;
        self.becomes_due(until);
        if self.slots[at].as_ref().is_some_and(|slot| slot.uses_left == 0) {
            self.shut(at);
        }
        Place { slot: at, id }
    }

    /// No further question goes to this socket.
    fn shut(&mut self, at: usize) {
        self.open.retain(|open| *open != at);
        if let Some(slot) = &mut self.slots[at] {
            slot.takes_questions = false;
        }
    }

    /// The socket of a slot.
    pub(super) fn socket(&self, at: usize) -> Option<Arc<BoundedSocket>> {
        self.slots.get(at)?.as_ref().map(|slot| Arc::clone(&slot.socket))
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait on a socket.
    pub(super) fn waiting_on(&self, at: usize) -> usize {
        self.slots.get(at).and_then(Option::as_ref).map_or(0, |slot| slot.waiting)
    }

    /// Nobody waits for this answer any more. A waiter whose place is another's was here before a driver failed.
    pub(super) fn leave(&mut self, place: Place, waiter: &Arc<Waiter>, now: Instant) {
        let Some(slot) = self.slots.get_mut(place.slot).and_then(Option::as_mut) else { return };
        let Some(entry) = slot.entries.iter_mut().find(|entry| entry.is_of(place, waiter)) else { return };
        entry.waiter = None;
        slot.waiting -= 1;
        self.waiting -= 1;
        entry.until = None;
        if !slot.takes_questions && slot.waiting == 0 {
            // To be closed, together with others.
            self.becomes_due(now + SWEEP);
        }
    }

    /// Waits until another time.
    pub(super) fn wait_until(&mut self, place: Place, waiter: &Arc<Waiter>, until: Instant) {
        let Some(slot) = self.slots.get_mut(place.slot).and_then(Option::as_mut) else { return };
        if let Some(entry) = slot.entries.iter_mut().find(|entry| entry.is_of(place, waiter)) {
            entry.until = Some(until);
            slot.earliest = sooner(slot.earliest, until);
            self.becomes_due(until);
        }
    }

    /// Says whose a datagram is. What does not fit in every respect is nobody's, and the wait goes on.
    pub(super) fn judge(&mut self, at: usize, datagram: &[u8]) -> Option<Verdict> {
        let slot = self.slots.get_mut(at)?.as_mut()?;
        let header = Header::parse(datagram);
        let entry = header.and_then(|header| slot.entries.iter().find(|entry| entry.id == header.id));
        let (reason, told) = match (header, entry.map(|entry| entry.waiter.as_ref())) {
            (None, _) => (Ignored::Malformed, None),
            (_, None) => (Ignored::Id, None),
            // Nobody waits any more: the answer came late, or twice.
            (_, Some(None)) => return Some(Verdict::Ignored(Ignored::Late, None)),
            (Some(header), Some(Some(waiter))) => match mismatch(header, datagram, waiter.question()) {
                None => return Some(Verdict::Response(Arc::clone(waiter))),
                Some(Ignored::Case) => (Ignored::Case, Some(Arc::clone(waiter))),
                Some(reason) => (reason, None),
            },
        };
        slot.forged += 1;
        if slot.forged != MAX_FORGED {
            return Some(Verdict::Ignored(reason, told));
        }
        let all = slot.entries.iter().filter_map(|entry| entry.waiter.clone()).collect();
        self.shut(at);
        Some(Verdict::Suspicious(reason, all))
    }

    /// The socket is of no use; who waits on it is to be told.
    pub(super) fn fail(&mut self, at: usize) -> Vec<Arc<Waiter>> {
        self.shut(at);
        let slot = self.slots.get(at).and_then(Option::as_ref);
        slot.into_iter().flat_map(|slot| slot.entries.iter().filter_map(|entry| entry.waiter.clone())).collect()
    }

    /// Everyone who waits; the sockets are closed.
    pub(super) fn into_waiting(self) -> Vec<Arc<Waiter>> {
        self.slots.into_iter().flatten().flat_map(|slot| slot.entries).filter_map(|entry| entry.waiter).collect()
    }

    fn becomes_due(&mut self, at: Instant) {
        self.due = sooner(self.due, at);
    }

    /// Whether something has become due before the driver means to look. It is to be told.
    pub(super) fn plan(&mut self) -> bool {
        let Some(due) = self.due.take() else { return false };
        let earlier = self.planned.is_none_or(|planned| due + SWEEP < planned);
        if earlier {
            self.planned = Some(due);
        }
        earlier
    }

    /// When the driver looks next.
    pub(super) fn planned(&self) -> Option<Instant> {
        self.planned
    }

    /// Takes what is due: those whose time is up, and sockets to be closed.
    pub(super) fn sweep(&mut self, now: Instant) -> (Vec<Arc<Waiter>>, Vec<Arc<BoundedSocket>>) {
        let (mut expired, mut closed) = (Vec::new(), Vec::new());
        let mut next: Option<Instant> = None;
        for at in 0..self.slots.len() {
            let Some(slot) = &mut self.slots[at] else { continue };
            if slot.earliest.is_some_and(|earliest| earliest <= now) {
                slot.expire(now, &mut expired);
            }
            if slot.takes_questions && slot.closes <= now {
                self.shut(at);
            }
            let Some(slot) = &self.slots[at] else { continue };
            if !slot.takes_questions && slot.waiting == 0 {
                closed.extend(self.slots[at].take().map(|slot| slot.socket));
                self.free.push(at);
                continue;
            }
            let closes = slot.takes_questions.then_some(slot.closes);
            next = [next, closes, slot.earliest].into_iter().flatten().min();
        }
        self.due = None;
        self.planned = next.map(|next| next.max(now + SWEEP));
        (expired, closed)
    }

    #[cfg(test)]
    pub(super) fn sockets(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// In what a datagram with the right id differs from a response to the question, if in anything.
fn mismatch(header: Header, datagram: &[u8], asked: &[u8]) -> Option<Ignored> {
    if !header.flags.has(Flags::QR) || header.flags.opcode() != Opcode::QUERY {
        return Some(Ignored::NotAResponse);
    }
    let Some(question) = datagram[Header::LEN..].get(..asked.len()) else { return Some(Ignored::Malformed) };
    if question == asked && header.qdcount == 1 {
        return None;
    }
    let same = header.qdcount == 1 && question.eq_ignore_ascii_case(asked);
    Some(if same { Ignored::Case } else { Ignored::Question })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
