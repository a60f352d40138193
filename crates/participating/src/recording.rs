//! What is recorded of a MESSAGE in the message store of a user, and where in it (TS 8.5, 8.5.1). Recording is live: the
//! object is handed to the host while the message is under way, and the host makes the folder when it is not there.

use crate::facts::{AssertedService, Content, Facts, contribution_of, conversation_of};
use crate::identity;
use crate::{ServedRole, body};
use cpm_base::DateTime;
use cpm_core::disposition::notifications;
use cpm_core::feature::CpmService;
use cpm_core::outside::{Direction, Folder, ObjectKind, Preferences, StoredObject};
use cpm_cpim::CpimMessage;
use cpm_sip::{HeaderName, PAssertedService, PPreferredService, Request, Uri};
use cpm_xml::access_policy::{ENABLER, Wish};
use cpm_xml::ruleset::Context;

/// Whether the preferences of the served user ask for recording: a rule that names CPM and has `<allow-offline-storage>`.
// req: 8.2.1.1-6
pub(crate) fn is_wanted(preferences: &Preferences, facts: &Facts, now: DateTime) -> bool {
    let texts: Vec<String> =
        facts.originators.iter().flat_map(|uri| [uri.as_str().to_owned(), uri.address_key()]).collect();
    let identities: Vec<&str> = texts.iter().map(String::as_str).collect();
    let context = Context {
        enabler: ENABLER,
        media: &["standalone-message"],
        identities: &identities,
        profile: None,
        now,
        member: false,
    };
    let rules = preferences.access_policy.as_ref().map(|policy| policy.matching(&context));
    let mut naming_cpm = rules.into_iter().flatten().filter(|rule| rule.conditions.services.is_some());
    naming_cpm.any(|rule| rule.wishes(Wish::OfflineStorage))
}

/// The object for the message store of the served user; `None` for a notification that the user sent (TS 8.2.4, readings
/// G3). `request` is the MESSAGE as it is to be kept, with all its header fields; `others` are the identities of the other
/// side: asserted ones, or the address that the message is for.
///
/// Of a sender who wants to be anonymous nothing is kept that would tell the user who it is.
// req: 8.5.1-A, 8.2.4-p3
pub(crate) fn stored_object(request: &Request, facts: &Facts, others: &[Uri]) -> Option<StoredObject> {
    let direction = match facts.role {
        ServedRole::Originating => Direction::Sent,
        ServedRole::Terminating => Direction::Received,
    };
    let kind = match (facts.content, direction) {
        (Content::Disposition, Direction::Sent) => return None,
        (Content::Disposition, Direction::Received) => ObjectKind::Disposition,
        (Content::Message, _) => ObjectKind::StandaloneMessage,
    };
    let hidden = direction == Direction::Received && facts.anonymous;
    let octets = if hidden {
        let mut shown = request.clone();
        identity::hide(shown.headers_mut());
        shown.headers_mut().remove(&HeaderName::PAssertedIdentity);
        shown.to_bytes()
    } else {
        request.to_bytes()
    };
    Some(StoredObject {
        user: facts.served.clone(),
        folder: folder_of(request, facts, kind, others, hidden)?,
        direction,
        kind,
        message_id: facts.message_id(),
        conversation: conversation_of(request),
        contribution: contribution_of(request),
        message_context: None,
        message_correlator: None,
        object: octets,
        replaces: None,
    })
}

// req: 8.5-1.a, 8.5-1.b, 8.5-3.a, 8.5-3.b, 8.5.1-B-n1
fn folder_of(
    request: &Request,
    facts: &Facts,
    kind: ObjectKind,
    others: &[Uri],
    hidden: bool,
) -> Option<Folder> {
    // req: 8.3.5-p5
    if kind == ObjectKind::Disposition
        && let Some(about) = facts.cpim().and_then(message_it_is_about)
    {
        return Some(Folder::OfMessage(about));
    }
    if let Some(conversation) = conversation_of(request).filter(|_| is_for_group(request, facts)) {
        return Some(Folder::Group(conversation));
    }
    if hidden {
        return Some(Folder::anonymous());
    }
    Folder::of_peer(others)
}

/// The IMDN Message-ID of the message that a notification is about; of several, of the first.
fn message_it_is_about(cpim: &CpimMessage) -> Option<String> {
    let (mime, xml) = (cpm_mime::Limits::DEFAULT, cpm_xml::Limits::default());
    let read = notifications(cpim.content(), &mime, &xml).ok()?;
    read.into_iter().flatten().next().map(|notification| notification.message_id)
}

/// Whether a message is a CPM Group Message: its service says so, or it has a list of recipients.
pub(crate) fn is_for_group(request: &Request, facts: &Facts) -> bool {
    if let AssertedService::Cpm(service) = facts.service
        && service.group
    {
        return true;
    }
    let group = |urn: &str| CpmService::from_icsi(urn).is_some_and(|service| service.group);
    let asserted = request.typed_list::<PAssertedService>().unwrap_or_default();
    let preferred = request.typed_list::<PPreferredService>().unwrap_or_default();
    asserted.iter().any(|service| group(service.as_str()))
        || preferred.iter().any(|service| group(service.as_str()))
        || body::has_recipient_list(request)
}

#[cfg(test)]
mod tests;
