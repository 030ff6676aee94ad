//! A cluster's services: what the API tells of them, and the names they have.
//!
//! ```text
//! Change ─► Picture (one task's) ─► publish ─► Catalog (immutable) ─► ArcSwap ─► CatalogZone, ReverseZone: Source
//! ```
//!
//! [`Picture`] takes changes in and tells what is there now as a [`Catalog`]; a catalog shares with the one before
//! whatever has not changed. [`CatalogZone`] gives it a zone: the names of the Kubernetes DNS specification 1.1.0.
//! [`CatalogFeed`] is the road from an API server to a catalog; nothing else here speaks to one.

mod catalog;
mod cluster_set;
mod disk;
mod lookup;
mod metrics;
mod objects;
mod picture;
mod pods;
mod resources;
mod reverse;
mod service;
mod shards;
mod source;
mod watch;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use catalog::{Catalog, CatalogSettings, SetState, SyncState};
pub use cluster_set::{ClusterSetSettings, ClusterSetZone, ExportZone, Member, Members, Standing};
pub use disk::{CatalogFile, DiskError, Restored, Saved};
pub use objects::{
    Change, Endpoint, EndpointSlice, Imported, Key, Kind, Label, LabelReader, LeftOut, Object, Pod, Port, Protocol,
    Service, ServiceExport, ServiceKind,
};
pub use picture::{Picture, Snapshot};
pub use pods::PodMode;
pub use resources::{
    Asking, Herald, HeraldSettings, KubernetesStore, LeaseTimes, Links, Observation, Observe, ResourceSettings,
    ResourceState,
};
pub use reverse::ReverseZone;
pub use source::{CatalogZone, ZoneSettings};
pub use watch::{ApiAccess, ApiTimes, CatalogFeed, FeedCounts, FeedError, FeedSettings, FeedState, WatchFault};

/// The version of the names' schema that the catalog follows (specification 2.2).
pub const SCHEMA_VERSION: &str = "1.1.0";
/// The version of the schema of names that clusters share (KEP-1645 DNS specification 2.2).
pub const SET_SCHEMA_VERSION: &str = "1.0.0";
