//! What a verified but hostile peer can do with HTTP/2.

use h2::{Reason, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn call() -> http::Request<()> {
    http::Request::post("http://gateway.test/coredns.dns.DnsService/Query")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

/// Another peer is served as if nothing were.
async fn still_serves(served: &Served) {
    let mut tls = soon(served.connect(served.peer_client(Alpn::Dot))).await.unwrap();
    tls.write_all(&frames([&message(NOW, 1)])).await.unwrap();
    assert_eq!(number(&soon(read_frame(&mut tls)).await.unwrap()), 1);
}

#[tokio::test]
async fn rapid_reset_cve_2023_44487_ends_the_connection_and_nothing_else() {
    let served = start(Alpn::H2, patient()).await;
    let tls = served.connect(served.peer_client(Alpn::H2)).await.unwrap();
    let (mut requests, connection) = soon(client::handshake(tls)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sent = 0;
    while sent < 100_000 && !connection.is_finished() {
        // A frame with the request, and one that takes it back.
        for _ in 0..50 {
            let Ok((_, mut stream)) = requests.send_request(call(), false) else { break };
            stream.send_reset(Reason::CANCEL);
            sent += 1;
        }
        let Ok(ready) = soon(requests.ready()).await else { break };
        requests = ready;
        tokio::task::yield_now().await;
    }
    // Whether the client still gets to read ENHANCE_YOUR_CALM depends on what it is sending.
    soon(connection).await.unwrap().expect_err("the server must end the connection");
    assert!(sent < 100_000);
    eventually(|| served.open(Transport::Grpc) == 0).await;
    still_serves(&served).await;
}

#[tokio::test]
async fn streams_of_a_connection_are_bounded() {
    let served = start(Alpn::H2, StreamLimits { max_in_flight: 7, ..patient() }).await;
    let tls = served.connect(served.peer_client(Alpn::H2)).await.unwrap();
    let (requests, connection) = soon(client::handshake(tls)).await.unwrap();
    tokio::spawn(connection);
    // SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 6.5.2), which HTTP/2 stacks enforce at both ends.
    eventually(|| requests.current_max_send_streams() == 7).await;
}

#[tokio::test]
async fn a_header_list_over_the_bound_is_refused() {
    let served = start(Alpn::H2, patient()).await;
    let tls = served.connect(served.peer_client(Alpn::H2)).await.unwrap();
    let (mut requests, connection) = soon(client::handshake(tls)).await.unwrap();
    tokio::spawn(connection);
    let mut large = call();
    for n in 0..10 {
        let name = http::HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap();
        large.headers_mut().insert(name, "v".repeat(1000).parse().unwrap());
    }
    let (response, _) = requests.send_request(large, true).unwrap();
    match soon(response).await {
        Ok(response) => assert_eq!(response.status(), http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(error) => assert!(error.is_reset() || error.is_go_away() || error.is_io(), "{error}"),
    }
    assert!(served.script.origins.lock().unwrap().is_empty());
    still_serves(&served).await;
}

#[tokio::test]
async fn what_is_not_http2_ends_the_connection() {
    let served = start(Alpn::H2, patient()).await;
    let mut tls = served.connect(served.peer_client(Alpn::H2)).await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = soon(tls.read_to_end(&mut got)).await;
    eventually(|| served.open(Transport::Grpc) == 0).await;
    still_serves(&served).await;
}

/// A unary call for an answer of 60,000 octets, as gRPC frames it.
fn large_question() -> bytes::Bytes {
    let question = message(LARGE, 1);
    let mut framed = vec![0, 0, 0, 0, question.len() as u8 + 2, 0x0a, question.len() as u8];
    framed.extend_from_slice(&question);
    framed.into()
}

#[tokio::test]
async fn unary_answers_that_are_not_read_cut_the_connection_off() {
    // No window at all, and one that lets a single octet of each answer through.
    for window in [0, 1] {
        let limits = StreamLimits { write_timeout: Duration::from_millis(300), ..patient() };
        let served = start(Alpn::H2, limits).await;
        let tls = served.connect(served.peer_client(Alpn::H2)).await.unwrap();
        let (requests, connection) =
            soon(client::Builder::new().initial_window_size(window).handshake::<_, bytes::Bytes>(tls)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut requests = soon(requests.ready()).await.unwrap();
        let (response, mut body) = requests.send_request(call(), false).unwrap();
        body.send_data(large_question(), true).unwrap();
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), http::StatusCode::OK);
        let _ = soon(connection).await.unwrap();
        eventually(|| served.metrics.closed_count(Transport::Grpc, Closed::NotReading) == 1).await;
        still_serves(&served).await;
    }
}

#[tokio::test]
async fn unary_answers_that_wait_to_be_read_are_bounded() {
    for window in [0, 1] {
        let served = start(Alpn::H2, patient()).await;
        let tls = served.connect(served.peer_client(Alpn::H2)).await.unwrap();
        let (requests, connection) =
            soon(client::Builder::new().initial_window_size(window).handshake::<_, bytes::Bytes>(tls)).await.unwrap();
        tokio::spawn(connection);
        let mut requests = soon(requests.ready()).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..100 {
            let (response, mut body) = requests.send_request(call(), false).unwrap();
            body.send_data(large_question(), true).unwrap();
            answers.push(soon(response).await.unwrap());
        }
        // RESOURCE_EXHAUSTED (8) comes in the headers, without a body.
        let refused = answers.iter().filter(|r| r.headers().get("grpc-status").is_some_and(|s| s == "8")).count();
        assert_eq!(100 - refused, crate::grpc::MAX_UNARY_OCTETS / 60_017, "with a window of {window}");
    }
}
