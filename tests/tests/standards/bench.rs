//! What the battery runs on: two peered clusters, an upstream that counts, and one zone that is served
//! under five names by five kinds of sources.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use strait_tests::client::query;
use strait_tests::{
    Cluster, ClusterPlan, Folder, Home, Leaf, OrdinaryServer, Program, Reply, ScriptedServer, TlsIdentity, free_address,
};
use strait_wire::{Message, Rcode};

use crate::carrier::{Carrier, Transport};

macro_rules! ten {
    ($text:literal) => {
        concat!($text, $text, $text, $text, $text, $text, $text, $text, $text, $text)
    };
}

/// Over 512 octets, under 1232.
const MEDIUM: &str = concat!(
    "medium TXT",
    ten!(" 0123456789abcdef"),
    ten!(" 0123456789abcdef"),
    ten!(" 0123456789abcdef"),
    ten!(" 0123456789abcdef")
);
/// Over 1232 octets.
const LARGE: &str = concat!(
    "large TXT",
    ten!(" 0123456789abcdef0123456789abcdef"),
    ten!(" 0123456789abcdef0123456789abcdef"),
    ten!(" 0123456789abcdef0123456789abcdef"),
    ten!(" 0123456789abcdef0123456789abcdef"),
    ten!(" 0123456789abcdef0123456789abcdef")
);

/// The zone, a record a line; backslashes as YAML wants them in quotes.
const ZONE: &[&str] = &[
    "one A 192.0.2.1",
    "MiXeD.Case A 192.0.2.2",
    r"opaque TYPE65400 \\# 4 c0000201",
    "*.wild A 192.0.2.3",
    "stop.wild TXT here",
    "deep.empty A 192.0.2.4",
    "alias CNAME one",
    "_http._tcp SRV 10 20 8080 one",
    MEDIUM,
    LARGE,
];

/// Programs and servers, shared by all tests that run at the same time and gone after the last of them.
pub(crate) struct Bench {
    pub(crate) a: Cluster,
    pub(crate) b: Cluster,
    /// Everything else goes here; answers every question for an address, and denies the rest.
    pub(crate) upstream: ScriptedServer,
    identity: TlsIdentity,
    _ordinary: OrdinaryServer,
}

/// A zone of that content on one way to it.
#[derive(Clone)]
pub(crate) struct Road {
    /// In words.
    pub(crate) what: String,
    /// The name of the zone there.
    pub(crate) apex: &'static str,
    pub(crate) transport: Transport,
    /// Whether the server holds the zone itself.
    pub(crate) authoritative: bool,
    /// Whether the zone is served by our own code. hickory does not read types that nobody knows, and where a
    /// wildcard does not apply it does not follow RFC 4592.
    pub(crate) is_ours: bool,
    server: SocketAddr,
    identity: TlsIdentity,
}

impl Bench {
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Bench>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let bench = Arc::new(Self::start());
            *shared = Arc::downgrade(&bench);
            bench
        })
    }

    fn start() -> Self {
        // hickory does not read the text form of RFC 3597.
        let known: Vec<String> =
            zone_file().lines().filter(|line| !line.contains(" TYPE")).map(str::to_owned).collect();
        let ordinary = OrdinaryServer::start(&[("up.example.", &(known.join("\n") + "\n"))]);
        let upstream = ScriptedServer::start(|received| match received.question().rtype.to_string().as_str() {
            "A" => vec![Reply::address(received, "192.0.2.99")],
            _ => vec![Reply::negative(received, Rcode::NOERROR, ".", 30)],
        });
        let b = ClusterPlan::new("cluster-b", Home::Zones(ZONE)).start();
        let agent = format!(
            "upstreams: {{ servers: [\"{}\"] }}\nforward: [{{ zone: up.example, servers: [\"{}\"] }}]\nzones:\n{}",
            upstream.address(),
            ordinary.address(),
            zones()
        );
        // Relative paths are relative to the configuration; this one lies elsewhere.
        let folder = Folder::new();
        let file = folder.write("file.example.zone", zone_file());
        let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"]))
            .agent(&agent.replace("FILE", &file.to_string_lossy()))
            .start();
        a.add_peer(&b, &b.endpoints("tls"));
        b.add_peer(&a, &a.endpoints("tls"));
        a.resolve("one.cluster-b.example.com");
        let identity = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/node-agent/node-1"));
        Self { a, b, upstream, identity, _ordinary: ordinary }
    }

    /// An agent of its own, with these lines, that asks cluster-b as a node of cluster-a.
    #[track_caller]
    pub(crate) fn agent_with(&self, lines: &str) -> Agent {
        let path = |name: &str| self.a.folder.path(name).display().to_string();
        Agent::start(&format!(
            "identity: {{ certificate: {}, key: {}, trustBundle: {} }}\n\
             peers: [{{ name: cluster-b, suffix: cluster-b.example.com, endpoints: [\"{}\"], \
             trustDomain: cluster-b.example.com, trustBundle: {} }}]\n{lines}",
            path("agent/tls.crt"),
            path("agent/tls.key"),
            path("ca/ca.crt"),
            self.b.endpoints("grpc")[0],
            self.b.ca(),
        ))
    }

    /// Every way to the zone.
    pub(crate) fn roads(&self) -> Vec<Road> {
        let road = |what: &str, apex, transport, authoritative, server| Road {
            what: format!("{what} over {transport:?}"),
            apex,
            transport,
            authoritative,
            is_ours: apex != "up.example",
            server,
            identity: self.identity.clone(),
        };
        let mut roads = Vec::new();
        for transport in [Transport::Udp, Transport::Tcp] {
            for (what, apex, authoritative) in [
                ("the agent's configured zone", "static.example", true),
                ("the agent's zone file", "file.example", true),
                ("the agent's upstream", "up.example", false),
                ("the agent's peer", "cluster-b.example.com", false),
            ] {
                roads.push(road(what, apex, transport, authoritative, self.a.dns));
            }
        }
        let seat = &self.b.gateway().seat;
        for (transport, server) in
            [(Transport::Dot, seat.tls), (Transport::GrpcStream, seat.grpc), (Transport::GrpcUnary, seat.grpc)]
        {
            roads.push(road("the gateway", "cluster-b.example.com", transport, true, server));
        }
        roads
    }
}

/// Runs a case on every road, and says on which it failed.
#[track_caller]
pub(crate) fn on_every_road(case: impl Fn(&Road)) {
    struct Report<'a>(&'a str);
    impl Drop for Report<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the road: {}", self.0);
            }
        }
    }
    for road in Bench::shared().roads() {
        let _report = Report(&road.what);
        case(&road);
    }
}

impl Road {
    /// A question for a name under the apex; `@` is the apex.
    pub(crate) fn query(&self, name: &str, rtype: &str) -> Message {
        match name {
            "@" => query(self.apex, rtype),
            _ => query(&format!("{name}.{}", self.apex), rtype),
        }
    }

    /// A fresh connection.
    pub(crate) fn open(&self) -> Carrier {
        Carrier::open(self.transport, self.server, &self.identity)
    }

    /// Asks over a fresh connection.
    #[track_caller]
    pub(crate) fn ask(&self, query: &Message) -> Message {
        self.open().ask(&query.to_wire().unwrap())
    }

    /// Checks that a packet gets no reply: a good question behind it is answered first.
    #[track_caller]
    pub(crate) fn ignores(&self, packet: &[u8]) {
        let good = Message { id: 0x5eed, ..self.query("one", "A") };
        let replies = self.open().exchange(&[packet.to_vec(), good.to_wire().unwrap()], 1);
        let reply = Message::parse(&replies[0]).unwrap();
        assert_eq!((reply.id, reply.answers.len()), (0x5eed, 1), "{packet:02x?} is answered: {reply:?}");
    }
}

/// The content as zones of an agent's configuration; `FILE` stands for the path of the zone file.
fn zones() -> String {
    let mut text =
        "  - { name: file.example, file: FILE }\n  - name: static.example\n    ttl: 30\n    records:\n".to_owned();
    for (name, rtype, value) in records() {
        let _ = writeln!(text, "      - {{ name: \"{name}\", type: {rtype}, value: \"{value}\" }}");
    }
    text
}

/// The content as a zone file.
fn zone_file() -> String {
    let mut text = "@ 30 IN SOA ns hostmaster 1 3600 600 86400 30\n@ 30 IN NS ns\nns 30 IN A 192.0.2.53\n".to_owned();
    for (name, rtype, value) in records() {
        let _ = writeln!(text, "{name} 30 IN {rtype} {}", value.replace(r"\\", r"\"));
    }
    text
}

fn records() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ZONE.iter().map(|line| {
        let mut fields = line.splitn(3, ' ');
        let mut next = || fields.next().expect("name, type, value");
        (next(), next(), next())
    })
}

/// An agent of its own, for what would disturb others; without peers.
pub(crate) struct Agent {
    pub(crate) dns: SocketAddr,
    pub(crate) program: Program,
    _folder: Folder,
}

impl Agent {
    /// Starts one with these lines of configuration.
    #[track_caller]
    pub(crate) fn start(lines: &str) -> Self {
        let (dns, admin, folder) = (free_address(), free_address(), Folder::new());
        let text = format!("listen: [\"{dns}\"]\nadmin: \"{admin}\"\nlameduck: 0s\n{lines}\n");
        let config = folder.write("agent.yaml", text);
        Self { dns, program: Program::daemon("node-agent", &config, admin), _folder: folder }
    }

    /// One whose only upstream is that server.
    #[track_caller]
    pub(crate) fn with_upstream(upstream: &ScriptedServer, lines: &str) -> Self {
        Self::start(&format!("upstreams: {{ servers: [\"{}\"] }}\n{lines}", upstream.address()))
    }
}
