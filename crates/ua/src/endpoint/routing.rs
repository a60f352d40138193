//! Route and Request-URI (RFC 3261 §12.2.1.1, §16.6 step 6).

use alloc::vec::Vec;
use cpm_sip::{HeaderError, Request, Route, Uri};

/// When the first hop is a strict router (no `lr`), it expects itself in the Request-URI and the Request-URI at the end
/// of the Route.
pub(super) fn fit_strict_router(request: &mut Request) -> Result<(), HeaderError> {
    if let Some(routes) = strict_route(request)? {
        lead_strictly(request, routes);
    }
    Ok(())
}

/// The Route of a request, where its first hop is a strict router.
pub(super) fn strict_route(request: &Request) -> Result<Option<Vec<Route>>, HeaderError> {
    let first = request.typed::<Route>()?;
    let strict = first.is_some_and(|first| first.uri().as_sip().is_some_and(|uri| !uri.is_loose_router()));
    if strict { request.typed_list().map(Some) } else { Ok(None) }
}

/// Puts a request with this Route into the form that a strict router expects.
pub(super) fn lead_strictly(request: &mut Request, mut routes: Vec<Route>) {
    if routes.is_empty() {
        return;
    }
    let first = routes.remove(0);
    routes.push(Route::new(request.uri().clone()));
    let next = match first.uri() {
        Uri::Sip(uri) => Uri::Sip(uri.clone().without_headers().without_param("method")),
        other => other.clone(),
    };
    request.set_uri(next);
    request.headers_mut().set_typed_list(&routes);
}
