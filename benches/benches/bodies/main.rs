//! CPIM, disposition notifications and conference-info, read and written; beside them a floor: for XML a bare pull of
//! quick-xml over the same octets, for CPIM a search for the ends of the lines and one copy.
//!
//! `cargo bench -p cpm-benches --bench bodies`. Every round times every contender once; figures are minima of one run.

#[path = "../race/mod.rs"]
mod race;

use bytes::Bytes;
use cpm_base::DateTime;
use cpm_cpim::{Address, CpimBuilder, CpimHead, CpimMessage, DispositionRequest, HeadReader, Leniency};
use cpm_mime::{ContentType, Part};
use cpm_xml::conference_info::{
    self, ConferenceInfo, Description, Endpoint, EndpointStatus, Merged, Notifier, State, StateLimits, User,
    Users,
};
use cpm_xml::imdn::{self, DeliveryStatus, Imdn, Notification};
use cpm_xml::{Limits, resource_lists};
use quick_xml::events::Event;
use race::{Contender, ROUNDS, print_table, race};
use std::hint::black_box;

fn main() {
    // `cargo test --benches` asks for a look only.
    let look = std::env::args().any(|argument| argument == "--test");
    let rounds = if look { 1 } else { ROUNDS };
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut tables = cpim();
    tables.extend(notification());
    for members in [100, 1_000] {
        tables.extend(group(members));
    }
    for (title, contenders) in tables {
        if title.contains(&wanted) {
            println!("\n{title}");
            print_table(&race(contenders, rounds));
        }
    }
}

type Table = (String, Vec<Contender>);

fn contender(name: &'static str, run: impl FnMut() + 'static) -> Contender {
    (name, Box::new(run))
}

fn message() -> CpimMessage {
    let text = ContentType::parse("text/plain; charset=utf-8").expect("a type");
    CpimBuilder::new(
        Address::new("sip:alice@example.com").with_display_name("Alice"),
        Address::new("sip:bob@example.com"),
    )
    .imdn_message_id("Afcc7d3a-34jk324j")
    .date_time(DateTime::parse("2026-11-21T10:00:00.250Z").expect("a date"))
    .disposition_notification(DispositionRequest {
        positive_delivery: true,
        display: true,
        ..Default::default()
    })
    .content(Part::new(&text, Bytes::from_static(b"Hello Bob, are you there?")))
    .build()
    .expect("a message")
}

fn cpim() -> Vec<Table> {
    let wire = Bytes::from(message().to_bytes().to_vec());
    let limits = cpm_cpim::Limits::default();
    let read = {
        let (wire, limits) = (wire.clone(), limits.clone());
        move || CpimMessage::parse(wire.clone(), &limits, &Leniency::default()).expect("a message").0
    };
    let floor = wire.clone();
    let typed = read.clone();
    let read_table = vec![
        contender("cpm-cpim: read", {
            let read = read.clone();
            move || drop(black_box(read()))
        }),
        contender("cpm-cpim: read, five values", move || {
            let message = typed();
            black_box((message.from().is_ok(), message.to().is_ok(), message.date_time().is_ok()));
            black_box((message.imdn_message_id().is_ok(), message.disposition_notification().is_ok()));
        }),
        contender("floor: ends of lines", move || {
            black_box(memchr::memchr_iter(b'\n', &floor).count());
        }),
    ];
    let built = message();
    let copy = wire.clone();
    let write_table = vec![
        contender("cpm-cpim: build and write", || drop(black_box(message().to_bytes()))),
        contender("cpm-cpim: write what was built", move || drop(black_box(built.to_bytes()))),
        contender("floor: one copy", move || drop(black_box(Bytes::copy_from_slice(&copy)))),
    ];
    let (head, whole) = (wire.clone(), wire.clone());
    let date = DateTime::parse("2026-11-21T11:00:00Z").expect("a date");
    let edit = move |mut head: CpimHead| {
        head.headers_mut().set_date_time(date).expect("a date");
        head.headers_mut().push_record_route(&Address::new("sip:focus@example.com")).expect("a route");
        black_box((head.to_bytes(), head.growth()));
    };
    let in_place = vec![
        contender("cpm-cpim: head, two edits", move || {
            let mut reader = HeadReader::new(limits.clone(), Leniency::default());
            edit(reader.push(&head).expect("a head").expect("all of it"));
        }),
        contender("cpm-cpim: message, two edits", move || {
            let mut message =
                CpimMessage::parse(whole.clone(), &Default::default(), &Leniency::default()).expect("one").0;
            message.set_date_time(date).expect("a date");
            message.push_record_route(&Address::new("sip:focus@example.com")).expect("a route");
            drop(black_box(message.to_bytes()));
        }),
    ];
    vec![
        (format!("CPIM with IMDN header fields, {} octets: read", wire.len()), read_table),
        ("the same: write".to_owned(), write_table),
        ("the same: edited in passing".to_owned(), in_place),
    ]
}

/// All events of a document, with namespaces, and nothing kept.
fn pull(document: &str) {
    let mut reader = quick_xml::NsReader::from_str(document);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => break,
            event => drop(black_box(event)),
        }
    }
}

fn notification() -> Vec<Table> {
    let value = Imdn::new(
        "Afcc7d3a-34jk324j",
        "2026-11-21T10:00:00Z",
        Notification::Delivery(DeliveryStatus::Delivered),
    )
    .with_recipient_uri("sip:bob@example.com")
    .with_original_recipient_uri("sip:bob@example.com");
    let text = imdn::write(&value);
    let (read, floor, length) = (text.clone(), text.clone(), text.len());
    vec![
        (
            format!("IMDN document, {length} octets: read"),
            vec![
                contender("cpm-xml: read", move || {
                    drop(black_box(imdn::parse(read.as_bytes(), &Limits::default()).expect("a document")));
                }),
                contender("floor: quick-xml pull", move || pull(&floor)),
            ],
        ),
        (
            "the same: write".to_owned(),
            vec![
                contender("cpm-xml: write", move || drop(black_box(imdn::write(&value)))),
                contender("floor: one copy", move || drop(black_box(text.clone()))),
            ],
        ),
    ]
}

fn state(members: usize) -> ConferenceInfo {
    let user = |number| User {
        entity: format!("sip:user{number:04}@example.com"),
        display_text: Some(format!("User {number}")),
        roles: vec![String::from("participant")],
        endpoints: vec![Endpoint {
            entity: format!("sip:user{number:04}@192.0.2.1"),
            status: Some(EndpointStatus::Connected),
            ..Endpoint::default()
        }],
        ..User::default()
    };
    ConferenceInfo {
        entity: String::from("sip:group@example.com"),
        description: Some(Description { subject: Some(String::from("Tea")), ..Description::default() }),
        users: Some(Users { state: State::Full, users: (0..members).map(user).collect() }),
        ..ConferenceInfo::default()
    }
}

fn group(members: usize) -> Vec<Table> {
    let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
    let full = Notifier::new().notify(&state(members)).expect("a document");
    let text = conference_info::write(&full);
    let (read, floor, limits_lists) = (text.clone(), text.clone(), limits.clone());
    let lists = resource_lists::write(&resource_lists::ResourceLists::flat(
        (0..members).map(|number| resource_lists::Entry::new(&format!("sip:user{number:04}@example.com"))),
    ));
    let title = format!("conference-info of {members}, {} octets", text.len());
    // The two states between which a group goes to and fro.
    let (one, mut two) = (state(members), state(members));
    two.users.as_mut().expect("users").users[members / 2].display_text = Some(String::from("Another"));
    let mut notifier = Notifier::new();
    notifier.notify(&one);
    let (mut merged, mut version) = (Merged::new(StateLimits::default()), 1);
    merged.apply(full.clone()).expect("in the limits");
    let changed = |state: &ConferenceInfo| ConferenceInfo {
        state: State::Partial,
        description: None,
        users: Some(Users {
            state: State::Partial,
            users: vec![state.users.as_ref().expect("users").users[members / 2].clone()],
        }),
        ..state.clone()
    };
    let partial = [changed(&one), changed(&two)];
    let mut turn = false;
    vec![
        (
            format!("{title}: read"),
            vec![
                contender("cpm-xml: read", move || {
                    drop(black_box(conference_info::parse(read.as_bytes(), &limits).expect("a document")));
                }),
                contender("floor: quick-xml pull", move || pull(&floor)),
                contender("resource-lists of as many: read", move || {
                    drop(black_box(
                        resource_lists::parse(lists.as_bytes(), &limits_lists).expect("a document"),
                    ));
                }),
            ],
        ),
        (
            format!("{title}: write"),
            vec![
                contender("cpm-xml: write", move || drop(black_box(conference_info::write(&full)))),
                contender("floor: one copy", move || drop(black_box(text.clone()))),
            ],
        ),
        (
            format!("{title}: one participant changes"),
            vec![
                contender("cpm-xml: merge", move || {
                    version += 1;
                    let document =
                        ConferenceInfo { version: Some(version), ..partial[version as usize % 2].clone() };
                    black_box(merged.apply(document).expect("in the limits"));
                }),
                contender("cpm-xml: notify", move || {
                    turn = !turn;
                    drop(black_box(notifier.notify(if turn { &two } else { &one })));
                }),
            ],
        ),
    ]
}
