//! Zones that this process answers by itself: static records, wildcards, templates, zone files, hosts files.
//!
//! [`ZoneBuilder`] collects and checks, [`Zone`] answers from memory. What is exact wins over
//! templates, templates win over wildcards. Zones are not signed: no DNSSEC records are made.

mod data;
mod file;
mod hosts;
mod lookup;
mod rdata;
mod ready;
mod template;
mod text;
mod types;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use strait_wire::{Answer, Name, Rdata, Record, RecordType};

use self::data::ZoneData;
use self::lookup::Lookup;
use self::ready::Ready;
use self::template::Templates;
use crate::{Ask, BoxFuture, Source, SourceError};

pub use self::hosts::{Hosts, HostsData, HostsProblem};
pub use self::types::record_type;

/// The largest TTL, in seconds (RFC 2181 8).
const MAX_TTL: u32 = i32::MAX as u32;
/// The most records that one zone, or names that the hosts files, may have.
const MAX_RECORDS: usize = if cfg!(test) { 10_000 } else { 1 << 20 };
/// The largest zone or hosts file, in octets.
const MAX_FILE_LEN: u64 = 64 << 20;

/// Why a zone's data is refused. `line` and `column` (from 1) are within the text that was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.place())]
pub struct ZoneError {
    /// What is wrong and what to do.
    pub message: String,
    /// The file, when it is about one.
    pub file: Option<PathBuf>,
    /// The line, for files.
    pub line: Option<usize>,
    /// The column, for files and values.
    pub column: Option<usize>,
}

impl ZoneError {
    fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), file: None, line: None, column: None }
    }

    fn value(column: usize, message: impl Into<String>) -> Self {
        Self { column: Some(column), ..Self::whole(message) }
    }

    fn at(line: usize, column: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::value(column, message) }
    }

    /// The same error about that file, unless it is about another already.
    fn in_file(mut self, path: &Path) -> Self {
        self.file.get_or_insert_with(|| path.to_owned());
        self
    }

    /// The same error about a value of one line.
    fn in_value(mut self) -> Self {
        self.line = self.line.filter(|line| *line > 1);
        self
    }

    /// `FILE:LINE:COLUMN: `, as far as known.
    fn place(&self) -> String {
        let mut place = String::new();
        if let Some(file) = &self.file {
            place.push_str(&format!("{}:", file.display()));
            for number in [self.line, self.column].into_iter().flatten() {
                place.push_str(&format!("{number}:"));
            }
            place.push(' ');
        }
        place
    }
}

/// Collects a zone's data; every call checks what it is given.
pub struct ZoneBuilder {
    data: ZoneData,
    templates: Templates,
    ttl: u32,
}

impl ZoneBuilder {
    /// An empty zone. Without an SOA record in its data, one is made up (RFC 2308: negative TTL `ttl`).
    pub fn new(apex: Name, ttl: u32) -> Self {
        Self { templates: Templates::new(apex.clone()), data: ZoneData::new(apex), ttl }
    }

    /// The same, for so many records at most, and so many names, empty ones among them.
    #[must_use]
    pub fn for_records(mut self, limit: usize) -> Self {
        self.data.set_limit(limit);
        self
    }

    /// The zone's apex.
    pub fn apex(&self) -> &Name {
        self.data.apex()
    }

    /// Adds a record. `owner` is relative to the apex unless it ends in a dot; `@` is the apex. `value` is the
    /// data in presentation format (RFC 1035 5.1), or generic (RFC 3597 5: `\# 4 0A000001`). Names in it
    /// follow the owner's rule.
    ///
    /// The column of an error is within `value`; errors about the owner have none.
    pub fn record(&mut self, owner: &str, rtype: RecordType, ttl: Option<u32>, value: &str) -> Result<(), ZoneError> {
        let owner = text::Token { text: owner.to_owned(), quoted: false, line: 1, column: 1 };
        let owner = rdata::name(&owner, self.apex()).map_err(|error| ZoneError::whole(error.message))?;
        data::check_type(rtype).map_err(ZoneError::whole)?;
        let tokens = text::tokens(value).map_err(ZoneError::in_value)?;
        let rdata = rdata::parse(rtype, &tokens, self.apex()).map_err(ZoneError::in_value)?;
        self.insert(owner, rtype, ttl, rdata).map_err(ZoneError::whole)
    }

    /// Adds a template: names that match `pattern` (anchored, against the lower-cased name relative to the apex, without final dot)
    /// answer `rtype` with `answer`, in which `{{ name }}` stands for a capture.
    ///
    /// A capture that makes no legal data (no address, no host-name label) makes no record: the name does not exist.
    /// The column of an error is within `answer`, or within `pattern` when that is refused.
    pub fn template(
        &mut self,
        pattern: &str,
        rtype: RecordType,
        ttl: Option<u32>,
        answer: &str,
    ) -> Result<(), ZoneError> {
        self.templates.add(pattern, rtype, ttl.unwrap_or(self.ttl), answer).map_err(ZoneError::in_value)
    }

    /// Adds the records of an RFC 1035 zone file.
    pub fn zone_file(&mut self, path: &Path) -> Result<(), ZoneError> {
        file::read(self, path)
    }

    /// Adds the records of a text in the form of a zone file. `$INCLUDE` is refused; line and column of an error are within
    /// the text.
    pub fn zone_text(&mut self, text: &str) -> Result<(), ZoneError> {
        file::read_alone(self, text)
    }

    /// The zone. Contradictions (CNAME beside other data, records outside the apex) have been refused where
    /// they were added, so that the error has their place.
    pub fn build(mut self) -> Result<Zone, ZoneError> {
        let apex = self.apex().clone();
        if self.soa().is_none() {
            let soa = made_up_soa(&apex, self.ttl);
            self.insert(apex.clone(), RecordType::SOA, None, soa).map_err(ZoneError::whole)?;
        }
        let soa = self.soa().ok_or_else(|| ZoneError::whole(format!("{apex} has no SOA record")))?;
        // A negative answer lives for the lesser of the SOA's TTL and its minimum (RFC 2308 3).
        let minimum = soa.rdata.as_bytes().last_chunk().map_or(soa.ttl, |minimum| u32::from_be_bytes(*minimum));
        let negative = Record { ttl: soa.ttl.min(minimum), ..soa.clone() };
        let ready = Ready::prepare(&mut self.data, &mut self.templates, &negative)
            .ok_or_else(|| ZoneError::whole(format!("the SOA record of {apex} does not fit a message")))?;
        Ok(Zone { data: self.data, templates: self.templates, negative, ready })
    }

    fn soa(&self) -> Option<&Record> {
        let apex = self.apex().to_lowercase();
        self.data.node(apex.as_wire())?.get(RecordType::SOA)?.records.first()
    }

    fn insert(&mut self, owner: Name, rtype: RecordType, ttl: Option<u32>, rdata: Rdata) -> Result<(), String> {
        self.data.insert(owner, rtype, ttl.unwrap_or(self.ttl), rdata)
    }
}

/// A zone answered from memory, authoritatively.
///
/// Names at and below a delegation (NS records below the apex) are refused with EDE 20: nothing here
/// follows referrals, and glue is not an answer. Give such a zone a forward of its own.
pub struct Zone {
    data: ZoneData,
    templates: Templates,
    negative: Record,
    ready: Ready,
}

impl Zone {
    /// Its apex.
    pub fn apex(&self) -> &Name {
        self.data.apex()
    }

    /// How many records it has, its SOA record among them.
    pub fn record_count(&self) -> usize {
        self.data.record_count()
    }

    /// The answer to the question, which must lie within the zone.
    fn look_up(&self, ask: &Ask) -> Result<Answer, SourceError> {
        if !ask.question.name.is_within(self.apex()) {
            return Err(SourceError::BadAnswer(format!("{} is not within {}", ask.question.name, self.apex())));
        }
        Ok(Lookup { data: &self.data, templates: &self.templates, negative: &self.negative }.answer(&ask.question))
    }
}

impl Source for Zone {
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        Self::ready(self, lower, rtype).map(Cow::Borrowed)
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.look_up(ask).ok()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(self.look_up(ask)))
    }
}

/// The SOA data of a zone that has none of its own.
fn made_up_soa(apex: &Name, ttl: u32) -> Rdata {
    // An apex too long for another label stands for itself.
    let below = |label: &[u8]| apex.child(label).unwrap_or_else(|_| apex.clone());
    let (serial, refresh, retry, expire) = (1, 7_200, 1_800, 86_400);
    Rdata::soa(&below(b"ns"), &below(b"hostmaster"), [serial, refresh, retry, expire, ttl])
}
