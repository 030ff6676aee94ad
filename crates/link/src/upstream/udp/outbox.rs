//! Questions that wait to be sent, so that those asked in one moment leave back to back: a server that waits is woken
//! by the first of them, and finds the others there.
//!
//! Each leaves from the socket it was given, one call for each: questions that shared a socket because they were asked
//! together would say something of each other's ports (docs/decisions/0008).

use std::io;
use std::sync::Arc;

use super::pool::Place;
use super::ports::BoundedSocket;
use super::waiter::Waiter;

/// Questions sent between two chances for other tasks.
pub(super) const BATCH: usize = 64;

/// A question with its place.
pub(super) struct Outgoing {
    socket: Arc<BoundedSocket>,
    id: u16,
    pub(super) waiter: Arc<Waiter>,
}

impl Outgoing {
    pub(super) fn new(socket: Arc<BoundedSocket>, place: Place, waiter: &Arc<Waiter>) -> Self {
        Self { socket, id: place.id, waiter: Arc::clone(waiter) }
    }

    /// Sends it; `wire` is room to write it in.
    pub(super) fn send(&self, wire: &mut Vec<u8>) -> io::Result<()> {
        wire.clear();
        wire.extend_from_slice(&self.waiter.wire);
        wire[..2].copy_from_slice(&self.id.to_be_bytes());
        self.socket.send(wire)
    }

    /// Whether the asker has left: nobody else holds the mailbox then.
    pub(super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.waiter) == 1
    }
}

/// What waits to be sent: what was asked since the driver's last turn. Who leaves before it is sent keeps a place here until
/// that turn, and is passed over then.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Vec<Outgoing>,
    /// The others have had their chance to queue as well since the first did.
    gathered: bool,
    /// Batches taken so far.
    #[cfg(test)]
    pub(super) batches: usize,
}

impl Outbox {
    /// Queues a question.
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.queue.push(outgoing);
    }

    /// Whether the driver is to be woken, unless it has been already.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Moves what is to be sent now to `batch`. Says whether to come back once everyone who is ready has run: others
    /// may queue until then, or there was too much for one turn.
    pub(super) fn take(&mut self, batch: &mut Vec<Outgoing>) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        if !std::mem::replace(&mut self.gathered, true) {
            return true;
        }
        #[cfg(test)]
        {
            self.batches += 1;
        }
        batch.extend(self.queue.drain(..self.queue.len().min(BATCH)));
        self.gathered = !self.queue.is_empty();
        self.gathered
    }
}
