#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use crate::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use proptest::prelude::*;

const HEAD: &str = "OPTIONS sip:a@b SIP/2.0\r\n";

fn edited(lines: &str, edit: impl FnOnce(&mut Headers) -> bool) -> Option<String> {
    let octets = format!("{HEAD}{lines}\r\n");
    let mut message = parse_datagram(octets.into(), &Limits::default()).unwrap();
    edit(message.headers_mut()).then(|| {
        let octets = message.to_bytes();
        String::from_utf8(octets.to_vec())
            .unwrap()
            .strip_prefix(HEAD)
            .unwrap()
            .strip_suffix("\r\n")
            .unwrap()
            .into()
    })
}

#[test]
fn one_value_of_many_is_replaced() {
    let lines = "k:  a ,\tb\r\n ,  \"c,d\"\r\nTo: x, y\r\nSUPPORTED :e\r\n";
    for (index, expected) in [
        (0, Some("k:  NEW ,\tb\r\n ,  \"c,d\"\r\nTo: x, y\r\nSUPPORTED :e\r\n")),
        (1, Some("k:  a ,\tNEW\r\n ,  \"c,d\"\r\nTo: x, y\r\nSUPPORTED :e\r\n")),
        (2, Some("k:  a ,\tb\r\n ,  NEW\r\nTo: x, y\r\nSUPPORTED :e\r\n")),
        (3, Some("k:  a ,\tb\r\n ,  \"c,d\"\r\nTo: x, y\r\nSUPPORTED :NEW\r\n")),
        (4, None),
        (usize::MAX, None),
    ] {
        let value = HeaderText::new("NEW").unwrap();
        let done = edited(lines, |headers| headers.replace_value(&HeaderName::Supported, index, &value));
        assert_eq!(done.as_deref(), expected, "{index}");
    }
    // Commas of a field that makes no list belong to its value.
    let value = HeaderText::new("NEW").unwrap();
    let done = edited(lines, |headers| headers.replace_value(&HeaderName::To, 0, &value));
    assert_eq!(done.unwrap(), lines.replace("x, y", "NEW"));
    assert_eq!(edited(lines, |headers| headers.replace_value(&HeaderName::To, 1, &value)), None);
    assert_eq!(edited("k:\r\n", |headers| headers.replace_value(&HeaderName::Supported, 0, &value)), None);
}

#[test]
fn one_value_of_many_is_removed() {
    let lines = "Route: <sip:a;lr> , <sip:b,c;lr>\r\n\t,<sip:d>\r\nX: y\r\nroute:<sip:e>\r\n";
    for (index, expected) in [
        (0, Some("Route: <sip:b,c;lr>\r\n\t,<sip:d>\r\nX: y\r\nroute:<sip:e>\r\n")),
        (1, Some("Route: <sip:a;lr>,<sip:d>\r\nX: y\r\nroute:<sip:e>\r\n")),
        (2, Some("Route: <sip:a;lr> , <sip:b,c;lr>\r\nX: y\r\nroute:<sip:e>\r\n")),
        (3, Some("Route: <sip:a;lr> , <sip:b,c;lr>\r\n\t,<sip:d>\r\nX: y\r\n")),
        (4, None),
    ] {
        let done = edited(lines, |headers| headers.remove_value(&HeaderName::Route, index));
        assert_eq!(done.as_deref(), expected, "{index}");
    }
}

proptest! {
    /// Whatever is in the list: the other values are what they were, and no field comes or goes but the last one.
    #[test]
    fn the_others_stay(
        fields in prop::collection::vec(prop::collection::vec("[ab]{1,3}|\"[,\\\\\\\\\"]?a\"|<[,a]{1,3}>", 1..4), 1..4),
        space in "( |\t|\r\n |\r\n\t ){0,2}",
        pick in any::<prop::sample::Index>(),
        fresh in "[a-z]{1,4}",
    ) {
        let line = |values: &Vec<String>| format!("Record-Route: {}\r\n", values.join(&format!("{space},{space}")));
        let lines: String = fields.iter().map(line).collect();
        let octets = format!("{HEAD}X: 1\r\n{lines}Y: 2\r\n\r\n");
        let Ok(message) = parse_datagram(octets.into(), &Limits::default()) else { return Ok(()) };
        let name = HeaderName::RecordRoute;
        let values = |message: &Message| -> Vec<String> {
            let all = message.headers().get_all(&name).map(|value| value.to_text().unwrap().to_string());
            all.flat_map(|text| {
                crate::grammar::split_list(&text)
                    .map(|(from, to)| text[from..to].trim().to_string())
                    .collect::<Vec<_>>()
            })
            .collect()
        };
        let before = values(&message);
        let at = pick.index(before.len());
        let mut replaced = message.clone();
        prop_assert!(replaced.headers_mut().replace_value(&name, at, &HeaderText::new(&fresh).unwrap()));
        let mut expected = before.clone();
        expected[at] = fresh;
        let again = parse_datagram(replaced.to_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(values(&again), expected);
        prop_assert_eq!(again.headers().len(), message.headers().len());
        let mut removed = message.clone();
        prop_assert!(removed.headers_mut().remove_value(&name, at));
        let mut expected = before;
        expected.remove(at);
        let again = parse_datagram(removed.to_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(values(&again), expected);
        prop_assert_eq!(again.headers().get(&HeaderName::parse("Y").unwrap()).unwrap().as_str(), Some("2"));
    }
}
