use super::*;
use crate::{Limits, XmlError};
use proptest::prelude::*;

fn read(text: &str) -> Result<ConferenceInfo, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

fn some(text: &str) -> Option<String> {
    Some(String::from(text))
}

fn whole() -> ConferenceInfo {
    let description = Description {
        subject: some("Lunch & tea"),
        keywords: vec![String::from("food")],
        maximum_user_count: Some(100),
        conf_uris: Some(Uris {
            entries: vec![UriEntry {
                uri: String::from("sip:g@example.com"),
                display_text: None,
                purpose: some("participation"),
                modified: None,
            }],
            ..Uris::default()
        }),
        available_media: vec![AvailableMedia {
            label: String::from("1"),
            display_text: None,
            kind: String::from("message"),
            status: some("sendrecv"),
        }],
        subject_ext: Some(SubjectExt {
            participant: String::from("tel:+1"),
            timestamp: String::from("2026-11-21T10:00:00Z"),
        }),
        icon: Some(GroupIcon {
            source: Icon::ContentId(String::from("cid:i@x")),
            participant: String::from("tel:+2"),
            timestamp: String::from("2026-11-21T11:00:00Z"),
        }),
        ..Description::default()
    };
    let endpoint = Endpoint {
        entity: String::from("sip:a@example.com;gr=1"),
        status: Some(EndpointStatus::Disconnected),
        joining_method: Some(JoiningMethod::DialedOut),
        disconnection_method: Some(DisconnectionMethod::Booted),
        disconnection_info: Some(Execution {
            reason: some("SIP;cause=410;text=\"Gone\""),
            ..Execution::default()
        }),
        media: vec![Media { id: String::from("1"), kind: some("message"), ..Media::default() }],
        call_info: Some(SipDialog {
            display_text: None,
            call_id: String::from("c"),
            from_tag: String::from("f"),
            to_tag: String::from("t"),
        }),
        ..Endpoint::default()
    };
    let user = User {
        entity: String::from("sip:a@example.com"),
        your_own: Some(true),
        display_text: some("Al"),
        roles: vec![String::from(ADMINISTRATOR)],
        languages: vec![String::from("en"), String::from("de")],
        endpoints: vec![endpoint],
        ..User::default()
    };
    ConferenceInfo {
        entity: String::from("sip:g@example.com"),
        version: Some(1),
        description: Some(description.with_removal_policy(RemovalPolicy::Administrator)),
        host: Some(HostInfo { web_page: some("http://example.com/"), ..HostInfo::default() }),
        conference_state: Some(ConferenceState {
            user_count: Some(1),
            active: Some(true),
            locked: Some(false),
        }),
        users: Some(Users { users: vec![user], ..Users::default() }),
        ..ConferenceInfo::default()
    }
}

// req: P.2-ns, P.2-icon, P.2-subject-ext, P.2-p1, Q.1.1-p3, Q.1.1-p4, Q.1.1-abnf
#[test]
fn a_document_is_known_both_ways() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
        <conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
        xmlns:cpm=\"urn:oma:xml:cpm:conference-info:1.0\" entity=\"sip:g@example.com\" state=\"full\" version=\"1\">\
        <conference-description><subject>Lunch &amp; tea</subject><keywords>food rem-administrator</keywords>\
        <conf-uris><entry><uri>sip:g@example.com</uri><purpose>participation</purpose></entry></conf-uris>\
        <maximum-user-count>100</maximum-user-count>\
        <available-media><entry label=\"1\"><type>message</type><status>sendrecv</status></entry></available-media>\
        <cpm:subject-ext><cpm:participant>tel:+1</cpm:participant>\
        <cpm:timestamp>2026-11-21T10:00:00Z</cpm:timestamp></cpm:subject-ext>\
        <cpm:icon><cpm:source><cpm:file-info>cid:i@x</cpm:file-info></cpm:source>\
        <cpm:participant>tel:+2</cpm:participant><cpm:timestamp>2026-11-21T11:00:00Z</cpm:timestamp></cpm:icon>\
        </conference-description><host-info><web-page>http://example.com/</web-page></host-info>\
        <conference-state><user-count>1</user-count><active>true</active><locked>false</locked></conference-state>\
        <users><user entity=\"sip:a@example.com\" yourown=\"true\"><display-text>Al</display-text>\
        <roles><entry>Administrator</entry></roles><languages>en de</languages>\
        <endpoint entity=\"sip:a@example.com;gr=1\"><status>disconnected</status>\
        <joining-method>dialed-out</joining-method><disconnection-method>booted</disconnection-method>\
        <disconnection-info><reason>SIP;cause=410;text=&quot;Gone&quot;</reason></disconnection-info>\
        <media id=\"1\"><type>message</type></media><call-info><sip><call-id>c</call-id><from-tag>f</from-tag>\
        <to-tag>t</to-tag></sip></call-info></endpoint></user></users></conference-info>";
    assert_eq!(write(&whole()), text);
    assert_eq!(read(text), Ok(whole()));
}

// req: Q.1-p2, Q.1.1-1, Q.1.1-p5
#[test]
fn keywords_say_who_may_remove() {
    let with = |keywords: &str| {
        let text = format!(
            "<conference-info xmlns='{NAMESPACE}' entity='e'><conference-description><keywords>{keywords}</keywords>\
             </conference-description></conference-info>"
        );
        read(&text).unwrap().description.unwrap().removal_policy()
    };
    assert_eq!(with(""), RemovalPolicy::All);
    assert_eq!(with("a rem-all"), RemovalPolicy::All);
    assert_eq!(with("a rem-administrator\n b"), RemovalPolicy::Administrator);
    assert_eq!(with("rem-nobody"), RemovalPolicy::Nobody);
    assert_eq!(with("rem-somebody"), RemovalPolicy::All);
    let description = Description::default().with_removal_policy(RemovalPolicy::Nobody);
    assert_eq!(description.with_removal_policy(RemovalPolicy::All).keywords, ["rem-all"]);
}

// req: Q.1.2-p3, Q.1.2-admin-a
#[test]
fn roles_are_read_in_each_form() {
    for roles in [
        "<entry>Administrator</entry><entry>Guest</entry>",
        "Administrator, Guest",
        "<entry>Administrator,Guest</entry>",
    ] {
        let text = format!(
            "<conference-info xmlns='{NAMESPACE}' entity='e'><users><user entity='u' x:yourown='1' xmlns:x='urn:x'>\
             <roles>{roles}</roles></user></users></conference-info>"
        );
        let user = read(&text).unwrap().users.unwrap().users.pop().unwrap();
        assert_eq!(user.roles, ["Administrator", "Guest"], "{roles}");
        assert!(user.is_administrator());
        assert_eq!(user.your_own, Some(true));
    }
    let guest = User { roles: vec![String::from("administrator")], ..User::default() };
    assert!(!guest.is_administrator());
}

#[test]
fn faults_are_named() {
    let inside = |text: &str| {
        read(&format!("<conference-info xmlns='{NAMESPACE}' entity='e'>{text}</conference-info>"))
    };
    let attributes = |text: &str| read(&format!("<conference-info xmlns='{NAMESPACE}' {text}/>"));
    assert_eq!(attributes(""), Err(XmlError::Missing("entity")));
    assert_eq!(attributes("entity='e' state='half'"), Err(XmlError::Value("state")));
    assert_eq!(attributes("entity='e' version='4294967296'"), Err(XmlError::Value("version")));
    assert_eq!(inside("<users/><users/>"), Err(XmlError::Repeated("users")));
    assert_eq!(inside("<users><user/></users>"), Err(XmlError::Missing("entity")));
    assert_eq!(
        inside("<users><user entity='a'/><user entity='a'/></users>"),
        Err(XmlError::Repeated("user"))
    );
    assert_eq!(inside("<users><user entity='a' yourown='me'/></users>"), Err(XmlError::Value("yourown")));
    let user = |text: &str| inside(&format!("<users><user entity='a'>{text}</user></users>"));
    assert_eq!(user("<endpoint entity='x'/><endpoint entity='x'/>"), Err(XmlError::Repeated("endpoint")));
    assert_eq!(user("<endpoint><media/></endpoint>"), Err(XmlError::Missing("id")));
    assert_eq!(
        inside("<conference-state><active>yes</active></conference-state>"),
        Err(XmlError::Value("active"))
    );
    assert_eq!(read("<conference-info entity='e'/>"), Err(XmlError::WrongRoot));
}

fn user(entity: &str) -> User {
    User { entity: String::from(entity), display_text: some("x"), ..User::default() }
}

fn document(state: State, version: u32, users: Option<Users>) -> ConferenceInfo {
    ConferenceInfo {
        entity: String::from("sip:g@x"),
        state,
        version: Some(version),
        users,
        ..ConferenceInfo::default()
    }
}

fn entities(merged: &Merged) -> Vec<String> {
    merged.users().map(|user| user.entity.clone()).collect()
}

/// Threat D4: what is old or has a gap before it changes nothing.
#[test]
fn versions_decide_what_counts() {
    let partial = |version, entity: &str| {
        document(State::Partial, version, Some(Users { state: State::Partial, users: vec![user(entity)] }))
    };
    let mut merged = Merged::new(StateLimits::default());
    assert_eq!(merged.apply(partial(1, "a")), Ok(Applied::Gap));
    assert_eq!(merged.snapshot(), None);
    let full = document(State::Full, 5, Some(Users { state: State::Full, users: vec![user("a")] }));
    assert_eq!(merged.apply(full.clone()), Ok(Applied::Changed));
    assert_eq!(merged.apply(full), Ok(Applied::Ignored));
    assert_eq!(merged.apply(partial(5, "b")), Ok(Applied::Ignored));
    assert_eq!(merged.apply(partial(7, "b")), Ok(Applied::Gap));
    assert_eq!((entities(&merged), merged.version()), (vec![String::from("a")], Some(5)));
    assert_eq!(merged.apply(partial(6, "b")), Ok(Applied::Changed));
    assert_eq!(entities(&merged), ["a", "b"]);
    assert_eq!(merged.apply(document(State::Full, 9, None)), Ok(Applied::Changed));
    assert_eq!(merged.apply(document(State::Deleted, 10, None)), Ok(Applied::Ended));
    assert_eq!(merged.version(), None);
}

#[test]
fn a_partial_document_changes_what_it_names() {
    let mut merged = Merged::new(StateLimits::default());
    merged.apply(whole()).unwrap();
    let endpoint =
        |entity: &str, state| Endpoint { entity: String::from(entity), state, ..Endpoint::default() };
    let mut kept = endpoint("sip:a@example.com;gr=1", State::Partial);
    kept.status = Some(EndpointStatus::Connected);
    kept.media = vec![Media { id: String::from("1"), status: some("inactive"), ..Media::default() }];
    let update = User {
        entity: String::from("sip:a@example.com"),
        state: State::Partial,
        endpoints: vec![kept, endpoint("new", State::Full), endpoint("never", State::Deleted)],
        ..User::default()
    };
    let users = Users { state: State::Partial, users: vec![update, user("sip:b@example.com")] };
    assert_eq!(merged.apply(document(State::Partial, 2, Some(users))), Ok(Applied::Changed));
    let al = merged.user("sip:a@example.com").unwrap();
    assert_eq!((al.display_text.as_deref(), al.roles.len(), al.endpoints.len()), (Some("Al"), 1, 2));
    let first = al.endpoints.first().unwrap();
    assert_eq!(first.status, Some(EndpointStatus::Connected));
    assert_eq!(first.joining_method, Some(JoiningMethod::DialedOut));
    let media = first.media.first().unwrap();
    assert_eq!((media.kind.as_deref(), media.status.as_deref()), (Some("message"), Some("inactive")));
    assert!(merged.description().is_some());
    let gone = User { state: State::Deleted, ..user("sip:a@example.com") };
    let users = Users { state: State::Partial, users: vec![gone] };
    merged.apply(document(State::Partial, 3, Some(users))).unwrap();
    assert_eq!(entities(&merged), ["sip:b@example.com"]);
}

/// Threat F4, on the subscriber's side: a focus cannot make its subscriber hold more than the limits.
#[test]
fn the_state_is_bounded_and_stays_as_it_was() {
    let limits = StateLimits { max_users: 3, max_state_bytes: 1_000 };
    let mut merged = Merged::new(limits);
    let users =
        |state, names: &[&str]| Some(Users { state, users: names.iter().map(|name| user(name)).collect() });
    merged.apply(document(State::Full, 1, users(State::Full, &["a", "b"]))).unwrap();
    let before = merged.snapshot();
    let refused =
        merged.apply(document(State::Partial, 2, users(State::Partial, &["a", "c", "d"]))).unwrap_err();
    assert_eq!(refused.limit, "conference.max_users");
    assert!(merged.apply(document(State::Full, 2, users(State::Full, &["a", "b", "c", "d"]))).is_err());
    assert!(merged.apply(document(State::Partial, 2, users(State::Full, &["a", "b", "c", "d"]))).is_err());
    let long = "x".repeat(1_000);
    let refused = merged.apply(document(State::Partial, 2, users(State::Partial, &[&long]))).unwrap_err();
    assert_eq!(refused.limit, "conference.max_state_bytes");
    assert_eq!(merged.snapshot(), before);
    merged.apply(document(State::Partial, 2, users(State::Partial, &["c"]))).unwrap();
    assert_eq!(entities(&merged), ["a", "b", "c"]);
}

/// A state drawn at random from few names, so that histories meet.
fn states() -> impl Strategy<Value = ConferenceInfo> {
    let endpoint = ("[ab]", proptest::option::of("[xy]"), any::<bool>()).prop_map(
        |(entity, display_text, connected)| Endpoint {
            entity,
            display_text,
            status: connected.then_some(EndpointStatus::Connected),
            ..Endpoint::default()
        },
    );
    let endpoints = proptest::collection::vec(endpoint, 0..3).prop_map(|mut endpoints| {
        endpoints.sort_by(|a, b| a.entity.cmp(&b.entity));
        endpoints.dedup_by(|a, b| a.entity == b.entity);
        endpoints
    });
    let user = ("[a-h]", proptest::option::of("[xy]"), proptest::collection::vec("[A-C]", 0..2), endpoints)
        .prop_map(|(entity, display_text, roles, endpoints)| User {
            entity,
            display_text,
            roles,
            endpoints,
            ..User::default()
        });
    let users = proptest::collection::btree_map("[a-h]", user, 0..8).prop_map(|users| {
        let named = users.into_iter().map(|(entity, user)| User { entity, ..user });
        Users { state: State::Full, users: named.collect() }
    });
    let description = ("[xyz]", proptest::option::of("[xyz]")).prop_map(|(subject, free_text)| Description {
        subject: Some(subject),
        free_text,
        ..Description::default()
    });
    (description, users, proptest::option::of(0u32..9)).prop_map(|(description, users, count)| {
        ConferenceInfo {
            entity: String::from("sip:g@x"),
            description: Some(description),
            conference_state: count
                .map(|count| ConferenceState { user_count: Some(count), ..ConferenceState::default() }),
            users: Some(users),
            ..ConferenceInfo::default()
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(state in states()) {
        prop_assert_eq!(read(&write(&state)), Ok(state));
    }

    /// One subscriber hears every change; the documents go over the wire; it knows what the focus knows.
    #[test]
    fn a_subscriber_knows_what_the_focus_knows(history in proptest::collection::vec((states(), any::<bool>()), 1..20)) {
        let (mut notifier, mut merged) = (Notifier::new(), Merged::new(StateLimits::default()));
        for (state, over) in history {
            if over {
                notifier.start_over();
            }
            if let Some(document) = notifier.notify(&state) {
                let heard = read(&write(&document)).unwrap();
                prop_assert_eq!(merged.apply(heard), Ok(Applied::Changed));
            }
            let expected = ConferenceInfo { version: Some(notifier.version()), ..state };
            prop_assert_eq!(merged.snapshot(), Some(expected));
        }
        prop_assert_eq!(merged.apply(notifier.deleted("sip:g@x")), Ok(Applied::Ended));
    }
}

/// A long history of small changes ends in the state that one full document describes.
#[test]
fn a_thousand_partial_documents_amount_to_the_full_one() {
    let mut members: std::collections::BTreeMap<String, User> = std::collections::BTreeMap::new();
    let (mut notifier, mut merged) = (Notifier::new(), Merged::new(StateLimits::default()));
    let mut draw = 1u64;
    let mut state = ConferenceInfo::default();
    for _ in 0..1_000 {
        // A linear congruential generator: the same history every time.
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let entity = format!("sip:user{}@example.com", (draw >> 33) % 200);
        match (draw >> 60) % 4 {
            0 => drop(members.remove(&entity)),
            kind => {
                let user = members.entry(entity.clone()).or_insert_with(|| user(&entity));
                user.display_text = Some(format!("{kind}{}", draw >> 50));
            }
        }
        state = document(
            State::Full,
            0,
            Some(Users { state: State::Full, users: members.values().cloned().collect() }),
        );
        state.description = Some(Description::default());
        if let Some(document) = notifier.notify(&state) {
            let heard = read(&write(&document)).unwrap();
            assert_eq!(merged.apply(heard), Ok(Applied::Changed));
        }
    }
    let mut once = Merged::new(StateLimits::default());
    once.apply(ConferenceInfo { version: Some(notifier.version()), ..state }).unwrap();
    assert!(notifier.version() > 700);
    assert_eq!(merged.snapshot(), once.snapshot());
}
