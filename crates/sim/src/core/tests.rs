use super::*;
use crate::{Handle, Link, Place, What, World};
use cpm_mime::{ContentType, Limits as MimeLimits, Multipart};
use cpm_sip::{
    CSeq, CallId, Contact, Expires, From, HeaderName, HeaderText, Message, MinExpires, PAssertedIdentity,
    PCalledPartyId, PServedUser, Params, Route, ServiceRoute, To, TypedHeader, parse_datagram,
};
use cpm_ua::{Branch, Destination, DialogId, Event, NextHop, ProxyOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const ICSI: &str = "urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg";
const CORE: &str = "sip:core.home.test";

/// What the core alone may say, or know.
const TOLD: [(HeaderName, &str); 3] = [
    (HeaderName::PAccessNetworkInfo, "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=234151D0FCE11"),
    (HeaderName::PChargingVector, "icid-value=1"),
    (HeaderName::PAssociatedUri, "<sip:mallory@home.test>"),
];

/// What a phone or a Participating Function of these tests saw.
#[derive(Debug, Clone)]
enum Seen {
    Core(CoreEvent),
    Request(Request),
    Final(Response),
    Failed,
    Ended,
}

impl std::convert::From<CoreEvent> for Seen {
    fn from(event: CoreEvent) -> Seen {
        Seen::Core(event)
    }
}

/// A user agent that takes whatever comes.
#[derive(Default)]
struct Phone {
    contact: String,
    dialog: Option<DialogId>,
}

impl Function for Phone {
    type Event = Seen;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Seen>) {
        let Input::Sip(event) = input else { return };
        match event {
            Event::Request { id, request, .. } => {
                let mut ok = Response::for_request(&request, StatusCode::OK);
                if *request.method() == Method::Message {
                    // What a device says of itself, and in the core's name.
                    for (name, value) in TOLD {
                        ok = ok.with_header(name, text(value));
                    }
                }
                if *request.method() == Method::Invite {
                    let contact = Contact::new(Uri::parse(&self.contact).unwrap());
                    self.dialog = Some(ports.sip.accept(now, id, ok.with_typed(&contact)).unwrap());
                } else {
                    ports.sip.respond(now, id, ok).unwrap();
                }
                ports.host.event(Seen::Request(request));
            }
            Event::Acknowledged { ack, .. } => ports.host.event(Seen::Request(ack)),
            Event::InviteAccepted { dialog, response, .. } => {
                self.dialog = Some(dialog);
                ports.sip.confirm(now, dialog, None).unwrap();
                ports.host.event(Seen::Final(response));
            }
            Event::InviteFailed { response, .. } => {
                ports.host.event(response.map_or(Seen::Failed, Seen::Final))
            }
            Event::Response { response, .. } => ports.host.event(Seen::Final(response)),
            Event::TransactionFailed { .. } => ports.host.event(Seen::Failed),
            Event::DialogEnded { .. } => ports.host.event(Seen::Ended),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, Seen>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

/// How a Participating Function says which device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressing {
    Instance,
    ContactAddress,
    LeftToTheCore,
    /// What is for Bob goes to Alice; everything else as with instances.
    BobToAlice,
}

/// A Participating Function that passes on, following the core's description.
struct Relay {
    uri: Uri,
    addressing: Addressing,
    devices: Vec<ContactAddr>,
}

impl Relay {
    fn branches(&self, request: &Request) -> Vec<Branch> {
        let served = request.typed::<PServedUser>().unwrap();
        let terminating = served.is_some_and(|served| served.params().get("sescase") == Some("term"));
        let pass = |request| Branch { request, destination: Destination::Routed };
        if !terminating || self.addressing == Addressing::LeftToTheCore {
            return vec![pass(request.clone())];
        }
        let bob = request.uri().to_string() == "sip:bob@home.test";
        if self.addressing == Addressing::BobToAlice && bob {
            let mut request = request.clone();
            request.set_uri(Uri::parse("sip:alice@home.test").unwrap());
            return vec![pass(request)];
        }
        let to_device = |device: &ContactAddr| {
            let mut request = request.clone();
            if self.addressing == Addressing::ContactAddress {
                request.set_uri(device.uri().clone());
            } else {
                let instance = device.params().get("+sip.instance").unwrap().trim_matches('"').to_owned();
                let mut params = Params::new();
                params.set_quoted("+sip.instance", &instance).unwrap();
                params.set("explicit", None).unwrap();
                params.set("require", None).unwrap();
                request.headers_mut().push_typed(&cpm_sip::AcceptContact::new(params));
            }
            pass(request)
        };
        self.devices.iter().map(to_device).collect()
    }

    fn learn(&mut self, request: &Request) {
        self.devices.clear();
        if request.body().is_empty() {
            return;
        }
        let [_, accepted] = parts(request);
        let Message::Response(accepted) = accepted else { panic!("the second part is the 200") };
        let contacts = accepted.typed_list::<Contact>().unwrap();
        self.devices = contacts.iter().filter_map(Contact::as_addr).cloned().collect();
    }
}

/// The two messages in a third-party REGISTER.
fn parts(request: &Request) -> [Message; 2] {
    let content_type = request.headers().get(&HeaderName::ContentType).unwrap().as_str().unwrap().to_owned();
    let content_type = ContentType::parse(&content_type).unwrap();
    let multipart = Multipart::parse(&content_type, request.body().clone(), &MimeLimits::default()).unwrap();
    let messages: Vec<Message> = multipart
        .parts()
        .iter()
        .map(|part| {
            assert!(part.content_type().unwrap().is("message/sip"));
            parse_datagram(part.body.clone(), &cpm_sip::Limits::default()).unwrap()
        })
        .collect();
    messages.try_into().unwrap()
}

impl Function for Relay {
    type Event = Seen;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Seen>) {
        let Input::Sip(Event::Request { id, request, .. }) = input else { return };
        ports.host.event(Seen::Request(request.clone()));
        if *request.method() == Method::Register {
            self.learn(&request);
            ports.sip.respond(now, id, Response::for_request(&request, StatusCode::OK)).unwrap();
            return;
        }
        if request.typed::<To>().unwrap().unwrap().tag().is_some() {
            ports.sip.route_onward(now, id).unwrap();
            return;
        }
        let branches = self.branches(&request);
        if branches.is_empty() {
            let none = Response::for_request(&request, StatusCode::TEMPORARILY_UNAVAILABLE);
            ports.sip.respond(now, id, none).unwrap();
            return;
        }
        let stay = (*request.method() == Method::Invite).then(|| self.uri.clone());
        ports
            .sip
            .proxy(
                now,
                id,
                branches,
                ProxyOptions { record_route: stay, hold_final: false, ..ProxyOptions::default() },
            )
            .unwrap();
    }

    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, Seen>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn sip(text: &str) -> SipUri {
    uri(text).as_sip().unwrap().clone()
}

/// Alice and Bob with a Participating Function each, Carol with none; Bob has two phones.
struct Town {
    world: World<Seen>,
    core: Handle<SipIpCore>,
    pf_a: Handle<Relay>,
    pf_b: Handle<Relay>,
    alice: Handle<Phone>,
    bob: [Handle<Phone>; 2],
    carol: Handle<Phone>,
    registers: u32,
}

impl Town {
    fn new(seed: u64, addressing: Addressing, transport: cpm_base::Transport) -> Town {
        Town::with_phones(seed, addressing, transport, true)
    }

    /// Phones that take connections themselves, or only make them.
    fn with_phones(
        seed: u64,
        addressing: Addressing,
        transport: cpm_base::Transport,
        listening: bool,
    ) -> Town {
        Town::with(seed, addressing, transport, listening, |_| {})
    }

    /// A core whose configuration is changed.
    fn with(
        seed: u64,
        addressing: Addressing,
        transport: cpm_base::Transport,
        listening: bool,
        change: impl FnOnce(&mut CoreConfig),
    ) -> Town {
        let mut world = World::new(seed);
        let user = |identities: &[&str], pf: Option<&str>| User {
            identities: identities.iter().map(|identity| uri(identity)).collect(),
            participating: pf.map(sip),
        };
        let mut config = CoreConfig::new(
            sip(CORE),
            vec![
                user(&["sip:alice@home.test", "tel:+15550001"], Some("sip:pf-a.home.test")),
                user(&["sip:bob@home.test", "tel:+15550002"], Some("sip:pf-b.home.test")),
                user(&["sip:carol@home.test"], None),
            ],
        );
        change(&mut config);
        let node = config.node(world.fork_seed());
        let core = SipIpCore::new(config, world.fork_seed()).guarded().unwrap();
        let core = world
            .add(Place::new("core", address(1)).core_element(), cpm_core::Node::new(core, node).unwrap());
        world.name("core.home.test", &[address(1)]);
        let [pf_a, pf_b] = [("pf-a", 11), ("pf-b", 12)].map(|(name, last)| {
            let host = format!("{name}.home.test");
            world.name(&host, &[address(last)]);
            let uri = uri(&format!("sip:{host}"));
            let mut config = NodeConfig::proxy(world.fork_seed(), "relay");
            config.sip.own_names.push((uri.as_sip().unwrap().host().clone(), None));
            let node = cpm_core::Node::new(Relay { uri, addressing, devices: Vec::new() }, config).unwrap();
            world.add(Place::new(name, address(last)).core_element(), node)
        });
        let mut phone = |name: &str, last: u8| {
            let mut config = NodeConfig::user_agent(world.fork_seed(), "phone");
            config.sip.outbound = Some(NextHop::Address(transport, SocketAddr::new(address(1), 5060)));
            let contact =
                format!("sip:{name}@10.0.0.{last}:5060;transport={}", transport.to_string().to_lowercase());
            let node = cpm_core::Node::new(Phone { contact, dialog: None }, config).unwrap();
            world.add(Place { sip_streams: listening, ..Place::new(name, address(last)) }, node)
        };
        let alice = phone("alice", 21);
        let bob = [phone("bob1", 22), phone("bob2", 23)];
        let carol = phone("carol", 24);
        Town { world, core, pf_a, pf_b, alice, bob, carol, registers: 0 }
    }

    fn over_udp() -> Town {
        Town::new(1, Addressing::Instance, cpm_base::Transport::Udp)
    }

    fn settle(&mut self) {
        self.world.run_to_quiescence(Duration::from_secs(200)).unwrap();
        assert!(self.world.function(self.core).is_none_or(SipIpCore::places_agree));
    }

    /// A REGISTER as a phone sends it: with this Contact value, if any, and Expires.
    fn register_request(&mut self, user: &str, contact: Option<&str>, expires: Option<u32>) -> Request {
        self.registers += 1;
        let mut request = Request::new(Method::Register, uri("sip:home.test"))
            .with_typed(&From::new(uri(user)))
            .with_typed(&To::new(uri(user)))
            .with_typed(&CallId::new("registration").unwrap())
            // A challenge that is answered takes the number in between.
            .with_typed(&CSeq::new(self.registers * 2, Method::Register));
        if let Some(contact) = contact {
            request.headers_mut().push(HeaderName::Contact, HeaderText::new(contact).unwrap());
        }
        if let Some(expires) = expires {
            request.headers_mut().push_typed(&Expires(expires));
        }
        request
    }

    /// Sends a request and gives the final response.
    fn ask(&mut self, phone: Handle<Phone>, request: Request) -> Response {
        let before = self.world.events().len();
        self.world.command(phone, |_, ports, now| match request.method() {
            Method::Invite => ports.sip.invite(now, request, Destination::Routed).map(|_| ()).unwrap(),
            _ => ports.sip.send_request(now, request, Destination::Routed).map(|_| ()).unwrap(),
        });
        self.settle();
        let finals: Vec<Response> = self.world.events()[before..]
            .iter()
            .filter(|happened| happened.node == phone.id())
            .filter_map(|happened| match &happened.event {
                Seen::Final(response) => Some(response.clone()),
                Seen::Failed => panic!("no response:\n{}", self.world.trace()),
                _ => None,
            })
            .collect();
        assert_eq!(finals.len(), 1, "one final response:\n{}", self.world.trace());
        finals[0].clone()
    }

    /// The Contact of a phone with its instance and the feature for pager messages.
    fn contact(&self, phone: Handle<Phone>) -> String {
        let address = &self.world.function(phone).unwrap().contact;
        format!(
            "<{address}>;+sip.instance=\"<urn:uuid:{}>\";+g.3gpp.icsi-ref=\"{ICSI}\"",
            phone_name(address)
        )
    }

    fn register(&mut self, phone: Handle<Phone>, user: &str, expires: u32) -> Response {
        let contact = self.contact(phone);
        let request = self.register_request(user, Some(&contact), Some(expires));
        self.ask(phone, request)
    }

    fn register_all(&mut self) {
        for (phone, user) in [
            (self.alice, "sip:alice@home.test"),
            (self.bob[0], "sip:bob@home.test"),
            (self.bob[1], "sip:bob@home.test"),
            (self.carol, "sip:carol@home.test"),
        ] {
            assert_eq!(self.register(phone, user, 600).status(), StatusCode::OK, "{}", self.world.trace());
        }
    }

    /// What a phone or function got of a method, in order.
    fn got<F>(&self, node: Handle<F>, method: &Method) -> Vec<Request> {
        self.world
            .events_of(node)
            .filter_map(|event| match event {
                Seen::Request(request) if request.method() == method => Some(request.clone()),
                _ => None,
            })
            .collect()
    }

    fn core_events(&self) -> Vec<CoreEvent> {
        let core = |event: &Seen| if let Seen::Core(event) = event { Some(event.clone()) } else { None };
        self.world.events_of(self.core).filter_map(core).collect()
    }
}

fn phone_name(contact: &str) -> String {
    contact.split([':', '@']).nth(1).unwrap().to_owned()
}

fn message(from: &str, to: &str) -> Request {
    Request::new(Method::Message, uri(to))
        .with_typed(&From::new(uri(from)))
        .with_typed(&To::new(uri(to)))
        .with_typed(&Route::new(uri("sip:core.home.test;lr;orig")))
        .with_header(HeaderName::AcceptContact, text(&format!("*;+g.3gpp.icsi-ref=\"{ICSI}\"")))
}

fn text(value: &str) -> HeaderText {
    HeaderText::new(value).unwrap()
}

fn one<H: TypedHeader>(request: &Request) -> Option<H> {
    request.typed::<H>().unwrap()
}

mod digest;
mod registration;
mod routes;
