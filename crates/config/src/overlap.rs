//! Names that contradict each other across sections.
//!
//! The longest zone answers, so zones within zones are in order. Two owners of one name are not, nor are two clusters
//! that would answer for each other's names.

use strait_wire::Name;

use crate::context::Context;
use crate::document::Span;
use crate::peers::PeerDraft;
use crate::section::Located;
use crate::zones::ZoneDraft;

/// A name that a section answers for.
struct Claim<'a> {
    kind: &'static str,
    name: &'a Name,
    at: &'a Span,
}

/// Checks the zones, forward zones, zones of the gateway and peers of a node-agent.
pub(crate) fn check(
    cx: &Context,
    zones: &[ZoneDraft],
    forward: &[(&Name, &Span)],
    gateway: &[(&Name, &Span)],
    peers: &[PeerDraft],
    has_upstreams: bool,
) {
    let zone_claims = zones.iter().map(|zone| claim("zone", zone.claim()));
    let forward_claims = forward.iter().map(|forward| claim("forward zone", *forward));
    let gateway_claims = gateway.iter().map(|zone| claim("zone of the gateway", *zone));
    let peer_claims = peers.iter().map(|peer| claim("suffix of a peer", (&peer.suffix.value, &peer.suffix.at)));
    let claims: Vec<Claim<'_>> = zone_claims.chain(forward_claims).chain(gateway_claims).chain(peer_claims).collect();
    refuse_equal(cx, &claims);
    refuse_nested_peers(cx, peers);
    refuse_equal_names(cx, peers);
    if has_upstreams && let Some(root) = claims.iter().find(|claim| claim.name.is_root()) {
        let help = "remove it, or remove `upstreams`";
        cx.error(root.at, format!("{} `.` leaves nothing for `upstreams`", root.kind), help);
    }
    warn_of_shadows(cx, zones, &claims);
}

/// Checks zones that stand alone: a gateway's.
pub(crate) fn check_zones(cx: &Context, zones: &[ZoneDraft]) {
    let claims: Vec<Claim<'_>> = zones.iter().map(|zone| claim("zone", zone.claim())).collect();
    refuse_equal(cx, &claims);
    warn_of_shadows(cx, zones, &claims);
}

fn claim<'a>(kind: &'static str, (name, at): (&'a Name, &'a Span)) -> Claim<'a> {
    Claim { kind, name, at }
}

fn refuse_equal(cx: &Context, claims: &[Claim<'_>]) {
    let mut seen: std::collections::HashMap<&Name, &Claim<'_>> = std::collections::HashMap::new();
    for claim in claims {
        if let Some(first) = seen.insert(claim.name, claim) {
            let (name, kind, line) = (claim.name, first.kind, cx.line(first.at));
            let message = format!("{name} is answered for twice: it is the {kind} of line {line} as well");
            cx.error(claim.at, message, "a name has one source; keep one of them, or join them");
        }
    }
}

fn refuse_nested_peers(cx: &Context, peers: &[PeerDraft]) {
    for peer in peers {
        let outer = |other: &&PeerDraft| {
            other.suffix.value != peer.suffix.value && peer.suffix.value.is_within(&other.suffix.value)
        };
        if let Some(outer) = peers.iter().find(outer) {
            let (suffix, around, name) = (&peer.suffix.value, &outer.suffix.value, &outer.name.value);
            let message = format!("suffix {suffix} lies within {around}, the suffix of peer `{name}`");
            cx.error(&peer.suffix.at, message, "give every cluster a suffix outside the others'");
        }
    }
}

fn refuse_equal_names(cx: &Context, peers: &[PeerDraft]) {
    for (index, peer) in peers.iter().enumerate() {
        let same = |earlier: &&PeerDraft| earlier.name.value == peer.name.value;
        if let Some(first) = peers[..index].iter().find(same) {
            let message =
                format!("two peers are named `{}`; first in line {}", peer.name.value, cx.line(&first.name.at));
            cx.error(&peer.name.at, message, "give each peer a name of its own; one peer can have several endpoints");
        }
    }
}

/// Warns of records that a longer zone hides, and of zones that hide part of a peer.
fn warn_of_shadows(cx: &Context, zones: &[ZoneDraft], claims: &[Claim<'_>]) {
    for zone in zones {
        let (apex, at) = zone.claim();
        for Located { value: owner, at } in &zone.owners {
            let longer =
                |claim: &&Claim<'_>| claim.name != apex && claim.name.is_within(apex) && owner.is_within(claim.name);
            if let Some(hider) = claims.iter().find(longer) {
                let (kind, name, line) = (hider.kind, hider.name, cx.line(hider.at));
                let message =
                    format!("this record is never the answer: {name}, {kind} of line {line}, answers for {owner}");
                cx.warning(at, message, "move the record there, or remove it");
            }
        }
        let peer =
            |claim: &&Claim<'_>| claim.kind == "suffix of a peer" && claim.name != apex && apex.is_within(claim.name);
        if let Some(peer) = claims.iter().find(peer) {
            let message =
                format!("zone {apex} hides names of the peer with suffix {} (line {})", peer.name, cx.line(peer.at));
            cx.warning(at, message, "in order if these names are to be answered here and not by the peer");
        }
    }
}
