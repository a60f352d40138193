//! Digest authentication: challenges, credentials, and whether one answers the other.

use cpm_auth::{
    Account, AkaNonce, Algorithm, AnswerPolicy, AuthenticationInfo, Challenge, Credentials, Leniency, Limits,
    NonceFault, NonceLimits, Nonces, Qop, Refusal, RequestParts, Secret, Session, Verifier, choose,
};
use cpm_base::Instant;

/// Lines: a challenge, credentials, an Authentication-Info, a user name, a password; then a body.
pub fn digest(data: &[u8]) {
    let mut lines = data.splitn(6, |octet| *octet == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or("");
    let (challenge, credentials, info) = (text(), text(), text());
    let (user, password) = (text(), text());
    let body = lines.next().unwrap_or_default();
    // What is written may be longer than what was read: quotes and backslashes are escaped.
    let generous = Limits { max_bytes: 1 << 20, max_value_bytes: 1 << 20, ..Limits::default() };
    let challenge = Challenge::parse(challenge).ok();
    if let Some(challenge) = &challenge {
        // A server that offers nothing known here cannot be written: `qop` would be empty. Nor can an extension that
        // has the name of a parameter that stands elsewhere.
        match challenge.to_text() {
            Ok(text) => assert_eq!(Challenge::parse_with(&text, &generous).as_ref(), Ok(challenge), "{text}"),
            Err(error) => {
                let nothing_known = challenge.qop.as_ref().is_some_and(Vec::is_empty);
                assert!(nothing_known || !challenge.extensions.is_empty(), "{error}: {challenge:?}");
            }
        }
        if let Ok(nonce) = AkaNonce::parse(&challenge.nonce) {
            assert_eq!(AkaNonce::parse(&nonce.to_text()), Ok(nonce));
        }
    }
    let credentials = Credentials::parse(credentials).ok();
    if let Some(credentials) = &credentials {
        match credentials.to_text() {
            Ok(text) => {
                assert_eq!(Credentials::parse_with(&text, &generous).as_ref(), Ok(credentials), "{text}")
            }
            Err(error) => assert!(!credentials.extensions.is_empty(), "{error}: {credentials:?}"),
        }
    }
    if let Ok(info) = AuthenticationInfo::parse(info)
        && let Ok(text) = info.to_text()
    {
        assert_eq!(AuthenticationInfo::parse_with(&text, &generous).as_ref(), Ok(&info), "{text}");
    }
    let Some(challenge) = challenge else { return };
    let secrets = [
        Secret::password(password),
        Secret::hashed(challenge.algorithm().hash(), user, &challenge.realm, password),
        Secret::aka_result(password.as_bytes()),
        Secret::AkaSynchronisation([7; cpm_auth::AUTS_LEN]),
    ];
    for secret in secrets {
        let Ok(account) = Account::new(user, &challenge.realm, secret) else { return };
        if let Some(credentials) = &credentials {
            strangers(&challenge, &account, credentials, body);
        }
        for cover_body in [false, true] {
            own_answer(&challenge, &account, cover_body, body, &generous);
        }
    }
}

/// Credentials of somebody who does not know the secret are looked at with every leniency, and refused in the end: a
/// digest of the right length is not found by chance.
fn strangers(challenge: &Challenge, account: &Account, credentials: &Credentials, body: &[u8]) {
    let lenient = Leniency { without_qop: true, other_uri: true, missing_opaque: true };
    let request = RequestParts { method: "INVITE", uri: &credentials.uri, body };
    let strict = Verifier { challenge, account, start: None, leniency: Leniency::default() };
    let tolerant = Verifier { leniency: lenient, ..strict };
    if strict.verify(credentials, request).is_ok() {
        assert_eq!(tolerant.verify(credentials, request), Ok(()), "leniency takes nothing away");
    }
    let _ = strict.authentication_info(credentials, body, Some("next"));
}

/// What a client answers, the server that asked accepts, once; any change to what the digest covers is noticed.
fn own_answer(challenge: &Challenge, account: &Account, cover_body: bool, body: &[u8], generous: &Limits) {
    let policy = AnswerPolicy { cover_body, ..AnswerPolicy::default() };
    let request = RequestParts { method: "MESSAGE", uri: "sip:bob@example.com", body };
    let session = Session::new(challenge.clone(), account, &policy, "0a4f113b");
    assert_eq!(choose([challenge], account, &policy).is_ok(), session.is_ok());
    let Ok(mut session) = session else { return };
    let credentials = session.credentials(account, request).expect("a first answer");
    let text = credentials.to_text().expect("an answer can be written");
    let read = Credentials::parse_with(&text, generous).expect("an answer can be read");
    assert_eq!(read, credentials, "{text}");
    let verifier = Verifier { challenge, account, start: None, leniency: Leniency::default() };
    // An empty nonce and digest is what a client sends before any challenge; ours has a digest.
    assert_eq!(verifier.verify(&read, request), Ok(()), "{text} for {challenge:?}");

    let other_method = RequestParts { method: "BYE", ..request };
    assert_eq!(verifier.verify(&read, other_method), Err(Refusal::Response));
    let other_uri = RequestParts { uri: "sip:eve@example.com", ..request };
    assert_eq!(verifier.verify(&read, other_uri), Err(Refusal::Uri));
    let longer = [body, b"!"].concat();
    let covered = read.protection.as_ref().is_some_and(|protection| protection.qop == Qop::AuthInt);
    let changed = verifier.verify(&read, RequestParts { body: &longer, ..request });
    assert_eq!(changed, if covered { Err(Refusal::Response) } else { Ok(()) });
    if challenge.algorithm() != Algorithm::AkaV1Md5 {
        let other = account.clone().with_secret(Secret::password("not the password"));
        let other = Verifier { account: &other, ..verifier };
        assert!(
            other.verify(&read, request).is_err()
                || *account.secret() == Secret::password("not the password")
        );
    }

    let info = verifier.authentication_info(&read, body, Some("the next one")).expect("the secret fits");
    assert!(session.is_proved(account, &credentials, &info, body));
    assert!(!covered || !session.is_proved(account, &credentials, &info, &longer));
    session.take_next_nonce(&info);
    assert_eq!(session.challenge().nonce, "the next one");

    let mut nonces = Nonces::new(NonceLimits::default()).expect("default limits");
    assert_eq!(nonces.accept(Instant::ZERO, &read), Err(NonceFault::Unknown));
    nonces.issue(Instant::ZERO, &challenge.nonce);
    assert_eq!(nonces.accept(Instant::ZERO, &read), Ok(()));
    assert_eq!(nonces.accept(Instant::ZERO, &read), Err(NonceFault::Replayed));
}
