//! What both daemons have: admin address, health, cache, deadlines, logs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use strait_link::HealthSettings;
use strait_resolve::{CacheSettings, QueryLogFilter};

/// Settings that mean the same to both daemons.
#[derive(Debug, Clone)]
pub struct DaemonSettings {
    /// Where `/metrics`, `/livez` and `/readyz` are; none turns them off.
    pub admin: Option<SocketAddr>,
    /// How the health of peers' endpoints is judged.
    pub health: HealthSettings,
    /// Bounds of the answer cache.
    pub cache: CacheSettings,
    /// A client waits no longer for an answer.
    pub deadline: Duration,
    /// From not being ready any more to the end of listening.
    pub lameduck: Duration,
    /// The query log.
    pub query_log: QueryLogSettings,
    /// The log.
    pub log: LogSettings,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which questions are logged, how and where.
#[derive(Debug, Clone)]
pub struct QueryLogSettings {
    /// Which.
    pub filter: QueryLogFilter,
    /// How.
    pub format: Format,
    /// The file appended to; standard output without.
    pub file: Option<PathBuf>,
}

/// What is logged to standard error, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A level, or `tracing` directives: `info`, `info,strait_link=debug`.
    pub level: String,
    /// How.
    pub format: Format,
}
