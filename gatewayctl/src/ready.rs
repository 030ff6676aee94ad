//! `gatewayctl ready`: is this very process ready? For probes, and for people.

use std::io::Write;

use serde::Serialize;
use strait_proto::v1;

use crate::admin::{Gateway, answer};
use crate::cli::{Failure, Outcome};
use crate::output::{Output, printable, table};

/// What is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct ReadyArgs {
    /// It is enough that it answers at all
    #[arg(long)]
    live: bool,
}

#[derive(Debug, Serialize)]
struct ReadyView {
    ready: bool,
    conditions: Vec<ConditionView>,
}

#[derive(Debug, Serialize)]
struct ConditionView {
    name: String,
    holds: bool,
    state: String,
}

impl ReadyArgs {
    /// Asks the daemon behind the socket.
    pub(crate) async fn run(self, daemon: &Gateway, output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
        let mut client = daemon.connect_probe().await?;
        let told = ReadyView::from(answer(client.ready(v1::ReadyRequest {})).await?);
        output.write(&told, text)?;
        Ok(if told.ready || self.live { Outcome::Done } else { Outcome::Failed })
    }
}

impl From<v1::ReadyResponse> for ReadyView {
    fn from(told: v1::ReadyResponse) -> Self {
        let view = |v1::Condition { name, holds, state }: v1::Condition| ConditionView {
            name: printable(&name),
            holds,
            state: printable(&state),
        };
        Self { ready: told.ready, conditions: told.conditions.into_iter().map(view).collect() }
    }
}

fn text(told: &ReadyView) -> String {
    let rows = told.conditions.iter().map(|condition| [condition.name.clone(), condition.state.clone()]);
    format!("{}\n\n{}", if told.ready { "ready" } else { "not ready" }, table(["CONDITION", "STATE"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_told() {
        let condition =
            |name: &str, holds, state: &str| v1::Condition { name: name.into(), holds, state: state.into() };
        let told = v1::ReadyResponse {
            ready: false,
            conditions: vec![condition("listening", true, "ready"), condition("peers", false, "not yet")],
        };
        assert_eq!(text(&told.into()), "not ready\n\nCONDITION  STATE\nlistening  ready\npeers      not yet\n");
    }
}
