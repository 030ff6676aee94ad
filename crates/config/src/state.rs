//! `state`: where a gateway keeps its peers.

use std::path::{Path, PathBuf};

use crate::access::{AccessDraft, KubernetesAccess};
use crate::context::Context;
use crate::files::{Output, OutputKind};
use crate::section::Section;
use crate::{Backend, units};

const FILE: &str = "/var/lib/strait/peers.json";

/// Where a gateway keeps its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In a file of its own.
    File(PathBuf),
    /// In custom resources, with the other replicas.
    Kubernetes(KubernetesState),
}

impl State {
    /// The file of the peers, or of their copy, beside which others may lie.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Kubernetes(KubernetesState { copy: path, .. }) => path,
        }
    }
}

/// Peers in custom resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesState {
    /// How the API server is reached.
    pub access: KubernetesAccess,
    /// Whose resources; none: those of the namespace that the access is of.
    pub namespace: Option<String>,
    /// The last peers on disk.
    pub copy: PathBuf,
}

/// The same, whose kubeconfig has not been read yet.
pub(crate) enum StateDraft {
    File(PathBuf),
    Kubernetes { access: AccessDraft, namespace: Option<String>, copy: PathBuf },
}

impl StateDraft {
    /// Reads `state`: a path, or a mapping with `kubernetes`.
    pub(crate) fn read(root: &mut Section<'_>) -> Self {
        let at = root.key_at("state").unwrap_or(root.at.clone());
        let draft = match root.has_mapping("state") {
            true => Self::read_kubernetes(root),
            false => Some(Self::File(root.path_or("state", FILE))),
        };
        let draft = draft.unwrap_or_else(|| Self::File(FILE.into()));
        root.cx.writes(Output { key: "state", path: draft.path().to_owned(), at, kind: OutputKind::FileAndFolder });
        draft
    }

    fn read_kubernetes(root: &mut Section<'_>) -> Option<Self> {
        let mut state = root.section("state")?;
        state.must_have(
            "kubernetes",
            "write `state: { kubernetes: {} }`, or name a file: `state: /var/lib/strait/peers.json`",
        );
        let draft = state.section("kubernetes").map(|mut section| {
            let namespace = section.get("namespace", units::label).map(|namespace| namespace.value);
            let copy = section.path_or("copy", FILE);
            let access = AccessDraft::read(&mut section);
            state.show("kubernetes", section.close());
            Self::Kubernetes { access, namespace, copy }
        });
        root.show("state", state.close());
        draft
    }

    /// The file that it keeps, beside which others may lie.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Kubernetes { copy: path, .. } => path,
        }
    }

    /// Looks into the kubeconfig; without one that of the backend counts.
    pub(crate) fn resolve(self, cx: &Context, backend: Option<&Backend>) -> Option<State> {
        let (access, namespace, copy) = match self {
            Self::File(path) => return Some(State::File(path)),
            Self::Kubernetes { access, namespace, copy } => (access, namespace, copy),
        };
        let own = access.resolve(cx)?;
        let access = match backend {
            Some(Backend::Kubernetes(names)) if own.kubeconfig.is_none() => names.access.clone(),
            _ => own,
        };
        Some(State::Kubernetes(KubernetesState { access, namespace, copy }))
    }
}
