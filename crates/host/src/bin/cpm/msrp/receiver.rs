//! The function of `cpm msrp listen`: one session for whoever knows its URI, again and again.

use super::inbox::Stored;
use cpm_base::{Instant, Now};
use cpm_core::{Function, Input, Ports};
use cpm_mime::ContentDisposition;
use cpm_msrp::{
    AbortReason, Event, FaultKind, FileEvent, FileQuery, FileSink, FileSinkOptions, HashKind, Head,
    IncomingId, LostReason, Matching, MsrpUri, Overlap, Role, SessionConfig, SessionId, SessionOptions,
    Status,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What it tells.
pub(crate) enum Told {
    /// A message came whole, and was answered.
    Message(Received),
    /// Something went wrong, in words.
    Trouble(String),
}

/// A message that came whole.
pub(crate) struct Received {
    pub(crate) message_id: String,
    pub(crate) content_type: String,
    pub(crate) octets: u64,
    pub(crate) hash: Vec<u8>,
    /// The file that it is kept in.
    pub(crate) path: Option<PathBuf>,
}

/// A message being received.
struct Message {
    message_id: String,
    content_type: String,
    sink: FileSink,
    stored: Stored,
}

pub(crate) struct Receiver {
    matching: Matching,
    max_message: u64,
    save: Option<PathBuf>,
    /// The session, and how it is opened.
    session: Option<(SessionId, SessionConfig)>,
    messages: BTreeMap<IncomingId, Message>,
}

type Port<'a, 'p> = &'a mut Ports<'p, Told>;

impl Receiver {
    /// Nothing is taken before [`Receiver::open`].
    pub(crate) fn new(matching: Matching, max_message: u64, save: Option<PathBuf>) -> Receiver {
        Receiver { matching, max_message, save, session: None, messages: BTreeMap::new() }
    }

    /// Waits for peers at this address; says under which URI.
    pub(crate) fn open(
        &mut self,
        now: Now,
        ports: Port<'_, '_>,
        here: SocketAddr,
    ) -> Result<MsrpUri, String> {
        let uri = ports.msrp.new_local_uri(&here.ip().to_string(), here.port(), false);
        let config = SessionConfig {
            local_path: uri.clone(),
            remote_path: Vec::new(),
            role: Role::Passive,
            matching: self.matching,
            max_chunk: None,
            max_message: self.max_message,
        };
        self.wait(now, ports, config)?;
        Ok(uri)
    }

    fn wait(&mut self, now: Now, ports: Port<'_, '_>, config: SessionConfig) -> Result<(), String> {
        let session = ports.msrp.await_session(now, config.clone()).map_err(|error| error.to_string())?;
        let mut options = SessionOptions::default();
        options.overlap = Overlap::FirstStands;
        ports.msrp.set_options(session, options);
        self.session = Some((session, config));
        Ok(())
    }

    /// The session ended, through a peer or because none came: the next one is waited for under the same URI.
    fn wait_again(&mut self, now: Now, ports: Port<'_, '_>, ended: SessionId) {
        let Some((_, config)) = self.session.take_if(|(session, _)| *session == ended) else { return };
        if let Err(error) = self.wait(now, ports, config) {
            ports.host.event(Told::Trouble(format!("no further peer can come: {error}")));
        }
    }

    fn begin(&mut self, ports: Port<'_, '_>, id: IncomingId, head: &Head) {
        let [message_id, content_type] =
            [head.message_id(), head.content_type()].map(|value| value.unwrap_or_default().to_owned());
        let stored = match &self.save {
            None => Ok(Stored::nowhere()),
            Some(dir) => {
                let wished = file_name(head);
                Stored::create(dir, wished.as_deref().into_iter().chain([message_id.as_str()]))
            }
        };
        match stored {
            Ok(stored) => {
                let options =
                    FileSinkOptions { size: None, start: 0, hash: HashKind::Sha256, expected: None };
                let sink = FileSink::new(id, options);
                self.messages.insert(id, Message { message_id, content_type, sink, stored });
            }
            Err(why) => ports.host.event(Told::Trouble(format!("message {message_id} is refused: {why}"))),
        }
    }

    fn msrp(&mut self, now: Now, ports: Port<'_, '_>, event: Event) {
        match event {
            Event::Incoming { transfer, head, .. } => {
                self.begin(ports, transfer, &head);
            }
            Event::Data { transfer, .. } => self.step(now, ports, transfer, &event),
            Event::ChunkEnd { transfer, chunk, .. } => {
                if self.messages.contains_key(&transfer) {
                    self.step(now, ports, transfer, &event);
                } else {
                    ports.msrp.respond(now, chunk, Status::STOP);
                }
            }
            Event::Aborted { transfer, why } => {
                if let Some(message) = self.messages.remove(&transfer) {
                    let why = aborted(why);
                    let text = format!("message {} did not become whole: {why}", message.message_id);
                    message.stored.discard();
                    ports.host.event(Told::Trouble(text));
                }
            }
            Event::Lost { session, why } => {
                if let Some(why) = lost(why) {
                    ports.host.event(Told::Trouble(format!("the connection ended: {why}")));
                }
                self.wait_again(now, ports, session);
            }
            Event::BindFailed { session, .. } => self.wait_again(now, ports, session),
            Event::Fault(fault) => {
                ports.host.event(Told::Trouble(format!("a peer's fault: {}", mistake(&fault.kind))));
            }
            _ => {}
        }
    }

    /// Brings an event to its message, and does what that wants done. Files are written at once, so that nothing waits in
    /// memory: this node has nothing else to do.
    fn step(&mut self, now: Now, ports: Port<'_, '_>, id: IncomingId, event: &Event) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        let Message { sink, stored, .. } = message;
        sink.handle(now, ports.msrp, event);
        let mut trouble = None;
        while let Some(query) = sink.poll_query() {
            match query {
                FileQuery::Write { offset, octets } => {
                    let done = stored.write(offset, &octets);
                    sink.written(now, ports.msrp, offset, done.is_ok());
                    trouble = trouble.or(done.err());
                }
                FileQuery::Read { offset, max } => {
                    let octets = stored.read(offset, max);
                    sink.read(now, ports.msrp, octets.as_ref().ok().cloned());
                    trouble = trouble.or(octets.err());
                }
            }
        }
        let Some(end) = sink.poll_event() else { return };
        let Some(message) = self.messages.remove(&id) else { return };
        match end {
            FileEvent::Complete { size, hash } => ports.host.event(Told::Message(Received {
                message_id: message.message_id,
                content_type: message.content_type,
                octets: size,
                hash,
                path: message.stored.path().map(PathBuf::from),
            })),
            _ => {
                let why = trouble.map_or_else(String::new, |error| format!(": {error}"));
                let text = format!("message {} cannot be kept{why}", message.message_id);
                message.stored.discard();
                ports.host.event(Told::Trouble(text));
            }
        }
    }
}

/// What the peer calls the file, if anything.
fn file_name(head: &Head) -> Option<String> {
    let disposition = ContentDisposition::parse(head.field("Content-Disposition")?).ok()?;
    Some(disposition.param("filename")?.to_owned())
}

fn mistake(fault: &FaultKind) -> String {
    match fault {
        FaultKind::Framing(_) => "what it sent is no MSRP; its connection is closed".to_owned(),
        FaultKind::Head(error) => format!("a request cannot be read ({error}); answered 400"),
        FaultKind::UnknownSession => "a request for another URI; answered 481".to_owned(),
        FaultKind::SessionInUse => {
            "a second connection for the session while the first is there; answered 506".to_owned()
        }
        FaultKind::OtherPeer => "a request with another From-Path; answered 403".to_owned(),
        FaultKind::UnknownMethod(method) => format!("the unknown method {method}; answered 501"),
        FaultKind::Limit(limit) => format!("too much ({limit})"),
        FaultKind::Contradiction => "chunks that contradict one another; answered 400".to_owned(),
        FaultKind::UnexpectedResponse => "a response to nothing".to_owned(),
        FaultKind::NeverBound => "a connection without a request; it is closed".to_owned(),
        _ => "of another kind".to_owned(),
    }
}

fn aborted(why: AbortReason) -> String {
    match why {
        AbortReason::ByPeer => "the sender gave it up".to_owned(),
        AbortReason::Idle => "it stood still for too long".to_owned(),
        AbortReason::Limit(limit) => format!("it is too much ({limit})"),
        AbortReason::Contradiction => "its chunks contradict one another".to_owned(),
        AbortReason::SessionLost => "the connection ended".to_owned(),
        _ => "of another reason".to_owned(),
    }
}

/// Why a session ended, unless the peer just went.
pub(crate) fn lost(why: LostReason) -> Option<String> {
    Some(match why {
        LostReason::Closed(cpm_base::CloseReason::PeerClosed | cpm_base::CloseReason::Done) => return None,
        LostReason::Closed(_) => "it broke".to_owned(),
        LostReason::Framing(_) => "the far side sent something else than MSRP".to_owned(),
        LostReason::Limit(limit) => format!("the far side went over a limit ({limit})"),
        LostReason::Refused(status) => format!("the far side answered {}", status.code()),
        LostReason::Timeout => "nothing came in time".to_owned(),
        LostReason::Open(error) => error.to_string(),
        _ => "of another reason".to_owned(),
    })
}

impl Function for Receiver {
    type Event = Told;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Told>) {
        if let Input::Msrp(event) = input {
            self.msrp(now, ports, event);
        }
    }

    fn handle_timeout(&mut self, _now: Now, _ports: &mut Ports<'_, Told>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
