//! Zone files (RFC 1035 5): `$ORIGIN`, `$TTL`, `$INCLUDE`, and one record per entry.
//!
//! The entries come from [`text`](super::text), so that an error can say file, line and column, and
//! their data goes the way of every other record.

use std::fs;
use std::path::{Path, PathBuf};

use strait_wire::{Name, RecordType};

use super::data::check_type;
use super::rdata::{name, seconds};
use super::text::{Entries, Entry, Token};
use super::{MAX_FILE_LEN, MAX_TTL, ZoneBuilder, ZoneError, rdata};

/// How deep `$INCLUDE` may nest; also what ends a file that includes itself.
const MAX_INCLUDE_DEPTH: usize = 8;

/// Adds the records of the file at `path`.
pub(super) fn read(builder: &mut ZoneBuilder, path: &Path) -> Result<(), ZoneError> {
    let origin = builder.apex().clone();
    read_at(builder, path, Start { origin, default_ttl: None }, 0)
}

/// Adds the records of a text in the form of a zone file, which lies in no folder and so cannot include others.
pub(super) fn read_alone(builder: &mut ZoneBuilder, text: &str) -> Result<(), ZoneError> {
    let origin = builder.apex().clone();
    read_entries(builder, text, None, Start { origin, default_ttl: None }, 0)
}

/// What holds at the first line of a file; what the file sets ends with it.
struct Start {
    origin: Name,
    default_ttl: Option<u32>,
}

fn read_at(builder: &mut ZoneBuilder, path: &Path, start: Start, depth: usize) -> Result<(), ZoneError> {
    let in_file = |error: ZoneError| error.in_file(path);
    let text = read_text(path).map_err(in_file)?;
    read_entries(builder, &text, Some(path), start, depth).map_err(in_file)
}

fn read_entries(
    builder: &mut ZoneBuilder,
    text: &str,
    path: Option<&Path>,
    start: Start,
    depth: usize,
) -> Result<(), ZoneError> {
    let Start { origin, default_ttl } = start;
    let mut reader = Reader { builder, path, origin, depth, default_ttl, last_ttl: None, last_owner: None };
    Entries::new(text).try_for_each(|entry| reader.entry(&entry?))
}

/// The text of a file, which must be UTF-8 and not too large.
pub(super) fn read_text(path: &Path) -> Result<String, ZoneError> {
    let unreadable = |error: std::io::Error| ZoneError::whole(format!("cannot be read: {error}"));
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_FILE_LEN {
        return Err(ZoneError::whole(format!("has {length} octets, at most {MAX_FILE_LEN} are read")));
    }
    String::from_utf8(fs::read(path).map_err(unreadable)?).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ZoneError::at(line, column, "not UTF-8 text: write octets over 127 as \\DDD (RFC 1035 5.1)")
    })
}

/// What carries over from entry to entry.
struct Reader<'a> {
    builder: &'a mut ZoneBuilder,
    /// Where the text is; none when it is in no file.
    path: Option<&'a Path>,
    origin: Name,
    depth: usize,
    /// From `$TTL` (RFC 2308 4).
    default_ttl: Option<u32>,
    /// Of the last record that stated one (RFC 1035 5.1).
    last_ttl: Option<u32>,
    last_owner: Option<Name>,
}

impl Reader<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), ZoneError> {
        let Some((first, rest)) = entry.tokens.split_first() else { return Ok(()) };
        let is_directive = !entry.continues_owner && !first.quoted && first.text.starts_with('$');
        match is_directive {
            true => self.directive(first, rest),
            false if entry.continues_owner => self.record(None, &entry.tokens),
            false => self.record(Some(first), rest),
        }
    }

    fn directive(&mut self, word: &Token, arguments: &[Token]) -> Result<(), ZoneError> {
        let upper = word.text.to_ascii_uppercase();
        match (upper.as_str(), arguments) {
            ("$ORIGIN", [origin]) => self.origin = name(origin, &self.origin)?,
            ("$TTL", [ttl]) => self.default_ttl = Some(ttl_of(ttl)?),
            ("$INCLUDE", [file]) => self.include(word, file, self.origin.clone())?,
            ("$INCLUDE", [file, origin]) => self.include(word, file, name(origin, &self.origin)?)?,
            ("$ORIGIN", _) => return Err(word.error("$ORIGIN takes one name")),
            ("$TTL", _) => return Err(word.error("$TTL takes one number of seconds")),
            ("$INCLUDE", _) => return Err(word.error("$INCLUDE takes a file and, if need be, an origin")),
            ("$GENERATE", _) => {
                return Err(word.error("$GENERATE is not read: write the records out, or use a template"));
            }
            _ => {
                return Err(
                    word.error(format!("unknown directive {:?}: $ORIGIN, $TTL and $INCLUDE are read", word.text))
                );
            }
        }
        Ok(())
    }

    /// Reads another file in place: the default TTL holds there as well (RFC 2308 4), while this file's origin, owner
    /// and TTLs stay as they are (RFC 1035 5.1).
    fn include(&mut self, word: &Token, file: &Token, origin: Name) -> Result<(), ZoneError> {
        let Some(own) = self.path else {
            return Err(word.error("$INCLUDE is not read here: write the records of that file in its place"));
        };
        if self.depth >= MAX_INCLUDE_DEPTH {
            return Err(
                word.error(format!("$INCLUDE nests more than {MAX_INCLUDE_DEPTH} deep; does a file include itself?"))
            );
        }
        let folder = own.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let path = folder.join(&file.text);
        let start = Start { origin, default_ttl: self.default_ttl };
        read_at(self.builder, &path, start, self.depth + 1).map_err(|error| match error.line {
            // Not about a place in that file: about this line.
            None => file.error(format!("{}: {}", path.display(), error.message)),
            Some(_) => error,
        })
    }

    fn record(&mut self, owner: Option<&Token>, fields: &[Token]) -> Result<(), ZoneError> {
        let place = owner.or(fields.first());
        let owner = match owner {
            Some(token) => name(token, &self.origin)?,
            None => self.last_owner.clone().ok_or_else(|| {
                fields[0]
                    .error("the first record has no owner: begin the line with a name or @, without blanks before it")
            })?,
        };
        self.last_owner = Some(owner.clone());
        let (ttl, rtype, data) = self.head(place, fields)?;
        let rdata = rdata::parse(rtype, data, &self.origin).map_err(|error| match (error.line, fields.last()) {
            // Nothing at all where the data should be: point behind the type.
            (None, Some(last)) => ZoneError::at(last.line, last.column + last.text.chars().count(), error.message),
            _ => error,
        })?;
        let ttl = ttl.or(self.default_ttl).or(self.last_ttl);
        self.builder.insert(owner, rtype, ttl, rdata).map_err(|why| match place {
            Some(token) => token.error(why),
            None => ZoneError::whole(why),
        })
    }

    /// `[TTL] [class] type`, TTL and class in any order, and the data behind them.
    fn head<'t>(
        &mut self,
        place: Option<&Token>,
        fields: &'t [Token],
    ) -> Result<(Option<u32>, RecordType, &'t [Token]), ZoneError> {
        let (mut ttl, mut class) = (None, None);
        for (at, token) in fields.iter().enumerate() {
            if ttl.is_none() && token.text.starts_with(|c: char| c.is_ascii_digit()) {
                ttl = Some(ttl_of(token)?);
                self.last_ttl = ttl;
            } else if class.is_none() && token.is_word("IN") {
                class = Some(());
            } else if ["CH", "CS", "HS"].iter().any(|other| token.is_word(other)) {
                return Err(token.error(format!("class {} is not served, only IN", token.text)));
            } else {
                return Ok((ttl, record_type(token)?, &fields[at + 1..]));
            }
        }
        let end = fields.last().or(place);
        Err(end.map_or_else(
            || ZoneError::whole("a record without a type"),
            |token| token.error("a record needs a type and data after this"),
        ))
    }
}

fn ttl_of(token: &Token) -> Result<u32, ZoneError> {
    seconds(&token.text).ok_or_else(|| {
        token.error(format!("{:?} is not a TTL: seconds from 0 to {MAX_TTL} (RFC 2181 8), or 1h30m", token.text))
    })
}

fn record_type(token: &Token) -> Result<RecordType, ZoneError> {
    let unknown = || {
        let text = &token.text;
        format!("unknown record type {text:?}: of types without a name write TYPE and the number (RFC 3597 5)")
    };
    let rtype = super::record_type(&token.text).ok_or_else(|| token.error(unknown()))?;
    check_type(rtype).map_err(|why| token.error(why))?;
    Ok(rtype)
}
