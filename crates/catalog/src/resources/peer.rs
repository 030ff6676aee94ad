//! The resource `Peer`: from and to a peer as text.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strait_federation::{PeerDocument, PeerRecord};

use super::objects::{GROUP, Resource, ResourceKind, VERSION};

/// What is wanted of a peer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    suffix: String,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    trust_domain: String,
    trust_bundle: String,
    #[serde(default)]
    directions: Directions,
    #[serde(default)]
    namespaces: Namespaces,
    #[serde(default)]
    addresses: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
enum Directions {
    #[default]
    Both,
    OutboundOnly,
    InboundOnly,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Namespaces {
    allow: Vec<String>,
    deny: Vec<String>,
}

/// What the resource wants, or why it cannot be read.
pub(super) fn document(resource: &Resource) -> Result<PeerDocument, String> {
    let spec = Spec::deserialize(&resource.spec).map_err(|error| format!("spec: {error}"))?;
    Ok(PeerDocument {
        name: resource.metadata.name.clone(),
        suffix: spec.suffix,
        endpoints: spec.endpoints,
        trust_domain: spec.trust_domain,
        trust_bundle: spec.trust_bundle,
        outbound: !matches!(spec.directions, Directions::InboundOnly),
        inbound: !matches!(spec.directions, Directions::OutboundOnly),
        allow_namespaces: spec.namespaces.allow,
        deny_namespaces: spec.namespaces.deny,
        addresses: spec.addresses,
        changed_at: resource.metadata.changed_at(),
    })
}

/// The resource that wants this. Every field is there: what somebody else has written into one must not stay.
pub(super) fn resource(peer: &PeerRecord) -> Value {
    let document = PeerDocument::from(peer);
    let directions = match (document.outbound, document.inbound) {
        (true, false) => Directions::OutboundOnly,
        (false, true) => Directions::InboundOnly,
        _ => Directions::Both,
    };
    let allow = match document.allow_namespaces {
        none if none.is_empty() => vec!["*".to_owned()],
        some => some,
    };
    let spec = Spec {
        suffix: document.suffix,
        endpoints: document.endpoints,
        trust_domain: document.trust_domain,
        trust_bundle: document.trust_bundle,
        directions,
        namespaces: Namespaces { allow, deny: document.deny_namespaces },
        addresses: document.addresses,
    };
    let (version, kind) = (format!("{GROUP}/{VERSION}"), ResourceKind::Peer.name());
    json!({ "apiVersion": version, "kind": kind, "metadata": { "name": document.name }, "spec": spec })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strait_federation::{Directions as Standing, judge};

    use super::*;
    use crate::resources::keeper::tests::{home, record};

    fn read(written: Value) -> Result<PeerDocument, String> {
        document(&serde_json::from_value(written).unwrap())
    }

    #[test]
    fn a_peer_that_is_written_is_read_as_it_was() {
        for directions in [Standing::Both, Standing::OutboundOnly, Standing::InboundOnly] {
            let record = PeerRecord { directions, ..record("cluster-b") };
            let judged = judge([&read(resource(&record)).unwrap()], &home());
            assert_eq!(**judged.set.get("cluster-b").unwrap(), PeerRecord { changed_at: 0, ..record });
        }
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_no_peer_says_why() {
        let minimal =
            json!({ "metadata": { "name": "b" }, "spec": { "suffix": "b.example.com", "trustBundle": "PEM" } });
        let document = read(minimal).unwrap();
        assert!(document.outbound && document.inbound && document.allow_namespaces.is_empty());
        // (spec, part of the error)
        let cases = [
            (json!(null), "invalid type"),
            (json!({ "suffix": "b.example.com" }), "trustBundle"),
            (json!({ "suffix": 7, "trustBundle": "" }), "invalid type"),
            (json!({ "suffix": "b.example.com", "trustBundle": "", "directions": "Up" }), "Up"),
        ];
        for (spec, part) in cases {
            let error = read(json!({ "metadata": { "name": "b" }, "spec": spec })).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
