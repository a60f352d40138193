//! The leaves of a content, put in the place of others: what is around them stays as it was, boundaries and all.

use cpm_base::LimitExceeded;
use cpm_mime::{Limits, MimeError, Multipart, Part};

/// A multipart that is being gone through.
struct Level {
    around: Part,
    inside: Multipart,
    next: usize,
    changed: bool,
}

impl Level {
    /// The multipart as a part again; `None` where nothing in it changed.
    fn finish(mut self) -> Result<Option<Part>, MimeError> {
        if !self.changed {
            return Ok(None);
        }
        let body = match self.inside.to_bytes() {
            Err(MimeError::BoundaryInPart) => {
                self.inside.choose_boundary();
                self.around.headers.set("Content-Type", &self.inside.content_type().to_string())?;
                self.inside.to_bytes()?
            }
            written => written?,
        };
        // The line end behind the closing delimiter line is written always, and stood there perhaps not.
        let ended = self.around.body.ends_with(b"\r\n") || !self.inside.epilogue().is_empty();
        let length = if ended { body.len() } else { body.len().saturating_sub(2) };
        self.around.body = body.slice(..length);
        Ok(Some(self.around))
    }

    fn put(&mut self, part: Part) {
        if let Some(place) = self.inside.parts_mut().get_mut(self.next) {
            *place = part;
            self.changed = true;
        }
    }
}

enum Step {
    Look(Part),
    Next,
    Done(Option<Part>),
}

/// Goes through the leaves of a content in their order and puts what `replace` gives in their places. A multipart keeps its
/// boundary, unless that occurs in what is put in; what is signed or encrypted is a leaf. `None`: nothing was replaced.
///
/// # Errors
/// What `replace` says; a multipart that cannot be read, or is beyond the limits.
pub(crate) fn replace_leaves<E: From<MimeError>>(
    content: &Part,
    limits: &Limits,
    mut replace: impl FnMut(&Part) -> Result<Option<Part>, E>,
) -> Result<Option<Part>, E> {
    let mut levels: Vec<Level> = Vec::new();
    let mut leaves = 0_usize;
    let mut step = Step::Look(content.clone());
    loop {
        step = match step {
            Step::Look(part) => match open(&part, limits)? {
                Some(inside) => {
                    let depth = levels.len().saturating_add(1);
                    LimitExceeded::check("mime.max_depth", depth, limits.max_depth)
                        .map_err(MimeError::Limit)?;
                    levels.push(Level { around: part, inside, next: 0, changed: false });
                    Step::Next
                }
                None => {
                    leaves = leaves.saturating_add(1);
                    LimitExceeded::check("mime.max_parts", leaves, limits.max_parts)
                        .map_err(MimeError::Limit)?;
                    Step::Done(replace(&part)?)
                }
            },
            Step::Next => match levels.pop() {
                None => return Ok(None),
                Some(level) => match level.inside.parts().get(level.next).cloned() {
                    Some(part) => {
                        levels.push(level);
                        Step::Look(part)
                    }
                    None => Step::Done(level.finish()?),
                },
            },
            Step::Done(new) => match levels.last_mut() {
                None => return Ok(new),
                Some(level) => {
                    if let Some(new) = new {
                        level.put(new);
                    }
                    level.next = level.next.saturating_add(1);
                    Step::Next
                }
            },
        };
    }
}

/// The multipart that may be looked into.
fn open(part: &Part, limits: &Limits) -> Result<Option<Multipart>, MimeError> {
    let media = part.media_type()?;
    if !media.is_multipart() || media.is("multipart/signed") || media.is("multipart/encrypted") {
        return Ok(None);
    }
    part.multipart(limits)
}

#[cfg(test)]
mod tests;
