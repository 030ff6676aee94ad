#![allow(clippy::unwrap_used)]

use super::*;

fn pod(config: &Path) -> StaticPod {
    StaticPod {
        config: config.to_owned(),
        image: "registry.example.com/strait:1".to_owned(),
        name: "strait-node-agent".to_owned(),
        namespace: "kube-system".to_owned(),
        node_addresses: Vec::new(),
    }
}

/// The manifest for a configuration, read again.
fn made(text: &str, change: impl FnOnce(&mut StaticPod)) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node-agent.yaml");
    std::fs::write(&config, text).unwrap();
    let mut pod = pod(&config);
    change(&mut pod);
    serde_saphyr::from_str(&pod.manifest().unwrap()).unwrap()
}

#[test]
fn kubelet_takes_the_names_that_are_let_through() {
    for good in ["strait-node-agent", "a", "0-9"] {
        assert_eq!(object_name(good).unwrap(), good);
    }
    for bad in ["", "Bad Name", "-a", "a-", "a.b", "ä", &"a".repeat(64)] {
        object_name(bad).unwrap_err();
    }
    for good in
        ["strait", "localhost/strait:0.1.0", "registry.example.com:5000/a/strait", "r:5000/strait:V1", "s:1@sha256:0a"]
    {
        assert_eq!(image(good).unwrap(), good);
    }
    for bad in ["", " ", "Strait:1", "strait:", "strait@", ":1", "a//b", "/strait", "strait 1"] {
        image(bad).unwrap_err();
    }
}

#[test]
fn a_port_below_1024_takes_one_capability_and_another_none() {
    for (listen, added) in [("127.0.0.1:53", json!(["NET_BIND_SERVICE"])), ("127.0.0.1:5353", Value::Null)] {
        let pod = made(&format!("node: n\nlisten: [\"{listen}\"]\n"), |_| ());
        let security = &pod["spec"]["containers"][0]["securityContext"];
        assert_eq!(security["capabilities"]["add"], added);
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
        assert!(pod["spec"]["initContainers"].is_null());
    }
}

#[test]
fn kubelet_asks_where_the_agent_listens_for_it() {
    let probe = |more: &str| {
        made(&format!("node: n\nlisten: [\"127.0.0.1:53\"]\n{more}"), |_| ())["spec"]["containers"][0]["readinessProbe"]
            .clone()
    };
    for (more, host) in [
        ("admin: 127.0.0.1:9153\n", "127.0.0.1"),
        ("admin: 0.0.0.0:9153\n", "127.0.0.1"),
        ("admin: \"[::]:9153\"\n", "::1"),
    ] {
        assert_eq!(probe(more)["httpGet"], json!({ "host": host, "path": "/readyz", "port": 9153 }));
    }
    assert_eq!(
        probe("socket: /run/strait/agent.sock\n")["exec"]["command"],
        json!(["/gatewayctl", "--socket=/run/strait/agent.sock", "ready"])
    );
    assert!(probe("").is_null(), "it can be asked nowhere");
}

#[test]
fn the_nodes_files_are_where_they_are_on_the_node() {
    let folder = Path::new("/opt/strait/agent.yaml");
    let effective = json!({
        "identity": { "certificate": "/opt/strait/pki/tls.crt", "key": "/opt/strait/pki/tls.key", "trustBundle": "/etc/ca.crt" },
        "upstreams": { "resolvConf": "/etc/resolv.conf" },
        "hosts": { "files": ["/etc/hosts", "/srv/hosts/more"] },
        "zones": [{ "name": "a", "file": "/srv/zones/a.zone" }, { "name": "b" }],
        "state": "/var/lib/strait",
        "socket": "/var/lib/strait/agent.sock",
    });
    let mounts = Mounts::of(folder, &effective);
    let paths: Vec<(&str, Mount)> = mounts.paths.iter().map(|(path, mount)| (path.to_str().unwrap(), *mount)).collect();
    assert_eq!(
        paths,
        [
            ("/etc/ca.crt", Mount::File),
            ("/etc/hosts", Mount::File),
            // With the folder of the certificate, which lies in it.
            ("/opt/strait", Mount::Folder),
            ("/srv/hosts", Mount::Folder),
            ("/srv/zones", Mount::Folder),
            ("/var/lib/strait", Mount::Written),
        ]
    );
    let written = mounts.volume_mounts().into_iter().filter(|mount| mount["readOnly"] == false).count();
    assert_eq!((written, mounts.volumes().len()), (1, 6));
}

#[test]
fn a_folder_that_is_written_is_not_covered_by_one_that_is_read() {
    let effective = json!({ "state": "/opt/strait/state" });
    let mounts = Mounts::of(Path::new("/opt/strait/agent.yaml"), &effective);
    let all: Vec<_> = mounts.paths.into_iter().collect();
    assert_eq!(all, [("/opt/strait".into(), Mount::Folder), ("/opt/strait/state".into(), Mount::Written)]);
}

#[test]
fn addresses_of_the_node_are_made_first() {
    let pod = made("node: n\nlisten: [\"169.254.20.53\"]\n", |pod| {
        pod.node_addresses = vec!["169.254.20.53".parse().unwrap(), "fd00::53".parse().unwrap()];
    });
    let first = &pod["spec"]["initContainers"][0];
    assert_eq!(first["args"], json!(["169.254.20.53", "fd00::53"]));
    assert_eq!(first["securityContext"]["capabilities"]["add"], json!(["NET_ADMIN"]));
}

#[test]
fn a_configuration_that_would_not_start_makes_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node-agent.yaml");
    std::fs::write(&config, "listen: [localhost]\n").unwrap();
    let error = pod(&config).manifest().unwrap_err();
    assert!(error.to_string().contains("is not an address and port"), "{error}");
}
