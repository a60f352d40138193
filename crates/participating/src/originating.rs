//! For the user who sends a pager-mode message (TS 8.2.1.1).

use crate::facts::Facts;
use crate::service::assert_service;
use crate::work::{Happening, Work};
use crate::{ParticipatingEvent, ParticipatingFunction};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::warning::Reason;
use cpm_sip::{Request, StatusCode};
use cpm_ua::{Branch, Destination, RequestId};

/// How far a message has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It was passed on.
    PassedOn,
}

impl ParticipatingFunction {
    pub(crate) fn originating(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: Request,
        facts: Facts,
    ) {
        let work =
            Box::new(Work { id, request, facts, stage: crate::work::Stage::Originating(Stage::PassedOn) });
        if work.facts.feature.is_none() {
            let why = Some(Reason::NotAuthorised.text());
            return self.refuse_work(now, ports, &work, StatusCode::FORBIDDEN, why);
        }
        let mut onward = work.request.clone();
        assert_service(&mut onward);
        // req: 8.2.1.1-8.A.ii
        let branch = Branch { request: onward, destination: Destination::Routed };
        match self.pass_on(now, ports, id, vec![branch]) {
            Ok(_) => self.works.put(work),
            Err(status) => self.refuse_work(now, ports, &work, status, None),
        }
    }

    /// The far side's final response is this function's.
    // req: 8.2.1.1-8.A.iv, 8.2.1.1-9.ii
    pub(crate) fn originating_goes_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        happening: Happening,
    ) {
        match happening {
            Happening::Answered(proxy, response) => self.release(now, ports, &work, proxy, response),
            Happening::TooLate => self.tell_handled(ports, &work, None),
            _ => self.works.put(work),
        }
    }
}
