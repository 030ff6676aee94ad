//! DNS over UDP. Each socket of an address has a worker, an OS thread: what can be answered at once never leaves it.
//! The rest is bounded work on the runtime, so that a slow question never delays a cached one.
//!
//! ```text
//! recvmmsg ─► respond_now ─► sendmmsg                                    a worker for each socket
//!                  └─► Later ─► respond_later ─► deliver ─► sendmmsg     two tasks for each address
//! ```

mod later;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strait_datagram::UdpSocket;
use strait_resolve::Respond;
use tokio_util::sync::CancellationToken;

use crate::ServeMetrics;
use crate::limits::DRAIN_TIMEOUT;
use later::Later;
use worker::Worker;

/// Questions of one address in work at a time, their replies included until they are sent; over it they are dropped.
pub(crate) const MAX_UDP_IN_WORK: usize = 8192;

/// Serves the sockets of one address.
pub(crate) struct UdpListener {
    sockets: Vec<Arc<UdpSocket>>,
    respond: Arc<dyn Respond>,
    metrics: Arc<ServeMetrics>,
    max_in_work: usize,
}

impl UdpListener {
    pub(crate) fn new(sockets: Vec<UdpSocket>, respond: Arc<dyn Respond>, metrics: Arc<ServeMetrics>) -> Self {
        let sockets: Vec<_> = sockets.into_iter().map(Arc::new).collect();
        metrics.watch_udp(&sockets);
        Self { sockets, respond, metrics, max_in_work: MAX_UDP_IN_WORK }
    }

    /// Serves until `stop`, then finishes what is in work. Dropping the future stops the workers too.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        let Some(first) = self.sockets.first().map(Arc::clone) else { return };
        let (later, mut work) =
            Later::start(first, Arc::clone(&self.respond), Arc::clone(&self.metrics), self.max_in_work);
        let workers = Workers::start(self, &later);
        // What is in work ends when nobody can add to it: the workers hold the other handles.
        drop(later);
        tokio::select! {
            () = stop.cancelled() => {}
            _ = work.join_next() => tracing::error!("the work on UDP questions has ended; no more of them are answered"),
        }
        drop(workers);
        let finish = async { while work.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, finish).await;
    }
}

/// The running workers; dropping it ends them after the batch they are at.
struct Workers {
    sockets: Vec<Arc<UdpSocket>>,
    stopping: Arc<AtomicBool>,
}

impl Workers {
    fn start(listener: UdpListener, later: &Later) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut started = Vec::with_capacity(listener.sockets.len());
        for socket in listener.sockets {
            let worker = Worker {
                socket: Arc::clone(&socket),
                respond: Arc::clone(&listener.respond),
                metrics: Arc::clone(&listener.metrics),
                stopping: Arc::clone(&stopping),
                runtime: tokio::runtime::Handle::current(),
                later: later.clone(),
            };
            match worker.start() {
                Ok(()) => started.push(socket),
                // Its socket closes, so that the system gives its clients to the others.
                Err(error) => tracing::error!(
                    address = %socket.local_addr(), %error,
                    "cannot start a UDP worker; the other workers of the address, if any, take its clients. \
                     The limit of threads is too low (`ulimit -u`, `pids.max` of the container), or `workers` too high"
                ),
            }
        }
        Self { sockets: started, stopping }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        for socket in &self.sockets {
            socket.wake();
        }
    }
}

#[cfg(test)]
mod tests;
