//! One endpoint, spoken to in octets.

use super::*;
use crate::event::{Overlap, SendError, SendRefusal};
use crate::parser::FramingError;

/// An endpoint with one passive session on one accepted flow, and a peer made of text.
pub(super) struct Raw {
    pub(super) endpoint: Endpoint,
    pub(super) session: SessionId,
    local: MsrpUri,
    remote: MsrpUri,
    pub(super) flow: FlowId,
    events: Vec<Event>,
    pub(super) closed: Vec<(FlowId, CloseReason)>,
    pub(super) now: Now,
    /// What is answered to chunks at once; `None`: nothing.
    pub(super) answer: Option<Status>,
}

impl Raw {
    fn new() -> Raw {
        Raw::with(Limits::default(), |_| {})
    }

    pub(super) fn with(limits: Limits, change: impl FnOnce(&mut SessionConfig)) -> Raw {
        let mut endpoint = endpoint_with(1, limits);
        let local = endpoint.new_local_uri("192.0.2.1", 2855, false);
        let remote = MsrpUri::parse("msrp://192.0.2.2:9/peerpeerpeerpeer;tcp").unwrap();
        let mut config = config(&local, &remote, Role::Passive);
        change(&mut config);
        let session = endpoint.open_session(at(0), config).unwrap();
        endpoint.handle_accepted(at(0), FlowId(1), info());
        let flow = FlowId(1);
        let (events, closed) = (Vec::new(), Vec::new());
        Raw { endpoint, session, local, remote, flow, events, closed, now: at(0), answer: Some(Status::OK) }
    }

    pub(super) fn bound() -> Raw {
        let mut raw = Raw::new();
        raw.bind();
        raw
    }

    pub(super) fn bind(&mut self) {
        let answer =
            self.request("bind1234", "SEND", "Message-ID: first\r\nByte-Range: 1-0/0\r\n", None, '$');
        assert!(answer.starts_with("MSRP bind1234 200 OK\r\n"), "{answer}");
        assert_eq!(self.events.pop(), Some(Event::Bound { session: self.session }));
    }

    /// Octets in; what is said in return, as text.
    pub(super) fn feed(&mut self, octets: impl Into<Bytes>) -> String {
        self.endpoint.handle_stream(self.now, self.flow, octets.into());
        self.drain()
    }

    pub(super) fn drain(&mut self) -> String {
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                Action::Event(Event::ChunkEnd { transfer, chunk, range, last, complete }) => {
                    if let Some(status) = self.answer {
                        self.endpoint.respond(self.now, chunk, status);
                    }
                    self.events.push(Event::ChunkEnd { transfer, chunk, range, last, complete });
                }
                Action::Event(event) => self.events.push(event),
                Action::Close(flow, why) => self.closed.push((flow, why)),
                Action::Open(..) | Action::WantsWrite(_) => {}
            }
        }
        let mut out = Vec::new();
        while self.endpoint.poll_transmit(self.now, self.flow, 1000, &mut out) > 0 {}
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                Action::Event(event) => self.events.push(event),
                Action::Close(flow, why) => self.closed.push((flow, why)),
                _ => {}
            }
        }
        String::from_utf8(out).unwrap()
    }

    pub(super) fn text(
        &self,
        tid: &str,
        method: &str,
        fields: &str,
        body: Option<&str>,
        flag: char,
    ) -> String {
        let paths = format!("To-Path: {}\r\nFrom-Path: {}\r\n", self.local, self.remote);
        let body =
            body.map_or_else(String::new, |body| format!("Content-Type: text/plain\r\n\r\n{body}\r\n"));
        format!("MSRP {tid} {method}\r\n{paths}{fields}{body}-------{tid}{flag}\r\n")
    }

    pub(super) fn request(
        &mut self,
        tid: &str,
        method: &str,
        fields: &str,
        body: Option<&str>,
        flag: char,
    ) -> String {
        let text = self.text(tid, method, fields, body, flag);
        self.feed(text)
    }

    pub(super) fn chunk(&mut self, tid: &str, range: &str, body: &str, flag: char) -> String {
        let fields = format!("Message-ID: msg12345\r\nByte-Range: {range}\r\n");
        self.request(tid, "SEND", &fields, Some(body), flag)
    }

    pub(super) fn take(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    pub(super) fn fault(&self) -> Option<&FaultKind> {
        self.events.iter().find_map(|event| match event {
            Event::Fault(fault) => Some(&fault.kind),
            _ => None,
        })
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(core::time::Duration::from_secs(seconds));
        self.endpoint.handle_timeout(self.now);
    }
}

/// Time runs until nothing is due any more.
fn run_out(raw: &mut Raw) {
    for _ in 0..100 {
        let Some(due) = raw.endpoint.next_timeout() else { return };
        raw.now.mono = raw.now.mono.max(due);
        raw.endpoint.handle_timeout(raw.now);
        raw.drain();
    }
    panic!("timers never end");
}

#[test]
fn responses_go_to_the_previous_hop_with_our_uri() {
    let mut raw = Raw::new();
    let relayed = format!("From-Path: msrp://relay.example:2;tcp {}\r\n", raw.remote);
    let text = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", Some("hi"), '$');
    let answer = raw.feed(text.replace(&format!("From-Path: {}\r\n", raw.remote), &relayed));
    let expected = format!(
        "MSRP abcd1234 200 OK\r\nTo-Path: msrp://relay.example:2;tcp\r\nFrom-Path: {}\r\n-------abcd1234$\r\n",
        raw.local
    );
    assert_eq!(answer, expected);
}

#[test]
fn failure_report_says_which_answers_are_wanted() {
    for (report, good, bad) in [("yes", true, true), ("partial", false, true), ("no", false, false)] {
        let mut raw = Raw::bound();
        let fields = format!("Message-ID: m1234\r\nFailure-Report: {report}\r\n");
        assert_eq!(!raw.request("good1234", "SEND", &fields, Some("x"), '$').is_empty(), good, "{report}");
        assert_eq!(!raw.request("keep1234", "SEND", &fields, None, '$').is_empty(), good, "{report}");
        raw.answer = Some(Status::FORBIDDEN);
        let fields = fields.replace("m1234", "m5678");
        assert_eq!(!raw.request("evil1234", "SEND", &fields, Some("x"), '$').is_empty(), bad, "{report}");
        assert_eq!(!raw.request("blah1234", "BLAH", &fields, None, '$').is_empty(), bad, "{report}");
        let broken = fields.clone() + "Byte-Range: 0-0/0\r\n";
        assert_eq!(
            raw.request("ugly1234", "SEND", &broken, None, '$').is_empty(),
            report == "no",
            "{report}"
        );
    }
}

/// Threat B10, interop 1.
#[test]
fn a_report_is_never_answered() {
    let mut raw = Raw::bound();
    let fields = "Message-ID: m1234\r\nByte-Range: 1-10/10\r\nStatus: 000 200 OK\r\n";
    assert_eq!(raw.request("repo1234", "REPORT", fields, None, '$'), "");
    let Some(Event::Report { session, transfer, message_id, status, .. }) = raw.events.pop() else {
        panic!()
    };
    assert_eq!(
        (session, transfer, message_id.as_str(), status),
        (raw.session, None, "m1234", Some(Status::OK))
    );
    // Neither one that is wrong, nor one for nobody, nor one that asks for reports itself.
    for text in [
        raw.text("repo2345", "REPORT", "Message-ID: m1234\r\n", None, '$'),
        raw.text("repo3456", "REPORT", fields, None, '$')
            .replace(raw.local.session_id(), "nobodynobodynobody"),
        raw.text(
            "repo4567",
            "REPORT",
            &format!("{fields}Success-Report: yes\r\nFailure-Report: yes\r\n"),
            None,
            '$',
        ),
        raw.text("repo5678", "REPORT", fields, Some("body"), '$'),
    ] {
        assert_eq!(raw.feed(text), "");
    }
    // A status of another namespace says nothing.
    raw.take();
    raw.request("repo6789", "REPORT", "Message-ID: m1234\r\nStatus: 001 500 x\r\n", None, '$');
    assert!(matches!(raw.events.pop(), Some(Event::Report { status: None, .. })));
}

/// Threat B14: a session-id alone, or nearly right, finds nothing.
#[test]
fn sessions_are_found_by_the_whole_uri() {
    let mut raw = Raw::new();
    let good = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", None, '$');
    for (from, to) in [
        (raw.local.session_id().to_string(), "unknownunknownunknown".to_string()),
        (raw.local.session_id().to_string(), raw.local.session_id().to_ascii_uppercase()),
        ("192.0.2.1:2855".to_string(), "192.0.2.9:2855".to_string()),
        (":2855".to_string(), ":2856".to_string()),
        ("To-Path: msrp:".to_string(), "To-Path: msrps:".to_string()),
        ("To-Path: ".to_string(), "To-Path: msrp://relay:1;tcp ".to_string()),
    ] {
        let answer = raw.feed(good.replacen(&from, &to, 1));
        assert!(answer.starts_with("MSRP abcd1234 481 "), "{to}: {answer}");
        assert_eq!(raw.fault(), Some(&FaultKind::UnknownSession));
        raw.take();
    }
    assert!(raw.feed(good).starts_with("MSRP abcd1234 200 "));
}

// interop: 3
// req: 5.2.1.4.1-p2.1
// req: 5.2.1.4.1-p3.1
// req: 5.2.1.4.1-p3.2
// req: 5.2.1.4.1-p3.3
#[test]
fn legacy_matching_looks_at_the_session_id_alone() {
    let mut raw = Raw::with(Limits::default(), |config| config.matching = Matching::SessionId);
    let text = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", None, '$');
    let other_case = text.replacen(raw.local.session_id(), &raw.local.session_id().to_ascii_uppercase(), 1);
    assert!(raw.feed(other_case).starts_with("MSRP abcd1234 481 "));
    let rewritten = text.replacen("192.0.2.1:2855", "sbc.example.net:50000", 1);
    assert!(raw.feed(rewritten.clone()).starts_with("MSRP abcd1234 200 "));
    raw.endpoint.handle_accepted(raw.now, FlowId(2), info());
    raw.flow = FlowId(2);
    assert!(raw.feed(rewritten).starts_with("MSRP abcd1234 506 "));
}

/// Threat B14: a session stays on its connection and with its peer.
#[test]
fn a_second_connection_is_refused_and_a_second_peer_too() {
    let mut raw = Raw::bound();
    let text = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", Some("stolen"), '$');
    raw.endpoint.handle_accepted(raw.now, FlowId(2), info());
    raw.flow = FlowId(2);
    assert!(raw.feed(text.clone()).starts_with("MSRP abcd1234 506 "));
    assert_eq!(raw.fault(), Some(&FaultKind::SessionInUse));
    raw.flow = FlowId(1);
    raw.take();
    assert!(raw.feed(text.replacen("peerpeer", "somebody", 1)).starts_with("MSRP abcd1234 403 "));
    assert_eq!(raw.fault(), Some(&FaultKind::OtherPeer));
    assert!(!raw.take().iter().any(|event| matches!(event, Event::Data { .. })));
    assert!(raw.feed(text).starts_with("MSRP abcd1234 200 "));
}

/// Threat B14: nobody else binds.
#[test]
fn only_the_negotiated_peer_binds() {
    // An offer that was forked: two know our URI, one gave the answer that was taken.
    let mut raw = Raw::new();
    let text = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", None, '$');
    assert!(raw.feed(text.replacen("peerpeer", "forkfork", 1)).starts_with("MSRP abcd1234 481 "));
    assert_eq!(raw.fault(), Some(&FaultKind::OtherPeer));
    raw.endpoint.handle_accepted(raw.now, FlowId(2), info());
    raw.flow = FlowId(2);
    // Its address may have been rewritten on the way (interop: 3).
    let rewritten = text.replacen("192.0.2.2:9", "sbc.example.net:4000", 1);
    assert!(raw.feed(rewritten).starts_with("MSRP abcd1234 200 "));
    assert!(raw.events.contains(&Event::Bound { session: raw.session }));
}

#[test]
fn a_session_without_negotiation_is_for_whoever_binds_it_first() {
    let mut endpoint = endpoint(1);
    let local = endpoint.new_local_uri("192.0.2.1", 2855, false);
    let open = |role, remote_path| SessionConfig { remote_path, ..config(&local, &local, role) };
    let misuse = [open(there(), Vec::new()), open(Role::Passive, vec![local.clone()])];
    for config in misuse {
        assert_eq!(endpoint.await_session(at(0), config), Err(SessionError::RemotePath));
    }
    let session = endpoint.await_session(at(0), open(Role::Passive, Vec::new())).unwrap();
    let mut say = |flow: u64, tid: &str, from: &str| {
        let fields = "Message-ID: msg12345\r\nByte-Range: 1-0/0\r\n";
        let text =
            format!("MSRP {tid} SEND\r\nTo-Path: {local}\r\nFrom-Path: {from}\r\n{fields}-------{tid}$\r\n");
        endpoint.handle_accepted(at(0), FlowId(flow), info());
        endpoint.handle_stream(at(0), FlowId(flow), text.into());
        let mut out = Vec::new();
        endpoint.poll_transmit(at(0), FlowId(flow), 1000, &mut out);
        String::from_utf8(out).unwrap()
    };
    let peer = "msrp://192.0.2.9:9/whoever;tcp";
    assert!(say(1, "abcd1234", peer).starts_with("MSRP abcd1234 200 "));
    assert!(say(2, "abcd1235", peer).starts_with("MSRP abcd1235 506 "), "RFC 4975 §7.3: bound elsewhere");
    let other = say(1, "abcd1236", "msrp://192.0.2.9:9/another;tcp");
    assert!(other.starts_with("MSRP abcd1236 403 "), "{other}");
    // Its path is known now: it can be written to.
    endpoint.send(at(0), session, message("back")).unwrap();
    let mut out = Vec::new();
    endpoint.poll_transmit(at(0), FlowId(1), 1000, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(&format!("\r\nTo-Path: {peer}\r\n")), "{out}");
}

#[test]
fn unknown_methods_and_unreadable_heads_are_answered_and_the_next_message_works() {
    let mut raw = Raw::bound();
    assert!(raw.request("abcd1234", "AUTH", "", None, '$').starts_with("MSRP abcd1234 501 "));
    assert_eq!(raw.fault(), Some(&FaultKind::UnknownMethod("AUTH".into())));
    raw.take();
    let answer =
        raw.request("abcd1235", "SEND", "Message-ID: m1234\r\nByte-Range: 2-1/0\r\n", Some("xyz"), '$');
    assert!(answer.starts_with("MSRP abcd1235 400 "), "{answer}");
    assert!(raw.request("abcd1236", "SEND", "Message-ID: m1234\r\n", Some("fine"), '$').contains(" 200 "));
}

/// Threat B14: a session that was closed is unknown from then on, also where its last request was just read and others
/// go on using the connection.
#[test]
fn a_closed_session_is_unknown_at_once() {
    let mut raw = Raw::bound();
    let other = raw.endpoint.new_local_uri("192.0.2.1", 2855, false);
    raw.endpoint.open_session(raw.now, config(&other, &raw.remote, Role::Passive)).unwrap();
    let text = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", Some("hi"), '$');
    assert!(raw.feed(text.replace(raw.local.as_str(), other.as_str())).starts_with("MSRP abcd1234 200 "));
    assert!(raw.feed(text.clone()).starts_with("MSRP abcd1234 200 "));
    raw.endpoint.close_session(raw.now, raw.session);
    assert!(raw.feed(text).starts_with("MSRP abcd1234 481 "));
    assert!(raw.closed.is_empty());
}

/// Threats B1, B5, P5: after an error in the framing nothing is found again in what follows; others are not touched.
#[test]
fn after_lost_framing_nothing_is_read_and_others_go_on() {
    let mut raw = Raw::bound();
    let other_local = raw.endpoint.new_local_uri("192.0.2.1", 2855, false);
    let other = raw.endpoint.open_session(raw.now, config(&other_local, &raw.remote, Role::Passive)).unwrap();
    raw.endpoint.handle_accepted(raw.now, FlowId(2), info());
    let good = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", Some("hello"), '$');
    let other_good = good.replace(raw.local.as_str(), other_local.as_str());

    raw.chunk("open1234", "1-*/100", "half", '+');
    raw.take();
    assert_eq!(raw.feed(format!("GARBAGE\r\n{good}")), "");
    let error = FramingError::NotMsrp;
    let events = raw.take();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(matches!(&events[0], Event::Fault(fault) if fault.kind == FaultKind::Framing(error)));
    assert!(matches!(events[1], Event::Aborted { why: AbortReason::SessionLost, .. }));
    assert_eq!(events[2], Event::Lost { session: raw.session, why: LostReason::Framing(error) });
    assert_eq!(raw.closed, [(FlowId(1), CloseReason::ProtocolError)]);
    assert_eq!(raw.feed(good), "");
    assert!(raw.take().is_empty());

    raw.flow = FlowId(2);
    assert!(raw.feed(other_good).starts_with("MSRP abcd1234 200 "));
    assert_eq!(raw.events[0], Event::Bound { session: other });
}

/// Threat B12: connections and sessions that nobody binds end.
#[test]
fn what_is_never_bound_ends() {
    let mut raw = Raw::new();
    raw.pass(29);
    raw.drain();
    assert!(raw.take().is_empty() && raw.closed.is_empty());
    raw.pass(1);
    raw.drain();
    let events = raw.take();
    assert!(events.contains(&Event::BindFailed { session: raw.session, why: LostReason::Timeout }));
    assert_eq!(raw.closed, [(FlowId(1), CloseReason::Idle)]);
    assert_empty(&raw.endpoint);
    // A request for nobody does not keep a connection open.
    let mut raw = Raw::new();
    let text = raw.text("abcd1234", "SEND", "", None, '$').replace(raw.local.session_id(), "nobodynobody");
    raw.feed(text);
    raw.pass(30);
    raw.drain();
    assert_eq!(raw.closed, [(FlowId(1), CloseReason::Idle)]);
}

#[test]
fn too_many_faults_in_a_row_close_the_connection() {
    let mut raw = Raw::bound();
    for round in 0..2 {
        for _ in 0..32 {
            assert!(raw.request("abcd1234", "BLAH", "", None, '$').contains(" 501 "), "{round}");
        }
        raw.request("good1234", "SEND", "", None, '$');
    }
    assert!(raw.closed.is_empty(), "a good request in between forgives");
    let nobody = raw.text("abcd1234", "SEND", "", None, '$').replace(raw.local.session_id(), "nobodynobody");
    for _ in 0..33 {
        raw.feed(nobody.clone());
    }
    assert_eq!(raw.closed, [(FlowId(1), CloseReason::ProtocolError)]);
}

// interop: 14; RFC 4975 §7.3.1
#[test]
fn chunks_come_in_any_order() {
    let mut raw = Raw::bound();
    assert!(raw.chunk("abcd0002", "5-8/8", "EFGH", '$').contains(" 200 "));
    assert!(raw.chunk("abcd0001", "1-*/8", "abcd", '+').contains(" 200 "));
    let mut whole = crate::Reassembly::new(100);
    let mut completes = Vec::new();
    for event in raw.take() {
        match event {
            Event::Data { offset, bytes, .. } => whole.push(offset, &bytes).unwrap(),
            Event::ChunkEnd { complete, .. } => completes.push(complete),
            _ => {}
        }
    }
    assert_eq!(completes, [None, Some(8)]);
    assert_eq!(whole.finish(8).unwrap(), &b"abcdEFGH"[..]);
    assert_quiet(&raw.endpoint);
}

#[test]
fn the_last_chunk_defines_the_length() {
    // The examples of RFC 4975 declare a CRLF more than they have (see rfc4975-sec4-1).
    let mut raw = Raw::bound();
    raw.chunk("abcd0001", "1-25/25", "Hey Bob, are you there?", '$');
    assert!(raw.events.iter().any(|event| matches!(event, Event::ChunkEnd { complete: Some(23), .. })));
    assert_eq!(raw.endpoint.metrics().get("msrp.total_mismatch"), 1);
    assert_quiet(&raw.endpoint);
}

/// Threat B6: chunks have to agree on the length.
#[test]
fn chunks_that_contradict_one_another_drop_the_message() {
    let cases: [&[(&str, &str, char)]; 5] = [
        &[("1-*/8", "abcd", '+'), ("5-8/9", "EFGH", '$')],
        &[("1-*/4", "abcdE", '+')],
        &[("5-8/*", "EFGH", '+'), ("1-4/*", "abcd", '$')],
        &[("5-8/*", "EFGH", '$'), ("1-9/*", "abcdabcdX", '+')],
        &[("1-*/*", "abc", '+'), ("9-*/*", "", '$'), ("5-*/*", "", '$')],
    ];
    for case in cases {
        let mut raw = Raw::bound();
        let mut answers = Vec::new();
        for (i, (range, body, flag)) in case.iter().enumerate() {
            answers.push(raw.chunk(&format!("abcd000{i}"), range, body, *flag));
        }
        assert!(answers.last().unwrap().contains(" 400 "), "{case:?}");
        assert_eq!(raw.fault(), Some(&FaultKind::Contradiction));
        let aborts = raw.take().into_iter().filter(|event| matches!(event, Event::Aborted { .. })).count();
        assert_eq!(aborts, 1, "{case:?}");
        // What still comes of it is refused, and it is forgotten in the end.
        assert!(raw.chunk("late1234", "1-*/8", "more", '+').contains(" 400 "));
        assert!(!raw.take().iter().any(|event| matches!(event, Event::Data { .. })));
        run_out(&mut raw);
        assert_quiet(&raw.endpoint);
    }
}

/// Threat B8: it is the sum that is limited.
#[test]
fn the_sum_of_a_message_is_limited_however_it_comes() {
    let small = |config: &mut SessionConfig| config.max_message = 100;
    let mut raw = Raw::with(Limits::default(), small);
    raw.bind();
    assert!(raw.chunk("abcd0000", "1-*/101", "x", '+').contains(" 413 "));
    assert!(!raw.take().iter().any(|event| matches!(event, Event::Incoming { .. })));
    for i in 0..10 {
        assert!(
            raw.chunk(&format!("abcd00{i:02}"), &format!("{}-*/*", i * 10 + 1), "0123456789", '+')
                .contains(" 200 ")
        );
    }
    assert!(raw.chunk("abcd0011", "101-*/*", "x", '+').contains(" 413 "));
    let data: usize =
        raw.take().iter().map(|e| if let Event::Data { bytes, .. } = e { bytes.len() } else { 0 }).sum();
    assert_eq!(data, 100);
    // A position far away is refused before anything is kept.
    assert!(raw.chunk("abcd0012", "18446744073709551615-*/*", "x", '+').contains(" 413 "));
    // One long chunk is refused once, while it still comes.
    let mut raw = Raw::with(Limits::default(), small);
    raw.bind();
    let text = raw.text("long1234", "SEND", "Message-ID: m1\r\n", Some(&"y".repeat(5000)), '$');
    let (first, rest) = text.split_at(1000);
    assert!(raw.feed(first.to_string()).contains(" 413 "));
    assert_eq!(raw.feed(rest.to_string()), "", "one answer each");
}

/// Threat B7: open messages and gaps are counted.
#[test]
fn open_messages_and_gaps_are_limited() {
    let mut raw = Raw::bound();
    for i in 0..16 {
        let fields = format!("Message-ID: open{i:04}\r\nByte-Range: 1-*/*\r\n");
        assert!(raw.request(&format!("abcd00{i:02}"), "SEND", &fields, Some("x"), '+').contains(" 200 "));
    }
    let fields = "Message-ID: oneMore\r\nByte-Range: 1-*/*\r\n";
    assert!(raw.request("abcd0099", "SEND", fields, Some("x"), '+').contains(" 413 "));
    assert!(matches!(raw.fault(), Some(FaultKind::Limit(limit)) if limit.limit == "msrp.max_open_messages"));
    for overlap in [Overlap::LastStands, Overlap::FirstStands] {
        let mut raw = Raw::bound();
        raw.endpoint.set_options(raw.session, SessionOptions { overlap, ..SessionOptions::default() });
        for i in 0..65 {
            let range = format!("{}-*/*", i * 2 + 1);
            assert!(raw.chunk(&format!("abcd00{i:02}"), &range, "x", '+').contains(" 200 "));
        }
        raw.take();
        assert!(raw.chunk("abcd0099", "1001-*/*", "x", '+').contains(" 413 "), "{overlap:?}");
        assert!(matches!(raw.fault(), Some(FaultKind::Limit(limit)) if limit.limit == "msrp.max_gaps"));
        assert!(!raw.take().iter().any(|event| matches!(event, Event::Data { .. })), "{overlap:?}");
    }
}

/// Threat B9: what stands still goes, and so does who sends nothing for ever.
#[test]
fn messages_that_stand_still_and_endless_empty_chunks_end() {
    let mut raw = Raw::bound();
    raw.chunk("abcd0001", "1-*/100", "abc", '+');
    raw.pass(20);
    raw.chunk("abcd0002", "4-*/100", "def", '+');
    raw.pass(20);
    raw.drain();
    assert!(!raw.take().iter().any(|event| matches!(event, Event::Aborted { .. })), "it went on");
    raw.pass(10);
    raw.drain();
    assert!(matches!(raw.take()[..], [Event::Aborted { why: AbortReason::Idle, .. }]));
    assert_quiet(&raw.endpoint);
    // Also in the middle of a chunk; what still comes of it is dropped.
    let text =
        raw.text("abcd0003", "SEND", "Message-ID: stuck\r\nByte-Range: 1-*/9\r\n", Some("abcdef"), '+');
    raw.feed(text[..text.len() - 20].to_string());
    raw.take();
    raw.pass(30);
    raw.drain();
    assert!(matches!(raw.take()[..], [Event::Aborted { why: AbortReason::Idle, .. }]));
    assert_eq!(raw.feed(text[text.len() - 20..].to_string()), "");
    assert!(raw.take().is_empty());
    for i in 0..32 {
        assert!(raw.chunk(&format!("abcd00{i:02}"), "1-*/100", "", '+').contains(" 200 "));
    }
    assert_eq!(raw.chunk("abcd0099", "1-*/100", "", '+'), "");
    assert_eq!(raw.closed, [(FlowId(1), CloseReason::ProtocolError)]);
    assert_empty(&raw.endpoint);
}

/// Threat B9: whoever goes on, however slowly, stands not still; octets in between forgive empty chunks.
#[test]
fn messages_that_go_on_slowly_are_taken() {
    let aborted = |raw: &mut Raw| raw.take().iter().any(|event| matches!(event, Event::Aborted { .. }));
    let fields = "Message-ID: slow\r\nByte-Range: 1-*/9\r\n";
    let mut raw = Raw::bound();
    let text = raw.text("abcd0001", "SEND", fields, Some("abcdefghi"), '$');
    let body = text.find("abcdefghi").unwrap();
    raw.feed(text[..body].to_string());
    for octet in "abcdefghi".chars() {
        raw.pass(20);
        raw.feed(octet.to_string());
        assert!(!aborted(&mut raw), "an octet every 20 s");
    }
    assert!(raw.feed(text[body + 9..].to_string()).contains(" 200 "));
    // A head alone is something too.
    let mut raw = Raw::bound();
    raw.chunk("abcd0001", "1-*/6", "abc", '+');
    raw.pass(29);
    let text =
        raw.text("abcd0002", "SEND", "Message-ID: msg12345\r\nByte-Range: 4-*/6\r\n", Some("def"), '$');
    let body = text.find("def").unwrap();
    raw.feed(text[..body].to_string());
    raw.pass(2);
    raw.drain();
    assert!(!aborted(&mut raw));
    assert!(raw.feed(text[body..].to_string()).contains(" 200 "));
    let mut raw = Raw::bound();
    for i in 0..100 {
        assert!(raw.chunk(&format!("abcd0{i:03}"), "1-*/100", "", '+').contains(" 200 "));
        assert!(raw.chunk(&format!("efgh0{i:03}"), "1-*/100", "x", '+').contains(" 200 "));
    }
}

#[test]
fn keep_alives_are_no_empty_chunks() {
    let mut raw = Raw::bound();
    for _ in 0..100 {
        assert!(
            raw.request("keep1234", "SEND", "Message-ID: alive\r\nByte-Range: 1-0/0\r\n", None, '$')
                .contains("200")
        );
    }
    assert!(raw.closed.is_empty() && raw.take().is_empty());
}

#[test]
fn the_sender_may_give_up() {
    for with_body in [true, false] {
        let mut raw = Raw::bound();
        raw.chunk("abcd0001", "1-*/100", "abc", '+');
        raw.take();
        let fields = "Message-ID: msg12345\r\nByte-Range: 4-*/100\r\n";
        let answer = raw.request("abcd0002", "SEND", fields, with_body.then_some("de"), '#');
        assert!(answer.contains(" 200 "));
        assert!(
            raw.take().iter().any(|event| matches!(event, Event::Aborted { why: AbortReason::ByPeer, .. }))
        );
        assert_quiet(&raw.endpoint);
    }
}

#[test]
fn answers_wait_for_the_user_and_a_refusal_holds() {
    let mut raw = Raw::bound();
    raw.answer = None;
    assert_eq!(raw.chunk("abcd0001", "1-*/100", "abc", '+'), "");
    let Some(Event::ChunkEnd { chunk, .. }) = raw.take().pop() else { panic!() };
    assert!(raw.endpoint.next_timeout().is_some());
    raw.endpoint.respond(raw.now, chunk, Status::UNSUPPORTED_MEDIA);
    assert!(raw.drain().starts_with("MSRP abcd0001 415 Unsupported Media Type\r\n"));
    raw.endpoint.respond(raw.now, chunk, Status::OK);
    assert_eq!(raw.drain(), "", "one answer each");
    assert!(raw.chunk("abcd0002", "4-*/100", "def", '+').contains(" 415 "));
    assert!(raw.take().is_empty());
    run_out(&mut raw);
    assert_quiet(&raw.endpoint);
}

#[test]
fn unanswered_chunks_are_limited() {
    let limits = Limits { max_outstanding: 2, ..Limits::default() };
    let mut raw = Raw::with(limits, |_| {});
    raw.bind();
    raw.answer = None;
    assert_eq!(raw.chunk("abcd0001", "1-*/100", "a", '+'), "");
    assert_eq!(raw.chunk("abcd0002", "2-*/100", "b", '+'), "");
    assert!(raw.chunk("abcd0003", "3-*/100", "c", '+').contains(" 413 "));
}

// RFC 4975 §7.1.3
#[test]
fn a_success_report_follows_the_last_200() {
    let mut raw = Raw::bound();
    raw.answer = None;
    let fields = |range: &str| format!("Message-ID: m1234\r\nSuccess-Report: yes\r\nByte-Range: {range}\r\n");
    raw.request("abcd0001", "SEND", &fields("1-*/6"), Some("abc"), '+');
    raw.request("abcd0002", "SEND", &fields("4-6/6"), Some("def"), '$');
    let chunks: Vec<ChunkId> = raw
        .take()
        .iter()
        .filter_map(|event| if let Event::ChunkEnd { chunk, .. } = event { Some(*chunk) } else { None })
        .collect();
    raw.endpoint.respond(raw.now, chunks[1], Status::OK);
    assert!(!raw.drain().contains("REPORT"));
    raw.endpoint.respond(raw.now, chunks[0], Status::OK);
    let out = raw.drain();
    let report = &out[out.find("SEND").unwrap_or(0)..];
    assert!(report.contains(" REPORT\r\nTo-Path: msrp://192.0.2.2:9/peerpeerpeerpeer;tcp\r\n"), "{out}");
    assert!(
        report.contains("Message-ID: m1234\r\nByte-Range: 1-6/6\r\nStatus: 000 200 OK\r\n-------"),
        "{out}"
    );
    assert!(!out.contains("Success-Report") && !out.contains("Failure-Report"));
    assert_quiet(&raw.endpoint);
    // None for what was refused.
    raw.answer = Some(Status::STOP);
    assert!(
        !raw.request("abcd0003", "SEND", &fields("1-3/3").replace("m1", "m2"), Some("abc"), '$')
            .contains("REPORT")
    );
    assert_quiet(&raw.endpoint);
}

#[test]
fn an_answer_may_come_before_the_chunk_is_written() {
    for (code, sent) in [("200 OK", true), ("413 Stop", false)] {
        let mut raw = Raw::bound();
        raw.endpoint.send(raw.now, raw.session, message(vec![b'X'; 5000])).unwrap();
        let mut out = Vec::new();
        raw.endpoint.poll_transmit(raw.now, raw.flow, 3000, &mut out);
        let begun = String::from_utf8(out).unwrap();
        let tid = begun.split(' ').nth(1).unwrap();
        let answer = raw.text(tid, code, "", None, '$');
        let rest = raw.feed(answer.clone());
        let events = raw.take();
        if sent {
            assert_eq!(rest.matches('X').count() + begun.matches('X').count(), 5000);
            assert!(rest.ends_with(&format!("-------{tid}$\r\n")));
            assert!(
                matches!(events[..], [Event::Progress { acknowledged: 5000, .. }, Event::Sent { .. }]),
                "{events:?}"
            );
        } else {
            assert_eq!(rest, format!("\r\n-------{tid}#\r\n"), "RFC 4975 §10.5: it is interrupted");
            assert!(
                matches!(events[..], [Event::SendFailed { status: Some(Status::STOP), .. }]),
                "{events:?}"
            );
        }
        assert_quiet(&raw.endpoint);
        raw.feed(answer);
        assert_eq!(raw.fault(), Some(&FaultKind::UnexpectedResponse));
    }
}

/// Threat B11: answers that nobody reads are bounded.
#[test]
fn a_peer_that_reads_nothing_is_not_waited_for() {
    let mut raw = Raw::with(Limits { max_output: 4096, ..Limits::default() }, |_| {});
    let text = raw.text("abcd1234", "SEND", "Message-ID: m1234\r\n", None, '$');
    for _ in 0..100 {
        raw.endpoint.handle_stream(raw.now, FlowId(1), Bytes::from(text.clone()));
    }
    let closed =
        core::iter::from_fn(|| raw.endpoint.poll_action()).any(|action| matches!(action, Action::Close(..)));
    assert!(closed);
    assert_empty(&raw.endpoint);
}

// interop: 10, 13, 18
#[test]
fn unknown_fields_other_types_and_any_field_order_pass() {
    let mut raw = Raw::bound();
    let body = "From: <sip:a@b>\r\n\r\nContent-Type: message/imdn+xml\r\n\r\n<imdn/>";
    let text = raw
        .text("abcd1234", "SEND", "", Some(body), '$')
        .replace("Content-Type: text/plain\r\n\r\nFrom", "Content-Type: message/cpim\r\nContent-Disposition: notification\r\nX-Odd: 1\r\nMessage-ID: m1234\r\n\r\nFrom");
    assert!(raw.feed(text).contains(" 200 "));
    let mut got = Vec::new();
    for event in raw.take() {
        match event {
            Event::Incoming { head, total, .. } => {
                assert_eq!(
                    (head.content_type(), head.message_id(), total),
                    (Some("message/cpim"), Some("m1234"), None)
                );
                assert_eq!(head.field("Content-Disposition"), Some("notification"));
            }
            Event::Data { bytes, .. } => got.extend_from_slice(&bytes),
            _ => {}
        }
    }
    assert_eq!(got, body.as_bytes(), "nothing is encoded or decoded");
}

#[test]
fn misuse_is_told_and_gives_back() {
    let mut raw = Raw::bound();
    let again = raw.endpoint.open_session(raw.now, config(&raw.local, &raw.remote, Role::Passive));
    assert_eq!(again, Err(SessionError::LocalPath));
    let mut bare = config(&raw.endpoint.new_local_uri("a", 1, false), &raw.remote, Role::Passive);
    bare.remote_path.clear();
    assert_eq!(raw.endpoint.open_session(raw.now, bare), Err(SessionError::RemotePath));
    let udp = Role::Active("192.0.2.2:1".parse().unwrap(), Transport::Udp);
    let local = raw.endpoint.new_local_uri("a", 1, false);
    assert_eq!(
        raw.endpoint.open_session(raw.now, config(&local, &raw.remote, udp)),
        Err(SessionError::Config)
    );
    let guessable = MsrpUri::parse("msrp://a:1/12345678;tcp").unwrap();
    let opened = raw.endpoint.open_session(raw.now, config(&guessable, &raw.remote, Role::Passive));
    assert_eq!(opened, Err(SessionError::LocalPath));

    let mut refused = |outgoing: Outgoing, session| {
        let Err(SendError { why, outgoing: back }) = raw.endpoint.send(raw.now, session, outgoing.clone())
        else {
            panic!()
        };
        assert_eq!(*back, outgoing);
        why
    };
    let session = raw.session;
    assert_eq!(refused(message("x"), SessionId(999)), SendRefusal::NoSession);
    assert_eq!(
        refused(Outgoing { message_id: Some("a b".into()), ..message("x") }, session),
        SendRefusal::MessageId
    );
    for bad in ["", "text", "text/plain\r\nX: y", "/"] {
        assert_eq!(
            refused(Outgoing { content_type: bad.into(), ..message("x") }, session),
            SendRefusal::ContentType
        );
    }
    let same = Outgoing { message_id: Some("same1234".into()), ..message("x") };
    raw.endpoint.send(raw.now, session, same.clone()).unwrap();
    assert_eq!(raw.endpoint.send(raw.now, session, same).unwrap_err().why, SendRefusal::MessageId);
    assert!(
        Endpoint::new(Config { limits: Limits { piece: 0, ..Limits::default() }, seed: Seed::new([1; 32]) })
            .is_err()
    );
}

/// Threat B12: connections and sessions are bounded, whoever opens them.
#[test]
fn connections_and_sessions_are_bounded() {
    let mut raw = Raw::with(Limits { max_connections: 1, max_sessions: 2, ..Limits::default() }, |_| {});
    raw.endpoint.handle_accepted(raw.now, FlowId(2), info());
    raw.drain();
    assert_eq!(raw.closed, [(FlowId(2), CloseReason::ProtocolError)]);
    assert!(matches!(raw.fault(), Some(FaultKind::Limit(limit)) if limit.limit == "msrp.max_connections"));
    raw.take();
    let local = raw.endpoint.new_local_uri("192.0.2.1", 9, false);
    let session = raw.endpoint.open_session(raw.now, config(&local, &raw.remote, there())).unwrap();
    let Some(Action::Open(open, _)) = raw.endpoint.poll_action() else { panic!() };
    let third = raw.endpoint.new_local_uri("192.0.2.1", 9, false);
    let refused = raw.endpoint.open_session(raw.now, config(&third, &raw.remote, Role::Passive));
    assert!(matches!(refused, Err(SessionError::Limit(limit)) if limit.limit == "msrp.max_sessions"));
    raw.endpoint.handle_opened(raw.now, open, Ok((FlowId(3), info())));
    raw.drain();
    let why = LostReason::Open(OpenError::Unavailable);
    assert_eq!(raw.take().pop(), Some(Event::BindFailed { session, why }));
    assert_eq!(raw.closed.last(), Some(&(FlowId(3), CloseReason::ProtocolError)));
    raw.bind();
}

#[test]
fn session_ids_are_long_and_distinct() {
    let mut endpoint = endpoint(7);
    let mut seen = BTreeSet::new();
    for _ in 0..1000 {
        let uri = endpoint.new_local_uri("192.0.2.1", 2855, false);
        assert!(uri.session_id().len() >= 26, "26 letters of 5 bits");
        assert!(seen.insert(uri));
    }
}
