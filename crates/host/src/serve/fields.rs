//! Keys of a configuration section: one table of them reads the file, writes the defaults and explains each.

use super::value::{ConfigError, Entry, Value};
use std::net::SocketAddr;
use std::time::Duration;

/// A key of section `S`.
pub(super) struct Field<S> {
    pub(super) key: &'static str,
    /// What it is, for who reads the file: lines that fit into it.
    pub(super) about: &'static str,
    pub(super) get: fn(&S) -> Value,
    /// Why the value does not do, as the end of a sentence that begins with the key.
    pub(super) set: fn(&mut S, &Value) -> Result<(), String>,
}

/// The lines of the keys of a section; of a key that is not there, that of the section.
///
/// Where something stands is no part of what it says: all of them are equal.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    section: usize,
    keys: Vec<(String, usize)>,
}

impl Lines {
    pub(super) fn new(section: usize, entries: &[Entry]) -> Lines {
        Lines { section, keys: entries.iter().map(|entry| (entry.key.clone(), entry.line)).collect() }
    }

    pub(super) fn of(&self, key: &str) -> usize {
        self.keys.iter().find(|(name, _)| name == key).map_or(self.section, |(_, line)| *line)
    }

    /// The last of those of these keys that are there.
    pub(super) fn last_of(&self, keys: &[&str]) -> usize {
        let named = self.keys.iter().filter(|(name, _)| keys.contains(&name.as_str()));
        named.map(|(_, line)| *line).max().unwrap_or(self.section)
    }
}

impl PartialEq for Lines {
    fn eq(&self, _: &Lines) -> bool {
        true
    }
}

impl Eq for Lines {}

/// Reads the entries of a section.
pub(super) fn read<S>(
    section: &str,
    fields: &[Field<S>],
    into: &mut S,
    entries: &[Entry],
) -> Result<(), ConfigError> {
    for entry in entries {
        let Some(field) = fields.iter().find(|field| field.key == entry.key) else {
            let known: Vec<&str> = fields.iter().map(|field| field.key).collect();
            let what = format!("{section} has no key {:?}; it has {}", entry.key, known.join(", "));
            return Err(ConfigError::new(entry.line, what));
        };
        (field.set)(into, &entry.value)
            .map_err(|why| ConfigError::new(entry.line, format!("{section}.{}: {why}", entry.key)))?;
    }
    Ok(())
}

/// Writes all keys with their explanations; `prefix` stands before each line.
pub(super) fn write<S>(fields: &[Field<S>], of: &S, prefix: &str, out: &mut String) {
    for field in fields {
        for line in field.about.lines() {
            out.push_str(prefix);
            out.push_str("# ");
            out.push_str(line.trim());
            out.push('\n');
        }
        out.push_str(prefix);
        out.push_str(field.key);
        out.push_str(" = ");
        (field.get)(of).write(out);
        out.push('\n');
    }
}

pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("a text in quotes is wanted, not {}", kind(other))),
    }
}

pub(super) fn yes_no(value: &Value) -> Result<bool, String> {
    match value {
        Value::YesNo(yes) => Ok(*yes),
        other => Err(format!("true or false is wanted, not {}", kind(other))),
    }
}

/// A number from `least` on.
pub(super) fn number<N: TryFrom<i64>>(value: &Value, least: i64) -> Result<N, String> {
    match value {
        Value::Number(number) if *number < least => Err(format!("{number} is less than {least}")),
        Value::Number(number) => N::try_from(*number).map_err(|_| format!("{number} is too great")),
        other => Err(format!("a whole number is wanted, not {}", kind(other))),
    }
}

pub(super) fn seconds(value: &Value, least: i64) -> Result<Duration, String> {
    number::<u32>(value, least).map(|seconds| Duration::from_secs(u64::from(seconds)))
}

pub(super) fn list<T>(value: &Value, one: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    match value {
        Value::List(list) => list.iter().map(one).collect(),
        other => Err(format!("a list in brackets is wanted, not {}", kind(other))),
    }
}

pub(super) fn address(value: &Value) -> Result<SocketAddr, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("{text:?} is no address with a port (127.0.0.1:5060, [::1]:5060)"))
}

/// One of some words.
pub(super) fn word<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let text = text(value)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{text:?} is none of {}", known.join(", "))
    })
}

/// The word for something.
pub(super) fn word_for<T: PartialEq>(of: &T, words: &[(&str, T)]) -> Value {
    Value::text(words.iter().find(|(_, meaning)| meaning == of).map_or("", |(word, _)| word))
}

pub(super) fn whole(number: impl TryInto<i64>) -> Value {
    Value::Number(number.try_into().unwrap_or(i64::MAX))
}

pub(super) fn of_seconds(time: Duration) -> Value {
    whole(time.as_secs())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "a text",
        Value::Number(_) => "a number",
        Value::YesNo(_) => "true or false",
        Value::List(_) => "a list",
        Value::Table(..) => "a table",
        Value::Other(what) => what,
    }
}
