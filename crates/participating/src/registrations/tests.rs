#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::policy::PrimaryMark;
use cpm_sip::Contact;
use cpm_sip::TypedHeader;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn interest<'p>(capabilities: &'p [String], primary: &'p [PrimaryMark]) -> Interest<'p> {
    Interest { address: "sip:bob@home.test", capabilities, primary }
}

const PAGER: &str = "+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"";

fn binding(contact: &str, seconds: u32, primary: &[PrimaryMark]) -> Binding {
    let contact = Contact::parse(contact.as_bytes()).unwrap().as_addr().unwrap().clone();
    let capabilities = ["methods".to_owned(), "+g.3gpp.smsip".to_owned()];
    Binding::of_contact(Instant::ZERO, &contact, seconds, interest(&capabilities, primary)).unwrap()
}

fn known(users: &mut Registrations, address: &str, others: &[&str], contact: &str) -> UserId {
    let id = users.user(&uri(address), until(Instant::ZERO, 60), 10).unwrap();
    users.name(id, others.iter().map(|other| uri(other).address_key()).collect());
    let bindings = [binding(&format!("<sip:{contact}@192.0.2.1>;{PAGER}"), 60, &[])];
    users.change(id, |user| user.bindings = bindings.into());
    id
}

fn contacts(users: &Registrations, user: &str) -> Vec<String> {
    let devices = users.devices(Instant::ZERO, &uri(user), CpmFeature::PagerMessage);
    devices.iter().map(|device| device.contact.to_string()).collect()
}

#[test]
fn a_user_is_found_by_every_identity() {
    let mut users = Registrations::default();
    let id = known(&mut users, "sip:bob@home.test", &["tel:+15550002"], "b1");
    for identity in ["sip:bob@home.test", "tel:+1-555-0002", "sip:bob@HOME.test"] {
        assert_eq!(contacts(&users, identity), ["sip:b1@192.0.2.1"], "{identity}");
        assert_eq!(users.user(&uri(identity), Instant::ZERO, 1), Ok(id));
    }
    assert!(contacts(&users, "sip:BOB@home.test").is_empty());
    assert!(users.devices(Instant::ZERO, &uri("sip:bob@home.test"), CpmFeature::LargeMessage).is_empty());
    assert_eq!(users.user(&uri("sip:eve@home.test"), Instant::ZERO, 1), Err(NoRoom));
    users.name(id, Vec::new());
    assert!(contacts(&users, "tel:+15550002").is_empty());
    assert!(users.remove(id).is_some() && users.remove(id).is_none());
    assert_eq!(users.sizes(), [0, 0, 0]);
}

#[test]
fn an_identity_of_two_users_belongs_to_the_last() {
    let mut users = Registrations::default();
    let a = known(&mut users, "sip:a@x.test", &["sip:desk@x.test"], "a");
    let b = known(&mut users, "sip:b@x.test", &["sip:desk@x.test"], "b");
    assert_eq!(contacts(&users, "sip:desk@x.test"), ["sip:b@192.0.2.1"]);
    users.remove(a);
    assert_eq!(contacts(&users, "sip:desk@x.test"), ["sip:b@192.0.2.1"]);
    assert!(contacts(&users, "sip:a@x.test").is_empty());
    users.remove(b);
    assert_eq!(users.sizes(), [0, 0, 0]);
}

#[test]
fn numbers_of_users_go_round() {
    let mut users = Registrations { last: u32::MAX - 1, ..Registrations::default() };
    let ids: Vec<UserId> = ["a", "b", "c"]
        .iter()
        .map(|name| known(&mut users, &format!("sip:{name}@x.test"), &[], name))
        .collect();
    assert_eq!(ids, [UserId(u32::MAX), UserId(0), UserId(1)]);
    users.last = u32::MAX;
    assert_eq!(
        known(&mut users, "sip:d@x.test", &[], "d"),
        UserId(2),
        "those that are there are passed over"
    );
}

// req: 6.6-p2, 6.6-p1.2, 8.1.2-p2
#[test]
fn one_device_is_the_primary_one() {
    let param = |name: &str, value: Option<&str>| PrimaryMark::Param {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    let (tablet, phone, watch) = (
        "<sip:t@192.0.2.1>;+sip.instance=\"<urn:uuid:1>\"",
        "<sip:p@192.0.2.2>;+g.3gpp.smsip;+sip.instance=\"<urn:gsma:IMEI:9>\";kind=\"phone\"",
        "<sip:w@192.0.2.3>;+g.3gpp.smsip;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"",
    );
    for (marks, expected) in [
        (vec![], [false, false, false]),
        (vec![param("+G.3gpp.smsip", None)], [false, true, false]),
        (vec![param("kind", Some("watch")), param("kind", Some("phone"))], [false, true, false]),
        (vec![PrimaryMark::Instance("urn:gsma:imei:".to_owned())], [false, true, false]),
        (vec![PrimaryMark::Feature(CpmFeature::PagerMessage)], [false, false, true]),
        (vec![param("kind", Some("watch"))], [false, false, false]),
        (vec![param("kind", Some("watch")), PrimaryMark::First], [true, false, false]),
    ] {
        let mut bindings = [tablet, phone, watch].map(|contact| binding(contact, 60, &marks));
        mark_primary(&mut bindings);
        assert_eq!(bindings.each_ref().map(|binding| binding.primary), expected, "{marks:?}");
    }
    // Another flow of it is the same device.
    let marks = [param("kind", Some("phone"))];
    let second = phone.replace("192.0.2.2", "192.0.2.9").replace(";kind=\"phone\"", "");
    let mut bindings = [phone, tablet, &second].map(|contact| binding(contact, 60, &marks));
    mark_primary(&mut bindings);
    assert_eq!(bindings.map(|binding| binding.primary), [true, false, true]);
}

#[test]
fn capabilities_are_those_that_the_policy_names() {
    let one = binding("<sip:p@192.0.2.2>;Methods=\"MESSAGE,INVITE\";+g.3gpp.smsip;audio", 60, &[]);
    let device = one.device("sip:bob@home.test").unwrap();
    assert_eq!(device.capability("METHODS"), Some("MESSAGE,INVITE"));
    assert_eq!((device.capability("+g.3gpp.smsip"), device.capability("audio")), (Some(""), None));
    assert_eq!((device.features, device.primary, device.release), (vec![], false, None));
}

#[test]
fn a_gruu_is_what_it_was() {
    for (instance, gruu) in [
        ("urn:uuid:1", "sip:bob@home.test;gr=urn:uuid:1"),
        ("urn:uuid:1", "sip:bob@home.test;gr=urn:uuid:2"),
        ("", "sip:bob@home.test;gr=urn:uuid:1"),
    ] {
        let instance =
            if instance.is_empty() { String::new() } else { format!(";+sip.instance=\"<{instance}>\"") };
        let one = binding(&format!("<sip:p@192.0.2.2>;pub-gruu=\"{gruu}\"{instance}"), 60, &[]);
        let device = one.device("sip:bob@home.test").unwrap();
        assert_eq!(device.gruu.unwrap().as_str(), gruu);
    }
}

#[test]
fn what_cannot_be_used_is_no_binding() {
    let interest = interest(&[], &[]);
    let contact = |text: String| {
        let contact = Contact::parse(text.as_bytes()).unwrap().as_addr().unwrap().clone();
        Binding::of_contact(Instant::ZERO, &contact, 60, interest)
    };
    assert!(contact("<sip:b@x.test>;expires=0".to_owned()).is_none());
    let long = "u".repeat(1_024);
    assert!(contact(format!("<sip:b@x.test>;+sip.instance=\"<{long}>\"")).is_some());
    assert!(contact(format!("<sip:b@x.test>;+sip.instance=\"<{long}u>\"")).is_none());
    let info = |uri: &str| {
        let contact = cpm_xml::reginfo::Contact::new("c", uri, cpm_xml::reginfo::ContactEvent::Created);
        Binding::of_reginfo(Instant::ZERO, &contact, until(Instant::ZERO, 60), interest)
    };
    assert!(info("nonsense").is_none());
    let at_limit = format!("sip:{}@x.test", "u".repeat(1_024 - 11));
    assert!(info(&at_limit).is_some() && info(&format!("{at_limit}t")).is_none());
    assert_eq!(info("sip:b@x.test").unwrap().until, until(Instant::ZERO, 60));
}

/// A record is what was read from it; what is not whole is refused.
#[test]
fn a_user_as_a_record() {
    use cpm_base::{DateTime, Now};
    let mut users = Registrations::default();
    let id = known(&mut users, "sip:bob@home.test", &["tel:+15550002"], "b1");
    let marks = [PrimaryMark::First];
    let contact = format!(
        "<sip:b@192.0.2.9>;{PAGER};methods=\"MESSAGE\";+sip.instance=\"<urn:uuid:1>\";pub-gruu=\"sip:bob@home.test;gr=1\""
    );
    let mut bindings = [binding(&contact, 600, &marks)];
    mark_primary(&mut bindings);
    bindings[0].release = Some(Release::CLIENT_2_1);
    users.change(id, |user| user.bindings = bindings.into());
    let now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
    let octets = users.get(id).unwrap().to_record(now);
    // Another node, ten seconds later, with another monotonic clock.
    let later = Now::new(Instant::from_micros(77), DateTime::UNIX_EPOCH.plus(Duration::from_secs(10)));
    let kept = read(later, &octets).unwrap();
    let own = users.get(id).unwrap();
    assert_eq!(kept.address.as_str(), "sip:bob@home.test");
    assert_eq!(kept.identities, own.identities.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    assert_eq!(kept.until.since(later.mono), Duration::from_secs(50));
    let [read_back] = &kept.bindings[..] else { panic!("{kept:?}") };
    assert_eq!(read_back.until.since(later.mono), Duration::from_secs(590));
    assert_eq!(Binding { until: own.bindings[0].until, ..read_back.clone() }, own.bindings[0]);
    for n in 0..octets.len() {
        assert!(read(later, &octets[..n]).is_err(), "{n}");
        let mut damaged = octets.clone();
        damaged[n] ^= 1 << (n % 8);
        assert!(read(later, &damaged).is_err(), "{n}");
    }
    // A clock that went back does not make it last longer than 30 days; one that went on too far leaves nothing.
    let month = Duration::from_secs(30 * 24 * 3600);
    let before = Now::new(Instant::ZERO, DateTime::from_unix_micros(-400 * 86_400_000_000).unwrap());
    assert!(read(before, &octets).unwrap().until <= Instant::ZERO.plus(month));
    let long_after = Now::new(Instant::from_micros(5), DateTime::UNIX_EPOCH.plus(12 * month));
    assert_eq!(read(long_after, &octets).unwrap().until, Instant::from_micros(5));
}
