//! What a peer must be before it is stored. Each rule is one line of [`check`], and each refusal
//! says what to do.

use std::collections::HashSet;

use strait_identity::TrustDomain;
use strait_link::EndpointUrl;
use strait_resolve::reserved_zone;
use strait_wire::Name;

use crate::convert::without_final_dot as plain;
use crate::peers::{MAX_PEERS, PeerName, PeerRecord, PeerSet};

/// What this cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The DNS suffix under which other clusters know this one.
    pub suffix: Name,
    /// Its trust domain.
    pub trust_domain: TrustDomain,
    /// The zone of its own cluster DNS, usually `cluster.local`.
    pub home_zone: Name,
}

/// Whether a peer of a name that exists is changed or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// It is an error.
    Refuse,
    /// The new one takes its place.
    Replace,
}

/// Why a peer is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The name is taken.
    #[error("peer {0} exists already; give --replace to change it, or choose another name")]
    Exists(PeerName),
    /// The set is full.
    #[error("there are {MAX_PEERS} peers already, the most a gateway keeps; remove one first")]
    Full,
    /// The root.
    #[error("the suffix . is the whole of DNS; name the suffix of that one cluster, for example cluster-b.example.com")]
    Root,
    /// One label.
    #[error("the suffix {} is a top-level domain; name the suffix of that one cluster, for example cluster-b.example.com", plain(.0))]
    TopLevel(Name),
    /// A wildcard.
    #[error("the suffix {} is a wildcard; write it without \"*.\", everything below it is meant anyway", plain(.0))]
    Wildcard(Name),
    /// A zone that is never another cluster's.
    #[error("the suffix {} overlaps {}, which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com", plain(.suffix), plain(.reserved))]
    Reserved {
        /// What was asked for.
        suffix: Name,
        /// What it overlaps.
        reserved: Name,
    },
    /// Our own suffix.
    #[error("the suffix {} overlaps this cluster's own suffix {}; two clusters need two suffixes, neither below the other", plain(.suffix), plain(.own))]
    OwnSuffix {
        /// What was asked for.
        suffix: Name,
        /// Ours.
        own: Name,
    },
    /// Another peer's suffix.
    #[error("the suffix {} overlaps {} of peer {other}; remove that peer first (gatewayctl peer remove {other}, or its resource), or choose another suffix", plain(.suffix), plain(.taken))]
    Taken {
        /// What was asked for.
        suffix: Name,
        /// Whose it is.
        other: PeerName,
        /// The other's suffix.
        taken: Name,
    },
    /// Our own trust domain.
    #[error("the trust domain {0} is this cluster's own; the trust bundle (--ca) must be the other cluster's CA")]
    OwnTrustDomain(TrustDomain),
    /// Another peer's trust domain, with other CAs.
    #[error(
        "the trust domain {trust_domain} belongs to peer {other} with other CAs; one trust domain has one bundle: change that peer's (--replace, or its resource), or give this cluster a trust domain of its own"
    )]
    TrustDomainTaken {
        /// The trust domain.
        trust_domain: TrustDomain,
        /// Whose it is.
        other: PeerName,
    },
    /// Another peer asks us under the same trust domain.
    #[error(
        "the trust domain {trust_domain} is already that of peer {other}, which may ask here: who asks is told by its trust domain, so one peer of each can be let in; let a further suffix of that cluster be asked only (--outbound-only, or directions: OutboundOnly), or remove {other} first (gatewayctl peer remove {other}, or its resource)"
    )]
    InboundTaken {
        /// The trust domain.
        trust_domain: TrustDomain,
        /// Whose inbound side it is.
        other: PeerName,
    },
    /// Nowhere to ask.
    #[error(
        "peer {0} is to be asked but has no endpoint; give --endpoint tls://host:853 or grpc://host:8443, or --inbound-only"
    )]
    NoEndpoint(PeerName),
    /// An endpoint twice.
    #[error("the endpoint {0} is there twice; leave one")]
    DuplicateEndpoint(EndpointUrl),
}

/// Whether `record` may become part of `set`.
pub(crate) fn check(record: &PeerRecord, set: &PeerSet, home: &Home, existing: OnExisting) -> Result<(), Conflict> {
    room(record, set, existing)?;
    suffix_is_delegable(&record.suffix, home)?;
    suffix_is_free(record, set)?;
    trust_domain_is_free(record, set, home)?;
    inbound_is_free(record, set)?;
    endpoints_are_usable(record)
}

fn room(record: &PeerRecord, set: &PeerSet, existing: OnExisting) -> Result<(), Conflict> {
    match (set.get(record.name.as_str()), existing) {
        (Some(_), OnExisting::Refuse) => Err(Conflict::Exists(record.name.clone())),
        (None, _) if set.len() >= MAX_PEERS => Err(Conflict::Full),
        _ => Ok(()),
    }
}

fn suffix_is_delegable(suffix: &Name, home: &Home) -> Result<(), Conflict> {
    if suffix.is_root() {
        return Err(Conflict::Root);
    }
    if suffix.is_wildcard() {
        return Err(Conflict::Wildcard(suffix.clone()));
    }
    let home_zone = || Some(&home.home_zone).filter(|zone| overlap(zone, suffix)).cloned();
    if let Some(reserved) = reserved_zone(suffix).or_else(home_zone) {
        return Err(Conflict::Reserved { suffix: suffix.clone(), reserved });
    }
    if suffix.label_count() == 1 {
        return Err(Conflict::TopLevel(suffix.clone()));
    }
    match overlap(&home.suffix, suffix) {
        true => Err(Conflict::OwnSuffix { suffix: suffix.clone(), own: home.suffix.clone() }),
        false => Ok(()),
    }
}

fn suffix_is_free(record: &PeerRecord, set: &PeerSet) -> Result<(), Conflict> {
    match others(record, set).find(|other| overlap(&other.suffix, &record.suffix)) {
        Some(other) => Err(Conflict::Taken {
            suffix: record.suffix.clone(),
            other: other.name.clone(),
            taken: other.suffix.clone(),
        }),
        None => Ok(()),
    }
}

fn trust_domain_is_free(record: &PeerRecord, set: &PeerSet, home: &Home) -> Result<(), Conflict> {
    let trust_domain = record.trust_bundle.trust_domain();
    if *trust_domain == home.trust_domain {
        return Err(Conflict::OwnTrustDomain(trust_domain.clone()));
    }
    let differs = |other: &&PeerRecord| {
        other.trust_bundle.trust_domain() == trust_domain && other.trust_bundle != record.trust_bundle
    };
    match others(record, set).find(differs) {
        Some(other) => {
            Err(Conflict::TrustDomainTaken { trust_domain: trust_domain.clone(), other: other.name.clone() })
        }
        None => Ok(()),
    }
}

/// Two inbound peers of one trust domain could not be told apart: removing one would revoke nothing.
fn inbound_is_free(record: &PeerRecord, set: &PeerSet) -> Result<(), Conflict> {
    let trust_domain = record.trust_bundle.trust_domain();
    let asks_too =
        |other: &&PeerRecord| other.directions.inbound() && other.trust_bundle.trust_domain() == trust_domain;
    match others(record, set).find(asks_too) {
        Some(other) if record.directions.inbound() => {
            Err(Conflict::InboundTaken { trust_domain: trust_domain.clone(), other: other.name.clone() })
        }
        _ => Ok(()),
    }
}

fn endpoints_are_usable(record: &PeerRecord) -> Result<(), Conflict> {
    if record.directions.outbound() && record.endpoints.is_empty() {
        return Err(Conflict::NoEndpoint(record.name.clone()));
    }
    let mut seen = HashSet::new();
    match record.endpoints.iter().find(|url| !seen.insert(*url)) {
        Some(twice) => Err(Conflict::DuplicateEndpoint(twice.clone())),
        None => Ok(()),
    }
}

/// The peers besides the one of the record's name.
fn others<'a>(record: &'a PeerRecord, set: &'a PeerSet) -> impl Iterator<Item = &'a PeerRecord> {
    set.iter().map(AsRef::as_ref).filter(move |other: &&PeerRecord| other.name != record.name)
}

/// Whether one of two names is, or lies below, the other.
fn overlap(a: &Name, b: &Name) -> bool {
    a.is_within(b) || b.is_within(a)
}
