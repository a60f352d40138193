//! Reading and writing of the three values.

use crate::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use cpm_base::{LimitExceeded, Sensitive};
use proptest::prelude::*;

const CHALLENGE: &str = "Digest realm=\"a \\\"b\\\" \\\\c\", domain=\"sip:a.example sip:b.example\", nonce=\"n\", \
    opaque=\"\", stale=true, algorithm=SHA-512-256-sess, qop=\"auth,auth-int\", charset=UTF-8, userhash=true, \
    ik=\"00112233\", x=y";

#[test]
fn a_challenge_both_ways() {
    let challenge = Challenge::parse(CHALLENGE).unwrap();
    assert_eq!(challenge.realm, "a \"b\" \\c");
    assert_eq!(challenge.domain, ["sip:a.example", "sip:b.example"]);
    assert_eq!(challenge.opaque.as_deref(), Some(""));
    assert!(challenge.stale && challenge.utf8 && challenge.userhash);
    assert_eq!(challenge.algorithm(), Algorithm::Sha512_256Session);
    assert_eq!(challenge.extensions[0].value, "00112233");
    assert_eq!(challenge.to_text().unwrap(), CHALLENGE);
    // Case, white space and order are free; quotes are read where none belong and missed where some do.
    let odd = Challenge::parse("dIGEST\tNONCE = \"n\" ,Realm=r,algorithm=\"md5\",stale=\"TRUE\"").unwrap();
    assert_eq!((&*odd.realm, odd.algorithm, odd.stale), ("r", Some(Algorithm::Md5), true));
    assert!(!Challenge::parse("Digest realm=\"r\",nonce=\"n\",stale=maybe").unwrap().stale);
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(&algorithm.to_string().to_uppercase()), Ok(algorithm));
    }
}

/// threat: A7, A8, A9. Quotes and escapes without an end, control characters, parameters that stand twice among them.
#[test]
fn what_is_no_challenge() {
    let parse = |text: &str| Challenge::parse(text).unwrap_err();
    assert_eq!(parse("Basic realm=\"r\""), AuthError::OtherScheme("Basic".into()));
    assert_eq!(
        parse("Digest realm=\"r\", nonce=\"n\", algorithm=MD4"),
        AuthError::UnknownAlgorithm("MD4".into())
    );
    assert_eq!(parse("Digest nonce=\"n\""), AuthError::Missing("realm"));
    assert_eq!(parse("Digest realm=\"n\""), AuthError::Missing("nonce"));
    assert_eq!(parse("Digest realm=\"a\", nonce=\"n\", REALM=\"b\""), AuthError::Repeated("REALM".into()));
    assert_eq!(parse("Digest realm=\"a\", nonce=\"n\", charset=latin1"), AuthError::BadValue("charset"));
    assert_eq!(parse("Digest realm=\"a\", nonce=\"n\", userhash=maybe"), AuthError::BadValue("userhash"));
    for bad in [
        "",
        "Digest",
        "Digest ",
        "Digest\"r\"",
        "Digest realm",
        "Digest realm=",
        "Digest realm=\"r",
        "Digest realm=\"r\\",
        "Digest realm=\"r\\\"",
        "Digest realm=\"r\",",
        "Digest realm=\"r\",, nonce=\"n\"",
        "Digest ,realm=\"r\", nonce=\"n\"",
        "Digest realm=\"r\" nonce=\"n\"",
        "Digest realm=\"r\r\nX: y\", nonce=\"n\"",
        "Digest realm=\"r\0\", nonce=\"n\"",
        "Digest realm=\"r\u{7f}\", nonce=\"n\"",
        "Digest realm=\"r\u{85}\", nonce=\"n\"",
        "Digest realm=\"r\",\r\n nonce=\"n\"",
        "Digest realm=\"r\"x, nonce=\"n\"",
        "Digest =\"r\", nonce=\"n\"",
    ] {
        assert!(matches!(parse(bad), AuthError::Syntax(_)), "{bad:?}: {}", parse(bad));
    }
}

#[test]
fn what_are_no_credentials() {
    let with = |rest: &str| {
        Credentials::parse(&format!("Digest realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"\"{rest}"))
    };
    assert!(with(", username=\"u\"").is_ok());
    assert_eq!(with("").unwrap_err(), AuthError::Missing("username"));
    assert_eq!(
        with(", username=\"u\", username*=UTF-8''u").unwrap_err(),
        AuthError::Repeated("username".into())
    );
    assert_eq!(with(", username=\"zz\", userhash=true").unwrap_err(), AuthError::BadValue("username"));
    assert_eq!(with(", username*=UTF-8''u, userhash=true").unwrap_err(), AuthError::BadValue("username"));
    for bad in ["UTF-8'u", "latin1''u", "UTF-8''%", "UTF-8''%e", "UTF-8''%ff", "UTF-8''%0d%0a", "UTF-8''a*b"]
    {
        let error = with(&format!(", username*={bad}")).unwrap_err();
        assert_eq!(error, AuthError::BadValue("username*"), "{bad}");
    }
    let with = |rest: &str| with(&format!(", username=\"u\"{rest}"));
    assert!(with(", qop=auth, nc=0000000a, cnonce=\"c\"").is_ok());
    assert_eq!(with(", qop=auth, nc=00000001").unwrap_err(), AuthError::Missing("cnonce"));
    assert_eq!(with(", qop=auth, cnonce=\"c\"").unwrap_err(), AuthError::Missing("nc"));
    assert_eq!(with(", cnonce=\"c\"").unwrap_err(), AuthError::Missing("qop"));
    assert_eq!(with(", nc=00000001").unwrap_err(), AuthError::Missing("qop"));
    assert_eq!(with(", qop=x, nc=00000001, cnonce=\"c\"").unwrap_err(), AuthError::BadValue("qop"));
    for bad in ["0", "1", "00000000", "0000000A", "+0000001", "000000001", "0x000001", "0000000g"] {
        let error = with(&format!(", qop=auth, cnonce=\"c\", nc={bad}")).unwrap_err();
        assert_eq!(error, AuthError::BadValue("nc"), "{bad}");
    }
    for bad in ["\"\"", "\"AAAA\"", "x"] {
        assert_eq!(with(&format!(", auts={bad}")).unwrap_err(), AuthError::BadValue("auts"), "{bad}");
    }
    let upper = "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"ABCDEF\"";
    assert_eq!(Credentials::parse(upper).unwrap_err(), AuthError::BadValue("response"));
}

#[test]
fn before_any_challenge() {
    let credentials = Credentials::unanswered("alice", "example.com", "sip:example.com");
    let text = "Digest username=\"alice\", realm=\"example.com\", nonce=\"\", uri=\"sip:example.com\", response=\"\"";
    assert_eq!(credentials.to_text().unwrap(), text);
    assert_eq!(Credentials::parse(text), Ok(credentials));
}

#[test]
fn nothing_written_begins_another_field() {
    let challenge = Challenge::new("r", "n", Algorithm::Md5);
    let bad = |challenge: Challenge| challenge.to_text().unwrap_err();
    assert_eq!(
        bad(Challenge { realm: "a\r\nX: y".into(), ..challenge.clone() }),
        AuthError::NotWritable("realm")
    );
    assert_eq!(bad(Challenge { nonce: "a\n".into(), ..challenge.clone() }), AuthError::NotWritable("nonce"));
    assert_eq!(
        bad(Challenge { opaque: Some("\0".into()), ..challenge.clone() }),
        AuthError::NotWritable("opaque")
    );
    assert_eq!(
        bad(Challenge { domain: vec!["a b".into()], ..challenge.clone() }),
        AuthError::NotWritable("domain")
    );
    assert_eq!(bad(Challenge { qop: Some(vec![]), ..challenge.clone() }), AuthError::NotWritable("qop"));
    let extension =
        |name: &str, value: &str, quoted| Extension { name: name.into(), value: value.into(), quoted };
    for extensions in [
        vec![extension("x", "a, realm=b", false)],
        vec![extension("x", "", false)],
        vec![extension("x y", "a", false)],
        vec![extension("", "a", false)],
        vec![extension("x", "\r\n", true)],
        // One that would be read as something else.
        vec![extension("Realm", "b", true)],
        vec![extension("x", "a", true), extension("X", "b", true)],
    ] {
        let challenge = Challenge { extensions, ..challenge.clone() };
        assert_eq!(bad(challenge), AuthError::NotWritable("an extension"));
    }
    let info = AuthenticationInfo { rspauth: Some(Sensitive::new("x\"".into())), ..Default::default() };
    assert_eq!(info.to_text(), Err(AuthError::NotWritable("rspauth")));
    assert!(AuthenticationInfo::default().to_text().is_err());
}

/// threat: A5. A limit that is not in here does not compile.
#[test]
fn every_limit_holds_at_its_border() {
    let exceeded = |limit, value, max| AuthError::Limit(LimitExceeded { limit, value, max });
    let limits = Limits { max_bytes: 64, max_params: 3, max_value_bytes: 8 };
    let parse = |text: &str| Challenge::parse_with(text, &limits).map(|_| ());
    let Limits { max_bytes: _, max_params: _, max_value_bytes: _ } = limits;
    assert_eq!(parse("Digest realm=\"1234567\", nonce=\"n\""), Ok(()));
    assert_eq!(parse(&format!("{:63}", "Digest realm=\"r\", nonce=\"n\"")), Ok(()));
    assert_eq!(parse("Digest realm=\"12345678\", nonce=\"n\", a=b"), Ok(()));
    assert_eq!(
        parse("Digest realm=\"12345678\", nonce=\"n\", a=b, c=d"),
        Err(exceeded("auth.max_params", 4, 3))
    );
    assert_eq!(parse("Digest realm=\"123456789\", nonce=\"n\""), Err(exceeded("auth.max_value_bytes", 9, 8)));
    assert_eq!(parse("Digest realm=123456789, nonce=\"n\""), Err(exceeded("auth.max_value_bytes", 9, 8)));
    let text = "Digest realm=\"r\", nonce=\"n\", a=b";
    assert_eq!(parse(&format!("{text:64}")), Ok(()));
    assert_eq!(parse(&format!("{text:65}")), Err(exceeded("auth.max_bytes", 65, 64)));
    // Without a scheme in front too.
    let info =
        |n: usize| AuthenticationInfo::parse_with(&format!("{:n$}", "nextnonce=\"n\""), &limits).map(|_| ());
    assert_eq!((info(63), info(64)), (Ok(()), Ok(())));
    assert_eq!(info(65), Err(exceeded("auth.max_bytes", 65, 64)));
    assert_eq!(Limits::default().validate(), Ok(()));
    for (bad, name) in [
        (Limits { max_bytes: 0, ..Limits::DEFAULT }, "auth.max_bytes"),
        (Limits { max_params: 0, ..Limits::DEFAULT }, "auth.max_params"),
        (Limits { max_value_bytes: 0, ..Limits::DEFAULT }, "auth.max_value_bytes"),
    ] {
        assert_eq!(bad.validate(), Err(LimitsError(name)));
    }
}

#[test]
fn secrets_are_not_shown() {
    let account = Account::new("alice", "r", Secret::password("hunter2")).unwrap();
    let challenge = Challenge::new("r", "n", Algorithm::Md5);
    let request = RequestParts { method: "GET", uri: "/", body: b"" };
    let credentials = answer(&challenge, &account, &AnswerPolicy::default(), request, "c").unwrap();
    let hashed = Secret::hashed(HashFunction::Md5, "alice", "r", "hunter2");
    let Secret::Hashed { digest, .. } = &hashed else { panic!() };
    let shown = format!("{account:?} {credentials:?} {hashed:?} {:?}", Secret::aka_result(b"hunter2"));
    for secret in ["hunter2", credentials.response.expose(), digest.expose()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äß\t]{0,12}"
}

proptest! {
    #[test]
    fn reading_never_panics_and_writing_is_read_again(text in "(Digest )?([a-z*]{1,8} ?= ?(\"[ -~]{0,5}\"|[a-z0-9']{1,5}),? ?){0,5}\\PC{0,3}") {
        if let Ok(challenge) = Challenge::parse(&text) {
            let written = challenge.to_text();
            if challenge.qop != Some(vec![]) {
                prop_assert_eq!(Challenge::parse(&written.unwrap()), Ok(challenge));
            }
        }
        if let Ok(credentials) = Credentials::parse(&text) {
            prop_assert_eq!(Credentials::parse(&credentials.to_text().unwrap()), Ok(credentials));
        }
        if let Ok(info) = AuthenticationInfo::parse(&text) {
            prop_assert_eq!(AuthenticationInfo::parse(&info.to_text().unwrap()), Ok(info));
        }
    }

    #[test]
    fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..64)) {
        let text = String::from_utf8_lossy(&octets);
        let _ = Challenge::parse(&format!("Digest {text}"));
        let _ = Credentials::parse(&format!("Digest {text}"));
        let _ = AuthenticationInfo::parse(&text);
        let _ = AkaNonce::parse(&text);
    }

    #[test]
    fn what_one_side_writes_the_other_takes(
        (realm, nonce, opaque) in (text(), text(), proptest::option::of(text())),
        (user, password, cnonce) in ("[ -9;-~ä]{0,8}", text(), "[ -~]{1,8}"),
        algorithm in proptest::sample::select(&Algorithm::ALL[..]),
        (uri, body) in ("[!-~]{1,12}", prop::collection::vec(any::<u8>(), 0..8)),
        (int, utf8, userhash, stale) in any::<(bool, bool, bool, bool)>(),
    ) {
        let qop = Some(vec![if int { Qop::AuthInt } else { Qop::Auth }]);
        let challenge = Challenge { opaque, qop, utf8, userhash, stale, ..Challenge::new(&realm, &nonce, algorithm) };
        let read = Challenge::parse(&challenge.to_text().unwrap()).unwrap();
        prop_assert_eq!(&read, &challenge);
        let secret = if algorithm == Algorithm::AkaV1Md5 { Secret::aka_result(password.as_bytes()) } else { Secret::password(&password) };
        let account = Account::new(&user, &realm.replace('\t', " "), secret).unwrap();
        prop_assume!(account.realm() == realm);
        let request = RequestParts { method: "MESSAGE", uri: &uri, body: &body };
        let credentials = answer(&read, &account, &AnswerPolicy::default(), request, &cnonce).unwrap();
        let credentials_read = Credentials::parse(&credentials.to_text().unwrap()).unwrap();
        prop_assert_eq!(&credentials_read, &credentials);
        let verifier = Verifier { challenge: &challenge, account: &account, start: None, leniency: Leniency::default() };
        prop_assert_eq!(verifier.verify(&credentials_read, request), Ok(()));
        let wrong = RequestParts { method: "message", ..request };
        prop_assert_eq!(verifier.verify(&credentials_read, wrong), Err(Refusal::Response));
    }
}
