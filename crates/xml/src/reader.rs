//! A bounded pull reader: elements with their namespaces, text with its references resolved, nothing else.

use crate::{Limits, XmlError};
use cpm_base::LimitExceeded;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceError, ResolveResult};
use quick_xml::reader::NsReader;
use quick_xml::{Error, XmlVersion};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What the document goes on with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Start(Element),
    /// The end of the element that was opened last and is not closed yet.
    End,
    /// Text, possibly one of several pieces in a row.
    Text(String),
}

/// The start of an element. An element without content has an end like any other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) namespace: Option<Rc<str>>,
    pub(crate) name: Rc<str>,
    /// Without namespace declarations.
    pub(crate) attributes: Vec<Attribute>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) namespace: Option<Rc<str>>,
    pub(crate) name: Rc<str>,
    pub(crate) value: String,
}

/// Reads one document from its first octet to its last.
pub(crate) struct DocumentReader<'a> {
    reader: NsReader<&'a [u8]>,
    limits: &'a Limits,
    /// The names met so far: a long document says few names many times.
    names: BTreeSet<Rc<str>>,
    depth: usize,
    root_seen: bool,
    at_start: bool,
}

impl<'a> DocumentReader<'a> {
    pub(crate) fn new(document: &'a [u8], limits: &'a Limits) -> Result<Self, XmlError> {
        LimitExceeded::check("xml.max_bytes", document.len(), limits.max_bytes)?;
        let text = std::str::from_utf8(document).map_err(|_| XmlError::NotUtf8)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !text.chars().all(is_xml_char) {
            return Err(XmlError::Character);
        }
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        config.enable_all_checks(true);
        config.expand_empty_elements = true;
        reader.resolver_mut().set_max_namespace_bindings(limits.max_ns);
        Ok(DocumentReader {
            reader,
            limits,
            names: BTreeSet::new(),
            depth: 0,
            root_seen: false,
            at_start: true,
        })
    }

    /// What comes next; `None` once, at the end of a finished document.
    pub(crate) fn next(&mut self) -> Result<Option<Node>, XmlError> {
        loop {
            let event = self.reader.read_event().map_err(|error| self.fault(&error))?;
            let at_start = std::mem::replace(&mut self.at_start, false);
            match event {
                Event::Start(start) | Event::Empty(start) => {
                    self.open()?;
                    return self.element(&start).map(Node::Start).map(Some);
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Some(Node::End));
                }
                Event::Text(text) => {
                    if text.contains("]]>") {
                        return Err(XmlError::Malformed("]]> in text"));
                    }
                    if self.depth > 0 {
                        return Ok(Some(Node::Text(text.xml10_content().into_owned())));
                    }
                    if !text.chars().all(is_blank) {
                        return Err(XmlError::TextOutsideRoot);
                    }
                }
                Event::CData(text) => return self.inside(text.xml10_content().into_owned()),
                Event::GeneralRef(reference) => return self.inside(resolve(&reference)?),
                Event::Comment(_) => {}
                Event::Decl(declaration) if at_start => check_declaration(&declaration)?,
                Event::Decl(_) | Event::PI(_) => return Err(XmlError::ProcessingInstruction),
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Eof if self.depth == 0 && self.root_seen => return Ok(None),
                Event::Eof => return Err(XmlError::Unfinished),
            }
        }
    }

    fn inside(&self, text: String) -> Result<Option<Node>, XmlError> {
        if self.depth == 0 { Err(XmlError::TextOutsideRoot) } else { Ok(Some(Node::Text(text))) }
    }

    fn open(&mut self) -> Result<(), XmlError> {
        if self.depth == 0 && self.root_seen {
            return Err(XmlError::SecondRoot);
        }
        self.root_seen = true;
        self.depth = self.depth.saturating_add(1);
        Ok(LimitExceeded::check("xml.max_depth", self.depth, self.limits.max_depth)?)
    }

    fn element(&mut self, start: &BytesStart<'_>) -> Result<Element, XmlError> {
        if !is_qualified_name(start.name().as_ref()) {
            return Err(XmlError::Name);
        }
        check_spacing(start.attributes_raw())?;
        let mut seen = BTreeSet::new();
        let mut attributes = Vec::new();
        for (index, attribute) in start.attributes().with_checks(false).enumerate() {
            LimitExceeded::check("xml.max_attrs", index.saturating_add(1), self.limits.max_attrs)?;
            let attribute = attribute.map_err(|_| XmlError::Attribute)?;
            let (key, raw) = (attribute.key, attribute.value.as_ref());
            if !is_qualified_name(key.as_ref()) || raw.contains('<') {
                return Err(XmlError::Attribute);
            }
            if key.as_namespace_binding().is_some() {
                // A declaration is compared as written, so it must say what it means.
                let undeclares = raw.is_empty() && key.prefix().is_some();
                let twice = !seen.insert((Some(Rc::from("xmlns")), Rc::from(key.as_ref())));
                if undeclares || raw.contains('&') {
                    return Err(XmlError::Namespace);
                }
                if twice {
                    return Err(XmlError::Attribute);
                }
                continue;
            }
            let value =
                attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| self.fault(&error))?;
            if !value.chars().all(is_xml_char) {
                return Err(XmlError::Character);
            }
            let (namespace, name) = self.reader.resolver().resolve_attribute(key);
            let (namespace, name) = (bound(namespace)?, name.into_inner());
            let (namespace, name) = (intern_some(&mut self.names, namespace), intern(&mut self.names, name));
            if !seen.insert((namespace.clone(), name.clone())) {
                return Err(XmlError::Attribute);
            }
            attributes.push(Attribute { namespace, name, value: value.into_owned() });
        }
        let (namespace, name) = self.reader.resolver().resolve_element(start.name());
        let (namespace, name) = (bound(namespace)?, name.into_inner());
        let (namespace, name) = (intern_some(&mut self.names, namespace), intern(&mut self.names, name));
        Ok(Element { namespace, name, attributes })
    }

    fn fault(&self, error: &Error) -> XmlError {
        match error {
            Error::Namespace(NamespaceError::TooManyBindings(_)) => {
                let max = u64::try_from(self.limits.max_ns).unwrap_or(u64::MAX);
                XmlError::Limit(LimitExceeded { limit: "xml.max_ns", value: max.saturating_add(1), max })
            }
            // The tokenizer counts in 16 bits, whatever our own limit is.
            Error::Namespace(NamespaceError::TooDeeplyNested(_)) => {
                XmlError::Limit(LimitExceeded { limit: "xml.max_depth", value: 65_536, max: 65_535 })
            }
            Error::Namespace(_) => XmlError::Namespace,
            Error::InvalidAttr(_) => XmlError::Attribute,
            Error::Escape(_) => XmlError::Entity,
            Error::IllFormed(_) => XmlError::Malformed("tags, comments or references do not fit"),
            Error::Syntax(_) => XmlError::Malformed("markup is not finished"),
            _ => XmlError::Malformed("not readable"),
        }
    }
}

/// A name as it is kept: each once.
fn intern(names: &mut BTreeSet<Rc<str>>, name: &str) -> Rc<str> {
    if let Some(known) = names.get(name) {
        return Rc::clone(known);
    }
    let fresh: Rc<str> = Rc::from(name);
    names.insert(Rc::clone(&fresh));
    fresh
}

fn intern_some(names: &mut BTreeSet<Rc<str>>, name: Option<&str>) -> Option<Rc<str>> {
    name.map(|name| intern(names, name))
}

fn bound(namespace: ResolveResult<'_>) -> Result<Option<&str>, XmlError> {
    match namespace {
        // xmlns="" takes the default away.
        ResolveResult::Unbound | ResolveResult::Bound(Namespace("")) => Ok(None),
        ResolveResult::Bound(namespace) => Ok(Some(namespace.into_inner())),
        ResolveResult::Unknown(_) => Err(XmlError::Namespace),
    }
}

/// The character behind `&…;` in text.
fn resolve(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    let c = match reference.as_ref() {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => {
            let c = reference.resolve_char_ref().map_err(|_| XmlError::Character)?.ok_or(XmlError::Entity)?;
            if !is_xml_char(c) {
                return Err(XmlError::Character);
            }
            c
        }
    };
    Ok(String::from(c))
}

/// RFC 5438 §11.1 and every other document here: XML 1.0 in UTF-8. US-ASCII is UTF-8.
fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), XmlError> {
    if declaration.version().map_err(|_| XmlError::Version)? != "1.0" {
        return Err(XmlError::Version);
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii") => {
            Ok(())
        }
        Some(_) => Err(XmlError::NotUtf8),
    }
}

/// White space stands before every attribute (XML 1.0, production 40).
fn check_spacing(attributes: &str) -> Result<(), XmlError> {
    let mut quote = None;
    let mut behind_value = true;
    for c in attributes.chars() {
        match quote {
            Some(open) if c == open => (quote, behind_value) = (None, true),
            Some(_) => {}
            None if behind_value && !is_blank(c) && c != '/' => return Err(XmlError::Attribute),
            None => {
                behind_value = false;
                quote = Some(c).filter(|c| matches!(c, '"' | '\''));
            }
        }
    }
    Ok(())
}

/// `Char` of XML 1.0, production 2.
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// `S` of XML 1.0, production 3.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_qualified_name(name: &str) -> bool {
    match name.split_once(':') {
        Some((prefix, local)) => is_plain_name(prefix) && is_plain_name(local),
        None => is_plain_name(name),
    }
}

/// `NCName` of Namespaces in XML 1.0, production 4, with XML 1.0 production 4 and 4a.
pub(crate) fn is_plain_name(name: &str) -> bool {
    name.chars().next().is_some_and(is_name_start) && name.chars().all(is_name_char)
}

fn is_name_start(c: char) -> bool {
    matches!(
        c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}'
    )
}

fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
