//! Resource definitions as tests install and remove them: ours from the chart, and those of KEP-1645 in few words.

use serde_json::{Value, json};

use super::{RealApi, list};
use crate::program::repository;
use crate::{ApiServer as _, Collection, until};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

impl RealApi {
    /// Makes the definition of a collection say which of its versions are served; without any it goes.
    pub(super) fn define(&self, collection: &Collection) {
        let name = format!("{}.{}", collection.plural, collection.group);
        let mut definition = definition(collection);
        let is_of = |version: &Value| Collection { version: text(&version["name"]), ..collection.clone() };
        let served = self.served.lock().unwrap().clone();
        let mut any = false;
        for version in definition["spec"]["versions"].as_array_mut().into_iter().flatten() {
            let is_served = served.contains(&is_of(version));
            version["served"] = json!(is_served);
            any |= is_served;
        }
        if any {
            let definitions = Collection::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
            self.apply(&definitions, "", &name, definition.clone());
        } else {
            // It may never have been there.
            self.send("DELETE", &format!("{DEFINITIONS}/{name}"), &Value::Null);
        }
        let group = format!("/apis/{}", collection.group);
        for version in list(&definition["spec"]["versions"]) {
            let of = is_of(version);
            let expected = served.contains(&of);
            until(&format!("{of:?} to be served: {expected}"), || {
                let all = self.send("GET", &Self::path(&of, ""), &Value::Null).0 == 200;
                let (status, known) = self.send("GET", &format!("{group}/{}", of.version), &Value::Null);
                let is_known = list(&known["resources"]).iter().any(|one| one["name"] == of.plural.as_str());
                (all, status == 200 && is_known) == (expected, expected)
            });
        }
    }
}

/// The definition of a collection, of ours or of what clusters share.
fn definition(collection: &Collection) -> Value {
    match collection.group.as_str() {
        "strait.dev" => {
            let file = repository().join("charts/gateway/crds").join(format!("{}.yaml", collection.plural));
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        }
        "multicluster.x-k8s.io" => shared(collection),
        other => panic!("no definition of {other}"),
    }
}

/// As much of KEP-1645's definitions as an object needs to be taken.
fn shared(collection: &Collection) -> Value {
    let singular = collection.plural.trim_end_matches('s');
    let kind = if singular == "serviceexport" { "ServiceExport" } else { "ServiceImport" };
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let schema = json!({ "type": "object", "properties": { "spec": any, "status": any } });
    let version = |name: &str, is_stored: bool| {
        json!({ "name": name, "served": true, "storage": is_stored, "subresources": { "status": {} },
            "schema": { "openAPIV3Schema": schema } })
    };
    json!({
        // The group is one that the server lets nobody define without a word about who approved of it.
        "metadata": { "annotations": { "api-approved.kubernetes.io": "unapproved, for tests" } },
        "spec": {
            "group": collection.group, "scope": "Namespaced",
            "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": collection.plural, "singular": singular },
            "versions": [version("v1beta1", true), version("v1alpha1", false)],
        },
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
