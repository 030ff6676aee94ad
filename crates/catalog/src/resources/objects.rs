//! Custom resources as the API server gives them: of each its metadata, and the rest as it comes. What is wrong with one
//! of them must not keep the others from being read.

use serde::Deserialize;
use serde_json::Value;

use super::time;
use crate::watch::objects::Collection;

/// The group of our resources.
pub(super) const GROUP: &str = "strait.dev";
/// Their version.
pub(super) const VERSION: &str = "v1alpha1";

pub(super) const PEERS: Collection = Collection { group: GROUP, version: VERSION, resource: "peers", fields: None };
const PEER_STATUS: Collection = Collection { resource: "peers/status", ..PEERS };
const ZONES: Collection = Collection { resource: "zones", ..PEERS };
const ZONE_STATUS: Collection = Collection { resource: "zones/status", ..PEERS };
pub(super) const LEASES: Collection =
    Collection { group: "coordination.k8s.io", version: "v1", resource: "leases", fields: None };
pub(super) const EVENTS: Collection = Collection { group: "", version: "v1", resource: "events", fields: None };

/// What a resource is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ResourceKind {
    Peer,
    Zone,
}

impl ResourceKind {
    /// As its definition has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Peer => "Peer",
            Self::Zone => "Zone",
        }
    }

    /// Where its resources are.
    pub(super) const fn collection(self) -> Collection {
        match self {
            Self::Peer => PEERS,
            Self::Zone => ZONES,
        }
    }

    /// Where their statuses are, in the words of a role.
    pub(super) const fn status(self) -> Collection {
        match self {
            Self::Peer => PEER_STATUS,
            Self::Zone => ZONE_STATUS,
        }
    }
}

/// A custom resource.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: Value,
    #[serde(default)]
    pub(super) status: Value,
}

/// What every object has.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    /// Counts the changes of its spec.
    pub(super) generation: i64,
    creation_timestamp: Option<String>,
    managed_fields: Option<Vec<ManagedFields>>,
}

/// Who wrote some of its fields, and when.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct ManagedFields {
    time: Option<String>,
    subresource: Option<String>,
}

impl Metadata {
    /// When it was made, seconds since 1970-01-01 UTC.
    pub(super) fn created_at(&self) -> i64 {
        self.creation_timestamp.as_deref().and_then(time::parse).unwrap_or(0)
    }

    /// When it was written last, its status aside.
    pub(super) fn changed_at(&self) -> i64 {
        let own = self.managed_fields.iter().flatten().filter(|fields| fields.subresource.is_none());
        let last = own.filter_map(|fields| time::parse(fields.time.as_deref()?)).max();
        last.unwrap_or(0).max(self.created_at())
    }

    /// Whether `other` is the same object, with this change of its spec or a later one.
    pub(super) fn is_reached_by(&self, other: &Self) -> bool {
        self.uid == other.uid && self.generation <= other.generation
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_change_of_status_is_no_change() {
        let metadata: Metadata = serde_json::from_str(
            r#"{"name":"b","creationTimestamp":"2023-11-14T22:13:20Z","managedFields":[
                {"manager":"kubectl","time":"2023-11-14T22:14:00Z"},
                {"manager":"strait","subresource":"status","time":"2023-11-15T00:00:00Z"},
                {"manager":"odd"}]}"#,
        )
        .unwrap();
        assert_eq!((metadata.created_at(), metadata.changed_at()), (1_700_000_000, 1_700_000_040));
    }

    #[test]
    fn what_is_missing_keeps_nothing_from_being_read() {
        for text in ["{}", r#"{"metadata":{}}"#, r#"{"metadata":{"managedFields":null,"creationTimestamp":"?"}}"#] {
            let resource: Resource = serde_json::from_str(text).unwrap();
            assert_eq!((resource.metadata.changed_at(), resource.spec.is_null()), (0, true), "{text}");
        }
    }
}
