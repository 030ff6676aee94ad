//! Load over UDP: a few sockets, each with a number of questions on their way, received and sent in batches as the
//! servers do, so that one core can keep another busy.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use strait_datagram::{BATCH, Inbound, Outbound, SocketOptions, UdpSocket, Wait};

use super::window::PATIENCE;
use super::{Outcome, Taken, Window};
use crate::names::{Names, is_answer};

/// How long a generator sleeps at most when nothing comes.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// The same when something is due soon.
const SHORT_NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000 };

/// What a client socket asks for: no answer is to be lost on this side.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A load in which every answer makes room for the next question.
#[derive(Debug, Clone)]
pub(crate) struct UdpLoad {
    pub(crate) server: SocketAddr,
    /// Client sockets, each with a port of its own.
    pub(crate) sockets: usize,
    /// Questions on their way at any moment, over all sockets.
    pub(crate) outstanding: usize,
    /// When to stop asking.
    pub(crate) until: Until,
    /// Are latencies to be kept?
    pub(crate) latencies: bool,
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After so long.
    Time(Duration),
    /// After so many questions.
    Questions(u64),
}

impl UdpLoad {
    /// What keeps a server on one core busy: somewhat more on their way than `dnsperf` has by default.
    pub(crate) fn saturating(server: SocketAddr, time: Duration) -> Self {
        Self { server, sockets: 4, outstanding: 4 * BATCH, until: Until::Time(time), latencies: false }
    }

    /// The same for a server that has its core only now and then: it must never run out of questions meanwhile.
    pub(crate) fn deep(server: SocketAddr, time: Duration) -> Self {
        Self { outstanding: 1024, ..Self::saturating(server, time) }
    }

    /// One client, who asks the next question when the last one is answered.
    pub(crate) fn one_at_a_time(server: SocketAddr, time: Duration) -> Self {
        Self { server, sockets: 1, outstanding: 1, until: Until::Time(time), latencies: true }
    }

    /// Every name once; gently, since its purpose is to fill a cache.
    pub(crate) fn each_once(server: SocketAddr, names: &Names) -> Self {
        let questions = names.count().unwrap_or(1) as u64;
        Self { server, sockets: 1, outstanding: 20, until: Until::Questions(questions), latencies: false }
    }

    /// Asks until the end, and waits for what is still on its way.
    pub(crate) fn run(&self, names: &mut Names) -> anyhow::Result<Outcome> {
        let places = self.outstanding.div_ceil(self.sockets);
        let mut lanes =
            (0..self.sockets).map(|_| Lane::open(self.server, places)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut batches = Batches::default();
        let mut outcome = Outcome::default();
        let start = Instant::now();
        let mut looked = start;
        loop {
            let now = Instant::now();
            let left = match self.until {
                Until::Time(time) if now - start < time => u64::MAX,
                Until::Time(_) => 0,
                Until::Questions(questions) => questions.saturating_sub(outcome.sent),
            };
            let mut quiet = true;
            for lane in &mut lanes {
                quiet &= !lane.receive(&mut batches.inbound, self.latencies, &mut outcome)?;
                lane.send(&mut batches.outbound, names, left, &mut outcome);
            }
            if !quiet {
                outcome.elapsed = start.elapsed();
            }
            if now - looked > PATIENCE / 20 {
                looked = now;
                lanes.iter_mut().for_each(|lane| lane.give_up(now, &mut outcome));
            }
            if left == 0 && lanes.iter().all(|lane| lane.window.waiting() == 0) {
                break;
            }
            if quiet {
                pause(lanes.iter().map(|lane| &lane.socket), &NAP)?;
            }
        }
        Ok(outcome)
    }
}

/// Room for a batch in each direction.
#[derive(Default)]
struct Batches {
    inbound: Inbound,
    outbound: Outbound,
}

/// One client socket with its questions.
struct Lane {
    socket: UdpSocket,
    window: Window,
    /// Places without a question.
    free: Vec<usize>,
}

impl Lane {
    fn open(server: SocketAddr, places: usize) -> anyhow::Result<Self> {
        Ok(Self { socket: client_socket(server)?, window: Window::new(places), free: (0..places).collect() })
    }

    /// Takes every answer that is there; false when there was none.
    fn receive(&mut self, inbound: &mut Inbound, latencies: bool, outcome: &mut Outcome) -> anyhow::Result<bool> {
        let mut any = false;
        while receive(&self.socket, inbound)? > 0 {
            any = true;
            for datagram in inbound.iter() {
                match self.window.take(datagram.bytes) {
                    Taken::Right(place, asked) => {
                        outcome.answered += 1;
                        if latencies {
                            outcome.latencies.push(asked.elapsed());
                        }
                        self.free.push(place);
                    }
                    Taken::Wrong(place) => {
                        outcome.wrong += 1;
                        self.free.push(place);
                    }
                    Taken::Stray => (),
                }
            }
        }
        Ok(any)
    }

    /// Asks at every free place, `most` questions in all.
    fn send(&mut self, outbound: &mut Outbound, names: &mut Names, most: u64, outcome: &mut Outcome) {
        let now = Instant::now();
        let count = self.free.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        for batch in self.free.drain(self.free.len() - count..).collect::<Vec<_>>().chunks(BATCH) {
            for place in batch {
                outbound.push_connected(|octets| {
                    octets.extend_from_slice(self.window.ask(*place, names, now));
                    true
                });
            }
            // What the system refuses is given up in its time, as what is lost on the way.
            outbound.send(&self.socket, Wait::No);
            outbound.clear();
        }
        outcome.sent += count as u64;
    }

    fn give_up(&mut self, now: Instant, outcome: &mut Outcome) {
        while let Some(place) = self.window.give_up(now) {
            outcome.lost += 1;
            self.free.push(place);
        }
    }
}

/// A load that asks at its own pace, whatever comes back.
#[derive(Debug, Clone)]
pub(crate) struct Flood {
    pub(crate) server: SocketAddr,
    /// Questions per second.
    pub(crate) rate: f64,
    pub(crate) time: Duration,
}

/// What came of a flood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flooded {
    pub(crate) sent: u64,
    /// Right answers.
    pub(crate) answered: u64,
    /// Other answers.
    pub(crate) wrong: u64,
    /// Answers that came but found no room on this side.
    pub(crate) missed: u64,
    /// While questions were sent.
    pub(crate) elapsed: Duration,
    /// Right answers in that time.
    pub(crate) answered_meanwhile: u64,
}

impl Flood {
    /// Asks for so long, then waits until no more answers come.
    pub(crate) fn run(&self, names: &mut Names) -> anyhow::Result<Flooded> {
        let sockets = (0..4).map(|_| client_socket(self.server)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut batches = Batches::default();
        let mut flooded = Flooded::default();
        let mut asked: Vec<Vec<u8>> = vec![Vec::new(); 1 << 16];
        let start = Instant::now();
        while start.elapsed() < self.time {
            let due = (start.elapsed().as_secs_f64() * self.rate) as u64;
            if due <= flooded.sent {
                // A gentle rate leaves the core to others.
                pause(&sockets, &SHORT_NAP)?;
            }
            let socket = &sockets[flooded.sent as usize / BATCH % sockets.len()];
            let count = due.saturating_sub(flooded.sent).min(BATCH as u64);
            for _ in 0..count {
                let id = flooded.sent as u16;
                let slot = &mut asked[usize::from(id)];
                slot.clear();
                slot.extend_from_slice(names.next());
                slot[..2].copy_from_slice(&id.to_be_bytes());
                batches.outbound.push_connected(|octets| {
                    octets.extend_from_slice(slot);
                    true
                });
                flooded.sent += 1;
            }
            // What this side cannot send has not been sent.
            batches.outbound.send(socket, Wait::Yes);
            for socket in &sockets {
                flooded.take(socket, &mut batches.inbound, &asked)?;
            }
        }
        flooded.elapsed = start.elapsed();
        flooded.answered_meanwhile = flooded.answered;
        let mut last = Instant::now();
        while last.elapsed() < PATIENCE / 2 {
            for socket in &sockets {
                if flooded.take(socket, &mut batches.inbound, &asked)? {
                    last = Instant::now();
                }
            }
            pause(&sockets, &NAP)?;
        }
        for socket in &sockets {
            flooded.missed += u64::from(socket.dropped()?);
        }
        Ok(flooded)
    }
}

impl Flooded {
    /// Takes the answers that are there; false when there was none.
    fn take(&mut self, socket: &UdpSocket, inbound: &mut Inbound, asked: &[Vec<u8>]) -> anyhow::Result<bool> {
        let mut any = false;
        while receive(socket, inbound)? > 0 {
            any = true;
            for datagram in inbound.iter() {
                let id = datagram.bytes.first_chunk::<2>().map_or(0, |id| usize::from(u16::from_be_bytes(*id)));
                let right = !asked[id].is_empty() && is_answer(&asked[id], datagram.bytes);
                *(if right { &mut self.answered } else { &mut self.wrong }) += 1;
            }
        }
        Ok(any)
    }
}

fn client_socket(server: SocketAddr) -> anyhow::Result<UdpSocket> {
    let options = SocketOptions { receive_buffer: Some(RECEIVE_BUFFER), ..SocketOptions::default() };
    let socket = UdpSocket::open((Ipv4Addr::LOCALHOST, 0).into(), &options).context("a client socket")?;
    socket.connect(server)?;
    Ok(socket)
}

/// Sleeps until one of the sockets has something to receive, at most for so long.
fn pause<'a>(sockets: impl IntoIterator<Item = &'a UdpSocket>, most: &Timespec) -> anyhow::Result<()> {
    let mut ready: Vec<_> = sockets.into_iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
    match poll(&mut ready, Some(most)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("poll"),
    }
}

/// How many datagrams were there.
fn receive(socket: &UdpSocket, inbound: &mut Inbound) -> anyhow::Result<usize> {
    match inbound.receive(socket, Wait::No) {
        Ok(count) => Ok(count),
        // `ConnectionRefused`: a port without a server; what was asked there is lost in its time.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(0)
        }
        Err(error) => Err(error).context("receiving answers"),
    }
}

/// Asks one question; false when its answer does not come soon.
pub(crate) fn answers(server: SocketAddr, question: &[u8]) -> bool {
    let ask = || -> std::io::Result<bool> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        socket.send(question)?;
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer)?;
        Ok(is_answer(question, &buffer[..length]))
    };
    ask().unwrap_or(false)
}
