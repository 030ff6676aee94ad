//! Calls to a running gateway, and what is said when one fails.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use strait_federation::{ConnectError, connect_admin, connect_cache, connect_probe};
use strait_proto::v1::admin_client::AdminClient;
use strait_proto::v1::cache_client::CacheClient;
use strait_proto::v1::probe_client::ProbeClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::output::printable;

/// A gateway answers at once, but for questions it asks others; those it bounds itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a gateway that was just started may take to make its socket.
const START_PATIENCE: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The gateway behind an admin socket.
pub(crate) struct Gateway {
    socket: PathBuf,
}

impl Gateway {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Connects. A gateway that was started a moment ago gets the time to make its socket.
    pub(crate) async fn connect(&self) -> Result<AdminClient<Channel>, ConnectError> {
        self.patiently(|| connect_admin(&self.socket)).await
    }

    /// As [`Gateway::connect`], to the answer cache; a node-agent has one too.
    pub(crate) async fn connect_cache(&self) -> Result<CacheClient<Channel>, ConnectError> {
        self.patiently(|| connect_cache(&self.socket)).await
    }

    /// As [`Gateway::connect`], to the readiness of a gateway or a node-agent; at once or not at all.
    pub(crate) async fn connect_probe(&self) -> Result<ProbeClient<Channel>, ConnectError> {
        connect_probe(&self.socket).await
    }

    async fn patiently<T, F: Future<Output = Result<T, ConnectError>>>(
        &self,
        connect: impl Fn() -> F,
    ) -> Result<T, ConnectError> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match connect().await {
                Err(ConnectError::Missing(_) | ConnectError::Stale(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
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
        "" if status.code() == Code::Unimplemented => {
            "it does not do this: it waits for its peers, and `gatewayctl ready` says why; or it is of an older version"
                .to_owned()
        }
        "" => format!("the gateway says: {}", status.code().description()),
        text => printable(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gateway_that_is_just_starting_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.sock");
        // A killed gateway has left its socket.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let gateway = Gateway::at(path.clone());
        let waiting = tokio::spawn(async move { gateway.connect().await.map(drop) });
        tokio::time::sleep(LOOK_INTERVAL).await;
        std::fs::remove_file(&path).unwrap();
        let _listening = tokio::net::UnixListener::bind(&path).unwrap();
        waiting.await.unwrap().unwrap();
    }
}
