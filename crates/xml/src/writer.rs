//! Writing documents: whatever the values hold, what comes out is well-formed.

use crate::reader::is_xml_char;
use crate::resource_lists::DisplayName;

/// Appends text with everything escaped that means something in XML or would not come back as it is. A character that
/// XML 1.0 cannot hold becomes U+FFFD.
pub(crate) fn push_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // In attributes the first two, and in text the last, would come back as something else.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if is_xml_char(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Appends `<name>text</name>`.
pub(crate) fn push_element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    push_text(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// Writes one document from its declaration to its end. The names are ours; the values may be anything.
#[derive(Debug)]
pub(crate) struct Writer<'n> {
    out: String,
    /// The open elements, outermost first.
    open: Vec<&'n str>,
    /// The start tag that was written last still takes attributes.
    in_tag: bool,
}

impl<'n> Writer<'n> {
    pub(crate) fn new() -> Self {
        let out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n");
        Writer { out, open: Vec::new(), in_tag: false }
    }

    /// Begins an element; `name` may have a prefix that a declaration binds.
    pub(crate) fn open(&mut self, name: &'n str) -> &mut Self {
        self.end_tag();
        self.out.push('<');
        self.out.push_str(name);
        self.open.push(name);
        self.in_tag = true;
        self
    }

    /// An attribute of the element begun just now; nothing once it has content.
    pub(crate) fn attribute(&mut self, name: &str, value: &str) -> &mut Self {
        if self.in_tag {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            push_text(&mut self.out, value);
            self.out.push('"');
        }
        self
    }

    /// The same where there is a value.
    pub(crate) fn attribute_if(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.attribute(name, value);
        }
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.end_tag();
        push_text(&mut self.out, text);
        self
    }

    /// Ends the element that was begun last.
    pub(crate) fn close(&mut self) -> &mut Self {
        let Some(name) = self.open.pop() else { return self };
        if std::mem::take(&mut self.in_tag) {
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
        self
    }

    /// An element with text alone.
    pub(crate) fn leaf(&mut self, name: &'n str, text: &str) -> &mut Self {
        self.end_tag();
        push_element(&mut self.out, name, text);
        self
    }

    /// The same where there is a text.
    pub(crate) fn leaf_if(&mut self, name: &'n str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.leaf(name, text);
        }
        self
    }

    /// The document; elements still open are closed.
    pub(crate) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.out.push('>');
        }
    }
}

/// `<display-name>` with its language, where there is one.
pub(crate) fn write_display_name(out: &mut Writer<'_>, name: Option<&DisplayName>) {
    if let Some(name) = name {
        out.open("display-name").attribute_if("xml:lang", name.language.as_deref()).text(&name.text).close();
    }
}
