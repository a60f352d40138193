//! Feature predicates (RFC 3840 §5) and the preferences of callers (RFC 3841 §7.2) as pure functions.

use super::address::ContactAddr;
use super::capability::{AcceptContact, RejectContact};
use super::event::Event;
use crate::message::Request;
use crate::name::HeaderName;
use crate::params::Params;
use alloc::string::String;
use alloc::vec::Vec;

/// Names of feature parameters that do not begin with a plus sign (RFC 3840 §9).
const BASE: [&str; 20] = [
    "audio",
    "automata",
    "class",
    "duplex",
    "data",
    "control",
    "mobility",
    "description",
    "events",
    "priority",
    "methods",
    "schemes",
    "application",
    "video",
    "language",
    "type",
    "isfocus",
    "actor",
    "text",
    "extensions",
];

/// What a contact can do, or what a caller asks for: a conjunction of terms, one for each feature tag.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FeatureSet(Vec<Term>);

/// One feature tag, and the values of which one must hold.
#[derive(Debug, Clone, PartialEq)]
struct Term {
    /// Decoded (RFC 3841 §8), in lower case.
    tag: String,
    values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq)]
struct Value {
    negated: bool,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// Compared without case. In lower case.
    Token(String),
    /// Compared with case: it stands between angle brackets.
    Text(String),
    /// From and to, both included.
    Range(f64, f64),
}

/// How well a contact fits what a caller prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// The contact must not be used for this request.
    Rejected,
    /// The contact says nothing about itself: preferences do not touch it. It ranks like a score of 1.
    Immune,
    /// Qa in thousandths, 0 to 1000: the mean of the scores (RFC 3841 §7.2.4).
    Score(u32),
}

impl Preference {
    /// Qa in thousandths; `None` when the contact is rejected.
    #[must_use]
    pub const fn score(self) -> Option<u32> {
        match self {
            Preference::Rejected => None,
            Preference::Immune => Some(1000),
            Preference::Score(score) => Some(score),
        }
    }
}

impl FeatureSet {
    /// What a contact says that it can do.
    #[must_use]
    pub fn of_contact(contact: &ContactAddr) -> FeatureSet {
        FeatureSet::of_params(contact.params())
    }

    /// The feature parameters among these. A value that is none (a number without digits) holds for nothing.
    #[must_use]
    pub fn of_params(params: &Params) -> FeatureSet {
        let mut terms: Vec<Term> = Vec::new();
        for (name, value) in params.iter() {
            let Some(tag) = tag_of(name) else { continue };
            // The base tag counts where both `video` and `+video` stand (RFC 3841 §7.2.3 step 3).
            if terms.iter().all(|term| term.tag != tag) {
                terms.push(Term { tag, values: values_of(value) });
            }
        }
        FeatureSet(terms)
    }

    /// Whether there is no feature parameter at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Feature tags: decoded, in lower case.
    pub fn tags(&self) -> impl Iterator<Item = &str> + '_ {
        self.0.iter().map(|term| term.tag.as_str())
    }

    fn term(&self, tag: &str) -> Option<&Term> {
        self.0.iter().find(|term| term.tag == tag)
    }

    /// Whether something can satisfy both (RFC 2533 §4.2): a tag that one of them does not name holds for it.
    #[must_use]
    pub fn matches(&self, other: &FeatureSet) -> bool {
        self.0.iter().all(|term| match other.term(&term.tag) {
            Some(theirs) => term.values.iter().any(|a| theirs.values.iter().any(|b| a.overlaps(b))),
            None => true,
        })
    }

    /// The share of the terms of `wanted` whose tag is named here, in thousandths.
    fn explicitness(&self, wanted: &FeatureSet) -> u32 {
        let named = wanted.0.iter().filter(|term| self.term(&term.tag).is_some()).count();
        let (named, all) =
            (u32::try_from(named).unwrap_or(u32::MAX), u32::try_from(wanted.0.len()).unwrap_or(u32::MAX));
        named.saturating_mul(1000).checked_div(all).unwrap_or(1000)
    }
}

/// How well a contact fits a request with these Accept-Contact and Reject-Contact values (RFC 3841 §7.2.4).
///
/// Contacts are tried by `q` first, and among equals by this score. For a request without both fields see
/// [`implied_preference`].
///
/// ```
/// use cpm_sip::{AcceptContact, Contact, Preference, TypedHeader, caller_preference};
/// let contact = Contact::parse(b"<sip:a@192.0.2.1>;audio;methods=\"INVITE,BYE\"").unwrap();
/// let wish = |text: &str| AcceptContact::parse(text.as_bytes()).unwrap();
/// let fits = |wishes: &[AcceptContact]| caller_preference(contact.as_addr().unwrap(), wishes, &[]);
/// assert_eq!(fits(&[wish("*;audio;require")]), Preference::Score(1000));
/// assert_eq!(fits(&[wish("*;audio;video")]), Preference::Score(500));
/// assert_eq!(fits(&[wish("*;methods=\"MESSAGE\";require")]), Preference::Rejected);
/// ```
#[must_use]
pub fn caller_preference(
    contact: &ContactAddr,
    accept: &[AcceptContact],
    reject: &[RejectContact],
) -> Preference {
    let can = FeatureSet::of_contact(contact);
    if can.is_empty() {
        return Preference::Immune;
    }
    for value in reject {
        let unwanted = FeatureSet::of_params(value.params());
        let named = unwanted.tags().all(|tag| can.term(tag).is_some());
        if named && unwanted.matches(&can) {
            return Preference::Rejected;
        }
    }
    let (mut sum, mut count) = (0u32, 0u32);
    for value in accept {
        let wanted = FeatureSet::of_params(value.params());
        if !wanted.matches(&can) {
            if value.require() {
                return Preference::Rejected;
            }
            continue;
        }
        let mut score = can.explicitness(&wanted);
        if score < 1000 && value.explicit() {
            if value.require() {
                return Preference::Rejected;
            }
            score = 0;
        }
        (sum, count) = (sum.saturating_add(score), count.saturating_add(1));
    }
    Preference::Score(sum.checked_div(count).unwrap_or(if accept.is_empty() { 1000 } else { 0 }))
}

/// What a request without Accept-Contact and Reject-Contact implies (RFC 3841 §7.2.2): a contact that takes its method and,
/// where it has an Event field, its event package. `None` for a request that says what it wishes.
///
/// Where no contact is left by it, it does not count (§7.2.4): the request goes to all, and one of them answers 405 or 489.
#[must_use]
pub fn implied_preference(request: &Request) -> Option<AcceptContact> {
    let headers = request.headers();
    if headers.contains(&HeaderName::AcceptContact) || headers.contains(&HeaderName::RejectContact) {
        return None;
    }
    let mut params = Params::new();
    // Tokens hold no control character.
    let _ = params.set_quoted("methods", request.method().as_str());
    if let Ok(Some(event)) = headers.typed::<Event>() {
        let _ = params.set_quoted("events", event.as_str());
    }
    params.set_plain("require", None);
    Some(AcceptContact::new(params))
}

/// The feature tag that a parameter's name encodes (RFC 3841 §8); `None` when it is no feature parameter.
fn tag_of(name: &str) -> Option<String> {
    let decoded = |text: &str| text.replace('!', ":").replace('\'', "/").to_ascii_lowercase();
    if let Some(encoded) = name.strip_prefix('+') {
        return Some(decoded(encoded));
    }
    let base = BASE.iter().find(|base| base.eq_ignore_ascii_case(name))?;
    // `language` and `type` are tags of the IETF tree, the others of the SIP tree.
    Some(if matches!(*base, "language" | "type") { (*base).into() } else { alloc::format!("sip.{base}") })
}

fn values_of(value: Option<&str>) -> Vec<Value> {
    let Some(text) = value else { return alloc::vec![Value::token("true")] };
    if let Some(inside) = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
        return alloc::vec![Value { negated: false, kind: Kind::Text(inside.into()) }];
    }
    text.split(',').filter_map(|value| Value::read(value.trim_matches([' ', '\t']))).collect()
}

impl Value {
    fn token(text: &str) -> Value {
        Value { negated: false, kind: Kind::Token(text.to_ascii_lowercase()) }
    }

    /// `["!"] ( token-nobang / boolean / numeric )`.
    fn read(text: &str) -> Option<Value> {
        let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let Some(numeric) = text.strip_prefix('#') else {
            return Some(Value { negated, ..Value::token(text) });
        };
        let range = if let Some(number) = numeric.strip_prefix(">=") {
            Kind::Range(decimal(number)?, f64::INFINITY)
        } else if let Some(number) = numeric.strip_prefix("<=") {
            Kind::Range(f64::NEG_INFINITY, decimal(number)?)
        } else if let Some(number) = numeric.strip_prefix('=') {
            Kind::Range(decimal(number)?, decimal(number)?)
        } else {
            let (from, to) = numeric.split_once(':')?;
            Kind::Range(decimal(from)?, decimal(to)?)
        };
        Some(Value { negated, kind: range })
    }

    /// Whether something satisfies both.
    fn overlaps(&self, other: &Value) -> bool {
        match (self.negated, other.negated) {
            (false, false) => self.kind.meets(&other.kind),
            // All but this, and that: fails only when that lies within this.
            (true, false) => !other.kind.within(&self.kind),
            (false, true) => !self.kind.within(&other.kind),
            // All but this and all but that: there is always something else.
            (true, true) => true,
        }
    }
}

impl Kind {
    fn meets(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Range(a, b), Kind::Range(c, d)) => a <= b && c <= d && a <= d && c <= b,
            (a, b) => a == b,
        }
    }

    fn within(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Range(a, b), Kind::Range(c, d)) => c <= a && b <= d,
            (a, b) => a == b,
        }
    }
}

/// `[ "+" / "-" ] 1*DIGIT [ "." *DIGIT ]`.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = |part: &str| part.bytes().all(|o| o.is_ascii_digit());
    if whole.is_empty() || !all(whole) || !all(fraction) || text.len() > 32 {
        return None;
    }
    text.parse().ok()
}
