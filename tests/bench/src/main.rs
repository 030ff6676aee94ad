//! Strait and other servers on the same work, side by side: cost per query, rate, loss, memory.
//!
//! `tests/bench/run` installs and builds what is needed and starts this; `tests/bench/README.md` says how.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program: figures and progress")]

mod bench;
mod contender;
mod figures;
mod load;
mod machine;
mod names;
mod parts;
mod pki;
mod program;
mod report;
mod rivals;
mod strait;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use crate::bench::Bench;
use crate::contender::Place;
use crate::parts::{PARTS, Part};
use crate::report::Report;

/// What the command line says.
#[derive(Debug, Parser)]
#[command(about = "Measures Strait and other servers side by side")]
struct Options {
    /// Parts to run; none: all of them
    #[arg(value_name = "PART", long_help = parts_help())]
    parts: Vec<String>,
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long the part `memory` asks before it reads memory, in seconds: 60, with nothing behind it an hour
    #[arg(long, value_name = "SECONDS", default_value_t = 60, default_missing_value = "3600", num_args = 0..=1, require_equals = true)]
    churn: u64,
    /// How long the part `soak` lasts, in seconds: 60, with nothing behind it ten minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 60, default_missing_value = "600", num_args = 0..=1, require_equals = true)]
    soak: u64,
    /// Fail on loss, which is otherwise a figure in the tables
    #[arg(long)]
    strict: bool,
    /// Folder of Strait's programs, built for release
    #[arg(long)]
    binaries: PathBuf,
    /// Document that gets the tables between its markers; those of parts not run stay
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let chosen = choose(&options.parts)?;
    machine::prepare()?;
    let bench = Bench {
        place: Place { binaries: options.binaries.canonicalize()?, work: tempfile::tempdir()? },
        rounds: options.rounds.max(1),
        time: Duration::from_secs_f64(options.seconds),
        churn: Duration::from_secs(options.churn),
        soak: Duration::from_secs(options.soak),
        strict: options.strict,
    };
    let mut sections = Vec::new();
    for part in chosen {
        eprintln!("\n=== {}: {}", part.name, part.about);
        sections.push((part.name, (part.run)(&bench).with_context(|| format!("part {}", part.name))?));
    }
    let report = Report { machine: machine::facts()?, stamp: machine::stamp(&bench), sections };
    println!("{}", report.markdown());
    match options.write {
        Some(file) => report.write(&file, &PARTS.iter().map(|part| part.name).collect::<Vec<_>>()),
        None => Ok(()),
    }
}

fn parts_help() -> String {
    let lines = PARTS.iter().map(|part| format!("\n  {:<13} {}", part.name, part.about));
    format!("Parts to run; none: all of them{}", lines.collect::<String>())
}

fn choose(names: &[String]) -> anyhow::Result<Vec<&'static Part>> {
    let find = |name: &String| {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        let found = PARTS.iter().find(|part| part.name == name);
        found.with_context(|| format!("there is no part {name:?}; there are {}", known.join(", ")))
    };
    if names.is_empty() { Ok(PARTS.iter().collect()) } else { names.iter().map(find).collect() }
}
