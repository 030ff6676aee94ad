//! `gatewayctl crds`: the definitions of the custom resources, as `kubectl apply` takes them.

use std::io::Write;

use crate::cli::{Failure, Outcome};
use crate::output::Output;

/// The files of the chart, which has the same.
const DEFINITIONS: &[&str] = &[include_str!("../../charts/gateway/crds/peers.yaml")];

/// Writes them, one document after another.
pub(crate) fn run(output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
    output.write_raw(DEFINITIONS.join("---\n").as_bytes())?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};
    use strait_federation::{MAX_BUNDLE_LEN, MAX_ENDPOINTS, MAX_NAMESPACES};
    use strait_resolve::MAX_RANGES;

    use super::*;
    use crate::output::Format;

    fn definition() -> Value {
        let mut printed = Vec::new();
        run(&mut Output::new(Format::Table, &mut printed)).unwrap();
        serde_saphyr::from_str(&String::from_utf8(printed).unwrap()).unwrap()
    }

    #[test]
    fn the_definition_is_of_the_resource_that_the_gateway_reads() {
        let crd = definition();
        assert_eq!((&crd["kind"], &crd["spec"]["scope"]), (&json!("CustomResourceDefinition"), &json!("Namespaced")));
        assert_eq!(crd["metadata"]["name"], "peers.strait.dev");
        let version = &crd["spec"]["versions"][0];
        assert_eq!((&version["name"], &version["storage"]), (&json!("v1alpha1"), &json!(true)));
        assert_eq!(version["subresources"], json!({ "status": {} }), "its status has a door of its own");
        let columns = version["additionalPrinterColumns"].as_array().unwrap();
        let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Suffix", "Ready", "Reachable", "Agreed", "Why", "Age"]);
    }

    /// What the schema lets through and the gateway refuses ends as a condition; what the schema refuses never comes so
    /// far. It must not refuse what `gatewayctl peer add` accepts.
    #[test]
    fn the_schema_has_the_bounds_of_the_gateway() {
        let crd = definition();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
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
        let mut keys: Vec<_> = spec.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            ["addresses", "directions", "endpoints", "namespaces", "suffix", "trustBundle", "trustDomain"]
        );
    }
}
