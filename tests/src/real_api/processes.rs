//! `etcd` and `kube-apiserver` as processes, from the folder that `KUBEBUILDER_ASSETS` names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use super::http::Client;
use crate::program::http_post;
use crate::{Folder, Program, free_address, until};

/// The administrator's, who may do everything.
pub(super) const TOKEN: &str = "administrator";
/// What has the addresses that tests give to services.
const SERVICE_ADDRESSES: &str = "10.0.0.0/8,fd00:96::/64";
/// Who the requests of accounts in `strait-system` are noted of.
const AUDIT_POLICY: &str = r#"{ "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
    "rules": [{ "level": "Metadata", "userGroups": ["system:serviceaccounts:strait-system"] }, { "level": "None" }] }"#;

/// The path of one of the binaries that tests against a real API server need.
#[track_caller]
pub fn asset(name: &str) -> PathBuf {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let folder = folder.expect("KUBEBUILDER_ASSETS must name a folder with etcd, kube-apiserver and kubectl");
    let path = folder.join(name);
    assert!(path.is_file(), "KUBEBUILDER_ASSETS: there is no {}", path.display());
    path
}

/// Both, running.
pub(super) struct Processes {
    pub(super) folder: Folder,
    /// Of the API server.
    pub(super) address: SocketAddr,
    pub(super) admin: Client,
    etcd: SocketAddr,
    api: Mutex<Option<Program>>,
    _etcd: Program,
}

impl Processes {
    #[track_caller]
    pub(super) fn start() -> Self {
        let folder = Folder::new();
        folder.write("tokens", format!("{TOKEN},administrator,1,system:masters\n"));
        let key = rcgen::KeyPair::generate().unwrap();
        folder.write("accounts.key", key.serialize_pem());
        folder.write("accounts.pub", key.public_key_pem());
        folder.write("audit-policy.json", AUDIT_POLICY);
        let (clients, members, address) = (free_address(), free_address(), free_address());
        let mut command = Command::new(asset("etcd"));
        command.args(["--data-dir", &folder.path("etcd").to_string_lossy(), "--log-level", "error"]);
        for (role, address) in [("client", clients), ("peer", members)] {
            let advertise = if role == "client" { "--advertise-client-urls" } else { "--initial-advertise-peer-urls" };
            let url = format!("http://{address}");
            command.args([&format!("--listen-{role}-urls"), url.as_str(), advertise, url.as_str()]);
        }
        command.args(["--initial-cluster", &format!("default=http://{members}")]);
        let etcd = Program::start_on_leash("etcd", &command, Some(&folder.path("")));
        let admin = Client::new(address, TOKEN);
        let processes = Self { folder, address, admin, etcd: clients, api: Mutex::default(), _etcd: etcd };
        processes.start_api();
        processes
    }

    #[track_caller]
    fn start_api(&self) {
        let at = |name: &str| self.folder.path(name).to_string_lossy().into_owned();
        let port = self.address.port().to_string();
        let mut command = Command::new(asset("kube-apiserver"));
        command.args(["--etcd-servers", &format!("http://{}", self.etcd), "--cert-dir", &at("certificates")]);
        command.args(["--bind-address", "127.0.0.1", "--secure-port", &port, "--authorization-mode", "RBAC"]);
        command.args(["--service-account-issuer", "https://kubernetes.default.svc", "--allow-privileged"]);
        command.args(["--service-account-key-file", &at("accounts.pub")]);
        command.args(["--service-account-signing-key-file", &at("accounts.key")]);
        command.args(["--token-auth-file", &at("tokens"), "--service-cluster-ip-range", SERVICE_ADDRESSES]);
        command.args(["--audit-policy-file", &at("audit-policy.json"), "--audit-log-path", &at("audit.log")]);
        // Nobody makes the accounts that it would want of every pod.
        command.args(["--disable-admission-plugins", "ServiceAccount"]);
        let mut api = Program::start_on_leash("kube-apiserver", &command, None);
        until("the API server to be ready", || {
            assert!(api.ended().is_none(), "kube-apiserver has ended");
            matches!(self.admin.send("GET", "/readyz", &Value::Null), Ok((200, _)))
        });
        *self.api.lock().unwrap() = Some(api);
    }

    /// The certificates by which it is believed.
    pub(super) fn certificates(&self) -> String {
        self.folder.read("certificates/apiserver.crt")
    }

    /// Kills the API server, and starts it again; etcd forgets what was meanwhile.
    #[track_caller]
    pub(super) fn restart_api(&self) {
        *self.api.lock().unwrap() = None;
        self.compact();
        self.start_api();
    }

    /// Makes etcd forget everything but the present.
    fn compact(&self) {
        let revision = |reply: &str| {
            let reply: Value = serde_json::from_str(reply).ok()?;
            reply["header"]["revision"].as_str().map(str::to_owned)
        };
        let (_, now) = http_post(self.etcd, "/v3/kv/range", r#"{"key":"AA==","limit":"1"}"#).expect("etcd answers");
        let now = revision(&now).expect("etcd tells its revision");
        let compacted = http_post(self.etcd, "/v3/kv/compaction", &format!(r#"{{"revision":"{now}"}}"#));
        assert!(matches!(compacted, Some((200, _))), "{compacted:?}");
    }
}
