//! The one task that hears all sockets of a server, and tells questions whose time is up.
//!
//! Its epoll descriptor is itself watched by the runtime's, so that nothing here needs a thread, and one wake-up takes
//! in everything that has come.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;
use tokio::time::sleep_until;

use super::Shared;
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

/// Hears and tells until dropped.
pub(super) async fn drive(shared: Arc<Shared>) {
    let mut ears = Ears { heard: Vec::with_capacity(BATCH), buffer: vec![0; RECEIVE_BUFFER] };
    let mut due = std::pin::pin!(sleep_until(tokio::time::Instant::now()));
    let mut armed = false;
    loop {
        tokio::select! {
            ready = shared.epoll.readable() => match ready {
                Ok(mut ready) => {
                    // First, so that what comes from now on is a new event.
                    ready.clear_ready();
                    for round in 1.. {
                        match ears.hear(&shared) {
                            Left::Nothing => break,
                            Left::Something if round % ROUNDS != 0 => {}
                            Left::Something | Left::Much => tokio::task::yield_now().await,
                        }
                    }
                }
                // The runtime is shutting down.
                Err(_) => return,
            },
            () = shared.earlier.notified() => {}
            () = &mut due, if armed => sweep(&shared),
        }
        let planned = shared.lock().planned();
        armed = planned.is_some();
        if let Some(planned) = planned
            && due.deadline().into_std() != planned
        {
            due.as_mut().reset(planned.into());
        }
    }
}

fn sweep(shared: &Shared) {
    let (expired, closed) = shared.lock().sweep(Instant::now());
    drop(closed);
    expired.iter().for_each(|waiter| waiter.tell(Event::Expired));
}

/// Room for what is heard.
struct Ears {
    heard: Vec<(usize, Arc<BoundedSocket>)>,
    buffer: Vec<u8>,
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
            let pool = shared.lock();
            let slots = ready.iter().map(|event| event.data.u64() as usize);
            self.heard.extend(slots.filter_map(|slot| Some((slot, pool.socket(slot)?))));
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
    let mut pool = shared.lock();
    let verdict = pool.judge(slot, datagram);
    let waiting = pool.waiting(slot);
    drop(pool);
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
    let waiting = shared.lock().fail(slot);
    waiting.iter().for_each(|waiter| waiter.tell(Event::Failed(cause)));
    false
}
