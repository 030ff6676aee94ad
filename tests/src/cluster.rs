//! A cluster on loopback: a real gateway and a real node-agent with certificates from `gatewayctl pki`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;

use strait_wire::Message;

use crate::{
    ApiServer, Authority, Folder, Program, ask, ask_udp, eventually, free_address, gatewayctl, lines, query, until,
};

/// What answers for the home zone.
#[derive(Clone)]
pub enum Home {
    /// Lines of a zone `cluster.local` in the gateway's own file: `web.shop.svc A 10.2.0.1`.
    Zones(&'static [&'static str]),
    /// The cluster's DNS at that address.
    ClusterDns(SocketAddr),
    /// What a Kubernetes API tells; the keys of `backend.kubernetes`: `kubeconfig: FILE, ttl: 5`.
    Kubernetes(String),
}

/// A cluster that is not running yet.
pub struct ClusterPlan {
    name: String,
    home: Home,
    gateways: usize,
    /// The kubeconfig of the API server that keeps the gateways' peers; none: each keeps its own in a file.
    kubeconfig: Option<String>,
    agent_lines: String,
    gateway_lines: String,
    gateway_zones: String,
}

impl ClusterPlan {
    /// A cluster of that name, `cluster-b`, whose suffix and trust domain are `cluster-b.example.com`.
    pub fn new(name: &str, home: Home) -> Self {
        Self {
            name: name.to_owned(),
            home,
            gateways: 1,
            kubeconfig: None,
            agent_lines: String::new(),
            gateway_lines: String::new(),
            gateway_zones: String::new(),
        }
    }

    /// With so many gateways, each with a state of its own.
    #[must_use]
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// With a state that the gateways share through an API server.
    #[must_use]
    pub fn state_in(mut self, api: &dyn ApiServer) -> Self {
        self.kubeconfig = Some(api.kubeconfig("gateway"));
        self
    }

    /// With these lines in the agent's configuration.
    #[must_use]
    pub fn agent(mut self, lines: &str) -> Self {
        let _ = writeln!(self.agent_lines, "{lines}");
        self
    }

    /// With an agent that asks its gateways for these zones: `cluster.local, 10.96.0.0/12`.
    #[must_use]
    pub fn agent_asks_gateway_for(mut self, zones: &str) -> Self {
        let _ = write!(self.gateway_zones, ", zones: [{zones}]");
        self
    }

    /// With an agent that knows of zones in which the suffixes of peers lie: `example.com`.
    #[must_use]
    pub fn agent_expects_peers_in(mut self, zones: &str) -> Self {
        let _ = write!(self.gateway_zones, ", suffixes: [{zones}]");
        self
    }

    /// With these lines in the gateways' configuration.
    #[must_use]
    pub fn gateway(mut self, lines: &str) -> Self {
        let _ = writeln!(self.gateway_lines, "{lines}");
        self
    }

    /// Issues certificates, writes configurations and starts everything.
    #[track_caller]
    pub fn start(self) -> Cluster {
        let folder = Folder::new();
        let suffix = format!("{}.example.com", self.name);
        let at = |name: &str| folder.path(name).to_string_lossy().into_owned();
        succeed(&["pki", "init", "--trust-domain", &suffix, "--dir", &at("ca")]);
        if let Some(kubeconfig) = &self.kubeconfig {
            folder.write("kubeconfig", kubeconfig);
        }
        let mut gateways = Vec::new();
        for number in 0..self.gateways {
            let out = format!("gateway-{number}");
            succeed(&["pki", "issue", "gateway", "--dir", &at("ca"), "--out", &at(&out), "--ip", "127.0.0.1"]);
            let seat = GatewaySeat {
                tls: free_address(),
                grpc: free_address(),
                admin: free_address(),
                socket: folder.path(format!("gw{number}.sock")),
                config: folder.path(format!("{out}.yaml")),
            };
            folder.write(&format!("{out}.yaml"), self.gateway_config(&suffix, &out, &seat));
            let program = Some(Program::daemon("gateway", &seat.config, seat.admin));
            gateways.push(Gateway { seat, program });
        }
        succeed(&["pki", "issue", "node-agent", "--node", "node-1", "--dir", &at("ca"), "--out", &at("agent")]);
        let (dns, admin) = (free_address(), free_address());
        let config = folder.write("agent.yaml", self.agent_config(dns, admin, &gateways));
        let agent = Program::start("node-agent", &["--config", &config.to_string_lossy()]).with_admin(admin);
        let mut cluster =
            Cluster { name: self.name, suffix, folder, gateways, agent: Some(agent), dns, agent_admin: admin };
        cluster.agent().wait_ready();
        cluster
    }

    fn gateway_config(&self, suffix: &str, out: &str, seat: &GatewaySeat) -> String {
        let backend = match &self.home {
            Home::ClusterDns(address) => format!("backend: {{ clusterDns: [\"{address}\"] }}\n"),
            Home::Kubernetes(keys) => format!("backend: {{ kubernetes: {{ {keys} }} }}\n"),
            Home::Zones(records) => {
                let mut text =
                    "backend:\n  zones:\n    - name: cluster.local\n      ttl: 30\n      records:\n".to_owned();
                for record in *records {
                    let [name, rtype, value] = record.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                        panic!("{record:?} is not «name type value»");
                    };
                    let _ = writeln!(text, "        - {{ name: \"{name}\", type: {rtype}, value: \"{value}\" }}");
                }
                text
            }
        };
        format!(
            "cluster: {name}\nsuffix: {suffix}\nlisten: [\"tls://{tls}\", \"grpc://{grpc}\"]\nadmin: \"{admin}\"\n\
             socket: {socket}\nstate: {state}\n\
             identity: {{ certificate: {out}/tls.crt, key: {out}/tls.key, trustBundle: ca/ca.crt }}\n\
             health: {{ interval: 500ms, timeout: 500ms }}\nlameduck: 0s\n{backend}{extra}",
            name = self.name,
            tls = seat.tls,
            grpc = seat.grpc,
            admin = seat.admin,
            socket = seat.socket.display(),
            state = match self.kubeconfig {
                Some(_) => format!("{{ kubernetes: {{ kubeconfig: kubeconfig, copy: {out}-peers.json }} }}"),
                None => format!("{out}-peers.json"),
            },
            extra = self.gateway_lines,
        )
    }

    fn agent_config(&self, dns: SocketAddr, admin: SocketAddr, gateways: &[Gateway]) -> String {
        let endpoints: Vec<String> = gateways.iter().map(|g| format!("\"grpc://{}\"", g.seat.grpc)).collect();
        format!(
            "node: node-1\nlisten: [\"{dns}\"]\nadmin: \"{admin}\"\nstate: .\n\
             identity: {{ certificate: agent/tls.crt, key: agent/tls.key, trustBundle: ca/ca.crt }}\n\
             gateway: {{ endpoints: [{endpoints}]{zones} }}\n\
             health: {{ interval: 500ms, timeout: 500ms }}\nlameduck: 0s\n{extra}",
            endpoints = endpoints.join(", "),
            zones = self.gateway_zones,
            extra = self.agent_lines,
        )
    }
}

/// Where a gateway listens and what it is started with.
pub struct GatewaySeat {
    /// DNS over TLS.
    pub tls: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// The admin API's socket.
    pub socket: PathBuf,
    /// The configuration.
    pub config: PathBuf,
}

/// A gateway, running or killed.
pub struct Gateway {
    /// Where it is, or was.
    pub seat: GatewaySeat,
    program: Option<Program>,
}

impl Gateway {
    /// The running program.
    #[track_caller]
    pub fn program(&self) -> &Program {
        self.program.as_ref().expect("the gateway runs")
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.program = None;
    }

    /// Starts it again where it was; it need not become ready.
    pub fn start_again(&mut self) {
        let config = self.seat.config.to_string_lossy().into_owned();
        self.program = Some(Program::start("gateway", &["--config", &config]).with_admin(self.seat.admin));
    }

    /// Starts it again where it was.
    #[track_caller]
    pub fn revive(&mut self) {
        self.program = Some(Program::daemon("gateway", &self.seat.config, self.seat.admin));
    }
}

/// A running cluster.
pub struct Cluster {
    /// `cluster-b`.
    pub name: String,
    /// `cluster-b.example.com`, its trust domain too.
    pub suffix: String,
    /// Certificates, configurations, state.
    pub folder: Folder,
    /// Its gateways.
    pub gateways: Vec<Gateway>,
    agent: Option<Program>,
    /// Where its agent answers.
    pub dns: SocketAddr,
    agent_admin: SocketAddr,
}

impl Cluster {
    /// Its first gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateways[0]
    }

    /// Its agent.
    #[track_caller]
    pub fn agent(&mut self) -> &mut Program {
        self.agent.as_mut().expect("the agent runs")
    }

    /// Waits until the agent has on disk what it would start with: peers are in force first, and then kept.
    #[track_caller]
    pub fn wait_kept(&self, word: &str) {
        let file = self.folder.path("agent-peers.json");
        until("the agent to have kept its peers", || {
            std::fs::read_to_string(&file).is_ok_and(|text| text.contains(word))
        });
    }

    /// Starts an agent beside the one there is, which is given back; they have all in common.
    #[track_caller]
    pub fn next_agent(&mut self) -> Program {
        let old = self.agent.take().expect("the agent runs");
        self.restart_agent();
        old
    }

    /// Kills the agent and starts it again; it need not become ready.
    pub fn restart_agent(&mut self) {
        self.agent = None;
        let config = self.folder.path("agent.yaml");
        let agent = Program::start("node-agent", &["--config", &config.to_string_lossy()]).with_admin(self.agent_admin);
        self.agent = Some(agent);
    }

    /// Its authority, to issue with it what `gatewayctl` would refuse.
    pub fn authority(&self) -> Authority {
        Authority::from_pem(&self.folder.read("ca/ca.crt"), &self.folder.read("ca/ca.key"))
    }

    /// The path of its CA certificate.
    pub fn ca(&self) -> String {
        self.folder.path("ca/ca.crt").to_string_lossy().into_owned()
    }

    /// Runs `gatewayctl` against every gateway of this cluster; the last output.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        let run = |gateway: &Gateway| {
            let socket = gateway.seat.socket.to_string_lossy().into_owned();
            gatewayctl(&[&["--socket", &socket], arguments].concat())
        };
        self.gateways.iter().map(run).reduce(|_, last| last).expect("a cluster has a gateway")
    }

    /// [`Cluster::ctl`] that must succeed; what it printed.
    #[track_caller]
    pub fn ctl_ok(&self, arguments: &[&str]) -> String {
        printed(&self.ctl(arguments), arguments)
    }

    /// `gatewayctl peer add` of `other` with these endpoints.
    #[track_caller]
    pub fn add_peer(&self, other: &Self, endpoints: &[String]) {
        let ca = other.ca();
        let mut arguments = vec!["peer", "add", &other.name, "--suffix", &other.suffix, "--ca", &ca];
        for endpoint in endpoints {
            arguments.extend(["--endpoint", endpoint]);
        }
        self.ctl_ok(&arguments);
    }

    /// The endpoints of its gateways, `tls` or `grpc`.
    pub fn endpoints(&self, scheme: &str) -> Vec<String> {
        let address = |g: &Gateway| if scheme == "tls" { g.seat.tls } else { g.seat.grpc };
        self.gateways.iter().map(|gateway| format!("{scheme}://{}", address(gateway))).collect()
    }

    /// Asks its agent for an address until it has one.
    #[track_caller]
    pub fn resolve(&self, name: &str) -> Vec<String> {
        eventually(&format!("{} to resolve {name}", self.name), || {
            // An agent that is starting refuses for a moment.
            let found = lines(&ask_udp(self.dns, &query(name, "A")).ok()?);
            (!found.is_empty()).then_some(found)
        })
    }

    /// Asks its agent.
    #[track_caller]
    pub fn ask(&self, name: &str, rtype: &str) -> Message {
        ask(self.dns, name, rtype)
    }

    /// Waits until `peer list` shows the outbound state of `peer`.
    #[track_caller]
    pub fn wait_outbound(&self, peer: &str, state: &str) {
        until(&format!("{} to see {peer} {state}", self.name), || {
            let list: serde_json::Value =
                serde_json::from_str(&self.ctl_ok(&["-o", "json", "peer", "show", peer])).expect("JSON");
            list["outbound"]["state"] == state
        });
    }
}

/// Two clusters, `cluster-a` and `cluster-b`, peered in both directions over `scheme`, each knowing `web.shop`:
/// 10.1.0.1 in cluster-a, 10.2.0.1 in cluster-b.
#[track_caller]
pub fn peered(scheme: &str) -> (Cluster, Cluster) {
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    a.add_peer(&b, &b.endpoints(scheme));
    b.add_peer(&a, &a.endpoints(scheme));
    (a, b)
}

/// Runs `gatewayctl`, which must succeed.
#[track_caller]
pub fn succeed(arguments: &[&str]) -> String {
    printed(&gatewayctl(arguments), arguments)
}

/// What a run of `gatewayctl` printed, which must have succeeded.
#[track_caller]
pub fn printed(output: &Output, arguments: &[&str]) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "gatewayctl {} failed ({}):\n{out}{err}", arguments.join(" "), output.status);
    out.into_owned()
}
