//! TS 7.1, and what registration gives to other requests (TS 6.1, 6.1.1).

use super::harness::*;
use crate::{ClientEvent, Failure, NewMessage, RegisterError};
use cpm_sip::{Message, Method, Request, Uri};

const REGISTERED: &str = "Contact: <sip:alice@192.0.2.1:5060>;expires=3600;+sip.instance=\"<urn:uuid:F81D4FAE-7dec-11d0-a765-00a0c91e6bf6>\"\r\n";

fn register(rig: &mut Rig) -> Request {
    rig.command(|client, now, ports| client.register(now, ports)).unwrap();
    rig.next_request(Method::Register)
}

/// Registered with what the 200 says.
fn registered(extra: &str) -> Rig {
    let mut rig = Rig::new();
    let request = register(&mut rig);
    rig.answer(&request, "200 OK", extra, "");
    assert!(matches!(rig.next_event(), ClientEvent::Registered { .. }));
    rig
}

// req: 7-p5, 7.1-1, 7.1-2, 7.1-3, 7.1-4, 7.1-5, 7.1-6, 7.1-7, 7.1-9, H.2-p1
#[test]
fn the_register_says_what_the_client_can_do() {
    let mut rig = Rig::with(|config| config.display_name = Some("Alice's \"phone\"".to_owned()));
    let request = register(&mut rig);
    let headers = request.headers();
    assert_eq!(request.uri().as_str(), "sip:198.51.100.1");
    assert_eq!(value(headers, "To"), "<sip:alice@example.com>");
    assert!(value(headers, "From").starts_with("<sip:alice@example.com>;tag="));
    assert_eq!(value(headers, "Expires"), "3600");
    assert_eq!(value(headers, "Supported"), "path, gruu");
    assert_eq!(value(headers, "User-Agent"), "CPM-client/OMA2.1 acme/1.0");
    assert_eq!(value(headers, "CSeq"), "1 REGISTER");
    assert_eq!(
        value(headers, "Contact"),
        "\"Alice's \\\"phone\\\"\" <sip:alice@192.0.2.1:5060>;\
         +sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";\
         +g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg,\
         urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg\";\
         methods=\"INVITE,ACK,CANCEL,BYE,MESSAGE\""
    );
    assert!(values(headers, "Route").is_empty());
}

// req: 7.1-p1, 7.1-p3
#[test]
fn a_registration_is_refreshed_before_its_end() {
    for (granted, wait) in [(3600, 3000), (1201, 601), (1200, 600), (60, 30), (1, 1)] {
        let mut rig = Rig::new();
        let first = register(&mut rig);
        rig.answer(&first, "200 OK", &REGISTERED.replace("3600", &granted.to_string()), "");
        let ClientEvent::Registered { expires, .. } = rig.next_event() else { panic!() };
        assert_eq!(expires, granted);
        rig.advance(secs(wait) - core::time::Duration::from_millis(1));
        rig.quiet();
        rig.advance(core::time::Duration::from_millis(1));
        let again = rig.next_request(Method::Register);
        assert_eq!(value(again.headers(), "Call-ID"), value(first.headers(), "Call-ID"));
        assert_eq!(value(again.headers(), "CSeq"), "2 REGISTER");
        assert_eq!(value(again.headers(), "Contact"), value(first.headers(), "Contact"));
    }
}

#[test]
fn of_several_contacts_the_own_counts() {
    let others = "Contact: <sip:alice@192.0.2.77>;expires=50;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\",\r\n <sip:alice@192.0.2.1:5060>;expires=900;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\", <sip:alice@192.0.2.78>;expires=7\r\nExpires: 11\r\n";
    let mut rig = Rig::new();
    let request = register(&mut rig);
    rig.answer(&request, "200 OK", others, "");
    assert!(matches!(rig.next_event(), ClientEvent::Registered { expires: 900, .. }));
    // Without instances in the list, by the URI; without itself in the list, by Expires.
    for (list, expires) in [
        ("Contact: <sip:alice@192.0.2.1:5060>;expires=70, <sip:x@y>;expires=5\r\n", 70),
        ("Expires: 80\r\n", 80),
        ("", 3600),
    ] {
        let mut rig = Rig::new();
        let request = register(&mut rig);
        rig.answer(&request, "200 OK", list, "");
        let ClientEvent::Registered { expires: granted, .. } = rig.next_event() else { panic!() };
        assert_eq!(granted, expires);
    }
}

#[test]
fn too_brief_is_asked_longer() {
    let mut rig = Rig::with(|config| config.expires = 60);
    let request = register(&mut rig);
    rig.answer(&request, "423 Interval Too Brief", "Min-Expires: 600\r\n", "");
    let again = rig.next_request(Method::Register);
    assert_eq!(
        (value(again.headers(), "Expires"), value(again.headers(), "CSeq")),
        ("600".into(), "2 REGISTER".into())
    );
    assert_eq!(value(again.headers(), "Call-ID"), value(request.headers(), "Call-ID"));
    rig.answer(&again, "423 Interval Too Brief", "Min-Expires: 700\r\n", "");
    let third = rig.next_request(Method::Register);
    assert_eq!(value(third.headers(), "Expires"), "700");
    // A registrar that never has enough is left alone.
    rig.answer(&third, "423 Interval Too Brief", "Min-Expires: 800\r\n", "");
    assert!(matches!(rig.next_event(), ClientEvent::RegistrationFailed(Failure::Rejected { .. })));
    rig.advance(secs(4000));
    rig.quiet();
}

#[test]
fn a_423_without_a_greater_interval_is_a_failure() {
    for extra in ["", "Min-Expires: 3600\r\n", "Min-Expires: x\r\n"] {
        let mut rig = Rig::new();
        let request = register(&mut rig);
        rig.answer(&request, "423 Interval Too Brief", extra, "");
        assert!(matches!(rig.next_event(), ClientEvent::RegistrationFailed(_)));
        rig.quiet();
    }
}

// req: 7.1-p4.2
#[test]
fn deregistration() {
    let mut rig = registered(&format!("{REGISTERED}Service-Route: <sip:orig@198.51.100.1;lr>\r\n"));
    rig.command(|client, now, ports| client.deregister(now, ports)).unwrap();
    let request = rig.next_request(Method::Register);
    assert_eq!(
        (value(request.headers(), "Expires"), value(request.headers(), "CSeq")),
        ("0".into(), "2 REGISTER".into())
    );
    assert!(values(request.headers(), "Route").is_empty());
    assert_eq!(rig.command(|client, now, ports| client.register(now, ports)), Err(RegisterError::Pending));
    rig.answer(&request, "200 OK", "", "");
    assert_eq!(rig.next_event(), ClientEvent::Deregistered);
    rig.at_rest();
    rig.quiet();
    // What the registration gave is gone with it.
    rig.send(NewMessage::text(uri("sip:bob@198.51.100.1"), "hi"));
    assert!(values(rig.next_request(Method::Message).headers(), "Route").is_empty());

    let mut rig = with_gruus();
    rig.command(|client, now, ports| client.deregister(now, ports)).unwrap();
    let request = rig.next_request(Method::Register);
    rig.answer(&request, "200 OK", "", "");
    assert!(invite_contact(&mut rig, false).starts_with("<sip:alice@192.0.2.1:5060>;"));
}

#[test]
fn a_failed_deregistration_is_told_and_not_repeated() {
    let mut rig = registered(REGISTERED);
    rig.command(|client, now, ports| client.deregister(now, ports)).unwrap();
    let request = rig.next_request(Method::Register);
    rig.answer(&request, "503 Service Unavailable", "", "");
    assert!(matches!(rig.next_event(), ClientEvent::RegistrationFailed(_)));
    rig.at_rest();
    rig.quiet();
}

#[test]
fn what_failed_for_now_is_tried_again_ever_more_slowly() {
    let mut rig = Rig::new();
    let mut request = register(&mut rig);
    for wait in [60, 120, 240, 480, 960, 1800, 1800] {
        rig.answer(&request, "503 Service Unavailable", "", "");
        assert!(matches!(rig.next_event(), ClientEvent::RegistrationFailed(Failure::Rejected { .. })));
        rig.advance(secs(wait - 1));
        rig.quiet();
        rig.advance(secs(1));
        request = rig.next_request(Method::Register);
    }
    // Success forgets the wait.
    rig.answer(&request, "200 OK", REGISTERED, "");
    rig.next_event();
    rig.advance(secs(3000));
    let request = rig.next_request(Method::Register);
    rig.answer(&request, "408 Request Timeout", "", "");
    rig.advance(secs(60));
    rig.next_request(Method::Register);
}

#[test]
fn silence_is_a_failure_too() {
    let mut rig = Rig::new();
    register(&mut rig);
    rig.advance(secs(33));
    assert_eq!(rig.next_event(), ClientEvent::RegistrationFailed(Failure::Timeout));
    rig.sent.clear();
    rig.advance(secs(60));
    let request = rig.next_request(Method::Register);
    assert_eq!(value(request.headers(), "CSeq"), "2 REGISTER");
}

#[test]
fn what_is_refused_for_good_is_not_tried_again() {
    for status in ["403 Forbidden", "404 Not Found", "400 Bad Request", "302 Moved", "603 Decline"] {
        let mut rig = Rig::new();
        let request = register(&mut rig);
        rig.answer(&request, status, "", "");
        assert!(matches!(rig.next_event(), ClientEvent::RegistrationFailed(_)));
        rig.at_rest();
        rig.quiet();
    }
}

/// A registrar that grants nothing must not make the client register at the speed of the net.
#[test]
fn no_time_granted_is_a_failure_with_a_wait() {
    for nothing in ["Expires: 0\r\n", &REGISTERED.replace("3600", "0")] {
        let mut rig = Rig::new();
        let request = register(&mut rig);
        rig.answer(&request, "200 OK", nothing, "");
        assert!(matches!(rig.next_event(), ClientEvent::RegistrationFailed(Failure::BadAnswer(_))));
        rig.quiet();
        rig.advance(secs(59));
        rig.quiet();
        rig.advance(secs(1));
        let request = rig.next_request(Method::Register);
        rig.answer(&request, "200 OK", nothing, "");
        rig.events.clear();
        rig.advance(secs(119));
        rig.quiet();
    }
}

#[test]
fn a_client_without_registrar_says_so() {
    let mut rig = Rig::with(|config| config.registrar = None);
    let refused = rig.command(|client, now, ports| client.register(now, ports));
    assert_eq!(refused, Err(RegisterError::NoRegistrar));
    rig.quiet();
    rig.at_rest();
}

// req: 7.2.1.1-16, 7.2.1.2-19
#[test]
fn the_service_route_leads_initial_requests() {
    let routes = "Service-Route: <sip:orig@198.51.100.1;lr;x=\"a b\">;p=\"q;r\", <sip:second.example.com;lr>\r\nService-Route: <sip:third.example.com;lr>\r\n";
    let mut rig = registered(&format!("{REGISTERED}{}", routes.replace(";x=\"a b\"", "")));
    rig.send(NewMessage::text(uri("sip:bob@far.example.org"), "hi"));
    let request = rig.next_request(Method::Message);
    assert_eq!(
        values(request.headers(), "Route"),
        ["<sip:orig@198.51.100.1;lr>;p=\"q;r\"", "<sip:second.example.com;lr>", "<sip:third.example.com;lr>"]
    );
    assert_eq!(request.uri().as_str(), "sip:bob@far.example.org");
    rig.send(NewMessage::text(uri("sip:bob@far.example.org"), &"x".repeat(2000)));
    assert_eq!(values(rig.next_request(Method::Invite).headers(), "Route").len(), 3);
    // A refresh does not take it.
    rig.advance(secs(3000));
    let refresh = rig.sent.iter().filter_map(Message::as_request).find(|r| *r.method() == Method::Register);
    assert!(values(refresh.unwrap().headers(), "Route").is_empty());
}

// req: 6.1-p1, 6.1-b1, 6.1-p2, 6.1.1-b1, 6.1.1-p3, 7.2.1.1-2, 7.2.1.2-4
#[test]
fn the_identity_is_one_that_the_core_knows() {
    for (associated, identity) in [
        ("", "sip:alice@example.com"),
        (
            "P-Associated-URI: <tel:+1555>, \"A\" <sip:Alice@other>, <sip:alice@EXAMPLE.com>\r\n",
            "sip:alice@example.com",
        ),
        (
            "P-Associated-URI: <sip:+1555@example.com;user=phone>, <tel:+1555>\r\n",
            "sip:+1555@example.com;user=phone",
        ),
    ] {
        let mut rig = Rig::new();
        let request = register(&mut rig);
        rig.answer(&request, "200 OK", &format!("{REGISTERED}{associated}"), "");
        let ClientEvent::Registered { associated: known, .. } = rig.next_event() else { panic!() };
        assert_eq!(known.len(), associated.matches('<').count());
        rig.send(NewMessage::text(uri("sip:bob@198.51.100.1"), "hi"));
        let pager = rig.next_request(Method::Message);
        rig.send(NewMessage::text(uri("sip:bob@198.51.100.1"), &"x".repeat(2000)));
        let large = rig.next_request(Method::Invite);
        for request in [&pager, &large] {
            assert_eq!(value(request.headers(), "P-Preferred-Identity"), format!("<{identity}>"));
            assert!(value(request.headers(), "From").starts_with("<sip:alice@example.com>;tag="));
        }
        assert!(values(pager.headers(), "Contact").is_empty());
        assert_eq!(parse_cpim(pager.body()).from().unwrap().unwrap().uri, identity);
    }
}

/// In media too the sender is who the core knows.
// req: 6.1.1-p4, 6.1-b1
#[test]
fn the_identity_in_media() {
    let mut rig = registered(&format!("{REGISTERED}P-Associated-URI: <tel:+15550001>\r\n"));
    rig.send(NewMessage::text(uri("sip:bob@198.51.100.1"), &"x".repeat(2000)));
    let invite = rig.next_request(Method::Invite);
    let extra = "Contact: <sip:bob@198.51.100.1:5060>\r\nContent-Type: application/sdp\r\n";
    rig.answer(&invite, "200 OK", extra, &sdp("recvonly", "passive", ""));
    let (flow, _) = rig.connect();
    let bind = rig.one_frame(flow);
    rig.stream(flow, bind.response("200 OK"));
    let octets: Vec<u8> = rig.frames(flow).into_iter().filter_map(|frame| frame.body).flatten().collect();
    assert_eq!(parse_cpim(&octets.into()).from().unwrap().unwrap().uri, "tel:+15550001");
}

const PUBLIC: &str = "sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
const TEMPORARY: &str = "sip:tgruu.7hs==jd7vnzga5w7fajsc7-ajd6fabz0f8g5@example.com;gr";

fn with_gruus() -> Rig {
    registered(&format!(
        "Contact: <sip:alice@192.0.2.1:5060>;pub-gruu=\"{PUBLIC}\";temp-gruu=\"{TEMPORARY}\";expires=3600;+sip.instance=\"<{INSTANCE}>\"\r\n"
    ))
}

fn invite_contact(rig: &mut Rig, anonymous: bool) -> String {
    let mut message = NewMessage::text(uri("sip:bob@198.51.100.1"), &"x".repeat(2000));
    message.anonymous = anonymous;
    rig.send(message);
    value(rig.next_request(Method::Invite).headers(), "Contact")
}

// req: 6.1.1-p1.1, 6.1.1-p1.2, H.2-p2
#[test]
fn the_public_gruu_is_the_contact() {
    let mut rig = with_gruus();
    assert_eq!(invite_contact(&mut rig, false), format!("<{PUBLIC}>;+g.3gpp.icsi-ref=\"{LARGE}\""));
    let invite = Incoming::invite(1, &offer("active", ""));
    rig.deliver(invite.bytes());
    let ok = rig.next_response(200);
    assert_eq!(value(ok.headers(), "Contact"), format!("<{PUBLIC}>;+g.3gpp.icsi-ref=\"{LARGE}\""));
    // The registered contact stays what it is (RFC 5627 §4.1).
    rig.advance(secs(3000));
    let refresh = rig.sent.iter().filter_map(Message::as_request).find(|r| *r.method() == Method::Register);
    let contact = value(refresh.unwrap().headers(), "Contact");
    assert!(
        contact.starts_with("<sip:alice@192.0.2.1:5060>;")
            && !contact.contains("gruu=")
            && contact.contains(INSTANCE)
    );
}

// req: 6.1.1-p2
#[test]
fn without_gruu_the_instance_names_the_device() {
    let mut rig = registered(REGISTERED);
    let expected =
        format!("<sip:alice@192.0.2.1:5060>;+g.3gpp.icsi-ref=\"{LARGE}\";+sip.instance=\"<{INSTANCE}>\"");
    assert_eq!(invite_contact(&mut rig, false), expected);
    // A GRUU that is none is none.
    for broken in ["pub-gruu=\"tel:+1\"", "pub-gruu=\"\"", "pub-gruu"] {
        let mut rig = registered(&REGISTERED.replace("expires", &format!("{broken};expires")));
        assert_eq!(invite_contact(&mut rig, false), expected);
    }
}

/// Threat E8: where the device is may tell who has it.
#[test]
fn an_anonymous_contact_names_nobody() {
    assert_eq!(
        invite_contact(&mut with_gruus(), true),
        format!("<{TEMPORARY}>;+g.3gpp.icsi-ref=\"{LARGE}\"")
    );
    let plain = format!("<sip:192.0.2.1:5060>;+g.3gpp.icsi-ref=\"{LARGE}\"");
    assert_eq!(invite_contact(&mut registered(REGISTERED), true), plain);
    let mut rig = Rig::with(|config| {
        config.contact = match Uri::parse("sip:alice:pw@192.0.2.1:5060;transport=tcp;ob").unwrap() {
            Uri::Sip(uri) => uri,
            _ => panic!(),
        }
    });
    let contact = format!("<sip:192.0.2.1:5060;transport=tcp;ob>;+g.3gpp.icsi-ref=\"{LARGE}\"");
    assert_eq!(invite_contact(&mut rig, true), contact);
}

/// A contact with other feature tags than those of the two messages.
fn contact_with(tags: &str) -> String {
    let tags = if tags.is_empty() { String::new() } else { format!("+g.3gpp.icsi-ref=\"{tags}\";") };
    format!(
        "<sip:alice@192.0.2.1:5060>;+sip.instance=\"<{INSTANCE}>\";{tags}methods=\"INVITE,ACK,CANCEL,BYE,MESSAGE\""
    )
}

/// The service goes, the registration stays, is refreshed as it is, and the service comes back.
// req: 7.1-p4.1, 7.1-p3
#[test]
fn the_service_ends_without_the_registration() {
    let mut rig = registered(&format!("{REGISTERED}Service-Route: <sip:orig@198.51.100.1;lr>\r\n"));
    rig.command(|client, now, ports| client.end_service(now, ports)).unwrap();
    let request = rig.next_request(Method::Register);
    assert_eq!(value(request.headers(), "Contact"), contact_with(""));
    assert_eq!(value(request.headers(), "Expires"), "3600");
    assert_eq!(value(request.headers(), "CSeq"), "2 REGISTER");
    rig.answer(&request, "200 OK", &format!("{REGISTERED}Service-Route: <sip:orig@198.51.100.1;lr>\r\n"), "");
    assert!(matches!(rig.next_event(), ClientEvent::Registered { service: false, .. }));
    rig.advance(secs(3000));
    let refresh = rig.next_request(Method::Register);
    assert_eq!(value(refresh.headers(), "Contact"), contact_with(""));
    rig.answer(&refresh, "200 OK", REGISTERED, "");
    assert!(matches!(rig.next_event(), ClientEvent::Registered { service: false, .. }));
    let again = register(&mut rig);
    assert_eq!(value(again.headers(), "Contact"), contact_with(&format!("{MSG},{LARGE}")));
    rig.answer(&again, "200 OK", REGISTERED, "");
    assert!(matches!(rig.next_event(), ClientEvent::Registered { service: true, .. }));
}

/// Without a registration there is no service that could end.
#[test]
fn no_service_ends_that_does_not_stand() {
    let mut rig = Rig::new();
    let end = |rig: &mut Rig| rig.command(|client, now, ports| client.end_service(now, ports));
    assert_eq!(end(&mut rig), Err(RegisterError::NotRegistered));
    let mut rig = registered(REGISTERED);
    rig.command(|client, now, ports| client.deregister(now, ports)).unwrap();
    assert_eq!(end(&mut rig), Err(RegisterError::NotRegistered));
    let request = rig.next_request(Method::Register);
    rig.answer(&request, "200 OK", "", "");
    rig.next_event();
    assert_eq!(end(&mut rig), Err(RegisterError::NotRegistered));
    rig.quiet();
    rig.at_rest();
}

/// What is wished while a REGISTER is under way follows in the next one, and only that one's answer says that it stands.
#[test]
fn a_change_meanwhile_waits_for_the_answer() {
    let mut rig = registered(REGISTERED);
    rig.advance(secs(3000));
    let refresh = rig.next_request(Method::Register);
    rig.command(|client, now, ports| client.end_service(now, ports)).unwrap();
    rig.quiet();
    rig.answer(&refresh, "200 OK", REGISTERED, "");
    assert!(matches!(rig.next_event(), ClientEvent::Registered { service: true, .. }));
    let request = rig.next_request(Method::Register);
    assert_eq!(value(request.headers(), "Contact"), contact_with(""));
    rig.answer(&request, "200 OK", REGISTERED, "");
    assert!(matches!(rig.next_event(), ClientEvent::Registered { service: false, .. }));
}

// req: 7.1-2, 7.1-6, 7.1-p1
#[test]
fn features_and_name_change_while_the_registration_stands() {
    let mut rig = registered(REGISTERED);
    let only = vec![cpm_core::feature::CpmFeature::PagerMessage];
    rig.command(|client, now, ports| client.set_features(now, ports, only)).unwrap();
    let request = rig.next_request(Method::Register);
    assert_eq!(value(request.headers(), "Contact"), contact_with(MSG));
    rig.answer(&request, "200 OK", REGISTERED, "");
    rig.command(|client, now, ports| client.set_display_name(now, ports, Some("Car"))).unwrap();
    let request = rig.next_request(Method::Register);
    assert_eq!(value(request.headers(), "Contact"), format!("\"Car\" {}", contact_with(MSG)));
    rig.answer(&request, "200 OK", REGISTERED, "");
    // A refresh says the same.
    rig.advance(secs(3000));
    let request = rig.next_request(Method::Register);
    assert_eq!(value(request.headers(), "Contact"), format!("\"Car\" {}", contact_with(MSG)));
}

/// Threat E4: no name becomes a header field.
#[test]
fn what_cannot_be_said_changes_nothing() {
    let mut rig = registered(REGISTERED);
    let name = Some("x\r\nExpires: 0");
    let refused = rig.command(|client, now, ports| client.set_display_name(now, ports, name));
    assert_eq!(refused, Err(RegisterError::DisplayName));
    rig.command(|client, now, ports| client.deregister(now, ports)).unwrap();
    let request = rig.next_request(Method::Register);
    // Not registered: it is said with the next registration, and nothing is sent for it.
    rig.command(|client, now, ports| client.set_display_name(now, ports, Some("Car"))).unwrap();
    rig.quiet();
    rig.answer(&request, "200 OK", "", "");
    rig.next_event();
    rig.command(|client, now, ports| client.set_features(now, ports, Vec::new())).unwrap();
    rig.quiet();
    assert_eq!(value(register(&mut rig).headers(), "Contact"), format!("\"Car\" {}", contact_with("")));
}

// req: 7.1-7, 7.1-8
#[test]
fn a_gruu_can_be_insisted_on() {
    let mut rig = Rig::with(|config| config.require_gruu = true);
    let request = register(&mut rig);
    assert_eq!(value(request.headers(), "Supported"), "path, gruu");
    assert_eq!(value(request.headers(), "Require"), "gruu");
    let mut rig = Rig::new();
    assert!(values(register(&mut rig).headers(), "Require").is_empty());
}

#[test]
fn two_registrations_at_once_are_refused() {
    let mut rig = Rig::new();
    register(&mut rig);
    assert_eq!(rig.command(|client, now, ports| client.register(now, ports)), Err(RegisterError::Pending));
    assert_eq!(rig.command(|client, now, ports| client.deregister(now, ports)), Err(RegisterError::Pending));
}
