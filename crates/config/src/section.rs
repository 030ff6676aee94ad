//! A mapping of the configuration while its keys are read.
//!
//! Each key is asked for once, with its reader and its default; what was asked for is the schema. [`Section::close`] then
//! reports every key nobody asked for, and returns the mapping as it is in force, for `--print-config`.

use std::path::PathBuf;

use crate::context::Context;
use crate::document::{self, Key, Node, Span, Value};
use crate::effective::Effective;
use crate::spelling::nearest;
use crate::units::Show;

/// Why the text of a value is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: String,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) at: Span,
}

impl<T> Located<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), at: self.at }
    }
}

/// A mapping while its keys are read.
pub(crate) struct Section<'a> {
    pub(crate) cx: &'a Context,
    /// Where it is: its key, or its first key.
    pub(crate) at: Span,
    entries: Vec<(Key, Option<Node>)>,
    asked: Vec<&'static str>,
    effective: Vec<(&'static str, Effective)>,
}

impl<'a> Section<'a> {
    /// Opens a document; notes what is wrong with text that is not one mapping.
    pub(crate) fn open_document(cx: &'a Context, text: &str) -> Option<Self> {
        if text.len() > document::MAX_LEN {
            let message = format!("the file is longer than {} MiB", document::MAX_LEN >> 20);
            cx.error(&(0..0), message, "put large zones into zone files");
            return None;
        }
        match document::read(text) {
            Ok(Node { value: Value::Null, .. }) => {
                cx.error(&(0..0), "the file is empty", "write the configuration, or name another file");
                None
            }
            Ok(node) => Self::open(cx, node, None),
            Err(error) => {
                cx.error(&error.at, error.message, error.help);
                None
            }
        }
    }

    /// Opens the mapping `node`, which stands under `key` or, without, in a list or at the top.
    pub(crate) fn open(cx: &'a Context, node: Node, key: Option<&Span>) -> Option<Self> {
        let entries = match node.value {
            Value::Map(entries) => entries,
            other => {
                let at = if node.at.is_empty() { key.unwrap_or(&node.at) } else { &node.at };
                cx.error(at, format!("a mapping is needed here, not {}", other.kind()), "write `key: value` pairs");
                return None;
            }
        };
        let at = key.cloned().or_else(|| entries.first().map(|(key, _)| key.at.clone())).unwrap_or(node.at);
        let mut section = Self { cx, at, entries: Vec::new(), asked: Vec::new(), effective: Vec::new() };
        for (key, node) in entries {
            match section.entries.iter().find(|(first, _)| first.text == key.text) {
                Some((first, _)) => {
                    let line = cx.line(&first.at);
                    let message = format!("`{}` is given twice; first in line {line}", key.text);
                    cx.error(&key.at, message, "keep one of them");
                }
                None => section.entries.push((key, Some(node))),
            }
        }
        Some(section)
    }

    /// A mapping without keys, in place of one that is left out.
    pub(crate) fn empty(cx: &'a Context, at: Span) -> Self {
        Self { cx, at, entries: Vec::new(), asked: Vec::new(), effective: Vec::new() }
    }

    /// The keys that are given.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.text.as_str())
    }

    /// Whether `key` is given.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(candidate, _)| candidate.text == key)
    }

    /// Whether `key`, not read yet, has a list with entries.
    pub(crate) fn has_entries(&self, key: &str) -> bool {
        let is_filled = |node: &Option<Node>| {
            node.as_ref().is_some_and(|node| matches!(&node.value, Value::List(items) if !items.is_empty()))
        };
        self.entries.iter().any(|(candidate, node)| candidate.text == key && is_filled(node))
    }

    /// Whether `key`, not read yet, has a mapping.
    pub(crate) fn has_mapping(&self, key: &str) -> bool {
        let is_map = |node: &Option<Node>| node.as_ref().is_some_and(|node| matches!(node.value, Value::Map(_)));
        self.entries.iter().any(|(candidate, node)| candidate.text == key && is_map(node))
    }

    /// Where `key` is given.
    pub(crate) fn key_at(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(candidate, _)| candidate.text == key).map(|(key, _)| key.at.clone())
    }

    /// The node under `key`; null counts as left out, with an error.
    fn take(&mut self, key: &'static str) -> Option<(Span, Node)> {
        self.asked.push(key);
        let (found, node) = self.entries.iter_mut().find(|(candidate, _)| candidate.text == key)?;
        let (at, node) = (found.at.clone(), node.take()?);
        if matches!(node.value, Value::Null) {
            self.cx.error(&at, format!("`{key}` has no value"), "give it one, or leave the key out for its default");
            return None;
        }
        Some((at, node))
    }

    /// The value of `key`, read by `read`; none when it is left out or refused.
    pub(crate) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Located<T>> {
        let (_, node) = self.take(key)?;
        let (value, text) = self.scalar(key, node, &read)?;
        self.effective.push((key, Effective::Scalar(text)));
        Some(value)
    }

    /// As [`Section::get`], with an error when the key is left out.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        what: &str,
        read: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Located<T>> {
        self.must_have(key, what);
        self.get(key, read)
    }

    /// Notes an error when `key` is left out; `what` says what to write.
    pub(crate) fn must_have(&self, key: &str, what: &str) {
        if !self.has(key) {
            self.cx.error(&self.at, format!("`{key}` is missing"), what);
        }
    }

    /// As [`Section::get`]; `default` when it is left out.
    pub(crate) fn or<T: Show>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl Fn(&str) -> Result<T, Problem>,
    ) -> T {
        if !self.has(key) {
            self.asked.push(key);
            self.effective.push((key, Effective::Scalar(default.show())));
            return default;
        }
        self.get(key, read).map_or(default, |located| located.value)
    }

    /// A path, made absolute.
    pub(crate) fn path(&mut self, key: &'static str) -> Option<Located<PathBuf>> {
        let cx = self.cx;
        let path = self.get(key, |text| cx.absolute(text))?;
        self.show(key, Effective::Scalar(path.value.show()));
        Some(path)
    }

    /// A path with a default.
    pub(crate) fn path_or(&mut self, key: &'static str, default: &str) -> PathBuf {
        let default = PathBuf::from(default);
        match self.has(key) {
            true => self.path(key).map_or(default, |path| path.value),
            false => self.or(key, default.clone(), |_| Ok(default.clone())),
        }
    }

    /// Paths, made absolute.
    pub(crate) fn paths(&mut self, key: &'static str, max: usize) -> Option<Vec<Located<PathBuf>>> {
        let cx = self.cx;
        let paths = self.list(key, max, |text| cx.absolute(text))?;
        self.show(key, Effective::List(paths.iter().map(|path| Effective::Scalar(path.value.show())).collect()));
        Some(paths)
    }

    /// The values of a list of 1 to `max`; none when it is left out. Refused values are left out, with an error.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        max: usize,
        read: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Vec<Located<T>>> {
        let items = self.nodes(key, 1, max)?;
        let mut values = Vec::with_capacity(items.len());
        let mut shown = Vec::with_capacity(items.len());
        for item in items {
            if let Some((value, text)) = self.scalar(key, item, &read) {
                values.push(value);
                shown.push(Effective::Scalar(text));
            }
        }
        self.effective.push((key, Effective::List(shown)));
        Some(values)
    }

    /// The mapping under `key`; none when it is left out or is no mapping.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let (at, node) = self.take(key)?;
        Section::open(self.cx, node, Some(&at))
    }

    /// The mappings of the list under `key`, which may be empty.
    pub(crate) fn sections(&mut self, key: &'static str, max: usize) -> Vec<Section<'a>> {
        let cx = self.cx;
        let nodes = self.nodes(key, 0, max).unwrap_or_default();
        nodes.into_iter().filter_map(|node| Section::open(cx, node, None)).collect()
    }

    /// Sets what [`Section::close`] returns for `key`.
    pub(crate) fn show(&mut self, key: &'static str, effective: Effective) {
        self.hide(key);
        self.effective.push((key, effective));
    }

    /// Keeps `key` out of what [`Section::close`] returns.
    pub(crate) fn hide(&mut self, key: &'static str) {
        self.effective.retain(|(shown, _)| *shown != key);
    }

    /// Reports the keys nobody asked for; returns the mapping in force.
    pub(crate) fn close(self) -> Effective {
        for (key, node) in &self.entries {
            if node.is_some() && !self.asked.contains(&key.text.as_str()) {
                let help = match nearest(&key.text, &self.asked) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("keys here: {}", self.asked.join(", ")),
                };
                self.cx.error(&key.at, format!("unknown key `{}`", key.text), help);
            }
        }
        Effective::Map(self.effective)
    }

    fn nodes(&mut self, key: &'static str, min: usize, max: usize) -> Option<Vec<Node>> {
        let (at, node) = self.take(key)?;
        match node.value {
            Value::List(items) if items.len() < min => {
                self.cx.error(&at, format!("`{key}` is an empty list"), "name at least one, or leave the key out");
                None
            }
            Value::List(items) if items.len() > max => {
                let message = format!("`{key}` has {} entries; at most {max} are accepted", items.len());
                self.cx.error(&at, message, "keep the list within that");
                None
            }
            Value::List(items) => Some(items),
            Value::Scalar(_) => {
                let written = self.cx.written(&node.at);
                let help = format!("write `{key}: [{written}]`");
                self.cx.error(&node.at, format!("`{key}` is a list"), help);
                None
            }
            other => {
                let at = if node.at.is_empty() { &at } else { &node.at };
                self.cx.error(at, format!("`{key}` is a list, not {}", other.kind()), "begin each entry with `- `");
                None
            }
        }
    }

    fn scalar<T>(
        &self,
        key: &str,
        node: Node,
        read: &impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<(Located<T>, String)> {
        let Value::Scalar(text) = node.value else {
            let at = if node.at.is_empty() { self.key_at(key).unwrap_or(self.at.clone()) } else { node.at };
            let message = format!("`{key}`: a single value is needed, not {}", node.value.kind());
            self.cx.error(&at, message, "write one value, without brackets or braces");
            return None;
        };
        match read(&text) {
            Ok(value) => Some((Located { value, at: node.at }, text)),
            Err(problem) => {
                self.cx.error(&node.at, format!("`{key}`: {}", problem.message), problem.help);
                None
            }
        }
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}
