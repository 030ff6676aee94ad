//! Who may ask what: decided for every question before the cache is looked at.

use std::net::IpAddr;
use std::str::FromStr;

use strait_wire::{Ede, QueryView};

use crate::Origin;

/// The verdict on a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Admit,
    /// Say nothing (a stranger's UDP packet may bear a forged address).
    Drop,
    /// REFUSED, and why.
    Refuse(Ede),
}

/// Decides whether a question is answered at all.
pub trait Admit: Send + Sync {
    /// Must be cheap: it runs for every question, cached or not.
    fn admit(&self, origin: &Origin, query: &QueryView<'_>) -> Admission;
}

/// An address range: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

/// Why text is not an address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address range: write 10.0.0.0/8, fd00::/8 or a single address")]
pub struct IpNetError {
    /// The text.
    pub text: String,
}

impl IpNet {
    /// Whether the range holds `address`; IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let _ = (address, self.address, self.prefix);
        unimplemented!()
    }
}

impl FromStr for IpNet {
    type Err = IpNetError;

    fn from_str(text: &str) -> Result<Self, IpNetError> {
        let _ = text;
        unimplemented!()
    }
}

/// Admits by client address: the node-agent's rule. Others are dropped on UDP, refused on streams.
#[derive(Debug, Clone)]
pub struct AccessList {
    allowed: Vec<IpNet>,
}

impl AccessList {
    /// Admits the addresses in `allowed`.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Loopback, private (RFC 1918), shared (RFC 6598), link-local and unique-local (RFC 4193) addresses.
    pub fn local() -> Self {
        unimplemented!()
    }
}

impl Admit for AccessList {
    fn admit(&self, origin: &Origin, query: &QueryView<'_>) -> Admission {
        let _ = (origin, query, &self.allowed);
        unimplemented!()
    }
}
