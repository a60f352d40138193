//! Checked text: what may stand in a header field, what is a token. Header injection stops here.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::ops::Deref;

/// UTF-8 text inside shared octets; cloning costs no copy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteStr(Bytes);

impl ByteStr {
    /// The text, when the octets are UTF-8.
    #[must_use]
    pub fn from_utf8(octets: Bytes) -> Option<ByteStr> {
        core::str::from_utf8(&octets).ok()?;
        Some(ByteStr(octets))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The octets behind the text.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl From<&str> for ByteStr {
    fn from(text: &str) -> Self {
        ByteStr(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for ByteStr {
    fn from(text: String) -> Self {
        ByteStr(Bytes::from(text.into_bytes()))
    }
}

impl Deref for ByteStr {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for ByteStr {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a text cannot be written where it was meant to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidText {
    /// It holds a control character: CR and LF would begin a new header field, NUL ends one for careless readers.
    Control,
    /// It is not a token (RFC 3261 §25.1).
    NotToken,
    /// It does not have the form that this field asks for.
    Form(&'static str),
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidText::Control => f.write_str("control characters cannot stand in a header field"),
            InvalidText::NotToken => f.write_str("not a token"),
            InvalidText::Form(what) => f.write_str(what),
        }
    }
}

impl core::error::Error for InvalidText {}

/// Whether an octet may stand in a token (RFC 3261 §25.1).
#[inline]
pub(crate) const fn is_token_octet(octet: u8) -> bool {
    is_in(&TOKEN, octet)
}

/// A class of octets: looked up, since whole messages are.
pub(crate) type Class = [bool; 256];

/// Makes a class of octets out of the rule that says which belong to it.
macro_rules! class {
    ($octet:ident => $rule:expr) => {{
        let mut class = [false; 256];
        let mut $octet = 0u8;
        loop {
            #[expect(clippy::indexing_slicing, reason = "every octet has its place")]
            {
                class[$octet as usize] = $rule;
            }
            match $octet.checked_add(1) {
                Some(next) => $octet = next,
                None => break class,
            }
        }
    }};
}
pub(crate) use class;

/// Whether the octet belongs to the class.
#[inline]
#[expect(clippy::indexing_slicing, reason = "every octet has its place")]
pub(crate) const fn is_in(class: &Class, octet: u8) -> bool {
    class[octet as usize]
}

static TOKEN: Class = class!(octet => octet.is_ascii_alphanumeric()
    || matches!(octet, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'));

/// Whether an octet is a control character that no header field value holds unescaped: all but HTAB.
pub(crate) const fn is_forbidden_control(octet: u8) -> bool {
    (octet < 0x20 && octet != b'\t') || octet == 0x7f
}

/// What stands before the first such octet, which is ASCII, and after it.
#[inline]
pub(crate) fn split_at_octet(text: &str, octet: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(octet, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

/// Whether the text is a token: not empty, token characters only.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_octet)
}

/// The text as a token: whatever a token cannot hold becomes a dash.
pub(crate) fn tokenised(text: &str) -> String {
    let mut token: String = text
        .chars()
        .map(|c| if c.is_ascii() && is_token(c.encode_utf8(&mut [0; 4])) { c } else { '-' })
        .collect();
    if token.is_empty() {
        token.push('-');
    }
    token
}

/// `Ok` when the text holds no control character but HTAB.
pub(crate) fn check_text(text: &str) -> Result<(), InvalidText> {
    if holds_control(text.as_bytes()) { Err(InvalidText::Control) } else { Ok(()) }
}

/// Whether one of the octets is such a control character. Looks at all of them, never stops early: so the compiler takes
/// many at once, a tenth of the instructions for what is nearly always a long text without any.
pub(crate) fn holds_control(octets: &[u8]) -> bool {
    octets.iter().fold(false, |found, octet| found | is_forbidden_control(*octet))
}

/// A token (RFC 3261 §25.1): ASCII letters, digits and ``-.!%*_+`'~``; never empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(ByteStr);

impl Token {
    /// Checks and keeps a text.
    ///
    /// # Errors
    /// The text is empty or holds another character.
    pub fn new(text: &str) -> Result<Token, InvalidText> {
        if is_token(text) { Ok(Token(ByteStr::from(text))) } else { Err(InvalidText::NotToken) }
    }

    /// The token inside received octets, when it is one.
    pub(crate) fn from_bytes(octets: Bytes) -> Option<Token> {
        (!octets.is_empty() && octets.iter().all(|o| is_token_octet(*o))).then_some(Token(ByteStr(octets)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The value of a header field as it will be written: no control characters, no white space at either end.
///
/// Nothing else can be put into [`Headers`](crate::Headers) as text, so that a value never begins another field.
///
/// ```
/// use cpm_sip::HeaderText;
/// assert!(HeaderText::new("plain").is_ok());
/// assert!(HeaderText::new("two\r\nX-Evil: lines").is_err());
/// assert_eq!(HeaderText::sanitized("two\r\nlines").as_str(), "two  lines");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderText(ByteStr);

impl HeaderText {
    /// Checks and keeps a text.
    ///
    /// # Errors
    /// The text holds a control character (CR, LF, NUL and the like; HTAB may stand inside).
    pub fn new(text: &str) -> Result<HeaderText, InvalidText> {
        check_text(text)?;
        Ok(HeaderText(ByteStr::from(text.trim_matches([' ', '\t']))))
    }

    /// Keeps a text in which every control character has become a space.
    #[must_use]
    pub fn sanitized(text: &str) -> HeaderText {
        let clean: String = text.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }).collect();
        HeaderText(ByteStr::from(clean.trim_matches(' ')))
    }

    /// What a typed value writes; its constructors keep control characters out, so this only copies.
    pub(crate) fn written(octets: &[u8]) -> HeaderText {
        match core::str::from_utf8(octets) {
            Ok(text) => HeaderText::new(text).unwrap_or_else(|_| HeaderText::sanitized(text)),
            Err(_) => HeaderText::sanitized(&String::from_utf8_lossy(octets)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl TryFrom<&str> for HeaderText {
    type Error = InvalidText;
    fn try_from(text: &str) -> Result<Self, InvalidText> {
        HeaderText::new(text)
    }
}

/// Writes a number in decimal digits.
pub(crate) fn write_number(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [0u8; 10];
    let mut count = 0usize;
    for digit in &mut digits {
        *digit = b'0'.saturating_add(u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        count = count.saturating_add(1);
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().take(count).rev());
}

/// Writes a quoted-string: `"` and `\` escaped (RFC 3261 §25.1). The text holds no control character.
pub(crate) fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if memchr::memchr2(b'"', b'\\', text.as_bytes()).is_none() && !holds_control(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        for octet in text.bytes() {
            if matches!(octet, b'"' | b'\\') || is_forbidden_control(octet) {
                out.push(b'\\');
            }
            out.push(octet);
        }
    }
    out.push(b'"');
}
