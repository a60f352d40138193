//! A message that arrived, as text for a terminal.

use crate::terminal::harmless;
use cpm_client::ReceivedMessage;
use cpm_mime::ContentType;
use std::fmt::Write;

/// Octets of text that are shown.
const SHOWN: usize = 16_384;
/// Characters of any other value that are shown.
const FIELD: usize = 256;

/// The message in a few lines; nothing in it acts on a terminal. `number` counts messages.
pub(crate) fn message(number: u64, message: &ReceivedMessage) -> String {
    let way = if message.large { "large message" } else { "pager message" };
    let from = message.from.as_ref().map_or("anonymous".to_owned(), |from| value(from.as_str()));
    let mut text = format!("[{number}] {way} from {from}");
    let mut field = |name: &str, content: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n    {name:<13} {}", value(content));
    };
    if let Some(name) = &message.from_name {
        field("calls itself", name);
    }
    if let Some(subject) = &message.subject {
        field("subject", subject);
    }
    if let Some(date) = message.date {
        field("sent", &date.to_string());
    }
    field("content type", &message.content_type);
    if let Some(conversation) = &message.conversation {
        field("conversation", conversation.as_str());
    }
    if let Some(id) = &message.message_id {
        field("message id", id);
    }
    for line in content(message).lines() {
        let _ = write!(text, "\n    | {line}");
    }
    text.push('\n');
    text
}

/// A value on one line; what is too long for anybody to read is cut.
fn value(text: &str) -> String {
    match text.char_indices().nth(FIELD) {
        Some((at, _)) => format!("{}...", harmless(text.get(..at).unwrap_or_default(), false)),
        None => harmless(text, false),
    }
}

fn content(message: &ReceivedMessage) -> String {
    let octets = &message.content;
    let Some(shown) = octets.get(..octets.len().min(SHOWN)).filter(|_| is_text(&message.content_type)) else {
        return format!("({} octets, no text to show)", octets.len());
    };
    // A character that the cut has halved is not shown as a broken one.
    let whole = match std::str::from_utf8(shown) {
        Err(error) if shown.len() < octets.len() && error.error_len().is_none() => error.valid_up_to(),
        _ => shown.len(),
    };
    let mut text = harmless(&String::from_utf8_lossy(shown.get(..whole).unwrap_or_default()), true);
    if whole < octets.len() {
        let _ = write!(text, "\n({whole} of {} octets shown)", octets.len());
    }
    text
}

/// Whether the content is text that UTF-8 can show.
fn is_text(content_type: &str) -> bool {
    let Ok(content_type) = ContentType::parse(content_type) else { return false };
    let charset = content_type.param("charset").unwrap_or("utf-8");
    content_type.type_().eq_ignore_ascii_case("text")
        && ["utf-8", "us-ascii", "ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cpm_base::DateTime;
    use cpm_client::ReceivedId;
    use cpm_sip::Uri;

    fn received(content_type: &str, content: &[u8]) -> ReceivedMessage {
        ReceivedMessage {
            from: Some(Uri::parse("sip:alice@example.com").unwrap()),
            ..ReceivedMessage::new(
                ReceivedId(1),
                DateTime::UNIX_EPOCH,
                content_type,
                Bytes::copy_from_slice(content),
            )
        }
    }

    #[test]
    fn sender_subject_type_and_text() {
        let mut one = received("text/plain;charset=UTF-8", "Grüße\r\nzwei".as_bytes());
        one.subject = Some("Hello".to_owned());
        one.from_name = Some("Alice".to_owned());
        one.date = Some(DateTime::UNIX_EPOCH);
        one.large = true;
        let expected = "\
[7] large message from sip:alice@example.com
    calls itself  Alice
    subject       Hello
    sent          1970-01-01T00:00:00Z
    content type  text/plain;charset=UTF-8
    | Grüße
    | zwei
";
        assert_eq!(message(7, &one), expected);
    }

    #[test]
    fn what_a_peer_wrote_stays_in_its_place() {
        let mut one = received("text/plain", b"a\x1b[2J\nb\r[9] forged");
        one.subject = Some("x\n[8] pager message from sip:boss@example.com\u{202e}".to_owned());
        one.from_name = Some("\u{9b}31m".to_owned());
        let text = message(1, &one);
        assert!(!text.contains(['\x1b', '\u{9b}', '\u{202e}', '\r']), "{text:?}");
        assert_eq!(text.lines().filter(|line| line.starts_with('[')).count(), 1, "{text}");
    }

    #[test]
    fn long_values_are_cut() {
        let mut one = received("text/plain", b"text");
        one.message_id = Some("é".repeat(256));
        assert!(message(1, &one).contains(&format!("message id    {}\n", "é".repeat(256))));
        one.message_id = Some("é".repeat(8_000));
        one.subject = Some("\x1b".repeat(8_000));
        one.from = Some(Uri::parse(&format!("sip:{}@example.com", "a".repeat(900))).unwrap());
        let text = message(1, &one);
        assert!(text.contains(&format!("message id    {}...\n", "é".repeat(256))), "{text}");
        assert!(text.lines().all(|line| line.len() < 2_000), "{text}");
    }

    #[test]
    fn what_is_no_text_is_counted() {
        for content_type in ["image/png", "text/plain;charset=utf-16", "nonsense"] {
            let text = message(1, &received(content_type, &[0xff; 300]));
            assert!(text.contains("| (300 octets, no text to show)"), "{text}");
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = message(1, &received("text/plain", "é".repeat(10_000).as_bytes()));
        assert!(text.contains("(16384 of 20000 octets shown)"), "{text}");
        let text = message(1, &received("text/plain", format!("a{}", "é".repeat(10_000)).as_bytes()));
        assert!(text.contains("(16383 of 20001 octets shown)") && !text.contains('\u{fffd}'), "{text}");
    }
}
