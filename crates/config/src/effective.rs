//! The configuration in force, as YAML that reads back the same.

use std::fmt::Write;

/// A value as it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effective {
    Scalar(String),
    List(Vec<Effective>),
    Map(Vec<(&'static str, Effective)>),
}

impl Effective {
    /// The mapping with its keys in the order of `keys`.
    pub(crate) fn in_order(self, keys: &[&'static str]) -> Self {
        match self {
            Self::Map(mut entries) => {
                entries.sort_by_key(|(key, _)| keys.iter().position(|known| known == key));
                Self::Map(entries)
            }
            other => other,
        }
    }

    /// The mapping with `key` in front.
    pub(crate) fn with_first(self, key: &'static str, value: Self) -> Self {
        match self {
            Self::Map(entries) => Self::Map(std::iter::once((key, value)).chain(entries).collect()),
            other => other,
        }
    }

    /// The YAML text of a whole document.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Scalar(text) => out.push_str(&scalar(text)),
            Self::List(items) => {
                for item in items {
                    let _ = write!(out, "{:indent$}- ", "");
                    match item {
                        Self::Scalar(text) => {
                            let _ = writeln!(out, "{}", scalar(text));
                        }
                        nested => {
                            let mut inner = String::new();
                            nested.write(&mut inner, indent + 2);
                            out.push_str(inner.trim_start());
                        }
                    }
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    let _ = write!(out, "{:indent$}{key}:", "");
                    match value {
                        Self::Scalar(text) => {
                            let _ = writeln!(out, " {}", scalar(text));
                        }
                        Self::List(items) if items.is_empty() => out.push_str(" []\n"),
                        Self::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
                        nested => {
                            out.push('\n');
                            nested.write(out, indent + 2);
                        }
                    }
                }
            }
        }
    }
}

/// A scalar, in quotes when plain text would be read as something else.
fn scalar(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-:+".contains(&b);
    let safe = text.bytes().all(plain)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'/')
        && !text.ends_with(':');
    if safe && !text.eq_ignore_ascii_case("null") {
        return text.to_owned();
    }
    if text.chars().all(|character| !character.is_control()) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
