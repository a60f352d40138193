//! From a document to [`ConferenceInfo`].

use super::{
    AvailableMedia, ConferenceInfo, ConferenceState, Description, DisconnectionMethod, EXTENSIONS_NAMESPACE,
    Endpoint, EndpointStatus, Execution, GroupIcon, HostInfo, Icon, JoiningMethod, Media, NAMESPACE,
    SipDialog, State, SubjectExt, UriEntry, Uris, User, Users,
};
use crate::tree::{ElementRef, Tree, boolean, number};
use crate::{Limits, XmlError};

/// Reads a document; what it does not know is passed over. A document of a thousand participants takes some 400 KiB: who
/// expects one raises [`Limits::max_bytes`].
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no conference information: without `entity`, with a value that
/// its element cannot have, with a participant twice.
pub fn parse(document: &[u8], limits: &Limits) -> Result<ConferenceInfo, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root_of(&[(Some(NAMESPACE), "conference-info")])?;
    let version = match root.attribute("version") {
        None => None,
        Some(text) => Some(text.trim().parse().map_err(|_| XmlError::Value("version"))?),
    };
    Ok(ConferenceInfo {
        entity: key(root, "entity")?,
        state: state(root)?,
        version,
        description: root.child("conference-description")?.map(description).transpose()?,
        host: root.child("host-info")?.map(host).transpose()?,
        conference_state: root.child("conference-state")?.map(conference_state).transpose()?,
        users: root.child("users")?.map(users).transpose()?,
        sidebars_by_ref: root.child("sidebars-by-ref")?.map(uris).transpose()?,
    })
}

fn key(element: ElementRef<'_>, name: &'static str) -> Result<String, XmlError> {
    element.required_attribute(name).map(String::from)
}

fn state(element: ElementRef<'_>) -> Result<State, XmlError> {
    let Some(text) = element.attribute("state") else { return Ok(State::Full) };
    let known = [State::Full, State::Partial, State::Deleted];
    known.into_iter().find(|state| state.as_str() == text.trim()).ok_or(XmlError::Value("state"))
}

fn token(element: ElementRef<'_>, name: &'static str) -> Result<Option<String>, XmlError> {
    Ok(element.child_token(name)?.map(String::from))
}

fn words(element: ElementRef<'_>, name: &'static str) -> Result<Vec<String>, XmlError> {
    let text = element.child_token(name)?.unwrap_or_default();
    Ok(text.split_ascii_whitespace().map(String::from).collect())
}

fn flag(element: ElementRef<'_>, name: &'static str) -> Result<Option<bool>, XmlError> {
    let Some(text) = element.child_token(name)? else { return Ok(None) };
    boolean(text).map(Some).ok_or(XmlError::Value(name))
}

fn description(element: ElementRef<'_>) -> Result<Description, XmlError> {
    let mut available_media = Vec::new();
    for entry in element.child("available-media")?.into_iter().flat_map(|media| media.children_named("entry"))
    {
        available_media.push(AvailableMedia {
            label: key(entry, "label")?,
            display_text: entry.child_text("display-text")?,
            kind: String::from(entry.required("type")?.token()),
            status: token(entry, "status")?,
        });
    }
    Ok(Description {
        display_text: element.child_text("display-text")?,
        subject: element.child_text("subject")?,
        free_text: element.child_text("free-text")?,
        keywords: words(element, "keywords")?,
        conf_uris: element.child("conf-uris")?.map(uris).transpose()?,
        service_uris: element.child("service-uris")?.map(uris).transpose()?,
        maximum_user_count: number(element, "maximum-user-count")?,
        available_media,
        subject_ext: element.child_of(EXTENSIONS_NAMESPACE, "subject-ext")?.map(subject_ext).transpose()?,
        icon: element.child_of(EXTENSIONS_NAMESPACE, "icon")?.map(icon).transpose()?,
    })
}

fn subject_ext(element: ElementRef<'_>) -> Result<SubjectExt, XmlError> {
    Ok(SubjectExt {
        participant: String::from(element.required("participant")?.token()),
        timestamp: String::from(element.required("timestamp")?.token()),
    })
}

fn icon(element: ElementRef<'_>) -> Result<GroupIcon, XmlError> {
    Ok(GroupIcon {
        source: Icon::read(element.required("source")?)?,
        participant: String::from(element.required("participant")?.token()),
        timestamp: String::from(element.required("timestamp")?.token()),
    })
}

fn uris(element: ElementRef<'_>) -> Result<Uris, XmlError> {
    let mut entries = Vec::new();
    for entry in element.children_named("entry") {
        entries.push(UriEntry {
            uri: String::from(entry.required("uri")?.token()),
            display_text: entry.child_text("display-text")?,
            purpose: token(entry, "purpose")?,
            modified: execution(entry, "modified")?,
        });
    }
    Ok(Uris { state: state(element)?, entries })
}

fn execution(element: ElementRef<'_>, name: &'static str) -> Result<Option<Execution>, XmlError> {
    let Some(element) = element.child(name)? else { return Ok(None) };
    let (when, reason) = (token(element, "when")?, element.child_text("reason")?);
    Ok(Some(Execution { when, reason, by: token(element, "by")? }))
}

fn host(element: ElementRef<'_>) -> Result<HostInfo, XmlError> {
    Ok(HostInfo {
        display_text: element.child_text("display-text")?,
        web_page: token(element, "web-page")?,
        uris: element.child("uris")?.map(uris).transpose()?,
    })
}

fn conference_state(element: ElementRef<'_>) -> Result<ConferenceState, XmlError> {
    Ok(ConferenceState {
        user_count: number(element, "user-count")?,
        active: flag(element, "active")?,
        locked: flag(element, "locked")?,
    })
}

fn users(element: ElementRef<'_>) -> Result<Users, XmlError> {
    let mut seen = std::collections::BTreeSet::new();
    let mut users = Vec::new();
    for element in element.children_named("user") {
        let user = user(element)?;
        if !seen.insert(user.entity.clone()) {
            return Err(XmlError::Repeated("user"));
        }
        users.push(user);
    }
    Ok(Users { state: state(element)?, users })
}

fn user(element: ElementRef<'_>) -> Result<User, XmlError> {
    let your_own = match element.attribute_anywhere("yourown") {
        None => None,
        Some(text) => Some(boolean(text.trim()).ok_or(XmlError::Value("yourown"))?),
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut endpoints = Vec::new();
    for element in element.children_named("endpoint") {
        let endpoint = endpoint(element)?;
        if !seen.insert(endpoint.entity.clone()) {
            return Err(XmlError::Repeated("endpoint"));
        }
        endpoints.push(endpoint);
    }
    Ok(User {
        entity: key(element, "entity")?,
        state: state(element)?,
        your_own,
        display_text: element.child_text("display-text")?,
        associated_aors: element.child("associated-aors")?.map(uris).transpose()?,
        roles: roles(element)?,
        languages: words(element, "languages")?,
        cascaded_focus: token(element, "cascaded-focus")?,
        endpoints,
    })
}

/// Entries, as RFC 4575 has them, or a list with commas, as the text of TS Appendix Q.1.2 has it.
fn roles(element: ElementRef<'_>) -> Result<Vec<String>, XmlError> {
    let Some(roles) = element.child("roles")? else { return Ok(Vec::new()) };
    let entries = roles.children_named("entry").map(ElementRef::token);
    let texts = entries.chain(std::iter::once(roles.token()));
    let said = texts.flat_map(|text| text.split(',')).map(str::trim).filter(|role| !role.is_empty());
    Ok(said.map(String::from).collect())
}

fn endpoint(element: ElementRef<'_>) -> Result<Endpoint, XmlError> {
    let mut media = Vec::new();
    for element in element.children_named("media") {
        media.push(Media {
            id: key(element, "id")?,
            display_text: element.child_text("display-text")?,
            kind: token(element, "type")?,
            label: token(element, "label")?,
            src_id: token(element, "src-id")?,
            status: token(element, "status")?,
        });
    }
    Ok(Endpoint {
        entity: String::from(element.attribute("entity").unwrap_or_default().trim()),
        state: state(element)?,
        display_text: element.child_text("display-text")?,
        referred: execution(element, "referred")?,
        status: element.child_token("status")?.map(EndpointStatus::from_name),
        joining_method: element.child_token("joining-method")?.map(JoiningMethod::from_name),
        joining_info: execution(element, "joining-info")?,
        disconnection_method: element
            .child_token("disconnection-method")?
            .map(DisconnectionMethod::from_name),
        disconnection_info: execution(element, "disconnection-info")?,
        media,
        call_info: call_info(element)?,
    })
}

fn call_info(element: ElementRef<'_>) -> Result<Option<SipDialog>, XmlError> {
    let Some(info) = element.child("call-info")? else { return Ok(None) };
    let Some(sip) = info.child("sip")? else { return Ok(None) };
    Ok(Some(SipDialog {
        display_text: sip.child_text("display-text")?,
        call_id: String::from(sip.required("call-id")?.token()),
        from_tag: String::from(sip.required("from-tag")?.token()),
        to_tag: String::from(sip.required("to-tag")?.token()),
    }))
}
