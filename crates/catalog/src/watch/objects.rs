//! The API's objects as they are read: of each no more than names need.
//!
//! Whatever may be missing or null is optional here, and what cannot be used is left out rather than refused: one odd
//! object must not keep the others from being told.

use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{
    Endpoint, EndpointSlice, Imported, Key, Kind, Label, LabelReader, Object, Pod, Port, Protocol, Service,
    ServiceExport, ServiceKind,
};

/// An object as the API gives it.
pub(super) trait Raw: DeserializeOwned + Send + 'static {
    /// What it becomes.
    const KIND: Kind;
    /// Where it is.
    const COLLECTION: Collection;
    /// Where it is in the versions that a server may have, in the order in which they are looked for; none: every server has it.
    const VERSIONS: &'static [Collection] = &[];

    /// What every object has.
    fn meta(&self) -> &Meta;

    /// What names need of it; none when it cannot have any.
    fn trim(self, labels: &mut LabelReader) -> Option<Object>;

    /// What the API calls it.
    fn key(&self) -> Key {
        Key::new(&self.meta().namespace, &self.meta().name)
    }
}

/// Where objects of a kind are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Collection {
    /// As in a role; empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    /// As in a role.
    pub(crate) resource: &'static str,
    /// Which of them are wanted.
    pub(crate) fields: Option<&'static str>,
}

impl Collection {
    const fn core(resource: &'static str) -> Self {
        Self { group: "", version: "v1", resource, fields: None }
    }

    /// Where the server says which resources it has of that version.
    pub(crate) fn discovery(&self) -> String {
        let Self { group, version, .. } = self;
        if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
    }

    /// The path, of all of them or of a namespace's.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let (root, resource) = (self.discovery(), self.resource);
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{resource}"),
            None => format!("{root}/{resource}"),
        }
    }
}

/// What every object has.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) resource_version: String,
    labels: Option<Labels>,
}

/// The labels that matter.
#[derive(Debug, Default, Deserialize)]
struct Labels {
    #[serde(rename = "kubernetes.io/service-name")]
    service: Option<String>,
    #[serde(rename = "multicluster.kubernetes.io/service-name")]
    import: Option<String>,
    #[serde(rename = "multicluster.kubernetes.io/source-cluster")]
    cluster: Option<String>,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) metadata: PageMeta,
    pub(crate) items: Option<Vec<T>>,
}

/// Where a page stands in its list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageMeta {
    #[serde(default)]
    pub(crate) resource_version: String,
    /// Leads to the next page.
    #[serde(rename = "continue")]
    pub(crate) next: Option<String>,
}

/// A line of a watch.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
pub(crate) enum Event<T> {
    Added(T),
    Modified(T),
    Deleted(T),
    Bookmark(Bookmark),
    Error(Status),
}

/// How far a watch has come.
#[derive(Debug, Deserialize)]
pub(crate) struct Bookmark {
    pub(crate) metadata: Meta,
}

/// Why a watch ends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawNamespace {
    metadata: Meta,
}

impl Raw for RawNamespace {
    const KIND: Kind = Kind::Namespace;
    const COLLECTION: Collection = Collection::core("namespaces");

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self, labels: &mut LabelReader) -> Option<Object> {
        Some(Object::Namespace(labels.read(&self.metadata.name)?))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RawService {
    metadata: Meta,
    #[serde(default)]
    spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "type")]
    of: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    external_name: Option<String>,
    ports: Option<Vec<RawPort>>,
    publish_not_ready_addresses: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct RawPort {
    name: Option<String>,
    protocol: Option<String>,
    /// A port of a slice may have none: all ports.
    port: Option<i64>,
}

impl Raw for RawService {
    const KIND: Kind = Kind::Service;
    const COLLECTION: Collection = Collection::core("services");

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self, labels: &mut LabelReader) -> Option<Object> {
        let Self { metadata, spec } = self;
        let publish_not_ready = spec.publish_not_ready_addresses.unwrap_or(false);
        Some(Object::Service(Service {
            namespace: labels.read(&metadata.namespace)?,
            name: labels.read(&metadata.name)?,
            kind: service_kind(&spec, &metadata, labels)?,
            ports: ports(spec.ports, labels),
            publish_not_ready,
        }))
    }
}

fn service_kind(spec: &ServiceSpec, metadata: &Meta, labels: &mut LabelReader) -> Option<ServiceKind> {
    if spec.of.as_deref() == Some("ExternalName") {
        let target = spec.external_name.as_deref().unwrap_or_default();
        let name = target.parse().ok().filter(|_| !target.is_empty());
        if name.is_none() {
            labels.leave_external_name();
            let Meta { namespace, name, .. } = metadata;
            tracing::debug!(%namespace, %name, target, "left out of the catalog: its externalName is no domain name");
        }
        return name.map(ServiceKind::ExternalName);
    }
    // The list is the newer field, and has both families.
    let list = spec.cluster_ips.as_deref().filter(|list| !list.is_empty());
    let own = list.unwrap_or(spec.cluster_ip.as_slice());
    match own.first().is_some_and(|address| address == "None") {
        true => Some(ServiceKind::Headless),
        false => Some(ServiceKind::ClusterIp(addresses(own.iter()))),
    }
}

/// The ports that can be told: those with a number and a protocol of an SRV name.
fn ports(raw: Option<Vec<RawPort>>, labels: &mut LabelReader) -> Box<[Port]> {
    let mut port = |raw: RawPort| {
        let protocol = match raw.protocol.as_deref() {
            None | Some("TCP" | "") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            Some(_) => return None,
        };
        let name = raw.name.filter(|name| !name.is_empty()).and_then(|name| labels.read(&name));
        Some(Port { name, protocol, number: raw.port?.try_into().ok()? })
    };
    raw.unwrap_or_default().into_iter().filter_map(&mut port).collect()
}

#[derive(Debug, Deserialize)]
pub(super) struct RawSlice {
    metadata: Meta,
    ports: Option<Vec<RawPort>>,
    endpoints: Option<Vec<RawEndpoint>>,
}

#[derive(Debug, Deserialize)]
struct RawEndpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<Conditions>,
    hostname: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
}

impl Raw for RawSlice {
    const KIND: Kind = Kind::Endpoints;
    const COLLECTION: Collection =
        Collection { group: "discovery.k8s.io", version: "v1", resource: "endpointslices", fields: None };

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self, labels: &mut LabelReader) -> Option<Object> {
        let Self { metadata, ports: raw_ports, endpoints } = self;
        let mut of = |text: Option<String>| text.filter(|text| !text.is_empty()).and_then(|text| labels.read(&text));
        let Labels { service, import, cluster } = metadata.labels.unwrap_or_default();
        let (service, import) = (of(service), of(import));
        let imported = import.map(|service| Box::new(Imported { service, cluster: of(cluster) }));
        // A slice without a service is nobody's.
        if service.is_none() && imported.is_none() {
            return None;
        }
        let mut endpoint = |raw: RawEndpoint| Endpoint {
            // Those of type FQDN are no addresses.
            addresses: addresses(raw.addresses.iter().flatten()),
            ready: raw.conditions.and_then(|conditions| conditions.ready).unwrap_or(true),
            hostname: raw.hostname.filter(|name| !name.is_empty()).and_then(|name| labels.read(&name)),
        };
        let endpoints: Box<[Endpoint]> = endpoints.unwrap_or_default().into_iter().map(&mut endpoint).collect();
        Some(Object::Endpoints(EndpointSlice {
            namespace: labels.read(&metadata.namespace)?,
            name: metadata.name.into(),
            service,
            imported,
            ports: ports(raw_ports, labels),
            endpoints: endpoints.into_iter().filter(|endpoint| !endpoint.addresses.is_empty()).collect(),
        }))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RawPod {
    metadata: Meta,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
}

#[derive(Debug, Deserialize)]
struct PodIp {
    ip: Option<String>,
}

impl Raw for RawPod {
    const KIND: Kind = Kind::Pod;
    const COLLECTION: Collection = Collection {
        // Those that have ended keep their addresses, which others may have by now.
        fields: Some("status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"),
        ..Collection::core("pods")
    };

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self, labels: &mut LabelReader) -> Option<Object> {
        let Self { metadata, status } = self;
        let several = status.pod_ips.iter().flatten().filter_map(|own| own.ip.as_ref());
        let mut own = addresses(several);
        if own.is_empty() {
            own = addresses(status.pod_ip.iter());
        }
        let namespace: Label = labels.read(&metadata.namespace)?;
        Some(Object::Pod(Pod { namespace, name: metadata.name.into(), addresses: own }))
    }
}

/// The group of exports and imports (KEP-1645).
const MULTICLUSTER: &str = "multicluster.x-k8s.io";

impl Collection {
    const fn multicluster(version: &'static str, resource: &'static str) -> Self {
        Self { group: MULTICLUSTER, version, resource, fields: None }
    }
}

/// The resources of a version.
#[derive(Debug, Deserialize)]
pub(super) struct Resources {
    resources: Option<Vec<Resource>>,
}

#[derive(Debug, Deserialize)]
struct Resource {
    name: String,
}

impl Resources {
    /// Whether one is called so.
    pub(super) fn have(&self, name: &str) -> bool {
        self.resources.iter().flatten().any(|resource| resource.name == name)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RawExport {
    metadata: Meta,
}

impl Raw for RawExport {
    const KIND: Kind = Kind::Export;
    const COLLECTION: Collection = Self::VERSIONS[0];
    const VERSIONS: &'static [Collection] = &[
        Collection::multicluster("v1beta1", "serviceexports"),
        Collection::multicluster("v1alpha1", "serviceexports"),
    ];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self, labels: &mut LabelReader) -> Option<Object> {
        let Meta { namespace, name, .. } = self.metadata;
        Some(Object::Export(ServiceExport { namespace: labels.read(&namespace)?, name: labels.read(&name)? }))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RawImport {
    metadata: Meta,
    #[serde(default)]
    spec: ImportSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImportSpec {
    #[serde(rename = "type")]
    of: Option<String>,
    ips: Option<Vec<String>>,
    ports: Option<Vec<RawPort>>,
}

impl Raw for RawImport {
    const KIND: Kind = Kind::Import;
    const COLLECTION: Collection = Self::VERSIONS[0];
    const VERSIONS: &'static [Collection] = &[
        Collection::multicluster("v1beta1", "serviceimports"),
        Collection::multicluster("v1alpha1", "serviceimports"),
    ];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn trim(self, labels: &mut LabelReader) -> Option<Object> {
        let Self { metadata, spec } = self;
        let kind = match spec.of.as_deref() {
            Some("Headless") => ServiceKind::Headless,
            _ => ServiceKind::ClusterIp(addresses(spec.ips.iter().flatten())),
        };
        Some(Object::Import(Service {
            namespace: labels.read(&metadata.namespace)?,
            name: labels.read(&metadata.name)?,
            kind,
            ports: ports(spec.ports, labels),
            publish_not_ready: false,
        }))
    }
}

fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Box<[IpAddr]> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
