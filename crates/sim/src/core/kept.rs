//! What of the registrar outlives the process: the bindings of each user, kept by the host before the 200 goes out.
//!
//! A restart in between is then invisible to the devices: who registered over UDP is known again by the address of his
//! flow and reached at it; who has a connection makes a new one and proves himself on it.

use super::registrar::{Accepted, Binding};
use super::{CoreEvent, CorePorts, SipIpCore};
use bytes::Bytes;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{DateTime, Instant, Now, Transport};
use cpm_core::{Query, QueryId, Record, Reply, StateRecord};
use cpm_sip::{Message, Request, StatusCode, parse_datagram};
use std::net::SocketAddr;
use std::time::Duration;

const KIND: [u8; 4] = *b"CORU";
const VERSION: u16 = 1;
/// The octets of one user's record at most: those of 10 devices with a request each.
const MAX_RECORD: usize = 1 << 20;
/// How many third-party registrations may have gone out since a record was written: the next begins above them.
const CSEQ_AHEAD: u32 = 16;

/// The name of a user's record.
fn key(name: &str) -> String {
    format!("core/user/{name}")
}

/// A user as a record has him.
struct KeptUser {
    third_party: (String, String, u32),
    bindings: Vec<Binding>,
    register: Option<Request>,
}

impl SipIpCore {
    /// Asks the host to keep a user's bindings; the REGISTER is answered when it has.
    pub(super) fn keep(&mut self, now: Now, user: usize, accepted: Accepted, ports: &mut CorePorts<'_>) {
        let Some(record) = self.record(now, user, &accepted) else { return };
        let query = ports.host.query(Query::Store(Record::State(record)));
        self.keeping.insert(query, (user, accepted));
    }

    fn record(&self, now: Now, user: usize, accepted: &Accepted) -> Option<StateRecord> {
        let state = self.users.get(user)?;
        let key = key(&state.user.identities.first()?.address_key());
        if state.bindings.is_empty() {
            return Some(StateRecord::remove(key));
        }
        let mut record = RecordWriter::new(KIND, VERSION);
        let (call_id, tag, cseq) = state.third_party.names();
        record.text(call_id).text(tag).u32(cseq);
        record.bytes(&accepted.request.to_bytes());
        record.count(state.bindings.len());
        for binding in &state.bindings {
            let left = binding.expires_at.since(now.mono);
            let until = u64::try_from(now.wall.plus(left).unix_micros()).unwrap_or(0);
            let peer = binding.peer.map(|(transport, peer)| format!("{transport} {peer}"));
            record.bytes(&binding.to_request().to_bytes()).u64(until).option(peer.as_deref());
        }
        Some(StateRecord::put(key, record.finish()))
    }

    /// The host has kept a record, or not: then the binding is not confirmed, and who registered is told so.
    pub(super) fn kept(&mut self, now: Now, query: QueryId, reply: &Reply, ports: &mut CorePorts<'_>) {
        let Some((user, accepted)) = self.keeping.remove(&query) else { return };
        match reply {
            Reply::Stored(Ok(())) => self.confirm(now, user, accepted, ports),
            _ => {
                // What was before holds on, unless more came meanwhile.
                let alone = !self.keeping.values().any(|(other, _)| *other == user);
                if let Some(state) = self.users.get_mut(user).filter(|_| alone) {
                    state.bindings = accepted.before;
                }
                self.replaced(user);
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                Self::refuse(now, accepted.id, &accepted.request, status, ports);
            }
        }
    }

    /// A core that knows who is registered from the records that were kept: those of [`cpm_core::standing`]; others are
    /// passed over. Participating Functions are told of the registrations anew. `now` is the time of the restart.
    /// Records that cannot be read, or of users that are no more, are left out; how many is told.
    #[must_use]
    pub fn restored(mut self, now: Now, records: &[Record]) -> (Self, usize) {
        let mut left_out = 0;
        for record in records {
            let Record::State(StateRecord { key, value: Some(value) }) = record else { continue };
            let Some(name) = key.strip_prefix("core/user/") else { continue };
            let user = self.by_identity.get(name).copied();
            match user.and_then(|user| Some((user, read(value, now).ok()?))) {
                Some((user, kept)) => self.take_up(now, user, kept),
                None => left_out += 1,
            }
        }
        (self, left_out)
    }

    fn take_up(&mut self, now: Now, user: usize, kept: KeptUser) {
        let Some(state) = self.users.get_mut(user) else { return };
        let (call_id, tag, cseq) = kept.third_party;
        state.third_party.resume(call_id, tag, cseq.saturating_add(CSEQ_AHEAD));
        state.bindings = kept.bindings;
        for binding in &state.bindings {
            if let Some(peer) = binding.peer {
                self.awaited.insert(peer, user);
            }
        }
        self.replaced(user);
        self.retell.push((user, kept.register));
        self.retell_at = now.mono;
    }

    /// Tells the Participating Functions of the registrations that were taken up.
    pub(super) fn retell(&mut self, now: Now, ports: &mut CorePorts<'_>) {
        for (user, register) in std::mem::take(&mut self.retell) {
            let tag = self.random.public_token(13);
            let Some(state) = self.users.get(user) else { continue };
            ports.host.event(CoreEvent::Registered { user: state.name(), bindings: state.bindings.len() });
            let cause = register.map(|request| {
                let response = self.accepted(now, state, None, &request, &tag);
                (request, response)
            });
            self.tell(now, user, cause, ports);
        }
    }
}

fn read(octets: &[u8], now: Now) -> Result<KeptUser, RecordError> {
    let mut record = RecordReader::open(octets, KIND, VERSION, MAX_RECORD)?;
    let third_party = (record.text()?.to_owned(), record.text()?.to_owned(), record.u32()?);
    let register = request(record.bytes()?);
    let mut bindings = Vec::new();
    for _ in 0..record.count()? {
        let kept = request(record.bytes()?).ok_or(RecordError::Value("binding"))?;
        let expires_at = until(record.u64()?, now);
        let peer = record.option()?.map(|text| peer(text).ok_or(RecordError::Value("peer"))).transpose()?;
        let binding = Binding::of_request(&kept, expires_at, peer).ok_or(RecordError::Value("binding"))?;
        bindings.push(binding);
    }
    record.finish()?;
    bindings.retain(|binding| binding.expires_at > now.mono);
    Ok(KeptUser { third_party, bindings, register })
}

fn request(octets: &[u8]) -> Option<Request> {
    match parse_datagram(Bytes::copy_from_slice(octets), &cpm_sip::Limits::default()) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
}

/// The monotonic time of a point of wall-clock time that lies ahead.
fn until(micros: u64, now: Now) -> Instant {
    let at = i64::try_from(micros).ok().and_then(|micros| DateTime::from_unix_micros(micros).ok());
    let left = at.map_or(0, |at| at.unix_micros().saturating_sub(now.wall.unix_micros()));
    now.mono.plus(Duration::from_micros(u64::try_from(left).unwrap_or(0)))
}

fn peer(text: &str) -> Option<(Transport, SocketAddr)> {
    let (transport, address) = text.split_once(' ')?;
    let transport = match transport {
        "UDP" => Transport::Udp,
        "TCP" => Transport::Tcp,
        _ => Transport::Tls,
    };
    Some((transport, address.parse().ok()?))
}
