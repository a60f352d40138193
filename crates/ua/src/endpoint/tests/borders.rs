//! A proxy at the border of the trust domain: what it believes, and what it lets out.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::Transport;
use cpm_sip::{HeaderName, HeaderText, Headers, Request, Response, StatusCode};

const FIELDS: [(&str, &str); 6] = [
    ("P-Asserted-Identity", "<sip:canary@core.example>"),
    ("P-Asserted-Service", "urn:urn-7:canary"),
    ("P-Served-User", "<sip:canary@core.example>;sescase=orig"),
    ("P-Charging-Vector", "icid-value=canary"),
    ("History-Info", "<sip:canary@core.example>;index=1"),
    ("X-Canary", "canary"),
];

fn add(headers: &mut Headers, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        headers.push(HeaderName::parse(name).unwrap(), HeaderText::new(value).unwrap());
    }
}

/// How many canaries are in a message.
fn canaries(packet: &Packet) -> usize {
    String::from_utf8_lossy(&packet.bytes).matches("canary").count()
}

/// Sends a request with the fields from peer 0 over the proxy to peer 2, which answers with the fields. Says how many
/// canaries the proxy's function, the called side and the caller saw.
fn through(core: &[u8], enforce: bool, privacy: Option<&str>, request: Request) -> [usize; 3] {
    let mut proxy = proxy_config(2);
    proxy.identity.enforce = enforce;
    let mut net = Net::new([config(1), proxy, config(3)]);
    net.core = core.iter().map(|n| address(*n)).collect();
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let mut request = request.clone();
            request.set_uri(uri("sip:user@10.0.0.3"));
            let branch = Branch { request, destination: Destination::Routed };
            ua.proxy(now, *id, [branch].into(), ProxyOptions::default()).unwrap();
        }
    });
    net.script(2, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let mut response = Response::for_request(request, StatusCode::OK);
            add(response.headers_mut(), &FIELDS);
            ua.respond(now, *id, response).unwrap();
        }
    });
    let mut request = request;
    add(request.headers_mut(), &FIELDS);
    if let Some(privacy) = privacy {
        add(request.headers_mut(), &[("Privacy", privacy)]);
    }
    net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let seen = net.peers[1].events.iter().find_map(|event| match event {
        Event::Request { request, .. } => Some(request.to_bytes()),
        _ => None,
    });
    let seen = Packet { bytes: seen.unwrap(), ..net.wire[0].clone() };
    let last = |label: &str| net.wire.iter().rev().find(|packet| packet.label() == label).unwrap();
    [canaries(&seen), canaries(last("MESSAGE")), canaries(last("200 MESSAGE"))]
}

/// Threats E1 and E8, on requests and responses, for both sides of the proxy.
#[test]
fn a_proxy_at_the_border_believes_and_tells_by_trust() {
    let all = FIELDS.len();
    for (core, enforce, privacy, expected) in [
        (&[1, 3][..], true, None, [all, all, all]),
        // Nobody is trusted: of what came, X-Canary alone reaches the function, nothing the far side.
        (&[], true, None, [1, 0, 0]),
        // From outside to the core: the unknown field goes on, what speaks for the core does not. The answer's identity is
        // told outside.
        (&[3], true, None, [1, 1, 1]),
        // From the core to outside: the identity is told, unless its owner does not want that.
        (&[1], true, None, [all, 1, 1]),
        (&[1], true, Some("id"), [all, 0, 1]),
        // Not the endpoint's business.
        (&[], false, None, [all, all, all]),
    ] {
        let found = through(core, enforce, privacy, message(1, 2));
        assert_eq!(found, expected, "core {core:?}, enforce {enforce}, privacy {privacy:?}");
    }
}

/// The next target of a request may be on the other side of the border: the fields of the core are not in it.
#[test]
fn an_acknowledgement_tells_no_more_than_its_invite() {
    let mut proxy = proxy_config(2);
    proxy.identity.enforce = true;
    let mut net = Net::new([config(1), proxy, config(3)]);
    net.script(1, |ua, now, event| {
        if let Event::Request { id, .. } = event {
            ua.route_onward(now, *id).unwrap();
        }
    });
    net.script(0, polite());
    net.script(2, polite());
    let mut ack = request(cpm_sip::Method::Ack, 1, 3, Transport::Udp);
    add(ack.headers_mut(), &FIELDS);
    add(
        ack.headers_mut(),
        &[
            ("Route", "<sip:10.0.0.2;lr>"),
            ("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx"),
            ("Call-ID", "1"),
            ("CSeq", "1 ACK"),
        ],
    );
    net.core = [address(1)].into();
    net.inject(1, address(1), ack.to_bytes());
    net.run(Duration::from_secs(1));
    let acks: Vec<usize> = net.wire.iter().filter(|p| p.label() == "ACK").map(canaries).collect();
    assert_eq!(acks, [1], "P-Asserted-Identity alone");
}
