//! Who is asked when a server does not answer.

use super::*;

#[tokio::test]
async fn the_next_server_answers_for_a_dead_one() {
    let good = udp_server(|query, _| vec![(NOW, wire(&answer(query, GOOD)))]).await;
    for dead in [nowhere().await, silent().await] {
        let mut settings = settings(&[dead, good]);
        // Long enough that the good one is never late, on whatever machine.
        (settings.min_try_budget, settings.max_try_budget) = (Duration::from_millis(500), Duration::from_millis(500));
        let (group, registry) = start(settings);
        for _ in 0..10 {
            assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
        }
        // No longer asked first after its first failure; found dead by probes, which do not count.
        let asked = || count(&registry, "strait_upstream_requests_total", &[&dead.to_string()]);
        assert!((1..=u64::from(FALL_SEEN)).contains(&asked()), "{} times", asked());
        assert_eq!(count(&registry, "strait_upstream_requests_total", &[&good.to_string()]), 10);
        eventually("it is dead", || async { group.list.current()[0].is_dead() }).await;
        assert!(asked() <= u64::from(FALL_SEEN));
    }
}

/// Those that wait to be sent when the first of them is refused go elsewhere as well.
#[tokio::test]
async fn the_next_server_answers_a_burst_for_a_dead_one() {
    let good = udp_server(|query, _| vec![(NOW, wire(&answer(query, GOOD)))]).await;
    let (group, _) = start(settings(&[nowhere().await, good]));
    let ask = ask("www.example.com");
    let answers = futures_util::future::join_all((0..100).map(|_| group.answer(&ask))).await;
    assert!(answers.iter().all(|answer| address_in(answer.as_ref().unwrap()) == GOOD));
}

#[tokio::test]
async fn a_server_that_answers_again_is_asked_first_again() {
    let first = nowhere().await;
    let second = udp_server(|query, _| vec![(NOW, wire(&answer(query, [192, 0, 2, 2])))]).await;
    let (group, _) = start(settings(&[first, second]));
    // More than once: the first question may be the one that explores, and find the second server.
    eventually("the first server is dead", || async {
        group.answer(&ask("www.example.com")).await.unwrap();
        group.list.current()[0].is_dead()
    })
    .await;
    // Any well-formed answer revives, SERVFAIL to the probe as well.
    serve_udp(UdpSocket::bind(first).await.unwrap(), |query, _| {
        let probe = Message::parse(query).unwrap().questions[0].rtype == RecordType::NS;
        vec![(NOW, wire(&if probe { failure(query, Rcode::SERVFAIL) } else { answer(query, GOOD) }))]
    });
    eventually("the first server is believed again", || async { !group.list.current()[0].is_dead() }).await;
    // Nothing is known of how fast it is: it is asked, unless it is the turn of another to be explored.
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(address_in(&group.answer(&ask("www.example.com")).await.unwrap()));
    }
    assert!(answers.contains(&GOOD), "{answers:?}");
}

#[tokio::test]
async fn with_everyone_dead_the_error_says_who_and_why() {
    let (refusing, silent) = (nowhere().await, silent().await);
    let mut settings = settings(&[refusing, silent]);
    settings.max_try_budget = Duration::from_millis(50);
    settings.deadline = Duration::from_millis(400);
    let (group, _) = start(settings);
    for _ in 0..5 {
        let error = group.answer(&ask("www.example.com")).await.unwrap_err();
        assert!(matches!(error, SourceError::Unreachable(_)));
        let text = error.to_string();
        let causes = text.strip_prefix("no upstream answered: ").unwrap();
        let mut causes: Vec<&str> = causes.split("; ").collect();
        causes.sort_by_key(|cause| cause.ends_with("timed out"));
        assert_eq!(causes, [format!("{refusing} connection refused"), format!("{silent} timed out")]);
    }
    // Known dead: one try each.
    let servers = group.list.current();
    assert_eq!(choice::plan(&servers, choice::first(&servers).unwrap().server).len(), 1);
}

#[tokio::test]
async fn a_server_is_tried_three_times_at_most() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let address = udp_server(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    })
    .await;
    let mut settings = settings(&[address]);
    settings.max_try_budget = Duration::from_millis(20);
    settings.deadline = Duration::from_millis(300);
    let (group, _) = start(settings);
    assert!(group.answer(&ask("www.example.com")).await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), choice::TRIES_PER_SERVER);
}

/// A question whose own time ran out says nothing about the server.
#[tokio::test]
async fn a_try_cut_short_is_not_held_against_the_server() {
    let mut settings = settings(&[silent().await]);
    settings.deadline = Duration::from_millis(20);
    let (group, _) = start(settings);
    for _ in 0..=FALL_SEEN {
        assert!(group.answer(&ask("www.example.com")).await.is_err());
    }
    assert!(!group.list.current()[0].is_dead());
}
