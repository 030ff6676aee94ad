//! Both ends of the distribution, over real sockets and real TLS.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use prometheus::Registry;
use strait_identity::{Identity, identity_of, server_config};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, Server};

use prost::Message as _;
use strait_proto::v1;

use super::*;
use crate::client::Stream as _;
use crate::distribution::MAX_SNAPSHOT_LEN;
use crate::testkit::{PATIENCE, bundle, credentials, eventually, home, long_bundle, peer};
use crate::{
    AgentBook, DistributionService, Federation, MAX_PEERS, MAX_ZONES_SIZE, OnExisting, PeerRecord, ZoneDocument,
    ZoneSet,
};

const A: &str = "cluster-a.example.com";
const AGENT: &str = "spiffe://cluster-a.example.com/node-agent/n1";

/// A connection whose identity tonic puts in each request's extensions, as the listeners do.
struct Verified(TlsStream<TcpStream>, Arc<Identity>);

impl Connected for Verified {
    type ConnectInfo = Arc<Identity>;

    fn connect_info(&self) -> Arc<Identity> {
        Arc::clone(&self.1)
    }
}

impl AsyncRead for Verified {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Verified {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A gateway that hands out peers.
struct Gateway {
    federation: Federation,
    agents: Arc<AgentBook>,
    registry: Registry,
    url: EndpointUrl,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

impl Gateway {
    async fn start(state: &Path) -> Self {
        Self::start_with(state, None).await
    }

    /// One that tells its agents `told` instead of what it has.
    async fn start_with(state: &Path, told: Option<watch::Receiver<Arc<PeerSet>>>) -> Self {
        let federation = Federation::open(FileStore::open(state.join("peers.json")).unwrap(), home()).await.unwrap();
        let registry = Registry::new();
        let agents = AgentBook::new(&registry).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("grpc://{}", listener.local_addr().unwrap()).parse().unwrap();
        // It trusts cluster-b as well, as a gateway with peers does.
        let trust = Arc::new(TrustStore::new([bundle(A), bundle("cluster-b.example.com")]));
        let tls = server_config(&credentials(A, &format!("spiffe://{A}/gateway")), trust);
        let stop = CancellationToken::new();
        let service = DistributionService::new(
            home().trust_domain,
            told.unwrap_or_else(|| federation.subscribe()),
            Arc::clone(&agents),
            stop.clone(),
        );
        let connections = futures_util::stream::unfold(listener, move |listener| {
            let acceptor = TlsAcceptor::from(Arc::clone(&tls));
            async move { Some((accept(&listener, &acceptor).await, listener)) }
        });
        let shutdown = stop.clone();
        let served = tokio::spawn(async move {
            let server = Server::builder().add_service(service.into_server());
            server.serve_with_incoming_shutdown(connections, shutdown.cancelled()).await.unwrap();
        });
        Self { federation, agents, registry, url, stop, served }
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.served).await.unwrap().unwrap();
    }

    /// What the book says of node n1: the generation applied there, and the error.
    fn n1(&self) -> Option<(u64, String)> {
        let listed = self.agents.list();
        listed.into_iter().find(|(node, _)| **node == *"n1").map(|(_, entry)| (entry.applied.0, entry.error))
    }
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> std::io::Result<Verified> {
    loop {
        let (tcp, _) = listener.accept().await?;
        let Ok(tls) = acceptor.accept(tcp).await else { continue };
        let identity = identity_of(tls.get_ref().1.peer_certificates()).unwrap();
        return Ok(Verified(tls, Arc::new(identity)));
    }
}

fn settings(urls: &[&EndpointUrl], state: &Path) -> SubscriptionSettings {
    SubscriptionSettings {
        endpoints: urls.iter().copied().cloned().collect(),
        credentials: credentials(A, AGENT),
        trust_bundle: bundle(A),
        node: "n1".to_owned(),
        state: state.to_owned(),
        has_successor: false,
        registry: Registry::new(),
    }
}

/// The value of a gauge without labels.
fn gauge(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    family.get_metric()[0].get_gauge().get_value()
}

async fn wait_for(subscription: &AgentSubscription, generation: u64) -> Arc<PeerSet> {
    let mut peers = subscription.subscribe();
    let is_there = |set: &Option<Arc<PeerSet>>| set.as_ref().is_some_and(|set| set.generation().0 == generation);
    let found = tokio::time::timeout(PATIENCE, peers.wait_for(is_there)).await.unwrap().unwrap();
    found.clone().unwrap()
}

#[tokio::test]
async fn an_agent_gets_the_peers_at_once_and_each_change_and_reports() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = Gateway::start(home.path()).await;
    gateway.federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    let subscription = AgentSubscription::start(settings(&[&gateway.url], node.path())).unwrap();
    assert_eq!(wait_for(&subscription, 1).await, gateway.federation.current());
    gateway.federation.add(peer("cluster-c"), OnExisting::Refuse).await.unwrap();
    assert_eq!(wait_for(&subscription, 2).await, gateway.federation.current());
    assert_eq!(subscription.status().gateway.as_ref(), Some(&gateway.url));

    let set = gateway.federation.current();
    subscription.applied(&set, Ok(()));
    eventually("the report is in the book", || async { gateway.n1() == Some((2, String::new())) }).await;
    subscription.applied(&PeerSet::clone(&set).at(Generation(3)), Err("no memory".to_owned()));
    let expected = Some((2, "generation 3: no memory".to_owned()));
    eventually("the error is in the book", || async { gateway.n1() == expected }).await;
    drop(subscription);
    eventually("the agent is out of the book", || async { gateway.n1().is_none() }).await;
}

#[tokio::test]
async fn agents_that_are_behind_are_counted() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = Gateway::start(home.path()).await;
    let behind = |expected: f64| {
        let registry = &gateway.registry;
        eventually(
            "the count of agents behind",
            move || async move { gauge(registry, "strait_agents_behind") == expected },
        )
    };
    gateway.federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    let settings = settings(&[&gateway.url], node.path());
    let of_agent = settings.registry.clone();
    assert_eq!(gauge(&gateway.registry, "strait_agents_behind"), 0.0);
    let subscription = AgentSubscription::start(settings).unwrap();
    wait_for(&subscription, 1).await;
    assert_eq!(gauge(&of_agent, "strait_agent_subscribed"), 1.0);
    // Heard of, but not in force.
    behind(1.0).await;
    subscription.applied(&gateway.federation.current(), Ok(()));
    behind(0.0).await;
    assert_eq!(gauge(&of_agent, "strait_peers_generation"), 1.0);
    gateway.federation.add(peer("cluster-c"), OnExisting::Refuse).await.unwrap();
    behind(1.0).await;
    // What could not be applied is not in force.
    subscription.applied(&gateway.federation.current(), Err("no memory".to_owned()));
    eventually("the error is in the book", || async { gateway.n1().is_some_and(|(_, error)| !error.is_empty()) }).await;
    behind(1.0).await;
    assert_eq!(gauge(&of_agent, "strait_peers_generation"), 1.0);
    // Whoever has left is not behind.
    drop(subscription);
    behind(0.0).await;
}

#[tokio::test]
async fn a_lost_gateway_is_told() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = Gateway::start(home.path()).await;
    let settings = settings(&[&gateway.url], node.path());
    let registry = settings.registry.clone();
    let subscription = AgentSubscription::start(settings).unwrap();
    wait_for(&subscription, 0).await;
    assert_eq!(gauge(&registry, "strait_agent_subscribed"), 1.0);
    gateway.end().await;
    eventually("the loss is told", || async { gauge(&registry, "strait_agent_subscribed") == 0.0 }).await;
}

#[tokio::test]
async fn an_agent_starts_from_disk_with_the_gateway_down() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = Gateway::start(home.path()).await;
    gateway.federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    let subscription = AgentSubscription::start(settings(&[&gateway.url], node.path())).unwrap();
    let known = wait_for(&subscription, 1).await;
    let file = node.path().join(FILE_NAME);
    eventually("the peers are on disk", || async { file.exists() }).await;
    drop(subscription);
    let url = gateway.url.clone();
    gateway.end().await;

    // The old worker lets go of the file's lock a moment after it is dropped.
    let mut again = None;
    eventually("the file is free", || {
        again = AgentSubscription::start(settings(&[&url], node.path())).ok();
        std::future::ready(again.is_some())
    })
    .await;
    let subscription = again.unwrap();
    assert_eq!(subscription.subscribe().borrow().as_ref(), Some(&known));
    eventually("the failure is told", || async { subscription.status().last_error.starts_with(&format!("{url}: ")) })
        .await;
}

#[tokio::test]
async fn a_damaged_file_is_kept_aside_and_the_gateway_counts() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = node.path().join(FILE_NAME);
    std::fs::write(&file, "{\"version\":1,").unwrap();
    let gateway = Gateway::start(home.path()).await;
    let subscription = AgentSubscription::start(settings(&[&gateway.url], node.path())).unwrap();
    let aside = std::fs::read_to_string(node.path().join("agent-peers.json.damaged")).unwrap();
    assert_eq!(aside, "{\"version\":1,");
    wait_for(&subscription, 0).await;
}

#[tokio::test]
async fn agents_that_share_a_certificate_are_told_apart_by_what_they_report() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let gateway = Gateway::start(folders[0].path()).await;
    let agents = ["n1", "n2"].iter().zip(&folders[1..]).map(|(node, folder)| {
        let credentials = credentials(A, &format!("spiffe://{A}/node-agent/every-node"));
        let settings = settings(&[&gateway.url], folder.path());
        AgentSubscription::start(SubscriptionSettings { credentials, node: (*node).to_owned(), ..settings }).unwrap()
    });
    let agents: Vec<_> = agents.collect();
    for agent in &agents {
        wait_for(agent, 0).await;
    }
    let listed = || gateway.agents.list().into_iter().map(|(node, _)| node.to_string()).collect::<Vec<_>>();
    eventually("both are subscribed", || async { listed() == ["n1", "n2"] }).await;
    drop(agents);
    gateway.end().await;
}

#[tokio::test]
async fn a_gateway_that_begins_again_lower_is_believed() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let known = PeerSet::new(Generation(40), [peer("cluster-z")]).unwrap();
    FileStore::open(node.path().join(FILE_NAME)).unwrap().save(&known).unwrap();
    let gateway = Gateway::start(home.path()).await;
    gateway.federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    let subscription = AgentSubscription::start(settings(&[&gateway.url], node.path())).unwrap();
    assert_eq!(subscription.subscribe().borrow().as_deref(), Some(&known));
    assert_eq!(wait_for(&subscription, 1).await, gateway.federation.current());
}

#[tokio::test]
async fn an_agent_goes_on_at_another_gateway() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let first = Gateway::start(folders[0].path()).await;
    let second = Gateway::start(folders[1].path()).await;
    for _ in 0..2 {
        second.federation.add(peer("cluster-b"), OnExisting::Replace).await.unwrap();
    }
    let urls = [&first.url, &second.url];
    let subscription = AgentSubscription::start(settings(&urls, folders[2].path())).unwrap();
    wait_for(&subscription, 0).await;
    first.end().await;
    wait_for(&subscription, 2).await;
}

/// Who may not subscribe, and the sentence each is told.
#[tokio::test]
async fn only_agents_of_this_cluster_may_subscribe_and_only_for_their_own_node() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = Gateway::start(home.path()).await;
    let only = "only spiffe://cluster-a.example.com/node-agent/<node> may";
    let cases = [
        // A peer's agent: its certificate is good here, for questions.
        (
            "cluster-b.example.com",
            "spiffe://cluster-b.example.com/node-agent/n1",
            "n1",
            format!("spiffe://cluster-b.example.com/node-agent/n1 may not subscribe: {only}"),
        ),
        // A gateway of our own.
        (
            A,
            "spiffe://cluster-a.example.com/gateway",
            "n1",
            format!("spiffe://cluster-a.example.com/gateway may not subscribe: {only}"),
        ),
        // An agent that speaks for another node.
        (
            A,
            "spiffe://cluster-a.example.com/node-agent/n2",
            "n1",
            "the certificate is spiffe://cluster-a.example.com/node-agent/n2, the report of node \"n1\": `node` in the agent's configuration must match its certificate".to_owned(),
        ),
    ];
    for (signer, id, reported, expected) in cases {
        let settings = settings(&[&gateway.url], node.path());
        let (mut subscriber, _applied) = subscriber(settings, credentials(signer, id), reported);
        let Ended::Before(error) = subscriber.attempt(&gateway.url, 0).await else { panic!("{id} got peers") };
        assert_eq!(error, format!("the gateway said PermissionDenied: {expected}"));
        assert!(gateway.agents.list().is_empty());
    }
}

/// A worker that does not check its own settings, and the other end of its reports.
fn subscriber(
    settings: SubscriptionSettings,
    credentials: Credentials,
    node: &str,
) -> (Subscriber, watch::Sender<Applied>) {
    let (applied_in, applied) = watch::channel(Applied::default());
    let subscriber = Subscriber {
        store: Arc::new(FileStore::open(settings.state.join(FILE_NAME)).unwrap()),
        peers: watch::Sender::new(None),
        applied,
        shown: Arc::new(Shown {
            status: Mutex::default(),
            metrics: SubscriptionMetrics::new(&settings.registry).unwrap(),
        }),
        settings: SubscriptionSettings { credentials, node: node.to_owned(), ..settings },
    };
    (subscriber, applied_in)
}

#[tokio::test]
async fn the_same_node_subscribing_again_takes_the_place_of_the_older() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let gateway = Gateway::start(folders[0].path()).await;
    let first = AgentSubscription::start(settings(&[&gateway.url], folders[1].path())).unwrap();
    wait_for(&first, 0).await;
    let (mut older, _applied) = subscriber(settings(&[&gateway.url], folders[2].path()), credentials(A, AGENT), "n1");
    let url = gateway.url.clone();
    let second = tokio::spawn(async move { older.attempt(&url, 0).await });
    // The first comes back, and so ends the second; the book never has two lines for one node.
    let Ok(Ended::AfterFirst(why)) = tokio::time::timeout(PATIENCE, second).await.unwrap() else {
        panic!("the second subscription never worked")
    };
    assert_eq!(why, "the gateway closed the stream");
    eventually("the node is back", || async { gateway.n1().is_some() }).await;
    assert_eq!(gateway.agents.list().len(), 1);
}

#[tokio::test]
async fn settings_that_cannot_work_are_errors_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let url: EndpointUrl = "grpc://127.0.0.1:1".parse().unwrap();
    let good = || settings(&[&url], folder.path());
    let dot = "tls://10.0.0.5:853".parse().unwrap();
    let cases = [
        (
            SubscriptionSettings { endpoints: vec![], ..good() },
            "no gateway endpoint is given; write at least one, grpc://host:8443",
        ),
        (
            SubscriptionSettings { endpoints: vec![dot], ..good() },
            "gateway endpoint tls://10.0.0.5:853: node-agents subscribe over gRPC; write grpc://10.0.0.5:8443",
        ),
        (
            SubscriptionSettings { node: "n2".to_owned(), ..good() },
            "the certificate is of node \"n1\", but this is node \"n2\"; set `node`, or issue a certificate for this node",
        ),
        (
            SubscriptionSettings { credentials: credentials(A, &format!("spiffe://{A}/gateway")), ..good() },
            "the certificate is of spiffe://cluster-a.example.com/gateway, and only a node-agent's may subscribe; issue one with gatewayctl pki issue node-agent",
        ),
    ];
    for (settings, expected) in cases {
        let Err(error) = AgentSubscription::start(settings) else { panic!("started; expected: {expected}") };
        assert_eq!(error.to_string(), expected);
    }
}

/// A zone whose size is that.
fn zone_of(size: usize) -> ZoneDocument {
    let zone = ZoneDocument { name: "corp".to_owned(), apex: "corp.example.com".to_owned(), ..ZoneDocument::default() };
    let text = ";".repeat(size - zone.size());
    ZoneDocument { text, ..zone }
}

fn zones(zone: ZoneDocument) -> Arc<ZoneSet> {
    Arc::new(ZoneSet::read([zone], &ZoneSet::default()).unwrap())
}

/// tonic takes 4 MiB when it is not told otherwise.
#[tokio::test]
async fn as_many_zones_and_peers_as_may_be_reach_an_agent() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Certificates that are long, for the names in them.
    let bundle = long_bundle("cluster-b.example.com");
    let peers = (0..MAX_PEERS).map(|n| PeerRecord {
        name: format!("c{n}").parse().unwrap(),
        trust_bundle: bundle.clone(),
        ..peer("cluster-b")
    });
    let set = PeerSet::new(Generation(7), peers).unwrap().with_zones(zones(zone_of(MAX_ZONES_SIZE)));
    let len = v1::Snapshot::from(&set).encoded_len();
    assert!((5 << 20..MAX_SNAPSHOT_LEN).contains(&len), "{len} octets");
    let (told, snapshots) = watch::channel(Arc::new(set));
    let gateway = Gateway::start_with(home.path(), Some(snapshots)).await;
    let subscription = AgentSubscription::start(settings(&[&gateway.url], node.path())).unwrap();
    assert_eq!(wait_for(&subscription, 7).await, *told.borrow());

    // More is told of, and leaves what was there.
    let more = PeerSet::clone(&told.borrow()).at(Generation(8)).with_zones(zones(zone_of(MAX_SNAPSHOT_LEN)));
    told.send_replace(Arc::new(more));
    let is_told = || async { subscription.status().last_error.contains("OutOfRange") };
    eventually("the size to be told", is_told).await;
    assert_eq!(subscription.subscribe().borrow().as_ref().unwrap().generation(), Generation(7));
}

#[tokio::test]
async fn zones_reach_an_agent_with_its_peers_and_are_kept_on_disk() {
    let (home, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let set = PeerSet::new(Generation(7), [peer("cluster-b")]).unwrap().with_zones(zones(zone_of(100)));
    let (_told, snapshots) = watch::channel(Arc::new(set.clone()));
    let gateway = Gateway::start_with(home.path(), Some(snapshots)).await;
    let settings = settings(&[&gateway.url], node.path());
    let registry = settings.registry.clone();
    let subscription = AgentSubscription::start(settings).unwrap();
    let received = wait_for(&subscription, 7).await;
    assert_eq!(*received, set);
    subscription.applied(&received, Ok(()));
    assert_eq!(gauge(&registry, "strait_shared_zone_records"), 1.0);
    subscription.applied(&received.with_zones(Arc::default()), Ok(()));
    assert!(registry.gather().iter().all(|family| family.name() != "strait_shared_zone_records"), "it is gone");
    let file = FileStore::open(node.path().join("copy")).unwrap();
    let kept = || std::fs::copy(node.path().join("agent-peers.json"), file.path()).is_ok();
    eventually("the copy on disk", || async { kept() && file.read().ok().flatten().as_ref() == Some(&set) }).await;
}
