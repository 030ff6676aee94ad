//! The API's objects, trimmed to what names are made of.
//!
//! Whoever reads the API makes these and nothing else. A name that cannot be a DNS label never gets further than
//! [`LabelReader`], which counts it.

use std::net::IpAddr;
use std::sync::Arc;

use strait_wire::Name;

/// A DNS label as Kubernetes has them: lower-case letters, digits and inner hyphens, at most 63 (RFC 1123 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Arc<str>);

impl Label {
    /// The label that `text` is in lower case; none when it is no label.
    pub fn new(text: &str) -> Option<Self> {
        let is_inner = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
        let is_label = (1..=Name::MAX_LABEL).contains(&text.len())
            && text.as_bytes().iter().all(is_inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        is_label.then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends it in wire form: its length, its octets.
    pub(crate) fn push_wire(&self, wire: &mut Vec<u8>) {
        // At most 63.
        wire.push(self.0.len() as u8);
        wire.extend_from_slice(self.0.as_bytes());
    }

    /// Whether this is the label, given without its length octet and in lower case.
    pub(crate) fn is(&self, lower: &[u8]) -> bool {
        self.0.as_bytes() == lower
    }
}

/// What cannot be told, and how often it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Names that are no DNS labels.
    pub labels: u64,
    /// Services whose `externalName` is no domain name.
    pub external_names: u64,
}

/// Makes labels of what the API calls things, and counts what cannot be told.
#[derive(Debug, Default)]
pub struct LabelReader {
    left_out: LeftOut,
}

impl LabelReader {
    /// The label that `text` is; none, and counted, when it is no label.
    pub fn read(&mut self, text: &str) -> Option<Label> {
        let label = Label::new(text);
        if label.is_none() {
            self.left_out.labels += 1;
            tracing::debug!(name = text, "left out of the catalog: not a DNS label (RFC 1123 2.1)");
        }
        label
    }

    /// What was left out so far.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// Counts a service whose `externalName` is no domain name.
    pub(crate) fn leave_external_name(&mut self) {
        self.left_out.external_names += 1;
    }
}

/// The kinds of objects that the catalog is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Namespaces.
    Namespace,
    /// Services.
    Service,
    /// Endpoint slices.
    Endpoints,
    /// Pods: needed for verified pod names only.
    Pod,
    /// Exports of services to other clusters (KEP-1645 `ServiceExport`), where the API has them.
    Export,
    /// Services of other clusters (KEP-1645 `ServiceImport`), where the API has them.
    Import,
}

impl Kind {
    /// What the API calls objects of the kind, as in a role.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Namespace => "namespaces",
            Self::Service => "services",
            Self::Endpoints => "endpointslices",
            Self::Pod => "pods",
            Self::Export => "serviceexports",
            Self::Import => "serviceimports",
        }
    }
}

/// What the API calls an object of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace; empty for namespaces.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

impl Key {
    /// The key of `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// An object of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A namespace is its name.
    Namespace(Label),
    /// A service.
    Service(Service),
    /// An endpoint slice.
    Endpoints(EndpointSlice),
    /// A pod.
    Pod(Pod),
    /// An export.
    Export(ServiceExport),
    /// An import: a service with the addresses that the set of clusters gives it, or with endpoints of all of them.
    Import(Service),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Service(_) => Kind::Service,
            Self::Endpoints(_) => Kind::Endpoints,
            Self::Pod(_) => Kind::Pod,
            Self::Export(_) => Kind::Export,
            Self::Import(_) => Kind::Import,
        }
    }

    /// What the API calls it.
    pub fn key(&self) -> Key {
        match self {
            Self::Namespace(name) => Key::new("", name.as_str()),
            Self::Service(service) | Self::Import(service) => {
                Key::new(service.namespace.as_str(), service.name.as_str())
            }
            Self::Endpoints(slice) => Key::new(slice.namespace.as_str(), &slice.name),
            Self::Pod(pod) => Key::new(pod.namespace.as_str(), &pod.name),
            Self::Export(export) => Key::new(export.namespace.as_str(), export.name.as_str()),
        }
    }
}

/// What the API server tells, for each kind in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The object is there, and like this.
    Apply(Object),
    /// The object is gone.
    Delete(Kind, Key),
    /// All there are of that kind: what is missing here is gone.
    Replace(Kind, Vec<Object>),
    /// The API does not have that kind: there are none.
    Absent(Kind),
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: Label,
    /// Its name.
    pub name: Label,
    /// What its name leads to.
    pub kind: ServiceKind,
    /// Its ports.
    pub ports: Box<[Port]>,
    /// Endpoints have names before they are ready (`publishNotReadyAddresses`).
    pub publish_not_ready: bool,
}

/// What the name of a service leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// Its own addresses, at most one of each family.
    ClusterIp(Box<[IpAddr]>),
    /// Its ready endpoints.
    Headless,
    /// Another name.
    ExternalName(Name),
}

/// A port of a service or of the endpoints of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The name; a port without one has no SRV record.
    pub name: Option<Label>,
    /// The protocol.
    pub protocol: Protocol,
    /// The number.
    pub number: u16,
}

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol that a label of an SRV name stands for (RFC 2782), in lower case.
    pub(crate) fn of_label(label: &[u8]) -> Option<Self> {
        match label {
            b"_tcp" => Some(Self::Tcp),
            b"_udp" => Some(Self::Udp),
            b"_sctp" => Some(Self::Sctp),
            _ => None,
        }
    }
}

/// Some of the endpoints of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Its namespace, which is its service's.
    pub namespace: Label,
    /// Its name, which need not be a label.
    pub name: Box<str>,
    /// The service (label `kubernetes.io/service-name`), which need not be there yet, or any more; none: it is imported.
    pub service: Option<Label>,
    /// The import whose endpoints these are as well.
    pub imported: Option<Box<Imported>>,
    /// The ports that all of its endpoints have.
    pub ports: Box<[Port]>,
    /// The endpoints.
    pub endpoints: Box<[Endpoint]>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses, of one family.
    pub addresses: Box<[IpAddr]>,
    /// Whether it is ready; not told counts as ready.
    pub ready: bool,
    /// The name that it asks for.
    pub hostname: Option<Label>,
}

impl EndpointSlice {
    /// The cluster that its endpoints are said to be in, when it is imported.
    pub(crate) fn cluster(&self) -> Option<&Label> {
        self.imported.as_ref()?.cluster.as_ref()
    }
}

/// Whose endpoints those of an imported slice are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The import (label `multicluster.kubernetes.io/service-name`), which need not be there yet, or any more.
    pub service: Label,
    /// The cluster that they are in (label `multicluster.kubernetes.io/source-cluster`).
    pub cluster: Option<Label>,
}

/// That the service of that name is for other clusters too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceExport {
    /// The service's namespace.
    pub namespace: Label,
    /// Its name.
    pub name: Label,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Label,
    /// Its name, which need not be a label.
    pub name: Box<str>,
    /// Its addresses.
    pub addresses: Box<[IpAddr]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1123_2_1_what_is_no_label_is_left_out_and_counted() {
        let longest = "a".repeat(63);
        // (text, the label)
        let cases = [
            ("web", Some("web")),
            // Compared in lower case, kept in lower case.
            ("Web-1", Some("web-1")),
            // RFC 1123 lets a label begin with a digit.
            ("10-1-2-3", Some("10-1-2-3")),
            (&longest, Some(&*longest)),
            ("", None),
            (&"a".repeat(64), None),
            ("-web", None),
            ("web-", None),
            ("web.shop", None),
            ("_tcp", None),
            ("wéb", None),
            ("web\0", None),
            ("*", None),
        ];
        let mut reader = LabelReader::default();
        for (text, label) in cases {
            assert_eq!(reader.read(text).as_ref().map(Label::as_str), label, "{text:?}");
        }
        assert_eq!(reader.left_out(), LeftOut { labels: 9, external_names: 0 });
    }
}
