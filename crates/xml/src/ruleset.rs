//! Rules of common policy (RFC 4745): under which conditions which actions hold. The documents that CPM's users and groups
//! are governed by consist of them: [`crate::access_policy`] and [`crate::group_document`].
//!
//! What OMA adds to common policy is known by the names of its elements, whatever their namespace: the schemas are not part
//! of the CPM specification, and those in the field differ.

use crate::XmlError;
use crate::tree::{ElementRef, boolean};
use crate::writer::Writer;
use cpm_base::DateTime;

/// The namespace of RFC 4745 §13.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:common-policy";

/// The namespace of OMA's additions, where they are written.
pub const OMA_NAMESPACE: &str = "urn:oma:xml:xdm:common-policy";

/// Rules, in the order of the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// `<rule>`.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// `id`.
    pub id: String,
    /// `<conditions>`. All of them must hold.
    pub conditions: Conditions,
    /// `<actions>`.
    pub actions: Vec<Action>,
}

/// When a rule holds. What is `None` or `false` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `<identity>`: one of these.
    pub identity: Option<Vec<Identity>>,
    /// `<other-identity>`: no other rule names the identity.
    pub other_identity: bool,
    /// `<anonymous-request>`: no identity is known.
    pub anonymous_request: bool,
    /// `<service-list>`: one of these enablers (`CPM`).
    pub services: Option<Vec<String>>,
    /// `<media-list>`: one of these, by the names of their elements (`standalone-message`).
    pub media: Option<Vec<String>>,
    /// `<upp-list>`: one of these user preference profiles.
    pub profiles: Option<Vec<String>>,
    /// `<validity>`: within one of these spans, as they are written.
    pub validity: Option<Vec<(String, String)>>,
    /// `<is-list-member>`: whether the identity is a member of the group.
    pub list_member: Option<bool>,
    /// Conditions that are not known here, by name. A rule with one never holds (RFC 4745 §7).
    pub unknown: Vec<String>,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// `<one>`: this one.
    One(String),
    /// `<many>`: everybody, or everybody of a domain, with exceptions.
    Many {
        /// `domain`.
        domain: Option<String>,
        /// `<except id>`.
        except_ids: Vec<String>,
        /// `<except domain>`.
        except_domains: Vec<String>,
    },
}

/// What a rule does: an element and the text in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The name of the element.
    pub name: String,
    /// Its text, without blanks around it.
    pub value: String,
}

/// What rules are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The service: `CPM`.
    pub enabler: &'a str,
    /// What the request carries, by the names of `<media-list>`.
    pub media: &'a [&'a str],
    /// The authenticated identities of the sender, in the form in which the rules have them; none: anonymous.
    pub identities: &'a [&'a str],
    /// The active user preference profile of a device.
    pub profile: Option<&'a str>,
    /// Now.
    pub now: DateTime,
    /// Whether the sender is a member of the group.
    pub member: bool,
}

impl Ruleset {
    /// The rules that hold.
    pub fn matching<'r>(&'r self, context: &Context<'_>) -> Vec<&'r Rule> {
        let named = self.rules.iter().any(|rule| {
            rule.conditions.identity.as_deref().is_some_and(|listed| names(listed, context.identities))
        });
        self.rules.iter().filter(|rule| rule.conditions.hold(context, named)).collect()
    }

    /// Whether a rule that holds has this action set to `true` (RFC 4745 §10: permissions add up).
    #[must_use]
    pub fn allows(&self, context: &Context<'_>, action: &str) -> bool {
        self.matching(context).into_iter().any(|rule| rule.allows(action))
    }
}

impl Rule {
    /// The text of an action.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&str> {
        self.actions.iter().find(|action| action.name == name).map(|action| action.value.as_str())
    }

    /// Whether an action is set to `true`; `allow` says the same.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.action(name).is_some_and(|value| boolean(value).unwrap_or(value == "allow"))
    }
}

impl Conditions {
    fn hold(&self, context: &Context<'_>, named: bool) -> bool {
        let one_of = |listed: &Option<Vec<String>>, has: &dyn Fn(&str) -> bool| {
            listed.as_ref().is_none_or(|listed| listed.iter().any(|word| has(word)))
        };
        self.unknown.is_empty()
            && self.identity.as_ref().is_none_or(|listed| names(listed, context.identities))
            && (!self.other_identity || (!named && !context.identities.is_empty()))
            && (!self.anonymous_request || context.identities.is_empty())
            && one_of(&self.services, &|word| word == context.enabler)
            && one_of(&self.media, &|word| context.media.contains(&word))
            && one_of(&self.profiles, &|word| context.profile == Some(word))
            && self.validity.as_ref().is_none_or(|spans| spans.iter().any(|span| within(span, context.now)))
            && self.list_member.is_none_or(|member| member == context.member)
    }
}

fn names(listed: &[Identity], identities: &[&str]) -> bool {
    identities.iter().any(|identity| listed.iter().any(|known| known.is(identity)))
}

/// RFC 4745 §7.3: a span that cannot be read does not hold.
fn within((from, until): &(String, String), now: DateTime) -> bool {
    match (DateTime::parse(from), DateTime::parse(until)) {
        (Ok(from), Ok(until)) => from <= now && now < until,
        _ => false,
    }
}

impl Identity {
    fn is(&self, identity: &str) -> bool {
        match self {
            Identity::One(one) => one == identity,
            Identity::Many { domain, except_ids, except_domains } => {
                let of = |domain: &String| {
                    domain_of(identity).is_some_and(|known| known.eq_ignore_ascii_case(domain))
                };
                domain.as_ref().is_none_or(of)
                    && !except_ids.iter().any(|id| id == identity)
                    && !except_domains.iter().any(of)
            }
        }
    }
}

/// The host of `sip:user@host;…`.
fn domain_of(identity: &str) -> Option<&str> {
    let (_, host) = identity.rsplit_once('@')?;
    host.split([';', '?', ':']).next()
}

/// `<ruleset>`.
pub(crate) fn read(ruleset: ElementRef<'_>) -> Result<Ruleset, XmlError> {
    let mut rules = Vec::new();
    for rule in ruleset.children_named("rule") {
        rules.push(Rule {
            id: String::from(rule.attribute("id").ok_or(XmlError::Missing("id"))?.trim()),
            conditions: rule.child("conditions")?.map(read_conditions).transpose()?.unwrap_or_default(),
            actions: rule.child("actions")?.map(read_actions).unwrap_or_default(),
        });
    }
    Ok(Ruleset { rules })
}

fn read_conditions(element: ElementRef<'_>) -> Result<Conditions, XmlError> {
    let mut conditions = Conditions::default();
    for child in element.children() {
        match child.name() {
            "identity" => conditions.identity = Some(read_identity(child)?),
            "other-identity" => conditions.other_identity = true,
            "anonymous-request" => conditions.anonymous_request = true,
            "service-list" => {
                let services = child.children().filter_map(|service| service.attribute("enabler"));
                conditions.services = Some(services.map(|name| String::from(name.trim())).collect());
            }
            "media-list" => {
                let media = child.children().map(|media| String::from(media.name()));
                conditions.media = Some(media.collect());
            }
            "upp-list" => conditions.profiles = Some(read_profiles(child)),
            "validity" => conditions.validity = Some(read_validity(child)),
            "is-list-member" => {
                // An empty element says that it is one.
                let said = Some(child.token()).filter(|text| !text.is_empty());
                let member = said.map_or(Some(true), boolean).ok_or(XmlError::Value("is-list-member"))?;
                conditions.list_member = Some(member);
            }
            other => conditions.unknown.push(String::from(other)),
        }
    }
    Ok(conditions)
}

fn read_identity(element: ElementRef<'_>) -> Result<Vec<Identity>, XmlError> {
    let mut identities = Vec::new();
    for child in element.children() {
        match child.name() {
            "one" => {
                let id = child.attribute("id").ok_or(XmlError::Missing("id"))?;
                identities.push(Identity::One(String::from(id.trim())));
            }
            "many" => {
                let excepted = |name: &'static str| {
                    let except = child.children().filter(|except| except.name() == "except");
                    let values = except.filter_map(move |except| except.attribute(name));
                    values.map(|value| String::from(value.trim())).collect()
                };
                identities.push(Identity::Many {
                    domain: child.attribute("domain").map(|domain| String::from(domain.trim())),
                    except_ids: excepted("id"),
                    except_domains: excepted("domain"),
                });
            }
            // Whom it is about is not known: about nobody.
            _ => {}
        }
    }
    Ok(identities)
}

/// Names as text or attribute of the elements inside, or as a list of words.
fn read_profiles(element: ElementRef<'_>) -> Vec<String> {
    let name_of = |child: ElementRef<'_>| {
        let name = child.attribute("name").or_else(|| child.attribute("id")).unwrap_or_else(|| child.token());
        String::from(name.trim())
    };
    let mut names: Vec<String> = element.children().map(name_of).collect();
    names.extend(element.token().split_ascii_whitespace().map(String::from));
    names
}

/// RFC 4745 §7.3: `<from>` and `<until>` in turn.
fn read_validity(element: ElementRef<'_>) -> Vec<(String, String)> {
    let mut spans = Vec::new();
    let mut from: Option<String> = None;
    for child in element.children() {
        match child.name() {
            "from" => from = Some(String::from(child.token())),
            "until" => spans.push((from.take().unwrap_or_default(), String::from(child.token()))),
            _ => {}
        }
    }
    spans
}

fn read_actions(element: ElementRef<'_>) -> Vec<Action> {
    let action = |child: ElementRef<'_>| Action {
        name: String::from(child.name()),
        value: String::from(child.token()),
    };
    element.children().map(action).collect()
}

/// `<cr:ruleset>`; the prefixes `cr` and `oma` are bound by whoever calls. Actions that are no element names are left out.
pub(crate) fn write<'v>(out: &mut Writer<'v>, ruleset: &'v Ruleset, actions: ActionNames<'v>) {
    // Without a condition that is not known a rule would hold more often.
    for rule in ruleset.rules.iter().filter(|rule| rule.conditions.unknown.is_empty()) {
        out.open("cr:rule").attribute("id", &rule.id);
        write_conditions(out, &rule.conditions);
        if !rule.actions.is_empty() {
            out.open("cr:actions");
            for action in &rule.actions {
                if let Some(name) = actions.get(&action.name) {
                    out.leaf(name, &action.value);
                }
            }
            out.close();
        }
        out.close();
    }
}

/// The names of actions as they are written: with their prefix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActionNames<'n>(pub(crate) &'n [(&'n str, &'n str)]);

impl<'n> ActionNames<'n> {
    fn get(self, name: &str) -> Option<&'n str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, written)| *written)
    }
}

fn write_conditions<'v>(out: &mut Writer<'v>, conditions: &'v Conditions) {
    out.open("cr:conditions");
    if let Some(identities) = &conditions.identity {
        out.open("cr:identity");
        for identity in identities {
            write_identity(out, identity);
        }
        out.close();
    }
    if conditions.other_identity {
        out.open("oma:other-identity").close();
    }
    if conditions.anonymous_request {
        out.open("oma:anonymous-request").close();
    }
    if let Some(services) = &conditions.services {
        out.open("oma:service-list");
        for enabler in services {
            out.open("oma:service").attribute("enabler", enabler).close();
        }
        out.close();
    }
    if let Some(media) = &conditions.media {
        out.open("oma:media-list");
        for name in media.iter().filter(|name| crate::reader::is_plain_name(name)) {
            out.open(name).close();
        }
        out.close();
    }
    if let Some(profiles) = &conditions.profiles {
        out.open("oma:upp-list");
        for name in profiles {
            out.leaf("oma:upp", name);
        }
        out.close();
    }
    if let Some(spans) = &conditions.validity {
        out.open("cr:validity");
        for (from, until) in spans {
            out.leaf("cr:from", from).leaf("cr:until", until);
        }
        out.close();
    }
    if let Some(member) = conditions.list_member {
        out.leaf("oma:is-list-member", if member { "true" } else { "false" });
    }
    out.close();
}

fn write_identity(out: &mut Writer<'_>, identity: &Identity) {
    match identity {
        Identity::One(id) => {
            out.open("cr:one").attribute("id", id).close();
        }
        Identity::Many { domain, except_ids, except_domains } => {
            out.open("cr:many").attribute_if("domain", domain.as_deref());
            for domain in except_domains {
                out.open("cr:except").attribute("domain", domain).close();
            }
            for id in except_ids {
                out.open("cr:except").attribute("id", id).close();
            }
            out.close();
        }
    }
}

#[cfg(test)]
mod tests;
