//! A daemon from command line to exit code.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use prometheus::Registry;
use strait_config::ConfigFile;

use crate::{Readiness, Reload, Shutdown};

/// What is in work when the stop token fires has this long to finish.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// What a composition root gets besides its configuration.
#[derive(Debug)]
pub struct Process {
    /// Where metrics are registered.
    pub registry: Registry,
    /// Where conditions of readiness are registered.
    pub readiness: Readiness,
    /// The way down.
    pub shutdown: Shutdown,
    /// SIGHUP.
    pub reload: Reload,
}

/// Runs a daemon: reads the command line and the configuration, sets up logs, metrics, admin HTTP and signals, then runs
/// `app` until it ends. `app` ends by itself on failure, or after `shutdown.stop()` has fired, drained.
/// Inside it is a multi-threaded tokio runtime.
pub fn run<C, App, Work, Error>(version: &'static str, about: &'static str, app: App) -> ExitCode
where
    C: ConfigFile,
    App: FnOnce(C, Process) -> Work,
    Work: Future<Output = Result<(), Error>>,
    Error: Display,
{
    let _ = (version, about, app);
    unimplemented!()
}
