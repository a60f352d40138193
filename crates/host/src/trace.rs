//! A trace to read: one header line per crossing, then its octets as they are.

use crate::tap::{Crossing, TapSink, What};
use cpm_base::{DateTime, Protocol};
use std::io::{self, Write};

/// Writes a trace as text.
///
/// A header line begins with `---`, says when (UTC), how long after the first one, the transport and protocol, both
/// ends with the way the octets took, how many there are, and which node it was where nodes have names; so a reader knows where the octets end even when they
/// are no text.
///
/// ```text
/// --- 2026-01-31T12:00:00.000123Z +0.000000 UDP SIP 127.0.0.1:5060 > 127.0.0.1:5070 sent 421 octets
/// MESSAGE sip:bob@example.com SIP/2.0
/// ```
pub struct TraceWriter<W> {
    to: W,
    first: Option<cpm_base::Instant>,
}

impl<W: Write> TraceWriter<W> {
    /// A trace that goes to `to`.
    pub fn new(to: W) -> Self {
        TraceWriter { to, first: None }
    }
}

impl<W: Write + Send> TapSink for TraceWriter<W> {
    fn record(&mut self, crossing: &Crossing<'_>) -> io::Result<()> {
        let path = &crossing.path;
        let first = *self.first.get_or_insert(crossing.at.mono);
        let protocol = match path.protocol {
            Protocol::Sip => "SIP",
            Protocol::Msrp => "MSRP",
        };
        let (from, to) = match crossing.what {
            What::Sent(_) | What::Connected | What::Ended => (path.local, path.peer),
            What::Received(_) | What::Accepted | What::PeerEnded => (path.peer, path.local),
        };
        let at = micros(crossing.at.wall);
        let after = crossing.at.mono.since(first).as_secs_f64();
        write!(self.to, "--- {at} +{after:.6} {} {protocol} {from} > {to} ", path.transport)?;
        match crossing.what {
            What::Sent(bytes) => self.octets("sent", bytes, crossing.node),
            What::Received(bytes) => self.octets("received", bytes, crossing.node),
            What::Connected => writeln!(self.to, "connected{}", by(crossing.node)),
            What::Accepted => writeln!(self.to, "accepted{}", by(crossing.node)),
            What::Ended | What::PeerEnded => writeln!(self.to, "ended"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> TraceWriter<W> {
    fn octets(&mut self, way: &str, bytes: &[u8], node: &str) -> io::Result<()> {
        writeln!(self.to, "{way} {} octets{}", bytes.len(), by(node))?;
        self.to.write_all(bytes)?;
        // The header line stands at the beginning of a line, whatever the octets end with.
        if bytes.last() == Some(&b'\n') { Ok(()) } else { writeln!(self.to) }
    }
}

/// Which node of several did it.
fn by(node: &str) -> String {
    if node.is_empty() { String::new() } else { format!(" by {node}") }
}

/// The date with six digits of fraction, so that lines align.
fn micros(at: DateTime) -> String {
    let micros = at.unix_micros();
    let whole = DateTime::from_unix_micros(micros.saturating_sub(micros.rem_euclid(1_000_000)));
    let whole = whole.unwrap_or(at).to_string();
    format!("{}.{:06}Z", whole.trim_end_matches('Z'), micros.rem_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::Path;
    use cpm_base::{Instant, Now, Transport};

    #[test]
    fn header_lines_begin_lines() {
        let path = Path {
            protocol: Protocol::Sip,
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            peer: "127.0.0.1:5070".parse().unwrap(),
        };
        let at = |micros: u64| {
            let wall =
                DateTime::from_unix_micros(1_769_860_800_000_000 + i64::try_from(micros).unwrap()).unwrap();
            Now::new(Instant::from_micros(micros), wall)
        };
        let mut trace = TraceWriter::new(Vec::new());
        trace.record(&Crossing { at: at(100), node: "", path, what: What::Sent(b"ab") }).unwrap();
        trace
            .record(&Crossing { at: at(1_500_100), node: "bob", path, what: What::Received(b"cd\r\n") })
            .unwrap();
        let tcp = Path { transport: Transport::Tcp, protocol: Protocol::Msrp, ..path };
        trace.record(&Crossing { at: at(2_000_100), node: "", path: tcp, what: What::PeerEnded }).unwrap();
        let expected = "\
            --- 2026-01-31T12:00:00.000100Z +0.000000 UDP SIP 127.0.0.1:5060 > 127.0.0.1:5070 sent 2 octets\nab\n\
            --- 2026-01-31T12:00:01.500100Z +1.500000 UDP SIP 127.0.0.1:5070 > 127.0.0.1:5060 received 4 octets by bob\ncd\r\n\
            --- 2026-01-31T12:00:02.000100Z +2.000000 TCP MSRP 127.0.0.1:5070 > 127.0.0.1:5060 ended\n";
        assert_eq!(String::from_utf8(trace.to).unwrap(), expected);
    }
}
