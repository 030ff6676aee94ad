//! The file's content: JSON, with a version, one object per peer. Every error says line and column.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use strait_proto::v1;

use crate::addresses::AddressMap;
use crate::convert::{Expired, PeerText, texts, without_final_dot};
use crate::peers::{Generation, MAX_PEERS, PeerRecord, PeerSet};
use crate::zones::{ZoneDocument, ZoneSet};

/// The version of the format that is written, and the only one that is read.
const VERSION: u64 = 1;

/// Why the content is not a set of peers. Displayed it follows the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// The line, from 1; 0 when there is none to point at.
    pub line: usize,
    /// The column, from 1; 0 when there is none to point at.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// The line's text.
    snippet: Option<String>,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, ": {}", self.what);
        }
        write!(f, ":{}:{}: {}", self.line, self.column, self.what)?;
        let Some(snippet) = &self.snippet else { return Ok(()) };
        let number = self.line.to_string();
        let caret = self.column.saturating_sub(1);
        write!(f, "\n  {number} | {snippet}\n  {:width$} | {:caret$}^", "", "", width = number.len())
    }
}

impl std::error::Error for DocumentError {}

/// The longest line that is shown; certificates make lines that help nobody.
const MAX_SNIPPET: usize = 160;

/// Reads a set of peers.
pub(super) fn parse(bytes: &[u8]) -> Result<PeerSet, DocumentError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let what = "the file is empty; an interrupted copy or a full disk may have done that".to_owned();
        return Err(DocumentError { line: 0, column: 0, what, snippet: None });
    }
    // The version first: what follows it may look otherwise in another version.
    serde_json::from_slice::<Head>(bytes).map_err(|error| explain(bytes, &error))?;
    serde_json::from_slice::<Document>(bytes).map(|document| document.peers).map_err(|error| explain(bytes, &error))
}

/// Writes a set of peers.
pub(super) fn render(set: &PeerSet) -> String {
    let peers = set.iter().map(|peer| Entry::from(peer.as_ref())).collect();
    let addresses = Vec::<v1::AddressRange>::from(set.addresses().as_ref()).into_iter();
    let addresses = addresses.map(|v1::AddressRange { range, owners }| Range { range, owners }).collect();
    let zones = set.zones().iter().map(|zone| zone.document()).collect();
    let written = Written { version: VERSION, generation: set.generation().0, peers, addresses, zones };
    // Strings and numbers in structs and lists always have a JSON form.
    let mut text = serde_json::to_string_pretty(&written).unwrap_or_default();
    text.push('\n');
    text
}

fn explain(bytes: &[u8], error: &serde_json::Error) -> DocumentError {
    let (line, column) = (error.line(), error.column().max(1));
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = error.to_string();
    let what = what.strip_suffix(&place).unwrap_or(&what).to_owned();
    let text = bytes.split(|b| *b == b'\n').nth(line.saturating_sub(1));
    let text = text.map(|text| String::from_utf8_lossy(text).trim_end().to_owned());
    let printable = |text: &String| text.len() <= MAX_SNIPPET && !text.chars().any(char::is_control);
    DocumentError { line, column, what, snippet: text.filter(printable) }
}

/// What every version has.
#[derive(Deserialize)]
#[serde(expecting = "an object that begins with \"version\"")]
struct Head {
    #[serde(rename = "version", deserialize_with = "known_version")]
    _version: u64,
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(D::Error::custom(format!(
            "version {other} is not known here (this program knows {VERSION}); use the program that wrote the file, or a newer one"
        ))),
    }
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    generation: u64,
    peers: Vec<Entry<'a>>,
    /// Only where a gateway has told it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<Range>,
    /// Likewise, or where they are shared resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    zones: Vec<&'a ZoneDocument>,
}

/// A peer as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry<'a> {
    name: Cow<'a, str>,
    suffix: String,
    outbound: bool,
    inbound: bool,
    endpoints: Vec<String>,
    trust_domain: String,
    trust_bundle: String,
    /// Absent: the default. A program that does not know the key refuses the file, and does not show too much.
    #[serde(default, skip_serializing_if = "Namespaces::is_default")]
    namespaces: Namespaces,
    /// Likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    changed_at: i64,
}

/// A range of addresses and whose they are: no owner for this cluster's own, several for disputed ones.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    range: String,
    owners: Vec<String>,
}

/// What a peer may see.
#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Namespaces {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

impl Namespaces {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl<'a> From<&'a PeerRecord> for Entry<'a> {
    fn from(peer: &'a PeerRecord) -> Self {
        Self {
            name: peer.name.as_str().into(),
            suffix: without_final_dot(&peer.suffix),
            outbound: peer.directions.outbound(),
            inbound: peer.directions.inbound(),
            endpoints: peer.endpoints.iter().map(ToString::to_string).collect(),
            trust_domain: peer.trust_bundle.trust_domain().to_string(),
            trust_bundle: peer.trust_bundle.to_pem(),
            namespaces: Namespaces { allow: texts(peer.namespaces.allow()), deny: texts(peer.namespaces.deny()) },
            addresses: texts(&peer.addresses),
            changed_at: peer.changed_at,
        }
    }
}

/// A whole file; its own reader, so that a bad entry's error points at that entry.
struct Document {
    peers: PeerSet,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            #[serde(rename = "version")]
            _version: u64,
            generation: u64,
            peers: Peers,
            #[serde(default)]
            addresses: Vec<Range>,
            #[serde(default)]
            zones: Vec<ZoneDocument>,
        }
        let fields = Fields::deserialize(deserializer)?;
        let peers = PeerSet::new(Generation(fields.generation), fields.peers.0);
        let peers = peers.map_err(|name| D::Error::custom(format!("peer {name} is there twice")))?;
        let ranges = fields.addresses.into_iter().map(|Range { range, owners }| v1::AddressRange { range, owners });
        let addresses = AddressMap::try_from(ranges.collect::<Vec<_>>());
        let addresses = addresses.map_err(|error| D::Error::custom(format!("addresses: {error}")))?;
        let zones = ZoneSet::read(fields.zones, &ZoneSet::default());
        let zones = zones.map_err(|error| D::Error::custom(format!("zones: {error}")))?;
        Ok(Self { peers: peers.with_addresses(Arc::new(addresses)).with_zones(Arc::new(zones)) })
    }
}

struct Peers(Vec<PeerRecord>);

impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(PeersVisitor)
    }
}

struct PeersVisitor;

impl<'de> Visitor<'de> for PeersVisitor {
    type Value = Peers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of peers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Peers, A::Error> {
        let mut peers: Vec<PeerRecord> = Vec::new();
        while let Some(Checked(peer)) = entries.next_element()? {
            if peers.iter().any(|other| other.name == peer.name) {
                return Err(A::Error::custom(format!(
                    "the peer that ends here, {}, is there twice; remove one",
                    peer.name
                )));
            }
            if peers.len() == MAX_PEERS {
                return Err(A::Error::custom(format!("more than {MAX_PEERS} peers")));
            }
            peers.push(peer);
        }
        Ok(Peers(peers))
    }
}

/// An entry that is a peer.
struct Checked(PeerRecord);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entry = Entry::deserialize(deserializer)?;
        let text = PeerText {
            name: &entry.name,
            suffix: &entry.suffix,
            endpoints: entry.endpoints.iter().map(String::as_str).collect(),
            trust_domain: &entry.trust_domain,
            trust_bundle: &entry.trust_bundle,
            outbound: entry.outbound,
            inbound: entry.inbound,
            allow_namespaces: entry.namespaces.allow.iter().map(String::as_str).collect(),
            deny_namespaces: entry.namespaces.deny.iter().map(String::as_str).collect(),
            addresses: entry.addresses.iter().map(String::as_str).collect(),
            changed_at: entry.changed_at,
        };
        // The place is known only once the whole entry is read.
        let told = |error| D::Error::custom(format!("the peer that ends here cannot be used: {error}"));
        text.parse(Expired::Keep).map(Self).map_err(told)
    }
}
