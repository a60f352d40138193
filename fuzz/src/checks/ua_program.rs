//! Two SIP endpoints with everything that calls can have, and a network that loses, doubles and reorders: any program of
//! commands ends with nothing left, every INVITE ends once, and nothing reaches a dialog that it does not belong to.

use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_sip::{From, HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode, To, Uri};
use cpm_ua::{
    Action, Body, Config, Destination, DialogId, Endpoint, Event, InviteId, OfferOf, RequestId, SentBy,
    SessionTimer,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const FLOW: FlowId = FlowId(1);

/// One of the two.
pub struct Side {
    pub ua: Endpoint,
    /// Requests that the function has not answered.
    pub requests: Vec<(RequestId, Request)>,
    /// Dialogs that the function knows and that did not end.
    pub dialogs: Vec<DialogId>,
    /// INVITEs that did not end.
    pub invites: BTreeSet<InviteId>,
    /// Dialogs whose 2xx is to be confirmed.
    pub unconfirmed: Vec<DialogId>,
    /// How often the function heard of something, by word.
    pub heard: BTreeMap<&'static str, usize>,
}

/// The two and what is under way between them.
pub struct World {
    pub now: Now,
    pub sides: [Side; 2],
    /// For whom, what, and since when.
    pub pool: VecDeque<(usize, Bytes, Instant)>,
}

fn address(side: usize) -> String {
    format!("192.0.2.{}:5060", side + 1)
}

fn side(n: usize, timers: bool) -> Side {
    let mut config = Config::user_agent(Seed::new([n as u8; 32]), "");
    config.allow.extend([Method::Update, Method::Prack]);
    config.supported.extend(["100rel".to_owned(), "timer".to_owned(), "replaces".to_owned()]);
    config.session_timer = timers.then(|| SessionTimer { expires: 90, ..SessionTimer::default() });
    let ip: std::net::SocketAddr = address(n).parse().unwrap();
    config.sent_by.push(SentBy { transport: Transport::Udp, host: ip.ip().into(), port: Some(5060) });
    let mut ua = Endpoint::new(config).unwrap();
    let info = FlowInfo {
        protocol: Protocol::Sip,
        transport: Transport::Udp,
        local: ip,
        peer: address(1 - n).parse().unwrap(),
        secure_identity: None,
        trust: Trust::Outside,
    };
    ua.handle_accepted(Now::new(Instant::ZERO, DateTime::UNIX_EPOCH), FLOW, info);
    Side {
        ua,
        requests: Vec::new(),
        dialogs: Vec::new(),
        invites: BTreeSet::new(),
        unconfirmed: Vec::new(),
        heard: BTreeMap::new(),
    }
}

pub fn description() -> Body {
    let content_type = HeaderText::new("application/sdp").unwrap();
    Body { content_type, octets: Bytes::from_static(b"v=0\r\n") }
}

fn invite(from: usize, described: bool) -> Request {
    let to = 1 - from;
    let target = Uri::parse(&format!("sip:user@{}", address(to))).unwrap();
    let request = Request::new(Method::Invite, target)
        .with_typed(&From::new(Uri::parse(&format!("sip:{from}@example.com")).unwrap()))
        .with_typed(&To::new(Uri::parse(&format!("sip:{to}@example.com")).unwrap()));
    if described {
        let body = description();
        request.with_header(HeaderName::ContentType, body.content_type).with_body(body.octets)
    } else {
        request.with_body(Bytes::new())
    }
}

fn described(response: Response) -> Response {
    let body = description();
    response.with_header(HeaderName::ContentType, body.content_type).with_body(body.octets)
}

impl Side {
    fn hear(&mut self, word: &'static str) {
        *self.heard.entry(word).or_default() += 1;
    }

    fn told(&mut self, event: Event) {
        match event {
            Event::Request { id, request, in_dialog, .. } => {
                if let Some((dialog, ids)) = in_dialog.and_then(|id| Some((id, self.ua.dialog_ids(id)?))) {
                    let tag = |text: Option<&str>| text.unwrap_or_default().to_owned();
                    let to = request.typed::<To>().unwrap().unwrap();
                    let from = request.typed::<From>().unwrap().unwrap();
                    assert_eq!(
                        (ids.1, ids.2),
                        (&*tag(to.tag()), &*tag(from.tag())),
                        "{dialog}: a wrong dialog"
                    );
                }
                self.requests.push((id, request));
            }
            Event::Replaces { id, request, .. } => self.requests.push((id, request)),
            Event::InviteAccepted { invite, dialog, .. } => {
                assert!(self.invites.remove(&invite), "an INVITE that ends twice");
                self.hear("accepted");
                if !self.dialogs.contains(&dialog) {
                    self.dialogs.push(dialog);
                }
                self.unconfirmed.push(dialog);
            }
            Event::InviteFailed { invite, .. } => {
                assert!(self.invites.remove(&invite), "an INVITE that ends twice");
                self.hear("failed");
            }
            Event::Cancelled { .. } => self.hear("cancelled"),
            Event::Acknowledged { .. } => self.hear("acknowledged"),
            Event::DialogEnded { dialog, why } => {
                self.hear("ended");
                self.unconfirmed.retain(|known| *known != dialog);
                // One whose ACK never came can still be sent a BYE.
                if why != cpm_ua::DialogEnd::NotAcknowledged {
                    self.dialogs.retain(|known| *known != dialog);
                }
            }
            _ => {}
        }
    }
}

impl World {
    pub fn new(timers: bool) -> World {
        let now = Now::new(Instant::from_micros(1), DateTime::UNIX_EPOCH);
        World { now, sides: [side(0, timers), side(1, timers)], pool: VecDeque::new() }
    }

    /// Takes what both have to say.
    pub fn listen(&mut self) {
        for side in &mut self.sides {
            // Early dialogs go without a word when their INVITE is refused.
            side.dialogs.retain(|dialog| side.ua.dialog_ids(*dialog).is_some());
        }
        for n in [0, 1] {
            while let Some(action) = self.sides[n].ua.poll_action() {
                match action {
                    Action::Datagram(_, octets) => self.pool.push_back((1 - n, octets, self.now.mono)),
                    Action::Event(event) => self.sides[n].told(event),
                    Action::Open(open, _) => {
                        let info = self.sides[n].ua.flow_info(FLOW).unwrap().clone();
                        self.sides[n].ua.handle_opened(self.now, open, Ok((FLOW, info)));
                    }
                    _ => {}
                }
            }
        }
    }

    pub fn invite(&mut self, n: usize, described: bool) {
        let sent = self.sides[n].ua.invite(self.now, invite(n, described), Destination::Flow(FLOW));
        self.sides[n].invites.extend(sent);
        self.listen();
    }

    pub fn cancel(&mut self, n: usize) {
        if let Some(invite) = self.sides[n].invites.first().copied() {
            let _ = self.sides[n].ua.cancel(self.now, invite);
        }
        self.listen();
    }

    pub fn confirm(&mut self, n: usize) {
        if let Some(dialog) = self.sides[n].unconfirmed.pop() {
            let body = self.sides[n].ua.take_offer(OfferOf::Success(dialog)).map(|_| description());
            let _ = self.sides[n].ua.confirm(self.now, dialog, body);
        }
        self.listen();
    }

    pub fn bye(&mut self, n: usize, pick: usize) {
        let Side { ua, dialogs, unconfirmed, .. } = &mut self.sides[n];
        if let Some(dialog) = dialogs.get(pick % dialogs.len().max(1)).copied()
            && ua.bye(self.now, dialog, Headers::new()).is_ok()
        {
            unconfirmed.retain(|known| *known != dialog);
        }
        self.listen();
    }

    /// Answers the request that waits longest with this status; an INVITE with 2xx is accepted.
    pub fn answer(&mut self, n: usize, status: u16, reliably: bool) {
        let side = &mut self.sides[n];
        let Some((id, request)) = side.requests.first().cloned() else { return };
        let status = StatusCode::new(status).unwrap();
        let invite = *request.method() == Method::Invite;
        let response = Response::for_request(&request, status);
        let offered = side.ua.take_offer(OfferOf::Request(id)).is_some();
        let bare = request.body().is_empty();
        if status.is_provisional() {
            let response = if reliably && (offered || bare) { described(response) } else { response };
            let sent = match reliably {
                true => side.ua.respond_reliably(self.now, id, response),
                false => side.ua.respond(self.now, id, response),
            };
            if let Ok(Some(early)) = sent {
                side.dialogs.push(early);
            }
        } else if invite && status.is_success() {
            let sent = side.ua.accept(self.now, id, described(response.clone()));
            let sent = sent.or_else(|_| side.ua.accept(self.now, id, response));
            match sent {
                Ok(dialog) if !side.dialogs.contains(&dialog) => side.dialogs.push(dialog),
                Ok(_) => {}
                // It was cancelled.
                Err(_) => {
                    let response = Response::for_request(&request, StatusCode::REQUEST_TERMINATED);
                    let _ = side.ua.respond(self.now, id, response);
                }
            }
            side.requests.remove(0);
        } else {
            let plain = side.ua.respond(self.now, id, response.clone());
            let _ = plain.or_else(|_| side.ua.respond(self.now, id, described(response)));
            side.requests.remove(0);
        }
        self.listen();
    }

    pub fn change(&mut self, n: usize, pick: usize, with_invite: bool, described: bool) {
        let side = &mut self.sides[n];
        let Some(dialog) = side.dialogs.get(pick % side.dialogs.len().max(1)).copied() else { return };
        let body = described.then(description);
        if with_invite {
            side.invites.extend(side.ua.reinvite(self.now, dialog, Headers::new(), body));
        } else {
            let _ = side.ua.update(self.now, dialog, Headers::new(), body);
        }
        self.listen();
    }

    pub fn message(&mut self, n: usize, pick: usize) {
        let side = &mut self.sides[n];
        if let Some(dialog) = side.dialogs.get(pick % side.dialogs.len().max(1)).copied() {
            let _ = side.ua.send_in_dialog(self.now, dialog, Method::Message, Headers::new(), None);
        }
        self.listen();
    }

    pub fn deliver(&mut self, pick: usize) {
        let len = self.pool.len().max(1);
        if let Some((to, octets, _)) = self.pool.remove(pick % len) {
            self.sides[to].ua.handle_datagram(self.now, FLOW, octets);
        }
        self.listen();
    }

    /// Loses what is under way for longer than T4, the time that a message may live (RFC 3261 §17.1.2.2).
    fn expire(&mut self) {
        let now = self.now.mono;
        self.pool.retain(|(_, _, since)| now.since(*since) < Duration::from_secs(5));
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        for n in [0, 1] {
            self.sides[n].ua.handle_timeout(self.now);
        }
        self.listen();
        self.expire();
    }

    /// Lets time pass to the next deadline; `false` when there is none.
    pub fn next_deadline(&mut self) -> bool {
        let Some(next) = self.sides.iter().filter_map(|side| side.ua.next_timeout()).min() else {
            return false;
        };
        let before = [0, 1].map(|n| self.sides[n].ua.next_timeout());
        self.pass(next.since(self.now.mono));
        let moved = [0, 1].map(|n| self.sides[n].ua.next_timeout()) != before || !self.pool.is_empty();
        assert!(moved, "time stands still");
        true
    }

    /// Delivers everything that is under way, in order, and what comes of it.
    pub fn settle(&mut self) {
        let mut turns = 0;
        while !self.pool.is_empty() {
            self.deliver(0);
            turns += 1;
            assert!(turns < 10_000, "messages without end");
        }
    }

    /// Answers, confirms and ends everything, on a network that loses nothing; then nothing may be left.
    pub fn close(&mut self) {
        let until = self.now.mono.plus(Duration::from_secs(1200));
        let mut turns = 0;
        loop {
            self.settle();
            for n in [0, 1] {
                self.answer(n, 200, false);
                self.confirm(n);
                self.cancel(n);
                for pick in 0..self.sides[n].dialogs.len() {
                    self.bye(n, pick);
                }
            }
            self.settle();
            turns += 1;
            assert!(turns < 20_000, "it never ends");
            if !self.next_deadline() && self.pool.is_empty() {
                break;
            }
            assert!(self.now.mono < until, "it never ends");
        }
        for (n, side) in self.sides.iter().enumerate() {
            assert!(side.ua.is_idle(), "side {n} still holds something");
            assert!(side.invites.is_empty(), "side {n}: an INVITE that never ended");
        }
    }
}

/// Two octets a step: what is done, and with which of few things.
pub fn ua_program(data: &[u8]) {
    let Some((first, steps)) = data.split_first() else { return };
    let mut world = World::new(first & 1 == 1);
    for step in steps.chunks_exact(2).take(200) {
        let (n, pick) = (usize::from(step[1] & 1), usize::from(step[1] >> 1));
        match step[0] % 18 {
            0 => world.invite(n, pick & 1 == 0),
            1 => world.cancel(n),
            2 => world.answer(n, 180, false),
            3 => world.answer(n, 183, true),
            4 => world.answer(n, 200, false),
            5 => world.answer(n, [486, 491, 422, 481, 500, 302, 408][pick % 7], false),
            6 => world.confirm(n),
            7 => world.bye(n, pick),
            8 => world.change(n, pick, true, pick & 1 == 0),
            9 => world.change(n, pick, false, pick & 1 == 0),
            10 => world.message(n, pick),
            11 | 12 => world.deliver(pick),
            13 => world.settle(),
            14 => drop(world.pool.pop_back()),
            15 => {
                let copy = world.pool.get(pick % world.pool.len().max(1)).cloned();
                world.pool.extend(copy);
            }
            16 => world.pass(Duration::from_millis(100 << (pick % 12))),
            _ => drop(world.next_deadline()),
        }
    }
    world.close();
}
