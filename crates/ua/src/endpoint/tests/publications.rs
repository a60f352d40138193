//! Publications against a compositor of the test's own (RFC 3903 §6).

use super::net::*;
use super::registrations::quiet_config;
use crate::*;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::cell::RefCell;
use core::time::Duration;
use cpm_sip::{Expires, HeaderName, HeaderText, Headers, Method, NameAddr, Request, Response, StatusCode};

/// What a compositor holds, and how it is to misbehave next.
#[derive(Debug, Default)]
struct Compositor {
    state: Option<(String, Bytes)>,
    tags: u32,
    /// Statuses to answer before anything else, with a header field.
    moods: Vec<(u16, Option<(HeaderName, String)>)>,
    seen: Vec<String>,
}

impl Compositor {
    fn handle(&mut self, request: &Request) -> Response {
        let given = request.headers().get(&HeaderName::SipIfMatch).map(|v| v.to_text().unwrap().to_string());
        let expires = request.typed::<Expires>().unwrap().unwrap().0;
        let body = request.body().clone();
        let line =
            format!("{} {expires} {}", given.as_deref().unwrap_or("-"), core::str::from_utf8(&body).unwrap());
        self.seen.push(line.trim_end().into());
        if let Some((status, field)) = self.moods.pop() {
            let mut response = Response::for_request(request, StatusCode::new(status).unwrap());
            if let Some((name, value)) = field {
                response.headers_mut().push(name, HeaderText::new(&value).unwrap());
            }
            return response;
        }
        if given != self.state.as_ref().filter(|_| given.is_some()).map(|(tag, _)| tag.clone()) {
            return Response::for_request(request, StatusCode::CONDITIONAL_REQUEST_FAILED);
        }
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let body = if body.is_empty() { self.state.take().unwrap().1 } else { body };
        self.state = (expires > 0).then(|| (tag.clone(), body));
        Response::for_request(request, StatusCode::OK)
            .with_typed(&Expires(expires))
            .with_header(HeaderName::SipETag, HeaderText::new(&tag).unwrap())
    }
}

struct Rig {
    net: Net,
    compositor: Rc<RefCell<Compositor>>,
}

fn body(text: &'static str) -> Body {
    Body { content_type: HeaderText::new("text/plain").unwrap(), octets: Bytes::from_static(text.as_bytes()) }
}

fn new_publication() -> NewPublication {
    NewPublication {
        resource: uri("sip:10.0.0.2:5060"),
        from: NameAddr::new(uri("sip:alice@example.com")),
        package: cpm_sip::Event::new("presence").unwrap(),
        state: body("one"),
        expires: 3600,
        headers: Headers::new(),
        destination: Destination::Routed,
    }
}

impl Rig {
    fn new(moods: Vec<(u16, Option<(HeaderName, String)>)>) -> Rig {
        let mut net = Net::new([quiet_config(1), quiet_config(2)]);
        let compositor = Rc::new(RefCell::new(Compositor { moods, ..Compositor::default() }));
        let held = Rc::clone(&compositor);
        net.script(1, move |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                assert_eq!(*request.method(), Method::Publish);
                let response = held.borrow_mut().handle(request);
                ua.respond(now, *id, response).unwrap();
            }
        });
        Rig { net, compositor }
    }

    fn publish(&mut self) -> PublicationId {
        self.net.with(0, |ua, now| ua.publish(now, new_publication()).unwrap())
    }

    fn run(&mut self, seconds: u64) {
        self.net.run(Duration::from_secs(seconds));
    }

    fn seen(&self) -> Vec<String> {
        core::mem::take(&mut self.compositor.borrow_mut().seen)
    }

    fn story(&mut self) -> Vec<String> {
        let events = core::mem::take(&mut self.net.peers[0].events);
        let stories = events.iter().filter_map(|event| match event {
            Event::Publication { event, .. } => Some(match event {
                PublicationEvent::Published { expires } => format!("published {expires}"),
                PublicationEvent::Ended => "ended".into(),
                PublicationEvent::Failed { why, retry_in } => {
                    let status = why.response().map_or(0, |response| response.status().as_u16());
                    format!("failed {status} {:?}", retry_in.map(|wait| wait.as_secs()))
                }
            }),
            _ => None,
        });
        stories.collect()
    }
}

/// RFC 3903 §4.1, table 1: initial, refresh, modify, remove.
#[test]
fn the_four_publications() {
    let mut rig = Rig::new(Vec::new());
    let id = rig.publish();
    rig.run(3001);
    rig.net.with(0, |ua, now| ua.modify_publication(now, id, body("two")).unwrap());
    rig.run(3001);
    rig.net.with(0, |ua, now| ua.unpublish(now, id).unwrap());
    assert_eq!(rig.net.with(0, |ua, now| ua.unpublish(now, id)), Err(Refusal::Busy));
    let refused = rig.net.with(0, |ua, now| ua.modify_publication(now, id, body("late")).unwrap_err());
    assert_eq!((refused.why, *refused.given), (Refusal::Busy, body("late")));
    rig.run(1);
    assert_eq!(rig.seen(), ["- 3600 one", "t1 3600", "t2 3600 two", "t3 3600", "t4 0"]);
    let mut expected = ["published 3600"; 4].to_vec();
    expected.push("ended");
    assert_eq!(rig.story(), expected);
    assert_eq!(rig.net.with(0, |ua, now| ua.unpublish(now, id)), Err(Refusal::Gone));
    rig.net.run_to_quiet();
}

#[test]
fn what_the_compositor_forgot_is_published_anew() {
    let mut rig = Rig::new(Vec::new());
    let id = rig.publish();
    rig.run(1);
    rig.compositor.borrow_mut().state = None;
    rig.run(3001);
    assert_eq!(rig.seen(), ["- 3600 one", "t1 3600", "- 3600 one"]);
    assert_eq!(rig.story(), ["published 3600"; 2]);
    // Forgotten at the very end is gone as well.
    rig.compositor.borrow_mut().state = None;
    rig.net.with(0, |ua, now| ua.unpublish(now, id).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["ended"]);
    rig.net.run_to_quiet();
}

#[test]
fn one_at_a_time_and_the_newest_state_wins() {
    let mut rig = Rig::new(Vec::new());
    let id = rig.publish();
    for state in ["two", "three", "four"] {
        rig.net.with(0, |ua, now| ua.modify_publication(now, id, body(state)).unwrap());
    }
    rig.run(1);
    assert_eq!(rig.seen(), ["- 3600 one", "t1 3600 four"]);
    assert_eq!(rig.compositor.borrow().state, Some(("t2".into(), Bytes::from_static(b"four"))));
}

#[test]
fn too_brief_busy_and_refused() {
    let brief = (423, Some((HeaderName::MinExpires, "7200".to_string())));
    let mut rig = Rig::new([(403, None), (503, None), brief].into());
    rig.publish();
    rig.run(1);
    assert_eq!(rig.story(), ["failed 503 Some(60)"]);
    rig.run(60);
    assert_eq!(rig.story(), ["failed 403 None"]);
    assert_eq!(rig.seen(), ["- 3600 one", "- 7200 one", "- 3600 one"]);
    rig.net.run_to_quiet();
}

/// Threat D5: an entity-tag of more than 128 octets is none.
#[test]
fn entity_tags_are_bounded() {
    for (letters, fine) in [(0, false), (1, true), (128, true), (129, false)] {
        let field = (letters > 0).then(|| (HeaderName::SipETag, "x".repeat(letters)));
        let mut rig = Rig::new([(200, field)].into());
        rig.publish();
        rig.run(1);
        let expected = if fine { "published 3600" } else { "failed 200 Some(60)" };
        assert_eq!(rig.story(), [expected], "{letters}");
    }
}

#[test]
fn wrong_calls_are_refused_and_give_back() {
    let mut rig = Rig::new(Vec::new());
    let refused = rig
        .net
        .with(0, |ua, now| ua.publish(now, NewPublication { expires: 0, ..new_publication() }).unwrap_err());
    assert_eq!((refused.why, refused.given.state), (Refusal::Missing("Expires"), body("one")));
    let lost = NewPublication { resource: uri("tel:+1555"), ..new_publication() };
    let refused = rig.net.with(0, |ua, now| ua.publish(now, lost).unwrap_err());
    assert_eq!(refused.why, Refusal::NoRoute);
    rig.net.run_to_quiet();
}

#[test]
fn publications_survive_loss_duplication_and_disorder() {
    for seed in 0..20 {
        let mut rig = Rig::new(Vec::new());
        rig.net.rule = super::properties::fates(seed, 10);
        let id = rig.publish();
        for state in ["two", "three", "four", "five"] {
            rig.run(7);
            rig.net.with(0, |ua, now| ua.modify_publication(now, id, body(state)).unwrap());
        }
        rig.run(200);
        rig.net.rule = alloc::boxed::Box::new(|_, _| Fate::Arrives);
        rig.run(3601);
        let held = rig.compositor.borrow().state.clone().map(|(_, body)| body);
        assert_eq!(held, Some(Bytes::from_static(b"five")), "{seed}");
        rig.net.with(0, |ua, now| ua.unpublish(now, id).unwrap());
        rig.run(1);
        assert_eq!(rig.story().last().map(String::as_str), Some("ended"), "{seed}");
        rig.net.run_to_quiet();
    }
}
