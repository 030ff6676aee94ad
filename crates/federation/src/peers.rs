//! Peers as the product knows them: other clusters, what is delegated to them, and how they are
//! verified. Plain immutable values; the road from and to protobuf is in `convert`, the road from
//! and to disk in `store`, the rules for a change in `rules`.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use strait_identity::{TrustBundle, TrustStore};
use strait_link::{EndpointUrl, LinkTarget};
use strait_resolve::IpNet;
use strait_wire::Name;

pub use strait_link::{MAX_ENDPOINTS, MAX_PEERS};

use crate::addresses::AddressMap;
use crate::export::NamespacePolicy;
use crate::zones::ZoneSet;

/// The longest trust bundle of a peer, in octets of PEM text: some forty CA certificates.
pub const MAX_BUNDLE_LEN: usize = 64 * 1024;

/// The name operators give a peer: one DNS label in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerName(Arc<str>);

/// Why text is not a peer's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a peer name: write 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends (for example cluster-b)"
)]
pub struct PeerNameError {
    /// The text.
    pub text: String,
}

impl PeerName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(text: &str) -> Result<Self, PeerNameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
        match fits && !text.starts_with('-') && !text.ends_with('-') {
            true => Ok(Self(text.into())),
            false => Err(PeerNameError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for PeerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Which of the two delegations of a peering stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// We ask them and they ask us.
    Both,
    /// We ask them.
    OutboundOnly,
    /// They ask us.
    InboundOnly,
}

impl Directions {
    /// Whether we ask them.
    pub const fn outbound(self) -> bool {
        matches!(self, Self::Both | Self::OutboundOnly)
    }

    /// Whether they ask us.
    pub const fn inbound(self) -> bool {
        matches!(self, Self::Both | Self::InboundOnly)
    }

    /// The directions that stand; none when neither does.
    pub const fn from_flags(outbound: bool, inbound: bool) -> Option<Self> {
        match (outbound, inbound) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::OutboundOnly),
            (false, true) => Some(Self::InboundOnly),
            (false, false) => None,
        }
    }
}

/// Another cluster, and how to reach and verify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRecord {
    /// What operators call it.
    pub name: PeerName,
    /// The DNS suffix delegated to it.
    pub suffix: Name,
    /// Its gateways, in order of preference.
    pub endpoints: Vec<EndpointUrl>,
    /// The CAs that vouch for its trust domain.
    pub trust_bundle: TrustBundle,
    /// Who asks whom.
    pub directions: Directions,
    /// What it may see of us.
    pub namespaces: NamespacePolicy,
    /// Ranges of addresses that are its by the operator's word; empty: it advertises what it likes of private ones.
    pub addresses: Vec<IpNet>,
    /// When it was added or last changed, seconds since 1970-01-01 UTC.
    pub changed_at: i64,
}

impl PeerRecord {
    /// The peer as far as linking to it is concerned.
    pub fn link_target(&self) -> LinkTarget {
        LinkTarget {
            name: self.name.to_string(),
            suffix: self.suffix.clone(),
            endpoints: self.endpoints.clone(),
            trust_bundle: self.trust_bundle.clone(),
        }
    }
}

/// The version of a set of peers. Where one gateway keeps them, each change makes the next one; where several share
/// them, it is derived from their content ([`Generation::is_counted`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this, where they are counted.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The peers and shared zones of a cluster at one generation. Immutable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerSet {
    generation: Generation,
    peers: BTreeMap<PeerName, Arc<PeerRecord>>,
    /// Whose addresses are; empty where that is not known, or has no place.
    addresses: Arc<AddressMap>,
    zones: Arc<ZoneSet>,
}

impl PeerSet {
    /// A set of these peers; the name of one that is there twice is the error.
    pub fn new(generation: Generation, peers: impl IntoIterator<Item = PeerRecord>) -> Result<Self, PeerName> {
        let mut set = Self { generation, ..Self::default() };
        for peer in peers {
            if set.peers.contains_key(&peer.name) {
                return Err(peer.name);
            }
            set.peers.insert(peer.name.clone(), Arc::new(peer));
        }
        Ok(set)
    }

    /// Its version.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The peer of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<PeerRecord>> {
        self.peers.get(name)
    }

    /// The peers, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PeerRecord>> {
        self.peers.values()
    }

    /// The number of peers.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there is no peer.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// The peers that we ask, by name.
    pub fn outbound(&self) -> impl Iterator<Item = &Arc<PeerRecord>> {
        self.iter().filter(|peer| peer.directions.outbound())
    }

    /// The peers that ask us, by name.
    pub fn inbound(&self) -> impl Iterator<Item = &Arc<PeerRecord>> {
        self.iter().filter(|peer| peer.directions.inbound())
    }

    /// What a gateway believes of those who connect to it: its own cluster and the peers that ask us.
    pub fn inbound_trust(&self, own: &TrustBundle) -> TrustStore {
        TrustStore::new(std::iter::once(own.clone()).chain(self.inbound().map(|peer| peer.trust_bundle.clone())))
    }

    /// Whose addresses are.
    pub fn addresses(&self) -> &Arc<AddressMap> {
        &self.addresses
    }

    /// The same peers, with addresses.
    #[must_use]
    pub(crate) fn with_addresses(&self, addresses: Arc<AddressMap>) -> Self {
        Self { addresses, ..self.clone() }
    }

    /// The zones that the node-agents of this cluster answer.
    pub fn zones(&self) -> &Arc<ZoneSet> {
        &self.zones
    }

    /// The same peers, with these zones.
    #[must_use]
    pub(crate) fn with_zones(&self, zones: Arc<ZoneSet>) -> Self {
        Self { zones, ..self.clone() }
    }

    /// The same peers at another generation.
    pub(crate) fn at(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    /// The next generation, with `peer` added, or in the place of the one of its name.
    pub(crate) fn with(&self, peer: PeerRecord) -> Self {
        let mut peers = self.peers.clone();
        peers.insert(peer.name.clone(), Arc::new(peer));
        Self { generation: self.generation.next(), peers, ..self.clone() }
    }

    /// The next generation, without the peer of that name.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut peers = self.peers.clone();
        peers.remove(name);
        Self { generation: self.generation.next(), peers, ..self.clone() }
    }
}
