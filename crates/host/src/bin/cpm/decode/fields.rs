//! Header fields: each with what it means.

use super::report::{Field, Pairs};
use cpm_auth::{Challenge, Credentials, Username};
use cpm_sip::{
    AcceptContact, AuthenticationInfo, Authorization, CSeq, Contact, ContactAddr, ContentDisposition,
    ContentType, Date, Event, HeaderName, HeaderText, Headers, MessageExpires, NameAddr, Occurrence, Params,
    ProxyAuthenticate, ProxyAuthorization, RejectContact, Rport, SessionExpires, SubscriptionState,
    TypedHeader, Uri, Via, WwwAuthenticate, normal_form,
};
use cpm_sip::{
    From, HistoryInfo, PAssertedIdentity, PAssociatedUri, PCalledPartyId, PPreferredIdentity, PServedUser,
    Path, RecordRoute, ReferTo, ReferredBy, ReplyTo, Route, ServiceRoute, To,
};

/// Values of one field that are taken apart; the others are printed as they stand.
const MAX_VALUES: usize = 128;

/// All fields in order.
pub(super) fn all(headers: &Headers) -> Vec<Field> {
    let field = |(name, value): (&HeaderName, cpm_sip::HeaderValue<'_>)| Field {
        name: name.as_str().to_owned(),
        known: !matches!(name, HeaderName::Other(_)),
        value: written(&value.unfolded()),
        readings: value.to_text().map_or_else(Vec::new, |text| readings(name, &text)),
    };
    headers.iter().map(field).collect()
}

/// Octets as text; those that are no UTF-8 as escapes.
pub(super) fn written(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.escape_ascii().to_string(),
    }
}

/// What the values of a field mean; nothing where one of them cannot be read, or there is nothing to add.
fn readings(name: &HeaderName, text: &str) -> Vec<Pairs> {
    let mut readings = Vec::new();
    for value in values(name, text) {
        let Some(Ok(normal)) = normal_form(name, value.as_bytes()) else { return Vec::new() };
        let reading = reading(name, value.as_bytes());
        readings.push(reading.unwrap_or_else(|| Pairs::default().with("value", normal.as_str())));
    }
    let as_written = |only: &Pairs| matches!(&only.0[..], [(_, value)] if value == text);
    match &readings[..] {
        [only] if as_written(only) => Vec::new(),
        _ => readings,
    }
}

/// The values of one field. The codec cuts lists: what a value is, is what it takes away.
fn values(name: &HeaderName, text: &str) -> Vec<String> {
    if name.occurrence() != Occurrence::List {
        return vec![text.to_owned()];
    }
    let Ok(line) = HeaderText::new(text) else { return Vec::new() };
    let mut rest = Headers::new();
    rest.push(name.clone(), line);
    let mut values = Vec::new();
    while let Some(whole) = rest.get(name).and_then(|value| value.to_text().map(|text| text.into_owned())) {
        if values.len() == MAX_VALUES || !rest.pop_first_value(name) {
            break;
        }
        let left = rest.get(name).map_or(0, |value| value.as_bytes().len());
        let taken = whole.get(..whole.len().saturating_sub(left)).unwrap_or(&whole);
        values.push(taken.trim_end_matches([' ', '\t', ',']).to_owned());
    }
    values
}

/// What one value means, for fields that have parts; `None` for those that are one word or text.
fn reading(name: &HeaderName, value: &[u8]) -> Option<Pairs> {
    macro_rules! addresses {
        ($($field:ident)*) => {
            match name {
                $(HeaderName::$field => {
                    let value = $field::parse(value).ok()?;
                    return Some(params(address(value.address()), value.params()));
                })*
                _ => {}
            }
        };
    }
    addresses! {
        From To ReplyTo Route RecordRoute Path ServiceRoute PAssertedIdentity PPreferredIdentity PAssociatedUri
        PCalledPartyId PServedUser ReferTo HistoryInfo ReferredBy
    }
    Some(match name {
        HeaderName::Via => via(&Via::parse(value).ok()?),
        HeaderName::Contact => contact(&Contact::parse(value).ok()?),
        HeaderName::CSeq => {
            let cseq = CSeq::parse(value).ok()?;
            Pairs::default().with("number", cseq.number.to_string()).with("method", cseq.method.as_str())
        }
        HeaderName::AcceptContact => preference(
            AcceptContact::parse(value).ok()?.features(),
            AcceptContact::parse(value).ok()?.params(),
        ),
        HeaderName::RejectContact => preference(
            RejectContact::parse(value).ok()?.features(),
            RejectContact::parse(value).ok()?.params(),
        ),
        HeaderName::ContentType => media_type(ContentType::parse(value).ok()?.as_str())?,
        HeaderName::ContentDisposition => {
            let value = ContentDisposition::parse(value).ok()?;
            params(Pairs::default().with("disposition", value.kind()), value.params())
        }
        HeaderName::Event => {
            let value = Event::parse(value).ok()?;
            params(Pairs::default().with("package", value.package()), value.params())
        }
        HeaderName::SubscriptionState => {
            let value = SubscriptionState::parse(value).ok()?;
            params(Pairs::default().with("state", value.as_str()), value.params())
        }
        HeaderName::SessionExpires => {
            let value = SessionExpires::parse(value).ok()?;
            params(Pairs::default().with("seconds", value.seconds().to_string()), value.params())
        }
        HeaderName::Date => Pairs::default().with("date", Date::parse(value).ok()?.0.to_string()),
        HeaderName::MessageExpires => {
            let MessageExpires(seconds) = MessageExpires::parse(value).ok()?;
            Pairs::default().with("seconds", seconds.to_string())
        }
        HeaderName::WwwAuthenticate => scheme(WwwAuthenticate::parse(value).ok()?.scheme(), value, challenge),
        HeaderName::ProxyAuthenticate => {
            scheme(ProxyAuthenticate::parse(value).ok()?.scheme(), value, challenge)
        }
        HeaderName::Authorization => scheme(Authorization::parse(value).ok()?.scheme(), value, credentials),
        HeaderName::ProxyAuthorization => {
            scheme(ProxyAuthorization::parse(value).ok()?.scheme(), value, credentials)
        }
        HeaderName::AuthenticationInfo => {
            params(Pairs::default(), AuthenticationInfo::parse(value).ok()?.params())
        }
        _ => return None,
    })
}

/// Parameters behind what is known already.
fn params(mut pairs: Pairs, params: &Params) -> Pairs {
    for (name, value) in params.iter() {
        pairs.add(&name.to_ascii_lowercase(), value.unwrap_or("yes"));
    }
    pairs
}

/// A URI and its parts.
pub(super) fn uri(uri: &Uri) -> Pairs {
    let pairs = Pairs::default().with("uri", uri.as_str()).with("scheme", uri.scheme());
    match uri {
        Uri::Sip(sip) => {
            let pairs = pairs
                .maybe("user", sip.user_unescaped())
                .maybe("password", sip.password().map(|_| "yes"))
                .with("host", sip.host().to_string())
                .maybe("port", sip.port().map(|port| port.to_string()));
            let pairs = sip.params().fold(pairs, |pairs, (name, value)| {
                pairs.with(&format!("uri {}", name.to_ascii_lowercase()), value.unwrap_or("yes"))
            });
            sip.headers().fold(pairs, |pairs, (name, value)| {
                pairs.with(&format!("uri header {}", name.to_ascii_lowercase()), value.unwrap_or(""))
            })
        }
        Uri::Tel(tel) => {
            let reach = if tel.is_global() { "global" } else { "local" };
            pairs
                .with("number", tel.digits())
                .with("reach", reach)
                .maybe("phone-context", tel.phone_context())
        }
        Uri::Urn(urn) => pairs.with("namespace", urn.namespace()),
        _ => pairs,
    }
}

fn address(address: &NameAddr) -> Pairs {
    let mut pairs = Pairs::default().maybe("display name", address.display_name());
    pairs.0.extend(uri(address.uri()).0);
    pairs
}

fn via(via: &Via) -> Pairs {
    let pairs = Pairs::default()
        .with("transport", via.transport())
        .with("host", via.host().to_string())
        .maybe("port", via.port().map(|port| port.to_string()));
    let pairs = if via.rport() == Rport::Requested { pairs.with("rport", "requested") } else { pairs };
    via.params()
        .iter()
        .filter(|(name, value)| !(name.eq_ignore_ascii_case("rport") && value.is_none()))
        .fold(pairs, |pairs, (name, value)| pairs.with(&name.to_ascii_lowercase(), value.unwrap_or("yes")))
}

fn contact(contact: &Contact) -> Pairs {
    match contact {
        Contact::Star => Pairs::default().with("uri", "*"),
        Contact::Addr(contact) => {
            let pairs = params(address(contact.address()), contact.params());
            services(pairs, contact)
        }
    }
}

/// The percent-encoded lists of a Contact, decoded.
fn services(pairs: Pairs, contact: &ContactAddr) -> Pairs {
    let decoded = |list: Vec<String>| (!list.is_empty()).then(|| list.join(", "));
    pairs.maybe("icsi", decoded(contact.icsi_refs())).maybe("iari", decoded(contact.iari_refs()))
}

fn preference<'a>(features: impl Iterator<Item = (&'a str, Option<&'a str>)>, params: &Params) -> Pairs {
    let mut pairs = Pairs::default();
    for (name, value) in features {
        pairs.add(&name.to_ascii_lowercase(), value.unwrap_or("yes"));
    }
    for control in ["require", "explicit"].into_iter().filter(|control| params.contains(control)) {
        pairs.add(control, "yes");
    }
    pairs
}

fn media_type(text: &str) -> Option<Pairs> {
    let parsed = cpm_mime::ContentType::parse(text).ok()?;
    let pairs = Pairs::default().with("type", parsed.essence());
    Some(parsed.params().fold(pairs, |pairs, (name, value)| pairs.with(&name.to_ascii_lowercase(), value)))
}

/// What digest says; of other schemes, the scheme.
fn scheme(scheme: &str, value: &[u8], digest: fn(&str) -> Option<Pairs>) -> Pairs {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let pairs = Pairs::default().with("scheme", scheme);
    match digest(text) {
        Some(found) => found.0.into_iter().fold(pairs, |pairs, (name, value)| pairs.with(&name, value)),
        None => pairs,
    }
}

fn challenge(text: &str) -> Option<Pairs> {
    let challenge = Challenge::parse(text).ok()?;
    let offered =
        challenge.qop.as_ref().map(|qop| qop.iter().map(|qop| qop.name()).collect::<Vec<_>>().join(", "));
    let pairs = Pairs::default()
        .with("realm", challenge.realm.as_str())
        .with("algorithm", challenge.algorithm().name())
        .with("nonce", challenge.nonce.as_str())
        .maybe("qop", offered)
        .maybe("opaque", challenge.opaque.as_deref());
    Some(if challenge.stale { pairs.with("stale", "yes") } else { pairs })
}

fn credentials(text: &str) -> Option<Pairs> {
    let credentials = Credentials::parse(text).ok()?;
    let (spelling, name) = match &credentials.username {
        Username::Plain(name) | Username::Extended(name) => ("username", name),
        Username::Hashed(hash) => ("username hash", hash),
    };
    let protection = credentials.protection.as_ref();
    Some(
        Pairs::default()
            .with(spelling, name.as_str())
            .with("realm", credentials.realm.as_str())
            .with("uri", credentials.uri.as_str())
            .with("algorithm", credentials.algorithm().name())
            .with("nonce", credentials.nonce.as_str())
            .maybe("qop", protection.map(|protection| protection.qop.name()))
            .maybe("nonce count", protection.map(|protection| protection.count.to_string())),
    )
}
