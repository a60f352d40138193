//! A message that is out: at the devices of the user, at a forwarding address, at the interworking function; and what
//! becomes of it when nobody takes it (TS 8.3.1.1-p2, -p3, 8.3.1.3, 8.3.6, 6.5.1).

use super::{Plan, Stage, store_query};
use crate::decision::{self, Interworking, Outcome, Tried, Verdict};
use crate::dispositions::behalf::{self, Told};
use crate::interworking::{self, IsfAnswer, Marks};
use crate::terminating::branch;
use crate::work::{Asker, Happening, Work};
use crate::{Content, ParticipatingEvent, ParticipatingFunction, Remedy, body};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_sip::{Request, Response, StatusCode};
use cpm_ua::{Branch, Destination, ProxyId, TransactionFailure, TransactionId};

/// A message that is out.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) plan: Plan,
    /// The devices, or the forwarding address, have not all answered.
    proxy: Option<ProxyId>,
    /// They have, and nobody took it: the best response, held.
    held: Option<(ProxyId, Response)>,
    /// The interworking function has not answered.
    isf: Option<TransactionId>,
    /// It has, and did not take it.
    isf_error: Option<Response>,
    /// Before the answer goes to the sender, this many writes have to end.
    settling: Option<(Final, usize)>,
    /// A device, or the interworking function, has it.
    taken: bool,
    /// The devices that have not answered, of which a delivery may have to be told on behalf of the user.
    watched: Option<ProxyId>,
    /// Such a delivery was told.
    spoken_for: bool,
    /// The sender has its answer, or waits for none any more.
    answered: bool,
    /// Who has not answered until now is not waited for.
    patience_over: bool,
    tried: Tried,
}

/// The final response that the sender of a message gets.
#[derive(Debug)]
enum Final {
    /// That of a device.
    Taken(ProxyId, Response),
    /// That nobody took it.
    Error(Response),
}

impl Delivery {
    pub(super) fn new(plan: Plan) -> Box<Delivery> {
        Box::new(Delivery {
            plan,
            proxy: None,
            held: None,
            isf: None,
            isf_error: None,
            settling: None,
            taken: false,
            watched: None,
            spoken_for: false,
            answered: false,
            patience_over: false,
            tried: Tried::default(),
        })
    }

    /// Something may still come that matters.
    fn is_waiting(&self) -> bool {
        self.isf.is_some()
            || self.settling.is_some()
            || self.watched.is_some()
            || (self.proxy.is_some() && !self.answered && !self.patience_over)
    }
}

impl ParticipatingFunction {
    /// Sends the message to everybody whom the decision names.
    // req: 8.3.1.1-9, 8.3.1.1-9.i, 8.3.1.1-15, 8.3.1.1-6
    pub(super) fn send_out(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        plan: Plan,
    ) {
        let mut delivery = Delivery::new(plan);
        let branches = branches(&work, &delivery.plan);
        if !branches.is_empty() {
            match self.pass_on(now, ports, work.id, branches) {
                Ok(proxy) => delivery.proxy = Some(proxy),
                // A loop, or no hop left: nobody else shall get it either.
                Err(status) => return self.refuse_work(now, ports, &work, status, None),
            }
            let rings_at = self.config.policy.patience.map(|patience| now.mono.plus(patience));
            self.works.set_timer(work.id, rings_at);
        }
        if delivery.plan.decision.interworking.is_some() {
            self.ask_interworking(now, ports, &work, &mut delivery);
        }
        self.wait_or_give_up(now, ports, work, delivery);
    }

    /// After the store has it and its sender knows: what is left is the interworking function.
    pub(super) fn interwork_stored(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        plan: Plan,
    ) {
        let mut delivery = Delivery::new(plan);
        delivery.answered = true;
        if delivery.plan.decision.interworking.is_some() {
            self.ask_interworking(now, ports, &work, &mut delivery);
        }
        self.wait_or_give_up(now, ports, work, delivery);
    }

    /// TS 6.5: straight to the interworking function, as a request of our own.
    // req: 8.3.1.1-4.c, 8.3.1.1-9.ii, 8.3.1.1-9.iii, 8.3.6-2.a, 8.3.6-2.b, 8.3.6-2.d, 8.3.6-2.f
    fn ask_interworking(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
    ) {
        delivery.tried.interworking = true;
        let Some(isf) = &self.config.policy.isf else { return };
        let mut onward = work.request.clone();
        crate::service::assert_service(&mut onward);
        branch::set_uid(&mut onward, None);
        match ports.sip.send_request(now, interworking::for_isf(&onward, isf), Destination::Routed) {
            Ok(transaction) => {
                self.works.sent(transaction, work.id);
                delivery.isf = Some(transaction);
            }
            Err(_) => self.metrics.count("pf.interworking_refused"),
        }
    }

    /// Something happened to a message that is out.
    // req: 8.3.1.1-p3
    pub(super) fn delivery_goes_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        mut delivery: Box<Delivery>,
        happening: Happening,
    ) {
        match happening {
            Happening::Answered(proxy, response) => {
                delivery.proxy = None;
                if response.status().is_success() {
                    self.device_took_it(now, ports, &work, &mut delivery, proxy, response);
                } else {
                    delivery.held = Some((proxy, response));
                }
            }
            Happening::Late(proxy, response) => {
                self.device_took_it_late(now, ports, &work, &mut delivery, proxy, response);
            }
            Happening::Response(answer) => {
                delivery.isf = None;
                self.interworking_answered(now, ports, &work, &mut delivery, answer);
            }
            Happening::Timer => {
                self.metrics.count("pf.devices_silent");
                delivery.patience_over = true;
            }
            Happening::TooLate => {
                if !core::mem::replace(&mut delivery.answered, true) {
                    self.tell_handled(ports, &work, None);
                }
                (delivery.held, delivery.settling) = (None, None);
                // The devices may be asked longer than the sender waits.
                if let Some(proxy) = delivery.proxy.take().or(delivery.watched) {
                    self.watch_devices(ports, &work, &mut delivery, proxy);
                }
            }
            Happening::Written { .. } => {
                if let Some((answer, left)) = delivery.settling.take() {
                    match left.saturating_sub(1) {
                        0 => self.settled(now, ports, &work, &mut delivery, answer),
                        left => delivery.settling = Some((answer, left)),
                    }
                }
            }
            Happening::Reply(..) => {}
        }
        self.wait_or_give_up(now, ports, work, delivery);
    }

    /// A device took it. Before its sender hears so, what was told is remembered, and what has to be told on behalf of the
    /// user is owed.
    // req: 8.2.5-2, 8.3.4-2.a.iv
    fn device_took_it(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        proxy: ProxyId,
        response: Response,
    ) {
        delivery.taken = true;
        let writes = self.remember_told(now, ports, work);
        let told = self.tell_delivered(now, ports, work, delivery, &response);
        self.watch_devices(ports, work, delivery, proxy);
        self.settle(now, ports, work, delivery, Final::Taken(proxy, response), writes.saturating_add(told));
    }

    /// Tells that a device took it, when that device does not do so itself. How many writes the answer waits for.
    fn tell_delivered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        response: &Response,
    ) -> usize {
        let reached = delivery.plan.decision.outcome == Outcome::Deliver;
        if !reached || !self.answered_without_notifications(response, delivery.plan.without_imdn) {
            return 0;
        }
        delivery.spoken_for = true;
        let told = self.tell_on_behalf(now, ports, work, Told::Delivered);
        delivery.plan.told |= told > 0;
        told
    }

    /// Of devices that answer when the sender has an answer already (of the interworking function, of another device, or
    /// that there was none in time), or waits for none any more, one may be unable to tell that it has the message: then that
    /// has to be told all the same.
    /// Half of the room for messages is left to those that have no answer.
    fn watch_devices(
        &mut self,
        ports: &Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        proxy: ProxyId,
    ) {
        let watches = !delivery.spoken_for
            && delivery.plan.decision.outcome == Outcome::Deliver
            && self.tells_for_some()
            && self.may_tell_on_behalf(&work.facts, Told::Delivered)
            && ports.sip.has_open_branches(proxy);
        let room = self.works.len() < self.config.limits.max_work / 2;
        if watches && !room {
            self.metrics.count("pf.devices_not_watched");
        }
        let watches = watches && room;
        delivery.watched = watches.then_some(proxy);
        self.works.watch_proxy(proxy, watches.then_some(work.id));
    }

    // req: 8.2.5-2
    fn device_took_it_late(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        proxy: ProxyId,
        response: Option<Response>,
    ) {
        if let Some(response) = response.filter(|response| response.status().is_success()) {
            delivery.taken = true;
            self.tell_delivered(now, ports, work, delivery, &response);
        }
        self.watch_devices(ports, work, delivery, proxy);
    }

    /// Answers the sender when so many writes have ended.
    fn settle(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        answer: Final,
        writes: usize,
    ) {
        // What waited for an answer that is none any more still has to end.
        let before = delivery.settling.take().map_or(0, |(_, left)| left);
        match writes.saturating_add(before) {
            0 => self.settled(now, ports, work, delivery, answer),
            writes => delivery.settling = Some((answer, writes)),
        }
    }

    fn settled(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        answer: Final,
    ) {
        match answer {
            Final::Taken(proxy, response) => self.release(now, ports, work, proxy, response),
            Final::Error(response) => self.answer_originator(now, ports, work, delivery, response),
        }
        delivery.answered = true;
    }

    /// TS 6.5.1.
    // req: 6.5.1-onMSG200-1, 6.5.1-onMSG200-2
    fn interworking_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        answer: Result<Response, TransactionFailure>,
    ) {
        let Ok(response) = answer else { return };
        match interworking::read_isf_answer(&response) {
            IsfAnswer::Delivered(marks) => {
                delivery.plan.marks = Some(marks);
                delivery.taken = true;
                // Where a device took it already, its answer is on its way.
                if !delivery.answered && delivery.settling.is_none() {
                    delivery.answered = true;
                    let response = interworking::for_sender(&work.request, &response);
                    self.answer_originator(now, ports, work, delivery, response);
                }
            }
            IsfAnswer::Undelivered | IsfAnswer::Refused => delivery.isf_error = Some(response),
        }
    }

    /// Waits for what may still come; when that is nothing, the message is delivered, or it is not.
    fn wait_or_give_up(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        delivery: Box<Delivery>,
    ) {
        if delivery.is_waiting() {
            work.stage = crate::work::Stage::Terminating(Stage::Delivering(delivery));
            return self.works.put(work);
        }
        if delivery.answered {
            return self.record_at_last(now, ports, work, delivery.plan, delivery.taken);
        }
        self.undelivered(now, ports, work, delivery);
    }

    /// Nobody took it (TS 8.3.1.3): what the policy says is done, one thing after the other.
    // req: 8.3.1.1-p2, 8.3.6-p1, 8.3.6-3, 6.5.1-p3
    pub(super) fn undelivered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        mut delivery: Box<Delivery>,
    ) {
        let request = super::delivery_request(&work.facts, now);
        loop {
            let (remedy, tried) = decision::remedy(&request, &self.config.policy, delivery.tried);
            delivery.tried = tried;
            let response = match remedy {
                Remedy::Interwork => {
                    self.ask_interworking(now, ports, &work, &mut delivery);
                    if delivery.isf.is_none() {
                        continue;
                    }
                    work.stage = crate::work::Stage::Terminating(Stage::Delivering(delivery));
                    return self.works.put(work);
                }
                // Deferral is not built: its sender is told that it was not delivered.
                Remedy::Defer => {
                    self.metrics.count("pf.deferral_wanted");
                    Response::for_request(&work.request, StatusCode::TEMPORARILY_UNAVAILABLE)
                }
                Remedy::Error => error_of(&work.request, &delivery),
            };
            return self.failed(now, ports, work, delivery, response);
        }
    }

    /// Nothing is tried: it would be deferred, or nobody knows what the user wants.
    pub(super) fn not_attempted(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        plan: Plan,
    ) {
        let response = Response::for_request(&work.request, StatusCode::TEMPORARILY_UNAVAILABLE);
        self.failed(now, ports, work, Delivery::new(plan), response);
    }

    /// Nobody has it, and its sender hears so: by this response, and by a notification where that was asked for.
    // req: 8.2.5-1
    fn failed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        mut delivery: Box<Delivery>,
        response: Response,
    ) {
        let writes = self.tell_on_behalf(now, ports, &work, Told::Failed);
        delivery.plan.told |= writes > 0;
        self.settle(now, ports, &work, &mut delivery, Final::Error(response), writes);
        self.wait_or_give_up(now, ports, work, delivery);
    }

    /// Gives the sender its final response, wherever the request is.
    fn answer_originator(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        delivery: &mut Delivery,
        response: Response,
    ) {
        if let Some((proxy, _)) = delivery.held.take() {
            return self.release(now, ports, work, proxy, response);
        }
        let Some(proxy) = delivery.proxy.take() else {
            return self.answer_work(now, ports, work, response);
        };
        // What is told here is not told again when the transactions end.
        self.works.proxy_over(proxy);
        let status = response.status();
        let sent = ports.sip.answer_proxied(now, proxy, response).is_ok();
        if !sent {
            self.metrics.count("pf.response_too_late");
        }
        self.tell_handled(ports, work, sent.then_some(status));
        self.watch_devices(ports, work, delivery, proxy);
    }

    /// What is still to be recorded when all is over: what went to the interworking function, with what that said of it
    /// (TS 6.5.1, 8.5.4), and what nobody took (step 5 comes before step 8). What the store has already it is given again
    /// when more is known of it.
    // req: 8.3.1.1-5, 6.5.1-onMSG200-2, 8.3.5-p4.2, 8.2.5-b2
    fn record_at_last(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        plan: Plan,
        taken: bool,
    ) {
        self.works.set_timer(work.id, None);
        let marked = plan.marks.as_ref().is_some_and(|marks| *marks != Marks::default());
        // TS 8.3.5: of notifications, those that were delivered.
        let counts = taken || work.facts.content == Content::Message;
        let asks = || behalf::without_delivery_requests(&work.request, &work.facts).is_some();
        let told = plan.told && !plan.kept_as_told && asks();
        let wanted = if plan.kept() { marked || told } else { plan.decision.record && counts };
        if !wanted {
            return;
        }
        let Some(query) = store_query(&work, &plan) else { return };
        self.ask(now, ports, Asker::Work(work.id), query);
        work.stage = crate::work::Stage::Terminating(Stage::RecordedAtLast);
        self.works.put(work);
    }
}

/// The requests that the decision asks for.
fn branches(work: &Work, plan: &Plan) -> Vec<Branch> {
    match &plan.decision.outcome {
        Outcome::Forward(to) => vec![routed(branch::forwarded(&work.request, &work.facts.wishes, to))],
        Outcome::Deliver => device_requests(work, plan),
        _ => Vec::new(),
    }
}

fn routed(request: Request) -> Branch {
    Branch { request, destination: Destination::Routed }
}

fn device_requests(work: &Work, plan: &Plan) -> Vec<Branch> {
    let Some(feature) = work.facts.feature.filter(|_| plan.decision.reaches_devices()) else {
        return Vec::new();
    };
    let mut whole = branch::for_devices(&work.request, &work.facts.wishes, feature);
    // Notifications have no number in the store (readings G3).
    branch::set_uid(&mut whole, plan.uid.filter(|_| work.facts.content == Content::Message));
    let by_reference = plan.referring.as_ref().and_then(|cpim| {
        let mut copy = whole.clone();
        body::set_cpim(&mut copy, cpim).ok().map(|()| copy)
    });
    let selected = plan.devices.iter().zip(&plan.decision.devices).filter_map(|(device, verdict)| {
        let Verdict::Selected { references } = verdict else { return None };
        Some((device, *references))
    });
    let mut requests = Vec::with_capacity(selected.clone().count());
    let mut selected = selected.peekable();
    while let Some((device, references)) = selected.next() {
        let common = match &by_reference {
            Some(referring) if references => referring.clone(),
            // The last one needs no copy.
            _ if selected.peek().is_none() => {
                requests.push(routed(branch::for_device(whole, device)));
                break;
            }
            _ => whole.clone(),
        };
        requests.push(routed(branch::for_device(common, device)));
    }
    requests
}

/// The error that goes back (TS 8.3.6-3): that of the interworking function, else the best of the devices; 480 where there
/// is none that says anything.
fn error_of(request: &Request, delivery: &Delivery) -> Response {
    if let Some(response) = &delivery.isf_error
        && response.status() != StatusCode::REQUEST_TIMEOUT
    {
        return interworking::for_sender(request, response);
    }
    match &delivery.held {
        Some((_, response)) => response.clone(),
        None => Response::for_request(request, StatusCode::TEMPORARILY_UNAVAILABLE),
    }
}

/// Whether a decision waits with recording until the interworking function has said how it delivered the message.
pub(super) fn is_recorded_after(interworking: Option<Interworking>) -> bool {
    interworking == Some(Interworking::Instead)
}
