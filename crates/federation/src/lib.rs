//! Federation: which clusters are peers, which zones the cluster shares, and who is told.
//!
//! ```text
//! gatewayctl ─► admin ─► Federation (rules, store) ─► distribution ═══► agent (snapshot on disk)
//!                              ├─► inbound: who may ask this gateway what
//!                              └─► addresses: what peers say is theirs
//! ```
//!
//! No question passes through here: `link` asks peers, `serve` listens to them, `resolve` routes.

mod addresses;
mod admin;
mod agent;
mod agents;
mod cache;
mod client;
mod convert;
mod distribution;
mod export;
mod gateway;
mod inbound;
mod judge;
mod metrics;
mod peers;
mod probe;
mod rules;
mod socket;
mod store;
#[cfg(test)]
mod testkit;
mod zones;

pub use addresses::{
    AddressFileError, AddressMap, AddressMapError, AddressReport, AddressSettings, AddressZone, Addresses,
    AddressesError, Owners, PeeringService,
};
pub use admin::{AdminBackend, AdminService, AdminSettings, QueryFailure, QueryOutcome};
pub use agent::{AgentSubscription, SubscriptionError, SubscriptionSettings, SubscriptionStatus};
pub use agents::{AgentBook, AgentEntry, MAX_AGENTS};
pub use cache::CacheService;
pub use convert::PeerError;
pub use distribution::DistributionService;
pub use export::{MAX_NAMESPACES, Namespace, NamespaceError, NamespacePolicy, NamespacePolicyError, Rule, WITHHELD};
pub use gateway::{ChangeError, Federation};
pub use inbound::{InboundBook, InboundPolicy, InboundReport};
pub use judge::{Judgement, PeerDocument, Refusal, judge};
pub use peers::{
    Directions, Generation, MAX_BUNDLE_LEN, MAX_ENDPOINTS, MAX_PEERS, PeerName, PeerNameError, PeerRecord, PeerSet,
};
pub use probe::{Conditions, ProbeService};
pub use rules::{Conflict, Home, OnExisting};
pub use socket::{AdminSocket, ConnectError, SocketError, connect_admin, connect_cache, connect_probe};
pub use store::{DocumentError, FileStore, StateStore, StoreChange, StoreError};
pub use zones::{
    DEFAULT_TTL, MAX_TEMPLATES, MAX_ZONE_RECORDS, MAX_ZONES, MAX_ZONES_SIZE, RecordDocument, SharedZone,
    TemplateDocument, ZoneDocument, ZoneSet, ZonesError,
};
