//! Values: what is wrong is refused with words, and what there is is told.

use std::collections::BTreeSet;

use serde_json::Value;
use strait_tests::program::repository;

use super::Chart;

#[test]
fn wrong_values_are_refused_with_words() {
    let gateway: &[(&[&str], &str)] = &[
        // What must be given.
        (&["cluster=", "suffix="], "at '/suffix'"),
        // Keys nobody knows, at the top and further down.
        (&["replica=3"], "additional properties 'replica' not allowed"),
        (&["service.port=53"], "at '/service': additional properties 'port' not allowed"),
        (&["suffix=local"], "at '/suffix'"),
        (&["replicas=0"], "at '/replicas': minimum: got 0, want 1"),
        (&["replicas=two"], "at '/replicas': got string, want integer"),
        (&["service.type=Ingress"], "at '/service/type': value must be one of"),
        (&["service.ports.dot=70000"], "at '/service/ports/dot': maximum"),
        (&["backend.mode=magic"], "at '/backend/mode': value must be one of"),
        (&["certificates.mode=selfSigned"], "at '/certificates/mode': value must be one of"),
        (&["backend.kubernetes.pods=on"], "at '/backend/kubernetes/pods': value must be one of"),
        (&["image.digest=sha256:abc"], "at '/image/digest'"),
        (&["service.loadBalancerSourceRanges={10.0.0.1}"], "at '/service/loadBalancerSourceRanges/0'"),
        (&["reverse={10.0.0.0/33}"], "at '/reverse/0'"),
        (&["reverse={fd00::/129}"], "at '/reverse/0'"),
        // What does not go together.
        (&["suffix=cluster.local."], "neither within homeZone"),
        (&["suffix=a.cluster.local"], "neither within homeZone"),
        (&["homeZone=k8s.cluster-a.example.com"], "neither within homeZone"),
        (&["state.mode=file"], "state.mode: file keeps peers in a file of one gateway"),
        (&["backend.mode=clusterDns"], "backend.mode: clusterDns needs backend.clusterDns.servers"),
        (&["certificates.mode=certManager"], "needs certificates.certManager.issuerRef.name"),
        (
            &["autoscaling.enabled=true", "autoscaling.minReplicas=9"],
            "autoscaling.minReplicas is over autoscaling.maxReplicas",
        ),
        (&["podDisruptionBudget.minAvailable=1"], "podDisruptionBudget: give one of maxUnavailable and minAvailable"),
        (
            &["monitoring.prometheusRule.enabled=true", "monitoring.prometheusRule.disabled={StraitNothing}"],
            "there is no alert StraitNothing",
        ),
    ];
    let agent: &[(&[&str], &str)] = &[
        (&["mode=sidecar"], "at '/mode': value must be one of"),
        (&["port=0"], "at '/port': minimum"),
        // Nobody's, somebody else's, and a cloud's.
        (&["nodeLocal.addresses={0.0.0.0}"], "at '/nodeLocal/addresses/0'"),
        (&["nodeLocal.addresses={8.8.8.8}"], "at '/nodeLocal/addresses/0'"),
        (&["nodeLocal.addresses={2001:db8::1}"], "at '/nodeLocal/addresses/0'"),
        (&["nodeLocal.addresses={169.254.169.254}"], "nodes ask their cloud"),
        (&["hostResolver.addresses={10.0.0.1}"], "at '/hostResolver/addresses/0'"),
        // Agents that deny the cluster's own names: helm cannot look for the cluster's DNS here.
        (&["clusterDns.servers=null"], "the agents would deny cluster.local"),
        (
            &["clusterDns.servers=null", "clusterDns.zones={cluster.local,96.10.in-addr.arpa}"],
            "deny cluster.local, 96.10",
        ),
        (
            &[
                "gateway.zones={Cluster.Local.}",
                "gateway.endpoints={grpc://10.0.0.1:8443}",
                "certificates.mode=hostPath",
            ],
            "clusterDns.zones and gateway.zones have a zone in common",
        ),
        // What the pod depends on.
        (&["config.handOver=false"], "config.handOver: the pod must know"),
        (&["config.socket=/tmp/s"], "config.socket: the pod must know"),
        (&["monitoring.podMonitor.enabled=true", "admin=127.0.0.1:9153"], "nobody can scrape admin: 127.0.0.1:9153"),
        (&["monitoring.serviceMonitor.enabled=true", "admin=[::1]:9153"], "nobody can scrape admin: [::1]:9153"),
        (&["nodeLocal.addresses={localhost}"], "at '/nodeLocal/addresses/0'"),
        (&["nodeLocal.link=a-name-that-is-too-long"], "at '/nodeLocal/link'"),
        (&["gateway.endpoints={tls://10.0.0.1:853}"], "at '/gateway/endpoints/0'"),
        (&["hostNetwork=false"], "additional properties 'hostNetwork' not allowed"),
        (&["gateway.endpoints={grpc://10.0.0.1:8443}"], "gateway.endpoints needs a certificate"),
        (&["gateway.zones={corp.example}"], "gateway.zones needs gateway.endpoints"),
        (&["mode=hostResolver"], "mode: hostResolver cannot have upstreams.source: resolvConf"),
        (&["upstreams.source=hostFile", "upstreams.hostFile=/etc/resolv.conf"], "/etc has more in it than that"),
        (&["upstreams.source=hostFile", "upstreams.hostFile=/etc/kubernetes/resolv.conf"], "a folder of its own"),
        (&["upstreams.source=servers"], "upstreams.source: servers needs upstreams.servers"),
        (&["certificates.mode=certManagerCsi"], "certManagerCsi needs certificates.certManagerCsi.trustDomain"),
    ];
    for chart in Chart::all() {
        let (base, cases) = match chart.name {
            "gateway" => ("cluster=cluster-a,suffix=cluster-a.example.com", gateway),
            _ => ("clusterDns.servers={10.96.0.10}", agent),
        };
        chart.render(&["--set", base]).unwrap();
        // `clusterDns.zones: []` says that there is nothing to ask for.
        if chart.name == "node-agent" {
            chart.render(&["--set-json", "clusterDns.zones=[]"]).unwrap();
        }
        for (wrong, words) in cases {
            let error = chart.render(&["--set", base, "--set", &wrong.join(",")]).unwrap_err();
            assert!(error.contains(words), "{wrong:?}: {error}");
        }
    }
}

/// Every key of a mapping, with dots, as deep as the schema says what there is.
fn keys(value: &Value, schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    let Some(known) = schema["properties"].as_object() else { return };
    for (key, below) in value.as_object().into_iter().flatten() {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        found.insert(path.clone());
        keys(below, known.get(key).unwrap_or(&Value::Null), &path, found);
    }
}

/// Every key that a schema knows.
fn known(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        found.insert(path.clone());
        known(below, &path, found);
    }
}

#[test]
fn values_and_schema_have_the_same_keys_and_each_is_told() {
    for name in ["gateway", "node-agent"] {
        let folder = repository().join("charts").join(name);
        let text = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
        let values: Value = serde_saphyr::from_str(&text).unwrap();
        let schema: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("values.schema.json")).unwrap()).unwrap();
        let (mut there, mut allowed) = (BTreeSet::new(), BTreeSet::new());
        keys(&values, &schema, "", &mut there);
        known(&schema, "", &mut allowed);
        // What helm itself hands to every chart.
        allowed.remove("global");
        let free = |path: &&String| path.starts_with("resources.") || path.starts_with("imagePullSecrets");
        let missing: Vec<_> = allowed.difference(&there).filter(|path| !free(path)).collect();
        assert!(missing.is_empty(), "{name}: values.yaml lacks {missing:?}");
        let unknown: Vec<_> = there.difference(&allowed).collect();
        assert!(unknown.is_empty(), "{name}: values.schema.json lacks {unknown:?}");
        // A block of keys begins with a comment.
        for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
            assert!(block.trim_start().starts_with('#'), "{name}: no word about\n{block}");
        }
    }
}
