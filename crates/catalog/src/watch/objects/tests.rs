//! What is read of objects as API servers write them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::LeftOut;
use crate::testing::{addresses, label, ports, service};

fn trimmed<T: Raw>(json: &str) -> (Option<Object>, u64) {
    let raw: T = serde_json::from_str(json).unwrap();
    let mut labels = LabelReader::default();
    (raw.trim(&mut labels), labels.left_out().labels)
}

fn service_of(spec: &str) -> Option<Object> {
    let json = format!(
        r#"{{"metadata":{{"name":"web","namespace":"shop","resourceVersion":"7","managedFields":[{{}}]}},"spec":{spec}}}"#
    );
    trimmed::<RawService>(&json).0
}

#[test]
fn services_are_read_whatever_is_missing() {
    let cluster_ip = |own: &[&str]| ServiceKind::ClusterIp(addresses(own));
    let external = |name: &str| ServiceKind::ExternalName(name.parse().unwrap());
    // (spec, what it is)
    let cases = [
        (r#"{"clusterIP":"10.0.0.1"}"#, Some(cluster_ip(&["10.0.0.1"]))),
        // The list is the newer field, and has both families.
        (
            r#"{"type":"LoadBalancer","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1","fd00::1"]}"#,
            Some(cluster_ip(&["10.0.0.1", "fd00::1"])),
        ),
        (r#"{"clusterIP":"None","clusterIPs":["None"],"ports":null}"#, Some(ServiceKind::Headless)),
        (r#"{"clusterIP":"None","clusterIPs":null}"#, Some(ServiceKind::Headless)),
        // No address yet: the service is there all the same.
        (r#"{"clusterIP":""}"#, Some(cluster_ip(&[]))),
        ("{}", Some(cluster_ip(&[]))),
        (r#"{"type":"ExternalName","externalName":"db.example.com"}"#, Some(external("db.example.com"))),
        // It wins over an address that is left from before.
        (
            r#"{"type":"ExternalName","externalName":"db.example.com.","clusterIP":"10.0.0.1"}"#,
            Some(external("db.example.com")),
        ),
        // Names that are none.
        (r#"{"type":"ExternalName","externalName":"a..b"}"#, None),
        (r#"{"type":"ExternalName"}"#, None),
    ];
    for (spec, kind) in cases {
        let expected = kind.map(|kind| Object::Service(service("web.shop", kind, &[])));
        assert_eq!(service_of(spec), expected, "{spec}");
    }
}

#[test]
fn an_external_name_that_is_none_is_counted() {
    let json = r#"{"metadata":{"name":"out","namespace":"shop"},"spec":{"type":"ExternalName","externalName":"a..b"}}"#;
    let mut labels = LabelReader::default();
    assert_eq!(serde_json::from_str::<RawService>(json).unwrap().trim(&mut labels), None);
    assert_eq!(labels.left_out(), LeftOut { labels: 0, external_names: 1 });
}

#[test]
fn ports_that_can_be_told_are_read() {
    let spec = r#"{"clusterIP":"10.0.0.1","publishNotReadyAddresses":true,"ports":[
        {"name":"http","port":80,"targetPort":"web"},{"name":"dns","protocol":"UDP","port":53},
        {"protocol":"SCTP","port":9},{"name":"","port":1},{"name":"odd","protocol":"QUIC","port":2},{"name":"all"},{"name":"far","port":70000}]}"#;
    let Some(Object::Service(read)) = service_of(spec) else { panic!("no service") };
    assert!(read.publish_not_ready);
    assert_eq!(read.ports, ports(&["http/tcp/80", "dns/udp/53", "/sctp/9", "/tcp/1"]));
}

#[test]
fn slices_are_read_whatever_is_missing() {
    let slice = |rest: &str| {
        let json = format!(
            r#"{{"metadata":{{"name":"web.a_1","namespace":"shop","labels":{{"kubernetes.io/service-name":"web","x":"y"}}}},{rest}}}"#
        );
        match trimmed::<RawSlice>(&json).0 {
            Some(Object::Endpoints(slice)) => slice,
            other => panic!("{other:?}"),
        }
    };
    // The server writes null for an empty list of these.
    let none = slice(r#""addressType":"IPv4","endpoints":null,"ports":null"#);
    assert_eq!((&*none.name, none.service, none.endpoints.len()), ("web.a_1", Some(label("web")), 0));
    let some = slice(
        r#""addressType":"IPv4","ports":[{"name":"","port":8080,"protocol":"TCP"},{"name":"any","port":null}],"endpoints":[
        {"addresses":["10.1.0.1"]},
        {"addresses":["10.1.0.2"],"conditions":{"ready":null}},
        {"addresses":["10.1.0.3"],"conditions":{"ready":false,"serving":true},"hostname":"db-0"},
        {"addresses":["10.1.0.4"],"hostname":"not a label"},
        {"addresses":["host.example.com"]},
        {"conditions":{"ready":true}}]"#,
    );
    assert_eq!(some.ports, ports(&["/tcp/8080"]));
    let read: Vec<_> = some.endpoints.iter().map(|e| (e.addresses.clone(), e.ready, e.hostname.clone())).collect();
    assert_eq!(
        read,
        [
            // Not told counts as ready.
            (addresses(&["10.1.0.1"]), true, None),
            (addresses(&["10.1.0.2"]), true, None),
            (addresses(&["10.1.0.3"]), false, Some(label("db-0"))),
            (addresses(&["10.1.0.4"]), true, None),
        ]
    );
}

#[test]
fn kep1645_slices_of_imports_are_read_with_the_cluster_they_come_from() {
    // (labels, the service here, the import and its cluster)
    let cases = [
        (
            r#""multicluster.kubernetes.io/service-name":"web","multicluster.kubernetes.io/source-cluster":"b""#,
            None,
            Some(("web", Some("b"))),
        ),
        // Whoever manages imports may leave the cluster out, or give it a name that is no label.
        (r#""multicluster.kubernetes.io/service-name":"web""#, None, Some(("web", None))),
        (
            r#""multicluster.kubernetes.io/service-name":"web","multicluster.kubernetes.io/source-cluster":"b.c""#,
            None,
            Some(("web", None)),
        ),
        // One that belongs to a service here as well.
        (
            r#""kubernetes.io/service-name":"derived","multicluster.kubernetes.io/service-name":"web""#,
            Some("derived"),
            Some(("web", None)),
        ),
        // A cluster alone is no import.
        (r#""kubernetes.io/service-name":"web","multicluster.kubernetes.io/source-cluster":"b""#, Some("web"), None),
    ];
    for (labels, service, import) in cases {
        let json =
            format!(r#"{{"metadata":{{"name":"web-1","namespace":"shop","labels":{{{labels}}}}},"endpoints":[]}}"#);
        let Some(Object::Endpoints(slice)) = trimmed::<RawSlice>(&json).0 else { panic!("{labels}: no slice") };
        let expected = import
            .map(|(service, cluster)| Box::new(Imported { service: label(service), cluster: cluster.map(label) }));
        assert_eq!((slice.service, slice.imported), (service.map(label), expected), "{labels}");
    }
    let nobodys = r#"{"metadata":{"name":"a","namespace":"shop","labels":{"multicluster.kubernetes.io/source-cluster":"b"}},"endpoints":[]}"#;
    assert_eq!(trimmed::<RawSlice>(nobodys), (None, 0));
}

#[test]
fn kep1645_imports_are_read_whatever_is_missing() {
    // (spec, its kind)
    let cases: [(&str, ServiceKind); 4] = [
        (r#"{"type":"ClusterSetIP","ips":["10.3.0.1"]}"#, ServiceKind::ClusterIp(addresses(&["10.3.0.1"]))),
        // No address yet.
        (r#"{"type":"ClusterSetIP","ips":null}"#, ServiceKind::ClusterIp(addresses(&[]))),
        (r#"{"type":"Headless"}"#, ServiceKind::Headless),
        ("{}", ServiceKind::ClusterIp(addresses(&[]))),
    ];
    for (spec, kind) in cases {
        let json = format!(r#"{{"metadata":{{"name":"web","namespace":"shop"}},"spec":{spec}}}"#);
        assert_eq!(trimmed::<RawImport>(&json).0, Some(Object::Import(service("web.shop", kind, &[]))), "{spec}");
    }
}

#[test]
fn what_has_no_name_is_left_out_and_what_is_no_label_is_counted() {
    let nobodys = r#"{"metadata":{"name":"a","namespace":"shop","labels":null},"endpoints":[]}"#;
    assert_eq!(trimmed::<RawSlice>(nobodys), (None, 0));
    assert_eq!(trimmed::<RawNamespace>(r#"{"metadata":{"name":"a.b"}}"#), (None, 1));
    assert_eq!(trimmed::<RawNamespace>(r#"{"metadata":{"name":"shop"}}"#), (Some(Object::Namespace(label("shop"))), 0));
}

#[test]
fn pods_have_all_their_addresses() {
    // (status, the addresses)
    let cases: [(&str, &[&str]); 4] = [
        (r#"{"podIP":"10.1.0.1","podIPs":[{"ip":"10.1.0.1"},{"ip":"fd00::1"}]}"#, &["10.1.0.1", "fd00::1"]),
        (r#"{"podIP":"10.1.0.1"}"#, &["10.1.0.1"]),
        // Not on a node yet.
        (r#"{"podIPs":[{}]}"#, &[]),
        ("{}", &[]),
    ];
    for (status, expected) in cases {
        let json = format!(r#"{{"metadata":{{"name":"web.1","namespace":"shop"}},"status":{status}}}"#);
        let pod = Pod { namespace: label("shop"), name: "web.1".into(), addresses: addresses(expected) };
        assert_eq!(trimmed::<RawPod>(&json).0, Some(Object::Pod(pod)), "{status}");
    }
}

#[test]
fn lines_of_a_watch_are_read() {
    let line = |json: &str| serde_json::from_str::<Event<RawNamespace>>(json).unwrap();
    let object = r#"{"kind":"Namespace","metadata":{"name":"shop","resourceVersion":"5"}}"#;
    assert!(matches!(line(&format!(r#"{{"type":"ADDED","object":{object}}}"#)), Event::Added(_)));
    assert!(matches!(line(&format!(r#"{{"type":"DELETED","object":{object}}}"#)), Event::Deleted(_)));
    let bookmark =
        line(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","creationTimestamp":null}}}"#);
    assert!(matches!(bookmark, Event::Bookmark(Bookmark { metadata }) if metadata.resource_version == "9"));
    let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
    assert!(matches!(line(gone), Event::Error(Status { code: 410, .. })));
}
