//! Cold misses through two programs, encrypted between them, both on one core: as many as they can, then one at a time.

use crate::bench::Bench;
use crate::load::udp::UdpLoad;
use crate::parts::rounds::{Row, cost_table, rounds, row};
use crate::pki::Pki;
use crate::report::{Bound, Section, Table, Verdict};
use crate::strait::Scheme;
use crate::{rivals, strait};

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let place = &bench.place;
    let pki = Pki::make(place)?;
    let mut contenders = vec![
        strait::agent_and_gateway(place, &pki, Scheme::Tls)?.wait()?,
        strait::agent_and_gateway(place, &pki, Scheme::Grpc)?.wait()?,
        rivals::unbound_pair(place, &pki)?.wait()?,
        rivals::dnsdist_pair(place, &pki)?.wait()?,
    ];
    let busy = rounds(bench, &mut contenders, |contender| contender.measure(&contender.saturating(bench.time)))?;
    let single = rounds(bench, &mut contenders, |contender| {
        contender.measure(&UdpLoad::one_at_a_time(contender.server, bench.time))
    })?;

    let mut section = Section { title: "Cold misses through two programs".into(), ..Section::default() };
    section.tables.push(cost_table(&busy, &["unbound → unbound"]));
    section.tables.push(latency_table(&single));
    let anchor = row(&busy, "unbound → unbound");
    for (name, work, factor) in [
        ("strait agent → gateway, DoT", "cold miss through both programs over DoT", 7.0),
        ("strait agent → gateway, gRPC", "the same over gRPC", 4.5),
    ] {
        let (Some(strait), Some(unbound)) = (row(&busy, name), anchor) else { continue };
        section.verdicts.push(Verdict {
            work: work.into(),
            measured: format!("{:.0} q/s", strait.rate().median()),
            compared: strait.rate().over(&unbound.rate()),
            bound: Bound::AtLeast(factor, "× unbound pair"),
            decimals: 1,
        });
    }
    if let (Some(strait), Some(unbound)) =
        (row(&single, "strait agent → gateway, DoT"), row(&single, "unbound → unbound"))
    {
        section.verdicts.push(Verdict {
            work: "the same over DoT, one at a time, p50".into(),
            measured: format!("{:.0} µs", strait.latency(0.5).median()),
            compared: strait.latency(0.5).over(&unbound.latency(0.5)),
            bound: Bound::AtMost(0.70, "× unbound pair"),
            decimals: 2,
        });
    }
    Ok(section)
}

fn latency_table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["one at a time", "p50, µs", "p99, µs", "CPU per query, µs"]);
    table.rows = rows
        .iter()
        .map(|row| vec![row.name.clone(), row.latency(0.5).shown(0), row.latency(0.99).shown(0), row.cpu().shown(2)])
        .collect();
    table
}
