//! Dialogs with a call as records.

use super::super::Endpoint;
use super::super::calls::{Call, Phase};
use super::super::dialogs::Dialog;
use super::super::server::Owner;
use super::super::via::Head;
use super::subscriptions::read_usages;
use super::{
    Age, RestoreError, Restored, begin, read_bytes_option, read_list, read_value, write_bytes_option,
    write_instant, write_list, write_value,
};
use crate::error::Refusal;
use crate::event::{DialogId, NotifierId, RequestId, SubscriptionId};
use crate::session::exchange::Exchange;
use crate::session::timer::{self, Timer};
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::Now;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_sip::{CSeq, CallId, From, HeaderText, Route, To, Uri};

const KIND: [u8; 4] = *b"DIAL";
const VERSION: u16 = 1;

impl Endpoint {
    /// A confirmed dialog with its call and its subscriptions as a record, for
    /// [`restore_dialog`](Endpoint::restore_dialog) of this or another endpoint. This one keeps it: whoever hands it over
    /// sees to it that one alone goes on with it. [`subscription_dialog`](Endpoint::subscription_dialog) and
    /// [`notifier_dialog`](Endpoint::notifier_dialog) say in which dialog a subscription is.
    ///
    /// # Errors
    /// The dialog is over ([`Refusal::Gone`]) or early ([`Refusal::Early`]); something about it is under way: an ACK, a
    /// BYE, a change, an offer without its answer, a SUBSCRIBE or NOTIFY ([`Refusal::Busy`]); the record would be longer
    /// than `snapshot.max` allows.
    pub fn export_dialog(&self, now: Now, id: DialogId) -> Result<Vec<u8>, Refusal> {
        let dialog = self.dialogs.get(&id).ok_or(Refusal::Gone)?;
        let mut record = begin(KIND, VERSION, now);
        write_dialog(&mut record, dialog);
        record.flag(dialog.call.is_some());
        if let Some(call) = &dialog.call {
            at_rest(call)?;
            write_call(&mut record, call, now);
        }
        self.write_usages(&mut record, dialog.usages.iter().copied(), now)?;
        self.within_limit(record)
    }

    /// Takes up a dialog: requests in it are answered and sent from here on, its session and its subscriptions are
    /// refreshed in time. The [`seed`](crate::Config::seed) must not be that of the endpoint that wrote the record: it
    /// would draw the same branches once more.
    ///
    /// # Errors
    /// The record cannot be read; the dialog is here already; too many dialogs or subscriptions; the endpoint is draining.
    pub fn restore_dialog(&mut self, now: Now, octets: &[u8]) -> Result<Restored, RestoreError> {
        self.may_restore()?;
        let mut record = RecordReader::open(octets, KIND, VERSION, self.config.limits.max_record)?;
        let age = Age::read(&mut record, now)?;
        let mut dialog = read_dialog(&mut record)?;
        if record.flag()? {
            dialog.call = Some(read_call(&mut record, &age, now)?);
        }
        let most = Duration::from_secs(u64::from(self.config.limits.max_subscription));
        let usages = read_usages(&mut record, &age, now, most)?;
        record.finish()?;
        if dialog.call.is_none() && usages.is_empty() {
            return Err(RecordError::Value("use").into());
        }
        if self.dialog_keys.contains_key(&dialog.key) {
            return Err(RestoreError::Known);
        }
        self.room_for_dialog().and_then(|()| self.room_for_usages(&usages)).map_err(RestoreError::Limit)?;
        self.metrics.count("ua.dialogs_restored");
        let dialog = self.insert_dialog(dialog);
        Ok(self.take_up_usages(dialog, usages))
    }

    /// Hands a request that came as one of no dialog ([`Event::Request`](crate::Event::Request)) to its dialog, which was
    /// [restored](Endpoint::restore_dialog) meanwhile: what it means there comes as an event of its own. So a dialog may rest
    /// as a record until something comes for it.
    ///
    /// # Errors
    /// The request is answered, cancelled or being proxied; no dialog here is that of the request ([`Refusal::Gone`]).
    pub fn hand_to_dialog(&mut self, now: Now, id: RequestId) -> Result<(), Refusal> {
        let server = self.servers.get(&id).filter(|server| !server.answered()).ok_or(Refusal::Gone)?;
        if server.owner != Owner::Function {
            return Err(Refusal::Proxied);
        }
        let (flow, request) = (server.came_on.ok_or(Refusal::UnknownFlow)?, server.whole_request());
        let mut request = request.ok_or(Refusal::Gone)?;
        let info = self.flows.get(flow).map(|known| known.info.clone()).ok_or(Refusal::UnknownFlow)?;
        let head = Head::take(self.hash_key, &mut request, flow, &info)?;
        let dialog = self.dialog_of(&head).ok_or(Refusal::Gone)?;
        self.request_in_dialog(now, flow, id, &head, dialog);
        self.settle(now);
        Ok(())
    }

    /// The dialog that a subscription of ours is in.
    #[must_use]
    pub fn subscription_dialog(&self, id: SubscriptionId) -> Option<DialogId> {
        self.usages.subscriptions.get(&id).map(|known| known.dialog)
    }

    /// The dialog that a subscription is in that the function accepted.
    #[must_use]
    pub fn notifier_dialog(&self, id: NotifierId) -> Option<DialogId> {
        self.usages.notifiers.get(&id).map(|known| known.dialog)
    }
}

/// Whether nothing about a call is under way.
fn at_rest(call: &Call) -> Result<(), Refusal> {
    match call.phase {
        Phase::Confirmed => {}
        Phase::EarlyAsClient | Phase::EarlyAsServer { .. } => return Err(Refusal::Early),
        Phase::AwaitsConfirm { .. } | Phase::AwaitsAck { .. } => return Err(Refusal::Busy),
        Phase::Ended { .. } => return Err(Refusal::Gone),
    }
    let resting = call.is_up() && call.reinvite.is_none() && call.update.is_none();
    if resting && call.exchange == Exchange::Idle { Ok(()) } else { Err(Refusal::Busy) }
}

fn write_dialog(record: &mut RecordWriter, dialog: &Dialog) {
    record.text(dialog.call_id.as_str());
    write_value(record, &dialog.local);
    write_value(record, &dialog.remote);
    record.u32(dialog.local_cseq);
    record.flag(dialog.remote_cseq.is_some()).u32(dialog.remote_cseq.unwrap_or(0));
    record.text(dialog.target.as_str());
    write_list(record, &dialog.routes);
    record.option(dialog.contact.as_ref().map(HeaderText::as_str));
}

fn read_dialog(record: &mut RecordReader<'_>) -> Result<Dialog, RecordError> {
    let call_id = CallId::new(record.text()?).map_err(|_| RecordError::Value("Call-ID"))?;
    let local: From = read_value(record, "local address")?;
    let remote: To = read_value(record, "remote address")?;
    let local_tag = local.tag().ok_or(RecordError::Value("local tag"))?.to_string();
    let remote_tag = remote.tag().unwrap_or_default().to_string();
    let local_cseq = read_cseq(record)?;
    let has_remote = record.flag()?;
    let remote_cseq = read_cseq(record)?;
    let target = Uri::parse(record.text()?).map_err(|_| RecordError::Value("target"))?;
    let routes: Vec<Route> = read_list(record, "Route")?;
    let contact = record.option()?.map(HeaderText::new).transpose();
    Ok(Dialog {
        key: (call_id.as_str().to_string(), local_tag, remote_tag),
        call_id,
        local,
        remote,
        local_cseq,
        remote_cseq: has_remote.then_some(remote_cseq),
        target,
        routes,
        flow: None,
        contact: contact.map_err(|_| RecordError::Value("Contact"))?,
        call: None,
        usages: BTreeSet::new(),
    })
}

fn read_cseq(record: &mut RecordReader<'_>) -> Result<u32, RecordError> {
    let number = record.u32()?;
    if number > CSeq::MAX { Err(RecordError::Value("CSeq")) } else { Ok(number) }
}

fn write_call(record: &mut RecordWriter, call: &Call, now: Now) {
    record.flag(call.owner).u32(call.exchanges).u32(call.offers).flag(call.peer_updates);
    let state = match call.timer.state {
        timer::State::Off => 0,
        // A refresh needs a change under way: there is none.
        timer::State::Refresher | timer::State::Refreshing => 1,
        timer::State::Watcher => 2,
        timer::State::Expired => 3,
    };
    record.u8(state).u32(call.timer.seconds);
    write_instant(record, call.timer.refresh_at, now);
    write_instant(record, call.timer.end_at, now);
    write_bytes_option(record, call.kept_local.as_ref());
}

fn read_call(record: &mut RecordReader<'_>, age: &Age, now: Now) -> Result<Call, RecordError> {
    let mut call = Call::new(Phase::Confirmed, record.flag()?, Exchange::Idle);
    call.exchanges = record.u32()?;
    call.offers = record.u32()?;
    call.peer_updates = record.flag()?;
    let state = match record.u8()? {
        0 => timer::State::Off,
        1 => timer::State::Refresher,
        2 => timer::State::Watcher,
        3 => timer::State::Expired,
        _ => return Err(RecordError::Value("session timer")),
    };
    let (seconds, most) = (record.u32()?, Duration::from_secs(u64::from(timer::MOST)));
    let refresh_at = age.instant(record, now, most)?;
    let end_at = age.instant(record, now, most)?;
    call.timer = match state {
        timer::State::Off => Timer::OFF,
        _ if !(timer::LEAST..=timer::MOST).contains(&seconds) => {
            return Err(RecordError::Value("session interval"));
        }
        state => Timer { state, seconds, refresh_at, end_at },
    };
    call.kept_local = read_bytes_option(record)?;
    Ok(call)
}
