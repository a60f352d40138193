//! What the parameters of a Contact say: GRUU, outbound, IMS services (RFC 5626, RFC 5627, RFC 3840; TS 5.2).

use super::address::ContactAddr;
use crate::text::InvalidText;
use crate::uri::{SipUri, Uri};
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// The parameter that holds IMS communication services.
const ICSI: &str = "+g.3gpp.icsi-ref";
/// The parameter that holds IMS applications.
const IARI: &str = "+g.3gpp.iari-ref";

impl ContactAddr {
    /// `+sip.instance` without its angle brackets: the URN of the device (RFC 5626 §4.1).
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        let value = self.params().get("+sip.instance")?;
        value.strip_prefix('<').and_then(|v| v.strip_suffix('>'))
    }

    /// The same with `+sip.instance`; the brackets are added.
    ///
    /// # Errors
    /// The text holds an angle bracket or a control character.
    pub fn with_instance(mut self, urn: &str) -> Result<ContactAddr, InvalidText> {
        if urn.contains(['<', '>']) {
            return Err(InvalidText::Form("the instance stands between angle brackets"));
        }
        self.params_mut().set_quoted("+sip.instance", &alloc::format!("<{urn}>"))?;
        Ok(self)
    }

    /// `+g.3gpp.icsi-ref`: the IMS communication services, escapes resolved.
    #[must_use]
    pub fn icsi_refs(&self) -> Vec<String> {
        refs(self.params().get(ICSI))
    }

    /// `+g.3gpp.iari-ref`: the IMS applications, escapes resolved.
    #[must_use]
    pub fn iari_refs(&self) -> Vec<String> {
        refs(self.params().get(IARI))
    }

    /// The same with these IMS communication services; what a feature value cannot hold is escaped. None at all: the
    /// parameter goes.
    #[must_use]
    pub fn with_icsi_refs(self, urns: &[&str]) -> ContactAddr {
        self.with_refs(ICSI, urns)
    }

    /// The same with these IMS applications; what a feature value cannot hold is escaped. None at all: the parameter goes.
    #[must_use]
    pub fn with_iari_refs(self, urns: &[&str]) -> ContactAddr {
        self.with_refs(IARI, urns)
    }

    fn with_refs(mut self, name: &'static str, urns: &[&str]) -> ContactAddr {
        let values: Vec<String> = urns.iter().map(|urn| escaped(urn)).collect();
        if values.is_empty() {
            self.params_mut().remove(name);
        } else {
            // Escaped text holds no control character, and the name is a token.
            let _ = self.params_mut().set_quoted(name, &values.join(","));
        }
        self
    }

    /// `isfocus`: the contact is the focus of a conference (RFC 4579).
    #[must_use]
    pub fn is_focus(&self) -> bool {
        self.params().contains("isfocus")
    }

    /// The same with `isfocus`, or without it.
    #[must_use]
    pub fn with_focus(mut self, is_focus: bool) -> ContactAddr {
        if is_focus {
            self.params_mut().set_plain("isfocus", None);
        } else {
            self.params_mut().remove("isfocus");
        }
        self
    }

    /// The same with `reg-id`, the number of the flow, from 1 (RFC 5626 §11.2).
    #[must_use]
    pub fn with_reg_id(mut self, id: NonZeroU32) -> ContactAddr {
        self.params_mut().set_plain("reg-id", Some(alloc::format!("{id}")));
        self
    }

    /// The same with `pub-gruu`, as a registrar tells it (RFC 5627 §5.3).
    #[must_use]
    pub fn with_pub_gruu(self, gruu: &Uri) -> ContactAddr {
        self.with_uri("pub-gruu", gruu)
    }

    /// The same with `temp-gruu`, as a registrar tells it (RFC 5627 §5.3).
    #[must_use]
    pub fn with_temp_gruu(self, gruu: &Uri) -> ContactAddr {
        self.with_uri("temp-gruu", gruu)
    }

    fn with_uri(mut self, name: &'static str, uri: &Uri) -> ContactAddr {
        // A URI holds no quote, no backslash and no control character.
        let _ = self.params_mut().set_quoted(name, uri.as_str());
        self
    }

    /// The same with `q` in thousandths; more than 1000 is 1000.
    #[must_use]
    pub fn with_q(mut self, thousandths: u16) -> ContactAddr {
        let q = thousandths.min(1_000);
        let text = if q == 1_000 { "1".into() } else { alloc::format!("0.{q:03}") };
        self.params_mut().set_plain("q", Some(text));
        self
    }

    /// `reg-id`: the number of the flow, from 1 (RFC 5626 §11.2).
    #[must_use]
    pub fn reg_id(&self) -> Option<u32> {
        crate::grammar::parse_u32(self.params().get("reg-id")?.as_bytes()).filter(|id| *id > 0)
    }

    /// `pub-gruu`: the public URI of this device (RFC 5627 §5.3); `None` when it is malformed.
    #[must_use]
    pub fn pub_gruu(&self) -> Option<Uri> {
        Uri::parse(self.params().get("pub-gruu")?).ok()
    }

    /// `temp-gruu`: a URI of this device that tells nobody whose it is (RFC 5627 §5.3); `None` when it is malformed.
    #[must_use]
    pub fn temp_gruu(&self) -> Option<Uri> {
        Uri::parse(self.params().get("temp-gruu")?).ok()
    }
}

impl SipUri {
    /// `gr`: the URI is a GRUU; `""` for a temporary one (RFC 5627 §5.1).
    #[must_use]
    pub fn gr(&self) -> Option<&str> {
        self.param("gr")
    }

    /// `ob`: requests to this URI go by the flow that it was registered on (RFC 5626 §11.3).
    #[must_use]
    pub fn is_outbound(&self) -> bool {
        self.has_param("ob")
    }

    /// The same with `gr`: of this instance, or without a value a temporary GRUU (RFC 5627 §5.1).
    #[must_use]
    pub fn with_gr(self, instance: Option<&str>) -> SipUri {
        self.with_param("gr", instance)
    }

    /// The same with `ob` (RFC 5626 §11.3).
    #[must_use]
    pub fn with_outbound(self) -> SipUri {
        self.with_param("ob", None)
    }
}

/// `tag-value *( "," tag-value )` with percent-escapes resolved; what is no UTF-8 then is left as it was written.
fn refs(value: Option<&str>) -> Vec<String> {
    let values =
        value.unwrap_or("").split(',').map(|v| v.trim_matches([' ', '\t'])).filter(|v| !v.is_empty());
    values.map(|v| String::from_utf8(crate::uri::unescape(v)).unwrap_or_else(|_| v.into())).collect()
}

/// Escapes what `token-nobang` cannot hold (RFC 3840 §9), the percent sign too.
fn escaped(urn: &str) -> String {
    crate::uri::escape(urn, |o| {
        o.is_ascii_alphanumeric() || matches!(o, b'-' | b'.' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
    })
}
