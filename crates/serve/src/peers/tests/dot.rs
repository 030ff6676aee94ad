//! DNS over TLS between clusters.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn a_peer_is_answered_and_known_by_its_identity() {
    let served = start(Alpn::Dot, patient()).await;
    let mut tls = served.connect(served.peer_client(Alpn::Dot)).await.unwrap();
    tls.write_all(&frames([&message(LATER, 1), &message(NOW, 2)])).await.unwrap();
    let mut answers = [0; 2];
    for answer in &mut answers {
        *answer = number(&soon(read_frame(&mut tls)).await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, [1, 2]);
    {
        let origins = served.script.origins.lock().unwrap();
        assert_eq!(origins[0].transport, Transport::Dot);
        assert_eq!(origins[0].keepalive, Some(600));
        let identity = origins[0].identity.as_ref().unwrap();
        assert_eq!(identity.id.to_string(), "spiffe://cluster-a.example.com/gateway");
    }
    assert_eq!(served.open(Transport::Dot), 1);
    drop(tls);
    eventually(|| served.open(Transport::Dot) == 0).await;
    eventually(|| served.told.lines().len() == 2).await;
    let who = "spiffe://cluster-a.example.com/gateway";
    assert_eq!(served.told.lines(), [format!("opened {who}"), format!("closed {who}")]);
}

#[tokio::test]
async fn removing_the_trust_cuts_a_live_connection() {
    let served = start(Alpn::Dot, patient()).await;
    let mut tls = served.connect(served.peer_client(Alpn::Dot)).await.unwrap();
    let mut own = served.connect(served.client(&gateway(&served.home), Alpn::Dot)).await.unwrap();
    tls.write_all(&frames([&message(HELD, 1)])).await.unwrap();
    eventually(|| served.script.held() == 1).await;

    served.trust.send_replace(Arc::new(TrustStore::new([bundle(&served.home)])));
    assert!(soon(read_frame(&mut tls)).await.is_none());
    eventually(|| served.metrics.closed_count(Transport::Dot, Closed::TrustRemoved) == 1).await;
    // Its questions go with it.
    eventually(|| served.script.held() == 0).await;
    // A connection of another trust domain lives on.
    own.write_all(&frames([&message(NOW, 2)])).await.unwrap();
    assert_eq!(number(&soon(read_frame(&mut own)).await.unwrap()), 2);
}

#[tokio::test]
async fn a_handshake_under_an_older_trust_comes_to_nothing() {
    // The TLS configuration still believes the peer, the trust in force does not any more.
    let served = start(Alpn::Dot, patient()).await;
    served.trust.send_replace(Arc::new(TrustStore::new([bundle(&served.home)])));
    let mut tls = served.connect(served.peer_client(Alpn::Dot)).await.unwrap();
    let _ = tls.write_all(&frames([&message(NOW, 1)])).await;
    assert!(soon(read_frame(&mut tls)).await.is_none());
    assert!(served.script.origins.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let served = start(Alpn::Dot, patient()).await;
    let short = credentials(&served.peer, "spiffe://cluster-a.example.com/gateway", Duration::from_secs(2));
    let mut tls = served.connect(served.client(&short, Alpn::Dot)).await.unwrap();
    assert!(soon(read_frame(&mut tls)).await.is_none());
    eventually(|| served.metrics.closed_count(Transport::Dot, Closed::CertificateExpired) == 1).await;
}

#[tokio::test]
async fn one_peer_gets_no_more_than_its_share_of_connections() {
    let served = start(Alpn::Dot, StreamLimits { max_connections: 4, ..patient() }).await;
    let _first = served.connect(served.peer_client(Alpn::Dot)).await.unwrap();
    eventually(|| served.open(Transport::Dot) == 1).await;
    let mut second = served.connect(served.peer_client(Alpn::Dot)).await.unwrap();
    assert!(matches!(soon(second.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    assert_eq!(served.metrics.refused_count(Transport::Dot, Refused::Client), 1);
}

#[tokio::test]
async fn draining_finishes_a_question_in_work() {
    let served = start(Alpn::Dot, patient()).await;
    let mut tls = served.connect(served.peer_client(Alpn::Dot)).await.unwrap();
    tls.write_all(&frames([&message(HELD, 1)])).await.unwrap();
    eventually(|| served.script.held() == 1).await;
    served.stop.cancel();
    served.script.release();
    assert_eq!(number(&soon(read_frame(&mut tls)).await.unwrap()), 1);
    drop(tls);
    soon(served.ended).await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "nothing is accepted any more");
}

/// As many as a node-agent lets wait for a peer hold back nobody else on its one connection.
#[tokio::test]
async fn names_that_hang_do_not_hold_back_the_others_of_a_link() {
    let served =
        start(Alpn::Dot, StreamLimits { max_in_flight: StreamLimits::of_peers().max_in_flight, ..patient() }).await;
    let mut tls = served.connect(served.peer_client(Alpn::Dot)).await.unwrap();
    let hanging: Vec<Vec<u8>> = (0..4000).map(|n| message(HELD, n)).collect();
    tls.write_all(&frames(&hanging)).await.unwrap();
    eventually(|| served.script.held() == 4000).await;
    tls.write_all(&frames([&message(LATER, 5000)])).await.unwrap();
    assert_eq!(number(&soon(read_frame(&mut tls)).await.unwrap()), 5000);
    served.script.release();
    let mut seen = vec![false; 4000];
    for _ in 0..4000 {
        seen[number(&soon(read_frame(&mut tls)).await.unwrap()) as usize] = true;
    }
    assert!(seen.into_iter().all(|seen| seen));
}
