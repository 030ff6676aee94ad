//! SPIFFE identifiers (SPIFFE-ID 1.0 section 2): `spiffe://<trust domain>/gateway` and
//! `spiffe://<trust domain>/node-agent/<node>`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A trust domain: lower-case letters, digits, `-`, `.` and `_`, at most 255 octets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

/// Why text is not a trust domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a trust domain: lower-case letters, digits, '-', '.', '_', 1 to 255 of them (for example cluster-b.example.com)"
)]
pub struct TrustDomainError {
    /// The text.
    pub text: String,
}

impl TrustDomain {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = TrustDomainError;

    fn from_str(text: &str) -> Result<Self, TrustDomainError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        match (1..=255).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.into())),
            false => Err(TrustDomainError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a workload is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// A gateway of the trust domain.
    Gateway,
    /// The node-agent of the named node.
    NodeAgent(Arc<str>),
}

/// The longest name of a node, as Kubernetes has it.
const MAX_NODE_LEN: usize = 253;

impl Role {
    /// The name in a certificate that all nodes of a cluster share.
    pub const EVERY_NODE: &str = "every-node";

    /// Whether it may speak for the node-agent of that node.
    pub fn is_agent_of(&self, node: &str) -> bool {
        match self {
            Self::Gateway => false,
            Self::NodeAgent(own) => **own == *node || (**own == *Self::EVERY_NODE && is_node_name(node)),
        }
    }
}

/// Whether it can be the name of a node.
fn is_node_name(text: &str) -> bool {
    let node_char = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=MAX_NODE_LEN).contains(&text.len()) && text.bytes().all(node_char) && text != "." && text != ".."
}

/// A SPIFFE identifier of one of our roles.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    /// Whose authority vouches.
    pub trust_domain: TrustDomain,
    /// What it vouches for.
    pub role: Role,
}

/// Why a URI is not an identity of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{uri:?} is not a Strait identity: spiffe://<trust domain>/gateway or spiffe://<trust domain>/node-agent/<node>"
)]
pub struct SpiffeIdError {
    /// The URI.
    pub uri: String,
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(uri: &str) -> Result<Self, SpiffeIdError> {
        let error = || SpiffeIdError { uri: uri.to_owned() };
        let (domain, path) = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).ok_or_else(error)?;
        let trust_domain = domain.parse().map_err(|_| error())?;
        let role = match path.strip_prefix("node-agent/") {
            Some(node) if is_node_name(node) => Role::NodeAgent(node.into()),
            None if path == "gateway" => Role::Gateway,
            _ => return Err(error()),
        };
        Ok(Self { trust_domain, role })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Role::Gateway => write!(f, "spiffe://{}/gateway", self.trust_domain),
            Role::NodeAgent(node) => write!(f, "spiffe://{}/node-agent/{node}", self.trust_domain),
        }
    }
}

/// Who stands at the other end of a connection whose handshake has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The identifier from the certificate's URI SAN.
    pub id: SpiffeId,
    /// When the certificate ends, seconds since 1970-01-01 UTC.
    pub not_after: i64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn identities_and_their_text_are_the_same() {
        for uri in [
            "spiffe://cluster-b.example.com/gateway",
            "spiffe://cluster-b.example.com/node-agent/worker-1.example.com",
            "spiffe://b/node-agent/W_1",
        ] {
            assert_eq!(uri.parse::<SpiffeId>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn a_certificate_is_one_nodes_or_every_nodes() {
        let long = "n".repeat(MAX_NODE_LEN + 1);
        for (role, node, may) in [
            (Role::NodeAgent("n1".into()), "n1", true),
            (Role::NodeAgent("n1".into()), "n2", false),
            (Role::NodeAgent("n1".into()), "every-node", false),
            (Role::NodeAgent("every-node".into()), "n1", true),
            (Role::NodeAgent("every-node".into()), "every-node", true),
            (Role::NodeAgent("every-node".into()), "", false),
            (Role::NodeAgent("every-node".into()), "a/b", false),
            (Role::NodeAgent("every-node".into()), &long, false),
            (Role::Gateway, "n1", false),
        ] {
            assert_eq!(role.is_agent_of(node), may, "{role:?}, {node:?}");
        }
    }

    #[test]
    fn what_is_no_identity() {
        for (uri, why) in [
            ("", "nothing"),
            ("https://cluster-b.example.com/gateway", "another scheme"),
            ("SPIFFE://cluster-b.example.com/gateway", "one spelling only, or two texts would be one identity"),
            ("spiffe://cluster-b.example.com", "a trust domain alone"),
            ("spiffe://cluster-b.example.com/", "an empty path"),
            ("spiffe://cluster-b.example.com/gateway/", "SPIFFE-ID 2.2: no trailing slash"),
            ("spiffe://cluster-b.example.com/gateway?x=1", "SPIFFE-ID 2: no query"),
            ("spiffe://cluster-b.example.com:443/gateway", "SPIFFE-ID 2.1: no port"),
            ("spiffe://user@cluster-b.example.com/gateway", "SPIFFE-ID 2.1: no user"),
            ("spiffe://Cluster-B.example.com/gateway", "SPIFFE-ID 2.1: lower case"),
            ("spiffe:///gateway", "no trust domain"),
            ("spiffe://cluster-b.example.com/node-agent", "no node"),
            ("spiffe://cluster-b.example.com/node-agent/", "an empty node"),
            ("spiffe://cluster-b.example.com/node-agent/..", "SPIFFE-ID 2.2: no relative segments"),
            ("spiffe://cluster-b.example.com/node-agent/a/b", "two segments"),
            ("spiffe://cluster-b.example.com/node-agent/w%31", "SPIFFE-ID 2.2: no percent-encoding"),
        ] {
            assert!(uri.parse::<SpiffeId>().is_err(), "{uri}: {why}");
        }
        assert!(format!("spiffe://{}/gateway", "a".repeat(256)).parse::<SpiffeId>().is_err());
    }
}
