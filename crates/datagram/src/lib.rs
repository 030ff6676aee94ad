//! UDP sockets that receive and send many datagrams in one system call, without allocating for any of them.
//!
//! ```text
//! UdpSocket ── recvmmsg ──► Inbound ── one by one ──► Outbound ── sendmmsg ──► UdpSocket
//! ```
//!
//! Nothing here knows DNS or async. `system.rs` makes the calls and is the one place of the product
//! with unsafe code; everything else here reads and writes plain octets. For that reason what else is asked of the system
//! that way, to let go of memory, is here as well (`program.rs`).

mod address;
mod control;
mod inbound;
mod outbound;
mod program;
mod socket;
mod system;

pub use inbound::{Datagram, Inbound};
pub use outbound::{Outbound, Sent};
pub use program::release_text;
pub use socket::{Sharing, SocketOptions, UdpSocket, Wait};

/// Datagrams received or sent in one call at most. Past 16 a larger batch gains little (the call's fixed cost is
/// spread thin by then), and a batch is the time that its first datagram waits for its last.
pub const BATCH: usize = 32;

/// Longest datagram taken in whole, in octets; of a longer one its length is not known.
pub const MAX_DATAGRAM: usize = 4096;

#[cfg(test)]
mod tests;
