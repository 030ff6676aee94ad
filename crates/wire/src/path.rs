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
        let mut data = Vec::new();
        self.write(&mut data);
        data
    }

    /// Appends the option's data.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (i, cluster) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(cluster.as_bytes());
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_bounded_and_strict() {
        let nine = ["a"; MAX_CLUSTERS_PASSED + 1].join(",");
        let cases: &[(&[u8], bool)] = &[
            (b"", true),
            (b"cluster-a.example", true),
            (b"cluster-a.example,b_c.example", true),
            (&nine.as_bytes()[2..], true),
            (nine.as_bytes(), false),
            // Empty members, upper case and what is no trust domain.
            (b",", false),
            (b"a,,b", false),
            (b"A", false),
            (b"a b", false),
            (b"a\n", false),
            (b"\xff", false),
            (&[b'a'; MAX_LEN], true),
            (&[b'a'; MAX_LEN + 1], false),
        ];
        for (data, is_path) in cases {
            assert_eq!(ClusterPath::parse(data).is_some(), *is_path, "{:?}", String::from_utf8_lossy(data));
        }
    }

    #[test]
    fn a_path_grows_up_to_its_bounds() {
        let mut path = ClusterPath::default();
        for i in 0..MAX_CLUSTERS_PASSED {
            path = path.passing(&format!("c{i}")).unwrap();
        }
        assert!(path.contains("c0") && path.contains("c7") && !path.contains("c8"));
        assert_eq!(path.passing("c8"), None);
        assert_eq!(path.to_string(), "c0 > c1 > c2 > c3 > c4 > c5 > c6 > c7");
        // Two names in one, or none, would not be read back as they were meant.
        assert_eq!(ClusterPath::default().passing("a,b"), None);
        assert_eq!(ClusterPath::default().passing(""), None);
        assert_eq!(ClusterPath::default().passing(&"a".repeat(MAX_LEN + 1)), None);
    }

    proptest! {
        #[test]
        fn paths_round_trip(clusters in proptest::collection::vec("[a-z0-9._-]{1,40}", 0..=MAX_CLUSTERS_PASSED)) {
            let path = clusters.iter().try_fold(ClusterPath::default(), |path, c| path.passing(c)).unwrap();
            prop_assert_eq!(ClusterPath::parse(&path.encode()), Some(path));
        }

        #[test]
        fn any_bytes_are_a_path_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..1_100)) {
            if let Some(path) = ClusterPath::parse(&bytes) {
                prop_assert_eq!(path.encode(), bytes);
            }
        }
    }
}
