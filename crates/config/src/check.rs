//! `config check`: a file of either program.

use std::fmt;
use std::path::Path;

use crate::context::Context;
use crate::gateway::GatewayDraft;
use crate::node_agent::NodeAgentDraft;
use crate::section::Section;
use crate::spelling::nearest;
use crate::{ConfigErrors, Diagnostic, Loaded, files, gateway, node_agent};

/// Whose configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A node-agent's.
    NodeAgent,
    /// A gateway's.
    Gateway,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeAgent => "node-agent",
            Self::Gateway => "gateway",
        })
    }
}

/// Checks the file at `path` and every file it points to. Without `kind` the keys tell whose it is.
pub fn check(path: &Path, kind: Option<Kind>) -> Result<Loaded<Kind>, ConfigErrors> {
    let text = files::load(path)?;
    let kind = match kind {
        Some(kind) => kind,
        None => detect(&text, path)?,
    };
    match kind {
        Kind::NodeAgent => Ok(NodeAgentDraft::read(&text, path)?.resolve_files()?.map(|_| kind)),
        Kind::Gateway => Ok(GatewayDraft::read(&text, path)?.resolve_files()?.map(|_| kind)),
    }
}

/// The program most of whose own keys are there, mistyped ones included.
fn detect(text: &str, path: &Path) -> Result<Kind, ConfigErrors> {
    let cx = Context::new(text, path);
    let counts = Section::open_document(&cx, text).map(|root| {
        let of = |keys: &[&str]| root.keys().filter(|key| nearest(key, keys).is_some()).count();
        (of(node_agent::KEYS), of(gateway::KEYS))
    });
    match counts {
        Some((agent, gateway)) if agent > gateway => Ok(Kind::NodeAgent),
        Some((agent, gateway)) if agent < gateway => Ok(Kind::Gateway),
        Some(_) => Err(ConfigErrors::new(vec![Diagnostic::whole(
            path,
            "its keys do not tell whose configuration it is".to_owned(),
            "say which: --kind node-agent or --kind gateway".to_owned(),
        )])),
        None => Err(cx.into_errors()),
    }
}
