//! The command line: what there is, what all commands share, and what exit codes mean.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::admin::Gateway;
use crate::cache::CacheCommand;
use crate::completion::CompletionArgs;
use crate::config::ConfigCommand;
use crate::generate::GenerateCommand;
use crate::lab::LabArgs;
use crate::node_address::NodeAddressCommand;
use crate::output::{Format, Output};
use crate::peer::PeerCommand;
use crate::pki::PkiCommand;
use crate::query::QueryArgs;
use crate::ready::ReadyArgs;

const AFTER_HELP: &str = "\
Exit codes:
  0  it is done; for query: there is an answer with data
  1  it failed; for query: no answer, or one such as SERVFAIL or REFUSED
  2  the command line is wrong
  3  query: the name does not exist, or has no data of that type

docs/gatewayctl.md tells more, with examples.";

/// Operates the federation of a cluster: peers, certificates, questions, configuration.
#[derive(Debug, Parser)]
#[command(name = "gatewayctl", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// The admin socket of the gateway, or for `cache` of a node-agent (`socket` in its configuration)
    #[arg(long, global = true, value_name = "PATH", env = "STRAIT_SOCKET", default_value = "/run/strait/gateway.sock")]
    socket: PathBuf,
    /// How results are written
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Clusters that answer for each other
    #[command(subcommand)]
    Peer(PeerCommand),
    /// The gateway: its cluster, its generation, its node-agents
    Status,
    /// Whether the gateway, or the node-agent whose --socket is given, is ready
    Ready(ReadyArgs),
    /// Ask a question, and see who answers what
    Query(QueryArgs),
    /// The answer cache of the gateway, or of the node-agent whose --socket is given
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// This cluster's certificates
    #[command(subcommand)]
    Pki(PkiCommand),
    /// What kubelet and the cluster's DNS are told, so that a node-agent runs and is asked
    #[command(subcommand)]
    Generate(GenerateCommand),
    /// Addresses that a node has for itself, for its node-agent to answer on
    #[command(subcommand)]
    NodeAddress(NodeAddressCommand),
    /// The definitions of the custom resources that keep peers in Kubernetes, for `kubectl apply -f -`
    Crds,
    /// Two clusters on this machine, to try things out
    Lab(LabArgs),
    /// Completion script for a shell
    Completion(CompletionArgs),
}

/// How a command ended that has said everything itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As asked for.
    Done,
    /// Not as asked for.
    Failed,
    /// A question's answer has no data.
    NoData,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        // 2 is clap's.
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::NoData => 3,
        })
    }
}

/// Why a command ended without a result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments do not go together.
    Usage(clap::Error),
    /// Anything else.
    Failed(anyhow::Error),
}

impl Failure {
    /// The arguments do not go together; shown as clap shows its own errors.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::Usage(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Cli {
    /// Does what is asked.
    pub(crate) async fn run(self) -> Result<Outcome, Failure> {
        let gateway = Gateway::at(self.socket);
        let mut output = Output::new(self.output, std::io::stdout());
        match self.command {
            Command::Peer(command) => command.run(&gateway, &mut output).await,
            Command::Status => crate::status::run(&gateway, &mut output).await,
            Command::Ready(args) => args.run(&gateway, &mut output).await,
            Command::Query(args) => args.run(&gateway, &mut output).await,
            Command::Cache(command) => command.run(&gateway, &mut output).await,
            Command::Config(command) => command.run(&mut output),
            Command::Pki(command) => Ok(command.run().map(|()| Outcome::Done)?),
            Command::Generate(command) => command.run(&gateway, &mut output).await,
            Command::NodeAddress(command) => Ok(command.run().map(|()| Outcome::Done)?),
            Command::Crds => crate::crds::run(&mut output),
            Command::Lab(args) => Ok(args.run().await.map(|()| Outcome::Done)?),
            Command::Completion(args) => args.run(&mut output),
        }
    }
}

#[cfg(test)]
mod tests;
