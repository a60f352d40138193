//! What can be wrong with a document.

use cpm_base::LimitExceeded;
use std::fmt;

/// Why a document was refused. Nothing of the document is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmlError {
    /// More of something than [`Limits`](crate::Limits) allows.
    Limit(LimitExceeded),
    /// The document is not UTF-8, or says that it is something else.
    NotUtf8,
    /// A version other than 1.0.
    Version,
    /// A character that XML 1.0 does not have, NUL among them, as it is or as a reference.
    Character,
    /// A document type declaration.
    DocumentType,
    /// A processing instruction, or an XML declaration that is not at the very beginning.
    ProcessingInstruction,
    /// A reference to an entity that XML itself does not define.
    Entity,
    /// A prefix that is bound to nothing, or a declaration that Namespaces in XML forbids.
    Namespace,
    /// An attribute that is none, or stands twice in one element.
    Attribute,
    /// A name that is none.
    Name,
    /// Markup that is no XML: the reason is what the tokenizer calls it.
    Malformed(&'static str),
    /// Text outside the root element.
    TextOutsideRoot,
    /// A second root element.
    SecondRoot,
    /// The document ends before its root element begins or ends.
    Unfinished,
    /// The root element is not the one of this kind of document.
    WrongRoot,
    /// Text where only elements may be.
    UnexpectedText,
    /// An element or attribute that must be there is not.
    Missing(&'static str),
    /// An element that may stand once stands twice.
    Repeated(&'static str),
    /// An element or attribute has a value that it cannot have.
    Value(&'static str),
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            XmlError::Limit(limit) => return limit.fmt(f),
            XmlError::Malformed(what) => return write!(f, "malformed XML: {what}"),
            XmlError::Missing(what) => return write!(f, "{what} is missing"),
            XmlError::Value(what) => return write!(f, "the value of {what} is none that it can have"),
            XmlError::Repeated(what) => return write!(f, "element {what} stands more than once"),
            XmlError::NotUtf8 => "not UTF-8",
            XmlError::Version => "not XML 1.0",
            XmlError::Character => "a character that XML does not have",
            XmlError::DocumentType => "a document type declaration",
            XmlError::ProcessingInstruction => "a processing instruction",
            XmlError::Entity => "an entity that is not defined",
            XmlError::Namespace => "a namespace prefix that is not bound, or wrongly bound",
            XmlError::Attribute => "an attribute that is none, or stands twice",
            XmlError::Name => "a name that is none",
            XmlError::TextOutsideRoot => "text outside the root element",
            XmlError::SecondRoot => "a second root element",
            XmlError::Unfinished => "the document is not finished",
            XmlError::WrongRoot => "an unexpected root element",
            XmlError::UnexpectedText => "text where only elements may be",
        };
        f.write_str(text)
    }
}

impl std::error::Error for XmlError {}

impl From<LimitExceeded> for XmlError {
    fn from(limit: LimitExceeded) -> Self {
        XmlError::Limit(limit)
    }
}
