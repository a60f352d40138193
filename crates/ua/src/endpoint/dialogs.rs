//! Dialogs (RFC 3261 §12): what they are made of, how they are found, the requests in them. What they are used for is in
//! `calls.rs` (the INVITE usage) and `usages.rs` (all others).

use super::Endpoint;
use super::calls::{Call, Phase};
use super::client::User;
use super::outgoing::Hop;
use super::usages::Usage;
use super::via::Head;
use crate::error::{InDialogRefused, Refusal, Refused};
use crate::event::{Body, Destination, DialogId, TransactionId};
use crate::timers::TimerKey;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use cpm_base::{FlowId, LimitExceeded, Now};
use cpm_sip::{
    CSeq, CallId, Contact, From, HeaderName, HeaderText, Headers, MaxForwards, Method, RecordRoute, Request,
    Response, Route, To, Uri,
};

/// Call-ID, local tag, remote tag (RFC 3261 §12).
pub(super) type DialogKey = (String, String, String);

/// A dialog. It lives as long as it is used for something: a call, subscriptions (RFC 5057).
#[derive(Debug, Clone)]
pub(super) struct Dialog {
    pub(super) key: DialogKey,
    pub(super) call_id: CallId,
    pub(super) local: From,
    pub(super) remote: To,
    pub(super) local_cseq: u32,
    pub(super) remote_cseq: Option<u32>,
    pub(super) target: Uri,
    pub(super) routes: Vec<Route>,
    /// The flow that the first request was sent on at the function's wish: the way of requests without Route.
    pub(super) flow: Option<FlowId>,
    /// The Contact that we gave: requests that refresh the target say the same.
    pub(super) contact: Option<HeaderText>,
    /// The INVITE usage.
    pub(super) call: Option<Call>,
    /// All other usages.
    pub(super) usages: BTreeSet<Usage>,
}

impl Dialog {
    /// The caller's side of the dialog that a response to our request makes (RFC 3261 §12.1.2).
    pub(super) fn as_client(origin: &Origin, response: &Response) -> Result<Dialog, Refusal> {
        let remote = response.typed::<To>()?.ok_or(Refusal::Missing("To"))?;
        let local_tag = origin.from.tag().unwrap_or_default().to_string();
        let remote_tag = remote.tag().unwrap_or_default().to_string();
        let mut routes: Vec<Route> =
            response.typed_list::<RecordRoute>()?.into_iter().map(Route::from).collect();
        routes.reverse();
        let contact = response.typed::<Contact>()?;
        let target = contact.as_ref().and_then(Contact::uri).unwrap_or(&origin.uri).clone();
        Ok(Dialog {
            key: (origin.call_id.as_str().to_string(), local_tag, remote_tag),
            call_id: origin.call_id.clone(),
            local: origin.from.clone(),
            remote,
            local_cseq: origin.cseq,
            remote_cseq: None,
            target,
            routes,
            flow: origin.flow,
            contact: origin.contact.clone(),
            call: None,
            usages: BTreeSet::new(),
        })
    }

    /// The called side of the dialog that our answer to a request makes; `local` is the To field of that answer
    /// (RFC 3261 §12.1.1).
    pub(super) fn from_request(request: &Request, local: To) -> Result<Dialog, Refusal> {
        let remote = request.typed::<From>()?.ok_or(Refusal::Missing("From"))?;
        let call_id = request.typed::<CallId>()?.ok_or(Refusal::Missing("Call-ID"))?;
        let cseq = request.typed::<CSeq>()?.ok_or(Refusal::Missing("CSeq"))?;
        let contact = request.typed::<Contact>()?;
        let target = contact.as_ref().and_then(Contact::uri).ok_or(Refusal::Missing("Contact"))?.clone();
        let routes = request.typed_list::<RecordRoute>()?.into_iter().map(Route::from).collect();
        let local_tag = local.tag().unwrap_or_default().to_string();
        let remote_tag = remote.tag().unwrap_or_default().to_string();
        Ok(Dialog {
            key: (call_id.as_str().to_string(), local_tag, remote_tag),
            call_id,
            local: From::from(local),
            remote: To::from(remote),
            local_cseq: 0,
            remote_cseq: Some(cseq.number),
            target,
            routes,
            flow: None,
            contact: None,
            call: None,
            usages: BTreeSet::new(),
        })
    }

    /// The same for a response of ours.
    pub(super) fn as_server(request: &Request, response: &Response) -> Result<Dialog, Refusal> {
        let local = response.typed::<To>()?.ok_or(Refusal::Missing("To"))?;
        let dialog = Dialog::from_request(request, local)?;
        Ok(Dialog { contact: contact_of(response.headers()), ..dialog })
    }

    /// Route set, target and tags as the 2xx says (RFC 3261 §13.2.2.4): they may differ from those of a provisional one.
    pub(super) fn confirm_from(&mut self, other: Dialog) {
        self.remote = other.remote;
        self.routes = other.routes;
        self.target = other.target;
    }

    /// The target as a target refresh says (RFC 3261 §12.2.1.2, §12.2.2).
    pub(super) fn refresh_target(&mut self, headers: &Headers) {
        if let Ok(Some(contact)) = headers.typed::<Contact>()
            && let Some(uri) = contact.uri()
        {
            self.target = uri.clone();
        }
    }

    /// A request in the dialog (RFC 3261 §12.2.1.1) with the next CSeq.
    pub(super) fn request(&mut self, method: Method) -> Request {
        self.local_cseq = self.local_cseq.saturating_add(1).min(CSeq::MAX);
        self.request_numbered(method, self.local_cseq)
    }

    /// A request in the dialog with this CSeq: an ACK has that of its INVITE (RFC 3261 §13.2.2.4).
    pub(super) fn request_numbered(&self, method: Method, cseq: u32) -> Request {
        let mut request = Request::new(method.clone(), self.target.clone());
        let headers = request.headers_mut();
        headers.push_typed(&MaxForwards(70));
        headers.set_typed_list(&self.routes);
        headers.push_typed(&self.local);
        headers.push_typed(&self.remote);
        headers.push_typed(&self.call_id);
        headers.push_typed(&CSeq::new(cseq, method));
        request
    }

    /// The number of a request that goes out again.
    pub(super) fn take_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1).min(CSeq::MAX);
        self.local_cseq
    }

    /// The way of its requests.
    pub(super) fn destination(&self) -> Destination {
        match self.flow {
            Some(flow) if self.routes.is_empty() => Destination::Flow(flow),
            _ => Destination::Routed,
        }
    }

    /// Whether it is used for anything.
    fn in_use(&self) -> bool {
        self.call.is_some() || !self.usages.is_empty()
    }
}

/// What the dialogs of one request of ours have in common.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) from: From,
    pub(super) call_id: CallId,
    pub(super) cseq: u32,
    pub(super) uri: Uri,
    pub(super) flow: Option<FlowId>,
    pub(super) contact: Option<HeaderText>,
}

impl Origin {
    pub(super) fn of(sent: &Request, flow: Option<FlowId>) -> Result<Origin, Refusal> {
        Ok(Origin {
            from: sent.typed::<From>()?.ok_or(Refusal::Missing("From"))?,
            call_id: sent.typed::<CallId>()?.ok_or(Refusal::Missing("Call-ID"))?,
            cseq: sent.typed::<CSeq>()?.ok_or(Refusal::Missing("CSeq"))?.number,
            uri: sent.uri().clone(),
            flow,
            contact: contact_of(sent.headers()),
        })
    }
}

/// The Contact of a message of ours as it stands.
pub(super) fn contact_of(headers: &Headers) -> Option<HeaderText> {
    let contact = headers.get(&HeaderName::Contact)?.to_text()?;
    HeaderText::new(&contact).ok()
}

impl Endpoint {
    /// Whether one more dialog can be held.
    pub(super) fn room_for_dialog(&self) -> Result<(), LimitExceeded> {
        let count = self.dialogs.len().saturating_add(1);
        LimitExceeded::check("dialog.max", count, self.config.limits.max_dialogs)
    }

    pub(super) fn insert_dialog(&mut self, dialog: Dialog) -> DialogId {
        let id = DialogId(self.next_id());
        self.dialog_keys.insert(dialog.key.clone(), id);
        self.dialogs.insert(id, dialog);
        self.schedule_dialog(id);
        id
    }

    pub(super) fn schedule_dialog(&mut self, id: DialogId) {
        let at = self.dialogs.get(&id).and_then(|dialog| dialog.call.as_ref()).and_then(Call::next_alarm);
        self.timers.set(TimerKey::Dialog(id), at);
    }

    /// The dialog that a received request is in.
    pub(super) fn dialog_of(&self, head: &Head) -> Option<DialogId> {
        self.dialog_keys.get(head.dialog.as_ref()?).copied()
    }

    /// The dialog with this Call-ID and these tags.
    #[must_use]
    pub fn find_dialog(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> Option<DialogId> {
        let key = (call_id.to_string(), local_tag.to_string(), remote_tag.to_string());
        self.dialog_keys.get(&key).copied()
    }

    /// Call-ID, local tag and remote tag of a dialog.
    #[must_use]
    pub fn dialog_ids(&self, id: DialogId) -> Option<(&str, &str, &str)> {
        let (call_id, local, remote) = &self.dialogs.get(&id)?.key;
        Some((call_id, local, remote))
    }

    /// Forgets a dialog without a word, whatever it is used for.
    pub(super) fn remove_dialog(&mut self, id: DialogId) -> Option<Dialog> {
        self.timers.set(TimerKey::Dialog(id), None);
        let dialog = self.dialogs.remove(&id)?;
        if self.dialog_keys.get(&dialog.key) == Some(&id) {
            self.dialog_keys.remove(&dialog.key);
        }
        Some(dialog)
    }

    /// Forgets a dialog that nothing uses any more.
    pub(super) fn drop_unused(&mut self, id: DialogId) {
        if self.dialogs.get(&id).is_some_and(|dialog| !dialog.in_use()) {
            self.remove_dialog(id);
        }
    }

    /// Sends a request in a dialog: any method but INVITE, ACK, CANCEL, BYE, PRACK and UPDATE, which have commands of their
    /// own. The
    /// header fields that a dialog gives (Request-URI, Route, From, To, Call-ID, CSeq, Max-Forwards) are made here; the
    /// given ones are added. Its response comes as [`Event::Response`](crate::Event::Response).
    ///
    /// # Errors
    /// The dialog is over or early, the method is none for this command, there is no way, too many transactions.
    pub fn send_in_dialog(
        &mut self,
        now: Now,
        id: DialogId,
        method: Method,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<TransactionId, InDialogRefused> {
        let refusal = match self.dialogs.get(&id).map(Dialog::call_state) {
            _ if matches!(
                method,
                Method::Invite | Method::Ack | Method::Cancel | Method::Bye | Method::Prack | Method::Update
            ) =>
            {
                Some(Refusal::Method(method.clone()))
            }
            None | Some(Some((Phase::Ended { .. }, _) | (_, Some(_)))) => Some(Refusal::Gone),
            Some(Some((Phase::AwaitsConfirm { .. }, _))) => Some(Refusal::Early),
            Some(_) => self.room_for_client().err().map(Refusal::Limit),
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, (id, headers, body)));
        }
        match self.build_in_dialog(id, method, &headers, body.as_ref()) {
            Err(why) => Err(Refused::new(why, (id, headers, body))),
            Ok((request, hop)) => {
                let transaction = self.begin_client(now, User::Dialog(id), request, hop);
                self.settle(now);
                Ok(transaction)
            }
        }
    }

    pub(super) fn build_in_dialog(
        &mut self,
        id: DialogId,
        method: Method,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(Request, Hop), Refusal> {
        let dialog = self.dialogs.get_mut(&id).ok_or(Refusal::Gone)?;
        let destination = dialog.destination();
        let mut request = dialog.request(method);
        add_fields(&mut request, headers, body);
        self.add_user_agent(&mut request);
        let hop = self.hop(&mut request, &destination, None)?;
        Ok((request, hop))
    }
}

/// Adds header fields and a body to a request.
pub(super) fn add_fields(request: &mut Request, headers: &Headers, body: Option<&Body>) {
    for (name, _) in headers.iter() {
        if !request.headers().contains(name) {
            request.headers_mut().copy_from(headers, name);
        }
    }
    match body {
        Some(body) => {
            request.headers_mut().replace(HeaderName::ContentType, body.content_type.clone());
            request.set_body(body.octets.clone());
        }
        None => request.set_body(bytes::Bytes::new()),
    }
}
