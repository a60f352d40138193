//! Functions as tests need them: what a simple user agent does with what it is told.

use crate::*;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::Now;
use cpm_sip::{HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode};

/// Answers MESSAGE and other requests 200, INVITE 180 and 200, BYE 200, and what is cancelled 487; confirms what is
/// accepted.
pub(super) fn polite() -> impl FnMut(&mut Endpoint, Now, &Event) {
    let mut pending: BTreeMap<RequestId, Request> = BTreeMap::new();
    move |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            pending.insert(*id, request.clone());
            ua.respond(now, *id, Response::for_request(request, StatusCode::RINGING)).unwrap();
            ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
        Event::Request { id, request, .. } => {
            ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
        Event::InviteAccepted { dialog, .. } => ua.confirm(now, *dialog, None).unwrap(),
        _ => {}
    }
}

/// Rings, and answers with this status when it is cancelled or never.
pub(super) fn ringing() -> impl FnMut(&mut Endpoint, Now, &Event) {
    let mut pending: BTreeMap<RequestId, Request> = BTreeMap::new();
    move |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            pending.insert(*id, request.clone());
            ua.respond(now, *id, Response::for_request(request, StatusCode::RINGING)).unwrap();
        }
        Event::Request { id, request, .. } => {
            ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
        Event::Cancelled { id } => {
            let request = pending.remove(id).unwrap();
            let response = Response::for_request(&request, StatusCode::REQUEST_TERMINATED);
            ua.respond(now, *id, response).unwrap();
        }
        _ => {}
    }
}

/// Answers every request with this status.
pub(super) fn answering(status: StatusCode) -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let response = Response::for_request(request, status);
            if status.is_success() && *request.method() == Method::Invite {
                ua.accept(now, *id, response).unwrap();
            } else {
                ua.respond(now, *id, response).unwrap();
            }
        }
    }
}

/// A caller that confirms, then ends the dialog once it is told to stay no longer.
pub(super) fn caller_that_hangs_up() -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| {
        if let Event::InviteAccepted { dialog, .. } = event {
            ua.confirm(now, *dialog, None).unwrap();
            ua.bye(now, *dialog, Headers::new()).unwrap();
        }
    }
}

/// A session description; what it says means nothing to the endpoint.
pub(super) fn sdp(text: &'static str) -> Body {
    let content_type = HeaderText::new("application/sdp").unwrap();
    Body { content_type, octets: Bytes::from_static(text.as_bytes()) }
}

pub(super) fn with_body(mut response: Response, body: &Body) -> Response {
    response.headers_mut().replace(HeaderName::ContentType, body.content_type.clone());
    response.set_body(body.octets.clone());
    response
}

/// A user agent with everything switched on that calls can have.
pub(super) fn full_config(n: u8) -> Config {
    let mut config = super::net::config(n);
    config.allow.extend([Method::Update, Method::Prack]);
    config.supported.extend(["100rel".into(), "timer".into(), "replaces".into()]);
    config.require_descriptions = true;
    config
}

/// Answers every offer in its place with `answer`, makes the offer `late offer` where the other side made none, and all
/// that is asked besides 200.
pub(super) fn answering_offers() -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| match event {
        Event::Request { id, request, in_dialog, .. } => match ua.take_offer(OfferOf::Request(*id)) {
            Some(offer) => {
                // The second time there is nothing to take.
                assert_eq!(ua.take_offer(OfferOf::Request(*id)), None);
                ua.answer_offer(now, offer, Headers::new(), sdp("answer")).unwrap();
            }
            None if *request.method() == Method::Invite => {
                let response = Response::for_request(request, StatusCode::OK);
                ua.accept(now, *id, with_body(response, &sdp("late offer"))).unwrap();
            }
            None => {
                let response = Response::for_request(request, StatusCode::OK);
                ua.respond(now, *id, response).unwrap();
                assert!(in_dialog.is_some());
            }
        },
        Event::InviteAccepted { dialog, .. } => match ua.take_offer(OfferOf::Success(*dialog)) {
            Some(offer) => ua.answer_offer(now, offer, Headers::new(), sdp("late answer")).unwrap(),
            None => ua.confirm(now, *dialog, None).unwrap(),
        },
        Event::Offer { of: OfferOf::Reliable(dialog), .. } => {
            let offer = ua.take_offer(OfferOf::Reliable(*dialog)).unwrap();
            ua.answer_offer(now, offer, Headers::new(), sdp("early answer")).unwrap();
        }
        _ => {}
    }
}

/// What the function was told, in short.
pub(super) fn told(net: &super::net::Net, peer: usize) -> Vec<String> {
    let text = |octets: &Bytes| String::from_utf8_lossy(octets).into_owned();
    let events = net.peers[peer].events.iter().filter_map(|event| {
        Some(match event {
            Event::Request { request, in_dialog, .. } => {
                let place = if in_dialog.is_some() { " in dialog" } else { "" };
                alloc::format!("{}{place}", request.method())
            }
            Event::Cancelled { .. } => "cancelled".into(),
            Event::Acknowledged { .. } => "acknowledged".into(),
            Event::Response { response, .. } => alloc::format!("{}", response.status()),
            Event::InviteProvisional { response, dialog, .. } => {
                alloc::format!("{}{}", response.status(), if dialog.is_some() { " early" } else { "" })
            }
            Event::InviteAccepted { response, .. } => alloc::format!("accepted {}", response.status()),
            Event::InviteFailed { response, why, .. } => {
                let status = response.as_ref().map_or("-".into(), |r| r.status().to_string());
                alloc::format!("{why:?} {status}")
            }
            Event::DialogEnded { why, .. } => alloc::format!("ended {why:?}"),
            Event::TransactionFailed { why, .. } => alloc::format!("failed {why:?}"),
            Event::Offer { description, .. } => alloc::format!("offer: {}", text(description)),
            Event::Answer { description, .. } => alloc::format!("answer: {}", text(description)),
            Event::ProvisionalAcknowledged { .. } => "pracked".into(),
            Event::Replaces { .. } => "replaces".into(),
            _ => return None,
        })
    });
    events.collect()
}
