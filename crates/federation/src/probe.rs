//! What probes ask of this very process: the service `strait.v1.Probe`.

use std::sync::Arc;

use strait_proto::v1;
use strait_proto::v1::probe_server::{Probe, ProbeServer};
use tonic::{Request, Response, Status};

/// The conditions of readiness: name, whether it holds, and how it stands in words.
pub type Conditions = Vec<(&'static str, bool, String)>;

/// The service.
#[derive(Clone)]
pub struct ProbeService {
    conditions: Arc<dyn Fn() -> Conditions + Send + Sync>,
}

impl ProbeService {
    /// The service that tells these conditions, looked at whenever it is asked.
    pub fn new(conditions: impl Fn() -> Conditions + Send + Sync + 'static) -> Self {
        Self { conditions: Arc::new(conditions) }
    }

    /// The service for a gRPC server.
    pub fn into_server(self) -> ProbeServer<Self> {
        ProbeServer::new(self)
    }
}

#[tonic::async_trait]
impl Probe for ProbeService {
    async fn ready(&self, _: Request<v1::ReadyRequest>) -> Result<Response<v1::ReadyResponse>, Status> {
        let conditions = (self.conditions)();
        Ok(Response::new(v1::ReadyResponse {
            // Before the first condition is known, nothing is.
            ready: !conditions.is_empty() && conditions.iter().all(|(_, holds, _)| *holds),
            conditions: conditions
                .into_iter()
                .map(|(name, holds, state)| v1::Condition { name: name.to_owned(), holds, state })
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn every_condition_must_hold() {
        let told = |name, holds| (name, holds, String::new());
        let cases: [(Conditions, bool); 4] = [
            // Nothing is known yet.
            (vec![], false),
            (vec![told("listening", true)], true),
            (vec![told("listening", true), told("peers", false)], false),
            (vec![told("listening", true), told("peers", true)], true),
        ];
        for (conditions, ready) in cases {
            let count = conditions.len();
            let probe = ProbeService::new(move || conditions.clone());
            let told = probe.ready(Request::new(v1::ReadyRequest {})).await.unwrap().into_inner();
            assert_eq!((told.ready, told.conditions.len()), (ready, count));
        }
    }
}
