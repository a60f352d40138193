//! INVITE with Replaces.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::string::{String, ToString};
use core::time::Duration;
use cpm_base::Transport;
use cpm_sip::{CallId, HeaderName, HeaderText, Headers, Replaces, Request, Response, StatusCode};

/// An INVITE of a third side to the second one with this Replaces.
fn replacing(value: &str) -> Request {
    invite(3, 2, Transport::Udp).with_header(HeaderName::Replaces, HeaderText::new(value).unwrap())
}

/// Call-ID and tags of a dialog as its side sees them.
fn value(net: &Net, peer: usize, dialog: DialogId) -> String {
    let (call_id, local, remote) = net.peers[peer].ua.dialog_ids(dialog).unwrap();
    let replaces = Replaces::new(&CallId::new(call_id).unwrap(), local, remote).unwrap();
    let mut headers = Headers::new();
    headers.push_typed(&replaces);
    headers.get(&HeaderName::Replaces).unwrap().as_str().unwrap().to_string()
}

fn three() -> (Net, DialogId, DialogId) {
    let mut net = Net::new([full_config(1), full_config(2), full_config(3)]);
    for peer in 0..3 {
        net.script(peer, answering_offers());
    }
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(300));
    let of = |peer: usize| *net.peers[peer].ua.dialogs.keys().next().unwrap();
    let (here, there) = (of(0), of(1));
    net.peers.iter_mut().for_each(|peer| peer.events.clear());
    (net, here, there)
}

/// Threat C15: nothing is handed over before the function allows it; then the old call ends with BYE.
#[test]
fn a_dialog_is_replaced_when_the_function_allows_it() {
    for allowed in [true, false] {
        let (mut net, here, there) = three();
        net.script(1, move |ua, now, event| match event {
            Event::Replaces { id, request, dialog, .. } => {
                assert_eq!(*dialog, there);
                let ok = with_body(Response::for_request(request, StatusCode::OK), &sdp("answer"));
                let refused = ua.accept(now, *id, ok.clone()).unwrap_err();
                assert_eq!((refused.why, &*refused.given), (Refusal::Replaces, &ok));
                assert!(ua.dialogs.contains_key(&there));
                if allowed {
                    assert_eq!(ua.allow_replacing(*id), Ok(there));
                    ua.accept(now, *id, ok).unwrap();
                } else {
                    ua.respond(now, *id, Response::for_request(request, StatusCode::DECLINE)).unwrap();
                }
            }
            event => answering_offers()(ua, now, event),
        });
        let value = value(&net, 1, there);
        net.with(2, |ua, now| ua.invite(now, replacing(&value), Destination::Routed)).unwrap();
        net.run(Duration::from_secs(1));
        if allowed {
            assert_eq!(told(&net, 1)[..2], ["replaces", "ended Replaced"]);
            assert_eq!(told(&net, 0), ["BYE in dialog", "ended RemoteBye"]);
            assert_eq!(told(&net, 2)[0], "accepted 200");
            let dialog = *net.peers[2].ua.dialogs.keys().next().unwrap();
            net.with(2, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
        } else {
            assert_eq!(told(&net, 1), ["replaces"]);
            assert_eq!(told(&net, 2), ["Rejected 603"]);
            net.with(0, |ua, now| ua.bye(now, here, Headers::new())).unwrap();
        }
        net.run_to_quiet();
    }
}

/// Threat C15: Call-ID and both tags have to be right, and the call has to be one that may be replaced.
#[test]
fn a_dialog_is_replaced_by_nobody_who_does_not_know_it() {
    let (mut net, _, there) = three();
    let right = value(&net, 1, there);
    let (call_id, tags) = right.split_once(';').unwrap();
    let (first, second) = tags.split_once(';').unwrap();
    let only = |tag: &str| tag.split_once('=').unwrap().1.to_string();
    let swapped = alloc::format!("{call_id};to-tag={};from-tag={}", only(second), only(first));
    for (value, expected) in [
        (alloc::format!("other;{tags}"), "481"),
        (alloc::format!("{call_id};to-tag=x;{second}"), "481"),
        (alloc::format!("{call_id};{first};from-tag=x"), "481"),
        (alloc::format!("{call_id};{first}"), "4"),
        (swapped, "481"),
        (alloc::format!("{right};early-only"), "486"),
        ("?".to_string(), "400"),
    ] {
        net.peers[2].events.clear();
        net.with(2, |ua, now| ua.invite(now, replacing(&value), Destination::Routed)).unwrap();
        net.run(Duration::from_secs(1));
        let told = told(&net, 2).join(" ");
        assert!(told.starts_with(&alloc::format!("Rejected {expected}")), "{value}: {told}");
    }
    assert_eq!(told(&net, 1), [""; 0]);
    // Of a call that we are ending already, nothing is left to be had.
    net.with(1, |ua, now| ua.bye(now, there, Headers::new())).unwrap();
    net.with(2, |ua, now| ua.invite(now, replacing(&right), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let last = told(&net, 2).last().unwrap().clone();
    assert!(last == "Rejected 481" || last == "Rejected 603", "{last}");
    net.run_to_quiet();
}

/// Without the option tag in the configuration, Replaces means nothing: the INVITE is one like any other.
#[test]
fn replaces_is_for_those_who_support_it() {
    let mut net = Net::new([full_config(1), config(2), full_config(3)]);
    net.script(1, answering_offers());
    net.script(2, answering_offers());
    net.with(2, |ua, now| ua.invite(now, replacing("a;to-tag=b;from-tag=c"), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(told(&net, 1)[0], "INVITE");
}
