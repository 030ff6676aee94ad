//! A scripted responder and small clients for the tests of listeners.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::Registry;
use strait_identity::{CertificateAuthority, Identity, Rejection, TrustBundle};
use strait_resolve::{Now, Origin, Outlet, Pending, Reply, Respond, Transport, Unanswered};
use tokio::sync::Notify;

use crate::accept::Open;
use crate::gate::Gate;
use crate::peers::PeerConnection;
use crate::{ConnectionObserver, ServeMetrics, StreamLimits};

/// What the octet after the header of a test message asks for.
pub(crate) const NOW: u8 = b'n';
pub(crate) const LATER: u8 = b'l';
pub(crate) const HELD: u8 = b'h';
pub(crate) const SILENT: u8 = b's';
pub(crate) const HELD_LARGE: u8 = b'H';
pub(crate) const LARGE: u8 = b'L';
/// More than a datagram holds.
pub(crate) const HUGE: u8 = b'x';
pub(crate) const FAULT: u8 = b'f';
/// A fault when it is taken into work, and one when its reply is written.
pub(crate) const LATE_FAULT: u8 = b'F';
pub(crate) const REPLY_FAULT: u8 = b'R';
/// Taken into work, and then given up.
pub(crate) const GIVEN_UP: u8 = b'g';

/// Answers each message with itself: at once, later, when released, or never, as the message asks; or panics.
#[derive(Default)]
pub(crate) struct Script {
    held: Arc<Held>,
    pub(crate) origins: std::sync::Mutex<Vec<Origin>>,
}

/// The answers that wait for their release.
#[derive(Default)]
struct Held {
    release: Notify,
    now: AtomicUsize,
    made: AtomicUsize,
    given_up: AtomicUsize,
}

impl Script {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets every held question go.
    pub(crate) fn release(&self) {
        self.held.release.notify_waiters();
    }

    /// Answers made that had been held.
    pub(crate) fn made(&self) -> usize {
        self.held.made.load(Ordering::SeqCst)
    }

    /// Questions given up.
    pub(crate) fn given_up(&self) -> usize {
        self.held.given_up.load(Ordering::SeqCst)
    }

    pub(crate) fn held(&self) -> usize {
        self.held.now.load(Ordering::SeqCst)
    }
}

impl Respond for Script {
    fn respond_now<'a>(&self, packet: &'a [u8], origin: &'a Origin, reply: &mut Vec<u8>) -> Now<'a> {
        self.origins.lock().unwrap().push(origin.clone());
        match packet.get(12) {
            Some(&NOW) => reply.extend_from_slice(packet),
            Some(&LARGE) => {
                reply.extend_from_slice(packet);
                reply.resize(reply.len() + 60_000, 0);
            }
            Some(&(LATER | HELD | HELD_LARGE | GIVEN_UP | LATE_FAULT | REPLY_FAULT)) => {
                return Now::Later(Unanswered::new(packet, origin));
            }
            Some(&HUGE) => reply.resize(reply.len() + 65_535, 0),
            Some(&FAULT) => panic!("a fault, as asked"),
            _ => return Now::Nothing,
        }
        Now::Reply
    }

    fn respond_later(&self, pending: Pending, outlet: Arc<dyn Outlet>, tag: u64) {
        assert_ne!(pending.packet()[12], LATE_FAULT, "a fault, as asked");
        let held = Arc::clone(&self.held);
        tokio::spawn(async move {
            let packet = pending.packet().to_vec();
            if packet[12] == GIVEN_UP {
                outlet.forgo(tag);
                held.given_up.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if [LATER, REPLY_FAULT].contains(&packet[12]) {
                tokio::task::yield_now().await;
            } else {
                let released = held.release.notified();
                held.now.fetch_add(1, Ordering::SeqCst);
                let _leaves = Leaves(&held.now);
                tokio::select! {
                    () = released => {}
                    () = gone(&outlet) => return,
                }
            }
            let origin = pending.origin().clone();
            let make = move |out: &mut Vec<u8>| {
                assert_ne!(packet[12], REPLY_FAULT, "a fault, as asked");
                out.extend_from_slice(&packet);
                if packet[12] == HELD_LARGE {
                    out.resize(out.len() + 60_000 - packet.len(), 0);
                }
                if packet[12] != LATER {
                    held.made.fetch_add(1, Ordering::SeqCst);
                }
                true
            };
            outlet.deliver(tag, Reply::new(origin, make));
        });
    }
}

/// Resolves when nobody is there to take replies.
async fn gone(outlet: &Arc<dyn Outlet>) {
    while !outlet.is_gone() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A message of that kind with a number in it.
pub(crate) fn message(kind: u8, number: u32) -> Vec<u8> {
    let mut message = vec![0; 12];
    message.push(kind);
    message.extend_from_slice(&number.to_be_bytes());
    message
}

/// The number in an answer.
pub(crate) fn number(answer: &[u8]) -> u32 {
    u32::from_be_bytes(answer[13..17].try_into().unwrap())
}

/// Messages as they go over a stream.
pub(crate) fn frames<'a>(messages: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut frames = Vec::new();
    for message in messages {
        frames.extend_from_slice(&(message.len() as u16).to_be_bytes());
        frames.extend_from_slice(message);
    }
    frames
}

/// Reads one framed answer; none at the end of the stream.
pub(crate) async fn read_frame<R: tokio::io::AsyncRead + Unpin>(reader: &mut R) -> Option<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let length = reader.read_u16().await.ok()?;
    let mut frame = vec![0; usize::from(length)];
    reader.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

pub(crate) fn metrics() -> Arc<ServeMetrics> {
    Arc::new(ServeMetrics::new(&Registry::new()).unwrap())
}

/// Long timeouts, so that a test meets only the limit it sets.
pub(crate) fn patient() -> StreamLimits {
    let long = Duration::from_secs(60);
    StreamLimits {
        max_connections: 64,
        max_handshakes: 512,
        max_in_flight: 256,
        handshake_timeout: long,
        message_timeout: long,
        idle_timeout: long,
        write_timeout: long,
    }
}

/// Waits until `condition` holds; fails after a patience no healthy run needs.
#[track_caller]
pub(crate) fn eventually(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..2000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the condition at {caller} did not come to hold within 20 s");
    }
}

/// Runs a step of a test that must end; fails after a patience no healthy run needs.
pub(crate) async fn soon<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), step).await.expect("the step did not end within 20 s")
}

/// A new CA for a trust domain.
pub(crate) fn authority(trust_domain: &str) -> CertificateAuthority {
    CertificateAuthority::create(&trust_domain.parse().unwrap(), Duration::from_secs(3600)).unwrap()
}

/// The bundle of a CA.
pub(crate) fn bundle(authority: &CertificateAuthority) -> TrustBundle {
    TrustBundle::from_pem(authority.certificate_pem(), Some(authority.trust_domain().clone())).unwrap()
}

/// The bundle of a new CA.
pub(crate) fn bundle_of(trust_domain: &str) -> TrustBundle {
    bundle(&authority(trust_domain))
}

struct Deaf;

impl ConnectionObserver for Deaf {
    fn opened(&self, _: &Identity) {}
    fn closed(&self, _: &Identity) {}
    fn rejected(&self, _: std::net::SocketAddr, _: &Rejection) {}
}

/// A verified gRPC connection in the books.
pub(crate) fn peer_connection(metrics: &Arc<ServeMetrics>) -> PeerConnection {
    let pass = Gate::new(1).enter("192.0.2.1".parse().unwrap()).map_err(|_| "full").unwrap();
    let id = "spiffe://cluster-a.example.com/gateway".parse().unwrap();
    let identity = Arc::new(Identity { id, not_after: i64::MAX });
    PeerConnection::new(Open::new(Transport::Grpc, metrics, pass), identity, Arc::new(Deaf))
}
