//! SIP header fields, one family at a time.

use bytes::Bytes;
use cpm_sip::{HeaderName, Headers, Limits, Message, TypedHeader};
use std::fmt::Debug;

/// A name and a value: `From: <sip:a@b>`; where no name of the table stands before a colon, the first octet picks one. What
/// is read as a value of that field is written and read again as the same, by itself and in a message.
pub fn sip_header(data: &[u8]) {
    let Some((name, value)) = field(data) else { return };
    let written = cpm_sip::normal_form(name, value).expect("a name of the table has typed values");
    if let Ok(text) = written {
        assert!(!text.as_str().contains(|c: char| c.is_ascii_control() && c != '\t'), "{name}: {text:?}");
        let again = cpm_sip::normal_form(name, text.as_str().as_bytes());
        let Some(Ok(again)) = again else { panic!("{name}: {text:?} is written, and not read: {again:?}") };
        assert!(again == text || !is_plain(value), "{name}: {text:?} becomes {again:?}");
    }
    let wire = [b"OPTIONS sip:a@b SIP/2.0\r\n", name.as_str().as_bytes(), b": ", value, b"\r\n\r\n"].concat();
    let Ok(message) = cpm_sip::parse_datagram(Bytes::from(wire), &Limits::default()) else { return };
    typed_values(message.headers());
    views(message.headers());
    if let Message::Request(request) = &message {
        for finding in cpm_sip::inspect_request(request, &cpm_sip::RequestPolicy::proxy()) {
            let _ = finding.to_string();
        }
    }
}

fn field(data: &[u8]) -> Option<(&'static HeaderName, &[u8])> {
    let known = HeaderName::KNOWN;
    if let Some(colon) = data.iter().position(|octet| *octet == b':')
        && let Some(name) =
            std::str::from_utf8(&data[..colon]).ok().and_then(|name| HeaderName::parse(name).ok())
        && let Some(name) = known.iter().find(|known| **known == name)
    {
        return Some((name, &data[colon + 1..]));
    }
    let (first, value) = data.split_first()?;
    known.get(usize::from(*first) % known.len()).map(|name| (name, value))
}

/// Control characters, which a quoted string may hold behind a backslash, are written as spaces; all else is kept.
fn is_plain(value: &[u8]) -> bool {
    let unfolded = String::from_utf8_lossy(value).replace("\r\n ", " ").replace("\r\n\t", "\t");
    unfolded.bytes().all(|octet| octet == b'\t' || !octet.is_ascii_control())
}

/// Every typed value is written and read again, as the same value; so is a list of them.
pub(super) fn typed_values(headers: &Headers) {
    macro_rules! each {
        ($($type:ident)*) => {
            $(
                let values = headers.get_all(&<cpm_sip::$type as TypedHeader>::NAME);
                let exact = values.map(|value| value.unfolded().into_owned()).all(|value| is_plain(&value));
                let first = headers.typed::<cpm_sip::$type>();
                let list = headers.typed_list::<cpm_sip::$type>();
                one_field(first, list, exact);
            )*
        };
    }
    each! {
        Accept AcceptContact AcceptEncoding AcceptLanguage AlertInfo Allow AllowEvents AuthenticationInfo
        Authorization CSeq CallId CallInfo Contact ContentDisposition ContentEncoding ContentId
        ContentLanguage ContentLength ContentType ContributionId ConversationId Date ErrorInfo Event
        Expires FeatureCaps FlowTimer From Geolocation HistoryInfo Identity InReplyTo
        InReplyToContributionId InfoPackage IwNumber Join MaxBreadth MaxForwards MessageContext
        MessageCorrelator MessageExpires MessageUid MimeVersion MinExpires MinSe Organization
        PAccessNetworkInfo PAssertedIdentity PAssertedService PAssociatedUri PCalledPartyId
        PChargingFunctionAddresses PChargingVector PPreferredIdentity PPreferredService PServedUser
        PVisitedNetworkId Path Priority Privacy ProxyAuthenticate ProxyAuthorization ProxyRequire RAck RSeq
        ReasonHeader RecordRoute RecvInfo ReferSub ReferTo ReferredBy RejectContact Replaces ReplyTo
        RequestDisposition Require ResourcePriority RetryAfter Route SecurityClient SecurityServer
        SecurityVerify Server ServiceRoute SessionExpires SessionReplaces SipETag SipIfMatch Subject
        SubscriptionState Supported TargetDialog Timestamp To Unsupported UserAgent Via Warning
        WwwAuthenticate
    }
    for (name, value) in headers.iter() {
        let _ = (name.as_str(), value.to_text(), value.as_str());
    }
}

fn one_field<H: TypedHeader + PartialEq + Debug>(
    first: Result<Option<H>, cpm_sip::HeaderError>,
    list: Result<Vec<H>, cpm_sip::HeaderError>,
    exact: bool,
) {
    let Ok(list) = list else { return };
    if let Ok(Some(first)) = &first {
        assert_eq!(Some(first), list.first(), "the first value is the first of the list");
    }
    for value in &list {
        let text = value.to_text();
        match H::parse(text.as_str().as_bytes()) {
            Ok(again) => {
                assert!(again == *value || !exact, "{value:?} is written as {text:?}, read as {again:?}");
            }
            Err(error) => panic!("{value:?} is written as {text:?}, which is not read: {error}"),
        }
    }
    if H::NAME.occurrence() == cpm_sip::Occurrence::List {
        let mut written = Headers::new();
        written.set_typed_list(&list);
        let again = written.typed_list::<H>().expect("a list is read again");
        assert!(again == list || !exact, "{list:?} is read as {again:?}");
    }
}

/// Borrowed views say the same as typed values do.
fn views(headers: &Headers) {
    use cpm_sip::{AcceptContactRef, CSeqRef, CallIdRef, ContactRef, FromRef, ToRef, ViaRef};
    macro_rules! both {
        ($view:ident, $type:ident, |$seen:ident, $typed:ident| $same:expr) => {
            let view = headers.view::<$view<'_>>();
            if let Ok(Some($typed)) = headers.typed::<cpm_sip::$type>() {
                match view {
                    Ok(Some($seen)) => assert!($same, "{:?} is not {:?}", $seen, $typed),
                    other => panic!("{other:?} is no view of {:?}", $typed),
                }
            }
        };
    }
    both!(ViaRef, Via, |view, via| view.transport() == via.transport()
        && view.port() == via.port()
        && view.branch().as_deref() == via.branch());
    both!(FromRef, From, |view, from| view.tag().as_deref() == from.tag()
        && view.uri().as_str() == from.uri().as_str());
    both!(ToRef, To, |view, to| view.tag().as_deref() == to.tag()
        && view.uri().as_str() == to.uri().as_str());
    both!(CallIdRef, CallId, |view, id| view.as_str() == id.to_text().as_str());
    both!(CSeqRef, CSeq, |view, cseq| view.is(&cseq.method) && view.number() == cseq.number);
    both!(ContactRef, Contact, |view, contact| view.is_star() == contact.as_addr().is_none()
        && view.uri().map(|uri| uri.as_str()) == contact.uri().map(|uri| uri.as_str()));
    both!(AcceptContactRef, AcceptContact, |view, wish| view.require() == wish.require()
        && view.explicit() == wish.explicit());
}
