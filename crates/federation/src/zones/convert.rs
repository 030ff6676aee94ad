//! Zones from and to the messages of `strait.v1`.

use strait_proto::v1;

use super::{MAX_ZONES, RecordDocument, SharedZone, TemplateDocument, ZoneDocument, ZoneSet};

/// Why zones cannot be taken over at all. What is wrong with one of them is that one's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZonesError {
    /// The same name twice.
    #[error("zone {0} is there twice")]
    Duplicate(String),
    /// More than are accepted.
    #[error("more than {MAX_ZONES} zones")]
    TooMany,
}

impl From<v1::Zone> for ZoneDocument {
    fn from(zone: v1::Zone) -> Self {
        let v1::Zone { name, apex, ttl, records, templates, text } = zone;
        let record = |v1::ZoneRecord { name, r#type, ttl, values }| RecordDocument { name, rtype: r#type, ttl, values };
        let template = |v1::ZoneTemplate { r#match, r#type, ttl, answer }| TemplateDocument {
            pattern: r#match,
            rtype: r#type,
            ttl,
            answer,
        };
        let records = records.into_iter().map(record).collect();
        Self { name, apex, ttl, records, templates: templates.into_iter().map(template).collect(), text }
    }
}

impl From<&SharedZone> for v1::Zone {
    fn from(zone: &SharedZone) -> Self {
        let ZoneDocument { name, apex, ttl, records, templates, text } = zone.document().clone();
        let record = |RecordDocument { name, rtype, ttl, values }| v1::ZoneRecord { name, r#type: rtype, ttl, values };
        let template = |TemplateDocument { pattern, rtype, ttl, answer }| v1::ZoneTemplate {
            r#match: pattern,
            r#type: rtype,
            ttl,
            answer,
        };
        let records = records.into_iter().map(record).collect();
        Self { name, apex, ttl, records, templates: templates.into_iter().map(template).collect(), text }
    }
}

impl From<&ZoneSet> for Vec<v1::Zone> {
    fn from(set: &ZoneSet) -> Self {
        set.iter().map(|zone| zone.as_ref().into()).collect()
    }
}
