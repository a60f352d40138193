use super::*;
use bytes::Bytes;
use cpm_cpim::Leniency;

const MOST: FetchLimits = FetchLimits { references: 2, octets: 100 };

fn message(content: &str) -> CpimMessage {
    let octets = format!("From: <sip:a@x>\nTo: <sip:b@x>\n\n{content}").replace('\n', "\r\n");
    CpimMessage::parse(Bytes::from(octets), &cpm_cpim::Limits::default(), &Leniency::default()).unwrap().0
}

fn reference(url: &str, inside: &str) -> String {
    format!("Content-Type: message/external-body; access-type=\"url\"; URL=\"{url}\"\n\n{inside}\n")
}

fn object(content_type: &str, octets: &'static [u8]) -> FetchedObject {
    FetchedObject { content_type: content_type.to_owned(), octets: Bytes::from_static(octets) }
}

fn urls(content: &str) -> Result<Vec<String>, ExternalFault> {
    to_fetch(&message(content), &Limits::DEFAULT, MOST)
}

fn filled(content: &str, fetched: &[FetchedObject]) -> Result<String, ExternalFault> {
    let filled = with_content(&message(content), fetched, &Limits::DEFAULT, MOST)?;
    Ok(String::from_utf8_lossy(&filled.to_bytes()).into_owned())
}

// req: 8.2.1.1-5
#[test]
fn marked_references_by_url_are_fetched_and_no_others() {
    let url = "imap://alice@store.test/x;UIDVALIDITY=1/;UID=7?action=fetch";
    assert_eq!(urls(&reference(url, "Content-Type: image/png\n")).unwrap(), [url]);
    for other in ["IMAPS://s/x?a=b&ACTION=fetch", "imap://s/x?action=fetch;y"] {
        assert_eq!(urls(&reference(other, "")).unwrap(), [other]);
    }
    for unmarked in [
        "imap://s/x",
        "imap://s/action=fetch",
        "imap://s/x?action=fetched",
        "imap://s/x?cpm_action=fetch",
        "http://s/x",
    ] {
        assert_eq!(urls(&reference(unmarked, "")).unwrap(), [""; 0], "{unmarked}");
    }
    let by_ftp = reference(url, "").replace("\"url\"", "anon-ftp");
    assert_eq!(urls(&by_ftp).unwrap(), [""; 0]);
    assert_eq!(urls("Content-Type: text/plain\n\nimap://s/x?action=fetch").unwrap(), [""; 0]);
}

// req: 8.2.1.1-5.b, 8.2.1.1-5.c
#[test]
fn content_and_type_take_the_place_of_the_reference() {
    let url = "imap://s/x?action=fetch";
    let inside = "Content-Type: image/gif\nContent-ID: <p@x>\nContent-Disposition: render\nContent-Transfer-Encoding: base64\n";
    let alone =
        filled(&reference(url, inside), &[object("text/plain; charset=utf-8", b"two\r\nlines")]).unwrap();
    let expected = "From: <sip:a@x>\nTo: <sip:b@x>\n\nContent-Type: text/plain;charset=utf-8\nContent-ID: <p@x>\nContent-Disposition: render\n\ntwo\nlines";
    assert_eq!(alone, expected.replace('\n', "\r\n"));

    let around = |first: &str, second: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: text/plain\n\nhi\n--bb\n{first}--bb\n{second}--bb--\n"
        )
    };
    let two = around(&reference(url, "Content-Type: image/png\n"), &reference("imap://s/y?action=fetch", ""));
    assert_eq!(urls(&two).unwrap(), [url, "imap://s/y?action=fetch"]);
    let all =
        filled(&two, &[object("image/png", b"\x89PNG"), object("message/cpim", b"From: <sip:c@x>\r\n\r\nx")]);
    let expected = around(
        "Content-Type: image/png\nContent-Transfer-Encoding: binary\n\n\u{fffd}PNG\n",
        "Content-Type: message/cpim\n\nFrom: <sip:c@x>\n\nx\n",
    );
    assert_eq!(all.unwrap(), format!("From: <sip:a@x>\nTo: <sip:b@x>\n\n{expected}").replace('\n', "\r\n"));
}

/// Threat E4: what the store says cannot end a header field; what it holds cannot end a part.
#[test]
fn nothing_breaks_out_of_its_place() {
    let url = "imap://s/x?action=fetch";
    let odd = filled(&reference(url, ""), &[object("text/plain\r\nX: y", b"")]);
    assert_eq!(odd, Err(ExternalFault::Type));
    let content =
        format!("Content-Type: multipart/mixed; boundary=bb\n\n--bb\n{}--bb--\n", reference(url, ""));
    let fetched = [object("text/plain", b"a\r\n--bb\r\nContent-Type: text/evil\r\n\r\nb")];
    let filled = with_content(&message(&content), &fetched, &Limits::DEFAULT, MOST).unwrap();
    let inside = filled.content().multipart(&Limits::DEFAULT).unwrap().unwrap();
    assert_eq!(inside.parts().len(), 1);
    assert_eq!(inside.parts()[0].body, fetched[0].octets);
}

#[test]
fn limits_hold_and_faults_have_their_answers() {
    let url = "imap://s/x?action=fetch";
    let parts = |n: usize| {
        let parts = format!("--b\n{}", reference(url, "")).repeat(n);
        format!("Content-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n")
    };
    assert_eq!(urls(&parts(2)).unwrap().len(), 2);
    let answered = |fault: ExternalFault| {
        let (status, text) = fault.answer();
        (status.as_u16(), text)
    };
    let text = "122 Function not allowed: more than 2 references to stored data".to_owned();
    assert_eq!(answered(urls(&parts(3)).unwrap_err()), (403, text));
    for scheme in ["http", "file", "https", "imapx"] {
        let fault = urls(&reference(&url.replace("imap", scheme), "")).unwrap_err();
        assert_eq!((fault.clone(), answered(fault).0), (ExternalFault::Scheme, 403));
    }
    let broken = reference(url, "").replace("url\"", "url\"; size=many");
    assert_eq!(answered(urls(&broken).unwrap_err()).0, 400);
    let large = vec![object("text/plain", &[b'x'; 60]), object("text/plain", &[b'x'; 41])];
    let text = "133 Size exceeded: stored data: more than 100 octets".to_owned();
    assert_eq!(answered(filled(&parts(2), &large).unwrap_err()), (513, text));
    assert!(filled(&parts(2), &[large[0].clone(), object("text/plain", &[b'x'; 40])]).is_ok());
    for (error, status) in [
        (FetchError::NotFound, 403),
        (FetchError::Forbidden, 403),
        (FetchError::TooLarge, 513),
        (FetchError::Failed, 480),
    ] {
        assert_eq!(answered(ExternalFault::Fetch(error)).0, status);
    }
    // Nobody who asks for fewer objects than there are references gets half of a message.
    assert!(filled(&parts(2), &large[..1]).is_err());
}
