//! What the tests of this crate share: short ways to objects, and questions put to a zone.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use strait_resolve::{Ask, Source};
use strait_wire::{Answer, Class, ClusterPath, Message, Name, QueryView, Question, Rcode, ReplyLimits};

use crate::{
    Catalog, CatalogSettings, CatalogZone, Change, Endpoint, EndpointSlice, Imported, Kind, Label, Object, Picture,
    Pod, Port, Protocol, Service, ServiceExport, ServiceKind, ZoneSettings,
};

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn addresses(texts: &[&str]) -> Box<[IpAddr]> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// `http/tcp/80`; without a name `/tcp/80`.
pub(crate) fn ports(texts: &[&str]) -> Box<[Port]> {
    let port = |text: &&str| {
        let parts: Vec<_> = text.split('/').collect();
        let protocol = match parts[1] {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => Protocol::Sctp,
        };
        Port { name: Label::new(parts[0]), protocol, number: parts[2].parse().unwrap() }
    };
    texts.iter().map(port).collect()
}

/// The service `name.namespace`.
pub(crate) fn service(at: &str, kind: ServiceKind, port_texts: &[&str]) -> Service {
    let (name, namespace) = at.split_once('.').unwrap();
    let (namespace, name) = (label(namespace), label(name));
    Service { namespace, name, kind, ports: ports(port_texts), publish_not_ready: false }
}

pub(crate) fn cluster_ip(at: &str, own: &[&str], port_texts: &[&str]) -> Object {
    Object::Service(service(at, ServiceKind::ClusterIp(addresses(own)), port_texts))
}

pub(crate) fn headless(at: &str) -> Object {
    Object::Service(service(at, ServiceKind::Headless, &[]))
}

pub(crate) fn external(at: &str, target: &str) -> Object {
    Object::Service(service(at, ServiceKind::ExternalName(name(target)), &[]))
}

/// An endpoint: `10.1.2.3`, `pod-0=10.1.2.3` with a host name, and `!` before it when it is not ready.
pub(crate) fn endpoint(text: &str) -> Endpoint {
    let (ready, text) = text.strip_prefix('!').map_or((true, text), |text| (false, text));
    let (hostname, address) = text.split_once('=').map_or((None, text), |(name, address)| (Some(label(name)), address));
    Endpoint { addresses: addresses(&[address]), ready, hostname }
}

/// A slice of the service `name.namespace`.
pub(crate) fn slice(of: &str, slice_name: &str, endpoints: &[&str], port_texts: &[&str]) -> Object {
    let (service, namespace) = of.split_once('.').unwrap();
    Object::Endpoints(EndpointSlice {
        namespace: label(namespace),
        name: slice_name.into(),
        service: Some(label(service)),
        imported: None,
        ports: ports(port_texts),
        endpoints: endpoints.iter().map(|text| endpoint(text)).collect(),
    })
}

/// That the service `name.namespace` is for other clusters too.
pub(crate) fn export(at: &str) -> Object {
    let (name, namespace) = at.split_once('.').unwrap();
    Object::Export(ServiceExport { namespace: label(namespace), name: label(name) })
}

/// The service of that kind as an import.
pub(crate) fn import(service: Object) -> Object {
    match service {
        Object::Service(service) => Object::Import(service),
        other => panic!("{other:?} is no service"),
    }
}

/// The slice as one of an import, of endpoints in that cluster.
pub(crate) fn imported(slice: Object, cluster: &str) -> Object {
    let Object::Endpoints(slice) = slice else { panic!("{slice:?} is no slice") };
    let imported = Imported { service: slice.service.unwrap(), cluster: Some(label(cluster)) };
    Object::Endpoints(EndpointSlice { service: None, imported: Some(Box::new(imported)), ..slice })
}

pub(crate) fn pod(at: &str, own: &[&str]) -> Object {
    let (pod_name, namespace) = at.split_once('.').unwrap();
    Object::Pod(Pod { namespace: label(namespace), name: pod_name.into(), addresses: addresses(own) })
}

/// A picture for which every kind has been listed, with these objects.
pub(crate) fn synced(settings: CatalogSettings, objects: impl IntoIterator<Item = Object>) -> Picture {
    let mut picture = Picture::new(settings);
    for kind in [Kind::Namespace, Kind::Service, Kind::Endpoints, Kind::Pod, Kind::Export, Kind::Import] {
        picture.apply(Change::Replace(kind, Vec::new()));
    }
    objects.into_iter().for_each(|object| picture.apply(Change::Apply(object)));
    picture
}

pub(crate) fn shared(picture: &mut Picture) -> Arc<ArcSwap<Catalog>> {
    Arc::new(ArcSwap::new(picture.publish()))
}

/// The zone `apex` of a cluster that calls itself `cluster.local`.
pub(crate) fn zone(catalog: Arc<ArcSwap<Catalog>>, apex: &str) -> CatalogZone {
    let name_server = addresses(&["192.0.2.53", "2001:db8::53"]);
    CatalogZone::new(catalog, ZoneSettings { apex: name(apex), home: name("cluster.local"), name_server }).unwrap()
}

pub(crate) fn ask(asked: &str, rtype: &str) -> Ask {
    let question = Question { name: name(asked).to_lowercase(), rtype: rtype.parse().unwrap(), class: Class::IN };
    Ask { question, dnssec_ok: false, checking_disabled: false, path: ClusterPath::default() }
}

/// The reply, as it goes out; and that what lies ready says the same.
pub(crate) fn reply(source: &dyn Source, asked: &str, rtype: &str) -> Message {
    let ask = ask(asked, rtype);
    let query = Message::query(1, name(asked), ask.question.rtype).to_wire().unwrap();
    let view = QueryView::parse(&query).unwrap();
    let write = |answer: &Answer| {
        let mut out = Vec::new();
        answer.write_reply(&view, 0, ReplyLimits::stream(), None, &mut out);
        Message::parse(&out).unwrap()
    };
    let made = write(&source.answer_now(&ask).unwrap());
    if let Some(ready) = source.ready(ask.question.name.as_wire(), ask.question.rtype) {
        assert_eq!(write(&ready), made, "{asked} {rtype}: what lies ready is something else");
    }
    made
}

/// What a reply says, in one line: `NXDOMAIN`, `NODATA`, or its records and after `+` those beside them.
pub(crate) fn said(source: &dyn Source, asked: &str, rtype: &str) -> String {
    let message = reply(source, asked, rtype);
    let record = |record: &strait_wire::Record| {
        let data = record.rdata.as_bytes();
        let number = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
        let target = || record.rdata.names().next().unwrap();
        let text = match (record.rtype.to_string().as_str(), data.len()) {
            ("A", 4) => IpAddr::from(<[u8; 4]>::try_from(data).unwrap()).to_string(),
            ("AAAA", 16) => IpAddr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
            ("TXT", _) => String::from_utf8(data[1..].to_vec()).unwrap(),
            ("SRV", _) => format!("{}:{}", target(), number(4)),
            _ => target().to_string(),
        };
        match record.name == name(asked) {
            true => format!("{} {text}", record.rtype),
            false => format!("{} {} {text}", record.name, record.rtype),
        }
    };
    let list = |records: &[strait_wire::Record]| records.iter().map(record).collect::<Vec<_>>().join(", ");
    match (message.rcode, message.answers.is_empty()) {
        (Rcode::NXDOMAIN, true) => "NXDOMAIN".to_owned(),
        (Rcode::NOERROR, true) => "NODATA".to_owned(),
        (Rcode::NXDOMAIN, false) => format!("NXDOMAIN after {}", list(&message.answers)),
        (Rcode::NOERROR, false) if message.additionals.is_empty() => list(&message.answers),
        (Rcode::NOERROR, false) => format!("{} + {}", list(&message.answers), list(&message.additionals)),
        (rcode, _) => rcode.to_string(),
    }
}

/// Asks each, and compares what is said. (name, type, what is said)
pub(crate) fn check(source: &dyn Source, cases: &[(&str, &str, &str)]) {
    for (asked, rtype, expected) in cases {
        assert_eq!(said(source, asked, rtype), *expected, "{asked} {rtype}");
    }
}
