//! The grammar of challenges and credentials: a scheme, then parameters with commas between
//! (RFC 3261 §25.1 `challenge`, `credentials`, `ainfo`).

use crate::{AuthError, Limits};
use alloc::string::String;
use alloc::vec::Vec;
use cpm_base::LimitExceeded;

/// A parameter that this crate has no field for, kept as it came: `ik` and `ck` of an IMS core, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The name, a token.
    pub name: String,
    /// The value, without quotes and backslashes.
    pub value: String,
    /// Whether it stands in quotes.
    pub quoted: bool,
}

/// The parameters that have a field somewhere.
const FIELDS: [&str; 18] = [
    "realm",
    "domain",
    "nonce",
    "opaque",
    "stale",
    "algorithm",
    "qop",
    "charset",
    "userhash",
    "username",
    "username*",
    "uri",
    "response",
    "cnonce",
    "nc",
    "auts",
    "nextnonce",
    "rspauth",
];

/// The parameters of one value, taken out one by one by name.
pub(crate) struct Params(Vec<Extension>);

impl Params {
    /// Reads `Digest` and the parameters behind it.
    pub(crate) fn with_scheme(text: &str, limits: &Limits) -> Result<Params, AuthError> {
        LimitExceeded::check("auth.max_bytes", text.len(), limits.max_bytes)?;
        let (scheme, rest) = token(trim(text), "scheme")?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(AuthError::OtherScheme(String::from(scheme)));
        }
        if !rest.starts_with([' ', '\t']) {
            return Err(AuthError::Syntax("white space behind the scheme"));
        }
        Params::list(rest, limits)
    }

    /// Reads parameters without a scheme.
    pub(crate) fn list(text: &str, limits: &Limits) -> Result<Params, AuthError> {
        LimitExceeded::check("auth.max_bytes", text.len(), limits.max_bytes)?;
        let mut params: Vec<Extension> = Vec::new();
        let mut rest = trim(text);
        loop {
            LimitExceeded::check("auth.max_params", params.len().saturating_add(1), limits.max_params)?;
            let (name, after) = token(rest, "parameter name")?;
            let after = trim(after).strip_prefix('=').ok_or(AuthError::Syntax("="))?;
            let after = trim(after);
            let (value, quoted, after) = match after.strip_prefix('"') {
                Some(inside) => {
                    let (value, after) = quoted_string(inside, limits)?;
                    (value, true, after)
                }
                None => {
                    let (value, after) = token(after, "value")?;
                    LimitExceeded::check("auth.max_value_bytes", value.len(), limits.max_value_bytes)?;
                    (String::from(value), false, after)
                }
            };
            if params.iter().any(|param| param.name.eq_ignore_ascii_case(name)) {
                return Err(AuthError::Repeated(String::from(name)));
            }
            params.push(Extension { name: String::from(name), value, quoted });
            rest = trim(after);
            if rest.is_empty() {
                return Ok(Params(params));
            }
            rest = trim(rest.strip_prefix(',').ok_or(AuthError::Syntax("comma"))?);
        }
    }

    /// Takes a parameter out. Both spellings of the value are read, token and quoted string: peers mix them up.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|param| param.name.eq_ignore_ascii_case(name))?;
        Some(self.0.remove(at).value)
    }

    /// Takes a parameter out that must be there.
    pub(crate) fn need(&mut self, name: &'static str) -> Result<String, AuthError> {
        self.take(name).ok_or(AuthError::Missing(name))
    }

    /// What nobody took.
    pub(crate) fn rest(self) -> Vec<Extension> {
        self.0
    }
}

/// Without white space at the ends. Header fields come unfolded, so that CR and LF are no white space here.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A character of an RFC 3261 token.
pub(crate) fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c)
}

/// A token at the front and what follows. The characters that base64 adds (`/`, `=`) and the others of an HTTP token
/// belong to no SIP token: a peer that sends such a value without quotes is refused.
fn token<'a>(text: &'a str, expected: &'static str) -> Result<(&'a str, &'a str), AuthError> {
    let end = text.find(|c| !is_token_char(c)).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((token, rest)) if !token.is_empty() => Ok((token, rest)),
        _ => Err(AuthError::Syntax(expected)),
    }
}

/// The rest of a quoted string behind its opening quote: what it means, and what follows it.
fn quoted_string<'a>(text: &'a str, limits: &Limits) -> Result<(String, &'a str), AuthError> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        let c = match chars.next() {
            Some('"') => return Ok((value, chars.as_str())),
            Some('\\') => chars.next(),
            other => other,
        };
        match c {
            Some(c) if is_text(c) => {
                let length = value.len().saturating_add(c.len_utf8());
                LimitExceeded::check("auth.max_value_bytes", length, limits.max_value_bytes)?;
                value.push(c);
            }
            Some(_) => return Err(AuthError::Syntax("text without control characters")),
            None => return Err(AuthError::Syntax("closing quote")),
        }
    }
}

/// Whether a quoted string may hold it.
pub(crate) fn is_text(c: char) -> bool {
    c == '\t' || !c.is_control()
}

/// Writes parameters one behind the other.
pub(crate) struct Writer {
    text: String,
    empty: bool,
}

impl Writer {
    /// Begins with that (`Digest `, or nothing).
    pub(crate) fn new(start: &str) -> Writer {
        Writer { text: String::from(start), empty: true }
    }

    fn name(&mut self, name: &str) {
        if !core::mem::take(&mut self.empty) {
            self.text.push_str(", ");
        }
        self.text.push_str(name);
        self.text.push('=');
    }

    /// `name=value`.
    pub(crate) fn token(&mut self, name: &'static str, value: &str) -> Result<(), AuthError> {
        if value.is_empty() || !value.chars().all(is_token_char) {
            return Err(AuthError::NotWritable(name));
        }
        self.name(name);
        self.text.push_str(value);
        Ok(())
    }

    /// `name="value"`.
    pub(crate) fn quoted(&mut self, name: &'static str, value: &str) -> Result<(), AuthError> {
        if !value.chars().all(is_text) {
            return Err(AuthError::NotWritable(name));
        }
        self.name(name);
        self.put_quoted(value);
        Ok(())
    }

    fn put_quoted(&mut self, value: &str) {
        self.text.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(c);
        }
        self.text.push('"');
    }

    /// Parameters without a field of their own.
    pub(crate) fn extensions(&mut self, extensions: &[Extension]) -> Result<(), AuthError> {
        let is_token = |text: &str| !text.is_empty() && text.chars().all(is_token_char);
        for (index, extension) in extensions.iter().enumerate() {
            let (name, value) = (&extension.name, &extension.value);
            let fits = if extension.quoted { value.chars().all(is_text) } else { is_token(value) };
            // One that bears the name of a field, or of another extension, would be read as that one.
            let earlier = extensions.iter().take(index).map(|earlier| earlier.name.as_str());
            let taken = earlier.chain(FIELDS).any(|taken| taken.eq_ignore_ascii_case(name));
            if !is_token(name) || !fits || taken {
                return Err(AuthError::NotWritable("an extension"));
            }
            self.name(&extension.name);
            if extension.quoted {
                self.put_quoted(value);
            } else {
                self.text.push_str(value);
            }
        }
        Ok(())
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// A digest: hexadecimal digits in lower case; none at all before the first challenge (RFC 8760 §2.7).
pub(crate) fn is_digest(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
