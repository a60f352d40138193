use super::*;

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| String::from(*word)).collect())
}

fn rule(id: &str, conditions: Conditions) -> Rule {
    let action = Action { name: String::from("do"), value: String::from("true") };
    Rule { id: String::from(id), conditions, actions: vec![action] }
}

fn holds(conditions: &Conditions, context: &Context<'_>) -> bool {
    let ruleset = Ruleset { rules: vec![rule("1", conditions.clone())] };
    assert_eq!(ruleset.allows(context, "do"), !ruleset.matching(context).is_empty());
    ruleset.allows(context, "do")
}

fn context<'a>() -> Context<'a> {
    Context {
        enabler: "CPM",
        media: &["standalone-message"],
        identities: &["sip:a@example.com;x=1", "tel:+1"],
        profile: Some("work"),
        now: DateTime::parse("2026-11-21T10:00:00Z").unwrap(),
        member: false,
    }
}

#[test]
fn each_condition_decides() {
    let none = Conditions::default();
    assert!(holds(&none, &context()));
    let cases: [(Conditions, bool); 14] = [
        (Conditions { services: words(&["PoC", "CPM"]), ..none.clone() }, true),
        (Conditions { services: words(&["PoC"]), ..none.clone() }, false),
        (Conditions { services: words(&[]), ..none.clone() }, false),
        (Conditions { media: words(&["standalone-message"]), ..none.clone() }, true),
        (Conditions { media: words(&["deferred-messages"]), ..none.clone() }, false),
        (Conditions { profiles: words(&["home", "work"]), ..none.clone() }, true),
        (Conditions { profiles: words(&["home"]), ..none.clone() }, false),
        (Conditions { list_member: Some(true), ..none.clone() }, false),
        (Conditions { list_member: Some(false), ..none.clone() }, true),
        (Conditions { anonymous_request: true, ..none.clone() }, false),
        (Conditions { unknown: vec![String::from("sphere")], ..none.clone() }, false),
        (Conditions { identity: Some(vec![Identity::One(String::from("tel:+1"))]), ..none.clone() }, true),
        (Conditions { identity: Some(vec![Identity::One(String::from("tel:+2"))]), ..none.clone() }, false),
        (Conditions { identity: Some(Vec::new()), ..none }, false),
    ];
    for (conditions, expected) in cases {
        assert_eq!(holds(&conditions, &context()), expected, "{conditions:?}");
    }
    let nobody = Context { identities: &[], ..context() };
    assert!(holds(&Conditions { anonymous_request: true, ..Conditions::default() }, &nobody));
}

#[test]
fn domains_and_exceptions_decide() {
    let many = |domain: Option<&str>, ids: &[&str], domains: &[&str]| Conditions {
        identity: Some(vec![Identity::Many {
            domain: domain.map(String::from),
            except_ids: words(ids).unwrap(),
            except_domains: words(domains).unwrap(),
        }]),
        ..Conditions::default()
    };
    let sip = Context { identities: &["sip:a@Example.com;x=1"], ..context() };
    assert!(holds(&many(None, &[], &[]), &sip));
    assert!(holds(&many(Some("example.com"), &[], &[]), &sip));
    assert!(!holds(&many(Some("example.org"), &[], &[]), &sip));
    assert!(!holds(&many(None, &["sip:a@Example.com;x=1"], &[]), &sip));
    assert!(!holds(&many(None, &[], &["example.com"]), &sip));
    let tel = Context { identities: &["tel:+1"], ..context() };
    assert!(!holds(&many(Some("example.com"), &[], &[]), &tel));
    assert!(holds(&many(None, &[], &["example.com"]), &tel));
    // RFC 4745 §7.1: nobody is not everybody.
    assert!(!holds(&many(None, &[], &[]), &Context { identities: &[], ..context() }));
}

#[test]
fn time_decides() {
    let span = |from: &str, until: &str| Conditions {
        validity: Some(vec![(String::from(from), String::from(until))]),
        ..Conditions::default()
    };
    assert!(holds(&span("2026-11-21T10:00:00Z", "2026-11-21T10:00:01Z"), &context()));
    assert!(!holds(&span("2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z"), &context()));
    assert!(holds(&span("2026-11-21T11:30:00+02:00", "2026-11-21T12:30:00+02:00"), &context()));
    assert!(!holds(&span("", "2027-01-01T00:00:00Z"), &context()));
    assert!(!holds(&span("yesterday", "tomorrow"), &context()));
}

#[test]
fn the_others_are_those_whom_no_rule_names() {
    let one =
        Conditions { identity: Some(vec![Identity::One(String::from("tel:+1"))]), ..Conditions::default() };
    let other = Conditions { other_identity: true, ..Conditions::default() };
    let ruleset = Ruleset { rules: vec![rule("named", one), rule("others", other)] };
    let matching = |identities: &[&str]| {
        let context = Context { identities, ..context() };
        ruleset.matching(&context).into_iter().map(|rule| rule.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(matching(&["tel:+1"]), ["named"]);
    assert_eq!(matching(&["tel:+2"]), ["others"]);
    assert!(matching(&[]).is_empty());
}

#[test]
fn allow_is_true_and_nothing_else_is() {
    for (value, expected) in
        [("true", true), ("1", true), ("allow", true), ("false", false), ("block", false), ("", false)]
    {
        let rule = Rule {
            actions: vec![Action { name: String::from("do"), value: String::from(value) }],
            ..Rule::default()
        };
        assert_eq!(rule.allows("do"), expected, "{value}");
        assert!(!rule.allows("undo"));
    }
}
