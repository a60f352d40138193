//! `cpm decode` as scripts see it: what it prints, and its exit status.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs the command with these octets on its standard input.
fn decode(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cpm"));
    command.arg("decode").args(arguments);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str], input: &[u8]) -> (i32, Value) {
    let (status, out, err) = decode(arguments, input);
    assert_eq!(err, "");
    (status, serde_json::from_str(&out).unwrap())
}

const BODY: &str = "--o\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n\
c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=message 2855 TCP/MSRP *\r\na=accept-types:*\r\na=path:msrp://192.0.2.1:2855/s;tcp\r\n\r\n\
--o\r\nContent-Type: message/cpim\r\n\r\nFrom: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\
NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: m1\r\n\r\nContent-Type: message/imdn+xml\r\n\r\n\
<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>m0</message-id><datetime>2026-11-21T10:00:00Z</datetime>\
<display-notification><status><displayed/></status></display-notification></imdn>\r\n\
--o\r\nContent-Type: message/sip\r\nContent-Disposition: aib; handling=optional\r\n\r\n\
SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n--i\r\n\r\nplain\r\n--i--\r\n\
--o\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--o--\r\n";

/// A request of CPM, with fields as peers write them, whose body has others inside.
fn invite() -> String {
    format!(
        "INVITE tel:+1-201-555-0123 SIP/2.0\r\nv: SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK1;rport , SIP/2.0/UDP h;branch=z9hG4bK2\r\n\
         Max-Forwards: 070\r\nf: \"Alice \\\"A\\\"\" <sip:alice@example.com>\r\n ;tag=1\r\nt: <tel:+1-201-555-0123>\r\ni: abc\r\nCSeq: 1 INVITE\r\n\
         m: <sip:alice@192.0.2.1>;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";\
         +g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.session\"\r\n\
         Authorization: Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"sip:x\",response=\"00\",qop=auth,cnonce=\"c\",nc=0000000a\r\n\
         X-Odd:  kept ;;,  as it is\r\nContribution-ID: 1234\r\n\
         c: multipart/mixed;boundary=o\r\nl: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

#[test]
fn every_field_and_every_body_is_printed() {
    let (status, out, err) = decode(&["-"], invite().as_bytes());
    assert_eq!((status, &*err), (0, ""), "{out}");
    let expected = [
        "-: request, ",
        "INVITE tel:+1-201-555-0123 SIP/2.0",
        "    method=INVITE  uri=tel:+1-201-555-0123  scheme=tel  number=+12015550123  reach=global",
        "    transport=TLS  host=[2001:db8::1]  port=5061  rport=requested  branch=z9hG4bK1",
        "    transport=UDP  host=h  branch=z9hG4bK2",
        "Max-Forwards: 070",
        "    value=70",
        "From: \"Alice \\\"A\\\"\" <sip:alice@example.com> ;tag=1",
        "    display name=Alice \"A\"  uri=sip:alice@example.com  scheme=sip  user=alice  host=example.com  tag=1",
        "  icsi=urn:urn-7:3gpp-service.ims.icsi.oma.cpm.session",
        "    scheme=Digest  username=a  realm=r  uri=sip:x  algorithm=MD5  nonce=n  qop=auth  nonce count=10",
        "X-Odd: kept ;;,  as it is",
        "Contribution-ID: 1234",
        "(body) multipart/mixed, ",
        "    (body.1) application/sdp, ",
        "        media=message port 2855 TCP/MSRP * path msrp://192.0.2.1:2855/s;tcp",
        "        | a=accept-types:*",
        "    (body.2) message/cpim, ",
        "        imdn.Message-ID=m1",
        "        (body.2.1) message/imdn+xml, ",
        "            message id=m0",
        "            display=displayed",
        "    (body.3) message/sip, ",
        "        response=200 OK",
        "        (body.3.1) multipart/alternative, ",
        "            (body.3.1.1) text/plain, 5 octets",
        "                | plain",
        "    (body.4) image/png, 4 octets",
        "        base64 iVBORw==",
        "verdict: valid",
    ];
    let mut rest = &*out;
    for line in expected {
        let at = rest
            .find(line)
            .unwrap_or_else(|| panic!("{line:?} is missing behind what came before in\n{out}"));
        rest = &rest[at..];
    }
}

#[test]
fn json_says_the_same() {
    let (status, found) = json(&["--json", "-"], invite().as_bytes());
    assert_eq!(status, 0);
    let message = &found[0]["messages"][0];
    assert_eq!(found[0]["valid"], true);
    assert_eq!(message["kind"], "request");
    assert_eq!(message["start_line"]["reading"]["number"], "+12015550123");
    let field = |name: &str| {
        let fields = message["headers"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(field("Via")["readings"][1]["branch"], "z9hG4bK2");
    assert_eq!(field("Contact")["readings"][0]["icsi"], "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.session");
    assert_eq!(
        (&field("X-Odd")["known"], &field("X-Odd")["value"]),
        (&false.into(), &"kept ;;,  as it is".into())
    );
    let places: Vec<_> =
        message["bodies"].as_array().unwrap().iter().map(|body| body["place"].as_str().unwrap()).collect();
    assert_eq!(
        places,
        ["body", "body.1", "body.2", "body.2.1", "body.3", "body.3.1", "body.3.1.1", "body.4"]
    );
    assert_eq!(message["bodies"][7]["content"]["base64"], "iVBORw==");
    assert_eq!(message["verdict"]["findings"].as_array().unwrap().len(), 0);
}

#[test]
fn what_is_wrong_has_its_place_and_its_answer() {
    let good = invite();
    let verdict = |bad: String| {
        let (status, found) = json(&["--json", "-"], bad.as_bytes());
        let verdict = found[0]["messages"][0]["verdict"].clone();
        assert_eq!(verdict["valid"], status == 0);
        (status, verdict["findings"][0].clone())
    };
    // A field that cannot be read.
    let (status, fault) = verdict(good.replace("CSeq: 1 INVITE", "CSeq: one INVITE"));
    assert_eq!((status, &fault["kind"], &fault["place"]), (1, &"fault".into(), &"CSeq[0]".into()));
    assert_eq!(fault["octet"], good.find("1 INVITE").unwrap());
    assert_eq!(fault["answer"]["status"], 400);
    // A message that cannot be read.
    let (status, fault) = verdict(good.replace("l: ", "l: 9"));
    assert_eq!(
        (status, &fault["place"], &fault["answer"]["status"]),
        (1, &"Content-Length".into(), &400.into())
    );
    let (status, fault) = verdict(good.replacen("SIP/2.0", "SIP/7.0", 1));
    assert_eq!((status, &fault["place"], &fault["answer"]["status"]), (1, &"start line".into(), &505.into()));
    // A body inside of a body; one that may be passed over is a lapse alone.
    let (status, fault) = verdict(good.replace("v=0", "v=1"));
    assert_eq!((status, &fault["place"], &fault["answer"]["status"]), (1, &"body.1".into(), &400.into()));
    let (status, fault) = verdict(good.replace("SIP/2.0 200 OK", "SIP/2.0 2OO OK"));
    assert_eq!((status, &fault["place"], &fault["kind"]), (0, &"body.3".into(), &"lapse".into()));
    assert_eq!(fault["answer"], Value::Null);
    // What would be refused for other reasons.
    for (from, to, kind, place, answer) in [
        ("X-Odd:  kept ;;,  as it is", "Require: nothing-known", "user-agent-refuses", "Require[0]", 420),
        ("X-Odd:  kept ;;,  as it is", "Accept: text/plain", "user-agent-refuses", "Accept[0]", 406),
        ("INVITE tel:+1-201-555-0123", "INVITE nobody:knows", "user-agent-refuses", "start line", 416),
        (
            "c: multipart/mixed;boundary=o",
            "c: application/unheard-of",
            "user-agent-refuses",
            "Content-Type[0]",
            415,
        ),
        ("Max-Forwards: 070", "Max-Forwards: 000", "proxy-refuses", "Max-Forwards[0]", 483),
    ] {
        let (status, found) = verdict(good.replace(from, to));
        assert_eq!(
            (status, &found["kind"], &found["place"], &found["answer"]["status"]),
            (0, &kind.into(), &place.into(), &answer.into())
        );
    }
    // An ACK and a response are never answered.
    let (status, fault) =
        verdict("ACK sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 ACK\r\n\r\n".to_owned());
    assert_eq!((status, &fault["place"], &fault["answer"]), (1, &"From[0]".into(), &Value::Null));
    let (status, fault) = verdict("SIP/2.0 200 OK\r\nVia: x\r\n\r\n".to_owned());
    assert_eq!((status, &fault["kind"], &fault["answer"]), (1, &"fault".into(), &Value::Null));
    let (status, _) = verdict(String::new());
    assert_eq!(status, 1);
}

#[test]
fn a_stream_has_many_messages() {
    let one = "OPTIONS sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=1\r\n\
               To: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    let broken = one.replace("CSeq: 1 OPTIONS", "CSeq 1");
    let kinds = |input: &str| {
        let (status, found) = json(&["--json", "--stream", "-"], input.as_bytes());
        let messages = found[0]["messages"].as_array().unwrap().clone();
        // They stand one behind the other, and nothing is left out.
        let mut at = 0;
        for message in &messages {
            assert_eq!(message["offset"], at);
            at += message["octets"].as_u64().unwrap();
        }
        assert_eq!(at, u64::try_from(input.len()).unwrap());
        let kinds: Vec<_> = messages.iter().map(|m| m["kind"].as_str().unwrap().to_owned()).collect();
        (status, kinds)
    };
    let two = format!("{one}{one}");
    assert_eq!(kinds(&two), (0, vec!["request".to_owned(), "request".to_owned()]));
    // One that cannot be read does not harm the next.
    let (status, found) = kinds(&format!("{one}{broken}{one}"));
    assert_eq!((status, &*found.join(" ")), (1, "request unreadable request"));
    // Keep-alives are no messages; a file of nothing else has none.
    let (status, found) = kinds(&format!("{one}\r\n\r\n{one}"));
    assert_eq!((status, &*found.join(" ")), (0, "request keep-alive keep-alive request"));
    assert_eq!(kinds("\r\n\r\n").0, 1);
    // Cut, and without the length that a stream needs.
    let (status, found) = kinds(&two[..two.len() - 2]);
    assert_eq!((status, &*found.join(" ")), (1, "request unreadable"));
    let (status, found) = kinds(&format!("{one}{}{one}", one.replace("Content-Length: 0\r\n", "")));
    assert_eq!((status, &*found.join(" ")), (1, "request unreadable"));
    // As a datagram, the second one is none.
    let (status, found) = json(&["--json", "-"], two.as_bytes());
    assert_eq!(status, 0);
    assert_eq!(found[0]["messages"][0]["ignored_octets"], one.len());
}

#[test]
fn nothing_acts_on_the_terminal() {
    let hostile = "MESSAGE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: \"a\u{202e}b\u{9b}31m\" <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nX-T: \u{9d}0;title\u{200b}\r\n\
        Content-Type: text/plain\r\n\r\nred \x1b[31m\u{7f}\r over\u{1d1}\u{e0001}";
    for arguments in [&["-"][..], &["--json", "-"]] {
        let (status, out, _) = decode(arguments, hostile.as_bytes());
        assert_eq!(status, 0, "{out}");
        let acting = |c: &char| c.is_control() && *c != '\n' || "\u{202e}\u{200b}\u{e0001}".contains(*c);
        assert_eq!(out.chars().find(acting), None, "{out:?}");
    }
    // JSON reads the characters back as they were.
    let (_, found) = json(&["--json", "-"], hostile.as_bytes());
    let text = found[0]["messages"][0]["bodies"][0]["content"]["text"].as_str().unwrap();
    assert_eq!(text, "red \x1b[31m\u{7f}\r over\u{1d1}\u{e0001}");
}

#[test]
fn wrong_usage() {
    let (status, out, err) = decode(&[], b"");
    assert_eq!((status, &*out), (2, ""));
    assert!(err.contains("Usage"), "{err}");
    assert_eq!(decode(&["--yaml", "-"], b"").0, 2);
    let (status, out, err) = decode(&["/nowhere/\u{1b}[1m", "-"], invite().as_bytes());
    assert_eq!(status, 2);
    assert!(out.contains("verdict: valid") && err.starts_with("cpm: /nowhere/\\u{1b}[1m: "), "{out}{err}");
}

/// What a NOTIFY says of a request that was referred is taken apart like a message, and may be malformed like one.
#[test]
fn fragments_of_messages() {
    let notify = |fragment: &str| {
        format!(
            "NOTIFY sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 NOTIFY\r\nContact: <sip:a@h>\r\nEvent: refer\r\n\
             Subscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag;version=2.0\r\n\
             Content-Length: {}\r\n\r\n{fragment}",
            fragment.len()
        )
    };
    for (fragment, status, lines) in [
        (
            "SIP/2.0 603 Not today\r\nX-Why: busy\r\n",
            0,
            &["    response=603 Not today", "    X-Why=busy"][..],
        ),
        ("SIP/2.0 200 OK", 0, &["    response=200 OK"]),
        (
            "INVITE tel:+1 SIP/2.0\r\nc: text/plain\r\n\r\nhi",
            0,
            &["    request=INVITE tel:+1", "        | hi"],
        ),
        ("SIP/2.0 OK\r\n", 1, &["    | SIP/2.0 OK", "fault at body"]),
    ] {
        let (found, out, _) = decode(&["-"], notify(fragment).as_bytes());
        assert_eq!(found, status, "{out}");
        for line in lines {
            assert!(out.contains(line), "{line:?} is missing in\n{out}");
        }
        assert_eq!(json(&["--json", "-"], notify(fragment).as_bytes()).0, status);
    }
}

/// Files that hold no SIP at all are invalid, a folder is no file; what is said about them is JSON all the same.
#[test]
fn what_is_no_message() {
    let binary: Vec<u8> = (0..=255u8).cycle().take(3_000).collect();
    let msrp = b"MSRP a786hjs2 SEND\r\nTo-Path: msrp://x:1/y;tcp\r\n\r\n-------a786hjs2$\r\n";
    for octets in [&b""[..], b"\r\n\r\n", &binary, msrp, b"MESSAGE sip:b@x SIP/2.0\nVia: x\n\n"] {
        for options in [&["--json", "-"][..], &["--json", "--stream", "-"]] {
            let (status, found) = json(options, octets);
            assert_eq!((status, &found[0]["valid"]), (1, &Value::Bool(false)), "{found}");
        }
        assert_eq!(decode(&["-"], octets).0, 1);
    }
    let (status, out, err) = decode(&[env!("CARGO_MANIFEST_DIR")], b"");
    assert_eq!((status, &*out), (2, ""));
    assert!(err.starts_with("cpm: "), "{err}");
}

/// The bodies of a message are not looked into without end.
#[test]
fn deep_and_many_bodies_end() {
    let head = |kind: &str, length: usize| {
        format!(
            "MESSAGE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut nested = "end".to_owned();
    for _ in 0..100 {
        nested = format!("{}{nested}", head("message/sip", nested.len()));
    }
    let (status, found) = json(&["--json", "-"], nested.as_bytes());
    assert_eq!(status, 1);
    assert!(found[0]["messages"][0]["bodies"].as_array().unwrap().len() <= 10);
    // Each of 32 parts has 32 parts.
    let multipart = |boundary: &str, part: &str| {
        format!("{}--{boundary}--\r\n", format!("--{boundary}\r\n{part}\r\n").repeat(32))
    };
    let inner = multipart("i", "\r\nx");
    let outer = multipart("o", &format!("Content-Type: multipart/mixed;boundary=i\r\n\r\n{inner}"));
    let whole = format!("{}{outer}", head("multipart/mixed;boundary=o", outer.len()));
    let (status, found) = json(&["--json", "-"], whole.as_bytes());
    assert_eq!(status, 1);
    assert_eq!(found[0]["messages"][0]["bodies"].as_array().unwrap().len(), 128);
}

/// Exit status, and the statuses of the answers that are printed, for each message of RFC 4475; in its order.
const TORTURE: [(&str, i32, &[u16]); 49] = [
    ("wsinv", 0, &[]),
    ("intmeth", 0, &[501]),
    ("esc01", 0, &[]),
    ("escnull", 0, &[]),
    ("esc02", 0, &[501]),
    ("lwsdisp", 0, &[]),
    ("longreq", 0, &[]),
    ("dblreq", 0, &[]),
    ("semiuri", 0, &[]),
    ("transports", 0, &[]),
    ("mpart01", 0, &[]),
    ("unreason", 0, &[]),
    ("noreason", 0, &[]),
    ("badinv01", 1, &[400]),
    ("clerr", 1, &[400]),
    ("ncl", 1, &[400]),
    ("scalar02", 1, &[400]),
    // A response, however wrong, is not answered.
    ("scalarlg", 1, &[]),
    ("quotbal", 1, &[400]),
    ("ltgtruri", 1, &[400]),
    ("lwsruri", 1, &[400]),
    ("lwsstart", 1, &[400]),
    ("trws", 1, &[400]),
    ("escruri", 1, &[400]),
    ("baddate", 1, &[400]),
    ("regbadct", 1, &[400]),
    ("badaspec", 1, &[400]),
    ("baddn", 1, &[400]),
    ("badvers", 1, &[505]),
    ("mismatch01", 1, &[400]),
    ("mismatch02", 1, &[400]),
    ("bigcode", 1, &[]),
    ("badbranch", 0, &[]),
    ("insuf", 1, &[400]),
    ("unkscm", 0, &[416]),
    ("novelsc", 0, &[416]),
    ("unksm2", 0, &[]),
    ("bext01", 0, &[420]),
    ("invut", 0, &[415]),
    ("regaut01", 0, &[]),
    ("multi01", 1, &[400]),
    ("mcl01", 1, &[400]),
    ("bcast", 0, &[]),
    ("zeromf", 0, &[483]),
    ("cparam01", 0, &[]),
    ("cparam02", 0, &[]),
    ("regescrt", 0, &[]),
    ("sdp01", 0, &[406]),
    ("inv2543", 0, &[]),
];

#[test]
fn the_torture_messages_of_rfc_4475() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/rfc4475");
    let mut run = 0;
    for (name, status, answers) in TORTURE {
        let path = folder.join(format!("{name}.dat"));
        if !path.exists() {
            println!("not run: {} is missing", path.display());
            continue;
        }
        run += 1;
        let path = path.to_str().unwrap();
        let (found_status, found) = json(&["--json", path], b"");
        let findings = found[0]["messages"][0]["verdict"]["findings"].as_array().unwrap().clone();
        let mut statuses: Vec<_> =
            findings.iter().filter_map(|finding| finding["answer"]["status"].as_u64()).collect();
        statuses.dedup();
        let expected: Vec<u64> = answers.iter().copied().map(u64::from).collect();
        assert_eq!((found_status, statuses), (status, expected), "{name}: {findings:#?}");
        // Every fault has a place.
        assert!(
            findings.iter().all(|finding| finding["place"].as_str().is_some_and(|place| !place.is_empty()))
        );
        // The text for people has the same end.
        let (text_status, out, _) = decode(&[path], b"");
        assert_eq!(text_status, status, "{name}");
        assert_eq!(out.contains("verdict: valid"), status == 0, "{name}");
    }
    println!("rfc4475: {run} messages of {}", TORTURE.len());
}

/// A document of each kind, and something that it must say.
const DOCUMENTS: [(&str, &str, &str); 15] = [
    (
        "message/imdn+xml",
        "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>m0</message-id><delivery-notification><status><delivered/></status>\
         </delivery-notification></imdn>",
        "message id=m0 delivery=delivered let pass=MissingDatetime",
    ),
    (
        "application/im-iscomposing+xml",
        "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state><contenttype>text/plain</contenttype>\
         <refresh>90</refresh></isComposing>",
        "typing=active content type=text/plain refresh=90 s",
    ),
    (
        "application/resource-lists+xml",
        "<resource-lists xmlns='urn:ietf:params:xml:ns:resource-lists' xmlns:cp='urn:ietf:params:xml:ns:copycontrol'><list>\
         <entry uri='sip:b@x' cp:copyControl='to'><display-name>Bob</display-name></entry></list></resource-lists>",
        "entry=sip:b@x (Bob) copyControl=to",
    ),
    (
        "application/conference-info+xml",
        "<conference-info xmlns='urn:ietf:params:xml:ns:conference-info' entity='sip:g@x' state='partial' version='7'>\
         <conference-description><subject>Tea</subject></conference-description><users state='partial'>\
         <user entity='sip:a@x' state='deleted'/></users></conference-info>",
        "conference=sip:g@x state=partial version=7 subject=Tea who may remove=rem-all users are=partial user=sip:a@x deleted",
    ),
    (
        "application/reginfo+xml",
        "<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='0' state='full'><registration aor='sip:u@x' id='a' state='active'>\
         <contact id='c' state='active' event='registered'><uri>sip:u@h</uri></contact></registration></reginfo>",
        "version=0 state=full registration=sip:u@x active contact=sip:u@h active registered",
    ),
    ("application/msginfo+xml", "<message-list xmlns='urn:ietf:params:xml:ns:msginfo'/>", ""),
    (
        "application/msginfo+xml",
        "<message-expired xmlns='urn:ietf:params:xml:ns:msginfo' message-reference='r1' UID='9'/>",
        "expired=r1 uid=9",
    ),
    (
        "application/vnd.oma.cpm-event-imap+xml",
        "<cpm-evfw xmlns='urn:oma:xml:cpm:evfw'><event-cpm-imap type='flags'><operation name='add' flag='\\Seen'>\
         <object uid='5' folder-path='f'><message-id>m</message-id></object></operation></event-cpm-imap></cpm-evfw>",
        "\\Seen=5 f m",
    ),
    ("application/vnd.oma.cpm-event-activity+xml", "<cpm-evfw xmlns='urn:oma:xml:cpm:evfw'/>", "event=none"),
    (
        "application/vnd.oma.cpm-groupdata+xml",
        "<cpm-group-management xmlns='urn:oma:xml:cpm:groupdata:1.0' id='3'/>",
        "id=3",
    ),
    (
        "application/group-state-object+xml",
        "<groupstate timestamp='2026-11-21T10:00:00Z' lastfocussessionid='sip:f@x'><participant comm-addr='sip:a@x' name='A'/></groupstate>",
        "session=sip:f@x date=2026-11-21T10:00:00Z participant=sip:a@x (A)",
    ),
    (
        "application/auth-policy+xml",
        "<ruleset xmlns='urn:ietf:params:xml:ns:common-policy'><rule id='r'><conditions><anonymous-request/></conditions>\
         <actions><allow-reject>true</allow-reject></actions></rule></ruleset>",
        "rule=r: ",
    ),
    (
        "application/xml",
        "<upp-directory><active-upp device='d1'>work</active-upp></upp-directory>",
        "active profile=work on d1",
    ),
    (
        "application/vnd.oma.poc.groups+xml",
        "<group xmlns='urn:oma:xml:poc:list-service'><list-service uri='sip:g@x'><list><entry uri='sip:m@x'/></list></list-service></group>",
        "group=sip:g@x invite members=",
    ),
    ("image/svg+xml", "<svg>", ""),
];

fn reading(body: &Value) -> String {
    let pairs = body["reading"].as_array().unwrap().iter();
    let words = pairs.map(|pair| format!("{}={}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    words.collect::<Vec<_>>().join(" ")
}

/// Each document says the same alone, by its type, in CPIM alone, in a multipart in SIP, and in MSRP cut into chunks.
#[test]
fn documents_alone_and_nested() {
    for (kind, document, expected) in DOCUMENTS {
        let last = |input: &str, arguments: &[&str]| {
            let (status, found) = json(arguments, input.as_bytes());
            assert_eq!((status, &found[0]["valid"]), (0, &Value::Bool(true)), "{input}: {found}");
            let message = found[0]["messages"].as_array().unwrap().last().unwrap().clone();
            let body = message["bodies"].as_array().unwrap().last().unwrap().clone();
            let text = body["content"]["text"].as_str().unwrap();
            assert_eq!(text.trim_start_matches('\u{feff}').trim(), document);
            assert!(reading(&body).starts_with(expected), "{kind}: {} instead of {expected}", reading(&body));
            (message, body)
        };
        let (alone, _) = last(document, &["--json", "--body", kind, "-"]);
        assert_eq!(alone["kind"], "body");
        if kind != "image/svg+xml" {
            last(&format!("\u{feff}\r\n{document}"), &["--json", "-"]);
        }
        let cpim = format!("From: <sip:a@x>\r\nTo: <sip:b@x>\r\n\r\nContent-Type: {kind}\r\n\r\n{document}");
        let (_, body) = last(&cpim, &["--json", "-"]);
        assert_eq!((&body["place"], &body["content_type"]), (&Value::from("body.1"), &Value::from(kind)));

        let parts = format!("--o\r\nContent-Type: message/cpim\r\n\r\n{cpim}\r\n--o--\r\n");
        let sip = format!(
            "MESSAGE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: multipart/mixed;boundary=o\r\nContent-Length: {}\r\n\r\n{parts}",
            parts.len()
        );
        assert_eq!(last(&sip, &["--json", "-"]).1["place"], "body.1.1");

        let (one, two) = cpim.split_at(40);
        let chunk = |body: &str, start: usize, flag: char| {
            format!(
                "MSRP t1id SEND\r\nTo-Path: msrp://b.x:1/s;tcp\r\nFrom-Path: msrp://a.x:1/s;tcp\r\nMessage-ID: m\r\n\
                 Byte-Range: {start}-*/{}\r\nContent-Type: message/cpim\r\n\r\n{body}\r\n-------t1id{flag}\r\n",
                cpim.len()
            )
        };
        let answer = "MSRP t1id 200 OK\r\nTo-Path: msrp://b.x:1/s;tcp\r\nFrom-Path: msrp://a.x:1/s;tcp\r\n-------t1id$\r\n";
        let msrp = format!("{}{answer}{}", chunk(one, 1, '+'), chunk(two, 41, '$'));
        let (message, _) = last(&msrp, &["--json", "-"]);
        assert_eq!(message["kind"], "msrp");
        assert_eq!(message["octets"], chunk(two, 41, '$').len());
        let offset = msrp.len() - chunk(two, 41, '$').len();
        assert_eq!(message["offset"], offset);
        // A piece that is missing leaves octets that nobody looks into.
        let (status, found) = json(&["--json", "-"], chunk(two, 41, '$').as_bytes());
        assert_eq!((status, found[0]["messages"][0]["bodies"].as_array().unwrap().len()), (0, 1));
        assert_eq!(found[0]["messages"][0]["bodies"][0]["reading"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn broken_bodies_are_told() {
    let verdict = |arguments: &[&str], input: &str| {
        let (status, out, err) = decode(arguments, input.as_bytes());
        assert!(err.is_empty() || status == 2, "{err}");
        (status, out)
    };
    let bomb = "<!DOCTYPE imdn [<!ENTITY a \"aaaa\">]><imdn>&a;</imdn>";
    let (status, out) = verdict(&["-"], bomb);
    assert!(status == 1 && out.contains("fault at body: "), "{out}");
    assert_eq!(verdict(&["--body", "message/imdn+xml", "-"], "<imdn/>").0, 1);
    assert_eq!(verdict(&["--body", "application/conference-info+xml", "-"], "<svg/>").0, 1);
    assert_eq!(verdict(&["--body", "no type", "-"], "x").0, 1);
    assert_eq!(verdict(&["--body", "text/plain", "-"], "x").0, 0);
    assert_eq!(verdict(&["--body", "text/plain", "--stream", "-"], "x").0, 2);
    // An end that never comes, and a stream that stops being MSRP.
    let send = "MSRP t1id SEND\r\nTo-Path: msrp://b.x:1/s;tcp\r\nFrom-Path: msrp://a.x:1/s;tcp\r\nMessage-ID: m\r\n\
                Content-Type: text/plain\r\n\r\nhi\r\n-------t1id$\r\n";
    let (status, out) = verdict(&["-"], send);
    assert!(status == 0 && out.contains("MSRP chunk") && out.contains("| hi"), "{out}");
    for bad in [
        &send[..send.len() - 3],
        &format!("{send}GET / HTTP/1.1\r\n"),
        &send.replace("From-Path", "Form-Path"),
    ] {
        assert_eq!(verdict(&["-"], bad).0, 1, "{bad}");
    }
}
