//! A pager-mode message of a served user, step by step (TS 8.2.1.1): what is refused, what is asked of the host and what
//! comes of its replies, what goes on, and what its sender hears.

use super::bench::*;
use crate::{
    ForeignSender, ParticipatingConfig, ParticipatingEvent, Policy, Recording, ServedRole, UnknownService,
};
use bytes::Bytes;
use cpm_base::Seed;
use cpm_core::outside::{FetchError, FetchedObject, Preferences};
use cpm_core::{Query, QueryId, Reply};
use cpm_sip::{HeaderName, Method, Request, StatusCode, Uri, Warning};
use std::sync::Arc;
use std::time::Duration;

pub(super) const TEXT: &str = "Content-Type: text/plain; charset=utf-8\n\nhello";

/// A CPIM message from Alice with this content, line ends and all.
pub(super) fn cpim(content: &str) -> String {
    wire(&format!(
        "From: <sip:alice@home.test>\nTo: <sip:bob@home.test>\nNS: imdn <urn:ietf:params:imdn>\nimdn.Message-ID: m-1\nDateTime: 2001-01-01T00:00:00Z\n\n{content}"
    ))
}

/// The same as it goes on at a time: its DateTime is that of the function.
fn stamped(cpim: &str, at: &str) -> String {
    cpim.replace("DateTime: 2001-01-01T00:00:00Z", &format!("DateTime: {at}"))
}

/// What Alice sends, with more header lines.
pub(super) fn sent_by_alice(more: &str, cpim: &str) -> String {
    let plain = pager("1", "orig", &format!("{WISH}{more}"));
    let (head, _) = plain.split_once("Content-Type: text/plain").unwrap();
    format!("{head}Content-Type: message/cpim\r\nContent-Length: {}\r\n\r\n{cpim}", cpim.len())
}

pub(super) fn with_policy(policy: Policy) -> Bench {
    let config = ParticipatingConfig { policy, ..config() };
    Bench::with(config, Seed::new([7; 32]))
}

fn body_of(request: &Request) -> String {
    String::from_utf8(request.body().to_vec()).unwrap()
}

/// Status and warning of the answer to a message that goes no further.
fn refusal_of(bench: &mut Bench) -> (u16, Option<String>) {
    let mut responses = bench.responses();
    responses.retain(|response| response.status().is_final());
    assert_eq!(responses.len(), 1, "{responses:?}");
    let response = responses.remove(0);
    let warning = response.typed::<Warning>().unwrap().map(|warning| {
        assert_eq!(warning.code(), 399);
        warning.text().to_owned()
    });
    let status = response.status();
    let (role, method) = (ServedRole::Originating, Method::Message);
    assert_eq!(bench.events, [ParticipatingEvent::Handled { role, method, status }]);
    (status.as_u16(), warning)
}

fn refused(policy: Policy, octets: String) -> (u16, Option<String>) {
    let mut bench = with_policy(policy);
    bench.datagram(octets);
    let refused = refusal_of(&mut bench);
    // Nothing was asked for it.
    assert_eq!((bench.queries.len(), bench.answered.len()), (0, 0));
    bench.rest();
    refused
}

fn goes_on(policy: Policy, octets: String) -> Request {
    let mut bench = with_policy(policy);
    bench.datagram(octets);
    bench.request()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

// req: 8.2.1.1-1, 8.2.1.1-2, 8.2.1.1-3
#[test]
fn what_the_service_provider_does_not_allow() {
    let message = |more: &str| sent_by_alice(more, &cpim(TEXT));
    let of = Policy::default;
    let barred = || Policy { barred: [String::from("sip:alice@home.test")].into(), ..of() };
    assert_eq!(refused(barred(), message("")), (403, some("127 Service not authorised")));
    // Whatever it calls itself today.
    let by_number = |number: &str| {
        let asserted = format!("P-Asserted-Identity: {number}");
        message("").replace("P-Asserted-Identity: <sip:alice@home.test>", &asserted)
    };
    assert_eq!(refused(barred(), by_number("<tel:+1-555-0001>")).0, 403);
    let number = || Policy { barred: [String::from("tel:+15550001")].into(), ..of() };
    for form in ["<tel:+1-555-0001>", "<sip:+1(555)0001@home.test;user=phone>"] {
        assert_eq!(refused(number(), by_number(form)).0, 403, "{form}");
    }
    goes_on(number(), message(""));
    let other = Policy { barred: [String::from("sip:alice@home.tes")].into(), ..of() };
    goes_on(other, message(""));

    let version = || Policy { releases: Some(vec![(2, 1)]), ..of() };
    for agent in ["", "User-Agent: acme\n", "User-Agent: CPM-client/OMA1.0 x\n"] {
        assert_eq!(refused(version(), message(agent)), (403, some("132 Version not supported")), "{agent}");
    }
    goes_on(version(), message("User-Agent: CPM-client/OMA2.1 x\n"));

    let named = || Policy { anonymity_originating: false, ..of() };
    for privacy in ["Privacy: id\n", "Privacy: header;user\n"] {
        assert_eq!(refused(named(), message(privacy)), (403, some("119 Anonymity not allowed")), "{privacy}");
    }
    let nobody =
        message("").replace("From: <sip:alice@home.test>;", "From: <sip:anonymous@anonymous.invalid>;");
    assert_eq!(refused(named(), nobody).0, 403);
    goes_on(named(), message("Privacy: none\n"));
    // In this order.
    let all = || Policy { releases: version().releases, anonymity_originating: false, ..barred() };
    assert_eq!(refused(all(), message("Privacy: id\n")).1, some("127 Service not authorised"));
    let two = Policy { barred: Default::default(), ..all() };
    assert_eq!(refused(two, message("Privacy: id\n")).1, some("132 Version not supported"));
}

// req: 8.2.1.1-4
#[test]
fn what_expired_is_not_delivered() {
    let message = |more: &str| sent_by_alice(more, &cpim(TEXT));
    // It is 1970-01-01T00:00:00Z.
    let expired = (480, some("the message has expired"));
    assert_eq!(refused(Policy::default(), message("Expires: 0\n")), expired);
    let date = "Date: Wed, 31 Dec 1969 23:59:00 GMT\n";
    assert_eq!(refused(Policy::default(), message(&format!("{date}Expires: 60\n"))), expired);
    for more in ["Expires: 1\n".to_owned(), format!("{date}Expires: 61\n"), date.to_owned()] {
        goes_on(Policy::default(), message(&more));
    }
    // It expires while its content is fetched.
    let reference =
        "Content-Type: message/external-body; access-type=URL; URL=\"imap://s/x?action=fetch\"\n\n\n";
    let mut bench = Bench::new();
    bench.datagram(sent_by_alice("Expires: 2\n", &cpim(reference)));
    bench.advance(Duration::from_secs(3));
    let (id, _) = bench.queries.remove(0);
    bench.reply(id, fetched("text/plain", b"x"));
    assert_eq!(refusal_of(&mut bench), expired);
    bench.rest();
}

// req: 8.2.1.1-7.i.2
#[test]
fn another_asserted_service_is_policy() {
    let message = |urn: &str| sent_by_alice(&format!("P-Asserted-Service: {urn}\n"), &cpim(TEXT));
    let strict = || Policy { unknown_service: UnknownService::Refuse, ..Policy::default() };
    for urn in ["urn:urn-7:3gpp-service.ims.icsi.mmtel", "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.systemmsg"]
    {
        assert_eq!(refused(strict(), message(urn)), (403, some("122 Function not allowed")));
        let sent = goes_on(Policy::default(), message(urn));
        assert_eq!(header(sent.headers(), &HeaderName::PAssertedService), urn);
    }
    for token in ["msg", "largemsg", "session", "filetransfer"] {
        for form in ["", ".group"] {
            let urn = format!("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.{token}{form}");
            assert_eq!(
                header(goes_on(strict(), message(&urn)).headers(), &HeaderName::PAssertedService),
                urn
            );
        }
    }
}

// req: 8.2-b1
#[test]
fn messages_of_four_features_are_served() {
    for token in ["msg", "largemsg", "session", "filetransfer"] {
        let octets = sent_by_alice("", &cpim(TEXT)).replace("cpm.msg", &format!("cpm.{token}"));
        goes_on(Policy::default(), octets);
    }
    for token in ["deferred", "systemmsg"] {
        let octets = sent_by_alice("", &cpim(TEXT)).replace("cpm.msg", &format!("cpm.{token}"));
        assert_eq!(refused(Policy::default(), octets), (403, some("127 Service not authorised")), "{token}");
    }
}

/// TS 5.2-p11: whatever the client said.
#[test]
fn the_time_of_a_message_is_when_it_came() {
    let mut bench = Bench::new();
    bench.advance(Duration::from_millis(86_400_250));
    let imdn = "Content-Type: message/imdn+xml\nContent-Disposition: notification\n\n<imdn/>";
    for (branch, content) in [("a", TEXT), ("b", imdn)] {
        let message = sent_by_alice("", &cpim(content)).replace("z9hG4bK1", &format!("z9hG4bK{branch}"));
        bench.datagram(message);
        assert_eq!(body_of(&bench.request()), stamped(&cpim(content), "1970-01-02T00:00:00.250Z"));
    }
    let without = cpim(TEXT).replace("DateTime: 2001-01-01T00:00:00Z\r\n", "");
    bench.datagram(sent_by_alice("", &without).replace("z9hG4bK1", "z9hG4bKc"));
    let expected =
        without.replace("\r\n\r\nContent", "\r\nDateTime: 1970-01-02T00:00:00.250Z\r\n\r\nContent");
    assert_eq!(body_of(&bench.request()), expected);
}

#[test]
fn a_cpim_message_that_nobody_can_read_is_refused() {
    for body in ["nonsense".to_owned(), cpim(TEXT).replace("From: <sip", "From <sip")] {
        let (status, why) = refused(Policy::default(), sent_by_alice("", &body));
        assert_eq!((status, &why.unwrap()[..13]), (400, "CPIM message:"), "{body}");
    }
}

pub(super) fn fetched(content_type: &str, octets: &'static [u8]) -> Reply {
    let content_type = content_type.to_owned();
    Reply::Fetched(Ok(FetchedObject { content_type, octets: Bytes::from_static(octets) }))
}

/// What becomes of questions.
type Happens<'a> = &'a dyn Fn(&mut Bench, &[QueryId]);

/// Two references and a text between them.
const TWO: &str = "Content-Type: multipart/mixed; boundary=bb

--bb
Content-Type: message/external-body; access-type=\"URL\"; URL=\"imap://alice@store.test/f/;UID=1?action=fetch\"

Content-Type: image/png
Content-ID: <p@x>

--bb
Content-Type: text/plain

between
--bb
Content-Type: Message/External-Body; access-type=url; URL=\"imap://alice@store.test/f/;UID=2?action=fetch\"

--bb--
";

fn asked(bench: &mut Bench) -> Vec<QueryId> {
    let expected = |uid: u8| Query::Fetch {
        user: Uri::parse("sip:alice@home.test").unwrap(),
        url: format!("imap://alice@store.test/f/;UID={uid}?action=fetch"),
    };
    let queries = std::mem::take(&mut bench.queries);
    let (ids, queries): (Vec<QueryId>, Vec<Query>) = queries.into_iter().unzip();
    assert_eq!(queries, [expected(1), expected(2)]);
    ids
}

// req: 8.2.1.1-5, 8.2.1.1-5.a, 8.2.1.1-5.b, 8.2.1.1-5.c
#[test]
fn stored_content_is_fetched_at_once_and_put_in() {
    let expected = TWO
        .replace(
            "Content-Type: message/external-body; access-type=\"URL\"; URL=\"imap://alice@store.test/f/;UID=1?action=fetch\"\n\nContent-Type: image/png\nContent-ID: <p@x>\n",
            "Content-Type: image/gif\nContent-ID: <p@x>\n\nGIF89a",
        )
        .replace(
            "Content-Type: Message/External-Body; access-type=url; URL=\"imap://alice@store.test/f/;UID=2?action=fetch\"\n",
            "Content-Type: text/plain;charset=utf-8\n\nstored",
        );
    for backwards in [false, true] {
        let mut bench = Bench::new();
        bench.datagram(sent_by_alice("", &cpim(TWO)));
        assert_eq!(bench.labels(), [""; 0]);
        let ids = asked(&mut bench);
        let mut replies = vec![
            (ids[0], fetched("image/gif", b"GIF89a")),
            (ids[1], fetched("text/plain; charset=utf-8", b"stored")),
        ];
        if backwards {
            replies.reverse();
        }
        for (at, (id, reply)) in replies.into_iter().enumerate() {
            assert_eq!(bench.labels().len(), 0, "not before reply {at}");
            bench.reply(id, reply.clone());
            // Said twice, it counts once.
            bench.reply(id, reply);
        }
        let sent = bench.request();
        assert_eq!(body_of(&sent), stamped(&cpim(&expected), "1970-01-01T00:00:00Z"));
        assert_eq!(header(sent.headers(), &HeaderName::ContentType), "message/cpim");
        let length = header(sent.headers(), &HeaderName::ContentLength);
        assert_eq!(length, sent.body().len().to_string());
        bench.datagram(answer(&sent, "200 OK", "b", "", ""));
        assert_eq!(bench.labels(), ["200 MESSAGE"]);
        bench.rest();
    }
}

// req: 8.2.1.1-5.a
#[test]
fn content_that_does_not_come_ends_the_message() {
    let warned = |error: FetchError| format!("stored data: {error}");
    for (error, status, prefix) in [
        (FetchError::NotFound, 403, "122 Function not allowed: "),
        (FetchError::Forbidden, 403, "122 Function not allowed: "),
        (FetchError::TooLarge, 513, "133 Size exceeded: "),
        (FetchError::Failed, 480, ""),
    ] {
        for which in [0, 1] {
            let mut bench = Bench::new();
            bench.datagram(sent_by_alice("", &cpim(TWO)));
            let ids = asked(&mut bench);
            bench.reply(ids[which], Reply::Fetched(Err(error)));
            assert_eq!(refusal_of(&mut bench), (status, Some(format!("{prefix}{}", warned(error)))));
            // The other one comes late.
            bench.reply(ids[1 - which], fetched("text/plain", b"x"));
            assert_eq!(bench.labels(), [""; 0]);
            bench.rest();
        }
    }
    // Never, or something else than was asked for.
    let silent = |bench: &mut Bench, _: &[QueryId]| bench.advance(Duration::from_secs(5));
    let wrong = |bench: &mut Bench, ids: &[QueryId]| {
        bench.reply(ids[0], Reply::Preferences(Ok(Arc::new(Preferences::default()))));
    };
    let happenings: [Happens<'_>; 2] = [&silent, &wrong];
    for happens in happenings {
        let mut bench = Bench::new();
        bench.datagram(sent_by_alice("", &cpim(TWO)));
        let ids = asked(&mut bench);
        happens(&mut bench, &ids);
        assert_eq!(refusal_of(&mut bench), (480, Some(warned(FetchError::Failed))));
        bench.reply(ids[0], fetched("text/plain", b"x"));
        bench.rest();
    }
}

#[test]
fn references_are_limited() {
    let one =
        "--bb\nContent-Type: message/external-body; access-type=URL; URL=\"imap://s/x?action=fetch\"\n\n\n";
    let many = |n: usize| format!("Content-Type: multipart/mixed; boundary=bb\n\n{}--bb--\n", one.repeat(n));
    let (status, why) = refused(Policy::default(), sent_by_alice("", &cpim(&many(9))));
    assert_eq!((status, why), (403, some("122 Function not allowed: more than 8 references to stored data")));
    let foreign = many(1).replace("imap://s", "http://intranet.test");
    let (status, _) = refused(Policy::default(), sent_by_alice("", &cpim(&foreign)));
    assert_eq!(status, 403);
    let mut config = config();
    config.limits.max_fetched_bytes = 10;
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    bench.datagram(sent_by_alice("", &cpim(&many(1))));
    let (id, _) = bench.queries.remove(0);
    bench.reply(id, fetched("text/plain", b"eleven octe"));
    assert_eq!(refusal_of(&mut bench), (513, some("133 Size exceeded: stored data: more than 10 octets")));
    bench.rest();
}

/// A text that makes a CPIM message of so many octets.
fn of_length(octets: usize) -> String {
    let rest = cpim("Content-Type: text/plain\n\n").len();
    cpim(&format!("Content-Type: text/plain\n\n{}", "x".repeat(octets - rest)))
}

/// What goes on as a large message (TS 8.2.1.1-8.B) is refused by name: that is not built.
// req: 8.2.1.1-8
#[test]
fn the_size_is_that_of_the_message_with_its_content() {
    let text = "133 Size exceeded: a message of more than 1300 octets is a large message";
    goes_on(Policy::default(), by_stream(&of_length(1_300)));
    assert_eq!(refused_later(Policy::default(), &of_length(1_301)), (513, some(text)));
    let policy = Policy { too_large: StatusCode::NOT_ACCEPTABLE_HERE, ..Policy::default() };
    assert_eq!(refused_later(policy, &of_length(1_301)), (488, some(text)));
    // What the function itself writes into it does not count.
    let without = of_length(1_332).replace("DateTime: 2001-01-01T00:00:00Z\r\n", "");
    assert_eq!(without.len(), 1_300);
    let sent = goes_on(Policy::default(), by_stream(&without));
    assert_eq!(sent.body().len(), 1_332);
    // What it fetches does.
    let reference =
        "Content-Type: message/external-body; access-type=URL; URL=\"imap://s/x?action=fetch\"\n\n\n";
    let rest = cpim("Content-Type: text/plain\n\n").len();
    static OCTETS: [u8; 1_300] = [b'x'; 1_300];
    for (octets, status) in [(1_300 - rest, None), (1_301 - rest, Some(513))] {
        let mut bench = Bench::new();
        bench.datagram(by_stream(&cpim(reference)));
        let (id, _) = bench.queries.remove(0);
        bench.reply(id, fetched("text/plain", &OCTETS[..octets]));
        match status {
            None => assert_eq!(bench.request().body().len(), 1_300),
            Some(status) => assert_eq!(refusal_of(&mut bench), (status, some(text))),
        }
    }
}

/// To a core that has a stream for what is too large for a datagram.
fn by_stream(cpim: &str) -> String {
    let octets = sent_by_alice("", cpim);
    octets.replace("<sip:192.0.2.10;lr;after", "<sip:192.0.2.10:5070;transport=tcp;lr;after")
}

fn refused_later(policy: Policy, cpim: &str) -> (u16, Option<String>) {
    let mut bench = with_policy(policy);
    bench.datagram(sent_by_alice("", cpim));
    refusal_of(&mut bench)
}

/// Threat E2, threat E8: what the far side sees, and what the sender hears.
#[test]
fn a_foreign_sender_is_rewritten_and_its_own_answer_comes_back() {
    let foreign = |octets: String| {
        octets.replacen("From: <sip:alice@home.test>", "From: \"Bank\" <sip:bank@home.test>", 1)
    };
    let received = foreign(sent_by_alice("", &cpim(TEXT)));
    let mut bench = Bench::new();
    bench.datagram(received.clone());
    let sent = bench.request();
    assert_eq!(header(sent.headers(), &HeaderName::From), "<sip:alice@home.test>;tag=a1");
    assert_eq!(body_of(&sent), stamped(&cpim(TEXT), "1970-01-01T00:00:00Z"));
    bench.datagram(answer(&sent, "200 OK", "b", "", ""));
    let back = bench.response();
    assert_eq!(header(back.headers(), &HeaderName::From), "\"Bank\" <sip:bank@home.test>;tag=a1");
    bench.rest();
    let strict = || Policy { foreign_sender: ForeignSender::Refuse, ..Policy::default() };
    let why = some("122 Function not allowed: From is not the sender's");
    assert_eq!(refused(strict(), received), (403, why.clone()));
    let inside = sent_by_alice("", &foreign(cpim(TEXT)));
    assert_eq!(refused(strict(), inside), (403, why));
    goes_on(strict(), sent_by_alice("", &cpim(TEXT)));
}

/// Threat E8: what an anonymous user sends names it to the core alone, which is told to keep it.
// req: 6.3-p9
#[test]
fn nothing_of_an_anonymous_sender_goes_on_but_what_is_asserted() {
    let canaries = "Reply-To: <sip:canary@home.test>\nReferred-By: <sip:canary@home.test>\nP-Preferred-Identity: \"Canary\" <sip:alice@home.test>\nOrganization: canary inc\nCall-Info: <http://canary.test/alice>\nUser-Agent: CPM-client/OMA2.1 canary/1.0\nIn-Reply-To: canary@alice\nRemote-Party-ID: <sip:alice@home.test>\nX-Canary: alice\nProxy-Authorization: Digest username=\"alice\"\nIdentity: canary;info=<https://canary.test>;alg=ES256\nGeolocation: <cid:canary@x>\n";
    // The last is none that anybody can read: what was meant is clear enough.
    for privacy in ["id", "user", "header;id;critical", "id, user"] {
        let more = format!("{canaries}Privacy: {privacy}\nSubject: hi\n");
        let named = "From: \"Alice Canary\" <sip:alice@home.test>";
        let name = |octets: String| octets.replacen("From: <sip:alice@home.test>", named, 1);
        let octets = name(sent_by_alice(&more, &name(cpim(TEXT))));
        let mut bench = Bench::new();
        bench.datagram(octets);
        let sent = bench.request();
        let text = String::from_utf8(bench.octets[0].1.to_vec()).unwrap();
        let own = "P-Asserted-Identity: <sip:alice@home.test>\r\n";
        assert!(text.contains(own), "{text}");
        let rest = text.replace(own, "").to_lowercase();
        for canary in ["alice", "canary"] {
            assert!(!rest.contains(canary), "{privacy}: {text}");
        }
        assert!(header(sent.headers(), &HeaderName::Privacy).contains("id"), "{text}");
        assert_eq!(header(sent.headers(), &HeaderName::UserAgent), "CPM-client/OMA2.1");
        assert!(body_of(&sent).starts_with("From: <sip:anonymous@anonymous.invalid>\r\n"), "{text}");
        bench.datagram(answer(&sent, "200 OK", "b", "", ""));
        let back = bench.response();
        assert_eq!(header(back.headers(), &HeaderName::From), format!("{};tag=a1", &named[6..]));
        bench.rest();
    }
}

/// The ids of a conversation arrive as they were sent, whatever else is written (TS 5.3).
// req: 5.3-p3
#[test]
fn the_ids_of_a_conversation_are_nobodys_to_change() {
    let ids = "CONVERSATION-id: F81d4fae-7DEC-11d0-a765-00a0c91e6bf6\r\nContribution-ID:  odd(word)\r\nInReplyTo-Contribution-ID: \tx \r\n";
    let standing = "Conversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6\r\nContribution-ID: abcdef00-1234-4678-90ab-cdef01234567\r\n";
    for more in ["", "Privacy: id\n"] {
        let mut bench = Bench::new();
        bench.datagram(sent_by_alice(more, &cpim(TEXT)).replace(standing, ids));
        let text = String::from_utf8(bench.octets[0].1.to_vec()).unwrap();
        for line in ids.split_inclusive("\r\n") {
            assert!(text.contains(line), "{text}");
        }
    }
}

/// The sender's own notifications go the same way (TS 8.2.4).
// req: 8.2.4-p1
#[test]
fn own_notifications_are_passed_on() {
    let imdn = "Content-Type: message/imdn+xml\nContent-Disposition: notification\n\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>x</message-id><datetime>2026-11-21T10:00:00Z</datetime><display-notification><status><displayed/></status></display-notification></imdn>";
    let policy = Policy { recording: Recording::Always, ..Policy::default() };
    let mut bench = with_policy(policy);
    bench.datagram(sent_by_alice("", &cpim(imdn)));
    let sent = bench.request();
    assert_eq!(body_of(&sent), stamped(&cpim(imdn), "1970-01-01T00:00:00Z"));
    bench.datagram(answer(&sent, "200 OK", "b", "", ""));
    assert_eq!(bench.labels(), ["200 MESSAGE"]);
    bench.rest();
}
