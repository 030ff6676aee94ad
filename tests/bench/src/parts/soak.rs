//! A soak: a steady load of everything a node-agent answers, for minutes; memory and descriptors must not grow.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::bench::Bench;
use crate::contender::Contender;
use crate::figures::Digits;
use crate::load::udp::Flood;
use crate::names::Names;
use crate::pki::Pki;
use crate::report::{Section, Table};
use crate::rivals::{LOCAL_ZONE, PEER_ZONE, UPSTREAM_ZONE, Upstream};
use crate::strait;

/// Questions per second.
const RATE: f64 = 5_000.0;

/// Names of each kind that are asked for again and again.
const NAMES: usize = 2_000;

/// How often memory and descriptors are looked at during a soak.
const LOOKS: u32 = 20;

/// A shorter soak only fills caches, and says nothing of growth.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// The looks of the first third fill caches and connections; what they show later must be within these of the second third.
const MEMORY_SLACK: u64 = 2 << 20;
const DESCRIPTOR_SLACK: usize = 16;

/// What a look showed.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    memory: u64,
    descriptors: usize,
}

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let place = &bench.place;
    let (upstream, pki) = (Upstream::start(place)?, Pki::make(place)?);
    let mut pair = strait::everything(place, &pki, upstream.address, NAMES)?.wait()?;
    pair.names = Names::mixed([
        Names::known("s", NAMES, LOCAL_ZONE),
        Names::known("u", NAMES, UPSTREAM_ZONE),
        Names::known("x", NAMES, &format!("short.{UPSTREAM_ZONE}")),
        Names::known("p", NAMES, PEER_ZONE),
        Names::fresh(UPSTREAM_ZONE),
        Names::fresh(PEER_ZONE),
    ]);
    let looks = soak(&mut pair, bench.soak)?;
    let mut section = Section {
        title: format!("Soak, {} s at {RATE} questions per second", bench.soak.as_secs()),
        ..Section::default()
    };
    let mut table = Table::new(&["after, s", "RSS, MiB", "descriptors"]);
    table.rows = looks.iter().map(Look::row).collect();
    section.tables.push(table);
    section.notes.push(
        "node-agent and gateway together; static names, cached and new names of an upstream and of a peer in turn."
            .into(),
    );
    if bench.soak >= LONG_ENOUGH {
        judge(&looks)?;
    }
    Ok(section)
}

/// Asks on one thread and looks on another.
fn soak(pair: &mut Contender, time: Duration) -> anyhow::Result<Vec<Look>> {
    let flood = Flood { server: pair.server, rate: RATE, time };
    let mut names = pair.names.clone();
    std::thread::scope(|scope| {
        let load = scope.spawn(move || flood.run(&mut names));
        let start = Instant::now();
        let mut looks = Vec::new();
        for number in 1..=LOOKS {
            std::thread::sleep((time * number / LOOKS).saturating_sub(start.elapsed()));
            let descriptors = pair.programs.iter().map(crate::program::Program::descriptors).sum();
            looks.push(Look { at: start.elapsed(), memory: pair.memory(), descriptors });
        }
        let flooded = load.join().ok().context("the load panicked")??;
        eprintln!("soak: {flooded:?}");
        let missing = flooded.sent - flooded.answered;
        ensure!(missing * 1000 < flooded.sent, "{missing} of {} questions without a right answer", flooded.sent);
        Ok(looks)
    })
}

/// Fails when the last third shows more than the second.
fn judge(looks: &[Look]) -> anyhow::Result<()> {
    let third = looks.len() / 3;
    let (second, last) = looks[third..].split_at(third);
    let memory = |looks: &[Look]| looks.iter().map(|look| look.memory).max().unwrap_or(0);
    let descriptors = |looks: &[Look]| looks.iter().map(|look| look.descriptors).max().unwrap_or(0);
    ensure!(
        memory(last) <= memory(second) + MEMORY_SLACK,
        "memory grows: {} octets in the last third of the soak, {} in the second; {looks:?}",
        memory(last),
        memory(second)
    );
    ensure!(
        descriptors(last) <= descriptors(second) + DESCRIPTOR_SLACK,
        "descriptors grow: {} in the last third of the soak, {} in the second; {looks:?}",
        descriptors(last),
        descriptors(second)
    );
    Ok(())
}

impl Look {
    fn row(&self) -> Vec<String> {
        let mebibytes = self.memory as f64 / f64::from(1 << 20);
        vec![self.at.as_secs().to_string(), Digits(mebibytes, 1).to_string(), self.descriptors.to_string()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(memory: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Vec<Look> {
        let look =
            |at| Look { at: Duration::from_secs(at), memory: memory(at) << 20, descriptors: descriptors(at) as usize };
        (0..u64::from(LOOKS)).map(look).collect()
    }

    #[test]
    fn growth_is_an_error_and_filling_a_cache_is_not() {
        assert!(judge(&looks(|at| at.min(5), |at| at.min(5))).is_ok(), "fills, then stays");
        assert!(judge(&looks(|at| at, |_| 9)).is_err(), "memory grows");
        assert!(judge(&looks(|_| 9, |at| 9 * at)).is_err(), "descriptors grow");
    }
}
