//! Peers and zones as custom resources of the cluster, shared by every replica of its gateway.
//!
//! ```text
//! API server ─► Reflector (list, watch) ─► Keeper (judges, keeps a copy on disk) ─► KubernetesStore: StateStore
//!      ▲                                        └─► Herald (the replica with the lease: conditions, events)
//!      └── create, apply, delete ◄── KubernetesStore::commit
//! ```
//!
//! Whoever writes a resource, `kubectl` or `gatewayctl`, does the same thing: what is in force is judged of what the API
//! server has, by every replica alike.

mod herald;
mod keeper;
mod lease;
mod metrics;
mod objects;
mod peer;
mod reflector;
mod status;
mod store;
mod time;
mod zone;

use prometheus::Registry;
use strait_federation::{FileStore, Home};

pub use self::herald::{Asking, Herald, HeraldSettings, Links, Observation, Observe};
pub use self::keeper::ResourceState;
pub use self::lease::LeaseTimes;
pub use self::store::KubernetesStore;
use crate::{ApiAccess, ApiTimes};

/// Where peers are kept, and for whom.
pub struct ResourceSettings {
    /// How the API server is reached.
    pub access: ApiAccess,
    /// How long it may take.
    pub times: ApiTimes,
    /// Where the resources are; none: in the namespace that the access is of, a pod's own.
    pub namespace: Option<String>,
    /// The last peers on disk, for a start without the API server.
    pub copy: FileStore,
    /// What this cluster is.
    pub home: Home,
    /// Where it is shown how the resources stand.
    pub registry: Registry,
}
