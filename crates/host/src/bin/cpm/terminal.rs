//! What peers wrote, made harmless for a terminal.

/// `text` with everything that a terminal would act on, or that would make it show something else than what is there,
/// written as an escape: control characters (ESC begins sequences that move, colour and answer), the C1 controls,
/// characters that turn the direction of writing, invisible ones that a name could hide in. With `lines`, line ends and tabs
/// stay.
pub(crate) fn harmless(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if lines && characters.peek() == Some(&'\n') => {}
            '\n' | '\t' if lines => out.push(c),
            _ if acts(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out
}

/// Whether a terminal would act on it, or hide it.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, combining grapheme joiner, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}'
            // Zero width characters and direction marks; the joiner (200d) holds emoji together and stays.
            | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}'
            // Line and paragraph separator, embeddings and overrides; invisible operators, isolates.
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotation, tags, private planes' non-characters.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_the_terminal() {
        assert_eq!(harmless("\x1b]0;evil\x07", false), "\\u{1b}]0;evil\\u{7}");
        assert_eq!(harmless("a\u{9b}31mb", true), "a\\u{9b}31mb");
        assert_eq!(harmless("txt.\u{202e}exe", true), "txt.\\u{202e}exe");
        assert_eq!(
            harmless("a\u{2066}b\u{2069}\u{200b}\u{feff}", true),
            "a\\u{2066}b\\u{2069}\\u{200b}\\u{feff}"
        );
        assert_eq!(harmless("over\rwritten", true), "over\\u{d}written");
        for c in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32) {
            assert!(!harmless(&c.to_string(), false).contains(c), "{c:?}");
        }
    }

    #[test]
    fn text_stays_text() {
        let text = "Grüße 👩‍👧, שלום, 你好\n\tzeile\n";
        assert_eq!(harmless(text, true), text);
        assert_eq!(harmless("a\r\nb", true), "a\nb");
        assert_eq!(harmless("a\nb", false), "a\\u{a}b");
    }
}
