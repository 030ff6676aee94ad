//! The block of a Corefile that sends peers' names to the node-agent. Nothing else of the cluster's DNS changes.

use std::collections::HashSet;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use anyhow::bail;
use clap::ValueEnum;
use strait_proto::v1;
use strait_wire::Name;

use crate::admin::{Gateway, answer};
use crate::cli::Failure;

/// Zones of the block that every Corefile of a cluster begins with.
const OF_THE_CLUSTER: [&str; 3] = ["cluster.local", "in-addr.arpa", "ip6.arpa"];

/// Who is to send the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    /// CoreDNS as the cluster's DNS
    Coredns,
    /// NodeLocal DNSCache
    NodeLocalDns,
}

/// What names, from whom, to whom.
#[derive(Debug, clap::Args)]
pub(crate) struct StubDomain {
    /// Whose configuration the lines are for
    #[arg(long = "for", value_enum, value_name = "SERVER")]
    server: Server,
    /// An address of the node-agents, the same on every node; may be given for each family
    #[arg(long = "agent", value_name = "ADDR", required = true, value_parser = agent_address)]
    agents: Vec<SocketAddr>,
    /// A peer's suffix, such as cluster-b.example.com, or another zone that the node-agents answer, such as clusterset.local
    /// or 97.10.in-addr.arpa; may be given several times
    /// [default: the suffixes of the peers that the gateway asks]
    #[arg(long = "suffix", value_name = "SUFFIX", value_parser = suffix)]
    suffixes: Vec<Name>,
    /// The port of the other blocks
    #[arg(long, value_name = "PORT", default_value_t = 53, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// An address of the `bind` line of the other blocks, which NodeLocal DNSCache needs; may be given several times
    #[arg(long = "bind", value_name = "ADDR")]
    bind: Vec<IpAddr>,
}

/// An address; its port is 53 when none is given.
fn agent_address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let alone = || bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    match text.parse().ok().or_else(alone) {
        // There it would ask itself: the DNS server's pod has a loopback link of its own.
        Some(address) if address.ip().is_loopback() => Err(format!(
            "{address} is the pod of the DNS server itself; give the address that the agents answer pods on, such as 169.254.20.53 (mode: nodeLocal)"
        )),
        Some(address) if !address.ip().is_unspecified() => Ok(address),
        _ => Err("write 169.254.20.53, [fd00::53] or 169.254.20.53:5353".to_owned()),
    }
}

/// A zone that can have a block of its own: another than those that a Corefile has anyway, whose names go everywhere or stay
/// in the cluster.
fn suffix(text: &str) -> Result<Name, String> {
    let name: Name = text.parse().map_err(|error| format!("{error}"))?;
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if name.is_root() {
        return Err(
            "that is the whole of DNS; name the suffix of one cluster, such as cluster-b.example.com".to_owned()
        );
    }
    if name.labels().count() < 2 {
        return Err(format!(
            "{text} holds more than the names of one cluster, among them such as the cluster's DNS answers itself; name a suffix such as cluster-b.example.com"
        ));
    }
    if OF_THE_CLUSTER.iter().any(|zone| zone.parse().is_ok_and(|zone: Name| name == zone)) {
        return Err(format!(
            "the cluster's DNS answers {text} itself, and would send everything of it away; name the suffix of a peer, such as cluster-b.example.com"
        ));
    }
    match name.labels().all(|label| label.iter().all(is_plain)) {
        true => Ok(name),
        false => Err("a Corefile cannot hold it: write letters, digits, '-' and '_'".to_owned()),
    }
}

impl StubDomain {
    /// The lines; the gateway is asked only when no suffix is given.
    pub(crate) async fn lines(mut self, gateway: &Gateway) -> Result<String, Failure> {
        if self.server == Server::NodeLocalDns && self.bind.is_empty() {
            return Err(Failure::usage(
                "--for node-local-dns needs --bind: the addresses of the `bind` line of its other blocks \
                 (kubectl -n kube-system get configmap node-local-dns -o yaml)",
            ));
        }
        if self.suffixes.is_empty() {
            let mut client = gateway.connect().await?;
            self.suffixes = suffixes(answer(client.list_peers(v1::ListPeersRequest {})).await?)?;
        }
        // CoreDNS does not start with a zone that is there twice.
        let mut seen = HashSet::new();
        self.suffixes.retain(|suffix| seen.insert(suffix.clone()));
        Ok(self.block())
    }

    fn block(&self) -> String {
        let (config_map, server) = match self.server {
            Server::Coredns => ("coredns", "CoreDNS"),
            Server::NodeLocalDns => ("node-local-dns", "NodeLocal DNSCache"),
        };
        let suffixes: Vec<String> = self
            .suffixes
            .iter()
            .map(|suffix| format!("{}:{}", suffix.to_string().trim_end_matches('.'), self.port))
            .collect();
        let agents: Vec<String> = self.agents.iter().map(agent_text).collect();
        let mut text = format!(
            "# For {server}: one more block of the Corefile, beside the others\n\
             # (kubectl -n kube-system edit configmap {config_map}).\n{} {{\n    errors\n",
            suffixes.join(" ")
        );
        // Writing to a string cannot fail.
        if !self.bind.is_empty() {
            let bind: Vec<String> = self.bind.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "    bind {}", bind.join(" "));
        }
        // No cache: the node-agent has one, which knows what has become stale and whose answers those are.
        let _ = write!(text, "    forward . {}\n    reload\n}}\n", agents.join(" "));
        text
    }
}

/// As a Corefile has it: the port only where it is not 53.
fn agent_text(agent: &SocketAddr) -> String {
    match agent.port() {
        53 => agent.ip().to_string(),
        _ => agent.to_string(),
    }
}

/// The suffixes of peers that are asked.
fn suffixes(peers: v1::ListPeersResponse) -> anyhow::Result<Vec<Name>> {
    let asked = peers.peers.into_iter().filter_map(|status| status.peer).filter(|peer| peer.outbound);
    let suffixes: Vec<Name> = asked.map(|peer| peer.suffix.parse()).collect::<Result<_, _>>()?;
    match suffixes.is_empty() {
        true => {
            bail!("the gateway asks no peer yet: add one with `gatewayctl peer add`, or name a suffix with --suffix")
        }
        false => Ok(suffixes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn stub(server: Server, agents: &[&str], suffixes: &[&str]) -> StubDomain {
        StubDomain {
            server,
            agents: agents.iter().map(|text| agent_address(text).unwrap()).collect(),
            suffixes: suffixes.iter().map(|text| text.parse().unwrap()).collect(),
            port: 53,
            bind: Vec::new(),
        }
    }

    #[test]
    fn coredns_gets_a_block_for_all_suffixes() {
        let stub = stub(
            Server::Coredns,
            &["169.254.20.53", "[fd00::53]"],
            &["cluster-b.example.com", "cluster-c.example.com."],
        );
        assert_eq!(
            stub.block(),
            "# For CoreDNS: one more block of the Corefile, beside the others\n\
             # (kubectl -n kube-system edit configmap coredns).\n\
             cluster-b.example.com:53 cluster-c.example.com:53 {\n\
             \x20   errors\n\
             \x20   forward . 169.254.20.53 fd00::53\n\
             \x20   reload\n\
             }\n"
        );
    }

    #[test]
    fn node_local_dns_is_told_where_to_listen() {
        let mut stub = stub(Server::NodeLocalDns, &["[fd00::53]:5353"], &["cluster-b.example.com"]);
        stub.bind = vec!["169.254.20.10".parse().unwrap(), "10.96.0.10".parse().unwrap()];
        stub.port = 5300;
        assert_eq!(
            stub.block(),
            "# For NodeLocal DNSCache: one more block of the Corefile, beside the others\n\
             # (kubectl -n kube-system edit configmap node-local-dns).\n\
             cluster-b.example.com:5300 {\n\
             \x20   errors\n\
             \x20   bind 169.254.20.10 10.96.0.10\n\
             \x20   forward . [fd00::53]:5353\n\
             \x20   reload\n\
             }\n"
        );
    }

    #[test]
    fn addresses_of_agents_are_addresses() {
        for (text, address) in [
            ("169.254.20.53", "169.254.20.53:53"),
            ("169.254.20.53:5353", "169.254.20.53:5353"),
            ("fd00::53", "[fd00::53]:53"),
            ("[fd00::53]", "[fd00::53]:53"),
        ] {
            assert_eq!(agent_address(text).unwrap(), address.parse().unwrap());
        }
        for text in ["0.0.0.0", "::", "localhost", "169.254.20.53:", "127.0.0.1", "127.0.0.153:5353", "::1"] {
            agent_address(text).unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_suffix_that_is_given_twice_is_there_once() {
        let stub = stub(Server::Coredns, &["169.254.20.53"], &["b.example.com", "B.example.com.", "c.example.com"]);
        let text = stub.lines(&Gateway::at("nowhere".into())).await.ok().unwrap();
        assert!(text.contains("\nb.example.com:53 c.example.com:53 {\n"), "{text}");
    }

    #[test]
    fn only_zones_that_may_leave_the_cluster_are_suffixes() {
        for text in
            ["cluster-b.example.com", "Cluster-B.example.com.", "clusterset.local", "97.10.in-addr.arpa", "a_b.c"]
        {
            assert_eq!(suffix(text).unwrap(), text.parse().unwrap());
        }
        // (suffix, a word of what is said)
        for (text, word) in [
            (".", "whole of DNS"),
            // A block of these would take cluster.local, or every address, from the block before.
            ("local", "more than"),
            ("arpa.", "more than"),
            ("com", "more than"),
            ("cluster.local", "itself"),
            ("Cluster.Local.", "itself"),
            ("in-addr.arpa", "itself"),
            ("*.example.com", "Corefile"),
            ("a{b.example.com", "Corefile"),
            ("a\\032b.example.com", "Corefile"),
            ("a..b", ""),
        ] {
            let error = suffix(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn only_peers_that_are_asked_count() {
        let peer = |suffix: &str, outbound| v1::PeerStatus {
            peer: Some(v1::Peer { suffix: suffix.to_owned(), outbound, ..v1::Peer::default() }),
            ..v1::PeerStatus::default()
        };
        let told = |peers| v1::ListPeersResponse { peers, generation: 1 };
        let both = told(vec![peer("b.example.com.", true), peer("c.example.com.", false)]);
        assert_eq!(suffixes(both).unwrap(), ["b.example.com".parse().unwrap()]);
        let error = suffixes(told(vec![peer("c.example.com.", false)])).unwrap_err();
        assert!(error.to_string().contains("gatewayctl peer add"), "{error}");
    }
}
