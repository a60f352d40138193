//! REFER (RFC 3515, RFC 4488, RFC 4538, RFC 5368, RFC 7647): asking, and being asked, to send a request somewhere; the
//! subscription that tells how that went is one of event package `refer`.

use super::Endpoint;
use super::notifiers::{Acceptance, Termination, refer_package};
use super::subscribers::NewSubscription;
use crate::error::{Refusal, Refused};
use crate::event::{Body, Destination, DialogId, Event, NotifierId, RequestId, SubscribeId};
use bytes::Bytes;
use cpm_base::{FlowId, Now};
use cpm_sip::{
    CSeq, CallId, ContentId, Event as Package, HeaderName, HeaderText, Headers, Method, NameAddr, ReferSub,
    ReferTo, Request, Require, Response, StatusCode, Supported, TargetDialog, TypedHeader, Uri,
};

/// What the receiver of a REFER is to send a request to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// One URI. Its `method` parameter says which request; without one it is an INVITE.
    One(NameAddr),
    /// Several, in a list that is the body (RFC 5368): `application/resource-lists+xml`, opaque here. The receiver has to
    /// know `multiple-refer`; there is no subscription.
    List {
        /// The Content-ID of the list.
        content_id: ContentId,
        /// The list.
        list: Body,
    },
}

/// A REFER to be sent.
#[derive(Debug, Clone)]
pub struct NewRefer {
    /// Who is asked: Request-URI and To. Inside of a dialog its remote side is.
    pub target: Uri,
    /// Who asks: From.
    pub from: NameAddr,
    /// What is asked for.
    pub reference: Reference,
    /// Whether the subscription that tells the outcome is wanted. Without, `Refer-Sub: false` asks for none; the receiver
    /// may make one all the same (RFC 4488 §4).
    pub subscribe: bool,
    /// The dialog that this is about, when the REFER is sent outside of it (RFC 4538).
    pub target_dialog: Option<DialogId>,
    /// More header fields (Contact, Referred-By ...). A missing Contact is made of the first configured sent-by.
    pub headers: Headers,
    /// The way.
    pub destination: Destination,
}

/// How a REFER is accepted.
#[derive(Debug, Clone)]
pub struct ReferAcceptance {
    /// Whether a subscription is made. Without one only where the sender asked for none.
    pub subscribe: bool,
    /// How long the subscription lives, in seconds; at least 1.
    pub expires: u32,
    /// Header fields of the 2xx and of each NOTIFY (Contact).
    pub headers: Headers,
}

impl Endpoint {
    /// Sends a REFER outside of dialogs. Its answer, and what its subscription says, comes as [`Event::Subscriber`].
    ///
    /// # Errors
    /// The target dialog is over, no Contact can be made, there is no way, too many subscriptions or transactions.
    pub fn refer(&mut self, now: Now, new: NewRefer) -> Result<SubscribeId, Refused<NewRefer>> {
        self.send_refer(now, None, new)
    }

    /// Sends a REFER inside of a dialog. Target, From and destination are those of the dialog. To a remote side with a GRUU,
    /// RFC 7647 §4 wants one outside of the dialog that names it instead
    /// ([`remote_is_gruu`](Endpoint::remote_is_gruu), [`NewRefer::target_dialog`]).
    ///
    /// # Errors
    /// The dialog is over; like [`refer`](Endpoint::refer).
    pub fn refer_in_dialog(
        &mut self,
        now: Now,
        dialog: DialogId,
        new: NewRefer,
    ) -> Result<SubscribeId, Refused<NewRefer>> {
        self.send_refer(now, Some(dialog), new)
    }

    fn send_refer(
        &mut self,
        now: Now,
        dialog: Option<DialogId>,
        new: NewRefer,
    ) -> Result<SubscribeId, Refused<NewRefer>> {
        match self.refer_fields(&new) {
            Err(why) => Err(Refused::new(why, new)),
            Ok((headers, body)) => {
                let Ok(package) = Package::new("refer") else {
                    return Err(Refused::new(Refusal::Missing("Event"), new));
                };
                let wanted = NewSubscription {
                    resource: new.target.clone(),
                    from: new.from.clone(),
                    package,
                    expires: 0,
                    headers,
                    body,
                    destination: new.destination.clone(),
                };
                let subscribe = new.subscribe && matches!(new.reference, Reference::One(_));
                self.begin_subscribe(now, wanted, dialog, Some(subscribe))
                    .map_err(|refused| Refused::new(refused.why, new))
            }
        }
    }

    fn refer_fields(&self, new: &NewRefer) -> Result<(Headers, Option<Body>), Refusal> {
        let mut headers = new.headers.clone();
        let option = "norefersub";
        let body = match &new.reference {
            Reference::One(address) => {
                headers.set_typed(&ReferTo::new(address.clone()));
                if !new.subscribe {
                    headers.set_typed(&ReferSub::new(false));
                    push_option(&mut headers, |tag| Supported::new(tag).ok(), option);
                }
                None
            }
            Reference::List { content_id, list } => {
                let cid = Uri::parse(&alloc::format!("cid:{}", content_id.as_str()))
                    .map_err(|_| Refusal::Missing("Content-ID"))?;
                headers.set_typed(&ReferTo::new(NameAddr::new(cid)));
                headers.set_typed(content_id);
                headers.replace(HeaderName::ContentDisposition, HeaderText::sanitized("recipient-list"));
                headers.set_typed(&ReferSub::new(false));
                push_option(&mut headers, |tag| Require::new(tag).ok(), "multiple-refer");
                push_option(&mut headers, |tag| Require::new(tag).ok(), option);
                Some(list.clone())
            }
        };
        if let Some(dialog) = new.target_dialog {
            let (call_id, local, remote) = self.dialog_ids(dialog).ok_or(Refusal::Gone)?;
            let call_id = CallId::new(call_id).map_err(|_| Refusal::Gone)?;
            let field = TargetDialog::new(&call_id, local, remote).map_err(|_| Refusal::Gone)?;
            headers.set_typed(&field);
        }
        Ok((headers, body))
    }

    /// Whether the remote target of a dialog is a GRUU: what could make another usage of the dialog has to stay outside of
    /// it then (RFC 6665 §4.5.2, RFC 7647 §4).
    #[must_use]
    pub fn remote_is_gruu(&self, dialog: DialogId) -> bool {
        let target = self.dialogs.get(&dialog).map(|dialog| &dialog.target);
        target.and_then(Uri::as_sip).is_some_and(|uri| uri.gr().is_some())
    }

    /// A REFER came.
    pub(super) fn refer_received(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        dialog: Option<DialogId>,
        request: &Request,
    ) {
        let count = request.headers().count(&HeaderName::ReferTo);
        let refer_to = match request.typed::<ReferTo>() {
            Ok(Some(refer_to)) if count == 1 => refer_to,
            _ => {
                // RFC 3515 §2.4.2: exactly one.
                let mut response = Response::for_request(request, StatusCode::BAD_REQUEST);
                response.set_reason("one Refer-To is needed");
                return self.refuse(now, flow, id, response);
            }
        };
        let wanted = wants_subscription(request);
        let about = request.typed::<TargetDialog>().ok().flatten();
        // Local and remote are those of the sender (RFC 4538 §4).
        let target_dialog =
            about.and_then(|about| self.find_dialog(about.call_id(), about.remote_tag(), about.local_tag()));
        self.hold_dialog(dialog, id);
        self.event(Event::Refer {
            id,
            flow,
            request: request.clone(),
            refer_to,
            wants_subscription: wanted,
            target_dialog,
            in_dialog: dialog,
        });
    }

    /// Accepts a REFER with 200 (RFC 7647 §5). With a subscription, its first NOTIFY says `100 Trying`;
    /// [`report_refer`](Endpoint::report_refer) tells how it goes on. To refuse one, [`respond`](Endpoint::respond).
    ///
    /// # Errors
    /// The request is no REFER that awaits its answer; a subscription is wanted ([`Refusal::SubscriptionDue`]); too many
    /// subscriptions, dialogs or transactions.
    pub fn accept_refer(
        &mut self,
        now: Now,
        id: RequestId,
        acceptance: ReferAcceptance,
    ) -> Result<Option<NotifierId>, Refused<ReferAcceptance>> {
        let accepted = self.accepted_refer(now, id, &acceptance);
        self.settle(now);
        accepted.map_err(|why| Refused::new(why, acceptance))
    }

    fn accepted_refer(
        &mut self,
        now: Now,
        id: RequestId,
        acceptance: &ReferAcceptance,
    ) -> Result<Option<NotifierId>, Refusal> {
        let server = self.servers.get(&id).filter(|server| !server.answered()).ok_or(Refusal::Gone)?;
        if server.method != Method::Refer {
            return Err(Refusal::Method(server.method.clone()));
        }
        if server.owner != super::server::Owner::Function {
            return Err(Refusal::Proxied);
        }
        let (request, in_dialog) = (server.whole_request().ok_or(Refusal::Gone)?, server.in_dialog);
        let wanted = wants_subscription(&request);
        let mut headers = acceptance.headers.clone();
        if !acceptance.subscribe {
            if wanted {
                return Err(Refusal::SubscriptionDue);
            }
            headers.set_typed(&ReferSub::new(false));
            let mut response = Response::for_request(&request, StatusCode::OK);
            for (name, _) in headers.iter() {
                if !response.headers().contains(name) {
                    response.headers_mut().copy_from(&headers, name);
                }
            }
            response.set_body(Bytes::new());
            self.answer(now, id, response).map_err(|refused| refused.why)?;
            return Ok(None);
        }
        let cseq = request.typed::<CSeq>()?.ok_or(Refusal::Missing("CSeq"))?.number;
        let package = refer_package(cseq).ok_or(Refusal::Missing("Event"))?;
        self.room_for_client().map_err(Refusal::Limit)?;
        self.room_for_refer(&request)?;
        if !wanted {
            headers.set_typed(&ReferSub::new(true));
        }
        let dialog = self.answer_and_share(now, id, &request, in_dialog, &headers, StatusCode::OK)?;
        let expires = acceptance.expires.clamp(1, self.config.limits.max_subscription);
        let first = Acceptance {
            authorised: true,
            headers: acceptance.headers.clone(),
            body: Some(sipfrag(StatusCode::TRYING)),
            ..Acceptance::default()
        };
        let notifier = self.notify_of_refer(now, dialog, package, &request, expires, first);
        self.end_usage(dialog, super::usages::Usage::Subscription(id.0));
        Ok(Some(notifier))
    }

    /// Tells the sender of a REFER how the referred request goes: a final status ends the subscription (RFC 3515 §2.4.7).
    ///
    /// # Errors
    /// The subscription is over.
    pub fn report_refer(&mut self, now: Now, id: NotifierId, status: StatusCode) -> Result<(), Refusal> {
        let body = Some(sipfrag(status));
        if status.is_final() {
            self.terminate_subscription(now, id, Termination::NoResource, body).map_err(|refused| refused.why)
        } else {
            self.notify(now, id, Headers::new(), body).map_err(|refused| refused.why)
        }
    }
}

/// Whether the sender of a REFER wants the subscription: unless it says no (RFC 4488 §4).
fn wants_subscription(request: &Request) -> bool {
    !matches!(request.typed::<ReferSub>(), Ok(Some(sub)) if !sub.wanted())
}

/// Adds an option tag that is not there yet.
fn push_option<H: TypedHeader + PartialEq>(
    headers: &mut Headers,
    make: impl Fn(&str) -> Option<H>,
    tag: &str,
) {
    let Some(option) = make(tag) else { return };
    if !headers.typed_list::<H>().unwrap_or_default().contains(&option) {
        headers.push_typed(&option);
    }
}

/// The body of a NOTIFY of package `refer` (RFC 3515 §2.4.5): a status line.
fn sipfrag(status: StatusCode) -> Body {
    let line = alloc::format!("SIP/2.0 {} {}\r\n", status.as_u16(), status.reason());
    Body { content_type: HeaderText::sanitized("message/sipfrag"), octets: Bytes::from(line) }
}
