use super::*;
use alloc::string::String;
use alloc::vec;
use cpm_sip::{Contact, HeaderName, HeaderText, TypedHeader, Uri};

fn contacts(texts: &[&str]) -> Vec<ContactAddr> {
    let read = |text: &&str| Contact::parse(text.as_bytes()).unwrap().as_addr().unwrap().clone();
    texts.iter().map(read).collect()
}

fn request(method: Method, fields: &[(HeaderName, &str)]) -> Request {
    let mut request = Request::new(method, Uri::parse("sip:user@example.com").unwrap());
    for (name, value) in fields {
        request.headers_mut().push(name.clone(), HeaderText::new(value).unwrap());
    }
    request
}

/// The example of RFC 3841 §7.2.5, contacts and wishes as they stand there.
#[test]
fn the_example_of_the_rfc() {
    let contacts = contacts(&[
        "<sip:u1@h.example.com>;audio;video;methods=\"INVITE,BYE\";q=0.2",
        "<sip:u2@h.example.com>;audio=\"FALSE\";methods=\"INVITE\";actor=\"msg-taker\";q=0.2",
        "<sip:u3@h.example.com>;audio;actor=\"msg-taker\";methods=\"INVITE\";video;q=0.3",
        "<sip:u4@h.example.com>;audio;methods=\"INVITE,OPTIONS\";q=0.2",
        "<sip:u5@h.example.com>;q=0.5",
    ]);
    let wishes = [
        (HeaderName::RejectContact, "*;actor=\"msg-taker\";video"),
        (HeaderName::AcceptContact, "*;audio;require"),
        (HeaderName::AcceptContact, "*;video;explicit"),
        (HeaderName::AcceptContact, "*;methods=\"BYE\";class=\"business\";q=1.0"),
    ];
    let found = targets(&request(Method::Invite, &wishes), &contacts).unwrap();
    assert_eq!(found.groups, [vec![4], vec![0], vec![3]]);
    assert_eq!(found.disposition, Disposition::DEFAULT);
}

#[test]
fn directives_decide_on_the_groups() {
    let contacts = contacts(&["<sip:a@x>;q=0.1", "<sip:b@x>", "<sip:c@x>;q=1", "<sip:d@x>;q=0.5"]);
    let of = |directives: &[&str]| {
        let fields: Vec<_> = directives.iter().map(|d| (HeaderName::RequestDisposition, *d)).collect();
        targets(&request(Method::Invite, &fields), &contacts).unwrap()
    };
    assert_eq!(of(&[]).groups, [vec![1, 2], vec![3], vec![0]]);
    assert_eq!(of(&["parallel"]).groups, [vec![1, 2, 3, 0]]);
    assert_eq!(of(&["Sequential"]).groups, [vec![1], vec![2], vec![3], vec![0]]);
    assert_eq!(of(&["no-fork, parallel"]).groups, [vec![1]]);
    assert_eq!(of(&["sequential", "parallel"]).groups.len(), 4, "the first of two counts");
    let all = of(&["redirect, no-cancel, no-fork, no-recurse, queue"]).disposition;
    let expected = Disposition {
        redirect: true,
        cancel: false,
        fork: false,
        recurse: false,
        parallel: None,
        queue: true,
    };
    assert_eq!(all, expected);
    assert_eq!(of(&["proxy, cancel, fork, recurse, no-queue, unheard-of"]).disposition, Disposition::DEFAULT);
    let none = targets(&request(Method::Invite, &[]), &[]).unwrap();
    assert!(none.groups.is_empty());
}

/// RFC 3841 §7.2.2, §7.2.4: what a request implies leaves out, unless it left out everybody.
#[test]
fn method_and_package_are_implied() {
    let can = contacts(&[
        "<sip:a@x>;methods=\"INVITE\";events=\"presence\"",
        "<sip:b@x>;methods=\"MESSAGE,SUBSCRIBE\";events=\"conference\"",
        "<sip:c@x>",
    ]);
    let groups = |request: &Request, contacts: &[ContactAddr]| targets(request, contacts).unwrap().groups;
    assert_eq!(groups(&request(Method::Message, &[]), &can), [vec![1, 2]]);
    assert_eq!(groups(&request(Method::Invite, &[]), &can), [vec![0, 2]]);
    let subscribe = |package| request(Method::Subscribe, &[(HeaderName::Event, package)]);
    assert_eq!(groups(&subscribe("conference"), &can), [vec![1, 2]]);
    assert_eq!(groups(&subscribe("presence"), &can), [vec![2]]);
    assert_eq!(groups(&subscribe("presence"), can.get(1..2).unwrap()), [vec![0]], "405 or 489 says more");
    // Explicit wishes take the place of what is implied, and may leave nobody.
    let wish = [(HeaderName::AcceptContact, "*;methods=\"MESSAGE\";require")];
    assert_eq!(groups(&request(Method::Invite, &wish), &can), [vec![1, 2]]);
    assert!(groups(&request(Method::Invite, &wish), can.get(..1).unwrap()).is_empty());
}

/// TS 6.1.2 and readings C9: one device of several, named by its instance.
#[test]
fn one_device_is_aimed_at() {
    let can = contacts(&[
        "<sip:a@x>;+sip.instance=\"<urn:uuid:1>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"",
        "<sip:b@x>;+sip.instance=\"<urn:uuid:2>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"",
    ]);
    let wishes = [
        (HeaderName::AcceptContact, "*;+sip.instance=\"<urn:uuid:2>\";require;explicit"),
        (
            HeaderName::AcceptContact,
            "*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\";require;explicit",
        ),
    ];
    assert_eq!(targets(&request(Method::Message, &wishes), &can).unwrap().groups, [vec![1]]);
}

#[test]
fn unreadable_wishes_are_an_error() {
    for (name, value) in [
        (HeaderName::AcceptContact, "sip:x"),
        (HeaderName::RejectContact, "audio"),
        (HeaderName::RequestDisposition, "not a token"),
    ] {
        let error = targets(&request(Method::Invite, &[(name.clone(), value)]), &[]).unwrap_err();
        assert!(matches!(error, HeaderError::Malformed { header, .. } if header == name.as_str()));
    }
}

proptest::proptest! {
    /// Every contact stands at most once; a better `q` never stands behind a worse one.
    #[test]
    fn order_follows_q(qs in proptest::collection::vec((0u16..=1000, 0u8..4), 0..20), wish in 0u8..4) {
        let feature = |n: u8| ["", ";audio", ";video", ";audio;video"][usize::from(n)];
        let texts: Vec<String> = qs
            .iter()
            .map(|(q, f)| alloc::format!("<sip:a@x>;q={}.{:03}{}", q / 1000, q % 1000, feature(*f)))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let wish = alloc::format!("*{};q=1", feature(wish));
        let request = request(Method::Invite, &[(HeaderName::AcceptContact, wish.as_str())]);
        let order: Vec<usize> = targets(&request, &contacts(&texts)).unwrap().groups.concat();
        let mut once = order.clone();
        once.sort_unstable();
        once.dedup();
        proptest::prop_assert_eq!(once.len(), order.len());
        proptest::prop_assert!(order.is_sorted_by_key(|index| core::cmp::Reverse(qs[*index].0)));
    }
}
