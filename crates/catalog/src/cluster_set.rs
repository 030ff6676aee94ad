//! Services that clusters share, under `clusterset.local` (KEP-1645 and its DNS specification 1.0.0).
//!
//! ```text
//! own agents ─► ClusterSetZone ── imports, own exports (local.rs)
//!                     └─ those of other clusters (ask.rs): Member ─► its gateway ─► ExportZone there
//! peers ──────► ExportZone ───── own exports, and nothing else
//! ```
//!
//! A cluster tells others what it exports under `clusterset.<its suffix>`: there is no name by which one could ask it for
//! what a third exports. Only [`ClusterSetZone`] asks others, and only agents of the own cluster may ask that.

mod ask;
mod local;
mod lookup;
mod member;
mod merge;
mod zone;

use std::sync::Arc;

pub use member::{Member, Members, Standing};
pub use zone::{ClusterSetSettings, ClusterSetZone, ExportZone};

use crate::service::{ServiceId, ServiceView};

/// What one service is among the clusters of the set, as one catalog has it.
#[derive(Debug)]
pub(crate) struct SharedView {
    id: ServiceId,
    /// The service here, which is for others too.
    exported: Option<Arc<ServiceView>>,
    /// The service as whoever manages imports makes it of all clusters.
    imported: Option<Arc<ServiceView>>,
}

impl SharedView {
    /// What is exported and imported under one name; none when nothing is.
    pub(crate) fn new(
        id: ServiceId,
        exported: Option<Arc<ServiceView>>,
        imported: Option<Arc<ServiceView>>,
    ) -> Option<Self> {
        (exported.is_some() || imported.is_some()).then_some(Self { id, exported, imported })
    }

    pub(crate) fn id(&self) -> &ServiceId {
        &self.id
    }

    /// Whether the service is here, and for others too.
    pub(crate) fn is_exported(&self) -> bool {
        self.exported.is_some()
    }

    /// Whether there is an import.
    pub(crate) fn is_imported(&self) -> bool {
        self.imported.is_some()
    }

    /// The import, once it can be told: one without addresses waits for whoever manages it.
    fn import(&self) -> Option<&ServiceView> {
        self.imported.as_deref().filter(|view| view.is_headless() || view.all_addresses().next().is_some())
    }
}

#[cfg(test)]
mod tests;
