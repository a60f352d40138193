//! The report for programs: one JSON document, a list with one object for each file.

use super::report::FileReport;
use crate::terminal::acts;
use std::fmt::Write;

/// All reports. What would act on a terminal is written as an escape, which JSON reads back as the same character.
pub(super) fn render(reports: &[FileReport]) -> Result<String, String> {
    let text = serde_json::to_string_pretty(reports).map_err(|error| error.to_string())?;
    let mut out = String::with_capacity(text.len().saturating_add(1));
    for c in text.chars() {
        // Line ends stand between values alone: inside of strings they are escaped already.
        if c == '\n' || !acts(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out.push('\n');
    Ok(out)
}
