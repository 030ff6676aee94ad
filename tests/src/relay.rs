//! A TCP relay for bad weather between two programs: delay, black hole, cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::free_address;

/// What happens to connections and to what they carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Everything passes so much later.
    Slow(Duration),
    /// Connections are accepted and stay; nothing comes through.
    BlackHole,
    /// Connections are closed, new ones at once.
    Cut,
}

/// The relay. Dropped, its connections are closed.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    weather: Mutex<Weather>,
    accepted: AtomicUsize,
    /// Connections that were made before this count changed are cut.
    cuts: AtomicUsize,
    stopped: AtomicBool,
}

impl Relay {
    /// Relays to `target`.
    pub fn start(target: SocketAddr) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).expect("a free address can be bound");
        let shared = Arc::new(Shared {
            weather: Mutex::new(Weather::Fair),
            accepted: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                if accepting.weather() == Weather::Cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(target) else { continue };
                pipe(&client, &server, &accepting);
                pipe(&server, &client, &accepting);
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, also for connections that stand.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }

    /// Cuts the connections that stand; new ones may come.
    pub fn cut(&self) {
        self.shared.cuts.fetch_add(1, Ordering::SeqCst);
    }

    /// How many connections have come.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.set(Weather::Cut);
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }
}

/// Carries octets one way until an end or a cut.
fn pipe(from: &TcpStream, to: &TcpStream, shared: &Arc<Shared>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let (shared, cuts) = (Arc::clone(shared), shared.cuts.load(Ordering::SeqCst));
    // Wakes now and then to look at the weather.
    let _ = from.set_read_timeout(Some(Duration::from_millis(10)));
    let _ = to.set_nodelay(true);
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        let is_cut = || shared.weather() == Weather::Cut || shared.cuts.load(Ordering::SeqCst) != cuts;
        while !is_cut() {
            let length = match (shared.weather(), from.read(&mut buffer)) {
                (_, Ok(0)) => break,
                (_, Ok(length)) => length,
                (_, Err(error))
                    if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    continue;
                }
                (_, Err(_)) => break,
            };
            // What came after the cut does not pass.
            if is_cut() {
                break;
            }
            match shared.weather() {
                Weather::Slow(delay) => std::thread::sleep(delay),
                // What is lost here is lost: the connection is no good any more, as in life.
                Weather::BlackHole => continue,
                _ => {}
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}
