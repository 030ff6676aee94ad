//! The charts: linted, rendered over a matrix of values, read by Kubernetes' own types, and their configurations by the
//! programs. `helm` does the rendering; where it is missing the tests say so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]

mod configuration;
mod monitoring;
mod objects;
mod scripts;
mod security;
mod values;

use serde_json::Value;
use strait_tests::chart::{Chart, rendered};

/// The one object of a kind.
#[track_caller]
fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several {kind}");
    object
}

/// The templates of pods in an object, and every container in them.
fn pod_specs(objects: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    objects
        .iter()
        .filter(|object| object["spec"]["template"]["spec"].is_object())
        .map(|object| (object, &object["spec"]["template"]["spec"]))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().filter_map(|key| pod[key].as_array()).flatten()
}

/// A list of a JSON document; an absent one is empty.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
