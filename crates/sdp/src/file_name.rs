//! Names of files that a peer chose (RFC 5547 §10, threats H1).

use alloc::string::String;
use core::fmt;

/// A name that can be used for a file on any disk: one component, at most 255 octets of UTF-8, without separators,
/// control characters, characters that turn the reading direction or cannot be seen, names of devices, hidden names,
/// and dots or blanks at its end. Never empty. What the peer wrote is kept elsewhere, as what it is: untrusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeFileName(String);

/// Octets of a name (`file.name` of threats section 3).
const MAX_OCTETS: usize = 255;
/// Octets behind the last dot that are kept when a name has to be cut.
const MAX_EXTENSION: usize = 16;
/// What a file is called of whose name nothing is left.
const NAMELESS: &str = "file";

impl SafeFileName {
    /// Makes a safe name of what a peer wrote; `file` where nothing of it can be used.
    #[must_use]
    pub fn new(untrusted: &str) -> SafeFileName {
        Self::of(untrusted).unwrap_or_else(|| SafeFileName(NAMELESS.into()))
    }

    /// The same; `None` where nothing of it can be used.
    #[must_use]
    pub fn of(untrusted: &str) -> Option<SafeFileName> {
        let last = untrusted.rsplit(is_separator).next().unwrap_or_default();
        let mut name: String = last.chars().filter(|c| !is_invisible(*c)).map(in_its_place).collect();
        // Windows drops both silently, so that another file is meant than was asked for.
        name.truncate(name.trim_end_matches(['.', ' ']).len());
        let mut name = String::from(name.trim_start());
        if name.starts_with('.') || is_device(&name) {
            name.insert(0, '_');
        }
        cut(&mut name);
        (!name.is_empty()).then_some(SafeFileName(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Separators of folders, and characters that some systems turn into one.
fn is_separator(c: char) -> bool {
    matches!(c, '/' | '\\' | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29F5}' | '\u{29F8}' | '\u{29F9}')
        || matches!(c, '\u{FE68}' | '\u{FF0F}' | '\u{FF3C}')
}

/// Control characters, and those that change how a name looks without being seen.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}')
        || matches!(c, '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Drives, streams and patterns are characters of a name no more.
fn in_its_place(c: char) -> char {
    if matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|' | '\u{FF1A}') { '_' } else { c }
}

/// Names that Windows takes for devices, whatever stands behind a dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let numbered = |port: &str| {
        let behind =
            stem.get(..3).filter(|start| start.eq_ignore_ascii_case(port)).and_then(|_| stem.get(3..));
        behind.is_some_and(|n| {
            let mut digits = n.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '\u{B9}' | '\u{B2}' | '\u{B3}'), None))
        })
    };
    let fixed = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];
    fixed.iter().any(|device| stem.eq_ignore_ascii_case(device)) || numbered("com") || numbered("lpt")
}

/// Shortens a name to its maximum; a short extension stays.
fn cut(name: &mut String) {
    if name.len() <= MAX_OCTETS {
        return;
    }
    let extension = match name.rfind('.') {
        Some(at) if name.len().saturating_sub(at) <= MAX_EXTENSION => name.split_off(at),
        _ => String::new(),
    };
    let mut end = MAX_OCTETS.saturating_sub(extension.len()).min(name.len());
    while !name.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    name.truncate(end);
    name.push_str(&extension);
    name.truncate(name.trim_end_matches(['.', ' ']).len());
}

#[cfg(test)]
mod tests;
