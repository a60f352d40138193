//! Large messages, passed on as a SIP proxy (TS 8.2.1.2, 8.3.1.2): their INVITE goes on, its answer comes back, MSRP runs
//! end to end.

use crate::facts::Facts;
use crate::function::status_of;
use crate::service::assert_service;
use crate::terminating::branch::{for_device, for_devices};
use crate::{ParticipatingEvent, ParticipatingFunction, ServedRole};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::warning::Reason;
use cpm_sip::{Method, Request, Response, StatusCode, Uri};
use cpm_ua::{Branch, Destination, ProxyId, ProxyOptions, RequestId};

/// An INVITE that was passed on.
#[derive(Debug)]
pub(crate) struct Relayed {
    role: ServedRole,
}

impl ParticipatingFunction {
    // req: 8.1.4-p2
    pub(crate) fn relay(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
        facts: &Facts,
    ) {
        let branch = |request| Branch { request, destination: Destination::Routed };
        let branches: Vec<Branch> = match (facts.role, facts.feature) {
            (ServedRole::Originating, None) => {
                let why = Some(Reason::NotAuthorised.text());
                return self.refuse_relayed(now, ports, id, request, facts.role, StatusCode::FORBIDDEN, why);
            }
            (ServedRole::Originating, Some(_)) => {
                let mut onward = request.clone();
                assert_service(&mut onward);
                vec![branch(onward)]
            }
            (ServedRole::Terminating, feature) => {
                let requests = feature.map(|feature| {
                    let common = for_devices(request, &facts.wishes, feature);
                    let devices = self.registrations.devices(now.mono, &facts.served, feature);
                    devices.iter().map(|device| for_device(common.clone(), device)).collect::<Vec<_>>()
                });
                requests.unwrap_or_default().into_iter().map(branch).collect()
            }
        };
        if branches.is_empty() {
            let status = StatusCode::TEMPORARILY_UNAVAILABLE;
            return self.refuse_relayed(now, ports, id, request, facts.role, status, None);
        }
        // In the dialog of an INVITE this function stays.
        let stay = Some(Uri::Sip(self.config.address.clone()));
        let options = ProxyOptions { record_route: stay, hold_final: true, ..ProxyOptions::default() };
        match ports.sip.proxy(now, id, branches, options) {
            Ok(proxy) => {
                self.relayed.insert(proxy, Relayed { role: facts.role });
            }
            Err(refused) => {
                let status = status_of(&refused.why);
                self.refuse_relayed(now, ports, id, request, facts.role, status, None);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a request and what is wrong with it")]
    fn refuse_relayed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
        role: ServedRole,
        status: StatusCode,
        why: Option<&str>,
    ) {
        self.refuse(now, ports, id, request, status, why);
        ports.host.event(ParticipatingEvent::Handled { role, method: Method::Invite, status });
    }

    /// The far side's final response is this function's.
    pub(crate) fn relay_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        proxy: ProxyId,
        response: Response,
    ) {
        let status = response.status();
        let released = ports.sip.release(now, proxy, response).is_ok();
        if !released {
            self.metrics.count("pf.response_too_late");
        }
        // Further 2xx pass in silence.
        let Some(Relayed { role }) = self.relayed.remove(&proxy) else { return };
        let method = Method::Invite;
        ports.host.event(match released {
            true => ParticipatingEvent::Handled { role, method, status },
            false => ParticipatingEvent::Unanswered { role, method },
        });
    }

    /// An INVITE is over; when the far side's answer was not let go before, its sender had none from there.
    pub(crate) fn relay_ended(&mut self, ports: &mut Ports<'_, ParticipatingEvent>, proxy: ProxyId) {
        if let Some(Relayed { role }) = self.relayed.remove(&proxy) {
            ports.host.event(ParticipatingEvent::Unanswered { role, method: Method::Invite });
        }
    }
}
