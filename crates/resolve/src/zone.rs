//! Zones that this process answers by itself: static records, wildcards, templates, hosts files, zone files.

use std::path::Path;
use std::sync::Arc;

use strait_wire::{Name, RecordType};

use crate::{Ask, BoxFuture, Source, SourceError};

/// Why a zone's data is refused. `line` and `column` (from 1) are within the text that was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ZoneError {
    /// What is wrong and what to do.
    pub message: String,
    /// The line, for files.
    pub line: Option<usize>,
    /// The column, for files and values.
    pub column: Option<usize>,
}

/// Collects a zone's data; every call checks what it is given.
pub struct ZoneBuilder {
    _apex: Name,
}

impl ZoneBuilder {
    /// An empty zone. Without an SOA record in its data, one is made up (RFC 2308: negative TTL `ttl`).
    pub fn new(apex: Name, ttl: u32) -> Self {
        let _ = ttl;
        Self { _apex: apex }
    }

    /// Adds a record. `owner` is relative to the apex unless it ends in a dot; `@` is the apex. `value` is the
    /// data in presentation format (RFC 1035 5.1), or generic (RFC 3597 5: `\# 4 0A000001`).
    pub fn record(&mut self, owner: &str, rtype: RecordType, ttl: Option<u32>, value: &str) -> Result<(), ZoneError> {
        let _ = (owner, rtype, ttl, value);
        unimplemented!()
    }

    /// Adds a template: names that match `pattern` (anchored, against the lower-cased name relative to the apex, without final dot)
    /// answer `rtype` with `answer`, in which `{{ name }}` stands for a capture.
    pub fn template(
        &mut self,
        pattern: &str,
        rtype: RecordType,
        ttl: Option<u32>,
        answer: &str,
    ) -> Result<(), ZoneError> {
        let _ = (pattern, rtype, ttl, answer);
        unimplemented!()
    }

    /// Adds the records of an RFC 1035 zone file.
    pub fn zone_file(&mut self, path: &Path) -> Result<(), ZoneError> {
        let _ = path;
        unimplemented!()
    }

    /// The zone. Refuses contradictions: CNAME beside other data, records outside the apex.
    pub fn build(self) -> Result<Zone, ZoneError> {
        unimplemented!()
    }
}

/// A zone answered from memory, authoritatively.
pub struct Zone {
    apex: Name,
}

impl Zone {
    /// Its apex.
    pub fn apex(&self) -> &Name {
        &self.apex
    }
}

impl Source for Zone {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<strait_wire::Answer, SourceError>> {
        let _ = ask;
        unimplemented!()
    }
}

/// The names of hosts files (hosts(5)), A, AAAA and PTR, laid over `below`: what they do not know goes there.
pub struct Hosts {
    _below: Arc<dyn Source>,
}
