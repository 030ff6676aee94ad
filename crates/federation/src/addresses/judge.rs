//! Whose an address is: what this cluster has, what the operator says, what peers advertise, in this order. What several
//! claim with the same right is nobody's.
//!
//! Of two ranges with an address in common one holds the other, so what is shared is always the smaller of the two.

use std::collections::BTreeMap;
use std::sync::Arc;

use strait_resolve::{IpNet, MAX_RANGES, MAX_REVERSE_ZONES};

use super::map::{AddressMap, Owners};
use crate::peers::{PeerName, PeerRecord, PeerSet};

/// Why a range that a peer advertises is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RangeRefusal {
    /// Anybody's addresses.
    #[error(
        "these are not private addresses: say that they are its (gatewayctl peer add --replace --addresses {0}, or `addresses` of its resource), or have it advertise others"
    )]
    NotPrivate(IpNet),
    /// The operator says what is its, and these are not.
    #[error("these are not among the addresses that are its by gatewayctl peer add --addresses")]
    NotIts,
    /// A whole part of the address space.
    #[error(transparent)]
    TooWide(#[from] strait_resolve::TooWide),
    /// It advertises more than is accepted.
    #[error("it advertises more than {MAX_RANGES} ranges, or such as need more than {MAX_REVERSE_ZONES} reverse zones")]
    TooMany,
}

/// A range that others have a claim to as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// What is shared.
    pub(crate) range: IpNet,
    /// With whom.
    pub(crate) with: Vec<Claimant>,
}

/// Who has a claim to addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claimant {
    Own,
    Peer(PeerName),
}

impl std::fmt::Display for Claimant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own => f.write_str("this cluster"),
            Self::Peer(name) => write!(f, "peer {name}"),
        }
    }
}

/// What became of one peer's ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Judged {
    /// Those it is asked of, but for what others have a claim to.
    pub(crate) accepted: Vec<IpNet>,
    pub(crate) overlaps: Vec<Overlap>,
    pub(crate) refused: Vec<(IpNet, RangeRefusal)>,
}

/// What became of all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Judgement {
    pub(crate) map: AddressMap,
    pub(crate) peers: BTreeMap<PeerName, Judged>,
}

/// By what right addresses are claimed; the first wins over those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Own,
    Assigned,
    Advertised,
}

#[derive(Clone)]
struct Claim {
    range: IpNet,
    right: Right,
    claimant: Claimant,
}

/// Judges what this cluster has and what the peers that are asked have advertised.
pub(crate) fn judge(own: &[IpNet], set: &PeerSet, advertised: &BTreeMap<PeerName, Arc<[IpNet]>>) -> Judgement {
    let mut claims: Vec<Claim> =
        own.iter().map(|range| Claim { range: *range, right: Right::Own, claimant: Claimant::Own }).collect();
    let mut peers = BTreeMap::new();
    for peer in set.outbound() {
        let Some(ranges) = advertised.get(&peer.name) else { continue };
        let (believed, refused) = believe(peer, ranges);
        let right = if peer.addresses.is_empty() { Right::Advertised } else { Right::Assigned };
        let claim = |range: &IpNet| Claim { range: *range, right, claimant: Claimant::Peer(peer.name.clone()) };
        claims.extend(believed.iter().map(claim));
        peers.insert(peer.name.clone(), Judged { accepted: Vec::new(), overlaps: Vec::new(), refused });
    }
    settle(claims, peers)
}

/// What of the ranges that a peer advertises is believed, and why the others are not.
fn believe(peer: &PeerRecord, ranges: &[IpNet]) -> (Vec<IpNet>, Vec<(IpNet, RangeRefusal)>) {
    let (mut believed, mut refused): (Vec<IpNet>, _) = (Vec::new(), Vec::new());
    let mut zones = 0;
    let mut sorted: Vec<IpNet> = ranges.to_vec();
    // The wider before those they hold.
    sorted.sort_by_key(|range| (range.prefix(), *range));
    for range in sorted {
        if believed.iter().any(|wider| wider.holds(&range)) {
            continue;
        }
        let verdict = check(peer, &range).and_then(|()| {
            zones += range.reverse_zone_count();
            let fits = believed.len() < MAX_RANGES && zones <= MAX_REVERSE_ZONES;
            if fits { Ok(()) } else { Err(RangeRefusal::TooMany) }
        });
        match verdict {
            Ok(()) => believed.push(range),
            Err(refusal) => refused.push((range, refusal)),
        }
    }
    (believed, refused)
}

fn check(peer: &PeerRecord, range: &IpNet) -> Result<(), RangeRefusal> {
    range.check_width()?;
    match peer.addresses.is_empty() {
        true if !range.is_private() => Err(RangeRefusal::NotPrivate(*range)),
        false if !peer.addresses.iter().any(|its| its.holds(range)) => Err(RangeRefusal::NotIts),
        _ => Ok(()),
    }
}

/// Finds what several claim, and makes the map.
fn settle(mut claims: Vec<Claim>, mut peers: BTreeMap<PeerName, Judged>) -> Judgement {
    // Each before those it holds; of equal ranges the one with the better right first.
    claims.sort_by(|a, b| (a.range, a.right, &a.claimant).cmp(&(b.range, b.right, &b.claimant)));
    // Disputed ranges, by the right with which they are claimed, with all who claim them.
    let mut disputed: BTreeMap<(Right, IpNet), Vec<PeerName>> = BTreeMap::new();
    let mut entries: Vec<(Right, IpNet, Owners)> = Vec::new();
    // Those that hold the claim at hand.
    let mut around: Vec<&Claim> = Vec::new();
    for claim in &claims {
        around.retain(|wider| wider.range.holds(&claim.range));
        let is_lost = around.iter().any(|wider| wider.right < claim.right && wider.claimant != claim.claimant);
        for wider in around.iter().filter(|wider| wider.claimant != claim.claimant) {
            note(&mut peers, claim, claim.range, &wider.claimant);
            note(&mut peers, wider, claim.range, &claim.claimant);
            if let (Claimant::Peer(one), Claimant::Peer(other)) = (&wider.claimant, &claim.claimant)
                && wider.right == claim.right
                && !is_lost
            {
                let who = disputed.entry((claim.right, claim.range)).or_default();
                who.extend([one.clone(), other.clone()]);
            }
        }
        if !is_lost {
            let owners = match &claim.claimant {
                Claimant::Own => Owners::Own,
                Claimant::Peer(name) => Owners::Peer(name.clone()),
            };
            entries.push((claim.right, claim.range, owners));
        }
        if let Claimant::Peer(name) = &claim.claimant
            && let Some(judged) = peers.get_mut(name)
        {
            judged.accepted.push(claim.range);
        }
        around.push(claim);
    }
    let disputed = disputed.into_iter().map(|((right, range), mut who)| {
        who.sort();
        who.dedup();
        (right, range, Owners::Disputed(who))
    });
    // Of equal ranges, and of zones that two ranges need, the first counts: the better right, and in it what is disputed.
    let mut all: Vec<(Right, IpNet, Owners)> = disputed.chain(entries).collect();
    all.sort_by_key(|(right, ..)| *right);
    Judgement { map: AddressMap::new(all.into_iter().map(|(_, range, owners)| (range, owners))), peers }
}

/// Notes for the peer of `claim` that `other` has a claim to `range` as well.
fn note(peers: &mut BTreeMap<PeerName, Judged>, claim: &Claim, range: IpNet, other: &Claimant) {
    let Claimant::Peer(name) = &claim.claimant else { return };
    let Some(judged) = peers.get_mut(name) else { return };
    match judged.overlaps.iter_mut().find(|overlap| overlap.range == range) {
        Some(overlap) if overlap.with.contains(other) => {}
        Some(overlap) => overlap.with.push(other.clone()),
        None => judged.overlaps.push(Overlap { range, with: vec![other.clone()] }),
    }
}

#[cfg(test)]
mod tests;
