//! What is said in a chat: lines that are typed to what is meant by them, and what happens to lines on a screen.

use crate::terminal::harmless;
use cpm_base::DateTime;
use cpm_client::{ClientEvent, Disposition, HistoryEntry, ReceivedMessage, SentId, SentMessage};
use cpm_sip::Uri;
use std::collections::BTreeMap;

/// Messages that are still known by their number; the oldest is forgotten first.
const REMEMBERED: usize = 1_000;
/// Characters of a message that its reports repeat.
const REPEATED: usize = 40;
/// Characters of a message that the next chat shows again.
const KEPT: usize = 2_000;
/// Characters of a message that are shown.
const SHOWN: usize = 16_384;

/// The commands, as `/help` lists them.
pub(crate) const HELP: &str = "\
    /to ADDRESS    talk with somebody else
    /anon TEXT     say something without your name
    /reply TEXT    answer the last message that came, to whom it came from
    /allow         tell the last who asked what became of his message
    /help          these lines
    /quit          the end (or Ctrl-D)
    //TEXT         a message that begins with a slash\n";

/// What a line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// To whom one talks with.
    Say(String),
    /// The same, without a name.
    SayAnonymously(String),
    /// To whom the last message came from, in its conversation.
    Reply(String),
    /// From now on to somebody else.
    To(Box<Uri>),
    /// The last who asked learns what became of his message.
    Allow,
    Help,
    Quit,
    /// No message and no command.
    Nothing,
    /// No command, with what is wrong.
    Wrong(String),
}

/// Reads a typed line.
pub(crate) fn read(line: &str) -> Line {
    let line = line.trim_end();
    if line.trim_start().is_empty() {
        return Line::Nothing;
    }
    let Some(command) = line.strip_prefix('/') else { return Line::Say(line.to_owned()) };
    if command.starts_with('/') {
        return Line::Say(command.to_owned());
    }
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    let rest = rest.trim_start();
    match word {
        "to" => match Uri::parse(rest) {
            Ok(uri) => Line::To(Box::new(uri)),
            Err(error) => Line::Wrong(format!("/to: {error}")),
        },
        "anon" | "reply" if rest.is_empty() => Line::Wrong(format!("/{word}: what?")),
        "anon" => Line::SayAnonymously(rest.to_owned()),
        "reply" => Line::Reply(rest.to_owned()),
        "allow" => Line::Allow,
        "help" | "?" => Line::Help,
        "quit" | "q" => Line::Quit,
        other => Line::Wrong(format!("/{}: no such command; /help lists them", harmless(other, false))),
    }
}

/// What was said and is waited for.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    last_number: u64,
    sent: BTreeMap<SentId, Sent>,
}

/// What is known of something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) number: u64,
    /// The IMDN Message-ID.
    pub(crate) message_id: String,
    pub(crate) to: String,
    /// The text, or much of it, as it can be shown.
    pub(crate) text: String,
    /// When.
    pub(crate) at: DateTime,
}

impl Said {
    /// What its reports repeat of it.
    fn beginning(&self) -> String {
        beginning(&self.text, REPEATED)
    }

    fn line(&self) -> String {
        format!("[{}] to {}: {}\n", self.number, self.to, self.text)
    }
}

/// So many characters of a text, with a mark where there is more.
fn beginning(text: &str, most: usize) -> String {
    let mut beginning: String = text.chars().take(most).collect();
    if beginning.len() < text.len() {
        beginning.push('…');
    }
    beginning
}

#[derive(Debug)]
struct Sent {
    said: Said,
    /// Nothing more will be told, or is waited for.
    settled: bool,
}

impl Talk {
    /// A message went on its way: the line for the screen, and which one is forgotten for it.
    pub(crate) fn said(
        &mut self,
        message: &SentMessage,
        to: &Uri,
        text: &str,
        at: DateTime,
    ) -> (String, Option<SentId>) {
        self.last_number += 1;
        let number = self.last_number;
        let forgotten = match self.sent.len() >= REMEMBERED {
            true => self.sent.pop_first().map(|(id, _)| id),
            false => None,
        };
        let whole = harmless(text, false);
        let to = harmless(to.as_str(), false);
        let line = format!("[{number}] to {to}: {whole}\n");
        let text = beginning(&whole, KEPT);
        let said = Said { number, message_id: message.message_id.clone(), to, text, at };
        self.sent.insert(message.id, Sent { said, settled: false });
        (line, forgotten)
    }

    /// What is known of something that was said.
    pub(crate) fn known(&self, id: SentId) -> Option<&Said> {
        self.sent.get(&id).map(|sent| &sent.said)
    }

    /// What an earlier chat said; nothing is waited for that concerns it.
    pub(crate) fn take_up(&mut self, id: SentId, said: Said) {
        self.last_number = self.last_number.max(said.number);
        self.sent.insert(id, Sent { said, settled: true });
    }

    /// What the screen showed in earlier chats, at most so much of it, and what it did not get to show.
    pub(crate) fn earlier(&self, history: &[HistoryEntry], most: usize) -> String {
        let read = |entry: &&HistoryEntry| !matches!(entry, HistoryEntry::Message { read: None, .. });
        let (before, unread): (Vec<_>, Vec<_>) = history.iter().partition(|entry| read(entry));
        let mut lines = self.lines_before(&before);
        let mut text = String::new();
        if !lines.is_empty() {
            lines.drain(..lines.len().saturating_sub(most));
            text.push_str("earlier:\n");
            text.extend(
                lines.into_iter().map(|line| format!("    {}\n", line.trim_end().replace('\n', "\n    "))),
            );
        }
        text.extend(unread.into_iter().filter_map(|entry| self.line_of(entry)));
        text
    }

    /// What came with what was said in between: before what came later than it, and before what was told of it.
    fn lines_before(&self, history: &[&HistoryEntry]) -> Vec<String> {
        let mut said = self.sent.values().map(|sent| &sent.said).peekable();
        let mut lines = Vec::new();
        for entry in history {
            match entry {
                HistoryEntry::Message { message, .. } => {
                    while let Some(said) = said.next_if(|said| said.at <= message.arrived) {
                        lines.push(said.line());
                    }
                }
                HistoryEntry::Report { about, .. } => {
                    let number = self.said_of(about).map_or(0, |said| said.number);
                    while let Some(said) = said.next_if(|said| said.number <= number) {
                        lines.push(said.line());
                    }
                }
                _ => {}
            }
            lines.extend(self.line_of(entry));
        }
        lines.extend(said.map(Said::line));
        lines
    }

    fn said_of(&self, message_id: &str) -> Option<&Said> {
        self.sent.values().map(|sent| &sent.said).find(|said| said.message_id == message_id)
    }

    fn line_of(&self, entry: &HistoryEntry) -> Option<String> {
        match entry {
            HistoryEntry::Message { message, .. } => Some(arrived(message)),
            HistoryEntry::Report { about, disposition, from } => {
                Some(reported(self.said_of(about)?, *disposition, from))
            }
            _ => None,
        }
    }

    /// Whether something that was said is neither refused nor told as delivered.
    pub(crate) fn waits(&self) -> bool {
        self.sent.values().any(|sent| !sent.settled)
    }

    /// What happened, for the screen; `None` where it is nothing for a reader.
    pub(crate) fn told(&mut self, event: &ClientEvent) -> Option<String> {
        match event {
            ClientEvent::SendFailed { id, why } => {
                let said = self.settle(*id)?;
                let why = harmless(&why.to_string(), false);
                Some(format!("[{}] ✗ {why}  ({})\n", said.number, said.beginning()))
            }
            ClientEvent::Disposition { id, disposition, from } => {
                let said = self.settle(*id)?;
                Some(reported(said, *disposition, from))
            }
            ClientEvent::Received(message) => Some(arrived(message)),
            ClientEvent::ConsentWanted { from, .. } => {
                let from = harmless(from.as_str(), false);
                Some(format!("{from} asks whether this arrived and is read: /allow tells\n"))
            }
            ClientEvent::RegistrationFailed(why) => {
                Some(format!("not registered: {}\n", harmless(&why.to_string(), false)))
            }
            _ => None,
        }
    }

    fn settle(&mut self, id: SentId) -> Option<&Said> {
        let sent = self.sent.get_mut(&id)?;
        sent.settled = true;
        Some(&sent.said)
    }
}

/// What became of a message, under its number.
fn reported(said: &Said, disposition: Disposition, from: &str) -> String {
    let (mark, what) = mark(disposition);
    format!("[{}] {mark} {what} {}  ({})\n", said.number, harmless(from, false), said.beginning())
}

/// The question of an earlier chat that has no answer yet.
pub(crate) fn asked_before(message: &ReceivedMessage) -> String {
    let from = message.from.as_ref().map_or("anonymous", Uri::as_str);
    let text = beginning(&text_of(message).replace('\n', " "), REPEATED);
    format!("{} asks whether this arrived and is read: /allow tells  ({text})\n", harmless(from, false))
}

/// A disposition as a mark, and in words before who says so.
fn mark(disposition: Disposition) -> (&'static str, &'static str) {
    match disposition {
        Disposition::Delivered => ("✓", "delivered to"),
        Disposition::Displayed => ("✓✓", "read by"),
        Disposition::InterworkedSms => ("✓", "sent as SMS to"),
        Disposition::InterworkedMms => ("✓", "sent as MMS to"),
        Disposition::DeliveryFailed => ("✗", "not delivered to"),
        _ => ("·", "news of"),
    }
}

/// A message that came.
fn arrived(message: &ReceivedMessage) -> String {
    let from = message.from.as_ref().map_or("anonymous", Uri::as_str);
    let from = harmless(from, false);
    let subject = message.subject.as_ref().map(|subject| format!("({}) ", harmless(subject, false)));
    let subject = subject.unwrap_or_default();
    format!("{from}: {subject}{}\n", text_of(message).trim_end().replace('\n', "\n    "))
}

fn text_of(message: &ReceivedMessage) -> String {
    let is_text = message.content_type.trim_start().to_ascii_lowercase().starts_with("text/");
    match std::str::from_utf8(&message.content) {
        Ok(text) if is_text => harmless(&text.chars().take(SHOWN).collect::<String>(), true),
        _ => format!("[{} octets of {}]", message.content.len(), harmless(&message.content_type, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap()
    }

    #[test]
    fn lines_mean_what_they_say() {
        assert_eq!(read("hello /there \n"), Line::Say("hello /there".to_owned()));
        assert_eq!(read("//etc/hosts"), Line::Say("/etc/hosts".to_owned()));
        assert_eq!(read("/to  sip:bob@example.com"), Line::To(Box::new(uri("sip:bob@example.com"))));
        assert_eq!(read("/anon guess who"), Line::SayAnonymously("guess who".to_owned()));
        assert_eq!(read("/reply yes"), Line::Reply("yes".to_owned()));
        assert_eq!((read("/help"), read("/q"), read("  \t ")), (Line::Help, Line::Quit, Line::Nothing));
        assert_eq!(read("/allow"), Line::Allow);
        for wrong in ["/to bob", "/to", "/anon", "/reply  ", "/tto x", "/", "/\x1b[2J"] {
            let Line::Wrong(why) = read(wrong) else { panic!("{wrong}") };
            assert!(!why.contains('\x1b'), "{why:?}");
        }
    }

    fn sent(id: u64) -> SentMessage {
        let parse = |text: &str| cpm_core::ContributionId::parse(text).unwrap();
        SentMessage {
            id: SentId(id),
            to: cpm_client::Recipients::One(uri("sip:bob@example.com")),
            conversation: cpm_core::ConversationId::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").unwrap(),
            contribution: parse("abcdef00-1234-4678-90ab-cdef01234567"),
            in_reply_to: None,
            message_id: format!("m{id}"),
            large: false,
        }
    }

    fn at(seconds: i64) -> DateTime {
        DateTime::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    fn message(text: &'static str, arrived: i64) -> ReceivedMessage {
        let id = cpm_client::ReceivedId(1);
        let from = Some(uri("sip:bob@example.com"));
        ReceivedMessage {
            from,
            ..ReceivedMessage::new(id, at(arrived), "text/plain", text.as_bytes().into())
        }
    }

    fn entry(text: &'static str, arrived: i64, read: bool) -> HistoryEntry {
        HistoryEntry::Message { message: Box::new(message(text, arrived)), read: read.then(|| at(arrived)) }
    }

    fn report(about: &str) -> HistoryEntry {
        HistoryEntry::Report {
            about: about.to_owned(),
            disposition: Disposition::Displayed,
            from: "sip:bob@example.com".to_owned(),
        }
    }

    fn earlier_said(number: u64, text: &str, seconds: i64) -> Said {
        let (message_id, to) = (format!("m{number}"), "sip:bob@example.com".to_owned());
        Said { number, message_id, to, text: text.to_owned(), at: at(seconds) }
    }

    /// What was said and shown before: in order, the last of it, with what became of what was said; what was not shown comes
    /// behind it, and what nobody knows any more is left out.
    #[test]
    fn earlier_chats_are_shown() {
        let mut talk = Talk::default();
        let bob = uri("sip:bob@example.com");
        talk.take_up(SentId(9), earlier_said(4, "hi", 3));
        assert!(!talk.waits());
        let history = [
            entry("old", 1, true),
            entry("unseen", 5, false),
            entry("two\nlines", 2, true),
            report("m4"),
            report("m1"),
        ];
        assert_eq!(
            talk.earlier(&history, 3),
            "earlier:\n    sip:bob@example.com: two\n        lines\n    [4] to sip:bob@example.com: hi\n    \
             [4] ✓✓ read by sip:bob@example.com  (hi)\nsip:bob@example.com: unseen\n"
        );
        assert_eq!(Talk::default().earlier(&[], 2), "");
        assert_eq!(talk.earlier(&[], 2), "earlier:\n    [4] to sip:bob@example.com: hi\n");
        assert!(talk.said(&sent(10), &bob, "next", at(9)).0.starts_with("[5] "));
    }

    /// One's own lines stand where they were said: behind what had come before them, before what was told of them.
    #[test]
    fn own_lines_stand_among_what_came() {
        let mut talk = Talk::default();
        for (number, text, seconds) in [(1, "one", 10), (2, "two", 20), (3, "three", 30)] {
            talk.take_up(SentId(number), earlier_said(number, text, seconds));
        }
        let shown = |history: &[HistoryEntry]| {
            let text = talk.earlier(history, 50);
            let lines = text.lines().skip(1).map(|line| line.trim().replace("sip:bob@example.com", "bob"));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&[entry("before", 5, true), entry("between", 25, true), report("m2"), report("m3")]),
            [
                "bob: before",
                "[1] to bob: one",
                "[2] to bob: two",
                "bob: between",
                "[2] ✓✓ read by bob  (two)",
                "[3] to bob: three",
                "[3] ✓✓ read by bob  (three)",
            ]
        );
        // A clock that ran backwards meanwhile: nothing is told of what was not said.
        assert_eq!(
            shown(&[report("m1"), entry("early", 1, true)]),
            [
                "[1] to bob: one",
                "[1] ✓✓ read by bob  (one)",
                "bob: early",
                "[2] to bob: two",
                "[3] to bob: three"
            ]
        );
    }

    #[test]
    fn a_question_that_is_open_is_asked_again() {
        let text = asked_before(&message("may I\x1b[2J\nknow", 1));
        assert!(text.starts_with("sip:bob@example.com asks whether this arrived and is read: /allow tells"));
        assert!(text.ends_with(")\n") && text.contains("know") && !text.contains('\x1b'), "{text:?}");
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn reports_come_under_the_number_of_their_message() {
        let mut talk = Talk::default();
        let bob = uri("sip:bob@example.com");
        assert_eq!(talk.said(&sent(7), &bob, "hello", at(1)).0, "[1] to sip:bob@example.com: hello\n");
        let long = "x".repeat(60);
        talk.said(&sent(8), &bob, &long, at(2));
        assert!(talk.waits());
        let event = |id, disposition| ClientEvent::Disposition {
            id: SentId(id),
            disposition,
            from: "sip:bob@example.com".to_owned(),
        };
        let told = talk.told(&event(7, Disposition::Displayed));
        assert_eq!(told.as_deref(), Some("[1] ✓✓ read by sip:bob@example.com  (hello)\n"));
        let told = talk.told(&event(8, Disposition::Delivered)).unwrap();
        assert_eq!(told, format!("[2] ✓ delivered to sip:bob@example.com  ({}…)\n", "x".repeat(40)));
        assert_eq!(talk.told(&event(9, Disposition::Delivered)), None);
        assert!(!talk.waits());
    }

    #[test]
    fn the_oldest_message_is_forgotten_first() {
        let mut talk = Talk::default();
        for n in 0..=REMEMBERED as u64 {
            let (_, forgotten) = talk.said(&sent(n), &uri("sip:bob@example.com"), "x", at(1));
            assert_eq!(forgotten, (n == REMEMBERED as u64).then_some(SentId(0)));
        }
        assert_eq!((talk.sent.len(), talk.sent.contains_key(&SentId(0))), (REMEMBERED, false));
    }
}
