//! What a security engineer reads first: who the containers are, what they may, and what the cluster lets them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{containers, list, pod_specs, rendered, the};

#[test]
fn containers_may_nothing_but_what_they_need() {
    for (name, objects) in rendered() {
        for (object, pod) in pod_specs(&objects) {
            let pod_context = &pod["securityContext"];
            assert_eq!(pod_context["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for container in containers(pod) {
                let at = format!("{name}: {} {}", object["metadata"]["name"], container["name"]);
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{at}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{at}");
                assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{at}");
                assert!(context["privileged"].is_null(), "{at}");
                let added: Vec<_> = list(&context["capabilities"], "add").iter().filter_map(Value::as_str).collect();
                let root = context["runAsUser"] == 0;
                let allowed: &[&str] = match container["name"].as_str().unwrap() {
                    "node-agent" if root => &["NET_BIND_SERVICE"],
                    "node-address" => &["NET_ADMIN"],
                    _ => &[],
                };
                assert_eq!(added, allowed, "{at}");
                // Root only where a capability is needed: Kubernetes gives them to nobody else.
                assert_eq!(root, !allowed.is_empty(), "{at}");
                let not_root = context["runAsNonRoot"] == true || pod_context["runAsNonRoot"] == true;
                assert!(root || not_root, "{at}");
            }
        }
    }
}

#[test]
fn containers_have_bounds() {
    for (name, objects) in rendered() {
        for (object, pod) in pod_specs(&objects).filter(|(object, _)| object["kind"] != "Job") {
            for container in containers(pod) {
                let at = format!("{name}: {} {}", object["metadata"]["name"], container["name"]);
                assert!(container["resources"]["requests"]["cpu"].is_string(), "{at}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{at}");
            }
            // A volume in memory or on the node's disk cannot fill it.
            for volume in list(pod, "volumes").iter().filter(|volume| volume["emptyDir"].is_object()) {
                assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{name}: {volume}");
            }
        }
    }
}

#[test]
fn the_node_is_used_by_agents_only_and_its_files_read_only() {
    for (name, objects) in rendered() {
        for (object, pod) in pod_specs(&objects) {
            let of_agent = name.starts_with("node-agent/");
            assert_eq!(pod["hostNetwork"] == true, of_agent, "{name}: {}", object["metadata"]["name"]);
            assert!(pod["hostPID"].is_null() && pod["hostIPC"].is_null(), "{name}");
            let of_host: BTreeSet<_> = list(pod, "volumes")
                .iter()
                .filter(|v| v["hostPath"].is_object())
                .map(|v| v["name"].as_str().unwrap())
                .collect();
            assert!(of_host.is_empty() || of_agent, "{name}: {of_host:?}");
            for mount in containers(pod).flat_map(|container| list(container, "volumeMounts")) {
                let volume = mount["name"].as_str().unwrap();
                // The agent's own folder is the one that is written.
                if of_host.contains(volume) && volume != "state" {
                    assert_eq!(mount["readOnly"], true, "{name}: {volume}");
                }
            }
        }
    }
}

#[test]
fn tokens_are_for_who_asks_the_api_server() {
    for (name, objects) in rendered() {
        for account in objects.iter().filter(|object| object["kind"] == "ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "{name}");
        }
        let asks = objects.iter().any(|object| object["kind"] == "Role" || object["kind"] == "ClusterRole");
        for (object, pod) in pod_specs(&objects) {
            let expected = asks && object["kind"] == "Deployment";
            assert_eq!(pod["automountServiceAccountToken"], expected, "{name}: {}", object["metadata"]["name"]);
        }
    }
}

/// Everything a gateway may do in its own namespace, as `verb resource`: no more than docs/configuration.md says it needs.
const RIGHTS_IN_ITS_NAMESPACE: &[&str] = &[
    "create events",
    "create leases",
    "create peers",
    "delete peers",
    "get leases",
    "list peers",
    "list zones",
    "patch peers",
    "patch peers/status",
    "patch zones/status",
    "update leases",
    "watch peers",
    "watch zones",
];

/// What `rbac.writePeers: false` takes of it.
const WRITING_PEERS: &[&str] = &["create peers", "delete peers", "patch peers"];

/// Everything a gateway may do in the whole cluster.
const RIGHTS_IN_THE_CLUSTER: &[&str] = &[
    "list endpointslices",
    "list namespaces",
    "list serviceexports",
    "list serviceimports",
    "list services",
    "watch endpointslices",
    "watch namespaces",
    "watch serviceexports",
    "watch serviceimports",
    "watch services",
];
const WITH_VERIFIED_PODS: &[&str] = &["list pods", "watch pods"];

#[test]
fn the_gateway_reads_names_and_writes_nothing_in_the_whole_cluster() {
    for (name, objects) in rendered() {
        for role in objects.iter().filter(|object| object["kind"] == "ClusterRole") {
            let mut expected: BTreeSet<String> =
                RIGHTS_IN_THE_CLUSTER.iter().map(|right| (*right).to_owned()).collect();
            if name == "gateway/node-port.yaml" {
                expected.extend(WITH_VERIFIED_PODS.iter().map(|right| (*right).to_owned()));
            }
            assert_eq!(rights(role), expected, "{name}");
        }
        for role in objects.iter().filter(|object| object["kind"] == "Role") {
            let mut expected: BTreeSet<_> = RIGHTS_IN_ITS_NAMESPACE.iter().map(|right| (*right).to_owned()).collect();
            // Where others write the peers.
            if name == "gateway/load-balancer.yaml" {
                expected.retain(|right| !WRITING_PEERS.contains(&right.as_str()));
            }
            assert_eq!(rights(role), expected, "{name}");
            // An existing lease is the one that gateways hold.
            for rule in list(role, "rules").iter().filter(|rule| list(rule, "verbs").contains(&"update".into())) {
                assert_eq!(rule["resourceNames"], serde_json::json!(["strait-gateway"]), "{name}");
            }
        }
    }
}

fn rights(role: &Value) -> BTreeSet<String> {
    let words = |rule: &Value, key: &str| {
        list(rule, key).iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_rule = |rule: &Value| {
        let (verbs, resources) = (words(rule, "verbs"), words(rule, "resources"));
        resources
            .into_iter()
            .flat_map(move |resource| verbs.clone().into_iter().map(move |verb| format!("{verb} {resource}")))
            .collect::<Vec<_>>()
    };
    list(role, "rules").iter().flat_map(of_rule).collect()
}

#[test]
fn of_a_secret_a_pod_has_what_it_reads() {
    for (name, objects) in rendered() {
        for (_, pod) in pod_specs(&objects) {
            for volume in list(pod, "volumes").iter().filter(|volume| volume["secret"].is_object()) {
                let secret = &volume["secret"];
                assert!(!list(secret, "items").is_empty() && secret["defaultMode"] == 0o440, "{name}: {volume}");
            }
        }
    }
}

#[test]
fn the_key_of_the_ca_is_seen_by_who_issues_only() {
    for (name, objects) in rendered().iter().filter(|(name, _)| name == "gateway/node-port.yaml") {
        for (_, pod) in pod_specs(objects) {
            for container in containers(pod) {
                let sees = list(container, "volumeMounts").iter().any(|mount| mount["name"] == "ca");
                assert_eq!(sees, container["name"] == "certificate", "{name}: {}", container["name"]);
            }
        }
        let _ = the(objects, "Deployment");
    }
}
