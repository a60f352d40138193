//! The report for people. Nothing of what peers wrote acts on the terminal.

use super::report::{Body, Content, Decoded, FileReport, Finding, FindingKind, Kind, Pairs};
use crate::terminal::harmless;

/// Characters of a body without text that are shown.
const SHOWN: usize = 76;

/// All reports, one behind the other.
pub(super) fn render(reports: &[FileReport]) -> String {
    let mut out = Lines::default();
    for report in reports {
        for (number, message) in report.messages.iter().enumerate() {
            title(&mut out, report, number, message);
            one(&mut out, message);
        }
        if report.messages.is_empty() {
            out.line(0, &format!("{}: nothing in it", harmless(&report.file, false)));
            out.line(0, "verdict: invalid");
        }
    }
    out.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    /// One line, `depth` steps to the right. The text is harmless already.
    fn line(&mut self, depth: usize, text: &str) {
        self.0.push_str(&"    ".repeat(depth));
        self.0.push_str(text);
        self.0.push('\n');
    }
}

fn title(out: &mut Lines, report: &FileReport, number: usize, message: &Decoded) {
    if !out.0.is_empty() {
        out.line(0, "");
    }
    let kind = match message.kind {
        Kind::Request => "request",
        Kind::Response => "response",
        Kind::KeepAlive => "keep-alive",
        Kind::Msrp => "MSRP chunk",
        Kind::Body => "body",
        Kind::Unreadable => "not readable",
    };
    let file = harmless(&report.file, false);
    let which = if report.messages.len() > 1 {
        format!(" [{}] at octet {}", number.saturating_add(1), message.offset)
    } else {
        String::new()
    };
    let ignored = match message.ignored_octets {
        0 => String::new(),
        octets => format!(", and {octets} octets behind it that are no part of it"),
    };
    out.line(0, &format!("{file}{which}: {kind}, {} octets{ignored}", message.octets));
}

fn one(out: &mut Lines, message: &Decoded) {
    if message.kind == Kind::KeepAlive {
        return;
    }
    if let Some(start) = &message.start_line {
        out.line(0, &harmless(&start.text, false));
        reading(out, 1, &start.reading);
    }
    for field in &message.headers {
        out.line(
            0,
            format!("{}: {}", harmless(&field.name, false), harmless(&field.value, false)).trim_end(),
        );
        for pairs in &field.readings {
            reading(out, 1, pairs);
        }
    }
    for part in &message.bodies {
        body(out, part);
    }
    out.line(0, if message.verdict.valid { "verdict: valid" } else { "verdict: invalid" });
    for found in &message.verdict.findings {
        finding(out, found);
    }
}

fn reading(out: &mut Lines, depth: usize, pairs: &Pairs) {
    let words =
        pairs.0.iter().map(|(name, value)| format!("{}={}", harmless(name, false), harmless(value, false)));
    let words: Vec<String> = words.collect();
    if !words.is_empty() {
        out.line(depth, &words.join("  "));
    }
}

fn body(out: &mut Lines, body: &Body) {
    let depth = body.depth;
    out.line(
        depth,
        &format!("({}) {}, {} octets", body.place, harmless(&body.content_type, false), body.octets),
    );
    let deeper = depth.saturating_add(1);
    // The outermost one has its header fields from the message.
    if depth > 0 {
        for (name, value) in &body.headers {
            out.line(deeper, &format!("{}: {}", harmless(name, false), harmless(value, false)));
        }
    }
    for (name, value) in &body.reading {
        out.line(deeper, &format!("{}={}", harmless(name, false), harmless(value, false)));
    }
    match &body.content {
        Content::Inside => {}
        Content::Text(text) => {
            for line in harmless(text, true).lines() {
                out.line(deeper, &format!("| {line}"));
            }
        }
        Content::Base64(text) => {
            let shown = text.get(..SHOWN).unwrap_or(text);
            let more = if shown.len() < text.len() { "…" } else { "" };
            out.line(deeper, &format!("base64 {shown}{more}"));
        }
    }
}

fn finding(out: &mut Lines, finding: &Finding) {
    let kind = match finding.kind {
        FindingKind::Fault => "fault",
        FindingKind::UserAgentRefuses => "refused by a user agent",
        FindingKind::ProxyRefuses => "refused by a proxy",
        FindingKind::Lapse => "lapse",
    };
    let octet = finding.octet.map_or(String::new(), |octet| format!(", octet {octet}"));
    out.line(
        1,
        &format!("{kind} at {}{octet}: {}", harmless(&finding.place, false), harmless(&finding.text, false)),
    );
    if let Some(answer) = &finding.answer {
        out.line(2, &format!("answer: {} {}", answer.status, harmless(&answer.reason, false)));
        for (name, value) in &answer.headers {
            out.line(3, &format!("{}: {}", harmless(name, false), harmless(value, false)));
        }
    } else if finding.kind != FindingKind::Lapse {
        out.line(2, "answer: none");
    }
}
