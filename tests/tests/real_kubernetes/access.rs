//! The way to the server as a pod has it: its account's files and the environment, and files that are replaced.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use strait_tests::program::binary;
use strait_tests::{ApiServer as _, Collection, Program, until};

use super::release::Release;

/// Where kubelet puts what an account of a pod is known by.
const ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// A release whose gateway finds the server as a pod does.
fn in_cluster() -> (Release, PathBuf) {
    let release = Release::install_by("strait-in-cluster", |_| json!({}));
    let account = release.folder.path("account");
    release.folder.write("account/ca.crt", release.api.certificates());
    release.folder.write("account/namespace", &release.namespace);
    release.folder.write("account/token", release.token());
    (release, account)
}

/// Starts the gateway where it sees the files of the account: in a mount namespace of its own.
fn start(release: &Release, account: &Path) -> Program {
    let enter = format!(
        "mount -t tmpfs tmpfs /run && mkdir -p {ACCOUNT} && mount --bind \"$1\" {ACCOUNT} && shift && exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &enter, "sh"]).arg(account);
    command.arg(binary("gateway")).arg("--config").arg(release.config());
    let url = release.api.url();
    let (host, port) = url.trim_start_matches("https://").split_once(':').unwrap();
    command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
    Program::start_command("gateway", &mut command).with_admin(release.admin)
}

fn readiness(gateway: &Program) -> String {
    gateway.get("/readyz").map(|(_, body)| body).unwrap_or_default()
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn a_pod_finds_the_server_by_its_account_and_goes_on_when_its_token_is_replaced() {
    let (release, account) = in_cluster();
    let mut gateway = start(&release, &account);
    gateway.wait_ready();
    let add = release.peer_add("cluster-b");
    assert!(release.ctl(&add.iter().map(String::as_str).collect::<Vec<_>>()).status.success());

    // The account is another by the same name: what was known of it is not valid any more.
    release.kubectl.must(&["delete", "serviceaccount", "strait-gateway", "-n", &release.namespace]);
    release.kubectl.must(&["create", "serviceaccount", "strait-gateway", "-n", &release.namespace]);
    until("the server not to know who asks", || {
        // It believes for a while what it has believed; a watch is believed for as long as it stands.
        release.api.cut_watches();
        readiness(&gateway).contains("(401)")
    });
    std::fs::write(account.join("token"), release.token()).unwrap();
    until("all to be current", || {
        let said = readiness(&gateway);
        said.contains("ready") && !said.contains("(401)")
    });
    let services = Collection::core("services");
    let before = gateway.metric("strait_catalog_objects{kind=\"services\"}");
    release.api.apply(&services, "shop", "web", json!({ "spec": { "clusterIP": "None" } }));
    until("changes to come", || gateway.metric("strait_catalog_objects{kind=\"services\"}") > before);
    // Whoever writes now and then has not asked with the new one before.
    let removed = release.ctl(&["peer", "remove", "cluster-b"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
}
