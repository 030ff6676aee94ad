#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod dot;
mod grpc;
mod handshakes;

use std::sync::Mutex;
use std::time::Duration;

use rustls::ClientConfig;
use strait_identity::{
    CertificateAuthority, Credentials, LeafRequest, PeerExpectation, Role, client_config, server_config,
};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::service::Routes;

use super::*;
use crate::testkit::*;

const HOME: &str = "cluster-b.example.com";
const PEER: &str = "cluster-a.example.com";

/// Writes down what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl ConnectionObserver for Told {
    fn opened(&self, identity: &Identity) {
        self.push(format!("opened {}", identity.id));
    }

    fn closed(&self, identity: &Identity) {
        self.push(format!("closed {}", identity.id));
    }

    fn rejected(&self, _client: SocketAddr, rejection: &Rejection) {
        self.push(format!("rejected {}", rejection.reason()));
    }
}

/// A gateway's listener that believes its own CA and that of one peer.
struct Served {
    address: SocketAddr,
    script: Arc<Script>,
    metrics: Arc<ServeMetrics>,
    told: Arc<Told>,
    trust: watch::Sender<Arc<TrustStore>>,
    home: CertificateAuthority,
    peer: CertificateAuthority,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

async fn start(default: Alpn, limits: StreamLimits) -> Served {
    start_with(default, limits, Routes::default()).await
}

async fn start_with(default: Alpn, limits: StreamLimits, services: Routes) -> Served {
    let (home, peer) = (authority(HOME), authority(PEER));
    let store = Arc::new(TrustStore::new([bundle(&home), bundle(&peer)]));
    let tls = Arc::new(ServerTls::new(server_config(&gateway(&home), Arc::clone(&store))));
    let (trust, trusted) = watch::channel(store);
    let listeners = PeerListeners::bind(&[("127.0.0.1:0".parse().unwrap(), default)]).await.unwrap();
    let address = listeners.addresses()[0].0;
    let (script, metrics, stop) = (Script::new(), metrics(), CancellationToken::new());
    let told = Arc::<Told>::default();
    let observer: Arc<dyn ConnectionObserver> = Arc::<Told>::clone(&told);
    let settings = PeerListenerSettings { tls, trust: trusted, limits, observer, services };
    let ended =
        tokio::spawn(listeners.serve(Arc::<Script>::clone(&script), settings, Arc::clone(&metrics), stop.clone()));
    Served { address, script, metrics, told, trust, home, peer, stop, ended }
}

fn credentials(authority: &CertificateAuthority, id: &str, lifetime: Duration) -> Credentials {
    let request = LeafRequest {
        id: id.parse().unwrap(),
        dns_names: vec!["gateway.test".to_owned()],
        addresses: Vec::new(),
        lifetime,
    };
    let issued = authority.issue(&request).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, issued.certificate_pem).unwrap();
    std::fs::write(&key, issued.key_pem).unwrap();
    Credentials::load(&certificate, &key).unwrap()
}

fn gateway(authority: &CertificateAuthority) -> Credentials {
    let id = format!("spiffe://{}/gateway", authority.trust_domain());
    credentials(authority, &id, Duration::from_secs(600))
}

impl Served {
    /// A client configuration with these credentials that expects the gateway served.
    fn client(&self, credentials: &Credentials, alpn: Alpn) -> Arc<ClientConfig> {
        let trust = Arc::new(TrustStore::new([bundle(&self.home)]));
        let expected = PeerExpectation { trust_domain: HOME.parse().unwrap(), role: Role::Gateway };
        client_config(credentials, trust, expected, alpn)
    }

    /// The peer's gateway as client.
    fn peer_client(&self, alpn: Alpn) -> Arc<ClientConfig> {
        self.client(&gateway(&self.peer), alpn)
    }

    async fn connect(&self, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        TlsConnector::from(config).connect("gateway.test".try_into().unwrap(), tcp).await
    }

    fn open(&self, transport: Transport) -> i64 {
        self.metrics.transport(transport).open.get()
    }

    fn has_told(&self, line: &str) -> bool {
        self.told.lines().iter().any(|told| told == line)
    }
}
