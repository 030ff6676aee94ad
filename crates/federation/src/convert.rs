//! Peers from and to protobuf: the one place where messages of `strait.v1` become our own types.

use std::sync::Arc;

use strait_identity::{BundleError, TrustBundle, TrustDomainError};
use strait_link::{EndpointUrl, EndpointUrlError};
use strait_proto::v1;
use strait_resolve::{IpNet, MAX_RANGES};
use strait_wire::{Name, NameError};

use crate::addresses::{AddressMap, AddressMapError};
use crate::export::{NamespacePolicy, NamespacePolicyError};
use crate::peers::{Directions, Generation, MAX_BUNDLE_LEN, MAX_ENDPOINTS, MAX_PEERS, PeerRecord, PeerSet};
use crate::zones::{ZoneSet, ZonesError};
use crate::{PeerName, PeerNameError};

/// Why a message or a stored entry is not a peer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] PeerNameError),
    /// The suffix is not a DNS name.
    #[error("peer {peer}: suffix {text:?} is not a DNS name: {source}")]
    Suffix {
        /// Whose.
        peer: PeerName,
        /// The text.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// An endpoint is not one.
    #[error("peer {peer}: {source}")]
    Endpoint {
        /// Whose.
        peer: PeerName,
        /// What is wrong.
        source: EndpointUrlError,
    },
    /// The trust domain is not one.
    #[error("peer {peer}: {source}")]
    TrustDomain {
        /// Whose.
        peer: PeerName,
        /// What is wrong.
        source: TrustDomainError,
    },
    /// The CA certificates cannot be used.
    #[error("peer {peer}: trust bundle: {source}")]
    Bundle {
        /// Whose.
        peer: PeerName,
        /// What is wrong.
        source: BundleError,
    },
    /// The CA certificates are more text than is accepted.
    #[error(
        "peer {peer}: the trust bundle has {len} octets, more than {MAX_BUNDLE_LEN}; leave only this cluster's CAs in it"
    )]
    BundleTooLong {
        /// Whose.
        peer: PeerName,
        /// How long.
        len: usize,
    },
    /// More endpoints than are accepted.
    #[error("peer {peer}: {count} endpoints, more than {MAX_ENDPOINTS}; put a load balancer in front, or list fewer")]
    TooManyEndpoints {
        /// Whose.
        peer: PeerName,
        /// How many.
        count: usize,
    },
    /// Neither direction stands.
    #[error("peer {peer}: neither direction is delegated; set outbound, inbound or both")]
    NoDirection {
        /// Whose.
        peer: PeerName,
    },
    /// What it may see is not said well.
    #[error("peer {peer}: {source}")]
    Namespaces {
        /// Whose.
        peer: PeerName,
        /// What is wrong.
        source: NamespacePolicyError,
    },
    /// What addresses are its is not said well.
    #[error("peer {peer}: addresses: {text:?} is not a range of addresses: write 10.96.0.0/16 or fd00:b::/108")]
    Addresses {
        /// Whose.
        peer: PeerName,
        /// The text.
        text: String,
    },
    /// More ranges than are accepted.
    #[error("peer {peer}: {count} ranges of addresses, more than {MAX_RANGES}; write larger ones")]
    TooManyRanges {
        /// Whose.
        peer: PeerName,
        /// How many.
        count: usize,
    },
    /// Whose addresses are is not said well.
    #[error("addresses: {0}")]
    AddressMap(#[from] AddressMapError),
    /// The zones cannot be taken over.
    #[error("zones: {0}")]
    Zones(#[from] ZonesError),
    /// No peer in the message.
    #[error("the request holds no peer")]
    Missing,
    /// The same name twice.
    #[error("peer {0} is there twice")]
    Duplicate(PeerName),
    /// More peers than are accepted.
    #[error("{0} peers, more than {MAX_PEERS}")]
    TooMany(usize),
}

/// Whether a bundle all of whose CAs have expired is accepted. A new one is refused, which tells
/// the operator at once. One that is in force already stays: it vouches for nobody (handshakes
/// look at the dates), and the other peers must not suffer for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    Refuse,
    Keep,
}

/// The texts of a peer, as messages and files hold them.
pub(crate) struct PeerText<'a> {
    pub(crate) name: &'a str,
    pub(crate) suffix: &'a str,
    pub(crate) endpoints: Vec<&'a str>,
    /// Empty: taken from the certificates.
    pub(crate) trust_domain: &'a str,
    pub(crate) trust_bundle: &'a str,
    pub(crate) outbound: bool,
    pub(crate) inbound: bool,
    pub(crate) allow_namespaces: Vec<&'a str>,
    pub(crate) deny_namespaces: Vec<&'a str>,
    pub(crate) addresses: Vec<&'a str>,
    pub(crate) changed_at: i64,
}

impl PeerText<'_> {
    /// Reads every text.
    pub(crate) fn parse(&self, expired: Expired) -> Result<PeerRecord, PeerError> {
        let name: PeerName = self.name.parse()?;
        let peer = || name.clone();
        let suffix = self.suffix.parse::<Name>();
        let suffix =
            suffix.map_err(|source| PeerError::Suffix { peer: peer(), text: self.suffix.to_owned(), source })?;
        if self.endpoints.len() > MAX_ENDPOINTS {
            return Err(PeerError::TooManyEndpoints { peer: peer(), count: self.endpoints.len() });
        }
        let endpoints: Result<Vec<EndpointUrl>, _> = self.endpoints.iter().map(|url| url.parse()).collect();
        let endpoints = endpoints.map_err(|source| PeerError::Endpoint { peer: peer(), source })?;
        let directions = Directions::from_flags(self.outbound, self.inbound)
            .ok_or_else(|| PeerError::NoDirection { peer: peer() })?;
        let (allow, deny) = (self.allow_namespaces.iter().copied(), self.deny_namespaces.iter().copied());
        let namespaces = NamespacePolicy::parse(allow, deny);
        let namespaces = namespaces.map_err(|source| PeerError::Namespaces { peer: peer(), source })?;
        let addresses = self.addresses(&name)?;
        let trust_bundle = self.bundle(&name, expired)?;
        Ok(PeerRecord {
            suffix: suffix.to_lowercase(),
            endpoints,
            trust_bundle,
            directions,
            namespaces,
            addresses,
            changed_at: self.changed_at,
            name,
        })
    }

    fn addresses(&self, name: &PeerName) -> Result<Vec<IpNet>, PeerError> {
        let count = self.addresses.len();
        if count > MAX_RANGES {
            return Err(PeerError::TooManyRanges { peer: name.clone(), count });
        }
        let read = |text: &&str| {
            let bad = |_| PeerError::Addresses { peer: name.clone(), text: (*text).to_owned() };
            text.parse::<IpNet>().map(|range| range.canonical()).map_err(bad)
        };
        self.addresses.iter().map(read).collect()
    }

    fn bundle(&self, name: &PeerName, expired: Expired) -> Result<TrustBundle, PeerError> {
        let peer = || name.clone();
        if self.trust_bundle.len() > MAX_BUNDLE_LEN {
            return Err(PeerError::BundleTooLong { peer: peer(), len: self.trust_bundle.len() });
        }
        let trust_domain = match self.trust_domain {
            "" => None,
            text => Some(text.parse().map_err(|source| PeerError::TrustDomain { peer: peer(), source })?),
        };
        let bundle = match expired {
            Expired::Refuse => TrustBundle::from_pem(self.trust_bundle, trust_domain),
            Expired::Keep => TrustBundle::from_known_pem(self.trust_bundle, trust_domain),
        };
        bundle.map_err(|source| PeerError::Bundle { peer: peer(), source })
    }
}

impl PeerRecord {
    /// Reads a peer that is being added.
    pub(crate) fn from_request(peer: Option<v1::Peer>) -> Result<Self, PeerError> {
        Self::from_message(&peer.ok_or(PeerError::Missing)?, Expired::Refuse)
    }

    fn from_message(peer: &v1::Peer, expired: Expired) -> Result<Self, PeerError> {
        PeerText {
            name: &peer.name,
            suffix: &peer.suffix,
            endpoints: peer.endpoints.iter().map(|e| e.url.as_str()).collect(),
            trust_domain: &peer.trust_domain,
            trust_bundle: &peer.trust_bundle,
            outbound: peer.outbound,
            inbound: peer.inbound,
            allow_namespaces: peer.allow_namespaces.iter().map(String::as_str).collect(),
            deny_namespaces: peer.deny_namespaces.iter().map(String::as_str).collect(),
            addresses: peer.addresses.iter().map(String::as_str).collect(),
            changed_at: peer.changed_at,
        }
        .parse(expired)
    }
}

impl From<&PeerRecord> for v1::Peer {
    fn from(peer: &PeerRecord) -> Self {
        Self {
            name: peer.name.to_string(),
            suffix: without_final_dot(&peer.suffix),
            endpoints: peer.endpoints.iter().map(|url| v1::Endpoint { url: url.to_string() }).collect(),
            trust_domain: peer.trust_bundle.trust_domain().to_string(),
            trust_bundle: peer.trust_bundle.to_pem(),
            outbound: peer.directions.outbound(),
            inbound: peer.directions.inbound(),
            changed_at: peer.changed_at,
            allow_namespaces: texts(peer.namespaces.allow()),
            deny_namespaces: texts(peer.namespaces.deny()),
            addresses: texts(&peer.addresses),
        }
    }
}

impl PeerSet {
    /// What a gateway says is in force. The zones that `known` has already are not built again; one that cannot be built
    /// is in the set all the same, and says so.
    pub(crate) fn from_snapshot(snapshot: v1::Snapshot, known: &ZoneSet) -> Result<Self, PeerError> {
        if snapshot.peers.len() > MAX_PEERS {
            return Err(PeerError::TooMany(snapshot.peers.len()));
        }
        let read = |peer| PeerRecord::from_message(peer, Expired::Keep);
        let peers: Result<Vec<PeerRecord>, PeerError> = snapshot.peers.iter().map(read).collect();
        let addresses = Arc::new(AddressMap::try_from(snapshot.addresses)?);
        let zones = ZoneSet::read(snapshot.zones.into_iter().map(Into::into), known)?;
        let set = Self::new(Generation(snapshot.generation), peers?).map_err(PeerError::Duplicate)?;
        Ok(set.with_addresses(addresses).with_zones(Arc::new(zones)))
    }
}

impl From<&PeerSet> for v1::Snapshot {
    fn from(set: &PeerSet) -> Self {
        let peers = set.iter().map(|peer| peer.as_ref().into()).collect();
        Self {
            generation: set.generation().0,
            peers,
            zones: set.zones().as_ref().into(),
            addresses: set.addresses().as_ref().into(),
        }
    }
}

/// A list as texts.
pub(crate) fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// A name as people write it: without the final dot, except the root.
pub(crate) fn without_final_dot(name: &Name) -> String {
    let text = name.to_string();
    match text.strip_suffix('.') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => text,
    }
}
