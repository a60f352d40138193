//! Message header fields: one line each, every octet kept, names resolved through NS (RFC 3862 §3.4).

use crate::grammar;
use crate::{BuildError, CPIM_NAMESPACE, CpimError, IMDN_NAMESPACE};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::LimitExceeded;

/// One message header field as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The line without its CRLF. Checked: UTF-8.
    line: Bytes,
    colon: usize,
    value_start: usize,
}

/// What may be let pass in one line.
pub(crate) struct LineRules {
    pub(crate) loose_whitespace: bool,
}

impl Header {
    /// Reads one line without its CRLF; says whether white space had to be let pass.
    pub(crate) fn read(line: Bytes, number: usize, rules: &LineRules) -> Result<(Self, bool), CpimError> {
        let text = core::str::from_utf8(&line).map_err(|_| CpimError::NotUtf8 { line: number })?;
        if has_control(&line) {
            return Err(CpimError::ControlCharacter { line: number });
        }
        let fault = || CpimError::HeaderSyntax { line: number };
        let colon = memchr::memchr(b':', &line).ok_or_else(fault)?;
        let (name, after_colon) = text.split_at_checked(colon).ok_or_else(fault)?;
        let after_colon = after_colon.strip_prefix(':').unwrap_or(after_colon);
        let (prefix, local) = split_name(name);
        if !prefix.is_none_or(grammar::is_name) || !grammar::is_name(local) {
            return Err(fault());
        }
        let (after_params, _) = grammar::parameters(after_colon);
        let value = after_params.trim_start_matches(' ');
        let one_space = after_params.len() == value.len().saturating_add(1) || after_params == " ";
        let loose = !one_space || value.ends_with(' ');
        if after_params.starts_with(';') {
            return Err(fault());
        }
        if loose && !rules.loose_whitespace {
            return Err(CpimError::Whitespace { line: number });
        }
        let value_start = text.len().saturating_sub(value.len());
        Ok((Header { line, colon, value_start }, loose))
    }

    /// A header field to write; `value` is already escaped.
    pub(crate) fn written(
        prefix: Option<&str>,
        name: &str,
        params: &str,
        value: &str,
    ) -> Result<Self, BuildError> {
        if !prefix.is_none_or(grammar::is_name) || !grammar::is_name(name) {
            return Err(BuildError::Name);
        }
        let (prefix, dot) = prefix.map_or(("", ""), |prefix| (prefix, "."));
        let line = Bytes::from([prefix, dot, name, ":", params, " ", value].concat());
        match Header::read(line, 0, &LineRules { loose_whitespace: false }) {
            Ok((header, _)) => Ok(header),
            Err(CpimError::Whitespace { .. }) => Err(BuildError::Value),
            Err(_) => Err(BuildError::Name),
        }
    }

    /// The line as it stands on the wire, without its CRLF.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.line
    }

    /// The name with its prefix, as written.
    #[must_use]
    pub fn full_name(&self) -> &str {
        self.slice(0, self.colon)
    }

    /// The prefix of the name, where it has one.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        split_name(self.full_name()).0
    }

    /// The name without its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        split_name(self.full_name()).1
    }

    /// Whether its name without the prefix is this one. No name holds a full stop.
    fn is_named(&self, name: &str) -> bool {
        let full_name = self.line.get(..self.colon).unwrap_or_default();
        let before = full_name.strip_suffix(name.as_bytes());
        before.is_some_and(|before| before.is_empty() || before.ends_with(b"."))
    }

    /// A parameter between colon and value (`lang`), unescaped.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        let (_, params) = grammar::parameters(self.slice(self.colon.saturating_add(1), self.line.len()));
        params.into_iter().find(|(key, _)| *key == name).map(|(_, value)| grammar::unescape(value))
    }

    /// The value as written, escapes and all.
    #[must_use]
    pub fn value(&self) -> &str {
        self.slice(self.value_start, self.line.len()).trim_end_matches(' ')
    }

    /// The value as a text: escapes undone (RFC 3862 §2.3). It may hold CR and LF: never copy it into another header.
    #[must_use]
    pub fn text(&self) -> String {
        grammar::unescape(self.value())
    }

    fn slice(&self, from: usize, to: usize) -> &str {
        self.line.get(from..to).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// Whether there is a control character. All octets are looked at, so that it is done for many at once.
fn has_control(line: &[u8]) -> bool {
    line.iter().fold(false, |found, octet| found | octet.is_ascii_control())
}

/// Prefix and local name.
fn split_name(name: &str) -> (Option<&str>, &str) {
    let dot = memchr::memchr(b'.', name.as_bytes());
    dot.and_then(|dot| Some((Some(name.get(..dot)?), name.get(dot.saturating_add(1)..)?)))
        .unwrap_or((None, name))
}

/// Message header fields in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    list: Vec<Header>,
}

/// Which namespace a prefix means at one place of a message.
#[derive(Default)]
pub(crate) struct Scope<'a> {
    prefixes: BTreeMap<&'a str, &'a str>,
    default: Option<&'a str>,
}

impl<'a> Scope<'a> {
    /// The namespace of a name with this prefix; `None` for a prefix that nobody declared.
    pub(crate) fn namespace(&self, prefix: Option<&str>) -> Option<&'a str> {
        match prefix {
            Some(prefix) => self.prefixes.get(prefix).copied(),
            None => Some(self.default.unwrap_or(CPIM_NAMESPACE)),
        }
    }

    /// A prefix that means this namespace; `Some(None)` where no prefix is needed.
    pub(crate) fn prefix_of(&self, namespace: &str) -> Option<Option<&'a str>> {
        if self.namespace(None) == Some(namespace) {
            return Some(None);
        }
        self.prefixes.iter().find(|(_, uri)| **uri == namespace).map(|(prefix, _)| Some(*prefix))
    }

    /// Takes a header field in: a declaration widens the scope for those behind it. An NS without prefix always is one,
    /// whatever the default namespace has become.
    pub(crate) fn enter(&mut self, header: &'a Header) -> Result<(), ScopeFault<'a>> {
        let declares = header.is_named("NS")
            && (header.prefix().is_none() || self.namespace(header.prefix()) == Some(CPIM_NAMESPACE));
        if !declares {
            return Ok(());
        }
        match grammar::namespace(header.value()).ok_or(ScopeFault::Syntax)? {
            (None, uri) => self.default = Some(uri),
            (Some(prefix), uri) => {
                if self.prefixes.insert(prefix, uri).is_some_and(|before| before != uri) {
                    return Err(ScopeFault::Redeclared(prefix));
                }
            }
        }
        Ok(())
    }
}

pub(crate) enum ScopeFault<'a> {
    Syntax,
    Redeclared(&'a str),
}

impl Headers {
    pub(crate) fn from_list(list: Vec<Header>) -> Self {
        Headers { list }
    }

    pub(crate) fn list_mut(&mut self) -> &mut Vec<Header> {
        &mut self.list
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Header> {
        self.list.iter()
    }

    /// The fields of that name in that namespace, each with its place.
    pub(crate) fn named<'a, 'n>(
        &'a self,
        namespace: &'n str,
        name: &'n str,
    ) -> impl Iterator<Item = (usize, &'a Header)> + use<'a, 'n> {
        let mut scope = Scope::default();
        self.list.iter().enumerate().filter(move |(_, header)| {
            let found = header.is_named(name) && scope.namespace(header.prefix()) == Some(namespace);
            // Faulty declarations were refused when the message was read.
            let _ = scope.enter(header);
            found
        })
    }

    /// All in order, each with its namespace; `None` where its prefix was never declared and that was let pass.
    #[must_use]
    pub fn resolved(&self) -> Vec<(Option<&str>, &Header)> {
        let mut scope = Scope::default();
        let mut resolved = Vec::with_capacity(self.list.len());
        for header in &self.list {
            resolved.push((scope.namespace(header.prefix()), header));
            // Faulty declarations were refused when the message was read.
            let _ = scope.enter(header);
        }
        resolved
    }

    /// All fields of that name in that namespace, in order.
    #[must_use]
    pub fn get_all(&self, namespace: &str, name: &str) -> Vec<&Header> {
        self.named(namespace, name).map(|(_, header)| header).collect()
    }

    /// Whether there are no more IMDN-Record-Route fields than `most`, and no more IMDN-Route fields.
    pub(crate) fn check_routes(&self, most: usize) -> Result<(), LimitExceeded> {
        // Of few fields it does not matter which they are.
        if self.list.len() <= most {
            return Ok(());
        }
        for name in ["IMDN-Record-Route", "IMDN-Route"] {
            LimitExceeded::check("imdn.max_route", self.named(IMDN_NAMESPACE, name).count(), most)?;
        }
        Ok(())
    }

    /// A field that may stand once.
    pub(crate) fn single(&self, namespace: &str, name: &'static str) -> Result<Option<&Header>, CpimError> {
        let mut all = self.named(namespace, name).map(|(_, header)| header);
        let first = all.next();
        if all.next().is_some() { Err(CpimError::Repeated(name)) } else { Ok(first) }
    }

    /// What prefixes mean behind the last field.
    pub(crate) fn scope_at_end(&self) -> Scope<'_> {
        let mut scope = Scope::default();
        for header in &self.list {
            let _ = scope.enter(header);
        }
        scope
    }

    /// Appends the fields with their line ends, without the blank line.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        for header in &self.list {
            out.extend_from_slice(&header.line);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Octets that [`write_to`](Headers::write_to) will append.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.list.iter().fold(0, |sum, header| sum.saturating_add(header.line.len()).saturating_add(2))
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = core::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
