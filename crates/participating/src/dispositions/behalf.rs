//! A disposition notification on behalf of the served user (TS 8.2.5): as a receiving device would make it (TS 5.4.1).

use crate::facts::Facts;
use crate::service::assert_service;
use bytes::Bytes;
use cpm_base::DateTime;
use cpm_core::feature::{CpmFeature, ICSI_REF};
use cpm_cpim::{Address, CpimBuilder};
use cpm_mime::{ContentType, Part};
use cpm_sip::{
    AcceptContact, From, HeaderName, HeaderText, Method, PAssertedIdentity, Params, Request, To, Uri,
};
use cpm_xml::imdn::{self, DeliveryStatus, Imdn, Notification};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What is told of a message that was, or was not, delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Delivered,
    Failed,
}

impl Told {
    /// `<delivered/>` for positive-delivery, `<failed/>` for negative-delivery.
    // req: 8.2.5-b1
    const fn notification(self) -> Notification {
        Notification::Delivery(match self {
            Told::Delivered => DeliveryStatus::Delivered,
            Told::Failed => DeliveryStatus::Failed,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Told::Delivered => "delivered",
            Told::Failed => "failed",
        }
    }
}

/// Whether the sender of a message asked to be told this (TS 5.4.1-1). A notification asks for nothing (RFC 5438 §12).
// req: 5.4.1-1, 8.2.5-1, 8.2.5-2
pub(crate) fn is_asked_for(facts: &Facts, told: Told) -> bool {
    if facts.content != crate::Content::Message {
        return false;
    }
    let Some(cpim) = facts.cpim() else { return false };
    let asked = cpim.disposition_notification().unwrap_or_default();
    match told {
        Told::Delivered => asked.positive_delivery,
        Told::Failed => asked.negative_delivery,
    }
}

/// The MESSAGE with the notification; `None` for a message that no notification can be made about: without a Message-ID, or
/// with a way back that is none.
// req: 8.2.5-p1, 8.2.5-p2, 8.2.5-p4, 5.4.1-2, 5.4.1-2.a.i, 5.4.1-2.a.i.a, 5.4.1-2.a.ii, 5.4.1-2.a.iii, 5.4.1-2.a.iv.b
pub(crate) fn notification(
    now: DateTime,
    original: &Request,
    facts: &Facts,
    told: Told,
    recipient: &Uri,
) -> Option<Request> {
    let cpim = facts.cpim()?;
    let message_id = facts.message_id()?;
    let sender = facts.originators.first()?;
    let routes = way_back(cpim)?;
    let target = match routes.first() {
        Some(route) => Uri::parse(&route.uri).ok()?,
        None => sender.clone(),
    };
    let date = cpim.date_time_text().unwrap_or_else(|| now.to_string());
    let mut document = Imdn::new(&message_id, &date, told.notification());
    if let Some(to) = cpim.to().ok().and_then(|to| to.into_iter().next()) {
        document = document.with_recipient_uri(&to.uri);
        if let Some(original_to) = cpim.original_to().ok().flatten() {
            document = document.with_original_recipient_uri(&original_to.uri);
        }
    }
    let content_type = ContentType::parse(imdn::MEDIA_TYPE).ok()?;
    let content = Part::new(&content_type, Bytes::from(imdn::write(&document)))
        .with_header("Content-Disposition", "notification")
        .ok()?;
    let mut builder = CpimBuilder::new(Address::new(recipient.as_str()), Address::new(sender.as_str()))
        .imdn_message_id(&own_message_id(&message_id, recipient, told))
        .date_time(now)
        .content(content);
    for route in routes.into_iter().skip(1) {
        builder = builder.imdn_route(route);
    }
    let body = builder.build().ok()?.to_bytes();
    let mut request = Request::new(Method::Message, target)
        .with_typed(&From::new(recipient.clone()))
        .with_typed(&To::new(sender.clone()))
        .with_typed(&PAssertedIdentity::new(recipient.clone()));
    let headers = request.headers_mut();
    for name in [HeaderName::ConversationId, HeaderName::ContributionId] {
        headers.copy_from(original.headers(), &name);
    }
    headers.push_typed(&feature_of(facts.feature?)?);
    headers.copy_from(original.headers(), &HeaderName::PPreferredService);
    headers.copy_from(original.headers(), &HeaderName::PAssertedService);
    headers.replace(HeaderName::ContentType, HeaderText::sanitized("message/cpim"));
    request.set_body(body);
    assert_service(&mut request);
    Some(request)
}

/// The message without its requests for delivery notifications, as it is stored when those were made already (TS 8.2.5, readings
/// G4); `None` when there is nothing to take out.
// req: 8.2.5-b2.o1
pub(crate) fn without_delivery_requests(request: &Request, facts: &Facts) -> Option<Request> {
    let mut cpim = facts.cpim()?.clone();
    let mut asked = cpim.disposition_notification().ok()?;
    if !asked.positive_delivery && !asked.negative_delivery {
        return None;
    }
    (asked.positive_delivery, asked.negative_delivery) = (false, false);
    cpim.set_disposition_notification(&asked).ok()?;
    let mut copy = request.clone();
    crate::body::set_cpim(&mut copy, &cpim).ok()?;
    Some(copy)
}

/// `*;+g.3gpp.icsi-ref="..."`.
fn feature_of(feature: CpmFeature) -> Option<AcceptContact> {
    let mut params = Params::new();
    params.set_quoted(ICSI_REF, &feature.encoded()).ok()?;
    Some(AcceptContact::new(params))
}

/// The way back that the message names (RFC 5438 §6.6): at most `imdn.max_route` hops, which its reader counts, each once
/// (threat E6); none for one that is not so.
fn way_back(cpim: &cpm_cpim::CpimMessage) -> Option<Vec<Address>> {
    let routes = cpim.record_route().ok()?;
    let twice = |(place, route): (usize, &Address)| {
        routes.iter().skip(place.saturating_add(1)).any(|other| other.uri == route.uri)
    };
    let loops = routes.iter().enumerate().any(twice);
    (!loops).then_some(routes)
}

/// The Message-ID of the notification: the same whenever it is made again.
fn own_message_id(about: &str, recipient: &Uri, told: Told) -> String {
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, about, recipient.address_key(), told.name()).hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", part(1), part(2))
}
