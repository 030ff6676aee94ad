//! `zones`: names answered from memory.

use std::fmt;
use std::sync::Arc;

use strait_resolve::zone::Zone;

/// Where a zone's data comes from; the word is the route's `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneKind {
    /// The configuration file alone.
    Static,
    /// A zone file.
    File,
}

impl ZoneKind {
    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::File => "file",
        }
    }
}

/// A zone ready to answer.
#[derive(Clone)]
pub struct StaticZone {
    /// The zone.
    pub zone: Arc<Zone>,
    /// Where its data comes from.
    pub kind: ZoneKind,
}

impl fmt::Debug for StaticZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.zone.apex(), self.kind.as_str())
    }
}
