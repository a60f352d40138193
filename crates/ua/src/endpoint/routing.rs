//! Route and Request-URI (RFC 3261 §12.2.1.1, §16.6 step 6).

use alloc::vec::Vec;
use cpm_sip::{HeaderError, Headers, Request, Route, RouteRef, Uri};

/// The URI of the first Route value.
pub(super) fn first_route(headers: &Headers) -> Result<Option<Uri>, HeaderError> {
    route_at(headers, 0)
}

/// The URI of one Route value, counted from 0.
pub(super) fn route_at(headers: &Headers, index: usize) -> Result<Option<Uri>, HeaderError> {
    let view = match index {
        0 => headers.view::<RouteRef<'_>>(),
        _ => headers.view_at::<RouteRef<'_>>(index),
    };
    let viewed = match view {
        Ok(None) => return Ok(None),
        Ok(Some(route)) => route.uri().to_uri().ok(),
        Err(_) => None,
    };
    // What is wrong with it, and what other limits allow, the typed value says.
    let uri = |route: Route| route.uri().clone();
    match (viewed, index) {
        (Some(uri), _) => Ok(Some(uri)),
        (None, 0) => Ok(headers.typed::<Route>()?.map(uri)),
        (None, _) => Ok(headers.typed_list::<Route>()?.into_iter().nth(index).map(uri)),
    }
}

/// When the first hop is a strict router (no `lr`), it expects itself in the Request-URI and the Request-URI at the end
/// of the Route. `first` is the first hop.
pub(super) fn fit_strict_router(request: &mut Request, first: Option<&Uri>) -> Result<(), HeaderError> {
    if let Some(routes) = strict_route(request, first)? {
        lead_strictly(request, routes);
    }
    Ok(())
}

/// The Route of a request, where its first hop is a strict router.
pub(super) fn strict_route(
    request: &Request,
    first: Option<&Uri>,
) -> Result<Option<Vec<Route>>, HeaderError> {
    if is_strict(first) { request.typed_list().map(Some) } else { Ok(None) }
}

/// Whether the first hop is a strict router.
pub(super) fn is_strict(first: Option<&Uri>) -> bool {
    first.and_then(Uri::as_sip).is_some_and(|uri| !uri.is_loose_router())
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
