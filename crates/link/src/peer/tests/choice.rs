//! Which endpoint is asked, which is asked as well, and how often.

use super::*;

/// Answers take a moment, so that questions are in flight when something happens.
fn slowly() -> Script {
    script_with(|query| {
        (!is_probe(query)).then(|| {
            let answer = gateway_answer(query, &SUFFIX.parse().unwrap(), ONE);
            (Duration::from_millis(20), wire(&answer))
        })
    })
}

/// Killing one of two gateways under a steady stream of questions loses none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_one_of_two_gateways_loses_nothing() {
    let pair = Pair::new();
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

/// Neither those under way nor those asked meanwhile notice.
#[tokio::test]
async fn a_connection_that_comes_of_age_is_replaced_without_a_lost_question() {
    let pair = Pair::new();
    for scheme in ["tls", "grpc"] {
        let gateway = match scheme {
            "tls" => pair.dot(LOCAL, slowly()).await,
            _ => {
                let acceptor = pair.theirs.acceptor(Role::Gateway, &pair.ours);
                Gateway::grpc(LOCAL.parse().unwrap(), acceptor, stream_service(gateway_script(SUFFIX, ONE))).await
            }
        };
        let mut settings = pair.settings(&[format!("{scheme}://{}", gateway.address)]);
        settings.max_age = Duration::from_millis(50);
        // No second try: a question that is lost is seen.
        settings.try_budget = Duration::from_secs(2);
        let (peer, registry) = pair.start(settings);
        wait_for(&peer, State::Up).await;
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let (peer, registry) = (Arc::clone(&peer), registry.clone());
                tokio::spawn(async move {
                    while count(&registry, "strait_peer_endpoint_reconnects_total") < 5 {
                        assert_eq!(address_in(&peer.answer(&ask(NAME)).await.unwrap()), ONE);
                    }
                })
            })
            .collect();
        for task in asking {
            task.await.expect("no question was lost");
        }
        assert_eq!(count(&registry, "strait_peer_endpoint_failures_total"), 0);
        eventually("the old connections are closed", || async { gateway.open.load(Ordering::SeqCst) <= 2 }).await;
    }
}

/// A slow answer delays nobody else's; ten thousand wait at a time.
#[tokio::test]
async fn ten_thousand_in_flight_at_one_peer_are_all_answered() {
    let pair = Pair::new();
    let script = script_with(|query| {
        (!is_probe(query)).then(|| {
            let answer = gateway_answer(query, &SUFFIX.parse().unwrap(), ONE);
            (Duration::from_millis(300), wire(&answer))
        })
    });
    let gateway = pair.dot(LOCAL, script).await;
    let mut settings = pair.settings(&[tls(gateway.address)]);
    settings.try_budget = Duration::from_secs(20);
    settings.deadline = Duration::from_secs(20);
    let (peer, registry) = pair.start(settings);
    wait_for(&peer, State::Up).await;
    let asking: Vec<_> = (0..10_000)
        .map(|i| {
            let peer = Arc::clone(&peer);
            // The answer is checked against the question.
            tokio::spawn(async move { peer.answer(&ask(&format!("n{i}.{SUFFIX}"))).await })
        })
        .collect();
    eventually("all are in flight", || async { peer.outstanding.in_use() == 10_000 }).await;
    for task in asking {
        assert_eq!(address_in(&task.await.unwrap().unwrap()), ONE);
    }
    assert_eq!(count(&registry, "strait_peer_endpoint_unmatched_answers_total"), 0);
}
