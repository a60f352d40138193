//! `[ Formal-name ] "<" URI ">"`: the value of From, To, cc, Original-To and the IMDN routes.

use crate::grammar;
use crate::{BuildError, CpimError};
use alloc::string::String;
use core::fmt;

/// A URI and the name of who it stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The name, as it is meant (unescaped); it may hold any character.
    pub display_name: Option<String>,
    /// An absolute URI.
    pub uri: String,
}

impl Address {
    /// An address without name.
    #[must_use]
    pub fn new(uri: &str) -> Self {
        Address { display_name: None, uri: String::from(uri) }
    }

    /// The same with a name.
    #[must_use]
    pub fn with_display_name(mut self, name: &str) -> Self {
        self.display_name = Some(String::from(name));
        self
    }

    /// Reads the value of a header field.
    ///
    /// # Errors
    /// [`CpimError::AddressSyntax`].
    pub fn parse(text: &str) -> Result<Self, CpimError> {
        Self::read("address", text)
    }

    pub(crate) fn read(header: &'static str, text: &str) -> Result<Self, CpimError> {
        let (display_name, uri) = grammar::address(text).ok_or(CpimError::AddressSyntax(header))?;
        Ok(Address { display_name, uri: String::from(uri) })
    }

    /// The value as it is written. The URI is checked here, and a name that is more than words is quoted and escaped.
    pub(crate) fn to_text(&self, header: &'static str) -> Result<String, BuildError> {
        if !grammar::is_uri(&self.uri) {
            return Err(BuildError::Uri { header });
        }
        let uri = &self.uri;
        Ok(match self.display_name.as_deref() {
            None | Some("") => alloc::format!("<{uri}>"),
            Some(name) if name.split(' ').all(grammar::is_token) => alloc::format!("{name} <{uri}>"),
            Some(name) => alloc::format!("\"{}\"<{uri}>", grammar::escape(name, true)),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.display_name {
            Some(name) => write!(f, "\"{}\"<{}>", grammar::escape(name, true), self.uri),
            None => write!(f, "<{}>", self.uri),
        }
    }
}
