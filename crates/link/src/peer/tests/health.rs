//! What is thought of endpoints, and of the peer.

use super::*;

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
