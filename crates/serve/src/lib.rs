//! Listeners and their limits: UDP, TCP, DNS over TLS, gRPC. Every transport ends in the same
//! [`strait_resolve::Respond`]; nothing here knows zones or sources.

mod dns;
mod limits;
mod metrics;
mod peers;

pub use dns::{BindError, DnsListeners};
pub use limits::StreamLimits;
pub use metrics::ServeMetrics;
pub use peers::{ConnectionObserver, PeerListenerSettings, PeerListeners};
