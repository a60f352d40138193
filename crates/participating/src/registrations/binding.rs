//! One binding of a user as it is kept: what a Contact value of a 200 to REGISTER, or a contact of the registration
//! information, says of it.

use super::{Device, until};
use crate::policy::PrimaryMark;
use cpm_base::Instant;
use cpm_core::feature::{CpmFeature, ICSI_REF, decode_list};
use cpm_core::release::Release;
use cpm_sip::{ContactAddr, Uri};
use cpm_xml::reginfo;

/// The features in the order of their bits.
const FEATURES: [CpmFeature; 6] = [
    CpmFeature::PagerMessage,
    CpmFeature::LargeMessage,
    CpmFeature::FileTransfer,
    CpmFeature::Session,
    CpmFeature::Deferred,
    CpmFeature::SystemMessage,
];

/// `device.max_text`: octets of a contact, a GRUU, an instance or a capability. A contact with a longer one is left out,
/// as is a longer capability.
const MAX_TEXT: usize = 1_024;

/// A public GRUU. Registrars make it of the address and the instance (RFC 5627 §5.1, 3GPP TS 24.229 §5.4.7A): such a one
/// need not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gruu {
    None,
    /// `address;gr=instance`.
    Usual,
    Other(Box<str>),
}

impl Gruu {
    pub(crate) fn of(gruu: Option<&str>, address: &str, instance: Option<&str>) -> Gruu {
        match (gruu, instance) {
            (None, _) => Gruu::None,
            (Some(gruu), Some(instance)) if *gruu == usual(address, instance) => Gruu::Usual,
            (Some(gruu), _) => Gruu::Other(gruu.into()),
        }
    }

    /// The URI.
    pub(crate) fn text(&self, address: &str, instance: Option<&str>) -> Option<String> {
        match self {
            Gruu::None => None,
            Gruu::Usual => instance.map(|instance| usual(address, instance)),
            Gruu::Other(gruu) => Some(String::from(&**gruu)),
        }
    }
}

fn usual(address: &str, instance: &str) -> String {
    format!("{address};gr={instance}")
}

/// A binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) contact: Box<str>,
    pub(crate) gruu: Gruu,
    /// Without angle brackets.
    pub(crate) instance: Option<Box<str>>,
    /// Names in lower case, values without quotes.
    pub(crate) capabilities: Box<[(Box<str>, Box<str>)]>,
    /// A bit for each of [`FEATURES`].
    pub(crate) features: u8,
    /// Marks of a Primary Device that it bears, a bit for each of the policy's first eight.
    pub(crate) marks: u8,
    pub(crate) release: Option<Release>,
    pub(crate) primary: bool,
    pub(crate) until: Instant,
}

/// What is wanted to be known of a device: whose it is, and what the policy names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interest<'p> {
    pub(crate) address: &'p str,
    pub(crate) capabilities: &'p [String],
    pub(crate) primary: &'p [PrimaryMark],
}

impl Binding {
    /// A Contact value of the 200 to a REGISTER; one that is over is none.
    pub(crate) fn of_contact(
        now: Instant,
        contact: &ContactAddr,
        expires: u32,
        interest: Interest<'_>,
    ) -> Option<Binding> {
        let seconds = contact.expires().unwrap_or(expires);
        let params = contact.params();
        let gruu = params.get("pub-gruu");
        (seconds > 0).then_some(())?;
        let params: Vec<(&str, &str)> =
            params.iter().map(|(name, value)| (name, value.unwrap_or_default())).collect();
        Binding::new(contact.uri().as_str(), gruu, &params, until(now, seconds.into()), interest)
    }

    /// A contact of the registration information; `rest`: until when it is registered where it does not say so.
    // req: 8.1.2-3
    pub(crate) fn of_reginfo(
        now: Instant,
        contact: &reginfo::Contact,
        rest: Instant,
        interest: Interest<'_>,
    ) -> Option<Binding> {
        let params: Vec<(&str, &str)> =
            contact.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let at = contact.expires.map_or(rest, |seconds| until(now, seconds));
        Binding::new(&contact.uri, contact.pub_gruu.as_deref(), &params, at, interest)
    }

    fn new(
        contact: &str,
        gruu: Option<&str>,
        params: &[(&str, &str)],
        until: Instant,
        interest: Interest<'_>,
    ) -> Option<Binding> {
        let contact = Uri::parse(contact).ok().filter(|uri| uri.as_str().len() <= MAX_TEXT)?;
        let value = |name: &str| {
            let found = params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().trim_matches('"'))
        };
        let gruu = gruu.and_then(|text| Uri::parse(text.trim().trim_matches('"')).ok());
        let gruu = gruu.filter(|gruu| gruu.as_sip().is_some() && gruu.as_str().len() <= MAX_TEXT);
        let instance = value("+sip.instance").map(|text| text.trim_start_matches('<').trim_end_matches('>'));
        if instance.is_some_and(|instance| instance.len() > MAX_TEXT) {
            return None;
        }
        let capabilities = interest.capabilities.iter().filter_map(|name| {
            let value = value(name).filter(|value| value.len() <= MAX_TEXT)?;
            Some((name.to_ascii_lowercase().into(), value.into()))
        });
        let features = value(ICSI_REF).map(decode_list).unwrap_or_default();
        let mut binding = Binding {
            contact: contact.as_str().into(),
            gruu: Gruu::of(gruu.as_ref().map(Uri::as_str), interest.address, instance),
            instance: instance.filter(|instance| !instance.is_empty()).map(Into::into),
            capabilities: capabilities.collect(),
            features: FEATURES.iter().fold(0, |mask, feature| match features.contains(feature) {
                true => mask | bit(*feature),
                false => mask,
            }),
            marks: 0,
            release: None,
            primary: false,
            until,
        };
        for (place, mark) in (0u32..8).zip(interest.primary) {
            let borne = match mark {
                PrimaryMark::Param { name, value: wanted } => {
                    value(name).is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
                }
                PrimaryMark::Instance(prefix) => binding
                    .instance
                    .as_ref()
                    .and_then(|instance| instance.get(..prefix.len()))
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
                PrimaryMark::Feature(feature) => binding.has(*feature),
                PrimaryMark::First => true,
            };
            binding.marks |= u8::from(borne).checked_shl(place).unwrap_or(0);
        }
        Some(binding)
    }

    pub(crate) fn has(&self, feature: CpmFeature) -> bool {
        self.features & bit(feature) != 0
    }

    /// Whether it bears the policy's mark at this place.
    pub(super) fn bears(&self, place: u32) -> bool {
        self.marks.checked_shr(place).is_some_and(|marks| marks & 1 == 1)
    }

    /// Whether it is of the same device, as far as can be told.
    pub(crate) fn is_same_device(&self, instance: Option<&str>, contact: &str) -> bool {
        match (&self.instance, instance) {
            (Some(own), Some(other)) => **own == *other,
            _ => *self.contact == *contact,
        }
    }

    /// What procedures work with.
    pub(crate) fn device(&self, address: &str) -> Option<Device> {
        let gruu = self.gruu.text(address, self.instance.as_deref());
        Some(Device {
            // They were URIs when they came.
            contact: Uri::parse(&self.contact).ok()?,
            gruu: gruu.and_then(|gruu| Uri::parse(&gruu).ok()),
            instance: self.instance.as_deref().map(Into::into),
            features: FEATURES.into_iter().filter(|feature| self.has(*feature)).collect(),
            capabilities: self
                .capabilities
                .iter()
                .map(|(name, value)| (String::from(&**name), String::from(&**value)))
                .collect(),
            release: self.release,
            primary: self.primary,
            until: self.until,
        })
    }
}

fn bit(feature: CpmFeature) -> u8 {
    let place =
        FEATURES.iter().position(|known| *known == feature).and_then(|place| u32::try_from(place).ok());
    place.and_then(|place| 1u8.checked_shl(place)).unwrap_or(0)
}
