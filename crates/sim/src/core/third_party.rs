//! Third-party registration (3GPP TS 24.229 §5.4.1.7): telling a user's Participating Function which devices there are.

use super::{CoreEvent, CorePorts, SipIpCore};
use bytes::Bytes;
use cpm_base::{Now, Random};
use cpm_mime::{ContentType, MimeError, Multipart, Part};
use cpm_sip::{
    CSeq, CallId, Contact, Expires, From, HeaderName, HeaderText, InvalidText, Method, Request, Response, To,
    Uri,
};
use cpm_ua::{Destination, TransactionId};

/// What one user's Participating Function is told, and was.
#[derive(Debug)]
pub(super) struct ThirdParty {
    call_id: String,
    tag: String,
    cseq: u32,
    /// One is not answered.
    open: bool,
    /// The next one, and the REGISTER with its 200 that it goes back to. A newer one takes its place.
    waiting: Option<Option<(Request, Response)>>,
}

impl ThirdParty {
    pub(super) fn new(random: &mut Random) -> Self {
        let (call_id, tag) = (random.public_token(26), random.public_token(13));
        ThirdParty { call_id, tag, cseq: 0, open: false, waiting: None }
    }
}

impl ThirdParty {
    /// Call-ID, tag and the last CSeq.
    pub(super) fn names(&self) -> (&str, &str, u32) {
        (&self.call_id, &self.tag, self.cseq)
    }

    /// Goes on where another process ended.
    pub(super) fn resume(&mut self, call_id: String, tag: String, cseq: u32) {
        (self.call_id, self.tag, self.cseq) = (call_id, tag, cseq);
    }
}

impl SipIpCore {
    /// The bindings of a user changed, by this REGISTER if it was by one.
    pub(super) fn tell(
        &mut self,
        now: Now,
        user: usize,
        cause: Option<(Request, Response)>,
        ports: &mut CorePorts<'_>,
    ) {
        let Some(state) = self.users.get_mut(user) else { return };
        if state.user.participating.is_none() {
            return;
        }
        state.third_party.waiting = Some(cause);
        if !state.third_party.open {
            self.tell_next(now, user, ports);
        }
    }

    fn tell_next(&mut self, now: Now, user: usize, ports: &mut CorePorts<'_>) {
        let Some(state) = self.users.get_mut(user) else { return };
        let Some(cause) = state.third_party.waiting.take() else { return };
        state.third_party.cseq = state.third_party.cseq.saturating_add(1);
        let sent = self
            .third_party_register(now, user, cause)
            .and_then(|request| ports.sip.send_request(now, request, Destination::Routed).ok());
        match sent {
            Some(transaction) => {
                self.telling.insert(transaction, user);
                if let Some(state) = self.users.get_mut(user) {
                    state.third_party.open = true;
                }
            }
            None => self.not_told(user, ports),
        }
    }

    /// A third-party registration is over, if this was one.
    pub(super) fn told(
        &mut self,
        now: Now,
        transaction: TransactionId,
        taken: bool,
        ports: &mut CorePorts<'_>,
    ) {
        let Some(user) = self.telling.remove(&transaction) else { return };
        if let Some(state) = self.users.get_mut(user) {
            state.third_party.open = false;
        }
        if !taken {
            self.not_told(user, ports);
        }
        self.tell_next(now, user, ports);
    }

    fn not_told(&self, user: usize, ports: &mut CorePorts<'_>) {
        if let Some(state) = self.users.get(user) {
            ports.host.event(CoreEvent::NotTold { user: state.name() });
        }
    }

    fn third_party_register(
        &self,
        now: Now,
        user: usize,
        cause: Option<(Request, Response)>,
    ) -> Option<Request> {
        let state = self.users.get(user)?;
        let participating = state.user.participating.clone()?;
        let identity = state.user.identities.first()?.clone();
        let own = Uri::Sip(self.service_uri().clone());
        let left = state.bindings.iter().map(|binding| binding.expires_at.since(now.mono).as_secs()).max();
        let expires = u32::try_from(left.unwrap_or(0)).unwrap_or(u32::MAX);
        let third_party = &state.third_party;
        let mut request = Request::new(Method::Register, Uri::Sip(participating))
            .with_typed(&From::new(own.clone()).with_tag(&third_party.tag))
            .with_typed(&To::new(identity))
            .with_typed(&CallId::new(&third_party.call_id).ok()?)
            .with_typed(&CSeq::new(third_party.cseq, Method::Register))
            .with_typed(&Contact::new(own))
            .with_typed(&Expires(expires));
        if let Some((register, mut accepted)) = cause {
            // It may have waited: the list is that of now.
            accepted.headers_mut().set_typed_list(&state.current_contacts(now));
            let (content_type, body) = body(&register, &accepted).ok()?;
            request.headers_mut().replace(HeaderName::ContentType, content_type);
            request.set_body(body);
        }
        Some(request)
    }
}

/// Why a body cannot be written; it always can, since its parts are messages that were read or made here.
struct NotWritable;

impl std::convert::From<MimeError> for NotWritable {
    fn from(_: MimeError) -> Self {
        NotWritable
    }
}

impl std::convert::From<InvalidText> for NotWritable {
    fn from(_: InvalidText) -> Self {
        NotWritable
    }
}

fn body(register: &Request, accepted: &Response) -> Result<(HeaderText, Bytes), NotWritable> {
    let sip = ContentType::new("message", "sip")?;
    let parts = vec![Part::new(&sip, register.to_bytes()), Part::new(&sip, accepted.to_bytes())];
    let multipart = Multipart::new("mixed", parts)?;
    let content_type = HeaderText::new(&multipart.content_type().to_string())?;
    Ok((content_type, multipart.to_bytes()?))
}
