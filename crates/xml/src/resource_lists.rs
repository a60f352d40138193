//! Lists of addresses: application/resource-lists+xml (RFC 4826 §3) with copy control (RFC 5364) and the header fields
//! that a URI in it asks for (RFC 3261 §19.1.1: `?method=BYE`, CPM's `?cpm_action=…`).

use crate::tree::{ElementRef, Tree, boolean, display_name};
use crate::writer::{Writer, write_display_name};
use crate::{Limits, XmlError};

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/resource-lists+xml";

/// The namespace of RFC 4826 §3.2.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";

/// The namespace of the attributes of RFC 5364.
pub const COPY_CONTROL_NAMESPACE: &str = "urn:ietf:params:xml:ns:copycontrol";

/// As the second example of RFC 5366 spells it.
const COPY_CONTROL_MISSPELT: &str = "urn:ietf:params:xml:ns:copyControl";

/// A document: any number of lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceLists {
    /// `<list>`.
    pub lists: Vec<List>,
}

/// A list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// `name`.
    pub name: Option<String>,
    /// `<display-name>`.
    pub display_name: Option<DisplayName>,
    /// What is in it, in the order of the document.
    pub items: Vec<Item>,
}

/// A name for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName {
    /// The text.
    pub text: String,
    /// `xml:lang`.
    pub language: Option<String>,
}

/// What stands in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `<entry>`: an address.
    Entry(Entry),
    /// `<list>`: a list inside of it.
    List(List),
    /// `<entry-ref>`: an entry that stands elsewhere (`ref`). Never fetched here.
    EntryRef(String),
    /// `<external>`: a list that stands elsewhere (`anchor`). Never fetched here.
    External(Option<String>),
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `uri`, as it is written.
    pub uri: String,
    /// `<display-name>`.
    pub display_name: Option<DisplayName>,
    /// `copyControl` (RFC 5364 §4). Absent means bcc.
    pub copy_control: Option<CopyControl>,
    /// `anonymize`: the address stays hidden from the other recipients.
    pub anonymize: bool,
    /// `count`: how many anonymous addresses this one stands for.
    pub count: Option<u32>,
}

/// How a recipient gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyControl {
    /// Hidden from the others. The least of the three (RFC 5364 §4).
    Bcc,
    /// A copy.
    Cc,
    /// A primary recipient.
    To,
}

impl CopyControl {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CopyControl::To => "to",
            CopyControl::Cc => "cc",
            CopyControl::Bcc => "bcc",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [CopyControl::To, CopyControl::Cc, CopyControl::Bcc].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is to be done with a deferred message (TS 7.2.3.2.1): `cpm_action` of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpmAction {
    /// Deliver it now.
    Deliver,
    /// Throw it away.
    Delete,
    /// Send it by another technology.
    Interwork,
    /// Keep it in the message store.
    Store,
}

impl CpmAction {
    const ALL: [CpmAction; 4] =
        [CpmAction::Deliver, CpmAction::Delete, CpmAction::Interwork, CpmAction::Store];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CpmAction::Deliver => "deliver",
            CpmAction::Delete => "delete",
            CpmAction::Interwork => "interwork",
            CpmAction::Store => "store",
        }
    }
}

impl Entry {
    /// An address with nothing said of it.
    #[must_use]
    pub fn new(uri: &str) -> Self {
        Entry {
            uri: String::from(uri),
            display_name: None,
            copy_control: None,
            anonymize: false,
            count: None,
        }
    }

    /// The same with a copy control.
    #[must_use]
    pub fn with_copy_control(mut self, copy_control: CopyControl) -> Self {
        self.copy_control = Some(copy_control);
        self
    }

    /// The address of a deferred message with what is to be done with it.
    #[must_use]
    pub fn with_action(uri: &str, action: CpmAction) -> Self {
        let mark = if uri.contains('?') { '&' } else { '?' };
        Entry::new(&format!("{uri}{mark}cpm_action={}", action.as_str()))
    }

    /// The value behind `name=` in the part of the URI behind `?`; names are compared without case.
    #[must_use]
    pub fn uri_header(&self, name: &str) -> Option<&str> {
        let (_, headers) = self.uri.split_once('?')?;
        let mut pairs = headers.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The method that the URI asks for (RFC 5368 §5, `?method=BYE`).
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.uri_header("method")
    }

    /// What is to be done with a deferred message: `None` where nothing is said, the word where it is none that is known.
    ///
    /// # Errors
    /// The word, where it is none of the four.
    pub fn action(&self) -> Result<Option<CpmAction>, &str> {
        let Some(word) = self.uri_header("cpm_action") else { return Ok(None) };
        CpmAction::ALL.into_iter().find(|action| action.as_str() == word).map(Some).ok_or(word)
    }

    /// The URI without what stands behind `?`: the identity of whom or what it names.
    #[must_use]
    pub fn bare_uri(&self) -> &str {
        self.uri.split_once('?').map_or(self.uri.as_str(), |(uri, _)| uri)
    }
}

impl ResourceLists {
    /// One list without name.
    #[must_use]
    pub fn flat(entries: impl IntoIterator<Item = Entry>) -> Self {
        let items = entries.into_iter().map(Item::Entry).collect();
        ResourceLists { lists: vec![List { items, ..List::default() }] }
    }

    /// Whether this address, in the form in which the document has it, is in it: how a blacklist is asked (TS 8.3.1.1-3).
    #[must_use]
    pub fn contains(&self, uri: &str) -> bool {
        self.entries().any(|entry| entry.bare_uri() == uri)
    }

    /// All addresses, those of lists inside of lists included, in the order of the document.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let mut open: Vec<std::slice::Iter<'_, Item>> = Vec::new();
        let mut lists = self.lists.iter();
        std::iter::from_fn(move || {
            loop {
                let Some(innermost) = open.last_mut() else {
                    open.push(lists.next()?.items.iter());
                    continue;
                };
                match innermost.next() {
                    None => drop(open.pop()),
                    Some(Item::Entry(entry)) => return Some(entry),
                    Some(Item::List(list)) => open.push(list.items.iter()),
                    Some(Item::EntryRef(_) | Item::External(_)) => {}
                }
            }
        })
    }
}

/// Reads a document; what other namespaces add is passed over, and so are elements that RFC 4826 does not know.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no list of addresses: an entry without `uri`, a value that its
/// attribute cannot have.
pub fn parse(document: &[u8], limits: &Limits) -> Result<ResourceLists, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root_of(&[(Some(NAMESPACE), "resource-lists"), (None, "resource-lists")])?;
    let mut lists = Vec::new();
    for element in root.children_named("list") {
        lists.push(read_list(element)?);
    }
    Ok(ResourceLists { lists })
}

/// One list. The lists inside of it are kept on a stack of their own.
fn read_list(element: ElementRef<'_>) -> Result<List, XmlError> {
    let mut open = vec![(begin_list(element)?, element.children().collect::<Vec<_>>().into_iter())];
    loop {
        let Some((list, rest)) = open.last_mut() else { return Err(XmlError::Unfinished) };
        let Some(child) = rest.next() else {
            let Some((done, _)) = open.pop() else { return Err(XmlError::Unfinished) };
            match open.last_mut() {
                Some((outer, _)) => outer.items.push(Item::List(done)),
                None => return Ok(done),
            }
            continue;
        };
        if child.namespace() != element.namespace() {
            continue;
        }
        match child.name() {
            "list" => open.push((begin_list(child)?, child.children().collect::<Vec<_>>().into_iter())),
            "entry" => list.items.push(Item::Entry(read_entry(child)?)),
            "entry-ref" => {
                let target = child.attribute("ref").ok_or(XmlError::Missing("ref"))?;
                list.items.push(Item::EntryRef(String::from(target)));
            }
            "external" => list.items.push(Item::External(child.attribute("anchor").map(String::from))),
            _ => {}
        }
    }
}

fn begin_list(element: ElementRef<'_>) -> Result<List, XmlError> {
    Ok(List {
        name: element.attribute("name").map(String::from),
        display_name: display_name(element)?,
        items: Vec::new(),
    })
}

fn read_entry(element: ElementRef<'_>) -> Result<Entry, XmlError> {
    let uri = element.attribute("uri").ok_or(XmlError::Missing("uri"))?.trim();
    if uri.is_empty() {
        return Err(XmlError::Missing("uri"));
    }
    let copy_control = match control(element, "copyControl") {
        None => None,
        Some(text) => Some(CopyControl::parse(text.trim()).ok_or(XmlError::Value("copyControl"))?),
    };
    let anonymize = match control(element, "anonymize") {
        None => false,
        Some(text) => boolean(text.trim()).ok_or(XmlError::Value("anonymize"))?,
    };
    let count = match control(element, "count") {
        None => None,
        Some(text) => Some(text.trim().parse().map_err(|_| XmlError::Value("count"))?),
    };
    Ok(Entry { uri: String::from(uri), display_name: display_name(element)?, copy_control, anonymize, count })
}

fn control<'t>(element: ElementRef<'t>, name: &str) -> Option<&'t str> {
    let spelt = element.attribute_of(COPY_CONTROL_NAMESPACE, name);
    spelt.or_else(|| element.attribute_of(COPY_CONTROL_MISSPELT, name))
}

/// What is still to be written.
enum Step<'v> {
    Item(&'v Item),
    List(&'v List),
    Close,
}

/// Writes the document. The prefix of copy control is declared only where it is used.
#[must_use]
pub fn write(lists: &ResourceLists) -> String {
    let controlled = lists.entries().any(|e| e.copy_control.is_some() || e.anonymize || e.count.is_some());
    let mut out = Writer::new();
    out.open("resource-lists").attribute("xmlns", NAMESPACE);
    out.attribute_if("xmlns:cp", controlled.then_some(COPY_CONTROL_NAMESPACE));
    let mut steps: Vec<Step<'_>> = lists.lists.iter().rev().map(Step::List).collect();
    while let Some(step) = steps.pop() {
        match step {
            Step::Close => {
                out.close();
            }
            Step::List(list) | Step::Item(Item::List(list)) => {
                out.open("list").attribute_if("name", list.name.as_deref());
                write_display_name(&mut out, list.display_name.as_ref());
                steps.push(Step::Close);
                steps.extend(list.items.iter().rev().map(Step::Item));
            }
            Step::Item(Item::Entry(entry)) => write_entry(&mut out, entry),
            Step::Item(Item::EntryRef(target)) => {
                out.open("entry-ref").attribute("ref", target).close();
            }
            Step::Item(Item::External(anchor)) => {
                out.open("external").attribute_if("anchor", anchor.as_deref()).close();
            }
        }
    }
    out.finish()
}

fn write_entry(out: &mut Writer<'_>, entry: &Entry) {
    out.open("entry").attribute("uri", &entry.uri);
    out.attribute_if("cp:copyControl", entry.copy_control.map(CopyControl::as_str));
    out.attribute_if("cp:anonymize", entry.anonymize.then_some("true"));
    out.attribute_if("cp:count", entry.count.map(|count| count.to_string()).as_deref());
    write_display_name(out, entry.display_name.as_ref());
    out.close();
}

#[cfg(test)]
mod tests;
