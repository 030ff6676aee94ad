//! What both daemons need around their work: command line, logs, metrics, admin HTTP, readiness, shutdown.
//!
//! [`run`] puts these in order; a program's `main` calls it with its composition root. Nothing here knows DNS.
//!
//! Exit codes: 0 fine, 1 failure at run time, 2 a command line or configuration that is refused.

mod admin;
mod cli;
mod credentials;
mod descriptors;
mod logs;
mod metrics;
mod query_log;
mod readiness;
mod run;
mod shutdown;

/// Questions are taken by one thread and answered by another: an allocator that takes back what another thread has
/// given out without a lock is worth a fifth of a miss.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use admin::{Admin, AdminError};
pub use cli::{Arguments, EXIT_CONFIGURATION, EXIT_FAILURE};
pub use credentials::watch_credentials;
pub use logs::{LogError, init_logs};
pub use metrics::{encode, registry};
pub use query_log::{QueryLogError, open_query_log};
pub use readiness::{Gate, Readiness};
pub use run::{DRAIN_LIMIT, Process, run};
pub use shutdown::Shutdown;
