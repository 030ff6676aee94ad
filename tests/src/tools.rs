//! Other people's clients and servers: `dig`, `kdig`, `unbound`.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::program::run;

/// The path of a tool of the system. Where it is missing a test is skipped and says so; in CI (`CI` set) it fails.
#[track_caller]
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in sbin, which is not in everybody's path.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Says that a test does not run, and why; in CI that is a failure.
#[track_caller]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped: {why}");
    // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
    writeln!(std::io::stderr(), "skipped: {why}").expect("standard error can be written");
}

/// What a tool prints, standard error behind standard output.
#[track_caller]
pub fn output(tool: &std::path::Path, arguments: &[&str]) -> String {
    let output = run(Command::new(tool).args(arguments));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
