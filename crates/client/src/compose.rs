//! The requests and CPIM messages of a client (TS 7.2.1.1, 7.2.1.2, 7.2.1.3): what all of them have in common.

use crate::{Client, NewMessage, SendRefusal};
use bytes::Bytes;
use cpm_base::Now;
use cpm_core::feature::{CpmFeature, CpmService, ICSI_REF};
use cpm_core::{ContributionId, ConversationId};
use cpm_cpim::{Address, CpimBuilder, CpimMessage};
use cpm_mime::Part;
use cpm_sip::{Contact, ContactAddr, HeaderName, HeaderText, Method, Params, Request, SipUri, Uri};

/// The URI that stands for somebody who wants not to be known (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// What an initial request says besides its method and body.
pub(crate) struct Envelope<'a> {
    pub(crate) method: Method,
    /// Request-URI.
    pub(crate) target: &'a Uri,
    /// To; the Request-URI in most cases.
    pub(crate) to: &'a Uri,
    pub(crate) feature: CpmFeature,
    pub(crate) service: CpmService,
    pub(crate) conversation: Option<&'a ConversationId>,
    pub(crate) contribution: Option<&'a ContributionId>,
    pub(crate) in_reply_to: Option<&'a ContributionId>,
    pub(crate) reply_to: Option<&'a Uri>,
    pub(crate) anonymous: bool,
}

impl Client {
    /// An initial request without body. The endpoint adds Via, Max-Forwards, Call-ID, CSeq, the From tag and
    /// User-Agent.
    pub(crate) fn request(&self, envelope: &Envelope<'_>) -> Request {
        let mut request = Request::new(envelope.method.clone(), envelope.target.clone());
        let mut push = |name: HeaderName, value: String| {
            request.headers_mut().push(name, HeaderText::sanitized(&value));
        };
        for route in self.registration.service_route() {
            push(HeaderName::Route, route.clone());
        }
        // req: 6.1-p3, 7.2.1.1-6, 7.2.1.2-7
        if envelope.anonymous {
            push(HeaderName::From, format!("\"Anonymous\" <{ANONYMOUS}>"));
            push(HeaderName::Privacy, "id".to_owned());
        } else {
            push(HeaderName::From, format!("<{}>", self.config.address.as_str()));
        }
        push(HeaderName::To, format!("<{}>", envelope.to.as_str()));
        // req: 6.1-p2, 6.1.1-p3, 6.1.1-b1, 7.2.1.1-2, 7.2.1.2-4
        push(HeaderName::PPreferredIdentity, format!("<{}>", self.identity().as_str()));
        // req: 7.2.1.1-1, 7.2.1.2-1, 7.2.1.1-3, 7.2.1.2-3, 7.2.1.1-3.a, 7.2.1.2-3.a, H.2-p3, H.2-p4
        push(HeaderName::AcceptContact, format!("*;{ICSI_REF}=\"{}\"", envelope.feature.encoded()));
        push(HeaderName::PPreferredService, envelope.service.urn());
        // req: 7.2.1.1-11, 7.2.1.1-12, 7.2.1.1-13, 7.2.1.2-15, 7.2.1.2-16, 7.2.1.2-17, C.1.1-p2.1, C.1.2-p2.1
        // req: C.1.3-p2, 5.3-p4.1, 5.3-p4.2, 5.3-b1
        for (name, id) in [
            (HeaderName::ConversationId, envelope.conversation.map(ConversationId::as_str)),
            (HeaderName::ContributionId, envelope.contribution.map(ContributionId::as_str)),
            (HeaderName::InReplyToContributionId, envelope.in_reply_to.map(ContributionId::as_str)),
        ] {
            if let Some(id) = id {
                push(name, id.to_owned());
            }
        }
        // req: 7.2.1.1-4, 7.2.1.2-5
        if let Some(reply_to) = envelope.reply_to {
            push(HeaderName::ReplyTo, format!("<{}>", reply_to.as_str()));
        }
        request
    }

    /// The user's address as the core knows it: the configured one, unless the core named others only.
    // req: 6.1-p2, 6.1-b1
    pub(crate) fn identity(&self) -> &Uri {
        let (own, associated) = (&self.config.address, self.registration.associated());
        if associated.iter().any(|uri| uri.equivalent(own)) { own } else { associated.first().unwrap_or(own) }
    }

    /// Where this client is reached, with the feature in use; its device is named by a public GRUU, without one by the
    /// instance identifier. When the user is not to be known, neither user nor device is named.
    // req: 7.2.1.2-2, H.2-p2, 6.1.1-p1.1, 6.1.1-p1.2, 6.1.1-p2
    pub(crate) fn contact(&self, feature: CpmFeature, anonymous: bool) -> Contact {
        let gruu = self.registration.gruu(anonymous);
        let mut params = Params::new();
        let mut set = params.set_quoted(ICSI_REF, &feature.encoded());
        if gruu.is_none() && !anonymous {
            let instance = format!("<{}>", self.config.instance);
            set = set.and_then(|()| params.set_quoted("+sip.instance", &instance));
        }
        debug_assert!(set.is_ok(), "the configuration was validated");
        let uri = match gruu {
            Some(gruu) => gruu.clone(),
            None if anonymous => without_user(&self.config.contact),
            None => self.config.contact.clone(),
        };
        Contact::Addr(ContactAddr::new(Uri::Sip(uri)).with_params(params))
    }

    /// The CPIM message of TS 7.2.1.3 for one recipient.
    // req: 7.2.1.3-p1, 7.2.1.3-1, 7.2.1.3-2, 7.2.1.3-2.a, 7.2.1.3-3, 5.4-p1
    pub(crate) fn standalone(
        &self,
        now: Now,
        message: &NewMessage,
        message_id: &str,
    ) -> Result<CpimMessage, SendRefusal> {
        let from = if message.anonymous { ANONYMOUS } else { self.identity().as_str() };
        let mut builder = CpimBuilder::new(Address::new(from), Address::new(message.to.as_str()))
            .imdn_message_id(message_id)
            .date_time(now.wall)
            .disposition_notification(message.reports.clone())
            .content(Part::new(&message.content_type, message.content.clone()));
        if let Some(subject) = &message.subject {
            builder = builder.subject(subject);
        }
        builder.build().map_err(|error| SendRefusal::Content(error.to_string()))
    }
}

/// Puts a CPIM message into a request.
pub(crate) fn set_cpim(request: &mut Request, cpim: Bytes) {
    request.headers_mut().replace(HeaderName::ContentType, HeaderText::sanitized("message/cpim"));
    request.set_body(cpim);
}

/// The place without its user.
fn without_user(uri: &SipUri) -> SipUri {
    let bare = SipUri::new(uri.host().clone()).with_port(uri.port()).with_secure(uri.is_secure());
    uri.params().fold(bare, |bare, (name, value)| bare.with_param(name, value))
}

/// `Contact` URI of a client at an address: what a host passes as [`crate::ClientConfig::contact`].
#[must_use]
pub fn contact_uri(user: &str, at: core::net::SocketAddr) -> SipUri {
    let host = match at.ip() {
        core::net::IpAddr::V4(ip) => cpm_sip::Host::V4(ip),
        core::net::IpAddr::V6(ip) => cpm_sip::Host::V6(ip),
    };
    SipUri::new(host).with_user(user).with_port(Some(at.port()))
}
