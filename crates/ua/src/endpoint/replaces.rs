//! An INVITE that takes the place of a dialog (RFC 3891): nothing is handed over unless the function allows it (C15).

use super::Endpoint;
use super::calls::Phase;
use crate::error::Refusal;
use crate::event::{DialogEnd, DialogId, Event, RequestId};
use cpm_base::{FlowId, Now};
use cpm_sip::{HeaderName, Replaces, Request, Response, StatusCode};

/// What an INVITE with Replaces asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replacing {
    dialog: DialogId,
    allowed: bool,
}

impl Replacing {
    pub(super) fn allowed(&self) -> bool {
        self.allowed
    }
}

impl Endpoint {
    /// Which dialog the INVITE means; else the status that it deserves (RFC 3891 §3). Both tags have to be right.
    fn replaced_by(&self, request: &Request) -> Result<Option<DialogId>, StatusCode> {
        if !self.supports("replaces") || !request.headers().contains(&HeaderName::Replaces) {
            return Ok(None);
        }
        let replaces = match request.typed::<Replaces>() {
            Ok(Some(replaces)) if request.headers().count(&HeaderName::Replaces) == 1 => replaces,
            _ => return Err(StatusCode::BAD_REQUEST),
        };
        let unknown = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        let (to_tag, from_tag) = (replaces.to_tag(), replaces.from_tag());
        if to_tag.is_empty() || from_tag.is_empty() {
            return Err(unknown);
        }
        let dialog = self.find_dialog(replaces.call_id(), to_tag, from_tag).ok_or(unknown)?;
        let call = self.call(dialog).ok_or(unknown)?;
        match call.phase {
            Phase::Ended { .. } => Err(StatusCode::DECLINE),
            _ if call.bye.is_some() => Err(StatusCode::DECLINE),
            Phase::EarlyAsServer { .. } => Err(unknown),
            Phase::EarlyAsClient => Ok(Some(dialog)),
            _ if replaces.early_only() => Err(StatusCode::BUSY_HERE),
            _ => Ok(Some(dialog)),
        }
    }

    /// Takes an INVITE with Replaces. `false` when it is an INVITE like any other.
    pub(super) fn replaces(&mut self, now: Now, flow: FlowId, id: RequestId, request: &Request) -> bool {
        match self.replaced_by(request) {
            Ok(None) => return false,
            Ok(Some(dialog)) => {
                if let Some(server) = self.servers.get_mut(&id) {
                    server.replacing = Some(Replacing { dialog, allowed: false });
                }
                self.event(Event::Replaces { id, flow, request: request.clone(), dialog });
            }
            Err(status) => self.refuse(now, flow, id, Response::for_request(request, status)),
        }
        true
    }

    /// Allows the INVITE of [`Event::Replaces`] to take the place of the dialog, once it is accepted: the function has made
    /// sure that its sender may.
    ///
    /// # Errors
    /// The INVITE is over or replaces nothing.
    pub fn allow_replacing(&mut self, id: RequestId) -> Result<DialogId, Refusal> {
        let server = self.servers.get_mut(&id).filter(|server| !server.answered()).ok_or(Refusal::Gone)?;
        let replacing = server.replacing.as_mut().ok_or(Refusal::Replaces)?;
        replacing.allowed = true;
        Ok(replacing.dialog)
    }

    /// The INVITE is accepted: the dialog whose place it took goes.
    pub(super) fn replace(&mut self, now: Now, replacing: Replacing) {
        let Some(call) = self.call(replacing.dialog) else { return };
        match (call.phase, call.invite) {
            (Phase::EarlyAsClient, Some(invite)) => drop(self.cancel(now, invite)),
            (Phase::AwaitsConfirm { .. }, _) => {
                self.send_ack(now, replacing.dialog, None);
                self.set_phase(replacing.dialog, Phase::Confirmed);
                self.bye_by_itself(now, replacing.dialog);
                self.end_call(now, replacing.dialog, DialogEnd::Replaced);
            }
            _ => {
                self.bye_by_itself(now, replacing.dialog);
                self.end_call(now, replacing.dialog, DialogEnd::Replaced);
            }
        }
    }
}
