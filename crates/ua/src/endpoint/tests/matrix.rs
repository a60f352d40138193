//! What every event does in every state of the INVITE usage, and of a dialog with several usages, as snapshots.

use super::super::calls::Phase;
use super::super::usages::Usage;
use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Transport, Trust};
use cpm_sip::{Headers, Method, Request, Response, StatusCode};

const FLOW: FlowId = FlowId(1);

/// The states of a call: those of the figure in RFC 5407 §2.1, with what may be under way in them.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Our INVITE got 180.
    EarlyOut,
    /// Their INVITE got 180.
    EarlyIn,
    /// Our INVITE got 200; the function has not confirmed it.
    AwaitsConfirm,
    /// Their INVITE got 200; its ACK is still to come.
    Moratorium,
    Established,
    /// Our re-INVITE is under way.
    Changing,
    /// Our UPDATE is under way.
    Updating,
    /// Their re-INVITE waits for the function.
    Changed,
    /// Our BYE is under way.
    Mortal,
    /// The ACK for our 200 never came.
    Unacknowledged,
    /// Nothing is left.
    Morgue,
}

const STATES: [State; 11] = [
    State::EarlyOut,
    State::EarlyIn,
    State::AwaitsConfirm,
    State::Moratorium,
    State::Established,
    State::Changing,
    State::Updating,
    State::Changed,
    State::Mortal,
    State::Unacknowledged,
    State::Morgue,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happens {
    TheirInvite,
    TheirUpdate,
    TheirRefresh,
    TheirPrack,
    TheirAck,
    TheirBye,
    TheirMessage,
    Their180,
    Their200,
    Their486,
    OurReinvite,
    OurUpdate,
    OurConfirm,
    Our180,
    Our200,
    Our486,
    OurMessage,
    OurCancel,
    OurBye,
    Time,
}

const EVENTS: [Happens; 20] = [
    Happens::TheirInvite,
    Happens::TheirUpdate,
    Happens::TheirRefresh,
    Happens::TheirPrack,
    Happens::TheirAck,
    Happens::TheirBye,
    Happens::TheirMessage,
    Happens::Their180,
    Happens::Their200,
    Happens::Their486,
    Happens::OurReinvite,
    Happens::OurUpdate,
    Happens::OurConfirm,
    Happens::Our180,
    Happens::Our200,
    Happens::Our486,
    Happens::OurMessage,
    Happens::OurCancel,
    Happens::OurBye,
    Happens::Time,
];

/// One side of a call; the other one is written by hand.
struct Unit {
    ua: Endpoint,
    now: Now,
    log: Vec<String>,
    /// The last INVITE that we sent.
    sent: String,
    /// The dialog as the peer names it.
    call_id: String,
    ours: String,
    dialog: Option<DialogId>,
    invite: Option<InviteId>,
    pending: Option<(RequestId, Request)>,
    cseq: u32,
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim()
}

impl Unit {
    fn new() -> Unit {
        let mut ua = Endpoint::new(full_config(2)).unwrap();
        let now = Now::new(Instant::from_micros(1), DateTime::UNIX_EPOCH);
        let info = FlowInfo {
            protocol: Protocol::Sip,
            transport: Transport::Udp,
            local: address(2),
            peer: address(1),
            secure_identity: None,
            trust: Trust::Outside,
        };
        ua.handle_accepted(now, FLOW, info);
        let mut unit = Unit {
            ua,
            now,
            log: Vec::new(),
            sent: String::new(),
            call_id: "theirs".into(),
            ours: String::new(),
            dialog: None,
            invite: None,
            pending: None,
            cseq: 1,
        };
        unit.listen();
        unit.log.clear();
        unit
    }

    fn listen(&mut self) {
        while let Some(action) = self.ua.poll_action() {
            match action {
                Action::Datagram(_, bytes) => self.left(&bytes),
                Action::Event(event) => self.told(event),
                _ => {}
            }
        }
    }

    fn left(&mut self, bytes: &Bytes) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let method = field(&text, "CSeq: ").split(' ').nth(1).unwrap().to_string();
        let label = match text.strip_prefix("SIP/2.0 ") {
            Some(rest) => format!("{} {method}", &rest[..3]),
            None => method.clone(),
        };
        if text.starts_with("SIP/2.0") && self.ours.is_empty() {
            self.ours = field(&text, "To: ").split_once(";tag=").map_or("", |(_, tag)| tag).into();
        }
        if text.starts_with("INVITE ") {
            self.call_id = field(&text, "Call-ID: ").into();
            self.ours = field(&text, "From: ").split_once(";tag=").unwrap().1.into();
            self.sent = text;
        }
        self.log.push(label);
    }

    fn told(&mut self, event: Event) {
        let word = match event {
            Event::Request { id, request, .. } => {
                let word = format!("told {}", request.method());
                self.pending = Some((id, request));
                word
            }
            Event::InviteAccepted { dialog, .. } => {
                self.dialog = Some(dialog);
                "told accepted".into()
            }
            Event::InviteProvisional { dialog, .. } => {
                self.dialog = dialog;
                "told progress".into()
            }
            Event::InviteFailed { why, .. } => format!("told {why:?}"),
            Event::DialogEnded { why, .. } => format!("told ended {why:?}"),
            Event::Cancelled { .. } => "told cancelled".into(),
            Event::Acknowledged { .. } => "told acknowledged".into(),
            Event::Response { response, .. } => format!("told {}", response.status()),
            Event::TransactionFailed { why, .. } => format!("told failed {why:?}"),
            Event::Offer { .. } => "told offer".into(),
            Event::Answer { .. } => "told answer".into(),
            Event::Fault(Fault::Description { what, .. }) => format!("fault {what:?}"),
            _ => return,
        };
        self.log.push(word);
    }

    fn receive(&mut self, text: String) {
        self.ua.handle_datagram(self.now, FLOW, Bytes::from(text));
        self.listen();
    }

    fn their_request(&mut self, method: &str, described: bool, more: &str) {
        self.cseq += if method == "ACK" { 0 } else { 1 };
        let cseq = if method == "ACK" { 1 } else { self.cseq + 100 };
        let tag = if self.ours.is_empty() { String::new() } else { format!(";tag={}", self.ours) };
        let (kind, body) = if described { ("Content-Type: application/sdp\r\n", "v=0") } else { ("", "") };
        let first = method == "INVITE" && self.ours.is_empty();
        let cseq = if first { 1 } else { cseq };
        self.receive(format!(
            "{method} sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{method}{cseq};rport\r\n\
             From: <sip:a@example.com>;tag=theirs\r\nTo: <sip:b@example.com>{tag}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:a@10.0.0.1>\r\nMax-Forwards: 70\r\n{more}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            self.call_id,
            body.len()
        ));
    }

    fn their_response(&mut self, status: &str, described: bool) {
        let (kind, body) = if described { ("Content-Type: application/sdp\r\n", "v=0") } else { ("", "") };
        let to = field(&self.sent, "To: ").split(";tag=").next().unwrap().to_string();
        let sent = |name: &str| field(&self.sent, name).to_string();
        let text = format!(
            "SIP/2.0 {status} X\r\nVia: {}\r\nFrom: {}\r\nTo: {to};tag=theirs\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:a@10.0.0.1>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            sent("Via: "),
            sent("From: "),
            sent("Call-ID: "),
            sent("CSeq: "),
            body.len()
        );
        self.receive(text);
    }

    fn note<T: core::fmt::Debug, E: Into<Refusal>>(&mut self, result: Result<T, E>) -> Option<T> {
        self.listen();
        match result {
            Ok(value) => Some(value),
            Err(why) => {
                self.log.push(format!("refused {:?}", why.into()));
                None
            }
        }
    }

    fn in_state(state: State) -> Unit {
        let mut unit = Unit::new();
        match state {
            State::EarlyIn | State::Moratorium | State::Unacknowledged => {
                unit.their_request("INVITE", true, "");
                unit.step(Happens::Our180);
                if !matches!(state, State::EarlyIn) {
                    unit.step(Happens::Our200);
                }
                if matches!(state, State::Unacknowledged) {
                    unit.step(Happens::Time);
                }
            }
            _ => {
                let request = invite(2, 1, Transport::Udp);
                let sent = unit.ua.invite(unit.now, request, Destination::Flow(FLOW));
                unit.invite = Some(sent.unwrap());
                unit.listen();
                unit.step(Happens::Their180);
                if !matches!(state, State::EarlyOut) {
                    unit.step(Happens::Their200);
                }
                if !matches!(state, State::EarlyOut | State::AwaitsConfirm) {
                    unit.step(Happens::OurConfirm);
                }
            }
        }
        match state {
            State::Changing => unit.step(Happens::OurReinvite),
            State::Updating => unit.step(Happens::OurUpdate),
            State::Changed => unit.step(Happens::TheirInvite),
            State::Mortal => unit.step(Happens::OurBye),
            State::Morgue => {
                unit.step(Happens::TheirBye);
                unit.step(Happens::Our200);
            }
            _ => {}
        }
        unit.log.clear();
        unit
    }

    fn step(&mut self, event: Happens) {
        let (now, dialog) = (self.now, self.dialog.unwrap_or(DialogId(0)));
        match event {
            Happens::TheirInvite => self.their_request("INVITE", true, ""),
            Happens::TheirUpdate => self.their_request("UPDATE", true, ""),
            Happens::TheirRefresh => self.their_request("UPDATE", false, ""),
            Happens::TheirPrack => self.their_request("PRACK", false, "RAck: 1 1 INVITE\r\n"),
            Happens::TheirAck => self.their_request("ACK", false, ""),
            Happens::TheirBye => self.their_request("BYE", false, ""),
            Happens::TheirMessage => self.their_request("MESSAGE", false, ""),
            Happens::Their180 => self.their_response("180", false),
            Happens::Their200 => self.their_response("200", true),
            Happens::Their486 => self.their_response("486", false),
            Happens::OurReinvite => {
                let sent = self.ua.reinvite(now, dialog, Headers::new(), Some(sdp("new")));
                self.invite = self.note(sent.map_err(|refused| refused.why)).or(self.invite);
            }
            Happens::OurUpdate => {
                let sent = self.ua.update(now, dialog, Headers::new(), Some(sdp("new")));
                self.note(sent.map_err(|refused| refused.why));
            }
            Happens::OurConfirm => {
                let sent = self.ua.confirm(now, dialog, None);
                self.note(sent.map_err(|refused| refused.why));
            }
            Happens::Our180 | Happens::Our200 | Happens::Our486 => self.answer(event),
            Happens::OurMessage => {
                let sent = self.ua.send_in_dialog(now, dialog, Method::Message, Headers::new(), None);
                self.note(sent.map_err(|refused| refused.why));
            }
            Happens::OurCancel => {
                let done = self.ua.cancel(now, self.invite.unwrap_or(InviteId(0)));
                self.note(done);
            }
            Happens::OurBye => {
                let sent = self.ua.bye(now, dialog, Headers::new());
                self.note(sent.map_err(|refused| refused.why));
            }
            Happens::Time => {
                let until = now.mono.plus(Duration::from_secs(33));
                while let Some(next) = self.ua.next_timeout().filter(|next| *next <= until) {
                    self.now = self.now.plus(next.since(self.now.mono));
                    self.ua.handle_timeout(self.now);
                    self.listen();
                }
                self.log.dedup();
            }
        }
    }

    /// Answers the last request, an INVITE with 2xx by accepting it.
    fn answer(&mut self, event: Happens) {
        let Some((id, request)) = self.pending.clone() else {
            return self.log.push("nothing to answer".into());
        };
        let offered = self.ua.take_offer(OfferOf::Request(id)).is_some();
        let status = match event {
            Happens::Our180 => StatusCode::RINGING,
            Happens::Our200 => StatusCode::OK,
            _ => StatusCode::BUSY_HERE,
        };
        let response = Response::for_request(&request, status);
        if status.is_success() && *request.method() == Method::Invite {
            let sent = self.ua.accept(self.now, id, with_body(response, &sdp("answer")));
            self.dialog = self.note(sent.map_err(|refused| refused.why)).or(self.dialog);
        } else {
            let response =
                if offered && status.is_success() { with_body(response, &sdp("answer")) } else { response };
            let sent = self.ua.respond(self.now, id, response);
            let early = self.note(sent.map_err(|refused| refused.why)).flatten();
            self.dialog = early.or(self.dialog);
        }
    }

    fn shown(&self) -> String {
        let Some(call) = self.dialog.and_then(|dialog| self.ua.call(dialog)) else { return "gone".into() };
        let phase = match call.phase {
            Phase::EarlyAsClient => "EarlyOut",
            Phase::EarlyAsServer { .. } => "EarlyIn",
            Phase::AwaitsConfirm { .. } => "AwaitsConfirm",
            Phase::AwaitsAck { .. } => "Moratorium",
            Phase::Confirmed => "Confirmed",
            Phase::Ended { .. } => "Ended",
        };
        let mut words = Vec::from([phase.to_string()]);
        for (there, word) in [
            (call.bye.is_some(), "bye"),
            (call.reinvite.is_some(), "reinvite"),
            (call.update.is_some(), "update"),
        ] {
            if there {
                words.push(word.into());
            }
        }
        words.push(format!("{:?}", call.exchange));
        words.join(" ")
    }
}

/// Threats C8, C10, I3: each state with each event, the impossible ones too: what is sent, told and refused, and what the
/// call is then. A line is `state event: what happens -> what it is then`.
#[test]
fn call_matrix() {
    let mut text = String::new();
    for state in STATES {
        for event in EVENTS {
            let mut unit = Unit::in_state(state);
            unit.step(event);
            text += &format!("{state:?} {event:?}: {} -> {}\n", unit.log.join(", "), unit.shown());
        }
    }
    assert_eq!(text, include_str!("calls.matrix"));
}

/// RFC 5057: a dialog lives as long as one of its usages; what ends which.
#[test]
fn dialog_matrix() {
    let mut text = String::new();
    for used_for in ["call", "subscription", "call+subscription", "two subscriptions", "nothing"] {
        for event in ["call ends", "subscription ends", "408", "481", "404", "488", "dialog ends", "BYE"] {
            let mut unit = Unit::in_state(State::Established);
            let dialog = unit.dialog.unwrap();
            let both = [Usage::Subscription(1), Usage::Subscription(2)];
            let more: &[Usage] = match used_for {
                "subscription" | "call+subscription" => &both[..1],
                "two subscriptions" => &both,
                _ => &[],
            };
            for usage in more {
                assert!(unit.ua.add_usage(dialog, *usage));
            }
            if !used_for.contains("call") {
                unit.ua.forget_call(dialog);
            }
            let now = unit.now;
            match event {
                "call ends" => unit.ua.end_call(now, dialog, DialogEnd::Gone),
                "subscription ends" => unit.ua.end_usage(dialog, both[0]),
                "dialog ends" => unit.ua.end_whole_dialog(now, dialog, DialogEnd::Gone),
                "BYE" => {
                    unit.step(Happens::TheirBye);
                    unit.step(Happens::Our200);
                }
                status => {
                    unit.ua.response_in_dialog(now, dialog, StatusCode::new(status.parse().unwrap()).unwrap())
                }
            }
            unit.listen();
            let left = match unit.ua.dialogs.get(&dialog) {
                None => "gone".to_string(),
                Some(dialog) => {
                    let call = if dialog.call.is_some() { "call " } else { "" };
                    format!("{call}{:?}", dialog.usages)
                }
            };
            assert_eq!(unit.ua.dialogs.len(), unit.ua.dialog_keys.len());
            text += &format!("{used_for}, {event}: {} -> {left}\n", unit.log.join(", "));
        }
    }
    let lines: BTreeSet<&str> = text.lines().collect();
    assert_eq!(lines.len(), 40);
    assert_eq!(text, include_str!("dialogs.matrix"));
}
