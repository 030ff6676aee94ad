//! What is asked of a catalog most is answered without allocating. Alone in its program, since the counting allocator
//! is the program's.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use allocation_counter::measure;
use arc_swap::ArcSwap;
use strait_catalog::{
    CatalogSettings, CatalogZone, Change, Endpoint, EndpointSlice, Kind, Label, Object, Picture, Service, ServiceKind,
    ZoneSettings,
};
use strait_resolve::Source;
use strait_wire::{Message, Name, QueryView, RecordType, ReplyLimits};

const ROUNDS: usize = 1_000;

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn service(name: &str, kind: ServiceKind) -> Object {
    let (namespace, name) = (label("shop"), label(name));
    Object::Service(Service { namespace, name, kind, ports: Box::default(), publish_not_ready: false })
}

fn zone() -> CatalogZone {
    let endpoint = Endpoint { addresses: ["10.1.0.1".parse().unwrap()].into(), ready: true, hostname: None };
    let slice = EndpointSlice {
        namespace: label("shop"),
        name: "db-1".into(),
        service: Some(label("db")),
        imported: None,
        ports: Box::default(),
        endpoints: [endpoint].into(),
    };
    let mut picture = Picture::new(CatalogSettings::default());
    let own = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    let services = vec![service("web", ServiceKind::ClusterIp(own.into())), service("db", ServiceKind::Headless)];
    picture.apply(Change::Replace(Kind::Namespace, Vec::new()));
    picture.apply(Change::Replace(Kind::Service, services));
    picture.apply(Change::Replace(Kind::Endpoints, vec![Object::Endpoints(slice)]));
    let apex: Name = "cluster.local".parse().unwrap();
    let settings = ZoneSettings { home: apex.clone(), apex, name_server: Box::default() };
    CatalogZone::new(Arc::new(ArcSwap::new(picture.publish())), settings).unwrap()
}

#[test]
fn ready_answers_of_a_catalog_allocate_nothing() {
    let zone = zone();
    let cases = [
        ("web.shop.svc.cluster.local", RecordType::A),
        ("web.shop.svc.cluster.local", RecordType::AAAA),
        ("db.shop.svc.cluster.local", RecordType::A),
        // No such type; no such name, as search lists make them.
        ("db.shop.svc.cluster.local", RecordType::AAAA),
        ("10-1-0-1.db.shop.svc.cluster.local", RecordType::AAAA),
        ("shop.svc.cluster.local", RecordType::A),
        ("web.shop.svc.cluster.local.svc.cluster.local", RecordType::A),
        ("www.example.com.cluster.local", RecordType::A),
    ];
    let mut out = Vec::with_capacity(4096);
    for (asked, rtype) in cases {
        let name: Name = asked.parse().unwrap();
        let query = Message::query(1, name.clone(), rtype).to_wire().unwrap();
        let view = QueryView::parse(&query).unwrap();
        let mut ask = || {
            out.clear();
            let answer = zone.ready(name.as_wire(), rtype).unwrap();
            answer.write_reply(&view, 0, ReplyLimits::udp(&view), None, &mut out);
        };
        // What a thread keeps of the catalog in force.
        ask();
        let counted = measure(|| (0..ROUNDS).for_each(|_| ask()));
        assert_eq!(counted.count_total, 0, "{asked} {rtype}");
    }
}
