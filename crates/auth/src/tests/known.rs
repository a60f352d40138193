//! Numbers that were computed elsewhere: those of the RFCs, and for what they lack, those of Python's hashlib.

use super::{get, mufasa};
use crate::*;
use alloc::string::String;
use alloc::vec;

const REALM: &str = "testrealm@host.com";
const NONCE: &str = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
const CNONCE: &str = "0a4f113b";
const URI: &str = "/dir/index.html";

/// The digest of the first answer to a challenge like that of RFC 2617 §3.5.
fn digest(algorithm: Option<Algorithm>, qop: Option<Qop>, body: &[u8]) -> String {
    let mut challenge = Challenge::new(REALM, NONCE, Algorithm::Md5);
    challenge.algorithm = algorithm;
    challenge.qop = qop.map(|qop| vec![qop]);
    let request = RequestParts { method: "GET", uri: URI, body };
    let account = mufasa(REALM, "Circle Of Life");
    let credentials = answer(&challenge, &account, &AnswerPolicy::default(), request, CNONCE).unwrap();
    credentials.response.into_inner()
}

#[test]
fn rfc_2617_section_3_5() {
    let challenge = Challenge::parse(
        "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    )
    .unwrap();
    assert_eq!(challenge.algorithm, None);
    assert_eq!(challenge.qop, Some(vec![Qop::Auth, Qop::AuthInt]));
    let account = mufasa(REALM, "Circle Of Life");
    let answer = answer(&challenge, &account, &AnswerPolicy::default(), get(URI), CNONCE).unwrap();
    // The answer as printed there, in another order of parameters.
    let printed = Credentials::parse(
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, \
         cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    )
    .unwrap();
    assert_eq!(answer, printed);
}

#[test]
fn every_combination_of_algorithm_and_protection() {
    let auth = Some(Qop::Auth);
    assert_eq!(digest(None, None, b""), "670fd8c2df070c60b045671b8b24ff02");
    assert_eq!(digest(Some(Algorithm::Md5), auth, b""), "6629fae49393a05397450978507c4ef1");
    assert_eq!(digest(None, Some(Qop::AuthInt), b"v=0"), "5db8f67ee86f54b921ff197961aee76e");
    assert_eq!(digest(Some(Algorithm::Md5Session), auth, b""), "8e3825c57e897f5a0dec6c2d4e5059d0");
    assert_eq!(
        digest(Some(Algorithm::Sha256Session), auth, b""),
        "b8822e12417cb7750f4e2b8515f0dcf25b7dd26993e80bee1426201446a7f59b"
    );
    assert_eq!(
        digest(Some(Algorithm::Sha512_256Session), auth, b""),
        "0d21f0db3ec5cda5b850c0afa3bc29b4a3c5a6191959ff1baf511d4b38eb6b1e"
    );
}

#[test]
fn rfc_7616_section_3_9_1() {
    let (opaque, realm) = ("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", "http-auth@example.org");
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let parse = |algorithm: &str| {
        Challenge::parse(&alloc::format!(
            "Digest realm=\"{realm}\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"{opaque}\""
        ))
        .unwrap()
    };
    // The stronger one is chosen wherever it stands; the server's order only where that is wanted.
    let challenges = [parse("MD5"), parse("SHA-256")];
    let account = mufasa(realm, "Circle of Life");
    let mut policy = AnswerPolicy::default();
    let chosen = choose(&challenges, &account, &policy).unwrap();
    let credentials = answer(chosen, &account, &policy, get(URI), cnonce).unwrap();
    assert_eq!(credentials.algorithm, Some(Algorithm::Sha256));
    let sha256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    assert_eq!(credentials.response.expose(), sha256);
    assert_eq!(credentials.opaque.as_deref(), Some(opaque));

    policy.order = Order::Topmost;
    let chosen = choose(&challenges, &account, &policy).unwrap();
    let credentials = answer(chosen, &account, &policy, get(URI), cnonce).unwrap();
    assert_eq!(credentials.response.expose(), "8ca523f5e9506fed4657c9700eebdbec");
}

/// The digests printed in RFC 7616 §3.9.2 are those of SHA-512 cut off, not of SHA-512/256; these are right.
#[test]
fn rfc_7616_section_3_9_2_with_the_right_hash() {
    let challenge = Challenge::parse(
        "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
         nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
         opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true",
    )
    .unwrap();
    assert!(challenge.utf8 && challenge.userhash);
    let name = "J\u{e4}s\u{f8}n Doe";
    let account = Account::new(name, "api@example.org", Secret::password("Secret, or not?")).unwrap();
    let policy = AnswerPolicy::default();
    let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
    let hashed = answer(&challenge, &account, &policy, get("/doe.json"), cnonce).unwrap();
    let digest = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
    assert_eq!(hashed.response.expose(), digest);
    let user = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
    assert_eq!(hashed.username, Username::Hashed(user.into()));
    assert!(hashed.to_text().unwrap().contains("userhash=true"));

    // Towards a server that does not read hashed names the name is spelled out; the digest is the same.
    let plain = Challenge { userhash: false, ..challenge };
    let extended = answer(&plain, &account, &policy, get("/doe.json"), cnonce).unwrap();
    assert_eq!(extended.response.expose(), digest);
    let wire = extended.to_text().unwrap();
    assert!(wire.starts_with("Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, "), "{wire}");
    assert_eq!(Credentials::parse(&wire).unwrap().username, Username::Extended(name.into()));
}

/// RFC 8760 §2.6 item 7: without a body, the hash of nothing is covered.
#[test]
fn an_empty_body_hashes_to_the_hash_of_nothing() {
    let empty = HashFunction::Sha256.of(&[b""]);
    assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(HashFunction::Md5.of(&[b""]), "d41d8cd98f00b204e9800998ecf8427e");
    assert_ne!(digest(None, Some(Qop::AuthInt), b""), digest(None, Some(Qop::AuthInt), b"x"));
    assert_eq!(digest(None, Some(Qop::Auth), b""), digest(None, Some(Qop::Auth), b"x"));
}

/// RAND, AUTN and RES of 3GPP TS 35.208 test set 1; the digests computed from them.
#[test]
fn aka() {
    let nonce = AkaNonce::parse("I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7NzcnY=").unwrap();
    assert_eq!(nonce.rand[..4], [0x23, 0x55, 0x3c, 0xbe]);
    assert_eq!(nonce.autn[..4], [0x55, 0xf3, 0x28, 0xb4]);
    assert_eq!(nonce.server_data, b"srv");
    let realm = "ims.mnc001.mcc001.3gppnetwork.org";
    let user = "001010123456789@ims.mnc001.mcc001.3gppnetwork.org";
    let challenge = Challenge::new(realm, &nonce.to_text(), Algorithm::AkaV1Md5);
    let res = Secret::aka_result(&[0xa5, 0x42, 0x11, 0xd5, 0xe3, 0xba, 0x50, 0xbf]);
    let account = Account::new(user, realm, res).unwrap();
    let uri = "sip:ims.mnc001.mcc001.3gppnetwork.org";
    let request = RequestParts { method: "REGISTER", uri, body: b"" };
    let policy = AnswerPolicy::default();
    let credentials = answer(&challenge, &account, &policy, request, CNONCE).unwrap();
    assert_eq!(credentials.response.expose(), "5362ca6598ecbffdaae984234cb1f66f");
    assert_eq!(credentials.auts, None);

    // Out of step: an empty password, and the token for the network.
    let account = account.with_secret(Secret::AkaSynchronisation([7; AUTS_LEN]));
    let credentials = answer(&challenge, &account, &policy, request, CNONCE).unwrap();
    assert_eq!(credentials.response.expose(), "63713bfa03cae29e5c94d2978dd58f14");
    let wire = credentials.to_text().unwrap();
    assert!(wire.contains("algorithm=AKAv1-MD5") && wire.contains("auts=\"BwcHBwcHBwcHBwcHBwc=\""), "{wire}");
    assert_eq!(Credentials::parse(&wire).unwrap(), credentials);

    // A password is no result of AKA, and the result is no password.
    let account = account.with_secret(Secret::password("secret"));
    assert_eq!(choose([&challenge], &account, &policy), Err(AnswerError::NothingToAnswer));
    let account = account.with_secret(Secret::aka_result(&[1; 8]));
    let md5 = Challenge::new(realm, "1", Algorithm::Md5);
    assert_eq!(choose([&md5], &account, &policy), Err(AnswerError::NothingToAnswer));
    for bad in ["", "AAAA", "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfrw==", "no base64"] {
        assert_eq!(AkaNonce::parse(bad), Err(AuthError::BadValue("nonce")), "{bad}");
    }
}

#[test]
fn what_the_server_proves() {
    let challenge = Challenge::new(REALM, NONCE, Algorithm::Md5);
    let account = mufasa(REALM, "Circle Of Life");
    let stored =
        mufasa(REALM, "").with_secret(Secret::hashed(HashFunction::Md5, "Mufasa", REALM, "Circle Of Life"));
    let verifier =
        Verifier { challenge: &challenge, account: &stored, start: None, leniency: Leniency::default() };
    let mut session = Session::new(challenge.clone(), &account, &AnswerPolicy::default(), CNONCE).unwrap();
    let credentials = session.credentials(&account, get(URI)).unwrap();
    let info = verifier.authentication_info(&credentials, b"", Some("next")).unwrap();
    assert_eq!(
        info.to_text().unwrap(),
        "nextnonce=\"next\", rspauth=\"376602cfd2f4e8e5e78b948a85263e85\", qop=auth, cnonce=\"0a4f113b\", nc=00000001"
    );
    assert!(session.is_proved(&account, &credentials, &info, b""));

    // With auth-int the body is proved as well.
    let whole = Challenge { qop: Some(vec![Qop::AuthInt]), ..challenge.clone() };
    let mut session = Session::new(whole.clone(), &account, &AnswerPolicy::default(), CNONCE).unwrap();
    let credentials = session.credentials(&account, get(URI)).unwrap();
    let info =
        Verifier { challenge: &whole, ..verifier }.authentication_info(&credentials, b"hello", None).unwrap();
    assert_eq!(info.rspauth.as_ref().unwrap().expose(), "b132f1a6fcf3b31b06cef6f942d49c5b");
    assert!(session.is_proved(&account, &credentials, &info, b"hello"));
    assert!(!session.is_proved(&account, &credentials, &info, b"hellO"));
    // Somebody who does not know the password, another request's proof, no proof at all.
    let other = mufasa(REALM, "guess");
    let forged =
        Verifier { account: &other, ..verifier }.authentication_info(&credentials, b"hello", None).unwrap();
    assert!(!session.is_proved(&account, &credentials, &forged, b"hello"));
    let second = session.credentials(&account, get(URI)).unwrap();
    assert!(!session.is_proved(&account, &second, &info, b"hello"));
    assert!(!session.is_proved(&account, &credentials, &AuthenticationInfo::default(), b"hello"));
}
