//! Whose addresses are, as a gateway tells it to its node-agents, and the reverse zones that follow from it.

use std::collections::HashSet;

use strait_proto::v1;
use strait_resolve::{IpNet, IpNetError, MAX_RANGES, TooWide};
use strait_wire::Name;

use crate::peers::{MAX_PEERS, PeerName, PeerNameError};

/// The most ranges that a gateway tells its node-agents: those of every peer, and as many that are disputed.
pub(crate) const MAX_ENTRIES: usize = 2 * (MAX_PEERS + 1) * MAX_RANGES;

/// Whose the addresses of a range are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// This cluster's own.
    Own,
    /// A peer's: it is asked for their names.
    Peer(PeerName),
    /// Several peers claim them: nobody is asked.
    Disputed(Vec<PeerName>),
}

/// Why a message does not say whose addresses are.
#[derive(Debug, thiserror::Error)]
pub enum AddressMapError {
    /// A range is none.
    #[error(transparent)]
    Range(#[from] IpNetError),
    /// A range is more than a cluster has.
    #[error("{0}: {1}")]
    TooWide(IpNet, TooWide),
    /// An owner is none.
    #[error(transparent)]
    Owner(#[from] PeerNameError),
    /// There are too many.
    #[error("{0} ranges, more than {MAX_ENTRIES}")]
    TooMany(usize),
}

/// A reverse zone, and whose its addresses are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressZone {
    /// The zone, under `in-addr.arpa` or `ip6.arpa`.
    pub zone: Name,
    /// The range that it is part of.
    pub range: IpNet,
    /// Whose they are.
    pub owners: Owners,
}

/// Ranges of addresses with their owners. Of two that hold an address the longer counts, and of equals the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressMap {
    entries: Vec<(IpNet, Owners)>,
}

impl AddressMap {
    /// A map of these ranges, each once.
    pub(crate) fn new(entries: impl IntoIterator<Item = (IpNet, Owners)>) -> Self {
        let mut seen = HashSet::new();
        Self { entries: entries.into_iter().filter(|(range, _)| seen.insert(*range)).collect() }
    }

    /// The ranges, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &(IpNet, Owners)> {
        self.entries.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The reverse zones of the ranges, each once, so that of the zones that hold an address the longest is that of its
    /// owners.
    pub fn zones(&self) -> Vec<AddressZone> {
        let mut seen = HashSet::new();
        let of = |(range, owners): &(IpNet, Owners)| {
            let (range, owners) = (*range, owners.clone());
            range.reverse_zones().into_iter().map(move |zone| AddressZone { zone, range, owners: owners.clone() })
        };
        // Of two ranges that need the same zone the longer is told first: the other holds it.
        let mut entries: Vec<&(IpNet, Owners)> = self.entries.iter().collect();
        entries.sort_by_key(|(range, _)| std::cmp::Reverse(range.prefix()));
        entries.into_iter().flat_map(of).filter(|zone| seen.insert(zone.zone.clone())).collect()
    }
}

impl TryFrom<Vec<v1::AddressRange>> for AddressMap {
    type Error = AddressMapError;

    fn try_from(told: Vec<v1::AddressRange>) -> Result<Self, AddressMapError> {
        if told.len() > MAX_ENTRIES {
            return Err(AddressMapError::TooMany(told.len()));
        }
        let read = |entry: v1::AddressRange| -> Result<(IpNet, Owners), AddressMapError> {
            let range = entry.range.parse::<IpNet>()?.canonical();
            range.check_width().map_err(|error| AddressMapError::TooWide(range, error))?;
            let mut owners = entry.owners.iter().map(|name| name.parse()).collect::<Result<Vec<PeerName>, _>>()?;
            Ok(match owners.len() {
                0 => (range, Owners::Own),
                1 => (range, Owners::Peer(owners.remove(0))),
                _ => (range, Owners::Disputed(owners)),
            })
        };
        Ok(Self::new(told.into_iter().map(read).collect::<Result<Vec<_>, _>>()?))
    }
}

impl From<&AddressMap> for Vec<v1::AddressRange> {
    fn from(map: &AddressMap) -> Self {
        let told = |(range, owners): &(IpNet, Owners)| {
            let owners = match owners {
                Owners::Own => Vec::new(),
                Owners::Peer(name) => vec![name.to_string()],
                Owners::Disputed(names) => names.iter().map(ToString::to_string).collect(),
            };
            v1::AddressRange { range: range.to_string(), owners }
        };
        map.iter().map(told).collect()
    }
}
