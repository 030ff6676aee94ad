//! Follows what one peer says of its addresses, at whichever of its gateways answers.

use std::sync::Arc;
use std::time::Duration;

use strait_identity::{Alpn, Credentials, PeerExpectation, Role, TrustBundle, TrustStore, client_config};
use strait_link::{EndpointUrl, LinkTarget};
use strait_proto::v1;
use strait_proto::v1::peering_client::PeeringClient;
use strait_resolve::IpNet;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tracing::{debug, info};

use super::file::read_ranges;
use crate::client::{self, Ended, Stream, keep_trying};
use crate::peers::PeerName;

/// From the call to the first addresses.
const FIRST_WITHIN: Duration = Duration::from_secs(5);

/// The largest message taken: 64 ranges of some 50 octets, several times over.
const MAX_MESSAGE: usize = 16 << 10;

/// A peer's addresses change no more often here: each change goes to disk and to every node-agent.
const BETWEEN_CHANGES: Duration = Duration::from_secs(5);

/// The longest wait between two tries.
const MAX_BACK_OFF: Duration = Duration::from_secs(10);

/// A gateway that does not know the service is asked again after this long: it may be replaced by a newer one.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);

/// What a peer says.
pub(super) struct News {
    pub(super) peer: PeerName,
    pub(super) trust_bundle: TrustBundle,
    pub(super) ranges: Arc<[IpNet]>,
    /// What it is called; empty when it does not say.
    pub(super) cluster_id: String,
}

/// Follows one peer.
pub(super) struct Follower {
    peer: PeerName,
    endpoints: Vec<EndpointUrl>,
    trust_bundle: TrustBundle,
    credentials: Credentials,
    news: mpsc::Sender<News>,
    next_change: Instant,
}

impl Follower {
    pub(super) fn new(peer: PeerName, target: &LinkTarget, credentials: Credentials, news: mpsc::Sender<News>) -> Self {
        let (endpoints, trust_bundle) = (target.endpoints.clone(), target.trust_bundle.clone());
        Self { peer, endpoints, trust_bundle, credentials, news, next_change: Instant::now() }
    }

    /// Works until dropped.
    pub(super) async fn run(mut self) {
        let endpoints = self.endpoints.clone();
        keep_trying(&endpoints, MAX_BACK_OFF, &mut self).await;
    }

    async fn connect(&self, url: &EndpointUrl, attempt: u32) -> Result<Channel, String> {
        let trust_domain = self.trust_bundle.trust_domain().clone();
        let trust = Arc::new(TrustStore::new([self.trust_bundle.clone()]));
        let expected = PeerExpectation { trust_domain, role: Role::Gateway };
        let tls = client_config(&self.credentials, trust, expected, Alpn::H2);
        client::connect(url, tls, attempt as usize).await.map_err(|error| strait_link::chain(&error))
    }

    /// Passes on what the peer says until it ends; an error says why.
    async fn follow(&mut self, mut told: Streaming<v1::Addresses>, first: v1::Addresses) -> String {
        let mut addresses = first;
        loop {
            match read_ranges(&addresses.ranges) {
                Ok(ranges) => self.tell(ranges, addresses.cluster_id).await,
                Err(error) => return format!("what it says cannot be used: {}", error.escape_debug()),
            }
            addresses = match told.message().await {
                Ok(Some(addresses)) => addresses,
                Ok(None) => return "the gateway closed the stream".to_owned(),
                Err(status) => return told_by(&status),
            };
        }
    }

    async fn tell(&mut self, ranges: Arc<[IpNet]>, cluster_id: String) {
        sleep_until(self.next_change).await;
        self.next_change = Instant::now() + BETWEEN_CHANGES;
        let news = News { peer: self.peer.clone(), trust_bundle: self.trust_bundle.clone(), ranges, cluster_id };
        // Nobody is there any more when the gateway stops.
        let _ = self.news.send(news).await;
    }
}

impl Stream for Follower {
    async fn attempt(&mut self, url: &EndpointUrl, failures: u32) -> Ended {
        let channel = match self.connect(url, failures).await {
            Ok(channel) => channel,
            Err(error) => return Ended::Before(error),
        };
        let mut client = PeeringClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let opened = timeout(FIRST_WITHIN, async {
            let mut told = client.watch_addresses(v1::WatchAddressesRequest {}).await?.into_inner();
            let first = told.message().await?;
            Ok::<_, Status>((told, first))
        });
        match opened.await {
            Ok(Ok((told, Some(first)))) => {
                debug!(peer = %self.peer, gateway = %url, ranges = first.ranges.len(), "peer tells its addresses");
                Ended::AfterFirst(self.follow(told, first).await)
            }
            Ok(Ok((_, None))) => Ended::Before("the gateway closed the stream".to_owned()),
            // An older gateway has no addresses to tell.
            Ok(Err(status)) if status.code() == Code::Unimplemented => {
                self.tell(Arc::default(), String::new()).await;
                sleep(UNKNOWN_PAUSE).await;
                Ended::Before("the gateway is of a version that does not tell addresses".to_owned())
            }
            Ok(Err(status)) => Ended::Before(told_by(&status)),
            Err(_) => Ended::Before(format!("the gateway told nothing within {FIRST_WITHIN:?}")),
        }
    }

    /// The log has one line for a series of failures.
    fn failed(&self, url: &EndpointUrl, error: &str, failures: u32) {
        if failures == 0 {
            info!(peer = %self.peer, gateway = %url, error,
                "the peer does not tell its addresses; those that it told last stay in force");
        }
    }
}

/// What a gateway says, without what it might do to a terminal.
fn told_by(status: &Status) -> String {
    format!("the gateway said {:?}: {}", status.code(), status.message().escape_debug())
}
