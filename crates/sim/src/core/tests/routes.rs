use super::*;
use cpm_base::Transport;
use cpm_sip::Headers;

const ALICE: &str = "sip:alice@home.test";
const BOB: &str = "sip:bob@home.test";

/// The hops of requests of a method, in order, as the trace has them.
fn hops(town: &Town, method: &str) -> Vec<(String, String)> {
    let is_message = |what| matches!(what, What::Datagram | What::Stream);
    let request = format!("{method} ");
    town.world
        .trace()
        .entries()
        .iter()
        .filter(|entry| is_message(entry.what) && entry.label.starts_with(&request))
        .map(|entry| (entry.from.clone(), entry.to.clone()))
        .collect()
}

fn pairs(hops: &[(&str, &str)]) -> Vec<(String, String)> {
    hops.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

#[test]
fn a_message_passes_both_participating_functions_to_all_devices() {
    for addressing in [Addressing::Instance, Addressing::ContactAddress, Addressing::LeftToTheCore] {
        let mut town = Town::new(1, addressing, Transport::Udp);
        town.register_all();
        let request = message(ALICE, BOB)
            .with_header(HeaderName::PAssertedIdentity, text("<sip:mallory@home.test>"))
            .with_header(HeaderName::PServedUser, text("<sip:mallory@home.test>;sescase=term"));
        assert_eq!(town.ask(town.alice, request).status(), StatusCode::OK, "{}", town.world.trace());
        let mut way =
            vec![("alice", "core"), ("core", "pf-a"), ("pf-a", "core"), ("core", "pf-b"), ("pf-b", "core")];
        if addressing != Addressing::LeftToTheCore {
            way.push(("pf-b", "core"));
        }
        way.extend([("core", "bob1"), ("core", "bob2")]);
        assert_eq!(hops(&town, "MESSAGE"), pairs(&way), "{addressing:?}\n{}", town.world.trace());

        let originating = &town.got(town.pf_a, &Method::Message)[0];
        let routes = originating.typed_list::<Route>().unwrap();
        let routes: Vec<&str> = routes.iter().map(|route| route.uri().as_str()).collect();
        assert_eq!(routes, ["sip:pf-a.home.test;lr", "sip:core.home.test;lr;after=orig"]);
        let served = one::<PServedUser>(originating).unwrap();
        assert_eq!((served.uri().as_str(), served.params().get("sescase")), (ALICE, Some("orig")));
        assert_eq!(one::<PAssertedIdentity>(originating).unwrap().uri().as_str(), ALICE);

        let terminating = &town.got(town.pf_b, &Method::Message)[0];
        let served = one::<PServedUser>(terminating).unwrap();
        assert_eq!((served.uri().as_str(), served.params().get("sescase")), (BOB, Some("term")));
        assert_eq!(served.params().get("regstate"), Some("reg"));

        for phone in town.bob {
            let got = town.got(phone, &Method::Message);
            assert_eq!(got.len(), 1);
            assert_eq!(got[0].uri().as_str(), town.world.function(phone).unwrap().contact);
            assert!(!got[0].headers().contains(&HeaderName::Route));
            assert!(!got[0].headers().contains(&HeaderName::PServedUser));
            assert_eq!(one::<PAssertedIdentity>(&got[0]).unwrap().uri().as_str(), ALICE);
            let called = one::<PCalledPartyId>(&got[0]).map(|called| called.uri().to_string());
            let by_contact = addressing == Addressing::ContactAddress;
            assert_eq!(called, (!by_contact).then(|| BOB.to_owned()));
        }
        assert!(town.world.busy().is_empty(), "{:?}", town.world.busy());
    }
}

/// Threats E1, E8: where a sender is, what it is charged by, and what only the core may say, comes to no device of another, in
/// neither direction.
#[test]
fn devices_hear_nothing_that_is_the_cores() {
    let mut town = Town::over_udp();
    town.register_all();
    let mut request = message(ALICE, BOB).with_header(HeaderName::Subject, text("hello"));
    for (name, value) in TOLD {
        request = request.with_header(name, text(value));
    }
    let answer = town.ask(town.alice, request);
    assert_eq!(answer.status(), StatusCode::OK);
    let got = town.got(town.bob[0], &Method::Message).remove(0);
    assert!(got.headers().contains(&HeaderName::Subject));
    for (name, _) in TOLD {
        assert!(!got.headers().contains(&name) && !answer.headers().contains(&name), "{name}");
    }
    // Where its user is the core itself may know.
    let inside = &town.got(town.pf_a, &Method::Message)[0];
    assert!(inside.headers().contains(&HeaderName::PAccessNetworkInfo));
    assert!(!inside.headers().contains(&HeaderName::PChargingVector));
}

#[test]
fn the_sender_is_who_registered_and_prefers_only_what_is_its_own() {
    let mut town = Town::over_udp();
    town.register_all();
    for (preferred, asserted) in [
        (None, ALICE),
        (Some("<tel:+15550001>"), "tel:+15550001"),
        (Some("<sip:bob@home.test>"), ALICE),
        (Some("<sip:bob@home.test>, <tel:+15550001>"), "tel:+15550001"),
    ] {
        // From says what it likes.
        let mut request = message("sip:bob@home.test", "sip:carol@home.test");
        if let Some(preferred) = preferred {
            request.headers_mut().push(HeaderName::PPreferredIdentity, text(preferred));
        }
        assert_eq!(town.ask(town.alice, request).status(), StatusCode::OK);
        let got = town.got(town.carol, &Method::Message).pop().unwrap();
        assert_eq!(one::<PAssertedIdentity>(&got).unwrap().uri().as_str(), asserted);
        assert!(!got.headers().contains(&HeaderName::PPreferredIdentity));
    }
    let private = message(ALICE, "sip:carol@home.test").with_header(HeaderName::Privacy, text("id"));
    assert_eq!(town.ask(town.alice, private).status(), StatusCode::OK);
    let got = town.got(town.carol, &Method::Message).pop().unwrap();
    assert_eq!(one::<PAssertedIdentity>(&got), None);
    assert_eq!(
        one::<PAssertedIdentity>(town.got(town.pf_a, &Method::Message).last().unwrap())
            .unwrap()
            .uri()
            .as_str(),
        ALICE
    );
}

#[test]
fn services_are_asked_for_cpm_alone_and_never_gone_past() {
    let mut town = Town::over_udp();
    town.register_all();
    let mut plain = message(ALICE, BOB);
    plain.headers_mut().remove(&HeaderName::AcceptContact);
    assert_eq!(town.ask(town.alice, plain).status(), StatusCode::OK);
    assert_eq!(hops(&town, "MESSAGE"), pairs(&[("alice", "core"), ("core", "bob1"), ("core", "bob2")]));
    // A client that claims to come from a service, with a way of its own choice.
    let mut sly = message(ALICE, BOB);
    sly.headers_mut()
        .replace(HeaderName::Route, text("<sip:core.home.test;lr;after=term>, <sip:10.0.0.24;lr>"));
    assert_eq!(town.ask(town.alice, sly).status(), StatusCode::OK);
    assert_eq!(town.got(town.pf_a, &Method::Message).len(), 1);
    assert_eq!(town.got(town.pf_b, &Method::Message).len(), 1);
    assert!(town.got(town.carol, &Method::Message).is_empty());
    // By P-Preferred-Service too.
    let mut preferred = message(ALICE, "tel:+1-555-0002");
    preferred.headers_mut().remove(&HeaderName::AcceptContact);
    let service = text("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg");
    preferred.headers_mut().push(HeaderName::PPreferredService, service);
    assert_eq!(town.ask(town.alice, preferred).status(), StatusCode::OK);
    assert_eq!(town.got(town.pf_b, &Method::Message).len(), 2);
}

#[test]
fn who_is_not_there_is_told_apart() {
    let mut town = Town::over_udp();
    let stranger = town.ask(town.alice, message(ALICE, BOB));
    assert_eq!(stranger.status(), StatusCode::FORBIDDEN);
    town.register(town.alice, ALICE, 600);
    assert_eq!(town.ask(town.alice, message(ALICE, "sip:nobody@home.test")).status(), StatusCode::NOT_FOUND);
    assert_eq!(
        town.ask(town.alice, message(ALICE, "sip:bob@elsewhere.test")).status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        town.ask(town.alice, message(ALICE, "sip:carol@home.test")).status(),
        StatusCode::TEMPORARILY_UNAVAILABLE
    );
    // Bob's function is asked although Bob is not registered.
    assert_eq!(town.ask(town.alice, message(ALICE, BOB)).status(), StatusCode::TEMPORARILY_UNAVAILABLE);
    let asked = town.got(town.pf_b, &Method::Message).pop().unwrap();
    assert_eq!(one::<PServedUser>(&asked).unwrap().params().get("regstate"), Some("unreg"));
    // A device that registered another feature is not the one.
    let contact = town.contact(town.bob[0]).replace("cpm.msg", "cpm.session");
    let request = town.register_request(BOB, Some(&contact), Some(600));
    town.ask(town.bob[0], request);
    assert_eq!(town.ask(town.alice, message(ALICE, BOB)).status(), StatusCode::TEMPORARILY_UNAVAILABLE);
    assert!(town.got(town.bob[0], &Method::Message).is_empty());
    let mut broken = message(ALICE, BOB);
    broken.headers_mut().push(HeaderName::AcceptContact, text("no star"));
    assert_eq!(town.ask(town.alice, broken).status(), StatusCode::BAD_REQUEST);
    // Inside a dialog that nobody knows.
    let mut inside = message(ALICE, BOB);
    inside.headers_mut().set_typed(&To::new(uri(BOB)).with_tag("x"));
    assert_eq!(town.ask(town.alice, inside).status(), StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
}

#[test]
fn a_dialog_goes_the_way_of_its_invite() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut town = Town::new(5, Addressing::Instance, transport);
        town.register(town.alice, ALICE, 600);
        town.register(town.bob[0], BOB, 600);
        let contact = town.world.function(town.alice).unwrap().contact.clone();
        let mut invite = Request::new(Method::Invite, uri(BOB)).with_typed(&Contact::new(uri(&contact)));
        invite.headers_mut().copy_from(message(ALICE, BOB).headers(), &HeaderName::From);
        invite.headers_mut().copy_from(message(ALICE, BOB).headers(), &HeaderName::Route);
        invite.headers_mut().copy_from(message(ALICE, BOB).headers(), &HeaderName::AcceptContact);
        if transport == Transport::Tcp {
            let route = text("<sip:core.home.test;lr;orig;transport=tcp>");
            invite.headers_mut().replace(HeaderName::Route, route);
        }
        assert_eq!(town.ask(town.alice, invite).status(), StatusCode::OK, "{}", town.world.trace());
        let way = [
            ("alice", "core"),
            ("core", "pf-a"),
            ("pf-a", "core"),
            ("core", "pf-b"),
            ("pf-b", "core"),
            ("core", "bob1"),
        ];
        assert_eq!(hops(&town, "INVITE"), pairs(&way));
        assert_eq!(hops(&town, "ACK"), pairs(&way), "{}", town.world.trace());
        let dialog = town.world.function(town.bob[0]).unwrap().dialog.unwrap();
        town.world.command(town.bob[0], |_, ports, now| {
            ports.sip.bye(now, dialog, Headers::new()).unwrap();
        });
        town.settle();
        let back: Vec<(&str, &str)> = way.iter().rev().map(|(from, to)| (*to, *from)).collect();
        assert_eq!(hops(&town, "BYE"), pairs(&back), "{}", town.world.trace());
        let bye = town.got(town.alice, &Method::Bye).pop().unwrap();
        assert_eq!(one::<PAssertedIdentity>(&bye).unwrap().uri().as_str(), BOB);
        assert!(town.world.busy().is_empty(), "{:?}", town.world.busy());
    }
}

#[test]
fn a_device_whose_flow_broke_is_reached_where_it_listens_or_by_what_it_opens() {
    for listening in [true, false] {
        let mut town = Town::with_phones(2, Addressing::Instance, Transport::Tcp, listening);
        town.register_all();
        for phone in [town.alice, town.bob[0], town.bob[1]] {
            town.world.reset_streams(town.core, phone);
        }
        town.settle();
        if !listening {
            // Each makes a new one by sending something, and gets its messages there.
            for phone in town.bob {
                let mut hello = message(BOB, "sip:carol@home.test");
                hello.headers_mut().replace(HeaderName::Route, text("<sip:core.home.test;lr;transport=tcp>"));
                assert_eq!(town.ask(phone, hello).status(), StatusCode::OK);
            }
        }
        assert_eq!(
            town.ask(town.alice, message(ALICE, BOB)).status(),
            StatusCode::OK,
            "{}",
            town.world.trace()
        );
        for phone in town.bob {
            assert_eq!(town.got(phone, &Method::Message).len(), 1, "{}", town.world.trace());
        }
    }
}

#[test]
fn nobody_is_taken_for_a_user_that_registered_elsewhere() {
    let mut town = Town::over_udp();
    town.register(town.alice, ALICE, 600);
    town.register(town.carol, "sip:carol@home.test", 600);
    // An unregistered phone says it is Alice.
    let request = message(ALICE, "sip:carol@home.test")
        .with_header(HeaderName::PPreferredIdentity, text("<sip:alice@home.test>"));
    assert_eq!(town.ask(town.bob[0], request).status(), StatusCode::FORBIDDEN);
    assert!(town.got(town.carol, &Method::Message).is_empty());
}

#[test]
fn accept_and_reject_contact_choose_devices() {
    let mut town = Town::new(1, Addressing::LeftToTheCore, Transport::Udp);
    town.register_all();
    for (name, value, reached) in [
        (HeaderName::RejectContact, "*;+sip.instance=\"<urn:uuid:bob1>\"", [0, 1]),
        (HeaderName::AcceptContact, "*;+sip.instance=\"<urn:uuid:BOB1>\";explicit;require", [1, 0]),
        (HeaderName::AcceptContact, "*;+g.3gpp.iari-ref=\"another\"", [1, 1]),
    ] {
        let before = town.bob.map(|phone| town.got(phone, &Method::Message).len());
        let request = message(ALICE, BOB).with_header(name, text(value));
        assert_eq!(town.ask(town.alice, request).status(), StatusCode::OK);
        let after = town.bob.map(|phone| town.got(phone, &Method::Message).len());
        assert_eq!([after[0] - before[0], after[1] - before[1]], reached, "{value}");
    }
}

#[test]
fn an_asserted_service_alone_asks_for_the_terminating_service() {
    let mut town = Town::over_udp();
    town.register_all();
    // As a Participating Function sends it for its user.
    let mut request = message(ALICE, BOB);
    request.headers_mut().remove(&HeaderName::AcceptContact);
    let service = text("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg");
    request.headers_mut().push(HeaderName::PAssertedService, service);
    town.world.command(town.pf_a, |_, ports, now| {
        ports.sip.send_request(now, request, Destination::Routed).unwrap();
    });
    town.settle();
    assert_eq!(town.got(town.pf_b, &Method::Message).len(), 1, "{}", town.world.trace());
    assert_eq!(town.got(town.bob[0], &Method::Message).len(), 1);
    assert!(town.got(town.pf_a, &Method::Message).is_empty());
}

#[test]
fn messages_get_through_a_rough_network_once() {
    for seed in 0..20 {
        let mut town = Town::new(seed, Addressing::Instance, Transport::Udp);
        town.world.set_default_link(Link::rough(0.1));
        town.register_all();
        assert_eq!(town.ask(town.alice, message(ALICE, BOB)).status(), StatusCode::OK, "seed {seed}");
        for phone in town.bob {
            assert_eq!(town.got(phone, &Method::Message).len(), 1, "seed {seed}\n{}", town.world.trace());
        }
        assert!(town.world.busy().is_empty(), "seed {seed}: {:?}", town.world.busy());
    }
}

#[test]
fn a_run_of_whole_nodes_replays() {
    let run = |seed, transport| {
        let mut town = Town::new(seed, Addressing::Instance, transport);
        town.world.set_default_link(Link::rough(0.1));
        town.register_all();
        town.ask(town.alice, message(ALICE, BOB));
        town.world.trace().clone()
    };
    for transport in [Transport::Udp, Transport::Tcp] {
        // Entries hold the octets of every datagram.
        assert_eq!(run(3, transport), run(3, transport));
        assert_ne!(run(3, transport), run(4, transport));
    }
}

/// What the function of a user sends on to another user's address goes through that user's function first.
#[test]
fn what_is_forwarded_goes_to_the_other_users_function() {
    let mut town = Town::new(1, Addressing::BobToAlice, Transport::Udp);
    town.register_all();
    let response = town.ask(town.carol, message("sip:carol@home.test", BOB));
    assert_eq!(response.status(), StatusCode::OK);
    let served = |request: &Request| one::<PServedUser>(request).map(|served| served.uri().to_string());
    let asked = town.got(town.pf_a, &Method::Message);
    assert_eq!(asked.iter().map(served).collect::<Vec<_>>(), [Some(ALICE.to_owned())]);
    assert_eq!(town.got(town.alice, &Method::Message).len(), 1);
    assert!(town.got(town.bob[0], &Method::Message).is_empty());
}
