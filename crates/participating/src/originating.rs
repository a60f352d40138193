//! For the user who sends (TS 8.2.1.1; 8.2.1.2 as a proxy).

use crate::function::feature_of;
use crate::{ParticipatingEvent, ParticipatingFunction, ServedRole};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::feature::CpmService;
use cpm_sip::{HeaderName, PAssertedIdentity, PAssertedService, PPreferredService, Request, StatusCode};
use cpm_ua::{Branch, Destination, RequestId};

impl ParticipatingFunction {
    pub(crate) fn originating(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        let refusal = refusal(request);
        if let Some((status, why)) = refusal {
            self.refuse(now, ports, id, request, status, Some(why));
            return self.handled(ports, ServedRole::Originating, request.method().clone(), status);
        }
        let mut onward = request.clone();
        assert_service(&mut onward);
        // req: 8.2.1.1-8.A.ii
        let branch = Branch { request: onward, destination: Destination::Routed };
        self.pass_on(now, ports, id, request, ServedRole::Originating, vec![branch]);
    }
}

/// Why a request is not served, where it is not.
// req: 6.1-p4.1, 6.1-p4.2
fn refusal(request: &Request) -> Option<(StatusCode, &'static str)> {
    let asserted = request.typed_list::<PAssertedIdentity>();
    if !asserted.is_ok_and(|identities| !identities.is_empty()) {
        return Some((StatusCode::FORBIDDEN, "no authenticated originator"));
    }
    if feature_of(request).is_none() {
        return Some((StatusCode::FORBIDDEN, "127 Service not authorised"));
    }
    None
}

/// P-Preferred-Service, where it names a CPM service, becomes P-Asserted-Service (TS 8.2.1.1-7.i.1, readings C6); what the
/// core asserted already stands.
// req: 8.2.1.1-7.i.1, H.5-p1
fn assert_service(request: &mut Request) {
    let preferred = request.typed_list::<PPreferredService>().unwrap_or_default();
    let Some(service) = preferred.iter().find_map(|service| CpmService::from_icsi(service.as_str())) else {
        return;
    };
    request.headers_mut().remove(&HeaderName::PPreferredService);
    if request.headers().contains(&HeaderName::PAssertedService) {
        return;
    }
    if let Ok(asserted) = PAssertedService::new(&service.urn()) {
        request.headers_mut().push_typed(&asserted);
    }
}
