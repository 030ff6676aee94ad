//! DNS messages as bytes.
//!
//! Two forms serve two needs. [`QueryView`] and [`Answer`] keep the wire bytes and remember where
//! to patch them: the hit path copies and patches, it never parses. [`Message`] is the decoded
//! form for the slow path: mapping names, checking what an upstream said, building answers.
//!
//! No input or output, no async, no clock: every function is a function of bytes.

mod answer;
mod codes;
mod edns;
mod header;
mod mapping;
mod message;
mod name;
mod path;
mod query;
mod rdata;
#[cfg(test)]
mod testing;

pub use answer::{Answer, AnswerKind, CheckError, MAX_ALIASES, ReplyLimits};
pub use codes::{Class, Opcode, Rcode, RecordType};
pub use edns::{Ede, Edns, EdnsOption, option};
pub use header::{Flags, Header};
pub use mapping::{MappingError, ZoneMapping};
pub use message::{Message, Question, Record, WireError};
pub use name::{Labels, Name, NameError};
pub use path::{ClusterPath, MAX_CLUSTERS_PASSED};
pub use query::{Query, QueryEdns, QueryView, Refusal};
pub use rdata::Rdata;

/// The largest DNS message, in octets (RFC 1035 4.2.2: a two-octet length).
pub const MAX_MESSAGE_LEN: usize = 65_535;

/// The UDP payload size we offer and never exceed (DNS flag day 2020, RFC 9715 3.1).
pub const UDP_PAYLOAD: u16 = 1232;
