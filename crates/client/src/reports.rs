//! Disposition notifications (TS 5.4): making delivery notifications and read reports, taking those that arrive.

use crate::client::Purpose;
use crate::compose::{Envelope, set_cpim};
use crate::origin::Origin;
use crate::sent::Outcome;
use crate::{Client, ClientEvent, Disposition, ReceivedId};
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_core::feature::{CpmFeature, CpmService};
use cpm_core::{ContributionId, ConversationId, Ports};
use cpm_cpim::{Address, CpimBuilder, CpimMessage};
use cpm_mime::{ContentType, Part};
use cpm_sip::{Method, Request, Uri};
use cpm_ua::Destination;
use cpm_xml::imdn::{self, DeliveryStatus, DisplayStatus, Imdn, Notification};

/// A notification that did not go through is tried again this much later, ...
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// ... so many times in all, ...
const MAX_TRIES: u8 = 5;
/// ... and at most so many wait for it.
const MAX_WAITING: usize = 256;

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
    request: Request,
    tries: u8,
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
        let Some(receipt) = self.unread.remove(id) else { return false };
        if !self.config.settings.display_reports {
            return false;
        }
        self.send_report(now, ports, &receipt, Notification::Display(DisplayStatus::Displayed))
    }

    /// Tells the sender that a message was delivered.
    // req: 5.4.1-p1
    pub(crate) fn report_delivery(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        receipt: &Receipt,
    ) {
        self.send_report(now, ports, receipt, Notification::Delivery(DeliveryStatus::Delivered));
    }

    fn send_report(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        receipt: &Receipt,
        notification: Notification,
    ) -> bool {
        match self.report_request(now, receipt, notification) {
            Some(request) => {
                self.transmit_report(now, ports, PendingReport { request, tries: 0 });
                true
            }
            None => {
                self.metrics.count("client.report_not_writable");
                false
            }
        }
    }

    /// The MESSAGE that carries a notification (TS 5.4.1-2.a, 5.4.2-2.a).
    // req: 5.4-via-i, 5.4-p3, 5.4-p7, 5.4.1-2.a.ii, 5.4.1-2.a.iii, 5.4.1-2.a.iv.a, 5.4.1-2.a.v
    // req: 5.4.2-2.a.2, 5.4.2-2.a.3, 5.4.2-2.a.5, 5.4.2-2.a.6, 5.4.2-2.a.7, 5.4.2-2.a.8
    fn report_request(&mut self, now: Now, receipt: &Receipt, notification: Notification) -> Option<Request> {
        let cpim = self.report_cpim(now, receipt, notification)?;
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
        if self.transactions.len() >= self.config.limits.max_reports {
            // A crowd of senders that do not answer may not make this client hold ever more.
            self.metrics.count("client.reports_full");
            return self.report_failed(now, report, true);
        }
        match ports.sip.send_request(now, report.request.clone(), Destination::Routed) {
            Ok(transaction) => {
                self.transactions.insert(transaction, Purpose::Report(Box::new(report)));
            }
            Err(_) => self.report_failed(now, report, true),
        }
    }

    /// A notification did not reach the next hop, or was answered with something else than 2xx.
    pub(crate) fn report_failed(&mut self, now: Now, mut report: PendingReport, retry: bool) {
        report.tries = report.tries.saturating_add(1);
        if retry && report.tries < MAX_TRIES && self.waiting_reports.len() < MAX_WAITING {
            self.waiting_reports.push_back((now.mono.plus(RETRY_AFTER), report));
        } else {
            self.metrics.count("client.report_lost");
        }
    }

    pub(crate) fn reports_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        while self.waiting_reports.front().is_some_and(|(due, _)| *due <= now.mono) {
            if let Some((_, report)) = self.waiting_reports.pop_front() {
                self.transmit_report(now, ports, report);
            }
        }
    }

    pub(crate) fn reports_next_timeout(&self) -> Option<Instant> {
        self.waiting_reports.front().map(|(due, _)| *due)
    }

    /// A notification arrived (TS 5.4-p8).
    // req: 5.4-p8, 5.4-rcv-1, 5.4-rcv-1.a, 5.4-rcv-2, 5.4-rcv-2.a, 5.4.3-p1, 5.4.4-p1
    pub(crate) fn notified(&mut self, ports: &mut Ports<'_, ClientEvent>, from: &str, document: &Imdn) {
        for notification in document.notifications() {
            let disposition = match notification {
                // req: 5.4-rcv-1.a.i
                Notification::Delivery(DeliveryStatus::Delivered) => Disposition::Delivered,
                // req: 5.4-rcv-1.a.ii
                Notification::Delivery(_) => Disposition::DeliveryFailed,
                // req: 5.4-rcv-2.a.i
                Notification::Display(DisplayStatus::Displayed) => Disposition::Displayed,
                // req: 5.4-rcv-2.a.ii
                _ => {
                    self.metrics.count("client.report_ignored");
                    continue;
                }
            };
            match self.sent.report(&document.message_id, disposition) {
                Outcome::First(id) => {
                    ports.host.event(ClientEvent::Disposition { id, disposition, from: from.to_owned() });
                }
                Outcome::Repeated => self.metrics.count("client.report_repeated"),
                Outcome::Unknown => self.metrics.count("client.report_unknown"),
            }
        }
    }
}
