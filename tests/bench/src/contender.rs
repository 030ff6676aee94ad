//! Who is measured: the programs of one answerer, whose cost is counted, and what they need around them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::load::Outcome;
use crate::load::tls::TlsLoad;
use crate::load::udp::{UdpLoad, answers};
use crate::names::Names;
use crate::program::{CpuTime, PATIENCE, Program};

/// One answerer in a part of the benchmark.
pub(crate) struct Contender {
    /// What it is called in the tables.
    pub(crate) name: String,
    /// The programs whose cost counts.
    pub(crate) programs: Vec<Program>,
    /// Where it answers.
    pub(crate) server: SocketAddr,
    /// Where its metrics are, when they are read.
    pub(crate) admin: Option<SocketAddr>,
    /// What it is asked.
    pub(crate) names: Names,
}

/// What one measurement says.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) outcome: Outcome,
    /// Time on a core, over all threads of all programs of the contender.
    pub(crate) cpu: Duration,
    /// Resident memory afterwards, over all programs, in octets.
    pub(crate) memory: u64,
}

impl Sample {
    /// Microseconds on a core for each answer.
    pub(crate) fn cpu_per_query(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.outcome.answered.max(1) as f64
    }
}

impl Contender {
    /// The same under another name.
    pub(crate) fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Waits until the first question of its names is answered.
    pub(crate) fn wait(mut self) -> anyhow::Result<Self> {
        let (server, mut names) = (self.server, self.names.clone());
        let last = self.programs.last_mut().context("a contender has a program")?;
        last.wait_until(|| answers(server, names.next())).with_context(|| format!("{} does not answer", self.name))?;
        Ok(self)
    }

    /// Waits until it takes TCP connections.
    pub(crate) fn wait_tcp(mut self) -> anyhow::Result<Self> {
        let server = self.server;
        let last = self.programs.last_mut().context("a contender has a program")?;
        last.wait_until(|| TcpStream::connect(server).is_ok())?;
        Ok(self)
    }

    /// Asks for each of its names until every one has been answered.
    pub(crate) fn warm(&mut self) -> anyhow::Result<()> {
        // Once more for what was lost.
        for _ in 0..3 {
            let load = UdpLoad::each_once(self.server, &self.names);
            let outcome = load.run(&mut self.names)?;
            anyhow::ensure!(outcome.wrong == 0, "{} gives {} wrong answers when warmed", self.name, outcome.wrong);
            if outcome.lost == 0 {
                return Ok(());
            }
        }
        anyhow::bail!("{} loses questions when warmed", self.name)
    }

    /// Runs a load over UDP and says what it cost.
    pub(crate) fn measure(&mut self, load: &UdpLoad) -> anyhow::Result<Sample> {
        let before = self.cpu()?;
        let outcome = load.run(&mut self.names)?;
        self.sample(&before, outcome)
    }

    /// Runs a load over TLS and says what it cost, the handshakes left out.
    pub(crate) fn measure_tls(&mut self, load: &TlsLoad) -> anyhow::Result<Sample> {
        let mut names = self.names.clone();
        let mut before = None;
        let outcome = load.run(&mut names, || before = Some(self.cpu()))?;
        self.names = names;
        self.sample(&before.context("the load has not begun")??, outcome)
    }

    /// The sum of its metrics whose line begins so.
    pub(crate) fn metric(&self, begins: &str) -> anyhow::Result<f64> {
        let admin = self.admin.with_context(|| format!("{} has no metrics", self.name))?;
        let page = http_get(admin, "/metrics").with_context(|| format!("the metrics of {}", self.name))?;
        let lines = page.lines().filter(|line| line.starts_with(begins));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// What was used since `before`.
    pub(crate) fn sample(&self, before: &[CpuTime], outcome: Outcome) -> anyhow::Result<Sample> {
        let cpu = self.cpu()?.iter().zip(before).map(|(now, before)| now.since(before)).sum();
        Ok(Sample { outcome, cpu, memory: self.memory() })
    }

    /// Time on a core so far, of each of its programs.
    pub(crate) fn cpu(&self) -> anyhow::Result<Vec<CpuTime>> {
        self.programs.iter().map(Program::cpu).collect()
    }

    /// Resident memory over all its programs, in octets.
    pub(crate) fn memory(&self) -> u64 {
        self.programs.iter().map(Program::memory).sum()
    }

    /// A load that keeps it busy for so long.
    pub(crate) fn saturating(&self, time: Duration) -> UdpLoad {
        UdpLoad::saturating(self.server, time)
    }
}

/// The text of a page and its head.
fn http_get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Where the programs are and where their files go.
pub(crate) struct Place {
    /// The folder of Strait's programs, built for release.
    pub(crate) binaries: PathBuf,
    /// Configurations, keys and logs; each contender has a folder in it.
    pub(crate) work: tempfile::TempDir,
}

impl Place {
    /// A folder of its own for a contender.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let mut folder = self.work.path().join(name);
        for number in 2.. {
            match std::fs::create_dir(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    folder = self.work.path().join(format!("{name}-{number}"));
                }
                created => {
                    created.with_context(|| format!("{}: cannot be made", folder.display()))?;
                    break;
                }
            }
        }
        Ok(folder)
    }

    /// The path of one of Strait's programs.
    pub(crate) fn binary(&self, name: &str) -> String {
        self.binaries.join(name).display().to_string()
    }
}

/// Writes a template with its `@WORDS@` filled in, and returns its path.
pub(crate) fn fill(template: &str, words: &[(&str, String)], file: &Path) -> anyhow::Result<String> {
    let text = words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(&format!("@{word}@"), value));
    if let Some(left) = text.split('@').skip(1).step_by(2).find(|word| is_word(word)) {
        anyhow::bail!("{}: @{left}@ is not filled in", file.display());
    }
    std::fs::write(file, text).with_context(|| format!("{}: cannot be written", file.display()))?;
    Ok(file.display().to_string())
}

fn is_word(text: &str) -> bool {
    text.len() > 2 && text.bytes().all(|octet| octet.is_ascii_uppercase() || octet == b'_')
}
