//! A daemon from command line to exit code.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use prometheus::Registry;
use strait_config::{ConfigFile, Loaded};
use tokio_util::sync::CancellationToken;

use crate::descriptors;
use crate::{Admin, Arguments, EXIT_CONFIGURATION, EXIT_FAILURE, Readiness, Shutdown, init_logs, registry};

/// What is in work when the stop token fires has this long to finish.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// By then what a daemon does at its start is done.
const START: Duration = Duration::from_secs(10);

/// What a composition root gets besides its configuration.
#[derive(Debug)]
pub struct Process {
    /// Where metrics are registered.
    pub registry: Registry,
    /// Where conditions of readiness are registered.
    pub readiness: Readiness,
    /// The way down.
    pub shutdown: Shutdown,
    /// File descriptors that the process may have.
    pub descriptors: u64,
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
    let arguments = arguments(C::PROGRAM, version, about);
    let loaded = match C::load(&arguments.config) {
        Ok(loaded) => loaded,
        Err(errors) => return end(EXIT_CONFIGURATION, &errors.to_string()),
    };
    for warning in &loaded.warnings {
        say(&warning.to_string());
    }
    if arguments.check_config {
        return print(&format!("{}: ok\n", arguments.config.display()));
    }
    if arguments.print_config {
        return print(&loaded.effective);
    }
    match start(version, loaded, app) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => end(EXIT_FAILURE, &format!("{}: {error}", C::PROGRAM)),
    }
}

const AFTER_HELP: &str =
    "Exit codes: 0 fine, 1 failure at run time, 2 the command line or the configuration is refused.
Every key of the configuration: docs/configuration.md";

fn arguments(program: &'static str, version: &'static str, about: &'static str) -> Arguments {
    let command = Arguments::augment_args(Command::new(program)).version(version).about(about).after_help(AFTER_HELP);
    // Says what is wrong and exits with 2 by itself.
    let mut matches = command.get_matches();
    Arguments::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
}

fn start<C, App, Work, Error>(version: &str, loaded: Loaded<C>, app: App) -> Result<(), String>
where
    C: ConfigFile,
    App: FnOnce(C, Process) -> Work,
    Work: Future<Output = Result<(), Error>>,
    Error: Display,
{
    let text = |error: &dyn Display| error.to_string();
    let daemon = loaded.config.daemon().clone();
    init_logs(&daemon.log).map_err(|error| text(&error))?;
    let descriptors = descriptors::raise();
    let registry = registry(version).map_err(|error| text(&error))?;
    let readiness = Readiness::default();
    let admin =
        daemon.admin.map(|address| Admin::start(address, daemon.hand_over, registry.clone(), readiness.clone()));
    let admin = admin.transpose().map_err(|error| text(&error))?;
    if let Some(admin) = &admin {
        tracing::info!(address = %admin.address(), "admin HTTP");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| text(&error))?;
    let outcome = runtime.block_on(async {
        let shutdown = Shutdown::install(&readiness, daemon.lameduck).map_err(|error| text(&error))?;
        let stop = shutdown.stop().clone();
        tokio::spawn(forget_start());
        let work = app(loaded.config, Process { registry, readiness, shutdown, descriptors });
        tokio::select! {
            outcome = work => outcome.map_err(|error| error.to_string()),
            () = overdue(stop) => {
                tracing::warn!(limit = ?DRAIN_LIMIT, "what was in work did not finish in time and is dropped");
                Ok(())
            }
        }
    });
    // Work that ignores the stop token does not hold the process up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Lets go of the memory of what only the start needs, when it is over.
async fn forget_start() {
    tokio::time::sleep(START).await;
    if let Err(error) = strait_datagram::release_text() {
        tracing::debug!(%error, "the machine code of the start stays in memory");
    }
}

/// Ends when draining has taken too long.
async fn overdue(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN_LIMIT).await;
}

fn end(code: u8, message: &str) -> ExitCode {
    say(message);
    ExitCode::from(code)
}

/// Where standard error cannot be written there is nobody to tell.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{}", message.trim_end());
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_FAILURE),
    }
}
