//! A worker: one thread, one socket, one batch after the other. It waits for the socket only.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use strait_datagram::{Datagram, Inbound, Outbound, UdpSocket, Wait};
use strait_resolve::{Now, Origin, Respond, Transport};

use super::later::Later;
use crate::ServeMetrics;
use crate::metrics::UdpDrop;

/// After an error of the system, so that one that lasts takes no processor.
const PAUSE: Duration = Duration::from_millis(1);

/// Batches taken after the end was asked for; a full receive buffer is some hundreds.
const MAX_LAST_BATCHES: usize = 1024;

/// What a worker works with. In the order in which it lets go of it: its socket is closed when its part in the work
/// on the runtime ends.
pub(super) struct Worker {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) respond: Arc<dyn Respond>,
    pub(super) metrics: Arc<ServeMetrics>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) later: Later,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<()> {
        thread::Builder::new().name("udp-worker".to_owned()).spawn(move || self.run()).map(drop)
    }

    fn run(self) {
        // An answer may be the occasion for work beside it, such as fetching it anew.
        let _runtime = self.runtime.enter();
        let (mut inbound, mut outbound) = (Inbound::new(), Outbound::new());
        while !self.stopping.load(Ordering::Acquire) {
            match inbound.receive(&self.socket, Wait::Yes) {
                Ok(_) => self.answer_all(&inbound, &mut outbound),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(address = %self.socket.local_addr(), %error, "cannot receive");
                    self.metrics.udp_dropped(UdpDrop::Receive, 1);
                    thread::sleep(PAUSE);
                }
            }
        }
        if let Err(error) = self.socket.leave() {
            tracing::debug!(address = %self.socket.local_addr(), %error, "cannot leave the address to others at once");
        }
        // What came before is nobody else's. Each round takes some away and nothing is added any more, or the socket
        // shares with nobody and answers as long as it is there.
        for _ in 0..MAX_LAST_BATCHES {
            match inbound.receive(&self.socket, Wait::No) {
                Ok(_) => self.answer_all(&inbound, &mut outbound),
                Err(_) => break,
            }
        }
    }

    fn answer_all(&self, inbound: &Inbound, outbound: &mut Outbound) {
        // One look at the clock for the whole batch.
        let arrived = Instant::now();
        for datagram in inbound.iter() {
            // A fault of ours in one answer costs that answer, not the worker and its clients.
            if catch_unwind(AssertUnwindSafe(|| self.answer(datagram, arrived, outbound))).is_err() {
                self.metrics.udp_dropped(UdpDrop::Fault, 1);
            }
        }
        let sent = outbound.send(&self.socket, Wait::Yes);
        // What is left found no room in the send buffer for as long as a worker waits.
        self.metrics.udp_dropped(UdpDrop::Send, sent.failed + outbound.len());
        outbound.clear();
    }

    fn answer(&self, datagram: Datagram<'_>, arrived: Instant, outbound: &mut Outbound) {
        let Datagram { bytes, client, local, cut } = datagram;
        if cut {
            return self.metrics.udp_dropped(UdpDrop::Oversize, 1);
        }
        let origin = Origin { local, arrived: Some(arrived), ..Origin::new(client, Transport::Udp) };
        outbound.push_with(client, local, |reply| match self.respond.respond_now(bytes, &origin, reply) {
            Now::Reply => true,
            Now::Nothing => false,
            Now::Later(unanswered) => {
                self.later.take(client.ip(), unanswered);
                false
            }
        });
    }
}
