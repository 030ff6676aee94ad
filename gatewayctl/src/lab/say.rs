//! What the lab says, on standard output.

use std::fmt::Display;
use std::io::Write;

use anyhow::Context;

/// Writes a line at once; a reader that has gone ends the lab.
pub(super) fn say(line: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")
}
