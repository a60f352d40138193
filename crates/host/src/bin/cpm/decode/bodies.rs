//! Bodies inside bodies: multipart, session descriptions, CPIM, disposition notifications, whole SIP messages.

use super::documents;
use super::fields::written;
use super::report::{Body, Content};
use bytes::Bytes;
use cpm_cpim::CpimMessage;
use cpm_mime::{Base64Encoder, ContentType, ExternalBody, Limits, Part};
use cpm_sdp::SessionDescription;
use cpm_sip::{
    Fragment, FragmentStart, HeaderName, Headers, Message, Method, StatusCode, Uri, parse_datagram,
};

/// Bodies inside of one another, of whatever kind.
const MAX_DEPTH: usize = 8;
/// Bodies of one message.
const MAX_BODIES: usize = 128;

/// What is wrong with a body.
pub(super) struct Fault {
    pub(super) place: String,
    pub(super) text: String,
    /// Of the answer to a request with that body.
    pub(super) status: u16,
    /// Whether the body may be passed over (`handling=optional`).
    pub(super) optional: bool,
}

/// A body that is still to be looked at.
struct Waiting {
    place: String,
    depth: usize,
    part: Part,
    optional: bool,
}

/// What was found in one body.
#[derive(Default)]
struct Found {
    reading: Vec<(String, String)>,
    inside: Vec<Part>,
    faults: Vec<(String, u16)>,
    /// Whether the octets are all told by what is inside.
    told: bool,
}

impl Found {
    fn fault(status: u16, text: impl ToString) -> Found {
        Found { faults: vec![(text.to_string(), status)], ..Found::default() }
    }

    fn say(&mut self, name: &str, value: impl Into<String>) {
        self.reading.push((name.to_owned(), value.into()));
    }
}

/// All bodies of a message in order, and what is wrong with them.
pub(super) fn of(headers: &Headers, body: Bytes) -> (Vec<Body>, Vec<Fault>) {
    if body.is_empty() {
        return (Vec::new(), Vec::new());
    }
    match outermost(headers, body.clone()) {
        Some(part) => of_part(part),
        None => {
            // What is wrong with the header field is found where fields are looked at.
            (vec![opaque("body", "unknown type", &body)], Vec::new())
        }
    }
}

/// A body and all that is inside of it.
pub(super) fn of_part(part: Part) -> (Vec<Body>, Vec<Fault>) {
    let (mut bodies, mut faults) = (Vec::new(), Vec::new());
    let mut waiting = vec![Waiting { place: "body".to_owned(), depth: 0, part, optional: false }];
    while let Some(next) = waiting.pop() {
        if bodies.len() >= MAX_BODIES {
            let text = format!("more than {MAX_BODIES} bodies; the others are not shown");
            faults.push(Fault { place: next.place, text, status: 413, optional: next.optional });
            break;
        }
        look_at(next, &mut bodies, &mut faults, &mut waiting);
    }
    (bodies, faults)
}

fn look_at(next: Waiting, bodies: &mut Vec<Body>, faults: &mut Vec<Fault>, waiting: &mut Vec<Waiting>) {
    let Waiting { place, depth, part, optional } = next;
    let disposition = part.content_disposition().ok().flatten();
    let optional = optional
        || disposition
            .is_some_and(|d| d.param("handling").is_some_and(|h| h.eq_ignore_ascii_case("optional")));
    let (content_type, octets, found) = read(&part);
    for (text, status) in found.faults {
        faults.push(Fault { place: place.clone(), text, status, optional });
    }
    let deeper = depth.saturating_add(1);
    if deeper > MAX_DEPTH && !found.inside.is_empty() {
        let text = format!("more than {MAX_DEPTH} bodies inside of one another; the others are not shown");
        faults.push(Fault { place: place.clone(), text, status: 413, optional });
    }
    let inside = found.inside.into_iter().enumerate().rev().filter(|_| deeper <= MAX_DEPTH);
    for (index, part) in inside {
        let place = format!("{place}.{}", index.saturating_add(1));
        waiting.push(Waiting { place, depth: deeper, part, optional });
    }
    let headers = part.headers.iter().map(|field| (field.name().to_owned(), field.value().into_owned()));
    bodies.push(Body {
        place,
        depth,
        octets: octets.len(),
        headers: headers.collect(),
        reading: found.reading,
        content: if found.told { Content::Inside } else { content(&octets) },
        content_type,
    });
}

/// The body of a message as a MIME part; `None` where it has no type that can be read.
fn outermost(headers: &Headers, body: Bytes) -> Option<Part> {
    let text = headers.get(&HeaderName::ContentType)?.to_text()?;
    let mut part = Part::new(&ContentType::parse(&text).ok()?, body);
    // As it was written, not as it is written here.
    part.headers.set("Content-Type", &text).ok()?;
    let others = ["Content-Disposition", "Content-ID", "Content-Transfer-Encoding", "Content-Encoding"];
    for name in others {
        let value =
            HeaderName::parse(name).ok().and_then(|name| headers.get(&name)).and_then(|v| v.to_text());
        if let Some(value) = value {
            part.headers.push(name, &value).ok()?;
        }
    }
    Some(part)
}

/// Type, octets without their transfer encoding, and what they mean.
fn read(part: &Part) -> (String, Bytes, Found) {
    let kind = match part.content_type() {
        Ok(kind) => kind,
        Err(error) => return ("unknown type".to_owned(), part.body.clone(), Found::fault(400, error)),
    };
    let essence = kind.essence();
    let encoded = part.headers.get("Content-Encoding").is_some_and(|c| !c.eq_ignore_ascii_case("identity"));
    if encoded {
        return (format!("{essence}, encoded"), part.body.clone(), Found::default());
    }
    if kind.is_multipart() {
        return (essence, part.body.clone(), multipart(part));
    }
    let octets = match part.decoded() {
        Ok(octets) => octets,
        Err(error) => return (essence, part.body.clone(), Found::fault(400, error)),
    };
    let found = match essence.as_str() {
        "application/sdp" => session(&octets),
        "message/cpim" => cpim(octets.clone()),
        "message/sip" => sip(octets.clone()),
        Fragment::MEDIA_TYPE => fragment(octets.clone()),
        "message/external-body" => external(part),
        essence if documents::is_xml(essence) => match documents::read(essence, &octets) {
            Ok(reading) => Found { reading, ..Found::default() },
            Err(error) => Found::fault(400, error),
        },
        _ => Found::default(),
    };
    (essence, octets, found)
}

fn multipart(part: &Part) -> Found {
    match part.multipart(&Limits::default()) {
        Ok(Some(multipart)) => {
            let mut found = Found { told: true, ..Found::default() };
            for (name, octets) in [("preamble", multipart.preamble()), ("epilogue", multipart.epilogue())] {
                if !octets.is_empty() {
                    found.say(name, written(octets));
                }
            }
            if multipart.content_type().is("multipart/related") {
                match multipart.root() {
                    Ok(root) => {
                        let index = multipart.parts().iter().position(|part| std::ptr::eq(part, root));
                        found.say("root", format!("part {}", index.unwrap_or(0).saturating_add(1)));
                    }
                    Err(error) => found.faults.push((error.to_string(), 400)),
                }
            }
            found.inside = multipart.into_parts();
            found
        }
        Ok(None) => Found::default(),
        Err(error) => Found::fault(400, error),
    }
}

fn session(octets: &[u8]) -> Found {
    let description = match SessionDescription::parse(octets, &cpm_sdp::Limits::default()) {
        Ok(description) => description,
        Err(error) => return Found::fault(error.status(), error),
    };
    let mut found = Found::default();
    let origin = description.origin();
    found.say(
        "origin",
        format!("{} {} {} {}", origin.username, origin.session_id, origin.version, origin.address),
    );
    if let Some(host) = description.connection() {
        found.say("connection", host.to_string());
    }
    for media in description.media() {
        let port = media.port().map_or("no".to_owned(), |port| port.to_string());
        let mut text = format!("{} port {port} {} {}", media.media(), media.proto(), media.formats());
        if let Some(host) = media.connection() {
            text.push_str(&format!(" at {host}"));
        }
        if let Some(path) = media.attribute("path").and_then(|path| path.text().map(str::to_owned)) {
            text.push_str(&format!(" path {path}"));
        }
        found.say("media", text);
    }
    found
}

fn cpim(octets: Bytes) -> Found {
    let limits = cpm_cpim::Limits::default();
    let (message, tolerated) = match CpimMessage::parse(octets, &limits, &cpm_cpim::Leniency::field()) {
        Ok(read) => read,
        Err(error) => return Found::fault(400, error),
    };
    let mut found = Found { told: true, ..Found::default() };
    for field in message.headers().iter() {
        found.say(field.full_name(), field.value());
    }
    for deviation in tolerated {
        found.say("let pass", format!("{deviation:?}"));
    }
    found.inside.push(message.content().clone());
    found
}

fn sip(octets: Bytes) -> Found {
    let message = match parse_datagram(octets, &cpm_sip::Limits::default()) {
        Ok(message) => message,
        Err(failure) => return Found::fault(400, failure),
    };
    let mut found = Found { told: true, ..Found::default() };
    match &message {
        Message::Request(request) => say_request(&mut found, request.method(), request.uri()),
        Message::Response(response) => say_response(&mut found, response.status(), response.reason()),
    }
    say_rest(&mut found, message.headers(), message.body());
    found
}

fn fragment(octets: Bytes) -> Found {
    let fragment = match Fragment::parse(octets, &cpm_sip::Limits::default()) {
        Ok(fragment) => fragment,
        Err(error) => return Found::fault(400, error),
    };
    let mut found = Found { told: true, ..Found::default() };
    match fragment.start() {
        Some(FragmentStart::Request(method, uri)) => say_request(&mut found, method, uri),
        Some(FragmentStart::Response(status, reason)) => say_response(&mut found, *status, reason),
        None => {}
    }
    say_rest(&mut found, fragment.headers(), fragment.body());
    found
}

fn say_request(found: &mut Found, method: &Method, uri: &Uri) {
    found.say("request", format!("{method} {uri}"));
}

fn say_response(found: &mut Found, status: StatusCode, reason: &str) {
    found.say("response", format!("{} {reason}", status.as_u16()));
}

/// Header fields as they were written, and the body behind them.
fn say_rest(found: &mut Found, headers: &Headers, body: &Bytes) {
    for (name, value) in headers.iter() {
        found.say(name.as_str(), written(&value.unfolded()));
    }
    if !body.is_empty() {
        match outermost(headers, body.clone()) {
            Some(part) => found.inside.push(part),
            None => found.told = false,
        }
    }
}

fn external(part: &Part) -> Found {
    match ExternalBody::read(part, &Limits::default()) {
        Ok(Some(external)) => {
            let mut found = Found { told: true, ..Found::default() };
            found.say("url", external.url.as_str());
            if let Some(expires) = external.expires() {
                found.say("expires", expires.to_string());
            }
            if let Some(size) = external.size {
                found.say("size", format!("{size} octets"));
            }
            for field in &external.content.headers {
                found.say(field.name(), field.value());
            }
            found
        }
        Ok(None) => Found::default(),
        Err(error) => Found::fault(400, error),
    }
}

pub(super) fn opaque(place: &str, content_type: &str, octets: &Bytes) -> Body {
    Body {
        place: place.to_owned(),
        depth: 0,
        content_type: content_type.to_owned(),
        octets: octets.len(),
        headers: Vec::new(),
        reading: Vec::new(),
        content: content(octets),
    }
}

/// Text where it is text, whatever the type says: a type that nobody knows is read by people too.
fn content(octets: &[u8]) -> Content {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.contains('\0') => Content::Text(text.to_owned()),
        _ => {
            let (mut encoder, mut out) = (Base64Encoder::new(), Vec::new());
            encoder.push(octets, &mut out);
            encoder.finish(&mut out);
            out.retain(|octet| !matches!(octet, b'\r' | b'\n'));
            Content::Base64(String::from_utf8(out).unwrap_or_default())
        }
    }
}
