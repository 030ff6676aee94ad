//! Questions to one server over UDP.
//!
//! ```text
//!  task of a question ── submit ──► pool: a socket, an id ──► outbox ──► send, many in one go
//!         ▲                                                               ┊
//!         └── mailbox ◄── judge ◄── receive ◄── epoll ◄── driver, one task per server; also tells whose time is up
//! ```
//!
//! A random port, a random id and random case in the name (RFC 5452 9.2); the kernel drops what comes from elsewhere,
//! since every socket is connected. What does not fit all of these is not the answer: it is passed over, and waiting
//! goes on. Whether the response itself can be used is for the task to find out.

mod driver;
mod outbox;
mod pool;
mod ports;
mod waiter;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use strait_resolve::Ask;
use strait_wire::Header;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use self::driver::Driver;
use self::outbox::{Outbox, Outgoing};
use self::pool::{Place, Placed, Pool};
use self::ports::BoundedSocket;
use self::waiter::Waiter;
use crate::metrics::ServerMetrics;
use crate::question::{Padding, encode, randomize_case};

#[cfg(test)]
pub(super) use self::ports::BUFFERS_ARE_FULL;
pub(super) use self::ports::{OpenError, Ports};
pub(super) use self::waiter::Event;

/// The road to one server. Its driver starts with the first question and ends with this; should it end before, by a
/// fault, the next question starts another.
pub(super) struct UdpRoad {
    server: SocketAddr,
    ports: Arc<Ports>,
    metrics: Arc<ServerMetrics>,
    started: OnceLock<Arc<Shared>>,
}

/// What tasks and the driver share.
struct Shared {
    epoll: AsyncFd<OwnedFd>,
    desk: Mutex<Desk>,
    metrics: Arc<ServerMetrics>,
}

#[derive(Default)]
struct Desk {
    pool: Pool,
    outbox: Outbox,
    /// The driver, unless it has been woken already.
    driver: Option<Waker>,
    /// There is a driver.
    is_driven: bool,
    /// The road is gone.
    closing: bool,
    /// The driver panics at its next turn.
    #[cfg(test)]
    breaks: bool,
}

impl UdpRoad {
    pub(super) fn new(server: SocketAddr, ports: Arc<Ports>, metrics: Arc<ServerMetrics>) -> Self {
        Self { server, ports, metrics, started: OnceLock::new() }
    }

    /// Sends a question, which is waited for until then at first. Must be called within a tokio runtime.
    ///
    /// While others are in flight more is likely to be asked in this very moment: it leaves together with what everyone
    /// asks who is ready to run. A question that is alone leaves at once.
    pub(super) fn submit(&self, ask: &Ask, until: Instant, now: Instant) -> Result<UdpQuestion<'_>, OpenError> {
        let shared = self.shared().map_err(OpenError::NoRoom)?;
        let mut wire = encode(0, ask, &ask.question.name, &ask.path, Padding::Off);
        let name = ask.question.name.as_wire().len();
        randomize_case(&mut wire[Header::LEN..Header::LEN + name]);
        let waiter = Arc::new(Waiter::new(wire, name));

        let (mut desk, placed) = self.place(shared, &waiter, until, now);
        if !std::mem::replace(&mut desk.is_driven, true) {
            tokio::spawn(Driver::new(Arc::clone(shared)));
        }
        let (socket, place) = match placed {
            Ok(placed) => placed,
            Err(error) => {
                shared.release(desk);
                return Err(error);
            }
        };
        let outgoing = Outgoing::new(socket, place, &waiter);
        let question = UdpQuestion { shared, waiter, place };
        if desk.pool.waiting() == 1 {
            shared.release(desk);
            outgoing.send(&mut Vec::new()).map_err(OpenError::of_sending)?;
        } else {
            desk.outbox.push(outgoing);
            shared.release(desk);
        }
        Ok(question)
    }

    /// A place on an open socket, or on a fresh one.
    fn place<'a>(
        &self,
        shared: &'a Shared,
        waiter: &Arc<Waiter>,
        until: Instant,
        now: Instant,
    ) -> (MutexGuard<'a, Desk>, Result<Placed, OpenError>) {
        let mut desk = shared.lock();
        if let Some(placed) = desk.pool.join(waiter, until, now) {
            return (desk, Ok(placed));
        }
        let has_room = desk.pool.has_room();
        drop(desk);
        // Making a socket takes a while; others need not wait for it.
        let fresh = if has_room { self.ports.open(self.server) } else { Err(no_room()) };
        let mut desk = shared.lock();
        let placed = match fresh {
            Ok(fresh) => shared.add(&mut desk.pool, fresh, waiter, until, now),
            Err(OpenError::NoRoom(error)) => desk.pool.join_any(waiter, until, now).ok_or(OpenError::NoRoom(error)),
            Err(error) => Err(error),
        };
        (desk, placed)
    }

    fn shared(&self) -> io::Result<&Arc<Shared>> {
        if let Some(started) = self.started.get() {
            return Ok(started);
        }
        #[allow(deprecated, reason = "its heir is unsafe; an OwnedFd is one descriptor for life, as it demands")]
        let epoll = AsyncFd::with_interest(epoll::create(CreateFlags::CLOEXEC)?, Interest::READABLE)?;
        let shared = Shared { epoll, desk: Mutex::default(), metrics: Arc::clone(&self.metrics) };
        Ok(self.started.get_or_init(|| Arc::new(shared)))
    }
}

fn no_room() -> OpenError {
    OpenError::NoRoom(io::Error::other("too many sockets are open to this upstream"))
}

impl Drop for UdpRoad {
    fn drop(&mut self) {
        let Some(shared) = self.started.get() else { return };
        let mut desk = shared.lock();
        desk.closing = true;
        let driver = desk.driver.take();
        drop(desk);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question on a fresh socket, which the driver hears from now on.
    fn add(
        &self,
        pool: &mut Pool,
        fresh: BoundedSocket,
        waiter: &Arc<Waiter>,
        until: Instant,
        now: Instant,
    ) -> Result<Placed, OpenError> {
        let fresh = Arc::new(fresh);
        let place = pool.add(&fresh, waiter, until, now);
        let slot = EventData::new_u64(place.slot as u64);
        if let Err(error) = epoll::add(&self.epoll, &fresh.udp, slot, EventFlags::IN) {
            pool.fail(place.slot);
            pool.leave(place, waiter, now);
            return Err(OpenError::NoRoom(error.into()));
        }
        Ok((fresh, place))
    }

    /// Lets the driver know of what has been queued or has become due, if it has to.
    fn release(&self, mut desk: MutexGuard<'_, Desk>) {
        let earlier = desk.pool.plan();
        let driver = if earlier || desk.outbox.is_waiting() { desk.driver.take() } else { None };
        drop(desk);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// A question on its way. Dropping it ends the wait.
pub(super) struct UdpQuestion<'a> {
    shared: &'a Shared,
    waiter: Arc<Waiter>,
    place: Place,
}

impl UdpQuestion<'_> {
    /// What happens next.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Event> {
        self.waiter.poll(cx)
    }

    /// [`Event::Expired`] comes then, and not when it was to come before.
    pub(super) fn wait_until(&self, until: Instant) {
        let mut desk = self.shared.lock();
        desk.pool.wait_until(self.place, &self.waiter, until);
        self.shared.release(desk);
    }
}

impl Drop for UdpQuestion<'_> {
    fn drop(&mut self) {
        let mut desk = self.shared.lock();
        desk.pool.leave(self.place, &self.waiter, Instant::now());
        self.shared.release(desk);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
