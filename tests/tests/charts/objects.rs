//! What is rendered: objects that Kubernetes knows, and that know each other.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, ResourceQuota, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use strait_tests::chart::NAMESPACE;

use super::{Chart, containers, list, pod_specs, rendered, the};

#[test]
fn helm_finds_no_fault() {
    for chart in Chart::all() {
        for file in chart.matrix() {
            let (folder, file) = (chart.folder(), file.to_string_lossy().into_owned());
            let output = chart.helm(&["lint", "--strict", &folder.to_string_lossy(), "--values", &file]);
            assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn versions_are_those_of_the_programs() {
    let version = format!("appVersion: {}\n", env!("CARGO_PKG_VERSION"));
    for name in ["gateway", "node-agent"] {
        let chart = strait_tests::program::repository().join("charts").join(name).join("Chart.yaml");
        assert!(std::fs::read_to_string(chart).unwrap().contains(&version), "{name}: {version}");
    }
}

#[test]
fn kubernetes_types_know_every_field() {
    for (name, objects) in rendered() {
        for object in &objects {
            let kind = format!("{}/{}", object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
            let read = match kind.as_str() {
                "v1/ConfigMap" => read::<ConfigMap>(object),
                "v1/Service" => read::<Service>(object),
                "v1/ResourceQuota" => read::<ResourceQuota>(object),
                "v1/ServiceAccount" => read::<ServiceAccount>(object),
                "v1/PersistentVolumeClaim" => read::<PersistentVolumeClaim>(object),
                "apps/v1/Deployment" => read::<Deployment>(object),
                "apps/v1/DaemonSet" => read::<DaemonSet>(object),
                "batch/v1/Job" => read::<Job>(object),
                "policy/v1/PodDisruptionBudget" => read::<PodDisruptionBudget>(object),
                "autoscaling/v2/HorizontalPodAutoscaler" => read::<HorizontalPodAutoscaler>(object),
                "networking.k8s.io/v1/NetworkPolicy" => read::<NetworkPolicy>(object),
                "rbac.authorization.k8s.io/v1/ClusterRole" => read::<ClusterRole>(object),
                "rbac.authorization.k8s.io/v1/ClusterRoleBinding" => read::<ClusterRoleBinding>(object),
                "rbac.authorization.k8s.io/v1/Role" => read::<Role>(object),
                "rbac.authorization.k8s.io/v1/RoleBinding" => read::<RoleBinding>(object),
                // Resources of others, which only their owners' schemas know.
                "cert-manager.io/v1/Certificate" => Ok(object.clone()),
                other if other.starts_with("monitoring.coreos.com/") => Ok(object.clone()),
                other => panic!("{name}: no type for {other}"),
            };
            let read = read.unwrap_or_else(|error| panic!("{name}: {kind}: {error}"));
            assert_kept(object, &read, &format!("{name}: {kind}"));
        }
    }
}

/// An object through its type and back.
fn read<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(object.clone())?)
}

/// What the type does not know is gone from `read`.
#[track_caller]
fn assert_kept(object: &Value, read: &Value, at: &str) {
    match (object, read) {
        (Value::Object(object), Value::Object(read)) => {
            for (key, value) in object {
                // What is empty may be left out.
                let empty = value.as_object().is_some_and(serde_json::Map::is_empty) || value.is_null();
                match read.get(key) {
                    Some(read) => assert_kept(value, read, &format!("{at}.{key}")),
                    None => assert!(empty, "{at}: Kubernetes knows no {key}"),
                }
            }
        }
        (Value::Array(object), Value::Array(read)) => {
            for (index, (value, read)) in object.iter().zip(read).enumerate() {
                assert_kept(value, read, &format!("{at}[{index}]"));
            }
        }
        _ => {}
    }
}

#[test]
fn what_names_another_object_finds_it() {
    for (name, objects) in rendered() {
        for object in &objects {
            let at = format!("{name}: {} {}", object["kind"], object["metadata"]["name"]);
            // Those of the whole cluster have none.
            if !object["kind"].as_str().unwrap().starts_with("Cluster") {
                assert_eq!(object["metadata"]["namespace"], NAMESPACE, "{at}");
            }
            if object["roleRef"].is_object() {
                let role = &object["roleRef"];
                let found = |o: &&Value| o["kind"] == role["kind"] && o["metadata"]["name"] == role["name"];
                assert!(objects.iter().any(|o| found(&o)), "{at}: no {role}");
            }
        }
        for (object, pod) in pod_specs(&objects) {
            let at = format!("{name}: {}", object["metadata"]["name"]);
            let volumes: Vec<_> = list(pod, "volumes").iter().map(|volume| &volume["name"]).collect();
            let mounted: Vec<_> = containers(pod).flat_map(|c| list(c, "volumeMounts")).map(|m| &m["name"]).collect();
            assert!(mounted.iter().all(|name| volumes.contains(name)), "{at}: {mounted:?} of {volumes:?}");
            assert!(volumes.iter().all(|name| mounted.contains(name)), "{at}: {volumes:?}, but {mounted:?}");
            for volume in list(pod, "volumes").iter().filter(|volume| volume["configMap"].is_object()) {
                assert_eq!(volume["configMap"]["name"], the(&objects, "ConfigMap")["metadata"]["name"], "{at}");
            }
            let (selector, labels) =
                (&object["spec"]["selector"]["matchLabels"], &object["spec"]["template"]["metadata"]["labels"]);
            for (key, value) in selector.as_object().into_iter().flatten() {
                assert_eq!(&labels[key], value, "{at}: {key}");
            }
        }
    }
}

#[test]
fn the_service_and_the_network_policy_lead_to_the_gateway() {
    for (name, objects) in rendered().iter().filter(|(name, _)| name.starts_with("gateway/")) {
        let deployment = the(objects, "Deployment");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let ports = list(&deployment["spec"]["template"]["spec"]["containers"][0], "ports");
        let has_port = |port: &Value| ports.iter().any(|p| p["name"] == *port);
        let services = || objects.iter().filter(|object| object["kind"] == "Service");
        let served: Vec<_> = services().flat_map(|service| list(&service["spec"], "ports")).collect();
        // DNS over TLS and gRPC, of one Service or of two.
        assert_eq!(served.iter().map(|port| &port["name"]).collect::<Vec<_>>(), ["dot", "grpc"], "{name}");
        for port in served {
            assert!(has_port(&port["targetPort"]), "{name}: {port}");
        }
        let mut selectors: Vec<_> = services().map(|service| &service["spec"]["selector"]).collect();
        for policy in objects.iter().filter(|object| object["kind"] == "NetworkPolicy") {
            selectors.push(&policy["spec"]["podSelector"]["matchLabels"]);
            for port in list(&policy["spec"], "ingress").iter().flat_map(|rule| list(rule, "ports")) {
                assert!(has_port(&port["port"]), "{name}: {port}");
            }
        }
        for selector in selectors {
            let selector = selector.as_object().unwrap();
            assert!(
                !selector.is_empty() && selector.iter().all(|(key, value)| &labels[key] == value),
                "{name}: {selector:?}"
            );
            // Nor to the pod of the chart's test, whose Job lies beside it.
            let of_test = &the(objects, "Job")["spec"]["template"]["metadata"]["labels"];
            assert!(!selector.iter().all(|(key, value)| &of_test[key] == value), "{name}: the test's pod is selected");
        }
    }
}

#[test]
fn what_is_set_is_what_is_rendered() {
    let all = rendered();
    let find = |wanted: &str| &all.iter().find(|(name, _)| name == wanted).unwrap().1;
    if all.is_empty() {
        return;
    }
    let balanced = find("gateway/load-balancer.yaml");
    let services: Vec<_> = balanced.iter().filter(|object| object["kind"] == "Service").collect();
    let service = &services[0]["spec"];
    assert_eq!(
        [
            &service["type"],
            &service["loadBalancerIP"],
            &service["loadBalancerClass"],
            &service["externalTrafficPolicy"],
            &service["ipFamilyPolicy"]
        ],
        ["LoadBalancer", "192.0.2.10", "service.k8s.aws/nlb", "Local", "RequireDualStack"]
    );
    assert_eq!(service["ports"][0]["port"], 853);
    // gRPC is for agents, and stays inside.
    assert_eq!((list(service, "ports").len(), &services[1]["spec"]["type"]), (1, &"ClusterIP".into()));
    assert_eq!(services[1]["metadata"]["name"], "strait-gateway-agents");
    let user = &the(balanced, "Deployment")["spec"]["template"]["spec"]["securityContext"];
    assert_eq!((&user["runAsUser"], &user["runAsNonRoot"]), (&Value::Null, &true.into()));
    assert_eq!(the(balanced, "Certificate")["spec"]["uris"][0], "spiffe://strait.cluster-a.example.com/gateway");
    // The autoscaler alone says how many.
    assert!(the(balanced, "Deployment")["spec"]["replicas"].is_null());
    assert_eq!(the(balanced, "PodDisruptionBudget")["spec"]["minAvailable"], "50%");
    assert!(the(balanced, "PodDisruptionBudget")["spec"]["maxUnavailable"].is_null());

    let ports = find("gateway/node-port.yaml");
    assert_eq!(the(ports, "Service")["spec"]["ports"][1]["nodePort"], 30443);
    let pods_watched = |objects: &[Value]| {
        list(the(objects, "ClusterRole"), "rules").iter().any(|rule| list(rule, "resources").contains(&"pods".into()))
    };
    assert!(pods_watched(ports) && !pods_watched(find("gateway/minimal.yaml")), "pods are for `verified` only");

    let surging = &the(find("node-agent/minimal.yaml"), "DaemonSet")["spec"];
    assert_eq!(surging["updateStrategy"]["rollingUpdate"], serde_json::json!({ "maxSurge": 1, "maxUnavailable": 0 }));
    // Host ports would keep the second agent off the node.
    assert!(surging["template"]["spec"]["containers"][0]["ports"].is_null());
    let in_turn = &the(find("node-agent/host-resolver.yaml"), "DaemonSet")["spec"];
    assert_eq!(
        in_turn["updateStrategy"]["rollingUpdate"],
        serde_json::json!({ "maxSurge": 0, "maxUnavailable": "10%" })
    );
    assert!(in_turn["template"]["spec"]["initContainers"].is_null(), "loopback addresses need no link");
}

/// Each rule of the policy has the ports and the other side that are set, and none of another's.
#[test]
fn the_network_policy_has_a_rule_for_each_side() {
    let all = rendered();
    let policy = |name: &str| {
        let found = all.iter().find(|(rendered, _)| rendered == name).map(|(_, objects)| the(objects, "NetworkPolicy"));
        found.map(|policy| &policy["spec"])
    };
    let (Some(narrow), Some(open)) = (policy("gateway/load-balancer.yaml"), policy("gateway/minimal.yaml")) else {
        return;
    };
    // As `port port: who`.
    let told = |policy: &Value, direction: &str, side: &str| -> Vec<String> {
        let of_rule = |rule: &Value| {
            let ports: Vec<_> = list(rule, "ports").iter().map(|port| port["port"].to_string()).collect();
            let who = match &rule[side] {
                Value::Null => "anybody".to_owned(),
                sides => sides[0]["ipBlock"]["cidr"].as_str().unwrap_or("pods").to_owned(),
            };
            format!("{}: {who}", ports.join(" "))
        };
        list(policy, direction).iter().map(of_rule).collect()
    };
    assert_eq!(
        told(narrow, "ingress", "from"),
        ["\"dot\" \"grpc\": 198.51.100.0/24", "\"grpc\": 10.1.0.0/16", "\"metrics\": pods"]
    );
    assert_eq!(
        told(narrow, "egress", "to"),
        ["53 53 5353 5353: pods", "853 8443: 198.51.100.0/24", "6443: 192.0.2.1/32", ": 203.0.113.0/24"]
    );
    assert_eq!(told(open, "ingress", "from"), ["\"dot\" \"grpc\": anybody", "\"grpc\": anybody", "\"metrics\": pods"]);
    assert_eq!(told(open, "egress", "to"), ["53 53: anybody", "853 8443: anybody", "443 6443: anybody"]);
}

/// The agent's file: whom it asks for the cluster's own zones, and where /metrics is.
#[test]
fn agents_know_whom_to_ask_and_show_nothing_unasked() {
    for chart in Chart::all().into_iter().filter(|chart| chart.name == "node-agent") {
        let config = |values: &[&str]| -> Value {
            let set: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
            let objects = chart.render(&set).unwrap();
            serde_saphyr::from_str(the(&objects, "ConfigMap")["data"]["node-agent.yaml"].as_str().unwrap()).unwrap()
        };
        let known = "clusterDns.servers={10.96.0.10,fd00::a}";
        let with_gateway = ["gateway.endpoints={grpc://10.0.0.1:8443}", "certificates.mode=hostPath"];
        let forward = |zone: &str| serde_json::json!({ "zone": zone, "servers": ["10.96.0.10", "fd00::a"] });
        assert_eq!(config(&[known])["forward"], serde_json::json!([forward("cluster.local")]));
        // What the gateway answers is not asked of the cluster's DNS, and the rest is.
        let of_gateway = [&with_gateway[..], &["gateway.zones={cluster.local}"]].concat();
        assert!(config(&of_gateway)["forward"].is_null());
        let both = [&with_gateway[..], &["gateway.zones={10.96.0.0/12}", known]].concat();
        assert_eq!(config(&both)["forward"], serde_json::json!([forward("cluster.local")]));

        assert_eq!(config(&[known])["admin"], "127.0.0.1:9153");
        assert_eq!(config(&[known, "admin=[::]:9153"])["admin"], "[::]:9153");
        for monitor in ["podMonitor", "serviceMonitor"] {
            let scraped = format!("monitoring.{monitor}.enabled=true");
            assert_eq!(config(&[known, &scraped])["admin"], "0.0.0.0:9153");
        }
    }
}

/// Kubelet makes a folder as root's, which an agent that is not root could not write to.
#[test]
fn who_is_not_root_needs_a_folder_of_its_own() {
    for (name, objects) in rendered().iter().filter(|(name, _)| name.starts_with("node-agent/")) {
        let pod = &the(objects, "DaemonSet")["spec"]["template"]["spec"];
        let root = pod["containers"][0]["securityContext"]["runAsUser"] == 0;
        for volume in list(pod, "volumes").iter().filter(|volume| volume["name"] == "state") {
            assert_eq!(volume["hostPath"]["type"], if root { "DirectoryOrCreate" } else { "Directory" }, "{name}");
        }
    }
}

#[test]
fn a_pod_has_the_time_to_go() {
    for (name, objects) in rendered() {
        let config = the(&objects, "ConfigMap")["data"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
        let lameduck = config.lines().find_map(|line| line.strip_prefix("lameduck: ")).unwrap();
        let lameduck: u64 = lameduck.trim_end_matches('s').parse().unwrap();
        let running = pod_specs(&objects).find(|(object, _)| object["kind"] != "Job").unwrap().1;
        // 10 s for what is in work (DRAIN_LIMIT), and 1 s for the runtime.
        assert!(running["terminationGracePeriodSeconds"].as_u64().unwrap() > lameduck + 11, "{name}");
    }
}
