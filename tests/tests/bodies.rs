//! Hostile bodies: what they cost, and that they end in a value or an error. Costs are counted in allocations and octets
//! allocated, never in time.

use allocation_counter::measure;
use bytes::Bytes;
use cpm_cpim::{CpimError, CpimHead, CpimMessage, HeadReader, Leniency};
use cpm_xml::conference_info::{self, ConferenceInfo, Merged, Notifier, State, StateLimits, User, Users};
use cpm_xml::{Document, XmlError};

/// Limits that let hostile documents grow as far as the test wants them to.
fn open_xml() -> cpm_xml::Limits {
    cpm_xml::Limits {
        max_bytes: 4 << 20,
        max_depth: 60_000,
        max_attrs: 1 << 20,
        max_ns: 1 << 20,
        ..cpm_xml::Limits::default()
    }
}

fn open_cpim() -> cpm_cpim::Limits {
    cpm_cpim::Limits {
        max_headers: 1 << 20,
        max_header_bytes: 4 << 20,
        max_route: 1 << 20,
        ..cpm_cpim::Limits::default()
    }
}

/// A name, and a body of about so many octets.
type Family = (&'static str, fn(usize) -> String);

/// Allocations and octets of a run.
fn cost(run: impl FnOnce()) -> [u64; 2] {
    let counted = measure(run);
    [counted.count_total, counted.bytes_total]
}

/// Asserts that twice as much costs 2.2 times as much at the most, from 1 KiB on; to the largest size with `CPM_LONG` set,
/// to an eighth of it without.
fn linear(name: &str, largest: usize, run: impl Fn(usize)) {
    let largest = if std::env::var_os("CPM_LONG").is_some() { largest } else { largest / 8 };
    let mut size = 1 << 10;
    let mut before = cost(|| run(size));
    while size < largest {
        size *= 2;
        let now = cost(|| run(size));
        for (now, before) in now.into_iter().zip(before) {
            // What does not depend on the size is not counted: a few allocations, a few hundred octets.
            let bound = before * 22 / 10 + 512;
            assert!(now <= bound, "{name} of {size}: {now} after {before}");
        }
        before = now;
    }
}

const IMDN: &str = "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>1</message-id><datetime>2026-11-21T10:00:00Z</datetime>\
    <delivery-notification><status><delivered/></status></delivery-notification>";

/// Threats A6, A11, A13, A18: documents that are all nesting, attributes, namespaces, text, references, comments.
#[test]
fn hostile_documents_cost_as_much_as_they_are_long() {
    let families: [Family; 11] = [
        ("nesting", |n| "<a>".repeat(n / 7) + &"</a>".repeat(n / 7)),
        ("siblings", |n| "<a/>".repeat(n / 4)),
        ("attributes", |n| {
            format!("<a{}/>", (0..n / 10).map(|i| format!(" b{i:06}=''")).collect::<String>())
        }),
        ("declarations", |n| {
            format!("<a{}/>", (0..n / 20).map(|i| format!(" xmlns:b{i:06}='u{i:06}'")).collect::<String>())
        }),
        ("declarations one inside the other", |n| {
            let count = n / 30;
            (0..count).map(|i| format!("<a xmlns:b{i:06}='u'>")).collect::<String>() + &"</a>".repeat(count)
        }),
        ("names", |n| (0..n / 12).map(|i| format!("<a{i:09}/>")).collect()),
        ("text", |n| "x".repeat(n)),
        ("entities", |n| "&amp;".repeat(n / 5)),
        ("character references", |n| "&#65;".repeat(n / 5)),
        ("comments", |n| "<!---->".repeat(n / 7)),
        ("character data", |n| "<![CDATA[]]>".repeat(n / 12)),
    ];
    for (name, family) in families {
        let largest = if name.contains("nest") || name.contains("inside") { 1 << 18 } else { 1 << 20 };
        linear(name, largest, |size| {
            let imdn = format!("{IMDN}{}</imdn>", family(size));
            let lists = format!(
                "<resource-lists xmlns='urn:ietf:params:xml:ns:resource-lists'>{}</resource-lists>",
                family(size)
            );
            // Some of them are refused; that costs no more either.
            let _ = Document::parse(imdn.as_bytes(), &open_xml());
            let _ = Document::parse(lists.as_bytes(), &open_xml());
        });
    }
}

/// The same under the limits that are in force by default: refused, and at the price of what is looked at.
#[test]
fn limits_are_met_before_what_they_guard_is_allocated() {
    let cases = [
        ("xml.max_depth", format!("{IMDN}{}", "<a>".repeat(20_000))),
        (
            "xml.max_attrs",
            format!("{IMDN}<a{}/></imdn>", (0..5_000).map(|i| format!(" b{i}=''")).collect::<String>()),
        ),
        (
            "xml.max_ns",
            format!(
                "{IMDN}<a{}/></imdn>",
                (0..2_000).map(|i| format!(" xmlns:b{i}='u'")).collect::<String>()
            ),
        ),
        ("xml.max_bytes", format!("{IMDN}{}</imdn>", "x".repeat(70_000))),
    ];
    for (limit, document) in cases {
        let mut read = None;
        let [_, octets] =
            cost(|| read = Some(Document::parse(document.as_bytes(), &cpm_xml::Limits::default())));
        assert!(matches!(read, Some(Err(XmlError::Limit(l))) if l.limit == limit), "{limit}: {read:?}");
        assert!(octets < 40_000, "{limit}: {octets} octets");
    }
}

/// Threat A12: nothing grows, nothing is fetched.
#[test]
fn entities_do_not_multiply() {
    let mut bomb = String::from("<?xml version=\"1.0\"?><!DOCTYPE imdn [<!ENTITY a0 \"ha\">");
    for i in 1..30 {
        bomb.push_str(&format!("<!ENTITY a{i} \"&a{};&a{};\">", i - 1, i - 1));
    }
    bomb.push_str("]><imdn>&a29;</imdn>");
    let external = "<!DOCTYPE imdn SYSTEM \"file:///etc/passwd\"><imdn>&x;</imdn>";
    for document in [&bomb, external] {
        let mut read = None;
        let [_, octets] =
            cost(|| read = Some(Document::parse(document.as_bytes(), &cpm_xml::Limits::default())));
        assert_eq!(read, Some(Err(XmlError::DocumentType)));
        assert!(octets < 65_536, "{octets}");
    }
    assert_eq!(
        Document::parse(b"<imdn>&a29;</imdn>", &cpm_xml::Limits::default()),
        Err(XmlError::Malformed("text outside of an element that may hold some")).or(Err(XmlError::Entity))
    );
}

/// Threats A6, A8, A11, A14, A18: heads that are all fields, prefixes, escapes, lists, blank lines, however they are cut.
#[test]
fn hostile_cpim_costs_as_much_as_it_is_long() {
    let families: [Family; 9] = [
        ("fields", |n| "A: b\r\n".repeat(n / 6)),
        ("one field", |n| format!("A: {}\r\n", "b".repeat(n))),
        ("declarations", |n| (0..n / 20).map(|i| format!("NS: p{i:06} <urn:x>\r\n")).collect()),
        ("recipients", |n| "To: <im:a@x>\r\n".repeat(n / 14)),
        ("escapes", |n| format!("Subject: {}\r\n", "\\u00e4".repeat(n / 6))),
        ("quoted escapes", |n| format!("From: \"{}\"<im:a@x>\r\n", "\\\\".repeat(n / 2))),
        ("parameters", |n| format!("Subject:{} x\r\n", ";a=\"b\"".repeat(n / 6))),
        ("dispositions", |n| {
            format!(
                "NS: i <urn:ietf:params:imdn>\r\ni.Disposition-Notification: {}\r\n",
                "x,".repeat(n / 2) + "x"
            )
        }),
        ("routes", |n| {
            format!("NS: i <urn:ietf:params:imdn>\r\n{}", "i.IMDN-Route: <im:a@x>\r\n".repeat(n / 24))
        }),
    ];
    for (name, family) in families {
        linear(name, 1 << 19, |size| {
            let text = format!("{}\r\nContent-Type: text/plain\r\n\r\n", family(size));
            let (message, _) =
                CpimMessage::parse(Bytes::from(text), &open_cpim(), &Leniency::default()).expect(name);
            let _ = (
                message.from(),
                message.to(),
                message.subjects(),
                message.disposition_notification(),
                message.route(),
            );
            let _ = message.to_bytes();
        });
    }
    linear("blank lines, octet by octet", 1 << 17, |size| {
        let text = "To: <im:a@x>\r\n\r\n".repeat(size / 16);
        let mut reader = HeadReader::new(open_cpim(), Leniency::field());
        for octet in text.as_bytes() {
            assert!(reader.push(&[*octet]).expect("nothing is wrong").is_none());
        }
        assert_eq!(reader.finish().expect("a head").headers().len(), size / 16);
    });
    linear("messages inside messages", 1 << 19, |size| {
        let text = "From: <im:a@x>\r\n\r\nContent-Type: message/cpim\r\n\r\n".repeat(size / 48);
        let read = CpimMessage::parse(Bytes::from(text), &open_cpim(), &Leniency::default());
        assert!(matches!(read, Err(CpimError::Limit(limit)) if limit.limit == "cpim.depth"));
    });
}

/// Threats A9, A16, B3: each control character, and octets that are no UTF-8, at each place of a head and of a document.
#[test]
fn what_is_no_text_is_refused_wherever_it_stands() {
    let head = "From: \"A, B\"<im:a@x>\r\nNS: i <urn:ietf:params:imdn>\r\ni.Message-ID: 1\r\nSubject:;lang=en Hi\r\n\r\n";
    let document = format!("<?xml version=\"1.0\"?>{IMDN}<a b='c'>d</a></imdn>");
    let mut hostile: Vec<Vec<u8>> = (0..0x20).chain([0x7f]).map(|octet| vec![octet]).collect();
    hostile.extend([
        vec![0x80],
        vec![0xc0, 0x80],
        vec![0xc3],
        vec![0xe2, 0x82],
        vec![0xed, 0xa0, 0x80],
        vec![0xf0, 0x9f, 0x98],
        vec![0xf4, 0x90, 0x80, 0x80],
        vec![0xff],
    ]);
    for piece in &hostile {
        for at in 0..head.len() {
            let mut octets = head.as_bytes().to_vec();
            octets.splice(at..at, piece.iter().copied());
            octets.extend_from_slice(b"Content-Type: a/b\r\n\r\n");
            for leniency in [Leniency::default(), Leniency::field()] {
                let read =
                    CpimHead::parse(Bytes::from(octets.clone()), &cpm_cpim::Limits::default(), &leniency);
                // Behind the last line end of the head it is content already.
                let content = at == head.len() || (at + 1 == head.len() && piece == b"\n");
                assert!(read.is_err() || content, "{piece:?} at {at}");
            }
        }
        for at in 0..document.len() {
            let mut octets = document.clone().into_bytes();
            octets.splice(at..at, piece.iter().copied());
            let read = Document::parse(&octets, &cpm_xml::Limits::default());
            // XML counts these among its characters, and DEL.
            let may_stand = matches!(piece[..], [b'\t' | b'\n' | b'\r' | 0x7f]);
            assert!(read.is_err() || may_stand, "{piece:?} at {at}");
        }
    }
}

fn group(members: usize) -> ConferenceInfo {
    let user = |number| User {
        entity: format!("sip:user{number:05}@example.com"),
        display_text: Some(format!("User {number}")),
        ..User::default()
    };
    ConferenceInfo {
        entity: String::from("sip:group@example.com"),
        description: Some(conference_info::Description::default()),
        users: Some(Users { state: State::Full, users: (0..members).map(user).collect() }),
        ..ConferenceInfo::default()
    }
}

/// Threats F5, A13: a group of 10,000 under raised limits. Who knows it once hears of changes in documents that do not grow
/// with it; and everything costs as much as there are members.
#[test]
fn a_group_of_ten_thousand() {
    let limits = StateLimits { max_users: 10_001, max_state_bytes: 16 << 20 };
    let mut state = group(10_000);
    let (mut notifier, mut merged) = (Notifier::new(), Merged::new(limits));
    let full = conference_info::write(&notifier.notify(&state).expect("the first"));
    assert!(full.len() > 65_536);
    assert!(conference_info::parse(full.as_bytes(), &cpm_xml::Limits::default()).is_err());
    merged
        .apply(conference_info::parse(full.as_bytes(), &open_xml()).expect("a document"))
        .expect("in the limits");
    for round in 0..3 {
        let users = &mut state.users.as_mut().expect("users").users;
        users.remove(round * 1_000);
        users.push(User { entity: format!("sip:zz{round}@example.com"), ..User::default() });
        let document = notifier.notify(&state).expect("a change");
        assert_eq!(document.state, State::Partial);
        let wire = conference_info::write(&document);
        assert!(wire.len() < 1_000, "{}", wire.len());
        let heard = conference_info::parse(wire.as_bytes(), &cpm_xml::Limits::default()).expect("a document");
        assert_eq!(merged.apply(heard), Ok(conference_info::Applied::Changed));
    }
    let known: Vec<&str> = merged.users().map(|user| user.entity.as_str()).collect();
    let mut expected: Vec<&str> =
        state.users.iter().flat_map(|users| &users.users).map(|user| user.entity.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(known, expected);
    let crowd = conference_info::parse(
        conference_info::write(&notifier.notify(&group(10_002)).expect("a change")).as_bytes(),
        &open_xml(),
    );
    let refused = merged.apply(crowd.expect("a document")).expect_err("too many");
    assert_eq!(refused.limit, "conference.max_users");

    linear("members", 1 << 14, |members| {
        let (mut notifier, mut merged) =
            (Notifier::new(), Merged::new(StateLimits { max_users: 1 << 20, max_state_bytes: 1 << 30 }));
        let mut state = group(members);
        for _ in 0..2 {
            let wire = conference_info::write(&notifier.notify(&state).expect("a change"));
            merged
                .apply(conference_info::parse(wire.as_bytes(), &open_xml()).expect("a document"))
                .expect("in the limits");
            state
                .users
                .iter_mut()
                .flat_map(|users| &mut users.users)
                .for_each(|user| user.your_own = Some(true));
        }
    });
    // One change among many costs a subscription no copy of those who did not change.
    let mut state = group(10_000);
    let mut notifier = Notifier::new();
    notifier.notify(&state);
    state.users.as_mut().expect("users").users[7].display_text = None;
    let [allocations, _] = cost(|| drop(notifier.notify(&state)));
    assert!(allocations < 2_500, "{allocations}");
}
