//! Zones that every node-agent of the cluster answers by itself: as they are written, and ready to answer.
//!
//! What is written travels, to the copy on disk and to the agents; whoever needs the zone builds it from that, once.
//! Which zones can be in force together is decided in `judge`; the road from and to protobuf is in `convert`.

mod build;
mod convert;
mod judge;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strait_resolve::zone::Zone;

use crate::judge::Refusal;

pub use self::convert::ZonesError;
pub(crate) use self::judge::judge;

/// The most zones that a cluster shares.
pub const MAX_ZONES: usize = 256;
/// The most records, and names, of one of them.
pub const MAX_ZONE_RECORDS: usize = 10_000;
/// The most templates of all of them together: each may take a megabyte when it is compiled.
pub const MAX_TEMPLATES: usize = 256;
/// The most octets of all of them together ([`ZoneDocument::size`]): every agent is sent the whole at each change.
pub const MAX_ZONES_SIZE: usize = 1 << 20;

/// The TTL of records without one, and of negative answers, in seconds: as in a node-agent's configuration.
pub const DEFAULT_TTL: u32 = 300;

/// What a record, a value or a template counts besides its text: more than a message needs to hold it.
const SIZE_OF_ENTRY: usize = 32;

/// A zone as it is written: texts, of which any may be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ZoneDocument {
    /// What operators call it.
    pub name: String,
    /// The name of the zone.
    pub apex: String,
    /// Of records without a TTL, and of negative answers, in seconds.
    pub ttl: u32,
    /// Records, wildcards among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordDocument>,
    /// Answers made from the name asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<TemplateDocument>,
    /// A zone file (RFC 1035 5); may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// Records of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordDocument {
    /// Relative to the apex; `@` is the apex, and a name with a final dot is absolute.
    pub name: String,
    /// The type: `A`, or `TYPE` and its number.
    #[serde(rename = "type")]
    pub rtype: String,
    /// In seconds; none: the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// The data of each, in presentation format.
    pub values: Vec<String>,
}

/// An answer made from the name asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateDocument {
    /// A regular expression for the whole name relative to the apex.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The type that it makes.
    #[serde(rename = "type")]
    pub rtype: String,
    /// In seconds; none: the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// The data, in which `{{ name }}` stands for a capture.
    pub answer: String,
}

impl ZoneDocument {
    /// What it counts against [`MAX_ZONES_SIZE`]: the octets of its texts, and something for each entry.
    pub fn size(&self) -> usize {
        let record = |record: &RecordDocument| {
            let values: usize = record.values.iter().map(|value| SIZE_OF_ENTRY + value.len()).sum();
            SIZE_OF_ENTRY + record.name.len() + record.rtype.len() + values
        };
        let template = |template: &TemplateDocument| {
            SIZE_OF_ENTRY + template.pattern.len() + template.rtype.len() + template.answer.len()
        };
        let records: usize = self.records.iter().map(record).sum();
        let templates: usize = self.templates.iter().map(template).sum();
        SIZE_OF_ENTRY + self.name.len() + self.apex.len() + self.text.len() + records + templates
    }
}

/// A zone as it is written, and what has come of it.
#[derive(Clone)]
pub struct SharedZone {
    document: ZoneDocument,
    built: Result<Arc<Zone>, Refusal>,
}

impl SharedZone {
    fn new(document: ZoneDocument) -> Self {
        Self { built: build::build(&document).map(Arc::new), document }
    }

    /// As it is written.
    pub fn document(&self) -> &ZoneDocument {
        &self.document
    }

    /// Ready to answer; or why this program cannot make that of it.
    pub fn zone(&self) -> Result<&Arc<Zone>, &Refusal> {
        self.built.as_ref()
    }
}

/// What is written alike has come to the same.
impl PartialEq for SharedZone {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl Eq for SharedZone {}

impl fmt::Debug for SharedZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedZone").field("document", &self.document).field("built", &self.built.is_ok()).finish()
    }
}

/// Zones by what operators call them. Immutable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneSet {
    zones: BTreeMap<String, Arc<SharedZone>>,
}

impl ZoneSet {
    /// The zones of these documents. What `known` has already is not built again. An error: a bound is passed, or a name
    /// is there twice.
    pub(crate) fn read(documents: impl IntoIterator<Item = ZoneDocument>, known: &Self) -> Result<Self, ZonesError> {
        let mut set = Self::default();
        for document in documents {
            if set.zones.contains_key(&document.name) {
                return Err(ZonesError::Duplicate(document.name));
            }
            if set.zones.len() >= MAX_ZONES {
                return Err(ZonesError::TooMany);
            }
            set.insert(known.of(&document));
        }
        Ok(set)
    }

    /// The zone of that document, built now if it is not one of these.
    fn of(&self, document: &ZoneDocument) -> Arc<SharedZone> {
        match self.zones.get(&document.name) {
            Some(known) if known.document == *document => Arc::clone(known),
            _ => Arc::new(SharedZone::new(document.clone())),
        }
    }

    fn insert(&mut self, zone: Arc<SharedZone>) {
        self.zones.insert(zone.document.name.clone(), zone);
    }

    /// The zone of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<SharedZone>> {
        self.zones.get(name)
    }

    /// The zones, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SharedZone>> {
        self.zones.values()
    }

    /// The number of zones.
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// What every set of the same zones has, and no other: for the generation.
    pub(crate) fn content(&self) -> impl Iterator<Item = String> {
        // Texts, numbers and lists always have a JSON form.
        self.iter().map(|zone| serde_json::to_string(&zone.document).unwrap_or_default())
    }

    /// Why some of them do not answer here, in a sentence; none when all do.
    pub fn trouble(&self) -> Option<String> {
        let failed = |zone: &Arc<SharedZone>| {
            let refusal = zone.built.as_ref().err()?;
            Some(format!("zone {} does not answer here: {}", zone.document.name, refusal.message))
        };
        let told: Vec<String> = self.iter().filter_map(failed).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

#[cfg(test)]
mod tests;
