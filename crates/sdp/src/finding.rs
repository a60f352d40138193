//! What is not as the specifications want it, and is kept nevertheless.

use alloc::vec::Vec;
use core::fmt;

use crate::description::{Attribute, LineRef, SessionDescription};

/// A deviation that does not keep anybody from using the description. Lines are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A line of this kind stands behind one that it has to precede (RFC 8866 §5).
    OutOfOrder {
        /// Which line.
        line: usize,
        /// Its letter.
        kind: char,
    },
    /// A line of this kind stands for the second time in its part.
    Repeated {
        /// Which line.
        line: usize,
        /// Its letter.
        kind: char,
    },
    /// Nobody knows this letter.
    UnknownLine {
        /// Which line.
        line: usize,
        /// Its letter.
        kind: char,
    },
    /// A line of a known kind does not follow its grammar.
    Malformed {
        /// Which line.
        line: usize,
        /// Its letter.
        kind: char,
    },
    /// An attribute whose name is known does not follow its grammar.
    MalformedAttribute {
        /// Which line.
        line: usize,
        /// Its name.
        name: &'static str,
    },
    /// A medium with a port has no `c=` line, and the session has none (RFC 8866 §5.7; threats I1).
    NoConnection {
        /// Which medium, counted from 0.
        medium: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::OutOfOrder { line, kind } => write!(f, "line {line}, {kind}=, is out of order"),
            Finding::Repeated { line, kind } => write!(f, "line {line} is a second {kind}= line"),
            Finding::UnknownLine { line, kind } => write!(f, "line {line}, {kind}=, is of an unknown kind"),
            Finding::Malformed { line, kind } => {
                write!(f, "line {line}, {kind}=, does not follow its grammar")
            }
            Finding::MalformedAttribute { line, name } => {
                write!(f, "line {line}, a={name}, does not follow its grammar")
            }
            Finding::NoConnection { medium } => write!(f, "medium {medium} has no c= line"),
        }
    }
}

/// The order of lines before the first medium, and of lines of a medium (RFC 8866 §9).
const SESSION_ORDER: &[u8] = b"vosiuepcbtrzka";
const MEDIA_ORDER: &[u8] = b"micbka";

impl SessionDescription {
    /// Judges order, repetition and grammar of all lines, in the order of the lines.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut number = 0usize;
        judge(self.lines(), SESSION_ORDER, &mut number, &mut findings);
        for (medium, media) in self.media().iter().enumerate() {
            judge(media.lines(), MEDIA_ORDER, &mut number, &mut findings);
            if media.port() != Some(0) && media.connection().is_none() && self.connection().is_none() {
                findings.push(Finding::NoConnection { medium });
            }
        }
        findings
    }
}

fn judge<'a>(
    lines: impl Iterator<Item = LineRef<'a>>,
    order: &[u8],
    number: &mut usize,
    findings: &mut Vec<Finding>,
) {
    let mut furthest = 0usize;
    let mut seen = [false; 256];
    for read in lines {
        *number = number.saturating_add(1);
        let (line, kind) = (*number, char::from(read.kind));
        let Some(rank) = order.iter().position(|known| *known == read.kind) else {
            findings.push(if SESSION_ORDER.contains(&read.kind) {
                Finding::OutOfOrder { line, kind }
            } else {
                Finding::UnknownLine { line, kind }
            });
            continue;
        };
        // `r=` and further `t=` follow one another (RFC 8866 §5.9).
        let again_in_time = read.kind == b't' && order.get(furthest) == Some(&b'r');
        if rank < furthest && !again_in_time {
            findings.push(Finding::OutOfOrder { line, kind });
        }
        furthest = if again_in_time { rank } else { furthest.max(rank) };
        let before = seen.get_mut(usize::from(read.kind)).is_some_and(|seen| core::mem::replace(seen, true));
        let several = matches!(read.kind, b'e' | b'p' | b'b' | b't' | b'r' | b'a');
        // A medium may have several c= lines for layers of multicast.
        if before && !several && !(read.kind == b'c' && order == MEDIA_ORDER) {
            findings.push(Finding::Repeated { line, kind });
        }
        if read.typed().is_none() {
            findings.push(Finding::Malformed { line, kind });
        } else if let Some(Err(error)) =
            (read.kind == b'a').then(|| Attribute::read(read.value)).flatten().map(|a| a.typed())
        {
            findings.push(Finding::MalformedAttribute { line, name: error.name });
        }
    }
}

#[cfg(test)]
mod tests;
