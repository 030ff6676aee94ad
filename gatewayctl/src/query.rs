//! `gatewayctl query`: asks a question where it would be asked, and says who answered what.
//!
//! `--via agent` asks the node-agent over plain DNS, as a program on the node does; `--via gateway` asks this
//! cluster's gateway what a peer would get; `--via peer` asks a peer over the gateway's own links.

mod answer;
mod plain;
mod rdata;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use strait_federation::PeerName;
use strait_proto::v1;
use strait_wire::{Message, Name, RecordType};

use crate::admin;
use crate::admin::Gateway;
use crate::cli::{Failure, Outcome};
use crate::output::{Output, printable};
use answer::AnswerView;

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Via {
    /// The node-agent, over plain DNS
    Agent,
    /// This cluster's gateway, as a peer would
    Gateway,
    /// A peer, over the gateway's links
    Peer,
}

#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    /// The name
    name: Name,
    /// The record type
    #[arg(default_value = "A", value_name = "TYPE", value_parser = record_type)]
    rtype: RecordType,
    /// Whom to ask [default: agent; peer when --peer is given]
    #[arg(long, value_enum)]
    via: Option<Via>,
    /// The node-agent to ask: an address, with a port when it is not 53 [default: 127.0.0.1:53]
    #[arg(long, value_name = "ADDR", value_parser = server)]
    server: Option<SocketAddr>,
    /// The peer to ask
    #[arg(long, value_name = "NAME")]
    peer: Option<PeerName>,
}

/// What came back.
struct Answered {
    message: Message,
    by: String,
    elapsed: Duration,
}

impl QueryArgs {
    /// Asks, and shows the answer; the outcome is the answer's.
    pub(crate) async fn run(self, gateway: &Gateway, output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
        let via = self.via()?;
        let question = Message::query(rand::random(), self.name, self.rtype);
        let answered = match via {
            Via::Agent => ask_agent(self.server.unwrap_or_else(default_server), &question).await?,
            Via::Gateway => ask_gateway(gateway, &question, None).await?,
            Via::Peer => ask_gateway(gateway, &question, self.peer).await?,
        };
        let view = AnswerView::new(&answered.message, answered.by, answered.elapsed);
        output.write(&view, AnswerView::text)?;
        Ok(view.outcome())
    }

    /// Whom to ask, when the arguments go together.
    fn via(&self) -> Result<Via, Failure> {
        let via = self.via.unwrap_or(if self.peer.is_some() { Via::Peer } else { Via::Agent });
        match (via, &self.peer, &self.server) {
            (Via::Peer, None, _) => Err(Failure::usage("--via peer needs --peer NAME: which peer is to be asked?")),
            (Via::Agent | Via::Gateway, Some(_), _) => Err(Failure::usage("--peer NAME goes with --via peer only")),
            (Via::Gateway | Via::Peer, _, Some(_)) => Err(Failure::usage(
                "--server ADDR goes with --via agent only; the gateway is reached through its --socket",
            )),
            _ => Ok(via),
        }
    }
}

async fn ask_agent(server: SocketAddr, question: &Message) -> anyhow::Result<Answered> {
    let begun = Instant::now();
    let (message, transport) = plain::ask(server, question).await?;
    Ok(Answered { message, by: format!("{server} ({transport})"), elapsed: begun.elapsed() })
}

async fn ask_gateway(gateway: &Gateway, question: &Message, peer: Option<PeerName>) -> anyhow::Result<Answered> {
    let mut client = gateway.connect().await?;
    let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
    let request = v1::QueryRequest { wire: question.to_wire()?.into(), peer };
    let response = admin::answer(client.query(request)).await?;
    Ok(Answered {
        message: plain::read(&response.wire, question)?,
        by: printable(&response.answered_by),
        elapsed: Duration::from_micros(response.elapsed_us),
    })
}

fn default_server() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 53))
}

fn record_type(text: &str) -> Result<RecordType, &'static str> {
    text.parse().map_err(|_| "not a record type; write A, AAAA, SRV, PTR, TXT, ... or TYPE and a number, as in TYPE65")
}

/// An address, with or without a port.
fn server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let port_53 = || bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    text.parse().or_else(|_| port_53()).map_err(|_| "write 127.0.0.1, 127.0.0.1:5301 or [::1]:53".to_owned())
}

#[cfg(test)]
mod tests;
