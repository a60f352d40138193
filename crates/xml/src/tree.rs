//! A document as a table of elements, for readers that want to look around in it.

use crate::reader::{Attribute, DocumentReader, Node, is_blank};
use crate::resource_lists::DisplayName;
use crate::{Limits, XmlError};
use std::rc::Rc;

/// A whole document, elements in the order in which they begin. Built without recursion; its depth is limited by the
/// reader.
#[derive(Debug)]
pub(crate) struct Tree {
    elements: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    namespace: Option<Rc<str>>,
    name: Rc<str>,
    attributes: Vec<Attribute>,
    /// The text directly inside, its pieces glued.
    text: String,
    first_child: Option<usize>,
    last_child: Option<usize>,
    next: Option<usize>,
}

impl Tree {
    /// Reads a document.
    pub(crate) fn read(document: &[u8], limits: &Limits) -> Result<Tree, XmlError> {
        let mut reader = DocumentReader::new(document, limits)?;
        let mut elements: Vec<Entry> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        while let Some(node) = reader.next()? {
            match node {
                Node::Start(element) => {
                    let at = elements.len();
                    if let Some(parent) = open.last().and_then(|parent| elements.get_mut(*parent)) {
                        parent.first_child.get_or_insert(at);
                        if let Some(before) = parent.last_child.replace(at)
                            && let Some(before) = elements.get_mut(before)
                        {
                            before.next = Some(at);
                        }
                    }
                    elements.push(Entry {
                        namespace: element.namespace,
                        name: element.name,
                        attributes: element.attributes,
                        text: String::new(),
                        first_child: None,
                        last_child: None,
                        next: None,
                    });
                    open.push(at);
                }
                Node::End => drop(open.pop()),
                Node::Text(text) => {
                    if let Some(inside) = open.last().and_then(|at| elements.get_mut(*at)) {
                        inside.text.push_str(&text);
                    }
                }
            }
        }
        Ok(Tree { elements })
    }

    /// The root element.
    pub(crate) fn root(&self) -> Result<ElementRef<'_>, XmlError> {
        self.element(0).ok_or(XmlError::Unfinished)
    }

    /// The root element, where it is one of `(namespace, name)`; a namespace of `None` means: in none.
    pub(crate) fn root_of(&self, known: &[(Option<&str>, &str)]) -> Result<ElementRef<'_>, XmlError> {
        let root = self.root()?;
        let fits = known.iter().any(|(namespace, name)| root.is(*namespace, name));
        if fits { Ok(root) } else { Err(XmlError::WrongRoot) }
    }

    fn element(&self, at: usize) -> Option<ElementRef<'_>> {
        self.elements.get(at).map(|entry| ElementRef { tree: self, entry })
    }
}

/// An element of a [`Tree`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ElementRef<'t> {
    tree: &'t Tree,
    entry: &'t Entry,
}

impl<'t> ElementRef<'t> {
    /// Its namespace, without the blanks that some write around it.
    pub(crate) fn namespace(self) -> Option<&'t str> {
        self.entry.namespace.as_deref().map(|namespace| namespace.trim_matches(is_blank))
    }

    /// Its name without prefix.
    pub(crate) fn name(self) -> &'t str {
        &self.entry.name
    }

    /// Whether it is this element of this namespace.
    pub(crate) fn is(self, namespace: Option<&str>, name: &str) -> bool {
        self.name() == name && self.namespace() == namespace
    }

    /// An attribute without namespace.
    pub(crate) fn attribute(self, name: &str) -> Option<&'t str> {
        self.find_attribute(None, name)
    }

    /// An attribute without namespace and without blanks around it; one that is empty is none.
    pub(crate) fn filled_attribute(self, name: &str) -> Option<&'t str> {
        self.attribute(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The same, where it must be there.
    pub(crate) fn required_attribute(self, name: &'static str) -> Result<&'t str, XmlError> {
        self.filled_attribute(name).ok_or(XmlError::Missing(name))
    }

    /// An attribute of a namespace.
    pub(crate) fn attribute_of(self, namespace: &str, name: &str) -> Option<&'t str> {
        self.find_attribute(Some(namespace), name)
    }

    /// An attribute of this name, of whatever namespace.
    pub(crate) fn attribute_anywhere(self, name: &str) -> Option<&'t str> {
        self.entry.attributes.iter().find(|attribute| &*attribute.name == name).map(|a| a.value.as_str())
    }

    fn find_attribute(self, namespace: Option<&str>, name: &str) -> Option<&'t str> {
        let found = self.entry.attributes.iter().find(|attribute| {
            &*attribute.name == name
                && attribute.namespace.as_deref().map(|namespace| namespace.trim_matches(is_blank))
                    == namespace
        });
        found.map(|attribute| attribute.value.as_str())
    }

    /// The elements directly inside, of whatever namespace.
    pub(crate) fn children(self) -> impl Iterator<Item = ElementRef<'t>> {
        let tree = self.tree;
        let first = self.entry.first_child.and_then(|at| tree.element(at));
        std::iter::successors(first, move |child| child.entry.next.and_then(|at| tree.element(at)))
    }

    /// The elements of this name directly inside, in the namespace of this one.
    pub(crate) fn children_named(self, name: &'static str) -> impl Iterator<Item = ElementRef<'t>> {
        let namespace = self.namespace();
        self.children().filter(move |child| child.is(namespace, name))
    }

    /// The one element of this name directly inside, in the namespace of this one.
    pub(crate) fn child(self, name: &'static str) -> Result<Option<ElementRef<'t>>, XmlError> {
        only(self.children_named(name), name)
    }

    /// The one element of this name and namespace directly inside.
    pub(crate) fn child_of(
        self,
        namespace: &'static str,
        name: &'static str,
    ) -> Result<Option<ElementRef<'t>>, XmlError> {
        only(self.children().filter(|child| child.is(Some(namespace), name)), name)
    }

    /// The same, where it must be there.
    pub(crate) fn required(self, name: &'static str) -> Result<ElementRef<'t>, XmlError> {
        self.child(name)?.ok_or(XmlError::Missing(name))
    }

    /// The text directly inside, as it is written.
    pub(crate) fn text(self) -> &'t str {
        &self.entry.text
    }

    /// The text directly inside without blanks around it (a `token`, a number, a URI, a date).
    pub(crate) fn token(self) -> &'t str {
        self.text().trim_matches(is_blank)
    }

    /// The text of the one element of this name directly inside, without blanks around it.
    pub(crate) fn child_token(self, name: &'static str) -> Result<Option<&'t str>, XmlError> {
        Ok(self.child(name)?.map(ElementRef::token))
    }

    /// The text of the one element of this name directly inside, as it is written.
    pub(crate) fn child_text(self, name: &'static str) -> Result<Option<String>, XmlError> {
        Ok(self.child(name)?.map(|child| String::from(child.text())))
    }
}

fn only<'t>(
    mut found: impl Iterator<Item = ElementRef<'t>>,
    name: &'static str,
) -> Result<Option<ElementRef<'t>>, XmlError> {
    let first = found.next();
    if found.next().is_some() { Err(XmlError::Repeated(name)) } else { Ok(first) }
}

/// `<display-name>` with its language (RFC 4826, RFC 3680).
pub(crate) fn display_name(parent: ElementRef<'_>) -> Result<Option<DisplayName>, XmlError> {
    const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
    let name = parent.child("display-name")?.map(|name| DisplayName {
        text: String::from(name.text()),
        language: name.attribute_of(XML_NAMESPACE, "lang").map(String::from),
    });
    Ok(name)
}

/// The number in the one element of this name directly inside `parent`; a fault where there is something else.
pub(crate) fn number<T: std::str::FromStr>(
    parent: ElementRef<'_>,
    name: &'static str,
) -> Result<Option<T>, XmlError> {
    let Some(text) = parent.child_token(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| XmlError::Value(name))
}

/// `true`, `false`, `1` or `0` (xs:boolean).
pub(crate) fn boolean(token: &str) -> Option<bool> {
    match token {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
