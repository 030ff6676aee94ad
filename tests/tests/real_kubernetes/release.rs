//! A release of the gateway's chart as `helm install` would leave it, and gateways that run with its file and its account.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use strait_tests::chart::Chart;
use strait_tests::program::Program;
use strait_tests::{
    ApiServer as _, Authority, Collection, Folder, Leaf, RealApi, TlsIdentity, free_address, gatewayctl,
};

use super::Kubectl;

/// The suffix of the cluster whose gateway it is.
pub(super) const SUFFIX: &str = "cluster-a.example.com";

pub(super) struct Release {
    pub(super) api: RealApi,
    pub(super) kubectl: Kubectl,
    pub(super) namespace: String,
    /// What was rendered.
    pub(super) objects: Vec<Value>,
    pub(super) folder: Folder,
    pub(super) authority: Authority,
    pub(super) tls: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Release {
    /// With the definitions of ours and of KEP-1645 installed, the chart rendered and applied.
    #[track_caller]
    pub(super) fn install(namespace: &str) -> Self {
        Self::install_by(namespace, |folder| json!({ "kubeconfig": folder.path("kubeconfig") }))
    }

    /// With what `backend.kubernetes` is to say of the way to the API server.
    #[track_caller]
    pub(super) fn install_by(namespace: &str, way: impl Fn(&Folder) -> Value) -> Self {
        let (api, folder) = (RealApi::start(), Folder::new());
        let kubectl = Kubectl::of(&api);
        kubectl.install_definitions();
        for plural in ["serviceexports", "serviceimports"] {
            api.serve(Collection::new("multicluster.x-k8s.io", "v1beta1", plural));
        }
        let authority = Authority::new(SUFFIX);
        let TlsIdentity { certificate, key } = authority.issue(&Leaf::of(&format!("spiffe://{SUFFIX}/gateway")));
        folder.write("identity/tls.crt", certificate);
        folder.write("identity/tls.key", key);
        folder.write("identity/ca.crt", authority.certificate());
        let (tls, admin) = (free_address(), free_address());
        // The folders of the container, and its addresses, are others here; everything else is the chart's.
        let mut backend = way(&folder);
        backend["snapshot"] = json!(folder.path("state/catalog"));
        let at = |name: &str| folder.path(name);
        let values = json!({
            "cluster": "cluster-a", "suffix": SUFFIX,
            "backend": { "kubernetes": { "pods": "verified" } },
            "log": { "format": "text" },
            "lameduckSeconds": 0,
            "config": {
                "listen": [format!("tls://{tls}")], "admin": admin.to_string(), "socket": at("run/gateway.sock"),
                "identity": { "certificate": at("identity/tls.crt"), "key": at("identity/tls.key"), "trustBundle": at("identity/ca.crt") },
                "backend": { "kubernetes": backend },
                "state": { "kubernetes": { "copy": at("state/peers.json") } },
            },
        });
        let file = folder.write("values.json", values.to_string());
        let chart = Chart::named("gateway");
        let objects = chart.render_in(namespace, &["--values", &file.to_string_lossy()]).unwrap();
        api.ensure_namespace(namespace);
        kubectl.apply(&objects, &[]).unwrap();
        std::fs::create_dir_all(folder.path("run")).unwrap();
        let release = Self { api, kubectl, namespace: namespace.to_owned(), objects, folder, authority, tls, admin };
        let made = release.api.get(&Collection::core("configmaps"), namespace, "strait-gateway").unwrap();
        release.folder.write("gateway.yaml", made["data"]["gateway.yaml"].as_str().unwrap());
        release
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.path("gateway.yaml")
    }

    /// A new token of the release's account, by the API for it.
    #[track_caller]
    pub(super) fn token(&self) -> String {
        let namespace = format!("--namespace={}", self.namespace);
        self.kubectl.must(&["create", "token", "strait-gateway", &namespace]).trim().to_owned()
    }

    /// A gateway that begins without any state, with a token of the release's account.
    #[track_caller]
    pub(super) fn gateway(&self) -> Program {
        self.folder.write("kubeconfig", self.api.kubeconfig_of(&json!({ "token": self.token() })));
        Program::start("gateway", &["--config", &self.config().to_string_lossy()]).with_admin(self.admin)
    }

    /// Forgets what gateways have kept.
    pub(super) fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.folder.path("state"));
    }

    /// `gatewayctl` at the running gateway.
    pub(super) fn ctl(&self, arguments: &[&str]) -> Output {
        let socket = self.folder.path("run/gateway.sock").to_string_lossy().into_owned();
        gatewayctl(&[&["--socket", &socket], arguments].concat())
    }

    /// Arguments of `peer add` for a cluster that nobody reaches.
    pub(super) fn peer_add(&self, name: &str) -> Vec<String> {
        let suffix = format!("{name}.example.com");
        let ca = self.folder.path(format!("{name}.crt"));
        if !Path::new(&ca).exists() {
            std::fs::write(&ca, Authority::new(&suffix).certificate()).unwrap();
        }
        ["peer", "add", name, "--suffix", &suffix, "--endpoint", "tls://192.0.2.1:853", "--ca", &ca.to_string_lossy()]
            .map(str::to_owned)
            .into()
    }

    /// `True InForce` and so on; none while there is no such condition.
    pub(super) fn condition(&self, collection: &Collection, name: &str, kind: &str) -> Option<(String, String)> {
        let object = self.api.get(collection, &self.namespace, name)?;
        let condition = object["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?.clone();
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        Some((format!("{} {}", text("status"), text("reason")), text("message")))
    }
}
