//! What a server takes, and what it does not.

use super::{get, mufasa};
use crate::*;
use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;
use cpm_base::{Instant, Sensitive};

fn fixture() -> (Challenge, Account, Credentials) {
    let mut challenge = Challenge::new("r", "n1", Algorithm::Sha256);
    challenge.opaque = Some("o".into());
    let account = mufasa("r", "p");
    let credentials = answer(&challenge, &account, &AnswerPolicy::default(), get("sip:b@x"), "c").unwrap();
    (challenge, account, credentials)
}

fn verify(change: impl FnOnce(&mut Challenge, &mut Credentials, &mut Leniency)) -> Result<(), Refusal> {
    let (mut challenge, account, mut credentials) = fixture();
    let mut leniency = Leniency::default();
    change(&mut challenge, &mut credentials, &mut leniency);
    Verifier { challenge: &challenge, account: &account, start: None, leniency }
        .verify(&credentials, get("sip:b@x"))
}

#[test]
fn everything_given_back_is_held_against_the_challenge() {
    assert_eq!(verify(|_, _, _| {}), Ok(()));
    assert_eq!(verify(|_, c, _| c.realm = "s".into()), Err(Refusal::Realm));
    assert_eq!(verify(|c, _, _| c.realm = "s".into()), Err(Refusal::Realm));
    assert_eq!(verify(|_, c, _| c.nonce = "n0".into()), Err(Refusal::Nonce));
    assert_eq!(verify(|_, c, _| c.opaque = Some("p".into())), Err(Refusal::Opaque));
    assert_eq!(verify(|_, c, _| c.opaque = None), Err(Refusal::Opaque));
    assert_eq!(verify(|_, c, l| (c.opaque, l.missing_opaque) = (None, true)), Ok(()));
    assert_eq!(
        verify(|_, c, l| (c.opaque, l.missing_opaque) = (Some("p".into()), true)),
        Err(Refusal::Opaque)
    );
    // Downgrades: the weaker algorithm, the missing quality of protection.
    assert_eq!(verify(|_, c, _| c.algorithm = Some(Algorithm::Md5)), Err(Refusal::Algorithm));
    assert_eq!(verify(|_, c, _| c.algorithm = None), Err(Refusal::Algorithm));
    assert_eq!(verify(|_, c, _| c.protection = None), Err(Refusal::Qop));
    assert_eq!(verify(|c, _, _| c.qop = Some(vec![Qop::AuthInt])), Err(Refusal::Qop));
    assert_eq!(verify(|c, _, _| c.qop = None), Err(Refusal::Qop));
    assert_eq!(verify(|_, c, _| c.username = Username::Plain("Scar".into())), Err(Refusal::Username));
    assert_eq!(verify(|_, c, _| c.uri = "sip:c@x".into()), Err(Refusal::Uri));
    // The digest covers the uri, so that one that may differ must still be the one digested.
    let changed = verify(|_, c, l| (c.uri, l.other_uri) = ("sip:c@x".into(), true));
    assert_eq!(changed, Err(Refusal::Response));
    let empty = Credentials::unanswered("Mufasa", "r", "sip:b@x");
    assert_eq!(verify(|_, c, _| *c = empty), Err(Refusal::Unanswered));
}

#[test]
fn any_changed_digit_and_any_length_is_wrong() {
    let (_, _, credentials) = fixture();
    let right = credentials.response.expose().clone();
    assert_eq!(right.len(), 64);
    for at in 0..right.len() {
        let mut digest = right.clone();
        let other = if &digest[at..=at] == "0" { "1" } else { "0" };
        digest.replace_range(at..=at, other);
        let result = verify(|_, c, _| c.response = Sensitive::new(digest));
        assert_eq!(result, Err(Refusal::Response), "{at}");
    }
    for digest in [&right[..63], &right[..1], &(right.clone() + "0")] {
        let result = verify(|_, c, _| c.response = Sensitive::new(digest.to_string()));
        assert_eq!(result, Err(Refusal::Response), "{digest}");
    }
}

#[test]
fn method_count_cnonce_and_body_are_covered() {
    let (mut challenge, account, _) = fixture();
    challenge.qop = Some(vec![Qop::AuthInt]);
    let request = RequestParts { method: "MESSAGE", uri: "sip:b@x", body: b"hello" };
    let credentials = answer(&challenge, &account, &AnswerPolicy::default(), request, "c").unwrap();
    let verifier =
        Verifier { challenge: &challenge, account: &account, start: None, leniency: Leniency::default() };
    assert_eq!(verifier.verify(&credentials, request), Ok(()));
    let wrong = Err(Refusal::Response);
    assert_eq!(verifier.verify(&credentials, RequestParts { method: "INVITE", ..request }), wrong);
    assert_eq!(verifier.verify(&credentials, RequestParts { body: b"hellO", ..request }), wrong);
    let mut changed = credentials.clone();
    changed.protection.as_mut().unwrap().count = 2;
    assert_eq!(verifier.verify(&changed, request), wrong);
    let mut changed = credentials;
    changed.protection.as_mut().unwrap().cnonce = "d".into();
    assert_eq!(verifier.verify(&changed, request), wrong);
}

#[test]
fn old_clients_are_taken_where_that_is_admitted() {
    let (challenge, account, _) = fixture();
    let old = Challenge { qop: None, ..challenge.clone() };
    let credentials = answer(&old, &account, &AnswerPolicy::default(), get("sip:b@x"), "c").unwrap();
    let mut verifier =
        Verifier { challenge: &challenge, account: &account, start: None, leniency: Leniency::default() };
    assert_eq!(verifier.verify(&credentials, get("sip:b@x")), Err(Refusal::Qop));
    verifier.leniency.without_qop = true;
    assert_eq!(verifier.verify(&credentials, get("sip:b@x")), Ok(()));
    // They are taken once per nonce: without a count nothing else tells a replay.
    let mut nonces = Nonces::new(NonceLimits::default()).unwrap();
    nonces.issue(Instant::ZERO, "n1");
    assert_eq!(nonces.accept(Instant::ZERO, &credentials), Ok(()));
    assert_eq!(nonces.accept(Instant::ZERO, &credentials), Err(NonceFault::Replayed));
}

#[test]
fn stored_hashes_do_for_their_hash_alone() {
    let (challenge, _, credentials) = fixture();
    let stored = |hash| mufasa("r", "").with_secret(Secret::hashed(hash, "Mufasa", "r", "p"));
    for (hash, expected) in [
        (HashFunction::Sha256, Ok(())),
        (HashFunction::Md5, Err(Refusal::Secret)),
        (HashFunction::Sha512_256, Err(Refusal::Secret)),
    ] {
        let verifier = Verifier {
            challenge: &challenge,
            account: &stored(hash),
            start: None,
            leniency: Leniency::default(),
        };
        assert_eq!(verifier.verify(&credentials, get("sip:b@x")), expected, "{hash:?}");
    }
}

#[test]
fn each_proxy_finds_its_own_credentials() {
    let (_, _, credentials) = fixture();
    let own = credentials.to_text().unwrap();
    let other = Credentials { realm: "other".into(), ..credentials.clone() }.to_text().unwrap();
    let values = ["Basic abc", &*other, &*own];
    assert_eq!(find_credentials(values, "r"), Ok(Some(credentials)));
    assert_eq!(find_credentials(values, "nobody"), Ok(None));
    let broken = find_credentials(["Digest realm=\"r\""], "r");
    assert_eq!(broken, Err(AuthError::Missing("username")));
}

#[test]
fn counts_are_taken_once() {
    let mut counter = NonceCounter::new();
    let window = CountPolicy::Window(4);
    let taken = |counter: &mut NonceCounter, counts: &[u32]| -> alloc::vec::Vec<bool> {
        counts.iter().map(|count| counter.accept(*count, window)).collect()
    };
    assert_eq!(
        taken(&mut counter, &[0, 3, 1, 2, 2, 3, 1, 0]),
        [false, true, true, true, false, false, false, false]
    );
    // 4 below the greatest is out of the window.
    assert_eq!(
        taken(&mut counter, &[10, 6, 7, 9, 8, 8, 10, 11]),
        [true, false, true, true, true, false, false, true]
    );
    assert_eq!(taken(&mut counter, &[u32::MAX, u32::MAX, u32::MAX - 3, 12]), [true, false, true, false]);
    let mut counter = NonceCounter::new();
    let increasing: alloc::vec::Vec<bool> =
        [1, 3, 2, 3, 4].iter().map(|count| counter.accept(*count, CountPolicy::Increasing)).collect();
    assert_eq!(increasing, [true, true, false, false, true]);
}

/// threat: A20. Times at the end of all time, and lifetimes beyond it.
#[test]
fn no_time_overflows() {
    let end = Instant::from_micros(u64::MAX);
    for lifetime in [Duration::from_nanos(1), Duration::from_secs(300), Duration::MAX] {
        let mut nonces = Nonces::new(NonceLimits { lifetime, ..NonceLimits::default() }).unwrap();
        let credentials = Credentials { nonce: "a".into(), ..fixture().2 };
        for now in [end, Instant::ZERO, end] {
            nonces.issue(now, "a");
            nonces.expire(now);
        }
        // At the end of time nothing is alive any more: a deadline cannot lie behind it.
        assert_eq!(nonces.accept(end, &credentials), Err(NonceFault::Unknown));
        nonces.issue(Instant::ZERO, "a");
        let alive = nonces.accept(Instant::ZERO, &credentials).is_ok();
        assert_eq!(alive, lifetime > Duration::from_nanos(999), "{lifetime:?}");
    }
}

/// threat: A19. Nonces are kept in order, not in a table of hashes; their number is bounded whatever they look like.
#[test]
fn nonces_expire_and_are_bounded() {
    let at = |seconds| Instant::ZERO.plus(Duration::from_secs(seconds));
    let limits = NonceLimits { max_nonces: 3, lifetime: Duration::from_secs(10), ..NonceLimits::default() };
    let mut nonces = Nonces::new(limits).unwrap();
    let with = |nonce: &str| Credentials { nonce: nonce.into(), ..fixture().2 };
    nonces.issue(at(0), "a");
    assert_eq!(nonces.accept(at(9), &with("a")), Ok(()));
    assert_eq!(nonces.accept(at(9), &with("b")), Err(NonceFault::Unknown));
    assert_eq!(nonces.accept(at(10), &with("a")), Err(NonceFault::Unknown));
    assert!(nonces.is_empty());
    for n in 0..1000 {
        nonces.issue(at(20), &n.to_string());
        assert!(nonces.len() <= 3);
    }
    // Issuing once more does not bring the counts back.
    assert_eq!(nonces.accept(at(20), &with("999")), Ok(()));
    nonces.issue(at(20), "999");
    assert_eq!(nonces.accept(at(20), &with("999")), Err(NonceFault::Replayed));
    assert_eq!(nonces.accept(at(20), &with("996")), Err(NonceFault::Unknown));
    assert_eq!(nonces.accept(at(20), &with("997")), Ok(()));
    for bad in [
        NonceLimits { max_nonces: 0, ..NonceLimits::default() },
        NonceLimits { lifetime: Duration::ZERO, ..NonceLimits::default() },
        NonceLimits { counts: CountPolicy::Window(0), ..NonceLimits::default() },
        NonceLimits { counts: CountPolicy::Window(65), ..NonceLimits::default() },
    ] {
        assert!(Nonces::new(bad).is_err());
    }
}
