//! Requests for the interworking function, and what its answers mean (TS 6.5, 6.5.1, 8.5.4).

use cpm_core::outside::StoredObject;
use cpm_cpim::CpimMessage;
use cpm_sip::{
    From, HeaderName, MessageContext, MessageCorrelator, Request, Response, Route, SipUri, StatusCode, To,
    Uri,
};

/// The context of what was delivered by SMS (RFC 3458 §4, TS C.1.10).
const BY_SMS: &str = "pager-message";

/// How many characters of its text stand for a short message (TS N-p1.1).
const PREFIX: usize = 160;

/// What an interworking function says of a message that it delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Message-Context.
    pub(crate) context: Option<String>,
    /// Message-Correlator.
    pub(crate) correlator: Option<String>,
}

/// What the answer of an interworking function means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IsfAnswer {
    /// It took the message.
    Delivered(Marks),
    /// 480: what happens with undelivered messages is policy (TS 6.5.1-p3, 8.3.6).
    Undelivered,
    /// It did not, for good.
    Refused,
}

/// The MESSAGE for the interworking function: a request of our own, straight to it, that says what `onward` says. It has
/// a dialog identifier and hops of its own; what belonged to the way of the other one is left out.
// req: 6.5-p1
pub(crate) fn for_isf(onward: &Request, isf: &SipUri) -> Request {
    let mut request = onward.clone();
    let from = request.typed::<From>().ok().flatten().map(From::without_tag);
    let to = request.typed::<To>().ok().flatten().map(To::without_tag);
    let headers = request.headers_mut();
    for name in [
        HeaderName::Via,
        HeaderName::Route,
        HeaderName::RecordRoute,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::MaxForwards,
        HeaderName::MaxBreadth,
        HeaderName::Contact,
        HeaderName::PServedUser,
        HeaderName::ProxyAuthorization,
        HeaderName::Authorization,
        HeaderName::ProxyRequire,
        // It is ours now (TS Appendix D).
        HeaderName::UserAgent,
    ] {
        headers.remove(&name);
    }
    if let Some(from) = from {
        headers.set_typed(&from);
    }
    if let Some(to) = to {
        headers.set_typed(&to);
    }
    let next = if isf.is_loose_router() { isf.clone() } else { isf.clone().with_param("lr", None) };
    headers.push_typed(&Route::new(Uri::Sip(next)));
    request
}

/// Reads its final response to a MESSAGE.
// req: 6.5.1-onMSG200-1, 6.5.1-onMSG200-1.A, 6.5.1-onMSG200-1.B, 6.5.1-p3
pub(crate) fn read_isf_answer(response: &Response) -> IsfAnswer {
    if response.status() == StatusCode::TEMPORARILY_UNAVAILABLE {
        return IsfAnswer::Undelivered;
    }
    if !response.status().is_success() {
        return IsfAnswer::Refused;
    }
    let context = response.typed::<MessageContext>().ok().flatten();
    let correlator = response.typed::<MessageCorrelator>().ok().flatten();
    IsfAnswer::Delivered(Marks {
        context: context.map(|context| context.as_str().to_owned()),
        correlator: correlator.map(|correlator| correlator.as_str().to_owned()),
    })
}

/// Puts into an object for the message store how it was delivered (TS 8.5.4-C). Of a short message the correlator is the
/// beginning of its text: an interworking function gives one for multimedia messages alone.
// req: 6.5.1-onMSG200-2, 8.5.4-A.1, 8.5.4-C, 8.5.4-C.1, 8.5.4-C.1.a.i, 8.5.4-C.2, 8.5.4-C.2.a.i, N-p1.1
pub(crate) fn mark(object: &mut StoredObject, marks: &Marks, cpim: Option<&CpimMessage>) {
    let by_sms = marks.context.as_deref().is_some_and(|context| context.eq_ignore_ascii_case(BY_SMS));
    object.message_context = marks.context.clone();
    object.message_correlator = marks.correlator.clone();
    if by_sms && let Some(prefix) = cpim.and_then(prefix_of_text) {
        object.message_correlator = Some(prefix);
    }
}

/// The beginning of the text of a message, as far as it can stand in a header field.
fn prefix_of_text(cpim: &CpimMessage) -> Option<String> {
    let leaves = cpim.content().leaves(&cpm_mime::Limits::DEFAULT).ok()?;
    let text = leaves.iter().find(|leaf| leaf.content_type().is_ok_and(|kind| kind.is("text/plain")))?;
    let octets = text.decoded().ok()?;
    let text = core::str::from_utf8(&octets).ok()?;
    let prefix: String = text.chars().take(PREFIX).take_while(|c| !c.is_control()).collect();
    (!prefix.is_empty()).then_some(prefix)
}

/// What the sender is told of the answer of an interworking function: its status and its reasons, as a response to the
/// sender's own request.
pub(crate) fn for_sender(request: &Request, answer: &Response) -> Response {
    let mut response = Response::for_request(request, answer.status());
    response.set_reason(answer.reason());
    for name in [HeaderName::Warning, HeaderName::RetryAfter, HeaderName::Server] {
        response.headers_mut().copy_from(answer.headers(), &name);
    }
    response
}

#[cfg(test)]
mod tests;
