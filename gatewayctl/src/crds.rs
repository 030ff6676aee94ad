//! `gatewayctl crds`: the definitions of the custom resources, as `kubectl apply` takes them.

use std::io::Write;

use crate::cli::{Failure, Outcome};
use crate::output::Output;

/// The files of the chart, which has the same.
const DEFINITIONS: &[&str] =
    &[include_str!("../../charts/gateway/crds/peers.yaml"), include_str!("../../charts/gateway/crds/zones.yaml")];

/// Writes them, one document after another.
pub(crate) fn run(output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
    output.write_raw(DEFINITIONS.join("---\n").as_bytes())?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};
    use strait_federation::{
        DEFAULT_TTL, MAX_BUNDLE_LEN, MAX_ENDPOINTS, MAX_NAMESPACES, MAX_TEMPLATES, MAX_ZONE_RECORDS, MAX_ZONES_SIZE,
    };
    use strait_resolve::MAX_RANGES;

    use super::*;
    use crate::output::Format;

    /// The definitions of peers and of zones.
    fn definitions() -> [Value; 2] {
        let mut printed = Vec::new();
        run(&mut Output::new(Format::Table, &mut printed)).unwrap();
        let text = String::from_utf8(printed).unwrap();
        let documents: Vec<Value> =
            text.split("---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
        documents.try_into().unwrap()
    }

    fn spec(crd: &Value) -> &Value {
        &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    }

    /// Every key of an object, in order.
    fn keys(object: &Value) -> Vec<&str> {
        let mut keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_definitions_are_of_the_resources_that_the_gateway_reads() {
        let columns: [&[&str]; 2] =
            [&["Suffix", "Ready", "Reachable", "Agreed", "Why", "Age"], &["Zone", "Records", "Ready", "Why", "Age"]];
        for ((crd, name), columns) in definitions().iter().zip(["peers.strait.dev", "zones.strait.dev"]).zip(columns) {
            assert_eq!((&crd["kind"], &crd["metadata"]["name"]), (&json!("CustomResourceDefinition"), &json!(name)));
            assert_eq!(crd["spec"]["scope"], "Namespaced");
            let version = &crd["spec"]["versions"][0];
            assert_eq!((&version["name"], &version["storage"]), (&json!("v1alpha1"), &json!(true)));
            assert_eq!(version["subresources"], json!({ "status": {} }), "its status has a door of its own");
            let printed = version["additionalPrinterColumns"].as_array().unwrap();
            let names: Vec<_> = printed.iter().map(|column| column["name"].as_str().unwrap()).collect();
            assert_eq!(names, columns);
        }
    }

    /// What the schema lets through and the gateway refuses ends as a condition; what the schema refuses never comes so
    /// far. It must not refuse what `gatewayctl peer add` accepts.
    #[test]
    fn the_schema_of_peers_has_the_bounds_of_the_gateway() {
        let [crd, _] = definitions();
        let spec = spec(&crd);
        let bounds = [
            (&spec["endpoints"]["maxItems"], MAX_ENDPOINTS),
            (&spec["addresses"]["maxItems"], MAX_RANGES),
            (&spec["trustBundle"]["maxLength"], MAX_BUNDLE_LEN),
            (&spec["namespaces"]["properties"]["allow"]["maxItems"], MAX_NAMESPACES),
            (&spec["namespaces"]["properties"]["deny"]["maxItems"], MAX_NAMESPACES),
        ];
        for (bound, expected) in bounds {
            assert_eq!(*bound, json!(expected));
        }
        assert_eq!(spec["directions"]["enum"], json!(["Both", "OutboundOnly", "InboundOnly"]));
        // Every key that is written, and no other.
        assert_eq!(
            keys(spec),
            ["addresses", "directions", "endpoints", "namespaces", "suffix", "trustBundle", "trustDomain"]
        );
    }

    #[test]
    fn the_schema_of_zones_has_the_bounds_of_the_gateway() {
        let [_, crd] = definitions();
        let spec = spec(&crd);
        let bounds = [
            (&spec["records"]["maxItems"], MAX_ZONE_RECORDS),
            (&spec["templates"]["maxItems"], MAX_TEMPLATES),
            (&spec["text"]["maxLength"], MAX_ZONES_SIZE),
            (&spec["ttl"]["maximum"], i32::MAX as usize),
        ];
        for (bound, expected) in bounds {
            assert_eq!(*bound, json!(expected));
        }
        assert_eq!(spec["ttl"]["default"], json!(DEFAULT_TTL));
        // Every key that is read, and no other.
        assert_eq!(keys(spec), ["name", "records", "templates", "text", "ttl"]);
        assert_eq!(keys(&spec["records"]["items"]["properties"]), ["name", "ttl", "type", "value", "values"]);
        assert_eq!(keys(&spec["templates"]["items"]["properties"]), ["answer", "match", "ttl", "type"]);
    }
}
