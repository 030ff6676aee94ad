//! What the system knows of UDP sockets, asked at each scrape: the road of a datagram has no part in it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use strait_datagram::UdpSocket;

/// The collector; a clone is the same one.
#[derive(Clone)]
pub(super) struct UdpSockets {
    workers: IntGaugeVec,
    receive_buffer: IntGaugeVec,
    overflows: IntCounterVec,
    /// Only scrapes, and listeners when they start, take the lock.
    watched: Arc<Mutex<Vec<Watched>>>,
}

/// A socket, and the drops of it that are counted already.
struct Watched {
    listener: String,
    socket: Weak<UdpSocket>,
    dropped: u32,
}

impl UdpSockets {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let sockets = Self {
            workers: IntGaugeVec::new(
                Opts::new("strait_udp_workers", "Workers that answer UDP, by listener."),
                &["listener"],
            )?,
            receive_buffer: IntGaugeVec::new(
                Opts::new(
                    "strait_udp_receive_buffer_bytes",
                    "The receive buffers that the system gave, the system's own bookkeeping included, by listener.",
                ),
                &["listener"],
            )?,
            overflows: IntCounterVec::new(
                Opts::new(
                    "strait_udp_receive_overflows_total",
                    "Datagrams that the system dropped because the receive buffer was full, by listener.",
                ),
                &["listener"],
            )?,
            watched: Arc::default(),
        };
        registry.register(Box::new(sockets.clone()))?;
        Ok(sockets)
    }

    pub(super) fn watch(&self, sockets: &[Arc<UdpSocket>]) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.extend(sockets.iter().map(|socket| {
            let listener = socket.local_addr().to_string();
            Watched { listener, socket: Arc::downgrade(socket), dropped: 0 }
        }));
    }

    fn read(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|watched| watched.socket.strong_count() > 0);
        self.workers.reset();
        self.receive_buffer.reset();
        for Watched { listener, socket, dropped } in watched.iter_mut() {
            let Some(socket) = socket.upgrade() else { continue };
            let label = &[listener.as_str()];
            self.workers.with_label_values(label).inc();
            let octets = socket.receive_buffer().unwrap_or_default();
            self.receive_buffer.with_label_values(label).add(i64::try_from(octets).unwrap_or(i64::MAX));
            // The system's count wraps around.
            let now = socket.dropped().unwrap_or(*dropped);
            self.overflows.with_label_values(label).inc_by(u64::from(now.wrapping_sub(*dropped)));
            *dropped = now;
        }
    }
}

impl Collector for UdpSockets {
    fn desc(&self) -> Vec<&Desc> {
        [self.workers.desc(), self.receive_buffer.desc(), self.overflows.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        [self.workers.collect(), self.receive_buffer.collect(), self.overflows.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use prometheus::TextEncoder;
    use strait_datagram::SocketOptions;

    use super::*;

    #[test]
    fn the_buffer_given_and_what_did_not_fit_are_told() {
        let registry = Registry::new();
        let metrics = UdpSockets::new(&registry).unwrap();
        let options = SocketOptions { receive_buffer: Some(1), ..SocketOptions::default() };
        let open = UdpSocket::open_group("127.0.0.1:0".parse().unwrap(), 2, strait_datagram::Sharing::Alone, &options)
            .unwrap();
        let sockets: Vec<_> = open.into_iter().map(Arc::new).collect();
        metrics.watch(&sockets);

        let address = sockets[0].local_addr();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..1000 {
            client.send_to(&[0; 512], address).unwrap();
        }
        let scrape = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let given: usize = sockets.iter().map(|socket| socket.receive_buffer().unwrap()).sum();
        let dropped: u32 = sockets.iter().map(|socket| socket.dropped().unwrap()).sum();
        assert!(dropped > 0);
        // Told twice, counted once.
        for text in [scrape(), scrape()] {
            for line in [
                format!(r#"strait_udp_workers{{listener="{address}"}} 2"#),
                format!(r#"strait_udp_receive_buffer_bytes{{listener="{address}"}} {given}"#),
                format!(r#"strait_udp_receive_overflows_total{{listener="{address}"}} {dropped}"#),
            ] {
                assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
            }
        }
        // Once closed, what was counted stays.
        drop(sockets);
        let text = scrape();
        assert!(!text.contains("strait_udp_workers{"), "{text}");
        assert!(text.contains(&format!("overflows_total{{listener=\"{address}\"}} {dropped}")), "{text}");
    }
}
