//! What a resolver is made of.

use std::sync::Arc;
use std::time::Duration;

use crate::{Admit, CacheSettings, QueryLog, ResolveMetrics, RouteTable};

/// What a resolver is made of.
pub struct ResolverSettings {
    /// Who may ask.
    pub admit: Arc<dyn Admit>,
    /// The cache's bounds.
    pub cache: CacheSettings,
    /// The first route table.
    pub routes: RouteTable,
    /// Whether aliases that lead out of a source's zone are followed through the route table
    /// (a node's resolver does, a gateway leaves it to the asking side).
    pub follow_aliases: bool,
    /// A question that passed another cluster's gateway is not sent on to a peer: routes of kind `peer` refuse it.
    pub transit: Transit,
    /// After this long a client gets SERVFAIL, whatever the source does.
    pub deadline: Duration,
    /// Counters.
    pub metrics: Arc<ResolveMetrics>,
    /// The query log.
    pub query_log: QueryLog,
}

/// Whether questions that came from another cluster may go on to a third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transit {
    /// They are refused.
    Refused,
    /// They may, within the bounds of the cluster path.
    Allowed,
}
