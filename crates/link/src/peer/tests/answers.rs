//! What of a peer's answers is believed and passed on, and what bounds questions.

use super::*;

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
async fn of_addresses_a_peer_tells_names_under_its_suffix_only() {
    let inside = format!("web.shop.svc.{SUFFIX}");
    let alias = || vec![(RecordType::CNAME, "x.attacker.example".to_owned())];
    let pointer = |to: &str| (RecordType::PTR, to.to_owned());
    // What the peer says of an address, and how many of these names are believed; none: there is no answer.
    let cases = [
        (vec![pointer(&inside)], Some(1)),
        (vec![pointer(&inside), pointer("www.bank.example")], Some(1)),
        (vec![pointer("www.bank.example")], None),
        // An alias would have somebody else asked in its place.
        (alias(), None),
        (vec![], Some(0)),
    ];
    for (said, believed) in cases {
        let pair = Pair::new();
        let script = script_with({
            let said = said.clone();
            move |query| {
                let mut message = failure(query, Rcode::NOERROR);
                let owner = message.questions[0].name.clone();
                message.answers = said
                    .iter()
                    .map(|(rtype, to)| Record {
                        name: owner.clone(),
                        rtype: *rtype,
                        class: Class::IN,
                        ttl: 5,
                        rdata: Rdata::name(&to.parse().unwrap()),
                    })
                    .collect();
                (!is_probe(query)).then(|| (Duration::ZERO, wire(&message)))
            }
        });
        let gateway = pair.dot(LOCAL, script).await;
        let (peer, registry) = pair.peer(&[tls(gateway.address)]);
        let address = ask("1.0.96.10.in-addr.arpa");
        let ask = Ask { question: Question { rtype: RecordType::PTR, ..address.question.clone() }, ..address };
        let told = peer.answer(&ask).await;
        let told = told.ok().map(|answer| answer.to_message().unwrap().answers.len());
        assert_eq!(told, believed, "{said:?}");
        let dropped = count(&registry, "strait_peer_endpoint_dropped_records_total");
        assert_eq!(dropped, u64::from(told == Some(1) && said.len() == 2), "{said:?}");
    }
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
