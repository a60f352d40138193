#![allow(clippy::arithmetic_side_effects)]

use super::exchange::{Carrier, Exchange, Message, Position, Side};
use super::timer::{self, Effect, Said, State, Timer};
use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::Instant;
use cpm_sip::{HeaderName, HeaderText, Headers, MinSe, Refresher, SessionExpires, Supported};

const T0: Instant = Instant::from_micros(1_000_000);

fn states() -> Vec<Exchange> {
    let carriers = [Carrier::Invite, Carrier::Reliable, Carrier::Success, Carrier::Prack, Carrier::Update];
    let mut all = Vec::from([Exchange::Idle]);
    for side in [Side::Local, Side::Remote] {
        all.push(Exchange::Bare(side));
        all.extend(carriers.map(|carrier| Exchange::Pending(side, carrier)));
    }
    all
}

const MESSAGES: [Message; 12] = [
    Message::Invite,
    Message::Provisional,
    Message::Reliable,
    Message::Success,
    Message::Ack,
    Message::Prack,
    Message::PrackSuccess,
    Message::Update,
    Message::UpdateSuccess,
    Message::InviteOver,
    Message::PrackOver,
    Message::UpdateOver,
];

fn mirrored(state: Exchange) -> Exchange {
    match state {
        Exchange::Idle => Exchange::Idle,
        Exchange::Bare(side) => Exchange::Bare(side.other()),
        Exchange::Pending(side, carrier) => Exchange::Pending(side.other(), carrier),
    }
}

/// Threat I3: every state with every message, with (`+`) and without a description, sent by this side; what is not
/// listed changes nothing and has no description. The other side's messages are the mirror image.
#[test]
fn offer_answer_matrix() {
    let mut text = String::new();
    for state in states() {
        for message in MESSAGES {
            for has in [true, false] {
                let (next, position) = state.step(Side::Local, message, has);
                let mirror = mirrored(state).step(Side::Remote, message, has);
                assert_eq!(mirror, (mirrored(next), position), "{state:?} {message:?}");
                if (next, position) != (state, Position::Nothing) {
                    let plus = if has { "+" } else { "" };
                    text += &format!("{state:?} {message:?}{plus} -> {next:?} {position:?}\n");
                }
                if let Position::Misplaced(_) | Position::Preview | Position::Repeated = position {
                    assert_eq!(next, state, "what may not be there changes nothing");
                }
            }
        }
    }
    assert_eq!(text, include_str!("offer_answer.matrix"));
}

/// The six patterns of RFC 6337, table 1.
#[test]
fn the_six_patterns_of_rfc_6337() {
    use Side::{Local as A, Remote as B};
    type Steps<'a> = &'a [(Side, Message, bool, Position)];
    let patterns: [Steps<'_>; 6] = [
        &[(A, Message::Invite, true, Position::Offer), (B, Message::Success, true, Position::Answer)],
        &[
            (A, Message::Invite, false, Position::Nothing),
            (B, Message::Success, true, Position::Offer),
            (A, Message::Ack, true, Position::Answer),
        ],
        &[
            (A, Message::Invite, true, Position::Offer),
            (B, Message::Provisional, true, Position::Preview),
            (B, Message::Reliable, true, Position::Answer),
            (A, Message::Prack, false, Position::Nothing),
            (B, Message::PrackSuccess, false, Position::Nothing),
            (B, Message::Success, false, Position::Nothing),
            (A, Message::Ack, false, Position::Nothing),
        ],
        &[
            (A, Message::Invite, false, Position::Nothing),
            (B, Message::Reliable, true, Position::Offer),
            (A, Message::Prack, true, Position::Answer),
            (B, Message::Success, true, Position::Repeated),
        ],
        &[
            (A, Message::Invite, true, Position::Offer),
            (B, Message::Reliable, true, Position::Answer),
            (A, Message::Prack, true, Position::Offer),
            (B, Message::PrackSuccess, true, Position::Answer),
        ],
        &[(B, Message::Update, true, Position::Offer), (A, Message::UpdateSuccess, true, Position::Answer)],
    ];
    for pattern in patterns {
        let mut state = Exchange::Idle;
        for (by, message, has, position) in pattern {
            let (next, found) = state.step(*by, *message, *has);
            assert_eq!(found, *position, "{state:?} {by:?} {message:?}");
            state = next;
        }
        assert_eq!(state, Exchange::Idle);
    }
}

fn timer_in(state: State) -> Timer {
    let mut timer = Timer::OFF;
    timer.step(T0, timer::Event::Agreed(600, Side::Local));
    timer.state = state;
    timer
}

#[test]
fn session_timer_matrix() {
    use timer::Event;
    let mut text = String::new();
    let later = T0.plus(Duration::from_secs(300));
    for state in [State::Off, State::Refresher, State::Refreshing, State::Watcher, State::Expired] {
        for event in [
            Event::Agreed(90, Side::Local),
            Event::Agreed(1800, Side::Remote),
            Event::NotAgreed,
            Event::RefreshDue,
            Event::RefreshFailed,
            Event::ExpiryDue,
        ] {
            let mut machine = timer_in(state);
            let effect = machine.step(later, event);
            if (machine.state, effect) == (state, Effect::Nothing) && machine == timer_in(state) {
                continue;
            }
            let at =
                machine.next_alarm().map_or("-".into(), |at| format!("{}", at.since(later).as_secs_f64()));
            text += &format!("{state:?} {event:?} -> {:?} {effect:?} {at}\n", machine.state);
        }
    }
    assert_eq!(
        text,
        "\
Off Agreed(90, Local) -> Refresher Nothing 45
Off Agreed(1800, Remote) -> Watcher Nothing 1768
Off NotAgreed -> Off Nothing -
Refresher Agreed(90, Local) -> Refresher Nothing 45
Refresher Agreed(1800, Remote) -> Watcher Nothing 1768
Refresher NotAgreed -> Off Nothing -
Refresher RefreshDue -> Refreshing Refresh 268
Refresher ExpiryDue -> Expired End -
Refreshing Agreed(90, Local) -> Refresher Nothing 45
Refreshing Agreed(1800, Remote) -> Watcher Nothing 1768
Refreshing NotAgreed -> Off Nothing -
Refreshing RefreshFailed -> Refresher Nothing 134
Refreshing ExpiryDue -> Expired End -
Watcher Agreed(90, Local) -> Refresher Nothing 45
Watcher Agreed(1800, Remote) -> Watcher Nothing 1768
Watcher NotAgreed -> Off Nothing -
Watcher ExpiryDue -> Expired End -
"
    );
}

/// Threat C14: refresh at half of the interval, the end at the interval less 32 s or a third.
#[test]
fn refresh_and_end_follow_the_interval() {
    for (seconds, refresh, end) in
        [(90, 45, 60), (96, 48, 64), (99, 49, 67), (1800, 900, 1768), (86_400, 43_200, 86_368)]
    {
        let mut watcher = Timer::OFF;
        watcher.step(T0, timer::Event::Agreed(seconds, Side::Remote));
        assert_eq!(watcher.next_alarm(), Some(T0.plus(Duration::from_secs(end))), "{seconds}");
        let mut refresher = Timer::OFF;
        refresher.step(T0, timer::Event::Agreed(seconds, Side::Local));
        let at = refresher.next_alarm().unwrap();
        assert_eq!(at.since(T0).as_secs(), refresh, "{seconds}");
        assert_eq!(refresher.due(at), Some(timer::Event::RefreshDue));
    }
}

fn said(expires: Option<u32>, refresher: Option<Refresher>, min_se: Option<u32>, supported: bool) -> Said {
    Said { expires, refresher, min_se, supported }
}

/// RFC 4028 §9, table 2, and what a peer may not talk us into: less than 90 s, more than a day.
#[test]
fn what_is_agreed_to() {
    use Refresher::{Uac, Uas};
    let own = SessionTimer::default();
    let cases = [
        (said(None, None, None, false), (1800, Uas)),
        (said(None, None, None, true), (1800, Uas)),
        (said(Some(600), None, None, true), (600, Uas)),
        (said(Some(600), Some(Uac), None, true), (600, Uac)),
        (said(Some(600), Some(Uas), None, true), (600, Uas)),
        (said(Some(600), Some(Uac), None, false), (600, Uas)),
        (said(Some(4000), None, None, true), (1800, Uas)),
        (said(Some(4000), None, Some(3000), true), (3000, Uas)),
        (said(Some(10), None, None, false), (90, Uas)),
        (said(Some(u32::MAX), None, Some(u32::MAX), true), (86_400, Uas)),
    ];
    for (said, agreed) in cases {
        assert_eq!(said.agree(&own), agreed, "{said:?}");
    }
    let lazy = SessionTimer { refresh: false, ..own };
    assert_eq!(said(None, None, None, true).agree(&lazy), (1800, Uac));
    assert_eq!(said(Some(89), None, None, true).too_small(&own), Some(90));
    assert_eq!(said(Some(90), None, None, true).too_small(&own), None);
    assert_eq!(said(Some(10), None, None, false).too_small(&own), None, "its sender would not understand");
    assert_eq!(said(None, None, None, true).too_small(&own), None);
}

#[test]
fn what_header_fields_say() {
    let mut headers = Headers::new();
    headers.push_typed(&SessionExpires::new(100, Some(Refresher::Uas)));
    headers.push_typed(&MinSe::new(95));
    headers.push_typed(&Supported::new("TIMER").unwrap());
    assert_eq!(Said::read(&headers), said(Some(100), Some(Refresher::Uas), Some(95), true));
    assert_eq!(Said::read(&Headers::new()), Said::default());
}

fn described(content_type: &str, disposition: Option<&str>, body: &str) -> Option<String> {
    let mut headers = Headers::new();
    headers.push(HeaderName::ContentType, HeaderText::new(content_type).unwrap());
    if let Some(disposition) = disposition {
        headers.push(HeaderName::ContentDisposition, HeaderText::new(disposition).unwrap());
    }
    let found = session_description(&headers, &Bytes::copy_from_slice(body.as_bytes())).unwrap();
    found.map(|octets| String::from_utf8(octets.to_vec()).unwrap())
}

#[test]
fn a_description_is_found_by_type_and_disposition() {
    let sdp = Some("v=0\r\n".into());
    assert_eq!(described("application/sdp", None, "v=0\r\n"), sdp);
    assert_eq!(described("Application/SDP", Some("session;handling=required"), "v=0\r\n"), sdp);
    assert_eq!(described("application/sdp", Some("early-session"), "v=0\r\n"), None);
    assert_eq!(described("application/sdp", None, ""), None);
    assert_eq!(described("text/plain", None, "v=0\r\n"), None);
    let part = |head: &str, body: &str| format!("--b\r\n{head}\r\n\r\n{body}\r\n");
    let list =
        part("Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list", "<x/>");
    let early = part("Content-Type: application/sdp\r\nContent-Disposition: early-session", "early");
    let session = part("Content-Type: application/sdp", "v=0");
    let all = [list.as_str(), &early, &session, "--b--\r\n"].concat();
    assert_eq!(described("multipart/mixed;boundary=b", None, &all), Some("v=0".into()));
    let none = [list.as_str(), &early, "--b--\r\n"].concat();
    assert_eq!(described("multipart/mixed;boundary=b", None, &none), None);
    let mut headers = Headers::new();
    headers.push(HeaderName::ContentType, HeaderText::new("multipart/mixed;boundary=b").unwrap());
    assert!(session_description(&headers, &Bytes::from_static(b"no boundary")).is_err());
}
