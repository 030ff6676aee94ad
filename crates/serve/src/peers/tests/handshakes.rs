//! Who gets in, who does not, and what is told of it.

use std::net::IpAddr;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Asks with this configuration, which the server must refuse for `reason`. In TLS 1.3 the client may
/// believe for a moment that it is connected; what counts is that no answer comes.
async fn is_rejected(served: &Served, config: Arc<ClientConfig>, reason: &str) {
    if let Ok(mut tls) = served.connect(config).await {
        let _ = tls.write_all(&frames([&message(NOW, 1)])).await;
        assert!(soon(read_frame(&mut tls)).await.is_none());
    }
    assert!(served.script.origins.lock().unwrap().is_empty(), "the question must not reach the resolver");
    eventually(|| served.metrics.handshake_failure_count(reason) >= 1).await;
    eventually(|| served.has_told(&format!("rejected {reason}"))).await;
    assert!(!served.told.lines().iter().any(|line| line.starts_with("opened")));
}

/// A client of the web's kind: it checks the server's name and has no certificate.
fn anonymous(served: &Served, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(served.home.certificate_pem().as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn no_certificate() {
    let served = start(Alpn::Dot, patient()).await;
    let config = Arc::new(anonymous(&served, &[&rustls::version::TLS13]));
    is_rejected(&served, config, "no_certificate").await;
}

#[tokio::test]
async fn a_strangers_ca() {
    let served = start(Alpn::Dot, patient()).await;
    let stranger = authority("stranger.example.net");
    is_rejected(&served, served.client(&gateway(&stranger), Alpn::Dot), "unknown_trust_domain").await;
}

#[tokio::test]
async fn an_expired_certificate() {
    let served = start(Alpn::Dot, patient()).await;
    let short = credentials(&served.peer, "spiffe://cluster-a.example.com/gateway", Duration::from_secs(1));
    let config = served.client(&short, Alpn::Dot);
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    eventually(|| now() > u64::try_from(short.not_after()).unwrap()).await;
    is_rejected(&served, config, "expired").await;
}

#[tokio::test]
async fn another_ca_of_the_peers_name() {
    let served = start(Alpn::Dot, patient()).await;
    let impostor = authority(PEER);
    is_rejected(&served, served.client(&gateway(&impostor), Alpn::H2), "unknown_ca").await;
}

#[tokio::test]
async fn tls_1_2() {
    let served = start(Alpn::Dot, patient()).await;
    let config = Arc::new(anonymous(&served, &[&rustls::version::TLS12]));
    is_rejected(&served, config, "tls_version").await;
}

#[tokio::test]
async fn another_protocol() {
    let served = start(Alpn::Dot, patient()).await;
    let mut config = ClientConfig::clone(&served.peer_client(Alpn::Dot));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    is_rejected(&served, Arc::new(config), "no_common_protocol").await;
}

#[tokio::test]
async fn without_alpn_a_connection_is_what_the_port_is_for() {
    let served = start(Alpn::Dot, patient()).await;
    let mut config = ClientConfig::clone(&served.peer_client(Alpn::Dot));
    config.alpn_protocols.clear();
    let mut tls = served.connect(Arc::new(config)).await.unwrap();
    tls.write_all(&frames([&message(NOW, 1)])).await.unwrap();
    assert_eq!(number(&soon(read_frame(&mut tls)).await.unwrap()), 1);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_handshake_is_cut_off() {
    let limits = StreamLimits { handshake_timeout: Duration::from_millis(200), ..patient() };
    let served = start(Alpn::Dot, limits).await;
    // Silence, and the first octet of a handshake.
    for start in [&b""[..], b"\x16"] {
        let mut tcp = TcpStream::connect(served.address).await.unwrap();
        tcp.write_all(start).await.unwrap();
        assert!(matches!(soon(tcp.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    }
    assert_eq!(served.metrics.handshake_failure_count("timeout"), 2);
    assert!(served.told.lines().is_empty(), "nothing to blame a peer for");
}

#[tokio::test]
async fn plain_dns_on_the_tls_port_is_no_handshake() {
    let served = start(Alpn::Dot, patient()).await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    tcp.write_all(&frames([&message(NOW, 1)])).await.unwrap();
    let mut got = Vec::new();
    let _ = soon(tcp.read_to_end(&mut got)).await;
    assert!(got.len() < 12, "at most a TLS alert");
    eventually(|| served.metrics.handshake_failure_count("tls") == 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_believe_us_is_counted_as_such() {
    let served = start(Alpn::Dot, patient()).await;
    let trust = Arc::new(TrustStore::new([bundle_of(HOME)]));
    let expected = PeerExpectation { trust_domain: HOME.parse().unwrap(), role: Role::Gateway };
    let config = client_config(&gateway(&served.peer), trust, expected, Alpn::Dot);
    assert!(served.connect(config).await.is_err());
    eventually(|| served.metrics.handshake_failure_count("refused_by_client") == 1).await;
}

#[tokio::test]
async fn handshakes_of_strangers_do_not_take_the_places_of_peers() {
    let served = start(Alpn::Dot, StreamLimits { max_connections: 4, ..patient() }).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    let mut tls = soon(served.connect(served.peer_client(Alpn::Dot))).await.unwrap();
    tls.write_all(&frames([&message(NOW, 1)])).await.unwrap();
    assert_eq!(number(&soon(read_frame(&mut tls)).await.unwrap()), 1);
}

#[tokio::test]
async fn handshakes_over_the_limit_are_closed_and_counted() {
    let served = start(Alpn::Dot, patient()).await;
    let mut silent = Vec::new();
    // A quarter of the handshakes is one address's share.
    for _ in 0..=patient().max_handshakes / 4 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    eventually(|| served.metrics.refused_count(Transport::Dot, Refused::Handshakes) == 1).await;
}

/// Keeps a half-open connection from this address, and makes another when the server gives it up.
async fn keep_half_open(from: IpAddr, to: SocketAddr) {
    loop {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let Ok(mut tcp) = socket.connect(to).await else { continue };
        if tcp.write_all(b"\x16").await.is_ok() {
            // Nothing is said to half a handshake: this ends when the server ends it.
            let _ = tcp.read(&mut [0; 8]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_gets_through_while_strangers_refill_every_place() {
    let served = start(Alpn::Dot, patient()).await;
    let mut strangers = tokio::task::JoinSet::new();
    for n in 1..=5 {
        for _ in 0..125 {
            strangers.spawn(keep_half_open([127, 0, 1, n].into(), served.address));
        }
    }
    let refused = || served.metrics.refused_count(Transport::Dot, Refused::Handshakes);
    eventually(|| refused() > 100).await;
    for n in 0..20 {
        let before = refused();
        let mut tls = soon(served.connect(served.peer_client(Alpn::Dot))).await.unwrap();
        tls.write_all(&frames([&message(NOW, n)])).await.unwrap();
        assert_eq!(number(&soon(read_frame(&mut tls)).await.unwrap()), n);
        // The strangers have not stopped.
        eventually(|| refused() > before).await;
    }
    strangers.shutdown().await;
}
