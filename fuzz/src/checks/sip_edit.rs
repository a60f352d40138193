//! Programs of edits on a SIP message.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use cpm_sip::{
    HeaderName, HeaderText, Headers, Host, Limits, MaxForwards, Message, NameAddr, ReasonHeader, To,
    TypedHeader, Uri, Via, Warning,
};

/// A message, the octet NUL, a program of edits. Each edit does to the lines of the message what a plain list of lines
/// says that it does: lines that it does not name keep their octets, and no text becomes a line of its own.
pub fn sip_edit(data: &[u8]) {
    let split = data.iter().position(|octet| *octet == 0).unwrap_or(data.len());
    let (wire, program) = (&data[..split], data.get(split + 1..).unwrap_or_default());
    let limits = Limits::default();
    let Ok(mut message) = cpm_sip::parse_datagram(Bytes::copy_from_slice(wire), &limits) else { return };
    let mut lines = lines_of(&message);
    let mut program = Unstructured::new(program);
    for _ in 0..64 {
        if lines.len() > 256 {
            break; // Copies double the message.
        }
        if program.is_empty() || edit(&mut message, &mut lines, &mut program).is_err() {
            break;
        }
    }
    read_again(&message, &lines);
}

/// A header field: its name, and its octets with folds and line end.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    name: HeaderName,
    octets: Vec<u8>,
}

impl Line {
    fn new(name: &HeaderName, value: &HeaderText) -> Line {
        Line { name: name.clone(), octets: format!("{name}: {value}\r\n").into_bytes() }
    }
}

/// The header fields as they are written, cut by nothing but the rule for line ends and folds.
fn lines_of(message: &Message) -> Vec<Line> {
    let wire = message.to_bytes();
    let mut rest = after_line(&wire).1;
    let mut lines = Vec::new();
    while !rest.starts_with(b"\r\n") {
        let (mut octets, mut after) = after_line(rest);
        while after.starts_with(b" ") || after.starts_with(b"\t") {
            let fold = after_line(after).0.len();
            octets = &rest[..octets.len() + fold];
            after = &after[fold..];
        }
        let colon = octets
            .iter()
            .position(|octet| *octet == b':')
            .unwrap_or_else(|| panic!("no header field: {wire:?}"));
        let name = std::str::from_utf8(&octets[..colon]).expect("a name").trim_end();
        lines.push(Line { name: HeaderName::parse(name).expect("a name"), octets: octets.to_vec() });
        rest = after;
    }
    assert_eq!(&rest[2..], message.body(), "the body follows the blank line");
    lines
}

fn after_line(octets: &[u8]) -> (&[u8], &[u8]) {
    let end = octets.windows(2).position(|pair| pair == b"\r\n").expect("a line end");
    octets.split_at(end + 2)
}

/// One edit of the program, done to the message and to the list.
fn edit(message: &mut Message, lines: &mut Vec<Line>, program: &mut Unstructured<'_>) -> Result<()> {
    let kind = program.int_in_range(0..=9_u8)?;
    let name = name(lines, program)?;
    let headers = message.headers_mut();
    let first = lines.iter().position(|line| line.name == name);
    match kind {
        0 => {
            let value = text(program)?;
            lines.push(Line::new(&name, &value));
            headers.push(name, value);
        }
        1 => {
            let value = text(program)?;
            lines.insert(first.unwrap_or(0), Line::new(&name, &value));
            headers.prepend(name, value);
        }
        2 => {
            let value = text(program)?;
            replace(lines, &Line::new(&name, &value));
            headers.replace(name, value);
        }
        3 => {
            let before = lines.len();
            lines.retain(|line| line.name != name);
            assert_eq!(headers.remove(&name), before - lines.len());
        }
        4 => {
            assert_eq!(headers.pop_first_value(&name), first.is_some());
            let Some(at) = first else { return Ok(()) };
            let now = lines_of(message);
            if now.len() < lines.len() {
                lines.remove(at);
            } else {
                shortened(&lines[at].octets, &now[at].octets, b"");
                lines[at] = now[at].clone();
            }
        }
        5 => {
            let value = text(program)?;
            assert_eq!(headers.replace_first_value(&name, &value), first.is_some());
            let Some(at) = first else { return Ok(()) };
            let now = lines_of(message);
            shortened(&lines[at].octets, &now[at].octets, value.as_str().as_bytes());
            lines[at] = now[at].clone();
        }
        6 => typed(headers, lines, program)?,
        8 => {
            let (index, value) = (usize::from(program.int_in_range(0..=4_u8)?), text(program)?);
            let done = headers.replace_value(&name, index, &value);
            let now = lines_of(message);
            assert_eq!(now.len(), lines.len());
            one_of(&name, lines, &now, done);
            *lines = now;
        }
        9 => {
            let done = headers.remove_value(&name, usize::from(program.int_in_range(0..=4_u8)?));
            let now = lines_of(message);
            assert!(now.len() == lines.len() || done && now.len() + 1 == lines.len());
            if now.len() == lines.len() {
                one_of(&name, lines, &now, done);
            } else {
                // The only value of a field went with it.
                let gone = lines.iter().zip(&now).position(|(a, b)| a != b).unwrap_or(now.len());
                assert!(lines.remove(gone).name == name && *lines == now);
            }
            *lines = now;
        }
        _ => {
            // A copy of all fields of a name is octet for octet, at the end.
            let from = headers.clone();
            headers.copy_from(&from, &name);
            let copies: Vec<Line> = lines.iter().filter(|line| line.name == name).cloned().collect();
            lines.extend(copies);
        }
    }
    assert_eq!(lines_of(message), *lines, "after edit {kind}");
    Ok(())
}

/// Lines of this name alone differ, and no more than one does.
fn one_of(name: &HeaderName, before: &[Line], now: &[Line], done: bool) {
    let changed: Vec<_> = before.iter().zip(now).filter(|(a, b)| a != b).collect();
    assert!(changed.iter().all(|(a, b)| a.name == *name && b.name == *name), "{changed:?}");
    assert!(changed.len() <= usize::from(done), "{changed:?}");
}

fn replace(lines: &mut Vec<Line>, new: &Line) {
    let at = lines.iter().position(|line| line.name == new.name).unwrap_or(lines.len());
    lines.retain(|line| line.name != new.name);
    lines.insert(at, new.clone());
}

/// The line begins as it did, then holds `new`, then ends as it did.
fn shortened(before: &[u8], now: &[u8], new: &[u8]) {
    let colon = before.iter().position(|octet| *octet == b':').expect("a colon");
    let blanks = before[colon + 1..].iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    // A value may be empty: the blanks up to the line end are no part of the value then.
    let starts = (colon + 1..=colon + 1 + blanks).filter(|at| now.starts_with(&before[..*at]));
    // It is replaced behind the colon.
    let empty = blanks == before.len() - colon - 1;
    let fresh = [&before[..=colon], b" ", new, b"\r\n"].concat();
    let fits = starts.into_iter().any(|at| {
        now[at..].strip_prefix(new).is_some_and(|end| before[at..].ends_with(end) || end == b"\r\n")
    });
    assert!(
        fits || empty && now == fresh,
        "{:?} became {:?}",
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(now)
    );
}

/// Typed values made of hostile texts.
fn typed(headers: &mut Headers, lines: &mut Vec<Line>, program: &mut Unstructured<'_>) -> Result<()> {
    let which = program.int_in_range(0..=5_u8)?;
    let hostile = hostile(program)?;
    let uri = Uri::parse("sip:bob@example.com").expect("a URI");
    let host = Host::parse("proxy.example.com").expect("a host");
    match which {
        0 => set(headers, lines, &MaxForwards(u8::try_from(hostile.len()).unwrap_or(u8::MAX))),
        1 => set(headers, lines, &To::new(uri).with_tag(&hostile)),
        2 => {
            let via = Via::new("TCP", host, None).with_branch(&hostile);
            let at = lines.iter().position(|line| line.name == Via::NAME).unwrap_or(0);
            lines.insert(at, Line::new(&Via::NAME, &via.to_text()));
            headers.prepend_typed(&via);
        }
        3 => {
            if let Ok(address) = NameAddr::new(uri).with_display_name(&hostile) {
                set(headers, lines, &To::new(address));
            }
        }
        4 => {
            if let Ok(warning) = Warning::new(399, &hostile, &hostile) {
                set(headers, lines, &warning);
            }
        }
        _ => {
            if let Ok(reason) = ReasonHeader::new("SIP", 200, Some(&hostile)) {
                set(headers, lines, &reason);
            }
        }
    }
    Ok(())
}

fn set<H: TypedHeader>(headers: &mut Headers, lines: &mut Vec<Line>, value: &H) {
    replace(lines, &Line::new(&H::NAME, &value.to_text()));
    headers.set_typed(value);
}

/// A name that is there, or one of the table, or another.
fn name(lines: &[Line], program: &mut Unstructured<'_>) -> Result<HeaderName> {
    Ok(match program.int_in_range(0..=3_u8)? {
        0 => HeaderName::parse("X-Other").expect("a token"),
        1 => program.choose(HeaderName::KNOWN)?.clone(),
        _ if lines.is_empty() => HeaderName::Via,
        _ => program.choose(lines)?.name.clone(),
    })
}

fn hostile(program: &mut Unstructured<'_>) -> Result<String> {
    let length = program.int_in_range(0..=40_u8)?;
    let octets = program.bytes(usize::from(length).min(program.len()))?;
    Ok(String::from_utf8_lossy(octets).into_owned())
}

fn text(program: &mut Unstructured<'_>) -> Result<HeaderText> {
    let hostile = hostile(program)?;
    let checked = HeaderText::new(&hostile);
    assert_eq!(
        checked.is_err(),
        hostile.contains(|c: char| c.is_ascii_control() && c != '\t'),
        "{hostile:?}"
    );
    Ok(checked.unwrap_or_else(|_| HeaderText::sanitized(&hostile)))
}

/// A reader of the edited message finds the fields of the list, no more and no fewer.
fn read_again(message: &Message, lines: &[Line]) {
    let generous = Limits {
        max_headers: 1 << 16,
        max_header_bytes: 1 << 24,
        max_header_line: 1 << 20,
        max_datagram: 1 << 24,
        ..Limits::default()
    };
    let again = match cpm_sip::parse_datagram(message.to_bytes(), &generous) {
        Ok(again) => again,
        // An edit may have spoilt the length of the body, which alone of all values decides whether there is a message.
        Err(_) if lines.iter().any(|line| line.name == HeaderName::ContentLength) => return,
        Err(failure) => panic!("an edited message is not read: {:?}", failure.error),
    };
    assert_eq!(again.headers().len(), lines.len(), "no field more than were put in");
    assert!(again.headers().iter().map(|(name, _)| name).eq(lines.iter().map(|line| &line.name)));
    for ((_, ours), (_, theirs)) in message.headers().iter().zip(again.headers().iter()) {
        assert_eq!(ours.unfolded().trim_ascii(), theirs.unfolded().trim_ascii());
    }
}
