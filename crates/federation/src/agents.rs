//! The node-agents that are subscribed now, one line per node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntGauge, Registry};
use strait_identity::SpiffeId;
use strait_proto::v1;
use tokio_util::sync::CancellationToken;

use crate::gateway::now;
use crate::peers::Generation;

/// The most node-agents subscribed at a time: Kubernetes itself ends at 5,000 nodes.
pub const MAX_AGENTS: usize = 8192;

/// The longest error text kept of an agent, in characters.
const MAX_ERROR_LEN: usize = 512;

/// What is known of a subscribed node-agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEntry {
    /// Who it is.
    pub identity: SpiffeId,
    /// The generation in force there.
    pub applied: Generation,
    /// Why the newest could not be applied; empty when it could.
    pub error: String,
    /// Since when, seconds since 1970-01-01 UTC.
    pub connected_at: i64,
}

/// The subscribed node-agents, by node.
pub struct AgentBook {
    seats: Mutex<BTreeMap<Arc<str>, Seat>>,
    next: AtomicU64,
    connected: IntGauge,
    behind: IntGauge,
    refused: IntCounter,
}

struct Seat {
    number: u64,
    entry: AgentEntry,
    /// The newest generation that is for it.
    wanted: Generation,
    /// Whether it is counted as behind.
    behind: bool,
    /// Ends the subscription when the same node subscribes again.
    superseded: CancellationToken,
}

impl AgentBook {
    /// An empty book; its metrics go to `registry`.
    pub fn new(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let connected = IntGauge::new("strait_agents_connected", "Node-agents subscribed to this gateway now.")?;
        let behind = IntGauge::new(
            "strait_agents_behind",
            "Subscribed node-agents that have not put the newest generation of peers in force.",
        )?;
        let refused = IntCounter::new("strait_agents_refused_total", "Subscriptions of node-agents refused.")?;
        registry.register(Box::new(connected.clone()))?;
        registry.register(Box::new(behind.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Arc::new(Self { seats: Mutex::default(), next: AtomicU64::new(0), connected, behind, refused }))
    }

    /// Every subscribed agent with its node's name, by node.
    pub fn list(&self) -> Vec<(Arc<str>, AgentEntry)> {
        self.seats().iter().map(|(node, seat)| (Arc::clone(node), seat.entry.clone())).collect()
    }

    /// Enters an agent; none when the book is full. An older subscription of the node ends.
    pub(crate) fn enter(self: &Arc<Self>, node: &Arc<str>, identity: SpiffeId) -> Option<SeatGuard> {
        let mut seats = self.seats();
        if seats.len() >= MAX_AGENTS && !seats.contains_key(node) {
            return None;
        }
        let (number, superseded) = (self.next.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        let entry = AgentEntry { identity, applied: Generation::default(), error: String::new(), connected_at: now() };
        let seat = Seat { number, entry, wanted: Generation::default(), behind: false, superseded: superseded.clone() };
        if let Some(older) = seats.insert(Arc::clone(node), seat) {
            older.superseded.cancel();
            self.left(&older);
        }
        self.connected.set(i64::try_from(seats.len()).unwrap_or(i64::MAX));
        Some(SeatGuard { book: Arc::clone(self), node: Arc::clone(node), number, superseded })
    }

    /// Counts a subscription that was refused.
    pub(crate) fn count_refused(&self) {
        self.refused.inc();
    }

    /// Counts an agent as behind, or no longer, after its generations have changed.
    fn weigh(&self, seat: &mut Seat) {
        let behind = seat.entry.applied != seat.wanted;
        if behind != seat.behind {
            self.behind.add(if behind { 1 } else { -1 });
            seat.behind = behind;
        }
    }

    /// An agent is counted no more.
    fn left(&self, seat: &Seat) {
        self.behind.sub(i64::from(seat.behind));
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An agent's line in the book; it leaves the book when dropped.
pub(crate) struct SeatGuard {
    book: Arc<AgentBook>,
    node: Arc<str>,
    number: u64,
    superseded: CancellationToken,
}

impl SeatGuard {
    /// The node.
    pub(crate) fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// Waits until the same node has subscribed again.
    pub(crate) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }

    /// Notes what the agent reports.
    pub(crate) fn note(&self, report: &v1::AgentReport) {
        self.with_seat(|seat| {
            seat.entry.applied = Generation(report.applied_generation);
            seat.entry.error = report.error.chars().take(MAX_ERROR_LEN).collect();
        });
    }

    /// Notes that there is a generation which the agent is to put in force.
    pub(crate) fn want(&self, generation: Generation) {
        self.with_seat(|seat| seat.wanted = generation);
    }

    /// Changes the agent's line, unless the node has subscribed again.
    fn with_seat(&self, change: impl FnOnce(&mut Seat)) {
        let mut seats = self.book.seats();
        if let Some(seat) = seats.get_mut(&self.node).filter(|seat| seat.number == self.number) {
            change(seat);
            self.book.weigh(seat);
        }
    }
}

impl Drop for SeatGuard {
    fn drop(&mut self) {
        let mut seats = self.book.seats();
        if let Some(seat) = seats.get(&self.node).filter(|seat| seat.number == self.number) {
            self.book.left(seat);
            seats.remove(&self.node);
            self.book.connected.set(i64::try_from(seats.len()).unwrap_or(i64::MAX));
        }
    }
}
