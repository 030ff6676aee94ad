//! A peer as it is written: everything the gateway says, in words and moments. Text that came from a peer or a
//! network is made printable here, once.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use strait_proto::v1;

use crate::moments::moment;
use crate::output::printable;

/// Every peer.
#[derive(Debug, Serialize)]
pub(super) struct PeersView {
    pub(super) generation: u64,
    pub(super) peers: Vec<PeerView>,
}

/// One peer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeerView {
    pub(super) name: String,
    pub(super) suffix: String,
    pub(super) trust_domain: String,
    pub(super) changed_at: Option<String>,
    pub(super) authorities: Vec<AuthorityView>,
    pub(super) namespaces: NamespacesView,
    pub(super) outbound: OutboundView,
    pub(super) inbound: InboundView,
    pub(super) addresses: AddressesView,
}

/// The addresses that it advertises.
#[derive(Debug, Serialize, Default)]
pub(super) struct AddressesView {
    /// Those that are its by the operator's word.
    pub(super) assigned: Vec<String>,
    /// Whether it has said anything of its addresses yet.
    pub(super) known: bool,
    /// Those it is asked of, but for what overlaps.
    pub(super) accepted: Vec<String>,
    pub(super) overlaps: Vec<OverlapView>,
    pub(super) refused: Vec<RefusedView>,
}

/// Addresses that others have a claim to as well.
#[derive(Debug, Serialize)]
pub(super) struct OverlapView {
    pub(super) range: String,
    pub(super) with: Vec<String>,
}

/// Addresses that are not believed to be its.
#[derive(Debug, Serialize)]
pub(super) struct RefusedView {
    pub(super) range: String,
    pub(super) reason: String,
}

/// The namespaces of this cluster that it may see.
#[derive(Debug, Serialize)]
pub(super) struct NamespacesView {
    /// `*`: all but kube-system.
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
}

/// A CA of the peer's trust bundle.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorityView {
    pub(super) subject: String,
    pub(super) not_after: Option<String>,
    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` writes it.
    pub(super) fingerprint: String,
}

/// We ask them.
#[derive(Debug, Serialize)]
pub(super) struct OutboundView {
    pub(super) state: String,
    pub(super) endpoints: Vec<EndpointView>,
}

/// One of their gateways.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointView {
    pub(super) url: String,
    pub(super) state: String,
    pub(super) since: Option<String>,
    pub(super) latency_us: Option<u64>,
    pub(super) last_error: Option<ErrorView>,
    #[serde(skip)]
    pub(super) since_seconds: i64,
}

/// They ask us.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InboundView {
    pub(super) state: String,
    pub(super) connections: u64,
    pub(super) queries: u64,
    pub(super) refused: u64,
    pub(super) last_query_at: Option<String>,
    pub(super) last_error: Option<ErrorView>,
    #[serde(skip)]
    pub(super) last_query_seconds: i64,
}

/// What went wrong last.
#[derive(Debug, Serialize)]
pub(super) struct ErrorView {
    pub(super) text: String,
    pub(super) at: Option<String>,
    #[serde(skip)]
    pub(super) at_seconds: i64,
}

impl From<v1::ListPeersResponse> for PeersView {
    fn from(response: v1::ListPeersResponse) -> Self {
        Self { generation: response.generation, peers: response.peers.into_iter().map(PeerView::from).collect() }
    }
}

impl From<v1::PeerStatus> for PeerView {
    fn from(status: v1::PeerStatus) -> Self {
        let peer = status.peer.unwrap_or_default();
        let mut outbound = status.outbound.unwrap_or_default();
        let addresses = AddressesView::new(&peer.addresses, status.addresses.unwrap_or_default());
        if outbound.endpoints.is_empty() {
            // Not dialled yet, or not at all: what is configured is shown all the same.
            let configured = |endpoint: v1::Endpoint| v1::EndpointStatus {
                url: endpoint.url,
                state: outbound.state.clone(),
                ..Default::default()
            };
            outbound.endpoints = peer.endpoints.into_iter().map(configured).collect();
        }
        Self {
            name: printable(&peer.name),
            suffix: printable(&peer.suffix),
            trust_domain: printable(&peer.trust_domain),
            changed_at: moment(peer.changed_at),
            authorities: authorities(&peer.trust_bundle),
            namespaces: NamespacesView::new(&peer.allow_namespaces, &peer.deny_namespaces),
            outbound: outbound.into(),
            inbound: status.inbound.unwrap_or_default().into(),
            addresses,
        }
    }
}

impl AddressesView {
    fn new(assigned: &[String], told: v1::AddressStatus) -> Self {
        let texts = |list: &[String]| list.iter().map(|text| printable(text)).collect::<Vec<_>>();
        let overlap =
            |told: &v1::AddressOverlap| OverlapView { range: printable(&told.range), with: texts(&told.with) };
        let refused =
            |told: &v1::RefusedRange| RefusedView { range: printable(&told.range), reason: printable(&told.reason) };
        Self {
            assigned: texts(assigned),
            known: told.known,
            accepted: texts(&told.ranges),
            overlaps: told.overlaps.iter().map(overlap).collect(),
            refused: told.refused.iter().map(refused).collect(),
        }
    }
}

impl NamespacesView {
    fn new(allow: &[String], deny: &[String]) -> Self {
        let texts = |list: &[String]| list.iter().map(|name| printable(name)).collect::<Vec<_>>();
        let allow = if allow.is_empty() { vec!["*".to_owned()] } else { texts(allow) };
        Self { allow, deny: texts(deny) }
    }

    /// In one column: `*`, `shop,web`, `*,!shop`.
    pub(super) fn short(&self) -> String {
        let denied = self.deny.iter().map(|name| format!("!{name}"));
        self.allow.iter().cloned().chain(denied).collect::<Vec<_>>().join(",")
    }
}

impl From<v1::OutboundStatus> for OutboundView {
    fn from(status: v1::OutboundStatus) -> Self {
        let endpoints = status.endpoints.into_iter().map(|endpoint| EndpointView {
            url: printable(&endpoint.url),
            state: printable(&endpoint.state),
            since: moment(endpoint.since),
            latency_us: Some(endpoint.latency_us).filter(|latency| *latency != 0),
            last_error: error(&endpoint.last_error, endpoint.last_error_at),
            since_seconds: endpoint.since,
        });
        Self { state: printable(&status.state), endpoints: endpoints.collect() }
    }
}

impl From<v1::InboundStatus> for InboundView {
    fn from(status: v1::InboundStatus) -> Self {
        Self {
            state: printable(&status.state),
            connections: status.connections,
            queries: status.queries,
            refused: status.refused,
            last_query_at: moment(status.last_query_at),
            last_error: error(&status.last_error, status.last_error_at),
            last_query_seconds: status.last_query_at,
        }
    }
}

fn error(text: &str, at: i64) -> Option<ErrorView> {
    (!text.is_empty()).then(|| ErrorView { text: printable(text), at: moment(at), at_seconds: at })
}

/// What can be said of the certificates in a bundle; one that cannot be read is said to be so.
fn authorities(pem: &str) -> Vec<AuthorityView> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|certificate| certificate.map_or_else(|_| unreadable(), |certificate| authority(&certificate)))
        .collect()
}

fn authority(certificate: &CertificateDer<'_>) -> AuthorityView {
    let read = x509_parser::parse_x509_certificate(certificate);
    let Ok((_, parsed)) = read else { return unreadable() };
    AuthorityView {
        subject: printable(&parsed.subject().to_string()),
        not_after: moment(parsed.validity().not_after.timestamp()),
        fingerprint: fingerprint(certificate),
    }
}

fn unreadable() -> AuthorityView {
    AuthorityView { subject: "unreadable certificate".to_owned(), not_after: None, fingerprint: String::new() }
}

/// SHA-256 in the form of openssl; the hash is the one our TLS already brings.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else { return String::new() };
    let hash = suite.common.hash_provider.hash(certificate);
    hash.as_ref().iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}
