//! What stands between the caller and two devices: a proxy that forks, or two calls back to back.

use crate::endpoint::phone::Told;
use cpm_base::{Instant, Now};
use cpm_core::{Function, Input, Ports};
use cpm_sip::{Contact, From, HeaderName, Headers, Method, Request, Response, StatusCode, Uri};
use cpm_ua::{Branch, BridgeEvent, BridgeId, Destination, Event, LegId, ProxyOptions, RequestId};

/// How a call is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One request to both; the first who answers has the call.
    Fork,
    /// A call of its own with each; both may have it.
    Bridge,
}

pub(super) struct Middle {
    way: Way,
    /// Its own address.
    own: Uri,
    devices: Vec<Uri>,
    /// The call that came in, while it is not answered.
    incoming: Option<(BridgeId, Request)>,
}

type Port<'a, 'p> = &'a mut Ports<'p, Told>;

impl Middle {
    pub(super) fn new(way: Way, own: Uri, devices: Vec<Uri>) -> Self {
        Middle { way, own, devices, incoming: None }
    }

    fn fork(&self, now: Now, ports: Port<'_, '_>, id: RequestId, request: &Request) -> Result<(), String> {
        let to = |device: &Uri| {
            let mut request = request.clone();
            request.set_uri(device.clone());
            Branch { request, destination: Destination::Routed }
        };
        let branches = self.devices.iter().map(to).collect();
        let options = ProxyOptions { record_route: Some(self.own.clone()), ..ProxyOptions::default() };
        ports.sip.proxy(now, id, branches, options).map(|_| ()).map_err(|refused| refused.to_string())
    }

    fn bridge(
        &mut self,
        now: Now,
        ports: Port<'_, '_>,
        id: RequestId,
        request: Request,
    ) -> Result<(), String> {
        let bridge = ports.sip.bridge(id).map_err(|why| why.to_string())?;
        for device in &self.devices {
            let leg = self.leg(&request, device);
            ports
                .sip
                .add_leg(now, bridge, leg, Destination::Routed)
                .map_err(|refused| refused.to_string())?;
        }
        self.incoming = Some((bridge, request));
        Ok(())
    }

    /// The INVITE for a device: the caller's offer in a call of our own.
    fn leg(&self, request: &Request, device: &Uri) -> Request {
        let caller = request.typed::<From>().ok().flatten().map(|from| from.uri().clone());
        let mut leg = Request::new(Method::Invite, device.clone())
            .with_typed(&From::new(caller.unwrap_or_else(|| self.own.clone())))
            .with_typed(&Contact::new(self.own.clone()));
        leg.headers_mut().copy_from(request.headers(), &HeaderName::ContentType);
        leg.set_body(request.body().clone());
        leg
    }

    /// A device answered: it has its call; the first answer goes to the caller.
    fn answered(
        &mut self,
        now: Now,
        ports: Port<'_, '_>,
        leg: LegId,
        answer: &Response,
    ) -> Result<(), String> {
        ports.sip.accept_leg(now, leg, None).map_err(|refused| refused.to_string())?;
        let Some((bridge, request)) = self.incoming.take() else { return Ok(()) };
        let mut response =
            Response::for_request(&request, StatusCode::OK).with_typed(&Contact::new(self.own.clone()));
        response.headers_mut().copy_from(answer.headers(), &HeaderName::ContentType);
        response.set_body(answer.body().clone());
        let sent = ports.sip.answer_upstream(now, bridge, response);
        sent.map(|_| ()).map_err(|refused| refused.to_string())
    }

    fn sip(&mut self, now: Now, ports: Port<'_, '_>, event: Event) -> Result<(), String> {
        match event {
            Event::Request { id, request, in_dialog: None, .. } => match (self.way, request.method()) {
                (Way::Fork, Method::Invite) if !has_to_tag(&request) => self.fork(now, ports, id, &request),
                (Way::Bridge, Method::Invite) => self.bridge(now, ports, id, request),
                _ => ports.sip.route_onward(now, id).map(|_| ()).map_err(|refused| refused.to_string()),
            },
            // A BYE on either side of the bridge.
            Event::Request { id, request, .. } => {
                let ok = Response::for_request(&request, StatusCode::OK);
                ports.sip.respond(now, id, ok).map(|_| ()).map_err(|refused| refused.to_string())
            }
            Event::Bridged { event: BridgeEvent::LegAnswered { leg, response, .. }, .. } => {
                self.answered(now, ports, leg, &response)
            }
            Event::Bridged { bridge, event: BridgeEvent::UpstreamEnded { .. } } => {
                ports.sip.end_bridge(now, bridge, &Headers::new()).map_err(|why| why.to_string())
            }
            Event::Bridged { event: BridgeEvent::Over, .. } => {
                ports.host.event(Told::Line("nothing is left of the bridge".to_owned()));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn has_to_tag(request: &Request) -> bool {
    request.typed::<cpm_sip::To>().ok().flatten().is_some_and(|to| to.tag().is_some())
}

impl Function for Middle {
    type Event = Told;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Told>) {
        if let Input::Sip(event) = input
            && let Err(why) = self.sip(now, ports, event)
        {
            ports.host.event(Told::Done(Err(why)));
        }
    }

    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, Told>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
