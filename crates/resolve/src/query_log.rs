//! The query log: one line per question, written by a thread of its own; over its bound lines are dropped and counted.

mod line;

use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use strait_identity::Identity;
use strait_wire::{Name, Rcode, RecordType};

use crate::Transport;

/// Lines that wait for the writer at most; about a tenth of a second of a busy node.
const MAX_WAITING: usize = 8_192;

/// Which questions are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryLogFilter {
    /// None.
    #[default]
    Off,
    /// All.
    All,
    /// Those answered with neither NOERROR nor NXDOMAIN.
    Errors,
}

/// One line.
#[derive(Debug, Clone)]
pub struct QueryLogEntry {
    /// When the reply was made.
    pub time: SystemTime,
    /// Who asked.
    pub client: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// Who stands behind the connection.
    pub identity: Option<Arc<Identity>>,
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub rtype: RecordType,
    /// What was replied.
    pub rcode: Rcode,
    /// The zone of the name; `none` where no zone holds it.
    pub zone: Arc<str>,
    /// The kind of the zone's source.
    pub source: &'static str,
    /// Whether the answer was in the cache.
    pub cached: bool,
    /// From arrival to reply.
    pub duration: Duration,
}

/// Where lines go. Clones write to the same place.
#[derive(Clone)]
pub struct QueryLog {
    filter: QueryLogFilter,
    writer: Option<Arc<Writer>>,
}

impl QueryLog {
    /// No log.
    pub fn off() -> Self {
        Self { filter: QueryLogFilter::Off, writer: None }
    }

    /// Logs what `filter` picks to `out`, as JSON or text.
    pub fn new(filter: QueryLogFilter, json: bool, out: Box<dyn Write + Send>) -> Self {
        match filter {
            QueryLogFilter::Off => Self::off(),
            _ => Self { filter, writer: Some(Arc::new(Writer::start(json, out))) },
        }
    }

    /// Whether a question answered with `rcode` is logged.
    pub(crate) fn picks(&self, rcode: Rcode) -> bool {
        match self.filter {
            QueryLogFilter::Off => false,
            QueryLogFilter::All => true,
            QueryLogFilter::Errors => !matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN),
        }
    }

    /// Hands a line to the writer. Never waits.
    pub(crate) fn record(&self, entry: QueryLogEntry) {
        if let Some(writer) = &self.writer {
            writer.hand_over(entry);
        }
    }

    /// Counts the lines lost. Holding it does not keep the log from ending.
    pub(crate) fn lost(&self) -> Arc<AtomicU64> {
        self.writer.as_ref().map(|writer| Arc::clone(&writer.lost)).unwrap_or_default()
    }
}

/// The thread that writes, seen from those who log.
struct Writer {
    lines: Option<SyncSender<QueryLogEntry>>,
    /// Closed by the thread when all is written.
    ended: Mutex<Receiver<()>>,
    lost: Arc<AtomicU64>,
}

/// How long the end of the process waits for the last lines: a full disk or a blocked pipe must not hold it.
const LAST_LINES: Duration = Duration::from_secs(1);

impl Writer {
    fn start(json: bool, out: Box<dyn Write + Send>) -> Self {
        let (lines, waiting) = sync_channel(MAX_WAITING);
        let (end, ended) = sync_channel(0);
        let lost = Arc::new(AtomicU64::new(0));
        let mut sink = Sink { out: BufWriter::new(out), json, failed: false, lost: Arc::clone(&lost) };
        let run = move || {
            sink.write_all(&waiting);
            drop(end);
        };
        let lines = match thread::Builder::new().name("query-log".to_owned()).spawn(run) {
            Ok(_) => Some(lines),
            Err(error) => {
                tracing::error!(%error, "no thread for the query log: questions are not logged");
                None
            }
        };
        Self { lines, ended: Mutex::new(ended), lost }
    }

    fn hand_over(&self, entry: QueryLogEntry) {
        let taken = self.lines.as_ref().is_some_and(|lines| lines.try_send(entry).is_ok());
        if !taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.lines = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Either way out is right: all is written, or the time is over.
        let _ = ended.recv_timeout(LAST_LINES);
    }
}

/// The writing end, on the thread.
struct Sink {
    out: BufWriter<Box<dyn Write + Send>>,
    json: bool,
    failed: bool,
    lost: Arc<AtomicU64>,
}

impl Sink {
    /// Writes until nobody can log any more; flushes whenever nothing waits.
    fn write_all(&mut self, waiting: &Receiver<QueryLogEntry>) {
        while let Ok(first) = waiting.recv() {
            self.write(&first);
            while let Ok(entry) = waiting.try_recv() {
                self.write(&entry);
            }
            let flushed = self.out.flush();
            self.note(flushed);
        }
    }

    fn write(&mut self, entry: &QueryLogEntry) {
        let line = if self.json { line::json(entry) } else { line::text(entry) };
        let written = self.out.write_all(line.as_bytes());
        if written.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.note(written);
    }

    /// Tells when writing begins to fail, and when it works again.
    fn note(&mut self, result: std::io::Result<()>) {
        match result {
            Err(error) if !self.failed => {
                tracing::warn!(%error, "cannot write the query log: lines are lost until it works again");
                self.failed = true;
            }
            Ok(()) if self.failed => {
                tracing::info!("the query log can be written again");
                self.failed = false;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
