//! The torture messages of RFC 4475 and RFC 5118: for each the expected outcome of parsing, validating and replying.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::indexing_slicing
)]

mod corpus;

use cpm_sip::*;

/// What becomes of a message.
enum Outcome {
    /// It does not parse. The fault, and the status of the answer; 0 where there is none.
    Unread(&'static str, u16),
    /// A request that parses. The status that a user agent and a proxy answer with, 0 where they go on; then where a user
    /// agent that insists finds faults, by place.
    Request { agent: u16, proxy: u16, faults: &'static [&'static str] },
    /// A response that parses. Whether it can be matched and routed, and where faults are found.
    Response { usable: bool, faults: &'static [&'static str] },
}
use Outcome::{Request as Req, Response as Resp, Unread};

const GOOD: Outcome = Req { agent: 0, proxy: 0, faults: &[] };

/// RFC 4475, in the order of its sections. The comments say what the RFC asks for where that is not plain.
const RFC_4475: [(&str, Outcome); 49] = [
    ("wsinv.dat", GOOD),
    // The method is well-formed and unknown: a user agent answers 501, a proxy passes it on.
    ("intmeth.dat", Req { agent: 501, proxy: 0, faults: &[] }),
    ("esc01.dat", GOOD),
    ("escnull.dat", GOOD),
    // Escapes in a method or a header field name are none.
    ("esc02.dat", Req { agent: 501, proxy: 0, faults: &[] }),
    ("lwsdisp.dat", GOOD),
    ("longreq.dat", GOOD),
    ("dblreq.dat", GOOD),
    ("semiuri.dat", GOOD),
    ("transports.dat", GOOD),
    ("mpart01.dat", GOOD),
    ("unreason.dat", Resp { usable: true, faults: &[] }),
    ("noreason.dat", Resp { usable: true, faults: &[] }),
    ("badinv01.dat", Req { agent: 400, proxy: 400, faults: &["Via[0]", "Contact[0]"] }),
    ("clerr.dat", Unread("Content-Length is 9999, the body has 154 octets", 400)),
    ("ncl.dat", Unread("Content-Length is not a number", 400)),
    (
        "scalar02.dat",
        Req { agent: 400, proxy: 400, faults: &["CSeq[0]", "Max-Forwards[0]", "Expires[0]", "Contact[0]"] },
    ),
    ("scalarlg.dat", Resp { usable: false, faults: &["CSeq[0]", "Retry-After[0]", "Warning[0]"] }),
    ("quotbal.dat", Req { agent: 400, proxy: 400, faults: &["To[0]"] }),
    ("ltgtruri.dat", Unread("Request-URI: a character that no URI holds", 400)),
    ("lwsruri.dat", Unread("Request-Line: more than one space, or a space in the URI", 400)),
    ("lwsstart.dat", Unread("Request-Line: more than one space, or a space in the URI", 400)),
    ("trws.dat", Unread("Request-Line: the version is malformed, or spaces follow it", 400)),
    ("escruri.dat", Req { agent: 400, proxy: 400, faults: &["start-line"] }),
    // Who does not need the Date may pass over it; who insists answers 400.
    ("baddate.dat", Req { agent: 0, proxy: 0, faults: &["Date[0]"] }),
    // The Contact is for the registrar alone.
    ("regbadct.dat", Req { agent: 400, proxy: 0, faults: &["Contact[0]"] }),
    ("badaspec.dat", Req { agent: 400, proxy: 400, faults: &["To[0]"] }),
    // The file of the archive lacks the empty line at its end; see `cut_files`.
    ("baddn.dat", Unread("the head has no end", 400)),
    ("badvers.dat", Unread("not version 2.0 of SIP", 505)),
    ("mismatch01.dat", Req { agent: 400, proxy: 400, faults: &["CSeq[0]"] }),
    ("mismatch02.dat", Req { agent: 400, proxy: 400, faults: &["CSeq[0]"] }),
    ("bigcode.dat", Unread("Status-Line: no three digits and a space", 0)),
    // The branch is the magic cookie alone: matched as RFC 2543 did.
    ("badbranch.dat", GOOD),
    ("insuf.dat", Req { agent: 400, proxy: 400, faults: &["From[0]", "To[0]", "Call-ID[0]"] }),
    ("unkscm.dat", Req { agent: 416, proxy: 416, faults: &[] }),
    ("novelsc.dat", Req { agent: 416, proxy: 416, faults: &[] }),
    ("unksm2.dat", GOOD),
    ("bext01.dat", Req { agent: 420, proxy: 420, faults: &[] }),
    ("invut.dat", Req { agent: 415, proxy: 0, faults: &[] }),
    ("regaut01.dat", GOOD),
    (
        "multi01.dat",
        Req {
            agent: 400,
            proxy: 400,
            faults: &["CSeq[1]", "Call-ID[1]", "To[1]", "From[1]", "Max-Forwards[1]", "Contact[0]"],
        },
    ),
    ("mcl01.dat", Unread("more than one Content-Length", 400)),
    // That the second Via is not ours is the business of the transaction layer.
    ("bcast.dat", Resp { usable: true, faults: &[] }),
    // For a user agent the last hop is no fault.
    ("zeromf.dat", Req { agent: 0, proxy: 483, faults: &[] }),
    ("cparam01.dat", GOOD),
    ("cparam02.dat", GOOD),
    ("regescrt.dat", GOOD),
    // What the caller accepts is compared with the answer, not with the request: 406 comes from the application.
    ("sdp01.dat", GOOD),
    ("inv2543.dat", GOOD),
];

const RFC_5118: [(&str, Outcome); 12] = [
    ("ipv6-good", GOOD),
    ("ipv6-bad", Unread("Request-URI: bad port", 400)),
    ("port-ambiguous", GOOD),
    ("port-unambiguous", GOOD),
    ("via-received-param-with-delim", GOOD),
    ("via-received-param-no-delim", GOOD),
    // The file of the archive is cut inside of its body.
    ("ipv6-in-sdp", Unread("Content-Length is 268, the body has 251 octets", 400)),
    ("mult-ip-in-header", GOOD),
    ("mult-ip-in-sdp", GOOD),
    ("ipv4-mapped-ipv6", GOOD),
    // The files of the archive are cut before their empty line; see `cut_files`.
    ("ipv6-bug-abnf-3-colons", Unread("the head has no end", 400)),
    ("ipv6-correct-abnf-2-colons", Unread("the head has no end", 400)),
];

fn agent() -> RequestPolicy {
    let types = ["application/sdp", "text/plain", "multipart/mixed"];
    RequestPolicy {
        content_types: types.iter().map(|range| Accept::new(range).unwrap()).collect(),
        ..RequestPolicy::user_agent()
    }
}

fn parse(octets: &[u8]) -> Result<Message, ParseFailure> {
    parse_datagram(octets.to_vec().into(), &Limits::default())
}

/// Places of the faults; the offset of each is checked against the octets.
fn faults(findings: &[Finding], octets: &[u8]) -> Vec<String> {
    let place = |finding: &Finding| match &finding.place {
        None => "start-line".to_owned(),
        Some(Place { header, index, offset }) => {
            if let Some(offset) = offset {
                let before = String::from_utf8_lossy(&octets[..*offset]).to_ascii_lowercase();
                let name = before.trim_end().strip_suffix(':').unwrap().trim_end().to_owned();
                let spelling = name.rsplit(['\n', '\r']).next().unwrap();
                assert_eq!(HeaderName::parse(spelling).as_ref(), Ok(header));
            }
            format!("{header}[{index}]")
        }
    };
    findings.iter().filter(|finding| finding.weight == Weight::Fault).map(place).collect()
}

/// The answer has the status, and the fields that an answer has, as they came.
fn check_reply(name: &str, reply: &Response, status: u16, request: &Headers) {
    assert_eq!(reply.status().as_u16(), status, "{name}");
    for field in [HeaderName::Via, HeaderName::CallId, HeaderName::CSeq] {
        let values = |headers: &Headers| -> Vec<Vec<u8>> {
            headers.get_all(&field).map(|value| value.as_bytes().to_vec()).collect()
        };
        assert_eq!(values(reply.headers()), values(request), "{name}: {field}");
    }
    assert!(matches!(parse(&reply.to_bytes()), Ok(Message::Response(_))), "{name}: the answer parses");
}

fn check_request(name: &str, request: &Request, policy: &RequestPolicy, status: u16) {
    match validate_request(request, policy) {
        Ok(()) => assert_eq!(status, 0, "{name}"),
        Err(finding) => check_reply(name, &finding.reply(request), status, request.headers()),
    }
}

fn check(name: &str, outcome: &Outcome, octets: &[u8]) {
    match (outcome, parse(octets)) {
        (Unread(fault, status), Err(failure)) => {
            assert_eq!(failure.to_string(), *fault, "{name}");
            match (failure.reply(), &failure.context) {
                (Some(reply), Some(context)) => check_reply(name, &reply, *status, context.headers()),
                (reply, _) => assert_eq!((reply, *status), (None, 0), "{name}"),
            }
        }
        (Req { agent: status, proxy, faults: places }, Ok(Message::Request(request))) => {
            check_request(name, &request, &agent(), *status);
            check_request(name, &request, &RequestPolicy { role: Role::Proxy, ..agent() }, *proxy);
            assert_eq!(faults(&inspect_request(&request, &agent()), octets), *places, "{name}");
        }
        (Resp { usable, faults: places }, Ok(Message::Response(response))) => {
            assert_eq!(validate_response(&response).is_ok(), *usable, "{name}");
            assert_eq!(faults(&inspect_response(&response), octets), *places, "{name}");
        }
        (_, Ok(_)) => panic!("{name} parses"),
        (_, Err(failure)) => panic!("{name} does not parse: {failure}"),
    }
}

fn run(corpus: &str, table: &[(&str, Outcome)]) {
    let present = table.iter().filter_map(|row| Some((row, corpus::message(corpus, row.0)?)));
    let count = present.map(|((name, outcome), octets)| check(name, outcome, &octets)).count();
    println!("{corpus}: {count} messages of {}", table.len());
}

#[test]
fn rfc_4475() {
    run("rfc4475", &RFC_4475);
}

#[test]
fn rfc_5118() {
    run("rfc5118", &RFC_5118);
}

/// Files that the archives cut short, with what is missing put back.
#[test]
fn cut_files() {
    for (corpus, name, missing, outcome) in [
        ("rfc4475", "baddn.dat", &b"\r\n"[..], Req { agent: 400, proxy: 400, faults: &["From[0]", "To[0]"] }),
        ("rfc5118", "ipv6-bug-abnf-3-colons", b"\r\n", GOOD),
        ("rfc5118", "ipv6-correct-abnf-2-colons", b"\r\n", GOOD),
        ("rfc5118", "ipv6-in-sdp", b"a=rtpmap:31 LPC\r\n", GOOD),
    ] {
        let Some(mut octets) = corpus::message(corpus, name) else { continue };
        octets.extend_from_slice(missing);
        check(name, &outcome, &octets);
    }
}
