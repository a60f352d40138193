//! The typing indication: application/im-iscomposing+xml (RFC 3994 §6).

use crate::tree::Tree;
use crate::writer::Writer;
use crate::{Limits, XmlError};
use cpm_base::DateTime;

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/im-iscomposing+xml";

/// The namespace of RFC 3994 §6.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:im-iscomposing";

/// Whether the peer composes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Active,
    /// It does not. Every state that RFC 3994 does not know means this as well (§3.1).
    Idle,
}

/// A typing indication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsComposing {
    /// `<state>`.
    pub state: State,
    /// `<lastactive>`: when the composer was last seen active, as it is written.
    pub last_active: Option<String>,
    /// `<contenttype>`: what is being composed: a media type, or a top-level type alone.
    pub content_type: Option<String>,
    /// `<refresh>`: seconds after which another `active` is due, at least 1; absent: the receiver waits 120 s.
    pub refresh: Option<u32>,
}

impl IsComposing {
    /// A message is being composed; `refresh` in seconds, at least 1.
    #[must_use]
    pub fn active(content_type: Option<&str>, refresh: Option<u32>) -> Self {
        IsComposing {
            state: State::Active,
            last_active: None,
            content_type: content_type.map(String::from),
            refresh: refresh.map(|seconds| seconds.max(1)),
        }
    }

    /// No message is being composed.
    #[must_use]
    pub fn idle() -> Self {
        IsComposing { state: State::Idle, last_active: None, content_type: None, refresh: None }
    }

    /// `<lastactive>` as a date, where it is one.
    #[must_use]
    pub fn last_active_time(&self) -> Option<DateTime> {
        DateTime::parse(self.last_active.as_deref()?).ok()
    }
}

/// Reads a document. Elements may come in any order; what other namespaces add is passed over. A document without
/// namespace, as some write it, is read as well.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no typing indication: without `<state>`, or with a `<refresh>`
/// that is no positive number.
pub fn parse(document: &[u8], limits: &Limits) -> Result<IsComposing, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root_of(&[(Some(NAMESPACE), "isComposing"), (None, "isComposing")])?;
    // RFC 3994 §3.1: what is not known is taken for idle.
    let state = match root.required("state")?.token() {
        "active" => State::Active,
        _ => State::Idle,
    };
    let refresh = match root.child_token("refresh")? {
        None => None,
        Some(text) => Some(positive(text).ok_or(XmlError::Value("refresh"))?),
    };
    Ok(IsComposing {
        state,
        last_active: root.child_token("lastactive")?.map(String::from),
        content_type: root.child_token("contenttype")?.map(String::from),
        refresh,
    })
}

/// A positive number; what 32 bits do not hold is the most they hold.
fn positive(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    match digits.parse() {
        Ok(0) => None,
        Ok(number) => Some(number),
        Err(_) => Some(u32::MAX),
    }
}

/// Writes the document.
#[must_use]
pub fn write(indication: &IsComposing) -> String {
    let refresh = indication.refresh.map(|seconds| seconds.to_string());
    let state = match indication.state {
        State::Active => "active",
        State::Idle => "idle",
    };
    let mut out = Writer::new();
    out.open("isComposing").attribute("xmlns", NAMESPACE);
    out.leaf("state", state)
        .leaf_if("lastactive", indication.last_active.as_deref())
        .leaf_if("contenttype", indication.content_type.as_deref())
        .leaf_if("refresh", refresh.as_deref());
    out.finish()
}

#[cfg(test)]
mod tests;
