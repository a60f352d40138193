//! Disposition notifications (TS 5.4): making delivery notifications and read reports, taking those that arrive.

use crate::client::Purpose;
use crate::compose::{Envelope, set_cpim};
use crate::origin::Origin;
use crate::{Client, ClientEvent, Disposition, ReceivedId, SentId};
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_core::disposition::{Due, DueId, Happened, OwedId, OwedMessage, Verdict, Way};
use cpm_core::feature::{CpmFeature, CpmService};
use cpm_core::{ContributionId, ConversationId, Ports};
use cpm_cpim::{Address, CpimBuilder, CpimMessage, DispositionRequest};
use cpm_mime::{ContentType, Part};
use cpm_sip::{Method, Request, Uri};
use cpm_ua::Destination;
use cpm_xml::imdn::{self, DeliveryStatus, DisplayStatus, Imdn, InterworkingStatus, Notification};

/// A notification that did not go through is tried again this much later.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// All that a notification about a received message needs to say.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    originator: Uri,
    conversation: Option<ConversationId>,
    contribution: Option<ContributionId>,
    feature: CpmFeature,
    service: CpmService,
    message_id: String,
    /// CPIM DateTime of the message, as it stood there.
    date: Option<String>,
    /// CPIM To of the message.
    recipient: Option<String>,
    original_to: Option<String>,
    record_route: Vec<Address>,
}

/// A notification that waits for its answer or its next try.
#[derive(Debug, Clone)]
pub(crate) struct PendingReport {
    pub(crate) due: DueId,
    request: Request,
}

impl Receipt {
    /// `None` when nobody can be told: the originator is anonymous, or the message has no id.
    pub(crate) fn new(origin: &Origin, cpim: &CpimMessage) -> Option<Receipt> {
        Some(Receipt {
            originator: origin.originator.clone()?,
            conversation: origin.conversation.clone(),
            contribution: origin.contribution.clone(),
            feature: origin.feature(),
            service: origin.service(),
            message_id: cpim.imdn_message_id().ok().flatten()?,
            date: cpim.date_time_text(),
            recipient: cpim.to().ok().and_then(|to| to.first().map(|to| to.uri.clone())),
            original_to: cpim.original_to().ok().flatten().map(|to| to.uri),
            record_route: cpim.record_route().unwrap_or_default(),
        })
    }
}

impl Client {
    /// The user has read a message: the sender is told, if it asked for that and the settings allow it. Returns
    /// whether a read report goes out; it does once for a message.
    // req: 5.4.2-2, 5.4.2-1, 5.4.2-1.b
    pub fn mark_read(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: ReceivedId) -> bool {
        let Some(owed) = self.unread.remove(id) else { return false };
        let due = self.owed.happened(owed, Happened::Displayed) > 0;
        self.send_reports(now, ports);
        due
    }

    /// Takes up what a message that arrived asks for; `None` when nothing will be told of it.
    // req: 5.4.1-1
    pub(crate) fn owe(
        &mut self,
        origin: &Origin,
        cpim: &CpimMessage,
        asked: DispositionRequest,
    ) -> Option<OwedId> {
        let receipt = Receipt::new(origin, cpim)?;
        let owed = self.owed.received(OwedMessage {
            sender: receipt.originator.address_key(),
            message_id: receipt.message_id.clone(),
            asked,
            session: None,
            is_notification: false,
            seen: false,
        })?;
        self.receipts.insert(owed, receipt);
        Some(owed)
    }

    /// Sends what is due, as long as there is room for more transactions: a crowd of senders that do not answer may not
    /// make this client hold ever more of them.
    // req: 5.4.1-p1, 5.4-via-i
    pub(crate) fn send_reports(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        while self.transactions.len() < self.config.limits.max_reports {
            let Some(due) = self.owed.next(|way| way == Way::Message) else { return };
            match self.report_request(now, &due) {
                Some(request) => self.transmit_report(now, ports, PendingReport { due: due.id, request }),
                None => {
                    self.metrics.count("client.report_not_writable");
                    self.owed.done(due.id, false, false);
                }
            }
        }
    }

    /// The MESSAGE that carries a notification (TS 5.4.1-2.a, 5.4.2-2.a).
    // req: 5.4-via-i, 5.4-p3, 5.4-p7, 5.4.1-2.a.ii, 5.4.1-2.a.iii, 5.4.1-2.a.iv.a, 5.4.1-2.a.v
    // req: 5.4.2-2.a.2, 5.4.2-2.a.3, 5.4.2-2.a.5, 5.4.2-2.a.6, 5.4.2-2.a.7, 5.4.2-2.a.8
    fn report_request(&mut self, now: Now, due: &Due) -> Option<Request> {
        let receipt = self.receipts.get(due.message)?.clone();
        let cpim = self.report_cpim(now, &receipt, due.notification.clone())?;
        // req: 5.4.1-2.a.i, 5.4.1-2.a.i.a, 5.4.2-2.a.1
        // The topmost IMDN-Record-Route is where it goes first (readings G1).
        let target = match receipt.record_route.first() {
            Some(route) => Uri::parse(&route.uri).ok()?,
            None => receipt.originator.clone(),
        };
        let mut request = self.request(&Envelope {
            method: Method::Message,
            target: &target,
            to: &receipt.originator,
            feature: receipt.feature,
            service: receipt.service,
            conversation: receipt.conversation.as_ref(),
            contribution: receipt.contribution.as_ref(),
            in_reply_to: None,
            reply_to: None,
            anonymous: false,
            pseudonym: None,
        });
        set_cpim(&mut request, cpim);
        Some(request)
    }

    /// The CPIM message around the notification: it asks for no notification of its own (TS 5.4-p4).
    // req: 5.4-p4, 5.4.1-p2, 5.4.2-2.a.4, 5.4.2-3, 5.4.2-3.a, 5.4.2-3.b, 5.4.2-3.c, 5.4.2-3.d, 5.4.2-3.e, 5.4.1-2
    fn report_cpim(&mut self, now: Now, receipt: &Receipt, notification: Notification) -> Option<Bytes> {
        let date = receipt.date.clone().unwrap_or_else(|| now.wall.to_string());
        let mut document = Imdn::new(&receipt.message_id, &date, notification);
        if let Some(recipient) = &receipt.recipient {
            document = document.with_recipient_uri(recipient);
            if let Some(original) = &receipt.original_to {
                document = document.with_original_recipient_uri(original);
            }
        }
        let content_type = ContentType::parse(imdn::MEDIA_TYPE).ok()?;
        let content = Part::new(&content_type, Bytes::from(imdn::write(&document)))
            .with_header("Content-Disposition", "notification")
            .ok()?;
        let from = Address::new(self.identity().as_str());
        let mut builder = CpimBuilder::new(from, Address::new(receipt.originator.as_str()))
            .imdn_message_id(&self.random.public_token(26))
            .date_time(now.wall)
            .content(content);
        for route in receipt.record_route.iter().skip(1) {
            builder = builder.imdn_route(route.clone());
        }
        Some(builder.build().ok()?.to_bytes())
    }

    fn transmit_report(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, report: PendingReport) {
        match ports.sip.send_request(now, report.request.clone(), Destination::Routed) {
            Ok(transaction) => {
                self.transactions.insert(transaction, Purpose::Report(Box::new(report)));
            }
            Err(_) => self.report_failed(now, report, true),
        }
    }

    /// A notification did not reach the next hop, or was answered with something else than 2xx.
    pub(crate) fn report_failed(&mut self, now: Now, report: PendingReport, retry: bool) {
        if retry && self.owed.try_again(report.due) {
            self.waiting_reports.push_back((now.mono.plus(RETRY_AFTER), report));
        } else {
            self.owed.done(report.due, false, false);
            self.metrics.count("client.report_lost");
        }
    }

    pub(crate) fn reports_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        while self.waiting_reports.front().is_some_and(|(due, _)| *due <= now.mono) {
            let Some((_, report)) = self.waiting_reports.pop_front() else { return };
            if self.transactions.len() < self.config.limits.max_reports {
                self.transmit_report(now, ports, report);
            } else {
                self.waiting_reports.push_back((now.mono.plus(RETRY_AFTER), report));
            }
        }
    }

    pub(crate) fn reports_next_timeout(&self) -> Option<Instant> {
        self.waiting_reports.front().map(|(due, _)| *due)
    }

    /// A notification arrived (TS 5.4-p8). It counts when it is about a message of ours, from its recipient, and was asked
    /// for (RFC 5438 §14).
    // req: 5.4-p8, 5.4-rcv-1, 5.4-rcv-1.a, 5.4-rcv-2, 5.4-rcv-2.a, 5.4-rcv-3, 5.4-rcv-3.b, 5.4.3-p1, 5.4.4-p1
    // req: 5.4.3-p2, 5.4.4-p2
    pub(crate) fn notified(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        origin: &Origin,
        document: &Imdn,
    ) {
        let about = &document.message_id;
        // The address that the message went to may be any of those that the core knows its recipient by. Who hides is
        // nobody whom it went to.
        let mut keys = origin.sender_keys();
        let known = origin.sender_keys().find(|key| self.sent.progress(about, key).is_some());
        let from = known.or_else(|| keys.next()).unwrap_or_default();
        for notification in document.notifications() {
            let verdict = self.sent.report(Some(&from), about, notification);
            self.told(now, ports, about, verdict);
            let news = matches!(verdict, Verdict::News(_)).then(|| disposition(notification)).flatten();
            let Some(disposition) = news else {
                self.metrics.count(counter(verdict));
                continue;
            };
            let Some(id) = self.sent.number(about).map(SentId) else { continue };
            ports.host.event(ClientEvent::Disposition { id, disposition, from: origin.sender_text() });
        }
    }
}

/// What a notification tells the user; `None` where it tells nothing.
const fn disposition(notification: &Notification) -> Option<Disposition> {
    match notification {
        // req: 5.4-rcv-1.a.i
        Notification::Delivery(DeliveryStatus::Delivered) => Some(Disposition::Delivered),
        // req: 5.4-rcv-1.a.ii
        Notification::Delivery(_) => Some(Disposition::DeliveryFailed),
        // req: 5.4-rcv-2.a.i
        Notification::Display(DisplayStatus::Displayed) => Some(Disposition::Displayed),
        // req: 5.4-rcv-3.b.i.1, 5.4-rcv-3.b.i.2
        Notification::Interworking(InterworkingStatus::LegacySms) => Some(Disposition::InterworkedSms),
        // req: 5.4-rcv-3.b.ii.1, 5.4-rcv-3.b.ii.2
        Notification::Interworking(InterworkingStatus::LegacyMms) => Some(Disposition::InterworkedMms),
        // req: 5.4-rcv-2.a.ii, 5.4-rcv-3.b.iii
        _ => None,
    }
}

/// What a notification that is no news is counted as.
const fn counter(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Repeated => "client.report_repeated",
        Verdict::Unknown => "client.report_unknown",
        Verdict::NotARecipient => "client.report_not_from_a_recipient",
        Verdict::NotAsked => "client.report_not_asked",
        Verdict::Ignored | Verdict::News(_) => "client.report_ignored",
    }
}
