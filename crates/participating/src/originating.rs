//! For the user who sends (TS 8.2.1.1; 8.2.1.2 as a proxy).

use crate::function::Received;
use crate::service::assert_service;
use crate::{ParticipatingEvent, ParticipatingFunction};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::feature::CpmFeature;
use cpm_core::warning::Reason;
use cpm_sip::StatusCode;
use cpm_ua::{Branch, Destination};

impl ParticipatingFunction {
    pub(crate) fn originating(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        received: Received<'_>,
        feature: Option<CpmFeature>,
    ) {
        if feature.is_none() {
            let why = Some(Reason::NotAuthorised.text());
            return self.refuse_served(now, ports, received, StatusCode::FORBIDDEN, why);
        }
        let mut onward = received.request.clone();
        assert_service(&mut onward);
        // req: 8.2.1.1-8.A.ii
        let branch = Branch { request: onward, destination: Destination::Routed };
        self.pass_on(now, ports, received, vec![branch]);
    }
}
