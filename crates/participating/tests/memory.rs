//! What an idle user costs: registered with one device, subscribed to, nothing under way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]

use allocation_counter::{measure, opt_out};
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_core::{Action, Node, Query, Record, Reply};
use cpm_participating::{ParticipatingConfig, ParticipatingFunction, RegSubscription};
use cpm_sip::{HeaderName, Limits, Request, Uri, parse_datagram};
use std::time::Duration;

const CORE: FlowId = FlowId(1);
/// Those that make room, and those that are counted.
const FIRST: u32 = 100;
const USERS: u32 = 2_000;

struct World {
    node: Node<ParticipatingFunction>,
    now: Now,
    subscribe: Option<Request>,
}

impl World {
    fn new(subscription: RegSubscription) -> World {
        let Ok(Uri::Sip(own)) = Uri::parse("sip:pf.home.test") else { panic!("a SIP URI") };
        let mut config = ParticipatingConfig::new(own);
        config.policy.reg_subscription = subscription;
        let core = "192.0.2.10:5060".parse().unwrap();
        config.outbound = Some(cpm_ua::NextHop::Address(Transport::Udp, core));
        let node = ParticipatingFunction::node(config, Seed::new([1; 32])).unwrap();
        let mut world = World { node, now: Now::new(Instant::ZERO, DateTime::UNIX_EPOCH), subscribe: None };
        let info = FlowInfo {
            protocol: Protocol::Sip,
            transport: Transport::Udp,
            local: "192.0.2.20:5060".parse().unwrap(),
            peer: core,
            secure_identity: None,
            trust: Trust::Core,
        };
        world.node.handle_accepted(world.now, CORE, info);
        world.drain();
        world
    }

    fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Datagram(_, octets) => {
                    let mut sent = None;
                    opt_out(|| {
                        sent = Some(parse_datagram(octets.to_vec().into(), &Limits::default()).unwrap())
                    });
                    drop(octets);
                    opt_out(|| {
                        if let Some(request) = sent.take().unwrap().as_request() {
                            self.subscribe = Some(request.clone());
                        }
                    });
                }
                Action::Query(id, Query::Store(Record::State(_))) => {
                    self.node.handle_reply(self.now, id, Reply::Stored(Ok(())));
                }
                Action::Event(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What the text costs is the world's; the node gets octets of its own.
    fn datagram(&mut self, text: impl Fn() -> String) {
        let mut octets = String::new();
        opt_out(|| octets = text());
        let copy = octets.as_bytes().to_vec();
        opt_out(|| drop(octets));
        self.node.handle_datagram(self.now, CORE, copy.into());
        self.drain();
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now.mono.plus(by);
        while let Some(at) = self.node.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.plus(at.since(self.now.mono));
            self.node.handle_timeout(self.now);
            self.drain();
        }
        self.now = self.now.plus(end.since(self.now.mono));
    }

    fn register(&mut self, n: u32, told_all: bool) {
        self.datagram(|| third_party(n, &if told_all { registered(n) } else { String::new() }));
        if let Some(subscribe) = self.subscribe.take() {
            self.datagram(|| accepted(&subscribe, n));
            self.datagram(|| notify(&subscribe, n));
            opt_out(|| drop(subscribe));
        }
        self.advance(Duration::from_secs(1));
    }
}

fn message(head: &str, body: &str) -> String {
    format!("{}Content-Length: {}\r\n\r\n{body}", head.replace('\n', "\r\n"), body.len())
}

fn contact(n: u32) -> String {
    format!("sip:user{n}@10.20.{}.{}:5060;transport=tcp", n / 250, n % 250)
}

const TAGS: &str = "urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg,urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg,\
                    urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.session";

fn instance(n: u32) -> String {
    format!("<urn:uuid:00000000-0000-4000-8000-0000000{n:05}>")
}

fn gruu(n: u32) -> String {
    format!("sip:user{n}@home.test;gr=urn:uuid:00000000-0000-4000-8000-0000000{n:05}")
}

fn third_party(n: u32, body: &str) -> String {
    let typed = if body.is_empty() { "" } else { "Content-Type: message/sip\n" };
    let head = format!(
        "REGISTER sip:pf.home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKr{n}
Max-Forwards: 70
From: <sip:core.home.test>;tag=c1
To: <sip:user{n}@home.test>
Call-ID: third-party-{n}
CSeq: 1 REGISTER
Contact: <sip:core.home.test>
Expires: 600000
{typed}"
    );
    message(&head, body)
}

/// The 200 to the client's REGISTER.
fn registered(n: u32) -> String {
    let (contact, instance, gruu) = (contact(n), instance(n), gruu(n));
    let head = format!(
        "SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bKreg
From: <sip:user{n}@home.test>;tag=d1
To: <sip:user{n}@home.test>;tag=r1
Call-ID: reg-1
CSeq: 3 REGISTER
Contact: <{contact}>;+sip.instance=\"{instance}\";+g.3gpp.icsi-ref=\"{TAGS}\";+g.3gpp.smsip;pub-gruu=\"{gruu}\";expires=600000
P-Associated-URI: <sip:user{n}@home.test>, <tel:+1555{n:07}>
"
    );
    message(&head, "")
}

fn text(request: &Request, name: &HeaderName) -> String {
    request.headers().get(name).unwrap().to_text().unwrap().into_owned()
}

fn accepted(subscribe: &Request, n: u32) -> String {
    let field = |name: HeaderName| text(subscribe, &name);
    let head = format!(
        "SIP/2.0 200 OK
Via: {}
From: {}
To: {};tag=notifier{n:08}
Call-ID: {}
CSeq: {}
Contact: <sip:scscf1.home.test:5060>
Record-Route: <sip:192.0.2.10;lr>
Expires: 600000
",
        field(HeaderName::Via),
        field(HeaderName::From),
        field(HeaderName::To),
        field(HeaderName::CallId),
        field(HeaderName::CSeq)
    );
    message(&head, "")
}

fn notify(subscribe: &Request, n: u32) -> String {
    let field = |name: HeaderName| text(subscribe, &name);
    let instance = instance(n).replace('<', "&lt;").replace('>', "&gt;");
    let (contact, gruu) = (contact(n), gruu(n));
    let contacts = format!(
        "<contact id=\"c{n}\" state=\"active\" event=\"registered\" expires=\"600000\"><uri>{contact}</uri>\
         <unknown-param name=\"+sip.instance\">\"{instance}\"</unknown-param>\
         <unknown-param name=\"+g.3gpp.smsip\"/><unknown-param name=\"+g.3gpp.icsi-ref\">\"{TAGS}\"</unknown-param>\
         <gr:pub-gruu uri=\"{gruu}\"/></contact>"
    );
    let body = format!(
        "<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" version=\"0\" \
         state=\"full\"><registration aor=\"sip:user{n}@home.test\" id=\"a\" state=\"active\">{contacts}</registration>\
         <registration aor=\"tel:+1555{n:07}\" id=\"b\" state=\"active\">{contacts}</registration></reginfo>"
    );
    let head = format!(
        "NOTIFY sip:pf.home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKn{n}
Max-Forwards: 70
From: <sip:user{n}@home.test>;tag=notifier{n:08}
To: {}
Call-ID: {}
CSeq: 1 NOTIFY
Contact: <sip:scscf1.home.test:5060>
Event: reg
Subscription-State: active;expires=600000
Content-Type: application/reginfo+xml
",
        field(HeaderName::From),
        field(HeaderName::CallId)
    );
    message(&head, &body)
}

/// Octets that a user costs when nothing is under way.
fn octets_for_a_user(subscription: RegSubscription) -> i64 {
    let mut world = World::new(subscription);
    let told_all = subscription == RegSubscription::WhenNotTold;
    (0..FIRST).for_each(|n| world.register(n, told_all));
    world.advance(Duration::from_secs(700));
    let counted = measure(|| {
        (FIRST..FIRST + USERS).for_each(|n| world.register(n, told_all));
        world.advance(Duration::from_secs(700));
    });
    assert_eq!(world.node.function().users(), usize::try_from(FIRST + USERS).unwrap());
    assert!(world.node.is_idle(), "every subscription rests");
    counted.bytes_current / i64::from(USERS)
}

#[test]
fn an_idle_user_costs_at_most_1_kib_with_its_subscription() {
    let with = octets_for_a_user(RegSubscription::Always);
    let without = octets_for_a_user(RegSubscription::WhenNotTold);
    println!("an idle user: {with} octets, {without} without a subscription");
    assert!((1..=1_024).contains(&with), "{with}");
}
