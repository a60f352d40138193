//! All that is wrong with a message, with its place: what a user agent may insist on, and a proxy lets pass.

use super::{Finding, RequestPolicy, Role, Weight, check_service};
use crate::error::HeaderError;
use crate::headers::Headers;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name::{HeaderName, Occurrence};
use crate::status::StatusCode;
use crate::text::HeaderText;
use crate::typed::{CSeq, Contact, ContentType, Expires, From, MaxForwards, Require, To, Via, check_field};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Fields that no message lacks (RFC 3261 §8.1.1, §8.2.6.2).
const MANDATORY: [HeaderName; 5] =
    [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];

/// Fields that a proxy acts on (RFC 3261 §16.3); others it passes on as they are.
const FOR_PROXIES: [HeaderName; 11] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::Path,
    HeaderName::ProxyRequire,
    HeaderName::ContentLength,
];

/// Everything that is wrong with a request: in the order of its fields what is missing, stands too often or is malformed,
/// then what the fields say together and what the method asks for (RFC 3261, 3262, 3311, 3428, 3515, 3891, 3911, 6665), at
/// last what this side does not do.
///
/// A user agent finds a [`Weight::Fault`] in each field of the table that cannot be read; for a proxy, fields that it does
/// not act on are a [`Weight::Lapse`]. The answer is that of the first finding of the greatest weight.
///
/// ```
/// use cpm_sip::*;
/// let datagram = "MESSAGE sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
///     To: <sip:b@c>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nDate: yesterday\r\n\r\n";
/// let Ok(Message::Request(request)) = parse_datagram(datagram.into(), &Limits::default()) else { panic!() };
/// let findings = inspect_request(&request, &RequestPolicy::user_agent());
/// assert_eq!(findings[0].weight, Weight::Fault);
/// let place = findings[0].place.as_ref().unwrap();
/// assert_eq!((&place.header, place.index, place.offset), (&HeaderName::Date, 0, datagram.find("yesterday")));
/// assert_eq!(findings[0].status, StatusCode::BAD_REQUEST);
/// ```
#[must_use]
pub fn inspect_request(request: &Request, policy: &RequestPolicy) -> Vec<Finding> {
    let headers = request.headers();
    let mut findings = fields(headers, policy.role);
    if headers.get(&HeaderName::MaxForwards).is_none() {
        findings.push(lapse("Max-Forwards is missing", HeaderName::MaxForwards));
    }
    agreement(request, &mut findings);
    method_rules(request, &mut findings);
    if findings.iter().all(|finding| finding.weight != Weight::Fault)
        && let content_type = headers.typed::<ContentType>().ok().flatten()
        && let hops = headers.typed::<MaxForwards>().ok().flatten()
        && let Err(finding) = check_service(request, policy, hops, content_type.as_ref())
    {
        findings.push(finding);
    }
    let wire = request.to_bytes();
    findings.iter_mut().for_each(|finding| locate(finding, headers, &wire));
    findings
}

/// Everything that is wrong with a response, like [`inspect_request`] for a user agent; what its status asks for and is not
/// there is a [`Weight::Lapse`]. A response is never answered: the
/// status of a finding says no more than that it is a fault.
#[must_use]
pub fn inspect_response(response: &Response) -> Vec<Finding> {
    let headers = response.headers();
    let mut findings = fields(headers, Role::UserAgent);
    response_rules(response, &mut findings);
    let wire = response.to_bytes();
    findings.iter_mut().for_each(|finding| locate(finding, headers, &wire));
    findings
}

fn fault(text: &str, header: HeaderName) -> Finding {
    Finding::new(StatusCode::BAD_REQUEST, text).at(header, 0)
}

fn lapse(text: &str, header: HeaderName) -> Finding {
    Finding { weight: Weight::Lapse, ..fault(text, header) }
}

/// Each field for itself: missing, too often, malformed.
fn fields(headers: &Headers, role: Role) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in MANDATORY.iter().filter(|name| !headers.contains(name)) {
        findings.push(Finding::from(HeaderError::Missing { header: name.label() }));
    }
    let mut counts: BTreeMap<&HeaderName, usize> = BTreeMap::new();
    for (name, _) in headers.iter() {
        let count = counts.entry(name).or_default();
        *count = count.saturating_add(1);
        match (*count, name.occurrence()) {
            (2, Occurrence::Single) => {
                findings.push(Finding::from(HeaderError::Repeated { header: name.label() }));
            }
            (1, _) => {
                if let Err(error) = check_field(name, headers)
                    && !matches!(error, HeaderError::Repeated { .. })
                {
                    let mut finding = Finding::from(error).at(name.clone(), first_bad_field(name, headers));
                    if role == Role::Proxy && !FOR_PROXIES.contains(name) {
                        finding.weight = Weight::Lapse;
                    }
                    findings.push(finding);
                }
            }
            _ => {}
        }
    }
    findings
}

/// Which of the fields of a name cannot be read for itself; the last one when there are too many values in all.
fn first_bad_field(name: &HeaderName, headers: &Headers) -> usize {
    let unreadable = |text: Option<&str>| {
        let Some(text) = text.and_then(|text| HeaderText::new(text).ok()) else { return true };
        let mut alone = Headers::new();
        alone.push(name.clone(), text);
        check_field(name, &alone).is_err()
    };
    let bad = headers.get_all(name).position(|value| unreadable(value.to_text().as_deref()));
    bad.unwrap_or(headers.count(name).saturating_sub(1))
}

/// What fields say together.
fn agreement(request: &Request, findings: &mut Vec<Finding>) {
    let headers = request.headers();
    if let Ok(Some(cseq)) = headers.typed::<CSeq>()
        && cseq.method != *request.method()
    {
        findings.push(fault("the method of CSeq is not that of the request", HeaderName::CSeq));
    }
    if request.uri().as_sip().is_some_and(|uri| uri.has_headers()) {
        findings.push(Finding::new(StatusCode::BAD_REQUEST, "the Request-URI has headers"));
    }
    if let Ok(Some(via)) = headers.typed::<Via>()
        && via.rfc3261_branch().is_none()
    {
        findings.push(lapse("the branch does not name a transaction", HeaderName::Via));
    }
    if let Ok(Some(from)) = headers.typed::<From>()
        && from.tag().is_none()
    {
        findings.push(lapse("From has no tag", HeaderName::From));
    }
    if !request.body().is_empty() && !headers.contains(&HeaderName::ContentType) {
        findings.push(Finding::from(HeaderError::Missing { header: HeaderName::ContentType.label() }));
    }
}

/// What the method asks for.
fn method_rules(request: &Request, findings: &mut Vec<Finding>) {
    let headers = request.headers();
    let absent = |name: &HeaderName| !headers.contains(name);
    let missing = |name: HeaderName| Finding::from(HeaderError::Missing { header: name.label() });
    let method = request.method();
    match method {
        Method::Register => register_rules(request, findings),
        Method::Message if !absent(&HeaderName::Contact) => {
            findings.push(lapse("MESSAGE has no Contact (RFC 3428 §4)", HeaderName::Contact));
        }
        Method::Subscribe | Method::Publish | Method::Notify if absent(&HeaderName::Event) => {
            findings.push(no_event());
        }
        // Not one less, not one more (RFC 3515 §2.4.2); that it stands twice was found already.
        Method::Refer if absent(&HeaderName::ReferTo) => findings.push(missing(HeaderName::ReferTo)),
        Method::Prack if absent(&HeaderName::RAck) => findings.push(missing(HeaderName::RAck)),
        Method::Ack | Method::Cancel if !absent(&HeaderName::ProxyRequire) => {
            findings
                .push(lapse("the method takes no Proxy-Require (RFC 3261 §20.29)", HeaderName::ProxyRequire));
        }
        _ => {}
    }
    if *method == Method::Notify && absent(&HeaderName::SubscriptionState) {
        findings.push(missing(HeaderName::SubscriptionState));
    }
    if *method == Method::Cancel && !absent(&HeaderName::Require) {
        findings.push(lapse("CANCEL takes no Require (RFC 3261 §9.1)", HeaderName::Require));
    }
    if let Method::Invite | Method::Subscribe | Method::Notify | Method::Refer | Method::Update = method {
        contact_rules(headers, findings);
    }
    if let Method::Bye | Method::Prack | Method::Info | Method::Update | Method::Notify = method
        && let Ok(Some(to)) = headers.typed::<To>()
        && to.tag().is_none()
    {
        findings.push(lapse("the request belongs to a dialog, To has no tag", HeaderName::To));
    }
    dialog_references(request, findings);
}

/// A dialog that is to be replaced or joined is named in an INVITE alone (RFC 3891 §3), and one of both (RFC 3911 §4).
fn dialog_references(request: &Request, findings: &mut Vec<Finding>) {
    let present = |name: &HeaderName| request.headers().contains(name);
    for name in [HeaderName::Replaces, HeaderName::Join] {
        if present(&name) && *request.method() != Method::Invite {
            findings.push(fault("only an INVITE replaces or joins a dialog", name));
        }
    }
    if present(&HeaderName::Replaces) && present(&HeaderName::Join) {
        findings.push(fault("an INVITE replaces a dialog or joins one, not both", HeaderName::Join));
    }
}

fn no_event() -> Finding {
    // RFC 6665 §7.2.1, §8.2.1: a request that names no package is answered 489.
    let missing = fault("Event is missing", HeaderName::Event);
    Finding { status: StatusCode::BAD_EVENT, ..missing }
}

/// What makes a dialog or says anew where its sender is has one Contact (RFC 3261 §8.1.1.8, §12.2.1.1, RFC 3311 §5.1,
/// RFC 3515 §2.2, RFC 6665 §4.1.2.1). Old senders have none.
fn contact_rules(headers: &Headers, findings: &mut Vec<Finding>) {
    match headers.typed_list::<Contact>() {
        Ok(contacts) if contacts.is_empty() => {
            findings.push(lapse("Contact is missing", HeaderName::Contact))
        }
        Ok(contacts) if contacts.len() > 1 || contacts.contains(&Contact::Star) => {
            findings.push(fault("a dialog has one Contact, which is an address", HeaderName::Contact));
        }
        _ => {}
    }
}

/// `Contact: *` stands alone, and with `Expires: 0` (RFC 3261 §10.3 step 6). The Request-URI is a domain (§10.2).
fn register_rules(request: &Request, findings: &mut Vec<Finding>) {
    let headers = request.headers();
    if request.uri().as_sip().is_some_and(|uri| uri.user().is_some()) {
        let user = Finding::new(StatusCode::BAD_REQUEST, "the Request-URI of REGISTER has no user");
        findings.push(Finding { weight: Weight::Lapse, ..user });
    }
    let Ok(contacts) = headers.typed_list::<Contact>() else { return };
    if contacts.contains(&Contact::Star)
        && (contacts.len() > 1 || !matches!(headers.typed::<Expires>(), Ok(Some(Expires(0)))))
    {
        findings.push(fault("Contact: * stands alone and with Expires: 0", HeaderName::Contact));
    }
}

/// What a response with this status to this method must carry (the tables of the RFCs that define the fields).
const OF_RESPONSES: [(u16, u16, Option<Method>, HeaderName); 17] = [
    (200, 299, Some(Method::Invite), HeaderName::Contact),
    (200, 299, Some(Method::Subscribe), HeaderName::Contact),
    (200, 299, Some(Method::Subscribe), HeaderName::Expires),
    (200, 299, Some(Method::Refer), HeaderName::Contact),
    (200, 299, Some(Method::Update), HeaderName::Contact),
    (200, 299, Some(Method::Publish), HeaderName::SipETag),
    (200, 299, Some(Method::Publish), HeaderName::Expires),
    (401, 401, None, HeaderName::WwwAuthenticate),
    (405, 405, None, HeaderName::Allow),
    (407, 407, None, HeaderName::ProxyAuthenticate),
    (420, 420, None, HeaderName::Unsupported),
    (421, 421, None, HeaderName::Require),
    (422, 422, None, HeaderName::MinSe),
    (423, 423, None, HeaderName::MinExpires),
    (469, 469, None, HeaderName::RecvInfo),
    (489, 489, None, HeaderName::AllowEvents),
    (494, 494, None, HeaderName::SecurityServer),
];

/// What is missing of a response. It is matched and acted on all the same: a lapse.
fn response_rules(response: &Response, findings: &mut Vec<Finding>) {
    let headers = response.headers();
    let status = response.status().as_u16();
    let cseq = headers.typed::<CSeq>().ok().flatten();
    let mut must = |name: HeaderName| {
        if !headers.contains(&name) {
            let missing = Finding::from(HeaderError::Missing { header: name.label() });
            findings.push(Finding { weight: Weight::Lapse, ..missing });
        }
    };
    for (from, to, method, name) in OF_RESPONSES {
        let concerned = method.is_none() || method == cseq.as_ref().map(|cseq| cseq.method.clone());
        if (from..=to).contains(&status) && concerned {
            must(name);
        }
    }
    let reliable = |tags: Vec<Require>| tags.iter().any(|tag| tag.as_str().eq_ignore_ascii_case("100rel"));
    if (101..=199).contains(&status) && headers.typed_list::<Require>().is_ok_and(reliable) {
        must(HeaderName::RSeq);
    }
    if !response.body().is_empty() {
        must(HeaderName::ContentType);
    }
    if let Ok(Some(to)) = headers.typed::<To>()
        && to.tag().is_none()
        && status > 100
    {
        findings.push(lapse("To has no tag", HeaderName::To));
    }
}

/// Notes how far from the begin of the message the field stands. `wire` is the message; an edited field lives elsewhere.
pub(super) fn locate(finding: &mut Finding, headers: &Headers, wire: &[u8]) {
    let Some(place) = &mut finding.place else { return };
    let Some(value) = headers.get_all(&place.header).nth(place.index) else { return };
    let offset = value.as_bytes().as_ptr().addr().checked_sub(wire.as_ptr().addr());
    place.offset = offset.filter(|offset| offset.saturating_add(value.as_bytes().len()) <= wire.len());
}
