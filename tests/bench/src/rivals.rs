//! The other servers, started from the templates in `rivals/`; why each option is there stands in the template.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::contender::{Contender, Place, fill};
use crate::names::Names;
use crate::pki::Pki;
use crate::program::{Core, Program, free_address};

/// The zone of the upstream, with a wildcard.
pub(crate) const UPSTREAM_ZONE: &str = "bench.example";
/// The zone of local data.
pub(crate) const LOCAL_ZONE: &str = "static.example";
/// The zone that is asked for over two hops.
pub(crate) const PEER_ZONE: &str = "cluster-b.example.com";

/// The upstream of every forwarder, on the core of the load.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    _program: Program,
}

impl Upstream {
    /// Starts NSD, and waits until it answers.
    pub(crate) fn start(place: &Place) -> anyhow::Result<Self> {
        let folder = place.folder("nsd")?;
        let address = free_address()?;
        fill(include_str!("../rivals/nsd.zone"), &[], &folder.join("bench.zone"))?;
        let config = fill(include_str!("../rivals/nsd.conf"), &[port(address)], &folder.join("nsd.conf"))?;
        let command = [find("nsd")?, "-d".into(), "-c".into(), config];
        let mut program = Program::start("nsd", Core::Load, &folder, &command)?;
        let mut names = Names::fresh(UPSTREAM_ZONE);
        program.wait_until(|| crate::load::udp::answers(address, names.next()))?;
        Ok(Self { address, _program: program })
    }
}

/// The bare echo, which answers what it is asked without a look.
pub(crate) fn echo(place: &Place, names: Names) -> anyhow::Result<Contender> {
    let (server, folder) = (free_address()?, place.folder("echo")?);
    let program = Program::start("echo", Core::Server, &folder, &[place.binary("echo"), server.to_string()])?;
    Ok(Contender { name: "echo".into(), programs: vec![program], server, admin: None, names })
}

/// What a server that asks an upstream is asked, and where that is.
#[derive(Clone)]
pub(crate) struct Forwarding {
    pub(crate) upstream: SocketAddr,
    pub(crate) names: Names,
    pub(crate) cache: CacheSize,
}

/// How much a cache may hold, in every server alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheSize {
    /// More than is asked for.
    Ample,
    /// So many mebibytes.
    Mebibytes(u32),
}

impl Forwarding {
    /// What templates call the upstream and the cache.
    pub(crate) fn words(&self) -> [(&'static str, String); 3] {
        let mebibytes = match self.cache {
            CacheSize::Ample => 64,
            CacheSize::Mebibytes(mebibytes) => mebibytes,
        };
        let half = mebibytes / 2;
        [upstream(self.upstream), ("CACHE_MIB", mebibytes.to_string()), ("HALF_CACHE_MIB", half.to_string())]
    }
}

/// unbound as a caching forwarder.
pub(crate) fn unbound_forward(place: &Place, plan: &Forwarding) -> anyhow::Result<Contender> {
    unbound(place, include_str!("../rivals/unbound-forward.conf"), &plan.words(), plan.names.clone())
}

/// knot-resolver as a caching forwarder.
pub(crate) fn knot_forward(place: &Place, plan: &Forwarding) -> anyhow::Result<Contender> {
    let folder = place.folder("knot-resolver")?;
    knot(&folder, include_str!("../rivals/knot-forward.conf"), &plan.words(), plan.names.clone())
}

/// dnsmasq as a caching forwarder.
pub(crate) fn dnsmasq_forward(place: &Place, plan: &Forwarding) -> anyhow::Result<Contender> {
    dnsmasq(place, include_str!("../rivals/dnsmasq-forward.conf"), &plan.words(), plan.names.clone())
}

/// dnsdist as a forwarder with a packet cache; it asks from a fixed set of sockets.
pub(crate) fn dnsdist_forward(place: &Place, plan: &Forwarding) -> anyhow::Result<Contender> {
    dnsdist(place, include_str!("../rivals/dnsdist-forward.conf"), &plan.words(), plan.names.clone())
}

/// unbound with `count` names in its `local-data`.
pub(crate) fn unbound_local(place: &Place, count: usize) -> anyhow::Result<Contender> {
    let records = lines(count, |name| format!("    local-data: \"{name}. 300 IN A 192.0.2.1\""));
    unbound(place, include_str!("../rivals/unbound-local.conf"), &[records], local_names(count))
}

/// knot-resolver with `count` names in its hints.
pub(crate) fn knot_local(place: &Place, count: usize) -> anyhow::Result<Contender> {
    let folder = place.folder("knot-resolver")?;
    std::fs::write(folder.join("hosts"), lines(count, |name| format!("192.0.2.1 {name}")).1)?;
    knot(&folder, include_str!("../rivals/knot-local.conf"), &[], local_names(count))
}

/// dnsmasq with `count` names as `address=`.
pub(crate) fn dnsmasq_local(place: &Place, count: usize) -> anyhow::Result<Contender> {
    let records = lines(count, |name| format!("address=/{name}/192.0.2.1"));
    dnsmasq(place, include_str!("../rivals/dnsmasq-local.conf"), &[records], local_names(count))
}

/// dnsdist with `count` names in a set that is answered by itself.
pub(crate) fn dnsdist_local(place: &Place, count: usize) -> anyhow::Result<Contender> {
    let records = lines(count, |name| format!("names:add(newDNSName(\"{name}.\"))"));
    dnsdist(place, include_str!("../rivals/dnsdist-local.conf"), &[records], local_names(count))
}

/// unbound before unbound, DNS over TLS between them.
pub(crate) fn unbound_pair(place: &Place, pki: &Pki) -> anyhow::Result<Contender> {
    let names = Names::fresh(PEER_ZONE);
    let second = unbound_tls(place, pki)?;
    let words = [upstream(second.server), ("CA", pki.ca(PEER_ZONE)), ("SERVER_NAME", pki.server_name())];
    let first = unbound(place, include_str!("../rivals/unbound-first.conf"), &words, names)?;
    Ok(pair(second, first, "unbound → unbound"))
}

/// dnsdist before dnsdist, DNS over TLS between them.
pub(crate) fn dnsdist_pair(place: &Place, pki: &Pki) -> anyhow::Result<Contender> {
    let names = Names::fresh(PEER_ZONE);
    let second = dnsdist_tls(place, pki)?;
    let words = [upstream(second.server), ("CA", pki.ca(PEER_ZONE)), ("SERVER_NAME", pki.server_name())];
    let first = dnsdist(place, include_str!("../rivals/dnsdist-first.conf"), &words, names)?;
    Ok(pair(second, first, "dnsdist → dnsdist"))
}

/// unbound as a DNS over TLS server with one address for every name of [`PEER_ZONE`].
pub(crate) fn unbound_tls(place: &Place, pki: &Pki) -> anyhow::Result<Contender> {
    unbound(place, include_str!("../rivals/unbound-second.conf"), &server_words(pki), Names::fresh(PEER_ZONE))
}

/// dnsdist as the same.
pub(crate) fn dnsdist_tls(place: &Place, pki: &Pki) -> anyhow::Result<Contender> {
    dnsdist(place, include_str!("../rivals/dnsdist-second.conf"), &server_words(pki), Names::fresh(PEER_ZONE))
}

/// One contender of two: the first hop is asked, both are paid.
pub(crate) fn pair(second: Contender, mut first: Contender, name: &str) -> Contender {
    first.programs.splice(0..0, second.programs);
    first.name = name.to_owned();
    first
}

fn unbound(place: &Place, template: &str, words: &[(&str, String)], names: Names) -> anyhow::Result<Contender> {
    let folder = place.folder("unbound")?;
    start("unbound", &folder, template, words, names, |config| {
        Ok(vec![find("unbound")?, "-d".into(), "-c".into(), config])
    })
}

fn knot(folder: &Path, template: &str, words: &[(&str, String)], names: Names) -> anyhow::Result<Contender> {
    let run = folder.display().to_string();
    let mut words = words.to_vec();
    words.push(("FOLDER", run.clone()));
    start("knot-resolver", folder, template, &words, names, |config| {
        Ok(vec![find("kresd")?, "--noninteractive".into(), "--config".into(), config, run])
    })
}

fn dnsmasq(place: &Place, template: &str, words: &[(&str, String)], names: Names) -> anyhow::Result<Contender> {
    let folder = place.folder("dnsmasq")?;
    start("dnsmasq", &folder, template, words, names, |config| {
        Ok(vec![find("dnsmasq")?, format!("--conf-file={config}")])
    })
}

fn dnsdist(place: &Place, template: &str, words: &[(&str, String)], names: Names) -> anyhow::Result<Contender> {
    let folder = place.folder("dnsdist")?;
    start("dnsdist", &folder, template, words, names, |config| {
        Ok(vec![find("dnsdist")?, "--supervised".into(), "--disable-syslog".into(), "--config".into(), config])
    })
}

fn start(
    name: &str,
    folder: &Path,
    template: &str,
    words: &[(&str, String)],
    names: Names,
    command: impl FnOnce(String) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<Contender> {
    let server = free_address()?;
    let mut words = words.to_vec();
    words.push(port(server));
    let config = fill(template, &words, &folder.join(format!("{name}.conf")))?;
    let program = Program::start(name, Core::Server, folder, &command(config)?)?;
    Ok(Contender { name: name.to_owned(), programs: vec![program], server, admin: None, names })
}

/// The names of [`LOCAL_ZONE`].
pub(crate) fn local_names(count: usize) -> Names {
    Names::known("s", count, LOCAL_ZONE)
}

/// A line for each name of [`LOCAL_ZONE`], to be put in for `@RECORDS@`.
pub(crate) fn lines(count: usize, line: impl Fn(&str) -> String) -> (&'static str, String) {
    let lines: Vec<String> = (0..count).map(|number| line(&format!("s{number}.{LOCAL_ZONE}"))).collect();
    ("RECORDS", lines.join("\n"))
}

fn port(address: SocketAddr) -> (&'static str, String) {
    ("PORT", address.port().to_string())
}

fn upstream(address: SocketAddr) -> (&'static str, String) {
    ("UPSTREAM_PORT", address.port().to_string())
}

fn server_words(pki: &Pki) -> [(&'static str, String); 2] {
    [("CERTIFICATE", pki.gateway("tls.crt")), ("KEY", pki.gateway("tls.key"))]
}

/// The path of a program of the system; Debian keeps servers in `sbin`, which is not in everybody's path.
pub(crate) fn find(name: &str) -> anyhow::Result<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut files = folders.map(|folder: PathBuf| folder.join(name));
    let found = files.find(|file| file.is_file());
    Ok(found.with_context(|| format!("{name} is not installed; tests/bench/run installs it"))?.display().to_string())
}
