//! Questions to one server over UDP.
//!
//! ```text
//!  task of a question ── submit ──► pool: a socket, an id ──► send
//!         ▲                                                     ┊
//!         └── mailbox ◄── judge ◄── receive ◄── epoll ◄── driver, one task per server; also tells whose time is up
//! ```
//!
//! A random port, a random id and random case in the name (RFC 5452 9.2); the kernel drops what comes from elsewhere,
//! since every socket is connected. What does not fit all of these is not the answer: it is passed over, and waiting
//! goes on. Whether the response itself can be used is for the task to find out.

mod driver;
mod pool;
mod ports;
mod waiter;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use strait_resolve::Ask;
use strait_wire::Header;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::pool::{Place, Pool};
use self::ports::BoundedSocket;
use self::waiter::Waiter;
use crate::metrics::ServerMetrics;
use crate::question::{Padding, encode, randomize_case};

pub(super) use self::ports::{OpenError, Ports};
pub(super) use self::waiter::Event;

/// The road to one server. Its driver starts with the first question and ends with this.
pub(super) struct UdpRoad {
    server: SocketAddr,
    ports: Arc<Ports>,
    metrics: Arc<ServerMetrics>,
    started: OnceLock<Started>,
}

struct Started {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What tasks and the driver share.
struct Shared {
    epoll: AsyncFd<OwnedFd>,
    pool: Mutex<Pool>,
    /// Something is due earlier than planned.
    earlier: Notify,
    metrics: Arc<ServerMetrics>,
}

impl UdpRoad {
    pub(super) fn new(server: SocketAddr, ports: Arc<Ports>, metrics: Arc<ServerMetrics>) -> Self {
        Self { server, ports, metrics, started: OnceLock::new() }
    }

    /// Sends a question, which is waited for until then at first. Must be called within a tokio runtime.
    pub(super) fn submit(&self, ask: &Ask, until: Instant) -> Result<UdpQuestion, OpenError> {
        let shared = self.shared().map_err(OpenError::NoSocket)?;
        let mut wire = encode(0, ask, &ask.question.name, &ask.path, Padding::Off);
        let end = Header::LEN + ask.question.name.as_wire().len();
        randomize_case(&mut wire[Header::LEN..end]);
        let waiter = Arc::new(Waiter::new(&wire[Header::LEN..end + 4]));
        let (socket, place) = self.place(shared, &waiter, until)?;
        let question = UdpQuestion { shared: Arc::clone(shared), waiter, place };
        wire[..2].copy_from_slice(&place.id.to_be_bytes());
        socket.udp.send(&wire).map_err(OpenError::NotReachable)?;
        Ok(question)
    }

    /// A place on an open socket, or on a fresh one.
    fn place(
        &self,
        shared: &Shared,
        waiter: &Arc<Waiter>,
        until: Instant,
    ) -> Result<(Arc<BoundedSocket>, Place), OpenError> {
        let now = Instant::now();
        let has_room = {
            let mut pool = shared.lock();
            if let Some(place) = pool.join(waiter, until, now)
                && let Some(socket) = pool.socket(place.slot)
            {
                shared.plan(pool);
                return Ok((socket, place));
            }
            pool.has_room()
        };
        // Making a socket takes a while; others need not wait for it.
        let fresh = match has_room {
            true => self.ports.open(self.server).map(Arc::new),
            false => Err(OpenError::NoSocket(io::Error::other("too many sockets are open to this upstream"))),
        };
        let mut pool = shared.lock();
        let place = match &fresh {
            Ok(socket) => pool.add(socket, waiter, until, now),
            Err(OpenError::NotReachable(_)) => None,
            Err(OpenError::NoSocket(_)) => pool.join_any(waiter, until, now),
        };
        let placed = place.and_then(|place| Some((pool.socket(place.slot)?, place)));
        shared.plan(pool);
        match (placed, fresh) {
            (Some((socket, place)), Ok(_)) => match shared.watch(&socket, place.slot) {
                Ok(()) => Ok((socket, place)),
                Err(error) => {
                    let mut pool = shared.lock();
                    pool.fail(place.slot);
                    pool.leave(place, now);
                    shared.plan(pool);
                    Err(OpenError::NoSocket(error))
                }
            },
            (Some(placed), Err(_)) => Ok(placed),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(OpenError::NoSocket(io::Error::other("a fresh socket takes no question"))),
        }
    }

    fn shared(&self) -> io::Result<&Arc<Shared>> {
        if let Some(started) = self.started.get() {
            return Ok(&started.shared);
        }
        #[allow(deprecated, reason = "its heir is unsafe; an OwnedFd is one descriptor for life, as it demands")]
        let epoll = AsyncFd::with_interest(epoll::create(CreateFlags::CLOEXEC)?, Interest::READABLE)?;
        let shared = Arc::new(Shared {
            epoll,
            pool: Mutex::default(),
            earlier: Notify::new(),
            metrics: Arc::clone(&self.metrics),
        });
        let stop = CancellationToken::new();
        let mut first = false;
        let started = self.started.get_or_init(|| {
            first = true;
            Started { shared: Arc::clone(&shared), _stop: stop.clone().drop_guard() }
        });
        if first {
            tokio::spawn(stop.run_until_cancelled_owned(driver::drive(shared)));
        }
        Ok(&started.shared)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the driver hear a socket.
    fn watch(&self, socket: &BoundedSocket, slot: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, &socket.udp, EventData::new_u64(slot as u64), EventFlags::IN)?)
    }

    /// Lets the driver know of what has become due, if it has to.
    fn plan(&self, mut pool: MutexGuard<'_, Pool>) {
        let earlier = pool.plan();
        drop(pool);
        if earlier {
            self.earlier.notify_one();
        }
    }
}

/// A question that has been sent. Dropping it ends the wait.
pub(super) struct UdpQuestion {
    shared: Arc<Shared>,
    waiter: Arc<Waiter>,
    place: Place,
}

impl UdpQuestion {
    /// What happens next.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Event> {
        self.waiter.poll(cx)
    }

    /// [`Event::Expired`] comes then, and not when it was to come before.
    pub(super) fn wait_until(&self, until: Instant) {
        let mut pool = self.shared.lock();
        pool.wait_until(self.place, until);
        self.shared.plan(pool);
    }
}

impl Drop for UdpQuestion {
    fn drop(&mut self) {
        let mut pool = self.shared.lock();
        pool.leave(self.place, Instant::now());
        self.shared.plan(pool);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
