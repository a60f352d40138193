//! [`Facts`]: what a request says, read once.

use crate::ServedRole;
use crate::body::{cpim_of, read_cpim};
use crate::service::feature_of;
use bytes::Bytes;
use core::cell::OnceCell;
use cpm_core::feature::{CpmFeature, CpmService, ICSI_REF};
use cpm_core::release::Release;
use cpm_core::warning::Reason;
use cpm_core::{ContributionId, ConversationId};
use cpm_cpim::CpimMessage;
use cpm_mime::MediaType;
use cpm_sip::{
    AcceptContact, Expires, FromRef, HeaderName, MessageExpires, PAssertedIdentity, PAssertedService,
    PServedUser, Privacy, Request, StatusCode, Uri,
};

/// What a MESSAGE carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// A CPM Standalone Message.
    Message,
    /// A disposition notification.
    Disposition,
}

/// What P-Asserted-Service says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssertedService {
    /// Nothing.
    None,
    /// A service of CPM.
    Cpm(CpmService),
    /// Another service.
    Other,
}

/// What a request for a served user says, on the core's word.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) role: ServedRole,
    /// For whom it is served (RFC 5502).
    pub(crate) served: Uri,
    /// Who sent it: the asserted identities, at least one.
    pub(crate) originators: Vec<Uri>,
    /// The same as they stand in P-Asserted-Identity.
    pub(crate) asserted: Vec<PAssertedIdentity>,
    /// What its Accept-Contact asks for.
    pub(crate) wishes: Vec<AcceptContact>,
    /// The CPM feature that it asks for: the first in its Accept-Contact.
    pub(crate) feature: Option<CpmFeature>,
    /// Accept-Contact has more than CPM features and a device in it (TS 8.2, 8.3: IARIs and the like).
    pub(crate) extra_strings: bool,
    pub(crate) service: AssertedService,
    /// Anonymity is requested (TS 6.1-p3).
    pub(crate) anonymous: bool,
    pub(crate) content: Content,
    cpim: LateCpim,
    /// In how many seconds it is of no use any more: the lower of Expires and Message-Expires (TS C.1.5).
    pub(crate) expires: Option<u32>,
    /// What its User-Agent says.
    pub(crate) release: Option<Release>,
}

/// The CPIM message of a request, read when somebody wants to know more of it than that it is no notification.
#[derive(Clone)]
struct LateCpim {
    octets: Bytes,
    read: OnceCell<Option<Box<CpimMessage>>>,
}

impl LateCpim {
    /// What was read already.
    fn known(read: Option<Box<CpimMessage>>) -> LateCpim {
        LateCpim { octets: Bytes::new(), read: OnceCell::from(read) }
    }
}

impl core::fmt::Debug for LateCpim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.read.fmt(f)
    }
}

/// Why a request cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// In which role it was to be served, where that is known.
    pub(crate) role: Option<ServedRole>,
    /// The answer that it deserves.
    pub(crate) status: StatusCode,
    /// The text of its Warning.
    pub(crate) why: String,
}

impl Facts {
    /// Reads an initial request.
    // req: 6.1-p4.1, 6.1-p4.2
    pub(crate) fn read(request: &Request) -> Result<Facts, Unreadable> {
        let (served, role) = served_by(request)?;
        let unreadable = |status, why| Unreadable { role: Some(role), status, why };
        let bad = |error: cpm_sip::HeaderError| unreadable(StatusCode::BAD_REQUEST, error.to_string());
        let asserted = request.typed_list::<PAssertedIdentity>().unwrap_or_default();
        if asserted.is_empty() {
            let why = Reason::NotAllowed.about("no authenticated originator");
            return Err(unreadable(StatusCode::FORBIDDEN, why));
        }
        let (content, cpim) = content_of(request);
        let wishes = request.typed_list::<AcceptContact>().map_err(bad)?;
        Ok(Facts {
            role,
            served: served.uri().clone(),
            originators: asserted.iter().map(|identity| identity.uri().clone()).collect(),
            asserted,
            feature: feature_of(&wishes),
            extra_strings: has_extra_strings(&wishes),
            wishes,
            service: asserted_service(request),
            anonymous: is_anonymous(request),
            content,
            cpim,
            expires: expires_of(request),
            release: release_of(request),
        })
    }

    /// The CPIM message, where the body is one that can be read.
    pub(crate) fn cpim(&self) -> Option<&CpimMessage> {
        let read = || read_cpim(self.cpim.octets.clone()).ok().map(Box::new);
        self.cpim.read.get_or_init(read).as_deref()
    }

    /// The IMDN Message-ID of the message that it carries.
    pub(crate) fn message_id(&self) -> Option<String> {
        self.cpim().and_then(|cpim| cpim.imdn_message_id().ok().flatten())
    }
}

/// Whom a request is served for, and in which role (RFC 5502 §4.3).
fn served_by(request: &Request) -> Result<(PServedUser, ServedRole), Unreadable> {
    let unreadable = |status, why| Unreadable { role: None, status, why };
    let served = match request.typed::<PServedUser>() {
        Ok(Some(served)) => served,
        Ok(None) => {
            let why = Reason::NotAllowed.about("no P-Served-User says whom to serve");
            return Err(unreadable(StatusCode::FORBIDDEN, why));
        }
        Err(error) => return Err(unreadable(StatusCode::BAD_REQUEST, error.to_string())),
    };
    let role = match served.params().get("sescase") {
        Some(case) if case.eq_ignore_ascii_case("orig") => ServedRole::Originating,
        Some(case) if case.eq_ignore_ascii_case("term") => ServedRole::Terminating,
        _ => {
            let why = "P-Served-User says no session case".to_owned();
            return Err(unreadable(StatusCode::BAD_REQUEST, why));
        }
    };
    Ok((served, role))
}

/// The Conversation-ID of a request.
pub(crate) fn conversation_of(request: &Request) -> Option<ConversationId> {
    id(request, &HeaderName::ConversationId, ConversationId::parse)
}

/// The Contribution-ID of a request.
pub(crate) fn contribution_of(request: &Request) -> Option<ContributionId> {
    id(request, &HeaderName::ContributionId, ContributionId::parse)
}

/// A conversation header; one that cannot be read says nothing here and is passed on as it came (TS 5.3).
fn id<T, E>(request: &Request, name: &HeaderName, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
    parse(&request.headers().get(name)?.to_text()?).ok()
}

/// What Accept-Contact asks for beside CPM and one device.
fn has_extra_strings(wishes: &[AcceptContact]) -> bool {
    wishes.iter().any(|wish| {
        wish.params().iter().any(|(name, _)| {
            !name.eq_ignore_ascii_case(ICSI_REF)
                && !["+sip.instance", "require", "explicit", "q"]
                    .iter()
                    .any(|known| name.eq_ignore_ascii_case(known))
        })
    })
}

fn asserted_service(request: &Request) -> AssertedService {
    let Ok(values) = request.typed_list::<PAssertedService>() else { return AssertedService::Other };
    match values.first() {
        None => AssertedService::None,
        Some(_) => values
            .iter()
            .find_map(|value| CpmService::from_icsi(value.as_str()))
            .map_or(AssertedService::Other, AssertedService::Cpm),
    }
}

/// Privacy that hides who somebody is (RFC 3323 §4.2, RFC 3325 §9.3), or one that nobody can read; or an anonymous From
/// (RFC 3323 §4.1.1.3).
fn is_anonymous(request: &Request) -> bool {
    let asked = match request.typed::<Privacy>() {
        Ok(privacy) => privacy
            .is_some_and(|privacy| ["id", "user", "header"].iter().any(|value| privacy.contains(value))),
        Err(_) => true,
    };
    let from = request.headers().view::<FromRef<'_>>().ok().flatten();
    let host = from.and_then(|from| from.uri().host().ok().flatten());
    asked || host.is_some_and(cpm_ua::is_anonymous_host)
}

/// A disposition notification is message/imdn+xml, by itself or in the CPIM message (TS 8.3.1.1-6, RFC 5438 §8).
fn content_of(request: &Request) -> (Content, LateCpim) {
    let content_type = request.headers().get(&HeaderName::ContentType).and_then(|value| value.to_text());
    let media = content_type.as_deref().and_then(|text| MediaType::parse(text).ok());
    let is = |essence: &str| media.as_ref().is_some_and(|media| media.is(essence));
    if is("message/imdn+xml") {
        return (Content::Disposition, LateCpim::known(None));
    }
    if is("message/cpim") && !CpimMessage::may_be_imdn(request.body()) {
        let cpim = LateCpim { octets: request.body().clone(), read: OnceCell::new() };
        return (Content::Message, cpim);
    }
    // What cannot be read is for the procedure to judge.
    let cpim = cpim_of(request).ok().flatten();
    let content = match &cpim {
        Some(cpim) if cpim.is_imdn() => Content::Disposition,
        _ => Content::Message,
    };
    (content, LateCpim::known(cpim.map(Box::new)))
}

fn expires_of(request: &Request) -> Option<u32> {
    let expires = request.typed::<Expires>().ok().flatten().map(|expires| expires.0);
    let message = request.typed::<MessageExpires>().ok().flatten().map(|expires| expires.0);
    expires.into_iter().chain(message).min()
}

fn release_of(request: &Request) -> Option<Release> {
    Release::find(&request.headers().get(&HeaderName::UserAgent)?.to_text()?)
}
