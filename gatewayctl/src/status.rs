//! `gatewayctl status`: the gateway, and who is subscribed to it. Each of several replicas has node-agents of its own.

use std::io::Write;

use serde::Serialize;
use strait_proto::v1;

use crate::admin::{Gateway, answer};
use crate::cli::{Failure, Outcome};
use crate::moments::{ago, moment, now};
use crate::output::{Output, printable, table};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    version: String,
    cluster: String,
    suffix: String,
    trust_domain: String,
    generation: u64,
    agents: Vec<AgentView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentView {
    node: String,
    identity: String,
    applied_generation: u64,
    connected_at: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    #[serde(skip)]
    connected_seconds: i64,
}

impl From<v1::StatusResponse> for StatusView {
    fn from(status: v1::StatusResponse) -> Self {
        let agents = status.agents.into_iter().map(|agent| AgentView {
            node: printable(&agent.node),
            identity: printable(&agent.identity),
            applied_generation: agent.applied_generation,
            connected_at: moment(agent.connected_at),
            error: printable(&agent.error),
            connected_seconds: agent.connected_at,
        });
        Self {
            version: printable(&status.version),
            cluster: printable(&status.cluster),
            suffix: printable(&status.suffix),
            trust_domain: printable(&status.trust_domain),
            generation: status.generation,
            agents: agents.collect(),
        }
    }
}

/// Asks and shows.
pub(crate) async fn run(gateway: &Gateway, output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
    let mut client = gateway.connect().await?;
    let status = StatusView::from(answer(client.status(v1::StatusRequest {})).await?);
    output.write(&status, |status| text(status, now()))?;
    Ok(Outcome::Done)
}

fn text(status: &StatusView, now: i64) -> String {
    let StatusView { version, cluster, suffix, trust_domain, generation, agents } = status;
    let head = format!(
        "cluster       {cluster}\nsuffix        {suffix}\ntrust domain  {trust_domain}\ngeneration    {generation}\nversion       {version}\n"
    );
    if agents.is_empty() {
        return format!("{head}\nno node-agent is subscribed to this gateway\n");
    }
    let rows = agents.iter().map(|agent| {
        let state = match (agent.error.as_str(), agent.applied_generation) {
            ("", applied) if applied >= *generation => "current".to_owned(),
            ("", _) => "behind".to_owned(),
            (error, _) => error.to_owned(),
        };
        [agent.node.clone(), agent.applied_generation.to_string(), ago(agent.connected_seconds, now), state]
    });
    format!("{head}\nsubscribed to this gateway:\n{}", table(["NODE-AGENT", "GENERATION", "CONNECTED", "STATE"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(agents: Vec<v1::AgentStatus>) -> StatusView {
        v1::StatusResponse {
            version: "0.1.0".to_owned(),
            cluster: "cluster-a".to_owned(),
            suffix: "cluster-a.example.com".to_owned(),
            trust_domain: "cluster-a.example.com".to_owned(),
            generation: 4,
            agents,
        }
        .into()
    }

    #[test]
    fn the_status_lists_agents_with_what_they_have_applied() {
        let agent = |node: &str, applied_generation, error: &str| v1::AgentStatus {
            node: node.to_owned(),
            identity: format!("spiffe://cluster-a.example.com/node-agent/{node}"),
            applied_generation,
            error: error.to_owned(),
            connected_at: 1_000,
        };
        let agents = vec![agent("n1", 4, ""), agent("n2", 3, ""), agent("n3", 3, "generation 4: bad\u{1b}[m")];
        let expected = "\
cluster       cluster-a
suffix        cluster-a.example.com
trust domain  cluster-a.example.com
generation    4
version       0.1.0

subscribed to this gateway:
NODE-AGENT  GENERATION  CONNECTED  STATE
n1          4           60s ago    current
n2          3           60s ago    behind
n3          3           60s ago    generation 4: bad\\u{1b}[m
";
        assert_eq!(text(&status(agents), 1_060), expected);
    }

    #[test]
    fn a_gateway_without_agents_says_so() {
        assert!(text(&status(vec![]), 0).ends_with("\nno node-agent is subscribed to this gateway\n"));
    }
}
