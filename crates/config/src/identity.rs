//! `identity`: our own certificate, key and trust bundle.

use strait_identity::{Credentials, Role, TrustBundle};

use crate::Kind;
use crate::context::Context;
use crate::document::Span;
use crate::files::NamedFile;
use crate::section::Section;

/// Who this daemon is, and who vouches for it.
#[derive(Debug, Clone)]
pub struct OwnIdentity {
    /// Certificate and key.
    pub credentials: Credentials,
    /// The CAs of our own trust domain.
    pub trust_bundle: TrustBundle,
}

/// The files of an identity.
#[derive(Debug)]
pub(crate) struct IdentityDraft {
    pub(crate) at: Span,
    certificate: NamedFile,
    key: NamedFile,
    trust_bundle: NamedFile,
}

impl IdentityDraft {
    /// Reads `identity`; none when it is left out or incomplete.
    pub(crate) fn read(root: &mut Section<'_>) -> Option<Self> {
        let mut section = root.section("identity")?;
        let mut file = |key: &'static str, what: &str| {
            section.must_have(key, what);
            section.path(key).map(|path| NamedFile { key, path })
        };
        let certificate = file("certificate", "name the PEM file of the certificate chain, leaf first");
        let key = file("key", "name the PEM file of the certificate's private key");
        let trust_bundle = file("trustBundle", "name the PEM file of this cluster's own CA");
        let at = section.at.clone();
        root.show("identity", section.close());
        Some(Self { at, certificate: certificate?, key: key?, trust_bundle: trust_bundle? })
    }

    /// Reads the files; notes what is wrong with them.
    pub(crate) fn resolve(&self, cx: &Context, kind: Kind, node: Option<&str>) -> Option<OwnIdentity> {
        let readable = [&self.certificate, &self.key, &self.trust_bundle].map(|file| file.can_be_read(cx));
        if readable != [true; 3] {
            return None;
        }
        let (certificate, key) = (&self.certificate.path, &self.key.path);
        let (credentials, outdated) = Credentials::load_even_outdated(&certificate.value, &key.value)
            .map_err(|error| {
                let about_key = error.file() == key.value && key.value != certificate.value;
                note(cx, if about_key { &key.at } else { &certificate.at }, &error.to_string());
            })
            .ok()?;
        match (kind, outdated) {
            (_, None) => {}
            // Nobody would be answered.
            (Kind::Gateway, Some(error)) => note(cx, &certificate.at, &error.to_string()),
            // A node keeps its resolver: only peers and the gateway are out of reach.
            (Kind::NodeAgent, Some(error)) => {
                let remedy = "until a renewed one is put there, peers and the gateway are out of reach; the rest works";
                cx.warning(&certificate.at, format!("`certificate`: {error}"), remedy);
            }
        }
        let id = credentials.id();
        let trust_bundle = TrustBundle::from_file(&self.trust_bundle.path.value, Some(id.trust_domain.clone()))
            .map_err(|error| note(cx, &self.trust_bundle.path.at, &error.to_string()))
            .ok()?;
        let at = &self.certificate.path.at;
        match (kind, &id.role) {
            (Kind::Gateway, Role::NodeAgent(_)) => cx.error(
                at,
                format!(
                    "`certificate`: it is a node-agent's ({id}); peers accept a gateway only as spiffe://{}/gateway",
                    id.trust_domain
                ),
                "issue one with `gatewayctl pki issue gateway`",
            ),
            (Kind::NodeAgent, Role::Gateway) => cx.warning(
                at,
                format!("`certificate`: it is a gateway's ({id}); whoever takes this node can speak for the cluster"),
                "issue one with `gatewayctl pki issue node-agent`",
            ),
            (Kind::NodeAgent, Role::NodeAgent(name)) if **name == *Role::EVERY_NODE => cx.warning(
                at,
                "`certificate`: it is every node's; whoever takes one node can speak for all",
                "give each node its own certificate",
            ),
            (Kind::NodeAgent, Role::NodeAgent(name)) if node.is_some_and(|node| node != &**name) => cx.warning(
                at,
                format!("`certificate`: it is node {name}'s, this is node {}", node.unwrap_or_default()),
                "give each node its own certificate",
            ),
            _ => {}
        }
        Some(OwnIdentity { credentials, trust_bundle })
    }
}

/// Notes an error of the identity crate, whose messages say after a semicolon what to do.
pub(crate) fn note(cx: &Context, at: &Span, message: &str) {
    match message.split_once("; ") {
        Some((what, help)) => cx.error(at, what, help),
        None => cx.error(at, message, ""),
    }
}
