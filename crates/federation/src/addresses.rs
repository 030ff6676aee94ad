//! Whose addresses are: what each cluster advertises of its own, told between gateways, and judged for our node-agents.
//! With them comes what each cluster is called, which must be one's own as well.
//!
//! ```text
//! gateway of a peer ══ PeeringService ══► Follower (one per peer we ask) ─► Addresses: judge ─► file on disk
//!                                                    peers of Federation ─┘        └─► snapshots for distribution
//! ```

mod book;
mod called;
mod file;
mod follower;
mod judge;
mod map;
mod metrics;
mod service;

pub use book::{AddressReport, AddressSettings, Addresses, AddressesError};
pub use file::AddressFileError;
pub use map::{AddressMap, AddressMapError, AddressZone, Owners};
pub use service::PeeringService;

#[cfg(test)]
mod tests;
