//! Parameters of header field values (RFC 3261 §25.1 `generic-param`).

use crate::grammar::{
    Fault, Parsed, bounded_token, failure, is_plain_octet, plain_value, quoted, separator, syntax,
};
use crate::limits::Limits;
use crate::steps;
use crate::text::{InvalidText, check_text, is_token, tokenised, write_quoted};
use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;

/// Parameters in order, each a name with or without a value. Names compare without case.
///
/// Values are kept as what they mean: quotes and escapes are resolved when read and put back when written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<Param>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Param {
    name: Cow<'static, str>,
    value: Option<Value>,
}

/// Names that stand in nearly every message: they are not copied.
const USUAL: [&str; 16] = [
    "tag",
    "branch",
    "received",
    "rport",
    "lr",
    "transport",
    "q",
    "expires",
    "require",
    "explicit",
    "sescase",
    "regstate",
    "+sip.instance",
    "+g.3gpp.icsi-ref",
    "charset",
    "cause",
];

fn kept(name: &str) -> Cow<'static, str> {
    match USUAL.iter().find(|usual| **usual == name) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(name.to_owned()),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    text: String,
    quoted: bool,
}

impl Params {
    /// None.
    #[must_use]
    pub const fn new() -> Params {
        Params(Vec::new())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In order: name, and value where there is one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> + '_ {
        self.0.iter().map(|p| (&*p.name, p.value.as_ref().map(|v| v.text.as_str())))
    }

    /// A parameter's value; `""` when it has none, `None` when it is not there. The first one, where there are more.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.unwrap_or(""))
    }

    /// Whether a parameter is there, with a value or without.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a parameter, in place of one of the same name or at the end. A value that is no token and no host is
    /// written in quotes.
    ///
    /// # Errors
    /// The name is no token, or the value holds a control character.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), InvalidText> {
        if !is_token(name) {
            return Err(InvalidText::NotToken);
        }
        check_text(value.unwrap_or(""))?;
        let value = value.map(|text| Value { text: text.to_owned(), quoted: !is_plain(text) });
        self.place(name, value);
        Ok(())
    }

    /// Sets a parameter and writes its value in quotes even if it could stand without (`+sip.instance`, `cause` texts).
    ///
    /// # Errors
    /// The name is no token, or the value holds a control character.
    pub fn set_quoted(&mut self, name: &str, value: &str) -> Result<(), InvalidText> {
        if !is_token(name) {
            return Err(InvalidText::NotToken);
        }
        check_text(value)?;
        self.place(name, Some(Value { text: value.to_owned(), quoted: true }));
        Ok(())
    }

    /// Sets a parameter whose value is made a token: what a token cannot hold becomes a dash.
    pub(crate) fn set_token(&mut self, name: &'static str, value: &str) {
        self.place(name, Some(Value { text: tokenised(value), quoted: false }));
    }

    /// Sets a parameter to what the caller knows to be plain (a number, an address), or to none.
    pub(crate) fn set_plain(&mut self, name: &'static str, value: Option<String>) {
        self.place(name, value.map(|text| Value { text, quoted: false }));
    }

    /// Whether each has a value.
    pub(crate) fn has_values(&self) -> bool {
        self.0.iter().all(|p| p.value.is_some())
    }

    fn place(&mut self, name: &str, value: Option<Value>) {
        match self.0.iter_mut().find(|p| p.name.eq_ignore_ascii_case(name)) {
            Some(param) => param.value = value,
            None => self.0.push(Param { name: kept(name), value }),
        }
    }

    /// Removes a parameter; says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|p| !p.name.eq_ignore_ascii_case(name));
        self.0.len() < before
    }

    /// Reads `*( SEMI generic-param )`.
    pub(crate) fn read<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Params> {
        let (mut rest, mut params) = (input, Params::new());
        while let Ok((after, ())) = separator(';')(rest) {
            limits.max_params(params.0.len().saturating_add(1)).map_err(failure)?;
            let (after, param) = Param::read(after, limits)?;
            steps::visit(rest.len().saturating_sub(after.len()));
            params.0.push(param);
            rest = after;
        }
        params.once().map(|params| (rest, params))
    }

    /// A name stands once (RFC 3261 §7.3.1): readers would pick different ones.
    fn once(self) -> Result<Params, nom::Err<Fault>> {
        let mut names = Names::default();
        let differ = self.0.iter().all(|p| names.add(p.name.as_bytes())) && names.differ();
        if differ { Ok(self) } else { Err(failure(Fault::Syntax("a parameter stands twice"))) }
    }

    /// Reads `generic-param *( between generic-param )`: parameters that nothing stands before.
    pub(crate) fn read_leading<'a>(input: &'a str, between: char, limits: &Limits) -> Parsed<'a, Params> {
        let (mut rest, first) = Param::read(input, limits)?;
        let mut params = Params(alloc::vec![first]);
        while let Ok((after, ())) = separator(between)(rest) {
            limits.max_params(params.0.len().saturating_add(1)).map_err(failure)?;
            let (after, param) = Param::read(after, limits)?;
            steps::visit(rest.len().saturating_sub(after.len()));
            params.0.push(param);
            rest = after;
        }
        params.once().map(|params| (rest, params))
    }

    /// Writes `;name=value` for each.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for param in &self.0 {
            out.push(b';');
            param.write(out);
        }
    }

    /// Writes `name=value` for each, with this between them.
    pub(crate) fn write_leading(&self, between: &str, out: &mut Vec<u8>) {
        for (i, param) in self.0.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(between.as_bytes());
            }
            param.write(out);
        }
    }
}

/// Names of parameters, of which each may stand once, whatever its case. Few are compared each with each, many are sorted
/// first: the cost stays in proportion to the input, and nothing is allocated for few.
#[derive(Default)]
pub(crate) struct Names<'a> {
    few: [&'a [u8]; 8],
    count: usize,
    more: Vec<&'a [u8]>,
}

impl<'a> Names<'a> {
    /// One more; `false` when it is seen at once that it was there before.
    pub(crate) fn add(&mut self, name: &'a [u8]) -> bool {
        steps::visit(self.count.min(self.few.len()));
        if self.few.iter().take(self.count).any(|earlier| earlier.eq_ignore_ascii_case(name)) {
            return false;
        }
        match self.few.get_mut(self.count) {
            Some(place) => *place = name,
            None => self.more.push(name),
        }
        self.count = self.count.saturating_add(1);
        true
    }

    /// Whether none of them stands twice.
    pub(crate) fn differ(mut self) -> bool {
        self.more.sort_unstable_by(|a, b| {
            steps::visit(1);
            let (a, b) = (a.iter(), b.iter());
            a.map(u8::to_ascii_lowercase).cmp(b.map(u8::to_ascii_lowercase))
        });
        !self.more.iter().zip(self.more.iter().skip(1)).any(|(a, b)| a.eq_ignore_ascii_case(b))
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_plain_octet)
}

impl Param {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        match &self.value {
            None => {}
            Some(value) if value.quoted => {
                out.push(b'=');
                write_quoted(&value.text, out);
            }
            Some(value) => {
                out.push(b'=');
                out.extend_from_slice(value.text.as_bytes());
            }
        }
    }

    fn read<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Param> {
        let Ok((rest, name)) = bounded_token(input, limits) else { return syntax("a parameter has no name") };
        let name = kept(name);
        let Ok((after, ())) = separator('=')(rest) else { return Ok((rest, Param { name, value: None })) };
        let (rest, (text, quoted)) = value(after)?;
        Ok((rest, Param { name, value: Some(Value { text: text.into_owned(), quoted }) }))
    }
}

/// `token / host / quoted-string`.
fn value(input: &str) -> Parsed<'_, (Cow<'_, str>, bool)> {
    if input.starts_with('"') {
        let (rest, text) = quoted(input)?;
        return Ok((rest, (text, true)));
    }
    match plain_value(input) {
        Ok((rest, text)) => Ok((rest, (Cow::Borrowed(text), false))),
        Err(_) => syntax("a parameter has no value"),
    }
}
