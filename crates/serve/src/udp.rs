//! DNS over UDP: one receive loop per socket. What can be answered at once leaves from the loop;
//! the rest is bounded work beside it, so that a slow question never delays a cached one.
//!
//! A socket bound to a wildcard address answers from the address the system picks, which on a
//! machine with several need not be the one asked. Explicit addresses have no such doubt.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use strait_resolve::{Now, Origin, Respond, Transport};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ServeMetrics;
use crate::limits::DRAIN_TIMEOUT;
use crate::metrics::UdpDrop;

/// Questions of one socket in work at a time, sends that wait included; over it they are dropped.
pub(crate) const MAX_UDP_IN_WORK: usize = 8192;

/// Longest datagram taken for a question, in octets. EDNS questions with padding and cookies stay
/// under 1,232; the bound keeps the memory of [`MAX_UDP_IN_WORK`] questions under 32 MiB.
const MAX_DATAGRAM: usize = 4096;

/// Datagrams taken from the socket before other tasks get a turn.
const BATCH: usize = 64;

/// Serves one socket.
pub(crate) struct UdpLoop {
    socket: Arc<UdpSocket>,
    respond: Arc<dyn Respond>,
    metrics: Arc<ServeMetrics>,
    room: Arc<Semaphore>,
    work: TaskTracker,
}

impl UdpLoop {
    pub(crate) fn new(socket: UdpSocket, respond: Arc<dyn Respond>, metrics: Arc<ServeMetrics>) -> Self {
        Self::with_room(socket, respond, metrics, MAX_UDP_IN_WORK)
    }

    fn with_room(socket: UdpSocket, respond: Arc<dyn Respond>, metrics: Arc<ServeMetrics>, room: usize) -> Self {
        Self {
            socket: Arc::new(socket),
            respond,
            metrics,
            room: Arc::new(Semaphore::new(room)),
            work: TaskTracker::new(),
        }
    }

    /// Serves until `stop`, then finishes what is in work.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        // One octet more than a question may have tells a longer datagram from a full one.
        let mut datagram = vec![0; MAX_DATAGRAM + 1];
        let mut reply = Vec::with_capacity(MAX_DATAGRAM);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                ready = self.socket.readable() => {
                    if let Err(error) = ready {
                        tracing::error!(%error, "the UDP socket is gone; no more datagrams are served from it");
                        break;
                    }
                }
            }
            self.receive_batch(&mut datagram, &mut reply);
            tokio::task::yield_now().await;
        }
        self.work.close();
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, self.work.wait()).await;
    }

    fn receive_batch(&self, datagram: &mut [u8], reply: &mut Vec<u8>) {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(datagram) {
                Ok((len, _)) if len > MAX_DATAGRAM => self.metrics.udp_dropped(UdpDrop::Oversize),
                Ok((len, client)) => self.answer(&datagram[..len], client, reply),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error about an earlier answer; it concerns that client only.
                Err(_) => self.metrics.udp_dropped(UdpDrop::Receive),
            }
        }
    }

    fn answer(&self, packet: &[u8], client: SocketAddr, reply: &mut Vec<u8>) {
        let origin = Origin { client, transport: Transport::Udp, identity: None, keepalive: None };
        reply.clear();
        match self.respond.respond_now(packet, &origin, reply) {
            Now::Reply => self.send(reply, client),
            Now::Nothing => {}
            Now::Later(_) => self.take_into_work(Bytes::copy_from_slice(packet), origin),
        }
    }

    fn take_into_work(&self, packet: Bytes, origin: Origin) {
        let Some(place) = self.place() else { return };
        let socket = Arc::clone(&self.socket);
        let respond = Arc::clone(&self.respond);
        let metrics = Arc::clone(&self.metrics);
        self.work.spawn(async move {
            if let Some(reply) = respond.respond(&packet, &origin).await {
                send_patiently(&socket, &reply, origin.client, &metrics).await;
            }
            drop(place);
        });
    }

    fn send(&self, reply: &[u8], client: SocketAddr) {
        match self.socket.try_send_to(reply, client) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let Some(place) = self.place() else { return };
                let socket = Arc::clone(&self.socket);
                let metrics = Arc::clone(&self.metrics);
                let reply = Bytes::copy_from_slice(reply);
                self.work.spawn(async move {
                    send_patiently(&socket, &reply, client, &metrics).await;
                    drop(place);
                });
            }
            Err(_) => self.metrics.udp_dropped(UdpDrop::Send),
        }
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.room).try_acquire_owned().ok();
        if place.is_none() {
            self.metrics.udp_dropped(UdpDrop::InWork);
        }
        place
    }
}

async fn send_patiently(socket: &UdpSocket, reply: &[u8], client: SocketAddr, metrics: &ServeMetrics) {
    if socket.send_to(reply, client).await.is_err() {
        metrics.udp_dropped(UdpDrop::Send);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testkit::*;

    struct Served {
        client: UdpSocket,
        script: Arc<Script>,
        metrics: Arc<ServeMetrics>,
        address: SocketAddr,
    }

    async fn start(room: usize) -> Served {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(address).await.unwrap();
        let (script, metrics) = (Script::new(), metrics());
        let udp = UdpLoop::with_room(socket, Arc::<Script>::clone(&script), Arc::clone(&metrics), room);
        tokio::spawn(udp.serve(CancellationToken::new()));
        Served { client, script, metrics, address }
    }

    impl Served {
        async fn answers(&self, n: u32) {
            self.client.send(&message(NOW, n)).await.unwrap();
            let mut answer = [0; 512];
            let len = soon(self.client.recv(&mut answer)).await.unwrap();
            assert_eq!(number(&answer[..len]), n);
        }
    }

    #[tokio::test]
    async fn questions_over_the_bound_are_dropped_and_counted() {
        let served = start(2).await;
        for n in 0..5 {
            served.client.send(&message(HELD, n)).await.unwrap();
        }
        eventually(|| served.metrics.udp_drop_count(UdpDrop::InWork) == 3).await;
        assert_eq!(served.script.held(), 2);
        served.answers(9).await;
    }

    #[tokio::test]
    async fn a_datagram_longer_than_any_question_is_dropped_and_counted() {
        let served = start(2).await;
        let mut long = message(NOW, 1);
        long.resize(MAX_DATAGRAM + 1, 0);
        served.client.send(&long).await.unwrap();
        eventually(|| served.metrics.udp_drop_count(UdpDrop::Oversize) == 1).await;
        served.answers(2).await;
    }

    #[tokio::test]
    async fn a_client_that_is_gone_does_not_end_the_loop() {
        let served = start(16).await;
        for _ in 0..8 {
            // The answer meets a closed port; the ICMP error comes back to the serving socket.
            let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            gone.send_to(&message(HELD, 1), served.address).await.unwrap();
            eventually(|| served.script.held() == 1).await;
            drop(gone);
            served.script.release();
            eventually(|| served.script.held() == 0).await;
        }
        served.answers(2).await;
    }

    #[tokio::test]
    async fn empty_and_silent_datagrams_get_no_answer() {
        let served = start(2).await;
        served.client.send(&[]).await.unwrap();
        served.client.send(&message(SILENT, 1)).await.unwrap();
        served.answers(3).await;
    }
}
