//! CPM Feature Tags (TS Appendix H): the ICSI of each CPM feature, as a URN and as a `g.3gpp.icsi-ref` media feature
//! tag.

use core::fmt;

/// Name of the media feature tag that carries ICSIs in Contact and Accept-Contact (TS H.3-1).
pub const ICSI_REF: &str = "+g.3gpp.icsi-ref";

const PREFIX: &str = "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.";

/// The same with its colons percent-encoded.
const ENCODED_PREFIX: &str = "urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.";

/// The features of TS Table 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpmFeature {
    /// Pager Mode CPM Standalone Message: `msg`.
    PagerMessage,
    /// Large Message Mode CPM Standalone Message: `largemsg`.
    LargeMessage,
    /// CPM File Transfer: `filetransfer`.
    FileTransfer,
    /// CPM Session: `session`.
    Session,
    /// Deferred CPM Message: `deferred`.
    Deferred,
    /// CPM Notification: `systemmsg`.
    SystemMessage,
}

/// A service as P-Preferred-Service and P-Asserted-Service name it: a feature, possibly in its group form
/// (TS Table 6, note A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpmService {
    /// The feature.
    pub feature: CpmFeature,
    /// Whether it is addressed to a group.
    pub group: bool,
}

const ALL: [CpmFeature; 6] = [
    CpmFeature::PagerMessage,
    CpmFeature::LargeMessage,
    CpmFeature::FileTransfer,
    CpmFeature::Session,
    CpmFeature::Deferred,
    CpmFeature::SystemMessage,
];

impl CpmFeature {
    // req: H.3-p5, H.3-T6-msg, H.3-T6-largemsg, H.3-T6-filetransfer, H.3-T6-session, H.3-T6-deferred, H.3-T6-systemmsg
    const fn token(self) -> &'static str {
        match self {
            CpmFeature::PagerMessage => "msg",
            CpmFeature::LargeMessage => "largemsg",
            CpmFeature::FileTransfer => "filetransfer",
            CpmFeature::Session => "session",
            CpmFeature::Deferred => "deferred",
            CpmFeature::SystemMessage => "systemmsg",
        }
    }

    /// Whether the feature has a group form (TS Table 6, note A).
    #[must_use]
    pub const fn has_group_form(self) -> bool {
        !matches!(self, CpmFeature::Deferred | CpmFeature::SystemMessage)
    }

    /// The ICSI: `urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg`.
    // req: H.3-2
    #[must_use]
    pub fn icsi(self) -> String {
        [PREFIX, self.token()].concat()
    }

    /// The ICSI as it stands inside the quotes of a `g.3gpp.icsi-ref` feature tag: colons percent-encoded
    /// (TS H.3-1, 3GPP TS 24.229 §7.2A.8.2).
    // req: H.3-1
    #[must_use]
    pub fn encoded(self) -> String {
        [ENCODED_PREFIX, self.token()].concat()
    }

    /// The feature whose ICSI this is, compared without regard to case (a URN's namespace is case-insensitive, and
    /// peers differ in the rest).
    #[must_use]
    pub fn from_icsi(urn: &str) -> Option<CpmFeature> {
        let service = CpmService::from_icsi(urn)?;
        (!service.group).then_some(service.feature)
    }
}

impl CpmService {
    /// The service for one recipient.
    #[must_use]
    pub const fn single(feature: CpmFeature) -> Self {
        CpmService { feature, group: false }
    }

    /// The URN: that of the feature, with `.group` behind it in the group form.
    #[must_use]
    pub fn urn(self) -> String {
        let icsi = self.feature.icsi();
        if self.group && self.feature.has_group_form() { icsi + ".group" } else { icsi }
    }

    /// The service that a P-Preferred-Service or P-Asserted-Service value names; `None` when it is none of CPM's.
    #[must_use]
    pub fn from_icsi(urn: &str) -> Option<CpmService> {
        CpmService::from_token(behind(PREFIX, urn.trim())?)
    }

    /// The service whose URN ends in this.
    fn from_token(token: &str) -> Option<CpmService> {
        ALL.into_iter().find_map(|feature| {
            let (name, rest) = token.split_at_checked(feature.token().len())?;
            if !name.eq_ignore_ascii_case(feature.token()) {
                return None;
            }
            match rest {
                "" => Some(CpmService { feature, group: false }),
                _ if rest.eq_ignore_ascii_case(".group") && feature.has_group_form() => {
                    Some(CpmService { feature, group: true })
                }
                _ => None,
            }
        })
    }
}

/// What follows a prefix, whatever its case.
fn behind<'a>(prefix: &str, text: &'a str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

impl fmt::Display for CpmService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.urn())
    }
}

/// The text inside the quotes of a `g.3gpp.icsi-ref` feature tag for several features: a comma list.
#[must_use]
pub fn encode_list(features: &[CpmFeature]) -> String {
    features.iter().map(|feature| feature.encoded()).collect::<Vec<_>>().join(",")
}

/// The CPM features that the value of a `g.3gpp.icsi-ref` feature tag names. The value is a comma list of
/// percent-encoded URNs; surrounding quotes and the angle brackets of RFC 3840 strings are taken off; what is not CPM's
/// is passed over.
#[must_use]
pub fn decode_list(value: &str) -> Vec<CpmFeature> {
    features_in(value).collect()
}

/// The features of [`decode_list`], one after the other.
pub fn features_in(value: &str) -> impl Iterator<Item = CpmFeature> {
    let inner = value.trim().trim_matches('"');
    inner.split(',').filter_map(|item| {
        let item = item.trim().trim_start_matches('<').trim_end_matches('>');
        // As nearly everybody writes it: nothing has to be decoded, at a tenth of the instructions.
        let usual = behind(ENCODED_PREFIX, item).and_then(CpmService::from_token);
        if let Some(service) = usual {
            return (!service.group).then_some(service.feature);
        }
        let mut room = [0; MAX_ICSI];
        CpmFeature::from_icsi(percent_decode(item, &mut room)?)
    })
}

/// Octets of a service name that can be one of CPM's, white space around it included.
const MAX_ICSI: usize = 128;

/// Undoes percent-encoding; `None` where an escape is broken, where what comes out is not UTF-8, and where there is no room
/// for it.
fn percent_decode<'r>(text: &str, room: &'r mut [u8; MAX_ICSI]) -> Option<&'r str> {
    let mut length = 0_usize;
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        let octet = if octet == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?
        } else {
            octet
        };
        *room.get_mut(length)? = octet;
        length = length.checked_add(1)?;
    }
    core::str::from_utf8(room.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // req: H.3-1, H.3-2, H.3-p5, H.3-T6-msg, H.3-T6-largemsg, H.3-T6-filetransfer, H.3-T6-session, H.3-T6-deferred
    // req: H.3-T6-systemmsg
    #[test]
    fn the_formats_of_table_6() {
        for (feature, token) in [
            (CpmFeature::PagerMessage, "msg"),
            (CpmFeature::LargeMessage, "largemsg"),
            (CpmFeature::FileTransfer, "filetransfer"),
            (CpmFeature::Session, "session"),
            (CpmFeature::Deferred, "deferred"),
            (CpmFeature::SystemMessage, "systemmsg"),
        ] {
            assert_eq!(feature.icsi(), format!("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.{token}"));
            assert_eq!(feature.encoded(), format!("urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.{token}"));
            assert_eq!(CpmFeature::from_icsi(&feature.icsi()), Some(feature));
            assert_eq!(decode_list(&format!("\"{}\"", feature.encoded())), [feature]);
            let group = CpmService { feature, group: true };
            let expected = if feature.has_group_form() { Some(group) } else { None };
            assert_eq!(CpmService::from_icsi(&format!("{}.group", feature.icsi())), expected);
            assert_eq!(
                CpmService::from_icsi(&CpmService::single(feature).urn()),
                Some(CpmService::single(feature))
            );
        }
    }

    #[test]
    fn lists_are_read_whatever_the_spelling() {
        let value = "\"urn%3aurn-7%3a3gpp-service.ims.icsi.mmtel, URN%3AUrn-7%3A3gpp-service.ims.icsi.oma.cpm.MSG,%zz,urn%3A\"";
        assert_eq!(decode_list(value), [CpmFeature::PagerMessage]);
        assert_eq!(decode_list(&encode_list(&ALL)), ALL);
        assert_eq!(decode_list(""), []);
        // A longer token that begins like a shorter one is another service.
        assert_eq!(CpmFeature::from_icsi("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msgx"), None);
    }

    proptest! {
        #[test]
        fn no_value_panics(value in ".{0,200}") {
            let _ = decode_list(&value);
            let _ = CpmService::from_icsi(&value);
        }
    }
}
