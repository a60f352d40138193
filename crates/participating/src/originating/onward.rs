//! What goes on of a message of a served user (TS 8.2.1.1-1 to -8): what it must not be, and what becomes of it.

use crate::external::{ExternalFault, FetchLimits, with_content};
use crate::identity::{Foreign, Sender};

use crate::policy::{ForeignSender, MAX_PAGER, Policy};
use crate::service::assert_service;
use crate::work::Work;
use crate::{body, checks};
use cpm_base::DateTime;
use cpm_core::feature::CpmFeature;
use cpm_core::outside::FetchedObject;
use cpm_core::warning::Reason;
use cpm_cpim::CpimMessage;
use cpm_sip::{HeaderName, Request, Response, StatusCode};

/// A message that goes on.
#[derive(Debug)]
pub(crate) struct Onward {
    /// As it goes on; when it has gone, only where it may be needed again.
    pub(super) request: Option<Request>,
    /// Its sender wants it recorded.
    pub(super) record: bool,
    /// From is not that of the sender's request.
    from_changed: bool,
}

impl Onward {
    /// The request that goes on; a copy of it stays here where it may be `needed_again`.
    pub(super) fn set_out(&mut self, needed_again: bool) -> Option<Request> {
        if needed_again { self.request.clone() } else { self.request.take() }
    }

    /// The far side's response as it goes back to the sender: From is the one that the request had (RFC 3261 §8.2.6.2), and
    /// the UID of an object in another store is none of the sender's.
    pub(super) fn back(&self, received: &Request, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if headers.contains(&HeaderName::MessageUid) {
            headers.remove(&HeaderName::MessageUid);
        }
        if self.from_changed {
            headers.remove(&HeaderName::From);
            headers.copy_from(received.headers(), &HeaderName::From);
        }
        response
    }
}

/// Why a message goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The answer.
    pub(super) status: StatusCode,
    /// The text of its Warning.
    pub(super) why: String,
}

impl Refused {
    fn forbidden(reason: Reason) -> Self {
        Refused { status: StatusCode::FORBIDDEN, why: reason.text().to_owned() }
    }
}

impl From<&ExternalFault> for Refused {
    fn from(fault: &ExternalFault) -> Self {
        let (status, why) = fault.answer();
        Refused { status, why }
    }
}

impl From<Foreign> for Refused {
    fn from(Foreign: Foreign) -> Self {
        let why = Reason::NotAllowed.about("From is not the sender's");
        Refused { status: StatusCode::FORBIDDEN, why }
    }
}

impl From<body::BodyFault> for Refused {
    fn from(fault: body::BodyFault) -> Self {
        Refused { status: StatusCode::BAD_REQUEST, why: fault.to_string() }
    }
}

/// What a message must not be, before anything is asked or done for it.
// req: 8.2-b1, 8.2.1.1-1, 8.2.1.1-2, 8.2.1.1-3, 8.2.1.1-4, 8.2.1.1-7.i.2
pub(super) fn check(
    policy: &Policy,
    work: &Work,
    now: DateTime,
    until: Option<DateTime>,
) -> Result<(), Refused> {
    let facts = &work.facts;
    let served = match facts.feature {
        Some(
            CpmFeature::PagerMessage
            | CpmFeature::LargeMessage
            | CpmFeature::Session
            | CpmFeature::FileTransfer,
        ) => true,
        // TS 8.2-b2: event reporting is not served here; a deferred message is fetched, not sent (TS 8.3.1.6.5).
        Some(CpmFeature::SystemMessage | CpmFeature::Deferred) | None => false,
    };
    if !served || checks::is_barred(policy, facts) {
        return Err(Refused::forbidden(Reason::NotAuthorised));
    }
    checks::version(policy, facts.release).map_err(Refused::forbidden)?;
    checks::anonymity(policy.anonymity_originating, facts.anonymous).map_err(Refused::forbidden)?;
    check_time(until, now)?;
    if !checks::service_of_sender(policy, facts.service) {
        return Err(Refused::forbidden(Reason::NotAllowed));
    }
    // What says who it is from has to be readable.
    if facts.cpim().is_none() {
        body::cpim_of(&work.request)?;
    }
    if policy.foreign_sender == ForeignSender::Refuse {
        let mut headers = work.request.headers().clone();
        let mut cpim = facts.cpim().cloned();
        settle(policy, work, &mut headers, cpim.as_mut())?;
    }
    Ok(())
}

/// TS 8.2.1.1-4: what expired is not delivered (RFC 3428 §7 leaves that to policy), and its sender hears so.
// req: 8.2.1.1-4
pub(super) fn check_time(until: Option<DateTime>, now: DateTime) -> Result<(), Refused> {
    if until.is_some_and(|until| until <= now) {
        let why = "the message has expired".to_owned();
        return Err(Refused { status: StatusCode::TEMPORARILY_UNAVAILABLE, why });
    }
    Ok(())
}

/// Who the message says that it is from (threat E2). Whether From of the request changed.
fn settle(
    policy: &Policy,
    work: &Work,
    headers: &mut cpm_sip::Headers,
    cpim: Option<&mut CpimMessage>,
) -> Result<bool, Refused> {
    let Some(sender) = Sender::of(headers, &work.facts.asserted, work.facts.anonymous) else {
        let why = Reason::NotAllowed.about("no authenticated originator");
        return Err(Refused { status: StatusCode::FORBIDDEN, why });
    };
    if let Some(cpim) = cpim {
        sender.settle_cpim(cpim, policy.foreign_sender)?;
    }
    Ok(sender.settle(headers, policy.foreign_sender)?)
}

/// The message as it goes on: with the content that it referred to, its sender's identity and no other, the time at which
/// it came (TS 5.2-p11), and the service that its sender preferred, asserted.
// req: 8.2.1.1-5.b, 8.2.1.1-5.c, 8.2.1.1-7.i, 8.2.1.1-7.i.1, 8.2.1.1-8
pub(super) fn prepare(
    policy: &Policy,
    work: &Work,
    fetched: &[FetchedObject],
    most: FetchLimits,
    record: bool,
    now: DateTime,
) -> Result<Onward, Refused> {
    let mut request = work.request.clone();
    let mut cpim = work.facts.cpim().cloned();
    if let Some(cpim) = cpim.as_mut().filter(|_| !fetched.is_empty()) {
        *cpim = with_content(cpim, fetched, &cpm_mime::Limits::DEFAULT, most)
            .map_err(|fault| Refused::from(&fault))?;
    }
    // The size that counts is that of the message with its content; what is written into it here besides is not.
    if body::message_length(&request, cpim.as_ref()) > MAX_PAGER {
        let why = Reason::Size.about("a message of more than 1300 octets is a large message");
        return Err(Refused { status: policy.too_large, why });
    }
    let from_changed = settle(policy, work, request.headers_mut(), cpim.as_mut())?;
    if let Some(cpim) = &mut cpim {
        cpim.set_date_time(now)
            .map_err(|error| Refused { status: StatusCode::BAD_REQUEST, why: error.to_string() })?;
        body::set_cpim(&mut request, cpim)?;
    }
    assert_service(&mut request);
    Ok(Onward { request: Some(request), record, from_changed })
}
