//! What a request asks for, on whose authority (TS 6.1, 8.2, 8.3, Appendix H): the same for both roles.

use cpm_core::feature::{CpmFeature, CpmService, ICSI_REF, features_in};
use cpm_sip::{AcceptContact, HeaderName, HeaderText, PPreferredService, Request};

/// The CPM feature that a request asks for: the first in its Accept-Contact (TS 8.2, 8.3).
pub(crate) fn feature_of(wishes: &[AcceptContact]) -> Option<CpmFeature> {
    let mut values = wishes.iter().filter_map(|wish| wish.params().get(ICSI_REF));
    values.find_map(|value| features_in(value).next())
}

/// P-Preferred-Service, where it names a CPM service, becomes P-Asserted-Service (TS 8.2.1.1-7.i.1, 8.3.1.1-12, readings
/// C6); what the core asserted already stands.
// req: 8.2.1.1-7.i.1, 8.3.1.1-12, 8.3.1.1-12.a, 8.3.1.1-12.b, H.3-p4, H.5-p1
pub(crate) fn assert_service(request: &mut Request) {
    if !request.headers().contains(&HeaderName::PPreferredService) {
        return;
    }
    let preferred = request.typed_list::<PPreferredService>().unwrap_or_default();
    let Some(service) = preferred.iter().find_map(|service| CpmService::from_icsi(service.as_str())) else {
        return;
    };
    request.headers_mut().remove(&HeaderName::PPreferredService);
    if request.headers().contains(&HeaderName::PAssertedService) {
        return;
    }
    if let Ok(asserted) = HeaderText::new(&service.urn()) {
        request.headers_mut().push(HeaderName::PAssertedService, asserted);
    }
}
