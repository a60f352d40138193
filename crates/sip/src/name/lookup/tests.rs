#![allow(clippy::arithmetic_side_effects)]

use super::*;
use alloc::string::String;
use alloc::vec::Vec;

/// The table from its first name to its last: what looking up means.
fn plainly(name: &[u8]) -> Option<usize> {
    HeaderName::KNOWN.iter().position(|known| {
        name.eq_ignore_ascii_case(known.as_str().as_bytes())
            || known.compact().is_some_and(|letter| name.eq_ignore_ascii_case(&[letter as u8]))
    })
}

/// The name alone, and with what may stand behind it: enough for whole words, or too little.
fn check(name: &[u8]) {
    let wanted = plainly(name);
    assert_eq!(position(name).map(usize::from), wanted, "{:?}", String::from_utf8_lossy(name));
    for behind in [&b":"[..], b"\0", b"-ID: 1\r\n", &[b'x'; 40], &[0xff; 40], &[0; 40]] {
        let octets = [name, behind].concat();
        assert_eq!(
            position_at(&octets, name.len()).map(usize::from),
            wanted,
            "{:?}",
            String::from_utf8_lossy(&octets)
        );
    }
}

fn spellings() -> impl Iterator<Item = Vec<u8>> {
    let compact =
        HeaderName::KNOWN.iter().filter_map(HeaderName::compact).map(|letter| alloc::vec![letter as u8]);
    let mixed = |name: &&str| {
        let letters = name.bytes().enumerate();
        letters
            .map(|(i, o)| if i % 2 == 0 { o.to_ascii_lowercase() } else { o.to_ascii_uppercase() })
            .collect()
    };
    let long = LONG.iter().flat_map(move |name| {
        [
            name.as_bytes().to_vec(),
            name.to_ascii_lowercase().into(),
            name.to_ascii_uppercase().into(),
            mixed(name),
        ]
    });
    compact.chain(long)
}

/// Each name in several spellings, without its first or last octet, with one more, and with one that is nearly the same.
#[test]
fn names_and_what_is_nearly_a_name() {
    for name in spellings() {
        assert!(plainly(&name).is_some());
        check(&name);
        check(name.get(1..).unwrap_or_default());
        check(&name[..name.len() - 1]);
        for more in [b'-', b's', b'S', b' ', 0, 0x80] {
            check(&[&name[..], &[more]].concat());
            check(&[&[more], &name[..]].concat());
        }
        for at in 0..name.len() {
            for change in [1, 0x20, 0x40, 0x80] {
                let mut near = name.clone();
                near[at] ^= change;
                check(&near);
            }
        }
    }
}

/// No octet but the letters of the compact forms is a name, and no length is a matter of its own.
#[test]
fn every_octet_and_every_length() {
    check(b"");
    for octet in 0..=255u8 {
        check(&[octet]);
        check(&[octet, octet]);
    }
    for length in 0..70 {
        for octet in [0, b'a', b'-', 0xff] {
            check(&alloc::vec![octet; length]);
        }
        // The longest names of the table end in the middle of, and after, what else could be one.
        for name in LONG {
            let stretched: Vec<u8> = name.bytes().cycle().take(length).collect();
            check(&stretched);
            let mut padded = name.as_bytes().to_vec();
            padded.resize(length.max(name.len()), 0);
            check(&padded);
        }
    }
}
