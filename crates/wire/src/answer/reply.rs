//! Writing an answer as the reply to one query: the hit path. Copies and patches, allocates nothing.

use super::{Answer, change_ttl};
use crate::edns::{OPT_HEAD, close_opt, rcode_high, write_opt_head, write_option, write_option_head};
use crate::{Ede, Flags, Header, MAX_MESSAGE_LEN, QueryView, Rcode, UDP_PAYLOAD, option};

/// How a reply must be shaped for the client that gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// The largest reply, in octets, at least 512; over it the reply is cut and TC set.
    pub max_len: usize,
    /// Inside TLS: pad to the block length of RFC 8467 when the client padded.
    pub padding: bool,
    /// On a stream: tell the idle timeout, in units of 100 ms, when the client asked (RFC 7828).
    pub keepalive: Option<u16>,
}

impl ReplyLimits {
    /// For UDP: what the client can take, at most 1232, and 512 without EDNS (RFC 1035 4.2.1).
    pub fn udp(query: &QueryView<'_>) -> Self {
        let max_len = query.edns().map_or(512, |e| e.udp_payload.min(UDP_PAYLOAD));
        Self { max_len: usize::from(max_len), padding: false, keepalive: None }
    }

    /// For TCP and gRPC.
    pub fn stream() -> Self {
        Self { max_len: MAX_MESSAGE_LEN, padding: false, keepalive: None }
    }
}

/// The block that replies inside TLS are padded to (RFC 8467 4.1).
const REPLY_BLOCK: usize = 468;

/// The octets before the data of an option.
const OPTION_HEAD: usize = 4;

impl Answer {
    /// Appends the reply to `query`, `age` seconds after the answer was made.
    ///
    /// The query must ask what the answer answers, in any case; another gets SERVFAIL. TTLs are
    /// counted down to no less than 0. `ede` comes before the answer's own. What does not fit is left
    /// out: first the text of extended errors, then the additional section, then, with TC, every record.
    pub fn write_reply(
        &self,
        query: &QueryView<'_>,
        age: u32,
        limits: ReplyLimits,
        ede: Option<&Ede>,
        out: &mut Vec<u8>,
    ) {
        self.write(query, |ttl| ttl.saturating_sub(age), limits, ede, out);
    }

    /// As [`Answer::write_reply`], with every TTL lowered to `ttl`, and none 0 (RFC 8767 4).
    pub fn write_stale_reply(
        &self,
        query: &QueryView<'_>,
        ttl: u32,
        limits: ReplyLimits,
        ede: Option<&Ede>,
        out: &mut Vec<u8>,
    ) {
        self.write(query, |original| original.min(ttl).max(1), limits, ede, out);
    }

    fn write(
        &self,
        query: &QueryView<'_>,
        ttl_told: impl Fn(u32) -> u32,
        limits: ReplyLimits,
        ede: Option<&Ede>,
        out: &mut Vec<u8>,
    ) {
        let (message, records_at) = (self.message(), self.records_at());
        let additional_at = usize::from(self.additional_at);
        let question = query.question_wire();
        let asked = self.question_wire();
        // As it was asked first, it is compared fastest.
        if !self.for_any_name && question != asked && !question.eq_ignore_ascii_case(asked) {
            return query.write_error(Rcode::SERVFAIL, None, out);
        }
        // How much further the records lie in the reply: nothing, but in answers for any name, whose own is the shortest.
        let shift = question.len() + Header::LEN - records_at;
        let room = limits.max_len - query.edns().map_or(0, |_| OPT_HEAD.min(limits.max_len));
        // Leaving out the additional section is no truncation (RFC 2181 9).
        let fitting = [message.len(), additional_at].into_iter().find(|len| *len + shift <= room);
        let kept = fitting.unwrap_or(records_at);

        let start = out.len();
        out.reserve(kept + shift);
        out.extend_from_slice(&message[..Header::LEN]);
        out.extend_from_slice(question);
        out.extend_from_slice(&message[records_at..kept]);
        let reply = &mut out[start..];
        reply[..2].copy_from_slice(&query.header().id.to_be_bytes());
        reply[2..4].copy_from_slice(&self.reply_flags(query, fitting.is_none()).0.to_be_bytes());
        // A section that was left out, or is empty, counts none.
        if kept <= additional_at {
            reply[10..12].fill(0);
        }
        if kept <= records_at {
            reply[6..10].fill(0);
        }
        for at in self.ttl_places().take_while(|at| *at < kept) {
            change_ttl(reply, at + shift, &ttl_told);
        }
        if let Some(edns) = query.edns() {
            // A message of at most 65,535 octets has far fewer records.
            let additional = u16::from_be_bytes([reply[10], reply[11]]).saturating_add(1);
            reply[10..12].copy_from_slice(&additional.to_be_bytes());
            self.write_opt(query, edns.dnssec_ok, limits, ede, start, out);
        }
    }

    fn reply_flags(&self, query: &QueryView<'_>, cut: bool) -> Flags {
        let asked = query.header().flags;
        // AD only for who asked for it with AD or DO (RFC 6840 5.7, 5.8).
        let wants_ad = query.dnssec_ok() || asked.has(Flags::AD);
        let rcode = if query.edns().is_some() { self.rcode } else { self.rcode.without_edns() };
        Flags(Flags::QR | Flags::RA | asked.0 & (Flags::RD | Flags::CD))
            .with(Flags::AA, self.is_authoritative())
            .with(Flags::AD, wants_ad && self.flags().has(Flags::AD))
            .with(Flags::TC, cut || self.is_truncated())
            .with_rcode(rcode)
    }

    /// Appends the OPT record to the reply that begins at `start`, with the options that fit.
    fn write_opt(
        &self,
        query: &QueryView<'_>,
        dnssec_ok: bool,
        limits: ReplyLimits,
        ede: Option<&Ede>,
        start: usize,
        out: &mut Vec<u8>,
    ) {
        let room = |out: &Vec<u8>| (start + limits.max_len).saturating_sub(out.len());
        let opt = write_opt_head(out, UDP_PAYLOAD, rcode_high(self.rcode), dnssec_ok);
        if let Some(timeout) = limits.keepalive.filter(|_| query.option(option::TCP_KEEPALIVE).is_some())
            && room(out) >= OPTION_HEAD + 2
        {
            write_option(out, option::TCP_KEEPALIVE, &timeout.to_be_bytes());
        }
        for ede in ede.into_iter().chain(self.ede()) {
            ede.write(room(out), out);
        }
        if limits.padding && query.option(option::PADDING).is_some() && room(out) >= OPTION_HEAD {
            write_option_head(out, option::PADDING, 0);
            let unpadded = out.len() - start;
            let padding = (unpadded.next_multiple_of(REPLY_BLOCK) - unpadded).min(room(out));
            out.resize(out.len() + padding, 0);
            let len_at = out.len() - padding - 2;
            out[len_at..len_at + 2].copy_from_slice(&(padding as u16).to_be_bytes());
        }
        close_opt(out, opt);
    }
}
