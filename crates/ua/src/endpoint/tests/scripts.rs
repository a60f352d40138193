//! Functions as tests need them: what a simple user agent does with what it is told.

use crate::*;
use alloc::collections::BTreeMap;
use cpm_base::Now;
use cpm_sip::{Headers, Method, Request, Response, StatusCode};

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
