//! `gatewayctl generate`: what others need to be told so that a node-agent is run, and asked.

mod static_pod;
mod stub_domain;

use std::io::Write;

use crate::admin::Gateway;
use crate::cli::{Failure, Outcome};
use crate::output::Output;
use static_pod::StaticPod;
use stub_domain::StubDomain;

/// What is to be printed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum GenerateCommand {
    /// The manifest of a node-agent for kubelet, which runs it without an API server
    StaticPod(StaticPod),
    /// The lines that the cluster's DNS needs to send peers' names to the node-agent
    StubDomain(StubDomain),
}

impl GenerateCommand {
    /// Prints it. Neither is a result in a table: both are files of others, as they are.
    pub(crate) async fn run(self, gateway: &Gateway, output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
        let text = match self {
            Self::StaticPod(pod) => pod.manifest()?,
            Self::StubDomain(stub) => stub.lines(gateway).await?,
        };
        output.write_raw(text.as_bytes())?;
        Ok(Outcome::Done)
    }
}
