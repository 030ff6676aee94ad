//! Questions to a node-agent, as `dig` would ask and print them, with the answers they must get.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;

/// A node-agent answers within its own deadline of 3 s.
const PATIENCE: Duration = Duration::from_secs(4);

/// A question and what must come back.
pub(super) struct Question {
    pub(super) name: String,
    record_type: RecordType,
    expected: Expected,
}

/// The answer that is right.
enum Expected {
    /// These records, in any order, as `name type data`.
    Records(Vec<String>),
    /// No such name.
    NxDomain,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    rcode: ResponseCode,
    /// As `name ttl class type data`.
    lines: Vec<String>,
    /// As `name type data`, sorted.
    records: Vec<String>,
}

impl Question {
    /// A question that must get these records (`name type data`).
    pub(super) fn records(name: String, record_type: RecordType, mut records: Vec<String>) -> Self {
        records.sort();
        Self { name, record_type, expected: Expected::Records(records) }
    }

    /// A question for a name that does not exist.
    pub(super) fn nothing(name: String) -> Self {
        Self { name, record_type: RecordType::A, expected: Expected::NxDomain }
    }

    /// The line that asks it by hand.
    pub(super) fn dig(&self, agent: SocketAddr) -> String {
        let record_type = match self.record_type {
            RecordType::A => String::new(),
            other => format!(" {other}"),
        };
        format!("dig +noall +answer -p {} @{} {}{record_type}", agent.port(), agent.ip(), self.name)
    }

    /// Asks it once, over UDP.
    pub(super) async fn ask(&self, agent: SocketAddr) -> anyhow::Result<Reply> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(format!("{}.", self.name))?, self.record_type));
        message.metadata.recursion_desired = true;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(agent).await?;
        socket.send(&message.to_vec()?).await?;
        let mut buffer = vec![0; 4096];
        let received = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await;
        let length = received.with_context(|| format!("{agent}: no answer in {} s", PATIENCE.as_secs()))??;
        let answer = Message::from_vec(&buffer[..length])?;
        if answer.metadata.id != message.metadata.id {
            bail!("{agent}: an answer to another question");
        }
        Ok(Reply::of(&answer))
    }

    /// Whether the reply is right; if not, how it differs.
    pub(super) fn check(&self, reply: &Reply) -> Result<(), String> {
        match &self.expected {
            Expected::Records(records) if reply.rcode == ResponseCode::NoError && reply.records == *records => Ok(()),
            Expected::NxDomain if reply.rcode == ResponseCode::NXDomain && reply.records.is_empty() => Ok(()),
            Expected::Records(records) => Err(format!("{} was expected", records.join(", "))),
            Expected::NxDomain => Err("NXDOMAIN was expected".to_owned()),
        }
    }
}

impl Reply {
    fn of(message: &Message) -> Self {
        let shown = message.answers.iter().map(|record| {
            let (name, record_type) = (record.name.to_string(), record.record_type());
            (
                format!("{name} {} IN {record_type} {}", record.ttl, record.data),
                format!("{name} {record_type} {}", record.data),
            )
        });
        let (lines, mut records): (Vec<_>, Vec<_>) = shown.unzip();
        records.sort();
        Self { rcode: message.metadata.response_code, lines, records }
    }

    /// The answer section as dig prints it; the code alone where there is none.
    pub(super) fn indented(&self) -> String {
        match self.lines.as_slice() {
            [] => format!("  ;; {}, no records", code(self.rcode)),
            lines => lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// The code as every other tool spells it.
fn code(rcode: ResponseCode) -> String {
    match rcode {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_string(),
    }
}
