//! The charts: every rendering is taken by the server, with every field known.

use serde_json::{Value, json};
use strait_tests::RealApi;
use strait_tests::chart::Chart;

use super::Kubectl;

/// Groups whose definitions are others': the server has none of them.
const OF_OTHERS: &[&str] = &["monitoring.coreos.com/", "cert-manager.io/"];

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn every_rendering_is_taken_by_the_server() {
    let api = RealApi::start();
    let kubectl = Kubectl::of(&api);
    kubectl.install_definitions();
    for chart in ["gateway", "node-agent"].map(Chart::named) {
        for (number, file) in chart.matrix().iter().enumerate() {
            let name = format!("{}/{}", chart.name, file.file_name().unwrap().to_string_lossy());
            let namespace = format!("{}-{number}", chart.name);
            let values = ["--values", &file.to_string_lossy()];
            let mut objects = chart.render_in(&namespace, &values).unwrap();
            let is_of_others = |object: &Value| {
                let version = object["apiVersion"].as_str().unwrap();
                OF_OTHERS.iter().any(|group| version.starts_with(group))
            };
            objects.retain(|object| !is_of_others(object));
            assert!(objects.len() >= 3, "{name}: {}", objects.len());
            api.ensure_namespace(&namespace);
            // As the first of all, for a namespace like that of the release must let its pods in.
            let level = if chart.name == "gateway" { "restricted" } else { "privileged" };
            let enforced = format!("pod-security.kubernetes.io/enforce={level}");
            kubectl.must(&["label", "namespace", &namespace, &enforced]);
            // Ports of nodes are one cluster's, and every release wants the same.
            let dry = ["--dry-run=server"];
            let how: &[&str] =
                if objects.iter().any(|object| object["spec"]["type"] == "NodePort") { &dry } else { &[] };
            kubectl.apply(&objects, how).unwrap_or_else(|error| panic!("{name}: {error}"));
            // Pods are made from templates by controllers that are not here: as the server would take them.
            for object in objects.iter().filter(|object| object["spec"]["template"]["spec"].is_object()) {
                let mut pod = object["spec"]["template"].clone();
                pod["apiVersion"] = json!("v1");
                pod["kind"] = json!("Pod");
                pod["metadata"]["name"] = json!("of-template");
                pod["metadata"]["namespace"] = json!(namespace);
                kubectl.apply(&[pod], &dry).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}
