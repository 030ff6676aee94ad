//! An answer in words: records as dig writes them, and what explains the answer.

use std::time::Duration;

use serde::Serialize;
use strait_wire::{Ede, Flags, Message, Rcode, Record};

use super::rdata;
use crate::cli::Outcome;
use crate::moments::span;
use crate::output::printable;

/// An answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnswerView {
    status: String,
    flags: Vec<&'static str>,
    answers: Vec<RecordView>,
    authorities: Vec<RecordView>,
    additionals: Vec<RecordView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extended_errors: Vec<EdeView>,
    answered_by: String,
    elapsed_us: u64,
    #[serde(skip)]
    rcode: Rcode,
}

/// A record.
#[derive(Debug, Serialize)]
struct RecordView {
    name: String,
    ttl: u32,
    class: String,
    #[serde(rename = "type")]
    rtype: String,
    data: String,
}

/// An extended error (RFC 8914).
#[derive(Debug, Serialize)]
struct EdeView {
    code: u16,
    meaning: &'static str,
    text: String,
}

impl AnswerView {
    pub(super) fn new(message: &Message, answered_by: String, elapsed: Duration) -> Self {
        let flags = [("qr", Flags::QR), ("aa", Flags::AA), ("tc", Flags::TC), ("rd", Flags::RD), ("ra", Flags::RA)];
        let section = |records: &[Record]| records.iter().map(RecordView::new).collect();
        let ede = message.edns.as_ref().and_then(|edns| edns.ede());
        Self {
            status: message.rcode.to_string(),
            flags: flags.into_iter().filter(|(_, bit)| message.flags.has(*bit)).map(|(word, _)| word).collect(),
            answers: section(&message.answers),
            authorities: section(&message.authorities),
            additionals: section(&message.additionals),
            extended_errors: ede.iter().map(EdeView::new).collect(),
            answered_by,
            elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            rcode: message.rcode,
        }
    }

    /// Records first, then lines that explain, marked as dig marks them.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for record in &self.answers {
            text += &format!("{}\n", record.line());
        }
        for (section, records) in [("authority", &self.authorities), ("additional", &self.additionals)] {
            for record in records {
                text += &format!(";; {section}: {}\n", record.line());
            }
        }
        text += &format!(";; status: {}, flags: {}\n", self.status, self.flags.join(" "));
        for error in &self.extended_errors {
            let colon = if error.text.is_empty() { "" } else { ": " };
            text += &format!(";; EDE {} ({}){colon}{}\n", error.code, error.meaning, error.text);
        }
        text + &format!(";; answered by {} in {}\n", self.answered_by, span(Duration::from_micros(self.elapsed_us)))
    }

    /// What scripts are told.
    pub(super) fn outcome(&self) -> Outcome {
        match self.rcode {
            Rcode::NOERROR if !self.answers.is_empty() => Outcome::Done,
            Rcode::NOERROR | Rcode::NXDOMAIN => Outcome::NoData,
            _ => Outcome::Failed,
        }
    }
}

impl RecordView {
    fn new(record: &Record) -> Self {
        Self {
            name: record.name.to_string(),
            ttl: record.ttl,
            class: record.class.to_string(),
            rtype: record.rtype.to_string(),
            data: rdata::text(record),
        }
    }

    fn line(&self) -> String {
        format!("{}\t{}\t{}\t{}\t{}", self.name, self.ttl, self.class, self.rtype, self.data)
    }
}

impl EdeView {
    fn new(ede: &Ede) -> Self {
        Self { code: ede.code, meaning: meaning(ede.code), text: printable(&ede.text) }
    }
}

/// The purposes of the IANA registry "Extended DNS Error Codes".
fn meaning(code: u16) -> &'static str {
    const MEANINGS: [&str; 25] = [
        "Other Error",
        "Unsupported DNSKEY Algorithm",
        "Unsupported DS Digest Type",
        "Stale Answer",
        "Forged Answer",
        "DNSSEC Indeterminate",
        "DNSSEC Bogus",
        "Signature Expired",
        "Signature Not Yet Valid",
        "DNSKEY Missing",
        "RRSIGs Missing",
        "No Zone Key Bit Set",
        "NSEC Missing",
        "Cached Error",
        "Not Ready",
        "Blocked",
        "Censored",
        "Filtered",
        "Prohibited",
        "Stale NXDOMAIN Answer",
        "Not Authoritative",
        "Not Supported",
        "No Reachable Authority",
        "Network Error",
        "Invalid Data",
    ];
    MEANINGS.get(usize::from(code)).copied().unwrap_or("unassigned")
}
