//! What becomes of a request on its way through a proxy (RFC 3261 §16.4, §16.6): all of it is known before the request is
//! changed, so that what is refused is given back as it came.

use super::Endpoint;
use super::outgoing::Hop;
use super::routing::{first_route, is_strict, lead_strictly, route_at};
use crate::config::NextHop;
use crate::error::Refusal;
use crate::event::Destination;
use alloc::vec::Vec;
use cpm_sip::{HeaderError, HeaderName, MaxBreadth, MaxForwards, Request, Route, Uri};

/// What is changed about one request, and where it goes.
pub(super) struct Onward {
    own: OwnRoute,
    hops: MaxForwards,
    /// Where it does not say so already.
    breadth: Option<MaxBreadth>,
    /// The Route that a strict router gets in its own form.
    strict: Option<Vec<Route>>,
    hop: Hop,
}

/// Where this proxy stands in the way that a request should take (RFC 3261 §16.4).
enum OwnRoute {
    /// In so many of the topmost Route values.
    Topmost(usize),
    /// In the Request-URI, where a strict router upstream put our Record-Route: what belongs there, and the Route before it.
    RequestUri(Uri, Vec<Route>),
}

impl Onward {
    /// Changes the request; says where it goes.
    pub(super) fn apply(self, request: &mut Request) -> Hop {
        match self.own {
            OwnRoute::Topmost(count) => {
                for _ in 0..count {
                    request.headers_mut().pop_first_value(&HeaderName::Route);
                }
            }
            OwnRoute::RequestUri(uri, routes) => {
                request.set_uri(uri);
                request.headers_mut().set_typed_list(&routes);
            }
        }
        request.headers_mut().set_typed(&self.hops);
        if let Some(breadth) = &self.breadth {
            request.headers_mut().set_typed(breadth);
        }
        if let Some(routes) = self.strict {
            lead_strictly(request, routes);
        }
        self.hop
    }
}

impl Endpoint {
    /// RFC 3261 §16.4 and §16.6 steps 3, 5 and 6, RFC 5393 §5.3.3: what every request gets on its way through. `outbound` is
    /// the configured hop, where it counts.
    pub(super) fn onward(
        &self,
        request: &Request,
        breadth: u32,
        destination: &Destination,
        outbound: Option<&NextHop>,
    ) -> Result<Onward, Refusal> {
        let (own, next) = self.own_route(request)?;
        let hops = match request.typed::<MaxForwards>()? {
            Some(hops) if hops.0 == 0 => return Err(Refusal::TooManyHops),
            Some(hops) => hops.0.saturating_sub(1),
            None => 70,
        };
        let breadth = MaxBreadth(breadth);
        let said = request.typed::<MaxBreadth>()? == Some(breadth);
        let uri = match &own {
            OwnRoute::RequestUri(uri, _) => uri,
            OwnRoute::Topmost(_) => request.uri(),
        };
        let hop = self.hop_to(uri, next.as_ref(), destination, outbound)?;
        let strict = match &own {
            _ if !is_strict(next.as_ref()) => None,
            OwnRoute::RequestUri(_, routes) => Some(routes.clone()),
            OwnRoute::Topmost(count) => {
                let mut routes = request.typed_list::<Route>()?;
                routes.drain(..(*count).min(routes.len()));
                Some(routes)
            }
        };
        Ok(Onward { own, hops: MaxForwards(hops), breadth: (!said).then_some(breadth), strict, hop })
    }

    /// Where this proxy stands in the Route, and what comes next there.
    fn own_route(&self, request: &Request) -> Result<(OwnRoute, Option<Uri>), HeaderError> {
        let headers = request.headers();
        let by_strict_router =
            matches!(request.uri(), Uri::Sip(uri) if uri.is_loose_router()) && self.is_own(request.uri());
        if by_strict_router && let Some((last, others)) = request.typed_list::<Route>()?.split_last() {
            let next = others.first().map(|route| route.uri().clone());
            return Ok((OwnRoute::RequestUri(last.uri().clone(), others.to_vec()), next));
        }
        let Some(first) = first_route(headers)? else { return Ok((OwnRoute::Topmost(0), None)) };
        if !self.is_own(&first) {
            return Ok((OwnRoute::Topmost(0), Some(first)));
        }
        let second = route_at(headers, 1)?;
        // Both sides of a double Record-Route (RFC 5658 §3).
        if is_double(&first) && second.as_ref().is_some_and(|uri| is_double(uri) && self.is_own(uri)) {
            return Ok((OwnRoute::Topmost(2), route_at(headers, 2)?));
        }
        Ok((OwnRoute::Topmost(1), second))
    }
}

/// What marks both values of a double Record-Route, as proxies in the field do.
pub(super) const DOUBLE: &str = "r2";

fn is_double(uri: &Uri) -> bool {
    matches!(uri, Uri::Sip(uri) if uri.has_param(DOUBLE))
}
