//! The requests and CPIM messages of a client (TS 7.2.1.1, 7.2.1.2, 7.2.1.3): what all of them have in common.

use crate::message::{Recipients, StoredData};
use crate::outgoing::Outgoing;
use crate::{Client, NewMessage, SendRefusal};
use bytes::Bytes;
use cpm_base::Now;
use cpm_core::feature::{CpmFeature, CpmService, ICSI_REF};
use cpm_core::{ContributionId, ConversationId};
use cpm_cpim::{Address, CpimBuilder, CpimMessage};
use cpm_mime::{ContentType, ExternalBody, MimeError, Multipart, Part};
use cpm_sip::{
    Contact, ContactAddr, HeaderName, HeaderText, Host, Method, NameAddr, PPreferredIdentity, Params,
    Request, SipUri, TypedHeader, Uri,
};
use cpm_xml::resource_lists::{self, CopyControl, Entry, ResourceLists};

/// The URI that stands for somebody who wants not to be known (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";
/// What he is called who gives himself no name (TS 6.1-p3).
const ANONYMOUS_NAME: &str = "Anonymous";

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
    /// The name of somebody who is anonymous (TS 6.3).
    pub(crate) pseudonym: Option<&'a str>,
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
        let address = if envelope.anonymous { &anonymous_uri() } else { &self.config.address };
        let name = self.own_name(envelope.anonymous, envelope.pseudonym);
        // req: 6.1-p3, 7.2.1.1-6, 7.2.1.2-7, 6.3-p2, 6.3-p3.1, 6.3-p3.2, 6.3-p8
        push(HeaderName::From, named(address, name.or(envelope.anonymous.then_some(ANONYMOUS_NAME))));
        if envelope.anonymous {
            push(HeaderName::Privacy, "id".to_owned());
        } else if let Some(languages) = accept_language(&self.config.languages) {
            // req: 6.4.1-p4
            push(HeaderName::AcceptLanguage, languages);
        }
        push(HeaderName::To, format!("<{}>", envelope.to.as_str()));
        // The core takes it away (RFC 3325 §9.2): it alone learns who an anonymous user is.
        // req: 6.1-p2, 6.1.1-p3, 6.1.1-b1, 7.2.1.1-2, 7.2.1.2-4, 6.3-p6
        push(HeaderName::PPreferredIdentity, named(self.identity(), name));
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
    // req: 6.1-p1, 6.1-p2, 6.1-b1, 6.1.1-p4
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
            None if anonymous => without_user(&self.config.contact, self.config.msrp.ip()),
            None => self.config.contact.clone(),
        };
        Contact::Addr(ContactAddr::new(Uri::Sip(uri)).with_params(params))
    }

    /// The name that the user gives himself: a pseudonym when he is not to be known.
    fn own_name<'a>(&'a self, anonymous: bool, pseudonym: Option<&'a str>) -> Option<&'a str> {
        if anonymous { pseudonym } else { self.config.user_name.as_deref() }
    }

    /// Where a message goes: Request-URI, To and CPIM To.
    // req: 7.2.1.1-8, 7.2.1.1-8.a, 7.2.1.1-9.a, 7.2.1.1-10, 7.2.1.2-9, 7.2.1.2-9.a, 7.2.1.2-10.a, 7.2.1.2-11
    pub(crate) fn target<'a>(&'a self, to: &'a Recipients) -> Option<&'a Uri> {
        match to {
            Recipients::One(one) => Some(one),
            Recipients::AdHoc(_) => self.config.controlling_function.as_ref(),
            Recipients::Group(group) => Some(group),
        }
    }

    /// The request of a message that is sent, without its body.
    // req: 7.2.1.1-3.b, 7.2.1.2-3.b
    pub(crate) fn outgoing_request(&self, method: Method, outgoing: &Outgoing) -> Request {
        let sent = &outgoing.sent;
        let feature = if sent.large { CpmFeature::LargeMessage } else { CpmFeature::PagerMessage };
        // Without a controlling function nothing is sent to an ad-hoc group.
        let target = self.target(&sent.to).unwrap_or(&self.config.address);
        self.request(&Envelope {
            method,
            target,
            to: target,
            feature,
            service: CpmService { feature, group: sent.to.is_group() },
            conversation: Some(&sent.conversation),
            contribution: Some(&sent.contribution),
            in_reply_to: sent.in_reply_to.as_ref(),
            reply_to: outgoing.reply_to.as_ref(),
            anonymous: outgoing.anonymous,
            pseudonym: outgoing.pseudonym.as_deref(),
        })
    }

    /// Puts the body into the request of a message: what is given, for an ad-hoc group together with the list of its members
    /// (RFC 5365 §6, RFC 5366 §6).
    // req: 7.2.1.1-9.b, 7.2.1.2-10.b
    pub(crate) fn set_body(
        &self,
        request: &mut Request,
        to: &Recipients,
        content_type: &str,
        body: Bytes,
    ) -> Result<(), String> {
        let Recipients::AdHoc(all) = to else {
            request.headers_mut().replace(HeaderName::ContentType, HeaderText::sanitized(content_type));
            request.set_body(body);
            return Ok(());
        };
        let service = match request.method() {
            Method::Invite => "recipient-list-invite",
            _ => "recipient-list-message",
        };
        let multipart = with_list(content_type, body, all).map_err(|error| error.to_string())?;
        let octets = multipart.to_bytes().map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.push(HeaderName::Require, HeaderText::sanitized(service));
        let content_type = multipart.content_type().to_string();
        headers.replace(HeaderName::ContentType, HeaderText::sanitized(&content_type));
        request.set_body(octets);
        Ok(())
    }

    /// The CPIM message of TS 7.2.1.3.
    // req: 7.2.1.3-p1, 7.2.1.3-1, 7.2.1.3-2, 7.2.1.3-2.a, 7.2.1.3-2.b, 7.2.1.3-2.c, 7.2.1.3-3, 5.4-p1
    pub(crate) fn standalone(
        &self,
        now: Now,
        message: &NewMessage,
        message_id: &str,
    ) -> Result<CpimMessage, SendRefusal> {
        let to = self.target(&message.to).ok_or(SendRefusal::NoControllingFunction)?;
        let mut from = Address::new(if message.anonymous { ANONYMOUS } else { self.identity().as_str() });
        from.display_name = self.own_name(message.anonymous, message.pseudonym.as_deref()).map(str::to_owned);
        let content = content(message).map_err(|error| SendRefusal::Content(error.to_string()))?;
        let mut builder = CpimBuilder::new(from, Address::new(to.as_str()))
            .imdn_message_id(message_id)
            .date_time(now.wall)
            .disposition_notification(message.reports.clone())
            .content(content);
        if let Some(subject) = &message.subject {
            builder = builder.subject(subject);
        }
        builder.build().map_err(|error| SendRefusal::Content(error.to_string()))
    }
}

/// The content of a message: what the user wrote, and stored data by reference.
// req: 7.2.1.4-2-n1
fn content(message: &NewMessage) -> Result<Part, MimeError> {
    let own = Part::new(&message.content_type, message.content.clone());
    let references = message.stored.iter().map(reference);
    let own = (message.stored.is_empty() || !message.content.is_empty()).then_some(Ok(own));
    let mut parts = own.into_iter().chain(references).collect::<Result<Vec<_>, _>>()?;
    if parts.len() > 1 {
        let multipart = Multipart::new("mixed", parts)?;
        return Ok(Part::new(&multipart.content_type(), multipart.to_bytes()?));
    }
    parts.pop().ok_or(MimeError::NoParts)
}

/// The stand-in for stored data: a URL with `?action=fetch` behind it (RFC 4483, TS 7.2.1.4-2).
// req: 7.2.1.4-1, 7.2.1.4-2
fn reference(stored: &StoredData) -> Result<Part, MimeError> {
    const FETCH: &str = "?action=fetch";
    let bare = stored.url.strip_suffix(FETCH).unwrap_or(&stored.url);
    if bare.is_empty() || bare.contains('?') {
        return Err(MimeError::ExternalBody("URL"));
    }
    let content = Part::new(&stored.content_type, Bytes::new());
    let body = ExternalBody { size: stored.size, ..ExternalBody::new(&format!("{bare}{FETCH}"), content) };
    body.to_part()
}

/// A body together with a list of recipients, who see one another (RFC 5364 §4: without a word they would not).
fn with_list(content_type: &str, body: Bytes, all: &[Uri]) -> Result<Multipart, MimeError> {
    let entries = all.iter().map(|uri| Entry::new(uri.as_str()).with_copy_control(CopyControl::To));
    let list = Bytes::from(resource_lists::write(&ResourceLists::flat(entries)));
    let list = Part::new(&ContentType::parse(resource_lists::MEDIA_TYPE)?, list)
        .with_header("Content-Disposition", "recipient-list")?;
    Multipart::new("mixed", vec![Part::new(&ContentType::parse(content_type)?, body), list])
}

/// An address with a name before it, quoted as it must be.
fn named(address: &Uri, name: Option<&str>) -> String {
    let plain = NameAddr::new(address.clone());
    let named = name.and_then(|name| plain.clone().with_display_name(name).ok());
    let mut octets = Vec::new();
    PPreferredIdentity::new(named.unwrap_or(plain)).write(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

fn anonymous_uri() -> Uri {
    Uri::parse(ANONYMOUS)
        .unwrap_or_else(|_| Uri::Sip(SipUri::new(Host::V4(core::net::Ipv4Addr::UNSPECIFIED))))
}

/// Languages in order of preference, as Accept-Language has them (RFC 3261 §20.3).
fn accept_language(languages: &[String]) -> Option<String> {
    let weighed = languages.iter().take(9).zip((1..=10).rev());
    let values = weighed.map(|(tag, tenths)| match tenths {
        10 => tag.clone(),
        tenths => format!("{tag};q=0.{tenths}"),
    });
    (!languages.is_empty()).then(|| values.collect::<Vec<_>>().join(", "))
}

/// Puts a CPIM message into a request that has nothing else.
pub(crate) fn set_cpim(request: &mut Request, cpim: Bytes) {
    request.headers_mut().replace(HeaderName::ContentType, HeaderText::sanitized("message/cpim"));
    request.set_body(cpim);
}

/// The place without its user; the name of a host says who has it as well, so that the address that the media tell anyway
/// stands for it, and of parameters only those that lead there stay.
fn without_user(uri: &SipUri, media: core::net::IpAddr) -> SipUri {
    let host = match uri.host() {
        Host::Name(_) => host_of(media),
        address => address.clone(),
    };
    let bare = SipUri::new(host).with_port(uri.port()).with_secure(uri.is_secure());
    let leads = |(name, _): &(&str, Option<&str>)| ["transport", "ob"].contains(name);
    uri.params().filter(leads).fold(bare, |bare, (name, value)| bare.with_param(name, value))
}

fn host_of(ip: core::net::IpAddr) -> Host {
    match ip {
        core::net::IpAddr::V4(ip) => Host::V4(ip),
        core::net::IpAddr::V6(ip) => Host::V6(ip),
    }
}

/// `Contact` URI of a client at an address: what a host passes as [`crate::ClientConfig::contact`].
#[must_use]
pub fn contact_uri(user: &str, at: core::net::SocketAddr) -> SipUri {
    SipUri::new(host_of(at.ip())).with_user(user).with_port(Some(at.port()))
}
