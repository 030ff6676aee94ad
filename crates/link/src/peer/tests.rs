use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prometheus::Registry;
use strait_wire::{ClusterPath, Ede, Edns, EdnsOption, MAX_CLUSTERS_PASSED, Message, Rcode, option};
use tokio::net::TcpListener;

use super::*;
use crate::testing::cluster::{
    Cluster, Gateway, Script, gateway_answer, gateway_script, is_probe, stream_service, unary_service,
};
use crate::testing::{CUT, a_record, address_in, ask, eventually, failure, wire};

const SUFFIX: &str = "cluster-b.example.com";
const NAME: &str = "web.shop.svc.cluster-b.example.com";
const ONE: [u8; 4] = [192, 0, 2, 1];
const TWO: [u8; 4] = [192, 0, 2, 2];
const LOCAL: &str = "127.0.0.1:0";

/// Our cluster, theirs, and what is needed to be their peer.
struct Pair {
    ours: Cluster,
    theirs: Cluster,
}

impl Pair {
    fn new() -> Self {
        Self { ours: Cluster::new("cluster-a.example.com"), theirs: Cluster::new(SUFFIX) }
    }

    async fn dot(&self, at: &str, script: Script) -> Gateway {
        Gateway::dot(at.parse().unwrap(), self.theirs.acceptor(Role::Gateway, &self.ours), script).await
    }

    fn settings(&self, endpoints: &[String]) -> PeerSettings {
        PeerSettings {
            name: "cluster-b".to_owned(),
            suffix: SUFFIX.parse().unwrap(),
            endpoints: endpoints.iter().map(|url| url.parse().unwrap()).collect(),
            trust_bundle: self.theirs.bundle(),
            own_cluster: "cluster-a.example.com".parse().unwrap(),
            health: HealthSettings::default(),
            try_budget: Duration::from_millis(150),
            deadline: Duration::from_secs(2),
            max_outstanding: 10_000,
        }
    }

    fn start(&self, settings: PeerSettings) -> (Arc<Peer>, Registry) {
        let registry = Registry::new();
        let metrics = Arc::new(LinkMetrics::new(&registry).unwrap());
        let credentials = self.ours.credentials(Role::NodeAgent("worker-1".into()));
        (Peer::start(settings, credentials, metrics), registry)
    }

    fn peer(&self, endpoints: &[String]) -> (Arc<Peer>, Registry) {
        self.start(self.settings(endpoints))
    }
}

fn tls(address: SocketAddr) -> String {
    format!("tls://{address}")
}

fn grpc(address: SocketAddr) -> String {
    format!("grpc://{address}")
}

async fn wait_for(peer: &Peer, state: State) {
    eventually(&format!("the peer is {state}"), || async { peer.status().state == state }).await;
}

/// The last error of the only endpoint, once there is one.
async fn last_error(peer: &Peer) -> String {
    eventually("there is an error", || async { peer.status().endpoints[0].last_error.is_some() }).await;
    peer.status().endpoints[0].last_error.clone().unwrap().0
}

fn count(registry: &Registry, name: &str) -> u64 {
    let families = registry.gather();
    let series = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
    series.map(|metric| metric.get_counter().get_value() as u64).sum()
}

/// An address where nothing listens.
async fn nowhere() -> SocketAddr {
    TcpListener::bind(LOCAL).await.unwrap().local_addr().unwrap()
}

/// What a gateway of the suffix says, but for what `special` says first.
fn script_with(special: impl Fn(&[u8]) -> Option<(Duration, Vec<u8>)> + Send + Sync + 'static) -> Script {
    Arc::new(move |query| {
        let usual = || (Duration::ZERO, wire(&gateway_answer(query, &SUFFIX.parse().unwrap(), ONE)));
        Some(special(query).unwrap_or_else(usual))
    })
}

fn failure_with(query: &[u8], rcode: Rcode, ede: Ede) -> Vec<u8> {
    let mut message = failure(query, rcode);
    let data = [&ede.code.to_be_bytes(), ede.text.as_bytes()].concat();
    message.edns = Some(Edns { options: vec![EdnsOption { code: option::EDE, data }], ..Edns::default() });
    wire(&message)
}

#[tokio::test]
async fn a_peer_answers_over_dns_over_tls() {
    let pair = Pair::new();
    let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let log = Arc::clone(&seen);
    let script = script_with(move |query| {
        log.lock().unwrap().push(query.to_vec());
        None
    });
    let gateway = pair.dot(LOCAL, script).await;
    let (peer, registry) = pair.peer(&[tls(gateway.address)]);
    let passed = ClusterPath::default().passing("cluster-c.example.com").unwrap();
    let asked = Ask { path: passed, ..ask(NAME) };
    // Asked before the link stands: waits for it.
    assert_eq!(address_in(&peer.answer(&asked).await.unwrap()), ONE);
    wait_for(&peer, State::Up).await;
    let status = peer.status();
    assert!(status.endpoints[0].latency.is_some());
    assert_eq!(status.endpoints[0].last_error, None);
    assert_eq!(count(&registry, "strait_peer_endpoint_requests_total"), 1);
    let seen = seen.lock().unwrap();
    let question = seen.iter().find(|query| !is_probe(query)).unwrap();
    // RFC 8467 4.1: padded inside TLS.
    assert_eq!(question.len() % 128, 0);
    let path = Message::parse(question).unwrap().edns.unwrap().option(option::CLUSTER_PATH).unwrap().to_vec();
    assert_eq!(path, b"cluster-c.example.com,cluster-a.example.com");
}

#[tokio::test]
async fn a_peer_answers_over_grpc() {
    let pair = Pair::new();
    // The stream of `strait.v1`, and a server that knows only CoreDNS's call.
    for routes in [stream_service(gateway_script(SUFFIX, ONE)), unary_service(gateway_script(SUFFIX, ONE))] {
        let acceptor = pair.theirs.acceptor(Role::Gateway, &pair.ours);
        let gateway = Gateway::grpc(LOCAL.parse().unwrap(), acceptor, routes).await;
        let (peer, _) = pair.peer(&[grpc(gateway.address)]);
        wait_for(&peer, State::Up).await;
        let asking: Vec<_> = (0..500)
            .map(|i| {
                let peer = Arc::clone(&peer);
                tokio::spawn(async move { peer.answer(&ask(&format!("n{i}.{SUFFIX}"))).await })
            })
            .collect();
        for task in asking {
            assert_eq!(address_in(&task.await.unwrap().unwrap()), ONE);
        }
        // The loss is noticed without a question, and so is the return.
        let address = gateway.kill().await;
        wait_for(&peer, State::Down).await;
        let acceptor = pair.theirs.acceptor(Role::Gateway, &pair.ours);
        let _again = Gateway::grpc(address, acceptor, unary_service(gateway_script(SUFFIX, TWO))).await;
        wait_for(&peer, State::Up).await;
        assert_eq!(address_in(&peer.answer(&ask(NAME)).await.unwrap()), TWO);
    }
}

#[tokio::test]
async fn an_endpoint_may_be_a_host_name() {
    let pair = Pair::new();
    let gateway = pair.dot(LOCAL, gateway_script(SUFFIX, ONE)).await;
    let (peer, _) = pair.peer(&[format!("tls://localhost:{}", gateway.address.port())]);
    assert_eq!(address_in(&peer.answer(&ask(NAME)).await.unwrap()), ONE);
}

/// Killing one of two gateways under a steady stream of questions loses none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_one_of_two_gateways_loses_nothing() {
    let pair = Pair::new();
    // Answers take a moment, so that questions are in flight when the gateway dies.
    let slowly = || {
        script_with(|query| {
            (!is_probe(query)).then(|| {
                let answer = gateway_answer(query, &SUFFIX.parse().unwrap(), ONE);
                (Duration::from_millis(20), wire(&answer))
            })
        })
    };
    let (one, two) = (pair.dot(LOCAL, slowly()).await, pair.dot(LOCAL, slowly()).await);
    let (peer, registry) = pair.peer(&[tls(one.address), tls(two.address)]);
    wait_for(&peer, State::Up).await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let (peer, stop, answered) = (Arc::clone(&peer), Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    peer.answer(&ask(NAME)).await.unwrap();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let more = |answers: usize| {
        let (answered, until) = (Arc::clone(&answered), answered.load(Ordering::Relaxed) + answers);
        move || {
            let answered = Arc::clone(&answered);
            async move { answered.load(Ordering::Relaxed) >= until }
        }
    };
    eventually("questions are answered", more(500)).await;
    let address = one.kill().await;
    eventually("questions are answered without it", more(500)).await;
    eventually("its loss is seen", || async { peer.status().endpoints[0].state == State::Down }).await;
    assert_eq!(peer.status().state, State::Degraded);
    let _again = Gateway::dot(address, pair.theirs.acceptor(Role::Gateway, &pair.ours), slowly()).await;
    wait_for(&peer, State::Up).await;
    eventually("questions are answered with both", more(500)).await;
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.expect("no question was lost");
    }
    assert!(count(&registry, "strait_peer_endpoint_reconnects_total") >= 1);
}

/// With TLS 1.3 the refusal comes after our side of the handshake; over gRPC it must not drown in HTTP/2's words.
#[tokio::test]
async fn a_peer_that_refuses_our_certificate_is_told_so() {
    let pair = Pair::new();
    // It believes its own only.
    let acceptor = || pair.theirs.acceptor(Role::Gateway, &pair.theirs);
    let script = || gateway_script(SUFFIX, ONE);
    let dot = Gateway::dot(LOCAL.parse().unwrap(), acceptor(), script()).await;
    let http = Gateway::grpc(LOCAL.parse().unwrap(), acceptor(), stream_service(script())).await;
    for endpoint in [tls(dot.address), grpc(http.address)] {
        let (peer, _) = pair.peer(std::slice::from_ref(&endpoint));
        let refused = |text: &str| text.starts_with("it refused our certificate (TLS alert ");
        // At times the connection is gone before the alert is read.
        eventually(&format!("{endpoint} says why"), || async { refused(&last_error(&peer).await) }).await;
    }
}

#[tokio::test]
async fn a_dead_peer_is_told_of_at_once() {
    let pair = Pair::new();
    let address = nowhere().await;
    let (peer, _) = pair.peer(&[tls(address)]);
    wait_for(&peer, State::Down).await;
    for _ in 0..100 {
        let error = peer.answer(&ask(NAME)).await.unwrap_err();
        assert!(matches!(error, SourceError::Unreachable(_)));
        let text = error.to_string();
        assert!(text.starts_with(&format!("peer cluster-b: tls://{address} down for ")), "{text}");
        assert!(text.ends_with(" s: connection refused"), "{text}");
    }
    // Nothing was sent, nothing waited for.
    let (nobody, _) = pair.peer(&[]);
    assert_eq!(nobody.status().state, State::Down);
    assert_eq!(nobody.answer(&ask(NAME)).await.unwrap_err().to_string(), "peer cluster-b: it has no endpoints");
}

#[tokio::test]
async fn whoever_is_not_the_peers_gateway_gets_no_question() {
    let pair = Pair::new();
    let namesake = Cluster::new(SUFFIX);
    let other = Cluster::new("cluster-c.example.com");
    // who answers, what the status says
    let cases = [
        (
            pair.theirs.acceptor(Role::NodeAgent("n".into()), &pair.ours),
            "spiffe://cluster-b.example.com/gateway is needed",
        ),
        (namesake.acceptor(Role::Gateway, &pair.ours), "no CA in the bundle of cluster-b.example.com signed it"),
        (other.acceptor(Role::Gateway, &pair.ours), "cluster-c.example.com"),
        // It is the right one, but does not know us.
        (pair.theirs.acceptor(Role::Gateway, &other), "does it know our CA?"),
    ];
    for (acceptor, expected) in cases {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let script = script_with(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            None
        });
        let gateway = Gateway::dot(LOCAL.parse().unwrap(), acceptor, script).await;
        let (peer, _) = pair.peer(&[tls(gateway.address)]);
        wait_for(&peer, State::Down).await;
        let error = last_error(&peer).await;
        assert!(error.contains(expected), "{error}");
        assert!(matches!(peer.answer(&ask(NAME)).await, Err(SourceError::Unreachable(_))));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn an_endpoint_must_answer_for_the_suffix() {
    let refused = Ede::new(Ede::PROHIBITED, "cluster-a may not ask here");
    // what it says to the health question, what the status says
    let cases: [(Script, &str); 3] = [
        (
            Arc::new(move |q| Some((Duration::ZERO, failure_with(q, Rcode::REFUSED, refused.clone())))),
            "health question: answered REFUSED: cluster-a may not ask here",
        ),
        (
            Arc::new(|q| Some((Duration::ZERO, wire(&failure(q, Rcode::NOERROR))))),
            "health question: the answer has no SOA of cluster-b.example.com.",
        ),
        (
            Arc::new(|q| {
                let mut other = failure(q, Rcode::NOERROR);
                other.questions[0].name = "example.org".parse().unwrap();
                Some((Duration::ZERO, wire(&other)))
            }),
            "health question: the response is to another question",
        ),
    ];
    let pair = Pair::new();
    for (script, expected) in cases {
        let gateway = pair.dot(LOCAL, script).await;
        let (peer, _) = pair.peer(&[tls(gateway.address)]);
        wait_for(&peer, State::Down).await;
        assert_eq!(last_error(&peer).await, expected);
    }
}

#[tokio::test]
async fn a_silent_gateway_goes_down_and_comes_back() {
    let pair = Pair::new();
    let silent = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&silent);
    let usual = gateway_script(SUFFIX, ONE);
    let script: Script = Arc::new(move |query| (!switch.load(Ordering::Relaxed)).then(|| usual(query)).flatten());
    let gateway = pair.dot(LOCAL, script).await;
    let mut settings = pair.settings(&[tls(gateway.address)]);
    settings.health.interval = Duration::from_millis(50);
    settings.health.timeout = Duration::from_millis(50);
    let (peer, _) = pair.start(settings);
    wait_for(&peer, State::Up).await;
    silent.store(true, Ordering::Relaxed);
    wait_for(&peer, State::Down).await;
    assert_eq!(last_error(&peer).await, "no answer to the health question within 50ms");
    silent.store(false, Ordering::Relaxed);
    wait_for(&peer, State::Up).await;
}

#[tokio::test]
async fn a_late_question_is_asked_of_another_endpoint() {
    let pair = Pair::new();
    let late = script_with(|query| (!is_probe(query)).then(|| (Duration::from_secs(3600), Vec::new())));
    let (slow, quick) = (pair.dot(LOCAL, late).await, pair.dot(LOCAL, gateway_script(SUFFIX, TWO)).await);
    let mut settings = pair.settings(&[tls(slow.address), tls(quick.address)]);
    settings.try_budget = Duration::from_millis(20);
    let (peer, registry) = pair.start(settings);
    wait_for(&peer, State::Up).await;
    // The late one looks the cheaper by far, and is asked first, until those it failed have made it degraded.
    peer.shared.endpoints[1].late(Duration::from_secs(100), "looks slow");
    for _ in 0..5 {
        assert_eq!(peer.status().endpoints[0].state, State::Up);
        assert_eq!(address_in(&peer.answer(&ask(NAME)).await.unwrap()), TWO);
    }
    assert_eq!(peer.status().endpoints[0].state, State::Degraded);
    assert_eq!(count(&registry, "strait_peer_hedges_total"), 5);
    assert_eq!(peer.status().endpoints[0].last_error.clone().unwrap().0, "answered later than another endpoint");
}

/// A question that kills every connection does not go round for ever.
#[tokio::test]
async fn a_question_is_tried_four_times_at_most() {
    let pair = Pair::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let script = script_with(move |query| {
        (!is_probe(query)).then(|| {
            counter.fetch_add(1, Ordering::Relaxed);
            (CUT, Vec::new())
        })
    });
    let gateway = pair.dot(LOCAL, script).await;
    let mut settings = pair.settings(&[tls(gateway.address)]);
    settings.deadline = Duration::from_secs(20);
    let (peer, _) = pair.start(settings);
    wait_for(&peer, State::Up).await;
    let error = peer.answer(&ask(NAME)).await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable(_)), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_question_nobody_answers_ends_at_the_deadline() {
    let pair = Pair::new();
    let late = script_with(|query| (!is_probe(query)).then(|| (Duration::from_secs(3600), Vec::new())));
    let gateway = pair.dot(LOCAL, late).await;
    let mut settings = pair.settings(&[tls(gateway.address)]);
    settings.deadline = Duration::from_millis(200);
    let (peer, _) = pair.start(settings);
    wait_for(&peer, State::Up).await;
    let error = peer.answer(&ask(NAME)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("peer cluster-b: tls://{} no answer in time", gateway.address));
}

#[tokio::test]
async fn what_a_peer_says_against_a_question_reaches_the_client() {
    let pair = Pair::new();
    let script = script_with(|query| {
        let ede = Ede::new(Ede::PROHIBITED, "not exported");
        let rcode = match query.windows(7).any(|w| w == b"refused") {
            true => Rcode::REFUSED,
            false => Rcode::SERVFAIL,
        };
        (!is_probe(query)).then(|| (Duration::ZERO, failure_with(query, rcode, ede)))
    });
    let gateway = pair.dot(LOCAL, script).await;
    let (peer, _) = pair.peer(&[tls(gateway.address)]);
    // REFUSED is an answer, with its reason.
    let answer = peer.answer(&ask(&format!("refused.{SUFFIX}"))).await.unwrap();
    assert_eq!(answer.rcode(), Rcode::REFUSED);
    assert_eq!(answer.ede().unwrap().text, "not exported");
    // SERVFAIL is none, but its reason is kept.
    let error = peer.answer(&ask(&format!("broken.{SUFFIX}"))).await.unwrap_err();
    assert!(matches!(error, SourceError::BadAnswer(_)));
    assert_eq!(error.to_string(), format!("peer cluster-b: tls://{} answered SERVFAIL: not exported", gateway.address));
}

#[tokio::test]
async fn another_gateway_may_know_better_than_servfail() {
    let pair = Pair::new();
    let broken =
        script_with(|query| (!is_probe(query)).then(|| (Duration::ZERO, wire(&failure(query, Rcode::SERVFAIL)))));
    let (one, two) = (pair.dot(LOCAL, broken).await, pair.dot(LOCAL, gateway_script(SUFFIX, TWO)).await);
    let (peer, _) = pair.peer(&[tls(one.address), tls(two.address)]);
    wait_for(&peer, State::Up).await;
    for _ in 0..5 {
        assert_eq!(address_in(&peer.answer(&ask(NAME)).await.unwrap()), TWO);
    }
}

#[tokio::test]
async fn a_full_path_is_a_loop() {
    let pair = Pair::new();
    let (peer, _) = pair.peer(&[]);
    let mut path = ClusterPath::default();
    for i in 0..MAX_CLUSTERS_PASSED {
        path = path.passing(&format!("c{i}")).unwrap();
    }
    let error = peer.answer(&Ask { path, ..ask(NAME) }).await.unwrap_err();
    assert!(matches!(error, SourceError::Loop(_)));
    assert_eq!(
        error.to_string(),
        "the question has passed too many clusters: c0 > c1 > c2 > c3 > c4 > c5 > c6 > c7 > cluster-a.example.com"
    );
}

#[tokio::test]
async fn a_peer_fills_its_own_suffix_only() {
    let pair = Pair::new();
    let script = script_with(|query| {
        let mut message = gateway_answer(query, &SUFFIX.parse().unwrap(), ONE);
        message.answers.push(a_record("www.bank.example".parse().unwrap(), TWO));
        (!is_probe(query)).then(|| (Duration::ZERO, wire(&message)))
    });
    let gateway = pair.dot(LOCAL, script).await;
    let (peer, registry) = pair.peer(&[tls(gateway.address)]);
    let answer = peer.answer(&ask(NAME)).await.unwrap();
    assert_eq!(answer.to_message().unwrap().records().count(), 1);
    assert_eq!(count(&registry, "strait_peer_endpoint_dropped_records_total"), 1);
}

#[tokio::test]
async fn outstanding_questions_are_bounded() {
    let pair = Pair::new();
    let late = script_with(|query| (!is_probe(query)).then(|| (Duration::from_secs(3600), Vec::new())));
    let gateway = pair.dot(LOCAL, late).await;
    let mut settings = pair.settings(&[tls(gateway.address)]);
    settings.max_outstanding = 1;
    let (peer, registry) = pair.start(settings);
    let waiting = tokio::spawn({
        let peer = Arc::clone(&peer);
        async move { peer.answer(&ask(NAME)).await }
    });
    eventually("one is outstanding", || async { peer.outstanding.in_use() == 1 }).await;
    let error = peer.answer(&ask(NAME)).await.unwrap_err();
    assert_eq!(error.to_string(), "1 questions to peer cluster-b are outstanding already");
    assert_eq!(count(&registry, "strait_peer_overloaded_total"), 1);
    waiting.abort();
    eventually("its room is free again", || async { peer.outstanding.in_use() == 0 }).await;
}

#[tokio::test]
async fn dropping_a_peer_ends_its_work_and_its_series() {
    let pair = Pair::new();
    let gateway = pair.dot(LOCAL, gateway_script(SUFFIX, ONE)).await;
    let (peer, registry) = pair.peer(&[tls(gateway.address), tls(nowhere().await)]);
    wait_for(&peer, State::Degraded).await;
    peer.answer(&ask(NAME)).await.unwrap();
    let endpoints: Vec<_> = peer.shared.endpoints.iter().map(Arc::downgrade).collect();
    drop(peer);
    eventually("the supervisors are gone", || async { endpoints.iter().all(|e| e.strong_count() == 0) }).await;
    assert_eq!(registry.gather().len(), 0);
}

#[test]
fn the_state_of_a_peer_is_that_of_its_endpoints() {
    use State::{Connecting, Degraded, Down, Up};
    // endpoints, peer
    let cases: [(&[State], State); 9] = [
        (&[], Down),
        (&[Up, Up], Up),
        (&[Up, Down], Degraded),
        (&[Up, Connecting], Degraded),
        (&[Degraded], Degraded),
        (&[Degraded, Down], Degraded),
        (&[Connecting, Down], Connecting),
        (&[Connecting], Connecting),
        (&[Down, Down], Down),
    ];
    for (endpoints, expected) in cases {
        assert_eq!(state_of_all(endpoints.iter().copied()), expected, "{endpoints:?}");
    }
}
