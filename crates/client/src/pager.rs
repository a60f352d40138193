//! Sending a message (TS 7.2.1): the choice between pager and large mode, and pager mode (7.2.1.1).

use crate::client::Purpose;
use crate::compose::{Envelope, set_cpim};
use crate::{Client, ClientEvent, Failure, NewMessage, SendError, SendRefusal, SentId, SentMessage};
use bytes::Bytes;
use cpm_base::Now;
use cpm_core::disposition;
use cpm_core::feature::{CpmFeature, CpmService};
use cpm_core::{ContributionId, ConversationId, Ports};
use cpm_sip::{Expires, MessageUid, Method, Response};
use cpm_ua::{Destination, TransactionFailure};

/// The greatest size of a Pager Mode CPM Standalone Message, its CPIM wrapper included, in octets (TS 7.2.1.3-4).
pub const MAX_PAGER: usize = 1300;

impl Client {
    /// Sends a message to one recipient, in pager mode or, over 1,300 octets with its CPIM wrapper, as a large message.
    /// What becomes of it comes as [`ClientEvent::Sent`] or [`ClientEvent::SendFailed`], reports as
    /// [`ClientEvent::Disposition`].
    ///
    /// # Errors
    /// The message cannot be written, is too large, or cannot be sent now; it is handed back.
    // req: 7.2.1.3-4, 7-b1, 7-b2
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
        let message_id = self.random.public_token(26);
        let cpim = self.standalone(now, message, &message_id)?.to_bytes();
        // req: C.1.1-p2.2, C.1.2-p2.2
        let sent = SentMessage {
            id: SentId(self.last_sent.saturating_add(1)),
            conversation: message
                .conversation
                .clone()
                .unwrap_or_else(|| ConversationId::generate(&mut self.random)),
            contribution: ContributionId::generate(&mut self.random),
            message_id,
            large: cpim.len() > MAX_PAGER,
        };
        if sent.large {
            self.send_large(now, ports, message, &sent, cpim)?;
        } else {
            self.send_pager(now, ports, message, &sent, cpim)?;
        }
        self.last_sent = sent.id.0;
        self.sent.remember(disposition::SentMessage {
            message_id: sent.message_id.clone(),
            asked: message.reports.clone(),
            number: sent.id.0,
            recipients: vec![message.to.address_key()],
        });
        Ok(sent)
    }

    /// The envelope of either mode for one recipient.
    pub(crate) fn envelope<'a>(
        method: Method,
        feature: CpmFeature,
        message: &'a NewMessage,
        sent: &'a SentMessage,
    ) -> Envelope<'a> {
        Envelope {
            method,
            // req: 7.2.1.1-8, 7.2.1.2-9, 7.2.1.1-8.a, 7.2.1.2-9.a
            target: &message.to,
            to: &message.to,
            feature,
            service: CpmService::single(feature),
            conversation: Some(&sent.conversation),
            contribution: Some(&sent.contribution),
            in_reply_to: message.in_reply_to.as_ref(),
            reply_to: message.reply_to.as_ref(),
            anonymous: message.anonymous,
        }
    }

    // req: 7.2.1.1-p1, 7.2.1.1-14, 7.2.1.1-15, 7.2.1.1-16
    fn send_pager(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        message: &NewMessage,
        sent: &SentMessage,
        cpim: Bytes,
    ) -> Result<(), SendRefusal> {
        let mut request =
            self.request(&Self::envelope(Method::Message, CpmFeature::PagerMessage, message, sent));
        // req: 7.2.1.1-7
        if let Some(seconds) = message.expires {
            request.headers_mut().push_typed(&Expires(seconds));
        }
        set_cpim(&mut request, cpim);
        let transaction = ports
            .sip
            .send_request(now, request, Destination::Routed)
            .map_err(|refused| SendRefusal::Endpoint(refused.why.to_string()))?;
        self.transactions.insert(transaction, Purpose::Pager(sent.id));
        Ok(())
    }

    pub(crate) fn pager_answered(
        &mut self,
        ports: &mut Ports<'_, ClientEvent>,
        id: SentId,
        response: &Response,
    ) {
        if response.status().is_success() {
            // req: 7.2.1.1-17
            let message_uid = message_uid(response);
            ports.host.event(ClientEvent::Sent { id, message_uid });
        } else {
            ports.host.event(ClientEvent::SendFailed { id, why: Failure::rejected(response) });
        }
    }

    pub(crate) fn pager_lost(
        &mut self,
        ports: &mut Ports<'_, ClientEvent>,
        id: SentId,
        why: TransactionFailure,
    ) {
        ports.host.event(ClientEvent::SendFailed { id, why: why.into() });
    }
}

/// The UID in the user's message store that a response names; an unreadable one counts as none.
pub(crate) fn message_uid(response: &Response) -> Option<String> {
    response.typed::<MessageUid>().ok().flatten().map(|uid| uid.0.to_string())
}
