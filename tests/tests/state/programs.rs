//! Real gateways that share their peers through an API server.

use strait_tests::cluster::printed;
use strait_tests::{ApiWeather, Cluster as Programs, ClusterPlan, Home, gatewayctl, until};

use super::zones::agents_answer_the_zones_of_their_cluster;
use super::*;

over_each_api_server!(
    agents_answer_the_zones_of_their_cluster,
    an_api_server_that_hangs_is_said_to_and_whether_the_change_may_still_come,
    a_gateway_that_waits_for_its_peers_says_so_on_its_socket,
    a_copy_that_is_damaged_is_set_aside_and_the_log_says_where,
    the_metrics_tell_who_writes_and_whether_peers_are_followed_and_in_force,
    replicas_share_their_peers_and_answer_without_the_api_server,
);

/// Runs `gatewayctl` at one of the gateways.
fn ctl(cluster: &Programs, gateway: usize, arguments: &[&str]) -> String {
    let socket = cluster.gateways[gateway].seat.socket.to_string_lossy().into_owned();
    printed(&gatewayctl(&[&["--socket", &socket], arguments].concat()), arguments)
}

fn is_listed(cluster: &Programs, gateway: usize, peer: &str) -> bool {
    ctl(cluster, gateway, &["peer", "list"]).contains(peer)
}

fn a_gateway_that_waits_for_its_peers_says_so_on_its_socket(start: StartApi) {
    let api = start();
    api.serve(peers());
    let home = Home::Zones(&["web.shop.svc A 10.1.0.1"]);
    let mut a = ClusterPlan::new("cluster-a", home).state_in(&*api).start();
    // Without the definition, and without a copy.
    a.gateways[0].kill();
    api.withdraw(peers());
    std::fs::remove_file(a.gateway().seat.config.with_file_name("gateway-0-peers.json")).unwrap();
    a.gateways[0].start_again();
    let ready = || {
        let output = a.ctl(&["ready"]);
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    until("it to say what it waits for", || ready().1.contains("gatewayctl crds | kubectl apply -f -"));
    assert!(!ready().0, "not ready");
    let refused = a.ctl(&["peer", "list"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`gatewayctl ready` says why"), "{refused:?}");
    api.serve(peers());
    until("it to be ready", || ready().0);
    assert!(!is_listed(&a, 0, "cluster-b"));
}

/// It is said in one line, which says what has become of the file and no more than is so.
fn a_copy_that_is_damaged_is_set_aside_and_the_log_says_where(start: StartApi) {
    let api = start();
    api.serve(peers());
    let mut a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).state_in(&*api).start();
    a.gateways[0].kill();
    std::fs::write(a.folder.path("gateway-0-peers.json"), "{\n  \"version\": x").unwrap();
    a.gateways[0].revive();
    let gateway = a.gateway().program();
    let told = gateway.wait_log(&["the copy of the peers is damaged", "/gateway-0-peers.json line=2 column="]);
    assert!(told.ends_with("/gateway-0-peers.json.damaged\""), "{told}");
    assert!(!gateway.log().contains("left as it is"), "{}", gateway.log());
}

/// Within the time that gatewayctl waits: it is the gateway that says what is the matter, and not gatewayctl that it is silent.
fn an_api_server_that_hangs_is_said_to_and_whether_the_change_may_still_come(start: StartApi) {
    let api = start();
    api.serve(peers());
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).state_in(&*api).start();
    api.apply(&peers(), NAMESPACE, "cluster-b", manifest(&record("cluster-b")));
    until("the peer", || is_listed(&a, 0, "cluster-b"));
    api.set(ApiWeather::Silent);
    let removed = a.ctl(&["peer", "remove", "cluster-b"]);
    let told = String::from_utf8_lossy(&removed.stderr).into_owned();
    assert!(!removed.status.success(), "{told}");
    assert!(told.contains("the API server has not answered within 5s, so that nobody knows"), "{told}");
    assert!(!told.contains("not stored") && told.contains("gatewayctl peer list"), "{told}");
    // It is in force as it was, until the API server tells otherwise.
    assert!(is_listed(&a, 0, "cluster-b"));
}

/// Two gateways of a cluster: what their metrics say of the peers they share.
fn the_metrics_tell_who_writes_and_whether_peers_are_followed_and_in_force(start: StartApi) {
    let api = start();
    api.serve(peers());
    let mut a =
        ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).gateways(2).state_in(&*api).start();
    let of_all = |a: &mut Programs, name: &str| -> Vec<f64> {
        a.gateways.iter_mut().map(|gateway| gateway.program().metric(name)).collect()
    };
    let kind = |name: &str| format!("strait_resources_{name}{{kind=\"peers\"}}");
    let is_all = |values: Vec<f64>, expected: f64| values.iter().all(|value| (value - expected).abs() < 0.5);

    until("one to hold the lease", || of_all(&mut a, "strait_lease_held").iter().sum::<f64>() > 0.5);
    assert!(of_all(&mut a, "strait_lease_held").iter().sum::<f64>() < 1.5, "both of them");
    until("both to follow", || is_all(of_all(&mut a, &kind("synced")), 1.0));
    assert_eq!(of_all(&mut a, &kind("age_seconds")), [0.0, 0.0]);
    // Where our schema is in force it could not be put there.
    let own = PeerRecord { suffix: "cluster-a.example.com".parse().unwrap(), ..record("odd") };
    api.apply(&peers(), NAMESPACE, "odd", manifest(&own));
    until("both to tell what is not in force", || is_all(of_all(&mut a, &kind("not_in_force")), 1.0));
    api.delete(&peers(), NAMESPACE, "odd");
    until("both to forget it", || is_all(of_all(&mut a, &kind("not_in_force")), 0.0));

    api.set(ApiWeather::Gone);
    until("both to be cut off", || is_all(of_all(&mut a, &kind("synced")), 0.0));
    until("both to grow old", || of_all(&mut a, &kind("age_seconds")).iter().all(|age| *age > 0.0));
    until("nobody to hold the lease", || is_all(of_all(&mut a, "strait_lease_held"), 0.0));
    api.set(ApiWeather::Fair);
    until("both to follow again", || is_all(of_all(&mut a, &kind("synced")), 1.0));
    assert_eq!(of_all(&mut a, &kind("age_seconds")), [0.0, 0.0]);
}

/// cluster-a, whose two gateways share their peers, and cluster-b, which asks them.
fn replicas_share_their_peers_and_answer_without_the_api_server(start: StartApi) {
    let api = start();
    api.serve(peers());
    let home = Home::Zones(&["web.shop.svc A 10.1.0.1", "dns.kube-system.svc A 10.1.0.2"]);
    let mut a = ClusterPlan::new("cluster-a", home).gateways(2).state_in(&*api).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();

    // Added at one, in force at both, and a resource like any other.
    let ca = b.ca();
    let add = ["peer", "add", "cluster-b", "--suffix", "cluster-b.example.com", "--ca", &ca, "--endpoint"];
    ctl(&a, 0, &[&add[..], &[&b.endpoints("tls")[0]]].concat());
    assert_eq!(api.get(&peers(), NAMESPACE, "cluster-b").unwrap()["spec"]["suffix"], "cluster-b.example.com");
    until("the other replica to know", || is_listed(&a, 1, "cluster-b"));
    let generation = |gateway| {
        let list: Value = serde_json::from_str(&ctl(&a, gateway, &["-o", "json", "peer", "list"])).unwrap();
        list["generation"].clone()
    };
    assert_eq!(generation(0), generation(1));

    // Both answer cluster-b, and show it what it may see.
    for gateway in 0..2 {
        let endpoint = &a.endpoints("tls")[gateway];
        b.ctl_ok(&[
            "peer",
            "add",
            "cluster-a",
            "--suffix",
            &a.suffix,
            "--ca",
            &a.ca(),
            "--endpoint",
            endpoint,
            "--replace",
        ]);
        let ask = |name: &str| {
            let name = format!("{name}.cluster-a.example.com");
            let socket = b.gateway().seat.socket.to_string_lossy().into_owned();
            gatewayctl(&["--socket", &socket, "query", &name, "--via", "peer", "--peer", "cluster-a"])
        };
        until("the answer", || String::from_utf8_lossy(&ask("web.shop.svc").stdout).contains("10.1.0.1"));
        let refused = ask("dns.kube-system.svc");
        let told = String::from_utf8_lossy(&refused.stdout).into_owned();
        assert!(told.contains("REFUSED") && told.contains("not shown to peer cluster-b"), "{told}");
    }

    // Now that each knows the other.
    assert_eq!(a.resolve("web.shop.svc.cluster-b.example.com"), ["web.shop.svc.cluster-b.example.com. A 10.2.0.1"]);

    // One of them tells how it does.
    let condition = |kind: &str| {
        let stored = api.get(&peers(), NAMESPACE, "cluster-b").unwrap_or_default();
        let all = stored["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|condition| condition["type"] == kind).map(|condition| condition["status"].clone())
    };
    until("the conditions", || {
        condition("Ready") == Some(json!("True")) && condition("Reachable") == Some(json!("True"))
    });

    // `kubectl apply` and `kubectl delete`.
    api.apply(&peers(), NAMESPACE, "cluster-c", manifest(&record("cluster-c")));
    (0..2).for_each(|gateway| until("the applied peer", || is_listed(&a, gateway, "cluster-c")));
    api.delete(&peers(), NAMESPACE, "cluster-c");
    (0..2).for_each(|gateway| until("the deleted peer to go", || !is_listed(&a, gateway, "cluster-c")));

    // Without the API server everything stays as it was, across a restart too; nothing can be changed.
    let copy = |number: usize| a.folder.path(format!("gateway-{number}-peers.json"));
    for number in 0..2 {
        let is_kept = |text: String| text.contains("cluster-b") && !text.contains("cluster-c");
        until("the copy", || std::fs::read_to_string(copy(number)).is_ok_and(is_kept));
    }
    api.set(ApiWeather::Gone);
    a.gateways[1].kill();
    a.gateways[1].revive();
    (0..2).for_each(|gateway| assert!(is_listed(&a, gateway, "cluster-b")));
    a.gateways[0].kill();
    assert_eq!(a.resolve("web.shop.svc.cluster-b.example.com"), ["web.shop.svc.cluster-b.example.com. A 10.2.0.1"]);
    let ask = || {
        let socket = b.gateway().seat.socket.to_string_lossy().into_owned();
        gatewayctl(&[
            "--socket",
            &socket,
            "query",
            "web.shop.svc.cluster-a.example.com",
            "--via",
            "peer",
            "--peer",
            "cluster-a",
        ])
    };
    until("the answer of the revived", || String::from_utf8_lossy(&ask().stdout).contains("10.1.0.1"));
    let socket = a.gateways[1].seat.socket.to_string_lossy().into_owned();
    let refused = gatewayctl(&["--socket", &socket, "peer", "remove", "cluster-b"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("not stored, and not in force"), "{told}");

    // And all is well when it is back.
    api.set(ApiWeather::Fair);
    until("the peer to be removed", || {
        gatewayctl(&["--socket", &socket, "peer", "remove", "cluster-b"]).status.success()
    });
    assert!(api.get(&peers(), NAMESPACE, "cluster-b").is_none());
}
