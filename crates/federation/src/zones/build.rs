//! From what is written to a zone that answers. The builder is the one that a node-agent's own zones are built with; what
//! is told of an error names the field of the resource.

use strait_resolve::zone::{Zone, ZoneBuilder, ZoneError, record_type};
use strait_wire::{Name, RecordType};

use super::{MAX_ZONE_RECORDS, RecordDocument, TemplateDocument, ZoneDocument};
use crate::judge::Refusal;

/// The zone, or what is wrong with the first of its parts that cannot be used.
pub(super) fn build(document: &ZoneDocument) -> Result<Zone, Refusal> {
    let mut builder = ZoneBuilder::new(apex(&document.apex)?, document.ttl).for_records(MAX_ZONE_RECORDS);
    for (index, record) in document.records.iter().enumerate() {
        add_record(&mut builder, record).map_err(|what| {
            let RecordDocument { name, rtype, .. } = record;
            refuse(
                "BadRecord",
                format!("spec.records[{index}] ({} {}): {what}", name.escape_debug(), rtype.escape_debug()),
            )
        })?;
    }
    for (index, template) in document.templates.iter().enumerate() {
        add_template(&mut builder, template).map_err(|what| {
            let TemplateDocument { pattern, rtype, .. } = template;
            refuse(
                "BadTemplate",
                format!("spec.templates[{index}] ({} {}): {what}", pattern.escape_debug(), rtype.escape_debug()),
            )
        })?;
    }
    builder.zone_text(&document.text).map_err(|error| refuse("BadText", format!("spec.text: {}", placed(&error))))?;
    builder.build().map_err(|error| refuse("BadZone", format!("spec: {}", placed(&error))))
}

/// The name of the zone, in lower case.
pub(super) fn apex(text: &str) -> Result<Name, Refusal> {
    let bad = |what: String| refuse("BadName", format!("spec.name: {what}"));
    let name: Name = text.parse().map_err(|error| bad(format!("{text:?} is not a DNS name: {error}")))?;
    if name.is_root() {
        return Err(bad("\".\" is the whole of DNS; name the one zone, such as corp.example.com".to_owned()));
    }
    match name.is_wildcard() {
        true => Err(bad(format!("{text:?} is a wildcard; name the zone above it, and write the wildcard as a record"))),
        false => Ok(name.to_lowercase()),
    }
}

fn add_record(builder: &mut ZoneBuilder, record: &RecordDocument) -> Result<(), String> {
    let rtype = known_type(&record.rtype)?;
    if record.values.is_empty() {
        return Err("there is no data; write value: 192.0.2.1, or values: [...]".to_owned());
    }
    let mut values = record.values.iter();
    values.try_for_each(|value| {
        builder.record(&record.name, rtype, record.ttl, value).map_err(|error| placed_in(value, &error))
    })
}

fn add_template(builder: &mut ZoneBuilder, template: &TemplateDocument) -> Result<(), String> {
    let rtype = known_type(&template.rtype)?;
    builder.template(&template.pattern, rtype, template.ttl, &template.answer).map_err(|error| error.message)
}

fn known_type(text: &str) -> Result<RecordType, String> {
    let unknown =
        || format!("{text:?} is not a record type; write a mnemonic such as A, or TYPE and its number (RFC 3597)");
    record_type(text).ok_or_else(unknown)
}

/// The error of a value, with the value when it is about that.
fn placed_in(value: &str, error: &ZoneError) -> String {
    match error.column {
        Some(column) if !error.message.contains(value) => format!("in {value:?}, column {column}: {}", error.message),
        _ => error.message.clone(),
    }
}

/// The error with its place in a text.
fn placed(error: &ZoneError) -> String {
    match (error.line, error.column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: {}", error.message),
        _ => error.message.clone(),
    }
}

pub(super) fn refuse(reason: &'static str, message: String) -> Refusal {
    Refusal { reason, message }
}
