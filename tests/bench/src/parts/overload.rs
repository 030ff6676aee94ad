//! Overload: three times as many questions as a server can answer.
//!
//! One core cannot send three times what another can answer, so the server gets a quarter of its core: three programs
//! that only compute run beside it, in the measurement of its peak as well.

use crate::bench::Bench;
use crate::contender::Contender;
use crate::figures::{Digits, Figures};
use crate::load::udp::{Flood, UdpLoad};
use crate::names::Names;
use crate::program::{Core, Program};
use crate::report::{Bound, Section, Table, Verdict};
use crate::rivals::{self, CacheSize, Forwarding, UPSTREAM_ZONE, Upstream};
use crate::strait;

/// Programs that take the server's core away.
const COMPETITORS: usize = 3;

/// Questions over capacity.
const FACTOR: f64 = 3.0;

/// Names that each server has.
const NAMES: usize = 5_000;

/// Where the agent counts what it has dropped, and what the system has dropped before it.
const DROPPED: [&str; 2] = ["strait_udp_dropped_total", "strait_udp_receive_overflows_total"];

/// What overload did to a server.
struct Overloaded {
    peak: f64,
    /// What the generator has reached.
    offered: f64,
    goodput: f64,
    sent: u64,
    replies: u64,
    counted: Option<f64>,
    /// MiB resident before and after.
    memory: [f64; 2],
}

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let place = &bench.place;
    let upstream = Upstream::start(place)?;
    let plan = |cache| Forwarding { upstream: upstream.address, names: Names::fresh(UPSTREAM_ZONE), cache };
    let folder = place.folder("competitors")?;
    let mut contenders = vec![
        strait::local(place, NAMES)?.wait()?.called("strait, static answers"),
        strait::forward(place, &plan(CacheSize::Ample))?.wait()?.called("strait, cold misses"),
        rivals::unbound_local(place, NAMES)?.wait()?.called("unbound, static answers"),
        rivals::unbound_forward(place, &plan(CacheSize::Ample))?.wait()?.called("unbound, cold misses"),
    ];
    let mut section = Section { title: "Overload at three times the capacity".into(), ..Section::default() };
    let mut table = Table::new(&[
        "server",
        "peak, q/s",
        "offered / peak",
        "goodput, q/s",
        "goodput / peak",
        "sent",
        "answered",
        "counted as dropped",
        "RSS before, MiB",
        "RSS after, MiB",
    ]);
    let spin = ["sh".to_owned(), "-c".to_owned(), "while :; do :; done".to_owned()];
    let _competitors = (0..COMPETITORS)
        .map(|number| Program::start(&format!("competitor-{number}"), Core::Server, &folder, &spin))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for contender in &mut contenders {
        let rounds = (0..bench.rounds).map(|_| overload(bench, contender)).collect::<anyhow::Result<Vec<_>>>()?;
        let kept = Figures::new(rounds.iter().map(|round| round.goodput / round.peak));
        let Some(last) = rounds.last() else { continue };
        table.rows.push(vec![
            contender.name.clone(),
            Digits(Figures::new(rounds.iter().map(|round| round.peak)).median(), 0).to_string(),
            Figures::new(rounds.iter().map(|round| round.offered / round.peak)).shown(1),
            Digits(Figures::new(rounds.iter().map(|round| round.goodput)).median(), 0).to_string(),
            kept.shown(2),
            Digits(last.sent as f64, 0).to_string(),
            Digits(last.replies as f64, 0).to_string(),
            last.counted.map_or("not counted".into(), |counted| Digits(counted, 0).to_string()),
            Digits(last.memory[0], 1).to_string(),
            Digits(last.memory[1], 1).to_string(),
        ]);
        if contender.admin.is_some() {
            section.verdicts.extend(verdicts(&contender.name, &rounds, kept));
        }
    }
    section.tables.push(table);
    section.notes.push(format!(
        "The rounds of a server follow one another. Sent, answered and dropped are those of the last round. The server has a quarter of its core: {COMPETITORS} programs that only compute run beside it."
    ));
    Ok(section)
}

fn overload(bench: &Bench, contender: &mut Contender) -> anyhow::Result<Overloaded> {
    let peak = contender.measure(&UdpLoad::deep(contender.server, bench.time))?.outcome.rate();
    let (before, dropped) = (contender.memory(), counted(contender)?);
    let flood = Flood { server: contender.server, rate: FACTOR * peak, time: bench.time };
    let flooded = flood.run(&mut contender.names)?;
    let goodput = flooded.answered_meanwhile as f64 / flooded.elapsed.as_secs_f64();
    eprintln!("{}: peak {peak:.0} q/s, goodput {goodput:.0} q/s, {flooded:?}", contender.name);
    let counted = counted(contender)?.zip(dropped).map(|(now, before)| now - before);
    Ok(Overloaded {
        peak,
        offered: flooded.sent as f64 / flooded.elapsed.as_secs_f64(),
        goodput,
        sent: flooded.sent,
        replies: flooded.answered + flooded.wrong + flooded.missed,
        counted,
        memory: [before, contender.memory()].map(|octets| octets as f64 / f64::from(1 << 20)),
    })
}

/// Questions that the server says it has dropped; none where it does not count.
fn counted(contender: &Contender) -> anyhow::Result<Option<f64>> {
    let count = || DROPPED.iter().map(|family| contender.metric(family)).sum();
    contender.admin.is_some().then(count).transpose()
}

fn verdicts(name: &str, rounds: &[Overloaded], kept: Figures) -> [Verdict; 2] {
    let lost = rounds.iter().map(|round| {
        let missing = round.sent as f64 - round.replies as f64 - round.counted.unwrap_or(0.0);
        100.0 * missing.abs() / round.sent as f64
    });
    let lost = Figures::new(lost);
    [
        Verdict {
            work: format!("overload at {FACTOR} × capacity, {name}: goodput"),
            measured: format!("{:.0} q/s", rounds.last().map_or(0.0, |round| round.goodput)),
            compared: kept,
            bound: Bound::AtLeast(0.9, "of the peak"),
            decimals: 2,
        },
        Verdict {
            work: format!("overload at {FACTOR} × capacity, {name}: neither answered nor counted as dropped"),
            measured: format!("{:.3} %", lost.max()),
            compared: lost,
            bound: Bound::AtMost(0.1, "% of the questions"),
            decimals: 3,
        },
    ]
}
