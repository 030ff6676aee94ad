//! What a question to a peer costs on our side of a link: `cargo bench -p strait-link`.
//!
//! One thread runs a [`Peer`] and, beside it, a server that answers every frame at once, over DNS over TLS with mutual
//! TLS on loopback. The server's part is little more than its TLS; so the figures compare, and overstate a little.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use strait_identity::{
    CertificateAuthority, Credentials, LeafRequest, Role, SpiffeId, TrustBundle, TrustStore, server_config,
};
use strait_link::{HealthSettings, LinkMetrics, Peer, PeerSettings, State};
use strait_resolve::{Ask, Source};
use strait_wire::{Class, ClusterPath, Name, Question, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const SUFFIX: &str = "cluster-b.example.com";

fn main() {
    // `cargo bench` hands flags over; a number is how many questions are asked in each round.
    let questions = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(200_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let peer = start().await;
        for in_flight in [1, 10, 100, 1000] {
            let each = questions.min(in_flight * 20_000) / in_flight;
            let began = Instant::now();
            let asking: Vec<_> = (0..in_flight)
                .map(|asker| {
                    let peer = Arc::clone(&peer);
                    tokio::spawn(async move {
                        for n in 0..each {
                            let name: Name = format!("n{n}.a{asker}.svc.{SUFFIX}").parse().unwrap();
                            let question = Question { name, rtype: RecordType::A, class: Class::IN };
                            let path = ClusterPath::default();
                            let ask = Ask { question, dnssec_ok: false, checking_disabled: false, path };
                            peer.answer(&ask).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in asking {
                task.await.unwrap();
            }
            let each_took = began.elapsed() / (in_flight * each) as u32;
            println!("{in_flight:>5} in flight: {:>8.2} µs a question", each_took.as_nanos() as f64 / 1000.0);
        }
    });
}

/// A peer with its link up, and the server behind it.
async fn start() -> Arc<Peer> {
    let folder = tempfile::tempdir().unwrap();
    let authority =
        |domain: &str| CertificateAuthority::create(&domain.parse().unwrap(), Duration::from_secs(3600)).unwrap();
    let credentials = |authority: &CertificateAuthority, role: Role| {
        let id = SpiffeId { trust_domain: authority.trust_domain().clone(), role };
        let lifetime = Duration::from_secs(3600);
        let issued = authority.issue(&LeafRequest { id, dns_names: vec![], addresses: vec![], lifetime }).unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&certificate, issued.certificate_pem).unwrap();
        std::fs::write(&key, issued.key_pem).unwrap();
        Credentials::load(&certificate, &key).unwrap()
    };
    let bundle = |authority: &CertificateAuthority| TrustBundle::from_pem(authority.certificate_pem(), None).unwrap();
    let (ours, theirs) = (authority("cluster-a.example.com"), authority(SUFFIX));

    let tls = server_config(&credentials(&theirs, Role::Gateway), Arc::new(TrustStore::new([bundle(&ours)])));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(tls);
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move { serve(acceptor.accept(stream).await.unwrap()).await });
        }
    });

    let settings = PeerSettings {
        name: "cluster-b".to_owned(),
        suffix: SUFFIX.parse().unwrap(),
        endpoints: vec![format!("tls://{address}").parse().unwrap()],
        trust_bundle: bundle(&theirs),
        own_cluster: Some("cluster-a.example.com".parse().unwrap()),
        also: Vec::new(),
        health: HealthSettings::default(),
        try_budget: Duration::from_secs(60),
        max_age: Duration::from_secs(3600),
        deadline: Duration::from_secs(60),
        max_outstanding: 10_000,
    };
    let metrics = Arc::new(LinkMetrics::new(&Registry::new()).unwrap());
    let peer = Peer::start(settings, credentials(&ours, Role::NodeAgent("w1".into())), metrics);
    while peer.status().state != State::Up {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    peer
}

/// Answers all frames of each read in one write.
async fn serve(mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
    let (mut inbox, mut outbox) = (Vec::with_capacity(1 << 16), Vec::new());
    while stream.read_buf(&mut inbox).await.is_ok_and(|count| count > 0) {
        let mut rest = inbox.as_slice();
        while let Some((len, behind)) = rest.split_first_chunk::<2>() {
            let Some((query, behind)) = behind.split_at_checked(usize::from(u16::from_be_bytes(*len))) else { break };
            answer(query, &mut outbox);
            rest = behind;
        }
        let used = inbox.len() - rest.len();
        inbox.drain(..used);
        if stream.write_all(&outbox).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        outbox.clear();
    }
}

/// An address, or the SOA that a health question asks for.
fn answer(query: &[u8], out: &mut Vec<u8>) {
    let mut end = 12;
    while query[end] != 0 {
        end += 1 + usize::from(query[end]);
    }
    end += 5;
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&query[..2]);
    // QR, RD, RA; one question, one answer.
    out.extend_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    out.extend_from_slice(&query[12..end]);
    out.extend_from_slice(&[0xc0, 12, query[end - 4], query[end - 3], 0, 1, 0, 0, 0, 30]);
    match query[end - 3] {
        6 => {
            out.extend_from_slice(&[0, 22, 0, 0]);
            out.extend_from_slice(&[0; 20]);
        }
        _ => out.extend_from_slice(&[0, 4, 192, 0, 2, 1]),
    }
    let len = (out.len() - start - 2) as u16;
    out[start..start + 2].copy_from_slice(&len.to_be_bytes());
}
