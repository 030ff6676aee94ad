//! With other people's clients and servers, as Debian packages them: dig, kdig, unbound, dnsmasq.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::process::Command;

use strait_tests::tools::output;
use strait_tests::{
    Authority, Folder, Leaf, Program, ScriptedServer, ask, ask_tcp, free_address, lines, peered, query, tool, until,
};
use strait_wire::Rcode;

const ZONE: &str = r#"
zones:
  - name: static.example
    ttl: 30
    records:
      - { name: api, type: A, value: 192.0.2.10, ttl: 60 }
      - { name: api, type: AAAA, value: "2001:db8::10" }
      - { name: "*.apps", type: A, values: [192.0.2.11, 192.0.2.12] }
      - { name: alias, type: CNAME, value: api }
      - { name: _https._tcp, type: SRV, value: "10 20 443 api" }
      - { name: mail, type: MX, value: "10 api" }
      - { name: text, type: TXT, value: '"two words" "and more"' }
      - { name: web, type: HTTPS, value: "1 . alpn=h2" }
      - { name: odd, type: TYPE65400, value: '\# 4 c0000201' }
"#;

struct Agent {
    dns: SocketAddr,
    program: Program,
    _folder: Folder,
}

impl Agent {
    #[track_caller]
    fn start(lines: &str) -> Self {
        let (dns, admin, folder) = (free_address(), free_address(), Folder::new());
        let text = format!("listen: [\"{dns}\"]\nadmin: \"{admin}\"\nlameduck: 0s\n{lines}\n");
        let config = folder.write("agent.yaml", text);
        Self { dns, program: Program::daemon("node-agent", &config, admin), _folder: folder }
    }
}

/// What `dig` prints, without its comments on time and size.
#[track_caller]
fn dig(path: &std::path::Path, server: SocketAddr, arguments: &[&str]) -> String {
    let port = server.port().to_string();
    let text = output(path, &[&["-p", &port, "@127.0.0.1", "+tries=1", "+time=5"], arguments].concat());
    assert!(!text.contains("Warning") && !text.contains("malformed"), "{text}");
    text
}

#[test]
fn dig_reads_every_kind_of_answer() {
    let Some(path) = tool("dig") else { return };
    let agent = Agent::start(ZONE);
    for transport in ["+notcp", "+tcp"] {
        for (name, rtype, short) in [
            ("api.static.example", "A", "192.0.2.10\n"),
            ("api.static.example", "AAAA", "2001:db8::10\n"),
            ("a.b.apps.static.example", "A", "192.0.2.11\n192.0.2.12\n"),
            ("alias.static.example", "A", "api.static.example.\n192.0.2.10\n"),
            ("_https._tcp.static.example", "SRV", "10 20 443 api.static.example.\n"),
            ("mail.static.example", "MX", "10 api.static.example.\n"),
            ("text.static.example", "TXT", "\"two words\" \"and more\"\n"),
            ("web.static.example", "HTTPS", "1 . alpn=\"h2\"\n"),
            ("odd.static.example", "TYPE65400", "\\# 4 C0000201\n"),
            ("api.static.example", "ANY", "\"RFC8482\" \"\"\n"),
        ] {
            assert_eq!(dig(&path, agent.dns, &["+short", transport, name, rtype]), short, "{name} {rtype} {transport}");
        }
        for (arguments, expected) in [
            (
                &["api.static.example", "+dnssec"][..],
                &["status: NOERROR", "flags: do", "udp: 1232", "flags: qr aa rd ra;"][..],
            ),
            (&["api.static.example", "+noedns"], &["status: NOERROR", "ADDITIONAL: 0"]),
            (&["api.static.example", "+edns=1", "+noednsnegotiation"], &["status: BADVERS"]),
            (&["api.static.example", "+bufsize=512", "+nsid", "+cookie", "+subnet=192.0.2.0/24"], &["status: NOERROR"]),
            (&["none.static.example"], &["status: NXDOMAIN", "SOA", "AUTHORITY: 1"]),
            (&["api.static.example", "MX"], &["status: NOERROR", "ANSWER: 0", "SOA"]),
            (&["version.bind", "CH", "TXT"], &["status: REFUSED"]),
            (&["www.example.org"], &["status: REFUSED", "EDE: 20 (Not Authoritative)"]),
            (&["api.static.example", "+opcode=NOTIFY"], &["status: NOTIMP"]),
            (&["api.static.example", "+header-only"], &["status: FORMERR"]),
        ] {
            let text = dig(&path, agent.dns, &[&[transport], arguments].concat());
            for words in expected {
                assert!(text.contains(words), "{arguments:?} {transport}: no {words:?} in\n{text}");
            }
        }
    }
}

#[test]
fn dig_retries_over_tcp_and_keeps_a_connection_open() {
    let Some(path) = tool("dig") else { return };
    // A set that fits into no datagram of 512 octets.
    let addresses: Vec<String> = (1..=60).map(|octet| format!("198.51.100.{octet}")).collect();
    let records = format!(
        "  - {{ name: large.example, records: [{{ name: '@', type: A, values: [{}] }}] }}",
        addresses.join(", ")
    );
    let agent = Agent::start(&format!("{}\n{records}", ZONE.trim_end()));
    let cut = dig(&path, agent.dns, &["+ignore", "+bufsize=512", "large.example"]);
    assert!(cut.contains("flags: qr aa tc rd ra;"), "{cut}");
    let whole = dig(&path, agent.dns, &["+short", "+bufsize=512", "large.example"]);
    assert_eq!(whole.lines().count(), 60);
    let many = dig(&path, agent.dns, &["+short", "+tcp", "+keepopen", "api.static.example", "alias.static.example"]);
    assert_eq!(many, "192.0.2.10\napi.static.example.\n192.0.2.10\n");
}

#[test]
fn kdig_asks_a_gateway_over_tls_with_padding_and_keepalive() {
    let Some(kdig) = tool("kdig") else { return };
    let (a, b) = peered("tls");
    let identity = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    let folder = Folder::new();
    let certificate = format!("+tls-certfile={}", folder.write("tls.crt", &identity.certificate).display());
    let key = format!("+tls-keyfile={}", folder.write("tls.key", &identity.key).display());
    let (ca, port) = (format!("+tls-ca={}", b.ca()), b.gateway().seat.tls.port().to_string());
    let base =
        ["-p", &port, "@127.0.0.1", &ca, &certificate, &key, "+tls-hostname=127.0.0.1", "+timeout=5", "+retry=0"];
    let asked = |arguments: &[&str]| output(&kdig, &[&base, arguments].concat());
    let text = asked(&["+padding", "web.shop.svc.cluster-b.example.com"]);
    for words in ["TLS1.3", "status: NOERROR", "10.2.0.1", "PADDING"] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    let text = asked(&["none.shop.svc.cluster-b.example.com", "+keepopen", "cluster-b.example.com", "SOA"]);
    for words in ["status: NXDOMAIN", "status: NOERROR", "cluster-b.example.com."] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    assert!(!text.contains("cluster.local"), "{text}");
}

/// unbound with these lines in its `server:` clause and behind it, answering on a free port.
struct Unbound {
    dns: SocketAddr,
    _program: Program,
    _folder: Folder,
}

impl Unbound {
    #[track_caller]
    fn start(path: &std::path::Path, folder: Folder, server: &str, rest: &str) -> Self {
        let dns = free_address();
        let config = folder.write(
            "unbound.conf",
            format!(
                "server:\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n directory: \"{directory}\"\n use-syslog: no\n \
                 do-daemonize: no\n verbosity: 1\n num-threads: 1\n module-config: \"iterator\"\n \
                 do-not-query-localhost: no\n interface: 127.0.0.1@{port}\n access-control: 127.0.0.0/8 allow\n \
                {server}\n{rest}\nremote-control:\n control-enable: no\n",
                directory = folder.path("").display(),
                port = dns.port(),
            ),
        );
        let program = Program::start_command("unbound", Command::new(path).arg("-d").arg("-c").arg(config));
        until("unbound to listen", || ask_tcp(dns, &query("probe.invalid", "A")).is_ok());
        Self { dns, _program: program, _folder: folder }
    }
}

#[test]
fn unbound_forwards_to_our_agent() {
    let Some(path) = tool("unbound") else { return };
    let upstream = ScriptedServer::with_address("192.0.2.80");
    let agent = Agent::start(&format!("{ZONE}\nupstreams: {{ servers: [\"{}\"] }}", upstream.address()));
    for tcp in ["no", "yes"] {
        let forward = format!("forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@{}\n", agent.dns.port());
        let unbound = Unbound::start(&path, Folder::new(), &format!(" tcp-upstream: {tcp}"), &forward);
        assert_eq!(lines(&ask(unbound.dns, "api.static.example", "A")), ["api.static.example. A 192.0.2.10"]);
        assert_eq!(lines(&ask(unbound.dns, "alias.static.example", "A")).len(), 2);
        assert_eq!(lines(&ask(unbound.dns, "x.apps.static.example", "A")).len(), 2);
        assert_eq!(lines(&ask(unbound.dns, "www.example.org", "A")), ["www.example.org. A 192.0.2.80"]);
        assert_eq!(ask(unbound.dns, "none.static.example", "A").rcode, Rcode::NXDOMAIN);
        let nodata = ask(unbound.dns, "api.static.example", "MX");
        assert_eq!((nodata.rcode, nodata.answers.len()), (Rcode::NOERROR, 0));
        assert_eq!(ask(unbound.dns, "odd.static.example", "TYPE65400").answers[0].rdata.as_bytes(), [0xc0, 0, 2, 1]);
    }
    let requests = agent.program.metric("strait_requests_total");
    assert!(requests > 10.0, "unbound asked {requests} times");
}

#[test]
fn unbound_serves_our_agent_over_tls() {
    let Some(path) = tool("unbound") else { return };
    let authority = Authority::new("upstream.example");
    let leaf = Leaf { uris: Vec::new(), dns_names: vec!["dns.example.net".to_owned()], ..Leaf::of("") };
    let identity = authority.issue(&leaf);
    let folder = Folder::new();
    let (certificate, key) = (folder.write("tls.crt", &identity.certificate), folder.write("tls.key", &identity.key));
    let tls = free_address();
    let server = format!(
        " interface: 127.0.0.1@{port}\n tls-port: {port}\n tls-service-pem: \"{}\"\n tls-service-key: \"{}\"\n \
         local-data: \"www.example.org. 300 A 192.0.2.81\"\n local-zone: \"example.org.\" static\n",
        certificate.display(),
        key.display(),
        port = tls.port(),
    );
    let _unbound = Unbound::start(&path, folder, &server, "");
    let ca = Folder::new();
    let ca = ca.write("ca.crt", authority.certificate());
    let with_name = |name: &str| {
        format!("upstreams: {{ servers: [\"tls://127.0.0.1:{}#{name}\"], ca: {} }}", tls.port(), ca.display())
    };
    let agent = Agent::start(&with_name("dns.example.net"));
    assert_eq!(lines(&ask(agent.dns, "www.example.org", "A")), ["www.example.org. A 192.0.2.81"]);
    assert_eq!(ask(agent.dns, "none.example.org", "A").rcode, Rcode::NXDOMAIN);
    // RFC 8310 5: another name, and there is no answer.
    let agent = Agent::start(&with_name("other.example.net"));
    let failed = ask(agent.dns, "www.example.org", "A");
    assert_eq!((failed.rcode, failed.answers.len()), (Rcode::SERVFAIL, 0));
    let why = failed.edns.unwrap().ede().unwrap();
    assert!(why.text.contains("other.example.net") || why.text.contains("certificate"), "{why:?}");
}

#[test]
fn dnsmasq_forwards_to_our_agent() {
    let Some(path) = tool("dnsmasq") else { return };
    let agent = Agent::start(ZONE);
    let dns = free_address();
    let arguments = [
        "--keep-in-foreground".to_owned(),
        "--conf-file=/dev/null".to_owned(),
        "--no-resolv".to_owned(),
        "--no-hosts".to_owned(),
        "--user=".to_owned(),
        "--pid-file=".to_owned(),
        "--bind-interfaces".to_owned(),
        "--listen-address=127.0.0.1".to_owned(),
        format!("--port={}", dns.port()),
        format!("--server=127.0.0.1#{}", agent.dns.port()),
    ];
    let _dnsmasq = Program::start_command("dnsmasq", Command::new(path).args(arguments));
    until("dnsmasq to listen", || ask_tcp(dns, &query("api.static.example", "A")).is_ok());
    // Twice: the second comes from dnsmasq's cache.
    for _ in 0..2 {
        assert_eq!(lines(&ask(dns, "api.static.example", "A")), ["api.static.example. A 192.0.2.10"]);
        assert_eq!(lines(&ask(dns, "alias.static.example", "A")).len(), 2);
        assert_eq!(ask(dns, "none.static.example", "A").rcode, Rcode::NXDOMAIN);
    }
}
