//! Configuration files: from YAML text to values that are checked once and believed afterwards.
//!
//! Two steps. `parse` is a function of text: keys, types, ranges, names that contradict each other; it reads no
//! file and is what the fuzz target calls. [`NodeAgentDraft::resolve_files`] then reads what the text points to: certificates, bundles,
//! zone files. Everything wrong is reported at once, each with line, column, caret and remedy. Nobody past this crate sees YAML.

mod access;
mod backend;
mod check;
mod context;
mod daemon;
mod diagnostic;
mod document;
mod effective;
mod files;
mod gateway;
mod identity;
mod kubernetes;
mod listen;
mod node_agent;
mod overlap;
mod own_gateway;
mod peers;
mod reverse;
mod section;
mod spelling;
mod state;
mod units;
mod upstreams;
mod zones;

pub use access::KubernetesAccess;
pub use backend::Backend;
pub use check::{Kind, check};
pub use daemon::{DaemonSettings, Format, HandOver, LogSettings, QueryLogSettings};
pub use diagnostic::{ConfigErrors, Diagnostic, Severity};
pub use gateway::{GatewayConfig, GatewayDraft};
pub use identity::OwnIdentity;
pub use kubernetes::{ClusterSetOptions, KubernetesSettings, PodNames};
pub use node_agent::{HostsSettings, NodeAgentConfig, NodeAgentDraft};
pub use state::{KubernetesState, State};
pub use zones::{StaticZone, ZoneKind};

use std::path::Path;

/// A configuration without errors.
#[derive(Debug)]
pub struct Loaded<C> {
    /// The values.
    pub config: C,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// The configuration as YAML with every default filled in and every path absolute.
    pub effective: String,
}

impl<C> Loaded<C> {
    pub(crate) fn map<D>(self, change: impl FnOnce(C) -> D) -> Loaded<D> {
        Loaded { config: change(self.config), warnings: self.warnings, effective: self.effective }
    }
}

/// A program's configuration file.
pub trait ConfigFile: Sized {
    /// The program, as its users call it.
    const PROGRAM: &'static str;

    /// Reads and checks the file at `path` and every file it points to.
    fn load(path: &Path) -> Result<Loaded<Self>, ConfigErrors>;

    /// What both daemons have.
    fn daemon(&self) -> &DaemonSettings;
}
