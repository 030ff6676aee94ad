#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use prometheus::Registry;
use strait_identity::Identity;
use strait_link::{EndpointStatus, State};
use strait_serve::ConnectionObserver;
use tonic::Code;

use super::*;
use crate::FileStore;
use crate::peers::PeerSet;
use crate::store::{StateStore, StoreChange};
use crate::testkit::{addresses, expired_authority_pem, home, peer};

/// One link, which is up, to whoever is asked for; answers every question with itself.
struct Backend;

impl AdminBackend for Backend {
    fn outbound(&self, peer: &str) -> Option<PeerStatus> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let endpoint = EndpointStatus {
            url: "tls://192.0.2.1:853".parse().unwrap(),
            state: State::Up,
            since: at,
            latency: Some(Duration::from_micros(1500)),
            last_error: Some(("refused".to_owned(), at)),
        };
        (peer == "cluster-b").then(|| PeerStatus { state: State::Up, endpoints: vec![endpoint] })
    }

    fn query<'a>(&'a self, wire: Bytes, peer: Option<&'a str>) -> BoxFuture<'a, Result<QueryOutcome, QueryFailure>> {
        Box::pin(async move {
            match peer {
                Some("cluster-b") => Ok(QueryOutcome { wire, answered_by: "peer cluster-b".to_owned() }),
                Some(other) => Err(QueryFailure::UnknownPeer(other.to_owned())),
                None => Err(QueryFailure::Failed("the backend does not answer".to_owned())),
            }
        })
    }
}

struct Gateway {
    service: AdminService,
    _state: tempfile::TempDir,
}

async fn gateway() -> Gateway {
    let state = tempfile::tempdir().unwrap();
    let store = FileStore::open(state.path().join("peers.json")).unwrap();
    gateway_of(store, state).await
}

async fn gateway_of(store: impl StateStore, state: tempfile::TempDir) -> Gateway {
    let registry = Registry::new();
    let federation = Federation::open(store, home()).await.unwrap();
    let service = AdminService::new(AdminSettings {
        version: "1.2.3".to_owned(),
        cluster: "cluster-a".to_owned(),
        addresses: addresses(&federation, &[], &state.path().join("peers.json")),
        federation,
        inbound: InboundBook::new(&registry).unwrap(),
        agents: AgentBook::new(&registry).unwrap(),
        backend: Arc::new(Backend),
    });
    Gateway { service, _state: state }
}

/// Keeps nothing, and never says so.
struct Hanging;

impl StateStore for Hanging {
    fn load(&self) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        Box::pin(async { Ok(PeerSet::default()) })
    }

    fn commit(&self, _: Generation, _: StoreChange) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        Box::pin(std::future::pending())
    }

    fn changed(&self, _: Generation) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

impl Gateway {
    async fn add(&self, peer: Option<v1::Peer>, replace: bool) -> Result<u64, Status> {
        let request = Request::new(v1::AddPeerRequest { peer, replace });
        self.service.add_peer(request).await.map(|response| response.into_inner().generation)
    }

    async fn get(&self, name: &str) -> Result<v1::PeerStatus, Status> {
        let request = Request::new(v1::GetPeerRequest { name: name.to_owned() });
        self.service.get_peer(request).await.map(|response| response.into_inner().peer.unwrap())
    }
}

fn message(name: &str) -> v1::Peer {
    (&peer(name)).into()
}

#[tokio::test]
async fn a_peer_is_added_shown_changed_and_removed() {
    let gateway = gateway().await;
    assert_eq!(gateway.add(Some(message("cluster-b")), false).await.unwrap(), 1);
    let service = &gateway.service;
    service.settings.inbound.apply(&service.settings.federation.current());
    let identity = Identity { id: "spiffe://cluster-b.example.com/gateway".parse().unwrap(), not_after: 0 };
    service.settings.inbound.opened(&identity);

    let shown = gateway.get("cluster-b").await.unwrap();
    let added = shown.peer.unwrap();
    assert!(added.changed_at > 1_700_000_000, "the gateway's clock counts, not the request's");
    assert_eq!(v1::Peer { changed_at: 1_700_000_000, ..added }, message("cluster-b"));
    let outbound = shown.outbound.unwrap();
    assert_eq!(outbound.state, "up");
    let expected = v1::EndpointStatus {
        url: "tls://192.0.2.1:853".to_owned(),
        state: "up".to_owned(),
        latency_us: 1500,
        last_error: "refused".to_owned(),
        last_error_at: 1_700_000_000,
        since: 1_700_000_000,
    };
    assert_eq!(outbound.endpoints, [expected]);
    let inbound = shown.inbound.unwrap();
    assert_eq!((inbound.state.as_str(), inbound.connections), ("up", 1));

    let one_way = v1::Peer { inbound: false, ..message("cluster-b") };
    assert_eq!(gateway.add(Some(one_way), true).await.unwrap(), 2);
    assert_eq!(gateway.get("cluster-b").await.unwrap().inbound.unwrap().state, "none");

    let listed = service.list_peers(Request::new(v1::ListPeersRequest {})).await.unwrap().into_inner();
    assert_eq!((listed.peers.len(), listed.generation), (1, 2));
    let remove = v1::RemovePeerRequest { name: "cluster-b".to_owned() };
    assert_eq!(service.remove_peer(Request::new(remove)).await.unwrap().into_inner().generation, 3);
}

#[tokio::test]
async fn a_peer_that_is_not_dialled_yet_is_connecting_and_one_that_is_not_asked_is_none() {
    let gateway = gateway().await;
    gateway.add(Some(message("cluster-c")), false).await.unwrap();
    assert_eq!(gateway.get("cluster-c").await.unwrap().outbound.unwrap().state, "connecting");
    let inbound_only = v1::Peer { outbound: false, ..message("cluster-b") };
    gateway.add(Some(inbound_only), false).await.unwrap();
    let shown = gateway.get("cluster-b").await.unwrap();
    assert_eq!(shown.outbound.unwrap(), v1::OutboundStatus { state: "none".to_owned(), endpoints: vec![] });
    assert_eq!(shown.inbound.unwrap().state, "idle");
}

#[tokio::test]
async fn each_refusal_has_its_code_and_its_sentence() {
    let gateway = gateway().await;
    gateway.add(Some(message("cluster-b")), false).await.unwrap();
    let expired = expired_authority_pem("cluster-c.example.com");
    let endpoints = |url: &str| vec![v1::Endpoint { url: url.to_owned() }];
    let cases: Vec<(Option<v1::Peer>, Code, &str)> = vec![
        (None, Code::InvalidArgument, "the request holds no peer"),
        (Some(message("cluster-b")), Code::AlreadyExists, "peer cluster-b exists already; give --replace"),
        (
            Some(v1::Peer { name: "-b".to_owned(), ..message("cluster-c") }),
            Code::InvalidArgument,
            "\"-b\" is not a peer name: write 1 to 63 lower-case letters",
        ),
        (
            Some(v1::Peer { suffix: "a..b".to_owned(), ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: suffix \"a..b\" is not a DNS name: empty label",
        ),
        (
            Some(v1::Peer { suffix: "cluster-a.example.com".to_owned(), ..message("cluster-c") }),
            Code::InvalidArgument,
            "the suffix cluster-a.example.com overlaps this cluster's own suffix",
        ),
        (
            Some(v1::Peer { endpoints: endpoints("http://192.0.2.1"), ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: \"http://192.0.2.1\" is not an endpoint: ",
        ),
        (
            Some(v1::Peer { endpoints: vec![v1::Endpoint::default(); 17], ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: 17 endpoints, more than 16;",
        ),
        (
            Some(v1::Peer { trust_domain: "Cluster C".to_owned(), ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: \"Cluster C\" is not a trust domain",
        ),
        (
            Some(v1::Peer { trust_bundle: "hello".to_owned(), ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: trust bundle: no certificate in it",
        ),
        (
            Some(v1::Peer { trust_bundle: "x".repeat(65_537), ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: the trust bundle has 65537 octets, more than 65536;",
        ),
        // A new peer's CAs must still vouch for someone.
        (
            Some(v1::Peer { trust_bundle: expired, ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: trust bundle: every CA in it has expired",
        ),
        (
            Some(v1::Peer { outbound: false, inbound: false, ..message("cluster-c") }),
            Code::InvalidArgument,
            "peer cluster-c: neither direction is delegated",
        ),
    ];
    for (peer, code, sentence) in cases {
        let status = gateway.add(peer, false).await.unwrap_err();
        assert_eq!(status.code(), code, "{}", status.message());
        assert!(status.message().starts_with(sentence), "{}", status.message());
    }
    let status = gateway.get("cluster-x").await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "there is no peer \"cluster-x\"; known peers: cluster-b")
    );
    let remove = v1::RemovePeerRequest { name: "cluster-x".to_owned() };
    assert_eq!(gateway.service.remove_peer(Request::new(remove)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn questions_go_to_the_backend_and_failures_come_back() {
    let gateway = gateway().await;
    let ask = |peer: &str| {
        let request = v1::QueryRequest { wire: Bytes::from_static(b"question"), peer: peer.to_owned() };
        gateway.service.query(Request::new(request))
    };
    let answered = ask("cluster-b").await.unwrap().into_inner();
    assert_eq!((answered.wire.as_ref(), answered.answered_by.as_str()), (&b"question"[..], "peer cluster-b"));
    let status = ask("cluster-x").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "there is no peer \"cluster-x\" that this gateway asks; see gatewayctl peer list");
    let status = ask("").await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the backend does not answer"));
}

#[tokio::test]
async fn the_status_names_the_cluster_and_its_agents() {
    let gateway = gateway().await;
    let id = "spiffe://cluster-a.example.com/node-agent/n1".parse().unwrap();
    let seat = gateway.service.settings.agents.enter(&"n1".into(), id).unwrap();
    seat.note(&v1::AgentReport { node: "n1".to_owned(), applied_generation: 5, error: "e".repeat(600) });
    let status = gateway.service.status(Request::new(v1::StatusRequest {})).await.unwrap().into_inner();
    assert_eq!(
        (status.version.as_str(), status.cluster.as_str(), status.suffix.as_str(), status.trust_domain.as_str()),
        ("1.2.3", "cluster-a", "cluster-a.example.com", "cluster-a.example.com")
    );
    let agent = &status.agents[0];
    assert_eq!((agent.node.as_str(), agent.applied_generation, agent.error.len()), ("n1", 5, 512));
    drop(seat);
    assert_eq!(gateway.service.settings.agents.list(), []);
}

/// gatewayctl gives up after ten seconds, and would say that the gateway is silent.
#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_change_is_told_while_it_goes_on() {
    let gateway = gateway_of(Hanging, tempfile::tempdir().unwrap()).await;
    let begun = tokio::time::Instant::now();
    let status = gateway.add(Some((&peer("cluster-b")).into()), false).await.unwrap_err();
    assert_eq!((status.code(), begun.elapsed() < Duration::from_secs(10)), (Code::DeadlineExceeded, true));
    assert!(status.message().contains("and may still come") && status.message().contains("peer list"), "{status}");
}

#[test]
fn what_nobody_knows_is_not_said_to_be_so() {
    let told = |error: StoreError| Status::from(ChangeError::Store(error)).message().to_owned();
    let unknown = "nobody knows".to_owned();
    assert_eq!(told(StoreError::Unsettled(unknown.clone())), "nobody knows");
    assert_eq!(told(StoreError::Unavailable(unknown)), "the change is not stored, and not in force: nobody knows");
}
