//! Structured logs to standard error.

use strait_config::LogSettings;

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up logs: {0}")]
pub struct LogError(String);

/// Sets up logs for the whole process.
pub fn init_logs(settings: &LogSettings) -> Result<(), LogError> {
    let _ = settings;
    unimplemented!()
}
