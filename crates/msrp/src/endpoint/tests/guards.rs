//! Guards of the threats that have no other place here, and what holds whatever happens.

use super::raw::Raw;
use super::*;
use proptest::prelude::*;

fn sends(text: &str) -> Vec<String> {
    let starts = text.split("\r\n").filter_map(|l| l.strip_prefix("MSRP ")?.strip_suffix(" SEND"));
    starts.map(ToString::to_string).collect()
}

/// Threat B10: whatever storm of REPORTs comes, whole or broken, with bodies, asking for reports themselves, nothing is
/// said in return and nothing is kept.
#[test]
fn a_storm_of_reports_causes_nothing() {
    let mut raw = Raw::bound();
    for number in 0..2000 {
        let fields = match number % 4 {
            0 => "Message-ID: none1234\r\nStatus: 000 200 OK\r\n",
            1 => {
                "Message-ID: none1234\r\nStatus: 000 413 Stop\r\nSuccess-Report: yes\r\nFailure-Report: yes\r\n"
            }
            2 => "Message-ID: none1234\r\nByte-Range: 1-10/10\r\nStatus: 000 400\r\nSuccess-Report: yes\r\n",
            _ => "Message-ID: none1234\r\nFailure-Report: partial\r\nStatus: 000 481 x\r\n",
        };
        let body = (number % 3 == 0).then_some("why not");
        assert_eq!(raw.request(&format!("storm{number:04}"), "REPORT", fields, body, '$'), "");
    }
    assert!(raw.take().iter().all(|event| matches!(event, Event::Report { transfer: None, .. })));
    assert_quiet(&raw.endpoint);
    assert_eq!(raw.endpoint.metrics().get("msrp.reports_out"), 0);
}

/// Threat B10: one report for a message, in however many chunks and however often it came, and none for a message whose
/// session has ended; answers that were not released are gone with it.
#[test]
fn a_message_is_reported_once_and_nothing_survives_its_session() {
    let fields = |range: &str| format!("Message-ID: m1234\r\nSuccess-Report: yes\r\nByte-Range: {range}\r\n");
    let mut raw = Raw::bound();
    let mut said = String::new();
    for number in 0..10 {
        let range = format!("{}-*/12", number + 1);
        said += &raw.request(&format!("abcd{number:04}"), "SEND", &fields(&range), Some("x"), '+');
        said += &raw.request(&format!("efgh{number:04}"), "SEND", &fields(&range), Some("x"), '+');
    }
    said += &raw.request("last1234", "SEND", &fields("11-12/12"), Some("xx"), '$');
    assert_eq!((said.matches(" 200 OK").count(), said.matches(" REPORT").count()), (22, 1), "{said}");
    assert_quiet(&raw.endpoint);

    let mut raw = Raw::bound();
    raw.answer = None;
    raw.request("abcd0001", "SEND", &fields("1-3/3"), Some("abc"), '$');
    let chunk = raw.take().iter().find_map(|event| match event {
        Event::ChunkEnd { chunk, .. } => Some(*chunk),
        _ => None,
    });
    raw.endpoint.handle_closed(raw.now, raw.flow, CloseReason::PeerClosed);
    raw.endpoint.respond(raw.now, chunk.unwrap(), Status::OK);
    assert_eq!(raw.drain(), "");
    assert_eq!(raw.endpoint.metrics().get("msrp.reports_out"), 0);
    assert_empty(&raw.endpoint);
}

/// Threat B10: requests of ours that wait for their responses are bounded; messages beyond that wait, and go out when
/// there is room.
#[test]
fn requests_that_wait_for_their_responses_are_bounded() {
    let mut raw = Raw::with(Limits { max_outstanding: 8, ..Limits::default() }, |_| {});
    raw.bind();
    for _ in 0..20 {
        raw.endpoint.send(raw.now, raw.session, message("x")).unwrap();
    }
    let mut waiting = sends(&raw.drain());
    assert_eq!(waiting.len(), 8);
    for answered in 1..=20 {
        let tid = waiting.remove(0);
        let text = raw.text(&tid, "200 OK", "", None, '$');
        waiting.extend(sends(&raw.feed(text)));
        assert_eq!(waiting.len(), 8.min(20 - answered));
    }
    assert_quiet(&raw.endpoint);
}

/// Threat B4: a body that begins with the end-line of its own transaction, right behind the empty line, or holds it where
/// two of its pieces meet, is sent under another one, in one chunk that says where it ends.
#[test]
fn a_body_that_begins_with_its_end_line_is_sent_under_another_transaction() {
    /// Sends this body in pieces of these lengths; what is written.
    fn wire(body: &[u8], pieces: &[usize]) -> (String, u64) {
        let mut raw = Raw::bound();
        let whole = pieces.is_empty();
        let kind = match whole {
            true => Body::Octets(Bytes::copy_from_slice(body)),
            false => Body::Source { total: Some(body.len() as u64) },
        };
        let transfer =
            raw.endpoint.send(raw.now, raw.session, Outgoing { body: kind, ..message("") }).unwrap();
        let mut out = raw.drain();
        let mut left = body;
        for length in pieces {
            let (piece, rest) = left.split_at(*length);
            raw.endpoint.supply(raw.now, transfer, Bytes::copy_from_slice(piece), false).unwrap();
            left = rest;
        }
        out += &raw.drain();
        (out, raw.endpoint.metrics().get("msrp.end_lines_avoided"))
    }
    let pieces: [&[usize]; 3] = [&[], &[600, 600], &[607, 593]];
    for pieces in pieces {
        let (first, avoided) = wire(&[b'x'; 1200], pieces);
        assert_eq!((sends(&first).len(), avoided), (1, 0));
        let end_line = format!("-------{}$\r\n", sends(&first)[0]);
        for at in [0, 1, 598, 600, 606] {
            let mut body = vec![b'x'; 1200];
            body[at..at + end_line.len()].copy_from_slice(end_line.as_bytes());
            let (out, avoided) = wire(&body, pieces);
            assert_eq!((sends(&out).len(), avoided), (1, 1), "{at} {pieces:?}");
            let tid = &sends(&out)[0];
            let text = String::from_utf8(body).unwrap();
            assert!(out.contains("\r\nByte-Range: 1-1200/1200\r\n"), "{out}");
            assert!(out.ends_with(&format!("\r\n\r\n{text}\r\n-------{tid}$\r\n")), "{out}");
        }
    }
}

/// Threat B13: whoever speaks another protocol here gets no word in return and is out, at the beginning and later.
#[test]
fn another_protocol_gets_no_word() {
    for text in [
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01",
        "EHLO example.com\r\n",
        "220 example.com ESMTP\r\n",
        "INVITE sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "SSH-2.0-x\r\n",
        "\r\n\r\n",
        "MSRP\t",
    ] {
        for first in [true, false] {
            let mut raw = if first { Raw::with(Limits::default(), |_| {}) } else { Raw::bound() };
            assert_eq!(raw.feed(text), "", "{text:?}");
            assert_eq!(raw.closed, [(raw.flow, CloseReason::ProtocolError)], "{text:?}");
            let lost = raw.take().iter().any(|event| matches!(event, Event::Lost { .. }));
            assert_eq!(lost, !first, "a session that was bound there is lost with it");
            // What would be sound is not read any more.
            let good = raw.text("good1234", "SEND", "Message-ID: m1234\r\n", Some("hi"), '$');
            assert_eq!(raw.feed(good), "");
            assert!(raw.take().is_empty());
        }
    }
}

/// What may be said when a session is gone.
fn is_of_a_session(event: &Event) -> bool {
    !matches!(event, Event::Fault(_))
}

proptest! {
    /// Whatever was under way, nothing is told of a session after its `Lost`, whatever still comes, is asked or passes.
    #[test]
    fn nothing_is_told_after_lost(
        before in proptest::collection::vec((0u8..9, 0u8..200), 0..30),
        end in 0u8..4,
        after in proptest::collection::vec((0u8..9, 0u8..200), 0..20),
    ) {
        let mut raw = Raw::bound();
        raw.answer = None;
        let mut known = Known::default();
        for (step, n) in before {
            known.step(&mut raw, step, n);
        }
        if !known.lost {
            match end {
                0 => raw.endpoint.handle_closed(raw.now, raw.flow, CloseReason::Failed),
                1 => {
                    // Behind a chunk that is cut this is body: then it is the connection that ends.
                    raw.feed("\r\nno MSRP at all\r\n");
                    raw.endpoint.handle_closed(raw.now, raw.flow, CloseReason::PeerClosed);
                }
                2 => {
                    raw.endpoint.handle_closed(raw.now, raw.flow, CloseReason::PeerClosed);
                    raw.endpoint.handle_closed(raw.now, raw.flow, CloseReason::PeerClosed);
                }
                _ => {
                    let session = raw.session;
                    raw.endpoint.lose_session(raw.now, session, LostReason::Timeout);
                }
            }
        }
        known.look(&mut raw);
        prop_assert!(known.lost, "its end is told");
        for (step, n) in after {
            known.step(&mut raw, step, n);
        }
        for seconds in [30, 31, 3600] {
            raw.pass(seconds);
            known.look(&mut raw);
        }
        prop_assert!(!known.after_lost, "told after Lost");
        prop_assert!(raw.endpoint.is_idle() || !raw.endpoint.connections.is_empty());
    }

    /// However often and whenever it is paused and read on, every octet comes once and in order, none while it is paused
    /// but what was told before, and the host is asked not to read exactly as long.
    #[test]
    fn storms_of_pause_and_resume_lose_nothing(
        steps in proptest::collection::vec((0u8..4, 1usize..90), 1..120),
        chunk in 10usize..200,
    ) {
        let mut raw = Raw::bound();
        let body: String = (b'a'..=b'z').cycle().step_by(7).take(1000).map(char::from).collect();
        let mut wire = String::new();
        for (number, part) in body.as_bytes().chunks(chunk).enumerate() {
            let from = number * chunk;
            let last = from + part.len() == body.len();
            let fields = format!("Message-ID: storm123\r\nByte-Range: {}-*/1000\r\n", from + 1);
            let part = core::str::from_utf8(part).unwrap();
            wire += &raw.text(&format!("abcd{number:04}"), "SEND", &fields, Some(part), if last { '$' } else { '+' });
        }
        let (mut left, mut got, mut message, mut paused, mut whole) = (wire.as_bytes(), Vec::new(), None, false, false);
        let mut take = |raw: &mut Raw, message: &mut Option<IncomingId>, may: bool| {
            for event in raw.take() {
                match event {
                    Event::Incoming { transfer, .. } => *message = Some(transfer),
                    Event::Data { bytes, offset, .. } => {
                        assert!(may, "octets while it is paused");
                        assert_eq!(offset, got.len() as u64);
                        got.extend_from_slice(&bytes);
                    }
                    Event::ChunkEnd { complete, .. } => whole |= complete == Some(1000),
                    _ => {}
                }
            }
            (got.len(), whole)
        };
        for (step, n) in steps {
            match (step, message) {
                (0, Some(id)) => {
                    raw.endpoint.pause(raw.now, id);
                    paused = !raw.endpoint.wants_read(raw.flow);
                }
                (1, Some(id)) => {
                    raw.endpoint.resume(raw.now, id);
                    raw.drain();
                    paused = false;
                    take(&mut raw, &mut message, true);
                    prop_assert!(raw.endpoint.wants_read(raw.flow));
                }
                _ => {
                    let (now, rest) = left.split_at(n.min(left.len()));
                    left = rest;
                    raw.feed(Bytes::copy_from_slice(now));
                    take(&mut raw, &mut message, !paused);
                }
            }
            prop_assert_eq!(raw.endpoint.wants_read(raw.flow), !paused);
        }
        raw.feed(Bytes::copy_from_slice(left));
        take(&mut raw, &mut message, !paused);
        if let Some(id) = message {
            raw.endpoint.resume(raw.now, id);
        }
        raw.drain();
        let (length, whole) = take(&mut raw, &mut message, true);
        prop_assert_eq!((length, whole), (1000, true));
        prop_assert_eq!(got, body.into_bytes());
        assert_quiet(&raw.endpoint);
    }
}

/// What a random program knows of the endpoint.
#[derive(Default)]
struct Known {
    chunks: Vec<ChunkId>,
    incoming: Vec<IncomingId>,
    transfers: Vec<TransferId>,
    wants: Vec<(TransferId, u64)>,
    tids: Vec<String>,
    count: u32,
    lost: bool,
    after_lost: bool,
}

impl Known {
    fn look(&mut self, raw: &mut Raw) {
        let out = raw.drain();
        self.tids.extend(sends(&out));
        for event in raw.take() {
            self.after_lost |= self.lost && is_of_a_session(&event);
            match event {
                Event::Lost { .. } => self.lost = true,
                Event::Incoming { transfer, .. } => self.incoming.push(transfer),
                Event::ChunkEnd { chunk, .. } => self.chunks.push(chunk),
                Event::Wants { transfer, max, .. } => self.wants.push((transfer, max)),
                _ => {}
            }
        }
    }

    fn step(&mut self, raw: &mut Raw, step: u8, n: u8) {
        self.count += 1;
        let pick = usize::from(n);
        match step {
            0 | 1 => {
                let fields =
                    format!("Message-ID: msg{}xyz\r\nByte-Range: 1-*/*\r\nSuccess-Report: yes\r\n", n % 5);
                let flag = ['+', '$', '#'][pick % 3];
                let text =
                    raw.text(&format!("step{:05}", self.count), "SEND", &fields, Some("some octets"), flag);
                let length = if step == 0 { text.len() } else { text.len().saturating_sub(pick) };
                let out = raw.feed(text[..length].to_string());
                self.tids.extend(sends(&out));
            }
            2 => {
                let body = match n % 3 {
                    0 => Body::Octets("short".into()),
                    1 => Body::Octets(vec![b'x'; 9000].into()),
                    _ => Body::Source { total: n.is_multiple_of(2).then_some(5000) },
                };
                let outgoing = Outgoing { body, ..message("") };
                self.transfers.extend(raw.endpoint.send(raw.now, raw.session, outgoing));
            }
            3 if !self.chunks.is_empty() => {
                let chunk = self.chunks.remove(pick % self.chunks.len());
                let status = if n.is_multiple_of(4) { Status::STOP } else { Status::OK };
                raw.endpoint.respond(raw.now, chunk, status);
            }
            4 if !self.incoming.is_empty() => {
                let incoming = self.incoming[pick % self.incoming.len()];
                match n % 3 {
                    0 => raw.endpoint.pause(raw.now, incoming),
                    _ => raw.endpoint.resume(raw.now, incoming),
                }
            }
            5 if !self.tids.is_empty() => {
                let tid = self.tids.remove(pick % self.tids.len());
                let status = ["200 OK", "413 Stop", "481 None"][usize::from(n.is_multiple_of(16)) * 2
                    + usize::from(n % 5 == 1 && !n.is_multiple_of(16))];
                let text = raw.text(&tid, status, "", None, '$');
                self.tids.extend(sends(&raw.feed(text)));
            }
            6 if !self.wants.is_empty() => {
                let (transfer, max) = self.wants.remove(pick % self.wants.len());
                let octets = vec![b'y'; (max as usize).min(pick * 20)];
                let _ = raw.endpoint.supply(raw.now, transfer, octets.into(), n.is_multiple_of(7));
            }
            7 if !self.transfers.is_empty() => {
                let transfer = self.transfers[pick % self.transfers.len()];
                raw.endpoint.abort(raw.now, transfer);
            }
            8 => raw.pass(u64::from(n % 20)),
            _ => {}
        }
        self.look(raw);
    }
}
