//! Instructions of an answer that needs no waiting, counted by callgrind: they do not wobble as times do.

use anyhow::Context;

use crate::bench::Bench;
use crate::figures::{Digits, Figures};
use crate::program::output;
use crate::report::{Bound, Section, Table, Verdict};
use crate::rivals::find;

/// Two runs, so that what comes before and after the answers falls out of the difference.
const ANSWERS: [u64; 2] = [1_000, 11_000];

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let [cached, fixed, catalog] = ["cached", "static", "catalog"].map(|kind| of_an_answer(bench, kind));
    let (cached, fixed, catalog) = (cached?, fixed?, catalog?);
    let mut table = Table::new(&["answer", "instructions"]);
    for (kind, each) in [("cached", cached), ("static", fixed), ("of the catalog", catalog)] {
        table.rows.push(vec![kind.to_owned(), Digits(each, 0).to_string()]);
    }
    let mut section = Section { title: "Instructions".into(), tables: vec![table], ..Section::default() };
    section.verdicts.push(Verdict {
        work: "answer from the catalog of a cluster".into(),
        measured: format!("{} instructions", Digits(catalog, 0)),
        compared: Figures::new([catalog / fixed]),
        bound: Bound::AtMost(1.5, "× static"),
        decimals: 2,
    });
    section.notes.push(
        "From the question's octets to the reply's, without the system calls: `tests/bench/src/bin/hit.rs`.".into(),
    );
    Ok(section)
}

/// Instructions of one answer.
fn of_an_answer(bench: &Bench, kind: &str) -> anyhow::Result<f64> {
    let [few, many] = ANSWERS.map(|count| collected(bench, kind, count));
    let each = (many? - few?) / (ANSWERS[1] - ANSWERS[0]) as f64;
    anyhow::ensure!(each > 0.0, "a {kind} answer takes no instructions: there are none");
    Ok(each)
}

/// Instructions of a run with so many answers.
fn collected(bench: &Bench, kind: &str, answers: u64) -> anyhow::Result<f64> {
    let (valgrind, hit) = (find("valgrind")?, bench.place.binary("hit"));
    let file = format!("--callgrind-out-file={}", bench.place.folder("callgrind")?.join("out").display());
    let text = output(&[&valgrind, "--tool=callgrind", &file, &hit, kind, &answers.to_string()])?;
    let line = text.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    line.and_then(|count| count.parse().ok())
        .with_context(|| format!("callgrind does not say what it has counted:\n{text}"))
}
