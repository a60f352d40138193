//! INVITE, its dialogs and its end.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::Transport;
use cpm_sip::{CSeq, HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode, To};

fn call(net: &mut Net, transport: Transport) -> InviteId {
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, transport), Destination::Routed)).unwrap()
}

const CALLER: [&str; 4] = ["180 early", "accepted 200", "200", "ended LocalBye"];
const CALLED: [&str; 4] = ["INVITE", "acknowledged", "BYE in dialog", "ended RemoteBye"];

#[test]
fn invite_ack_and_bye() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, caller_that_hangs_up());
    net.script(1, polite());
    call(&mut net, Transport::Udp);
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels(), ["INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]);
    assert_eq!(
        (told(&net, 0), told(&net, 1)),
        (CALLER.map(String::from).into(), CALLED.map(String::from).into())
    );
    let Some(Event::Acknowledged { ack, .. }) =
        net.peers[1].events.iter().find(|event| matches!(event, Event::Acknowledged { .. }))
    else {
        panic!()
    };
    assert_eq!(ack.typed::<CSeq>().unwrap().unwrap(), CSeq::new(1, Method::Ack));
    assert_eq!(ack.uri().to_string(), "sip:10.0.0.2:5060", "the Contact made of the sent-by");
    net.run_to_quiet();
}

/// Whatever single packet is lost, doubled or late: both sides are told the same, once, and nothing is left.
#[test]
fn a_call_survives_the_loss_and_doubling_of_every_single_packet() {
    for transport in [Transport::Udp] {
        for fate in [Fate::Lost, Fate::Twice, Fate::Late(Duration::from_millis(700))] {
            for victim in 0..14 {
                let mut net = Net::new([config(1), config(2)]);
                net.script(0, caller_that_hangs_up());
                net.script(1, polite());
                net.rule = Box::new(move |n, _| if n == victim { fate } else { Fate::Arrives });
                call(&mut net, transport);
                net.run_to_quiet();
                let (mut caller, called) = (told(&net, 0), told(&net, 1));
                caller.retain(|word| word != "180 early");
                assert_eq!(caller, CALLER[1..], "{fate:?} {victim}");
                // A lost ACK is sent again only for a repeated 2xx; the BYE may overtake it and end the wait for it.
                let without_ack: Vec<_> = called.iter().filter(|word| *word != "acknowledged").collect();
                assert_eq!(without_ack, ["INVITE", "BYE in dialog", "ended RemoteBye"], "{fate:?} {victim}");
            }
        }
    }
}

/// RFC 3261 §13.3.1.4: a 2xx is repeated from T1, doubling up to T2, until 64*T1 have passed without an ACK.
#[test]
fn a_2xx_without_ack_is_repeated_and_then_given_up() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut net = Net::new([config(1), config(2)]);
        // The caller never confirms, so the endpoint does at the end.
        net.script(1, answering(StatusCode::OK));
        if transport == Transport::Udp {
            net.rule = Box::new(|_, packet| if packet.label() == "ACK" { Fate::Lost } else { Fate::Arrives });
        }
        call(&mut net, transport);
        net.run(Duration::from_secs(120));
        let sent: Vec<f64> = net
            .wire
            .iter()
            .filter(|packet| packet.label() == "200 INVITE")
            .map(|packet| (packet.at.since(net.wire[0].at) - LATENCY).as_secs_f64())
            .collect();
        assert_eq!(sent, [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5], "{transport}");
        assert_eq!(told(&net, 0), ["accepted 200", "ended NotConfirmed"]);
        assert_eq!(told(&net, 1)[..2], ["INVITE", "ended NotAcknowledged"]);
        net.run_to_quiet();
    }
}

#[test]
fn the_function_may_say_bye_to_a_call_that_was_never_acknowledged() {
    let mut net = Net::new([config(1), config(2)]);
    let mut answer = answering(StatusCode::OK);
    net.script(1, move |ua, now, event| match event {
        Event::DialogEnded { dialog, why: DialogEnd::NotAcknowledged } => {
            ua.bye(now, *dialog, Headers::new()).unwrap();
            assert_eq!(ua.bye(now, *dialog, Headers::new()).unwrap_err().why, Refusal::Gone);
        }
        event => answer(ua, now, event),
    });
    net.rule = Box::new(|_, packet| match packet.label().as_str() {
        "INVITE" | "BYE" | "200 BYE" | "481 BYE" => Fate::Arrives,
        _ => Fate::Lost,
    });
    call(&mut net, Transport::Udp);
    net.run_to_quiet();
    assert_eq!(net.labels().iter().filter(|label| *label == "BYE").count(), 1);
    assert_eq!(told(&net, 1), ["INVITE", "ended NotAcknowledged", "481"]);
}

/// RFC 3261 §15: the called side's BYE waits for the ACK.
#[test]
fn a_bye_of_the_called_side_waits_for_the_ack() {
    let mut net = Net::new([config(1), config(2)]);
    let mut confirming = polite();
    net.script(0, move |ua, now, event| confirming(ua, now, event));
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let dialog = ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
            let mut headers = Headers::new();
            headers.push(HeaderName::Reason, HeaderText::new("SIP;cause=480").unwrap());
            ua.bye(now, dialog, headers).unwrap();
        }
    });
    call(&mut net, Transport::Udp);
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels(), ["INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]);
    assert!(String::from_utf8_lossy(&net.wire[3].bytes).contains("\r\nReason: SIP;cause=480\r\n"));
    assert_eq!(told(&net, 1), ["INVITE", "acknowledged", "200", "ended LocalBye"]);
    net.run_to_quiet();
}

/// RFC 5407 §3.1.4: both say BYE at once.
#[test]
fn byes_that_cross_end_the_dialog_on_both_sides_once() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, polite());
    net.script(1, polite());
    call(&mut net, Transport::Udp);
    net.run(Duration::from_secs(1));
    for peer in [0, 1] {
        let dialog = *net.peers[peer].ua.dialogs.keys().next().unwrap();
        net.with(peer, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels()[4..], ["BYE", "BYE", "200 BYE", "200 BYE"]);
    for peer in [0, 1] {
        assert_eq!(told(&net, peer)[2..], ["200", "ended LocalBye"]);
    }
    net.run_to_quiet();
}

#[test]
fn requests_in_a_dialog_follow_its_route_set_target_and_cseq() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, polite());
    net.script(1, polite());
    // Each side reaches the other through the same edge.
    net.names.insert("0 edge.example".into(), [(Transport::Udp, address(2))].into());
    net.names.insert("1 edge.example".into(), [(Transport::Udp, address(1))].into());
    let mut invite = invite(1, 2, Transport::Udp);
    invite.headers_mut().push(HeaderName::RecordRoute, HeaderText::new("<sip:edge.example;lr;x=1>").unwrap());
    net.with(0, |ua, now| ua.invite(now, invite, Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let of = |net: &Net, peer: usize| *net.peers[peer].ua.dialogs.keys().next().unwrap();
    let (here, there) = (of(&net, 0), of(&net, 1));
    let body = Body { content_type: HeaderText::new("text/plain").unwrap(), octets: "x".into() };
    for method in [Method::Info, Method::Message] {
        net.with(1, |ua, now| ua.send_in_dialog(now, there, method, Headers::new(), Some(body.clone())))
            .unwrap();
        net.run(Duration::from_secs(1));
    }
    let sent = String::from_utf8(net.wire[4].bytes.to_vec()).unwrap();
    assert!(sent.starts_with("INFO sip:user1@10.0.0.1:5060 SIP/2.0\r\n"), "{sent}");
    assert!(
        sent.contains("\r\nRoute: <sip:edge.example;lr;x=1>\r\n") && sent.contains("\r\nCSeq: 1 INFO\r\n"),
        "{sent}"
    );
    assert!(sent.contains("\r\nContent-Type: text/plain\r\n") && sent.ends_with("\r\n\r\nx"), "{sent}");
    // INFO is not in the caller's Allow: 405 with the list; the dialog goes on.
    let refusal = String::from_utf8(net.wire[5].bytes.to_vec()).unwrap();
    assert!(refusal.starts_with("SIP/2.0 405") && refusal.contains("\r\nAllow: INVITE, ACK"), "{refusal}");
    assert_eq!(net.labels()[6..], ["MESSAGE", "200 MESSAGE"]);
    // C11: a number that is not higher is out of order.
    let replay =
        String::from_utf8(net.wire[6].bytes.to_vec()).unwrap().replace("branch=z9hG4bK", "branch=z9hG4bKy");
    net.inject(0, address(2), replay);
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels()[8..], ["500 MESSAGE"]);
    // An unknown dialog: 481, and for a dialog of ours that means its end.
    net.peers[1].ua.remove_dialog(there);
    net.with(0, |ua, now| ua.send_in_dialog(now, here, Method::Message, Headers::new(), None)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels()[9..], ["MESSAGE", "481 MESSAGE"]);
    assert_eq!(told(&net, 0).last().unwrap(), "ended Gone");
    let gone =
        net.with(0, |ua, now| ua.send_in_dialog(now, here, Method::Message, Headers::new(), Some(body)));
    let gone = gone.unwrap_err();
    assert_eq!((gone.why, gone.given.2.is_some()), (Refusal::Gone, true));
    net.run_to_quiet();
}

fn ring_and_cancel(
    after: Duration,
    callee: impl FnMut(&mut Endpoint, cpm_base::Now, &Event) + 'static,
) -> Net {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, polite());
    net.script(1, callee);
    let id = call(&mut net, Transport::Udp);
    net.run(after);
    net.with(0, |ua, now| ua.cancel(now, id)).unwrap();
    net
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    // Cancelled before anything came back, and after the 180.
    for after in [Duration::ZERO, Duration::from_millis(100)] {
        let mut net = ring_and_cancel(after, ringing());
        net.run(Duration::from_secs(1));
        assert_eq!(net.labels(), ["INVITE", "180 INVITE", "CANCEL", "200 CANCEL", "487 INVITE", "ACK"]);
        assert_eq!(told(&net, 0).last().unwrap(), "Cancelled 487");
        assert_eq!(told(&net, 1), ["INVITE", "cancelled"]);
        let text = |n: usize| String::from_utf8(net.wire[n].bytes.to_vec()).unwrap();
        let line =
            |n: usize, name: &str| text(n).lines().find(|l| l.starts_with(name)).map(String::from).unwrap();
        // RFC 3261 §9.1, §17.1.1.3: CANCEL and ACK carry the Via and CSeq number of the INVITE.
        for n in [2, 5] {
            assert_eq!(line(n, "Via"), line(0, "Via"));
            assert!(line(n, "CSeq").starts_with("CSeq: 1 "));
        }
        assert_eq!(line(5, "To"), line(4, "To"), "the ACK has the tag of the response");
        assert_eq!(line(3, "To"), line(4, "To"), "200 to CANCEL and 487 have one tag");
        net.run_to_quiet();
    }
}

/// C8: CANCEL against 200, every packet lost or late in turn: the called side ends up without a call, always.
#[test]
fn cancel_and_2xx_may_cross() {
    for delay in (0..60).step_by(5) {
        for (fate, victim) in [(Fate::Arrives, 0)]
            .into_iter()
            .chain((0..8).map(|n| (Fate::Lost, n)))
            .chain((0..8).map(|n| (Fate::Twice, n)))
        {
            let mut net = Net::new([config(1), config(2)]);
            net.rule = Box::new(move |n, _| if n == victim { fate } else { Fate::Arrives });
            net.script(0, polite());
            net.script(1, polite());
            let id = call(&mut net, Transport::Udp);
            net.run(Duration::from_millis(delay));
            let cancelled = net.with(0, |ua, now| ua.cancel(now, id));
            net.run(Duration::from_secs(200));
            let (caller, called) = (told(&net, 0), told(&net, 1));
            match cancelled {
                Ok(()) => {
                    assert_eq!(caller.last().unwrap(), "Cancelled 200", "{delay} {fate:?} {victim}");
                    assert_eq!(called.last().unwrap(), "ended RemoteBye", "{delay} {fate:?} {victim}");
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Gone);
                    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
                    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
                }
            }
            net.run_to_quiet();
        }
    }
}

#[test]
fn a_cancel_without_an_answer_still_ends() {
    let mut net = ring_and_cancel(Duration::from_millis(100), ringing());
    net.rule = Box::new(|_, _| Fate::Lost);
    net.run(Duration::from_secs(33));
    assert_eq!(told(&net, 0).last().unwrap(), "Cancelled -");
    net.run_to_quiet();
    assert_eq!(net.faults(1).len(), 1, "the called side is left to its own deadline");
}

#[test]
fn rejected_busy_and_silent() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, answering(StatusCode::BUSY_HERE));
    call(&mut net, Transport::Udp);
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels(), ["INVITE", "486 INVITE", "ACK"]);
    assert_eq!(told(&net, 0), ["Rejected 486"]);
    net.run_to_quiet();

    // The ACK for 486 is lost a few times: 486 comes again, is acknowledged again, and is told once.
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, answering(StatusCode::BUSY_HERE));
    let mut lost = 0;
    net.rule = Box::new(move |_, packet| {
        lost += usize::from(packet.label() == "ACK");
        if packet.label() == "ACK" && lost < 3 { Fate::Lost } else { Fate::Arrives }
    });
    call(&mut net, Transport::Udp);
    net.run_to_quiet();
    assert_eq!(net.labels(), ["INVITE", "486 INVITE", "ACK", "486 INVITE", "ACK", "486 INVITE", "ACK"]);
    assert_eq!(told(&net, 0), ["Rejected 486"]);
    assert!(net.faults(1).is_empty());

    let mut net = Net::new([config(1)]);
    call(&mut net, Transport::Udp);
    net.run_to_quiet();
    assert_eq!((net.wire.len(), told(&net, 0)), (7, ["Timeout -".into()].into()));
}

/// RFC 3261 §17.2.1: 100 after 200 ms of silence; the INVITE is not sent again after it.
#[test]
fn a_silent_function_is_covered_by_100() {
    let mut net = Net::new([config(1), config(2)]);
    call(&mut net, Transport::Udp);
    net.run(Duration::from_secs(60));
    assert_eq!(net.labels(), ["INVITE", "100 INVITE"]);
    assert_eq!(net.wire[1].at.since(net.wire[0].at), Duration::from_millis(210));
    assert_eq!(told(&net, 0), Vec::<String>::new());
    // Nobody ever answers: Timer C ends it on both sides (C7).
    net.run(Duration::from_secs(180));
    assert_eq!(net.labels()[2..], ["CANCEL", "200 CANCEL", "500 INVITE", "ACK"]);
    assert_eq!(told(&net, 0), ["Rejected 500"]);
    assert!(matches!(net.faults(1)[..], [Fault::Unanswered { .. }]));
    net.run_to_quiet();
}

#[test]
fn accept_and_respond_do_not_do_each_others_work() {
    let mut net = Net::new([config(1), config(2)]);
    call(&mut net, Transport::Udp);
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(50));
    let requests: Vec<(RequestId, Request)> = net.peers[1]
        .events
        .iter()
        .filter_map(|e| {
            if let Event::Request { id, request, .. } = e { Some((*id, request.clone())) } else { None }
        })
        .collect();
    let [(call, invite), (page, message)] = &requests[..] else { panic!() };
    let ok = |request| Response::for_request(request, StatusCode::OK);
    net.with(1, |ua, now| {
        assert_eq!(ua.respond(now, *call, ok(invite)).unwrap_err().why, Refusal::Status);
        assert_eq!(ua.accept(now, *page, ok(message)).unwrap_err().why, Refusal::Status);
        let busy = Response::for_request(invite, StatusCode::BUSY_HERE);
        assert_eq!(ua.accept(now, *call, busy.clone()).unwrap_err().why, Refusal::Status);
        ua.respond(now, *call, busy).unwrap();
        assert_eq!(ua.accept(now, *call, ok(invite)).unwrap_err().why, Refusal::Gone);
        ua.respond(now, *page, ok(message)).unwrap();
    });
    net.run_to_quiet();
}

/// RFC 3261 §15.1.2: BYE in an early dialog ends it; the INVITE still gets its answer.
#[test]
fn bye_in_an_early_dialog_cancels_the_invite() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, ringing());
    call(&mut net, Transport::Udp);
    net.run(Duration::from_millis(100));
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    assert_eq!(net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap_err().why, Refusal::Early);
    let ringing = String::from_utf8(net.wire[1].bytes.to_vec()).unwrap();
    let header = |name: &str| ringing.lines().find(|line| line.starts_with(name)).unwrap();
    let bye = alloc::format!(
        "BYE sip:10.0.0.2:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKbye1;rport\r\nMax-Forwards: 70\r\n\
         {}\r\n{}\r\n{}\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
        header("From:"),
        header("To:"),
        header("Call-ID:")
    );
    net.inject(1, address(1), bye);
    net.run(Duration::from_secs(1));
    assert_eq!(told(&net, 1), ["INVITE", "BYE in dialog", "ended RemoteBye", "cancelled"]);
    assert_eq!(net.labels()[2..], ["200 BYE", "487 INVITE", "ACK"]);
    net.run_to_quiet();
}

/// A caller whose INVITE forks downstream: responses of several called sides, written by hand.
fn forked(net: &Net, tag: &str, status: &str) -> String {
    let invite = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
    let header = |name: &str| invite.lines().find(|line| line.starts_with(name)).unwrap();
    alloc::format!(
        "SIP/2.0 {status}\r\n{}\r\n{}\r\n{};tag={tag}\r\n{}\r\n{}\r\nContact: <sip:{tag}@10.0.0.2>\r\nContent-Length: 0\r\n\r\n",
        header("Via:"),
        header("From:"),
        header("To:"),
        header("Call-ID:"),
        header("CSeq:")
    )
}

#[test]
fn further_forks_are_acknowledged_and_ended() {
    let mut net = Net::new([config(1)]);
    net.script(0, polite());
    call(&mut net, Transport::Udp);
    for (tag, status) in [
        ("a", "180 Ringing"),
        ("b", "180 Ringing"),
        ("b", "200 OK"),
        ("a", "200 OK"),
        ("b", "200 OK"),
        ("a", "200 OK"),
    ] {
        let response = forked(&net, tag, status);
        net.inject(0, address(2), response);
        net.run(Duration::from_millis(20));
    }
    assert_eq!(told(&net, 0), ["180 early", "180 early", "accepted 200"]);
    let to = |n: usize| {
        String::from_utf8(net.wire[n].bytes.to_vec()).unwrap().lines().next().map(String::from).unwrap()
    };
    let sent: Vec<_> = (1..net.wire.len()).map(to).collect();
    assert_eq!(
        sent[..5],
        [
            "ACK sip:b@10.0.0.2 SIP/2.0",
            "ACK sip:a@10.0.0.2 SIP/2.0",
            "BYE sip:a@10.0.0.2 SIP/2.0",
            "ACK sip:b@10.0.0.2 SIP/2.0",
            "ACK sip:a@10.0.0.2 SIP/2.0"
        ]
    );
    assert_eq!(net.wire[1].bytes, net.wire[4].bytes, "the same ACK again");
    // The dialog of b is the only one that stays.
    net.run(Duration::from_secs(100));
    assert_eq!(net.peers[0].ua.dialogs.len(), 1);
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
}

/// C6: provisional responses of more forks than allowed make no dialogs; a stale handle stays stale.
#[test]
fn early_dialogs_are_bounded() {
    let mut net = Net::new([config(1)]);
    let id = call(&mut net, Transport::Udp);
    for n in 0..40 {
        let response = forked(&net, &alloc::format!("t{n}"), "180 Ringing");
        net.inject(0, address(2), response);
        net.run(Duration::from_millis(1));
    }
    assert_eq!(net.peers[0].ua.dialogs.len(), 16);
    let with = told(&net, 0).iter().filter(|word| *word == "180 early").count();
    assert_eq!((with, told(&net, 0).len()), (16, 40));
    let handles: BTreeSet<DialogId> = net.peers[0].ua.dialogs.keys().copied().collect();
    let busy = forked(&net, "t3", "486 Busy Here");
    net.inject(0, address(2), busy);
    net.run_to_quiet();
    assert_eq!(net.with(0, |ua, now| ua.cancel(now, id)), Err(Refusal::Gone));
    for dialog in handles {
        assert_eq!(
            net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap_err().why,
            Refusal::Gone
        );
    }
}

#[test]
fn the_dialog_remembers_who_is_who() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, polite());
    net.script(1, polite());
    call(&mut net, Transport::Udp);
    net.run(Duration::from_secs(1));
    let there = *net.peers[1].ua.dialogs.keys().next().unwrap();
    net.with(1, |ua, now| ua.bye(now, there, Headers::new())).unwrap();
    net.run(Duration::from_secs(1));
    let Some(Event::Request { request, .. }) =
        net.peers[0].events.iter().rev().find(|e| matches!(e, Event::Request { .. }))
    else {
        panic!()
    };
    assert_eq!(request.typed::<To>().unwrap().unwrap().uri().to_string(), "sip:user1@example.com");
    assert_eq!(request.typed::<cpm_sip::From>().unwrap().unwrap().uri().to_string(), "sip:user2@example.com");
    assert_eq!(told(&net, 0).last().unwrap(), "ended RemoteBye");
    net.run_to_quiet();
}

/// An ACK counts for the 2xx of its own CSeq alone (RFC 3261 §13.3.1.4).
#[test]
fn an_ack_with_another_number_acknowledges_nothing() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, polite());
    net.script(1, polite());
    net.rule = Box::new(|_, packet| if packet.label() == "ACK" { Fate::Lost } else { Fate::Arrives });
    call(&mut net, Transport::Udp);
    net.run(Duration::from_millis(100));
    let ack = String::from_utf8(net.wire.last().unwrap().bytes.to_vec()).unwrap();
    net.inject(1, address(1), ack.replace("CSeq: 1 ACK", "CSeq: 2 ACK"));
    net.run(Duration::from_secs(1));
    assert!(!told(&net, 1).contains(&"acknowledged".into()));
    net.inject(1, address(1), ack.clone());
    net.inject(1, address(1), ack);
    net.run(Duration::from_millis(10));
    assert_eq!(told(&net, 1), ["INVITE", "acknowledged"], "and once");
}
