//! A server under measurement: started on one core, its log kept, its cost read from `/proc`.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start or to do what it normally does at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where a program runs: what is measured on one core, what loads it on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// The generators and the upstream.
    Load = 0,
    /// What is measured.
    Server = 1,
}

/// A running program. Dropped, it is ended.
pub(crate) struct Program {
    pub(crate) name: String,
    child: Child,
    command: Command,
    log: PathBuf,
}

/// Nanoseconds on a core by thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuTime(BTreeMap<String, u64>);

impl CpuTime {
    /// What was used since `before`, by the threads that live now.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let used = self.0.iter().map(|(thread, now)| now - before.0.get(thread).copied().unwrap_or(0));
        Duration::from_nanos(used.sum())
    }
}

impl Program {
    /// Starts a command on a core; what it prints goes to a file in `folder`.
    pub(crate) fn start(name: &str, core: Core, folder: &Path, command: &[String]) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("{}: cannot be written", log.display()))?;
        let mut pinned = Command::new("taskset");
        pinned
            .args(["--cpu-list", &(core as u8).to_string()])
            .args(command)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child =
            pinned.spawn().with_context(|| format!("{name} does not start; `taskset` is in Debian's util-linux"))?;
        Ok(Self { name: name.to_owned(), child, command: pinned, log })
    }

    /// Ends it and starts it again; when that was.
    pub(crate) fn restart(&mut self) -> anyhow::Result<Instant> {
        self.stop();
        let start = Instant::now();
        self.child = self.command.spawn().with_context(|| format!("{} does not start again", self.name))?;
        Ok(start)
    }

    /// Waits until `ready` says so; fails with the log when the program ends before.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log_tail());
            }
            if Instant::now() > end {
                bail!("{} is not ready after {PATIENCE:?}:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The last lines it has printed.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Time on a core so far, of every thread.
    pub(crate) fn cpu(&self) -> anyhow::Result<CpuTime> {
        let mut times = BTreeMap::new();
        for task in std::fs::read_dir(self.proc("task")).with_context(|| format!("{} has ended", self.name))? {
            let task = task?;
            // A thread may end between the listing and the reading.
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
            let nanoseconds = nanoseconds.context("schedstat has no number: the kernel needs CONFIG_SCHED_INFO")?;
            times.insert(task.file_name().to_string_lossy().into_owned(), nanoseconds);
        }
        Ok(CpuTime(times))
    }

    /// Resident memory in octets.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kilobytes| kilobytes * 1024)
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).map_or(0, Iterator::count)
    }

    /// Asks it to end; servers of several processes end together only then. Kills it when it takes too long.
    fn stop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.child.id()).into()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A loopback address whose port is free for UDP and TCP, never given out before by this process.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    /// Below the ports that Linux picks by itself (32768).
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if port >= 32_000 {
            bail!("no port between 20000 and 32000 is free");
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

/// Runs a command to its end, and returns what it prints.
pub(crate) fn output(command: &[&str]) -> anyhow::Result<String> {
    let shown = command.join(" ");
    let (program, arguments) = command.split_first().context("a command has a program")?;
    let output = Command::new(program).args(arguments).output().with_context(|| format!("{shown}: does not start"))?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{shown}: {}\n{text}", output.status);
    }
    Ok(text)
}
