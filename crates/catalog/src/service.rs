//! One service: its addresses, endpoint names and ports, and the answers that lie ready.

use std::net::IpAddr;
use std::sync::Arc;

use strait_wire::{Answer, Class, Name, Question, Rdata, RecordType};

use crate::pods::{dashed, parse_dashed};
use crate::{Endpoint, EndpointSlice, Key, Label, Port, Protocol, Service, ServiceKind};

/// The most addresses of one family that are told: as many IPv6 addresses as a message holds with room to spare.
const MAX_ADDRESSES: usize = 2_000;
/// The most targets of SRV records that are looked at: more than a message holds.
const MAX_TARGETS: usize = 2_000;

/// What a service is found by: its name and its namespace as they stand in a question, each with its length.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServiceId(Arc<[u8]>);

impl ServiceId {
    pub(crate) fn new(namespace: &Label, name: &Label) -> Self {
        let mut wire = Vec::with_capacity(2 + namespace.as_str().len() + name.as_str().len());
        name.push_wire(&mut wire);
        namespace.push_wire(&mut wire);
        Self(wire.into())
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// What the API calls it.
    pub(crate) fn key(&self) -> Option<Key> {
        let (name, rest) = self.0.split_first().and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)))?;
        let (_, namespace) = rest.split_first()?;
        Some(Key::new(std::str::from_utf8(namespace).ok()?, std::str::from_utf8(name).ok()?))
    }
}

/// A service as one catalog has it; catalogs share it while nothing about it changes.
#[derive(Debug)]
pub(crate) struct ServiceView {
    id: ServiceId,
    service: Arc<Service>,
    slices: Box<[Arc<EndpointSlice>]>,
    /// A headless service without ready endpoints has no name (specification 2.4.1).
    has_name: bool,
    a: Option<Answer>,
    aaaa: Option<Answer>,
}

/// Something to tell in an SRV record.
pub(crate) struct Target<'a> {
    /// The port's number.
    pub(crate) port: u16,
    /// The endpoint's name; none: the service itself.
    pub(crate) endpoint: Option<EndpointName<'a>>,
    /// The cluster that the endpoint is said to be in, where it is an imported one.
    pub(crate) cluster: Option<&'a Label>,
}

/// The name of an endpoint below its service (specification 2.1, hostname), for one of its addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EndpointName<'a> {
    Asked(&'a Label, IpAddr),
    Address(IpAddr),
}

impl EndpointName<'_> {
    pub(crate) fn address(&self) -> IpAddr {
        match self {
            Self::Asked(_, address) | Self::Address(address) => *address,
        }
    }

    /// The label.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Asked(label, _) => label.as_str().to_owned(),
            Self::Address(address) => dashed(*address),
        }
    }
}

impl ServiceView {
    /// The service with these slices, which are its own, in the order of their names.
    pub(crate) fn new(id: ServiceId, service: Arc<Service>, slices: &[Arc<EndpointSlice>], ttl: u32) -> Self {
        let slices = slices.into();
        let mut view = Self { id, service, slices, has_name: true, a: None, aaaa: None };
        view.has_name = !view.is_headless() || view.ready().next().is_some();
        view.a = ready_answer(RecordType::A, &view.addresses(RecordType::A), ttl);
        view.aaaa = ready_answer(RecordType::AAAA, &view.addresses(RecordType::AAAA), ttl);
        view
    }

    pub(crate) fn id(&self) -> &ServiceId {
        &self.id
    }

    pub(crate) fn slices(&self) -> &[Arc<EndpointSlice>] {
        &self.slices
    }

    /// Whether one of its endpoints is ready, or is told although it is not.
    pub(crate) fn is_served(&self) -> bool {
        self.ready().next().is_some()
    }

    /// Whether an endpoint that is told is in a cluster that `is_in` is true for.
    pub(crate) fn has_cluster(&self, is_in: impl Fn(Option<&Label>) -> bool) -> bool {
        self.ready().any(|(slice, _)| is_in(slice.cluster()))
    }

    /// Whether its name exists.
    pub(crate) fn has_name(&self) -> bool {
        self.has_name
    }

    /// Whether its name leads to its endpoints.
    pub(crate) fn is_headless(&self) -> bool {
        self.service.kind == ServiceKind::Headless
    }

    /// Where the name leads, when that is another name.
    pub(crate) fn alias(&self) -> Option<&Name> {
        match &self.service.kind {
            ServiceKind::ExternalName(target) => Some(target),
            _ => None,
        }
    }

    /// The answer about its addresses of that type, for the service's own name under any zone; none when it has none.
    pub(crate) fn ready_answer(&self, rtype: RecordType) -> Option<&Answer> {
        match rtype {
            RecordType::A => self.a.as_ref(),
            RecordType::AAAA => self.aaaa.as_ref(),
            _ => None,
        }
    }

    /// The addresses of its name of that type, in order, each once.
    pub(crate) fn addresses(&self, rtype: RecordType) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = match &self.service.kind {
            ServiceKind::ClusterIp(addresses) => addresses.to_vec(),
            ServiceKind::Headless => {
                self.ready().flat_map(|(_, endpoint)| endpoint.addresses.iter().copied()).collect()
            }
            ServiceKind::ExternalName(_) => Vec::new(),
        };
        addresses.retain(|address| type_of(*address) == rtype);
        in_order(&mut addresses);
        if addresses.len() > MAX_ADDRESSES {
            tracing::debug!(service = self.service.name.as_str(), namespace = self.service.namespace.as_str(), %rtype,
                addresses = addresses.len(), "only {MAX_ADDRESSES} are told");
            addresses.truncate(MAX_ADDRESSES);
        }
        addresses
    }

    /// The addresses of its name, of both families.
    pub(crate) fn all_addresses(&self) -> impl Iterator<Item = IpAddr> {
        [RecordType::A, RecordType::AAAA].into_iter().flat_map(|family| self.addresses(family))
    }

    /// The endpoints that have names: the ready ones, or all when the service publishes those that are not.
    fn ready(&self) -> impl Iterator<Item = (&EndpointSlice, &Endpoint)> {
        let is_told = |endpoint: &&Endpoint| endpoint.ready || self.service.publish_not_ready;
        let has_endpoints = self.alias().is_none();
        let slices = self.slices.iter().filter(move |_| has_endpoints);
        slices.flat_map(move |slice| slice.endpoints.iter().filter(is_told).map(move |endpoint| (&**slice, endpoint)))
    }

    fn names(endpoint: &Endpoint) -> impl Iterator<Item = EndpointName<'_>> {
        endpoint.addresses.iter().map(|address| match &endpoint.hostname {
            Some(label) => EndpointName::Asked(label, *address),
            None => EndpointName::Address(*address),
        })
    }

    /// The addresses of the endpoint with that name, a label in lower case; some may come twice.
    ///
    /// Services with a ClusterIP have such names too: the specification is silent, the known server has them.
    pub(crate) fn endpoint(&self, label: &[u8]) -> impl Iterator<Item = IpAddr> {
        self.endpoint_in(label, |_| true)
    }

    /// The same of the endpoints in some clusters: `is_in` is asked about that which an imported one is said to be in.
    pub(crate) fn endpoint_in(
        &self,
        label: &[u8],
        is_in: impl Fn(Option<&Label>) -> bool,
    ) -> impl Iterator<Item = IpAddr> {
        let as_address = parse_dashed(label);
        let there = self.ready().filter(move |(slice, _)| is_in(slice.cluster()));
        let names = there.flat_map(|(_, endpoint)| Self::names(endpoint));
        let is_meant = move |name: &EndpointName<'_>| match name {
            EndpointName::Asked(hostname, _) => hostname.is(label),
            EndpointName::Address(address) => as_address == Some(*address),
        };
        names.filter(is_meant).map(|name| name.address())
    }

    /// What an address is called here: the service when it is its own, and its endpoints.
    pub(crate) fn names_of(&self, address: IpAddr) -> (bool, Vec<EndpointName<'_>>) {
        let is_own = matches!(&self.service.kind, ServiceKind::ClusterIp(own) if own.contains(&address));
        let mut names: Vec<_> = self.reverse_endpoints().filter(|name| name.address() == address).collect();
        in_order(&mut names);
        (is_own, names)
    }

    /// The endpoints that addresses lead back to: all that are told of a headless service (specification 2.4.3), of
    /// others those that ask for a name, as the known server does.
    fn reverse_endpoints(&self) -> impl Iterator<Item = EndpointName<'_>> {
        let is_meant = |endpoint: &&Endpoint| self.is_headless() || endpoint.hostname.is_some();
        self.ready().map(|(_, endpoint)| endpoint).filter(is_meant).flat_map(Self::names)
    }

    /// Every address that leads back here, in order, each once.
    pub(crate) fn reverse_addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<_> = self.reverse_endpoints().map(|name| name.address()).collect();
        if let ServiceKind::ClusterIp(own) = &self.service.kind {
            addresses.extend_from_slice(own);
        }
        in_order(&mut addresses);
        addresses
    }

    /// Whether it has a named port of that protocol: then there is a name above its SRV records.
    pub(crate) fn has_protocol(&self, protocol: Protocol) -> bool {
        self.any_port(|port| port.name.is_some() && port.protocol == protocol)
    }

    /// Whether it has that port: then there is a name for its SRV records.
    pub(crate) fn has_port(&self, name: &[u8], protocol: Protocol) -> bool {
        self.any_port(|port| is_called(port, name) && port.protocol == protocol)
    }

    fn any_port(&self, mut is: impl FnMut(&Port) -> bool) -> bool {
        match &self.service.kind {
            ServiceKind::ClusterIp(_) => self.service.ports.iter().any(is),
            ServiceKind::Headless => {
                let is_told = |endpoint: &Endpoint| endpoint.ready || self.service.publish_not_ready;
                let mut told = self.slices.iter().filter(|slice| slice.endpoints.iter().any(is_told));
                told.any(|slice| slice.ports.iter().any(&mut is))
            }
            ServiceKind::ExternalName(_) => false,
        }
    }

    /// What the SRV records of one port say; of all named ports when none is asked for.
    ///
    /// The number is that on which the target listens: the service's for a ClusterIP, the endpoint's own otherwise.
    pub(crate) fn targets(&self, asked: Option<(&[u8], Protocol)>) -> Vec<Target<'_>> {
        let is_asked = |port: &&Port| match asked {
            Some((name, protocol)) => is_called(port, name) && port.protocol == protocol,
            None => port.name.is_some(),
        };
        match &self.service.kind {
            ServiceKind::ClusterIp(_) => {
                let ports = self.service.ports.iter().filter(is_asked);
                ports.map(|port| Target { port: port.number, endpoint: None, cluster: None }).collect()
            }
            ServiceKind::Headless => self
                .ready()
                .flat_map(|(slice, endpoint)| {
                    let ports = slice.ports.iter().filter(is_asked);
                    ports.flat_map(move |port| {
                        let target =
                            |name| Target { port: port.number, endpoint: Some(name), cluster: slice.cluster() };
                        Self::names(endpoint).map(target)
                    })
                })
                .take(MAX_TARGETS)
                .collect(),
            ServiceKind::ExternalName(_) => Vec::new(),
        }
    }
}

fn is_called(port: &Port, name: &[u8]) -> bool {
    port.name.as_ref().is_some_and(|label| label.is(name))
}

/// Sorts, and drops what comes twice.
pub(crate) fn in_order<T: Ord>(items: &mut Vec<T>) {
    items.sort_unstable();
    items.dedup();
}

/// The type of the records that hold an address.
pub(crate) fn type_of(address: IpAddr) -> RecordType {
    match address {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::AAAA,
    }
}

/// The data of such a record.
pub(crate) fn address_data(address: IpAddr) -> Rdata {
    match address {
        IpAddr::V4(address) => Rdata::opaque(address.octets().to_vec()),
        IpAddr::V6(address) => Rdata::opaque(address.octets().to_vec()),
    }
}

/// A question that nobody asks, for answers that are given to many.
pub(crate) fn anybody(rtype: RecordType) -> Question {
    let name = Name::from_labels([b"*".as_slice(), b"invalid"]).unwrap_or_else(|_| Name::root());
    Question { name, rtype, class: Class::IN }
}

fn ready_answer(rtype: RecordType, addresses: &[IpAddr], ttl: u32) -> Option<Answer> {
    // As many as are told always fit.
    (!addresses.is_empty()).then(|| Answer::addresses_of_any_name(rtype, addresses, ttl).ok()).flatten()
}
