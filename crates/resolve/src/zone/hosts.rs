//! Hosts files (hosts(5)): addresses with their names, laid over another source.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use strait_wire::{Answer, Class, Ede, Flags, Message, Name, Question, Rcode, Rdata, Record, RecordType};

use super::{MAX_RECORDS, file, made_up_soa};
use crate::{Ask, BoxFuture, Source, SourceError};

/// The most bad lines of one file that are told one by one.
const MAX_PROBLEMS: usize = 20;

/// The names that hosts files know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HostsData {
    addresses: HashMap<Name, Vec<IpAddr>>,
    names: HashMap<IpAddr, Name>,
    ttl: u32,
}

/// Something in a hosts file that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsProblem {
    /// The file.
    pub file: PathBuf,
    /// The line and the column, from 1; none when it is about the whole file.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for HostsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl HostsData {
    /// Reads hosts files, in order. They belong to the system, so a bad line is left out and told about,
    /// and the rest counts. The first name of an address is the one that PTR gives.
    pub fn load(files: &[PathBuf], ttl: u32) -> (Self, Vec<HostsProblem>) {
        let mut data = Self { ttl, ..Self::default() };
        let mut problems = Vec::new();
        for path in files {
            match file::read_text(path) {
                Ok(text) => data.read(path, &text, &mut problems),
                Err(error) => problems.push(HostsProblem {
                    file: path.clone(),
                    place: error.line.zip(error.column),
                    message: error.message,
                }),
            }
        }
        (data, problems)
    }

    /// How many names they know.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether they know no name.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    fn read(&mut self, path: &Path, text: &str, problems: &mut Vec<HostsProblem>) {
        let mut bad = 0;
        for (number, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            let Err((column, message)) = self.line(line, content) else { continue };
            bad += 1;
            if bad <= MAX_PROBLEMS {
                problems.push(HostsProblem { file: path.to_owned(), place: Some((number + 1, column)), message });
            }
        }
        if bad > MAX_PROBLEMS {
            let message = format!("{} more lines like these are left out", bad - MAX_PROBLEMS);
            problems.push(HostsProblem { file: path.to_owned(), place: None, message });
        }
    }

    /// Adds one line; what is good before the bad word counts.
    fn line(&mut self, line: &str, content: &str) -> Result<(), (usize, String)> {
        let mut words = content.split_whitespace();
        let Some(first) = words.next() else { return Ok(()) };
        let column = |word: &str| line[..word.as_ptr() as usize - line.as_ptr() as usize].chars().count() + 1;
        let address: IpAddr = first
            .parse()
            .map_err(|_| (column(first), format!("{first:?} is not an IP address: the line is left out")))?;
        let mut canonical = None;
        for word in words {
            let name =
                host_name(word).map_err(|why| (column(word), format!("{why}: the rest of the line is left out")))?;
            if self.addresses.len() >= MAX_RECORDS {
                return Err((column(word), format!("more than {MAX_RECORDS} names: the rest is left out")));
            }
            canonical.get_or_insert_with(|| name.clone());
            let addresses = self.addresses.entry(name).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let canonical = canonical.ok_or_else(|| (column(first), format!("{first} has no name: add one behind it")))?;
        self.names.entry(address).or_insert(canonical);
        Ok(())
    }

    /// The answer, for the names and types that hosts files speak of.
    fn answer(&self, question: &Question) -> Option<Answer> {
        let rdata: Vec<(RecordType, Rdata)> = match question.rtype {
            RecordType::PTR => {
                let name = self.names.get(&reverse_address(&question.name)?)?;
                vec![(RecordType::PTR, Rdata::name(name))]
            }
            RecordType::A | RecordType::AAAA | RecordType::ANY => {
                self.addresses.get(&question.name)?.iter().map(|address| address_data(*address)).collect()
            }
            _ => return None,
        };
        let mut message = Message::response(question.clone(), Rcode::NOERROR);
        message.flags = message.flags.with(Flags::AA, true);
        // For ANY the records of one type are enough (RFC 8482 4.1).
        let rtype = if question.rtype == RecordType::ANY { rdata.first()?.0 } else { question.rtype };
        for (_, rdata) in rdata.into_iter().filter(|(made, _)| *made == rtype) {
            message.answers.push(self.record(question, rtype, rdata));
        }
        if message.answers.is_empty() {
            let soa = made_up_soa(&question.name, self.ttl);
            message.authorities.push(self.record(question, RecordType::SOA, soa));
        }
        Answer::new(&message).ok()
    }

    fn record(&self, question: &Question, rtype: RecordType, rdata: Rdata) -> Record {
        Record { name: question.name.clone(), rtype, class: Class::IN, ttl: self.ttl, rdata }
    }
}

/// The names of hosts files (hosts(5)), A, AAAA and PTR, laid over `below`: what they do not know goes there.
///
/// A name that has only the other kind of address is answered with NODATA, so that a hosts entry
/// hides the name altogether. Other types are the business of `below`.
pub struct Hosts {
    data: Arc<ArcSwap<HostsData>>,
    below: Option<Arc<dyn Source>>,
}

impl Hosts {
    /// Lays `data` over `below`. Whoever holds `data` may put newer data in.
    pub fn new(data: Arc<ArcSwap<HostsData>>, below: Option<Arc<dyn Source>>) -> Self {
        Self { data, below }
    }
}

impl Source for Hosts {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.data.load().answer(&ask.question).or_else(|| match &self.below {
            Some(below) => below.answer_now(ask),
            None => Some(refuse_unknown(ask)),
        })
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        match (self.data.load().answer(&ask.question), &self.below) {
            (Some(answer), _) => Box::pin(std::future::ready(Ok(answer))),
            (None, Some(below)) => below.answer(ask),
            (None, None) => Box::pin(std::future::ready(Ok(refuse_unknown(ask)))),
        }
    }
}

fn refuse_unknown(ask: &Ask) -> Answer {
    let text = "no hosts file knows the name, and there is no upstream to ask";
    Answer::failure(ask.question.clone(), Rcode::REFUSED, Some(Ede::new(Ede::NOT_AUTHORITATIVE, text)))
}

fn host_name(word: &str) -> Result<Name, String> {
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    match word.bytes().all(is_host) {
        true => word.parse().map_err(|error| format!("{word:?} is not a host name: {error}")),
        false => Err(format!("{word:?} is not a host name: only letters, digits, '-', '_' and dots")),
    }
}

fn address_data(address: IpAddr) -> (RecordType, Rdata) {
    match address {
        IpAddr::V4(address) => (RecordType::A, Rdata::opaque(address.octets().to_vec())),
        IpAddr::V6(address) => (RecordType::AAAA, Rdata::opaque(address.octets().to_vec())),
    }
}

/// The address whose reverse name this is (RFC 1035 3.5, RFC 3596 2.5).
fn reverse_address(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let ends_in = |zone: &[u8]| {
        let [.., first, second] = labels.as_slice() else { return false };
        first.eq_ignore_ascii_case(zone) && second.eq_ignore_ascii_case(b"arpa")
    };
    let digits = labels.get(..labels.len().checked_sub(2)?)?.iter().rev();
    if ends_in(b"in-addr") && digits.len() == 4 {
        let text = digits.map(|label| std::str::from_utf8(label).ok()).collect::<Option<Vec<_>>>()?.join(".");
        return text.parse().ok().map(IpAddr::V4);
    }
    if ends_in(b"ip6") && digits.len() == 32 {
        let mut value: u128 = 0;
        for label in digits {
            let [digit] = label else { return None };
            value = value << 4 | u128::from(char::from(*digit).to_digit(16)?);
        }
        return Some(IpAddr::V6(value.into()));
    }
    None
}
