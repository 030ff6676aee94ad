//! The protocol definitions of Strait and the types generated from them.
//!
//! Generated code only. What the messages mean is said in the `.proto` files; turning them into
//! the product's own types is the job of the crates that speak them (`serve`, `link`, `federation`).

/// The unary exchange of CoreDNS (`coredns.dns.DnsService`).
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::clone_on_ref_ptr)]
pub mod coredns {
    tonic::include_proto!("coredns.dns");
}

/// Strait's own services: `Dns`, `Distribution`, `Peering`, `Admin`, `Cache` and `Probe`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::clone_on_ref_ptr)]
pub mod v1 {
    tonic::include_proto!("strait.v1");
}
