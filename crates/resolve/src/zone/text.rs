//! Presentation format cut into entries and tokens (RFC 1035 5.1), every one with its place.
//!
//! Knows quotes, parentheses, comments and escapes, and nothing about what the tokens mean.

use std::iter::Peekable;
use std::str::Chars;

use super::ZoneError;

/// A word, or a quoted string; escapes are left in `text`, quotes are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Token {
    /// The error that something is wrong with this token.
    pub(super) fn error(&self, message: impl Into<String>) -> ZoneError {
        ZoneError::at(self.line, self.column, message)
    }

    /// Whether this is that word, and not a string of the same letters.
    pub(super) fn is_word(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }
}

/// One logical line: a directive or a record, over as many lines as its parentheses span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Never empty.
    pub(super) tokens: Vec<Token>,
    /// Whether the line began with white space: the record has the owner of the one before.
    pub(super) continues_owner: bool,
}

/// The entries of a text, in order; ends after the first error.
pub(super) struct Entries<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable(), line: 1, column: 1 }
    }

    fn advance(&mut self) -> Option<char> {
        let char = self.chars.next()?;
        (self.line, self.column) = match char {
            '\n' => (self.line + 1, 1),
            _ => (self.line, self.column + 1),
        };
        Some(char)
    }

    fn error(&self, message: impl Into<String>) -> ZoneError {
        ZoneError::at(self.line, self.column, message)
    }

    /// Reads one entry; none at the end, or for a line without tokens an entry without them.
    fn entry(&mut self) -> Result<Option<Entry>, ZoneError> {
        let Some(&first) = self.chars.peek() else { return Ok(None) };
        let mut entry = Entry { tokens: Vec::new(), continues_owner: matches!(first, ' ' | '\t') };
        // Where the parenthesis was opened; they do not nest (RFC 1035 5.1 gives them no meaning but to join lines).
        let mut group: Option<ZoneError> = None;
        while let Some(&char) = self.chars.peek() {
            match char {
                '\n' if group.is_none() => {
                    self.advance();
                    return Ok(Some(entry));
                }
                ' ' | '\t' | '\r' | '\n' => {
                    self.advance();
                }
                ';' => {
                    while self.chars.peek().is_some_and(|c| *c != '\n') {
                        self.advance();
                    }
                }
                '(' => match group {
                    Some(_) => return Err(self.error("a parenthesis within parentheses: close the first one before")),
                    None => {
                        group = Some(self.error("this parenthesis is never closed: add ')' after the record's data"));
                        self.advance();
                    }
                },
                ')' => match group.take() {
                    None => return Err(self.error("')' without '(' before it: remove it, or write it as \\)")),
                    Some(_) => {
                        self.advance();
                    }
                },
                '"' => entry.tokens.push(self.quoted()?),
                _ => entry.tokens.push(self.word()?),
            }
        }
        match group {
            Some(unclosed) => Err(unclosed),
            None => Ok(Some(entry)),
        }
    }

    fn quoted(&mut self) -> Result<Token, ZoneError> {
        let unclosed = self.error("this quoted string is not closed on its line: add '\"' at its end");
        let (line, column) = (self.line, self.column);
        self.advance();
        let mut text = String::new();
        loop {
            match self.advance() {
                Some('"') => return Ok(Token { text, quoted: true, line, column }),
                None | Some('\n') => return Err(unclosed),
                Some('\\') => self.escape(&mut text)?,
                Some(char) => text.push(char),
            }
        }
    }

    fn word(&mut self) -> Result<Token, ZoneError> {
        let (line, column) = (self.line, self.column);
        let mut text = String::new();
        while let Some(&char) = self.chars.peek() {
            match char {
                ' ' | '\t' | '\r' | '\n' | ';' | '(' | ')' | '"' => break,
                char if char.is_control() => {
                    return Err(self.error(format!("control character {char:?}: write it as \\DDD (RFC 1035 5.1)")));
                }
                '\\' => {
                    self.advance();
                    self.escape(&mut text)?;
                }
                char => {
                    self.advance();
                    text.push(char);
                }
            }
        }
        Ok(Token { text, quoted: false, line, column })
    }

    /// Keeps the escape whose backslash has been read, so that what it hides ends nothing.
    fn escape(&mut self, text: &mut String) -> Result<(), ZoneError> {
        match self.chars.peek() {
            None | Some('\n' | '\r') => {
                Err(self.error("a backslash at the end of the line escapes nothing: remove it"))
            }
            Some(&char) => {
                self.advance();
                text.extend(['\\', char]);
                Ok(())
            }
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, ZoneError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.entry() {
                Ok(Some(entry)) if entry.tokens.is_empty() => {}
                Ok(entry) => return entry.map(Ok),
                Err(error) => {
                    // Nothing sensible can be said about what follows.
                    self.chars = "".chars().peekable();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The tokens of a value: text that is the data of one record.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ZoneError> {
    let mut tokens = Vec::new();
    for entry in Entries::new(text) {
        tokens.extend(entry?.tokens);
    }
    Ok(tokens)
}

/// The octets that presentation text stands for: `\X` is X, `\DDD` the octet of that number (RFC 1035 5.1).
pub(super) fn unescape(token: &Token) -> Result<Vec<u8>, ZoneError> {
    let mut octets = Vec::with_capacity(token.text.len());
    let mut rest = token.text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        let bad = || token.error("bad escape: write \\DDD with three digits from 000 to 255, or \\ and a character");
        let first = rest.next().ok_or_else(bad)?;
        if !first.is_ascii_digit() {
            octets.push(first);
            continue;
        }
        let mut value = u16::from(first - b'0');
        for _ in 0..2 {
            let digit = rest.next().filter(u8::is_ascii_digit).ok_or_else(bad)?;
            value = value * 10 + u16::from(digit - b'0');
        }
        octets.push(u8::try_from(value).map_err(|_| bad())?);
    }
    Ok(octets)
}
