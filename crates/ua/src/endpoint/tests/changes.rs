//! re-INVITE, UPDATE, glare, and descriptions in their places.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_sip::{HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode};

/// A call that both sides know, the dialogs of both.
pub(super) fn established(configs: [Config; 2]) -> (Net, DialogId, DialogId) {
    let mut net = Net::new(configs);
    net.script(0, answering_offers());
    net.script(1, answering_offers());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(300));
    let of = |peer: usize| *net.peers[peer].ua.dialogs.keys().next().unwrap();
    let (here, there) = (of(0), of(1));
    net.wire.clear();
    net.peers.iter_mut().for_each(|peer| peer.events.clear());
    (net, here, there)
}

pub(super) fn hang_up(net: &mut Net, peer: usize, dialog: DialogId) {
    net.with(peer, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
}

fn contact(text: &str) -> Headers {
    let mut headers = Headers::new();
    headers.push(HeaderName::Contact, HeaderText::new(text).unwrap());
    headers
}

#[test]
fn a_reinvite_changes_the_session_and_the_target_on_either_side() {
    for caller in [0, 1] {
        let (mut net, here, there) = established([full_config(1), full_config(2)]);
        let (mine, yours) = if caller == 0 { (here, there) } else { (there, here) };
        let headers = contact(&alloc::format!("<sip:moved@{}>", address(caller as u8 + 1)));
        let id = net.with(caller, |ua, now| ua.reinvite(now, mine, headers, Some(sdp("new")))).unwrap();
        net.run(Duration::from_secs(1));
        assert_eq!(net.labels(), ["INVITE", "200 INVITE", "ACK"]);
        assert_eq!(told(&net, caller), ["accepted 200", "answer: answer"]);
        assert_eq!(told(&net, 1 - caller), ["INVITE in dialog", "offer: new", "acknowledged"]);
        assert!(
            matches!(net.peers[caller].events[0], Event::InviteAccepted { invite, dialog, .. } if invite == id && dialog == mine)
        );
        net.wire.clear();
        net.with(1 - caller, |ua, now| ua.bye(now, yours, Headers::new())).unwrap();
        assert!(String::from_utf8_lossy(&net.wire[0].bytes).starts_with("BYE sip:moved@"));
        net.run_to_quiet();
    }
}

/// The CSeq of an ACK is that of its INVITE, whatever was sent between (RFC 3261 §13.2.2.4).
#[test]
fn requests_between_a_reinvite_and_its_ack_do_not_confuse_them() {
    let (mut net, here, _) = established([full_config(1), full_config(2)]);
    net.with(0, |ua, now| {
        ua.reinvite(now, here, Headers::new(), Some(sdp("new"))).unwrap();
        ua.send_in_dialog(now, here, Method::Message, Headers::new(), None).unwrap();
        ua.update(now, here, Headers::new(), None).unwrap();
    });
    net.run(Duration::from_secs(1));
    let ack = net.wire.iter().find(|packet| packet.label() == "ACK").unwrap();
    assert!(String::from_utf8_lossy(&ack.bytes).contains("CSeq: 2 ACK\r\n"));
    assert!(told(&net, 1).contains(&"acknowledged".into()));
    hang_up(&mut net, 0, here);
}

/// Late offer, in a first INVITE and in a later one: offer in the 2xx, answer in the ACK.
#[test]
fn an_offer_in_the_2xx_is_answered_in_the_ack() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(0, answering_offers());
    net.script(1, answering_offers());
    let bare = |request: Request| {
        let mut request = request.with_body(Bytes::new());
        request.headers_mut().remove(&HeaderName::ContentType);
        request
    };
    net.with(0, |ua, now| ua.invite(now, bare(invite(1, 2, Transport::Udp)), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(told(&net, 0), ["accepted 200", "offer: late offer"]);
    assert_eq!(told(&net, 1), ["INVITE", "acknowledged", "answer: late answer"]);
    let dialog = *net.peers[1].ua.dialogs.keys().next().unwrap();
    net.with(1, |ua, now| ua.reinvite(now, dialog, Headers::new(), None)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(told(&net, 1)[3..], ["accepted 200", "offer: late offer"]);
    assert_eq!(told(&net, 0)[2..], ["INVITE in dialog", "acknowledged", "answer: late answer"]);
    hang_up(&mut net, 1, dialog);
}

/// Threat I3: nothing but the one message that may carry a description goes out with one, and nothing goes out without one
/// that has to have it. What was given comes back.
#[test]
fn descriptions_out_of_their_place_are_refused() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(1, |ua, now, event| {
        let Event::Request { id, request, in_dialog, .. } = event else { return };
        let ok = Response::for_request(request, StatusCode::OK);
        if *request.method() != Method::Invite {
            let described = with_body(ok.clone(), &sdp("unasked"));
            let refused = ua.respond(now, *id, described.clone()).unwrap_err();
            if *request.method() == Method::Update {
                assert_eq!(refused.why, Refusal::Description(Misplaced::NoOffer));
                assert_eq!(*refused.given, described);
                ua.respond(now, *id, ok).unwrap();
            }
            return;
        }
        if in_dialog.is_some() {
            return;
        }
        let refused = ua.accept(now, *id, ok.clone()).unwrap_err();
        assert_eq!(refused.why, Refusal::Description(Misplaced::AnswerMissing));
        let dialog = ua.accept(now, *id, with_body(ok, &sdp("answer"))).unwrap();
        assert_eq!(ua.take_offer(OfferOf::Request(*id)), None);
        let refused = ua.reinvite(now, dialog, Headers::new(), Some(sdp("x"))).unwrap_err();
        assert_eq!((refused.why, refused.given.2), (Refusal::Pending, Some(sdp("x"))));
    });
    net.script(0, |ua, now, event| {
        let Event::InviteAccepted { dialog, .. } = event else { return };
        let refused = ua.confirm(now, *dialog, Some(sdp("again"))).unwrap_err();
        assert_eq!(refused.why, Refusal::Description(Misplaced::NoOffer));
        assert_eq!(*refused.given, Some(sdp("again")));
        ua.confirm(now, *dialog, None).unwrap();
        ua.reinvite(now, *dialog, Headers::new(), Some(sdp("one"))).unwrap();
        let refused = ua.reinvite(now, *dialog, Headers::new(), Some(sdp("two"))).unwrap_err();
        assert_eq!(refused.why, Refusal::Pending);
        let refused = ua.update(now, *dialog, Headers::new(), Some(sdp("two"))).unwrap_err();
        assert_eq!(refused.why, Refusal::Description(Misplaced::Pending));
        assert_eq!(refused.given.2, Some(sdp("two")));
        ua.update(now, *dialog, Headers::new(), None).unwrap();
        ua.cancel(now, InviteId(u64::MAX)).unwrap_err();
    });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(200));
    let statuses = net.labels();
    assert!(statuses.contains(&"200 UPDATE".into()), "{statuses:?}");
}

/// A handle for an offer that is not pending any more answers nothing; it comes back with what was given.
#[test]
fn an_offer_is_answered_once_and_in_time() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(1, |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            let offer = ua.take_offer(OfferOf::Request(*id)).unwrap();
            let plain = Body {
                content_type: HeaderText::new("text/plain").unwrap(),
                octets: Bytes::from_static(b"v=0"),
            };
            let refused = ua.answer_offer(now, offer, Headers::new(), plain).unwrap_err();
            assert_eq!(refused.why, Refusal::Description(Misplaced::AnswerMissing));
            let (offer, ..) = *refused.given;
            let response = Response::for_request(request, StatusCode::BUSY_HERE);
            ua.respond(now, *id, response).unwrap();
            let refused = ua.answer_offer(now, offer, Headers::new(), sdp("late")).unwrap_err();
            assert_eq!(refused.why, Refusal::Description(Misplaced::Stale));
            assert_eq!(refused.given.2, sdp("late"));
        }
        _ => {}
    });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(told(&net, 0), ["Rejected 486"]);
    net.run_to_quiet();
}

/// Threat C9: both sides change the session at once, again and again: both changes are made within ten seconds.
#[test]
fn glare_is_resolved() {
    for seed in 0..20 {
        let mut configs = [full_config(1), full_config(2)];
        configs[0].seed = cpm_base::Seed::new([seed; 32]);
        configs[1].seed = cpm_base::Seed::new([seed + 100; 32]);
        let (mut net, here, there) = established(configs);
        // A function whose offer is out of date makes a new one.
        for peer in [0, 1] {
            let mut answers = answering_offers();
            net.script(peer, move |ua, now, event| match event {
                Event::InviteFailed { response: Some(response), .. } => {
                    assert_eq!(response.status(), StatusCode::REQUEST_PENDING);
                    let dialog = *ua.dialogs.keys().next().unwrap();
                    ua.reinvite(now, dialog, Headers::new(), Some(sdp("once more"))).unwrap();
                }
                event => answers(ua, now, event),
            });
        }
        let start = net.now.mono;
        net.with(0, |ua, now| ua.reinvite(now, here, Headers::new(), Some(sdp("mine")))).unwrap();
        net.with(1, |ua, now| ua.reinvite(now, there, Headers::new(), Some(sdp("yours")))).unwrap();
        net.run(Duration::from_secs(10));
        assert_eq!(net.labels()[..2], ["INVITE", "INVITE"]);
        assert_eq!(net.labels().iter().filter(|label| *label == "491 INVITE").count(), 2, "seed {seed}");
        for peer in [0, 1] {
            let accepted = told(&net, peer).iter().filter(|word| *word == "accepted 200").count();
            assert_eq!(accepted, 1, "seed {seed} {:?}", told(&net, peer));
        }
        // The owner of the Call-ID waits 2.1 to 4 s, the other side at most 2 s.
        let again = |peer: usize| {
            let from = net.peers[peer].address;
            let of = net.wire.iter().filter(|packet| packet.label() == "INVITE" && packet.from == from);
            of.map(|packet| packet.at.since(start)).nth(1).unwrap()
        };
        assert!(
            again(0) >= Duration::from_millis(2100) && again(0) <= Duration::from_millis(4100),
            "{:?}",
            again(0)
        );
        assert!(again(1) <= Duration::from_millis(2100), "{:?}", again(1));
        hang_up(&mut net, 0, here);
    }
}

/// Threat C9: a peer that always says 491 is asked three times, then the function knows.
#[test]
fn a_peer_that_is_always_busy_is_asked_three_times() {
    for method in [Method::Invite, Method::Update] {
        let (mut net, here, _) = established([full_config(1), full_config(2)]);
        net.script(1, answering(StatusCode::REQUEST_PENDING));
        net.with(0, |ua, now| {
            if method == Method::Invite {
                ua.reinvite(now, here, Headers::new(), Some(sdp("x"))).map(drop).unwrap();
            } else {
                ua.update(now, here, Headers::new(), Some(sdp("x"))).map(drop).unwrap();
            }
        });
        net.run(Duration::from_secs(60));
        let sent = net.labels().iter().filter(|label| **label == method.to_string()).count();
        assert_eq!(sent, 3, "{:?}", net.labels());
        let expected = if method == Method::Invite { "Rejected 491" } else { "491" };
        assert_eq!(told(&net, 0), [expected]);
        net.script(1, polite());
        hang_up(&mut net, 0, here);
    }
}

/// A call that ends while a change waits for its next try: the function is told once, and nothing stays.
#[test]
fn a_change_that_waits_ends_with_its_call() {
    for method in [Method::Invite, Method::Update] {
        let (mut net, here, there) = established([full_config(1), full_config(2)]);
        net.script(1, answering(StatusCode::REQUEST_PENDING));
        net.with(0, |ua, now| {
            if method == Method::Invite {
                ua.reinvite(now, here, Headers::new(), Some(sdp("x"))).map(drop).unwrap();
            } else {
                ua.update(now, here, Headers::new(), Some(sdp("x"))).map(drop).unwrap();
            }
        });
        net.run(Duration::from_millis(100));
        net.with(1, |ua, now| ua.bye(now, there, Headers::new())).unwrap();
        net.run_to_quiet();
        let expected = if method == Method::Invite { "Rejected 491" } else { "491" };
        assert_eq!(told(&net, 0).iter().filter(|word| *word == expected).count(), 1, "{:?}", told(&net, 0));
    }
}

/// RFC 3261 §14.2 and RFC 3311 §5.2: one after the other; who does not wait gets 500 with a time between 0 and 10 s.
#[test]
fn overlapping_changes_are_told_to_wait() {
    let (mut net, here, _) = established([full_config(1), full_config(2)]);
    net.script(1, |_, _, _| {});
    net.with(0, |ua, now| ua.update(now, here, Headers::new(), Some(sdp("one")))).unwrap();
    net.run(Duration::from_millis(50));
    let update = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
    for (method, cseq) in [("UPDATE", 10), ("INVITE", 11), ("INVITE", 12)] {
        let text = update
            .replace("UPDATE", method)
            .replace("CSeq: 2 ", &alloc::format!("CSeq: {cseq} "))
            .replace("z9hG4bK", &alloc::format!("z9hG4bK{cseq}"));
        net.inject(1, address(1), text);
        net.run(Duration::from_millis(30));
        let last = net.wire.last().unwrap().clone();
        assert_eq!(last.label(), alloc::format!("500 {method}"));
        let text = String::from_utf8(last.bytes.to_vec()).unwrap();
        let seconds = text.lines().find_map(|line| line.strip_prefix("Retry-After: ")).unwrap();
        assert!(seconds.trim().parse::<u32>().unwrap() <= 10);
    }
    assert_eq!(told(&net, 1), ["UPDATE in dialog", "offer: one"]);
}

/// RFC 5407 §3.3.2: an UPDATE with an offer and a re-INVITE cross: both sides say 491.
#[test]
fn update_and_reinvite_that_cross_are_both_refused_at_first() {
    let (mut net, here, there) = established([full_config(1), full_config(2)]);
    net.with(0, |ua, now| ua.update(now, here, Headers::new(), Some(sdp("update")))).unwrap();
    net.with(1, |ua, now| ua.reinvite(now, there, Headers::new(), Some(sdp("invite")))).unwrap();
    net.run(Duration::from_millis(40));
    let labels = net.labels();
    assert!(labels.contains(&"491 INVITE".into()) && labels.contains(&"491 UPDATE".into()), "{labels:?}");
    net.run(Duration::from_secs(10));
    assert!(told(&net, 1).contains(&"accepted 200".into()), "{:?}", told(&net, 1));
    // The UPDATE came second: its offer was out of date by then, so its function hears of the 491.
    assert!(told(&net, 0).contains(&"491".into()), "{:?}", told(&net, 0));
    hang_up(&mut net, 1, there);
}

/// RFC 5407 §3.2.2 and §3.2.3: what belongs to a call whose BYE is under way gets 481, and a 2xx its ACK all the same.
#[test]
fn a_reinvite_that_meets_a_bye() {
    let (mut net, here, there) = established([full_config(1), full_config(2)]);
    net.with(0, |ua, now| ua.bye(now, here, Headers::new())).unwrap();
    net.with(1, |ua, now| ua.reinvite(now, there, Headers::new(), Some(sdp("x")))).unwrap();
    net.run(Duration::from_secs(1));
    let labels = net.labels();
    assert!(labels.contains(&"481 INVITE".into()) && labels.contains(&"200 BYE".into()), "{labels:?}");
    net.run_to_quiet();
    assert_eq!(told(&net, 1).iter().filter(|word| word.starts_with("Rejected")).count(), 1);

    let (mut net, here, _) = established([full_config(1), full_config(2)]);
    net.with(0, |ua, now| {
        ua.reinvite(now, here, Headers::new(), Some(sdp("x"))).unwrap();
        ua.bye(now, here, Headers::new()).unwrap();
    });
    net.rule = Box::new(|_, packet| match packet.label().as_str() {
        // The BYE arrives after the 2xx is out.
        "BYE" => Fate::Late(Duration::from_millis(60)),
        _ => Fate::Arrives,
    });
    net.run_to_quiet();
    assert!(net.labels().contains(&"ACK".into()), "{:?}", net.labels());
    assert_eq!(
        told(&net, 0).iter().filter(|word| word.starts_with("Cancelled")).count(),
        1,
        "{:?}",
        told(&net, 0)
    );
}

/// Threat C7: a re-INVITE that nobody answers finally is over after 64*T1 on both sides.
#[test]
fn a_reinvite_does_not_hang() {
    let (mut net, here, there) = established([full_config(1), full_config(2)]);
    net.script(1, |_, _, _| {});
    net.with(0, |ua, now| ua.reinvite(now, here, Headers::new(), Some(sdp("x")))).unwrap();
    net.run(Duration::from_secs(33));
    assert_eq!(net.labels().last().unwrap(), "ACK");
    assert_eq!(told(&net, 0), ["Rejected 500"]);
    assert!(net.faults(1).iter().any(|fault| matches!(fault, Fault::Unanswered { .. })));
    // The session is what it was.
    net.script(1, answering_offers());
    net.with(1, |ua, now| ua.reinvite(now, there, Headers::new(), Some(sdp("y")))).unwrap();
    net.run(Duration::from_secs(1));
    assert!(told(&net, 1).contains(&"accepted 200".into()));
    hang_up(&mut net, 1, there);

    // A peer that only ever says 100: cancelled, and then the call is over.
    let (mut net, here, _) = established([full_config(1), full_config(2)]);
    net.rule = Box::new(|_, packet| match packet.label().as_str() {
        "INVITE" | "100 INVITE" | "BYE" | "200 BYE" => Fate::Arrives,
        _ => Fate::Lost,
    });
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event
            && *request.method() == Method::Bye
        {
            ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
    });
    net.with(0, |ua, now| ua.reinvite(now, here, Headers::new(), Some(sdp("x")))).unwrap();
    net.run_to_quiet();
    assert_eq!(told(&net, 0), ["Timeout -", "ended Gone"]);
    assert!(net.labels().contains(&"CANCEL".into()));
}

/// RFC 3261 §12.2.1.2, RFC 5057 §5.1: what a refusal ends.
#[test]
fn a_refusal_ends_the_call_where_the_rfc_says_so() {
    for (status, ended) in
        [(481, true), (408, true), (404, true), (482, true), (488, false), (500, false), (403, false)]
    {
        let (mut net, here, there) = established([full_config(1), full_config(2)]);
        let mut answer = answering(StatusCode::new(status).unwrap());
        net.script(1, move |ua, now, event| match event {
            Event::Request { request, .. } if *request.method() == Method::Bye => polite()(ua, now, event),
            event => answer(ua, now, event),
        });
        net.with(0, |ua, now| ua.reinvite(now, here, Headers::new(), Some(sdp("x")))).unwrap();
        net.run(Duration::from_secs(1));
        let expected = alloc::format!("Rejected {status}");
        let mut words = Vec::from([expected.as_str()]);
        if ended {
            words.push("ended Gone");
        }
        assert_eq!(told(&net, 0), words);
        if !ended {
            net.with(0, |ua, now| ua.bye(now, here, Headers::new())).unwrap();
        } else {
            net.with(1, |ua, now| ua.bye(now, there, Headers::new())).unwrap();
        }
        net.run_to_quiet();
    }
}

/// What a refused response takes with it: a change refused by the peer leaves room for the next one.
#[test]
fn a_refused_offer_is_void() {
    let (mut net, here, _) = established([full_config(1), full_config(2)]);
    net.script(1, answering(StatusCode::NOT_ACCEPTABLE_HERE));
    net.with(0, |ua, now| ua.update(now, here, Headers::new(), Some(sdp("x")))).unwrap();
    net.run(Duration::from_secs(1));
    net.script(1, answering_offers());
    net.with(0, |ua, now| ua.update(now, here, Headers::new(), Some(sdp("y")))).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(told(&net, 0), ["488", "200", "answer: answer"]);
    hang_up(&mut net, 0, here);
}

/// A bad network between two sides that change the session all the time: whatever is lost, both agree in the end.
#[test]
fn changes_survive_a_bad_network() {
    for seed in 0..40u64 {
        let (mut net, here, there) = established([full_config(1), full_config(2)]);
        let mut state = seed;
        net.rule = Box::new(move |_, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (state >> 33) % 100 {
                0..10 => Fate::Lost,
                10..20 => Fate::Twice,
                20..30 => Fate::Late(Duration::from_millis((state >> 40) % 2000)),
                _ => Fate::Arrives,
            }
        });
        let mut begun = 0;
        for n in 0..6 {
            let (peer, dialog) = if n % 2 == 0 { (0, here) } else { (1, there) };
            let change = |ua: &mut Endpoint, now: Now| match n % 3 {
                0 => ua.update(now, dialog, Headers::new(), Some(sdp("u"))).is_ok(),
                _ => ua.reinvite(now, dialog, Headers::new(), Some(sdp("i"))).is_ok(),
            };
            begun += usize::from(net.with(peer, change));
            net.run(Duration::from_millis(700 * (seed % 5)));
        }
        net.run(Duration::from_secs(400));
        let ended = |peer: usize| {
            told(&net, peer)
                .iter()
                .filter(|word| {
                    let all = [
                        "accepted",
                        "Rejected",
                        "Timeout",
                        "Cancelled",
                        "200",
                        "491",
                        "500",
                        "481",
                        "failed",
                    ];
                    all.iter().any(|start| word.starts_with(start))
                })
                .count()
        };
        assert_eq!(ended(0) + ended(1), begun, "seed {seed} {:?} {:?}", told(&net, 0), told(&net, 1));
        for (peer, dialog) in [(0, here), (1, there)] {
            drop(net.with(peer, |ua, now| ua.bye(now, dialog, Headers::new())));
        }
        net.rule = Box::new(|_, _| Fate::Arrives);
        net.run_to_quiet();
    }
}

/// Threat C11: numbers that go back are out of order, on either kind of change.
#[test]
fn a_change_with_an_old_number_is_refused() {
    let (mut net, here, _) = established([full_config(1), full_config(2)]);
    net.with(0, |ua, now| ua.update(now, here, Headers::new(), Some(sdp("one")))).unwrap();
    net.run(Duration::from_secs(1));
    let update = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
    let other = update.replace("z9hG4bK", "z9hG4bKold");
    net.inject(1, address(1), other);
    net.run(Duration::from_millis(50));
    assert_eq!(net.labels().last().unwrap(), "500 UPDATE");
    assert!(!String::from_utf8_lossy(&net.wire.last().unwrap().bytes).contains("Retry-After"));
    hang_up(&mut net, 0, here);
}

/// Threat C6: what is over is over: a stale handle is refused by every command with what it was given, also when another
/// dialog is there.
#[test]
fn a_stale_handle_names_nothing() {
    let (mut net, here, there) = established([full_config(1), full_config(2)]);
    net.with(0, |ua, now| ua.bye(now, here, Headers::new())).unwrap();
    net.run(Duration::from_secs(40));
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(300));
    assert_eq!(net.peers[0].ua.dialogs.len(), 1);
    let before = net.wire.len();
    net.with(0, |ua, now| {
        let body = || Some(sdp("x"));
        for why in [
            ua.reinvite(now, here, Headers::new(), body()).unwrap_err().why,
            ua.update(now, here, Headers::new(), body()).unwrap_err().why,
            ua.bye(now, here, Headers::new()).unwrap_err().why,
            ua.send_in_dialog(now, here, Method::Message, Headers::new(), body()).unwrap_err().why,
            ua.confirm(now, here, body()).unwrap_err().why,
        ] {
            assert_eq!(why, Refusal::Gone);
        }
        assert_eq!((ua.take_offer(OfferOf::Success(here)), ua.dialog_ids(here)), (None, None));
    });
    assert_eq!(net.wire.len(), before);
    let _ = there;
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    hang_up(&mut net, 0, dialog);
}

/// Threat C3: copies of an INVITE that come after its ACK are no new calls, at any time within 64*T1.
#[test]
fn copies_of_an_acknowledged_invite_call_nobody() {
    for after in [20, 1_000, 31_000] {
        let mut net = Net::new([full_config(1), full_config(2)]);
        net.script(0, answering_offers());
        net.script(1, answering_offers());
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
        net.run(Duration::from_millis(100));
        let copy = net.wire[0].bytes.clone();
        net.run(Duration::from_millis(after));
        net.inject(1, address(1), copy);
        net.run(Duration::from_millis(100));
        assert_eq!(told(&net, 1), ["INVITE", "acknowledged"], "{after}");
        assert_eq!(net.peers[1].ua.dialogs.len(), 1);
        let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
        hang_up(&mut net, 0, dialog);
    }
}

/// Threat C10: an ACK, with a description or without, for a call that is not there, or at the wrong time, does nothing: no
/// answer, no state, no word to the function.
#[test]
fn a_stray_ack_does_nothing() {
    let (mut net, here, _) = established([full_config(1), full_config(2)]);
    let (call_id, ours, theirs) = net.peers[0].ua.dialog_ids(here).unwrap();
    let known = [call_id.to_string(), ours.to_string(), theirs.to_string()];
    let mut n = 0;
    for call_id in [known[0].as_str(), "other"] {
        for (to, from) in [(&*known[1], &*known[2]), (&*known[2], &*known[1]), ("x", "y")] {
            for (cseq, body) in [(1, ""), (1, "v=0"), (2, "v=0"), (0, "")] {
                n += 1;
                let text = alloc::format!(
                    "ACK sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKack{n}\r\n\
                     From: <sip:b@x>;tag={from}\r\nTo: <sip:a@x>;tag={to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} ACK\r\n\
                     Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                net.inject(0, address(2), text);
            }
        }
    }
    net.run(Duration::from_secs(1));
    assert_eq!((net.labels(), told(&net, 0)), (Vec::new(), Vec::new()));
    assert_eq!(net.peers[0].ua.dialogs.len(), 1);
    hang_up(&mut net, 0, here);
}

/// Threat C7: a fork that rang and says nothing more for 180 s is let go while another one still rings.
#[test]
fn an_early_dialog_that_is_silent_is_let_go() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.rule = Box::new(|_, packet| if packet.from == address(2) { Fate::Lost } else { Fate::Arrives });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    let ring = |net: &mut Net, tag: &str| {
        let sent = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
        let keep = |name: &str| sent.lines().find(|line| line.starts_with(name)).unwrap().to_string();
        let fields = ["Via: ", "From: ", "Call-ID: ", "CSeq: "].map(keep).join("\r\n");
        let text = alloc::format!(
            "SIP/2.0 180 Ringing\r\n{fields}\r\n{};tag={tag}\r\nContact: <sip:{tag}@10.0.0.2>\r\nContent-Length: 0\r\n\r\n",
            keep("To: ")
        );
        net.inject(0, address(2), text);
    };
    ring(&mut net, "silent");
    ring(&mut net, "lively");
    for _ in 0..3 {
        net.run(Duration::from_secs(70));
        ring(&mut net, "lively");
    }
    let ended = told(&net, 0).iter().filter(|word| *word == "ended EarlyExpired").count();
    assert_eq!((ended, net.peers[0].ua.dialogs.len()), (1, 1), "{:?}", told(&net, 0));
}

/// What an idle call costs, its dialog and its entry in the maps: less than 4 KiB with the texts of usual calls.
#[test]
fn an_idle_call_is_small() {
    let size = size_of::<super::super::dialogs::Dialog>();
    assert!(size <= 2_560, "{size}");
}
