//! Peers and zones as somebody wrote them, where anybody may write: which of them can be in force together.
//!
//! The verdict depends on nothing but what is written and its order, so that all who read the same come to the same:
//! the replicas of a gateway need not agree otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::convert::{Expired, PeerError, PeerText, texts, without_final_dot};
use crate::peers::{Generation, PeerRecord, PeerSet};
use crate::rules::{self, Conflict, Home, OnExisting};
use crate::zones::{self, ZoneDocument, ZoneSet};

/// A peer as it is written: texts, of which any may be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerDocument {
    /// What operators call it.
    pub name: String,
    /// The DNS suffix delegated to it.
    pub suffix: String,
    /// Its gateways.
    pub endpoints: Vec<String>,
    /// Its trust domain; empty: that of the CA certificates.
    pub trust_domain: String,
    /// Its CA certificates, PEM.
    pub trust_bundle: String,
    /// Whether we ask it.
    pub outbound: bool,
    /// Whether it may ask us.
    pub inbound: bool,
    /// The namespaces it may see; none: `*`.
    pub allow_namespaces: Vec<String>,
    /// Those that it may not.
    pub deny_namespaces: Vec<String>,
    /// The addresses that are its by the operator's word; none: those that it advertises.
    pub addresses: Vec<String>,
    /// When it was written last, seconds since 1970-01-01 UTC.
    pub changed_at: i64,
}

impl PeerDocument {
    fn text(&self) -> PeerText<'_> {
        PeerText {
            name: &self.name,
            suffix: &self.suffix,
            endpoints: borrowed(&self.endpoints),
            trust_domain: &self.trust_domain,
            trust_bundle: &self.trust_bundle,
            outbound: self.outbound,
            inbound: self.inbound,
            allow_namespaces: borrowed(&self.allow_namespaces),
            deny_namespaces: borrowed(&self.deny_namespaces),
            addresses: borrowed(&self.addresses),
            changed_at: self.changed_at,
        }
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

impl From<&PeerRecord> for PeerDocument {
    fn from(peer: &PeerRecord) -> Self {
        Self {
            name: peer.name.to_string(),
            suffix: without_final_dot(&peer.suffix),
            endpoints: peer.endpoints.iter().map(ToString::to_string).collect(),
            trust_domain: peer.trust_bundle.trust_domain().to_string(),
            trust_bundle: peer.trust_bundle.to_pem(),
            outbound: peer.directions.outbound(),
            inbound: peer.directions.inbound(),
            allow_namespaces: texts(peer.namespaces.allow()),
            deny_namespaces: texts(peer.namespaces.deny()),
            addresses: texts(&peer.addresses),
            changed_at: peer.changed_at,
        }
    }
}

/// Why a peer or a zone is not in force: a word for programs, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In the manner of a condition's reason: `SuffixTaken`.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What became of peers and zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Those in force; the generation is that of their content.
    pub set: PeerSet,
    /// The other peers, by name.
    pub refused: BTreeMap<String, Refusal>,
    /// The other zones, by name.
    pub refused_zones: BTreeMap<String, Refusal>,
}

impl Judgement {
    /// The same with zones, judged in their order beside the peers in force. What `known` has already is not built again.
    #[must_use]
    pub fn with_zones<'a>(
        self,
        documents: impl IntoIterator<Item = &'a ZoneDocument>,
        home: &Home,
        known: &ZoneSet,
    ) -> Self {
        let (zones, refused_zones) = zones::judge(documents, &self.set, home, known);
        let set = self.set.with_zones(Arc::new(zones)).with_generation_of_content();
        Self { set, refused_zones, ..self }
    }
}

/// Judges peers in their order: of two that cannot be in force together, the first is.
pub fn judge<'a>(documents: impl IntoIterator<Item = &'a PeerDocument>, home: &Home) -> Judgement {
    let mut set = PeerSet::default();
    let mut refused = BTreeMap::new();
    for document in documents {
        // Whose CAs have all expired vouches for nobody; whether that is so must not depend on who looks when.
        let read = document.text().parse(Expired::Keep).map_err(Refusal::from);
        let fits = |record: PeerRecord| match rules::check(&record, &set, home, OnExisting::Refuse) {
            Ok(()) => Ok(record),
            Err(conflict) => Err(Refusal::from(conflict)),
        };
        match read.and_then(fits) {
            Ok(record) => set = set.with(record),
            Err(refusal) => drop(refused.insert(document.name.clone(), refusal)),
        }
    }
    Judgement { set: set.with_generation_of_content(), refused, refused_zones: BTreeMap::new() }
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Self {
        let reason = match &error {
            PeerError::Name(_) => "BadName",
            PeerError::Suffix { .. } => "BadSuffix",
            PeerError::Endpoint { .. } | PeerError::TooManyEndpoints { .. } => "BadEndpoint",
            PeerError::TrustDomain { .. } => "BadTrustDomain",
            PeerError::Bundle { .. } | PeerError::BundleTooLong { .. } => "BadTrustBundle",
            PeerError::NoDirection { .. } => "NoDirection",
            PeerError::Namespaces { .. } => "BadNamespaces",
            PeerError::Addresses { .. } | PeerError::TooManyRanges { .. } => "BadAddresses",
            PeerError::AddressMap(_)
            | PeerError::Zones(_)
            | PeerError::Missing
            | PeerError::Duplicate(_)
            | PeerError::TooMany(_) => "BadPeer",
        };
        Self { reason, message: error.to_string() }
    }
}

impl From<Conflict> for Refusal {
    fn from(conflict: Conflict) -> Self {
        let reason = match &conflict {
            Conflict::Exists(_) => "NameTaken",
            Conflict::Full => "TooManyPeers",
            Conflict::Root
            | Conflict::TopLevel(_)
            | Conflict::Wildcard(_)
            | Conflict::Reserved { .. }
            | Conflict::OwnSuffix { .. } => "SuffixNotAllowed",
            Conflict::Taken { .. } => "SuffixTaken",
            Conflict::OwnTrustDomain(_) => "TrustDomainNotAllowed",
            Conflict::TrustDomainTaken { .. } | Conflict::InboundTaken { .. } => "TrustDomainTaken",
            Conflict::NoEndpoint(_) => "NoEndpoint",
            Conflict::DuplicateEndpoint(_) => "BadEndpoint",
        };
        Self { reason, message: conflict.to_string() }
    }
}

impl Generation {
    /// Generations that are not counted are derived from the content, and begin here. All are whole numbers that
    /// metrics and JSON can hold (2^53).
    const FIRST_DERIVED: u64 = 1 << 52;

    /// Whether it comes after those that are lower; derived ones only tell apart.
    pub const fn is_counted(self) -> bool {
        self.0 < Self::FIRST_DERIVED
    }

    /// That of this content: FNV-1a, folded. Programs of different versions must come to the same.
    fn of_content(parts: impl Iterator<Item = String>) -> Self {
        let octets = parts.flat_map(|part| part.into_bytes().into_iter().chain([0xff]));
        let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self((hash ^ (hash >> 52)) % Self::FIRST_DERIVED + Self::FIRST_DERIVED)
    }
}

impl PeerSet {
    /// The same at the generation that every set of these peers and zones has; when they were written plays no part.
    fn with_generation_of_content(self) -> Self {
        let peers = self.iter().flat_map(|peer| {
            let document = PeerDocument::from(peer.as_ref());
            let PeerDocument { name, suffix, endpoints, trust_domain, trust_bundle, .. } = document;
            let lists = [endpoints, document.allow_namespaces, document.deny_namespaces, document.addresses];
            // A list ends with what is no entry of any.
            let lists = lists.into_iter().flat_map(|list| list.into_iter().chain([String::new()]));
            let directions = format!("{:?}", peer.directions);
            [name, suffix, trust_domain, trust_bundle, directions].into_iter().chain(lists)
        });
        let generation = Generation::of_content(peers.chain(self.zones().content()));
        self.at(generation)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::NamespacePolicy;
    use crate::testkit::{expired_authority_pem, home, peer};

    fn document(name: &str) -> PeerDocument {
        (&peer(name)).into()
    }

    fn judged(documents: &[PeerDocument]) -> Judgement {
        judge(documents, &home())
    }

    #[test]
    fn a_document_of_a_peer_is_that_peer() {
        let namespaces = NamespacePolicy::parse(["shop"], ["secret"]).unwrap();
        let addresses = vec!["10.0.0.0/8".parse().unwrap()];
        let record = PeerRecord { namespaces, addresses, ..peer("cluster-b") };
        let Judgement { set, refused, .. } = judged(&[(&record).into()]);
        assert_eq!((&**set.get("cluster-b").unwrap(), refused.len()), (&record, 0));
    }

    #[test]
    fn a_bad_one_is_refused_with_its_reason_and_the_others_are_in_force() {
        let suffix = |suffix: &str| PeerDocument { suffix: suffix.to_owned(), ..document("cluster-c") };
        // (what is written beside cluster-b, reason, part of the message)
        let cases = [
            (suffix("b.cluster-b.example.com"), "SuffixTaken", "overlaps cluster-b.example.com of peer cluster-b"),
            (suffix("cluster-a.example.com"), "SuffixNotAllowed", "this cluster's own suffix"),
            (suffix("com"), "SuffixNotAllowed", "top-level domain"),
            (suffix("x.cluster.local"), "SuffixNotAllowed", "cannot be delegated"),
            (suffix("a..b"), "BadSuffix", "is not a DNS name"),
            (PeerDocument { name: "Cluster_C".to_owned(), ..document("cluster-c") }, "BadName", "is not a peer name"),
            (
                PeerDocument { endpoints: vec!["http://x".to_owned()], ..document("cluster-c") },
                "BadEndpoint",
                "http://x",
            ),
            (PeerDocument { endpoints: vec![], ..document("cluster-c") }, "NoEndpoint", "no endpoint"),
            (
                PeerDocument { trust_bundle: "no PEM".to_owned(), ..document("cluster-c") },
                "BadTrustBundle",
                "trust bundle",
            ),
            (
                PeerDocument { trust_domain: "other.example".to_owned(), ..document("cluster-c") },
                "BadTrustBundle",
                "other.example",
            ),
            (PeerDocument { trust_domain: "?".to_owned(), ..document("cluster-c") }, "BadTrustDomain", "cluster-c"),
            (
                PeerDocument { outbound: false, inbound: false, ..document("cluster-c") },
                "NoDirection",
                "neither direction",
            ),
            (
                PeerDocument { deny_namespaces: vec!["*".to_owned()], ..document("cluster-c") },
                "BadNamespaces",
                "is denied",
            ),
            // cluster-b's own CA, under another suffix.
            (
                PeerDocument {
                    suffix: "c.example.com".to_owned(),
                    name: "cluster-c".to_owned(),
                    ..document("cluster-b")
                },
                "TrustDomainTaken",
                "peer cluster-b",
            ),
        ];
        for (bad, reason, part) in cases {
            let Judgement { set, refused, .. } = judged(&[document("cluster-b"), bad.clone(), document("cluster-d")]);
            let names: Vec<&str> = set.iter().map(|peer| peer.name.as_str()).collect();
            assert_eq!(names, ["cluster-b", "cluster-d"], "{bad:?}");
            let refusal = &refused[&bad.name];
            assert_eq!(refusal.reason, reason, "{refusal:?}");
            assert!(refusal.message.contains(part), "{refusal:?}");
        }
    }

    #[test]
    fn of_two_that_exclude_each_other_the_first_is_in_force() {
        let (first, second) =
            (document("cluster-b"), PeerDocument { name: "again".to_owned(), ..document("cluster-b") });
        for (documents, refused) in [([first.clone(), second.clone()], "again"), ([second, first], "cluster-b")] {
            assert_eq!(judged(&documents).refused.keys().collect::<Vec<_>>(), [refused]);
        }
    }

    #[test]
    fn a_bundle_that_has_expired_is_no_reason() {
        let expired = expired_authority_pem("cluster-b.example.com");
        let expired = PeerDocument { trust_bundle: expired, ..document("cluster-b") };
        assert_eq!(judged(&[expired]).set.len(), 1, "whether it has depends on who looks when");
    }

    #[test]
    fn the_generation_is_that_of_the_content() {
        let generation = |documents: &[PeerDocument]| judged(documents).set.generation();
        let (b, c) = (document("cluster-b"), document("cluster-c"));
        let both = generation(&[b.clone(), c.clone()]);
        assert_eq!(both, generation(&[c, b.clone()]), "in any order");
        assert_eq!(both, generation(&[PeerDocument { changed_at: 5, ..b.clone() }, document("cluster-c")]));
        let others = [
            PeerDocument { suffix: "x.example.com".to_owned(), ..b.clone() },
            PeerDocument { endpoints: b.endpoints[..1].to_vec(), ..b.clone() },
            PeerDocument { inbound: false, ..b.clone() },
            PeerDocument { allow_namespaces: vec!["shop".to_owned()], ..b.clone() },
            PeerDocument { deny_namespaces: vec!["shop".to_owned()], ..b.clone() },
            PeerDocument { addresses: vec!["10.0.0.0/8".to_owned()], ..b.clone() },
            PeerDocument { trust_bundle: document("cluster-c").trust_bundle, trust_domain: String::new(), ..b.clone() },
        ];
        let mut all: Vec<Generation> = others.iter().map(|other| generation(std::slice::from_ref(other))).collect();
        all.extend([both, generation(&[b]), generation(&[])]);
        assert!(all.iter().all(|generation| !generation.is_counted() && generation.0 < 1 << 53));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "each content has one of its own");
        assert!(Generation(1).is_counted());
    }
}
