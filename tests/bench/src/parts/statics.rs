//! Static answers: names that each server has by itself.

use crate::bench::Bench;
use crate::parts::rounds::{cost_table, hit_verdicts, rounds};
use crate::report::Section;
use crate::{rivals, strait};

/// Names that each server has.
const NAMES: usize = 5_000;

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let mut contenders = vec![rivals::echo(&bench.place, rivals::local_names(NAMES))?.wait()?];
    for start in
        [strait::local, rivals::unbound_local, rivals::dnsdist_local, rivals::knot_local, rivals::dnsmasq_local]
    {
        contenders.push(start(&bench.place, NAMES)?.wait()?);
    }
    let rows = rounds(bench, &mut contenders, |contender| contender.measure(&contender.saturating(bench.time)))?;
    let mut section = Section { title: "Static answers".into(), ..Section::default() };
    section.tables.push(cost_table(&rows, &["echo", "unbound"]));
    section.verdicts = hit_verdicts(&rows, "static A");
    Ok(section)
}
