//! A real `kube-apiserver` with its etcd: the definitions and charts as it takes them, the gateway with the rights of its
//! chart and with each of them missing, and what becomes of it when the server restarts.
//!
//! Needs `KUBEBUILDER_ASSETS`, and `helm`: `cargo test -p strait-tests -- --ignored` runs these, and those of other
//! tests that have a real server in their names.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]
#![allow(clippy::print_stdout, reason = "what was measured, and what each right is for, is told with --nocapture")]

mod access;
mod charts;
mod definitions;
mod release;
mod restarts;
mod rights;

use std::process::{Command, Output};

use serde_json::{Value, json};
use strait_tests::program::run;
use strait_tests::real_api::asset;
use strait_tests::{Authority, Collection, Folder, RealApi, gatewayctl};

fn peers() -> Collection {
    Collection::new("strait.dev", "v1alpha1", "peers")
}

fn zones() -> Collection {
    Collection::new("strait.dev", "v1alpha1", "zones")
}

/// `kubectl` of an administrator.
struct Kubectl {
    folder: Folder,
}

impl Kubectl {
    fn of(api: &RealApi) -> Self {
        let folder = Folder::new();
        folder.write("kubeconfig", api.admin_kubeconfig());
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut kubectl = Command::new(asset("kubectl"));
        kubectl.env("KUBECONFIG", self.folder.path("kubeconfig")).env("HOME", self.folder.path(""));
        run(kubectl.args(arguments))
    }

    #[track_caller]
    fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {}:\n{out}{err}", arguments.join(" "));
        out.into_owned()
    }

    /// Applies objects as users of server-side apply do, unknown fields refused; an error is what kubectl says.
    fn apply(&self, objects: &[Value], more: &[&str]) -> Result<(), String> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
        let file = self.folder.write("objects.json", list);
        let apply = ["apply", "--server-side", "--validate=strict", "--filename", &file.to_string_lossy()];
        let output = self.run(&[&apply[..], more].concat());
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Installs our definitions as operators do.
    fn install_definitions(&self) {
        let printed = gatewayctl(&["crds"]);
        assert!(printed.status.success());
        let file = self.folder.write("crds.yaml", printed.stdout);
        self.must(&["apply", "--server-side", "--validate=strict", "--filename", &file.to_string_lossy()]);
        self.must(&["wait", "--for=condition=Established", "--timeout=20s", "--filename", &file.to_string_lossy()]);
    }
}

/// A peer that is as it should be.
fn peer(name: &str) -> Value {
    let suffix = format!("{name}.example.com");
    json!({
        "apiVersion": "strait.dev/v1alpha1", "kind": "Peer", "metadata": { "name": name },
        "spec": {
            "suffix": suffix, "endpoints": ["tls://192.0.2.1:853"], "trustBundle": Authority::new(&suffix).certificate(),
        },
    })
}

/// A zone that is as it should be.
fn zone(name: &str) -> Value {
    json!({
        "apiVersion": "strait.dev/v1alpha1", "kind": "Zone", "metadata": { "name": name },
        "spec": { "name": format!("{name}.example.net"), "records": [{ "name": "www", "type": "A", "value": "192.0.2.1" }] },
    })
}
