//! Alice: offers a file and sends it, or what is missing of it.

use super::{MEDIA_TYPE, NAME, Party};
use bytes::Bytes;
use cpm_base::{Instant, Now, Transport};
use cpm_core::{Function, Input, Ports};
use cpm_msrp::{
    FailureReport, FileQuery, FileSource, Matching, MsrpUri, Outgoing, Role, SendFailure, SessionConfig,
    SessionId,
};
use cpm_sdp::{
    Direction, FileDescription, FileRange, FileSelector, Hash, MsrpMedia, Negotiated, PendingOffer,
    SessionDescription, SessionIds, Setup, Token,
};
use cpm_sip::{From, HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode, Uri};
use cpm_ua::{Destination, DialogId, Event, InviteId};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};

/// What she tells.
pub(crate) enum Sent {
    /// So much of the file has Bob taken.
    Progress(u64),
    /// The connection is gone; so much has he taken.
    Broken(u64),
    /// He has taken all of it.
    Whole,
    /// It cannot go on.
    Failed(String),
}

/// One offer, and what came of it.
struct Call {
    invite: InviteId,
    pending: Option<PendingOffer>,
    local: MsrpUri,
    /// What Bob had before.
    from: u64,
    /// What he has now.
    taken: u64,
    dialog: Option<DialogId>,
    session: Option<SessionId>,
    source: FileSource,
}

pub(crate) struct Sender {
    party: Party,
    file: Bytes,
    call: Option<Call>,
    /// Counts transfers: each has an id of its own (RFC 5547 §6).
    transfers: u64,
}

type Port<'a, 'p> = &'a mut Ports<'p, Sent>;

impl Sender {
    pub(super) fn new(party: Party, file: Bytes) -> Sender {
        Sender { party, file, call: None, transfers: 0 }
    }

    fn size(&self) -> u64 {
        u64::try_from(self.file.len()).unwrap_or(u64::MAX)
    }

    /// Offers the file from behind octet `from`.
    pub(super) fn offer(&mut self, now: Now, ports: Port<'_, '_>, to: Uri, from: u64) -> Result<(), String> {
        let source = FileSource::new(from, self.size()).ok_or("nothing is left to send")?;
        let local =
            ports.msrp.new_local_uri(&self.party.msrp.ip().to_string(), self.party.msrp.port(), false);
        let media = self.media(&local, from);
        let ids = SessionIds { id: now.mono.as_micros() >> 2, version: 1 };
        let (description, pending) = cpm_sdp::offer(&ids, &media).map_err(|error| error.to_string())?;
        let mut request = Request::new(Method::Invite, to)
            .with_typed(&From::new(self.party.contact.clone()))
            .with_typed(&self.party.contact());
        request.headers_mut().push(HeaderName::ContentType, HeaderText::sanitized("application/sdp"));
        request.set_body(description.to_bytes());
        let invite =
            ports.sip.invite(now, request, Destination::Routed).map_err(|refused| refused.to_string())?;
        let pending = Some(pending);
        self.call =
            Some(Call { invite, pending, local, from, taken: from, dialog: None, session: None, source });
        Ok(())
    }

    fn media(&mut self, local: &MsrpUri, from: u64) -> MsrpMedia {
        self.transfers = self.transfers.saturating_add(1);
        let hash = Hash { algorithm: "sha-256".to_owned(), octets: Sha256::digest(&self.file).to_vec() };
        let range = if from > 0 { FileRange::new(from.saturating_add(1), Some(self.size())) } else { None };
        let file = FileDescription {
            selector: FileSelector {
                name: Some(NAME.to_owned()),
                size: Some(self.size()),
                media_type: Some(MEDIA_TYPE.to_owned()),
                hashes: vec![hash],
            },
            // The session-id is as random as it has to be.
            transfer_id: Token::new(&format!("{}{}", local.session_id(), self.transfers)),
            disposition: Token::new("attachment"),
            range,
            ..FileDescription::default()
        };
        MsrpMedia {
            file: Some(file),
            setup: Setup::ActPass,
            direction: Direction::SendOnly,
            ..self.party.media(local.to_string())
        }
    }

    fn accepted(
        &mut self,
        now: Now,
        ports: Port<'_, '_>,
        dialog: DialogId,
        response: &Response,
    ) -> Result<(), String> {
        ports.sip.confirm(now, dialog, None).map_err(|refused| refused.to_string())?;
        let Some(call) = &mut self.call else { return Ok(()) };
        call.dialog = Some(dialog);
        let answer = SessionDescription::parse(response.body(), &cpm_sdp::Limits::default())
            .map_err(|error| error.to_string())?;
        let pending = call.pending.take().ok_or("a second answer")?;
        let negotiated = pending.answered(&answer).map_err(|error| error.to_string())?;
        let session = open(now, ports, &call.local, &negotiated)?;
        call.session = Some(session);
        let outgoing = Outgoing {
            message_id: None,
            content_type: MEDIA_TYPE.into(),
            body: call.source.body(),
            success_report: false,
            failure_report: FailureReport::Yes,
        };
        let sent = ports.msrp.send(now, session, outgoing).map_err(|error| error.to_string())?;
        call.source.attach(sent);
        Ok(())
    }

    fn sip(&mut self, now: Now, ports: Port<'_, '_>, event: Event) {
        let ours = |invite| self.call.as_ref().is_some_and(|call| call.invite == invite);
        match event {
            Event::InviteAccepted { invite, dialog, response } if ours(invite) => {
                if let Err(why) = self.accepted(now, ports, dialog, &response) {
                    ports.host.event(Sent::Failed(why));
                }
            }
            Event::InviteFailed { invite, response, .. } if ours(invite) => {
                let why = response.map_or("no answer".to_owned(), |response| response.status().to_string());
                ports.host.event(Sent::Failed(format!("the offer was refused: {why}")));
            }
            Event::Request { id, request, .. } => {
                // An answer that is too late is nobody's any more.
                let _ = ports.sip.respond(now, id, Response::for_request(&request, StatusCode::OK));
            }
            _ => {}
        }
    }

    fn msrp(&mut self, now: Now, ports: Port<'_, '_>, event: &cpm_msrp::Event) {
        let Some(call) = &mut self.call else { return };
        if call.source.handle(event) {
            while let Some(FileQuery::Read { offset, max }) = call.source.poll_query() {
                let at = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX).min(self.file.len());
                let octets = self.file.slice(at(offset)..at(offset.saturating_add(max)));
                call.source.read(now, ports.msrp, Some(octets));
            }
            return;
        }
        match event {
            cpm_msrp::Event::Progress { acknowledged, .. } => {
                call.taken = call.from.saturating_add(*acknowledged);
                ports.host.event(Sent::Progress(call.taken));
            }
            cpm_msrp::Event::Sent { .. } => self.end(now, ports, |_| Sent::Whole),
            cpm_msrp::Event::Lost { .. } | cpm_msrp::Event::BindFailed { .. } => {
                self.end(now, ports, Sent::Broken)
            }
            // Why the session was lost is told next.
            cpm_msrp::Event::SendFailed { why: SendFailure::SessionLost, .. } => {}
            cpm_msrp::Event::SendFailed { status, why, .. } => {
                ports.host.event(Sent::Failed(format!("{why:?} {status:?}")));
            }
            _ => {}
        }
    }

    fn end(&mut self, now: Now, ports: Port<'_, '_>, tell: impl FnOnce(u64) -> Sent) {
        let Some(call) = self.call.take() else { return };
        if let Some(session) = call.session {
            ports.msrp.close_session(now, session);
        }
        if let Some(dialog) = call.dialog {
            // A dialog that Bob has ended needs no BYE.
            let _ = ports.sip.bye(now, dialog, Headers::new());
        }
        ports.host.event(tell(call.taken));
    }
}

/// The session of the answer: she connects.
fn open(
    now: Now,
    ports: Port<'_, '_>,
    local: &MsrpUri,
    negotiated: &Negotiated,
) -> Result<SessionId, String> {
    let host = negotiated.remote.host.to_string();
    let address: IpAddr = host.parse().map_err(|_| format!("{host} is no address"))?;
    let there = SocketAddr::new(address, negotiated.remote.port);
    ports
        .msrp
        .open_session(
            now,
            SessionConfig {
                local_path: local.clone(),
                remote_path: super::path(negotiated)?,
                role: Role::Active(there, Transport::Tcp),
                matching: Matching::Rfc4975,
                max_chunk: negotiated.max_chunk_size_octets,
                max_message: 0,
            },
        )
        .map_err(|error| error.to_string())
}

impl Function for Sender {
    type Event = Sent;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Sent>) {
        match input {
            Input::Sip(event) => self.sip(now, ports, event),
            Input::Msrp(event) => self.msrp(now, ports, &event),
            Input::Reply(..) => {}
        }
    }

    fn handle_timeout(&mut self, _now: Now, _ports: &mut Ports<'_, Sent>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
