//! Comparisons with peers.

use bytes::Bytes;
use cpm_sip::{Request, Response, StatusCode};

/// What a device, or the other network, says to a request: 200, in octets.
#[must_use]
pub fn ok(request: &Request) -> Bytes {
    let mut response = Response::for_request(request, StatusCode::OK);
    response.ensure_content_length();
    response.to_bytes()
}
