//! Steps 1 to 4 and 6, and the host that is asked for preferences.

use super::host::*;
use crate::{DeviceRule, DevicesOf, UnknownService, WithoutPreferences};
use cpm_core::outside::{FetchError, Preferences};
use cpm_core::{Query, Reply};
use cpm_sip::{HeaderName, Uri};
use cpm_xml::access_policy::Wish;
use std::sync::Arc;
use std::time::Duration;

fn rejecting(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::RejectInvite])
}

fn blacklisting(query: &Query) -> Option<Reply> {
    let blacklist = ["sip:alice@home.test".to_owned()].into();
    let preferences = Preferences { blacklist, ..Preferences::default() };
    matches!(query, Query::Preferences(_)).then(|| Reply::Preferences(Ok(Arc::new(preferences))))
}

fn with_text(text: &str) -> (u16, Option<String>) {
    (403, Some(text.to_owned()))
}

// req: 8.3.1.1-1, 6.4.2-T1-132, 6.4.2-p1, 6.4.1-p2
#[test]
fn a_release_that_is_not_taken_is_132_before_anybody_is_asked() {
    let strict = |policy: &mut crate::Policy| policy.releases = Some(vec![(2, 1)]);
    for agent in ["", "User-Agent: CPM-client/OMA1.0\n", "User-Agent: acme/2.1\n"] {
        let mut bench = bob_with(&[PHONE], strict);
        bench.answer = no_answer;
        bench.datagram(pager("1", "term", &format!("{WISH}{agent}")));
        assert_eq!(bench.said(), with_text("132 Version not supported"), "{agent:?}");
        assert_eq!(bench.events, [handled(403)]);
        assert!(bench.queries.is_empty());
        bench.rest();
    }
}

// req: 8.3.1.1-2, 6.4.2-T1-119
#[test]
fn anonymity_that_is_not_allowed_is_119() {
    let anonymous = ["Privacy: id\n", "Privacy: header;id\n", "Privacy: user\n", "Privacy: ;\n", ""];
    for privacy in anonymous {
        let mut octets = pager("1", "term", &format!("{WISH}{privacy}"));
        if privacy.is_empty() {
            octets = octets.replace("From: <sip:alice@home.test>", "From: <sip:anonymous@anonymous.invalid>");
        }
        let mut bench = bob_with(&[PHONE], |policy| policy.anonymity_terminating = false);
        bench.answer = no_answer;
        bench.datagram(octets.clone());
        assert_eq!(bench.said(), with_text("119 Anonymity not allowed"), "{privacy:?}");
        assert!(bench.queries.is_empty());
        bench.rest();
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.datagram(octets);
        assert_eq!(bench.labels(), ["MESSAGE"]);
    }
    let mut bench = bob_with(&[PHONE], |policy| policy.anonymity_terminating = false);
    bench.datagram(pager("1", "term", &format!("{WISH}Privacy: none\n")));
    assert_eq!(bench.labels(), ["MESSAGE"]);
}

/// Threat E2: who a message is from is what the core asserts, whatever its From says.
// req: 8.3.1.1-3, 6.4.2-T1-122
#[test]
fn a_blacklisted_sender_is_122_whatever_its_from_says() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = blacklisting;
    for from in ["sip:alice@home.test", "sip:bob@home.test", "sip:anonymous@anonymous.invalid"] {
        let octets =
            pager("1", "term", WISH).replace("From: <sip:alice@home.test>", &format!("From: <{from}>"));
        bench.datagram(octets.replace("z9hG4bK1", &format!("z9hG4bK{}", from.len())));
        assert_eq!(bench.said(), with_text("122 Function not allowed"), "{from}");
    }
    // A From of hers that the core does not assert is not hers.
    let octets = pager("9", "term", WISH)
        .replace("P-Asserted-Identity: <sip:alice@home.test>", "P-Asserted-Identity: <sip:carol@home.test>");
    bench.datagram(octets);
    assert_eq!(bench.labels(), ["MESSAGE"]);
    assert_eq!(bench.counted("pf.decided.blacklist"), 3);
}

/// Threat E9: whom a message says it was referred by, or signed by, is not its sender. It goes on with the message, and nothing
/// that it names is fetched.
#[test]
fn nobody_vouches_for_a_sender_but_the_core() {
    let carol = |octets: String| {
        octets.replace(
            "P-Asserted-Identity: <sip:alice@home.test>",
            "P-Asserted-Identity: <sip:carol@home.test>",
        )
    };
    for field in [
        "Referred-By: <sip:alice@home.test>\n",
        "Referred-By: <sip:carol@home.test>\n",
        "Identity: c2lnbmVk;info=<https://203.0.113.9/alice>;alg=ES256\n",
        "Remote-Party-ID: <sip:alice@home.test>\n",
    ] {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = blacklisting;
        bench.datagram(pager("1", "term", &format!("{WISH}{field}")));
        assert_eq!(bench.said(), with_text("122 Function not allowed"), "{field}");
        bench.datagram(carol(pager("2", "term", &format!("{WISH}{field}"))));
        let request = bench.request();
        let sent = String::from_utf8_lossy(&request.to_bytes()).into_owned();
        assert!(sent.contains(&field.replace('\n', "\r\n")), "{sent}");
        assert!(bench.opens.is_empty() && bench.queries.is_empty(), "{field}");
    }
}

/// Threat E1: what somebody else than the core asserts is not even read.
// req: 6.1-p4.1
#[test]
fn only_the_core_may_say_who_sent_it() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = no_answer;
    bench.datagram_on(OUTSIDE, pager("1", "term", WISH));
    assert_eq!(bench.said(), (403, None));
    assert!(bench.queries.is_empty());
}

// req: 8.3.1.1-4, 8.3.1.1-4.a, 8.4.1-1
#[test]
fn a_message_that_the_user_rejects_is_122() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = rejecting;
    bench.datagram(pager("1", "term", WISH));
    assert_eq!(bench.said(), with_text("122 Function not allowed"));
    let Query::Preferences(of) = &bench.answered[0] else { panic!("{:?}", bench.answered) };
    assert_eq!(of.to_string(), "sip:bob@home.test");
    assert_eq!(bench.events, [handled(403)]);
    bench.rest();
}

/// Deferral is not built: its place is named, and the sender is told that the message was not delivered.
#[test]
fn a_message_that_would_be_deferred_is_480() {
    let answers: [fn(&Query) -> Option<Reply>; 2] =
        [|query| wishing(query, &[Wish::DoNotDisturb]), |query| wishing(query, &[Wish::Defer])];
    for (answer, counter) in answers.into_iter().zip(["pf.decided.do_not_disturb", "pf.decided.defer"]) {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = answer;
        bench.datagram(pager("1", "term", WISH));
        assert_eq!(bench.said(), (480, None));
        assert_eq!((bench.counted(counter), bench.counted("pf.deferral_wanted")), (1, 1));
        bench.rest();
    }
}

fn to_carol(query: &Query) -> Option<Reply> {
    let rule = rule(&[Wish::Forward]).with_action("forward-to", "sip:carol@away.test");
    matches!(query, Query::Preferences(_)).then(|| prefers(rule))
}

// req: 8.3.1.1-4.e, 8.3.1.1-p3
#[test]
fn a_message_is_forwarded_through_the_core() {
    for status in ["200 OK", "202 Accepted", "404 Not Found"] {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = to_carol;
        let instance = "Accept-Contact: *;+sip.instance=\"<urn:uuid:dead>\";explicit;require\n";
        bench.datagram(cpim(
            "1",
            &format!("{instance}Message-UID: 7\n"),
            "Content-Type: text/plain\r\n\r\nhello",
        ));
        let request = bench.request();
        assert_eq!(request.uri().to_string(), "sip:carol@away.test");
        assert_eq!(
            lines(request.headers(), &HeaderName::Route),
            ["<sip:192.0.2.10:5070;transport=tcp;lr;after=term>"]
        );
        assert_eq!(lines(request.headers(), &HeaderName::PServedUser), [""; 0]);
        assert_eq!((uid(&request), lines(request.headers(), &HeaderName::AcceptContact).len()), (vec![], 1));
        bench.nothing_sent();
        bench.datagram(answer(&request, status, "c", "", ""));
        assert_eq!(bench.said(), (status[..3].parse().unwrap(), None));
        bench.rest();
    }
}

/// Threat G, readings F11: a notification is never sent to somebody whom its sender does not know of.
// req: 8.3.1.1-4.e, 8.3.1.1-6
#[test]
fn a_notification_is_neither_forwarded_nor_stopped() {
    let answers: [fn(&Query) -> Option<Reply>; 4] = [
        to_carol,
        rejecting,
        |query| wishing(query, &[Wish::DoNotDisturb, Wish::Defer]),
        |query| wishing(query, &[Wish::Store, Wish::Interwork]),
    ];
    for answer in answers {
        let mut bench = bob_with(&[PHONE, TABLET], isf);
        bench.answer = answer;
        bench.datagram(notification("1"));
        let requests = bench.requests();
        let uris: Vec<String> = requests.iter().map(|request| request.uri().to_string()).collect();
        assert_eq!(uris, ["sip:bob@home.test"; 2]);
        assert!(bench.queries.is_empty());
        bench.datagram(super::host::answer(&requests[1], "200 OK", "b", "", ""));
        assert_eq!(bench.said(), (200, None));
    }
    // One that comes without the wrapper is one all the same.
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = to_carol;
    bench.datagram(carrying("1", "", "message/imdn+xml", "<imdn/>"));
    assert_eq!(bench.request().uri().to_string(), "sip:bob@home.test");
}

// req: 8.3.1.1-12.c
#[test]
fn a_service_that_is_not_expected_is_refused_by_policy() {
    for (urn, status) in [
        ("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg", 0),
        ("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.group", 0),
        ("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.session", 403),
        ("urn:urn-7:3gpp-service.ims.icsi.mmtel", 403),
    ] {
        let mut bench = bob_with(&[PHONE], |policy| policy.unknown_service = UnknownService::Refuse);
        bench.datagram(pager("1", "term", &format!("{WISH}P-Asserted-Service: {urn}\n")));
        let expected = if status == 0 { "MESSAGE".to_owned() } else { format!("{status} MESSAGE") };
        assert_eq!(bench.labels(), [expected], "{urn}");
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.datagram(pager("1", "term", &format!("{WISH}P-Asserted-Service: {urn}\n")));
        let request = bench.request();
        assert_eq!(lines(request.headers(), &HeaderName::PAssertedService), [urn]);
    }
}

/// All CPM features that come in a MESSAGE are handled alike.
// req: 8.3-b1
#[test]
fn every_feature_that_comes_in_a_message_is_served() {
    for feature in ["msg", "largemsg", "session", "filetransfer"] {
        let wish = WISH.replace("cpm.msg", &format!("cpm.{feature}"));
        let phone = PHONE.replace("cpm.largemsg\"", &format!("cpm.{feature}\""));
        let mut bench = bob_with(&[&phone], |_| ());
        bench.datagram(pager("1", "term", &wish));
        let request = bench.request();
        assert!(
            lines(request.headers(), &HeaderName::AcceptContact)[1].contains(&format!("cpm.{feature}\""))
        );
    }
}

// req: 8.3-b1
#[test]
fn requests_of_applications_may_skip_services() {
    let iari = "Accept-Contact: *;+g.3gpp.iari-ref=\"urn%3Aurn-7%3A3gpp-application.ims.iari.x\"\n";
    for (skips, more, labels) in
        [(true, iari, ["MESSAGE"]), (true, "", ["403 MESSAGE"]), (false, iari, ["403 MESSAGE"])]
    {
        let mut bench = bob_with(&[PHONE], |policy| {
            policy.skipped.preferences = skips;
            policy.skipped.blacklist = skips;
        });
        bench.answer = rejecting;
        bench.datagram(pager("1", "term", &format!("{WISH}{more}")));
        assert_eq!(bench.labels(), labels);
        assert_eq!(
            bench.answered.len(),
            usize::from(labels[0] != "MESSAGE"),
            "not asked for what does not count"
        );
    }
}

/// Nothing is sent before the preferences are known, whatever else happens meanwhile.
// req: 8.3.1.1-4
#[test]
fn preferences_that_come_late_count() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = no_answer;
    bench.datagram(pager("1", "term", WISH));
    bench.datagram(pager("1", "term", WISH));
    bench.wait(Duration::from_millis(4999));
    bench.nothing_sent();
    let (id, _) = bench.asked();
    bench.reply(id, prefers(rule(&[Wish::RejectInvite])));
    assert_eq!(bench.said(), with_text("122 Function not allowed"));
    bench.reply(id, prefers(rule(&[])));
    bench.nothing_sent();
    assert_eq!(bench.counted("pf.unknown_reply"), 1);
    bench.rest();
}

/// Failure, another kind of reply, none in time, and one that comes after that: the policy says what then.
#[test]
fn preferences_that_cannot_be_had() {
    let nonsense = || kept(1);
    for (without, labels) in
        [(WithoutPreferences::Deliver, ["MESSAGE"]), (WithoutPreferences::Refuse, ["480 MESSAGE"])]
    {
        for reply in [Some(not_fetched()), Some(nonsense()), None] {
            let mut bench = bob_with(&[PHONE], |policy| policy.without_preferences = without);
            bench.answer = no_answer;
            bench.datagram(pager("1", "term", WISH));
            let (id, _) = bench.asked();
            match reply {
                Some(reply) => bench.reply(id, reply),
                None => bench.wait(Duration::from_secs(5)),
            }
            assert_eq!(bench.labels().first().map(String::as_str), Some(labels[0]));
            bench.reply(id, prefers(rule(&[Wish::RejectInvite])));
            bench.nothing_sent();
            assert_eq!(bench.counted("pf.no_preferences"), 1);
            bench.rest();
        }
        // A user who has none is no failure.
        let mut bench = bob_with(&[PHONE], |policy| policy.without_preferences = without);
        bench.answer = |_| Some(Reply::Preferences(Err(FetchError::NotFound)));
        bench.datagram(pager("1", "term", WISH));
        assert_eq!(bench.labels(), ["MESSAGE"]);
    }
}

#[test]
fn preferences_are_not_asked_for_where_the_policy_says_so() {
    let mut bench = bob_with(&[PHONE], |policy| policy.preferences = false);
    bench.answer = rejecting;
    bench.datagram(pager("1", "term", WISH));
    assert_eq!(bench.labels(), ["MESSAGE"]);
    assert!(bench.answered.is_empty());
}

/// Two messages at once, and their answers in another order.
#[test]
fn answers_belong_to_their_questions() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = no_answer;
    bench.datagram(pager("1", "term", WISH));
    bench.datagram(pager("2", "term", WISH));
    let (first, second) = (bench.queries[0].0, bench.queries[1].0);
    bench.reply(second, prefers(rule(&[Wish::RejectInvite])));
    let response = bench.response();
    assert_eq!(header(response.headers(), &HeaderName::CallId), "msg-2");
    bench.reply(first, prefers(rule(&[])));
    assert_eq!(header(bench.request().headers(), &HeaderName::CallId), "msg-1");
    bench.rest();
}

// req: 8.3.1.1-8.b, 8.3.1.1-8.b.ii, 6.6-b2, 6.6-b3
#[test]
fn devices_that_cannot_or_shall_not_get_it_do_not() {
    let instance = |end| format!("urn:uuid:00000000-0000-4000-8000-00000000000{end}");
    let mut bench = bob_with(&[PHONE, TABLET], |policy| {
        policy.exclusions.push(DeviceRule {
            content: None,
            feature: None,
            devices: DevicesOf::Instance(instance("b")),
        });
    });
    bench.datagram(pager("1", "term", WISH));
    assert_eq!(bench.labels(), ["MESSAGE"]);
    bench.node.command(bench.now, |pf, _| pf.set_reachable(&instance("a"), false));
    bench.datagram(pager("2", "term", WISH));
    assert_eq!(bench.labels(), ["480 MESSAGE"]);
    bench.node.command(bench.now, |pf, _| pf.set_reachable(&instance("a"), true));
    bench.datagram(pager("3", "term", WISH));
    assert_eq!(bench.labels(), ["MESSAGE"]);
}

/// Threat C: a host that answers nothing does not fill the node.
#[test]
fn messages_under_way_are_limited() {
    let mut config = config();
    config.limits.max_work = 2;
    let mut bench = with_config(config);
    bench.answer = no_answer;
    for n in ["1", "2", "3"] {
        bench.datagram(pager(n, "term", WISH));
    }
    let response = bench.response();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(header(response.headers(), &HeaderName::RetryAfter), "5");
    assert_eq!(bench.events.last(), Some(&handled(503)));
    assert_eq!((bench.node.function().pending(), bench.queries.len()), (2, 2));
    bench.rest();
    bench.datagram(pager("4", "term", WISH));
    assert_eq!(bench.queries.len(), 3, "there is room again");
}

/// A node that begins anew knows nothing of what was under way: nothing was said of it, so its sender sends it again.
#[test]
fn what_was_under_way_at_a_restart_is_sent_again() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = no_answer;
    bench.datagram(pager("1", "term", WISH));
    let (id, _) = bench.asked();
    bench.nothing_sent();
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = no_answer;
    bench.reply(id, prefers(rule(&[Wish::RejectInvite])));
    bench.nothing_sent();
    bench.datagram(pager("1", "term", WISH));
    let (id, _) = bench.asked();
    bench.reply(id, prefers(rule(&[])));
    let request = bench.request();
    bench.datagram(answer(&request, "200 OK", "b", "", ""));
    assert_eq!(bench.said(), (200, None));
    assert_eq!(Uri::parse("sip:bob@home.test").unwrap(), *request.uri());
}
