//! Cold misses over UDP: every name new, an upstream on the core of the load.

use crate::bench::Bench;
use crate::names::Names;
use crate::parts::rounds::{cost_table, rounds, row};
use crate::report::{Bound, Section, Verdict};
use crate::rivals::{self, CacheSize, Forwarding, UPSTREAM_ZONE, Upstream};
use crate::strait;

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let place = &bench.place;
    let upstream = Upstream::start(place)?;
    let mut contenders = Vec::new();
    for start in [strait::forward, rivals::unbound_forward, rivals::knot_forward, rivals::dnsdist_forward] {
        let plan =
            Forwarding { upstream: upstream.address, names: Names::fresh(UPSTREAM_ZONE), cache: CacheSize::Ample };
        contenders.push(start(place, &plan)?.wait()?);
    }
    let rows = rounds(bench, &mut contenders, |contender| contender.measure(&contender.saturating(bench.time)))?;
    let mut section = Section { title: "Cold misses over UDP".into(), ..Section::default() };
    section.tables.push(cost_table(&rows, &["unbound"]));
    section
        .notes
        .push("dnsdist asks from one fixed port, without the entropy of the others; it is there for reference.".into());
    if let (Some(strait), Some(unbound)) = (row(&rows, "strait"), row(&rows, "unbound")) {
        section.verdicts.push(Verdict {
            work: "cold miss over UDP, random ports".into(),
            measured: format!("{:.2} µs", strait.cpu().median()),
            compared: strait.cpu().over(&unbound.cpu()),
            bound: Bound::AtMost(0.40, "× unbound"),
            decimals: 2,
        });
    }
    Ok(section)
}
