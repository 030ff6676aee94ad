//! `zones`: names answered from memory.

use std::fmt;
use std::sync::Arc;

use strait_resolve::zone::{Zone, ZoneBuilder, ZoneError};
use strait_wire::{Name, RecordType};

use crate::Diagnostic;
use crate::context::Context;
use crate::diagnostic::offset_of;
use crate::document::Span;
use crate::effective::Effective;
use crate::files::{self, NamedFile};
use crate::section::{Located, Problem, Section};
use crate::units;

/// The TTL of records without one, and the negative TTL.
const TTL: u32 = 300;
/// Zones in one file at most.
const MAX_ZONES: usize = 4096;
/// Records, and templates, of one zone in the configuration at most; larger zones belong in zone files.
const MAX_ENTRIES: usize = 65_536;
/// Values of one record entry at most.
const MAX_VALUES: usize = 256;
/// What templates can make, each with an answer that is in order.
const TEMPLATE_TYPES: &[(RecordType, &str)] = &[
    (RecordType::A, "192.0.2.1"),
    (RecordType::AAAA, "2001:db8::1"),
    (RecordType::CNAME, "a"),
    (RecordType::TXT, "a"),
    (RecordType::SRV, "0 0 1 a"),
    (RecordType::PTR, "a"),
];

/// Where a zone's data comes from; the word is the route's `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneKind {
    /// The configuration file alone.
    Static,
    /// A zone file.
    File,
}

impl ZoneKind {
    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::File => "file",
        }
    }
}

/// A zone ready to answer.
#[derive(Clone)]
pub struct StaticZone {
    /// The zone.
    pub zone: Arc<Zone>,
    /// Where its data comes from.
    pub kind: ZoneKind,
}

impl fmt::Debug for StaticZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.zone.apex(), self.kind.as_str())
    }
}

/// A zone whose file has not been read yet.
pub(crate) struct ZoneDraft {
    pub(crate) name: Located<Name>,
    /// The owners of its records, for overlaps.
    pub(crate) owners: Vec<Located<Name>>,
    builder: ZoneBuilder,
    file: Option<NamedFile>,
}

impl ZoneDraft {
    /// Reads `zones`.
    pub(crate) fn read_all(section: &mut Section<'_>) -> Vec<Self> {
        let mut shown = Vec::new();
        let mut zones = Vec::new();
        for zone in section.sections("zones", MAX_ZONES) {
            let (zone, effective) = Self::read(zone);
            shown.push(effective);
            zones.extend(zone);
        }
        section.show("zones", Effective::List(shown));
        zones
    }

    fn read(mut section: Section<'_>) -> (Option<Self>, Effective) {
        let name = section.require("name", "name the zone: `name: example.com`", apex);
        let ttl = section.or("ttl", TTL, units::ttl(0..=units::MAX_TTL));
        let file = section.path("file").map(|path| NamedFile { key: "file", path });
        let apex = name.clone().map_or_else(Name::root, |name| name.value);
        let mut draft = Self {
            name: name.clone().unwrap_or(Located { value: Name::root(), at: section.at.clone() }),
            owners: Vec::new(),
            builder: ZoneBuilder::new(apex, ttl),
            file,
        };
        let mut shown = Vec::new();
        for record in section.sections("records", MAX_ENTRIES) {
            shown.push(draft.read_record(record, name.is_some()));
        }
        section.show("records", Effective::List(shown));
        let mut shown = Vec::new();
        for template in section.sections("templates", MAX_ENTRIES) {
            shown.push(draft.read_template(template));
        }
        section.show("templates", Effective::List(shown));
        // Without its name the records are checked, but there is no zone.
        (name.map(|_| draft), section.close())
    }

    /// Reads a record; `named`: whether the zone has a name to check owners against.
    fn read_record(&mut self, mut section: Section<'_>, named: bool) -> Effective {
        let owner = section.require("name", "name the owner: relative to the zone, `@` for the zone itself", text);
        let rtype = section.require("type", "name the type: A, AAAA, CNAME, TXT, ...", record_type);
        let ttl = section.get("ttl", units::ttl(0..=units::MAX_TTL)).map(|ttl| ttl.value);
        let single = section.get("value", text);
        let several = section.list("values", MAX_VALUES, text);
        if single.is_some() && several.is_some() {
            section.cx.error(&section.at, "a record has `value` or `values`, not both", "keep one of them");
        } else if !section.has("value") && !section.has("values") {
            section.cx.error(
                &section.at,
                "`value` is missing",
                "write the data: `value: 192.0.2.1`, or `values: [...]`",
            );
        }
        let values = single.into_iter().chain(several.into_iter().flatten());
        if let (Some(owner), Some(rtype), true) = (&owner, &rtype, named) {
            let cx = section.cx;
            let mut accepted = false;
            for value in values {
                match self.builder.record(&owner.value, rtype.value, ttl, &value.value) {
                    Ok(()) => accepted = true,
                    // Without a column it is about the owner.
                    Err(error) if error.column.is_none() => {
                        note(cx, &owner.at, None, "name", &error);
                        break;
                    }
                    Err(error) => note(cx, &value.at, Some(&value.value), "value", &error),
                }
            }
            if accepted && let Some(name) = absolute(&owner.value, &self.name.value) {
                self.owners.push(Located { value: name, at: owner.at.clone() });
            }
        }
        section.close()
    }

    fn read_template(&mut self, mut section: Section<'_>) -> Effective {
        let pattern = section.require("match", "write a regular expression for the names below the zone", text);
        let rtype = section.require("type", "name the type: A, AAAA, CNAME, TXT, SRV or PTR", template_type);
        let answer = section.require("answer", "write the data; {{ name }} stands for the capture (?<name>...)", text);
        let ttl = section.get("ttl", units::ttl(0..=units::MAX_TTL)).map(|ttl| ttl.value);
        if let (Some(pattern), Some(rtype), Some(answer)) = (pattern, rtype, answer) {
            let cx = section.cx;
            let added = self.builder.template(&pattern.value, rtype.value, ttl, &answer.value);
            if let Err(error) = added {
                // With an answer that is in order, what is left is the pattern's.
                let in_order =
                    TEMPLATE_TYPES.iter().find(|(known, _)| *known == rtype.value).map_or("", |(_, answer)| answer);
                let mut alone = ZoneBuilder::new(self.name.value.clone(), TTL);
                match alone.template(&pattern.value, rtype.value, ttl, in_order) {
                    Err(error) => note(cx, &pattern.at, Some(&pattern.value), "match", &error),
                    Ok(()) => note(cx, &answer.at, Some(&answer.value), "answer", &error),
                }
            }
        }
        section.close()
    }

    /// Where the zone's name is written, for overlaps.
    pub(crate) fn claim(&self) -> (&Name, &Span) {
        (&self.name.value, &self.name.at)
    }

    /// Reads the zone file; notes what is wrong with it.
    pub(crate) fn resolve(mut self, cx: &Context) -> Option<StaticZone> {
        let kind = if self.file.is_some() { ZoneKind::File } else { ZoneKind::Static };
        if let Some(file) = &self.file {
            if !file.can_be_read(cx) {
                return None;
            }
            if let Err(error) = self.builder.zone_file(&file.path.value) {
                note_zone_file(cx, file, &error);
                return None;
            }
        }
        match self.builder.build() {
            Ok(zone) => Some(StaticZone { zone: Arc::new(zone), kind }),
            Err(error) => {
                note(cx, &self.name.at, None, "zone", &error);
                None
            }
        }
    }
}

/// Notes an error about the value at `at`; with its `text` known, the caret stands at the column inside it.
fn note(cx: &Context, at: &Span, text: Option<&str>, what: &str, error: &ZoneError) {
    let at = inside(cx, at, text, error.column).unwrap_or(at.clone());
    let (message, help) = error.message.split_once("; ").unwrap_or((&error.message, ""));
    cx.error(&at, format!("`{what}`: {message}"), help);
}

/// The place of a column inside a value, when the value is written without escapes.
fn inside(cx: &Context, at: &Span, text: Option<&str>, column: Option<usize>) -> Option<Span> {
    let (text, column) = (text?, column.filter(|column| *column > 1)?);
    let written = cx.written(at);
    let start = at.start + written.find(text).filter(|offset| *offset <= 1)?;
    let offset = text.char_indices().nth(column - 1).map_or(text.len(), |(offset, _)| offset);
    let word = text[offset..].find(char::is_whitespace).unwrap_or(text.len() - offset);
    Some(start + offset..start + offset + word)
}

/// Notes an error in a zone file, with the line of the zone file.
fn note_zone_file(cx: &Context, file: &NamedFile, error: &ZoneError) {
    // An included file's errors name that file.
    let path = error.file.as_ref().unwrap_or(&file.path.value);
    let (message, help) = error.message.split_once("; ").unwrap_or((&error.message, ""));
    match (error.line, files::read_bounded(path)) {
        (Some(line), Ok(text)) => {
            let start = offset_of(&text, line, error.column.unwrap_or(1));
            let word = text[start..].find(char::is_whitespace).unwrap_or(text.len() - start);
            cx.add(Diagnostic::at(path, &text, start..start + word, message.to_owned(), help.to_owned()));
        }
        _ => cx.error(&file.path.at, format!("`file`: {}: {message}", path.display()), help),
    }
}

fn apex(text: &str) -> Result<Name, Problem> {
    let name = units::name(text)?;
    match name.is_wildcard() {
        true => Err(Problem::new(
            format!("{text:?} is a wildcard"),
            "name the zone above it, and write the wildcard as a record: { name: \"*\", ... }",
        )),
        false => Ok(name),
    }
}

fn record_type(text: &str) -> Result<RecordType, Problem> {
    let help = "write a mnemonic such as A, AAAA, CNAME, TXT, SRV, or TYPE and its number (RFC 3597)";
    match strait_resolve::zone::record_type(text) {
        Some(rtype) if rtype.is_meta() => {
            Err(Problem::new(format!("{text} asks for records; it is not the type of one"), help))
        }
        Some(rtype) => Ok(rtype),
        None => Err(Problem::new(format!("{text:?} is not a record type"), help)),
    }
}

fn template_type(text: &str) -> Result<RecordType, Problem> {
    let rtype = record_type(text)?;
    match TEMPLATE_TYPES.iter().any(|(known, _)| *known == rtype) {
        true => Ok(rtype),
        false => Err(Problem::new(
            format!("a template cannot make {rtype} records"),
            "write A, AAAA, CNAME, TXT, SRV or PTR; other types go under `records`",
        )),
    }
}

fn text(text: &str) -> Result<String, Problem> {
    Ok(text.to_owned())
}

/// The absolute name of an owner as records write it.
fn absolute(owner: &str, apex: &Name) -> Option<Name> {
    match owner {
        "@" => Some(apex.clone()),
        owner if owner.ends_with('.') => owner.parse().ok(),
        owner => {
            let relative: Name = owner.parse().ok()?;
            Name::from_labels(relative.labels().chain(apex.labels())).ok()
        }
    }
}
