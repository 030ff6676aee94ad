//! Domain names in uncompressed wire form.
//!
//! A [`Name`] keeps the case it was given; comparison, order and hash ignore ASCII case (RFC 4343).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// An absolute domain name: at most 255 octets, labels of at most 63 (RFC 1035 2.3.4).
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// Why some text or some bytes are not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label has no octets although it is not the root.
    #[error("empty label (two dots in a row, or a dot at the start)")]
    EmptyLabel,
    /// A label has more than 63 octets.
    #[error("a label is longer than 63 octets (RFC 1035 2.3.4)")]
    LabelTooLong,
    /// The whole name has more than 255 octets.
    #[error("the name is longer than 255 octets (RFC 1035 2.3.4)")]
    NameTooLong,
    /// A backslash is not followed by a character or three decimal digits up to 255.
    #[error("bad escape: write \\. for a dot in a label, or \\DDD with 000 to 255 (RFC 1035 5.1)")]
    BadEscape,
    /// The bytes end inside the name, or go on after it.
    #[error("the bytes are not one whole name")]
    Malformed,
}

impl Name {
    /// The longest name in wire form, in octets.
    pub const MAX_LEN: usize = 255;
    /// The longest label, in octets.
    pub const MAX_LABEL: usize = 63;
    /// The most labels without the root: each takes two octets at least.
    const MAX_LABELS: usize = Self::MAX_LEN / 2;

    /// The root name.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// The name that `bytes` hold in uncompressed wire form, and nothing else.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, NameError> {
        match wire_len(bytes)? {
            len if len == bytes.len() => Ok(Self(bytes.into())),
            _ => Err(NameError::Malformed),
        }
    }

    /// The same, in lower case.
    pub(crate) fn from_wire_lower(bytes: &[u8]) -> Result<Self, NameError> {
        let mut name = Self::from_wire(bytes)?;
        // Length octets are at most 63 and so never ASCII letters.
        name.0.make_ascii_lowercase();
        Ok(name)
    }

    /// The name made of `labels`, leftmost first.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.push(0);
        match wire.len() {
            len if len > Self::MAX_LEN => Err(NameError::NameTooLong),
            _ => Ok(Self(wire.into())),
        }
    }

    /// The uncompressed wire form, with the root's zero octet.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether the leftmost label is `*` (RFC 4592 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// The labels, leftmost first, without the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }

    /// The labels, rightmost first, without the root.
    fn labels_reversed(&self) -> impl Iterator<Item = &[u8]> {
        let mut starts = [0; Self::MAX_LABELS];
        let (mut count, mut at) = (0, 0);
        while self.0[at] != 0 {
            starts[count] = at;
            (count, at) = (count + 1, at + 1 + usize::from(self.0[at]));
        }
        (0..count).rev().map(move |i| &self.0[starts[i] + 1..starts[i] + 1 + usize::from(self.0[starts[i]])])
    }

    /// The number of labels without the root.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(self.0[1 + usize::from(self.0[0])..].into()))
    }

    /// The same name in lower case.
    pub fn to_lowercase(&self) -> Self {
        // Length octets are at most 63 and so never ASCII letters.
        Self(self.0.to_ascii_lowercase().into())
    }

    /// Whether this name is `suffix` or below it.
    pub fn is_within(&self, suffix: &Self) -> bool {
        self.prefix_len(suffix).is_some()
    }

    /// This name with `from` at its end replaced by `to`; none when it does not end in `from`.
    ///
    /// The labels before the suffix keep their octets and their case.
    pub fn replace_suffix(&self, from: &Self, to: &Self) -> Option<Result<Self, NameError>> {
        let prefix = &self.0[..self.prefix_len(from)?];
        if prefix.len() + to.0.len() > Self::MAX_LEN {
            return Some(Err(NameError::NameTooLong));
        }
        Some(Ok(Self([prefix, &to.0].concat().into())))
    }

    /// This name below `parent`, with `label` in front.
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        Self::from_labels(std::iter::once(label).chain(self.labels()))
    }

    /// The wildcard directly below this name: `*.` and this name.
    pub fn wildcard(&self) -> Result<Self, NameError> {
        self.child(b"*")
    }

    /// The octets before `suffix`, when this name ends in it at a label boundary.
    fn prefix_len(&self, suffix: &Self) -> Option<usize> {
        let prefix = self.0.len().checked_sub(suffix.0.len())?;
        let mut at = 0;
        while at < prefix {
            at += 1 + usize::from(self.0[at]);
        }
        (at == prefix && self.0[prefix..].eq_ignore_ascii_case(&suffix.0)).then_some(prefix)
    }
}

/// The length of the uncompressed name at the start of `bytes`.
fn wire_len(bytes: &[u8]) -> Result<usize, NameError> {
    let mut at = 0;
    loop {
        let len = usize::from(*bytes.get(at).ok_or(NameError::Malformed)?);
        if len > Name::MAX_LABEL {
            return Err(NameError::LabelTooLong);
        }
        at += 1 + len;
        if at > Name::MAX_LEN {
            return Err(NameError::NameTooLong);
        }
        if len == 0 {
            return Ok(at);
        }
    }
}

fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError::EmptyLabel),
        len @ 1..=Name::MAX_LABEL => {
            wire.push(len as u8);
            wire.extend_from_slice(label);
            Ok(())
        }
        _ => Err(NameError::LabelTooLong),
    }
}

/// The labels of a name, leftmost first.
#[derive(Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        if len == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(len));
        self.0 = rest;
        Some(label)
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads presentation format (RFC 1035 5.1), with or without the final dot: always absolute.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::with_capacity(Self::MAX_LABEL);
        let mut octets = text.bytes();
        let mut after_dot = true;
        while let Some(octet) = octets.next() {
            after_dot = octet == b'.';
            match octet {
                b'.' => {
                    push_label(&mut wire, &label)?;
                    label.clear();
                }
                b'\\' => label.push(unescape(&mut octets)?),
                _ => label.push(octet),
            }
        }
        if !after_dot {
            push_label(&mut wire, &label)?;
        } else if wire.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        wire.push(0);
        match wire.len() {
            len if len > Self::MAX_LEN => Err(NameError::NameTooLong),
            _ => Ok(Self(wire.into())),
        }
    }
}

/// The octet that the escape means whose backslash has just been read.
fn unescape(octets: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = octets.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = octets.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadEscape)
}

impl fmt::Display for Name {
    /// Presentation format with the final dot; what is not printable is escaped (RFC 1035 5.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => write!(f, "\\{}", char::from(octet))?,
                    0x21..=0x7e => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lower = [0; Self::MAX_LEN];
        let lower = &mut lower[..self.0.len()];
        lower.copy_from_slice(&self.0);
        lower.make_ascii_lowercase();
        // The root's octet ends the name, so no name is the beginning of another.
        state.write(lower);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    /// Canonical DNS name order: by labels from the right (RFC 4034 6.1).
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut ours, mut theirs) = (self.labels_reversed(), other.labels_reversed());
        loop {
            let order = match (ours.next(), theirs.next()) {
                (Some(a), Some(b)) => a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase)),
                (a, b) => return a.is_some().cmp(&b.is_some()),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
    }
}

#[cfg(test)]
mod tests;
