//! The clusters a question has passed: the guard against forwarding loops between clusters.
//!
//! A local-use EDNS option carries the trust domains, oldest first, separated by commas. Every
//! gateway and agent that sends a question to another cluster appends its own. A cluster that
//! finds itself in the path, or a path that is full, refuses that one question and says the path.

use std::fmt;

/// The most clusters a question may pass.
pub const MAX_CLUSTERS_PASSED: usize = 8;

/// The longest encoded path, in octets.
const MAX_LEN: usize = 1024;

/// Trust domains in the order a question has passed them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterPath(Vec<String>);

impl ClusterPath {
    /// Reads the option's data; none when it is malformed or over its bounds.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok().filter(|t| t.len() <= MAX_LEN)?;
        if text.is_empty() {
            return Some(Self::default());
        }
        let clusters: Vec<String> = text.split(',').map(str::to_owned).collect();
        (clusters.len() <= MAX_CLUSTERS_PASSED && clusters.iter().all(|c| is_trust_domain(c))).then_some(Self(clusters))
    }

    /// The option's data.
    pub fn encode(&self) -> Vec<u8> {
        self.0.join(",").into_bytes()
    }

    /// Whether no cluster has been passed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `cluster` has been passed.
    pub fn contains(&self, cluster: &str) -> bool {
        self.0.iter().any(|c| c == cluster)
    }

    /// This path with `cluster` at its end; none when it is full or `cluster` is no trust domain.
    pub fn passing(&self, cluster: &str) -> Option<Self> {
        if self.0.len() == MAX_CLUSTERS_PASSED || !is_trust_domain(cluster) {
            return None;
        }
        let mut clusters = self.0.clone();
        clusters.push(cluster.to_owned());
        Some(Self(clusters)).filter(|path| path.encode().len() <= MAX_LEN)
    }
}

/// Whether the characters are those of a trust domain (SPIFFE-ID 2.1): neither a comma nor what
/// would upset a terminal.
fn is_trust_domain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
}

impl fmt::Display for ClusterPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" > "))
    }
}
