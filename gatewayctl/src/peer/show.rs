//! Peers as tables for people.

use std::time::Duration;

use super::view::{
    AddressesView, EndpointView, ErrorView, InboundView, NamespacesView, OutboundView, PeerView, PeersView,
};
use crate::moments::{ago, span};
use crate::output::{indented, shortened, table};

/// The longest error in the list; `peer show` has it whole.
const MAX_LISTED_ERROR: usize = 72;

/// The longest list of namespaces in the list, likewise.
const MAX_LISTED_NAMESPACES: usize = 32;

/// Seconds for which the list shows an error that does not last.
const RECENT: i64 = 60;

/// One line per peer.
pub(super) fn list(peers: &PeersView, now: i64) -> String {
    if peers.peers.is_empty() {
        return "no peers; add one with: gatewayctl peer add NAME --suffix SUFFIX --endpoint URL --ca FILE".to_owned();
    }
    let head = ["NAME", "SUFFIX", "OUTBOUND", "INBOUND", "SEES", "ADDRESSES", "ENDPOINTS", "LATENCY", "LAST ERROR"];
    let rows = peers.peers.iter().map(|peer| {
        [
            peer.name.clone(),
            peer.suffix.clone(),
            peer.outbound.state.clone(),
            peer.inbound.state.clone(),
            sees(peer),
            peer.addresses.short(),
            peer.outbound.up_of_total(),
            latency(peer.outbound.best_latency()),
            newest_error(peer, now),
        ]
    });
    table(head, rows)
}

/// All of one peer.
pub(super) fn one(peer: &PeerView, now: i64) -> String {
    let PeerView { name, suffix, trust_domain, changed_at, authorities, namespaces, outbound, inbound, addresses } =
        peer;
    let changed = changed_at.as_deref().unwrap_or("-");
    let mut text = format!(
        "name          {name}\nsuffix        {suffix}\ntrust domain  {trust_domain}\nchanged       {changed}\n"
    );
    for authority in authorities {
        let until = authority.not_after.as_deref().unwrap_or("-");
        text += &format!("CA            {}, until {until}\n", authority.subject);
        text += &format!("              SHA-256 {}\n", authority.fingerprint);
    }
    text += &format!("\noutbound (we ask them): {}\n", outbound.state);
    text += &indented(&endpoints(outbound, now));
    if outbound.state != "none" {
        text += &indented(&addresses.in_words());
    }
    text += &format!("\ninbound (they ask us): {}\n", inbound.state);
    if inbound.state != "none" {
        text += &indented(&format!("sees         {}\n{}", namespaces.in_words(), asked(inbound, now)));
    }
    text
}

/// The namespaces of ours that it may see, cut to fit.
fn sees(peer: &PeerView) -> String {
    match peer.inbound.state.as_str() {
        "none" => "-".to_owned(),
        _ => shortened(&peer.namespaces.short(), MAX_LISTED_NAMESPACES),
    }
}

impl NamespacesView {
    fn in_words(&self) -> String {
        let named: Vec<&str> = self.allow.iter().map(String::as_str).filter(|name| *name != "*").collect();
        let any = named.len() < self.allow.len();
        let allowed = match (any, named.contains(&"kube-system")) {
            (true, true) => "every namespace".to_owned(),
            (true, false) => "every namespace but kube-system".to_owned(),
            (false, _) => format!("the namespaces {}", named.join(", ")),
        };
        match self.deny.as_slice() {
            [] => allowed,
            denied => format!("{allowed}; not {}", denied.join(", ")),
        }
    }
}

impl AddressesView {
    /// In one column: how many ranges, and what is wrong with how many.
    fn short(&self) -> String {
        let trouble = [("overlap", self.overlaps.len()), ("refused", self.refused.len())];
        let trouble = trouble.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}"));
        let trouble: Vec<String> = trouble.collect();
        match (self.known, trouble.is_empty()) {
            (false, _) => "-".to_owned(),
            (true, true) => self.accepted.len().to_string(),
            (true, false) => format!("{} ({})", self.accepted.len(), trouble.join(", ")),
        }
    }

    fn in_words(&self) -> String {
        let listed = match (self.known, self.accepted.as_slice()) {
            (false, _) => "not told yet".to_owned(),
            (true, []) => "none".to_owned(),
            (true, ranges) => ranges.join(", "),
        };
        let mut text = format!("addresses    {listed}\n");
        if !self.assigned.is_empty() {
            text += &format!("assigned     {}\n", self.assigned.join(", "));
        }
        for overlap in &self.overlaps {
            text += &format!("overlap      {} with {}\n", overlap.range, overlap.with.join(", "));
        }
        for refused in &self.refused {
            text += &format!("refused      {}: {}\n", refused.range, refused.reason);
        }
        text
    }
}

fn endpoints(outbound: &OutboundView, now: i64) -> String {
    if outbound.endpoints.is_empty() {
        return String::new();
    }
    let rows = outbound.endpoints.iter().map(|endpoint| {
        let since = if endpoint.since_seconds == 0 { "-".to_owned() } else { ago(endpoint.since_seconds, now) };
        let error = endpoint.last_error.as_ref().map_or("-".to_owned(), |error| error.with_age(now));
        [endpoint.url.clone(), endpoint.state.clone(), since, latency(endpoint.latency_us), error]
    });
    table(["ENDPOINT", "STATE", "SINCE", "LATENCY", "LAST ERROR"], rows)
}

fn asked(inbound: &InboundView, now: i64) -> String {
    let last_query = match inbound.last_query_seconds {
        0 => String::new(),
        at => format!(", the last {}", ago(at, now)),
    };
    let error = inbound.last_error.as_ref().map_or("-".to_owned(), |error| error.with_age(now));
    let InboundView { connections, queries, refused, .. } = inbound;
    format!(
        "connections  {connections}\nqueries      {queries}{last_query}\nrefused      {refused}\nlast error   {error}\n"
    )
}

/// The newest trouble of either direction, and which direction that is. What an endpoint that is up has got over, and
/// what was refused some time ago, is history: `peer show` has it.
fn newest_error(peer: &PeerView, now: i64) -> String {
    let outbound = peer.outbound.endpoints.iter();
    let outbound = outbound.filter_map(|endpoint| {
        let current = |error: &&ErrorView| endpoint.state != "up" || error.is_recent(now);
        let error = endpoint.last_error.as_ref().filter(current)?;
        Some((format!("to {}: ", endpoint.url), error))
    });
    let inbound = peer.inbound.last_error.as_ref().filter(|error| error.is_recent(now));
    let inbound = inbound.map(|error| ("from it: ".to_owned(), error));
    let newest = outbound.chain(inbound).max_by_key(|(_, error)| error.at_seconds);
    newest.map_or("-".to_owned(), |(from, error)| {
        format!("{} ({})", shortened(&format!("{from}{}", error.text), MAX_LISTED_ERROR), ago(error.at_seconds, now))
    })
}

fn latency(micros: Option<u64>) -> String {
    micros.map_or("-".to_owned(), |micros| span(Duration::from_micros(micros)))
}

impl OutboundView {
    /// Endpoints that answer, of all.
    fn up_of_total(&self) -> String {
        match self.endpoints.len() {
            0 => "-".to_owned(),
            total => format!("{}/{total}", self.endpoints.iter().filter(|endpoint| endpoint.answers()).count()),
        }
    }

    fn best_latency(&self) -> Option<u64> {
        self.endpoints.iter().filter(|endpoint| endpoint.answers()).filter_map(|endpoint| endpoint.latency_us).min()
    }
}

impl EndpointView {
    fn answers(&self) -> bool {
        matches!(self.state.as_str(), "up" | "degraded")
    }
}

impl ErrorView {
    fn is_recent(&self, now: i64) -> bool {
        now.saturating_sub(self.at_seconds) <= RECENT
    }

    fn with_age(&self, now: i64) -> String {
        format!("{} ({})", self.text, ago(self.at_seconds, now))
    }
}
