//! Bob: takes the file that is offered, and goes on with one that he has a part of.

use super::Party;
use crate::msrp::inbox::Stored;
use bytes::Bytes;
use cpm_base::{Instant, Now};
use cpm_core::{Function, Input, Ports};
use cpm_msrp::{
    AbortReason, FileEvent, FileIdentity, FileQuery, FileSink, FileSinkOptions, HashKind, IncomingId,
    Matching, MsrpUri, Overlap, Role, SessionConfig, SessionId, SessionOptions, resume_at,
};
use cpm_sdp::{
    Direction, FileDescription, MsrpMedia, Negotiated, RemoteOffer, SessionDescription, SessionIds, Setup,
};
use cpm_sip::{HeaderName, HeaderText, Method, Request, Response, StatusCode};
use cpm_ua::{Event, RequestId};
use std::io;

/// What he tells.
pub(crate) enum Received {
    /// The connection is gone; so much is there from the beginning.
    Incomplete(u64),
    /// All is there, with the hash that was offered.
    Complete(Vec<u8>),
    /// It cannot go on.
    Failed(String),
}

pub(crate) struct Receiver {
    party: Party,
    stored: Stored,
    /// The file of which a part is there, and how much.
    known: Option<FileIdentity>,
    there: u64,
    session: Option<SessionId>,
    /// What the message to come has to be.
    expected: Option<FileSinkOptions>,
    sink: Option<(IncomingId, FileSink)>,
}

type Port<'a, 'p> = &'a mut Ports<'p, Received>;

impl Receiver {
    pub(super) fn new(party: Party) -> Result<Receiver, String> {
        let stored = Stored::temporary().map_err(|error| format!("no file can be made: {error}"))?;
        Ok(Receiver { party, stored, known: None, there: 0, session: None, expected: None, sink: None })
    }

    /// What lies in his file.
    pub(super) fn read_all(&mut self) -> io::Result<Bytes> {
        self.stored.read(0, u64::MAX)
    }

    fn invited(&mut self, now: Now, ports: Port<'_, '_>, id: RequestId, request: &Request) {
        let (response, opened) = match self.answer(now, ports, request) {
            Ok((description, config)) => {
                let mut response =
                    Response::for_request(request, StatusCode::OK).with_typed(&self.party.contact());
                response
                    .headers_mut()
                    .push(HeaderName::ContentType, HeaderText::sanitized("application/sdp"));
                response.set_body(description.to_bytes());
                (response, Some(config))
            }
            Err(why) => {
                ports.host.event(Received::Failed(format!("the offer is refused: {why}")));
                (Response::for_request(request, StatusCode::NOT_ACCEPTABLE_HERE), None)
            }
        };
        let Some(config) = opened else {
            let _ = ports.sip.respond(now, id, response);
            return;
        };
        // The offerer may connect before it has seen the answer's ACK through.
        match ports.msrp.open_session(now, config) {
            Ok(session) => {
                let mut options = SessionOptions::default();
                options.overlap = Overlap::FirstStands;
                ports.msrp.set_options(session, options);
                self.session = Some(session);
            }
            Err(error) => return ports.host.event(Received::Failed(error.to_string())),
        }
        if let Err(refused) = ports.sip.accept(now, id, response) {
            ports.host.event(Received::Failed(refused.to_string()));
        }
    }

    /// RFC 5547 §8.3.1: what is offered is repeated, and only what can be continued is taken.
    fn answer(
        &mut self,
        now: Now,
        ports: Port<'_, '_>,
        request: &Request,
    ) -> Result<(SessionDescription, SessionConfig), String> {
        let offer = SessionDescription::parse(request.body(), &cpm_sdp::Limits::default())
            .map_err(|error| error.to_string())?;
        let offer = RemoteOffer::read(&offer).map_err(|error| error.to_string())?;
        let file = offer.file().cloned().filter(FileDescription::is_transfer).ok_or("no file is offered")?;
        let (expected, identity) = self.expect(&file)?;
        let local =
            ports.msrp.new_local_uri(&self.party.msrp.ip().to_string(), self.party.msrp.port(), false);
        let wished = MsrpMedia {
            file: Some(FileDescription { disposition: None, date: None, icon: None, ..file }),
            setup: Setup::Passive,
            direction: Direction::RecvOnly,
            ..self.party.media(local.to_string())
        };
        let ids = SessionIds { id: now.mono.as_micros() >> 2, version: 1 };
        let (description, negotiated) = offer.answer(&ids, &wished).map_err(|error| error.to_string())?;
        let config = config(local, &negotiated, expected.size)?;
        (self.expected, self.known) = (Some(expected), Some(identity));
        Ok((description, config))
    }

    /// What has to come, if the offered range can be continued with.
    fn expect(&self, file: &FileDescription) -> Result<(FileSinkOptions, FileIdentity), String> {
        let size = file.selector.size.ok_or("the size is not told")?;
        let hash =
            |name: &str| file.selector.hashes.iter().find(|hash| hash.algorithm.eq_ignore_ascii_case(name));
        let hash = hash("sha-256").map(|hash| hash.octets.clone());
        let transfer_id = file.transfer_id.as_ref().map(|id| id.as_str().to_owned());
        let offered = FileIdentity { size, hash: hash.clone(), transfer_id };
        let start = file.range.map_or(0, |range| range.start.saturating_sub(1));
        let end = file.range.and_then(|range| range.stop).unwrap_or(size);
        let known = self.known.as_ref().map_or(0, |known| resume_at(known, &offered, self.there));
        if start > known || end != size {
            return Err(format!("octets {start} to {end} do not continue the {known} that are there"));
        }
        let options = FileSinkOptions { size: Some(size), start, hash: HashKind::Sha256, expected: hash };
        Ok((options, offered))
    }

    fn sip(&mut self, now: Now, ports: Port<'_, '_>, event: Event) {
        let Event::Request { id, request, in_dialog, .. } = event else { return };
        if in_dialog.is_none() && *request.method() == Method::Invite {
            return self.invited(now, ports, id, &request);
        }
        if *request.method() == Method::Bye
            && let Some(session) = self.session.take()
        {
            // What is closed says no more of what was under way.
            if let Some((transfer, _)) = &self.sink {
                let (transfer, why) = (*transfer, AbortReason::SessionLost);
                self.msrp(now, ports, &cpm_msrp::Event::Aborted { transfer, why });
            }
            ports.msrp.close_session(now, session);
        }
        let _ = ports.sip.respond(now, id, Response::for_request(&request, StatusCode::OK));
    }

    fn msrp(&mut self, now: Now, ports: Port<'_, '_>, event: &cpm_msrp::Event) {
        if let cpm_msrp::Event::Incoming { transfer, .. } = event {
            return self.begin(*transfer);
        }
        let Some((_, sink)) = &mut self.sink else { return };
        sink.handle(now, ports.msrp, event);
        while let Some(query) = sink.poll_query() {
            match query {
                FileQuery::Write { offset, octets } => {
                    let done = self.stored.write(offset, &octets).is_ok();
                    sink.written(now, ports.msrp, offset, done);
                }
                FileQuery::Read { offset, max } => {
                    let octets = self.stored.read(offset, max).ok();
                    sink.read(now, ports.msrp, octets);
                }
            }
        }
        let Some(end) = sink.poll_event() else { return };
        self.sink = None;
        ports.host.event(match end {
            FileEvent::Complete { hash, .. } => Received::Complete(hash),
            FileEvent::Incomplete { there } => {
                self.there = there;
                Received::Incomplete(there)
            }
            other => Received::Failed(format!("{other:?}")),
        });
    }

    fn begin(&mut self, incoming: IncomingId) {
        if let Some(options) = self.expected.take() {
            self.sink = Some((incoming, FileSink::new(incoming, options)));
        }
    }
}

fn config(local: MsrpUri, negotiated: &Negotiated, size: Option<u64>) -> Result<SessionConfig, String> {
    Ok(SessionConfig {
        local_path: local,
        remote_path: super::path(negotiated)?,
        role: Role::Passive,
        matching: Matching::Rfc4975,
        max_chunk: None,
        max_message: size.unwrap_or(0),
    })
}

impl Function for Receiver {
    type Event = Received;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Received>) {
        match input {
            Input::Sip(event) => self.sip(now, ports, event),
            Input::Msrp(event) => self.msrp(now, ports, &event),
            Input::Reply(..) => {}
        }
    }

    fn handle_timeout(&mut self, _now: Now, _ports: &mut Ports<'_, Received>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
