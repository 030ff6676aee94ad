//! The manifest with which kubelet runs a node-agent as a static pod: no API server takes part.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use strait_config::{ConfigFile, NodeAgentConfig};

use crate::node_address::own_address;

/// Seconds of a pod's life beyond `lameduck`: what is in work has 10, and the process 1.
const GRACE: u64 = 20;

/// The priority of `system-node-critical`, which kubelet cannot look up by itself.
const NODE_CRITICAL: u32 = 2_000_001_000;

/// Which agent, from what image, and what kubelet is to call it.
#[derive(Debug, clap::Args)]
pub(crate) struct StaticPod {
    /// The node-agent's configuration, where it lies on the node; run this there, its files are looked at
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The image of the programs (charts/image/build makes it)
    #[arg(long, value_name = "IMAGE", default_value = concat!("localhost/strait:", env!("CARGO_PKG_VERSION")), value_parser = image)]
    image: String,
    /// The pod's name; kubelet adds the node's
    #[arg(long, value_name = "NAME", default_value = "strait-node-agent", value_parser = object_name)]
    name: String,
    /// The namespace under which the API server shows it
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system", value_parser = object_name)]
    namespace: String,
    /// An address to give the node for its agent (as `gatewayctl node-address add`); may be given several times
    #[arg(long = "node-address", value_name = "ADDR", value_parser = own_address)]
    node_addresses: Vec<IpAddr>,
}

/// Names of objects are labels of DNS (RFC 1123), since namespaces must be, and a pod's name with the node's becomes a host name.
fn object_name(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
    {
        true => Ok(text.to_owned()),
        false => Err("write 1 to 63 lower-case letters, digits and '-', and no '-' at either end".to_owned()),
    }
}

/// What a registry has: a name in lower case, which may begin with a host and its port, and then a tag, a digest or both.
fn image(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    let name = text.split('@').next().unwrap_or_default();
    let path = name.rsplit_once(':').map_or(name, |(path, tag)| if tag.contains('/') { name } else { path });
    let named = path.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
    match text.bytes().all(allowed)
        && named
        && !path.bytes().any(|b| b.is_ascii_uppercase())
        && !text.ends_with([':', '@'])
    {
        true => Ok(text.to_owned()),
        false => Err("write REPOSITORY:TAG or REPOSITORY@DIGEST, such as registry.example.com/strait:0.1.0".to_owned()),
    }
}

/// What of the node the pod needs.
#[derive(Debug, Default)]
struct Mounts {
    /// Each path with whether it is written to and what kind of thing it is.
    paths: BTreeMap<PathBuf, Mount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mount {
    /// One file; put in place anew, it is seen after a restart.
    File,
    /// A folder that is read.
    Folder,
    /// A folder that is written to, and made.
    Written,
}

impl StaticPod {
    /// The manifest, as YAML.
    pub(crate) fn manifest(&self) -> anyhow::Result<String> {
        let config = std::path::absolute(&self.config).context("the current folder is not known")?;
        let loaded = NodeAgentConfig::load(&config)?;
        // With every default and every path absolute.
        let effective: Value = serde_saphyr::from_str(&loaded.effective)?;
        let pod = self.pod(&config, &loaded.config, &effective);
        let head = format!(
            "# Put this into kubelet's `staticPodPath` (usually /etc/kubernetes/manifests). It runs node-agent with\n\
             # {}; kubelet restarts it, without any API server.\n",
            config.display()
        );
        Ok(format!("{head}{}", serde_saphyr::to_string(&pod)?))
    }

    fn pod(&self, path: &Path, config: &NodeAgentConfig, effective: &Value) -> Value {
        let mounts = Mounts::of(path, effective);
        let privileged_port = config.listen.iter().any(|address| address.port() < 1024);
        let capabilities = if privileged_port {
            json!({ "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] })
        } else {
            json!({ "drop": ["ALL"] })
        };
        let mut container = json!({
            "name": "node-agent",
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/node-agent"],
            "args": [format!("--config={}", path.display())],
            "env": [{ "name": "STRAIT_NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
            "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "192Mi" } },
            "securityContext": security(capabilities),
            "volumeMounts": mounts.volume_mounts(),
        });
        for (name, probe) in probes(config) {
            container[name] = probe;
        }
        let mut spec = json!({
            "hostNetwork": true,
            "dnsPolicy": "Default",
            "priority": NODE_CRITICAL,
            "priorityClassName": "system-node-critical",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "terminationGracePeriodSeconds": config.daemon.lameduck.as_secs() + GRACE,
            "tolerations": [{ "operator": "Exists" }],
            "containers": [container],
            "volumes": mounts.volumes(),
        });
        if !self.node_addresses.is_empty() {
            let addresses: Vec<String> = self.node_addresses.iter().map(ToString::to_string).collect();
            spec["initContainers"] = json!([{
                "name": "node-address",
                "image": self.image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/gatewayctl", "node-address", "add"],
                "args": addresses,
                "securityContext": security(json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] })),
            }]);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": { "app.kubernetes.io/name": "strait-node-agent", "app.kubernetes.io/part-of": "strait" },
            },
            "spec": spec,
        })
    }
}

/// Root, for the node's files and for capabilities, which Kubernetes gives to nobody else; with no more than these.
fn security(capabilities: Value) -> Value {
    json!({
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": capabilities,
    })
}

/// Kubelet asks on the admin address, or else by `gatewayctl` on the socket.
fn probes(config: &NodeAgentConfig) -> Vec<(&'static str, Value)> {
    let asks = |page: &str| match (config.daemon.admin, &config.socket) {
        (Some(admin), _) => Some(json!({
            "httpGet": { "host": asked_at(admin).to_string(), "port": admin.port(), "path": page }
        })),
        (None, Some(socket)) => {
            let socket = format!("--socket={}", socket.display());
            let live: &[&str] = if page == "/livez" { &["--live"] } else { &[] };
            let command: Vec<&str> = ["/gatewayctl", &socket, "ready"].iter().chain(live).copied().collect();
            Some(json!({ "exec": { "command": command } }))
        }
        (None, None) => None,
    };
    let timed = |name, page, times: Value| {
        let mut probe = asks(page)?;
        for (key, value) in times.as_object()? {
            probe[key] = value.clone();
        }
        Some((name, probe))
    };
    let probes = [
        timed("startupProbe", "/livez", json!({ "periodSeconds": 1, "failureThreshold": 60 })),
        timed("livenessProbe", "/livez", json!({ "periodSeconds": 15, "timeoutSeconds": 5, "failureThreshold": 4 })),
        timed("readinessProbe", "/readyz", json!({ "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2 })),
    ];
    probes.into_iter().flatten().collect()
}

/// Where a program of the node asks a program that listens there.
fn asked_at(address: SocketAddr) -> IpAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

impl Mounts {
    /// The files that a configuration points to.
    fn of(config: &Path, effective: &Value) -> Self {
        let mut mounts = Self::default();
        mounts.read(config);
        for path in [
            "/identity/certificate",
            "/identity/key",
            "/identity/trustBundle",
            "/upstreams/resolvConf",
            "/upstreams/ca",
        ] {
            mounts.read_value(effective.pointer(path));
        }
        let all = |key: &str| effective[key].as_array().into_iter().flatten();
        for (list, key) in [("zones", "file"), ("forward", "resolvConf"), ("forward", "ca"), ("peers", "trustBundle")] {
            all(list).for_each(|entry| mounts.read_value(entry.get(key)));
        }
        effective
            .pointer("/hosts/files")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .for_each(|file| mounts.read_value(Some(file)));
        let text = |path: &str| effective.pointer(path).and_then(Value::as_str).map(PathBuf::from);
        if let Some(state) = text("/state") {
            mounts.paths.insert(state, Mount::Written);
        }
        for file in ["/socket", "/queryLog/file"].into_iter().filter_map(text) {
            if let Some(folder) = file.parent() {
                mounts.paths.insert(folder.to_owned(), Mount::Written);
            }
        }
        mounts.without_nested()
    }

    fn read_value(&mut self, path: Option<&Value>) {
        if let Some(path) = path.and_then(Value::as_str) {
            self.read(Path::new(path));
        }
    }

    /// The folder of a file, in which a new one may be put in its place; of /etc, where everything is, the file alone.
    fn read(&mut self, file: &Path) {
        // Kubelet gives the node's own to a pod with `dnsPolicy: Default`.
        if file == Path::new("/etc/resolv.conf") {
            return;
        }
        let (path, mount) = match file.parent() {
            Some(folder) if folder != Path::new("/") && folder != Path::new("/etc") => (folder, Mount::Folder),
            _ => (file, Mount::File),
        };
        self.paths.entry(path.to_owned()).or_insert(mount);
    }

    /// Without what lies in a folder that is there anyway and may do at least as much.
    fn without_nested(self) -> Self {
        let all = self.paths.clone();
        let covered = |path: &Path, mount: Mount| {
            let mut above = path.ancestors().skip(1).filter_map(|folder| all.get(folder));
            above.any(|outer| *outer == Mount::Written || (*outer == Mount::Folder && mount != Mount::Written))
        };
        Self { paths: self.paths.into_iter().filter(|(path, mount)| !covered(path, *mount)).collect() }
    }

    fn volumes(&self) -> Vec<Value> {
        let volume = |(index, (path, mount)): (usize, (&PathBuf, &Mount))| {
            let kind = match mount {
                Mount::File => "File",
                Mount::Folder => "Directory",
                Mount::Written => "DirectoryOrCreate",
            };
            json!({ "name": name(index), "hostPath": { "path": path, "type": kind } })
        };
        self.paths.iter().enumerate().map(volume).collect()
    }

    fn volume_mounts(&self) -> Vec<Value> {
        let mount = |(index, (path, mount)): (usize, (&PathBuf, &Mount))| json!({ "name": name(index), "mountPath": path, "readOnly": *mount != Mount::Written });
        self.paths.iter().enumerate().map(mount).collect()
    }
}

fn name(index: usize) -> String {
    format!("node-{index}")
}

#[cfg(test)]
mod tests;
