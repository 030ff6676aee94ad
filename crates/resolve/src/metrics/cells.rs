//! The handles of one zone, each resolved at its first use.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, IntCounter};
use strait_wire::{AnswerKind, Rcode, RecordType};

use super::ZoneFamilies;
use crate::Transport;

/// The types told apart; all others count as `other`, since a client can ask for any of 65,536.
const TYPES: [RecordType; 17] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::PTR,
    RecordType::SRV,
    RecordType::TXT,
    RecordType::MX,
    RecordType::NS,
    RecordType::SOA,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::ANY,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::TLSA,
    RecordType::CAA,
    RecordType::NAPTR,
];

/// The rcodes told apart; an upstream can send any of 4,096.
const RCODES: [Rcode; 6] =
    [Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::SERVFAIL, Rcode::REFUSED, Rcode::FORMERR, Rcode::NOTIMP];

const KINDS: [&str; 3] = ["positive", "negative", "failure"];

type Cell = OnceLock<IntCounter>;

/// The counters of one zone.
pub(crate) struct ZoneMetrics {
    families: ZoneFamilies,
    label: String,
    requests: [[Cell; TYPES.len() + 1]; Transport::ALL.len()],
    responses: [Cell; RCODES.len() + 1],
    hits: [Cell; KINDS.len()],
    misses: Cell,
    durations: OnceLock<Histogram>,
}

impl ZoneMetrics {
    pub(super) fn new(families: ZoneFamilies, label: &str) -> Self {
        Self {
            families,
            label: label.to_owned(),
            requests: Default::default(),
            responses: Default::default(),
            hits: Default::default(),
            misses: Cell::new(),
            durations: OnceLock::new(),
        }
    }

    /// A question has been answered.
    pub(crate) fn answered(&self, transport: Transport, rtype: RecordType, rcode: Rcode, took: Duration) {
        let row = Transport::ALL.iter().position(|t| *t == transport).unwrap_or_default();
        let column = TYPES.iter().position(|t| *t == rtype).unwrap_or(TYPES.len());
        let request = || {
            let labels = [self.label.as_str(), transport.as_str(), type_label(column)];
            self.families.requests.with_label_values(&labels)
        };
        self.requests[row][column].get_or_init(request).inc();
        let column = RCODES.iter().position(|r| *r == rcode).unwrap_or(RCODES.len());
        let response = || self.families.responses.with_label_values(&[self.label.as_str(), rcode_label(column)]);
        self.responses[column].get_or_init(response).inc();
        let durations = || self.families.durations.with_label_values(&[&self.label]);
        self.durations.get_or_init(durations).observe(took.as_secs_f64());
    }

    /// The cache had the answer.
    pub(crate) fn hit(&self, kind: AnswerKind) {
        let column = match kind {
            AnswerKind::Positive => 0,
            AnswerKind::NoData | AnswerKind::NxDomain => 1,
            AnswerKind::Failure => 2,
        };
        let hit = || self.families.hits.with_label_values(&[self.label.as_str(), KINDS[column]]);
        self.hits[column].get_or_init(hit).inc();
    }

    /// The cache had no answer.
    pub(crate) fn miss(&self) {
        self.misses.get_or_init(|| self.families.misses.with_label_values(&[&self.label])).inc();
    }

    /// Takes the zone's series off the families: the zone is no more. A series that was never there is fine.
    pub(crate) fn forget(&self) {
        let zone = self.label.as_str();
        for transport in Transport::ALL {
            for column in 0..=TYPES.len() {
                let _ = self.families.requests.remove_label_values(&[zone, transport.as_str(), type_label(column)]);
            }
        }
        for column in 0..=RCODES.len() {
            let _ = self.families.responses.remove_label_values(&[zone, rcode_label(column)]);
        }
        for kind in KINDS {
            let _ = self.families.hits.remove_label_values(&[zone, kind]);
        }
        let _ = self.families.misses.remove_label_values(&[zone]);
        let _ = self.families.durations.remove_label_values(&[zone]);
    }
}

fn type_label(column: usize) -> &'static str {
    TYPES.get(column).and_then(|rtype| rtype.mnemonic()).unwrap_or("other")
}

fn rcode_label(column: usize) -> &'static str {
    RCODES.get(column).and_then(|rcode| rcode.mnemonic()).unwrap_or("other")
}
