//! Calls to a running gateway, and what is said when one fails.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use strait_federation::{ConnectError, connect_admin};
use strait_proto::v1::admin_client::AdminClient;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::output::printable;

/// A gateway answers at once, but for questions it asks others; those it bounds itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The gateway behind an admin socket.
pub(crate) struct Gateway {
    socket: PathBuf,
}

impl Gateway {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<AdminClient<Channel>, ConnectError> {
        connect_admin(&self.socket).await
    }
}

/// Waits for a call's answer; a refusal is the gateway's own sentence.
pub(crate) async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> anyhow::Result<T> {
    let answered = tokio::time::timeout(CALL_TIMEOUT, call).await;
    let answered =
        answered.map_err(|_| anyhow!("the gateway does not answer on its socket within 10 s; see its log"))?;
    answered.map(Response::into_inner).map_err(|status| anyhow!(sentence(&status)))
}

fn sentence(status: &Status) -> String {
    match status.message() {
        "" => format!("the gateway says: {}", status.code().description()),
        text => printable(text),
    }
}
