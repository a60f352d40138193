//! What the request that carried a message says of it: who, which conversation, which feature.

use core::fmt;
use cpm_base::Trust;
use cpm_core::feature::{CpmFeature, CpmService, ICSI_REF, decode_list};
use cpm_core::{ContributionId, ConversationId};
use cpm_sip::{
    AcceptContact, From, HeaderError, HeaderName, MessageUid, PAssertedIdentity, PAssertedService, ReplyTo,
    Request, Uri,
};

/// The sender and the place of a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The authenticated originator's CPM Address (TS 6.1); `None` when anonymous.
    pub(crate) originator: Option<Uri>,
    /// The other addresses that the core asserts of the originator (RFC 3325 §9.1).
    pub(crate) aliases: Vec<Uri>,
    pub(crate) reply_to: Option<Uri>,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) contribution: Option<ContributionId>,
    pub(crate) in_reply_to: Option<ContributionId>,
    /// CPM features that Accept-Contact names, in its order.
    pub(crate) features: Vec<CpmFeature>,
    /// Instance identifiers that Accept-Contact names, without angle brackets: the device that it is for (TS 6.1.2).
    pub(crate) instances: Vec<String>,
    /// P-Asserted-Service, where it is one of CPM's.
    pub(crate) service: Option<CpmService>,
    pub(crate) message_uid: Option<String>,
}

/// A header field that this message needs cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadOrigin(pub(crate) String);

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::convert::From<HeaderError> for BadOrigin {
    fn from(error: HeaderError) -> Self {
        BadOrigin(error.to_string())
    }
}

impl Origin {
    /// Reads a request that came on a flow of this trust: asserted identities are believed from the core alone.
    pub(crate) fn read(request: &Request, trust: Trust) -> Result<Origin, BadOrigin> {
        let mut asserted = match trust {
            Trust::Core => asserted(request)?.into_iter(),
            Trust::Outside => Vec::new().into_iter(),
        };
        let originator = match asserted.next() {
            Some(uri) => Some(uri),
            None => request
                .typed::<From>()?
                .map(|from| from.uri().clone())
                .filter(|uri| !cpm_ua::is_anonymous(uri)),
        };
        let (features, instances) = wishes(request)?;
        let reply_to = request.typed::<ReplyTo>()?.map(|reply| reply.uri().clone());
        Ok(Origin {
            originator,
            aliases: asserted.collect(),
            reply_to,
            conversation: id(request, &HeaderName::ConversationId, ConversationId::parse)?,
            contribution: id(request, &HeaderName::ContributionId, ContributionId::parse)?,
            in_reply_to: id(request, &HeaderName::InReplyToContributionId, ContributionId::parse)?,
            features,
            instances,
            service: service(request, trust)?,
            message_uid: request.typed::<MessageUid>()?.map(|uid| uid.0.to_string()),
        })
    }

    /// The feature that a notification about this message names again (TS 5.4.1-2.a.iii).
    pub(crate) fn feature(&self) -> CpmFeature {
        let named = self.features.first().copied();
        named.or(self.service.map(|service| service.feature)).unwrap_or(CpmFeature::PagerMessage)
    }

    /// The service that a notification about this message names again (TS 5.4.1-2.a.iv.a).
    pub(crate) fn service(&self) -> CpmService {
        self.service.unwrap_or(CpmService::single(self.feature()))
    }

    /// Whether the request is for another device than the one with this instance identifier (TS 6.1.2-p2).
    // req: 6.1.2-p2
    pub(crate) fn is_for_another_than(&self, instance: &str) -> bool {
        !self.instances.is_empty() && !self.instances.iter().any(|named| named.eq_ignore_ascii_case(instance))
    }

    /// All that is known of who sent this, in canonical form.
    pub(crate) fn sender_keys(&self) -> impl Iterator<Item = String> {
        self.originator.iter().chain(&self.aliases).map(Uri::address_key)
    }

    pub(crate) fn sender_text(&self) -> String {
        self.originator.as_ref().map(|uri| uri.as_str().to_owned()).unwrap_or_default()
    }
}

/// P-Asserted-Identity (RFC 3325 §9.1: one or two, SIP and tel).
fn asserted(request: &Request) -> Result<Vec<Uri>, HeaderError> {
    let identities = request.typed_list::<PAssertedIdentity>()?;
    Ok(identities.iter().map(|identity| identity.uri().clone()).collect())
}

/// What Accept-Contact asks for: CPM features and devices.
fn wishes(request: &Request) -> Result<(Vec<CpmFeature>, Vec<String>), HeaderError> {
    let (mut features, mut instances) = (Vec::new(), Vec::new());
    for wish in request.typed_list::<AcceptContact>()? {
        if let Some(value) = wish.params().get(ICSI_REF) {
            features.extend(decode_list(value));
        }
        if let Some(value) = wish.params().get("+sip.instance") {
            instances.push(value.trim_start_matches('<').trim_end_matches('>').to_owned());
        }
    }
    Ok((features, instances))
}

fn service(request: &Request, trust: Trust) -> Result<Option<CpmService>, HeaderError> {
    if trust != Trust::Core {
        return Ok(None);
    }
    let services = request.typed_list::<PAssertedService>()?;
    Ok(services.iter().find_map(|service| CpmService::from_icsi(service.as_str())))
}

fn id<T, E: fmt::Display>(
    request: &Request,
    name: &HeaderName,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, BadOrigin> {
    if request.headers().count(name) > 1 {
        return Err(BadOrigin(format!("{name} stands more than once")));
    }
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    let text = value.to_text().ok_or_else(|| BadOrigin(format!("{name} is not UTF-8")))?;
    parse(text.trim()).map(Some).map_err(|error| BadOrigin(format!("{name}: {error}")))
}
