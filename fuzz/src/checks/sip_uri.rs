//! URIs: what they name, in which spellings.

use cpm_sip::{Host, SipUri, TelUri, Uri};

/// Lines: a URI, one to compare it with, and a hostile text to edit it with.
pub fn sip_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (first, second) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let hostile = lines.next().unwrap_or(second);
    let (Some(a), b) = (one_uri(first), one_uri(second)) else { return };
    if let Some(b) = &b {
        two_uris(&a, b);
    }
    if let Some(sip) = a.as_sip() {
        edits(sip, hostile);
        // Without parameters nothing is left that a key has and an address has not.
        let bare = Uri::Sip(sip.clone().without_params());
        assert_eq!(bare.address_key(), a.address_key());
        assert_eq!(bare.key(), bare.address_key());
    }
}

/// A URI keeps its text, is equivalent to itself, and has one key.
pub(super) fn one_uri(text: &str) -> Option<Uri> {
    let uri = Uri::parse(text).ok()?;
    assert_eq!(uri.as_str(), text);
    assert_eq!(uri.to_string(), text);
    assert!(uri.equivalent(&uri), "a URI is equivalent to itself");
    let again = Uri::parse(text).expect("read twice");
    assert_eq!(uri.key(), again.key());
    assert!(uri.key().starts_with(&format!("{}:", uri.scheme())));
    // A key that is a URI itself is its own key: there is no further spelling behind it.
    for key in [uri.key(), uri.address_key()] {
        if let Ok(spelled) = Uri::parse(&key) {
            assert_eq!(spelled.key(), key, "of {text:?}");
        }
    }
    if let Some(tel) = uri.telephone() {
        telephone(&tel);
    }
    Some(uri)
}

fn two_uris(a: &Uri, b: &Uri) {
    let same = a.equivalent(b);
    assert_eq!(same, b.equivalent(a), "{a} and {b}");
    if same {
        assert_eq!(a.key(), b.key(), "{a} and {b}");
        assert_eq!(a.address_key(), b.address_key(), "{a} and {b}");
    }
    if !matches!((a, b), (Uri::Sip(_), Uri::Sip(_))) {
        assert_eq!(same, a.key() == b.key(), "{a} and {b}");
    }
    if let (Some(one), Some(other)) = (a.telephone(), b.telephone()) {
        assert_eq!(one.equivalent(&other), one.key() == other.key());
    }
}

/// A number that goes into a SIP URI comes out of it as the same.
fn telephone(tel: &TelUri) {
    if tel.as_str().len() > 300 {
        return; // Escaped, it may become longer than a URI may be.
    }
    let host = Host::parse("gateway.example.com").expect("a host");
    let sip = tel.to_sip(host.clone());
    assert_eq!(*sip.host(), host);
    assert_eq!(sip.param("user"), Some("phone"));
    let read = Uri::parse(sip.as_str()).expect("a SIP URI");
    let back = read.telephone().unwrap_or_else(|| panic!("{sip} is no number any more, {tel} was"));
    assert_eq!(back.key(), tel.key(), "{tel} by way of {sip}");
    assert_eq!(back.is_global(), tel.is_global());
}

/// Whatever text is put into a part of a URI, it stays in that part.
fn edits(sip: &SipUri, hostile: &str) {
    if sip.as_str().len() > 300 || hostile.len() > 100 {
        return; // What is written could be longer than a URI may be.
    }
    let parameters = sip.params().count();
    let with_user = sip.clone().with_user(hostile);
    if !hostile.is_empty() {
        assert_eq!(with_user.user_unescaped().as_deref(), Some(hostile));
    }
    assert_eq!((with_user.host(), with_user.port()), (sip.host(), sip.port()));
    assert_eq!(with_user.params().count(), parameters);
    let with_param = sip.clone().with_param("x-mark", Some(hostile));
    assert_eq!((with_param.user(), with_param.host()), (sip.user(), sip.host()));
    let others = sip.params().filter(|(name, _)| !name.eq_ignore_ascii_case("x-mark")).count();
    assert!(with_param.params().count() <= others + 1, "{with_param}");
    assert_eq!(with_param.headers().count(), sip.headers().count());
    let named = sip.clone().with_param(hostile, None);
    assert!(named.params().count() <= parameters + 1, "{named}");
    let host = Host::parse("other.example.com").expect("a host");
    let moved = sip.clone().with_host(host.clone(), Some(7));
    assert_eq!((moved.user(), moved.host(), moved.port()), (sip.user(), &host, Some(7)));
    let bare = sip.clone().without_headers().without_params();
    assert!(!bare.has_headers() && bare.params().next().is_none());
    for edited in [
        with_user,
        with_param,
        named,
        moved,
        bare,
        sip.clone().with_secure(!sip.is_secure()),
        sip.clone().with_port(None),
        sip.clone().without_param("transport"),
    ] {
        // A parameter more than may be read is one more than may be written.
        if edited.params().count() > 64 {
            continue;
        }
        let again = Uri::parse(edited.as_str()).unwrap_or_else(|error| panic!("{edited}: {error}"));
        let again = again.as_sip().expect("a SIP URI");
        assert_eq!((again.user(), again.password()), (edited.user(), edited.password()));
        assert_eq!((again.host(), again.port()), (edited.host(), edited.port()));
        assert!(again.params().eq(edited.params()) && again.headers().eq(edited.headers()));
    }
}
