//! The real programs as child processes, and `gatewayctl` itself as an operator would type it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow, bail};
use futures_util::future::select_all;
use tokio::process::{Child, Command};

use super::say::say;

/// Lines of a dead program's log that are shown.
const SHOWN_LOG_LINES: usize = 20;

/// Where the programs are: beside this one.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) gateway: PathBuf,
    pub(super) node_agent: PathBuf,
    gatewayctl: PathBuf,
}

impl Programs {
    /// Finds them.
    pub(super) fn find() -> anyhow::Result<Self> {
        let gatewayctl = std::env::current_exe().context("this program cannot tell where it is")?;
        Self::beside(gatewayctl)
    }

    fn beside(gatewayctl: PathBuf) -> anyhow::Result<Self> {
        let find = |name: &str| {
            let program = gatewayctl.with_file_name(name);
            match program.is_file() {
                true => Ok(program),
                false => {
                    bail!("{}: not there, and the lab needs it; build it: cargo build --workspace", program.display())
                }
            }
        };
        Ok(Self { gateway: find("gateway")?, node_agent: find("node-agent")?, gatewayctl })
    }

    /// Runs `gatewayctl` with these words; shows the line and what it printed.
    pub(super) async fn gatewayctl_shown(&self, words: &[String]) -> anyhow::Result<()> {
        say(format_args!("  $ {}", self.line(words)))?;
        let output = Command::new(&self.gatewayctl)
            .args(words)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| self.gatewayctl.display().to_string())?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            say(format_args!("  {line}"))?;
        }
        match output.status.success() {
            true => Ok(()),
            false => {
                let complaint = String::from_utf8_lossy(&output.stderr);
                bail!("{}\n{}{}", self.line(words), complaint, output.status)
            }
        }
    }

    /// The line to type, found from the folder one is in.
    pub(super) fn line(&self, words: &[String]) -> String {
        command_line(&self.gatewayctl, words.iter().map(String::as_str))
    }
}

/// A program as it would be typed here: relative to the current folder where that is shorter.
fn command_line<'a>(program: &Path, words: impl Iterator<Item = &'a str>) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let shown = program.strip_prefix(&here).unwrap_or(program);
    std::iter::once(shown.display().to_string()).chain(words.map(str::to_owned)).collect::<Vec<_>>().join(" ")
}

/// The programs that run now. Dropping it ends them.
#[derive(Default)]
pub(super) struct Running {
    programs: Vec<Program>,
}

struct Program {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Running {
    /// Starts a program with its configuration file; what it says goes to a log beside that file.
    pub(super) fn start(&mut self, program: &Path, configuration: &Path, cluster: &str) -> anyhow::Result<()> {
        let log = configuration.with_extension("log");
        let (out, errors) = open_log(&log).with_context(|| log.display().to_string())?;
        let argument = configuration.display().to_string();
        say(format_args!("  $ {}", command_line(program, ["--config", &argument].into_iter())))?;
        let child = Command::new(program)
            .arg("--config")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            // Of its own, so that Ctrl-C reaches the lab alone, which then ends them all.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}: cannot be started", program.display()))?;
        let stem = program.file_name().unwrap_or_default().to_string_lossy();
        self.programs.push(Program { name: format!("{stem} of {cluster}"), log, child });
        Ok(())
    }

    /// Returns when one of them ends by itself: which, how, and the last it said.
    pub(super) async fn first_death(&mut self) -> anyhow::Error {
        if self.programs.is_empty() {
            return std::future::pending().await;
        }
        let (ended, index, _) =
            select_all(self.programs.iter_mut().map(|program| Box::pin(program.child.wait()))).await;
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        let Program { name, log, .. } = &self.programs[index];
        let text = std::fs::read_to_string(log).unwrap_or_default();
        anyhow!("{name} ended by itself ({how}); the last it said:\n{}", last_lines(&text))
    }
}

fn open_log(log: &Path) -> std::io::Result<(File, File)> {
    let file = File::options().create(true).append(true).open(log)?;
    Ok((file.try_clone()?, file))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..];
    match shown {
        [] => "  (nothing)".to_owned(),
        _ => shown.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn missing_programs_are_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = Programs::beside(folder.path().join("gatewayctl")).unwrap_err().to_string();
        let gateway = folder.path().join("gateway");
        assert_eq!(
            error,
            format!("{}: not there, and the lab needs it; build it: cargo build --workspace", gateway.display())
        );
    }

    #[tokio::test]
    async fn a_program_that_dies_is_named_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let lasting = script(folder.path(), "node-agent", "exec sleep 600");
        let dying = script(folder.path(), "gateway", "seq 1 30; echo port taken >&2; exit 3");
        let mut running = Running::default();
        running.start(&lasting, &folder.path().join("node-agent.yaml"), "cluster-a").unwrap();
        running.start(&dying, &folder.path().join("gateway.yaml"), "cluster-b").unwrap();
        let error = running.first_death().await.to_string();
        assert!(
            error.starts_with("gateway of cluster-b ended by itself (exit status: 3); the last it said:\n  12\n"),
            "{error}"
        );
        assert!(error.ends_with("\n  30\n  port taken"), "{error}");
    }
}
