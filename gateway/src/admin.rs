//! What the admin service asks of the running gateway: the state of links, and questions.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use strait_federation::{AdminBackend, InboundPolicy, QueryFailure, QueryOutcome};
use strait_identity::{Credentials, Identity};
use strait_link::{PeerLinks, PeerStatus, State};
use strait_resolve::{Admission, Admit, Ask, BoxFuture, Origin, Resolver, Respond, Source, Transport};
use strait_wire::{Query, QueryView, ReplyLimits};

/// The parts of the gateway that questions of an operator reach.
pub(crate) struct Backend {
    resolver: Arc<Resolver>,
    policy: Arc<InboundPolicy>,
    links: Arc<PeerLinks>,
    credentials: Credentials,
    home: String,
}

impl Backend {
    /// Asks `resolver`, whose policy is `policy`, as this gateway itself, and peers over `links`.
    pub(crate) fn new(
        resolver: Arc<Resolver>,
        policy: Arc<InboundPolicy>,
        links: Arc<PeerLinks>,
        credentials: Credentials,
        home: &str,
    ) -> Self {
        Self { resolver, policy, links, credentials, home: home.to_owned() }
    }

    /// Asks this gateway as one that bears its own certificate would.
    async fn ask_home(&self, wire: &[u8]) -> Result<QueryOutcome, QueryFailure> {
        let identity = Identity { id: self.credentials.id(), not_after: self.credentials.not_after() };
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let origin = Origin { identity: Some(Arc::new(identity)), ..Origin::new(local, Transport::Grpc) };
        let answered_by = self.answerer(wire, &origin);
        let reply = self.resolver.respond(wire, &origin).await;
        let wire = reply
            .ok_or_else(|| QueryFailure::BadQuestion("it is not a DNS message, or itself a response".to_owned()))?;
        Ok(QueryOutcome { wire: wire.into(), answered_by })
    }

    /// What answers a question of our own, in words: the backend only gets what the policy admits.
    fn answerer(&self, wire: &[u8], origin: &Origin) -> String {
        match QueryView::parse(wire).map(|query| self.policy.admit(origin, &query)) {
            Ok(Admission::Admit) => self.home.clone(),
            Ok(Admission::Refuse(_) | Admission::Drop) => "this gateway's policy".to_owned(),
            Err(_) => "this gateway".to_owned(),
        }
    }

    /// Asks the peer over its links, past every cache of ours.
    async fn ask_peer(&self, query: &Query, name: &str) -> Result<QueryOutcome, QueryFailure> {
        let peer = self.links.get(name).ok_or_else(|| QueryFailure::UnknownPeer(name.to_owned()))?;
        let view = query.view();
        let path = view.cluster_path().map_err(|refusal| QueryFailure::BadQuestion(refusal.reason().to_owned()))?;
        let ask = Ask::new(&view, path);
        let answer = peer.answer(&ask).await.map_err(|error| QueryFailure::Failed(error.to_string()))?;
        let mut reply = Vec::with_capacity(512);
        answer.write_reply(&view, 0, ReplyLimits::stream(), None, &mut reply);
        let up = peer.status().endpoints.into_iter().filter(|e| matches!(e.state, State::Up | State::Degraded));
        let endpoints: Vec<String> = up.map(|endpoint| endpoint.url.to_string()).collect();
        Ok(QueryOutcome { wire: reply.into(), answered_by: format!("peer {name} at {}", endpoints.join(" or ")) })
    }
}

impl AdminBackend for Backend {
    fn outbound(&self, peer: &str) -> Option<PeerStatus> {
        self.links.get(peer).map(|peer| peer.status())
    }

    fn query<'a>(&'a self, wire: Bytes, peer: Option<&'a str>) -> BoxFuture<'a, Result<QueryOutcome, QueryFailure>> {
        Box::pin(async move {
            let Some(name) = peer else { return self.ask_home(&wire).await };
            let view =
                QueryView::parse(&wire).map_err(|refusal| QueryFailure::BadQuestion(refusal.reason().to_owned()))?;
            self.ask_peer(&Query::new(&view), name).await
        })
    }
}
