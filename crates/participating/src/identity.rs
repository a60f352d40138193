//! Who a message says that it is from (threats E1, E2, E8): nobody but the asserted sender, or nobody at all.

use crate::policy::ForeignSender;
use cpm_core::release::Release;
use cpm_cpim::{Address, CpimMessage};
use cpm_sip::{From, FromRef, HeaderName, Headers, PAssertedIdentity, Privacy, Uri, UserAgent};
use cpm_ua::{Asserted, is_anonymous};

/// The address of those who are nobody (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// A From, or that of the CPIM message, is of somebody else, and the policy refuses that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign;

/// The sender of a message, on the core's word.
#[derive(Debug)]
pub(crate) struct Sender {
    asserted: Asserted,
    /// It wants to be anonymous.
    hidden: bool,
}

/// What an address says of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Own,
    Nobody,
    Foreign,
}

impl Sender {
    /// Who is asserted in a request, as far as it could be read. Of what is asserted, as much stays in it as RFC 5876 §4.5
    /// lets stand, and nothing else.
    pub(crate) fn of(headers: &mut Headers, asserted: &[PAssertedIdentity], hidden: bool) -> Option<Sender> {
        cpm_ua::believe_core(headers, asserted).map(|asserted| Sender { asserted, hidden })
    }

    /// What the text of an address says of the sender; `None`: it is none.
    fn said_by(&self, address: &str) -> Option<Said> {
        // Nearly always it is one that is asserted, and read with that.
        let known = self.asserted.identities().iter().find(|own| own.uri().as_str() == address);
        match known {
            Some(own) => Some(self.said(own.uri())),
            None => Uri::parse(address).ok().map(|uri| self.said(&uri)),
        }
    }

    /// sip and tel forms of one number are one identity.
    fn said(&self, uri: &Uri) -> Said {
        if is_anonymous(uri) {
            Said::Nobody
        } else if self.asserted.covers(uri) {
            Said::Own
        } else {
            Said::Foreign
        }
    }

    /// Sees to the header fields of a request that goes on: From is the sender's, or nobody's; what names the sender
    /// besides goes, where it wants to be anonymous; what it would like to be called is decided. Whether From is another
    /// now: then the response has to have the old one.
    ///
    /// # Errors
    /// Somebody else's From is refused by policy, or one that nobody can read.
    pub(crate) fn settle(&self, headers: &mut Headers, policy: ForeignSender) -> Result<bool, Foreign> {
        let from = headers.view::<FromRef<'_>>().ok().flatten().ok_or(Foreign)?;
        let said = self.said_by(from.uri().as_str()).ok_or(Foreign)?;
        let tag = from.tag().map(String::from);
        if said == Said::Foreign && policy == ForeignSender::Refuse {
            return Err(Foreign);
        }
        headers.remove(&HeaderName::PPreferredIdentity);
        if self.hidden {
            hide(headers);
            return Ok(said != Said::Nobody);
        }
        let own = self.asserted.identities().first();
        let (Said::Foreign, Some(own)) = (said, own) else { return Ok(false) };
        let mut new = From::new(own.clone());
        if let Some(tag) = tag {
            new = new.with_tag(&tag);
        }
        headers.set_typed(&new);
        Ok(true)
    }

    /// Sees to From of the CPIM message.
    ///
    /// # Errors
    /// Somebody else's is refused by policy.
    pub(crate) fn settle_cpim(&self, cpim: &mut CpimMessage, policy: ForeignSender) -> Result<(), Foreign> {
        let said = match cpim.from() {
            Ok(None) => return Ok(()),
            Ok(Some(from)) => self.said_by(&from.uri).unwrap_or(Said::Foreign),
            Err(_) => Said::Foreign,
        };
        let new = match (said, self.hidden) {
            (Said::Foreign, _) if policy == ForeignSender::Refuse => return Err(Foreign),
            (Said::Nobody, _) | (Said::Own, false) => return Ok(()),
            (Said::Own | Said::Foreign, true) => ANONYMOUS,
            (Said::Foreign, false) => {
                self.asserted.identities().first().map_or(ANONYMOUS, |own| own.uri().as_str())
            }
        };
        cpim.set_from(&Address::new(new)).map_err(|_| Foreign)
    }
}

/// Takes out of a request what names a sender who wants to be anonymous (RFC 3323 §4.1, §5): all but what is asserted to
/// the core, which is told to keep it. Subject is what the user writes, and stays; of User-Agent the CPM release stays.
// req: 6.3-p9
pub(crate) fn hide(headers: &mut Headers) {
    keep_inside(headers);
    let stays = [HeaderName::PAssertedIdentity, HeaderName::Subject];
    let before = headers.clone();
    let from = headers.typed::<From>().ok().flatten();
    if !cpm_ua::anonymize(headers) {
        return;
    }
    for name in &stays {
        headers.copy_from(&before, name);
    }
    // Nobody's From may have a pseudonym in front of it (TS 6.1-p3).
    if from.is_some_and(|from| is_anonymous(from.uri())) {
        headers.remove(&HeaderName::From);
        headers.copy_from(&before, &HeaderName::From);
    }
    for name in [
        HeaderName::PServedUser,
        // They say who was authenticated, or where somebody is.
        HeaderName::Authorization,
        HeaderName::ProxyAuthorization,
        HeaderName::Identity,
        HeaderName::Geolocation,
        HeaderName::HistoryInfo,
    ] {
        headers.remove(&name);
    }
    for name in unknown_in(headers) {
        headers.remove(&name);
    }
    let agent = before.get(&HeaderName::UserAgent).and_then(|value| value.to_text());
    if let Some(release) = agent.and_then(|agent| Release::find(&agent))
        && let Ok(agent) = UserAgent::new(&release.to_string())
    {
        headers.push_typed(&agent);
    }
}

/// Fields that nobody here knows, Remote-Party-ID and the like: who wants to be nobody does without them.
fn unknown_in(headers: &Headers) -> Vec<HeaderName> {
    let about_the_body =
        |name: &str| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
    let unknown =
        |name: &&HeaderName| matches!(name, HeaderName::Other(other) if !about_the_body(other.as_str()));
    headers.iter().map(|(name, _)| name).filter(unknown).cloned().collect()
}

/// An anonymous request asks that what is asserted stays in the core (RFC 3325 §9.3), unless it says `none`.
fn keep_inside(headers: &mut Headers) {
    let said = headers.typed::<Privacy>();
    let mut values: Vec<&str> = match &said {
        Ok(Some(privacy)) if privacy.contains("none") || privacy.contains("id") => return,
        Ok(Some(privacy)) => privacy.iter().collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    values.push("id");
    if let Ok(privacy) = Privacy::new(&values) {
        headers.set_typed(&privacy);
    }
}

/// The asserted identities of a response, as far as they can be read; none, where who answers does not want to be known.
pub(crate) fn asserted_in(headers: &Headers) -> Vec<Uri> {
    let hides = |privacy: Privacy| ["id", "user", "header"].iter().any(|value| privacy.contains(value));
    if headers.typed::<Privacy>().map_or(true, |privacy| privacy.is_some_and(hides)) {
        return Vec::new();
    }
    let asserted = headers.typed_list::<PAssertedIdentity>().unwrap_or_default();
    asserted.iter().map(|identity| identity.uri().clone()).collect()
}

#[cfg(test)]
mod tests;
