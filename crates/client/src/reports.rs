//! Disposition notifications (TS 5.4): making delivery notifications and read reports, taking those that arrive.

use crate::client::Purpose;
use crate::compose::{Envelope, set_cpim};
use crate::origin::Origin;
use crate::pager::message_uid;
use crate::received_state::{Facts, notifications};
use crate::{Client, ClientEvent, Disposition, SentId};
use bytes::Bytes;
use core::cell::Cell;
use core::time::Duration;
use cpm_base::{DateTime, Instant, Now};
use cpm_core::disposition::{Due, DueId, Verdict, Way};
use cpm_core::feature::{CpmFeature, CpmService};
use cpm_core::{ContributionId, ConversationId, Ports};
use cpm_cpim::{Address, CpimBuilder, CpimMessage};
use cpm_mime::{ContentType, Part};
use cpm_sip::{Method, Request, Response, Uri};
use cpm_ua::Destination;
use cpm_xml::imdn::{self, DeliveryStatus, DisplayStatus, Imdn, InterworkingStatus, Notification};
use std::collections::BTreeSet;

/// A notification that did not go through is tried again this much later.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// All that a notification about a received message needs to say.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) originator: Uri,
    conversation: Option<ConversationId>,
    contribution: Option<ContributionId>,
    feature: CpmFeature,
    service: CpmService,
    pub(crate) message_id: String,
    /// CPIM DateTime of the message, as it stood there.
    date: Option<String>,
    /// The address of ours that the message went to.
    recipient: Option<String>,
    original_to: Option<String>,
    record_route: Vec<Address>,
    /// What the Message-IDs of the notifications are made of.
    token: String,
    arrived: DateTime,
}

/// A notification that waits for its answer or its next try.
#[derive(Debug, Clone)]
pub(crate) struct PendingReport {
    pub(crate) due: DueId,
    about: Due,
    request: Request,
}

impl PendingReport {
    /// The Request-URI that it goes to.
    pub(crate) fn target(&self) -> &Uri {
        self.request.uri()
    }
}

impl Receipt {
    /// `None` when nobody can be told: the originator is not known, or the message has no id.
    pub(crate) fn new(facts: &Facts, cpim: &CpimMessage, own: &BTreeSet<String>) -> Option<Receipt> {
        let origin = &facts.origin;
        Some(Receipt {
            originator: origin.originator.clone()?,
            conversation: origin.conversation.clone(),
            contribution: origin.contribution.clone(),
            feature: origin.feature(),
            service: origin.service(),
            message_id: cpim.imdn_message_id().ok().flatten()?,
            date: cpim.date_time_text(),
            recipient: recipient(cpim, own),
            original_to: cpim.original_to().ok().flatten().map(|to| to.uri),
            record_route: cpim.record_route().unwrap_or_default(),
            token: facts.token.clone(),
            arrived: facts.arrived,
        })
    }
}

/// The address of ours that a message went to. Of several recipients the others are nobody's business (threat E10).
fn recipient(cpim: &CpimMessage, own: &BTreeSet<String>) -> Option<String> {
    let to = cpim.to().unwrap_or_default();
    let ours = |to: &&Address| key_of(&to.uri).is_some_and(|key| own.contains(&key));
    let found = to.iter().find(ours).map(|to| to.uri.clone());
    match to.as_slice() {
        [only] => found.or_else(|| Some(only.uri.clone())),
        _ => found,
    }
}

fn key_of(uri: &str) -> Option<String> {
    Uri::parse(uri).ok().map(|uri| uri.address_key())
}

impl Client {
    /// The addresses of the user, in canonical form.
    pub(crate) fn own_addresses(&self) -> BTreeSet<String> {
        let associated = self.registration.associated().iter();
        associated.chain([&self.config.address]).map(Uri::address_key).collect()
    }

    /// Whether notifications may go where a message says that they shall pass: by no hop twice, and not by this user
    /// (threat E6: no loops, and nobody is hit more than once). That there are no more than `imdn.max_route` hops is checked
    /// when the message is read.
    pub(crate) fn route_is_good(&self, cpim: &CpimMessage) -> bool {
        let Ok(route) = cpim.record_route() else { return false };
        let mut seen = self.own_addresses();
        route.iter().all(|hop| key_of(&hop.uri).is_some_and(|key| seen.insert(key)))
    }

    /// Sends what is due, one MESSAGE at a time to each address (RFC 3428 §8), as long as there is room for more
    /// transactions: a crowd of senders that do not answer may not
    /// make this client hold ever more of them.
    // req: 5.4.1-p1, 5.4-p6, 5.4-via-i
    pub(crate) fn send_reports(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        if self.reports_held {
            return;
        }
        self.report_rate.pass(now.mono);
        let too_many = Cell::new(false);
        let mut busy = self.message_targets(Uri::address_key);
        while self.transactions.len() < self.config.limits.max_reports {
            let rate = &self.report_rate;
            let open = |peer: &str, way| {
                let allowed = rate.allows(peer);
                too_many.set(too_many.get() || !allowed);
                way == Way::Message && allowed && !busy.contains(peer)
            };
            let Some(due) = self.owed.next_to(open) else { break };
            self.report_rate.count(now.mono, &due.to);
            busy.insert(due.to.clone());
            match self.report_request(&due) {
                Some(request) => {
                    self.transmit_report(now, ports, PendingReport { due: due.id, about: due, request })
                }
                None => {
                    self.metrics.count("client.report_not_writable");
                    self.owed.done(due.id, false, false);
                }
            }
        }
        self.rate_held = too_many.get();
    }

    /// The MESSAGE that carries a notification (TS 5.4.1-2.a, 5.4.2-2.a).
    // req: 5.4-via-i, 5.4-p3, 5.4-p7, 5.4.1-2.a.ii, 5.4.1-2.a.iii, 5.4.1-2.a.iv.a, 5.4.1-2.a.v
    // req: 5.4.2-2.a.2, 5.4.2-2.a.3, 5.4.2-2.a.5, 5.4.2-2.a.6, 5.4.2-2.a.7, 5.4.2-2.a.8
    fn report_request(&self, due: &Due) -> Option<Request> {
        let known = self.received.get(*self.owed_for.get(due.message)?)?;
        let receipt = known.receipt.as_ref()?;
        let at = if is_display(&due.notification) { known.since.read? } else { receipt.arrived };
        let cpim = self.report_cpim(receipt, due.notification.clone(), at)?;
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

    /// The CPIM message around the notification: it asks for no notification of its own (TS 5.4-p4). It is made of what is
    /// kept alone: one that is sent again after a restart is the same, under the same Message-ID.
    // req: 5.4-p4, 5.4.1-p2, 5.4.2-2.a.4, 5.4.2-3, 5.4.2-3.a, 5.4.2-3.b, 5.4.2-3.c, 5.4.2-3.d, 5.4.2-3.e, 5.4.1-2
    fn report_cpim(&self, receipt: &Receipt, notification: Notification, at: DateTime) -> Option<Bytes> {
        let date = receipt.date.clone().unwrap_or_else(|| receipt.arrived.to_string());
        let message_id = format!("{}{}", receipt.token, if is_display(&notification) { 'r' } else { 'd' });
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
            .imdn_message_id(&message_id)
            .date_time(at)
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
            Err(_) => self.report_failed(now, ports, report, true),
        }
    }

    /// The final response to a notification: any 2xx ends it, what is refused for good (4xx, 6xx) is not sent again.
    // req: 5.4.2-2.a.9
    pub(crate) fn report_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        report: PendingReport,
        response: &Response,
    ) {
        if !response.status().is_success() {
            let retry = crate::outcome::proves_nothing(response.status());
            return self.report_failed(now, ports, report, retry);
        }
        self.owed.done(report.due, true, false);
        self.report_over(now, ports, &report, message_uid(response));
    }

    /// A notification did not reach the next hop, or was answered with something else than 2xx.
    pub(crate) fn report_failed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        report: PendingReport,
        retry: bool,
    ) {
        if retry && self.owed.try_again(report.due) {
            self.waiting_reports.push_back((now.mono.plus(RETRY_AFTER), report));
        } else {
            self.owed.done(report.due, false, false);
            self.metrics.count("client.report_lost");
            self.report_over(now, ports, &report, None);
        }
    }

    fn report_over(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        report: &PendingReport,
        uid: Option<String>,
    ) {
        if let Some(id) = self.owed_for.get(report.about.message).copied() {
            self.report_done(now, ports, id, is_display(&report.about.notification), uid);
        }
    }

    pub(crate) fn reports_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        let mut busy = self.message_targets(Uri::key);
        while self.waiting_reports.front().is_some_and(|(due, _)| *due <= now.mono) {
            let Some((_, report)) = self.waiting_reports.pop_front() else { return };
            let room = self.transactions.len() < self.config.limits.max_reports;
            if room && busy.insert(report.target().key()) {
                self.transmit_report(now, ports, report);
            } else {
                self.waiting_reports.push_back((now.mono.plus(RETRY_AFTER), report));
            }
        }
        self.reports_due = false;
        self.send_reports(now, ports);
    }

    pub(crate) fn reports_next_timeout(&self) -> Option<Instant> {
        let again = self.waiting_reports.front().map(|(due, _)| *due);
        let released = self.report_rate.next_release().filter(|_| self.rate_held);
        let restored = self.reports_due.then_some(Instant::ZERO);
        [again, released, restored].into_iter().flatten().min()
    }

    /// A notification arrived (TS 5.4-p8), alone or several in one message (TS 5.4.5). It counts when it is about a message of
    /// ours, from its recipient, and was asked for (RFC 5438 §14).
    // req: 5.4-p8, 5.4-rcv-1, 5.4-rcv-1.a, 5.4-rcv-2, 5.4-rcv-2.a, 5.4-rcv-3, 5.4-rcv-3.b, 5.4.3-p1, 5.4.4-p1
    // req: 5.4.3-p2, 5.4.4-p2, 5.4.7-p1, 5.4-rcv-3.b.i.3, 5.4-rcv-3.b.ii.3, 5.4.5-p2
    pub(crate) fn notified(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        origin: &Origin,
        documents: &[Imdn],
    ) {
        for (_, document, notification) in notifications(documents) {
            let verdict = self.judge(origin, &document.message_id, notification);
            if !matches!(verdict, Verdict::News(_)) {
                self.metrics.count(counter(verdict));
                continue;
            }
            let id = self.sent.number(&document.message_id).map(SentId);
            match (id, disposition(notification)) {
                (Some(id), Some(disposition)) => {
                    let from = origin.sender_text();
                    ports.host.event(ClientEvent::Disposition { id, disposition, from });
                }
                _ => self.metrics.count("client.report_ignored"),
            }
            self.told(now, ports, &document.message_id, verdict);
        }
    }

    /// The places of the notifications that say something new of a message of ours. Nothing changes before they are kept.
    pub(crate) fn news(&self, origin: &Origin, documents: &[Imdn]) -> Vec<u32> {
        let is_news = |document: &Imdn, notification: &Notification| {
            let from = self.reporter(origin, &document.message_id)?;
            let verdict = self.sent.weigh(Some(&from), &document.message_id, notification);
            matches!(verdict, Verdict::News(_)).then_some(())
        };
        let news = notifications(documents).filter(|(_, imdn, what)| is_news(imdn, what).is_some());
        news.map(|(place, _, _)| place).collect()
    }

    /// What a notification means, and from now on it counts.
    pub(crate) fn judge(&mut self, origin: &Origin, about: &str, notification: &Notification) -> Verdict {
        match self.reporter(origin, about) {
            Some(from) => self.sent.report(Some(&from), about, notification),
            None => Verdict::NotARecipient,
        }
    }

    /// Who speaks of a message. Who says so is whom the core asserts; others prove nothing (threat E5). The address that
    /// the message went to may be any of those that the core knows its recipient by. Who hides is nobody whom it went to.
    fn reporter(&self, origin: &Origin, about: &str) -> Option<String> {
        if !origin.authenticated && !self.config.settings.unasserted_senders {
            return None;
        }
        let known = origin.sender_keys().find(|key| self.sent.progress(about, key).is_some());
        known.or_else(|| origin.sender_keys().next()).or_else(|| Some(String::new()))
    }
}

fn is_display(notification: &Notification) -> bool {
    matches!(notification, Notification::Display(_))
}

/// What a notification tells the user; `None` where it tells nothing.
pub(crate) const fn disposition(notification: &Notification) -> Option<Disposition> {
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
