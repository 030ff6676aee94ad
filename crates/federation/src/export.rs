//! What a peer may see of this cluster: for now, by namespace.
//!
//! [`NamespacePolicy::forbids`] is asked for names of questions and for names in answers. A rule of another kind is a
//! variant of [`Rule`] and a line there.

use std::fmt;
use std::str::FromStr;

use strait_wire::Name;

/// Shown only to whom it is shown by name: a cluster's own machinery.
pub const WITHHELD: &str = "kube-system";

/// Above the names of what a cluster exports to its set: `<service>.<ns>.svc.clusterset.<suffix>`.
const EXPORTS: &[u8] = b"clusterset";

/// The most namespaces in a list of a policy.
pub const MAX_NAMESPACES: usize = 256;

/// A namespace's name, a DNS label in lower case; in a list of what is allowed also `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(Box<str>);

/// Why text is not a namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a namespace: write 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends; among those allowed * stands for every one but {WITHHELD}"
)]
pub struct NamespaceError {
    /// The text.
    pub text: String,
}

impl Namespace {
    const ANY: &str = "*";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for all of them.
    pub fn is_any(&self) -> bool {
        *self.0 == *Self::ANY
    }

    fn is(&self, label: &[u8]) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(label)
    }
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<Self, NamespaceError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_label = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
        match text == Self::ANY || is_label && !text.starts_with('-') && !text.ends_with('-') {
            true => Ok(Self(text.into())),
            false => Err(NamespaceError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The rule that keeps a name from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Its namespace is not shown to that peer.
    Namespace,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("the namespaces it may see"),
        }
    }
}

/// Which namespaces of this cluster a peer may see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespacePolicy {
    allow: Vec<Namespace>,
    deny: Vec<Namespace>,
}

/// Why two lists are not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespacePolicyError {
    /// An entry is no namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// `*` among those denied.
    #[error("every namespace is denied; set inbound to false when the peer is to see nothing")]
    AllDenied,
    /// A list is too long.
    #[error("{0} namespaces in a list, more than {MAX_NAMESPACES}; allow those meant instead of denying the others")]
    TooMany(usize),
}

impl NamespacePolicy {
    /// Those that may be seen and those that may not; the second list wins. Nothing allowed is `*`: everything but
    /// [`WITHHELD`], which is shown when it is named.
    pub fn new(allow: Vec<Namespace>, deny: Vec<Namespace>) -> Result<Self, NamespacePolicyError> {
        if let Some(long) = [allow.len(), deny.len()].into_iter().find(|len| *len > MAX_NAMESPACES) {
            return Err(NamespacePolicyError::TooMany(long));
        }
        if deny.iter().any(Namespace::is_any) {
            return Err(NamespacePolicyError::AllDenied);
        }
        let sorted = |mut list: Vec<Namespace>| {
            list.sort();
            list.dedup();
            list
        };
        let (mut allow, deny) = (sorted(allow), sorted(deny));
        // One form for what is the same.
        if let [only] = allow.as_slice()
            && only.is_any()
        {
            allow.clear();
        }
        Ok(Self { allow, deny })
    }

    /// The same from texts.
    pub fn parse<'a>(
        allow: impl IntoIterator<Item = &'a str>,
        deny: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NamespacePolicyError> {
        let allow: Result<Vec<Namespace>, _> = allow.into_iter().map(str::parse).collect();
        let deny: Result<Vec<Namespace>, _> = deny.into_iter().map(str::parse).collect();
        Self::new(allow?, deny?)
    }

    /// Those that may be seen; none: `*`.
    pub fn allow(&self) -> &[Namespace] {
        &self.allow
    }

    /// Those that may not.
    pub fn deny(&self) -> &[Namespace] {
        &self.deny
    }

    /// The rule that keeps the peer from seeing `name`, a name of the cluster whose suffix that is; names elsewhere are
    /// not this cluster's to hide. Whether the name exists plays no part.
    pub fn forbids(&self, name: &Name, suffix: &Name) -> Option<Rule> {
        let namespace = namespace_of(name, suffix)?;
        (!self.shows(namespace)).then_some(Rule::Namespace)
    }

    fn shows(&self, namespace: &[u8]) -> bool {
        let is_in = |list: &[Namespace]| list.iter().any(|entry| entry.is(namespace));
        let any = self.allow.is_empty() || self.allow.iter().any(Namespace::is_any);
        let by_default = any && !WITHHELD.as_bytes().eq_ignore_ascii_case(namespace);
        !is_in(&self.deny) && (by_default || is_in(&self.allow))
    }
}

/// The label of the namespace: that before `svc` or `pod` (Kubernetes DNS specification 2.3, 2.4), which stands right
/// below the suffix, or below the label of what is exported. It is there in names of endpoints and ports too, whatever stands before it.
fn namespace_of<'a>(name: &'a Name, suffix: &Name) -> Option<&'a [u8]> {
    let mut below = name.is_within(suffix).then(|| name.label_count() - suffix.label_count())?;
    if name.labels().nth(below.checked_sub(1)?)?.eq_ignore_ascii_case(EXPORTS) {
        below -= 1;
    }
    let kind = name.labels().nth(below.checked_sub(1)?)?;
    let has_namespace = [b"svc", b"pod"].iter().any(|known| kind.eq_ignore_ascii_case(*known));
    has_namespace.then(|| name.labels().nth(below.checked_sub(2)?)).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn policy(allow: &[&str], deny: &[&str]) -> NamespacePolicy {
        NamespacePolicy::parse(allow.iter().copied(), deny.iter().copied()).unwrap()
    }

    #[test]
    fn everything_but_kube_system_is_shown_unless_it_is_said_otherwise() {
        // (allowed, denied, namespace, whether it is shown)
        let cases: [(&[&str], &[&str], &str, bool); 15] = [
            (&[], &[], "shop", true),
            (&[], &[], "kube-system", false),
            (&[], &[], "Kube-System", false),
            (&["*"], &[], "shop", true),
            (&["*"], &[], "kube-system", false),
            // Shown when it is named, beside the others or alone.
            (&["*", "kube-system"], &[], "kube-system", true),
            (&["*", "kube-system"], &[], "shop", true),
            (&["kube-system"], &[], "kube-system", true),
            (&["kube-system"], &[], "shop", false),
            (&["shop", "web"], &[], "web", true),
            (&["shop"], &[], "web", false),
            (&["shop"], &[], "SHOP", true),
            // What is denied is denied.
            (&[], &["shop"], "shop", false),
            (&[], &["shop"], "web", true),
            (&["shop", "kube-system"], &["kube-system"], "kube-system", false),
        ];
        for (allow, deny, namespace, shown) in cases {
            let asked = name(&format!("web.{namespace}.svc.b.example.com"));
            let forbidden = policy(allow, deny).forbids(&asked, &name("b.example.com"));
            assert_eq!(forbidden.is_none(), shown, "{allow:?} {deny:?} {namespace}");
        }
    }

    #[test]
    fn the_namespace_is_the_label_before_svc_or_pod_right_below_the_suffix() {
        let cases = [
            ("web.shop.svc.b.example.com", Some("shop")),
            ("_http._tcp.web.shop.svc.b.example.com", Some("shop")),
            ("db-0.db.shop.svc.b.example.com", Some("shop")),
            ("10-0-0-1.shop.pod.b.example.com", Some("shop")),
            // What is exported to the set of clusters.
            ("web.shop.svc.clusterset.b.example.com", Some("shop")),
            ("db-0.b.db.shop.svc.ClusterSet.b.example.com", Some("shop")),
            ("clusterset.b.example.com", None),
            ("svc.clusterset.b.example.com", None),
            ("web.clusterset.svc.b.example.com", Some("clusterset")),
            ("shop.svc.b.example.com", Some("shop")),
            ("WEB.Shop.SVC.b.example.com", Some("Shop")),
            // The namespace's own name may be `svc`, and a service's as well.
            ("web.svc.svc.b.example.com", Some("svc")),
            ("svc.shop.svc.b.example.com", Some("shop")),
            // Names that are of no namespace.
            ("svc.b.example.com", None),
            ("b.example.com", None),
            ("dns-version.b.example.com", None),
            ("web.shop.svc.elsewhere.b.example.com", None),
            // Names elsewhere, also where they only end alike.
            ("web.shop.svc.c.example.com", None),
            ("web.shop.svc.xb.example.com", None),
        ];
        for (text, namespace) in cases {
            let name = name(text);
            let suffix = "b.example.com".parse().unwrap();
            assert_eq!(namespace_of(&name, &suffix), namespace.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn lists_that_mean_the_same_are_the_same() {
        assert_eq!(policy(&["*"], &[]), NamespacePolicy::default());
        assert_eq!(policy(&["b", "a", "b"], &["d", "c"]), policy(&["a", "b"], &["c", "d"]));
        assert_ne!(policy(&["*", "kube-system"], &[]), NamespacePolicy::default());
    }

    #[test]
    fn what_is_no_policy_is_refused_with_a_reason() {
        let parse = |allow: &[&str], deny: &[&str]| {
            NamespacePolicy::parse(allow.iter().copied(), deny.iter().copied()).unwrap_err().to_string()
        };
        for text in ["", "Shop", "-a", "a-", "a.b", "**", &"a".repeat(64)] {
            assert!(parse(&[text], &[]).contains("is not a namespace"), "{text:?}");
        }
        assert!(parse(&[], &["*"]).contains("set inbound to false"));
        assert!(parse(&[], &vec!["a"; MAX_NAMESPACES + 1]).contains("257 namespaces"));
    }
}
