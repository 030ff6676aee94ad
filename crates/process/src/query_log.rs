//! Opens the query log where the configuration says.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use strait_config::{Format, QueryLogSettings};
use strait_resolve::{QueryLog, QueryLogFilter};

/// Why the query log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the query log {}: {source}; its folder must exist and be writable for this user", .path.display())]
pub struct QueryLogError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// The query log of `settings`: to its file, created with mode 0640 and appended to, or to standard output.
pub fn open_query_log(settings: &QueryLogSettings) -> Result<QueryLog, QueryLogError> {
    if settings.filter == QueryLogFilter::Off {
        return Ok(QueryLog::off());
    }
    let out: Box<dyn Write + Send> = match &settings.file {
        None => Box::new(io::stdout()),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path);
            Box::new(file.map_err(|source| QueryLogError { path: path.clone(), source })?)
        }
    };
    Ok(QueryLog::new(settings.filter, settings.format == Format::Json, out))
}
