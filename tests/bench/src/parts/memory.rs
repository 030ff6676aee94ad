//! Memory: ten thousand names cached, and then time passes: names run out, come again, and new ones come among them.

use std::time::Duration;

use anyhow::Context;

use crate::bench::Bench;
use crate::contender::{Contender, Place};
use crate::figures::{Digits, Figures};
use crate::load::udp::{Flood, Flooded};
use crate::names::Names;
use crate::report::{Bound, Section, Table, Verdict};
use crate::rivals::{self, CacheSize, Forwarding, UPSTREAM_ZONE, Upstream};
use crate::strait;

/// Names that are asked for again and again.
const NAMES: usize = 10_000;

/// What ten thousand names take with some to spare, in MiB: ours, and the others where they are not told a number of names.
const OWN_CACHE: u32 = 3;
const OTHER_CACHE: u32 = 8;

/// Starts a server.
type Start = fn(&Place, &Forwarding) -> anyhow::Result<Contender>;

/// Questions per second to each server.
const RATE: f64 = 1_000.0;

/// Where answers live 20 s.
fn short_zone() -> String {
    format!("short.{UPSTREAM_ZONE}")
}

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let place = &bench.place;
    let upstream = Upstream::start(place)?;
    let known = Names::known("m", NAMES, &short_zone());
    let plan = |mebibytes| {
        let cache = CacheSize::Mebibytes(mebibytes);
        Forwarding { upstream: upstream.address, names: known.clone(), cache }
    };
    let mut contenders = Vec::new();
    let starts: [(Start, u32); 4] = [
        (strait::forward, OWN_CACHE),
        (rivals::unbound_forward, OTHER_CACHE),
        (rivals::knot_forward, OTHER_CACHE),
        (rivals::dnsmasq_forward, OTHER_CACHE),
    ];
    for (start, mebibytes) in starts {
        let mut contender = start(place, &plan(mebibytes))?.wait()?;
        contender.warm()?;
        contenders.push(contender);
    }
    let before: Vec<u64> = contenders.iter().map(Contender::memory).collect();
    // Of ten questions one is for a name that was never asked for before.
    let names = Names::mixed(std::iter::repeat_n(known, 9).chain([Names::fresh(&short_zone())]));
    let flooded = churn(&contenders, &names, bench.churn)?;

    let title = format!("Memory, with {NAMES} names cached and after {} s of churn", bench.churn.as_secs());
    let mut section = Section { title, ..Section::default() };
    let mut table =
        Table::new(&["server", "RSS cached, MiB", "RSS after churn, MiB", "questions", "without an answer"]);
    for ((contender, before), flooded) in contenders.iter().zip(&before).zip(&flooded) {
        let name = &contender.name;
        let after = contender.memory();
        let missing = flooded.sent - flooded.answered;
        table.rows.push(vec![
            name.clone(),
            mebibytes(*before),
            mebibytes(after),
            Digits(flooded.sent as f64, 0).to_string(),
            Digits(missing as f64, 0).to_string(),
        ]);
        if name == "strait" {
            anyhow::ensure!(flooded.answered > 0 && flooded.wrong == 0, "{name}: {flooded:?}");
            section.verdicts.push(Verdict {
                work: format!(
                    "agent memory, {NAMES} names in a cache of {OWN_CACHE} MiB, after {} s of churn",
                    bench.churn.as_secs()
                ),
                measured: format!("{} MiB", mebibytes(after)),
                compared: Figures::new([after as f64 / f64::from(1 << 20)]),
                bound: Bound::AtMost(12.0, "MiB"),
                decimals: 1,
            });
        }
    }
    section.tables.push(table);
    section.notes.push(format!(
        "Each cache has room for little more than the names asked for: {OWN_CACHE} MiB for strait (the default is 32), {OTHER_CACHE} MiB for unbound and knot-resolver. {RATE} questions per second, one in ten for a new name; answers live 20 s."
    ));
    Ok(section)
}

/// Asks every contender at the same time.
fn churn(contenders: &[Contender], names: &Names, time: Duration) -> anyhow::Result<Vec<Flooded>> {
    std::thread::scope(|scope| {
        let ask = |contender: &Contender| {
            let (flood, mut names) = (Flood { server: contender.server, rate: RATE, time }, names.clone());
            scope.spawn(move || flood.run(&mut names))
        };
        let clients: Vec<_> = contenders.iter().map(ask).collect();
        clients.into_iter().map(|client| client.join().ok().context("a client panicked")?).collect()
    })
}

fn mebibytes(octets: u64) -> String {
    Digits(octets as f64 / f64::from(1 << 20), 1).to_string()
}
