//! YAML text as a tree in which every key and value knows where it stands.
//!
//! The only module that meets serde. A tree rather than derived structs, so that one run reports every unknown key and
//! every bad value, not the first one; and scalars keep the text that was written (`off` is not `false`, `1.10` not `1.1`).

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    DuplicateKeyPolicy, Error, Location, MergeKeyPolicy, MessageFormatter, NonFiniteFloatPolicy, Spanned,
};

use crate::diagnostic::offset_of;

/// Octets of a configuration file at most.
pub(crate) const MAX_LEN: usize = 4 << 20;
/// Nesting at most; a configuration needs six.
const MAX_DEPTH: usize = 16;
/// Keys, values and containers at most: a text of [`MAX_LEN`] with short values.
const MAX_NODES: usize = 500_000;

/// A place in the text, in octets.
pub(crate) type Span = Range<usize>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Span,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// Text as it was written, without quotes.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping; keys may occur twice.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Span,
}

/// Why text is not YAML.
pub(crate) struct SyntaxError {
    pub(crate) at: Span,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Reads one YAML document.
pub(crate) fn read(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_documents: 2 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        emit_comments: false,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options)
        .map(|root| root.value.place(root.defined, text))
        .map_err(|error| syntax_error(&error, text))
}

fn syntax_error(error: &Error, text: &str) -> SyntaxError {
    let location = error.location();
    let at = location.map_or(0, |at| offset_of(text, at.line() as usize, at.column() as usize));
    let help = match error.without_snippet() {
        Error::MergeKeyNotAllowed { .. } => "merge keys are not supported; write the keys out".to_owned(),
        Error::UnsupportedTag { .. } => "values are plain; remove the tag (the word after `!`)".to_owned(),
        Error::UnknownAnchor { .. } => {
            "an alias (*name) needs an anchor (&name) above it; a value that begins with * goes in quotes: \"*.apps\""
                .to_owned()
        }
        Error::MultipleDocuments { .. } => "a configuration is one YAML document; remove the second `---`".to_owned(),
        Error::Budget { .. } => {
            format!("a configuration is at most {MAX_DEPTH} levels deep and has at most {MAX_NODES} values")
        }
        _ if text[..at].rsplit('\n').next().is_some_and(|line| line.contains('\t')) || text[at..].starts_with('\t') => {
            "YAML is indented with spaces, never with tabs".to_owned()
        }
        _ => "check indentation, colons, quotes and brackets here and in the line above".to_owned(),
    };
    let message = match error.without_snippet() {
        Error::Budget { .. } => "the file is nested too deeply, or has too many values".to_owned(),
        error => serde_saphyr::UserMessageFormatter.format_message(error).into_owned(),
    };
    SyntaxError { at: at..at + 1, message, help }
}

/// A value without its place.
enum Tree {
    Null,
    /// A scalar that YAML takes for a boolean or a number; its text is in the source.
    Inferred,
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl Tree {
    fn place(self, location: Location, text: &str) -> Node {
        let at = span(location, text);
        let value = match self {
            Self::Null => Value::Null,
            Self::Inferred => Value::Scalar(text[at.clone()].trim().to_owned()),
            Self::Text(text) => Value::Scalar(text),
            Self::List(items) => {
                Value::List(items.into_iter().map(|item| item.value.place(item.defined, text)).collect())
            }
            Self::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| {
                        (Key { at: span(key.defined, text), text: key.value }, node.value.place(node.defined, text))
                    })
                    .collect(),
            ),
        };
        Node { value, at }
    }
}

/// The octets of a location, without the white space a plain scalar may end in.
fn span(location: Location, text: &str) -> Span {
    let start = match location.span().byte_offset() {
        Some(offset) => (offset as usize).min(text.len()),
        None => offset_of(text, location.line() as usize, location.column() as usize),
    };
    let len = location.span().byte_len().unwrap_or(0) as usize;
    let end = start.saturating_add(len).min(text.len());
    match text.get(start..end) {
        Some(slice) => start..start + slice.trim_end().len(),
        None => start..start,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Inferred)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Inferred)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Tree, E> {
        Ok(Tree::Inferred)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Inferred)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Tree, E> {
        Ok(Tree::Inferred)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Inferred)
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Tree, E> {
        Err(E::custom("binary values are not supported"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}
