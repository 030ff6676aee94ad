//! Who waits for an answer over UDP: a mailbox that the driver fills and one task empties.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use strait_wire::Header;

/// Datagrams that wait in one box at most; a forger who has guessed everything fills no more.
const MAX_DATAGRAMS: usize = 8;
/// Octets of a question section behind its name.
const TYPE_AND_CLASS: usize = 4;

/// What happens to a question.
#[derive(Debug)]
pub(in crate::upstream) enum Event {
    /// A response to the very question: id, question and case are right. What it says is not checked yet.
    Response(Vec<u8>),
    /// A response with the right id and name, in another case.
    OtherCase,
    /// Too much on this socket was not an answer: somebody may be forging.
    Suspicious,
    /// The time is up that was to be waited.
    Expired,
    /// The system says that the server cannot be reached.
    Failed(io::Error),
}

/// One question's mailbox, and what its answer has to repeat.
pub(super) struct Waiter {
    /// The question as it is sent, in its random case, but for its id.
    pub(super) wire: Vec<u8>,
    /// Where in it the question section ends.
    end: usize,
    mail: Mutex<Mail>,
}

#[derive(Default)]
struct Mail {
    /// Mostly the only one.
    first: Option<Event>,
    /// What has come since then.
    others: VecDeque<Event>,
    waker: Option<Waker>,
}

impl Mail {
    fn push(&mut self, event: Event) {
        match self.is_empty() {
            true => self.first = Some(event),
            false => self.others.push_back(event),
        }
    }

    fn pop(&mut self) -> Option<Event> {
        self.first.take().or_else(|| self.others.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}

impl Waiter {
    /// Of a question whose name takes so many octets.
    pub(super) fn new(wire: Vec<u8>, name: usize) -> Self {
        Self { wire, end: Header::LEN + name + TYPE_AND_CLASS, mail: Mutex::default() }
    }

    /// The question section.
    pub(super) fn question(&self) -> &[u8] {
        &self.wire[Header::LEN..self.end]
    }

    /// Puts an event into the box and wakes the task that waits.
    pub(super) fn tell(&self, event: Event) {
        let mut mail = self.lock();
        // What is not a datagram comes once and must not be lost.
        let is_datagram = matches!(event, Event::Response(_) | Event::OtherCase);
        if !is_datagram || mail.len() < MAX_DATAGRAMS {
            mail.push(event);
        }
        let waker = mail.waker.take();
        drop(mail);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next event.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut mail = self.lock();
        match mail.pop() {
            Some(event) => Poll::Ready(event),
            None => {
                match &mut mail.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
