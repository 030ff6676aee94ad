//! What a good file means: every key, every default, and what `--print-config` prints.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use strait_config::{
    Backend, ClusterSetOptions, ConfigFile, Format, GatewayConfig, Kind, KubernetesAccess, KubernetesSettings,
    KubernetesState, Loaded, NodeAgentConfig, PodNames, State, ZoneKind, check,
};
use strait_identity::{Alpn, CertificateAuthority, LeafRequest, TrustDomain};
use strait_link::{HealthSettings, UpstreamServers};
use strait_resolve::{CacheSettings, QueryLogFilter};

const AGENT: &str = r#"
node: worker-1
listen: ["127.0.0.1:5300", "[::1]:5300"]
allow: [10.0.0.0/8]
admin: 127.0.0.1:9153
socket: node-agent.sock
identity:
  certificate: tls.crt
  key: tls.key
  trustBundle: ca.crt
gateway:
  endpoints: ["grpc://10.0.0.5:8443", grpc://gateway.example.com]
  zones: [pods.example, 10.96.0.0/15]
  suffixes: [clusters.example.com]
state: state
workers: 3
zones:
  - name: example.com
    ttl: 300
    records:
      - { name: api, type: A, value: 192.0.2.10, ttl: 60 }
      - { name: "*.apps", type: A, values: [192.0.2.11, 192.0.2.12] }
      - { name: "@", type: TXT, value: "\"it's\" 'quoted'" }
    templates:
      - { match: 'node-(?<n>[0-9]{1,3})', type: A, answer: '10.1.0.{{ n }}', ttl: 30 }
  - name: example.org
    file: example.org.zone
hosts: { files: [hosts], ttl: 1m }
upstreams:
  servers: [192.0.2.53, "tls://192.0.2.54#dns.example.net"]
  ca: ca.crt
  maxOutstanding: 100
  minTryBudget: 50ms
  maxTryBudget: 1s
forward:
  - { zone: cluster.local, servers: [10.96.0.10] }
peers:
  - { name: cluster-b, suffix: cluster-b.example.com, endpoints: ["tls://192.0.2.1:853"], trustDomain: cluster-b.example.com, trustBundle: peer-ca.crt }
health: { interval: 2s, timeout: 300ms, rise: 2, fall: 3 }
cache: { size: 1MiB, minTtl: 5s, maxTtl: 1h, maxNegativeTtl: 1m, failureTtl: 5s, maxFailureTtl: 1m, staleFor: 2d,
  staleAfter: 500ms, staleRecheck: 1m, prefetchHits: 9 }
deadline: 2s
lameduck: 0s
queryLog: { filter: errors, format: json, file: queries.log }
log: { level: "info,strait_link=debug", format: json }
"#;

const GATEWAY: &str = r#"
cluster: cluster-a
suffix: cluster-a.example.com
listen: ["tls://127.0.0.1:0", "grpc://[::1]"]
socket: gateway.sock
state: peers.json
identity: { certificate: gateway.crt, key: gateway.key, trustBundle: ca.crt }
backend:
  zones:
    - name: svc.cluster.local
      records:
        - { name: web.shop, type: A, value: 10.96.1.1 }
"#;

/// A folder with a configuration and the files it names.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let day = Duration::from_secs(86_400);
    let authority = |name: &str| CertificateAuthority::create(&name.parse::<TrustDomain>().unwrap(), day).unwrap();
    let own = authority("cluster-a.example.com");
    write("ca.crt", own.certificate_pem());
    write("peer-ca.crt", authority("cluster-b.example.com").certificate_pem());
    for (name, path) in [("tls", "node-agent/worker-1"), ("gateway", "gateway")] {
        let id = format!("spiffe://cluster-a.example.com/{path}").parse().unwrap();
        let leaf = LeafRequest { id, dns_names: Vec::new(), addresses: Vec::new(), lifetime: day };
        let issued = own.issue(&leaf).unwrap();
        write(&format!("{name}.crt"), &issued.certificate_pem);
        write(&format!("{name}.key"), &issued.key_pem);
    }
    write("example.org.zone", "$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 300\n  IN NS ns\nns IN A 192.0.2.1\n");
    write("hosts", "127.0.0.1 localhost\n");
    write("config.yaml", text);
    folder
}

fn load<C: ConfigFile>(folder: &tempfile::TempDir) -> Loaded<C> {
    match C::load(&folder.path().join("config.yaml")) {
        Ok(loaded) => loaded,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn every_key_of_a_node_agent() {
    let folder = folder(AGENT);
    let Loaded { config, warnings, .. } = load::<NodeAgentConfig>(&folder);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.node, "worker-1");
    assert_eq!(config.listen, ["127.0.0.1:5300".parse().unwrap(), "[::1]:5300".parse().unwrap()]);
    assert_eq!(config.workers.get(), 3);
    assert_eq!(config.allow.ranges(), ["10.0.0.0/8".parse().unwrap()]);
    let id = config.identity.unwrap().credentials.id();
    assert_eq!(id.to_string(), "spiffe://cluster-a.example.com/node-agent/worker-1");
    let gateway: Vec<String> = config.gateway.iter().map(ToString::to_string).collect();
    assert_eq!(gateway, ["grpc://10.0.0.5:8443", "grpc://gateway.example.com:8443"]);
    let zones: Vec<String> = config.gateway_zones.iter().map(ToString::to_string).collect();
    assert_eq!(zones, ["pods.example.", "96.10.in-addr.arpa.", "97.10.in-addr.arpa."]);
    assert_eq!(config.gateway_suffixes, ["clusters.example.com".parse().unwrap()]);
    assert_eq!(config.state.unwrap(), folder.path().join("state"));
    let zones: Vec<_> = config.zones.iter().map(|zone| (zone.zone.apex().to_string(), zone.kind)).collect();
    assert_eq!(zones, [("example.com.".to_owned(), ZoneKind::Static), ("example.org.".to_owned(), ZoneKind::File)]);
    let hosts = config.hosts.unwrap();
    assert_eq!((hosts.files, hosts.ttl), (vec![folder.path().join("hosts")], 60));
    let upstreams = config.upstreams.unwrap();
    assert!(matches!(&upstreams.servers, UpstreamServers::List(list) if list.len() == 2));
    assert!(upstreams.zone.is_root() && upstreams.ca.is_some());
    assert_eq!((upstreams.name.as_str(), upstreams.max_outstanding), (".", 100));
    assert_eq!((upstreams.min_try_budget.as_millis(), upstreams.max_try_budget.as_millis()), (50, 1000));
    assert_eq!(upstreams.exclude, config.listen);
    assert_eq!(config.forward[0].name, "cluster.local.");
    let peer = &config.peers[0];
    assert_eq!((peer.name.as_str(), peer.suffix.to_string()), ("cluster-b", "cluster-b.example.com.".to_owned()));
    assert_eq!(peer.trust_bundle.trust_domain().as_str(), "cluster-b.example.com");
    assert_eq!(config.socket, Some(folder.path().join("node-agent.sock")));
    let daemon = config.daemon;
    assert_eq!(daemon.admin, Some("127.0.0.1:9153".parse().unwrap()));
    assert_eq!((daemon.health.interval, daemon.health.timeout), (Duration::from_secs(2), Duration::from_millis(300)));
    assert_eq!((daemon.health.rise, daemon.health.fall), (2, 3));
    assert_eq!((daemon.cache.size, daemon.cache.min_ttl, daemon.cache.max_ttl), (1 << 20, 5, 3_600));
    assert_eq!((daemon.cache.max_negative_ttl, daemon.cache.failure_ttl), (60, Duration::from_secs(5)));
    assert_eq!(daemon.cache.max_failure_ttl, Duration::from_secs(60));
    let stale = &daemon.cache.stale;
    assert_eq!((stale.keep_for, stale.recheck), (Duration::from_secs(172_800), Duration::from_secs(60)));
    assert_eq!((stale.client_timer, daemon.cache.prefetch_hits), (Duration::from_millis(500), 9));
    assert_eq!((daemon.deadline, daemon.lameduck), (Duration::from_secs(2), Duration::ZERO));
    assert_eq!((daemon.query_log.filter, daemon.query_log.format), (QueryLogFilter::Errors, Format::Json));
    assert_eq!(daemon.query_log.file, Some(folder.path().join("queries.log")));
    assert_eq!((daemon.log.level.as_str(), daemon.log.format), ("info,strait_link=debug", Format::Json));
}

#[test]
fn defaults_are_those_of_the_parts() {
    let folder = folder("upstreams: { servers: [192.0.2.53] }\n");
    let config = load::<NodeAgentConfig>(&folder).config;
    assert!(!config.node.is_empty());
    assert_eq!(config.listen, ["127.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert!(config.allow.ranges().contains(&"127.0.0.0/8".parse().unwrap()));
    // Half of the processors, one to eight.
    let processors = std::thread::available_parallelism().unwrap().get();
    assert!((1..=8).contains(&config.workers.get()) && config.workers.get() <= processors.div_ceil(2));
    let (health, cache) = (HealthSettings::default(), CacheSettings::default());
    assert_eq!(format!("{:?}", config.daemon.health), format!("{health:?}"));
    assert_eq!(format!("{:?}", config.daemon.cache), format!("{cache:?}"));
    assert_eq!(config.daemon.admin, None);
    assert_eq!((config.daemon.deadline, config.daemon.lameduck), (Duration::from_secs(3), Duration::from_secs(5)));
    assert_eq!(config.upstreams.unwrap().max_outstanding, 4096);
}

#[test]
fn a_gateway_with_zones_and_one_with_cluster_dns() {
    let zones = folder(GATEWAY);
    let config = load::<GatewayConfig>(&zones).config;
    assert_eq!(
        (config.cluster.as_str(), config.suffix.to_string()),
        ("cluster-a", "cluster-a.example.com.".to_owned())
    );
    assert_eq!(config.home_zone.to_string(), "cluster.local.");
    assert_eq!(config.listen, [("127.0.0.1:0".parse().unwrap(), Alpn::Dot), ("[::1]:8443".parse().unwrap(), Alpn::H2)]);
    assert_eq!(config.socket, zones.path().join("gateway.sock"));
    assert_eq!(config.state, State::File(zones.path().join("peers.json")));
    assert!(matches!(config.backend, Backend::Zones(zones) if zones.len() == 1));

    let text = GATEWAY.split("backend:").next().unwrap().to_owned() + "backend: { clusterDns: [10.96.0.10] }\n";
    let config = load::<GatewayConfig>(&folder(&text)).config;
    assert!(matches!(config.backend, Backend::ClusterDns(group) if group.zone == config.home_zone));
}

/// A gateway's configuration with that backend.
fn gateway_with(backend: &str) -> String {
    GATEWAY.split("backend:").next().unwrap().to_owned() + "backend: " + backend + "\n"
}

const EVERY_KEY_OF_KUBERNETES: &str = "{ kubernetes: { kubeconfig: kubeconfig, context: cluster-a, ttl: 30, \
    pods: verified, snapshot: saved/catalog, staleAfter: 5m, \
    clusterSet: { names: on, clusterId: b1, from: [cluster-c, cluster-d], weights: [{ peer: cluster-c, weight: 3 }, { peer: cluster-d, weight: 0 }] } } }";

#[test]
fn a_gateway_with_the_kubernetes_api() {
    let folder_with = |backend: &str| {
        let folder = folder(&gateway_with(backend));
        let kubeconfig = "contexts: [{ name: other }, { name: cluster-a }]\ncurrent-context: other\n";
        fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
        folder
    };
    let settings = |folder: &tempfile::TempDir| match load::<GatewayConfig>(folder).config.backend {
        Backend::Kubernetes(settings) => settings,
        other => panic!("{other:?}"),
    };
    // As in a pod: its service account, and what is usual.
    let bare = folder_with("{ kubernetes: {} }");
    let expected = KubernetesSettings {
        access: KubernetesAccess::default(),
        ttl: 5,
        pods: PodNames::Off,
        snapshot: bare.path().join("catalog"),
        stale_after: Duration::from_secs(60),
        cluster_set: Some(ClusterSetOptions::default()),
    };
    assert_eq!(settings(&bare), expected);

    let full = folder_with(EVERY_KEY_OF_KUBERNETES);
    let expected = KubernetesSettings {
        access: KubernetesAccess {
            kubeconfig: Some(full.path().join("kubeconfig")),
            context: Some("cluster-a".to_owned()),
        },
        ttl: 30,
        pods: PodNames::Verified,
        snapshot: full.path().join("saved/catalog"),
        stale_after: Duration::from_secs(300),
        cluster_set: Some(ClusterSetOptions {
            cluster_id: Some("b1".to_owned()),
            from: Some(["cluster-c", "cluster-d"].map(str::to_owned).into()),
            weights: [("cluster-c".to_owned(), 3), ("cluster-d".to_owned(), 0)].into(),
        }),
    };
    assert_eq!(settings(&full), expected);
    let without = folder_with("{ kubernetes: { clusterSet: { names: off } } }");
    assert_eq!(settings(&without).cluster_set, None);

    // The current context counts when none is named.
    settings(&folder_with("{ kubernetes: { kubeconfig: kubeconfig } }"));
}

#[test]
fn a_gateway_with_addresses() {
    let text = gateway_with("{ clusterDns: [10.96.0.10] }") + "reverse: [10.96.3.0/12, 'fd00:b::/108']\n";
    let config = load::<GatewayConfig>(&folder(&text)).config;
    let ranges: Vec<String> = config.reverse.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["10.96.0.0/12", "fd00:b::/108"]);
    let bare = load::<GatewayConfig>(&folder(&gateway_with("{ clusterDns: [10.96.0.10] }"))).config;
    assert!(bare.reverse.is_empty());
}

#[test]
fn a_gateway_keeps_its_peers_in_a_file_or_in_custom_resources() {
    let load = |state: &str, backend: &str| {
        let folder = folder(&gateway_with(backend).replace("state: peers.json\n", state));
        let kubeconfig = "contexts: [{ name: other }, { name: cluster-a }]\ncurrent-context: other\n";
        fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
        (load::<GatewayConfig>(&folder).config.state, folder)
    };
    let (dns, api) = (
        "{ clusterDns: [10.96.0.10] }",
        "{ kubernetes: { kubeconfig: kubeconfig, context: cluster-a, snapshot: names } }",
    );
    let in_resources = |state: State| match state {
        State::Kubernetes(settings) => settings,
        State::File(path) => panic!("{}", path.display()),
    };
    // As in a pod.
    let (state, folder) = load("state: { kubernetes: { copy: peers.json } }\n", dns);
    let copy = folder.path().join("peers.json");
    let expected = KubernetesState { access: KubernetesAccess::default(), namespace: None, copy };
    assert_eq!(in_resources(state), expected);
    // Every key.
    let all =
        "state: { kubernetes: { namespace: strait-system, copy: c.json, kubeconfig: kubeconfig, context: other } }\n";
    let (state, folder) = load(all, api);
    let state = in_resources(state);
    assert_eq!(state.namespace.as_deref(), Some("strait-system"));
    assert_eq!(state.access.kubeconfig, Some(folder.path().join("kubeconfig")));
    assert_eq!(state.access.context.as_deref(), Some("other"), "its own access, not that of the backend");
    // The access of the backend, when it has none of its own.
    let (state, folder) = load("state: { kubernetes: { copy: c.json } }\n", api);
    let access = in_resources(state).access;
    assert_eq!(access.kubeconfig, Some(folder.path().join("kubeconfig")));
    assert_eq!(access.context.as_deref(), Some("cluster-a"));
}

/// What is printed is a whole configuration: read again from anywhere it prints the same.
#[test]
fn the_printed_configuration_reads_back_the_same() {
    fn round_trip<C: ConfigFile>(text: &str) -> String {
        let folder = folder(text);
        let first = load::<C>(&folder).effective;
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("printed.yaml");
        fs::write(&path, &first).unwrap();
        let second = C::load(&path).map_err(|errors| panic!("{errors}\n{first}")).unwrap().effective;
        assert_eq!(first, second);
        first.replace(&format!("{}/", folder.path().display()), "")
    }
    let agent = round_trip::<NodeAgentConfig>(AGENT);
    for line in ["    ttl: 300\n", "      - name: '*.apps'\n", "  level: 'info,strait_link=debug'\n", "lameduck: 0s\n"]
    {
        assert!(agent.contains(line), "{line:?} is missing in\n{agent}");
    }
    let gateway = round_trip::<GatewayConfig>(GATEWAY);
    for line in ["homeZone: cluster.local\n", "  size: 32MiB\n", "deadline: 3s\n", "  filter: off\n"] {
        assert!(gateway.contains(line), "{line:?} is missing in\n{gateway}");
    }
    let resources = "state: { kubernetes: { copy: peers.json, namespace: strait-system } }\n";
    let gateway = round_trip::<GatewayConfig>(&GATEWAY.replace("state: peers.json\n", resources));
    assert!(gateway.contains("state:\n  kubernetes:\n    namespace: strait-system\n    copy: "), "{gateway}");
    let text = gateway_with(EVERY_KEY_OF_KUBERNETES).replace("kubeconfig: kubeconfig, context: cluster-a, ", "");
    let gateway = round_trip::<GatewayConfig>(&text);
    let shown = "backend:\n  kubernetes:\n    ttl: 30\n    pods: verified\n";
    assert!(gateway.contains(shown) && gateway.contains("    staleAfter: 5m\n"), "{gateway}");
    let defaults = round_trip::<NodeAgentConfig>("node: worker-1\nupstreams: { servers: [192.0.2.53] }\n");
    assert!(defaults.starts_with("node: worker-1\nlisten:\n  - 127.0.0.1:53\n  - '[::1]:53'\n"), "{defaults}");
}

#[test]
fn the_keys_tell_whose_file_it_is() {
    let kind = |text: &str, kind: Option<Kind>| {
        check(&folder(text).path().join("config.yaml"), kind).map(|loaded| loaded.config).map_err(|e| e.to_string())
    };
    assert_eq!(kind(AGENT, None), Ok(Kind::NodeAgent));
    assert_eq!(kind(GATEWAY, None), Ok(Kind::Gateway));
    // Told to be a node-agent's, the gateway's keys are unknown.
    assert!(kind(GATEWAY, Some(Kind::NodeAgent)).unwrap_err().contains("unknown key `cluster`"));
    let undecided = kind("deadline: 3s\n", None).unwrap_err();
    assert!(undecided.contains("its keys do not tell whose configuration it is"), "{undecided}");
    assert!(undecided.contains("--kind node-agent"), "{undecided}");
    // A mistyped key tells as well, and is reported in its place.
    let mistyped = kind("upstream: { servers: [192.0.2.53] }\n", None).unwrap_err();
    assert!(mistyped.contains("config.yaml:1:1: error: unknown key `upstream`"), "{mistyped}");
    let missing = check(Path::new("/no/such/file.yaml"), None).unwrap_err().to_string();
    assert!(missing.starts_with("/no/such/file.yaml: error: cannot read the configuration file: it does not exist"));
}

/// `parse` reads no file: a configuration whose files are all missing passes it.
#[test]
fn parsing_touches_no_file() {
    let path = Path::new("/no/such/folder/config.yaml");
    assert!(NodeAgentConfig::parse(AGENT, path).is_ok());
    assert!(GatewayConfig::parse(GATEWAY, path).is_ok());
}

/// No text makes the reader panic, and what it refuses has a place within the text.
#[test]
fn damaged_text_is_refused_in_its_place() {
    let path = Path::new("config.yaml");
    let lines = AGENT.lines().count() + 1;
    for cut in (0..AGENT.len()).step_by(3) {
        for text in [AGENT[..cut].to_owned(), format!("{}\u{e9}: [{}", &AGENT[..cut], &AGENT[cut..])] {
            if let Err(errors) = NodeAgentConfig::parse(&text, path) {
                let within = |(line, column): (usize, usize)| line <= lines && column >= 1;
                assert!(errors.diagnostics().iter().all(|finding| finding.position().is_some_and(within)), "{errors}");
                assert!(!errors.to_string().is_empty());
            }
        }
    }
}

/// Many errors are bounded in print, and counted.
#[test]
fn a_flood_of_errors_is_cut() {
    let text: String = (0..200).map(|index| format!("key{index}: 1\n")).collect();
    let told = NodeAgentConfig::parse(&text, Path::new("config.yaml")).err().unwrap().to_string();
    assert!(told.ends_with("\n\n... and 150 more"), "{told}");
}
