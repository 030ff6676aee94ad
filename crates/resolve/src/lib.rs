//! The road of a query: refuse cheaply, answer cache, route, source, check, map, store, reply.
//!
//! [`Resolver`] names the stages in order; each stage is a module. Listeners (`serve`) feed it
//! through [`Respond`]; sources behind a network (`link`) plug in through [`Source`]. No sockets here.

mod active;
mod admission;
mod cache;
mod client_share;
mod flight;
mod follow;
mod ip_net;
mod mapped;
mod mapped_reverse;
mod metrics;
mod minimal;
mod moment;
mod origin;
mod query_log;
mod ranges;
mod refused;
mod resolver;
mod respond;
mod route;
mod sharing;
mod source;
mod special;
#[cfg(test)]
mod testing;
mod unknown;
pub mod zone;

pub use admission::{AccessList, Admission, Admit};
pub use cache::{AnswerCache, CacheHolding, CacheSettings, Flush, StaleSettings};
pub use client_share::{Client, ClientShares, Counters, ShareSpent};
pub use ip_net::{IpNet, IpNetError};
pub use mapped::MappedSource;
pub use mapped_reverse::MappedReverse;
pub use metrics::ResolveMetrics;
pub use origin::{Origin, Transport};
pub use query_log::{QueryLog, QueryLogEntry, QueryLogFilter};
pub use ranges::{MAX_RANGES, MAX_REVERSE_ZONES, TooWide};
pub use refused::RefusedZone;
pub use resolver::{Resolver, ResolverSettings, Transit};
pub use respond::{Now, Outlet, Pending, Reply, Respond, Unanswered};
pub use route::{Route, RouteTable};
pub use source::{Ask, BoxFuture, Source, SourceError};
pub use special::{reserved_zone, special_routes};
pub use unknown::UnknownZone;
