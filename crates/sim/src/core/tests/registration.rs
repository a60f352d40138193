use super::*;

#[test]
fn a_registration_is_answered_with_all_bindings_and_told_to_the_participating_function() {
    let mut town = Town::over_udp();
    let [one_phone, other_phone] = town.bob;
    let first = town.register(one_phone, "sip:bob@home.test", 600);
    assert_eq!(first.status(), StatusCode::OK);
    let second = town.register(other_phone, "tel:+15550002", 300);
    let contacts = second.typed_list::<Contact>().unwrap();
    let contacts: Vec<&ContactAddr> = contacts.iter().filter_map(Contact::as_addr).collect();
    assert_eq!(contacts.len(), 2);
    assert_eq!(contacts[1].expires(), Some(300));
    assert!(contacts[0].expires().unwrap() <= 600 && contacts[0].expires().unwrap() > 300);
    assert_eq!(contacts[1].params().get("+sip.instance").unwrap().trim_matches('"'), "<urn:uuid:bob2>");
    assert!(contacts[1].params().get("+g.3gpp.icsi-ref").unwrap().contains("oma.cpm.msg"));
    let route = second.typed_list::<ServiceRoute>().unwrap();
    assert_eq!(route[0].uri().as_str(), "sip:core.home.test;lr;orig");
    let identities = second.typed_list::<cpm_sip::PAssociatedUri>().unwrap();
    let identities: Vec<&str> = identities.iter().map(|identity| identity.uri().as_str()).collect();
    assert_eq!(identities, ["sip:bob@home.test", "tel:+15550002"]);

    let told = town.got(town.pf_b, &Method::Register);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].uri().as_str(), "sip:pf-b.home.test");
    assert_eq!(one::<To>(&told[0]).unwrap().uri().as_str(), "sip:bob@home.test");
    assert_eq!(one::<From>(&told[0]).unwrap().uri().as_str(), CORE);
    assert_eq!(one::<Contact>(&told[0]).unwrap().uri().unwrap().as_str(), CORE);
    assert_eq!(one::<Expires>(&told[0]), Some(Expires(600)));
    assert_eq!(one::<CallId>(&told[0]), one::<CallId>(&told[1]));
    assert!(one::<CSeq>(&told[0]).unwrap().number < one::<CSeq>(&told[1]).unwrap().number);
    let [Message::Request(register), Message::Response(accepted)] = parts(&told[1]) else {
        panic!("two messages")
    };
    assert_eq!(*register.method(), Method::Register);
    assert_eq!(one::<To>(&register).unwrap().uri().as_str(), "tel:+15550002");
    assert_eq!(accepted.typed::<To>(), second.typed::<To>());
    assert_eq!(accepted.typed_list::<Contact>().unwrap().len(), 2);
    assert_eq!(town.world.function(town.pf_b).unwrap().devices.len(), 2);
    assert!(town.got(town.pf_a, &Method::Register).is_empty());
    assert!(town.world.busy().is_empty());
}

#[test]
fn a_device_registers_again_and_leaves() {
    let mut town = Town::over_udp();
    let phone = town.bob[0];
    town.register(phone, "sip:bob@home.test", 600);
    // The same instance at another address is the same device.
    let moved = "<sip:bob1@10.0.0.22:5060;ob>;+sip.instance=\"<URN:UUID:bob1>\"";
    let request = town.register_request("sip:bob@home.test", Some(moved), Some(600));
    let response = town.ask(phone, request);
    assert_eq!(response.typed_list::<Contact>().unwrap().len(), 1);
    assert_eq!(town.world.function(town.core).unwrap().contacts(&uri("sip:bob@home.test")).len(), 1);
    // To ask changes nothing and tells nobody.
    let told = town.got(town.pf_b, &Method::Register).len();
    let query = town.register_request("sip:bob@home.test", None, None);
    assert_eq!(town.ask(phone, query).typed_list::<Contact>().unwrap().len(), 1);
    assert_eq!(town.got(town.pf_b, &Method::Register).len(), told);
    // Longer than allowed is cut.
    let long = town.register_request("sip:bob@home.test", Some(moved), Some(1_000_000));
    let granted = town.ask(phone, long).typed_list::<Contact>().unwrap();
    assert_eq!(granted[0].as_addr().unwrap().expires(), Some(3600));
    let (now, older) = (town.registers, 1);
    town.registers = older;
    let leave = town.register_request("sip:bob@home.test", Some("*"), Some(0));
    assert_eq!(town.ask(phone, leave).status(), StatusCode::SERVER_INTERNAL_ERROR);
    town.registers = now;
    let leave = town.register_request("sip:bob@home.test", Some("*"), Some(0));
    let response = town.ask(phone, leave);
    assert_eq!((response.status(), response.typed_list::<Contact>().unwrap().len()), (StatusCode::OK, 0));
    let told = town.got(town.pf_b, &Method::Register);
    assert_eq!(one::<Expires>(told.last().unwrap()), Some(Expires(0)));
    assert_eq!(town.world.function(town.pf_b).unwrap().devices.len(), 0);
}

#[test]
fn a_registration_runs_out() {
    let mut town = Town::over_udp();
    let [one_phone, other_phone] = town.bob;
    town.register(one_phone, "sip:bob@home.test", 600);
    town.register(other_phone, "sip:bob@home.test", 1200);
    let told = town.got(town.pf_b, &Method::Register).len();
    town.world.run_for(Duration::from_secs(560)).unwrap();
    assert_eq!(town.world.function(town.core).unwrap().contacts(&uri("tel:+15550002")).len(), 1);
    assert_eq!(town.got(town.pf_b, &Method::Register).len(), told, "it knows the end of each binding");
    town.world.run_for(Duration::from_secs(700)).unwrap();
    let last = town.got(town.pf_b, &Method::Register).last().cloned().unwrap();
    assert_eq!(one::<Expires>(&last), Some(Expires(0)));
    assert!(last.body().is_empty());
    let bob = "sip:bob@home.test".to_owned();
    let expected: Vec<_> =
        [1, 2, 1, 0].map(|bindings| CoreEvent::Registered { user: bob.clone(), bindings }).into();
    assert_eq!(town.core_events(), expected);
}

#[test]
fn what_cannot_be_registered_is_refused() {
    let mut town = Town::over_udp();
    let phone = town.bob[0];
    let contact = town.contact(phone);
    let bob = "sip:bob@home.test";
    let cases = [
        ("sip:nobody@home.test", contact.clone(), Some(600), None, StatusCode::NOT_FOUND),
        (bob, contact.clone(), Some(59), None, StatusCode::INTERVAL_TOO_BRIEF),
        (bob, format!("{contact};expires=1"), Some(600), None, StatusCode::INTERVAL_TOO_BRIEF),
        (bob, "*".to_owned(), Some(600), None, StatusCode::BAD_REQUEST),
        (bob, format!("*, {contact}"), Some(0), None, StatusCode::BAD_REQUEST),
        (bob, "not an address".to_owned(), Some(600), None, StatusCode::BAD_REQUEST),
        (bob, contact.clone(), Some(600), Some("path, gruu"), StatusCode::BAD_EXTENSION),
        (bob, contact.clone(), Some(600), Some("path"), StatusCode::OK),
    ];
    for (user, contact, expires, require, status) in cases {
        let mut request = town.register_request(user, Some(&contact), expires);
        if let Some(require) = require {
            request.headers_mut().push(HeaderName::Require, text(require));
        }
        let response = town.ask(phone, request);
        assert_eq!(response.status(), status, "{user} {contact} {require:?}");
        if status == StatusCode::INTERVAL_TOO_BRIEF {
            assert_eq!(response.typed::<MinExpires>(), Ok(Some(MinExpires(60))));
        }
        if status == StatusCode::BAD_EXTENSION {
            let unsupported = response.typed_list::<cpm_sip::Unsupported>().unwrap();
            assert_eq!(unsupported.iter().map(cpm_sip::Unsupported::as_str).collect::<Vec<_>>(), ["gruu"]);
        }
    }
    // Nobody registers for somebody else.
    let mut request = town.register_request(bob, Some(&contact), Some(600));
    request.headers_mut().set_typed(&From::new(uri("sip:alice@home.test")));
    assert_eq!(town.ask(phone, request).status(), StatusCode::FORBIDDEN);
    // An older request of the same registration changes nothing any more.
    town.registers = 1;
    let request = town.register_request(bob, Some(&contact), Some(0));
    assert_eq!(town.ask(phone, request).status(), StatusCode::SERVER_INTERNAL_ERROR);
    // One device too many; all or nothing.
    town.registers = 100;
    let many: Vec<String> = (0..10).map(|n| format!("<sip:bob@10.0.0.22:{}>", 6000 + n)).collect();
    let request = town.register_request(bob, Some(&many.join(", ")), Some(600));
    assert_eq!(town.ask(phone, request).status(), StatusCode::FORBIDDEN);
    assert_eq!(town.world.function(town.core).unwrap().contacts(&uri(bob)).len(), 1);
}

#[test]
fn changes_while_one_is_being_told_are_told_afterwards() {
    let mut town = Town::over_udp();
    town.world.partition(&[town.core.id()], &[town.pf_b.id()]);
    for (n, phone) in town.bob.into_iter().enumerate() {
        let contact = town.contact(phone);
        let request = town.register_request("sip:bob@home.test", Some(&contact), Some(600));
        town.world.command(phone, |_, ports, now| {
            ports.sip.send_request(now, request, Destination::Routed).unwrap();
        });
        town.world.run_for(Duration::from_secs(1)).unwrap();
        assert!(town.got(town.pf_b, &Method::Register).is_empty(), "{n}");
    }
    town.world.heal();
    town.world.run_for(Duration::from_secs(20)).unwrap();
    let told = town.got(town.pf_b, &Method::Register);
    assert_eq!(told.iter().map(|request| one::<CSeq>(request).unwrap().number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(town.world.function(town.pf_b).unwrap().devices.len(), 2);
    let left: Vec<u32> =
        town.world.function(town.pf_b).unwrap().devices.iter().filter_map(ContactAddr::expires).collect();
    assert!(left.iter().all(|seconds| (500..600).contains(seconds)), "as it is when it is told: {left:?}");
    // Nobody there: the user of the core is told so.
    town.world.crash(town.pf_b);
    town.register(town.bob[0], "sip:bob@home.test", 600);
    let missed = CoreEvent::NotTold { user: "sip:bob@home.test".to_owned() };
    assert_eq!(town.core_events().last(), Some(&missed));
}
