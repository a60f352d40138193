//! Who is registered from where: application/reginfo+xml (RFC 3680) with GRUUs (RFC 5628).

mod merge;

use crate::resource_lists::DisplayName;
use crate::tree::{ElementRef, Tree, display_name};
use crate::words::words;
use crate::writer::{Writer, write_display_name};
use crate::{Limits, XmlError};

pub use merge::{Applied, Merged, StateLimits};

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/reginfo+xml";

/// The namespace of RFC 3680 §5.4.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:reginfo";

/// The namespace of RFC 5628 §8.
pub const GRUU_NAMESPACE: &str = "urn:ietf:params:xml:ns:gruuinfo";

/// A document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegInfo {
    /// `version`.
    pub version: u64,
    /// `state`: whether it says what has changed only.
    pub partial: bool,
    /// `<registration>`.
    pub registrations: Vec<Registration>,
}

/// An address of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// `aor`.
    pub aor: String,
    /// `id`: its key.
    pub id: String,
    /// `state`.
    pub state: RegistrationState,
    /// `<contact>`.
    pub contacts: Vec<Contact>,
}

words! {
    /// The state of an address of record.
    RegistrationState {
        /// Nothing is registered.
        Init = "init",
        /// Something is registered.
        Active = "active",
        /// Nothing is registered any more.
        Terminated = "terminated",
    }
}

words! {
    /// Why a contact is in its state.
    ContactEvent {
        /// It was registered for the first time.
        Registered = "registered",
        /// Somebody else set it up.
        Created = "created",
        /// It was refreshed.
        Refreshed = "refreshed",
        /// It expires earlier than before.
        Shortened = "shortened",
        /// It expired.
        Expired = "expired",
        /// The registrar took it away; it may register again.
        Deactivated = "deactivated",
        /// The registrar took it away; it may register again later.
        Probation = "probation",
        /// It went.
        Unregistered = "unregistered",
        /// The registrar took it away for good.
        Rejected = "rejected",
    }
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// `id`: its key.
    pub id: String,
    /// `state`: whether it is bound.
    pub active: bool,
    /// `event`.
    pub event: ContactEvent,
    /// `<uri>`.
    pub uri: String,
    /// `<display-name>`.
    pub display_name: Option<DisplayName>,
    /// `<unknown-param>`: name and value of Contact parameters, `+sip.instance` among them.
    pub params: Vec<(String, String)>,
    /// `duration-registered`: seconds.
    pub duration_registered: Option<u64>,
    /// `expires`: seconds.
    pub expires: Option<u64>,
    /// `retry-after`: seconds.
    pub retry_after: Option<u64>,
    /// `q`, as it is written.
    pub q: Option<String>,
    /// `callid`.
    pub call_id: Option<String>,
    /// `cseq`.
    pub cseq: Option<u64>,
    /// `<pub-gruu>`.
    pub pub_gruu: Option<String>,
    /// `<temp-gruu>`: the URI and `first-cseq`.
    pub temp_gruu: Option<(String, u64)>,
}

impl Contact {
    /// A bound contact of which nothing more is known.
    #[must_use]
    pub fn new(id: &str, uri: &str, event: ContactEvent) -> Self {
        Contact {
            id: String::from(id),
            active: true,
            event,
            uri: String::from(uri),
            display_name: None,
            params: Vec::new(),
            duration_registered: None,
            expires: None,
            retry_after: None,
            q: None,
            call_id: None,
            cseq: None,
            pub_gruu: None,
            temp_gruu: None,
        }
    }

    /// A Contact parameter; names are compared without case.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// `+sip.instance` without quotes and angle brackets.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        let value = self.param("+sip.instance")?.trim().trim_matches('"');
        Some(value.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(value))
    }
}

/// Reads a document; what it does not know is passed over.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no registration information: without a mandatory attribute, or
/// with a value that one cannot have.
pub fn parse(document: &[u8], limits: &Limits) -> Result<RegInfo, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root_of(&[(Some(NAMESPACE), "reginfo")])?;
    let partial = match root.required_attribute("state")? {
        "full" => false,
        "partial" => true,
        _ => return Err(XmlError::Value("state")),
    };
    let mut registrations = Vec::new();
    for element in root.children_named("registration") {
        let contacts = element.children_named("contact").map(contact).collect::<Result<_, _>>()?;
        registrations.push(Registration {
            aor: String::from(element.required_attribute("aor")?),
            id: String::from(element.required_attribute("id")?),
            state: RegistrationState::from_name(element.required_attribute("state")?),
            contacts,
        });
    }
    let version = amount(root, "version")?.ok_or(XmlError::Missing("version"))?;
    Ok(RegInfo { version, partial, registrations })
}

fn amount(element: ElementRef<'_>, name: &'static str) -> Result<Option<u64>, XmlError> {
    let Some(text) = element.attribute(name) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| XmlError::Value(name))
}

fn contact(element: ElementRef<'_>) -> Result<Contact, XmlError> {
    let active = match element.required_attribute("state")? {
        "active" => true,
        "terminated" => false,
        _ => return Err(XmlError::Value("state")),
    };
    let params = element
        .children_named("unknown-param")
        .filter_map(|param| Some((String::from(param.attribute("name")?), String::from(param.token()))));
    let temp_gruu = match element.child_of(GRUU_NAMESPACE, "temp-gruu")? {
        None => None,
        Some(gruu) => {
            let first = amount(gruu, "first-cseq")?.ok_or(XmlError::Missing("first-cseq"))?;
            Some((String::from(gruu.required_attribute("uri")?), first))
        }
    };
    let pub_gruu = element.child_of(GRUU_NAMESPACE, "pub-gruu")?;
    Ok(Contact {
        id: String::from(element.required_attribute("id")?),
        active,
        event: ContactEvent::from_name(element.required_attribute("event")?),
        uri: String::from(element.required("uri")?.token()),
        display_name: display_name(element)?,
        params: params.collect(),
        duration_registered: amount(element, "duration-registered")?,
        expires: amount(element, "expires")?,
        retry_after: amount(element, "retry-after")?,
        q: element.attribute("q").map(|q| String::from(q.trim())),
        call_id: element.attribute("callid").map(String::from),
        cseq: amount(element, "cseq")?,
        pub_gruu: pub_gruu.map(|gruu| gruu.required_attribute("uri").map(String::from)).transpose()?,
        temp_gruu,
    })
}

/// Writes the document.
#[must_use]
pub fn write(info: &RegInfo) -> String {
    let mut contacts = info.registrations.iter().flat_map(|registration| &registration.contacts);
    let gruus = contacts.any(|contact| contact.pub_gruu.is_some() || contact.temp_gruu.is_some());
    let mut out = Writer::new();
    out.open("reginfo")
        .attribute("xmlns", NAMESPACE)
        .attribute_if("xmlns:gr", gruus.then_some(GRUU_NAMESPACE));
    out.attribute("version", &info.version.to_string());
    out.attribute("state", if info.partial { "partial" } else { "full" });
    for registration in &info.registrations {
        out.open("registration")
            .attribute("aor", &registration.aor)
            .attribute("id", &registration.id)
            .attribute("state", registration.state.as_str());
        for contact in &registration.contacts {
            write_contact(&mut out, contact);
        }
        out.close();
    }
    out.finish()
}

fn write_contact(out: &mut Writer<'_>, contact: &Contact) {
    let text = |amount: Option<u64>| amount.map(|amount| amount.to_string());
    out.open("contact")
        .attribute("id", &contact.id)
        .attribute("state", if contact.active { "active" } else { "terminated" })
        .attribute("event", contact.event.as_str())
        .attribute_if("duration-registered", text(contact.duration_registered).as_deref())
        .attribute_if("expires", text(contact.expires).as_deref())
        .attribute_if("retry-after", text(contact.retry_after).as_deref())
        .attribute_if("q", contact.q.as_deref())
        .attribute_if("callid", contact.call_id.as_deref())
        .attribute_if("cseq", text(contact.cseq).as_deref())
        .leaf("uri", &contact.uri);
    write_display_name(out, contact.display_name.as_ref());
    for (name, value) in &contact.params {
        out.open("unknown-param").attribute("name", name).text(value).close();
    }
    if let Some(uri) = &contact.pub_gruu {
        out.open("gr:pub-gruu").attribute("uri", uri).close();
    }
    if let Some((uri, first)) = &contact.temp_gruu {
        out.open("gr:temp-gruu").attribute("uri", uri).attribute("first-cseq", &first.to_string()).close();
    }
    out.close();
}

#[cfg(test)]
mod tests;
