//! Ways to a peer: DNS over TLS, gRPC, host names; and whom a question is not given.

use super::*;

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

/// A stream message carries all that is asked at a moment.
#[tokio::test]
async fn questions_of_a_moment_share_a_stream_message() {
    let pair = Pair::new();
    let sizes = Arc::<Mutex<Vec<usize>>>::default();
    let routes = stream_service_noting(gateway_script(SUFFIX, ONE), Arc::clone(&sizes));
    let acceptor = pair.theirs.acceptor(Role::Gateway, &pair.ours);
    let gateway = Gateway::grpc(LOCAL.parse().unwrap(), acceptor, routes).await;
    let mut settings = pair.settings(&[grpc(gateway.address)]);
    settings.health.interval = Duration::from_secs(3600);
    let (peer, _) = pair.start(settings);
    wait_for(&peer, State::Up).await;
    sizes.lock().unwrap().clear();
    let asking: Vec<_> = (0..100)
        .map(|i| {
            let peer = Arc::clone(&peer);
            tokio::spawn(async move { peer.answer(&ask(&format!("n{i}.{SUFFIX}"))).await.unwrap() })
        })
        .collect();
    for task in asking {
        assert_eq!(address_in(&task.await.unwrap()), ONE);
    }
    let sizes = sizes.lock().unwrap();
    assert_eq!(sizes.iter().sum::<usize>(), 100);
    // The first may go alone.
    assert!(sizes.len() <= 5, "{sizes:?}");
}

#[tokio::test]
async fn an_endpoint_may_be_a_host_name() {
    let pair = Pair::new();
    let gateway = pair.dot(LOCAL, gateway_script(SUFFIX, ONE)).await;
    let (peer, _) = pair.peer(&[format!("tls://localhost:{}", gateway.address.port())]);
    assert_eq!(address_in(&peer.answer(&ask(NAME)).await.unwrap()), ONE);
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

/// A question to a gateway of our own cluster leaves the cluster by nothing: its path stays as it is. What that gateway
/// answers is believed for each of its zones, and for no other.
#[tokio::test]
async fn a_gateway_of_our_own_cluster_answers_for_several_zones() {
    let pair = Pair::new();
    let paths = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&paths);
    let script = script_with(move |query| {
        seen.lock().unwrap().push(QueryView::parse(query).unwrap().cluster_path().unwrap().to_string());
        let mut message = gateway_answer(query, &SUFFIX.parse().unwrap(), ONE);
        message.answers.push(a_record("www.bank.example".parse().unwrap(), TWO));
        (!is_probe(query)).then(|| (Duration::ZERO, wire(&message)))
    });
    let gateway = pair.dot(LOCAL, script).await;
    let also = vec!["96.10.in-addr.arpa".parse().unwrap(), "97.10.in-addr.arpa".parse().unwrap()];
    let settings = PeerSettings { also, own_cluster: None, ..pair.settings(&[tls(gateway.address)]) };
    let (peer, _) = pair.start(settings);
    wait_for(&peer, State::Up).await;
    let other = ClusterPath::default().passing("cluster-d.example.com").unwrap();
    for (name, path) in [
        (NAME, ClusterPath::default()),
        ("1.0.96.10.in-addr.arpa", other.clone()),
        ("1.0.97.10.in-addr.arpa", ClusterPath::default()),
    ] {
        let answer = peer.answer(&Ask { path, ..ask(name) }).await.unwrap();
        assert_eq!(answer.to_message().unwrap().records().count(), 1, "{name}");
    }
    // The zone of a question bounds its answer.
    let error = peer.answer(&ask("1.0.98.10.in-addr.arpa")).await;
    assert!(error.is_err() || error.unwrap().to_message().unwrap().records().count() == 0);
    let mut paths = paths.lock().unwrap().clone();
    paths.sort();
    paths.dedup();
    assert_eq!(paths, [String::new(), other.to_string()]);
}
