//! Which challenges are answered, and how often.

use super::{get, mufasa};
use crate::*;
use alloc::string::ToString;
use alloc::vec;

fn challenge(realm: &str, algorithm: Algorithm) -> Challenge {
    Challenge::new(realm, "nonce", algorithm)
}

// Threat C13: whoever can challenge a request must not get a digest to guess the password from.
#[test]
fn a_foreign_realm_gets_no_digest() {
    let account = mufasa("home.example", "secret");
    let policy = AnswerPolicy::default();
    let foreign = challenge("evil.example", Algorithm::Sha512_256);
    let refused = AnswerError::ForeignRealm("evil.example".to_string());
    assert_eq!(choose([&foreign], &account, &policy), Err(refused.clone()));
    assert_eq!(answer(&foreign, &account, &policy, get("/"), "c"), Err(refused.clone()));
    // Among several, the own realm is answered, however strong the foreign one is.
    let own = challenge("home.example", Algorithm::Md5);
    assert_eq!(choose([&foreign, &own], &account, &policy), Ok(&own));
    // Realms are compared as they are, octet for octet.
    for near in ["Home.example", "home.example ", "home.exampl", ""] {
        assert!(choose([&challenge(near, Algorithm::Md5)], &account, &policy).is_err(), "{near}");
    }
    // A session is bound to its realm as well.
    let mut session = Session::new(own, &account, &policy, "c").unwrap();
    let elsewhere = mufasa("evil.example", "secret");
    assert!(matches!(session.credentials(&elsewhere, get("/")), Err(AnswerError::ForeignRealm(_))));
}

#[test]
fn the_strongest_challenge_is_answered() {
    let account = mufasa("r", "p");
    let policy = AnswerPolicy::default();
    let all = [
        challenge("r", Algorithm::Md5),
        challenge("r", Algorithm::Sha256),
        challenge("r", Algorithm::Sha512_256),
        challenge("r", Algorithm::AkaV1Md5),
        challenge("r", Algorithm::Sha512_256Session),
    ];
    assert_eq!(choose(&all, &account, &policy), Ok(&all[2]));
    assert_eq!(choose(all.iter().rev(), &account, &policy), Ok(&all[4]));
    assert_eq!(choose(&all[..2], &account, &policy), Ok(&all[1]));
    // What is not admitted is not answered, even when nothing else is offered.
    let strict = AnswerPolicy { algorithms: vec![Algorithm::Sha256], ..AnswerPolicy::default() };
    assert_eq!(choose(&all, &account, &strict), Ok(&all[1]));
    assert_eq!(choose(&all[..1], &account, &strict), Err(AnswerError::NothingToAnswer));
    assert_eq!(answer(&all[0], &account, &strict, get("/"), "c"), Err(AnswerError::NothingToAnswer));
    assert_eq!(choose([], &account, &policy), Err(AnswerError::NothingToAnswer));
}

#[test]
fn quality_of_protection() {
    let account = mufasa("r", "p");
    let mut policy = AnswerPolicy::default();
    let with = |qop: &str| Challenge::parse(&alloc::format!("Digest realm=\"r\", nonce=\"n\"{qop}")).unwrap();
    let used = |challenge: &Challenge, policy: &AnswerPolicy| {
        answer(challenge, &account, policy, get("/"), "c").map(|credentials| {
            assert_eq!(credentials.to_text().unwrap().contains("cnonce"), credentials.protection.is_some());
            credentials.protection.map(|protection| protection.qop)
        })
    };
    assert_eq!(used(&with(""), &policy), Ok(None));
    assert_eq!(used(&with(", qop=\"auth\""), &policy), Ok(Some(Qop::Auth)));
    assert_eq!(used(&with(", qop=auth"), &policy), Ok(Some(Qop::Auth)));
    assert_eq!(used(&with(", qop=\"auth-int,auth\""), &policy), Ok(Some(Qop::Auth)));
    assert_eq!(used(&with(", qop=\"x,auth-int\""), &policy), Ok(Some(Qop::AuthInt)));
    assert_eq!(used(&with(", qop=\"x\""), &policy), Err(AnswerError::QopUnknown));
    assert_eq!(used(&with(", qop=\"\""), &policy), Err(AnswerError::QopUnknown));
    assert_eq!(used(&with(", algorithm=MD5-sess"), &policy), Err(AnswerError::SessionWithoutQop));
    policy.cover_body = true;
    assert_eq!(used(&with(", qop=\"auth,auth-int\""), &policy), Ok(Some(Qop::AuthInt)));
    assert_eq!(used(&with(", qop=\"auth\""), &policy), Ok(Some(Qop::Auth)));
}

#[test]
fn the_nonce_is_counted() {
    let account = mufasa("r", "p");
    let policy = AnswerPolicy::default();
    assert_eq!(
        Session::new(challenge("r", Algorithm::Md5), &account, &policy, "c\r\nInjected: 1"),
        Err(AnswerError::Cnonce)
    );
    assert_eq!(Session::new(challenge("r", Algorithm::Md5), &account, &policy, ""), Err(AnswerError::Cnonce));
    let mut session = Session::new(challenge("r", Algorithm::Sha256Session), &account, &policy, "c").unwrap();
    let mut responses = vec![];
    for expected in 1..=3 {
        let credentials = session.credentials(&account, get("/")).unwrap();
        assert_eq!(credentials.protection.as_ref().unwrap().count, expected);
        responses.push(credentials.response);
    }
    responses.dedup();
    assert_eq!(responses.len(), 3);
    // A next nonce starts the count again; the key of the session stays that of its first nonce.
    let start = SessionStart { nonce: "nonce".into(), cnonce: "c".into() };
    session.take_next_nonce(&AuthenticationInfo { nextnonce: Some("second".into()), ..Default::default() });
    session.take_next_nonce(&AuthenticationInfo::default());
    let credentials = session.credentials(&account, get("/")).unwrap();
    assert_eq!((&*credentials.nonce, credentials.protection.as_ref().unwrap().count), ("second", 1));
    let second = Challenge { nonce: "second".into(), ..challenge("r", Algorithm::Sha256Session) };
    let verifier =
        |start| Verifier { challenge: &second, account: &account, start, leniency: Leniency::default() };
    assert_eq!(verifier(Some(&start)).verify(&credentials, get("/")), Ok(()));
    assert_eq!(verifier(None).verify(&credentials, get("/")), Err(Refusal::Response));
    // The same nonce once more does not turn the count back.
    session.take_next_nonce(&AuthenticationInfo { nextnonce: Some("second".into()), ..Default::default() });
    assert_eq!(session.credentials(&account, get("/")).unwrap().protection.unwrap().count, 2);
}

// Threat C12: a server that challenges for ever is not followed for ever.
#[test]
fn challenges_to_one_request_end() {
    let stale = Challenge { stale: true, ..challenge("r", Algorithm::Md5) };
    let fresh = challenge("r", Algorithm::Md5);
    // The same secret is not sent again to somebody who refused it, whatever the nonce.
    let mut attempts = Attempts::default();
    assert_eq!(attempts.count(&fresh), Ok(()));
    let other_nonce = Challenge { nonce: "other".into(), ..fresh.clone() };
    assert_eq!(attempts.count(&other_nonce), Err(AnswerError::Rejected));
    // Stale nonces, and ever new realms, are followed twice.
    let mut attempts = Attempts::default();
    assert_eq!(attempts.count(&fresh), Ok(()));
    assert_eq!(attempts.count(&stale), Ok(()));
    assert_eq!(attempts.count(&stale), Err(AnswerError::TooManyChallenges));
    assert_eq!(attempts.count(&stale), Err(AnswerError::TooManyChallenges));
    let mut attempts = Attempts::default();
    let answered = (0..100).filter(|n| attempts.count(&challenge(&n.to_string(), Algorithm::Md5)).is_ok());
    assert_eq!(answered.count(), 2);
}

#[test]
fn accounts_that_cannot_be_written_or_told_apart() {
    for bad in ["a:b", "a\r\nX: y", "a\0"] {
        assert_eq!(
            Account::new(bad, "r", Secret::password("p")).unwrap_err(),
            AuthError::NotWritable("username")
        );
    }
    assert!(Account::new("a", "r\n", Secret::password("p")).is_err());
}
