//! What an answer is kept under.

use strait_wire::{Name, QueryView, RecordType};

use crate::Ask;

/// What an answer is kept under: the lower-cased name in wire form, the type, DO and CD.
pub(crate) struct CacheKey {
    bytes: [u8; Self::MAX_LEN],
    name_len: usize,
}

impl CacheKey {
    const TAIL: usize = 3;
    const MAX_LEN: usize = Name::MAX_LEN + Self::TAIL;

    pub(crate) fn of_query(query: &QueryView<'_>) -> Self {
        Self::new(query.qname_wire(), query.rtype(), query.dnssec_ok(), query.checking_disabled())
    }

    pub(crate) fn of_ask(ask: &Ask) -> Self {
        Self::new(ask.question.name.as_wire(), ask.question.rtype, ask.dnssec_ok, ask.checking_disabled)
    }

    /// `name` is at most [`Name::MAX_LEN`] octets: both callers have it from a checked name.
    fn new(name: &[u8], rtype: RecordType, dnssec_ok: bool, checking_disabled: bool) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        let name_len = name.len().min(Name::MAX_LEN);
        // Length octets are at most 63 and so never ASCII letters.
        for (lower, octet) in bytes.iter_mut().zip(&name[..name_len]) {
            *lower = octet.to_ascii_lowercase();
        }
        bytes[name_len..name_len + 2].copy_from_slice(&rtype.0.to_be_bytes());
        bytes[name_len + 2] = u8::from(dnssec_ok) << 1 | u8::from(checking_disabled);
        Self { bytes, name_len }
    }

    /// Name and type.
    pub(super) fn question(&self) -> (&[u8], &[u8]) {
        self.bytes[..self.name_len + Self::TAIL - 1].split_at(self.name_len)
    }

    /// DO and CD.
    pub(super) fn flags(&self) -> u64 {
        u64::from(self.bytes[self.name_len + Self::TAIL - 1])
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.name_len + Self::TAIL]
    }

    /// The name in wire form, in lower case.
    pub(crate) fn name(&self) -> &[u8] {
        &self.bytes[..self.name_len]
    }
}
