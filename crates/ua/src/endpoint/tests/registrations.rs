//! Registrations against a registrar of the test's own.

use super::net::*;
use crate::*;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;
use cpm_auth::{Account, AnswerPolicy, Secret};
use cpm_base::Transport;
use cpm_sip::{
    ContactAddr, HeaderName, HeaderText, Headers, Host, Method, NameAddr, Request, Response, StatusCode,
};

const INSTANCE: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

fn text(value: &str) -> HeaderText {
    HeaderText::new(value).unwrap()
}

fn value(request: &Request, name: HeaderName) -> String {
    request.headers().get(&name).map(|v| v.to_text().unwrap().to_string()).unwrap_or_default()
}

pub(super) fn quiet_config(n: u8) -> Config {
    let mut config = config(n);
    config.refresh.jitter_percent = 0;
    config.refresh.retry_jitter_percent = 0;
    config.allow.extend([
        Method::Register,
        Method::Publish,
        Method::Subscribe,
        Method::Notify,
        Method::Refer,
    ]);
    config
}

fn contact(n: u8) -> ContactAddr {
    ContactAddr::new(NameAddr::new(uri(&format!("sip:alice@10.0.0.{n}:5060"))))
}

fn new_registration(transport: &str) -> NewRegistration {
    NewRegistration {
        registrar: uri(&format!("sip:10.0.0.2:5060{transport}")),
        address: NameAddr::new(uri("sip:alice@example.com")),
        contacts: vec![contact(1).with_instance(INSTANCE).unwrap()],
        expires: 3600,
        headers: Headers::new(),
        routes: Vec::new(),
        destination: Destination::Routed,
    }
}

/// What a registrar answers: one answer after the other, the last for ever.
type Answer = Box<dyn Fn(&Request) -> Response>;

fn say(status: u16, fields: &[(HeaderName, &str)]) -> Answer {
    let fields: Vec<(HeaderName, HeaderText)> = fields.iter().map(|(n, v)| (n.clone(), text(v))).collect();
    Box::new(move |request| {
        let mut response = Response::for_request(request, StatusCode::new(status).unwrap());
        for (name, value) in &fields {
            response.headers_mut().push(name.clone(), value.clone());
        }
        response
    })
}

/// Grants what is asked for, to the contacts as they came.
fn grant() -> Answer {
    Box::new(|request| {
        let mut response = Response::for_request(request, StatusCode::OK);
        let contacts = request.typed_list::<cpm_sip::Contact>().unwrap();
        let expires = request.typed::<cpm_sip::Expires>().unwrap().unwrap();
        for contact in contacts {
            let contact = contact.as_addr().unwrap().clone();
            if contact.expires() != Some(0) && expires.0 > 0 {
                let granted = contact.with_expires(expires.0);
                response.headers_mut().push_typed(&cpm_sip::Contact::Addr(granted));
            }
        }
        response
    })
}

struct Rig {
    net: Net,
    seen: Rc<RefCell<Vec<Request>>>,
}

impl Rig {
    fn new(answers: Vec<Answer>) -> Rig {
        Rig::with(answers, |_| {})
    }

    fn with(answers: Vec<Answer>, change: impl FnOnce(&mut Config)) -> Rig {
        let mut own = quiet_config(1);
        change(&mut own);
        let mut net = Net::new([own, quiet_config(2)]);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let mut count = 0;
        net.script(1, move |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                let answer = &answers[count.min(answers.len() - 1)];
                count += 1;
                log.borrow_mut().push(request.clone());
                ua.respond(now, *id, answer(request)).unwrap();
            }
        });
        Rig { net, seen }
    }

    fn register(&mut self, new: NewRegistration) -> RegistrationId {
        self.net.with(0, |ua, now| ua.register(now, new).unwrap())
    }

    fn run(&mut self, seconds: u64) {
        self.net.run(Duration::from_secs(seconds));
    }

    fn requests(&self) -> Vec<Request> {
        self.seen.borrow_mut().drain(..).collect()
    }

    /// What happened to registrations since the last look, in words.
    fn story(&mut self) -> Vec<String> {
        let events = core::mem::take(&mut self.net.peers[0].events);
        let stories = events.iter().filter_map(|event| match event {
            Event::Registration { event: RegistrationEvent::Registered(b), .. } => {
                Some(format!("registered {}", b.expires))
            }
            Event::Registration { event: RegistrationEvent::Ended, .. } => Some("ended".into()),
            Event::Registration { event: RegistrationEvent::Failed { why, retry_in }, .. } => {
                let why = match why {
                    UsageFailure::Rejected(response) => response.status().as_u16().to_string(),
                    other => format!("{other:?}").split('(').next().unwrap().into(),
                };
                Some(format!("failed {why} {:?}", retry_in.map(|wait| wait.as_secs())))
            }
            _ => None,
        });
        stories.collect()
    }
}

#[test]
fn registers_refreshes_and_ends() {
    let mut rig = Rig::new(vec![grant()]);
    let id = rig.register(new_registration(""));
    rig.run(1);
    assert_eq!(rig.story(), ["registered 3600"]);
    rig.run(2998);
    assert_eq!(rig.story(), [""; 0]);
    rig.run(2);
    assert_eq!(rig.story(), ["registered 3600"]);
    rig.net.with(0, |ua, now| ua.deregister(now, id).unwrap());
    assert_eq!(rig.net.with(0, |ua, now| ua.deregister(now, id)), Err(Refusal::Busy));
    assert_eq!(rig.net.with(0, |ua, now| ua.renew_registration(now, id)), Err(Refusal::Busy));
    rig.run(1);
    assert_eq!(rig.story(), ["ended"]);
    let requests = rig.requests();
    let call_ids: Vec<String> = requests.iter().map(|r| value(r, HeaderName::CallId)).collect();
    assert!(call_ids.windows(2).all(|pair| pair[0] == pair[1]));
    let cseqs: Vec<String> = requests.iter().map(|r| value(r, HeaderName::CSeq)).collect();
    assert_eq!(cseqs, ["1 REGISTER", "2 REGISTER", "3 REGISTER"]);
    assert_eq!(value(&requests[2], HeaderName::Expires), "0");
    rig.net.run_to_quiet();
    // The handle is good for another one, until it is let go.
    rig.net.with(0, |ua, now| ua.renew_registration(now, id).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["registered 3600"]);
    rig.net.with(0, |ua, _| assert!(ua.forget_registration(id)));
    assert_eq!(rig.net.with(0, |ua, now| ua.renew_registration(now, id)), Err(Refusal::Gone));
    assert_eq!(rig.net.with(0, |ua, now| ua.deregister(now, id)), Err(Refusal::Gone));
    rig.net.run_to_quiet();
}

#[test]
fn what_the_registrar_says_is_kept() {
    let full = say(
        200,
        &[
            (
                HeaderName::Contact,
                "<sip:alice@10.0.0.9>;expires=50;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"",
            ),
            (
                HeaderName::Contact,
                "<sip:alice@10.0.0.1:5060>;expires=900;+sip.instance=\"<URN:UUID:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6>\";pub-gruu=\"sip:alice@example.com;gr=x\";temp-gruu=\"sip:t.1@example.com;gr\"",
            ),
            (HeaderName::Contact, "<sip:alice@10.0.0.7:5060>;expires=700"),
            (HeaderName::Path, "<sip:p1.example.com;lr>, <sip:p2.example.com;lr>"),
            (HeaderName::ServiceRoute, "<sip:s1.example.com;lr>"),
            (HeaderName::PAssociatedUri, "<sip:alice@example.com>, <tel:+1555>"),
            (HeaderName::Require, "outbound"),
            (HeaderName::FlowTimer, "120"),
            (HeaderName::Expires, "11"),
        ],
    );
    let mut rig = Rig::new(vec![full]);
    let mut new = new_registration("");
    new.contacts.push(contact(7));
    let id = rig.register(new);
    rig.run(1);
    assert_eq!(rig.story(), ["registered 700"]);
    let bindings = rig.net.peers[0].ua.bindings(id).unwrap();
    let own: Vec<(u32, bool)> = bindings.own.iter().map(|b| (b.expires, b.pub_gruu.is_some())).collect();
    assert_eq!(own, [(900, true), (700, false)]);
    assert_eq!(bindings.own[0].temp_gruu, Some(uri("sip:t.1@example.com;gr")));
    assert_eq!((bindings.others.len(), bindings.path.len(), bindings.associated.len()), (1, 2, 2));
    assert_eq!(bindings.service_route[0].uri(), &uri("sip:s1.example.com;lr"));
    assert_eq!((bindings.outbound, bindings.flow_timer), (true, Some(120)));
    assert_eq!(rig.requests()[0].headers().count(&HeaderName::Contact), 2);
}

#[test]
fn too_brief_twice_then_no_more() {
    let brief = |min: &str| say(423, &[(HeaderName::MinExpires, min)]);
    let mut rig = Rig::new(vec![brief("4000"), brief("5000"), brief("6000")]);
    rig.register(new_registration(""));
    rig.run(100);
    assert_eq!(rig.story(), ["failed 423 None"]);
    let asked: Vec<String> = rig.requests().iter().map(|r| value(r, HeaderName::Expires)).collect();
    assert_eq!(asked, ["3600", "4000", "5000"]);
    // One that asks for less than it was given is not followed.
    let mut rig = Rig::new(vec![brief("3600")]);
    rig.register(new_registration(""));
    rig.run(100);
    assert_eq!((rig.story(), rig.requests().len()), (vec!["failed 423 None".into()], 1));
    rig.net.run_to_quiet();
}

/// Threat C12: a registrar that fails, or grants nothing, is not asked at the speed of the net.
#[test]
fn failures_are_tried_again_ever_more_slowly() {
    for (answer, word) in [
        (say(500, &[]), "500"),
        (say(200, &[(HeaderName::Expires, "0")]), "GrantedNothing"),
        (say(480, &[(HeaderName::RetryAfter, "5")]), "480"),
    ] {
        let mut rig = Rig::new(vec![answer]);
        rig.register(new_registration(""));
        rig.run(2 * 3600);
        let waits = [60, 120, 240, 480, 960, 1800, 1800, 1800];
        let expected: Vec<String> = waits.iter().map(|s| format!("failed {word} Some({s})")).collect();
        assert_eq!(rig.story(), expected);
    }
    let mut rig = Rig::new(vec![say(503, &[(HeaderName::RetryAfter, "300")]), grant()]);
    rig.register(new_registration(""));
    rig.run(299);
    assert_eq!(rig.story(), ["failed 503 Some(300)"]);
    rig.run(2);
    assert_eq!(rig.story(), ["registered 3600"]);
    // Nobody silences a client for days.
    let mut rig = Rig::new(vec![say(503, &[(HeaderName::RetryAfter, "4000000000")])]);
    rig.register(new_registration(""));
    rig.run(1);
    assert_eq!(rig.story(), ["failed 503 Some(3600)"]);
}

#[test]
fn what_is_refused_for_good_rests() {
    for status in [301, 400, 403, 404, 420, 603] {
        let mut rig = Rig::new(vec![say(status, &[])]);
        rig.register(new_registration(""));
        rig.run(1);
        assert_eq!(rig.story(), [format!("failed {status} None")]);
        rig.net.run_to_quiet();
        assert_eq!(rig.requests().len(), 1);
    }
}

#[test]
fn wrong_calls_are_refused_and_give_back() {
    let mut rig = Rig::with(vec![grant()], |config| config.limits.max_registrations = 1);
    let mut without = new_registration("");
    without.contacts.clear();
    let refused = rig.net.with(0, |ua, now| ua.register(now, without).unwrap_err());
    assert_eq!(refused.why, Refusal::Missing("Contact"));
    let refused = rig.net.with(0, |ua, now| {
        ua.register(now, NewRegistration { expires: 0, ..new_registration("") }).unwrap_err()
    });
    assert_eq!((refused.why, refused.given.expires), (Refusal::Missing("Expires"), 0));
    let tel = NewRegistration { registrar: uri("tel:+1555"), ..new_registration("") };
    let refused = rig.net.with(0, |ua, now| ua.register(now, tel).unwrap_err());
    assert_eq!((refused.why, refused.given.registrar), (Refusal::NoRoute, uri("tel:+1555")));
    let id = rig.register(new_registration(""));
    let refused = rig.net.with(0, |ua, now| ua.register(now, new_registration("")).unwrap_err());
    assert!(matches!(refused.why, Refusal::Limit(limit) if limit.limit == "reg.max"));
    rig.run(1);
    let refused = rig.net.with(0, |ua, now| ua.rebind(now, id, Vec::new()).unwrap_err());
    assert_eq!(refused.why, Refusal::Missing("Contact"));
}

#[test]
fn a_new_address_takes_the_place_of_the_old() {
    let mut rig = Rig::new(vec![grant()]);
    let mut new = new_registration("");
    new.contacts = vec![contact(1)];
    let id = rig.register(new);
    rig.run(1);
    rig.net.with(0, |ua, now| ua.rebind(now, id, vec![contact(5)]).unwrap());
    // Another one while the REGISTER is under way: the next follows.
    rig.net.with(0, |ua, now| ua.rebind(now, id, vec![contact(6)]).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["registered 3600"; 3]);
    let contacts: Vec<Vec<String>> = rig
        .requests()
        .iter()
        .map(|request| {
            let values = request.headers().get_all(&HeaderName::Contact);
            values.map(|v| v.to_text().unwrap().to_string()).collect()
        })
        .collect();
    assert_eq!(
        contacts,
        [
            vec!["<sip:alice@10.0.0.1:5060>"],
            vec!["<sip:alice@10.0.0.5:5060>", "<sip:alice@10.0.0.1:5060>;expires=0"],
            vec!["<sip:alice@10.0.0.6:5060>", "<sip:alice@10.0.0.5:5060>;expires=0"],
        ]
    );
    // The same device needs no removal: the registrar knows it by its instance.
    let mut rig = Rig::new(vec![grant()]);
    let id = rig.register(new_registration(""));
    rig.run(1);
    let moved = contact(5).with_instance(INSTANCE).unwrap();
    rig.net.with(0, |ua, now| ua.rebind(now, id, vec![moved]).unwrap());
    rig.run(1);
    assert_eq!(rig.requests()[1].headers().count(&HeaderName::Contact), 1);
}

/// RFC 5626 §4.4.1: the flow of a registration is kept alive as often as its Flow-Timer says, and no longer than the
/// registration stands.
#[test]
fn the_flow_timer_of_a_registration_keeps_its_flow_alive() {
    let timed = |seconds: &'static str| -> Answer {
        Box::new(move |request| {
            let mut response = grant()(request);
            response.headers_mut().push(HeaderName::FlowTimer, text(seconds));
            response
        })
    };
    for (answer, transport, expected) in [
        (timed("100"), ";transport=tcp", 20..=25),
        (timed("0"), ";transport=tcp", 0..=0),
        (grant(), ";transport=tcp", 0..=0),
        (timed("100"), "", 0..=0),
    ] {
        let mut rig = Rig::new(vec![answer]);
        let id = rig.register(new_registration(transport));
        rig.run(2000);
        let pings = |rig: &Rig| rig.net.peers[0].ua.metrics().get("ua.keepalive_pings_sent");
        let sent = pings(&rig);
        assert!(expected.contains(&sent), "{sent}");
        assert_eq!(rig.net.peers[0].ua.metrics().get("ua.keepalive_unanswered"), 0);
        rig.net.with(0, |ua, now| ua.deregister(now, id).unwrap());
        rig.run(1);
        let sent = pings(&rig);
        rig.net.run_to_quiet();
        rig.run(1000);
        assert_eq!(pings(&rig), sent);
    }
}

#[test]
fn a_lost_flow_is_registered_anew() {
    let mut rig = Rig::new(vec![grant()]);
    rig.register(new_registration(";transport=tcp"));
    rig.run(40);
    rig.net.break_streams();
    rig.run(1);
    assert_eq!(rig.story(), ["registered 3600", "registered 3600"]);
    // A server that takes the connection down again and again is not asked at the speed of the net.
    rig.net.break_streams();
    rig.run(59);
    assert_eq!(rig.story(), ["failed NoAnswer Some(60)"]);
    rig.run(2);
    assert_eq!(rig.story(), ["registered 3600"]);
    // Where nobody listens any more, it is tried again.
    rig.run(60);
    rig.net.refusing.push(address(2));
    rig.net.break_streams();
    rig.run(1);
    assert_eq!(rig.story(), ["failed NoAnswer Some(60)"]);
}

#[test]
fn with_another_flow_standing_a_failed_one_waits_longer() {
    let mut rig = Rig::new(vec![grant(), say(500, &[])]);
    rig.register(new_registration(""));
    rig.run(1);
    rig.register(new_registration(""));
    rig.run(1);
    assert_eq!(rig.story(), ["registered 3600", "failed 500 Some(180)"]);
}

fn login(realm: &str) -> Login {
    Login {
        account: Account::new("alice", realm, Secret::password("wonderland")).unwrap(),
        policy: AnswerPolicy::default(),
        address: Some(uri("sip:alice@example.com")),
        hosts: vec![Host::parse("10.0.0.2").unwrap()],
        proxies: false,
    }
}

fn challenge(nonce: &str, more: &str) -> Answer {
    let value =
        format!("Digest realm=\"example.com\", nonce=\"{nonce}\", algorithm=SHA-256, qop=\"auth\"{more}");
    say(401, &[(HeaderName::WwwAuthenticate, &value)])
}

fn credentials(request: &Request, name: HeaderName) -> Option<cpm_auth::Credentials> {
    let value = request.headers().get(&name)?.to_text()?.to_string();
    Some(cpm_auth::Credentials::parse(&value).unwrap())
}

/// Whether the credentials are right for the account and the request.
fn verified(request: &Request, nonce: &str) -> u32 {
    let credentials = credentials(request, HeaderName::Authorization).unwrap();
    let challenge = cpm_auth::Challenge::new("example.com", nonce, cpm_auth::Algorithm::Sha256);
    let account = login("example.com").account;
    let verifier = cpm_auth::Verifier {
        challenge: &challenge,
        account: &account,
        start: None,
        leniency: cpm_auth::Leniency::default(),
    };
    let parts = cpm_auth::RequestParts {
        method: request.method().as_str(),
        uri: request.uri().as_str(),
        body: request.body(),
    };
    assert_eq!(verifier.verify(&credentials, parts), Ok(()));
    credentials.protection.unwrap().count
}

#[test]
fn a_challenge_is_answered_and_the_nonce_counted() {
    let stale = challenge("n2", ", stale=true");
    let mut rig = Rig::new(vec![challenge("n1", ""), grant(), grant(), stale, grant()]);
    rig.net.with(0, |ua, _| ua.add_login(login("example.com")).unwrap());
    let id = rig.register(new_registration(""));
    rig.run(3 * 3000 + 1);
    assert_eq!(rig.story(), ["registered 3600"; 4]);
    let requests = rig.requests();
    assert!(credentials(&requests[0], HeaderName::Authorization).is_none());
    // A refresh goes out with credentials at once; a stale nonce is replaced without asking anybody.
    let counts = [("n1", 1), ("n1", 2), ("n1", 3), ("n2", 1)];
    for (request, (nonce, count)) in requests[1..5].iter().zip(counts) {
        assert_eq!(verified(request, nonce), count);
    }
    let cseqs: Vec<String> = requests.iter().map(|r| value(r, HeaderName::CSeq)).collect();
    assert_eq!(cseqs[..5], ["1 REGISTER", "2 REGISTER", "3 REGISTER", "4 REGISTER", "5 REGISTER"]);
    rig.net.with(0, |ua, now| ua.deregister(now, id).unwrap());
    rig.run(1);
    assert_eq!(verified(rig.requests().last().unwrap(), "n2"), 3);
    assert!(!format!("{:?}", rig.net.peers[0].ua).contains("wonderland"));
}

/// Threat C12: a server that is never content gets two answers, whether its nonces are new, stale or the same.
#[test]
fn a_server_that_is_never_content_is_left_alone() {
    let cases: [(Answer, usize); 3] =
        [(challenge("n", ""), 2), (challenge("n", ", stale=true"), 3), (say(401, &[]), 1)];
    for (answer, requests) in cases {
        let mut rig = Rig::new(vec![answer]);
        rig.net.with(0, |ua, _| ua.add_login(login("example.com")).unwrap());
        rig.register(new_registration(""));
        rig.run(60);
        assert_eq!((rig.story(), rig.requests().len()), (vec!["failed 401 None".into()], requests));
        rig.net.run_to_quiet();
    }
}

/// Threat C13: no credentials for a foreign realm, a foreign host, or somebody else's request.
#[test]
fn credentials_are_for_the_own_realm_host_and_address() {
    let right = || challenge("n1", "");
    let foreign =
        || say(401, &[(HeaderName::WwwAuthenticate, "Digest realm=\"evil\", nonce=\"1\", qop=\"auth\"")]);
    let proxy = || {
        let value = "Digest realm=\"example.com\", nonce=\"1\", qop=\"auth\"";
        say(407, &[(HeaderName::ProxyAuthenticate, value)])
    };
    let elsewhere = || Login { hosts: vec![Host::parse("10.0.0.3").unwrap()], ..login("example.com") };
    let others = || Login { address: Some(uri("sip:bob@example.com")), ..login("example.com") };
    let through = || Login { hosts: Vec::new(), proxies: true, ..login("example.com") };
    let cases: [(Answer, Login, bool); 8] = [
        (right(), login("example.com"), true),
        (right(), Login { address: None, ..login("example.com") }, true),
        (foreign(), login("example.com"), false),
        (right(), elsewhere(), false),
        (right(), others(), false),
        (proxy(), elsewhere(), false),
        (right(), through(), false),
        (proxy(), through(), true),
    ];
    for (n, (answer, login, answered)) in cases.into_iter().enumerate() {
        let mut rig = Rig::new(vec![answer, grant()]);
        rig.net.with(0, |ua, _| ua.add_login(login).unwrap());
        rig.register(new_registration(""));
        rig.run(60);
        let requests = rig.requests();
        assert_eq!(requests.len() == 2, answered, "case {n}");
        if !answered {
            let fields = [HeaderName::Authorization, HeaderName::ProxyAuthorization];
            let none = |r: &Request| fields.iter().all(|f| !r.headers().contains(f));
            assert!(requests.iter().all(none), "case {n}");
        }
    }
}

/// Any request is answered for, in dialogs too; the function sees one transaction.
#[test]
fn other_requests_are_answered_for_as_well() {
    let mut net = Net::new([quiet_config(1), quiet_config(2)]);
    let id = net.with(0, |ua, _| {
        ua.add_login(Login { address: None, proxies: true, ..login("example.com") }).unwrap()
    });
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let asked = request.headers().contains(&HeaderName::ProxyAuthorization)
                || *request.method() == Method::Bye;
            let mut response = Response::for_request(
                request,
                if asked { StatusCode::OK } else { StatusCode::PROXY_AUTHENTICATION_REQUIRED },
            );
            if !asked {
                let value = text("Digest realm=\"example.com\", nonce=\"1\", qop=\"auth\"");
                response.headers_mut().push(HeaderName::ProxyAuthenticate, value);
            }
            if asked && *request.method() == Method::Invite {
                ua.accept(now, *id, response).unwrap();
            } else {
                ua.respond(now, *id, response).unwrap();
            }
        }
    });
    let sent = net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed).unwrap());
    net.run(Duration::from_secs(1));
    let invite =
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed).unwrap());
    net.run(Duration::from_millis(100));
    let dialog = net.peers[0].events.iter().find_map(|event| match event {
        Event::InviteAccepted { invite: of, dialog, .. } if *of == invite => Some(*dialog),
        _ => None,
    });
    let dialog = dialog.unwrap();
    net.with(0, |ua, now| ua.confirm(now, dialog, None).unwrap());
    net.run(Duration::from_secs(1));
    net.with(0, |ua, _| ua.remove_login(id).unwrap());
    net.with(0, |ua, _| {
        ua.add_login(Login { address: None, proxies: true, ..login("example.com") }).unwrap()
    });
    let body = Body { content_type: text("text/plain"), octets: bytes::Bytes::from_static(b"x") };
    let inside = net.with(0, |ua, now| {
        ua.send_in_dialog(now, dialog, Method::Message, Headers::new(), Some(body)).unwrap()
    });
    net.run(Duration::from_secs(1));
    let bye = net.with(0, |ua, now| ua.bye(now, dialog, Headers::new()).unwrap());
    net.run(Duration::from_secs(1));
    let answers: Vec<(TransactionId, u16)> = net.peers[0]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Response { transaction, response } => Some((*transaction, response.status().as_u16())),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [(sent, 200), (inside, 200), (bye, 200)]);
    assert_eq!(
        net.labels(),
        [
            "MESSAGE",
            "407 MESSAGE",
            "MESSAGE",
            "200 MESSAGE",
            "INVITE",
            "200 INVITE",
            "ACK",
            "MESSAGE",
            "407 MESSAGE",
            "MESSAGE",
            "200 MESSAGE",
            "BYE",
            "200 BYE"
        ]
    );
    net.run_to_quiet();
}

/// The answer to an INVITE is acknowledged, and its copies too, while the next INVITE is on its way.
#[test]
fn a_challenged_invite_over_a_lossy_net() {
    for lost in 0..6 {
        let mut net = Net::new([quiet_config(1), quiet_config(2)]);
        net.rule = Box::new(move |n, _| if n == lost { Fate::Lost } else { Fate::Arrives });
        net.with(0, |ua, _| ua.add_login(Login { address: None, ..login("example.com") }).unwrap());
        net.script(1, |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                let signed = request.headers().contains(&HeaderName::Authorization);
                if signed && *request.method() == Method::Invite {
                    ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
                } else if *request.method() == Method::Invite {
                    ua.respond(now, *id, challenge("n1", "")(request)).unwrap();
                } else {
                    ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
                }
            }
        });
        net.script(0, |ua, now, event| {
            if let Event::InviteAccepted { dialog, .. } = event {
                ua.confirm(now, *dialog, None).unwrap();
                ua.bye(now, *dialog, Headers::new()).unwrap();
            }
        });
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed).unwrap());
        net.run_to_quiet();
        let ended = net
            .peers
            .iter()
            .map(|p| p.events.iter().filter(|e| matches!(e, Event::DialogEnded { .. })).count());
        assert!(ended.eq([1, 1]), "{lost}: {:?}", net.labels());
    }
}

#[test]
fn a_nonce_given_along_is_used_next_only_from_the_server_itself() {
    let with_next = |cnonce: Option<&'static str>| -> Answer {
        Box::new(move |request| {
            let credentials = credentials(request, HeaderName::Authorization).unwrap();
            let own = credentials.protection.unwrap().cnonce;
            let cnonce = cnonce.unwrap_or(&own);
            let info = format!("nextnonce=\"n9\", qop=auth, cnonce=\"{cnonce}\", nc=00000001");
            grant()(request).with_header(HeaderName::AuthenticationInfo, text(&info))
        })
    };
    for (cnonce, nonce) in [(None, "n9"), (Some("guessed"), "n1")] {
        let mut rig = Rig::new(vec![challenge("n1", ""), with_next(cnonce), grant()]);
        rig.net.with(0, |ua, _| ua.add_login(login("example.com")).unwrap());
        rig.register(new_registration(""));
        rig.run(3100);
        let requests = rig.requests();
        assert_eq!(credentials(requests.last().unwrap(), HeaderName::Authorization).unwrap().nonce, nonce);
    }
}

#[test]
fn registrations_survive_loss_duplication_and_disorder() {
    for seed in 0..20u64 {
        let mut rig = Rig::new(vec![challenge("n1", ""), grant()]);
        rig.net.rule = super::properties::fates(seed, 10);
        rig.net.with(0, |ua, _| ua.add_login(login("example.com")).unwrap());
        let id = rig.register(new_registration(""));
        rig.run(7000);
        let story = rig.story();
        assert!(story.iter().any(|word| word.starts_with("registered")), "{seed}: {story:?}");
        if rig.net.peers[0].ua.bindings(id).is_some() {
            rig.net.rule = Box::new(|_, _| Fate::Arrives);
            while rig.net.with(0, |ua, now| ua.deregister(now, id)).is_err() {
                rig.run(1);
            }
            rig.run(1);
            assert_eq!(rig.story().last().map(String::as_str), Some("ended"), "{seed}");
            rig.net.run_to_quiet();
        }
    }
}
