//! What each peer may see and has asked of us: its policy, counters that questions bump without a lock, and the
//! sentence of the last refusal.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use strait_identity::{Identity, Rejection, TrustDomain};
use strait_serve::ConnectionObserver;
use strait_wire::{Ede, QueryView};
use tracing::debug;

use crate::export::NamespacePolicy;
use crate::gateway::now;
use crate::metrics::PeerSetMetrics;
use crate::peers::{PeerName, PeerRecord, PeerSet};

/// What a peer has asked of us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InboundReport {
    /// Connections open now.
    pub connections: u64,
    /// Questions admitted.
    pub queries: u64,
    /// Questions refused.
    pub refused: u64,
    /// The last refusal and when (seconds since 1970-01-01 UTC).
    pub last_error: Option<(String, i64)>,
    /// When the last question was admitted, likewise.
    pub last_query_at: Option<i64>,
}

/// The peers that may ask us, by trust domain, with their counters. Told of connections by the
/// listeners, of questions by the policy, of changes of peers by [`InboundBook::apply`].
pub struct InboundBook {
    seats: ArcSwap<HashMap<TrustDomain, Arc<Seat>>>,
    /// Connections open now, by trust domain: they may outlive a seat. Held while seats are replaced.
    open: Mutex<HashMap<TrustDomain, i64>>,
    connections: IntGaugeVec,
    queries: IntCounterVec,
    refused: IntCounterVec,
    set: PeerSetMetrics,
}

impl InboundBook {
    /// An empty book; its metrics go to `registry`.
    pub fn new(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let gauges = IntGaugeVec::new(
            Opts::new("strait_peer_inbound_connections", "Connections of a peer to this gateway now."),
            &["peer"],
        )?;
        let counters = |name, help| IntCounterVec::new(Opts::new(name, help), &["peer"]);
        let queries = counters("strait_peer_inbound_requests_total", "Questions of a peer that were admitted.")?;
        let refused = counters("strait_peer_inbound_refused_total", "Questions of a peer that were refused.")?;
        registry.register(Box::new(gauges.clone()))?;
        registry.register(Box::new(queries.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        let set = PeerSetMetrics::new(registry)?;
        Ok(Arc::new(Self {
            seats: ArcSwap::default(),
            open: Mutex::default(),
            connections: gauges,
            queries,
            refused,
            set,
        }))
    }

    /// Puts these peers in force. Peers that stay keep their counters; those of the others go.
    pub fn apply(&self, peers: &PeerSet) {
        let open = self.open();
        let before = self.seats.load_full();
        let mut seats: HashMap<TrustDomain, Arc<Seat>> = HashMap::new();
        for peer in peers.inbound() {
            let trust_domain = peer.trust_bundle.trust_domain();
            // The rules let in one peer of each trust domain; of a file that says otherwise the first by name has it.
            if seats.contains_key(trust_domain) {
                continue;
            }
            let kept = before.get(trust_domain).filter(|seat| seat.name == peer.name);
            let seat = Arc::new(self.seat(peer, kept.map(|seat| Arc::clone(&seat.counts))));
            seat.counts.connections.set(open.get(trust_domain).copied().unwrap_or(0));
            seats.insert(trust_domain.clone(), seat);
        }
        let names: Vec<&PeerName> = seats.values().map(|seat| &seat.name).collect();
        let gone: Vec<PeerName> =
            before.values().map(|seat| seat.name.clone()).filter(|name| !names.contains(&name)).collect();
        self.seats.store(Arc::new(seats));
        for name in gone {
            // A label that was never used is no error.
            let _ = self.connections.remove_label_values(&[name.as_str()]);
            let _ = self.queries.remove_label_values(&[name.as_str()]);
            let _ = self.refused.remove_label_values(&[name.as_str()]);
        }
        self.set.apply(peers);
    }

    /// What that peer has asked; none when it may not ask.
    pub fn report(&self, peer: &str) -> Option<InboundReport> {
        self.seats.load().values().find(|seat| seat.name.as_str() == peer).map(|seat| seat.counts.report())
    }

    /// Looks up whoever has that trust domain, without a lock.
    pub(super) fn with<T>(&self, trust_domain: &TrustDomain, f: impl FnOnce(Option<&Seat>) -> T) -> T {
        f(self.seats.load().get(trust_domain).map(AsRef::as_ref))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<TrustDomain, i64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows how many connections a trust domain has now. The first and the last are logged, at debug: one that connects in vain does so every second.
    fn show_connections(&self, identity: &Identity, count: i64) {
        self.with(&identity.id.trust_domain, |seat| {
            let Some(seat) = seat else { return };
            match (seat.counts.connections.get(), count) {
                (0, 1) => debug!(peer = %seat.name, identity = %identity.id, "peer connected"),
                (1.., 0) => debug!(peer = %seat.name, identity = %identity.id, "peer has no connection left"),
                _ => {}
            }
            seat.counts.connections.set(count);
        });
    }

    /// A peer's line, with the counters it had.
    fn seat(&self, peer: &PeerRecord, counts: Option<Arc<Counts>>) -> Seat {
        let label = &[peer.name.as_str()];
        let new = || Counts {
            connections: self.connections.with_label_values(label),
            queries: self.queries.with_label_values(label),
            refused: self.refused.with_label_values(label),
            last_query_at: AtomicI64::new(0),
            last_error: Mutex::new(None),
        };
        let counts = counts.unwrap_or_else(|| Arc::new(new()));
        Seat { name: peer.name.clone(), namespaces: peer.namespaces.clone(), counts }
    }
}

impl ConnectionObserver for InboundBook {
    fn opened(&self, identity: &Identity) {
        let mut open = self.open();
        let count = open.entry(identity.id.trust_domain.clone()).or_default();
        *count += 1;
        self.show_connections(identity, *count);
    }

    fn closed(&self, identity: &Identity) {
        let mut open = self.open();
        let Some(count) = open.get_mut(&identity.id.trust_domain) else { return };
        *count -= 1;
        let left = *count;
        if left <= 0 {
            open.remove(&identity.id.trust_domain);
        }
        self.show_connections(identity, left);
    }

    fn rejected(&self, _client: SocketAddr, rejection: &Rejection) {
        for trust_domain in rejection.trust_domains() {
            self.with(trust_domain, |seat| {
                if let Some(seat) = seat {
                    seat.counts.note_error(|| format!("handshake: {rejection}"));
                }
            });
        }
    }
}

/// One peer's line.
pub(super) struct Seat {
    name: PeerName,
    namespaces: NamespacePolicy,
    counts: Arc<Counts>,
}

/// What a peer has done.
struct Counts {
    connections: IntGauge,
    queries: IntCounter,
    refused: IntCounter,
    last_query_at: AtomicI64,
    last_error: Mutex<Option<(String, i64)>>,
}

impl Seat {
    pub(super) fn name(&self) -> &PeerName {
        &self.name
    }

    /// What it may see.
    pub(super) fn namespaces(&self) -> &NamespacePolicy {
        &self.namespaces
    }

    pub(super) fn count_query(&self) {
        self.counts.queries.inc();
        self.counts.last_query_at.store(now(), Ordering::Relaxed);
    }

    /// Counts the question if it is refused.
    pub(super) fn noting(&self, query: &QueryView<'_>, decision: Result<(), Ede>) -> Result<(), Ede> {
        if let Err(ede) = &decision {
            self.counts.refused.inc();
            self.counts.note_error(|| format!("{}: {}", query.qname(), ede.text));
        }
        decision
    }
}

impl Counts {
    /// Keeps the sentence, unless someone is at it right now: a question never waits for it.
    fn note_error(&self, why: impl FnOnce() -> String) {
        if let Ok(mut last) = self.last_error.try_lock() {
            *last = Some((why(), now()));
        }
    }

    fn report(&self) -> InboundReport {
        let last_query_at = self.last_query_at.load(Ordering::Relaxed);
        InboundReport {
            connections: u64::try_from(self.connections.get()).unwrap_or(0),
            queries: self.queries.get(),
            refused: self.refused.get(),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            last_query_at: (last_query_at != 0).then_some(last_query_at),
        }
    }
}
