//! Cached answers: ten thousand names, all asked before.

use crate::bench::Bench;
use crate::names::Names;
use crate::parts::dnsperf;
use crate::parts::rounds::{cost_table, hit_verdicts, rounds};
use crate::report::Section;
use crate::rivals::{self, CacheSize, Forwarding, UPSTREAM_ZONE, Upstream};
use crate::strait;

/// Names in the cache.
const NAMES: usize = 10_000;

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let place = &bench.place;
    let upstream = Upstream::start(place)?;
    let plan = Forwarding {
        upstream: upstream.address,
        names: Names::known("h", NAMES, UPSTREAM_ZONE),
        cache: CacheSize::Ample,
    };
    let mut contenders = vec![rivals::echo(place, plan.names.clone())?.wait()?];
    for start in [
        strait::forward,
        rivals::unbound_forward,
        rivals::dnsdist_forward,
        rivals::knot_forward,
        rivals::dnsmasq_forward,
    ] {
        let mut contender = start(place, &plan)?.wait()?;
        contender.warm()?;
        contenders.push(contender);
    }
    let rows = rounds(bench, &mut contenders, |contender| contender.measure(&contender.saturating(bench.time)))?;
    let mut section = Section { title: "Cached answers".into(), ..Section::default() };
    section.tables.push(cost_table(&rows, &["echo", "unbound"]));
    let names: Vec<String> = (0..NAMES).map(|number| format!("h{number}.{UPSTREAM_ZONE}")).collect();
    section.tables.push(dnsperf::table(bench, &contenders, &names)?);
    section.verdicts = hit_verdicts(&rows, "cached A");
    Ok(section)
}
