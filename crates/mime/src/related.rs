//! Multiparts whose parts are more than a list: related (RFC 2387) and alternative (RFC 2046 §5.1.4).

use crate::{ContentId, ContentType, MimeError, Multipart, Part};
use alloc::string::ToString;
use alloc::vec::Vec;

impl Multipart {
    /// A multipart/related to write: the root first, then what it refers to. `type` names the root's media type (RFC 2387
    /// §3.1), `start` its Content-ID where it has one.
    ///
    /// # Errors
    /// The root's Content-Type or Content-ID does not parse; [`MimeError::ContentIdRepeated`].
    pub fn related(root: Part, others: Vec<Part>) -> Result<Self, MimeError> {
        let mut declared =
            ContentType::new("multipart", "related")?.with_param("type", &root.content_type()?.essence())?;
        if let Some(id) = root.content_id()? {
            declared = declared.with_param("start", &ContentId::new(&id)?.to_string())?;
        }
        let mut parts = others;
        parts.insert(0, root);
        let related = Multipart::declared(declared, parts)?;
        related.root()?;
        Ok(related)
    }

    /// A multipart/alternative to write: the same content several times, what is preferred last.
    ///
    /// # Errors
    /// [`MimeError::NoParts`].
    pub fn alternative(parts: Vec<Part>) -> Result<Self, MimeError> {
        Multipart::new("alternative", parts)
    }

    /// The root of a multipart/related: the part that `start` names, or the first.
    ///
    /// # Errors
    /// [`MimeError::StartMissing`], [`MimeError::ContentIdRepeated`] and [`MimeError::ContentIdSyntax`]; of parts whose
    /// Content-ID does not parse, only where `start` has to be searched for. [`MimeError::NoParts`] after an edit.
    pub fn root(&self) -> Result<&Part, MimeError> {
        let content_type = self.content_type();
        let Some(start) = content_type.param("start") else {
            return self.parts().first().ok_or(MimeError::NoParts);
        };
        let start = ContentId::parse(start)?;
        let mut found = None;
        for part in self.parts() {
            if part.content_id()?.as_deref() == Some(start.as_str()) && found.replace(part).is_some() {
                return Err(MimeError::ContentIdRepeated);
            }
        }
        found.ok_or(MimeError::StartMissing)
    }

    /// The alternative to show: the last part whose type is understood.
    ///
    /// # Errors
    /// A Content-Type that does not parse; an alternative that cannot be named cannot be passed over safely.
    pub fn preferred(&self, understood: impl Fn(&ContentType) -> bool) -> Result<Option<&Part>, MimeError> {
        for part in self.parts().iter().rev() {
            if understood(&part.content_type()?) {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
