mod messages;

use super::*;
use cpm_base::{DateTime, Seed};
use cpm_core::{Input, NodeConfig, Ports};
use cpm_sip::{From, HeaderName, HeaderText, Method, Request, Response, StatusCode, To, Uri};
use cpm_ua::{Destination, Event};

/// Answers every request 200 when its sender is trusted, 403 else, and tells what it saw.
struct Peer;

impl Function for Peer {
    type Event = String;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, String>) {
        let Input::Sip(event) = input else { return };
        match event {
            Event::FlowOpened { info, .. } => {
                ports.host.event(format!("{} {:?} {}", info.transport, info.trust, info.peer));
            }
            Event::FlowClosed { why, .. } => ports.host.event(format!("closed {why:?}")),
            Event::Request { id, request, .. } => {
                ports.host.event(format!("got {}", request.body().len()));
                ports.sip.respond(now, id, Response::for_request(&request, StatusCode::OK)).unwrap();
            }
            Event::Response { response, .. } => ports.host.event(format!("answer {}", response.status())),
            Event::TransactionFailed { .. } => ports.host.event("failed".to_owned()),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, String>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

const HERE: &str = "192.0.2.1:5060";
const THERE: &str = "[100::2]:5060";

fn now() -> Now {
    Now::new(Instant::from_micros(1), DateTime::UNIX_EPOCH)
}

fn pair() -> Linked<Peer, Peer> {
    let node = |seed| Node::new(Peer, NodeConfig::user_agent(Seed::new([seed; 32]), "test")).unwrap();
    let here = ["[100::1]:5060", HERE].map(|at| at.parse().unwrap());
    Linked::new(node(1), here, node(2), [THERE.parse().unwrap()])
}

fn request(to: &str, octets: usize) -> Request {
    let to = Uri::parse(to).unwrap();
    let mut request = Request::new(Method::Message, to.clone())
        .with_typed(&From::new(Uri::parse("sip:a@home.test").unwrap()))
        .with_typed(&To::new(to))
        .with_header(HeaderName::ContentType, HeaderText::new("text/plain").unwrap());
    request.set_body(Bytes::from(vec![b'x'; octets]));
    request
}

fn ask<F: Function>(node: &mut Node<F>, to: &str, octets: usize) {
    let request = request(to, octets);
    node.command(now(), |_, ports| {
        ports.sip.send_request(now(), request, Destination::Routed).map(drop).unwrap()
    });
}

fn told(pair: &mut Linked<Peer, Peer>) -> Vec<String> {
    std::iter::from_fn(|| pair.poll_action())
        .filter_map(|action| match action {
            Action::Event(LinkedEvent::First(event)) => Some(format!("1 {event}")),
            Action::Event(LinkedEvent::Second(event)) => Some(format!("2 {event}")),
            Action::Open(open, target) => Some(format!("open {} {target:?}", open.0)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_stream_between_them_stays_inside() {
    let mut pair = pair();
    pair.first(now(), |node| ask(node, "sip:b@[100::2]:5060;transport=tcp", 20_000));
    let events = told(&mut pair);
    assert_eq!(
        events,
        ["2 TCP Core [100::1]:5060", "1 TCP Core [100::2]:5060", "2 got 20000", "1 answer 200",]
    );
    // The other way, to any address of the first; the same link serves again.
    pair.second(now(), |node| ask(node, &format!("sip:b@{HERE};transport=tcp"), 10));
    pair.second(now(), |node| ask(node, &format!("sip:b@{HERE};transport=tcp"), 11));
    let events = told(&mut pair);
    assert_eq!(events.iter().filter(|event| *event == "2 answer 200").count(), 2, "{events:?}");
    assert_eq!(pair.ends.len(), 4);
}

#[test]
fn datagrams_between_them_stay_inside() {
    let mut pair = pair();
    for octets in [1, 2] {
        pair.first(now(), |node| ask(node, "sip:b@[100::2]:5060", octets));
        assert!(told(&mut pair).contains(&"1 answer 200".to_owned()));
    }
    // Too large for a datagram: the endpoint takes a stream.
    pair.first(now(), |node| ask(node, "sip:b@[100::2]:5060", 5_000));
    let events = told(&mut pair);
    assert!(events.contains(&"2 TCP Core [100::1]:5060".to_owned()), "{events:?}");
}

#[test]
fn a_closed_link_is_closed_on_both_sides() {
    let mut pair = pair();
    pair.first(now(), |node| ask(node, "sip:b@[100::2]:5060;transport=tcp", 10));
    told(&mut pair);
    let flow = *pair.ends.iter().find(|(_, end)| end.side == Side::First).unwrap().0;
    pair.first(now(), |node| {
        node.command(now(), |_, ports| {
            let _ = ports.sip.close_flow(now(), flow);
        });
    });
    assert!(pair.ends.is_empty());
    let events = told(&mut pair);
    assert!(events.contains(&"1 closed Done".to_owned()), "{events:?}");
    assert!(events.contains(&"2 closed PeerClosed".to_owned()), "{events:?}");
}

/// What goes elsewhere is the host's, each under its own name; UDP is the first's alone.
#[test]
fn the_rest_of_the_world_is_the_hosts() {
    let mut pair = pair();
    pair.first(now(), |node| ask(node, "sip:c@198.51.100.7:5060;transport=tcp", 10));
    pair.second(now(), |node| ask(node, "sip:c@198.51.100.7:5060;transport=tcp", 10));
    let opens: Vec<Target> = std::iter::from_fn(|| pair.poll_action())
        .filter_map(|action| if let Action::Open(_, target) = action { Some(target) } else { None })
        .collect();
    assert_eq!(opens.len(), 2);
    let peer = "198.51.100.7:5060".parse().unwrap();
    let info = |local: &str| FlowInfo {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
        local: local.parse().unwrap(),
        peer,
        secure_identity: None,
        trust: Trust::Outside,
    };
    pair.handle_opened(now(), OpenId(2), Ok((FlowId(7), info(HERE))));
    pair.handle_opened(now(), OpenId(3), Ok((FlowId(8), info(HERE))));
    let mut octets = Vec::new();
    assert!(pair.poll_transmit(now(), FlowId(7), 100_000, &mut octets) > 0);
    assert!(pair.poll_transmit(now(), FlowId(8), 100_000, &mut octets) > 0);
    assert_eq!(told(&mut pair), ["1 TCP Outside 198.51.100.7:5060", "2 TCP Outside 198.51.100.7:5060"]);
    pair.handle_closed(now(), FlowId(8), CloseReason::PeerClosed);
    let events = told(&mut pair);
    assert!(events.iter().all(|event| event.starts_with("2 ")) && !events.is_empty(), "{events:?}");
    pair.second(now(), |node| ask(node, "sip:c@198.51.100.7:5060", 10));
    assert!(!told(&mut pair).iter().any(|event| event.contains("Udp")));
}
