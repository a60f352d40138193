//! Links: messages that are handed over mean what their octets would.

use crate::*;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;
use cpm_base::{CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_sip::{HeaderName, HeaderText, Message, Method, Request, Response, StatusCode, Uri, parse_datagram};
use proptest::prelude::*;

const LINK: FlowId = FlowId(1);

fn now() -> Now {
    Now::new(Instant::from_micros(1), DateTime::UNIX_EPOCH)
}

fn info(transport: Transport) -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Sip,
        transport,
        local: "192.0.0.8:5060".parse().unwrap(),
        peer: "192.0.0.8:5062".parse().unwrap(),
        secure_identity: None,
        trust: Trust::Core,
    }
}

fn linked(mut config: Config) -> Endpoint {
    config.identity.enforce = true;
    let mut ua = Endpoint::new(config).unwrap();
    ua.declare_link(LINK);
    ua.handle_accepted(now(), LINK, info(Transport::Tcp));
    while ua.poll_action().is_some() {}
    ua
}

fn proxy() -> Endpoint {
    linked(Config::proxy(Seed::new([1; 32]), "test"))
}

fn user_agent() -> Endpoint {
    linked(Config::user_agent(Seed::new([1; 32]), "test"))
}

fn request(body: usize) -> Request {
    let mut request = Request::new(Method::Message, Uri::parse("sip:b@192.0.0.8:5062").unwrap());
    for (name, value) in [
        (HeaderName::From, "<sip:a@example.com>;tag=a"),
        (HeaderName::To, "<sip:b@example.com>"),
        (HeaderName::CallId, "c"),
        (HeaderName::CSeq, "1 MESSAGE"),
        (HeaderName::ContentType, "text/plain"),
    ] {
        request.headers_mut().push(name, HeaderText::new(value).unwrap());
    }
    request.set_body(Bytes::from(vec![b'x'; body]));
    request
}

/// All that an endpoint has to say.
fn said(ua: &mut Endpoint) -> Vec<String> {
    core::iter::from_fn(|| ua.poll_action()).map(|action| format!("{action:?}")).collect()
}

#[test]
fn what_is_sent_on_a_link_waits_in_messages() {
    let mut ua = user_agent();
    ua.send_request(now(), request(5), Destination::Flow(LINK)).unwrap();
    assert!(said(&mut ua).contains(&format!("{:?}", Action::WantsWrite(LINK))));
    let message = ua.poll_message(LINK).unwrap();
    assert_eq!(message.as_request().map(Request::method), Some(&Method::Message));
    assert!(message.reads_back(&cpm_sip::Limits::default()));
    assert!(ua.poll_message(LINK).is_none());
    // Who asks for octets gets them; then the rest of the message is octets too.
    ua.send_request(now(), request(6), Destination::Flow(LINK)).unwrap();
    let mut octets = Vec::new();
    assert_eq!(ua.poll_transmit(now(), LINK, 10, &mut octets), 10);
    assert!(ua.poll_message(LINK).is_none());
    while ua.poll_transmit(now(), LINK, 100, &mut octets) > 0 {}
    let read = parse_datagram(octets.into(), &cpm_sip::Limits::default()).unwrap();
    assert_eq!(read.body().len(), 6);
}

#[test]
fn a_flow_that_was_not_declared_or_has_datagrams_is_no_link() {
    let mut ua = Endpoint::new(Config::user_agent(Seed::new([1; 32]), "test")).unwrap();
    ua.declare_link(FlowId(2));
    ua.handle_accepted(now(), FlowId(2), info(Transport::Udp));
    ua.handle_accepted(now(), FlowId(3), info(Transport::Tcp));
    for flow in [FlowId(2), FlowId(3)] {
        ua.send_request(now(), request(5), Destination::Flow(flow)).unwrap();
        assert!(ua.poll_message(flow).is_none());
    }
    assert!(said(&mut ua).iter().any(|action| action.starts_with("Datagram(FlowId(2)")));
    assert!(ua.poll_transmit(now(), FlowId(3), 10_000, &mut Vec::new()) > 0);
    // Messages do not come in datagrams, nor on flows that nobody knows.
    for flow in [FlowId(2), FlowId(9)] {
        ua.handle_message(now(), flow, Box::new(request(5).into()));
        assert_eq!(
            said(&mut ua),
            [format!("{:?}", Action::Event(Event::Fault(Fault::UnknownFlow { flow })))]
        );
    }
    // A name that was declared and never announced is forgotten when the host says that it is gone.
    ua.declare_link(FlowId(4));
    ua.handle_closed(now(), FlowId(4), CloseReason::Done);
    assert!(ua.flows.links.is_empty());
}

/// Limits count what a message would be in octets.
#[test]
fn messages_count_against_the_limits_of_octets() {
    let mut config = Config::user_agent(Seed::new([1; 32]), "test");
    config.limits.out_queue = 2_000;
    let mut ua = linked(config);
    ua.send_request(now(), request(300_000), Destination::Flow(LINK)).unwrap();
    assert!(ua.poll_message(LINK).is_none(), "sip.max_out");
    assert!(said(&mut ua).iter().any(|action| action.contains("sip.max_out")));
    let mut send = || ua.send_request(now(), request(500), Destination::Flow(LINK)).unwrap();
    for _ in 0..3 {
        send();
    }
    let all = said(&mut ua);
    assert!(all.iter().any(|action| action.contains("conn.out_queue")), "{all:?}");
    assert!(all.iter().any(|action| action.starts_with("Close(FlowId(1)")), "{all:?}");
    // What had been taken is still there for the host.
    assert!(ua.poll_message(LINK).is_some());
    ua.handle_closed(now(), LINK, CloseReason::Failed);
    assert!(ua.poll_message(LINK).is_none());
}

/// A message that comes amid one in octets is octets of that one.
#[test]
fn a_message_amid_octets_is_octets() {
    let mut ua = proxy();
    ua.handle_stream(now(), LINK, Bytes::from_static(b"MESSAGE sip:b@b SIP/2.0\r\nSubject: "));
    ua.handle_message(now(), LINK, Box::new(request(5).into()));
    let said = said(&mut ua);
    assert!(said.iter().any(|action| action.contains("Malformed") || action.contains("Refused")), "{said:?}");
    assert!(!said.iter().any(|action| action.contains("Event(Request")), "{said:?}");
}

/// Two CRLFs with a message between them are two answers to keep-alives and no question; half of a CRLF spoils the message
/// behind it.
#[test]
fn line_ends_around_a_message_count_as_around_its_octets() {
    for pieces in [&["\r\n", "", "\r\n"][..], &["\r\n\r\n\r\n", "", "\r\n"], &["\r\n", "\r", "", "\n\r\n"]] {
        let mut pair = [user_agent(), user_agent()];
        for piece in pieces {
            let [handed, read] = &mut pair;
            let message = Message::from(request(5));
            let octets =
                if piece.is_empty() { message.to_bytes() } else { Bytes::from_static(piece.as_bytes()) };
            read.handle_stream(now(), LINK, octets.clone());
            match piece.is_empty() {
                true => handed.handle_message(now(), LINK, Box::new(message)),
                false => handed.handle_stream(now(), LINK, octets),
            }
            assert_eq!(said(handed), said(read), "{pieces:?}");
        }
        let [handed, read] = &pair;
        assert_eq!(handed.metrics(), read.metrics(), "{pieces:?}");
    }
}

/// What a proxy does with a request for which there are two targets, one of them over a link, when the one that it tried
/// first comes to nothing.
fn next_target(link: bool, link_first: bool, failure: u8, method: Method) -> Vec<String> {
    const FAR: FlowId = FlowId(2);
    let mut config = Config::proxy(Seed::new([1; 32]), "test");
    config.identity.enforce = true;
    let mut ua = Endpoint::new(config).unwrap();
    if link {
        ua.declare_link(LINK);
    }
    ua.handle_accepted(
        now(),
        FlowId(3),
        FlowInfo { peer: "192.0.0.9:5060".parse().unwrap(), ..info(Transport::Tcp) },
    );
    let mut asked = request(5);
    let via = HeaderText::new("SIP/2.0/TCP 192.0.0.9:5060;branch=z9hG4bKx").unwrap();
    asked.headers_mut().prepend(HeaderName::Via, via);
    asked.headers_mut().replace(HeaderName::CSeq, HeaderText::new(&format!("1 {method}")).unwrap());
    let uri = Uri::parse("sip:b@far.example.com").unwrap();
    let mut came = Request::new(method, uri);
    for (name, value) in asked.headers().iter() {
        came.headers_mut().push(name.clone(), HeaderText::new(&value.to_text().unwrap()).unwrap());
    }
    came.set_body(asked.body().clone());
    ua.handle_stream(now(), FlowId(3), came.to_bytes());
    let link_at = "192.0.0.8:5062".parse().unwrap();
    let far_at = "192.0.0.7:5060".parse().unwrap();
    let (mut seen, mut at, mut tried, mut handed) = (Vec::new(), now(), 0, false);
    for _ in 0..60 {
        let Some(action) = ua.poll_action() else {
            let Some(next) = ua.next_timeout().filter(|_| failure == 2) else { break };
            at = Now::new(next, DateTime::UNIX_EPOCH);
            ua.handle_timeout(at);
            continue;
        };
        match action {
            Action::Event(Event::Request { id, request, .. }) => {
                let branch = Branch { request, destination: Destination::Routed };
                ua.proxy(at, id, vec![branch], ProxyOptions::default()).unwrap();
            }
            Action::Resolve(id, _) => {
                let mut targets = vec![(Transport::Tcp, link_at), (Transport::Tcp, far_at)];
                if !link_first {
                    targets.reverse();
                }
                ua.handle_resolved(at, id, targets);
            }
            Action::Open(open, target) => {
                let flow = if target.remote == link_at { LINK } else { FAR };
                let info = FlowInfo { peer: target.remote, ..info(Transport::Tcp) };
                ua.handle_opened(at, open, Ok((flow, info)));
            }
            Action::WantsWrite(flow) => {
                let message = ua.poll_message(flow);
                handed |= message.is_some();
                let mut octets = message.map(|message| message.to_bytes().to_vec()).unwrap_or_default();
                while ua.poll_transmit(at, flow, 10_000, &mut octets) > 0 {}
                seen.push(format!("{flow:?} {}", String::from_utf8(octets.clone()).unwrap()));
                let Ok(Message::Request(sent)) = parse_datagram(octets.into(), &cpm_sip::Limits::default())
                else {
                    continue;
                };
                if !matches!(*sent.method(), Method::Message | Method::Invite) {
                    continue;
                }
                tried += 1;
                let mut answer = |status| {
                    let mut response = Response::for_request(&sent, status);
                    response.ensure_content_length();
                    ua.handle_stream(at, flow, response.to_bytes());
                };
                match (failure, tried) {
                    (0, 1) => answer(StatusCode::SERVICE_UNAVAILABLE),
                    (1, 1) => ua.handle_closed(at, flow, CloseReason::Failed),
                    (2, 1) => {}
                    (3, _) => answer(StatusCode::SERVICE_UNAVAILABLE),
                    (4, _) => ua.handle_closed(at, flow, CloseReason::Failed),
                    _ => answer(StatusCode::OK),
                }
            }
            other => seen.push(format!("{other:?}")),
        }
    }
    assert_eq!((tried, handed), (2, link), "{seen:?}");
    seen
}

/// A request that went over a link goes to the next target whole, and one that is for the next target goes over a link.
#[test]
fn the_next_target_gets_what_the_first_got() {
    for failure in 0..5 {
        for (link_first, method) in [
            (true, Method::Message),
            (false, Method::Message),
            (true, Method::Invite),
            (false, Method::Invite),
        ] {
            let octets = next_target(false, link_first, failure, method.clone());
            assert_eq!(
                next_target(true, link_first, failure, method.clone()),
                octets,
                "{failure} {link_first} {method}"
            );
        }
    }
}

fn odd_message() -> impl Strategy<Value = Message> {
    let names = [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::MaxForwards,
        HeaderName::Route,
        HeaderName::Require,
        HeaderName::ProxyRequire,
        HeaderName::ContentLength,
        HeaderName::PAssertedIdentity,
    ];
    let values = [
        "SIP/2.0/TCP 192.0.0.8:5062;branch=z9hG4bKx;rport",
        "<sip:a@example.com>;tag=1",
        "<sip:192.0.0.8:5060;lr>",
        "1 MESSAGE",
        "2 INVITE",
        "0",
        "x-odd",
        "",
        " ",
        "<<",
    ];
    let edit = (0usize..4, prop::sample::select(names.to_vec()), prop::sample::select(values.to_vec()));
    let method = prop::sample::select(vec!["MESSAGE", "INVITE", "ACK", "CANCEL", "BYE", "PRACK", "X-OWN"]);
    let status = prop::option::of(prop::sample::select(vec![100u16, 180, 200, 302, 487, 603]));
    let shape = (method, status, any::<bool>(), 0usize..3, prop::collection::vec(edit, 0..4));
    shape.prop_map(|(method, status, complete, body, edits)| {
        let mut whole =
            Request::new(Method::parse(method).unwrap(), Uri::parse("sip:b@example.com").unwrap());
        let via = HeaderText::new("SIP/2.0/TCP 192.0.0.8:5062;branch=z9hG4bKx;rport").unwrap();
        whole.headers_mut().push(HeaderName::Via, via);
        for name in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
            whole.headers_mut().copy_from(request(0).headers(), &name);
        }
        whole.headers_mut().push(HeaderName::CSeq, HeaderText::new(&format!("1 {method}")).unwrap());
        let mut message = match status.and_then(StatusCode::new) {
            Some(status) => Message::Response(Response::for_request(&whole, status)),
            None => Message::Request(whole),
        };
        if complete {
            message.set_body(Bytes::from(vec![b'x'; body]));
        }
        for (kind, name, value) in edits {
            let value = HeaderText::new(value).unwrap();
            match kind {
                0 => message.headers_mut().push(name, value),
                1 => message.headers_mut().prepend(name, value),
                2 => message.headers_mut().replace(name, value),
                _ => drop(message.headers_mut().remove(&name)),
            }
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever message comes on a link, and in whatever order: events, faults, answers and counters are those of its
    /// octets.
    #[test]
    fn odd_messages_are_what_their_octets_are(
        messages in prop::collection::vec((prop::sample::select(vec!["", "", "\r\n", "\r\n\r\n"]), odd_message()), 1..6),
        agent in any::<bool>(),
    ) {
        let mut pair = if agent { [user_agent(), user_agent()] } else { [proxy(), proxy()] };
        for (line_ends, message) in messages {
            let octets = message.to_bytes();
            let [handed, read] = &mut pair;
            for ua in [&mut *handed, &mut *read] {
                ua.handle_stream(now(), LINK, Bytes::from_static(line_ends.as_bytes()));
            }
            handed.handle_message(now(), LINK, Box::new(message));
            read.handle_stream(now(), LINK, octets);
            prop_assert_eq!(said(handed), said(read));
            let written = |ua: &mut Endpoint| {
                let mut out = Vec::new();
                while ua.poll_transmit(now(), LINK, 1000, &mut out) > 0 {}
                String::from_utf8(out).unwrap()
            };
            prop_assert_eq!(written(handed), written(read));
        }
        let [handed, read] = &pair;
        prop_assert_eq!(handed.metrics(), read.metrics());
        prop_assert_eq!(handed.next_timeout(), read.next_timeout());
    }
}
