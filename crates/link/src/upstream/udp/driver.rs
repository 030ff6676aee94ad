//! The one task that hears all sockets of a server, tells questions whose time is up, and sends those that are queued.
//!
//! Its epoll descriptor is itself watched by the runtime's, so that nothing here needs a thread, and one wake-up takes
//! in everything that has come.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;
use tokio::time::{Sleep, sleep_until};

use super::Shared;
use super::outbox::Outgoing;
use super::pool::Verdict;
use super::ports::BoundedSocket;
use super::waiter::Event;

/// Sockets heard between two chances for other tasks.
const BATCH: usize = 256;
/// Smaller batches heard between two chances for other tasks.
const ROUNDS: u32 = 16;
/// More than any server should send to who offers 1232 octets.
const RECEIVE_BUFFER: usize = 4096;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Hears, tells and sends until the road is gone.
pub(super) struct Driver {
    shared: Arc<Shared>,
    ears: Ears,
    /// When it looks next for what is due; none: nothing will be.
    planned: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    batch: Vec<Outgoing>,
    /// Room for a question.
    wire: Vec<u8>,
}

impl Driver {
    /// Must be called within a tokio runtime.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ears: Ears { heard: Vec::with_capacity(BATCH), buffer: vec![0; RECEIVE_BUFFER], more: false },
            planned: None,
            timer: Box::pin(sleep_until(tokio::time::Instant::now())),
            batch: Vec::new(),
            wire: Vec::new(),
        }
    }

    /// Tells those whose time is up.
    fn poll_due(&mut self, cx: &mut Context<'_>) {
        while self.planned.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            let (expired, closed, planned) = {
                let mut desk = self.shared.lock();
                let (expired, closed) = desk.pool.sweep(Instant::now());
                (expired, closed, desk.pool.planned())
            };
            drop(closed);
            expired.iter().for_each(|waiter| waiter.tell(Event::Expired));
            self.plan(planned);
        }
    }

    fn plan(&mut self, planned: Option<Instant>) {
        self.planned = planned;
        if let Some(planned) = planned {
            self.timer.as_mut().reset(planned.into());
        }
    }

    /// Sends a batch, back to back. What cannot be sent costs only itself.
    fn send(&mut self) {
        for outgoing in self.batch.drain(..).filter(|outgoing| !outgoing.is_abandoned()) {
            if let Err(error) = outgoing.send(&mut self.wire) {
                outgoing.waiter.tell(Event::Failed(error));
            }
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        if driver.ears.poll(cx, &driver.shared).is_ready() {
            return Poll::Ready(());
        }
        // From here on whoever changes what is planned or queued wakes this task.
        let mut desk = driver.shared.lock();
        if desk.closing {
            return Poll::Ready(());
        }
        #[cfg(test)]
        assert!(!std::mem::take(&mut desk.breaks), "the driver breaks");
        match &mut desk.driver {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let planned = desk.pool.planned();
        let come_back = desk.outbox.take(&mut driver.batch);
        drop(desk);
        driver.send();
        if planned != driver.planned {
            driver.plan(planned);
        }
        driver.poll_due(cx);
        if come_back {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    /// When it ends before its road does, by a fault, nobody may wait for what nobody hears any more. The next question
    /// starts another driver, with fresh sockets.
    fn drop(&mut self) {
        let mut desk = self.shared.lock();
        if desk.closing {
            return;
        }
        let (pool, outbox) = (std::mem::take(&mut desk.pool), std::mem::take(&mut desk.outbox));
        desk.driver = None;
        desk.is_driven = false;
        drop(desk);
        drop(outbox);
        for waiter in pool.into_waiting() {
            waiter.tell(Event::Failed(io::Error::other("who hears the answers has ended; the next question is heard")));
        }
    }
}

/// Room for what is heard.
struct Ears {
    heard: Vec<(usize, Arc<BoundedSocket>)>,
    buffer: Vec<u8>,
    /// There is more to hear than one turn allows.
    more: bool,
}

/// What may still be there to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// On a socket that had more than one question.
    Something,
    /// There were more sockets than are heard at once.
    Much,
}

impl Ears {
    /// Hears what has come. Ready when the runtime is shutting down.
    fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<()> {
        loop {
            if !self.more {
                let Ok(mut ready) = ready!(shared.epoll.poll_read_ready(cx)) else { return Poll::Ready(()) };
                // First, so that what comes from now on is a new event.
                ready.clear_ready();
            }
            self.more = self.hear_turn(shared);
            if self.more {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Hears as much as one turn allows. Whether there is more.
    fn hear_turn(&mut self, shared: &Shared) -> bool {
        for _ in 0..ROUNDS {
            match self.hear(shared) {
                Left::Nothing => return false,
                Left::Something => {}
                Left::Much => return true,
            }
        }
        true
    }

    /// Takes one datagram from every socket that has some.
    fn hear(&mut self, shared: &Shared) -> Left {
        let mut events = [const { MaybeUninit::uninit() }; BATCH];
        let ready = match epoll::wait(&shared.epoll, &mut events, Some(&AT_ONCE)) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => return Left::Something,
            Err(_) => return Left::Nothing,
        };
        let mut left = if ready.len() == BATCH { Left::Much } else { Left::Nothing };
        {
            let desk = shared.lock();
            let slots = ready.iter().map(|event| event.data.u64() as usize);
            self.heard.extend(slots.filter_map(|slot| Some((slot, desk.pool.socket(slot)?))));
        }
        for (slot, socket) in self.heard.drain(..) {
            let waited_on = match socket.udp.recv(&mut self.buffer) {
                Ok(len) => take(shared, slot, &self.buffer[..len]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => false,
                Err(error) => fail(shared, slot, error.kind()),
            };
            if waited_on && left == Left::Nothing {
                left = Left::Something;
            }
        }
        left
    }
}

/// Gives a datagram to whom it belongs. Says whether anybody waits on its socket.
fn take(shared: &Shared, slot: usize, datagram: &[u8]) -> bool {
    let mut desk = shared.lock();
    let verdict = desk.pool.judge(slot, datagram);
    let waiting = desk.pool.waiting_on(slot);
    drop(desk);
    match verdict {
        // Whoever gets the answer is about to leave.
        Some(Verdict::Response(waiter)) => {
            waiter.tell(Event::Response(datagram.to_vec()));
            return waiting > 1;
        }
        Some(Verdict::Ignored(reason, told)) => {
            shared.metrics.ignored(reason);
            told.iter().for_each(|waiter| waiter.tell(Event::OtherCase));
        }
        Some(Verdict::Suspicious(reason, all)) => {
            shared.metrics.ignored(reason);
            all.iter().for_each(|waiter| waiter.tell(Event::Suspicious));
        }
        None => {}
    }
    waiting > 0
}

/// Tells who waits on a socket that it is of no use: the system says that nothing listens there.
fn fail(shared: &Shared, slot: usize, cause: io::ErrorKind) -> bool {
    let waiting = shared.lock().pool.fail(slot);
    waiting.iter().for_each(|waiter| waiter.tell(Event::Failed(cause.into())));
    false
}
