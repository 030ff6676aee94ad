//! Who waits for an answer over UDP: a mailbox that the driver fills and one task empties.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Datagrams that wait in one box at most; a forger who has guessed everything fills no more.
const MAX_DATAGRAMS: usize = 8;

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
    Failed(io::ErrorKind),
}

/// One question's mailbox, and what its answer has to repeat.
pub(super) struct Waiter {
    /// The question section as it was sent, in its random case.
    pub(super) question: Box<[u8]>,
    mail: Mutex<Mail>,
}

#[derive(Default)]
struct Mail {
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

impl Waiter {
    pub(super) fn new(question: &[u8]) -> Self {
        Self { question: question.into(), mail: Mutex::default() }
    }

    /// Puts an event into the box and wakes the task that waits.
    pub(super) fn tell(&self, event: Event) {
        let mut mail = self.lock();
        // What is not a datagram comes once and must not be lost.
        let is_datagram = matches!(event, Event::Response(_) | Event::OtherCase);
        if !is_datagram || mail.events.len() < MAX_DATAGRAMS {
            mail.events.push_back(event);
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
        match mail.events.pop_front() {
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
