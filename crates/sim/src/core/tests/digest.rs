//! Proofs by digest, and registrations that outlive the core.

use super::*;
use crate::core::digest;
use cpm_auth::{Account, AnswerPolicy, HashFunction, NonceLimits, Secret};
use cpm_core::{Node, standing};
use cpm_sip::{PPreferredIdentity, ProxyAuthenticate, WwwAuthenticate};
use cpm_ua::Login;

const REALM: &str = "home.test";

fn account(name: &str, secret: Secret) -> Account {
    Account::new(name, REALM, secret).unwrap()
}

/// Alice and Carol have passwords, Bob a hash for each algorithm.
fn guard(config: &mut CoreConfig) {
    let hashed = |hash| account("bob", Secret::hashed(hash, "bob", REALM, "builder"));
    let accounts = vec![
        (uri("sip:alice@home.test"), account("alice", Secret::password("wonderland"))),
        (uri("tel:+15550002"), hashed(HashFunction::Sha256)),
        (uri("tel:+15550002"), hashed(HashFunction::Md5)),
        (uri("sip:carol@home.test"), account("carol", Secret::password("christmas"))),
        (uri("sip:nobody@home.test"), account("nobody", Secret::password("x"))),
    ];
    config.authentication = Some(Authentication::new(REALM, accounts));
    config.keep_bindings = true;
}

fn guarded() -> Town {
    over(cpm_base::Transport::Udp)
}

fn over(transport: cpm_base::Transport) -> Town {
    let listening = transport == cpm_base::Transport::Udp;
    Town::with(5, Addressing::Instance, transport, listening, guard)
}

fn login(town: &mut Town, phone: Handle<Phone>, name: &str, password: &str) {
    let login = Login {
        account: account(name, Secret::password(password)),
        policy: AnswerPolicy::default(),
        address: None,
        hosts: vec![uri("sip:home.test").as_sip().unwrap().host().clone()],
        proxies: true,
    };
    town.world.command(phone, |_, ports, _| ports.sip.add_login(login).unwrap());
}

fn login_all(town: &mut Town) {
    for (phone, name, password) in [
        (town.alice, "alice", "wonderland"),
        (town.bob[0], "bob", "builder"),
        (town.bob[1], "bob", "builder"),
        (town.carol, "carol", "christmas"),
    ] {
        login(town, phone, name, password);
    }
}

#[test]
fn a_registration_needs_the_password() {
    let mut town = guarded();
    let challenge = town.register(town.bob[0], "sip:bob@home.test", 600);
    assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
    let offered: Vec<WwwAuthenticate> = challenge.typed_list().unwrap();
    let algorithms: Vec<&str> =
        offered.iter().map(|offer| offer.params().get("algorithm").unwrap()).collect();
    assert_eq!(algorithms, ["SHA-256", "MD5"]);
    assert!(town.core_events().iter().any(|event| matches!(event, CoreEvent::Challenged { .. })));

    let phone = town.bob[0];
    login(&mut town, phone, "bob", "builder");
    assert_eq!(town.register(town.bob[0], "sip:bob@home.test", 600).status(), StatusCode::OK);
    // The PF is shown no credentials.
    let told = town.got(town.pf_b, &Method::Register);
    let [Message::Request(register), _] = parts(&told[0]) else { panic!("two messages") };
    assert!(!register.headers().contains(&HeaderName::Authorization));
    assert_eq!(one::<To>(&register).unwrap().uri().as_str(), "sip:bob@home.test");
}

/// Threat E1: a wrong password, a password of somebody else, a name that nobody has.
#[test]
fn other_passwords_do_not_do() {
    for (name, password, status) in [
        ("bob", "wonderland", StatusCode::UNAUTHORIZED),
        ("nobody", "x", StatusCode::UNAUTHORIZED),
        // The right one, for another address.
        ("alice", "wonderland", StatusCode::FORBIDDEN),
    ] {
        let mut town = guarded();
        let phone = town.bob[0];
        login(&mut town, phone, name, password);
        assert_eq!(town.register(town.bob[0], "sip:bob@home.test", 600).status(), status, "{name}");
        assert!(town.world.function(town.core).unwrap().contacts(&uri("sip:bob@home.test")).is_empty());
        assert!(town.got(town.pf_b, &Method::Register).is_empty());
    }
}

#[test]
fn a_nonce_that_is_over_is_stale_and_the_password_is_asked_no_more() {
    let mut town = Town::with(5, Addressing::Instance, cpm_base::Transport::Udp, true, |config| {
        guard(config);
        let nonces = NonceLimits { max_nonces: 1, ..NonceLimits::default() };
        config.authentication.as_mut().unwrap().nonces = nonces;
    });
    login_all(&mut town);
    assert_eq!(town.register(town.bob[0], "sip:bob@home.test", 600).status(), StatusCode::OK);
    // Another's challenge takes the place of the nonce.
    assert_eq!(town.register(town.bob[1], "sip:bob@home.test", 600).status(), StatusCode::OK);
    assert_eq!(town.register(town.bob[0], "sip:bob@home.test", 600).status(), StatusCode::OK);
    let challenged = |event: &CoreEvent| matches!(event, CoreEvent::Challenged { .. });
    assert_eq!(town.core_events().iter().filter(|event| challenged(event)).count(), 3);
}

#[test]
fn what_was_proven_with_a_nonce_that_is_over_or_used_up_is_said_to_be_stale() {
    let mut config = CoreConfig::new(sip(CORE), Vec::new());
    guard(&mut config);
    let mut random = Random::new(Seed::new([2; 32]));
    let bob = |identity: &Uri| (identity.as_str() == "tel:+15550002").then_some(7);
    let mut guard = Guard::new(&config.authentication.unwrap(), &mut random, bob).unwrap();
    let now = Now::new(Instant::ZERO, cpm_base::DateTime::UNIX_EPOCH);
    let mut asked = Request::new(Method::Register, uri("sip:home.test"));
    let fields = HeaderName::Authorization;
    let proof = |guard: &mut Guard, request: &Request| guard.proof(now, request, &HeaderName::Authorization);
    assert_eq!(proof(&mut guard, &asked), digest::Proof::None { stale: false });
    guard.challenge(now, "n1", false, &HeaderName::WwwAuthenticate, asked.headers_mut());
    for (algorithm, password, nonce, first, second) in [
        (cpm_auth::Algorithm::Md5, "builder", "n1", Some(7), None),
        (cpm_auth::Algorithm::Sha256, "builder", "n2", None, None),
        (cpm_auth::Algorithm::Sha256, "wrong", "n1", None, None),
    ] {
        let parts = cpm_auth::RequestParts { method: "REGISTER", uri: "sip:home.test", body: b"" };
        let challenge = cpm_auth::Challenge::new(REALM, nonce, algorithm);
        let bob = account("bob", Secret::password(password));
        let policy = AnswerPolicy { algorithms: vec![algorithm], ..AnswerPolicy::default() };
        let answer = cpm_auth::answer(&challenge, &bob, &policy, parts, "0a4f113b").unwrap();
        asked.headers_mut().replace(fields.clone(), text(&answer.to_text().unwrap()));
        let told = |user: Option<usize>| match user {
            Some(user) => digest::Proof::User(user),
            None => digest::Proof::None { stale: password == "builder" },
        };
        assert_eq!(proof(&mut guard, &asked), told(first), "{algorithm:?}");
        assert_eq!(proof(&mut guard, &asked), told(second), "{algorithm:?}");
    }
    asked.headers_mut().replace(fields, text("Digest nonsense"));
    assert_eq!(proof(&mut guard, &asked), digest::Proof::Unreadable);
}

/// Threats E1, E2: nobody sends without being registered on his flow or proving who he is; what a device says of itself
/// is not believed.
#[test]
fn requests_are_of_whom_registered_on_the_flow() {
    let mut town = guarded();
    login_all(&mut town);
    town.register(town.bob[0], "sip:bob@home.test", 600);
    // Not registered, no password for the realm.
    let stranger = town.world.command(town.carol, |_, ports, _| ports.sip.add_login(foreign()).is_ok());
    assert!(stranger);
    let message = |from: &str| message(from, "sip:bob@home.test");
    // Carol's login answers the 407: she is a user, and not registered; her password says who she is.
    let answer = town.ask(town.carol, message("sip:carol@home.test"));
    assert_eq!(answer.status(), StatusCode::OK, "{}", town.world.trace());
    let got = town.got(town.bob[0], &Method::Message).pop().unwrap();
    assert!(!got.headers().contains(&HeaderName::ProxyAuthorization));
    assert_eq!(one::<PAssertedIdentity>(&got).unwrap().uri().as_str(), "sip:carol@home.test");

    // Registered: nothing is asked any more, and the identity is the user's whatever the request says.
    town.register(town.alice, "sip:alice@home.test", 600);
    let before = town.core_events().len();
    let proof = "Digest username=\"alice\", realm=\"home.test\", nonce=\"n\", uri=\"sip:bob@home.test\", response=\"0123456789abcdef0123456789abcdef\"";
    let spoofed = message("sip:alice@home.test")
        .with_header(HeaderName::Authorization, HeaderText::new(proof).unwrap())
        .with_typed(&PPreferredIdentity::new(uri("sip:bob@home.test")))
        .with_typed(&PAssertedIdentity::new(uri("sip:bob@home.test")));
    assert_eq!(town.ask(town.alice, spoofed).status(), StatusCode::OK);
    // What proves her to the core is not for Bob to see.
    let got = town.got(town.bob[0], &Method::Message).pop().unwrap();
    assert!(!got.headers().contains(&HeaderName::Authorization));
    let got = town.got(town.bob[0], &Method::Message).pop().unwrap();
    assert_eq!(one::<PAssertedIdentity>(&got).unwrap().uri().as_str(), "sip:alice@home.test");
    assert!(!town.core_events()[before..].iter().any(|event| matches!(event, CoreEvent::Challenged { .. })));
}

fn foreign() -> Login {
    Login {
        account: Account::new("carol", "elsewhere.test", Secret::password("x")).unwrap(),
        policy: AnswerPolicy::default(),
        address: None,
        hosts: Vec::new(),
        proxies: true,
    }
}

/// Threat E1: without a password a request ends at 407, also in the name of who is registered at the same address.
#[test]
fn a_source_address_proves_nothing() {
    let mut town = guarded();
    let phone = town.bob[0];
    login(&mut town, phone, "bob", "builder");
    town.register(town.bob[0], "sip:bob@home.test", 600);
    let answer = town.ask(town.alice, message("sip:bob@home.test", "sip:bob@home.test"));
    assert_eq!(answer.status(), StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    assert_eq!(answer.typed_list::<ProxyAuthenticate>().unwrap().len(), 2);
    assert!(town.got(town.bob[0], &Method::Message).is_empty());
    // Bob leaves: his flow is nobody's any more.
    let own = town.ask(town.bob[0], message("sip:bob@home.test", "sip:carol@home.test"));
    assert_eq!(own.status(), StatusCode::TEMPORARILY_UNAVAILABLE);
    town.register(town.bob[0], "sip:bob@home.test", 0);
    let core = town.world.function(town.core).unwrap();
    assert!(core.proven.is_empty() && core.awaited.is_empty());
}

/// Threat E2: who speaks in another user's name where no service looks after it is refused.
#[test]
fn from_of_another_user_is_refused() {
    let mut town = guarded();
    login_all(&mut town);
    town.register(town.carol, "sip:carol@home.test", 600);
    let plain = |from: &str| {
        Request::new(Method::Message, uri("sip:carol@home.test"))
            .with_typed(&From::new(uri(from)))
            .with_typed(&To::new(uri("sip:carol@home.test")))
            .with_typed(&Route::new(uri("sip:core.home.test;lr;orig")))
    };
    assert_eq!(town.ask(town.carol, plain("sip:alice@home.test")).status(), StatusCode::FORBIDDEN);
    for own in ["sip:carol@home.test", "sip:anonymous@anonymous.invalid"] {
        assert_eq!(town.ask(town.carol, plain(own)).status(), StatusCode::OK, "{own}");
    }
}

#[test]
fn a_registration_that_is_not_kept_is_not_confirmed() {
    let mut town = guarded();
    login_all(&mut town);
    town.world.fail_stores(town.core, &[cpm_core::StoreError::Failed]);
    assert_eq!(
        town.register(town.bob[0], "sip:bob@home.test", 600).status(),
        StatusCode::SERVER_INTERNAL_ERROR
    );
    assert!(town.world.function(town.core).unwrap().contacts(&uri("sip:bob@home.test")).is_empty());
    assert_eq!(town.register(town.bob[0], "sip:bob@home.test", 600).status(), StatusCode::OK);
}

/// The core in the place of the one that crashed, with what was kept.
fn restart(town: &mut Town) -> usize {
    let now = town.world.now();
    let records = standing(town.world.stored(town.core).iter().map(|stored| stored.record.clone()));
    let mut config = town.world.function(town.core).unwrap().config.clone();
    guard(&mut config);
    let node = config.node(town.world.fork_seed());
    let (core, left_out) =
        SipIpCore::new(config, town.world.fork_seed()).guarded().unwrap().restored(now, &records);
    town.world.restart(town.core, Node::new(core, node).unwrap());
    town.settle();
    left_out
}

#[test]
fn a_restart_is_invisible_over_udp() {
    let mut town = guarded();
    login_all(&mut town);
    town.register_all();
    assert_eq!(town.register(town.bob[1], "sip:bob@home.test", 0).status(), StatusCode::OK);
    let told = town.got(town.pf_b, &Method::Register);
    assert_eq!(restart(&mut town), 0);
    // Told anew, in the same registration.
    let again = town.got(town.pf_b, &Method::Register);
    assert_eq!(again.len(), told.len() + 1);
    let (last, next) = (told.last().unwrap(), again.last().unwrap());
    assert_eq!(one::<CallId>(last), one::<CallId>(next));
    assert!(one::<CSeq>(last).unwrap().number < one::<CSeq>(next).unwrap().number);
    let [_, Message::Response(accepted)] = parts(next) else { panic!("two messages") };
    assert_eq!(accepted.typed_list::<Contact>().unwrap().len(), 1);

    let before = town.core_events().len();
    let answer = town.ask(town.alice, message("sip:alice@home.test", "sip:bob@home.test"));
    assert_eq!(answer.status(), StatusCode::OK, "{}", town.world.trace());
    assert_eq!(town.got(town.bob[0], &Method::Message).len(), 1);
    assert!(town.got(town.bob[1], &Method::Message).is_empty());
    assert_eq!(town.core_events()[before..], []);
    // And the registration runs out as it would have.
    town.world.run_for(Duration::from_secs(700)).unwrap();
    assert!(town.world.function(town.core).unwrap().contacts(&uri("sip:bob@home.test")).is_empty());
}

#[test]
fn a_restart_asks_for_the_password_on_a_new_connection() {
    let mut town = over(cpm_base::Transport::Tcp);
    login_all(&mut town);
    town.register_all();
    assert_eq!(restart(&mut town), 0);
    let before = town.core_events().len();
    let hello = message("sip:carol@home.test", "sip:carol@home.test");
    // Carol proves herself on the new connection, on which she is reached then.
    assert_eq!(town.ask(town.carol, hello.clone()).status(), StatusCode::OK, "{}", town.world.trace());
    let asked = |events: &[CoreEvent]| {
        events.iter().filter(|event| matches!(event, CoreEvent::Challenged { .. })).count()
    };
    assert_eq!(asked(&town.core_events()[before..]), 1);
    assert_eq!(town.ask(town.carol, hello).status(), StatusCode::OK);
    assert_eq!(asked(&town.core_events()[before..]), 1);
}

#[test]
fn a_core_that_drains_begins_nothing() {
    let mut town = Town::over_udp();
    town.register_all();
    town.world.command(town.core, |core, _, _| core.drain());
    let answer = town.ask(town.alice, message("sip:alice@home.test", "sip:bob@home.test"));
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        town.register(town.alice, "sip:alice@home.test", 600).status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    // What a Participating Function still has to send goes through.
    town.world.command(town.pf_a, |_, ports, now| {
        let notification = message("sip:alice@home.test", "sip:carol@home.test");
        ports.sip.send_request(now, notification, Destination::Routed).unwrap();
    });
    town.settle();
    assert_eq!(town.got(town.carol, &Method::Message).len(), 1);
}

#[test]
fn damaged_records_and_those_of_others_are_left_out() {
    let records = [
        cpm_core::Record::State(cpm_core::StateRecord::put("core/user/sip:bob@home.test", &b"damaged"[..])),
        cpm_core::Record::State(cpm_core::StateRecord::put("core/user/sip:gone@home.test", &b""[..])),
        cpm_core::Record::State(cpm_core::StateRecord::put("pf/user/x", &b"not ours"[..])),
    ];
    let user = User { identities: vec![uri("sip:bob@home.test")], participating: None };
    let core = SipIpCore::new(CoreConfig::new(sip(CORE), vec![user]), Seed::new([1; 32]));
    let now = Now::new(Instant::ZERO, cpm_base::DateTime::UNIX_EPOCH);
    assert_eq!(core.restored(now, &records).1, 2);
}
