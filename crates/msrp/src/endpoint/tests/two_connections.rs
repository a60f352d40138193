//! Sessions of which both sides connected: the peer's connection is bound, ours stays open beside it (threats I5).

use super::raw::Raw;
use super::*;
use crate::parser::{Frame, StreamParser};

const THEIRS: FlowId = FlowId(1);
const OURS: FlowId = FlowId(2);

/// Our connection is open and has our first request; theirs is accepted and brought nothing yet.
fn both_active() -> Raw {
    let mut raw = Raw::with(Limits::default(), |config| config.role = there());
    let Some(Action::Open(open, _)) = raw.endpoint.poll_action() else { panic!() };
    raw.endpoint.handle_opened(raw.now, open, Ok((OURS, info())));
    raw
}

fn data(events: &[Event]) -> Vec<(u64, Bytes)> {
    let octets = |event: &Event| match event {
        Event::Data { offset, bytes, .. } => Some((*offset, bytes.clone())),
        _ => None,
    };
    events.iter().filter_map(octets).collect()
}

/// Threat B11: a message that is held up is so on both connections, wherever its chunks come, and both are read on.
#[test]
fn a_pause_holds_on_both_connections() {
    for bound_late in [false, true] {
        let mut raw = both_active();
        let on = |raw: &mut Raw, flow| raw.flow = flow;
        on(&mut raw, OURS);
        raw.drain();
        on(&mut raw, THEIRS);
        raw.bind();
        if !bound_late {
            on(&mut raw, OURS);
            raw.request("ours1234", "SEND", "Message-ID: alive\r\nByte-Range: 1-0/0\r\n", None, '$');
            on(&mut raw, THEIRS);
        }
        raw.chunk("abcd0001", "1-*/*", "abc", '+');
        let Some(Event::ChunkEnd { transfer, .. }) = raw.take().pop() else { panic!() };
        raw.endpoint.pause(raw.now, transfer);
        on(&mut raw, OURS);
        assert_eq!(raw.chunk("abcd0002", "4-*/*", "def", '+'), "");
        assert!(raw.take().is_empty(), "octets while it is paused");
        on(&mut raw, THEIRS);
        assert_eq!(raw.chunk("abcd0003", "7-9/9", "ghi", '$'), "");
        assert!(raw.take().is_empty(), "octets while it is paused");
        assert!(!raw.endpoint.wants_read(OURS) && !raw.endpoint.wants_read(THEIRS));
        raw.endpoint.resume(raw.now, transfer);
        assert!(raw.drain().starts_with("MSRP abcd0003 200 "));
        on(&mut raw, OURS);
        assert!(raw.drain().contains("MSRP abcd0002 200 "));
        let mut got = data(&raw.take());
        got.sort_by_key(|(offset, _)| *offset);
        assert_eq!(got, [(3, "def".into()), (6, "ghi".into())]);
        assert!(raw.endpoint.wants_read(OURS) && raw.endpoint.wants_read(THEIRS));
        assert!(raw.endpoint.incoming.is_empty());
    }
}

/// A message that was begun on our connection goes on on theirs, and no octet goes out twice or in the wrong place,
/// whatever is answered meanwhile.
#[test]
fn a_message_moves_to_the_bound_connection_behind_its_chunk() {
    let body = |letter: u8| -> Bytes { (0..60_000u32).map(|i| letter ^ (i / 7) as u8).collect() };
    for written in [500usize, 20_000, 36_000, 40_000, 52_000] {
        let mut raw = both_active();
        let bodies = [body(0), body(0x55)];
        for body in &bodies {
            raw.endpoint.send(raw.now, raw.session, message(body.clone())).unwrap();
        }
        let mut wires = BTreeMap::from([(OURS, Vec::new()), (THEIRS, Vec::new())]);
        raw.endpoint.poll_transmit(raw.now, OURS, written, wires.get_mut(&OURS).unwrap());
        let begun = String::from_utf8_lossy(&wires[&OURS]).into_owned();
        let fields = "Message-ID: first\r\nByte-Range: 1-0/0\r\n";
        let bind = raw.text("bind1234", "SEND", fields, None, '$');
        raw.endpoint.handle_stream(raw.now, THEIRS, bind.into());
        // All chunks of which we have seen the beginning are answered.
        let tids = begun.split("\r\n").filter_map(|l| l.strip_prefix("MSRP ")?.strip_suffix(" SEND"));
        for tid in tids.map(ToString::to_string).collect::<Vec<_>>() {
            let answer = raw.text(&tid, "200 OK", "", None, '$');
            raw.endpoint.handle_stream(raw.now, OURS, answer.into());
        }
        for _ in 0..400 {
            for (flow, wire) in &mut wires {
                raw.endpoint.poll_transmit(raw.now, *flow, 1000, wire);
            }
        }
        let mut whole: BTreeMap<String, crate::Reassembly> = BTreeMap::new();
        for wire in wires.into_values() {
            let mut parser = StreamParser::new(&Limits::default());
            parser.push(wire.into());
            let (mut of, mut at) = (None, 0);
            while let Some(frame) = parser.next() {
                match frame {
                    Frame::Head(head) if head.has_body() => {
                        at = head.byte_range().unwrap().start - 1;
                        of = head.message_id().map(ToString::to_string);
                        whole.entry(of.clone().unwrap()).or_insert_with(|| crate::Reassembly::new(60_000));
                    }
                    Frame::Body(octets) => {
                        whole.get_mut(of.as_ref().unwrap()).unwrap().push(at, &octets).unwrap();
                        at += octets.len() as u64;
                    }
                    _ => {}
                }
            }
        }
        let mut got: Vec<Bytes> = whole.into_values().map(|m| m.finish(60_000).unwrap()).collect();
        got.sort_by_key(|octets| octets[0]);
        assert!(got == bodies, "{written}");
    }
}

/// A message that is given up in the middle of a chunk on our connection ends it there, though its source is silent.
#[test]
fn a_silent_message_that_is_given_up_ends_its_chunk_on_either_connection() {
    let mut raw = both_active();
    let outgoing = Outgoing { body: Body::Source { total: None }, ..message("") };
    let transfer = raw.endpoint.send(raw.now, raw.session, outgoing).unwrap();
    raw.flow = OURS;
    raw.drain();
    raw.endpoint.supply(raw.now, transfer, vec![b'A'; 3000].into(), false).unwrap();
    assert!(raw.drain().ends_with('A'));
    raw.flow = THEIRS;
    raw.request("bind1234", "SEND", "Message-ID: first\r\nByte-Range: 1-0/0\r\n", None, '$');
    raw.endpoint.abort(raw.now, transfer);
    assert!(!raw.drain().contains("SEND"));
    let announced = |endpoint: &Endpoint| endpoint.connections[&OURS].has_output();
    assert!(announced(&raw.endpoint), "its end waits to be written");
    raw.flow = OURS;
    assert!(raw.drain().ends_with("#\r\n"));
}

/// What was sent on our connection and not answered when that closes has failed; the session and what goes out on theirs
/// are not touched.
#[test]
fn messages_that_were_begun_on_our_connection_end_with_it() {
    let mut raw = both_active();
    let long = raw.endpoint.send(raw.now, raw.session, message(vec![b'A'; 50_000])).unwrap();
    let short = raw.endpoint.send(raw.now, raw.session, message("short")).unwrap();
    raw.endpoint.poll_transmit(raw.now, OURS, 2000, &mut Vec::new());
    raw.bind();
    let later = raw.endpoint.send(raw.now, raw.session, message("later")).unwrap();
    let out = raw.drain();
    let tid = out.split("\r\n").find_map(|l| l.strip_prefix("MSRP ")?.strip_suffix(" SEND")).unwrap();
    raw.take();
    raw.endpoint.handle_closed(raw.now, OURS, CloseReason::PeerClosed);
    raw.drain();
    let failed = |transfer| Event::SendFailed { transfer, status: None, why: SendFailure::SessionLost };
    assert_eq!(raw.take(), [failed(short), failed(long)]);
    let answer = raw.text(tid, "200 OK", "", None, '$');
    raw.feed(answer);
    assert_eq!(raw.take().pop(), Some(Event::Sent { transfer: later }));
    assert_quiet(&raw.endpoint);
}
