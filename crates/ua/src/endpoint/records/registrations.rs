//! Registrations as records.

use super::super::Endpoint;
use super::super::lease::Lease;
use super::super::registrations::{Binding, Bindings, NewRegistration, Registration};
use super::{
    Age, RestoreError, begin, read_headers, read_list, read_value, write_headers, write_instant, write_list,
    write_value,
};
use crate::error::Refusal;
use crate::event::{Destination, RegistrationId};
use crate::usages::soft_state::State;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{Now, Transport};
use cpm_sip::{CSeq, CallId, Contact, ContactAddr, From, Uri};

const KIND: [u8; 4] = *b"REGI";
const VERSION: u16 = 1;

/// No alarm is further away than the longest lifetime that can be said.
const MOST: Duration = Duration::from_secs(u32::MAX as u64);

impl Endpoint {
    /// A registration as a record, for [`restore_registration`](Endpoint::restore_registration) of this or another
    /// endpoint. A REGISTER under way is sent again there. A registration that goes on a certain flow goes where its
    /// Route or registrar is there.
    ///
    /// # Errors
    /// There is none; it is being removed ([`Refusal::Busy`]); the record would be longer than `snapshot.max` allows.
    pub fn export_registration(&self, now: Now, id: RegistrationId) -> Result<Vec<u8>, Refusal> {
        let registration = self.usages.registrations.get(&id).ok_or(Refusal::Gone)?;
        if registration.lease.state == State::Removing {
            return Err(Refusal::Busy);
        }
        let mut record = begin(KIND, VERSION, now);
        write_wanted(&mut record, &registration.wanted);
        write_contacts(&mut record, &registration.leaving);
        record.text(registration.call_id.as_str()).u32(registration.cseq);
        write_lease(&mut record, &registration.lease, now);
        record.flag(registration.bindings.is_some());
        if let Some(bindings) = &registration.bindings {
            write_bindings(&mut record, bindings);
        }
        self.within_limit(record)
    }

    /// Takes up a registration: it is refreshed in time, or tried again when its time comes. What happens comes as
    /// [`Event::Registration`](crate::Event::Registration).
    ///
    /// # Errors
    /// The record cannot be read; a registration with its Call-ID is here already; too many registrations; the endpoint
    /// is draining.
    pub fn restore_registration(&mut self, now: Now, octets: &[u8]) -> Result<RegistrationId, RestoreError> {
        self.may_restore()?;
        let mut record = RecordReader::open(octets, KIND, VERSION, self.config.limits.max_record)?;
        let age = Age::read(&mut record, now)?;
        let wanted = read_wanted(&mut record)?;
        let leaving = read_contacts(&mut record)?;
        let call_id = CallId::new(record.text()?).map_err(|_| RecordError::Value("Call-ID"))?;
        let cseq = record.u32()?;
        if cseq > CSeq::MAX {
            return Err(RecordError::Value("CSeq").into());
        }
        let lease = read_lease(&mut record, &age, now)?;
        let bindings = if record.flag()? { Some(read_bindings(&mut record)?) } else { None };
        record.finish()?;
        if self.usages.registrations.values().any(|known| known.call_id == call_id) {
            return Err(RestoreError::Known);
        }
        let (held, max) = (self.usages.registrations.len(), self.config.limits.max_registrations);
        if let Err(Refusal::Limit(limit)) = Endpoint::room("reg.max", held, max) {
            return Err(RestoreError::Limit(limit));
        }
        let id = RegistrationId(self.next_id());
        let registration = Registration::restored(wanted, leaving, call_id, cseq, lease, bindings);
        self.usages.registrations.insert(id, registration);
        self.schedule_registration(id);
        self.metrics.count("ua.registrations_restored");
        Ok(id)
    }
}

fn write_contacts(record: &mut RecordWriter, contacts: &[ContactAddr]) {
    record.count(contacts.len());
    for contact in contacts {
        write_value(record, &Contact::Addr(contact.clone()));
    }
}

fn read_contacts(record: &mut RecordReader<'_>) -> Result<Vec<ContactAddr>, RecordError> {
    let contacts: Vec<Contact> = read_list(record, "Contact")?;
    let address = |contact: Contact| contact.as_addr().cloned().ok_or(RecordError::Value("Contact"));
    contacts.into_iter().map(address).collect()
}

fn write_wanted(record: &mut RecordWriter, wanted: &NewRegistration) {
    record.text(wanted.registrar.as_str());
    write_value(record, &From::new(wanted.address.clone()));
    write_contacts(record, &wanted.contacts);
    record.u32(wanted.expires);
    write_headers(record, &wanted.headers);
    write_list(record, &wanted.routes);
    match &wanted.destination {
        Destination::Routed | Destination::Flow(_) => drop(record.u8(0)),
        Destination::To(transport, remote) => {
            let transport = match transport {
                Transport::Udp => 1,
                Transport::Tcp => 2,
                Transport::Tls => 3,
            };
            record.u8(transport).text(&alloc::format!("{remote}"));
        }
    }
}

fn read_wanted(record: &mut RecordReader<'_>) -> Result<NewRegistration, RecordError> {
    let registrar = Uri::parse(record.text()?).map_err(|_| RecordError::Value("registrar"))?;
    let address = read_value::<From>(record, "address")?.address().clone();
    let contacts = read_contacts(record)?;
    let expires = record.u32()?;
    if contacts.is_empty() || expires == 0 {
        return Err(RecordError::Value("registration"));
    }
    let headers = read_headers(record)?;
    let routes = read_list(record, "Route")?;
    let destination = match record.u8()? {
        0 => Destination::Routed,
        n @ 1..=3 => {
            let transport = match n {
                1 => Transport::Udp,
                2 => Transport::Tcp,
                _ => Transport::Tls,
            };
            let remote: SocketAddr = record.text()?.parse().map_err(|_| RecordError::Value("address"))?;
            Destination::To(transport, remote)
        }
        _ => return Err(RecordError::Value("transport")),
    };
    Ok(NewRegistration { registrar, address, contacts, expires, headers, routes, destination })
}

/// Where it stands: 0 nowhere, 1 at the registrar, 2 about to be tried again. A REGISTER that is under way counts as one
/// that is due.
fn write_lease(record: &mut RecordWriter, lease: &Lease, now: Now) {
    let state = match lease.state {
        State::Absent | State::Removing => 0,
        State::Standing | State::Refreshing => 1,
        State::Creating | State::Waiting => 2,
    };
    record.u8(state).u32(lease.wish).u32(lease.failures());
    write_instant(record, lease.next().unwrap_or(now.mono), now);
    write_instant(record, lease.until.unwrap_or(now.mono), now);
}

fn read_lease(record: &mut RecordReader<'_>, age: &Age, now: Now) -> Result<Lease, RecordError> {
    let state = match record.u8()? {
        0 => State::Absent,
        1 => State::Standing,
        2 => State::Waiting,
        _ => return Err(RecordError::Value("state")),
    };
    let (wish, failures) = (record.u32()?, record.u32()?);
    let next = age.instant(record, now, MOST)?;
    let until = age.instant(record, now, MOST)?;
    Ok(Lease::restored(state, wish, failures, next, until))
}

fn write_bindings(record: &mut RecordWriter, bindings: &Bindings) {
    record.u32(bindings.expires).count(bindings.own.len());
    for binding in &bindings.own {
        write_value(record, &Contact::Addr(binding.contact.clone()));
        record.u32(binding.expires);
        record.option(binding.pub_gruu.as_ref().map(Uri::as_str));
        record.option(binding.temp_gruu.as_ref().map(Uri::as_str));
    }
    write_contacts(record, &bindings.others);
    write_list(record, &bindings.path);
    write_list(record, &bindings.service_route);
    write_list(record, &bindings.associated);
    record.flag(bindings.outbound).flag(bindings.flow_timer.is_some()).u32(bindings.flow_timer.unwrap_or(0));
}

fn read_bindings(record: &mut RecordReader<'_>) -> Result<Bindings, RecordError> {
    let expires = record.u32()?;
    let mut own = Vec::new();
    for _ in 0..record.count()? {
        let contact: Contact = read_value(record, "Contact")?;
        let contact = contact.as_addr().cloned().ok_or(RecordError::Value("Contact"))?;
        let expires = record.u32()?;
        let (pub_gruu, temp_gruu) = (read_gruu(record)?, read_gruu(record)?);
        own.push(Binding { contact, expires, pub_gruu, temp_gruu });
    }
    let others = read_contacts(record)?;
    let path = read_list(record, "Path")?;
    let service_route = read_list(record, "Service-Route")?;
    let associated = read_list(record, "P-Associated-URI")?;
    let outbound = record.flag()?;
    let (has_timer, seconds) = (record.flag()?, record.u32()?);
    let flow_timer = has_timer.then_some(seconds);
    Ok(Bindings { expires, own, others, path, service_route, associated, outbound, flow_timer })
}

fn read_gruu(record: &mut RecordReader<'_>) -> Result<Option<Uri>, RecordError> {
    record.option()?.map(Uri::parse).transpose().map_err(|_| RecordError::Value("GRUU"))
}
