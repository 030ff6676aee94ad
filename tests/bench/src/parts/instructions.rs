//! Instructions of an answer that needs no waiting, counted by callgrind: they do not wobble as times do.

use anyhow::Context;

use crate::bench::Bench;
use crate::figures::Digits;
use crate::program::output;
use crate::report::{Section, Table};
use crate::rivals::find;

/// Two runs, so that what comes before and after the answers falls out of the difference.
const ANSWERS: [u64; 2] = [1_000, 11_000];

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let mut table = Table::new(&["answer", "instructions"]);
    for kind in ["cached", "static"] {
        let [few, many] = ANSWERS.map(|answers| collected(bench, kind, answers));
        let each = (many? - few?) / (ANSWERS[1] - ANSWERS[0]) as f64;
        anyhow::ensure!(each > 0.0, "a {kind} answer takes no instructions: there are none");
        table.rows.push(vec![kind.to_owned(), Digits(each, 0).to_string()]);
    }
    let mut section = Section { title: "Instructions".into(), tables: vec![table], ..Section::default() };
    section.notes.push(
        "From the question's octets to the reply's, without the system calls: `crates/resolve/examples/hit.rs`.".into(),
    );
    Ok(section)
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
