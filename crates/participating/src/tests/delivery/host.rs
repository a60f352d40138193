//! A host that has preferences and a message store, or fails.

pub(super) use super::super::bench::*;
use crate::{ParticipatingConfig, ParticipatingEvent, Policy, ServedRole};
use cpm_base::Seed;
use cpm_core::outside::{FetchError, ObjectUid, Preferences};
use cpm_core::{Query, QueryId, Reply};
use cpm_sip::{HeaderName, Method, Request, Response, StatusCode, Uri, Warning};
use cpm_xml::access_policy::Wish;
use cpm_xml::ruleset::{Rule, Ruleset};
use std::sync::Arc;

/// The interworking function is behind the flow of the core.
pub(super) const ISF: &str = "sip:isf@192.0.2.10:5060;lr";

pub(super) fn with_policy(change: impl FnOnce(&mut Policy)) -> Bench {
    let mut config = config();
    change(&mut config.policy);
    with_config(config)
}

pub(super) fn with_config(config: ParticipatingConfig) -> Bench {
    Bench::with(config, Seed::new([7; 32]))
}

pub(super) fn isf(policy: &mut Policy) {
    let Ok(Uri::Sip(isf)) = Uri::parse(ISF) else { panic!("a SIP URI") };
    policy.isf = Some(isf);
}

/// A bench whose Bob has these devices.
pub(super) fn bob_with(devices: &[&str], change: impl FnOnce(&mut Policy)) -> Bench {
    let mut bench = with_policy(change);
    bench.bob_has(devices);
    bench.events.clear();
    bench.octets.clear();
    bench
}

/// A rule about standalone messages with these wishes.
pub(super) fn rule(wishes: &[Wish]) -> Rule {
    let mut rule = Rule { id: "r".into(), ..Rule::default() };
    rule.conditions.services = Some(vec!["CPM".into()]);
    rule.conditions.media = Some(vec!["standalone-message".into()]);
    wishes.iter().fold(rule, |rule, wish| rule.with_wish(*wish))
}

/// The reply with preferences of one rule.
pub(super) fn prefers(rule: Rule) -> Reply {
    let access_policy = Some(Ruleset { rules: vec![rule] });
    Reply::Preferences(Ok(Arc::new(Preferences { access_policy, ..Preferences::default() })))
}

/// To the question for preferences, these wishes.
pub(crate) fn wishing(query: &Query, wishes: &[Wish]) -> Option<Reply> {
    matches!(query, Query::Preferences(_)).then(|| prefers(rule(wishes)))
}

pub(super) fn no_answer(_: &Query) -> Option<Reply> {
    None
}

pub(super) fn kept(uid: u32) -> Reply {
    Reply::ObjectStored(Ok(ObjectUid(uid.try_into().unwrap())))
}

pub(crate) fn not_fetched() -> Reply {
    Reply::Preferences(Err(FetchError::Failed))
}

impl Bench {
    /// The one question that waits for its answer.
    pub(super) fn asked(&mut self) -> (QueryId, Query) {
        assert_eq!(self.queries.len(), 1, "{:?}", self.queries);
        self.queries.remove(0)
    }

    pub(super) fn nothing_sent(&mut self) {
        assert_eq!(self.labels(), [""; 0]);
    }

    /// The final response upstream: its status and the text of its Warning; nothing else was sent.
    pub(super) fn said(&mut self) -> (u16, Option<String>) {
        let response = self.response();
        (response.status().as_u16(), warning(&response))
    }

    pub(super) fn counted(&self, name: &str) -> u64 {
        self.node.function().metrics().get(name)
    }
}

pub(super) fn warning(response: &Response) -> Option<String> {
    let warning = response.typed::<Warning>().unwrap()?;
    assert_eq!(warning.code(), 399);
    Some(warning.text().to_owned())
}

pub(super) fn handled(status: u16) -> ParticipatingEvent {
    let status = StatusCode::new(status).unwrap();
    ParticipatingEvent::Handled { role: ServedRole::Terminating, method: Method::Message, status }
}

pub(super) fn unanswered() -> ParticipatingEvent {
    ParticipatingEvent::Unanswered { role: ServedRole::Terminating, method: Method::Message }
}

/// The Message-UID of a request.
pub(super) fn uid(request: &Request) -> Vec<String> {
    lines(request.headers(), &HeaderName::MessageUid)
}

/// A MESSAGE for Bob with a body of this type, whose way on is a stream: there is room for it.
pub(super) fn carrying(branch: &str, more: &str, content_type: &str, body: &str) -> String {
    let text = pager(branch, "term", &format!("{WISH}{more}"));
    let text = text.replace("192.0.2.10;lr;after", "192.0.2.10:5070;transport=tcp;lr;after");
    let head = text.split("Content-Type").next().unwrap();
    format!("{head}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A MESSAGE for Bob with a CPIM message around some content.
pub(super) fn cpim(branch: &str, more: &str, content: &str) -> String {
    let body = format!(
        "From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: id-{branch}\r\nDateTime: 2026-11-21T10:00:00Z\r\n\r\n{content}"
    );
    carrying(branch, more, "message/cpim", &body)
}

/// A disposition notification for Bob.
pub(super) fn notification(branch: &str) -> String {
    let xml = "<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>about-1</message-id>\
               <datetime>2026-11-21T10:00:00Z</datetime><delivery-notification><status><delivered/></status>\
               </delivery-notification></imdn>";
    let content = format!(
        "Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\nContent-Length: {}\r\n\r\n{xml}",
        xml.len()
    );
    cpim(branch, "", &content)
}
