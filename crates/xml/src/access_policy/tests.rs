use super::*;
use crate::ruleset::{Conditions, Context, Identity};
use cpm_base::DateTime;

fn read(text: &str) -> Result<Ruleset, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| String::from(*word)).collect())
}

#[test]
fn a_document_is_known_both_ways() {
    let conditions = Conditions {
        identity: Some(vec![
            Identity::One(String::from("tel:+1")),
            Identity::Many {
                domain: Some(String::from("example.com")),
                except_ids: vec![String::from("sip:a@example.com")],
                except_domains: vec![String::from("b.example.com")],
            },
        ]),
        services: words(&[ENABLER]),
        media: words(&["standalone-message"]),
        profiles: words(&["at work"]),
        validity: Some(vec![(String::from("2026-01-01T00:00:00Z"), String::from("2027-01-01T00:00:00Z"))]),
        ..Conditions::default()
    };
    let rule = Rule { id: String::from("r1"), conditions, actions: Vec::new() }
        .with_wish(Wish::Forward)
        .with_action("forward-to", "sip:c@example.com")
        .with_action("max-file-transfer-size", "1000")
        .with_action("expired", "store");
    let policy = Ruleset { rules: vec![rule] };
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<cr:ruleset \
        xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns:oma=\"urn:oma:xml:xdm:common-policy\">\
        <cr:rule id=\"r1\"><cr:conditions><cr:identity><cr:one id=\"tel:+1\"/><cr:many domain=\"example.com\">\
        <cr:except domain=\"b.example.com\"/><cr:except id=\"sip:a@example.com\"/></cr:many></cr:identity>\
        <oma:service-list><oma:service enabler=\"CPM\"/></oma:service-list>\
        <oma:media-list><standalone-message/></oma:media-list><oma:upp-list><oma:upp>at work</oma:upp></oma:upp-list>\
        <cr:validity><cr:from>2026-01-01T00:00:00Z</cr:from><cr:until>2027-01-01T00:00:00Z</cr:until></cr:validity>\
        </cr:conditions><cr:actions><oma:allow-forward>true</oma:allow-forward>\
        <oma:forward-to>sip:c@example.com</oma:forward-to>\
        <oma:max-file-transfer-size>1000</oma:max-file-transfer-size><oma:expired>store</oma:expired></cr:actions>\
        </cr:rule></cr:ruleset>";
    assert_eq!(write(&policy), text);
    let back = read(text).unwrap();
    assert_eq!(back, policy);
    let rule = back.rules.first().unwrap();
    assert!(rule.wishes(Wish::Forward) && !rule.wishes(Wish::Store));
    assert_eq!(rule.forward_to(), Some("sip:c@example.com"));
    assert_eq!(rule.max_file_transfer_size(), Some(1_000));
    assert_eq!(rule.expired(), Some(Expired::Store));
}

#[test]
fn every_wish_is_known_both_ways() {
    for wish in Wish::ALL {
        let policy = Ruleset { rules: vec![Rule::default().with_wish(wish)] };
        let back = read(&write(&policy)).unwrap();
        let wishes: Vec<_> =
            Wish::ALL.into_iter().filter(|known| back.rules.first().unwrap().wishes(*known)).collect();
        assert_eq!(wishes, [wish]);
    }
}

#[test]
fn a_size_of_zero_is_none_and_a_word_that_is_none_says_nothing() {
    let rule = |name: &str, value: &str| Rule::default().with_action(name, value);
    assert_eq!(rule("max-file-transfer-size", "0").max_file_transfer_size(), None);
    assert_eq!(rule("max-file-transfer-size", "big").max_file_transfer_size(), None);
    assert_eq!(rule("expired", "discard").expired(), Some(Expired::Discard));
    assert_eq!(rule("expired", "burn").expired(), None);
    assert!(!rule("allow-store", "false").wishes(Wish::Store));
}

/// A rule with a condition that nobody knows never holds, and is not written without it.
#[test]
fn a_condition_that_is_not_known_never_holds() {
    let text = "<cr:ruleset xmlns:cr='urn:ietf:params:xml:ns:common-policy'><cr:rule id='1'><cr:conditions>\
        <cr:sphere value='home'/></cr:conditions><cr:actions><allow-store xmlns='urn:x'>true</allow-store></cr:actions>\
        </cr:rule></cr:ruleset>";
    let policy = read(text).unwrap();
    let context = Context {
        enabler: ENABLER,
        media: &[],
        identities: &[],
        profile: None,
        now: DateTime::UNIX_EPOCH,
        member: false,
    };
    assert!(policy.rules.first().unwrap().wishes(Wish::Store));
    assert!(policy.matching(&context).is_empty());
    assert!(read(&write(&policy)).unwrap().rules.is_empty());
}

#[test]
fn faults_are_named() {
    let inside =
        |text: &str| read(&format!("<ruleset xmlns='urn:ietf:params:xml:ns:common-policy'>{text}</ruleset>"));
    assert_eq!(inside("<rule/>"), Err(XmlError::Missing("id")));
    let identity = "<rule id='1'><conditions><identity><one/></identity></conditions></rule>";
    assert_eq!(inside(identity), Err(XmlError::Missing("id")));
    assert_eq!(read("<ruleset/>"), Err(XmlError::WrongRoot));
}
