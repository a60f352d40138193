//! The corpora of RFC 4475, RFC 5118 and the examples of RFCs, where they are there.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

use cpm_sip::*;
use std::fs;
use std::path::{Path as FilePath, PathBuf};

struct Case {
    name: String,
    expected: String,
    octets: Vec<u8>,
}

/// The SIP messages that `expectations.tsv` of a folder names; `None` when the folder is not there.
fn cases(folder: &str) -> Option<Vec<Case>> {
    let folder: PathBuf =
        FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(folder);
    let Ok(table) = fs::read_to_string(folder.join("expectations.tsv")) else {
        println!("vectors not run: folder missing ({})", folder.display());
        return None;
    };
    let rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let rows = rows.filter(|row| row.len() >= 3 && row[1] == "sip");
    let case = |row: Vec<&str>| {
        let mut octets = fs::read(folder.join(row[0])).unwrap_or_else(|e| panic!("{}: {e}", row[0]));
        if !octets.contains(&b'\r') {
            // The archive of RFC 5118 was made with the line ends of another system.
            octets = String::from_utf8(octets).unwrap().replace('\n', "\r\n").into_bytes();
        }
        Case { name: row[0].to_owned(), expected: row[2].to_owned(), octets }
    };
    Some(rows.map(case).collect())
}

/// What is wrong with a message, for one that works on its fields: the parse, the validation, the fields one by one.
fn fault(octets: &[u8]) -> Option<String> {
    let message = match parse_datagram(octets.to_vec().into(), &Limits::default()) {
        Err(failure) => return Some(format!("parse: {failure}")),
        Ok(message) => message,
    };
    let bytes = message.to_bytes();
    assert!(octets.windows(bytes.len()).any(|w| w == bytes), "octets are lost");
    assert_eq!(rebuilt(&message), bytes, "lines that are not edited are written as they were");
    if let Some(request) = message.as_request() {
        let policy = RequestPolicy {
            methods: {
                let mut methods = Method::KNOWN.to_vec();
                methods.push(request.method().clone());
                methods
            },
            ..RequestPolicy::user_agent()
        };
        match validate_request(request, &policy) {
            Err(finding) if finding.status == StatusCode::BAD_REQUEST => {
                return Some(format!("request: {finding}"));
            }
            _ => {}
        }
    }
    if let Some(response) = message.as_response()
        && let Err(error) = validate_response(response)
    {
        return Some(format!("response: {error}"));
    }
    fields(message.headers()).err().map(|error| format!("field: {error}"))
}

/// The octets, written line by line and not as a whole.
fn rebuilt(message: &Message) -> bytes::Bytes {
    let mut message = message.clone();
    let _ = message.headers_mut();
    message.to_bytes()
}

fn fields(headers: &Headers) -> Result<(), HeaderError> {
    headers.typed_list::<Via>()?;
    headers.typed::<From>()?;
    headers.typed::<To>()?;
    headers.typed::<CallId>()?;
    headers.typed::<CSeq>()?;
    headers.typed::<MaxForwards>()?;
    headers.typed_list::<Contact>()?;
    headers.typed_list::<Route>()?;
    headers.typed_list::<RecordRoute>()?;
    headers.typed_list::<Path>()?;
    headers.typed_list::<ServiceRoute>()?;
    headers.typed::<ContentLength>()?;
    headers.typed::<ContentType>()?;
    headers.typed::<ContentDisposition>()?;
    headers.typed::<Expires>()?;
    headers.typed::<MinExpires>()?;
    headers.typed_list::<Supported>()?;
    headers.typed_list::<Require>()?;
    headers.typed_list::<ProxyRequire>()?;
    headers.typed_list::<Unsupported>()?;
    headers.typed_list::<Allow>()?;
    headers.typed_list::<Accept>()?;
    headers.typed_list::<AcceptContact>()?;
    headers.typed_list::<RejectContact>()?;
    headers.typed_list::<RequestDisposition>()?;
    headers.typed::<UserAgent>()?;
    headers.typed::<Server>()?;
    headers.typed::<Subject>()?;
    headers.typed::<Organization>()?;
    headers.typed::<Date>()?;
    headers.typed::<Timestamp>()?;
    headers.typed::<ReplyTo>()?;
    headers.typed_list::<Warning>()?;
    headers.typed::<RetryAfter>()?;
    headers.typed_list::<ReasonHeader>()?;
    headers.typed_list::<PAssertedIdentity>()?;
    headers.typed_list::<PPreferredIdentity>()?;
    headers.typed_list::<PAssociatedUri>()?;
    headers.typed_list::<PAssertedService>()?;
    headers.typed_list::<PPreferredService>()?;
    headers.typed::<PServedUser>()?;
    headers.typed::<Privacy>()?;
    headers.typed::<ReferTo>()?;
    headers.typed_list::<ReferredBy>()?;
    Ok(())
}

fn run(folder: &str, known_faults: &[(&str, &str)]) {
    let Some(cases) = cases(folder) else { return };
    let mut wrong = Vec::new();
    for case in &cases {
        let found = fault(&case.octets);
        let known = known_faults.iter().find(|(name, _)| *name == case.name).map(|(_, fault)| *fault);
        let fine = match (case.expected.as_str(), known) {
            ("valid", Some(known)) => found.as_deref() == Some(known),
            ("valid", None) => found.is_none(),
            ("invalid", _) => found.is_some(),
            _ => true,
        };
        if !fine {
            wrong.push(format!("    (\"{}\", {:?}),", case.name, found.unwrap_or_default()));
        }
    }
    println!("{folder}: {} messages", cases.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn rfc_4475() {
    run("rfc4475", &[]);
}

#[test]
fn rfc_5118() {
    // Two files of the archive are cut: one before its empty line, one inside its body.
    run(
        "rfc5118",
        &[
            ("ipv6-correct-abnf-2-colons", "parse: the head has no end"),
            ("ipv6-in-sdp", "parse: Content-Length is 268, the body has 251 octets"),
        ],
    );
}

#[test]
fn rfc_examples() {
    run("rfc-examples", MISPRINTS);
}

/// What this crate reads of a field it writes so that it reads the same again, in every message of the corpora.
#[test]
fn fields_survive_being_written() {
    let folders = ["rfc4475", "rfc5118", "rfc-examples"];
    let messages = folders.iter().filter_map(|folder| cases(folder)).flatten();
    for case in messages {
        let Ok(message) = parse_datagram(case.octets.into(), &Limits::default()) else { continue };
        for (name, value) in
            message.headers().iter().filter(|(name, _)| name.occurrence() != Occurrence::List)
        {
            let Some(Ok(written)) = normal_form(name, value.as_bytes()) else { continue };
            if case.name == "intmeth.dat" && *name == HeaderName::To {
                // Control characters in quoted pairs are read, and written as spaces.
                continue;
            }
            let again = normal_form(name, written.as_str().as_bytes());
            assert_eq!(again, Some(Ok(written)), "{}: {name}", case.name);
        }
    }
}

/// Examples that RFCs print with a fault of their own: an error in one field, which the rest of the message survives,
/// or spaces and control characters where no parser takes them.
const MISPRINTS: &[(&str, &str)] = &[
    ("rfc3261-sec23.3-1.sip", "field: Content-Disposition: something follows the value"),
    ("rfc3261-sec23.4.2-2.fixed.sip", "request: 400: From: bad URI"),
    ("rfc3327-sec5.5.1-1.sip", "field: Supported: something follows the value"),
    ("rfc3327-sec5.5.1-2.sip", "request: 400: Path: something follows the value"),
    ("rfc3327-sec5.5.1-3.sip", "request: 400: Path: something follows the value"),
    ("rfc3327-sec5.5.1-4.sip", "request: 400: Path: something follows the value"),
    ("rfc3327-sec5.5.1-5.sip", "field: Path: something follows the value"),
    ("rfc3327-sec5.5.1-6.sip", "field: Path: something follows the value"),
    ("rfc3327-sec5.5.1-7.sip", "field: Path: something follows the value"),
    ("rfc3327-sec5.5.1-8.sip", "field: Path: something follows the value"),
    ("rfc3428-sec10-3.sip", "field: Via: a parameter has no name"),
    ("rfc3428-sec10-4.sip", "field: From: a parameter has no name"),
    ("rfc3515-sec4.1-1.sip", "field: Refer-To: bad URI"),
    ("rfc3515-sec4.2-1.sip", "field: Refer-To: bad URI"),
    ("rfc3608-sec6.4.1-1.sip", "request: 400: Contact: something follows the value"),
    ("rfc3608-sec6.4.1-2.sip", "request: 400: Contact: something follows the value"),
    ("rfc3608-sec6.4.1-3.sip", "request: 400: Contact: something follows the value"),
    ("rfc3608-sec6.4.1-4.sip", "field: Service-Route: something follows the value"),
    ("rfc3608-sec6.4.1-5.sip", "field: Service-Route: something follows the value"),
    ("rfc3608-sec6.4.1-6.sip", "field: Service-Route: something follows the value"),
    ("rfc3608-sec6.4.2-1.sip", "request: 400: Route: something follows the value"),
    ("rfc3608-sec6.4.2-2.sip", "request: 400: Route: something follows the value"),
    ("rfc3608-sec6.4.2-3.sip", "request: 400: Route: something follows the value"),
    ("rfc3608-sec6.4.2-4.sip", "request: 400: Record-Route: something follows the value"),
    ("rfc3666-sec2.2-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec2.3-5.sip", "request: 400: To: something follows the value"),
    ("rfc3666-sec2.3-11.sip", "request: 400: Route: bad URI"),
    ("rfc3666-sec2.3-13.sip", "request: 400: Route: bad URI"),
    ("rfc3666-sec2.6-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.5-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.6-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.7-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.7-2.fixed.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.8-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.8-2.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.9-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.9-2.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.9-6.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec3.9-13.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc3666-sec4.1-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc4028-sec13-6.sip", "request: 400: Route: the URI must stand in angle brackets"),
    ("rfc4488-sec6-1.sip", "parse: control character or lone line end in the head"),
    ("rfc4579-sec5.7-1.sip", "field: Refer-To: bad URI"),
    ("rfc4916-sec5.1-2.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-2.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-4.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-5.sip", "parse: Content-Length is not a number"),
    ("rfc4916-sec200-6.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-7.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-8.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-9.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-11.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-12.sip", "parse: control character or lone line end in the head"),
    ("rfc4916-sec200-13.sip", "parse: control character or lone line end in the head"),
    ("rfc5368-sec9-1.fixed.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc5368-sec9-1.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc5589-sec7.2-5.sip", "parse: control character or lone line end in the head"),
    ("rfc5589-sec7.3-5.sip", "parse: control character or lone line end in the head"),
    ("rfc5589-sec7.5-3.sip", "request: 400: Contact: something follows the value"),
    ("rfc5589-sec7.5-8.sip", "parse: control character or lone line end in the head"),
    ("rfc5626-sec3.2-1.sip", "request: 400: Contact: a parameter has no name"),
    ("rfc5626-sec9.1-1.sip", "request: 400: To: bad URI"),
    ("rfc5627-sec9-2.sip", "parse: control character or lone line end in the head"),
    ("rfc5627-sec9-4.sip", "parse: control character or lone line end in the head"),
    ("rfc5627-sec9-5.sip", "parse: control character or lone line end in the head"),
    ("rfc5627-sec9-6.sip", "parse: control character or lone line end in the head"),
    ("rfc5630-sec6.3-24.sip", "request: 400: Route: something follows the value"),
    ("rfc6050-sec6-4.sip", "parse: Request-Line: more than one space, or a space in the URI"),
    ("rfc7315-sec4.3.2.3-2.sip", "request: 400: Via: sent-by is no host"),
    ("rfc7315-sec4.3.2.3-3.sip", "request: 400: Via: sent-by is no host"),
    ("rfc7315-sec4.5.2.3-2.sip", "request: 400: Via: sent-by is no host"),
    ("rfc7315-sec4.6.2.3-2.sip", "request: 400: Via: sent-by is no host"),
    ("rfc7701-sec9.1-2.sip", "field: Contact: something follows the value"),
];
