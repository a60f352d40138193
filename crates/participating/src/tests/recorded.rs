//! What a served user sends is recorded, and goes to those whom the core does not reach (TS 8.2.1.1-6, -8.A, -9; 6.5; 8.5.1).

use super::bench::*;
use super::sending::{TEXT, cpim, fetched, sent_by_alice, with_policy};
use crate::{ParticipatingEvent, Policy, Recording, ServedRole, Skipped};
use cpm_core::outside::{Direction, FetchError, Folder, ObjectKind, ObjectUid, Preferences, StoredObject};
use cpm_core::{Query, QueryId, Reply, StoreError};
use cpm_sip::{HeaderName, Method, Request, Response, StatusCode, Uri, Warning};
use proptest::prelude::*;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a question.
type Happens<'a> = &'a dyn Fn(&mut Bench, QueryId);

/// Alice wishes that what she sends is recorded.
fn wishes(query: &Query) -> Option<Reply> {
    let Query::Preferences(user) = query else { return None };
    assert_eq!(user.as_str(), "sip:alice@home.test");
    Some(Reply::Preferences(Ok(Arc::new(preferences()))))
}

fn preferences() -> Preferences {
    let rules = "<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns:o=\"urn:oma:xml:xdm:common-policy\"><cr:rule id=\"r\"><cr:conditions><o:service-list><o:service enabler=\"CPM\"/></o:service-list></cr:conditions><cr:actions><o:allow-offline-storage>true</o:allow-offline-storage></cr:actions></cr:rule></cr:ruleset>";
    Preferences::from_documents(rules.as_bytes(), b"", b"", &cpm_xml::Limits::default()).unwrap()
}

fn uid(number: u32) -> Reply {
    Reply::ObjectStored(Ok(ObjectUid(NonZeroU32::new(number).unwrap())))
}

fn wishing() -> Bench {
    let mut bench = Bench::new();
    bench.answer = wishes;
    bench
}

/// The one object that is to be stored.
fn stored(bench: &mut Bench) -> (QueryId, StoredObject) {
    let mut queries = std::mem::take(&mut bench.queries);
    assert_eq!(queries.len(), 1, "{queries:?}");
    match queries.remove(0) {
        (id, Query::StoreObject(object)) => (id, *object),
        other => panic!("{other:?}"),
    }
}

/// Sends it on, lets the far side say this.
fn delivered(bench: &mut Bench, octets: String, status: &str, more: &str) -> Request {
    bench.datagram(octets);
    let sent = bench.request();
    bench.datagram(answer(&sent, status, "b", more, ""));
    sent
}

fn finals(bench: &mut Bench) -> Vec<Response> {
    let mut responses = bench.responses();
    responses.retain(|response| response.status().is_final());
    responses
}

fn uid_of(response: &Response) -> Vec<String> {
    lines(response.headers(), &HeaderName::MessageUid)
}

fn handled(status: StatusCode) -> ParticipatingEvent {
    ParticipatingEvent::Handled { role: ServedRole::Originating, method: Method::Message, status }
}

// req: 8.2.1.1-6, 8.2.1.1-9.i.a, 8.2.1.1-9.i.b, 8.2.1.1-9.ii, 8.5.1-A, 8.5.1-B, 8.5.1-p4, 8.5.1-uid-1.b
#[test]
fn what_was_delivered_is_recorded_and_its_uid_comes_with_the_2xx() {
    for status in ["200 OK", "202 Accepted"] {
        let mut bench = wishing();
        // The far side says who it is, and has an object of its own.
        let more =
            "P-Asserted-Identity: \"Bob\" <sip:Bob@Home.test;x=y>, <tel:+1-555-0002>\nMessage-UID: 99\n";
        let sent = delivered(&mut bench, sent_by_alice("", &cpim(TEXT)), status, more);
        // Nothing is answered before the store has said something.
        assert_eq!((bench.labels(), bench.events.len()), (vec![], 0));
        let (id, object) = stored(&mut bench);
        let octets = String::from_utf8(object.object.to_vec()).unwrap();
        assert!(octets.starts_with("MESSAGE sip:bob@home.test SIP/2.0\r\n"), "{octets}");
        assert!(octets.ends_with(&String::from_utf8(sent.body().to_vec()).unwrap()), "{octets}");
        for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::PAssertedIdentity] {
            assert!(octets.contains(&format!("{name}: {}\r\n", header(sent.headers(), &name))), "{octets}");
        }
        let expected = StoredObject {
            user: Uri::parse("sip:alice@home.test").unwrap(),
            folder: Folder::Peer("tel:+15550002".to_owned()),
            direction: Direction::Sent,
            kind: ObjectKind::StandaloneMessage,
            message_id: Some("m-1".to_owned()),
            conversation: cpm_core::ConversationId::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").ok(),
            contribution: cpm_core::ContributionId::parse("abcdef00-1234-4678-90ab-cdef01234567").ok(),
            message_context: None,
            message_correlator: None,
            replaces: None,
            object: object.object.clone(),
        };
        assert_eq!(object, expected);
        bench.reply(id, uid(4711));
        // Said twice, it counts once.
        bench.reply(id, uid(4712));
        let back = bench.response();
        assert_eq!(format!("{} {}", back.status().as_u16(), back.reason()), status);
        assert_eq!(uid_of(&back), ["4711"]);
        assert_eq!(bench.events, [handled(back.status())]);
        bench.rest();
    }
}

/// Threat E8: who answers and does not want to be known lends no name to a folder of the sender's.
#[test]
fn an_anonymous_answer_names_no_folder() {
    for (privacy, folder) in [
        ("", "sip:canary@home.test"),
        ("Privacy: none\n", "sip:canary@home.test"),
        ("Privacy: id\n", "sip:bob@home.test"),
        ("Privacy: id, user\n", "sip:bob@home.test"),
    ] {
        let mut bench = wishing();
        let more = format!("P-Asserted-Identity: <sip:canary@home.test>\n{privacy}");
        delivered(&mut bench, sent_by_alice("", &cpim(TEXT)), "200 OK", &more);
        assert_eq!(stored(&mut bench).1.folder, Folder::Peer(folder.to_owned()), "{privacy}");
    }
}

/// A failed recording does not turn a delivered message into a failure.
// req: 8.2.1.1-9.i.b, 8.2.1.1-9.ii
#[test]
fn without_a_uid_the_2xx_goes_back_all_the_same() {
    let full = |bench: &mut Bench, id| bench.reply(id, Reply::ObjectStored(Err(StoreError::Full)));
    let wrong = |bench: &mut Bench, id| bench.reply(id, Reply::Stored(Ok(())));
    let never = |bench: &mut Bench, _| bench.advance(Duration::from_secs(5));
    let happenings: [Happens<'_>; 3] = [&full, &wrong, &never];
    for happens in happenings {
        let mut bench = wishing();
        delivered(&mut bench, sent_by_alice("", &cpim(TEXT)), "200 OK", "Message-UID: 99\n");
        let (id, object) = stored(&mut bench);
        // Nobody was asserted: the address that was written to.
        assert_eq!(object.folder, Folder::Peer("sip:bob@home.test".to_owned()));
        happens(&mut bench, id);
        let back = finals(&mut bench);
        assert_eq!((back.len(), back[0].status(), uid_of(&back[0])), (1, StatusCode::OK, vec![]));
        // Late, it changes nothing.
        bench.reply(id, uid(1));
        assert_eq!(bench.labels(), [""; 0]);
        bench.rest();
    }
}

/// The far side answers in the last moment: the sender hears before it gives up.
#[test]
fn a_delivered_message_is_answered_in_time() {
    let mut bench = wishing();
    bench.datagram(sent_by_alice("", &cpim(TEXT)));
    let sent = bench.request();
    bench.advance(Duration::from_millis(31_000));
    bench.take_with_flows();
    bench.datagram(answer(&sent, "200 OK", "b", "", ""));
    let (id, _) = stored(&mut bench);
    bench.advance(Duration::from_millis(490));
    assert_eq!(finals(&mut bench).len(), 0);
    bench.advance(Duration::from_millis(10));
    let back = finals(&mut bench);
    assert_eq!((back.len(), back[0].status()), (1, StatusCode::OK));
    bench.reply(id, uid(1));
    assert_eq!(bench.labels(), [""; 0]);
    bench.rest();
}

// req: 8.2.1.1-6, 8.2.1.1-9.i.a, 8.2.4-p3
#[test]
fn who_records_and_what_is_never_recorded() {
    let imdn = "Content-Type: message/imdn+xml\nContent-Disposition: notification\n\n<imdn/>";
    let extra = WISH.replace("cpm.msg\"", "cpm.msg\";+g.3gpp.iari-ref=\"urn%3Ax\"");
    let policy = |recording| Policy { recording, ..Policy::default() };
    let skipped = |skipped| Policy { recording: Recording::Always, skipped, ..Policy::default() };
    let storage = skipped(Skipped { storage: true, ..Skipped::default() });
    let preferences =
        Policy { skipped: Skipped { preferences: true, ..Skipped::default() }, ..Policy::default() };
    for (case, policy, content, wish, asked, recorded) in [
        ("wish", policy(Recording::Wish), TEXT, WISH, 1, 1),
        ("always", policy(Recording::Always), TEXT, WISH, 0, 1),
        ("never", policy(Recording::Never), TEXT, WISH, 0, 0),
        ("own notification", policy(Recording::Always), imdn, WISH, 0, 0),
        ("own notification, wish", policy(Recording::Wish), imdn, WISH, 0, 0),
        ("storage skipped", storage.clone(), TEXT, &extra, 0, 0),
        ("storage not skipped", storage, TEXT, WISH, 0, 1),
        ("preferences skipped", preferences.clone(), TEXT, &extra, 0, 0),
        ("preferences not skipped", preferences, TEXT, WISH, 1, 1),
    ] {
        let mut bench = with_policy(policy);
        bench.answer = wishes;
        let octets = sent_by_alice("", &cpim(content)).replace(&wire(WISH), &wire(wish));
        delivered(&mut bench, octets, "200 OK", "");
        assert_eq!((bench.answered.len(), bench.queries.len()), (asked, recorded), "{case}");
        if recorded == 0 {
            assert_eq!(bench.labels(), ["200 MESSAGE"], "{case}");
        }
        bench.rest();
    }
}

/// Preferences that nobody knows are as none; the message goes on.
// req: 8.2.1.1-6
#[test]
fn preferences_that_do_not_come_keep_nothing_up() {
    let fails = |bench: &mut Bench, id| bench.reply(id, Reply::Preferences(Err(FetchError::Failed)));
    let none = |bench: &mut Bench, id| bench.reply(id, Reply::Preferences(Ok(Arc::default())));
    let never = |bench: &mut Bench, _| bench.advance(Duration::from_secs(5));
    let happenings: [Happens<'_>; 3] = [&fails, &none, &never];
    for happens in happenings {
        let mut bench = Bench::new();
        bench.answer = |_| None;
        bench.datagram(sent_by_alice("", &cpim(TEXT)));
        let (id, query) = bench.queries.remove(0);
        assert_eq!(query, Query::Preferences(Uri::parse("sip:alice@home.test").unwrap()));
        happens(&mut bench, id);
        let mut sent = bench.take_with_flows();
        sent.retain(|(_, message)| message.as_request().is_some());
        let request = sent.remove(0).1.as_request().unwrap().clone();
        // Late, they change nothing.
        bench.reply(id, Reply::Preferences(Ok(Arc::new(preferences()))));
        bench.datagram(answer(&request, "200 OK", "b", "", ""));
        assert_eq!((bench.queries.len(), bench.labels()), (0, vec!["200 MESSAGE".to_owned()]));
        bench.rest();
    }
}

/// A message to a group lies with its conversation; what was fetched for it is in what is kept.
// req: 8.5-1.b, 8.5-3.b, 8.5.1-A
#[test]
fn a_group_message_is_recorded_as_it_went() {
    let mut bench = wishing();
    let reference =
        "Content-Type: message/external-body; access-type=URL; URL=\"imap://s/x?action=fetch\"\n\n\n";
    let list = "--b\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n<x/>\r\n--b--\r\n";
    let body = format!("--b\r\nContent-Type: message/cpim\r\n\r\n{}\r\n{list}", cpim(reference));
    let octets =
        sent_by_alice("P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.group\n", &body)
            .replace(
                "Content-Type: message/cpim\r\nContent-Length",
                "Content-Type: multipart/mixed;boundary=b\r\nContent-Length",
            );
    bench.datagram(octets);
    let (id, _) = bench.queries.remove(0);
    bench.reply(id, fetched("text/plain", b"stored"));
    let sent = bench.request();
    let text = String::from_utf8(sent.body().to_vec()).unwrap();
    assert!(
        text.ends_with(list) && text.contains("Content-Type: text/plain\r\n\r\nstored\r\n--b\r\n"),
        "{text}"
    );
    bench.datagram(answer(&sent, "202 Accepted", "b", "P-Asserted-Identity: <sip:cf@home.test>\n", ""));
    let (id, object) = stored(&mut bench);
    let conversation = cpm_core::ConversationId::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").unwrap();
    assert_eq!(object.folder, Folder::Group(conversation));
    assert!(object.object.ends_with(text.as_bytes()));
    bench.reply(id, uid(7));
    assert_eq!(uid_of(&bench.response()), ["7"]);
    bench.rest();
}

/// The interworking function, on the core's stream so that it has a flow.
fn interworking() -> Policy {
    let Ok(Uri::Sip(isf)) = Uri::parse("sip:192.0.2.10:5070;transport=tcp") else { panic!("a SIP URI") };
    Policy { isf: Some(isf), ..Policy::default() }
}

/// A mail address is neither a SIP nor a tel URI.
fn to_mail() -> String {
    sent_by_alice("", &cpim(TEXT)).replacen("MESSAGE sip:bob@home.test", "MESSAGE mailto:bob@far.test", 1)
}

/// The request for the interworking function.
fn for_isf(bench: &mut Bench) -> Request {
    let mut sent = bench.take_with_flows();
    sent.retain(|(_, message)| message.as_request().is_some());
    assert_eq!((sent.len(), sent[0].0), (1, CORE_STREAM));
    let request = sent.remove(0).1.as_request().unwrap().clone();
    assert_eq!(header(request.headers(), &HeaderName::Route), "<sip:192.0.2.10:5070;transport=tcp;lr>");
    request
}

// req: 6.5-p1, 8.2.1.1-8.A.i.1, 8.2.1.1-8.A.iv
#[test]
fn who_has_no_sip_address_is_reached_by_interworking() {
    let mut bench = with_policy(interworking());
    bench.datagram(to_mail());
    let sent = for_isf(&mut bench);
    assert_eq!(sent.uri().as_str(), "mailto:bob@far.test");
    // It is a request of the function's own: one Via, another call, with what was said unchanged.
    assert_eq!(lines(sent.headers(), &HeaderName::Via).len(), 1);
    assert_ne!(header(sent.headers(), &HeaderName::CallId), "msg-1");
    assert_eq!(header(sent.headers(), &HeaderName::MaxForwards), "70");
    assert_eq!(header(sent.headers(), &HeaderName::UserAgent), "CPM-serv/OMA2.1");
    assert!(header(sent.headers(), &HeaderName::From).starts_with("<sip:alice@home.test>;tag="));
    assert!(!header(sent.headers(), &HeaderName::From).ends_with("tag=a1"));
    assert_eq!(header(sent.headers(), &HeaderName::To), "<sip:bob@home.test>");
    for name in [HeaderName::PAssertedIdentity, HeaderName::ConversationId, HeaderName::ContributionId] {
        let own = parse(&to_mail());
        assert_eq!(lines(sent.headers(), &name), lines(own.headers(), &name));
    }
    assert!(!sent.headers().contains(&HeaderName::PServedUser));
    bench.stream(answer(&sent, "200 Gone by mail", "i", "Message-UID: 5\nX-Inside: x\n", ""));
    let back = bench.response();
    assert_eq!((back.status().as_u16(), back.reason()), (200, "Gone by mail"));
    assert_eq!(header(back.headers(), &HeaderName::From), "<sip:alice@home.test>;tag=a1");
    assert_eq!(header(back.headers(), &HeaderName::CallId), "msg-1");
    assert_eq!(uid_of(&back), [""; 0]);
    assert_eq!(bench.events, [handled(StatusCode::OK)]);
    bench.rest();
}

fn parse(octets: &str) -> Request {
    let octets = bytes::Bytes::from(octets.to_owned());
    match cpm_sip::parse_datagram(octets, &cpm_sip::Limits::default()) {
        Ok(cpm_sip::Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

// req: 8.2.1.1-8.A.i.1, 8.2.1.1-8.A.ii
#[test]
fn everybody_else_is_reached_by_the_core() {
    let list = "--b\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n<x/>\r\n--b--\r\n";
    let body = format!("--b\r\nContent-Type: message/cpim\r\n\r\n{}\r\n{list}", cpim(TEXT));
    let with_list = sent_by_alice("", &body)
        .replacen("MESSAGE sip:bob@home.test", "MESSAGE mailto:bob@far.test", 1)
        .replacen("Content-Type: message/cpim", "Content-Type: multipart/mixed;boundary=b", 1);
    for octets in [
        to_mail().replacen("mailto:bob@far.test", "tel:+15550002", 1),
        to_mail().replacen("mailto:bob@far.test", "sips:bob@far.test", 1),
        with_list,
    ] {
        let mut bench = with_policy(interworking());
        bench.datagram(octets);
        let sent = bench.take_with_flows();
        let routes = lines(sent[0].1.headers(), &HeaderName::Route);
        assert_eq!(
            (sent.len(), sent[0].0, routes),
            (1, CORE, vec!["<sip:192.0.2.10;lr;after=orig>".to_owned()])
        );
    }
}

#[test]
fn without_an_interworking_function_such_an_address_is_404() {
    let skipping = Policy { skipped: Skipped { interworking: true, ..Skipped::default() }, ..interworking() };
    let extra = WISH.replace("cpm.msg\"", "cpm.msg\";+g.3gpp.iari-ref=\"urn%3Ax\"");
    for (policy, wish) in [(Policy::default(), WISH), (skipping, extra.as_str())] {
        let mut bench = with_policy(policy);
        bench.datagram(to_mail().replace(&wire(WISH), &wire(wish)));
        let back = bench.response();
        let warning = back.typed::<Warning>().unwrap().unwrap();
        assert_eq!((back.status(), warning.text()), (StatusCode::NOT_FOUND, "129 No destinations"));
        bench.rest();
    }
}

// req: 6.5.1-onMSG200-1, 6.5.1-onMSG200-1.A, 6.5.1-onMSG200-1.B, 6.5.1-onMSG200-2, 8.5.4-A.1, 8.5.4-C.1.a.i
#[test]
fn how_it_was_delivered_is_recorded() {
    for (more, context, correlator) in [
        ("", None, None),
        ("Message-Context: pager-message\n", Some("pager-message"), Some("hello")),
        (
            "Message-Context: multimedia-message\nMessage-Correlator: mms-7\n",
            Some("multimedia-message"),
            Some("mms-7"),
        ),
    ] {
        let mut bench = with_policy(interworking());
        bench.answer = wishes;
        bench.datagram(to_mail());
        let sent = for_isf(&mut bench);
        bench.stream(answer(&sent, "200 OK", "i", more, ""));
        let (id, object) = stored(&mut bench);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!((object.message_context, object.message_correlator), (owned(context), owned(correlator)));
        assert_eq!(object.folder, Folder::Peer("mailto:bob@far.test".to_owned()));
        bench.reply(id, uid(3));
        let back = bench.response();
        assert_eq!((back.status(), uid_of(&back)), (StatusCode::OK, vec!["3".to_owned()]));
        bench.rest();
    }
}

// req: 8.2.1.1-8.A.iii.1, 8.2.1.1-8.A.iii.2, 8.2.1.1-8.A.iv
#[test]
fn what_the_core_cannot_deliver_is_interworked_where_policy_allows_it() {
    for (refusal, listed) in [
        ("404 No", true),
        ("488 No", true),
        ("606 No", true),
        ("486 Busy", false),
        ("480 Away", false),
        ("603 No", false),
    ] {
        let none = Policy { interwork_on: Vec::new(), ..interworking() };
        let nowhere = Policy { isf: None, ..interworking() };
        for (policy, interworked) in [(interworking(), listed), (none, false), (nowhere, false)] {
            for (isf, expected) in [("200 OK", 200), ("480 Away", 480), ("503 Broken", 503)] {
                let mut bench = with_policy(policy.clone());
                delivered(&mut bench, sent_by_alice("", &cpim(TEXT)), refusal, "Warning: 399 far \"why\"\n");
                let expected = if interworked {
                    let sent = for_isf(&mut bench);
                    assert_eq!(sent.uri().as_str(), "sip:bob@home.test");
                    bench.stream(answer(&sent, isf, "i", "", ""));
                    expected
                } else {
                    refusal[..3].parse().unwrap()
                };
                let back = bench.response();
                assert_eq!(back.status().as_u16(), expected, "{refusal} {isf}");
                assert_eq!(header(back.headers(), &HeaderName::CallId), "msg-1");
                assert_eq!(bench.events, [handled(back.status())]);
                bench.rest();
            }
        }
    }
}

/// Of an interworking function that cannot be reached, or says nothing: what the core had said, or 480.
// req: 8.2.1.1-8.A.iv
#[test]
fn an_interworking_function_that_is_silent() {
    let mut policy = interworking();
    let Ok(Uri::Sip(away)) = Uri::parse("sip:192.0.2.99") else { panic!("a SIP URI") };
    policy.isf = Some(away);
    let mut bench = with_policy(policy.clone());
    delivered(&mut bench, sent_by_alice("", &cpim(TEXT)), "404 Unknown", "");
    bench.refuse_opens();
    let back = finals(&mut bench);
    assert_eq!((back.len(), back[0].status().as_u16(), back[0].reason()), (1, 404, "Unknown"));
    bench.rest();
    let mut bench = with_policy(policy);
    bench.datagram(to_mail());
    bench.refuse_opens();
    let back = finals(&mut bench);
    assert_eq!((back.len(), back[0].status().as_u16()), (1, 480));
    bench.rest();
    // Silence: the sender gives up at the same time.
    let mut bench = with_policy(interworking());
    bench.datagram(to_mail());
    bench.rest();
    let (role, method) = (ServedRole::Originating, Method::Message);
    assert_eq!(bench.events, [ParticipatingEvent::Unanswered { role, method }]);
}

/// One thing that happens to a message of Alice's.
#[derive(Debug, Clone)]
enum Step {
    /// The far side, or the interworking function, answers what it was sent.
    Answer(u16),
    /// The host replies to a question that is open.
    Reply {
        which: usize,
        well: bool,
    },
    Wait(u64),
    /// The message comes once more.
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::sample::select(vec![200_u16, 202, 404, 486, 488, 503, 606]).prop_map(Step::Answer),
        6 => (0..3_usize, prop::bool::weighted(0.8)).prop_map(|(which, well)| Step::Reply { which, well }),
        2 => (0..8_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Again),
    ]
}

fn good_reply(query: &Query) -> Reply {
    match query {
        Query::Preferences(_) => Reply::Preferences(Ok(Arc::new(preferences()))),
        Query::Fetch { .. } => fetched("text/plain", b"stored"),
        Query::StoreObject(_) => uid(4711),
        other => other.unanswered(),
    }
}

fn bad_reply(query: &Query) -> Reply {
    match query {
        Query::Preferences(_) => Reply::Preferences(Err(FetchError::Failed)),
        Query::Fetch { .. } => Reply::Fetched(Err(FetchError::NotFound)),
        Query::StoreObject(_) => Reply::ObjectStored(Err(StoreError::Failed)),
        other => other.unanswered(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Nothing is answered 2xx that was not taken by somebody, nothing is answered twice or otherwise than it was, a UID is
    /// that of the store, and nothing is left over.
    #[test]
    fn a_2xx_is_somebodys_word(
        steps in prop::collection::vec(step(), 0..14),
        reference in any::<bool>(),
        mail in any::<bool>(),
    ) {
        let mut bench = with_policy(interworking());
        bench.answer = |_| None;
        let content = if reference {
            "Content-Type: message/external-body; access-type=URL; URL=\"imap://s/x?action=fetch\"\n\n\n"
        } else {
            TEXT
        };
        let mut octets = sent_by_alice("", &cpim(content));
        if mail {
            octets = octets.replacen("MESSAGE sip:bob@home.test", "MESSAGE mailto:bob@far.test", 1);
        }
        bench.datagram(octets.clone());
        let (mut open, mut taken, mut kept, mut backs) = (Vec::new(), false, false, Vec::<Response>::new());
        let mut asked = Vec::new();
        for step in steps {
            asked.append(&mut bench.queries);
            match step {
                Step::Answer(status) => {
                    if let Some((flow, request)) = open.pop() {
                        taken |= status < 300;
                        let octets = answer(&request, &format!("{status} Word"), "x", "Message-UID: 9\n", "");
                        if flow == CORE { bench.datagram(octets) } else { bench.stream(octets) }
                    }
                }
                Step::Reply { which, well } => {
                    if which < asked.len() {
                        let (id, query): (QueryId, Query) = asked.remove(which);
                        let reply = if well { good_reply(&query) } else { bad_reply(&query) };
                        kept |= well && matches!(query, Query::StoreObject(_));
                        bench.reply(id, reply);
                    }
                }
                Step::Wait(millis) => bench.advance(Duration::from_millis(millis)),
                Step::Again => bench.datagram(octets.clone()),
            }
            for (flow, message) in bench.take_with_flows() {
                match message {
                    cpm_sip::Message::Request(request) => {
                        if !open.iter().any(|(_, other): &(_, Request)| other.to_bytes() == request.to_bytes()) {
                            open.push((flow, request));
                        }
                    }
                    cpm_sip::Message::Response(back) if back.status().is_final() => {
                        prop_assert!(!back.status().is_success() || taken);
                        prop_assert!(uid_of(&back).is_empty() || (kept && uid_of(&back) == ["4711"]));
                        backs.push(back);
                    }
                    cpm_sip::Message::Response(_) => {}
                }
            }
        }
        for back in &backs {
            prop_assert_eq!(back.to_bytes(), backs[0].to_bytes());
        }
        bench.rest();
        prop_assert_eq!(bench.events.len(), 1);
    }
}
