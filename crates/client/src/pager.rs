//! Sending a message (TS 7.2.1): what may be sent, and the choice between pager and large mode.

use crate::message::Recipients;
use crate::outgoing::{Outgoing, Stage};
use crate::{Client, ClientEvent, NewMessage, SendError, SendRefusal, SentId, SentMessage};
use cpm_base::Now;
use cpm_core::{ContributionId, ConversationId, Ports};
use cpm_sip::{MessageUid, Method, Response, SipUri, Uri};
use cpm_ua::Destination;

/// The greatest size of a Pager Mode CPM Standalone Message, its CPIM wrapper included, in octets (TS 7.2.1.3-4).
pub const MAX_PAGER: usize = 1300;

impl Client {
    /// Sends a message, in pager mode or, over 1,300 octets with its CPIM wrapper (and the list of its recipients), as a large
    /// message. It goes out when the store has confirmed it ([`cpm_core::Query::Store`]). What becomes of it comes as [`ClientEvent::Sent`] or [`ClientEvent::SendFailed`], reports as
    /// [`ClientEvent::Disposition`].
    ///
    /// # Errors
    /// The message cannot be written, is too large, or cannot be sent now; it is handed back.
    // req: 7.2.1.3-4, 7.2.1.4-3, 7-b1, 7-b2
    pub fn send_message(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        message: NewMessage,
    ) -> Result<SentMessage, SendError> {
        match self.try_send(now, ports, &message) {
            Ok(sent) => Ok(sent),
            Err(why) => Err(SendError { why, message: Box::new(message) }),
        }
    }

    fn try_send(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        message: &NewMessage,
    ) -> Result<SentMessage, SendRefusal> {
        self.check(message)?;
        let message_id = self.random.public_token(26);
        let cpim = self.standalone(now, message, &message_id)?.to_bytes();
        // req: C.1.1-p2.2, C.1.2-p2.2, 7.2.1.1-11, 7.2.1.1-12
        let sent = SentMessage {
            id: SentId(self.numbers.sent.saturating_add(1)),
            to: message.to.clone(),
            conversation: message
                .conversation
                .clone()
                .unwrap_or_else(|| ConversationId::generate(&mut self.random)),
            contribution: ContributionId::generate(&mut self.random),
            in_reply_to: message.in_reply_to.clone(),
            message_id,
            large: false,
        };
        let mut outgoing = Outgoing {
            sent,
            reply_to: message.reply_to.clone(),
            anonymous: message.anonymous,
            pseudonym: message.pseudonym.clone(),
            composed: now.wall,
            expires: message.expires,
            content: vec![message.content_type.essence()],
            cpim,
            stage: Stage::Storing,
            restored: false,
        };
        // What counts is all that the MESSAGE would carry.
        let mut request = self.outgoing_request(Method::Message, &outgoing);
        self.set_body(&mut request, &message.to, "message/cpim", outgoing.cpim.clone())
            .map_err(SendRefusal::Content)?;
        outgoing.sent.large = request.body().len() > MAX_PAGER;
        if outgoing.sent.large {
            self.check_large(ports, &outgoing)?;
        }
        ports.sip.check_request(&request, &Destination::Routed)?;
        outgoing.sent.id = self.number_sent(now, ports);
        let sent = outgoing.sent.clone();
        self.post(now, ports, outgoing, message.reports.clone());
        Ok(sent)
    }

    /// Whether a message may be sent at all.
    fn check(&self, message: &NewMessage) -> Result<(), SendRefusal> {
        let unfit = |what: &str| Err(SendRefusal::Content(what.to_owned()));
        if let Recipients::AdHoc(all) = &message.to {
            match all.len() {
                0 => return Err(SendRefusal::NoRecipients),
                n if n > self.config.max_adhoc_group => return Err(SendRefusal::TooManyRecipients),
                _ => {}
            }
        }
        // A URI can carry header fields, and a body, for the request that is made of it (RFC 3261 §19.1.5).
        if message.to.uris().iter().any(|uri| uri.as_sip().is_some_and(SipUri::has_headers)) {
            return unfit("the address of a recipient has header fields");
        }
        if message.pseudonym.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
            return unfit("the pseudonym has control characters");
        }
        let own = |uri: &Uri| {
            uri.address_key() == self.config.address.address_key()
                || self.registration.associated().iter().any(|own| own.address_key() == uri.address_key())
        };
        if message.anonymous && message.reply_to.as_ref().is_some_and(own) {
            return Err(SendRefusal::NotAnonymous);
        }
        if self.outbox.len().saturating_add(self.outcomes.len()) >= self.config.limits.max_unanswered {
            return Err(SendRefusal::Busy);
        }
        Ok(())
    }
}

/// The UID in the user's message store that a response names; an unreadable one counts as none.
pub(crate) fn message_uid(response: &Response) -> Option<String> {
    response.typed::<MessageUid>().ok().flatten().map(|uid| uid.0.to_string())
}
