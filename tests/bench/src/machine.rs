//! The machine: what it must allow, and what a reader must know of it.

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::Bench;
use crate::program::output;
use crate::rivals::find;

/// Open files that a thousand clients and their server need.
const DESCRIPTORS: u64 = 8_192;

/// Raises what limits open files, and fails where the two cores that everything is pinned to are not there.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let cores = std::fs::read_to_string("/proc/cpuinfo")?.lines().filter(|line| line.starts_with("processor")).count();
    ensure!(cores >= 2, "two cores are needed: one for the servers, one for the load");
    let limits = getrlimit(Resource::Nofile);
    if limits.current.is_some_and(|current| current < DESCRIPTORS) {
        let raised = Rlimit { current: Some(DESCRIPTORS), ..limits };
        setrlimit(Resource::Nofile, raised)
            .with_context(|| format!("{DESCRIPTORS} open files are needed: raise the hard limit (ulimit -Hn)"))?;
    }
    Ok(())
}

/// Processor, kernel and versions, one line each.
pub(crate) fn facts() -> anyhow::Result<Vec<String>> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut facts = vec![
        format!(
            "processor: {}; servers on core 1, load and upstream on core 0",
            model.trim_start_matches(['\t', ' ', ':'])
        ),
        format!("kernel: Linux {}", kernel.trim()),
    ];
    for (program, argument) in
        [("unbound", "-V"), ("dnsdist", "--version"), ("kresd", "--version"), ("dnsmasq", "--version"), ("nsd", "-v")]
    {
        let text = output(&[&find(program)?, argument])?;
        facts.push(format!("{program}: {}", version(&text)));
    }
    Ok(facts)
}

/// When, what, and how often.
pub(crate) fn stamp(bench: &Bench) -> String {
    let now = time::OffsetDateTime::now_utc();
    let commit = commit().map_or(String::new(), |commit| format!(" at commit {commit}"));
    let (rounds, seconds) = (bench.rounds, bench.time.as_secs_f64());
    format!(
        "Measured on {}{commit}; {rounds} rounds, {seconds} s for each measurement; medians (lowest–highest).",
        now.date()
    )
}

/// The commit measured; none for who measures without the history.
fn commit() -> Option<String> {
    let commit = output(&["git", "rev-parse", "--short", "HEAD"]).ok()?;
    // What is written about figures changes none.
    let changed = output(&["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]).ok()?;
    let changed = if changed.is_empty() { "" } else { ", with changes" };
    Some(format!("{}{changed}", commit.trim()))
}

/// The first word with digits and dots in it.
fn version(text: &str) -> &str {
    let is_version = |word: &&str| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit());
    text.split_whitespace().find(is_version).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_found_in_what_programs_say_of_themselves() {
        for (text, version) in [
            ("Version 1.17.1\n\nConfigure line: --build=x", "1.17.1"),
            ("dnsdist 1.7.3 (Lua 5.1.4 [LuaJIT 2.1.0-beta3])", "1.7.3"),
            ("Knot Resolver, version 5.6.0", "5.6.0"),
            ("NSD version 4.6.1\nWritten by", "4.6.1"),
            ("nothing", "unknown"),
        ] {
            assert_eq!(super::version(text), version);
        }
    }
}
