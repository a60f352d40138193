//! Values of a configuration file, each with its line, read with the `toml` crate and written here.

use std::fmt::Write;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    YesNo(bool),
    List(Vec<Value>),
    /// With the line that it begins on.
    Table(usize, Vec<Entry>),
    /// What no key of ours takes, by its name.
    Other(&'static str),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The line, from 1; 0: none in particular.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl ConfigError {
    pub(super) fn new(line: usize, what: impl Into<String>) -> Self {
        ConfigError { line, what: what.into() }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, ConfigError> {
    let breaks = Breaks::of(text);
    match DeTable::parse(text) {
        Ok(table) => Ok(entries(&breaks, table.get_ref())),
        Err(error) => {
            let line = error.span().map_or(0, |span| breaks.line_of(span.start));
            Err(ConfigError::new(line, error.message()))
        }
    }
}

/// Where the lines of a text end. They are looked for once: every key asks for its line.
struct Breaks(Vec<usize>);

impl Breaks {
    fn of(text: &str) -> Breaks {
        Breaks(text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at).collect())
    }

    fn line_of(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at).saturating_add(1)
    }
}

/// In the order of the file.
fn entries(breaks: &Breaks, table: &DeTable<'_>) -> Vec<Entry> {
    let mut found: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            (
                at,
                Entry {
                    key: key.get_ref().to_string(),
                    line: breaks.line_of(at),
                    value: value_of(breaks, value),
                },
            )
        })
        .collect();
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, entry)| entry).collect()
}

fn value_of(breaks: &Breaks, value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(string) => Value::Text(string.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number that is too great"), Value::Number),
        DeValue::Boolean(yes) => Value::YesNo(*yes),
        DeValue::Array(list) => Value::List(list.iter().map(|item| value_of(breaks, item)).collect()),
        DeValue::Table(table) => Value::Table(breaks.line_of(value.span().start), entries(breaks, table)),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
    }
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    pub(super) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::List(texts.into_iter().map(Value::text).collect())
    }

    /// As TOML has it, on one line.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Value::Text(text) => write_text(text, out),
            Value::Number(number) => drop(write!(out, "{number}")),
            Value::YesNo(yes) => drop(write!(out, "{yes}")),
            Value::List(list) => {
                out.push('[');
                for (index, item) in list.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    item.write(out);
                }
                out.push(']');
            }
            Value::Table(_, entries) => {
                out.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    let _ = write!(out, "{}{} = ", if index == 0 { " " } else { ", " }, entry.key);
                    entry.value.write(out);
                }
                out.push_str(" }");
            }
            Value::Other(_) => out.push_str("\"\""),
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => drop(write!(out, "\\u{:04X}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
}
