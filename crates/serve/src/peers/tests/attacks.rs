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
