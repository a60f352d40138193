//! What `cpm endpoint` can be told to do, one step after another.

use cpm_sip::Uri;
use std::time::Duration;

/// A step with its words.
#[derive(Debug, Clone)]
pub(crate) struct Do {
    pub(crate) words: String,
    pub(crate) step: Step,
}

impl Do {
    pub(crate) fn parse(words: &str) -> Result<Do, String> {
        Ok(Do { words: words.to_owned(), step: Step::parse(words)? })
    }
}

/// One thing to do. It is over when it has worked, or not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Register,
    Deregister,
    Message(Uri, String),
    Options(Uri),
    Invite(Uri),
    Reinvite,
    Update,
    Bye,
    Subscribe(Uri, String, u32),
    Unsubscribe,
    Refer(Uri),
    AwaitCall,
    AwaitBye,
    AwaitMessage,
    Wait(Duration),
}

impl Step {
    /// Reads a step as it stands on the command line.
    pub(crate) fn parse(text: &str) -> Result<Step, String> {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let rest = rest.trim();
        let uri = |text: &str| Uri::parse(text).map_err(|error| format!("{text}: {error}"));
        let step = match word {
            "message" => {
                let (to, text) = rest.split_once(' ').ok_or("message needs a URI and a text")?;
                return Ok(Step::Message(uri(to)?, text.to_owned()));
            }
            "options" => return uri(rest).map(Step::Options),
            "invite" => return uri(rest).map(Step::Invite),
            "refer" => return uri(rest).map(Step::Refer),
            "subscribe" => return subscribe(rest, uri),
            "wait" => {
                let time: u64 = rest.parse().map_err(|_| "wait needs a number of milliseconds")?;
                return Ok(Step::Wait(Duration::from_millis(time)));
            }
            "register" => Step::Register,
            "deregister" => Step::Deregister,
            "reinvite" => Step::Reinvite,
            "update" => Step::Update,
            "bye" => Step::Bye,
            "unsubscribe" => Step::Unsubscribe,
            "await-call" => Step::AwaitCall,
            "await-bye" => Step::AwaitBye,
            "await-message" => Step::AwaitMessage,
            _ => return Err(format!("{word} is no step")),
        };
        if rest.is_empty() { Ok(step) } else { Err(format!("{word} takes nothing")) }
    }
}

fn subscribe(rest: &str, uri: impl Fn(&str) -> Result<Uri, String>) -> Result<Step, String> {
    let mut words = rest.split_ascii_whitespace();
    let (Some(to), Some(package)) = (words.next(), words.next()) else {
        return Err("subscribe needs a URI and an event package".to_owned());
    };
    let expires = match words.next() {
        None => 600,
        Some(text) => text.parse().map_err(|_| format!("{text} is no number of seconds"))?,
    };
    Ok(Step::Subscribe(uri(to)?, package.to_owned(), expires))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        let to = || Uri::parse("sip:bob@example.com").unwrap();
        let cases = [
            ("register", Step::Register),
            (" message  sip:bob@example.com  hello  you ", Step::Message(to(), String::from(" hello  you"))),
            ("invite sip:bob@example.com", Step::Invite(to())),
            ("subscribe sip:bob@example.com presence", Step::Subscribe(to(), String::from("presence"), 600)),
            ("subscribe sip:bob@example.com presence 0", Step::Subscribe(to(), String::from("presence"), 0)),
            ("wait 250", Step::Wait(Duration::from_millis(250))),
            ("await-bye", Step::AwaitBye),
        ];
        for (text, step) in cases {
            assert_eq!(Step::parse(text), Ok(step), "{text}");
        }
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for text in [
            "",
            "dance",
            "message",
            "message sip:bob@example.com",
            "invite",
            "invite bob",
            "bye now",
            "wait",
            "subscribe sip:a@b",
            "subscribe sip:a@b p x",
        ] {
            assert!(Step::parse(text).is_err(), "{text}");
        }
    }
}
