//! `reverse`: the addresses of a cluster, whose names its gateway tells.

use strait_resolve::{IpNet, MAX_RANGES, MAX_REVERSE_ZONES};

use crate::backend::BackendDraft;
use crate::section::{Located, Section};
use crate::units;

/// Reads `reverse`; peers refuse what is refused here.
pub(crate) fn read(root: &mut Section<'_>, backend: Option<&BackendDraft>) -> Vec<IpNet> {
    let ranges = root.list("reverse", MAX_RANGES, units::parsed::<IpNet>).unwrap_or_default();
    let Some(at) = root.key_at("reverse") else { return Vec::new() };
    if let Some(BackendDraft::Zones(_)) = backend {
        let help = "remove `reverse`, or let `backend` be `kubernetes` or `clusterDns`";
        root.cx.error(&at, "`reverse` needs a backend that knows addresses, and `zones` do not", help);
    }
    for (index, range) in ranges.iter().enumerate() {
        check(root, range, &ranges[..index]);
    }
    let ranges: Vec<IpNet> = ranges.into_iter().map(|range| range.value.canonical()).collect();
    let zones: usize = ranges.iter().map(IpNet::reverse_zone_count).sum();
    if zones > MAX_REVERSE_ZONES {
        let message = format!("the ranges of `reverse` need {zones} reverse zones, more than {MAX_REVERSE_ZONES}");
        root.cx.error(
            &at,
            message,
            "write ranges that end at an octet, or at a digit of IPv6: 10.96.0.0/16, fd00:b::/112",
        );
    }
    ranges
}

fn check(root: &Section<'_>, range: &Located<IpNet>, earlier: &[Located<IpNet>]) {
    let overlap = |other: &&Located<IpNet>| other.value.holds(&range.value) || range.value.holds(&other.value);
    if let Some(other) = earlier.iter().find(overlap) {
        let message = format!("{} and {} have addresses in common", other.value, range.value);
        root.cx.error(&range.at, message, "keep the larger of the two, or one of them");
    }
    if let Err(error) = range.value.check_width() {
        let message = format!("{} is more than a cluster has", range.value);
        root.cx.error(&range.at, message, format!("write ranges of /{} or longer", error.shortest));
    }
}
