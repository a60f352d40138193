//! What bytes on a wire are, in a few words: for traces and ladders. It reads anything and judges nothing.

use crate::ladder::Kind;
use cpm_base::Protocol;

/// A few words about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `MESSAGE sip:bob@home.test 1 a84b4c76`, `200 OK 1 MESSAGE a84b4c76`, `SEND d93k 1-2048/100000 +`.
    pub label: String,
    /// What it is.
    pub kind: Kind,
}

/// One datagram of SIP.
#[must_use]
pub fn datagram(bytes: &[u8]) -> Summary {
    let (head, _) = split_head(bytes).unwrap_or((bytes, &[]));
    sip(head)
}

/// What stands before the empty line, and what follows it.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((bytes.get(..at)?, bytes.get(at + 4..)?))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '.' } else { c }).take(80).collect()
}

/// The value of a header field in a block of lines; names without regard to case.
fn field<'a>(head: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let colon = line.iter().position(|b| *b == b':')?;
        let (name, value) = (line.get(..colon)?.trim_ascii(), line.get(colon + 1..)?.trim_ascii());
        names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes())).then_some(value)
    })
}

fn sip(head: &[u8]) -> Summary {
    let first = head.split(|b| *b == b'\n').next().unwrap_or(&[]).trim_ascii();
    let line = text(first);
    let cseq = field(head, &["CSeq"]).map(text).unwrap_or_default();
    let call: String = field(head, &["Call-ID", "i"]).map(text).unwrap_or_default().chars().take(8).collect();
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("SIP/2.0"), Some(status), reason) => Summary {
            label: format!("{status} {} {cseq} {call}", reason.unwrap_or_default()).trim_end().to_owned(),
            kind: status_kind(status),
        },
        (Some(method), Some(uri), Some("SIP/2.0")) => {
            // The number alone where the method of CSeq says nothing new.
            let cseq = cseq.strip_suffix(method).map_or(cseq.as_str(), str::trim_end);
            Summary {
                label: format!("{method} {uri} {cseq} {call}").trim_end().to_owned(),
                kind: Kind::Request,
            }
        }
        _ if first.is_empty() => Summary { label: "keep-alive".to_owned(), kind: Kind::Flow },
        _ => Summary { label: format!("? {line}"), kind: Kind::Failure },
    }
}

fn status_kind(status: &str) -> Kind {
    match status.bytes().next() {
        Some(b'1') => Kind::Provisional,
        Some(b'2') => Kind::Success,
        _ => Kind::Failure,
    }
}

/// Finds the messages in one direction of a stream, piece by piece, and says what they are when they are complete.
#[derive(Debug)]
pub struct StreamSummary {
    protocol: Protocol,
    pending: Vec<u8>,
    /// SIP: octets of a body to pass over. MSRP: the start of the message that is being read.
    body: usize,
    msrp: Option<MsrpHead>,
}

#[derive(Debug)]
struct MsrpHead {
    end_line: Vec<u8>,
    label: String,
    kind: Kind,
}

/// What is kept of a head at most; beyond that it is no message that we could name.
const MAX_PENDING: usize = 65_536;

impl StreamSummary {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        StreamSummary { protocol, pending: Vec::new(), body: 0, msrp: None }
    }

    /// The messages that are complete with these octets.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Summary> {
        self.pending.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            let next = match self.protocol {
                Protocol::Sip => self.next_sip(),
                Protocol::Msrp => self.next_msrp(),
            };
            match next {
                Some(Some(summary)) => found.push(summary),
                Some(None) => {}
                None => break,
            }
        }
        if self.pending.len() > MAX_PENDING {
            self.pending.clear();
        }
        found
    }

    /// `Some(None)`: moved on without finding a message. `None`: more octets are needed.
    fn next_sip(&mut self) -> Option<Option<Summary>> {
        if self.body > 0 {
            let now = self.body.min(self.pending.len());
            self.pending.drain(..now);
            self.body -= now;
            return if self.body == 0 { Some(None) } else { None };
        }
        if self.pending.starts_with(b"\r\n")
            && !self.pending.starts_with(b"\r\n\r\n")
            && self.pending.len() < 4
        {
            return None;
        }
        if self.pending.starts_with(b"\r\n") {
            let ping = self.pending.starts_with(b"\r\n\r\n");
            self.pending.drain(..if ping { 4 } else { 2 });
            let label = if ping { "keep-alive ping" } else { "keep-alive pong" };
            return Some(Some(Summary { label: label.to_owned(), kind: Kind::Flow }));
        }
        let (head, _) = split_head(&self.pending)?;
        let summary = sip(head);
        let length =
            field(head, &["Content-Length", "l"]).and_then(|value| text(value).parse().ok()).unwrap_or(0);
        let used = head.len() + 4;
        self.pending.drain(..used);
        self.body = length;
        Some(Some(summary))
    }

    fn next_msrp(&mut self) -> Option<Option<Summary>> {
        let Some(open) = &self.msrp else { return self.msrp_head() };
        let end = &open.end_line;
        let found = self.pending.windows(end.len()).position(|window| window == end.as_slice());
        match found {
            Some(at) => {
                // The flag and the line end behind it.
                let flag = *self.pending.get(at + end.len())?;
                self.pending.get(at + end.len() + 2)?;
                self.pending.drain(..at + end.len() + 3);
                let open = self.msrp.take()?;
                let flag = if flag == b'$' { String::new() } else { format!(" {}", text(&[flag])) };
                Some(Some(Summary { label: format!("{}{flag}", open.label), kind: open.kind }))
            }
            None => {
                let keep = end.len().min(self.pending.len());
                let spent = self.pending.len() - keep;
                self.pending.drain(..spent);
                None
            }
        }
    }

    /// The first line and header fields, up to the empty line or the end-line.
    fn msrp_head(&mut self) -> Option<Option<Summary>> {
        let line_end = self.pending.windows(2).position(|window| window == b"\r\n")?;
        let first = text(self.pending.get(..line_end)?);
        let mut words = first.splitn(4, ' ');
        let (Some("MSRP"), Some(id), Some(what)) = (words.next(), words.next(), words.next()) else {
            self.pending.drain(..line_end + 2);
            return Some(Some(Summary { label: format!("? {first}"), kind: Kind::Failure }));
        };
        let end_line = format!("\r\n-------{id}").into_bytes();
        let at_end = self.pending.windows(end_line.len()).position(|window| window == end_line.as_slice());
        let at_body = self.pending.windows(4).position(|window| window == b"\r\n\r\n");
        let head_end = match (at_end, at_body) {
            (Some(end), Some(body)) => end.min(body),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return None,
        };
        let head = self.pending.get(..head_end)?;
        let range = field(head, &["Byte-Range"]).map(text).unwrap_or_default();
        let status = field(head, &["Status"]).map(text).unwrap_or_default();
        let (detail, kind) = match what.bytes().all(|b| b.is_ascii_digit()) {
            true => (words.next().unwrap_or_default().to_owned(), status_kind(what)),
            false => ([range, status].join(" ").trim().to_owned(), Kind::Media),
        };
        let short: String = id.chars().take(8).collect();
        let label = format!("MSRP {what} {short} {detail}").trim_end().to_owned();
        self.pending.drain(..head_end);
        self.msrp = Some(MsrpHead { end_line, label, kind });
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"MESSAGE sip:bob@home.test SIP/2.0\r\nCall-ID: a84b4c76e66710@pc33\r\nCSeq: 1 MESSAGE\r\n\
        Content-Length: 6\r\n\r\n\r\nbody";
    const OK: &[u8] = b"SIP/2.0 200 OK\r\ni: a84b4c76e66710@pc33\r\nCSeq: 1 MESSAGE\r\nl: 0\r\n\r\n";

    #[test]
    fn a_datagram_in_a_line() {
        let summary = datagram(MESSAGE);
        assert_eq!(summary.label, "MESSAGE sip:bob@home.test 1 a84b4c76");
        assert_eq!(summary.kind, Kind::Request);
        assert_eq!(
            datagram(OK),
            Summary { label: "200 OK 1 MESSAGE a84b4c76".to_owned(), kind: Kind::Success }
        );
        assert_eq!(datagram(b"\x01\xff\r\n").kind, Kind::Failure);
        assert_eq!(datagram(b"").label, "keep-alive");
    }

    #[test]
    fn streams_are_read_whatever_the_cuts() {
        let sip = [MESSAGE, b"\r\n\r\n", OK, b"\r\n", OK].concat();
        let msrp = b"MSRP a786hjs2 SEND\r\nTo-Path: msrp://b\r\nByte-Range: 1-25/25\r\n\r\nHey\r\n-------a786hjs3$\r\n\
            \r\n-------a786hjs2+\r\nMSRP a786hjs2 200 OK\r\nTo-Path: msrp://a\r\n-------a786hjs2$\r\n"
            .to_vec();
        for (protocol, bytes, expected) in [
            (
                Protocol::Sip,
                sip,
                vec![
                    "MESSAGE sip:bob@home.test 1 a84b4c76",
                    "keep-alive ping",
                    "200 OK 1 MESSAGE a84b4c76",
                    "keep-alive pong",
                    "200 OK 1 MESSAGE a84b4c76",
                ],
            ),
            (Protocol::Msrp, msrp, vec!["MSRP SEND a786hjs2 1-25/25 +", "MSRP 200 a786hjs2 OK"]),
        ] {
            for size in [1, 2, 3, 7, 50, 10_000] {
                let mut stream = StreamSummary::new(protocol);
                let labels: Vec<String> = bytes
                    .chunks(size)
                    .flat_map(|piece| stream.push(piece))
                    .map(|summary| summary.label)
                    .collect();
                assert_eq!(labels, expected, "cut every {size}");
            }
        }
    }
}
