//! What is said about a file, before it is text or JSON.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// One file.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    pub(super) file: String,
    pub(super) octets: usize,
    /// Whether there is at least one message, and all are well-formed and valid.
    pub(super) valid: bool,
    pub(super) messages: Vec<Decoded>,
}

impl FileReport {
    pub(super) fn new(file: String, octets: usize, messages: Vec<Decoded>) -> FileReport {
        let valid = messages.iter().all(|message| message.verdict.valid)
            && messages.iter().any(|message| message.kind != Kind::KeepAlive);
        FileReport { file, octets, valid, messages }
    }
}

/// What something in a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Request,
    Response,
    KeepAlive,
    /// A chunk of MSRP.
    Msrp,
    /// A body without a message around it.
    Body,
    Unreadable,
}

/// One message.
#[derive(Debug, Serialize)]
pub(super) struct Decoded {
    /// Where it begins in the file.
    pub(super) offset: usize,
    pub(super) octets: usize,
    /// Octets behind it in the same datagram, which nobody reads.
    pub(super) ignored_octets: usize,
    pub(super) kind: Kind,
    pub(super) start_line: Option<StartLine>,
    pub(super) headers: Vec<Field>,
    pub(super) bodies: Vec<Body>,
    pub(super) verdict: Verdict,
}

impl Decoded {
    pub(super) fn new(offset: usize, octets: usize, kind: Kind) -> Decoded {
        Decoded {
            offset,
            octets,
            ignored_octets: 0,
            kind,
            start_line: None,
            headers: Vec::new(),
            bodies: Vec::new(),
            verdict: Verdict { valid: true, findings: Vec::new() },
        }
    }

    pub(super) fn keep_alive(offset: usize, text: &str) -> Decoded {
        let start_line = StartLine { text: text.to_owned(), reading: Pairs::default() };
        Decoded { start_line: Some(start_line), ..Decoded::new(offset, 2, Kind::KeepAlive) }
    }
}

/// Request-Line or Status-Line.
#[derive(Debug, Serialize)]
pub(super) struct StartLine {
    pub(super) text: String,
    pub(super) reading: Pairs,
}

/// One header field.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    /// The long form of a known name, any other as it was written.
    pub(super) name: String,
    /// Whether there is a typed reading for fields of this name.
    pub(super) known: bool,
    /// The value as it was written, without its folds; octets that are no UTF-8 as escapes.
    pub(super) value: String,
    /// What the values mean, one for each; none where the field cannot be read.
    pub(super) readings: Vec<Pairs>,
}

/// A body, or a part of one. They stand in order, what is inside behind what it is inside of.
#[derive(Debug, Serialize)]
pub(super) struct Body {
    /// `body`, `body.1`, `body.1.2`: the parts on the way to it, counted from 1.
    pub(super) place: String,
    pub(super) depth: usize,
    pub(super) content_type: String,
    pub(super) octets: usize,
    /// Header fields of its own, as they were written.
    pub(super) headers: Vec<(String, String)>,
    /// What it means, where it is a type that is known.
    pub(super) reading: Vec<(String, String)>,
    pub(super) content: Content,
}

/// What a body holds, beside what is inside of it and printed on its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Content {
    /// Other bodies, or nothing.
    Inside,
    Text(String),
    Base64(String),
}

/// Names and values in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl Pairs {
    /// One that the value has; a name that is taken already gets the value behind what it has.
    pub(super) fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(taken, _)| taken == name) {
            Some((_, before)) => {
                before.push_str(", ");
                before.push_str(&value);
            }
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Pairs {
        self.add(name, value);
        self
    }

    pub(super) fn maybe(mut self, name: &str, value: Option<impl Into<String>>) -> Pairs {
        if let Some(value) = value {
            self.add(name, value);
        }
        self
    }
}

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What is to be said about a message.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Well-formed and valid; what a user agent or a proxy would refuse for other reasons does not count.
    pub(super) valid: bool,
    pub(super) findings: Vec<Finding>,
}

impl Verdict {
    pub(super) fn new(findings: Vec<Finding>) -> Verdict {
        Verdict { valid: findings.iter().all(|finding| finding.kind != FindingKind::Fault), findings }
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FindingKind {
    /// The message is not what the standard says.
    Fault,
    /// A user agent of CPM would refuse it, well-formed as it is.
    UserAgentRefuses,
    /// A proxy would refuse it, well-formed as it is.
    ProxyRefuses,
    /// Who receives it gets along with it.
    Lapse,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) kind: FindingKind,
    pub(super) place: String,
    /// Octets from the beginning of the message.
    pub(super) octet: Option<usize>,
    pub(super) text: String,
    /// The status line and header fields of the answer that it deserves; none for a response, an ACK, and what cannot be
    /// answered.
    pub(super) answer: Option<Answer>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<(String, String)>,
}
