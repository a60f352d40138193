//! What a message means that is handed over: what its octets would.

use super::*;
use cpm_sip::{HeaderValue, Via};
use cpm_ua::{Branch, ProxyOptions};
use proptest::prelude::*;

/// Passes requests on as the user part of the Request-URI says; what it hears it tells.
struct Passer {
    /// Where requests from outside of the link go.
    inward: Destination,
}

/// What the two nodes are like.
#[derive(Debug, Clone, Copy)]
struct Shape {
    keep_alive: bool,
    /// The one that takes little.
    tight: Option<u8>,
}

const FAR: [&str; 2] = ["198.51.100.1:5060", "198.51.100.2:5060"];

impl Passer {
    fn node(seed: u8, inward: &str, shape: Shape) -> Node<Passer> {
        let inward = Destination::To(Transport::Tcp, inward.parse().unwrap());
        let mut config = NodeConfig::proxy(Seed::new([seed; 32]), "test");
        config.sip.identity.enforce = true;
        config.sip.keep_alive = shape.keep_alive.then_some(std::time::Duration::from_secs(1));
        if shape.tight == Some(seed) {
            let sip = &mut config.sip.limits.sip;
            (sip.max_headers, sip.max_via, sip.max_header_line, sip.max_routes) = (17, 4, 90, 2);
            (sip.max_header_bytes, sip.max_uri, sip.max_params) = (900, 40, 2);
        }
        Node::new(Passer { inward }, config).unwrap()
    }

    fn request(
        &self,
        now: Now,
        ports: &mut Ports<'_, String>,
        (id, flow): (cpm_ua::RequestId, FlowId),
        request: Request,
    ) {
        let user = request
            .uri()
            .as_sip()
            .and_then(|uri| uri.user().map(|user| user.to_string()))
            .unwrap_or_default();
        let inside = flow.0 & LINK != 0;
        let is = |letter: char| user.contains(letter);
        if inside && is('r') {
            let status = StatusCode::new(if is('6') { 603 } else { 480 }).unwrap();
            let _ = ports.sip.respond(now, id, Response::for_request(&request, status));
            return;
        }
        if inside && is('s') {
            return; // Silence.
        }
        let mut way = request.clone();
        let raw = |text: &str| HeaderText::new(text).unwrap();
        // What a function writes without looking.
        if is('v') {
            way.headers_mut().push(HeaderName::Via, raw("nonsense"));
        }
        if is('c') {
            way.headers_mut().replace(HeaderName::ContentLength, raw("1"));
        }
        if is('m') {
            way.headers_mut().replace(HeaderName::MaxForwards, raw("many"));
        }
        if is('w') {
            way.headers_mut().push(HeaderName::parse("X-Wide").unwrap(), raw(&"w ".repeat(4090)));
        }
        if is('l') {
            (0..60).for_each(|_| way.headers_mut().push(HeaderName::parse("X-Many").unwrap(), raw("1")));
        }
        let to = |n: usize| Destination::To(Transport::Udp, FAR[n % 2].parse().unwrap());
        let destinations = match (inside, is('b')) {
            // From the link: on to the outside, or back over it once.
            (true, true) if request.typed_list::<Via>().is_ok_and(|vias| vias.len() < 6) => {
                vec![self.inward.clone()]
            }
            (true, _) if is('f') => vec![to(0), to(1)],
            (true, _) => vec![to(0)],
            (false, _) if is('f') => vec![self.inward.clone(), self.inward.clone()],
            (false, _) => vec![self.inward.clone()],
        };
        let branches =
            destinations.into_iter().map(|destination| Branch { request: way.clone(), destination });
        let record_route = is('d').then(|| Uri::parse("sip:192.0.2.1;lr").unwrap());
        let options = ProxyOptions { hold_final: is('h'), record_route, ..ProxyOptions::default() };
        if let Err(refused) = ports.sip.proxy(now, id, branches.collect(), options) {
            ports.host.event(format!("refused {}", refused.why));
            let _ = ports.sip.respond(now, id, Response::for_request(&request, StatusCode::LOOP_DETECTED));
        }
    }
}

impl Function for Passer {
    type Event = String;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, String>) {
        let Input::Sip(event) = input else { return };
        ports.host.event(match &event {
            // Octets of it are the business of the one who gets it.
            Event::Request { request, .. } => format!("{} {:?}", request.method(), fields(request.headers())),
            other => format!("{other:?}"),
        });
        match event {
            Event::Request { id, flow, request, .. } => self.request(now, ports, (id, flow), request),
            Event::ProxyFinal { proxy, response, .. } => drop(ports.sip.release(now, proxy, response)),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, String>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

fn fields(headers: &cpm_sip::Headers) -> Vec<(String, String)> {
    let text = |value: HeaderValue<'_>| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// A pair and the world around it.
struct World {
    pair: Linked<Passer, Passer>,
    now: Now,
    flows: BTreeMap<SocketAddr, FlowId>,
    /// Requests that left, with the flow they left on.
    asked: Vec<(FlowId, Request)>,
    /// What came from outside.
    came: Vec<Bytes>,
    trace: Vec<String>,
}

/// What outside happens next.
#[derive(Debug, Clone)]
enum Step {
    Request { method: usize, user: String, number: u8, broken: u8 },
    Response { pick: usize, status: u16, broken: bool },
    Again { pick: usize },
    Octets(Vec<u8>),
    Time { steps: usize },
    CloseLinks { second: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..12, "[rsbfhdvcmwl6]{0,3}", 0u8..4, 0u8..24).prop_map(|(method, user, number, broken)| Step::Request { method, user, number, broken }),
        5 => (any::<usize>(), prop::sample::select(vec![100u16, 180, 183, 200, 202, 302, 401, 404, 408, 481, 486, 503, 603]), prop::bool::weighted(0.1))
            .prop_map(|(pick, status, broken)| Step::Response { pick, status, broken }),
        1 => any::<usize>().prop_map(|pick| Step::Again { pick }),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Octets),
        2 => (1usize..6).prop_map(|steps| Step::Time { steps }),
        1 => any::<bool>().prop_map(|second| Step::CloseLinks { second }),
    ]
}

const PEER: FlowId = FlowId(1);

fn outside(peer: SocketAddr) -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Sip,
        transport: Transport::Udp,
        local: HERE.parse().unwrap(),
        peer,
        secure_identity: None,
        trust: Trust::Outside,
    }
}

impl World {
    fn new(in_octets: bool, shape: Shape) -> World {
        let here = ["[100::1]:5060", HERE].map(|at| at.parse().unwrap());
        let (first, second) = (Passer::node(1, THERE, shape), Passer::node(2, HERE, shape));
        let mut pair = Linked::new(first, here, second, [THERE.parse().unwrap()]);
        pair.in_octets = in_octets;
        pair.handle_accepted(now(), PEER, outside("203.0.113.1:5060".parse().unwrap()));
        World {
            pair,
            now: now(),
            flows: BTreeMap::new(),
            asked: Vec::new(),
            came: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn request(method: usize, user: &str, number: u8, broken: u8) -> Bytes {
        let method = [
            "MESSAGE",
            "INVITE",
            "ACK",
            "CANCEL",
            "BYE",
            "OPTIONS",
            "INFO",
            "SUBSCRIBE",
            "NOTIFY",
            "REGISTER",
            "PUBLISH",
            "X-OWN",
        ][method];
        let mut text = format!(
            "{method} sip:{user}@example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bK{user}{number};rport, SIP/2.0/TCP before;branch=z9hG4bKb\r\n\
             f: \"A, \\\"a\\\"\" <sip:a@example.com>;tag=a{number}\r\nTo: <sip:{user}@example.com>\r\n\
             i: call-{user}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\nP-Asserted-Identity: <sip:evil@example.com>\r\n\
             X-Folded: one,\r\n  two\r\nRecord-Route: <sip:rr.example.com;lr>\r\nContact: <sip:a@203.0.113.1>\r\n\
             Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
        );
        let swapped = [
            ("Max-Forwards: 70", "Max-Forwards: 0"),
            ("Max-Forwards: 70", "Max-Forwards: 2"),
            ("Max-Forwards: 70\r\n", ""),
            ("Content-Length: 5\r\n", ""),
            ("Content-Length: 5", "Content-Length: 4"),
            ("rr.example.com;lr", "rr.example.com"),
            ("<sip:rr.example.com;lr>", "<sip:"),
            ("tag=a", "tag=,a"),
            ("X-Folded", "Proxy-Require: x-none\r\nX-Folded"),
            ("X-Folded", "Max-Breadth: 1\r\nX-Folded"),
            ("X-Folded", "Route: <sip:192.0.2.1;lr>, <sip:198.51.100.2;lr>\r\nX-Folded"),
            ("@example.com SIP", "@example.com;lr SIP"),
        ];
        if let Some((from, to)) = swapped.get(usize::from(broken)) {
            text = text.replacen(from, to, 1);
        }
        text.into()
    }

    fn step(&mut self, step: &Step) {
        self.now = Now::new(self.now.mono.plus(std::time::Duration::from_millis(7)), self.now.wall);
        match step {
            Step::Request { method, user, number, broken } => {
                let octets = World::request(*method, user, *number, *broken);
                self.came.push(octets.clone());
                self.pair.handle_datagram(self.now, PEER, octets);
            }
            Step::Response { pick, status, broken } => {
                let Some((flow, request)) = pick.checked_rem(self.asked.len()).map(|at| &self.asked[at])
                else {
                    return;
                };
                let mut response = Response::for_request(request, StatusCode::new(*status).unwrap());
                if *broken {
                    response.headers_mut().pop_first_value(&HeaderName::Via);
                }
                let to = response.headers().get(&HeaderName::To).unwrap().to_text().unwrap().into_owned();
                response
                    .headers_mut()
                    .replace(HeaderName::To, HeaderText::new(&format!("{to};tag=t{pick}")).unwrap());
                response
                    .headers_mut()
                    .push(HeaderName::Contact, HeaderText::new("<sip:b@198.51.100.1>").unwrap());
                self.pair.handle_datagram(self.now, *flow, response.to_bytes());
            }
            Step::Again { pick } => {
                let Some(at) = pick.checked_rem(self.came.len()) else { return };
                let octets = self.came[at].clone();
                self.pair.handle_datagram(self.now, PEER, octets);
            }
            Step::Octets(octets) => self.pair.handle_datagram(self.now, PEER, octets.clone().into()),
            Step::Time { steps } => {
                for _ in 0..*steps {
                    let Some(at) = self.pair.next_timeout() else { break };
                    self.now = Now::new(at.max(self.now.mono), self.now.wall);
                    self.pair.handle_timeout(self.now);
                    self.drain();
                }
            }
            Step::CloseLinks { second } => {
                let side = if *second { Side::Second } else { Side::First };
                let links: Vec<FlowId> = self
                    .pair
                    .ends
                    .iter()
                    .filter(|(_, end)| end.side == side)
                    .map(|(flow, _)| *flow)
                    .collect();
                for flow in links {
                    let close = |node: &mut Node<Passer>| {
                        node.command(self.now, |_, ports| drop(ports.sip.close_flow(self.now, flow)));
                    };
                    if *second { self.pair.second(self.now, close) } else { self.pair.first(self.now, close) }
                }
            }
        }
        self.drain();
    }

    /// Notes what comes out, and opens what is to be opened.
    fn drain(&mut self) {
        while let Some(action) = self.pair.poll_action() {
            self.trace.push(format!("{action:?}"));
            match action {
                Action::Open(open, target) => {
                    let known = self.flows.len() as u64;
                    let flow = *self.flows.entry(target.remote).or_insert(FlowId(10 + known));
                    let opened = Ok((flow, outside(target.remote)));
                    self.pair.handle_opened(self.now, open, opened);
                }
                Action::Datagram(flow, octets) => {
                    if let Ok(Message::Request(request)) =
                        cpm_sip::parse_datagram(octets, &cpm_sip::Limits::default())
                    {
                        self.asked.push((flow, request));
                    }
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("CPM_LINKS").is_some() { 20_000 } else { 256 }))]

    /// Whatever comes from outside, a pair that hands messages over does what a pair does that writes and reads octets.
    #[test]
    fn a_message_that_is_handed_over_is_what_its_octets_are(
        steps in prop::collection::vec(step(), 1..30),
        keep_alive in any::<bool>(),
        tight in prop::option::of(1u8..3),
    ) {
        let mut worlds = [false, true].map(|in_octets| World::new(in_octets, Shape { keep_alive, tight }));
        for step in &steps {
            worlds.iter_mut().for_each(|world| world.step(step));
            let [messages, octets] = &worlds;
            prop_assert_eq!(&messages.trace, &octets.trace);
        }
        let [messages, octets] = worlds.map(|world| world.pair.metrics());
        prop_assert_eq!(messages.iter().collect::<Vec<_>>(), octets.iter().collect::<Vec<_>>());
    }
}
