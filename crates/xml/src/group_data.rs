//! Group session data: requests to change subject or icon of a group, and their results:
//! application/vnd.oma.cpm-groupdata+xml (TS 6.8.1, Appendix P.1).

use crate::tree::{ElementRef, Tree};
use crate::writer::Writer;
use crate::{Limits, XmlError};
use cpm_base::LimitExceeded;

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/vnd.oma.cpm-groupdata+xml";

/// The namespace of TS Appendix P.1.
pub const NAMESPACE: &str = "urn:oma:xml:cpm:groupdata:1.0";

/// A request or its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupManagement {
    /// `id`: ties a response to its request. The schema wants a number: write decimal digits; any text is read.
    pub id: String,
    /// What is asked or answered; `None` where the document says neither.
    pub data: Option<GroupData>,
}

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupData {
    /// `<request>`.
    Request(Request),
    /// `<response>`.
    Response(Response),
}

/// A wanted change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A new subject.
    SetSubject(String),
    /// No subject any more.
    DeleteSubject,
    /// A new icon.
    SetIcon(Icon),
    /// No icon any more.
    DeleteIcon,
}

/// Where an icon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Icon {
    /// `<icon-uri>`: somewhere else. Never fetched here.
    Uri(String),
    /// `<file-info>`: in another part of the same body, named by its Content-ID as it is written here.
    ContentId(String),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `<response-code>`: a SIP status code, 100 to 699.
    pub code: u16,
    /// `<response-text>`.
    pub text: Option<String>,
}

/// Reads a document, in the namespace of Appendix P.1 or in none, with either name of the root, and with `target` and
/// `action` as elements or as attributes.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or neither request nor response as TS 6.8.1 has them; a subject with
/// control characters in it.
pub fn parse(document: &[u8], limits: &Limits) -> Result<GroupManagement, XmlError> {
    const ROOTS: [&str; 2] = ["cpm-group-management", "cpm-event-group-management"];
    let tree = Tree::read(document, limits)?;
    let roots = ROOTS.map(|name| [(Some(NAMESPACE), name), (None, name)]);
    let root = tree.root_of(roots.as_flattened())?;
    let id =
        root.attribute("id").map(str::trim).filter(|id| !id.is_empty()).ok_or(XmlError::Missing("id"))?;
    let data = match (root.child("group-data")?, root.child("group-data-request")?) {
        (Some(_), Some(_)) => return Err(XmlError::Repeated("group-data")),
        (Some(data), None) => read_data(data)?,
        (None, Some(request)) => Some(GroupData::Request(read_request(request)?)),
        (None, None) => None,
    };
    if let Some(GroupData::Request(Request::SetSubject(subject))) = &data {
        check_subject(subject, limits)?;
    }
    Ok(GroupManagement { id: String::from(id), data })
}

/// A subject is shown to everybody in the group: one line, and not a long one.
fn check_subject(subject: &str, limits: &Limits) -> Result<(), XmlError> {
    LimitExceeded::check("group.max_subject", subject.chars().count(), limits.max_subject)?;
    if subject.chars().any(char::is_control) { Err(XmlError::Value("subject")) } else { Ok(()) }
}

fn read_data(data: ElementRef<'_>) -> Result<Option<GroupData>, XmlError> {
    match (data.child("request")?, data.child("response")?) {
        (Some(_), Some(_)) => Err(XmlError::Repeated("request")),
        (Some(request), None) => read_request(request).map(GroupData::Request).map(Some),
        (None, Some(response)) => read_response(response).map(GroupData::Response).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_request(request: ElementRef<'_>) -> Result<Request, XmlError> {
    let target = element_or_attribute(request, "target")?;
    let action = element_or_attribute(request, "action")?;
    let subject = match target {
        "subject" => true,
        "icon" => false,
        _ => return Err(XmlError::Value("target")),
    };
    match (action, subject) {
        ("delete", true) => Ok(Request::DeleteSubject),
        ("delete", false) => Ok(Request::DeleteIcon),
        ("set", true) => {
            let subject = request.required("data")?.required("subject")?;
            Ok(Request::SetSubject(String::from(subject.text())))
        }
        ("set", false) => Icon::read(request.required("data")?.required("icon")?).map(Request::SetIcon),
        _ => Err(XmlError::Value("action")),
    }
}

fn element_or_attribute<'t>(request: ElementRef<'t>, name: &'static str) -> Result<&'t str, XmlError> {
    let text = request.child_token(name)?.or_else(|| request.attribute(name).map(str::trim));
    text.ok_or(XmlError::Missing(name))
}

impl Icon {
    /// The element that says where the icon is, under the names that it has in this document.
    pub(crate) fn write<'n>(&self, out: &mut Writer<'n>, icon_uri: &'n str, file_info: &'n str) {
        match self {
            Icon::Uri(uri) => out.leaf(icon_uri, uri),
            Icon::ContentId(id) => out.leaf(file_info, id),
        };
    }

    /// `<icon-uri>` or `<file-info>` inside an element.
    pub(crate) fn read(icon: ElementRef<'_>) -> Result<Icon, XmlError> {
        let uri = icon.child_token("icon-uri")?.filter(|text| !text.is_empty());
        let file = icon.child_token("file-info")?.filter(|text| !text.is_empty());
        match (uri, file) {
            (Some(_), Some(_)) => Err(XmlError::Repeated("icon-uri")),
            (Some(uri), None) => Ok(Icon::Uri(String::from(uri))),
            (None, Some(file)) => Ok(Icon::ContentId(String::from(file))),
            (None, None) => Err(XmlError::Missing("icon-uri")),
        }
    }
}

fn read_response(response: ElementRef<'_>) -> Result<Response, XmlError> {
    let code = response.required("response-code")?.token();
    let code = code.parse().ok().filter(|code| (100..700).contains(code));
    // The schema misspells it.
    let text = match response.child_text("response-text")? {
        Some(text) => Some(text),
        None => response.child_text("respomse-text")?,
    };
    Ok(Response { code: code.ok_or(XmlError::Value("response-code"))?, text })
}

/// Writes the document.
// req: 6.8.1-p1, 6.8.1-1.b, 6.8.1-1.b.A.1, 6.8.1-1.b.A.1.a, 6.8.1-1.b.A.1.b, 6.8.1-1.b.A.2, 6.8.1-1.b.A.2.a
// req: 6.8.1-1.b.A.2.b, 6.8.1-1.b.A.3, 6.8.1-1.b.A.3.a, 6.8.1-1.b.A.3.b.i, 6.8.1-1.b.B.1
#[must_use]
pub fn write(management: &GroupManagement) -> String {
    let mut out = Writer::new();
    out.open("cpm-group-management").attribute("xmlns", NAMESPACE).attribute("id", &management.id);
    match &management.data {
        None => {}
        Some(GroupData::Request(request)) => {
            out.open("group-data").open("request");
            write_request(&mut out, request);
        }
        Some(GroupData::Response(response)) => {
            out.open("group-data").open("response");
            out.leaf("response-code", &response.code.to_string());
            out.leaf_if("response-text", response.text.as_deref());
        }
    }
    out.finish()
}

fn write_request(out: &mut Writer<'_>, request: &Request) {
    let (target, action) = match request {
        Request::SetSubject(_) => ("subject", "set"),
        Request::DeleteSubject => ("subject", "delete"),
        Request::SetIcon(_) => ("icon", "set"),
        Request::DeleteIcon => ("icon", "delete"),
    };
    out.leaf("target", target).leaf("action", action);
    match request {
        Request::SetSubject(subject) => {
            out.open("data").leaf("subject", subject).close();
        }
        Request::SetIcon(icon) => {
            out.open("data").open("icon");
            icon.write(out, "icon-uri", "file-info");
            out.close().close();
        }
        Request::DeleteSubject | Request::DeleteIcon => {}
    }
}

#[cfg(test)]
mod tests;
