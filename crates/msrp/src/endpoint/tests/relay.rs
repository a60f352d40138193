//! Relays made of text (RFC 4976 §5.1).

use super::*;
use crate::event::{RelayId, RelayLoss};
use cpm_auth::{Account, Credentials, Secret, answer};

struct Relays {
    endpoint: Endpoint,
    id: RelayId,
    local: MsrpUri,
    now: Now,
    events: Vec<Event>,
    closed: usize,
}

const FLOW: FlowId = FlowId(1);

fn account(realm: &str) -> Account {
    Account::new("Alice", realm, Secret::password("secret")).unwrap()
}

impl Relays {
    fn new(hops: &[&str]) -> Relays {
        let mut endpoint = endpoint(1);
        let local = endpoint.new_local_uri("alice.example.com", 9892, true);
        let config = RelayConfig {
            relays: hops.iter().map(|hop| MsrpUri::parse(hop).unwrap()).collect(),
            remote: "192.0.2.7:2855".parse().unwrap(),
            transport: Transport::Tls,
            accounts: vec![account("intra.example.com"), account("extra.example.com")],
            local: local.clone(),
            expires: Some(900),
        };
        let id = endpoint.use_relays(at(0), config).unwrap();
        let Some(Action::Open(open, _)) = endpoint.poll_action() else { panic!() };
        endpoint.handle_opened(at(0), open, Ok((FLOW, info())));
        Relays { endpoint, id, local, now: at(0), events: Vec::new(), closed: 0 }
    }

    fn says(&mut self) -> String {
        let mut out = Vec::new();
        while self.endpoint.poll_transmit(self.now, FLOW, 1000, &mut out) > 0 {}
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                Action::Event(event) => self.events.push(event),
                Action::Close(..) => self.closed += 1,
                _ => {}
            }
        }
        String::from_utf8(out).unwrap()
    }

    fn answer(&mut self, request: &str, status: &str, from: &str, fields: &str) -> String {
        let tid = request.split(' ').nth(1).unwrap();
        let text = format!(
            "MSRP {tid} {status}\r\nTo-Path: {}\r\nFrom-Path: {from}\r\n{fields}-------{tid}$\r\n",
            self.local
        );
        self.endpoint.handle_stream(self.now, FLOW, text.into());
        self.says()
    }
}

fn challenge(realm: &str) -> String {
    format!("WWW-Authenticate: Digest realm=\"{realm}\", qop=\"auth\", nonce=\"dcd98b7102dd2f0e\"\r\n")
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

/// The digest is that of the request, over the last URI of To-Path (RFC 4976 §9.1).
fn check_credentials(request: &str, realm: &str, uri: &str) {
    let given = Credentials::parse(field(request, "Authorization")).unwrap();
    let protection = given.protection.clone().unwrap();
    let challenge = Challenge::parse(challenge(realm).trim_end().split_once(": ").unwrap().1).unwrap();
    let parts = RequestParts { method: "AUTH", uri, body: b"" };
    let expected =
        answer(&challenge, &account(realm), &AnswerPolicy::default(), parts, &protection.cnonce).unwrap();
    assert_eq!(given, expected);
}

use cpm_auth::{AnswerPolicy, Challenge, RequestParts};

const INTRA: &str = "msrps://alice@intra.example.com:2855;tcp";
const EXTRA: &str = "msrps://extra.example.com:2855;tcp";

// interop: 17
#[test]
fn two_relays_in_turn_and_again_before_they_expire() {
    let mut relays = Relays::new(&[INTRA, EXTRA]);
    let first = relays.says();
    assert!(
        first.contains(" AUTH\r\n") && field(&first, "To-Path") == INTRA && field(&first, "Expires") == "900"
    );
    assert!(!first.contains("Authorization"));
    let second = relays.answer(&first, "401 Unauthorized", INTRA, &challenge("intra.example.com"));
    check_credentials(&second, "intra.example.com", INTRA);
    let given = "msrps://intra.example.com:9000/jui787s2f;tcp";
    let third = relays.answer(&second, "200 OK", INTRA, &format!("Use-Path: {given}\r\nExpires: 900\r\n"));
    assert_eq!(field(&third, "To-Path"), format!("{given} {EXTRA}"));
    assert!(!third.contains("Authorization") && relays.events.is_empty());
    let fourth = relays.answer(&third, "401 Unauthorized", EXTRA, &challenge("extra.example.com"));
    check_credentials(&fourth, "extra.example.com", EXTRA);
    let both = format!("{given} msrps://extra.example.com:9000/mywdEe1233;tcp");
    relays.answer(&fourth, "200 OK", EXTRA, &format!("Use-Path: {both}\r\nExpires: 1800\r\n"));
    let Some(Event::RelayReady { use_path, expires, .. }) = relays.events.pop() else { panic!() };
    assert_eq!(use_path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), both);
    assert_eq!(expires, Some(core::time::Duration::from_secs(900)), "the shorter");

    assert_eq!(relays.endpoint.next_timeout(), Some(at(720).mono));
    relays.now = at(720);
    relays.endpoint.handle_timeout(relays.now);
    let again = relays.says();
    assert!(field(&again, "To-Path") == INTRA && again.contains("nc=00000002"), "{again}");
    let (id, now) = (relays.id, relays.now);
    relays.endpoint.leave_relays(now, id);
    relays.answer(&again, "403 Forbidden", INTRA, "");
    assert!(relays.events.is_empty() && relays.closed == 1);
    assert_empty(&relays.endpoint);
}

#[test]
fn a_session_goes_over_the_relay_that_knows_us() {
    let mut relays = Relays::new(&[INTRA]);
    let request = relays.says();
    relays.answer(&request, "200 OK", INTRA, "Use-Path: msrps://intra.example.com:9000/jui787s2f;tcp\r\n");
    let Some(Event::RelayReady { use_path, expires: None, .. }) = relays.events.pop() else { panic!() };
    let peer = MsrpUri::parse("msrps://bob.example.com:8888/9di4eae923wzd;tcp").unwrap();
    let session = SessionConfig {
        remote_path: use_path.iter().cloned().chain([peer]).collect(),
        ..config(
            &relays.local,
            &relays.local,
            Role::Active("192.0.2.7:2855".parse().unwrap(), Transport::Tls),
        )
    };
    relays.endpoint.open_session(relays.now, session).unwrap();
    let bind = relays.says();
    assert_eq!(
        field(&bind, "To-Path"),
        "msrps://intra.example.com:9000/jui787s2f;tcp msrps://bob.example.com:8888/9di4eae923wzd;tcp"
    );
    relays.endpoint.handle_closed(relays.now, FLOW, CloseReason::Failed);
    relays.says();
    let lost = Event::RelayLost { relay: relays.id, why: RelayLoss::Connection };
    assert!(relays.events.contains(&lost));
    assert_empty(&relays.endpoint);
}

#[test]
fn what_cannot_go_on_is_told_and_nothing_is_left() {
    let basic = "WWW-Authenticate: Basic realm=\"intra.example.com\"\r\n".to_string();
    let no_qop = "WWW-Authenticate: Digest realm=\"intra.example.com\", nonce=\"abc\"\r\n".to_string();
    let sess = "WWW-Authenticate: Digest realm=\"intra.example.com\", nonce=\"abc\", qop=\"auth\", algorithm=MD5-sess\r\n";
    for (status, fields, why) in [
        ("403 Forbidden", String::new(), RelayLoss::Refused(Status::FORBIDDEN)),
        ("401 Unauthorized", challenge("other.example.com"), RelayLoss::Credentials),
        ("401 Unauthorized", basic, RelayLoss::Credentials),
        ("401 Unauthorized", no_qop, RelayLoss::Credentials),
        ("401 Unauthorized", sess.to_string(), RelayLoss::Credentials),
        ("200 OK", String::new(), RelayLoss::Malformed),
        ("423 Out of Bounds", String::new(), RelayLoss::Refused(Status::OUT_OF_BOUNDS)),
    ] {
        let mut relays = Relays::new(&[INTRA]);
        let request = relays.says();
        relays.answer(&request, status, INTRA, &fields);
        assert_eq!(relays.events, [Event::RelayLost { relay: relays.id, why }], "{status} {fields}");
        assert_eq!(relays.closed, 1);
        assert_empty(&relays.endpoint);
    }
    // Refused credentials are not sent again; no answer is no for ever.
    let mut relays = Relays::new(&[INTRA]);
    let request = relays.says();
    let second = relays.answer(&request, "401 Unauthorized", INTRA, &challenge("intra.example.com"));
    assert_eq!(relays.answer(&second, "401 Unauthorized", INTRA, &challenge("intra.example.com")), "");
    assert_eq!(relays.events, [Event::RelayLost { relay: relays.id, why: RelayLoss::Credentials }]);
    let mut relays = Relays::new(&[INTRA]);
    relays.says();
    relays.endpoint.handle_timeout(at(31));
    relays.says();
    assert_eq!(relays.events, [Event::RelayLost { relay: relays.id, why: RelayLoss::Timeout }]);
}

#[test]
fn times_out_of_bounds_are_taken_from_the_answer() {
    for name in ["Min-Expires", "Max-Expires"] {
        let mut relays = Relays::new(&[INTRA]);
        let request = relays.says();
        let second = relays.answer(&request, "423 Out of Bounds", INTRA, &format!("{name}: 1200\r\n"));
        assert_eq!(field(&second, "Expires"), "1200");
        relays.answer(&second, "423 Out of Bounds", INTRA, &format!("{name}: 1200\r\n"));
        let lost = RelayLoss::Refused(Status::OUT_OF_BOUNDS);
        assert_eq!(relays.events, [Event::RelayLost { relay: relays.id, why: lost }]);
    }
}

/// A relay that never has enough is given up: other bounds each time, or a nonce that is always stale.
#[test]
fn a_relay_is_asked_four_times_at_most() {
    let stale = challenge("intra.example.com").replace("Digest ", "Digest stale=true, ");
    for endless in [false, true] {
        let mut relays = Relays::new(&[INTRA]);
        let mut request = relays.says();
        let mut asked = 1;
        while relays.events.is_empty() && asked < 20 {
            request = match endless {
                true => relays.answer(&request, "401 Unauthorized", INTRA, &stale),
                false => {
                    let bound = format!("Min-Expires: {}\r\n", 1000 + asked);
                    relays.answer(&request, "423 Out of Bounds", INTRA, &bound)
                }
            };
            asked += u32::from(!request.is_empty());
        }
        assert_eq!(asked, 4, "{endless}");
        let status = if endless { Status::UNAUTHORIZED } else { Status::OUT_OF_BOUNDS };
        assert_eq!(relays.events, [Event::RelayLost { relay: relays.id, why: RelayLoss::Refused(status) }]);
        assert_empty(&relays.endpoint);
    }
}

#[test]
fn a_relay_that_cannot_prove_itself_is_left() {
    let mut relays = Relays::new(&[INTRA]);
    let request = relays.says();
    let second = relays.answer(&request, "401 Unauthorized", INTRA, &challenge("intra.example.com"));
    let cnonce = Credentials::parse(field(&second, "Authorization")).unwrap().protection.unwrap().cnonce;
    let info = format!("qop=auth, rspauth=\"{}\", cnonce=\"{cnonce}\", nc=00000001", "0".repeat(32));
    let fields = format!("Use-Path: {INTRA}\r\nAuthentication-Info: {info}\r\n");
    relays.answer(&second, "200 OK", INTRA, &fields);
    assert_eq!(relays.events, [Event::RelayLost { relay: relays.id, why: RelayLoss::Unproved }]);
    assert_empty(&relays.endpoint);
}

/// Threat A20: what a relay gives is renewed in its time, but neither at once for ever nor never.
#[test]
fn times_of_relays_have_bounds() {
    for (expires, renewed) in [
        ("0", 1_000_000),
        ("1", 1_000_000),
        ("1000", 800_000_000),
        ("18446744073709551615", 31_536_000_000_000),
    ] {
        let mut relays = Relays::new(&[INTRA]);
        let request = relays.says();
        relays.answer(&request, "200 OK", INTRA, &format!("Use-Path: {INTRA}\r\nExpires: {expires}\r\n"));
        assert!(matches!(relays.events[..], [Event::RelayReady { .. }]), "{expires}");
        assert_eq!(relays.endpoint.next_timeout(), Some(Instant::from_micros(renewed)), "{expires}");
    }
    let mut endpoint = endpoint(1);
    let local = endpoint.new_local_uri("alice.example.com", 9892, true);
    for (count, taken) in [(0, false), (4, true), (5, false)] {
        let config = RelayConfig {
            relays: vec![MsrpUri::parse(INTRA).unwrap(); count],
            remote: "192.0.2.7:2855".parse().unwrap(),
            transport: Transport::Tls,
            accounts: Vec::new(),
            local: local.clone(),
            expires: None,
        };
        assert_eq!(endpoint.use_relays(at(0), config).is_ok(), taken, "{count}");
    }
}
