//! Counters of listeners: connections, handshake failures by reason, drops.

mod udp_sockets;

use std::sync::Arc;

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Registry, register_int_counter_vec_with_registry,
    register_int_gauge_vec_with_registry,
};
use strait_datagram::UdpSocket;
use strait_resolve::Transport;
use udp_sockets::UdpSockets;

/// The metric families of `serve`; names in `docs/metrics.md`.
pub struct ServeMetrics {
    tcp: TransportMetrics,
    dot: TransportMetrics,
    grpc: TransportMetrics,
    handshake_failures: IntCounterVec,
    udp_dropped: [IntCounter; UdpDrop::ALL.len()],
    udp_sockets: UdpSockets,
}

/// The handles of one stream transport.
pub(crate) struct TransportMetrics {
    pub(crate) open: IntGauge,
    pub(crate) opened: IntCounter,
    refused: [IntCounter; Refused::ALL.len()],
    closed: [IntCounter; Closed::ALL.len()],
}

/// A closed set of label values.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            pub(crate) const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

labels! {
    /// Why a connection was closed at once.
    Refused {
        /// The listener holds as many as it may.
        Connections => "connections",
        /// The client address holds as many as it may.
        Client => "client",
        /// As many handshakes are under way as may be: the oldest of the client that has most is closed.
        Handshakes => "handshakes",
        /// The system gave no connection (no file descriptor, aborted).
        System => "system",
    }
}

labels! {
    /// Why a connection ended.
    Closed {
        /// The client closed it.
        Client => "client",
        /// No question for the idle timeout.
        Idle => "idle",
        /// A message was not complete within the message timeout.
        SlowMessage => "slow_message",
        /// The client did not read its answers.
        NotReading => "not_reading",
        /// As many octets of answers wait as may, over all connections.
        Overloaded => "overloaded",
        /// File descriptors are used up, and it was idle longest.
        Descriptors => "descriptors",
        /// What came is not DNS.
        Malformed => "malformed",
        /// The network failed.
        Network => "network",
        /// The process stops.
        Drained => "drained",
        /// The trust domain is no longer believed.
        TrustRemoved => "trust_removed",
        /// The client's certificate has ended.
        CertificateExpired => "certificate_expired",
    }
}

labels! {
    /// Why a datagram got no answer.
    UdpDrop {
        /// As many questions are in work as may be.
        InWork => "in_work",
        /// Its client has as many questions in work as one client may.
        ClientShare => "client_share",
        /// The runtime is behind with the questions handed to it.
        Queue => "queue",
        /// Longer than any question.
        Oversize => "oversize",
        /// The answer could not be sent.
        Send => "send",
        /// The system reported an error instead of a datagram.
        Receive => "receive",
        /// A fault of this program, which its log tells.
        Fault => "fault",
    }
}

impl ServeMetrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let open = register_int_gauge_vec_with_registry!(
            "strait_connections",
            "Connections open now, by transport.",
            &["transport"],
            registry
        )?;
        let opened = register_int_counter_vec_with_registry!(
            "strait_connections_total",
            "Connections opened, by transport.",
            &["transport"],
            registry
        )?;
        let refused = register_int_counter_vec_with_registry!(
            "strait_connections_refused_total",
            "Connections closed on arrival because a limit was reached, by transport and limit.",
            &["transport", "reason"],
            registry
        )?;
        let closed = register_int_counter_vec_with_registry!(
            "strait_connections_closed_total",
            "Connections ended, by transport and reason.",
            &["transport", "reason"],
            registry
        )?;
        let handshake_failures = register_int_counter_vec_with_registry!(
            "strait_handshake_failures_total",
            "TLS handshakes that failed, by reason.",
            &["reason"],
            registry
        )?;
        let udp_dropped = register_int_counter_vec_with_registry!(
            "strait_udp_dropped_total",
            "Datagrams that got no answer because of a limit or an error, by reason.",
            &["reason"],
            registry
        )?;
        let of = |transport: Transport| {
            let transport = transport.as_str();
            TransportMetrics {
                open: open.with_label_values(&[transport]),
                opened: opened.with_label_values(&[transport]),
                refused: Refused::ALL.map(|reason| refused.with_label_values(&[transport, reason.as_str()])),
                closed: Closed::ALL.map(|reason| closed.with_label_values(&[transport, reason.as_str()])),
            }
        };
        Ok(Self {
            tcp: of(Transport::Tcp),
            dot: of(Transport::Dot),
            grpc: of(Transport::Grpc),
            handshake_failures,
            udp_dropped: UdpDrop::ALL.map(|reason| udp_dropped.with_label_values(&[reason.as_str()])),
            udp_sockets: UdpSockets::new(registry)?,
        })
    }

    /// The handles of a stream transport; UDP has no connections and shares TCP's.
    pub(crate) fn transport(&self, transport: Transport) -> &TransportMetrics {
        match transport {
            Transport::Udp | Transport::Tcp => &self.tcp,
            Transport::Dot => &self.dot,
            Transport::Grpc => &self.grpc,
        }
    }

    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.with_label_values(&[reason]).inc();
    }

    pub(crate) fn udp_dropped(&self, reason: UdpDrop, datagrams: usize) {
        self.udp_dropped[reason as usize].inc_by(datagrams as u64);
    }

    /// Reads the sockets of an address at each scrape from now on, as long as they are open.
    pub(crate) fn watch_udp(&self, sockets: &[Arc<UdpSocket>]) {
        self.udp_sockets.watch(sockets);
    }
}

impl TransportMetrics {
    pub(crate) fn refused(&self, reason: Refused) {
        self.refused[reason as usize].inc();
    }

    pub(crate) fn closed(&self, reason: Closed) {
        self.closed[reason as usize].inc();
    }
}

#[cfg(test)]
impl ServeMetrics {
    pub(crate) fn closed_count(&self, transport: Transport, reason: Closed) -> u64 {
        self.transport(transport).closed[reason as usize].get()
    }

    pub(crate) fn refused_count(&self, transport: Transport, reason: Refused) -> u64 {
        self.transport(transport).refused[reason as usize].get()
    }

    pub(crate) fn handshake_failure_count(&self, reason: &str) -> u64 {
        self.handshake_failures.with_label_values(&[reason]).get()
    }

    pub(crate) fn udp_drop_count(&self, reason: UdpDrop) -> u64 {
        self.udp_dropped[reason as usize].get()
    }
}
