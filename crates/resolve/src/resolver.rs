//! The stages in order.

use std::sync::Arc;
use std::time::Duration;

use crate::{Admit, BoxFuture, CacheSettings, Origin, QueryLog, ResolveMetrics, RouteTable};

/// What can be said about a packet at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// The reply has been appended.
    Reply,
    /// There will be no reply.
    Nothing,
    /// Work is needed: call [`Respond::respond`].
    Later,
}

/// What a listener needs.
pub trait Respond: Send + Sync + 'static {
    /// Answers what needs no waiting: refusals, static names, cached names. Never blocks.
    fn respond_now(&self, packet: &[u8], origin: &Origin, reply: &mut Vec<u8>) -> Now;

    /// Answers what [`Respond::respond_now`] left for later. None: no reply.
    fn respond<'a>(&'a self, packet: &'a [u8], origin: &'a Origin) -> BoxFuture<'a, Option<Vec<u8>>>;
}

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

/// The road of a query.
pub struct Resolver {
    _settings: ResolverSettings,
}

impl Resolver {
    /// A resolver.
    pub fn new(settings: ResolverSettings) -> Self {
        Self { _settings: settings }
    }

    /// Puts another route table in force; cached answers of zones whose source is another now are dropped.
    pub fn replace_routes(&self, routes: RouteTable) {
        let _ = routes;
        unimplemented!()
    }

    /// The route table in force.
    pub fn routes(&self) -> Arc<RouteTable> {
        unimplemented!()
    }
}

impl Respond for Resolver {
    fn respond_now(&self, packet: &[u8], origin: &Origin, reply: &mut Vec<u8>) -> Now {
        let _ = (packet, origin, reply);
        unimplemented!()
    }

    fn respond<'a>(&'a self, packet: &'a [u8], origin: &'a Origin) -> BoxFuture<'a, Option<Vec<u8>>> {
        let _ = (packet, origin);
        unimplemented!()
    }
}
