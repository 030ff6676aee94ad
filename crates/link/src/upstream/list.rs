//! The servers in force, from a fixed list or from a resolv.conf(5) file that is read again when it changes.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_resolver::system_conf::parse_resolv_conf;
use rustls::ClientConfig;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::address::UpstreamServer;
use super::server::Server;
use super::udp::Ports;
use crate::{LinkMetrics, UpstreamSettings};

/// Between two looks at the file.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Servers used of one list; more would never be reached within a question's deadline.
const MAX_SERVERS: usize = 16;
/// A resolv.conf is a few lines.
const MAX_FILE: u64 = 64 * 1024;

/// The servers in force.
pub(super) struct ServerList {
    settings: Arc<UpstreamSettings>,
    tls: Arc<ClientConfig>,
    ports: Arc<Ports>,
    metrics: Arc<LinkMetrics>,
    servers: ArcSwap<Vec<Arc<Server>>>,
}

impl ServerList {
    pub(super) fn new(settings: Arc<UpstreamSettings>, tls: Arc<ClientConfig>, metrics: Arc<LinkMetrics>) -> Self {
        let ports = Arc::new(Ports::new(settings.exclude.iter().map(SocketAddr::port)));
        Self { settings, tls, ports, metrics, servers: ArcSwap::default() }
    }

    /// The servers, in order.
    pub(super) fn current(&self) -> Arc<Vec<Arc<Server>>> {
        self.servers.load_full()
    }

    /// Puts another list in force; servers on both keep what is known of them.
    pub(super) fn replace(&self, addresses: Vec<UpstreamServer>) {
        let old = self.current();
        let mut seen = HashSet::new();
        let (kept, excluded): (Vec<_>, Vec<_>) = addresses
            .into_iter()
            .filter(|address| seen.insert(address.clone()))
            .partition(|address| !self.is_excluded(address.address()));
        for address in excluded {
            warn!(zone = self.settings.name, upstream = %address, "upstream left out: it is this process itself");
        }
        if kept.len() > MAX_SERVERS {
            warn!(
                zone = self.settings.name,
                count = kept.len(),
                "upstreams after the first {MAX_SERVERS} are not used"
            );
        }
        let known = |address: &UpstreamServer| old.iter().find(|server| server.address == *address).map(Arc::clone);
        let servers: Vec<_> = kept
            .into_iter()
            .take(MAX_SERVERS)
            .map(|address| {
                known(&address)
                    .unwrap_or_else(|| Server::new(address, &self.settings, &self.tls, &self.ports, &self.metrics))
            })
            .collect();
        let text: Vec<String> = servers.iter().map(|server| server.address.to_string()).collect();
        info!(zone = self.settings.name, servers = text.join(" "), "upstreams in force");
        self.servers.store(Arc::new(servers));
    }

    fn is_excluded(&self, address: SocketAddr) -> bool {
        self.settings.exclude.iter().any(|own| {
            own.port() == address.port()
                && match own.ip().is_unspecified() {
                    true => own.is_ipv4() == address.is_ipv4() && is_local(address),
                    false => own.ip() == address.ip(),
                }
        })
    }
}

/// Whether an address is one of this machine's: only those can be bound.
fn is_local(address: SocketAddr) -> bool {
    UdpSocket::bind((address.ip(), 0)).is_ok()
}

/// A resolv.conf file and what was last seen of it.
pub(super) struct ResolvConf {
    path: PathBuf,
    seen: Option<Result<Vec<u8>, String>>,
}

impl ResolvConf {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Looks at the file every second, for ever.
    pub(super) async fn watch(mut self, list: Arc<ServerList>) {
        let mut tick = tokio::time::interval(WATCH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let path = self.path.clone();
            if let Ok(content) = tokio::task::spawn_blocking(move || read(&path)).await {
                self.take(content, &list);
            }
        }
    }

    /// Reads the file now.
    pub(super) fn look(&mut self, list: &ServerList) {
        self.take(read(&self.path), list);
    }

    /// Acts on a change and on nothing else. What is missing, unreadable or names no server leaves the list as it is.
    fn take(&mut self, content: Result<Vec<u8>, String>, list: &ServerList) {
        if self.seen.as_ref() == Some(&content) {
            return;
        }
        let servers = content.clone().and_then(|content| parse(&content));
        self.seen = Some(content);
        match servers {
            Ok(servers) => list.replace(servers),
            Err(cause) => warn!(
                zone = list.settings.name,
                file = %self.path.display(),
                cause,
                "no upstreams can be read from the file; the last ones stay in force"
            ),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    match size {
        0..=MAX_FILE => std::fs::read(path).map_err(|error| error.to_string()),
        _ => Err(format!("it has more than {MAX_FILE} octets")),
    }
}

/// The name servers of a resolv.conf(5) file; everything else in it is for stub resolvers.
fn parse(content: &[u8]) -> Result<Vec<UpstreamServer>, String> {
    // A file without any `nameserver` line is an error there, which suits.
    let (config, _) = parse_resolv_conf(content).map_err(|error| error.to_string())?;
    Ok(config.name_servers().iter().map(|server| UpstreamServer::Plain(SocketAddr::new(server.ip, 53))).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use prometheus::Registry;

    use super::*;

    fn list(exclude: &[&str]) -> Arc<ServerList> {
        let metrics = Arc::new(LinkMetrics::new(&Registry::new()).unwrap());
        let tls = crate::testing::no_tls();
        let settings = UpstreamSettings {
            exclude: exclude.iter().map(|a| a.parse().unwrap()).collect(),
            ..crate::testing::upstream_settings(Vec::new())
        };
        Arc::new(ServerList::new(Arc::new(settings), tls, metrics))
    }

    fn addresses(list: &ServerList) -> Vec<String> {
        list.current().iter().map(|server| server.address.to_string()).collect()
    }

    #[test]
    fn the_name_servers_of_a_resolv_conf() {
        let text = "# comment\n; another\nsearch example.com\nnameserver 192.0.2.1\nnameserver 2001:db8::1 # here\noptions ndots:5\n";
        let servers: Vec<String> = parse(text.as_bytes()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert!(parse(b"search example.com\n").is_err());
        assert!(parse(b"").is_err());
    }

    #[tokio::test]
    async fn our_own_addresses_are_left_out() {
        let servers = || ["127.0.0.1", "127.0.0.1:5353", "192.0.2.1", "::1"].map(|a| a.parse().unwrap()).to_vec();
        // excluded, left
        let cases: [(&[&str], &[&str]); 3] = [
            (&[], &["127.0.0.1:53", "127.0.0.1:5353", "192.0.2.1:53", "[::1]:53"]),
            (&["127.0.0.1:53"], &["127.0.0.1:5353", "192.0.2.1:53", "[::1]:53"]),
            // Every address of this machine, on that port and of that family.
            (&["0.0.0.0:53"], &["127.0.0.1:5353", "192.0.2.1:53", "[::1]:53"]),
        ];
        for (exclude, left) in cases {
            let list = list(exclude);
            list.replace(servers());
            assert_eq!(addresses(&list), left, "{exclude:?}");
        }
    }

    #[tokio::test]
    async fn the_file_is_followed_and_its_loss_survived() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let list = list(&[]);
        let mut file = ResolvConf::new(path.clone());
        // Missing at first: nothing yet, and no error.
        file.look(&list);
        assert_eq!(addresses(&list), Vec::<String>::new());
        std::fs::write(&path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").unwrap();
        file.look(&list);
        assert_eq!(addresses(&list), ["192.0.2.1:53", "192.0.2.2:53"]);
        let second = Arc::clone(&list.current()[1]);
        std::fs::write(&path, "nameserver 192.0.2.2\nnameserver 192.0.2.3\n").unwrap();
        file.look(&list);
        assert_eq!(addresses(&list), ["192.0.2.2:53", "192.0.2.3:53"]);
        // What is known of a server that stays is kept.
        assert!(Arc::ptr_eq(&second, &list.current()[0]));
        // Emptied, then gone: the last list stays.
        std::fs::write(&path, "").unwrap();
        file.look(&list);
        std::fs::remove_file(&path).unwrap();
        file.look(&list);
        assert_eq!(addresses(&list), ["192.0.2.2:53", "192.0.2.3:53"]);
    }

    #[tokio::test]
    async fn a_long_list_is_cut_and_doubles_fall_out() {
        let list = list(&[]);
        let many = (0..40u8).map(|i| format!("192.0.2.{}", i / 2).parse().unwrap()).collect();
        list.replace(many);
        assert_eq!(list.current().len(), MAX_SERVERS);
    }
}
