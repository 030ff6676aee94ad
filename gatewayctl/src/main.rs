//! gatewayctl: the operator's tool. The command line is in `cli`, each command in a file of its own.

mod admin;
mod cache;
mod cli;
mod completion;
mod config;
mod crds;
mod generate;
mod lab;
mod moments;
mod node_address;
mod output;
mod peer;
mod pki;
mod query;
mod ready;
mod status;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Failure};

#[tokio::main]
async fn main() -> ExitCode {
    let failure = match Cli::parse().run().await {
        Ok(outcome) => return outcome.into(),
        Err(failure) => failure,
    };
    match failure {
        Failure::Usage(error) => error.exit(),
        // Whoever read our output has had enough of it.
        Failure::Failed(error) if output::is_broken_pipe(&error) => {}
        Failure::Failed(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", output::with_causes(&error));
        }
    }
    cli::Outcome::Failed.into()
}
