//! An interworking selection function: takes what is sent to it, or says that it cannot.

use super::plan::IsfPlan;
use cpm_base::{Instant, Now};
use cpm_core::{Function, Input, Ports};
use cpm_sip::{HeaderName, HeaderText, Request, Response, StatusCode};
use cpm_ua::Event;

#[derive(Debug)]
pub struct Isf {
    plan: IsfPlan,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interworked(pub Box<Request>);

/// What it says that the message became (TS 6.5.1).
pub const CONTEXT: &str = "multimedia-message";

impl Isf {
    pub const fn new(plan: IsfPlan) -> Isf {
        Isf { plan }
    }
}

impl Function for Isf {
    type Event = Interworked;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Interworked>) {
        let Input::Sip(Event::Request { id, request, .. }) = input else { return };
        let mut response = match self.plan {
            IsfPlan::Delivers => Response::for_request(&request, StatusCode::OK),
            IsfPlan::Unavailable => Response::for_request(&request, StatusCode::TEMPORARILY_UNAVAILABLE),
        };
        if self.plan == IsfPlan::Delivers {
            for (name, value) in
                [(HeaderName::MessageContext, CONTEXT), (HeaderName::MessageCorrelator, "\"correlated\"")]
            {
                response.headers_mut().replace(name, HeaderText::sanitized(value));
            }
        }
        let _ = ports.sip.respond(now, id, response);
        ports.host.event(Interworked(Box::new(request)));
    }

    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, Interworked>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
