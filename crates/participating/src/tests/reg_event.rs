//! The subscription to the registration of a user (TS 8.1.1 to 8.1.4), by octets: the hands of the test are the notifier.

use super::bench::*;
use crate::{
    Device, ParticipatingConfig, ParticipatingEvent, ParticipatingFunction, PrimaryMark, RegSubscription,
    WithoutDevices,
};
use cpm_base::Seed;
use cpm_core::feature::CpmFeature;
use cpm_core::release::Release;
use cpm_core::{Record, StoreError, standing};
use cpm_sip::{HeaderName, Request, Response, StatusCode, Uri};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Everybody is subscribed to; the core is the next hop.
fn watching() -> ParticipatingConfig {
    let mut config = config();
    config.policy.reg_subscription = RegSubscription::Always;
    let core = "192.0.2.10:5060".parse().unwrap();
    config.outbound = Some(cpm_ua::NextHop::Address(cpm_base::Transport::Udp, core));
    config
}

fn bench() -> Bench {
    Bench::with(watching(), Seed::new([7; 32]))
}

fn bob() -> Uri {
    Uri::parse("sip:bob@home.test").unwrap()
}

/// A third-party REGISTER without any body.
fn bare(cseq: u32, expires: &str) -> String {
    third_party_with(cseq, expires, "", "")
}

/// The notifier's side of a subscription.
#[derive(Debug, Clone)]
struct Notifier {
    call_id: String,
    /// From of the SUBSCRIBE: To of the NOTIFYs.
    subscriber: String,
    tag: String,
    cseq: u32,
}

impl Notifier {
    /// Answers a SUBSCRIBE.
    fn accept(bench: &mut Bench, subscribe: &Request, expires: u32, tag: &str) -> Notifier {
        let more = format!("Contact: <sip:192.0.2.10:5060;registrar>\nExpires: {expires}\n");
        bench.datagram(answer(subscribe, "200 OK", tag, &more, ""));
        Notifier::of(subscribe, tag)
    }

    fn of(subscribe: &Request, tag: &str) -> Notifier {
        Notifier {
            call_id: header(subscribe.headers(), &HeaderName::CallId),
            subscriber: header(subscribe.headers(), &HeaderName::From),
            tag: tag.to_owned(),
            cseq: 0,
        }
    }

    fn notify_with(&mut self, state: &str, more: &str, body: &str) -> String {
        self.cseq += 1;
        let (cseq, tag, call_id, subscriber) = (self.cseq, &self.tag, &self.call_id, &self.subscriber);
        let head = format!(
            "NOTIFY sip:pf.home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKn{tag}{cseq}
Max-Forwards: 70
From: <sip:bob@home.test>;tag={tag}
To: {subscriber}
Call-ID: {call_id}
CSeq: {cseq} NOTIFY
Contact: <sip:192.0.2.10:5060;registrar>
Event: reg
Subscription-State: {state}
{more}"
        );
        message(&head, body)
    }

    fn notify(&mut self, bench: &mut Bench, state: &str, body: &str) -> Response {
        let typed = if body.is_empty() { "" } else { "Content-Type: application/reginfo+xml\n" };
        let octets = self.notify_with(state, typed, body);
        bench.datagram(octets);
        bench.response()
    }

    /// A NOTIFY that is taken.
    fn tell(&mut self, bench: &mut Bench, body: &str) {
        assert_eq!(self.notify(bench, "active;expires=3000", body).status(), StatusCode::OK);
    }
}

/// A contact of the registration information: its address, what it registered, and its state.
fn contact(id: &str, instance: &str, state: &str, more: &str) -> String {
    let event = if state == "active" { "registered" } else { "unregistered" };
    let instance = match instance {
        "" => String::new(),
        urn => format!("<unknown-param name=\"+sip.instance\">\"&lt;urn:uuid:{urn}&gt;\"</unknown-param>"),
    };
    format!(
        "<contact id=\"{id}\" state=\"{state}\" event=\"{event}\" expires=\"500\"><uri>sip:{id}@192.0.2.31</uri>{instance}\
         <unknown-param name=\"+g.3gpp.icsi-ref\">\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"</unknown-param>{more}</contact>"
    )
}

fn information(version: u32, full: bool, contacts: &str) -> String {
    let state = if full { "full" } else { "partial" };
    let active = if contacts.is_empty() { "terminated" } else { "active" };
    let one = |aor: &str, id: &str| {
        format!("<registration aor=\"{aor}\" id=\"{id}\" state=\"{active}\">{contacts}</registration>")
    };
    format!(
        "<?xml version=\"1.0\"?><reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" \
         xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" version=\"{version}\" state=\"{state}\">{}{}</reginfo>",
        one("sip:bob@home.test", "a1"),
        one("tel:+15550002", "a2")
    )
}

/// Bob is registered, subscribed to, and the first NOTIFY told of one device.
fn subscribed(bench: &mut Bench) -> Notifier {
    bench.datagram(bare(1, "600"));
    let subscribe = subscribe_of(bench);
    let mut notifier = Notifier::accept(bench, &subscribe, 3000, "n1");
    notifier.tell(bench, &information(0, true, &contact("c1", "1", "active", "")));
    notifier
}

/// What was sent was the answer to a third-party REGISTER and a SUBSCRIBE.
fn subscribe_of(bench: &mut Bench) -> Request {
    let sent = bench.take_with_flows();
    let mut subscribes = sent.iter().filter_map(|(_, message)| message.as_request());
    let subscribe = subscribes.next().expect("a SUBSCRIBE").clone();
    assert!(subscribes.next().is_none());
    assert_eq!(subscribe.method().as_str(), "SUBSCRIBE");
    let mut responses = sent.iter().filter_map(|(_, message)| message.as_response());
    assert!(responses.all(|response| response.status() == StatusCode::OK));
    subscribe
}

fn devices(bench: &Bench) -> Vec<Device> {
    bench.node.function().devices_of(bench.now, &bob())
}

/// The addresses of Bob's devices.
fn known(bench: &Bench) -> Vec<String> {
    devices(bench).iter().map(|device| device.contact.to_string()).collect()
}

fn count(bench: &Bench, name: &str) -> u64 {
    bench.node.function().metrics().get(name)
}

// req: 8.1.1-p1, 8.1.1-1, 8.1.1-2, 8.1.1-sub-1, 8.1.1-sub-2, 8.1.1-sub-3, 8.1.1-sub-4
#[test]
fn a_registered_user_is_subscribed_to() {
    let mut bench = bench();
    bench.datagram(bare(1, "600"));
    assert_eq!(bench.events, [ParticipatingEvent::Registration { user: bob(), devices: 0 }]);
    assert_eq!((bench.node.function().known_users(), bench.node.function().users()), (1, 0));
    let sent = bench.take_with_flows();
    assert_eq!(sent[0].1.as_response().unwrap().status(), StatusCode::OK);
    let subscribe = sent[1].1.as_request().unwrap();
    assert_eq!((subscribe.method().as_str(), subscribe.uri().as_str()), ("SUBSCRIBE", "sip:bob@home.test"));
    let text = |name: HeaderName| header(subscribe.headers(), &name);
    assert_eq!(text(HeaderName::Event), "reg");
    assert_eq!(text(HeaderName::Accept), "application/reginfo+xml");
    assert_eq!(text(HeaderName::Expires), "600000");
    assert_eq!(text(HeaderName::To), "<sip:bob@home.test>");
    assert!(text(HeaderName::From).starts_with("<sip:pf.home.test>;tag="), "{}", text(HeaderName::From));
    assert_eq!(text(HeaderName::Contact), "<sip:pf.home.test>");
    assert_eq!(text(HeaderName::PAssertedIdentity), "<sip:pf.home.test>");
    // Who is subscribed to is not subscribed to again.
    bench.datagram(bare(2, "600"));
    assert_eq!(bench.response().status(), StatusCode::OK);
    let mut notifier = Notifier::accept(&mut bench, &subscribe.clone(), 3000, "n1");
    notifier.tell(&mut bench, &information(0, true, &contact("c1", "1", "active", "")));
    bench.datagram(bare(3, "600"));
    assert_eq!(bench.response().status(), StatusCode::OK, "and no SUBSCRIBE while the subscription rests");
}

// req: 8.1.2-1, 8.1.2-2, 8.1.2-3, 8.1.4-p2
#[test]
fn what_a_notify_tells_is_what_is_known() {
    let mut bench = bench();
    let mut notifier = subscribed(&mut bench);
    let [device] = &devices(&bench)[..] else { panic!() };
    assert_eq!(device.contact.as_str(), "sip:c1@192.0.2.31");
    assert_eq!(device.instance.as_deref(), Some("urn:uuid:1"));
    assert_eq!(device.features, [CpmFeature::PagerMessage]);
    assert_eq!(device.until.since(bench.now.mono), Duration::from_secs(500));
    assert_eq!(bench.events.last(), Some(&ParticipatingEvent::Registration { user: bob(), devices: 1 }));
    // Full state takes the place of all of it, with GRUU and capabilities.
    let more = "<gr:pub-gruu uri=\"sip:bob@home.test;gr=2\"/><unknown-param name=\"methods\">\"MESSAGE\"</unknown-param>";
    notifier.tell(&mut bench, &information(1, true, &contact("c2", "2", "active", more)));
    let [device] = &devices(&bench)[..] else { panic!() };
    assert_eq!(device.gruu.as_ref().map(Uri::as_str), Some("sip:bob@home.test;gr=2"));
    assert_eq!(
        (device.instance.as_deref(), device.capability("methods")),
        (Some("urn:uuid:2"), Some("MESSAGE"))
    );
    // Every identity that is registered with it leads to the device.
    let tel = Uri::parse("tel:+15550002").unwrap();
    assert_eq!(bench.node.function().devices_of(bench.now, &tel), devices(&bench));
    // And it is where a message goes to.
    bench.datagram(pager("1", "term", WISH));
    let request = bench.request();
    assert_eq!(request.uri().as_str(), "sip:bob@home.test;gr=2");
    bench.datagram(answer(&request, "200 OK", "x", "", ""));
    assert_eq!(bench.labels(), ["200 MESSAGE"]);
    // It runs out by itself.
    bench.advance(500 * SECOND);
    assert!(known(&bench).is_empty());
}

/// Threat D4.
// req: 8.1.2-3
#[test]
fn partial_information_changes_what_it_names_and_a_gap_is_filled() {
    let mut bench = bench();
    let mut notifier = subscribed(&mut bench);
    let second = contact("c2", "2", "active", "");
    notifier.tell(&mut bench, &information(1, false, &second));
    assert_eq!(known(&bench), ["sip:c1@192.0.2.31", "sip:c2@192.0.2.31"]);
    // Seen before, or older: ignored.
    notifier.tell(&mut bench, &information(1, false, &contact("c1", "1", "terminated", "")));
    notifier.tell(&mut bench, &information(0, true, &contact("c9", "9", "active", "")));
    assert_eq!((known(&bench).len(), count(&bench, "pf.reginfo_stale")), (2, 2));
    notifier.tell(&mut bench, &information(2, false, &contact("c1", "1", "terminated", "")));
    assert_eq!(known(&bench), ["sip:c2@192.0.2.31"]);
    // One is missing: nothing of it counts, and the full state is asked for.
    let octets = notifier.notify_with(
        "active;expires=3000",
        "Content-Type: application/reginfo+xml\n",
        &information(4, false, &contact("c4", "4", "active", "")),
    );
    bench.datagram(octets);
    assert_eq!(known(&bench), ["sip:c2@192.0.2.31"]);
    let refresh = subscribe_of(&mut bench);
    assert_eq!(header(refresh.headers(), &HeaderName::CallId), notifier.call_id, "in its dialog");
    bench.datagram(answer(&refresh, "200 OK", "", "Contact: <sip:192.0.2.10:5060>\nExpires: 3000\n", ""));
    notifier.tell(&mut bench, &information(5, true, &contact("c5", "5", "active", "")));
    assert_eq!((known(&bench), count(&bench, "pf.reginfo_gap")), (vec!["sip:c5@192.0.2.31".to_owned()], 1));
}

/// Threat D3, D5.
#[test]
fn what_a_notify_may_not_bring_is_told() {
    let mut bench = bench();
    let mut notifier = subscribed(&mut bench);
    let mut status = |notifier: &mut Notifier, more: &str, body: &str| {
        let octets = notifier.notify_with("active;expires=3000", more, body);
        bench.datagram(octets);
        bench.response().status().as_u16()
    };
    let typed = "Content-Type: application/reginfo+xml\n";
    assert_eq!(status(&mut notifier, "Content-Type: text/plain\n", "hello"), 415);
    assert_eq!(status(&mut notifier, typed, "<reginfo"), 400);
    assert_eq!(status(&mut notifier, typed, &information(1, true, "").replace("version=\"1\"", "")), 400);
    assert_eq!(status(&mut notifier, "", ""), 200, "none is fine");
    let long = notifier.notify_with("active;expires=3000", typed, &" ".repeat(64 * 1024 + 1));
    bench.stream(long.replace("/UDP", "/TCP"));
    assert_eq!(bench.response().status().as_u16(), 413);
    // None of it changed anything, and the next one works.
    assert_eq!(known(&bench), ["sip:c1@192.0.2.31"]);
    notifier.tell(&mut bench, &information(1, true, &contact("c2", "2", "active", "")));
    assert_eq!(known(&bench), ["sip:c2@192.0.2.31"]);
    // A contact that cannot be used is left out; more devices than allowed are cut off.
    let bad = contact("c3", "3", "active", "").replace("sip:c3@192.0.2.31", "nonsense");
    let many: String = (10..40).map(|n| contact(&format!("d{n}"), &n.to_string(), "active", "")).collect();
    notifier.tell(&mut bench, &information(2, true, &format!("{bad}{many}")));
    assert_eq!((known(&bench).len(), count(&bench, "pf.too_many_devices")), (12, 1));
    // A NOTIFY of a dialog that never was, once no fork can show up any more.
    bench.advance(40 * SECOND);
    let mut stranger = Notifier { tag: "other".to_owned(), ..notifier.clone() };
    assert_eq!(stranger.notify(&mut bench, "active", "").status().as_u16(), 481);
    notifier.tell(&mut bench, &information(3, true, &contact("c2", "2", "active", "")));
}

// req: 8.1.1-3
#[test]
fn the_release_of_a_device_is_that_of_its_register() {
    let mut bench = bench();
    let with_contact = |octets: String| {
        let instance = "Contact: <sip:c1@192.0.2.31>;+sip.instance=\"<urn:uuid:1>\"\r\nUser-Agent: CPM-client/OMA2.0\r\n";
        // The part grows, which its end takes note of; the length of the whole is that of the octets.
        octets.replace("User-Agent: CPM-client/OMA2.1\r\n", instance)
    };
    let mut notifier = subscribed(&mut bench);
    assert_eq!(devices(&bench)[0].release, None);
    let told = accepted("Contact: <sip:c1@192.0.2.31>;+sip.instance=\"<urn:uuid:1>\";expires=600\n");
    let body = with_contact(third_party(2, "600", &told));
    let body = body.split_once("\r\n\r\n").unwrap().1;
    bench.datagram(third_party_with(2, "600", "multipart/mixed;boundary=b1", body));
    assert_eq!(bench.response().status(), StatusCode::OK);
    let release = Release { minor: 0, ..Release::CLIENT_2_1 };
    assert_eq!(devices(&bench)[0].release, Some(release));
    // The registration information, which does not tell it, leaves it.
    let both = contact("c1", "1", "active", "") + &contact("c2", "2", "active", "");
    notifier.tell(&mut bench, &information(1, true, &both));
    let releases: Vec<_> = devices(&bench).iter().map(|device| device.release).collect();
    assert_eq!(releases, [Some(release), None]);
}

#[test]
fn other_bodies_of_a_third_party_register_are_passed_over() {
    for (content_type, body) in [
        ("application/3gpp-ims+xml", "<ims-3gpp version=\"1\"><service-info>x</service-info></ims-3gpp>"),
        ("text/plain", "hello"),
        ("message/sip", "REGISTER nonsense"),
        ("message/sip", ""),
        ("multipart/mixed;boundary=b1", "--b1\r\nContent-Type: a/b\r\n\r\nx\r\n--b1--\r\n"),
    ] {
        let mut bench = bench();
        bench.datagram(third_party_with(1, "600", content_type, body));
        assert_eq!(bench.take_with_flows()[0].1.as_response().unwrap().status(), StatusCode::OK, "{body}");
        assert_eq!(bench.node.function().known_users(), 1);
    }
}

// req: 8.1.2-p2
#[test]
fn the_primary_device_is_determined_anew_with_each_change() {
    let mut config = watching();
    config.policy.primary = vec![PrimaryMark::Instance("urn:uuid:1".to_owned()), PrimaryMark::First];
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    let mut notifier = subscribed(&mut bench);
    let both = contact("c0", "0", "active", "") + &contact("c1", "1", "active", "");
    notifier.tell(&mut bench, &information(1, true, &both));
    let primary = |bench: &Bench| devices(bench).iter().map(|device| device.primary).collect::<Vec<_>>();
    assert_eq!(primary(&bench), [false, true]);
    notifier.tell(&mut bench, &information(2, false, &contact("c1", "1", "terminated", "")));
    assert_eq!(primary(&bench), [true]);
}

// req: 8.1.3-p1
#[test]
fn a_user_without_devices_is_forgotten_and_the_subscription_ended() {
    for by_register in [true, false] {
        let mut bench = bench();
        let mut notifier = subscribed(&mut bench);
        if by_register {
            bench.datagram(bare(2, "0"));
        } else {
            let octets = notifier.notify_with(
                "active;expires=3000",
                "Content-Type: application/reginfo+xml\n",
                &information(1, true, ""),
            );
            bench.datagram(octets);
        }
        let leave = subscribe_of(&mut bench);
        assert_eq!(header(leave.headers(), &HeaderName::Expires), "0");
        assert_eq!(bench.node.function().known_users(), 0);
        assert_eq!(bench.events.last(), Some(&ParticipatingEvent::Registration { user: bob(), devices: 0 }));
        bench.datagram(answer(&leave, "200 OK", "", "Contact: <sip:192.0.2.10:5060>\nExpires: 0\n", ""));
        assert_eq!(notifier.notify(&mut bench, "terminated;reason=timeout", "").status(), StatusCode::OK);
        bench.rest();
        assert_eq!(bench.states.last().unwrap().value, None, "and the record is taken out");
    }
}

#[test]
fn a_user_without_devices_may_be_kept() {
    let mut config = watching();
    config.policy.without_devices = WithoutDevices::Keep;
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    let mut notifier = subscribed(&mut bench);
    notifier.tell(&mut bench, &information(1, true, ""));
    assert_eq!((bench.node.function().known_users(), bench.node.function().users()), (1, 0));
    notifier.tell(&mut bench, &information(2, true, &contact("c2", "2", "active", "")));
    assert_eq!(known(&bench), ["sip:c2@192.0.2.31"]);
}

// req: 8.1.1-p4
#[test]
fn a_subscription_that_ends_is_made_anew_when_that_makes_sense() {
    // Threat C12: never at once, however often it is ended.
    for (reason, wait) in [
        ("terminated;reason=deactivated", Some(60)),
        ("terminated;reason=timeout", Some(60)),
        ("terminated;reason=probation;retry-after=300", Some(300)),
        ("terminated;reason=giveup;retry-after=1", Some(60)),
        ("terminated;reason=rejected", None),
        ("terminated;reason=noresource", None),
    ] {
        let mut bench = bench();
        let mut notifier = subscribed(&mut bench);
        assert_eq!(notifier.notify(&mut bench, reason, "").status(), StatusCode::OK);
        assert_eq!(known(&bench).len(), 1, "what is known stays: {reason}");
        bench.advance(Duration::from_secs(wait.unwrap_or(480) - 1));
        assert!(bench.take_with_flows().is_empty(), "{reason}");
        match wait {
            Some(_) => {
                bench.advance(SECOND);
                let again = subscribe_of(&mut bench);
                let mut second = Notifier::accept(&mut bench, &again, 3000, "n2");
                assert_ne!(second.call_id, notifier.call_id);
                // It counts its documents anew.
                second.tell(&mut bench, &information(0, true, &contact("c7", "7", "active", "")));
                assert_eq!(known(&bench), ["sip:c7@192.0.2.31"]);
            }
            None => {
                // Until the core registers the user again.
                bench.datagram(bare(2, "600"));
                subscribe_of(&mut bench);
            }
        }
    }
}

// req: 8.1.1-p4
#[test]
fn a_subscribe_that_is_refused_is_tried_again_or_not() {
    for (status, more, wait) in [
        ("403 Forbidden", "", None),
        ("489 Bad Event", "", None),
        ("503 Service Unavailable", "Retry-After: 120\n", Some(120)),
        ("500 Server Internal Error", "", Some(60)),
        ("480 Temporarily Unavailable", "Retry-After: 5\n", Some(60)),
    ] {
        let mut bench = bench();
        bench.datagram(bare(1, "600"));
        let subscribe = subscribe_of(&mut bench);
        bench.datagram(answer(&subscribe, status, "n1", more, ""));
        bench.advance(Duration::from_secs(wait.unwrap_or(480) - 1));
        assert!(bench.take_with_flows().is_empty(), "{status}");
        if wait.is_some() {
            bench.advance(SECOND);
        } else {
            bench.datagram(bare(2, "600"));
        }
        subscribe_of(&mut bench);
    }
    // Nobody answers: Timer F, and the wait.
    let mut bench = bench();
    bench.datagram(bare(1, "600"));
    subscribe_of(&mut bench);
    bench.advance(32 * SECOND);
    bench.take_with_flows();
    bench.advance(59 * SECOND);
    assert!(bench.take_with_flows().is_empty());
    bench.advance(SECOND);
    subscribe_of(&mut bench);
}

#[test]
fn a_notify_may_come_before_the_2xx_and_a_fork_is_not_wanted() {
    let mut bench = bench();
    bench.datagram(bare(1, "600"));
    let subscribe = subscribe_of(&mut bench);
    let mut first = Notifier::of(&subscribe, "n1");
    first.tell(&mut bench, &information(0, true, &contact("c1", "1", "active", "")));
    Notifier::accept(&mut bench, &subscribe, 3000, "n1");
    assert!(bench.take_with_flows().is_empty());
    let mut fork = Notifier::of(&subscribe, "n2");
    let octets = fork.notify_with(
        "active;expires=3000",
        "Content-Type: application/reginfo+xml\n",
        &information(7, true, &contact("c9", "9", "active", "")),
    );
    bench.datagram(octets);
    assert_eq!(bench.labels(), ["200 NOTIFY", "SUBSCRIBE"], "it is ended");
    assert_eq!(known(&bench), ["sip:c1@192.0.2.31"]);
    first.tell(&mut bench, &information(1, true, &contact("c2", "2", "active", "")));
    assert_eq!(known(&bench), ["sip:c2@192.0.2.31"]);
}

#[test]
fn a_subscription_rests_until_it_has_to_be_refreshed() {
    let mut bench = bench();
    let mut notifier = subscribed(&mut bench);
    bench.advance(100 * SECOND);
    assert!(bench.node.is_idle(), "no dialog, no transaction: {:?}", bench.node);
    let more = |n: u32| format!("{}{}", contact("c1", "1", "active", ""), "<!-- -->".repeat(n as usize));
    notifier
        .tell(&mut bench, &information(1, true, &more(1).replace("expires=\"500\"", "expires=\"20000\"")));
    bench.advance(100 * SECOND);
    assert!(bench.node.is_idle());
    // It lasts 3,000 s: before they are over it is refreshed, in its dialog, and goes on resting.
    for version in 2..6 {
        bench.advance_to_sent(2_990 * SECOND);
        let refresh = subscribe_of(&mut bench);
        assert_eq!(header(refresh.headers(), &HeaderName::CallId), notifier.call_id);
        bench.datagram(answer(&refresh, "200 OK", "", "Contact: <sip:192.0.2.10:5060>\nExpires: 3000\n", ""));
        let body = information(version, true, &contact("c1", "1", "active", ""));
        notifier.tell(&mut bench, &body.replace("expires=\"500\"", "expires=\"20000\""));
        assert!(!bench.node.is_idle());
        bench.advance(64 * SECOND);
        assert!(bench.node.is_idle(), "{version}");
    }
}

#[test]
fn a_refresh_that_fails_leaves_what_is_known() {
    let mut bench = bench();
    let mut notifier = subscribed(&mut bench);
    let lasting = contact("c1", "1", "active", "").replace("expires=\"500\"", "expires=\"20000\"");
    notifier.tell(&mut bench, &information(1, true, &lasting));
    bench.advance_to_sent(2_990 * SECOND);
    let refresh = subscribe_of(&mut bench);
    bench.datagram(answer(&refresh, "481 Call/Transaction Does Not Exist", "", "", ""));
    assert_eq!(known(&bench).len(), 1);
    bench.advance(60 * SECOND);
    let again = subscribe_of(&mut bench);
    assert_ne!(header(again.headers(), &HeaderName::CallId), notifier.call_id, "a new one");
}

#[test]
fn subscribes_are_paced() {
    let mut config = watching();
    config.limits.max_subscribes_per_second = 2;
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    for n in 0..5 {
        let register = bare(n + 1, "600").replace("sip:bob@", &format!("sip:user{n}@"));
        bench.datagram(register.replace("third-party-1", &format!("third-party-{n}")));
    }
    let mut count = || bench_subscribes(&mut bench);
    assert_eq!(count(), 2);
    for expected in [2, 1, 0] {
        bench.advance(SECOND);
        // Those that nobody answers are sent again.
        let fresh = bench_subscribes(&mut bench);
        assert!(fresh >= expected, "{expected}");
    }
    let mut all: Vec<String> = bench
        .octets
        .iter()
        .filter_map(|(_, octets)| {
            String::from_utf8(octets.to_vec()).unwrap().lines().next().map(str::to_owned)
        })
        .filter(|line| line.starts_with("SUBSCRIBE"))
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5);
}

fn bench_subscribes(bench: &mut Bench) -> usize {
    bench.labels().iter().filter(|label| *label == "SUBSCRIBE").count()
}

#[test]
fn a_register_may_wait_for_the_store() {
    let mut config = watching();
    config.policy.registration_stored_first = true;
    for (result, status) in [(Ok(()), 200), (Err(StoreError::Failed), 503)] {
        let mut bench = Bench::with(config.clone(), Seed::new([7; 32]));
        bench.store = None;
        bench.datagram(bare(1, "600"));
        assert_eq!(bench.labels(), ["SUBSCRIBE"], "no answer yet");
        let [(id, _)] = bench.queries[..] else { panic!("{:?}", bench.queries) };
        bench.node.handle_reply(bench.now, id, cpm_core::Reply::Stored(result));
        bench.drain();
        assert_eq!(bench.response().status().as_u16(), status);
    }
    // A store that says nothing has failed.
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    bench.store = None;
    bench.datagram(bare(1, "600"));
    bench.advance(5 * SECOND);
    assert!(bench.labels().contains(&"503 REGISTER".to_owned()));
}

fn restarted(before: &Bench, config: ParticipatingConfig) -> Bench {
    let records = standing(before.states.iter().cloned().map(Record::State));
    let node = ParticipatingFunction::restored(config, Seed::new([8; 32]), records).unwrap();
    // Whatever comes first tells it the time.
    Bench::of(node, before.now)
}

// req: 8.1.4-p2
#[test]
fn a_node_that_comes_after_knows_the_users_and_subscribes_anew() {
    let mut before = bench();
    let mut old = subscribed(&mut before);
    before.advance(100 * SECOND);
    let mut config = watching();
    config.limits.max_subscribes_per_second = 1;
    let mut bench = restarted(&before, config.clone());
    assert_eq!(devices(&bench), devices(&before));
    let subscribe = subscribe_of(&mut bench);
    let mut notifier = Notifier::accept(&mut bench, &subscribe, 3000, "n7");
    // The notifier of before is told that nobody knows it any more.
    let lost = old.notify(&mut bench, "active;expires=2000", &information(1, true, ""));
    assert_eq!(lost.status().as_u16(), 481);
    notifier.tell(&mut bench, &information(0, true, &contact("c5", "5", "active", "")));
    assert_eq!(known(&bench), ["sip:c5@192.0.2.31"]);
    // Whoever ran out meanwhile is not there.
    before.advance(400 * SECOND);
    let bench = restarted(&before, config.clone());
    assert_eq!(bench.node.function().known_users(), 0);
    // Users are taken up at the pace that the limits name.
    let mut before = Bench::with(watching(), Seed::new([7; 32]));
    for n in 0..4 {
        let register = bare(n + 1, "600").replace("sip:bob@", &format!("sip:user{n}@"));
        before.datagram(register.replace("third-party-1", &format!("third-party-{n}")));
    }
    let mut bench = restarted(&before, config);
    assert_eq!((bench.node.function().known_users(), bench_subscribes(&mut bench)), (4, 1));
}

#[test]
fn a_record_that_cannot_be_read_is_left_out() {
    let mut before = bench();
    subscribed(&mut before);
    let good = before.states.last().unwrap().clone();
    let mut bad = good.clone();
    bad.key = "pf/user/sip:eve@home.test".to_owned();
    bad.value = Some(good.value.as_ref().unwrap().slice(..20));
    before.states.push(bad);
    let bench = restarted(&before, watching());
    assert_eq!((bench.node.function().known_users(), count(&bench, "pf.record_unreadable")), (1, 1));
}

/// What the core includes in its REGISTERs is enough, where the policy says so.
#[test]
fn who_is_told_all_need_not_subscribe() {
    let mut config = watching();
    config.policy.reg_subscription = RegSubscription::WhenNotTold;
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    bench.bob_has(&[PHONE, TABLET]);
    assert_eq!((devices(&bench).len(), bench.labels().len()), (2, 0));
    bench.datagram(bare(2, "600"));
    subscribe_of(&mut bench);
    assert_eq!(devices(&bench).len(), 2, "what is known stays");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Threat D4: devices come and go, told in partial documents of which some are lost, doubled or late; whatever is known
    /// was true at some time, and with the full state that a gap asks for it ends as the registrar has it.
    #[test]
    fn the_devices_are_those_of_the_registrar(
        steps in proptest::collection::vec((0u32..4, proptest::prelude::any::<bool>(), 0u8..4), 1..20),
    ) {
        let mut bench = bench();
        let mut notifier = subscribed(&mut bench);
        let mut registered: std::collections::BTreeSet<u32> = [1].into();
        let list = |set: &std::collections::BTreeSet<u32>| {
            set.iter().map(|n| format!("sip:c{n}@192.0.2.31")).collect::<Vec<_>>()
        };
        let all = |set: &std::collections::BTreeSet<u32>| {
            set.iter().map(|n| contact(&format!("c{n}"), &n.to_string(), "active", "")).collect::<String>()
        };
        let mut history = vec![list(&registered)];
        let mut late = None;
        let mut version = 0;
        for (device, comes, fate) in steps {
            let state = if comes { "active" } else { "terminated" };
            let before = registered.clone();
            if comes { registered.insert(device) } else { registered.remove(&device) };
            if registered.is_empty() {
                // The last one going ends the subscription: that is another story.
                registered = before;
                continue;
            }
            version += 1;
            history.push(list(&registered));
            let change = contact(&format!("c{device}"), &device.to_string(), state, "");
            let body = information(version, false, &change);
            let told = match fate {
                0 => vec![],
                1 => vec![body.clone(), body],
                2 => { late = Some(body); vec![] }
                _ => [body].into_iter().chain(late.take()).collect(),
            };
            for body in told {
                let typed = "Content-Type: application/reginfo+xml\n";
                bench.datagram(notifier.notify_with("active;expires=3000", typed, &body));
                let sent = bench.take_with_flows();
                let mut requests = sent.iter().filter_map(|(_, message)| message.as_request());
                if let Some(refresh) = requests.find(|request| request.method().as_str() == "SUBSCRIBE") {
                    let more = "Contact: <sip:192.0.2.10:5060>\nExpires: 3000\n";
                    bench.datagram(answer(refresh, "200 OK", "", more, ""));
                    version += 1;
                    notifier.tell(&mut bench, &information(version, true, &all(&registered)));
                }
                let mut now = known(&bench);
                now.sort();
                proptest::prop_assert!(history.contains(&now), "{now:?}");
            }
        }
        notifier.tell(&mut bench, &information(version + 1, true, &all(&registered)));
        let mut now = known(&bench);
        now.sort();
        proptest::prop_assert_eq!(now, list(&registered));
    }
}
