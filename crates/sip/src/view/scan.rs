//! Reading of a value where it stands: the grammar of [`crate::grammar`] over text that may still be folded. A line end
//! inside of a received value is always followed by white space, so that it counts as white space.

use crate::grammar::{Fault, is_plain_octet};
use crate::limits::Limits;
use crate::name::Occurrence;
use crate::params::Names;
use crate::steps;
use crate::text::is_token_octet;
use alloc::borrow::Cow;
use alloc::string::String;

const TWICE: Fault = Fault::Syntax("a parameter stands twice");

/// A value, read up to `at`.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// The last address stood in angle brackets.
    bracketed: bool,
}

const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

impl<'a> Scan<'a> {
    pub(super) const fn new(text: &'a str) -> Scan<'a> {
        Scan { text, at: 0, bracketed: false }
    }

    /// Whether the address that was read last stood in angle brackets.
    pub(super) const fn was_bracketed(&self) -> bool {
        self.bracketed
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, octets: usize) {
        self.at = self.at.saturating_add(octets);
    }

    /// What is read from `start` to here. Both are beside ASCII characters.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        let rest = self.rest();
        self.skip(rest.iter().position(|octet| !belongs(*octet)).unwrap_or(rest.len()));
        steps::visit(self.at.saturating_sub(start));
        self.since(start)
    }

    /// Skips white space; says whether there was some.
    pub(super) fn spaces(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(is_space) {
            self.skip(1);
        }
        self.at > start
    }

    /// A separator with white space around it; nothing is read when it is not there.
    pub(super) fn separator(&mut self, separator: u8) -> Result<(), Fault> {
        let start = self.at;
        self.spaces();
        if self.peek() == Some(separator) {
            self.skip(1);
            self.spaces();
            return Ok(());
        }
        self.at = start;
        Err(Fault::Syntax("unexpected character or end"))
    }

    pub(super) fn token(&mut self, limits: &Limits) -> Result<&'a str, Fault> {
        let token = self.take_while(is_token_octet);
        if token.is_empty() {
            return Err(Fault::Syntax("unexpected character or end"));
        }
        limits.max_token(token.len())?;
        Ok(token)
    }

    pub(super) fn digits(&mut self) -> &'a str {
        self.take_while(|octet| octet.is_ascii_digit())
    }

    /// Up to what ends a host: an IPv6 address ends with its bracket.
    pub(super) fn host(&mut self) -> &'a str {
        if self.peek() != Some(b'[') {
            return self.take_while(|octet| !matches!(octet, b':' | b';' | b'?' | b',') && !is_space(octet));
        }
        let start = self.at;
        let rest = self.rest();
        self.skip(memchr::memchr(b']', rest).map_or(rest.len(), |at| at.saturating_add(1)));
        self.since(start)
    }

    /// `*` and nothing after it in this value.
    pub(super) fn star(&self) -> bool {
        let Some(rest) = self.text.strip_prefix('*') else { return false };
        Scan::new(rest).end(Occurrence::List).is_ok()
    }

    /// `name-addr / addr-spec`: its URI.
    pub(super) fn address(&mut self) -> Result<&'a str, Fault> {
        self.spaces();
        let start = self.at;
        if self.peek() == Some(b'"') {
            self.quoted()?;
            self.spaces();
            if self.peek() != Some(b'<') {
                return Err(Fault::Syntax("no angle bracket after the display name"));
            }
        } else {
            while !self.take_while(is_token_octet).is_empty() {
                self.spaces();
            }
        }
        self.bracketed = self.peek() == Some(b'<');
        if self.bracketed {
            self.skip(1);
            let start = self.at;
            let end = memchr::memchr(b'>', self.rest()).ok_or(Fault::Syntax("no closing angle bracket"))?;
            self.skip(end);
            let uri = self.since(start);
            self.skip(1);
            return Ok(uri);
        }
        self.at = start;
        let uri = self.take_while(|o| !matches!(o, b';' | b',' | b'?' | b'<' | b'>' | b'"') && !is_space(o));
        if matches!(self.peek(), Some(b'?' | b'<' | b'>' | b'"')) {
            return Err(Fault::Syntax("this URI must stand in angle brackets"));
        }
        Ok(uri)
    }

    /// `quoted-string`: what stands between the quotes, escapes and folds in it.
    fn quoted(&mut self) -> Result<&'a str, Fault> {
        self.skip(1);
        let start = self.at;
        loop {
            let found = memchr::memchr2(b'"', b'\\', self.rest());
            self.skip(found.ok_or(Fault::Syntax("the quoted text has no end"))?);
            if self.peek() == Some(b'"') {
                let text = self.since(start);
                steps::visit(text.len());
                self.skip(1);
                return Ok(text);
            }
            self.skip(1);
            if !self.peek().is_some_and(|escaped| escaped.is_ascii()) {
                return Err(Fault::Syntax("bad escape in quoted text"));
            }
            self.skip(1);
        }
    }

    /// `*( SEMI generic-param )`, each shown to `each`.
    pub(super) fn params(
        &mut self,
        limits: &Limits,
        mut each: impl FnMut(&'a str, Option<ParamRef<'a>>),
    ) -> Result<ParamsRef<'a>, Fault> {
        let start = self.at;
        let mut names = Names::default();
        let mut count = 0usize;
        while self.separator(b';').is_ok() {
            count = count.saturating_add(1);
            limits.max_params(count)?;
            let (name, value) = self.param(limits)?;
            // A name stands once (RFC 3261 §7.3.1): readers would pick different ones.
            if !names.add(name.as_bytes()) {
                return Err(TWICE);
            }
            each(name, value);
        }
        if names.differ() { Ok(ParamsRef(self.since(start))) } else { Err(TWICE) }
    }

    fn param(&mut self, limits: &Limits) -> Result<(&'a str, Option<ParamRef<'a>>), Fault> {
        let name = self.token(limits).map_err(|fault| match fault {
            Fault::Syntax(_) => Fault::Syntax("a parameter has no name"),
            limit => limit,
        })?;
        if self.separator(b'=').is_err() {
            return Ok((name, None));
        }
        if self.peek() == Some(b'"') {
            let text = self.quoted()?;
            return Ok((name, Some(ParamRef { text, quoted: true })));
        }
        let text = self.take_while(is_plain_octet);
        if text.is_empty() {
            return Err(Fault::Syntax("a parameter has no value"));
        }
        Ok((name, Some(ParamRef { text, quoted: false })))
    }

    /// Goes on to the next value of a list; says whether there is one.
    pub(super) fn next_value(&mut self) -> bool {
        self.separator(b',').is_ok()
    }

    /// Whether nothing is left to read.
    pub(super) fn is_done(&mut self) -> bool {
        self.spaces();
        self.peek().is_none()
    }

    /// The end of the value: of the text, or a comma where there may be more values.
    pub(super) fn end(&mut self, occurrence: Occurrence) -> Result<(), Fault> {
        self.spaces();
        match self.peek() {
            None => Ok(()),
            Some(b',') if occurrence == Occurrence::List => Ok(()),
            Some(_) => Err(Fault::Syntax("something follows the value")),
        }
    }
}

/// The value of a parameter where it stands.
#[derive(Debug, Clone, Copy)]
pub struct ParamRef<'a> {
    text: &'a str,
    quoted: bool,
}

impl<'a> ParamRef<'a> {
    /// The text as it stands there, where it stands without quotes.
    #[must_use]
    pub fn plain(self) -> Option<&'a str> {
        (!self.quoted).then_some(self.text)
    }

    /// What the value means: quotes, escapes and folds are resolved. Borrowed unless it holds an escape or a fold.
    #[must_use]
    pub fn text(self) -> Cow<'a, str> {
        if !self.quoted || memchr::memchr2(b'\\', b'\n', self.text.as_bytes()).is_none() {
            return Cow::Borrowed(self.text);
        }
        let mut text = String::with_capacity(self.text.len());
        let mut characters = self.text.chars();
        while let Some(c) = characters.next() {
            match c {
                '\\' => text.extend(characters.find(|c| !matches!(c, '\r' | '\n'))),
                '\r' | '\n' => {}
                c => text.push(c),
            }
        }
        Cow::Owned(text)
    }
}

/// Parameters where they stand, checked.
#[derive(Debug, Clone, Copy)]
pub struct ParamsRef<'a>(&'a str);

impl<'a> ParamsRef<'a> {
    pub(super) const NONE: ParamsRef<'static> = ParamsRef("");

    /// In order: name, and value where there is one.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<ParamRef<'a>>)> {
        let mut scan = Scan::new(self.0);
        core::iter::from_fn(move || {
            scan.separator(b';').ok()?;
            scan.param(&Limits { max_token: usize::MAX, ..Limits::DEFAULT }).ok()
        })
    }

    /// A parameter's value; `""` when it has none, `None` when it is not there.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        let (_, value) = self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(value.map_or(Cow::Borrowed(""), ParamRef::text))
    }

    /// Whether a parameter is there, with a value or without.
    #[must_use]
    pub fn contains(self, name: &str) -> bool {
        self.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }
}
