//! Sources, options of a session, requests beside messages, pauses: one endpoint, spoken to in octets.

use super::raw::Raw;
use super::*;
use crate::event::{Answering, Overlap, RequestError, SendFailure, SendRefusal, SupplyRefusal};

fn source(total: Option<u64>) -> Outgoing {
    Outgoing { body: Body::Source { total }, ..message("") }
}

fn wants(raw: &mut Raw) -> Vec<(u64, u64)> {
    let asked = raw.take().into_iter().filter_map(|event| match event {
        Event::Wants { offset, max, .. } => Some((offset, max)),
        _ => None,
    });
    asked.collect()
}

fn tids(text: &str) -> Vec<&str> {
    text.split("MSRP ").skip(1).filter_map(|rest| rest.split_once(' ')).map(|(tid, _)| tid).collect()
}

#[test]
fn octets_are_asked_for_when_the_turn_comes_and_a_message_of_unknown_length_ends_when_told() {
    let mut raw = Raw::bound();
    let transfer = raw.endpoint.send(raw.now, raw.session, source(None)).unwrap();
    assert_eq!(raw.drain(), "");
    assert_eq!(wants(&mut raw), [(0, 8 * 1024)]);
    raw.endpoint.supply(raw.now, transfer, vec![b'A'; 2000].into(), false).unwrap();
    assert_eq!(raw.drain(), "", "2048 octets make a chunk");
    raw.endpoint.supply(raw.now, transfer, vec![b'A'; 1000].into(), false).unwrap();
    let begun = raw.drain();
    assert!(begun.contains("\r\nByte-Range: 1-*/*\r\n") && begun.ends_with('A'), "{begun}");
    assert_eq!(begun.matches('A').count(), 3000);
    raw.endpoint.supply(raw.now, transfer, vec![b'A'; 10].into(), true).unwrap();
    let rest = raw.drain();
    let tid = tids(&begun)[0];
    assert_eq!(rest, format!("{}\r\n-------{tid}$\r\n", "A".repeat(10)));
    let error = raw.endpoint.supply(raw.now, transfer, Bytes::from_static(b"B"), false).unwrap_err();
    assert_eq!((error.why, &error.octets[..]), (SupplyRefusal::NotAsked, &b"B"[..]));
    let answer = raw.text(tid, "200 OK", "", None, '$');
    raw.feed(answer);
    assert_eq!(raw.take().pop(), Some(Event::Sent { transfer }));
    let error = raw.endpoint.supply(raw.now, transfer, Bytes::new(), true).unwrap_err();
    assert_eq!(error.why, SupplyRefusal::NoTransfer);
    assert_quiet(&raw.endpoint);
}

#[test]
fn who_waits_does_not_wait_for_a_source() {
    let mut raw = Raw::bound();
    let transfer = raw.endpoint.send(raw.now, raw.session, source(Some(10_000))).unwrap();
    raw.drain();
    raw.endpoint.supply(raw.now, transfer, vec![b'A'; 3000].into(), false).unwrap();
    let begun = raw.drain();
    assert!(begun.ends_with('A') && begun.contains("\r\nByte-Range: 1-*/10000\r\n"));
    raw.endpoint.send(raw.now, raw.session, message("short")).unwrap();
    let out = raw.drain();
    let tid = tids(&begun)[0];
    assert!(out.starts_with(&format!("\r\n-------{tid}+\r\nMSRP ")) && out.contains("short\r\n"), "{out}");
    // An answer does not either.
    raw.endpoint.supply(raw.now, transfer, vec![b'A'; 3000].into(), false).unwrap();
    let begun = raw.drain();
    assert!(begun.contains("\r\nByte-Range: 3001-*/10000\r\n"));
    let out = raw.chunk("abcd0001", "1-3/3", "abc", '$');
    assert!(out.starts_with("\r\n-------") && out.contains("\r\nMSRP abcd0001 200 OK\r\n"), "{out}");
    raw.endpoint.abort(raw.now, transfer);
    let out = raw.drain();
    assert!(out.contains("\r\nByte-Range: 1-0/10000\r\n") && out.ends_with("#\r\n"), "{out}");
}

#[test]
fn a_source_that_is_given_up_in_the_middle_of_a_chunk_ends_it() {
    let mut raw = Raw::bound();
    let transfer = raw.endpoint.send(raw.now, raw.session, source(None)).unwrap();
    raw.drain();
    raw.endpoint.supply(raw.now, transfer, vec![b'A'; 3000].into(), false).unwrap();
    let begun = raw.drain();
    raw.endpoint.abort(raw.now, transfer);
    assert_eq!(raw.drain(), format!("\r\n-------{}#\r\n", tids(&begun)[0]));
    assert!(matches!(raw.take().pop(), Some(Event::SendFailed { why: SendFailure::Aborted, .. })));
    assert_quiet(&raw.endpoint);
}

fn with(options: SessionOptions) -> Raw {
    let mut raw = Raw::bound();
    raw.endpoint.set_options(raw.session, options);
    raw.answer = None;
    raw
}

/// Threat B6: what was delivered first stands.
#[test]
fn positions_are_delivered_once_where_that_is_wanted() {
    let options = SessionOptions { overlap: Overlap::FirstStands, ..SessionOptions::default() };
    for options in [options, SessionOptions::default()] {
        let first = options.overlap == Overlap::FirstStands;
        let mut raw = with(options);
        raw.chunk("abcd0001", "3-*/9", "cde", '+');
        raw.chunk("abcd0002", "1-*/9", "ABCDEFG", '+');
        raw.chunk("abcd0003", "1-9/9", "123456789", '$');
        let data: Vec<(u64, Bytes)> = raw
            .take()
            .into_iter()
            .filter_map(
                |e| if let Event::Data { offset, bytes, .. } = e { Some((offset, bytes)) } else { None },
            )
            .collect();
        let told: Vec<(u64, &[u8])> = data.iter().map(|(offset, bytes)| (*offset, &bytes[..])).collect();
        if first {
            assert_eq!(told, [(2, &b"cde"[..]), (0, b"AB"), (5, b"FG"), (7, b"89")]);
        } else {
            assert_eq!(told, [(2, &b"cde"[..]), (0, b"ABCDEFG"), (0, b"123456789")]);
        }
    }
}

#[test]
fn chunks_are_answered_at_once_where_that_is_wanted() {
    let mut raw = with(SessionOptions::answering(Answering::AtOnce));
    let fields = "Message-ID: m1234\r\nSuccess-Report: yes\r\nByte-Range: 1-3/3\r\n";
    let out = raw.request("abcd0001", "SEND", fields, Some("abc"), '$');
    assert!(out.starts_with("MSRP abcd0001 200 OK\r\n"), "{out}");
    assert!(out.contains(" REPORT\r\n") && out.contains("\r\nByte-Range: 1-3/3\r\nStatus: 000 200 OK\r\n"));
    assert_quiet(&raw.endpoint);
}

#[test]
fn reports_are_left_to_the_user_where_that_is_wanted() {
    let mut raw = with(SessionOptions::answering(Answering::ReleasedWithoutReports));
    raw.answer = Some(Status::OK);
    let fields = "Message-ID: m1234\r\nSuccess-Report: yes\r\nByte-Range: 1-3/3\r\n";
    let out = raw.request("abcd0001", "SEND", fields, Some("abc"), '$');
    assert!(out.contains(" 200 OK") && !out.contains("REPORT"));
    let range = ByteRange { start: 1, end: Some(3), total: Some(3) };
    raw.endpoint.report(raw.now, raw.session, &[], "m1234", range, Status::TIMEOUT).unwrap();
    let out = raw.drain();
    assert!(
        out.contains("\r\nMessage-ID: m1234\r\nByte-Range: 1-3/3\r\nStatus: 000 408 Timeout\r\n"),
        "{out}"
    );
    let bad = raw.endpoint.report(raw.now, raw.session, &[], "m\r\n", range, Status::OK);
    assert_eq!(bad, Err(RequestError::Syntax));
    assert_quiet(&raw.endpoint);
}

#[test]
fn media_types_that_are_not_taken_are_answered_415() {
    for (types, taken) in [
        (&["message/cpim"][..], false),
        (&["*"], true),
        (&["image/*", "text/*"], true),
        (&["TEXT/plain"], true),
    ] {
        let accept_types = types.iter().map(ToString::to_string).collect();
        let mut raw = with(SessionOptions { accept_types, ..SessionOptions::default() });
        raw.answer = Some(Status::OK);
        let answer = raw.chunk("abcd0001", "1-3/3", "abc", '$');
        assert_eq!(answer.starts_with("MSRP abcd0001 200"), taken, "{types:?}");
        assert_eq!(answer.starts_with("MSRP abcd0001 415 Unsupported Media Type\r\n"), !taken);
        assert_eq!(raw.fault() == Some(&FaultKind::MediaType), !taken);
        assert_quiet(&raw.endpoint);
    }
}

// RFC 7701 §7
#[test]
fn nicknames_are_asked_for_and_given() {
    let mut raw = with(SessionOptions { nicknames: true, ..SessionOptions::default() });
    assert_eq!(
        raw.request("abcd0001", "NICKNAME", "Use-Nickname: \"A \\\"b\\\" \u{fc}\"\r\n", None, '$'),
        ""
    );
    let Some(Event::Asked { asked, head, session }) = raw.take().pop() else { panic!() };
    assert!(session == raw.session && head.use_nickname().as_deref() == Some("A \"b\" \u{fc}"));
    raw.endpoint.reply(raw.now, asked, Status::NICKNAME_RESERVED);
    assert!(raw.drain().starts_with("MSRP abcd0001 425 Nickname Reserved\r\n"));
    raw.endpoint.reply(raw.now, asked, Status::OK);
    assert_eq!(raw.drain(), "", "one answer");
    for bad in ["", "Use-Nickname: Bob\r\n", "Use-Nickname: \"B\"b\"\r\n", "Use-Nickname: \"B\\\"\r\n"] {
        assert!(raw.request("abcd0002", "NICKNAME", bad, None, '$').contains(" 424 "), "{bad}");
    }
    raw.take();
    // Ours.
    let field = [("Use-Nickname".to_string(), "\"Alice\"".to_string())];
    let request = raw.endpoint.request(raw.now, raw.session, "NICKNAME", &field).unwrap();
    let out = raw.drain();
    assert!(out.contains(" NICKNAME\r\n") && out.contains("\r\nUse-Nickname: \"Alice\"\r\n-------"), "{out}");
    let answer = raw.text(tids(&out)[0], "424 Malformed", "", None, '$');
    raw.feed(answer);
    assert!(matches!(raw.take().pop(),
        Some(Event::Answered { request: r, status: Some(Status::BAD_NICKNAME), head: Some(_) }) if r == request));
    // None comes: 30 s.
    let request = raw.endpoint.request(raw.now, raw.session, "NICKNAME", &field).unwrap();
    raw.drain();
    raw.endpoint.handle_timeout(at(31));
    raw.drain();
    assert_eq!(raw.take().pop(), Some(Event::Answered { request, status: None, head: None }));
    let bad = [("Use-Nickname".to_string(), "\"a\r\nX: y\"".to_string())];
    assert_eq!(raw.endpoint.request(raw.now, raw.session, "NICKNAME", &bad), Err(RequestError::Syntax));
    assert_eq!(raw.endpoint.request(raw.now, raw.session, "nick", &[]), Err(RequestError::Syntax));
    assert_quiet(&raw.endpoint);
}

/// Threat B10: what goes out and what is kept for reports is bounded; the oldest are forgotten first.
#[test]
fn messages_on_their_way_and_their_reports_are_bounded() {
    let mut raw = Raw::with(Limits { max_queued: 2, ..Limits::default() }, |_| {});
    raw.bind();
    let reported = |number: u32| Outgoing {
        success_report: true,
        message_id: Some(format!("report{number}")),
        ..message("abc")
    };
    for number in 1..=2 {
        raw.endpoint.send(raw.now, raw.session, reported(number)).unwrap();
    }
    let refused = raw.endpoint.send(raw.now, raw.session, reported(3)).unwrap_err();
    assert!(matches!(refused.why, SendRefusal::Limit(limit) if limit.limit == "msrp.max_queued"));
    let answer_all = |raw: &mut Raw| {
        let out = raw.drain();
        for tid in tids(&out) {
            let answer = raw.text(tid, "200 OK", "", None, '$');
            raw.feed(answer);
        }
    };
    answer_all(&mut raw);
    raw.endpoint.send(raw.now, raw.session, reported(3)).unwrap();
    answer_all(&mut raw);
    raw.take();
    for (number, known) in [(1, false), (2, true), (3, true)] {
        let fields = format!("Message-ID: report{number}\r\nByte-Range: 1-3/3\r\nStatus: 000 200 OK\r\n");
        raw.request("abcd0001", "REPORT", &fields, None, '$');
        let Some(Event::Report { transfer, .. }) = raw.take().pop() else { panic!() };
        assert_eq!(transfer.is_some(), known, "{number}");
    }
}

/// Threat B10: a request that nobody answered is gone with its connection.
#[test]
fn what_was_asked_is_gone_with_its_connection() {
    let mut raw = with(SessionOptions { nicknames: true, ..SessionOptions::default() });
    raw.request("abcd0001", "NICKNAME", "Use-Nickname: \"a\"\r\n", None, '$');
    let Some(Event::Asked { asked, .. }) = raw.take().pop() else { panic!() };
    raw.endpoint.handle_closed(raw.now, raw.flow, CloseReason::PeerClosed);
    assert_empty(&raw.endpoint);
    raw.endpoint.reply(raw.now, asked, Status::OK);
    assert_eq!(raw.drain(), "");
}

/// Threat B10: requests that wait for an answer are bounded each way.
#[test]
fn requests_beside_messages_are_bounded() {
    let mut raw = Raw::with(Limits { max_outstanding: 2, ..Limits::default() }, |_| {});
    raw.bind();
    raw.endpoint.set_options(raw.session, SessionOptions { nicknames: true, ..SessionOptions::default() });
    for number in 0..2 {
        raw.endpoint.request(raw.now, raw.session, "NICKNAME", &[]).unwrap();
        assert_eq!(
            raw.request(&format!("abcd000{number}"), "NICKNAME", "Use-Nickname: \"a\"\r\n", None, '$')
                .matches(" 200 ")
                .count(),
            0
        );
    }
    let error = raw.endpoint.request(raw.now, raw.session, "NICKNAME", &[]).unwrap_err();
    assert!(matches!(error, RequestError::Limit(limit) if limit.limit == "msrp.max_outstanding"));
    let asked = raw.take().iter().filter(|event| matches!(event, Event::Asked { .. })).count();
    assert_eq!(asked, 2);
    let answer = raw.request("abcd0009", "NICKNAME", "Use-Nickname: \"a\"\r\n", None, '$');
    assert!(answer.starts_with("MSRP abcd0009 403 "), "{answer}");
    assert!(matches!(raw.fault(), Some(FaultKind::Limit(limit)) if limit.limit == "msrp.max_outstanding"));
    assert!(!raw.take().iter().any(|event| matches!(event, Event::Asked { .. })));
}

#[test]
fn methods_that_nobody_handles_are_answered_501() {
    for method in ["NICKNAME", "AUTH", "WHATEVER"] {
        let mut raw = Raw::bound();
        assert!(raw.request("abcd0001", method, "", None, '$').starts_with("MSRP abcd0001 501 "));
        assert!(matches!(raw.fault(), Some(FaultKind::UnknownMethod(name)) if name == method));
    }
}

// RFC 4975 §7.3.2
#[test]
fn a_report_after_the_message_still_names_it() {
    let mut raw = Raw::bound();
    let outgoing = Outgoing { success_report: true, message_id: Some("reported".into()), ..message("abc") };
    let transfer = raw.endpoint.send(raw.now, raw.session, outgoing).unwrap();
    let out = raw.drain();
    let answer = raw.text(tids(&out)[0], "200 OK", "", None, '$');
    raw.feed(answer);
    raw.take();
    let fields = "Message-ID: reported\r\nByte-Range: 1-3/3\r\nStatus: 000 200 OK\r\n";
    assert_eq!(raw.request("abcd0001", "REPORT", fields, None, '$'), "");
    assert!(
        matches!(raw.take().pop(), Some(Event::Report { transfer: Some(known), .. }) if known == transfer)
    );
}

/// Threats B9, B12: whoever begins a head ends it.
#[test]
fn a_head_that_stands_still_ends_its_connection() {
    let mut raw = Raw::bound();
    let text = raw.text("abcd0001", "SEND", "Message-ID: m1234\r\n", Some("abc"), '$');
    for cut in [1, 5, 40, text.find("\r\n\r\n").unwrap()] {
        let mut raw = Raw::bound();
        raw.feed(text[..cut].to_string());
        raw.endpoint.handle_timeout(at(29));
        assert!(raw.drain().is_empty() && raw.closed.is_empty(), "{cut}");
        raw.endpoint.handle_timeout(at(30));
        raw.drain();
        assert_eq!(raw.closed, [(raw.flow, CloseReason::Idle)], "{cut}");
        assert_empty(&raw.endpoint);
    }
    raw.feed(text[..40].to_string());
    let answer = raw.feed(text[40..].to_string());
    assert!(answer.contains(" 200 "));
    assert_quiet(&raw.endpoint);
}

/// Threat B11: a host that reads on all the same is stopped.
#[test]
fn what_is_paused_waits_within_its_limit() {
    let limits = Limits { max_unread: 4096, ..Limits::default() };
    let mut raw = Raw::with(limits, |_| {});
    raw.bind();
    raw.chunk("abcd0001", "1-*/*", "abc", '+');
    let Some(Event::ChunkEnd { transfer, .. }) = raw.take().pop() else { panic!() };
    raw.endpoint.pause(raw.now, transfer);
    assert!(!raw.endpoint.wants_read(raw.flow));
    assert_eq!(raw.chunk("abcd0002", "4-*/*", "def", '+'), "");
    assert!(raw.take().is_empty());
    // It is not the sender's fault that nothing is read.
    raw.endpoint.handle_timeout(at(100));
    raw.drain();
    assert!(raw.take().is_empty() && raw.closed.is_empty());
    raw.endpoint.resume(at(100), transfer);
    assert!(raw.drain().starts_with("MSRP abcd0002 200 "));
    assert!(raw.endpoint.wants_read(raw.flow));
    raw.take();
    raw.endpoint.pause(at(100), transfer);
    raw.feed(vec![b'x'; 4096]);
    assert!(raw.closed.is_empty());
    raw.feed(vec![b'x'; 1]);
    assert_eq!(raw.closed.len(), 1);
    assert_empty(&raw.endpoint);
}

#[test]
fn a_request_without_response_keeps_no_connection_of_a_closed_session() {
    let mut raw = Raw::bound();
    let request = raw.endpoint.request(raw.now, raw.session, "NICKNAME", &[]).unwrap();
    raw.drain();
    raw.endpoint.close_session(raw.now, raw.session);
    raw.drain();
    assert_eq!(raw.take(), [Event::Answered { request, status: None, head: None }]);
    assert_eq!(raw.closed, [(raw.flow, CloseReason::Done)]);
    assert_empty(&raw.endpoint);
}

#[test]
fn a_pause_ends_with_its_message() {
    let mut raw = Raw::bound();
    raw.answer = None;
    raw.chunk("abcd0001", "1-*/*", "abc", '+');
    let Some(Event::ChunkEnd { transfer, chunk, .. }) = raw.take().pop() else { panic!() };
    raw.endpoint.pause(raw.now, transfer);
    raw.chunk("abcd0002", "4-6/6", "def", '$');
    raw.endpoint.respond(raw.now, chunk, Status::OK);
    raw.drain();
    assert!(raw.take().is_empty());
    raw.endpoint.close_session(raw.now, raw.session);
    raw.drain();
    assert_eq!(raw.closed.len(), 1);
    assert_empty(&raw.endpoint);
}

#[test]
fn where_only_bad_answers_are_wanted_a_late_one_is_told_once() {
    let mut raw = Raw::bound();
    let outgoing = Outgoing { failure_report: FailureReport::Partial, ..message(vec![b'A'; 5000]) };
    raw.endpoint.send(raw.now, raw.session, outgoing).unwrap();
    let mut out = Vec::new();
    raw.endpoint.poll_transmit(raw.now, raw.flow, 3000, &mut out);
    // Something that waits cuts it into two chunks.
    raw.endpoint.send(raw.now, raw.session, message("short")).unwrap();
    let out = String::from_utf8(out).unwrap() + &raw.drain();
    let (first, last) = (tids(&out)[0].to_string(), tids(&out)[2].to_string());
    raw.take();
    for tid in [&first, &last] {
        let answer = raw.text(tid, "413 Stop", "", None, '$');
        raw.feed(answer);
    }
    let failed = |event: &&Event| matches!(event, Event::SendFailed { status: Some(Status::STOP), .. });
    assert_eq!(raw.take().iter().filter(failed).count(), 1);
}

/// Threat I4: nobody's address is connected to, what is asked for is what was negotiated, and it is asked for once.
#[test]
fn a_session_connects_once_to_what_was_negotiated() {
    let mut endpoint = endpoint(1);
    let peer = MsrpUri::parse("msrp://192.0.2.2:9/peerpeerpeerpeer;tcp").unwrap();
    for nobody in ["192.0.2.2:0", "0.0.0.0:2855", "[::]:2855"] {
        let local = endpoint.new_local_uri("192.0.2.1", 9, false);
        let role = Role::Active(nobody.parse().unwrap(), Transport::Tcp);
        let refused = endpoint.open_session(at(0), config(&local, &peer, role));
        assert_eq!(refused, Err(crate::SessionError::Target), "{nobody}");
    }
    assert_eq!(endpoint.poll_action(), None);
    let local = endpoint.new_local_uri("192.0.2.1", 9, false);
    let session = endpoint.open_session(at(0), config(&local, &peer, there())).unwrap();
    let Role::Active(remote, transport) = there() else { panic!() };
    let Some(Action::Open(open, target)) = endpoint.poll_action() else { panic!() };
    assert_eq!((target.remote, target.transport, target.protocol), (remote, transport, Protocol::Msrp));
    endpoint.handle_opened(at(0), open, Err(OpenError::Refused));
    let why = LostReason::Open(OpenError::Refused);
    assert_eq!(endpoint.poll_action(), Some(Action::Event(Event::BindFailed { session, why })));
    while let Some(due) = endpoint.next_timeout() {
        endpoint.handle_timeout(Now { mono: due, ..at(0) });
    }
    assert_eq!(endpoint.poll_action(), None, "no second attempt");
    assert_empty(&endpoint);
}
