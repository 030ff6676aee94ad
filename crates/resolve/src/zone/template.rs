//! Answers made from the name asked for: anchored patterns whose captures fill the record's data.
//!
//! Patterns run in linear time (no back-references, no look-around) and are bounded in length,
//! nesting and compiled size. What is captured is inserted after the answer has been cut into
//! fields, so a name can never add a field, a string or a record.

use regex::bytes::{Captures, Regex, RegexBuilder};
use strait_wire::{Answer, Class, Name, Rdata, Record, RecordType};

use super::text::{self, Token};
use super::{MAX_TTL, ZoneError, rdata};

/// The longest pattern, in octets.
const MAX_PATTERN: usize = 1024;
/// The deepest nesting in a pattern.
const MAX_NESTING: u32 = 32;
/// The most memory one compiled pattern may take, and its run-time cache, in octets.
const MAX_COMPILED: usize = 1 << 20;
/// The most templates of a zone; each may be tried for a question.
const MAX_TEMPLATES: usize = 256;
/// The types that templates can make.
const TYPES: [RecordType; 6] =
    [RecordType::A, RecordType::AAAA, RecordType::CNAME, RecordType::TXT, RecordType::SRV, RecordType::PTR];

/// What the templates say about a name.
pub(super) enum Expansion {
    /// Nothing: no template makes a record for it.
    None,
    /// The record of the type asked for, or an alias.
    Record(Record),
    /// There are records, of other types.
    OtherType,
}

/// A zone's templates, in order.
pub(super) struct Templates {
    apex: Name,
    templates: Vec<Template>,
}

impl Templates {
    pub(super) fn new(apex: Name) -> Self {
        Self { apex, templates: Vec::new() }
    }

    /// Adds a template; the column of an error is within the pattern or the answer.
    pub(super) fn add(&mut self, pattern: &str, rtype: RecordType, ttl: u32, answer: &str) -> Result<(), ZoneError> {
        if self.templates.len() >= MAX_TEMPLATES {
            return Err(ZoneError::value(1, format!("more than {MAX_TEMPLATES} templates in one zone")));
        }
        let template = Template::new(pattern, rtype, ttl, answer, &self.apex)?;
        self.templates.push(template);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Template> {
        self.templates.iter()
    }

    /// For each template the record that it makes for every name, owned by the apex; none where there are placeholders.
    pub(super) fn literals(&self) -> impl Iterator<Item = Option<Record>> {
        self.templates.iter().map(|template| {
            let (name, rtype, ttl) = (self.apex.clone(), template.rtype, template.ttl);
            let rdata = template.literal(&self.apex)?.ok()?;
            Some(Record { name, rtype, class: Class::IN, ttl, rdata })
        })
    }

    /// Keeps the answers made of these, in the same order.
    pub(super) fn keep_for_literals(&mut self, answers: Vec<Option<Answer>>) {
        for (template, answer) in self.templates.iter_mut().zip(answers) {
            template.ready = answer.map(Box::new);
        }
    }

    /// The record for a name within the zone; for every type the first template that matches counts.
    pub(super) fn expand(&self, name: &Name, rtype: RecordType) -> Expansion {
        if self.templates.is_empty() || *name == self.apex {
            return Expansion::None;
        }
        let relative = relative_text(name, &self.apex);
        let mut tried: Vec<RecordType> = Vec::new();
        let (mut alias, mut other) = (None, false);
        for template in &self.templates {
            if tried.contains(&template.rtype) {
                continue;
            }
            let Some(captures) = template.pattern.captures(relative.as_bytes()) else { continue };
            tried.push(template.rtype);
            let Some(record) = template.expand(name, &captures, &self.apex) else { continue };
            match template.rtype {
                made if made == rtype || rtype == RecordType::ANY => return Expansion::Record(record),
                RecordType::CNAME => alias = Some(record),
                _ => other = true,
            }
        }
        match (alias, other) {
            (Some(record), _) => Expansion::Record(record),
            (None, true) => Expansion::OtherType,
            (None, false) => Expansion::None,
        }
    }
}

pub(super) struct Template {
    pub(super) pattern: Regex,
    pub(super) rtype: RecordType,
    ttl: u32,
    fields: Vec<Field>,
    /// The answer for every name that matches, when it has no placeholders.
    pub(super) ready: Option<Box<Answer>>,
}

/// A field of the answer: what a token of it expands to.
struct Field {
    token: Token,
    pieces: Vec<Piece>,
}

enum Piece {
    Literal(String),
    Capture(usize),
}

impl Template {
    fn new(pattern: &str, rtype: RecordType, ttl: u32, answer: &str, apex: &Name) -> Result<Self, ZoneError> {
        if !TYPES.contains(&rtype) {
            let message = format!("a template cannot make {rtype} records, only A, AAAA, CNAME, TXT, SRV and PTR");
            return Err(ZoneError::value(1, message));
        }
        if ttl > MAX_TTL {
            return Err(ZoneError::value(1, format!("TTL {ttl} is over {MAX_TTL} seconds (RFC 2181 8)")));
        }
        let pattern = compile(pattern)?;
        let fields = fields(answer, &pattern)?;
        let template = Self { pattern, rtype, ttl, fields, ready: None };
        // An answer without placeholders can be checked now.
        template.literal(apex).transpose()?;
        Ok(template)
    }

    /// The data, when it has no placeholders.
    fn literal(&self, apex: &Name) -> Option<Result<Rdata, ZoneError>> {
        let is_literal = |field: &Field| field.pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)));
        let parse = || {
            let tokens: Vec<Token> = self.fields.iter().map(|field| field.token.clone()).collect();
            rdata::parse(self.rtype, &tokens, apex)
        };
        self.fields.iter().all(is_literal).then(parse)
    }

    /// The record; none when the captures make no legal data.
    fn expand(&self, name: &Name, captures: &Captures<'_>, apex: &Name) -> Option<Record> {
        let tokens = self.fields.iter().map(|field| self.fill(field, captures)).collect::<Option<Vec<_>>>()?;
        let rdata = rdata::parse(self.rtype, &tokens, apex);
        if let Err(error) = &rdata {
            tracing::debug!(%name, rtype = %self.rtype, %error, "template makes no legal record for this name");
        }
        Some(Record { name: name.clone(), rtype: self.rtype, class: Class::IN, ttl: self.ttl, rdata: rdata.ok()? })
    }

    fn fill(&self, field: &Field, captures: &Captures<'_>) -> Option<Token> {
        let mut text = String::new();
        for piece in &field.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Capture(group) => {
                    let octets = captures.get(*group).map_or(&b""[..], |capture| capture.as_bytes());
                    let captured = std::str::from_utf8(octets).ok()?;
                    match self.rtype {
                        // Text may hold anything, as itself.
                        RecordType::TXT => text.push_str(&captured.replace('\\', "\\\\").replace('"', "\\\"")),
                        _ if captured.bytes().all(is_host_octet) => text.push_str(captured),
                        _ => return None,
                    }
                }
            }
        }
        Some(Token { text, ..field.token.clone() })
    }
}

/// What may go from one name into another, or into an address: letters, digits, `-`, `_` and the dots between labels.
fn is_host_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-_.".contains(&octet)
}

/// The name as patterns see it: lower case, below the apex, without final dot, odd octets escaped.
fn relative_text(name: &Name, apex: &Name) -> String {
    let labels = name.label_count() - apex.label_count();
    match Name::from_labels(name.labels().take(labels)) {
        Ok(relative) => relative.to_lowercase().to_string().trim_end_matches('.').to_owned(),
        Err(_) => String::new(),
    }
}

/// A pattern that must match the whole name.
fn compile(pattern: &str) -> Result<Regex, ZoneError> {
    let length = pattern.len();
    if length > MAX_PATTERN {
        let message =
            format!("the pattern has {length} octets, at most {MAX_PATTERN} are allowed: make several templates of it");
        return Err(ZoneError::value(1, message));
    }
    let build = |text: &str| {
        RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(true)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .nest_limit(MAX_NESTING)
            .build()
    };
    // By itself first: what is whole by itself cannot break out of the group around it.
    build(pattern)
        .and_then(|_| build(&format!(r"\A(?:{pattern})\z")))
        .map_err(|error| ZoneError::value(column(&error), format!("the pattern is refused: {}", last_line(&error))))
}

/// The cause in one line; regex draws a picture above it.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// The column in the pattern, which the picture has under the pattern, four to the right; 1 without a picture.
fn column(error: &regex::Error) -> usize {
    let text = error.to_string();
    let is_marker = |line: &&str| line.contains('^') && line.chars().all(|character| matches!(character, ' ' | '^'));
    let marker = text.lines().skip(2).find(is_marker).and_then(|line| line.find('^'));
    marker.and_then(|at| at.checked_sub(3)).unwrap_or(1)
}

/// Cuts the answer into fields, and the fields at their `{{ placeholders }}`.
fn fields(answer: &str, pattern: &Regex) -> Result<Vec<Field>, ZoneError> {
    // Blanks within braces would cut the field: `{{ n }}` is read as `{{n}}`, padded to keep the columns true.
    let mut fields = Vec::new();
    for token in join_placeholders(text::tokens(answer)?) {
        let mut pieces = Vec::new();
        let mut rest = token.text.as_str();
        while let Some((literal, after)) = rest.split_once("{{") {
            let at = token.column
                + token.text[..token.text.len() - after.len() - 2].chars().count()
                + usize::from(token.quoted);
            let (inside, behind) = after.split_once("}}").ok_or_else(|| {
                ZoneError::value(at, "'{{' without '}}' after it: a placeholder is written {{ name }}")
            })?;
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(Piece::Capture(group(inside.trim(), pattern).map_err(|why| ZoneError::value(at, why))?));
            rest = behind;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        fields.push(Field { token, pieces });
    }
    match fields.is_empty() {
        true => Err(ZoneError::value(1, "the answer is empty")),
        false => Ok(fields),
    }
}

/// Puts words back together that only blanks within `{{ }}` have parted.
fn join_placeholders(tokens: Vec<Token>) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match joined.last_mut() {
            Some(last) if !last.quoted && !token.quoted && is_open(&last.text) => {
                let gap = token.column.saturating_sub(last.column + last.text.chars().count());
                last.text.extend(std::iter::repeat_n(' ', gap));
                last.text.push_str(&token.text);
            }
            _ => joined.push(token),
        }
    }
    joined
}

fn is_open(text: &str) -> bool {
    text.rfind("{{").is_some_and(|open| !text[open..].contains("}}"))
}

/// The number of the group that a placeholder names.
fn group(name: &str, pattern: &Regex) -> Result<usize, String> {
    let known: Vec<String> = pattern
        .capture_names()
        .enumerate()
        .skip(1)
        .map(|(number, name)| name.map_or_else(|| number.to_string(), str::to_owned))
        .collect();
    let by_number = name.parse::<usize>().ok().filter(|number| *number < pattern.captures_len());
    by_number.or_else(|| pattern.capture_names().position(|known| known == Some(name))).ok_or_else(|| {
        let known = if known.is_empty() { "none; write (?<name>...) in it".to_owned() } else { known.join(", ") };
        format!("the pattern has no group {name:?}; it has: {known}")
    })
}
