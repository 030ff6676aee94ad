//! TCP and DNS over TLS.

use super::*;

/// RFC 1035 4.2.1, RFC 7766 5: a truncated answer is fetched over TCP, and the connection is used again.
#[tokio::test]
async fn rfc7766_5_truncation_leads_to_tcp() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    serve_tcp(tcp, |query| Some((NOW, wire(&answer(query, GOOD)))));
    let (group, registry) = start(settings(&[address]));
    for _ in 0..3 {
        assert_eq!(address_in(&group.answer(&ask("big.example.com")).await.unwrap()), GOOD);
    }
    assert_eq!(count(&registry, "strait_upstream_tcp_retries_total", &[]), 3);
    assert_eq!(count(&registry, "strait_upstream_reconnects_total", &[]), 0);
}

/// RFC 7766 6.2.4: a server may close a connection at any time; the question is asked again on a new one.
#[tokio::test]
async fn rfc7766_6_2_4_a_closed_connection_is_made_again() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    tokio::spawn(async move {
        // Each connection is worth one answer.
        while let Ok((mut stream, _)) = tcp.accept().await {
            tokio::spawn(async move {
                let len = stream.read_u16().await.unwrap();
                let mut query = vec![0; usize::from(len)];
                stream.read_exact(&mut query).await.unwrap();
                let reply = wire(&answer(&query, GOOD));
                stream.write_u16(reply.len() as u16).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            });
        }
    });
    let (group, registry) = start(settings(&[address]));
    for _ in 0..5 {
        assert_eq!(address_in(&group.answer(&ask("big.example.com")).await.unwrap()), GOOD);
    }
    assert_eq!(count(&registry, "strait_upstream_reconnects_total", &[]), 4);
}

/// A connection that died without saying so does not swallow question after question.
#[tokio::test]
async fn a_silent_connection_is_made_again() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    tokio::spawn(async move {
        let _silent = tcp.accept().await.unwrap();
        serve_tcp(tcp, |query| Some((NOW, wire(&answer(query, GOOD))))).await
    });
    let mut settings = settings(&[address]);
    settings.max_try_budget = Duration::from_millis(200);
    let (group, _) = start(settings);
    assert_eq!(address_in(&group.answer(&ask("big.example.com")).await.unwrap()), GOOD);
}

/// TC has no meaning on a stream; such an answer is not whole, and not taken.
#[tokio::test]
async fn a_truncated_answer_over_tcp_is_no_answer() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    serve_tcp(tcp, |query| Some((NOW, truncated(query))));
    let (group, _) = start(settings(&[address]));
    let error = group.answer(&ask("big.example.com")).await.unwrap_err();
    assert!(matches!(error, SourceError::BadAnswer(_)));
    assert_eq!(
        error.to_string(),
        format!("no upstream gave a usable answer: {address} truncated although not over UDP")
    );
}

/// RFC 8310 5: strict; the name in the certificate decides, and nothing is asked in the clear.
#[tokio::test]
async fn rfc8310_5_dns_over_tls_is_strict() {
    let issued = rcgen::generate_simple_self_signed(vec!["dns.example.net".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![issued.cert.der().clone()],
            rustls_pki_types::PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let padded = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&padded);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                crate::testing::serve_stream(stream, move |query| {
                    counter.fetch_add(usize::from(query.len() % 128 == 0), Ordering::Relaxed);
                    Some((NOW, wire(&answer(query, GOOD))))
                })
                .await;
            });
        }
    });
    let with_name = |name: &str| {
        let mut settings = settings(&[]);
        settings.servers = UpstreamServers::List(vec![UpstreamServer::Tls { address, server_name: name.to_owned() }]);
        settings.ca = Some(issued.cert.pem());
        start(settings)
    };
    let (group, registry) = with_name("dns.example.net");
    for _ in 0..3 {
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    }
    assert_eq!(padded.load(Ordering::Relaxed), 3);
    assert_eq!(count(&registry, "strait_upstream_reconnects_total", &[]), 0);
    let (group, _) = with_name("other.example.net");
    let error = group.answer(&ask("www.example.com")).await.unwrap_err().to_string();
    let cause = "TLS handshake failed: its certificate is for dns.example.net, not for other.example.net";
    assert_eq!(error, format!("no upstream answered: tls://{address}#other.example.net {cause}"));
    // Without `ca` only public roots are believed.
    let mut settings = settings(&[]);
    let server_name = "dns.example.net".to_owned();
    settings.servers = UpstreamServers::List(vec![UpstreamServer::Tls { address, server_name }]);
    let error = start(settings).0.answer(&ask("www.example.com")).await.unwrap_err().to_string();
    assert!(error.ends_with("is signed by no CA of `ca` (default: public roots)"), "{error}");
    assert_eq!(padded.load(Ordering::Relaxed), 3);
}
