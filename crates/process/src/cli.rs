//! The command line of a daemon.

use std::path::PathBuf;

/// Exit code: failed while running.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code: command line or configuration refused.
pub const EXIT_CONFIGURATION: u8 = 2;

/// What a daemon is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Arguments {
    /// The configuration file (YAML)
    #[arg(long, value_name = "PATH")]
    pub config: PathBuf,
    /// Check the configuration and every file it points to, then exit
    #[arg(long)]
    pub check_config: bool,
    /// Print the configuration in force, defaults filled in, then exit
    #[arg(long, conflicts_with = "check_config")]
    pub print_config: bool,
}
