use super::*;
use crate::MimeHeaders;
use proptest::prelude::*;

fn read(text: &str) -> Result<Option<ExternalBody>, MimeError> {
    let text = text.replace('\n', "\r\n");
    ExternalBody::read(&Part::parse(Bytes::from(text), &Limits::default()).unwrap(), &Limits::default())
}

#[test]
fn reads_what_rfc_4483_shows() {
    let found = read(
        "Content-Type: message/external-body;\n ACCESS-TYPE=URL;\n URL=\"http://www.example.net/the\n -content.au\";\n \
         EXPIRATION=\"Mon, 24 June 2002 09:00:00 GMT\";\n size=52723;\n hash=10AB568E91245681AC1B\n\n\
         Content-Type: audio/basic\nContent-Disposition: render\nContent-ID: <1@x>\n\n",
    );
    let found = found.unwrap().unwrap();
    assert_eq!(found.url, "http://www.example.net/the-content.au");
    assert_eq!(found.size, Some(52723));
    assert_eq!(found.hash.as_deref().unwrap()[..2], [0x10, 0xab]);
    assert_eq!(found.expires(), Some(DateTime::parse("2002-06-24T09:00:00Z").unwrap()));
    assert!(found.content.content_type().unwrap().is("audio/basic"));
    assert!(found.content.content_disposition().unwrap().unwrap().is("render"));
    assert_eq!(found.content.content_id().unwrap().as_deref(), Some("1@x"));
    // The form that RFC 1123 has, and what is no date.
    let with =
        |expiration: &str| ExternalBody { expiration: Some(expiration.into()), ..found.clone() }.expires();
    assert_eq!(with("Sat, 20 Jul 2002 12:00:00 GMT"), Some(DateTime::parse("2002-07-20T12:00:00Z").unwrap()));
    assert_eq!(with("Sat, 20 Juli 2002 12:00:00 GMT"), None);
    assert_eq!(with("tomorrow"), None);
}

#[test]
fn what_is_none() {
    assert_eq!(read("Content-Type: text/plain\n\n"), Ok(None));
    let fault = |params: &str, name| {
        let text = alloc::format!("Content-Type: message/external-body{params}\n\nContent-Type: a/b\n\n");
        assert_eq!(read(&text), Err(MimeError::ExternalBody(name)), "{params}");
    };
    fault("", "access-type");
    fault(";access-type=ANON-FTP;URL=\"x:y\"", "access-type");
    fault(";access-type=URL", "URL");
    fault(";access-type=URL;URL=\" \"", "URL");
    for size in ["-1", "+1", "\"\"", "1x", "18446744073709551616", "0x10"] {
        fault(&alloc::format!(";access-type=URL;URL=\"x:y\";size={size}"), "size");
    }
    for hash in ["\"\"", "0", "0g", "+1"] {
        fault(&alloc::format!(";access-type=URL;URL=\"x:y\";hash={hash}"), "hash");
    }
    let broken = "Content-Type: message/external-body;access-type=URL;URL=\"x:y\"\n\nno header field\n";
    assert_eq!(read(broken), Err(MimeError::BadHeaderName));
    let mut content = Part::new(&ContentType::text_plain(), Bytes::new());
    content.headers = MimeHeaders::new();
    for url in ["", "http://a b", "http://a\r\nX: y"] {
        assert_eq!(ExternalBody::new(url, content.clone()).to_part(), Err(MimeError::ExternalBody("URL")));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        url in "[!-~]{1,40}",
        size in any::<Option<u64>>(),
        hash in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..64)),
        expiration in proptest::option::of("[ -~]{0,30}"),
    ) {
        let content = Part::new(&ContentType::parse("image/png").unwrap(), Bytes::new());
        let written = ExternalBody { url, expiration, size, hash, content };
        let part = written.to_part().unwrap();
        let wire = Part::parse(part.to_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(ExternalBody::read(&wire, &Limits::default()).unwrap().unwrap(), written);
    }

    #[test]
    fn no_text_panics(params in "(;|URL=|access-type=URL|size=|hash=|\"|[ -~]){0,10}", body in "[ -~\r\n]{0,30}") {
        let text = alloc::format!("Content-Type: message/external-body;access-type=URL{params}\r\n\r\n{body}");
        if let Ok(part) = Part::parse(Bytes::from(text), &Limits::default()) {
            let _ = ExternalBody::read(&part, &Limits::default()).map(|found| found.map(|found| found.expires()));
        }
    }
}
