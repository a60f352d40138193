//! Which user preference profile is active on which device: the directory of TS 8.4.1.

use crate::tree::Tree;
use crate::writer::Writer;
use crate::{Limits, XmlError};

/// A directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// `<active-upp>`.
    pub active: Vec<ActiveProfile>,
}

/// The active profile of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveProfile {
    /// `device`; absent: of every device that has none of its own.
    pub device: Option<String>,
    /// The name of the profile.
    pub profile: String,
}

impl Directory {
    /// The profile that is active on a device.
    #[must_use]
    pub fn of_device(&self, device: &str) -> Option<&str> {
        let own = self.active.iter().find(|active| active.device.as_deref() == Some(device));
        let shared = || self.active.iter().find(|active| active.device.is_none());
        own.or_else(shared).map(|active| active.profile.as_str())
    }
}

/// Reads a document. Its schema is not part of the CPM specification: `<active-upp>` is looked for directly inside the
/// root, of whatever namespace; the profile is its text.
///
/// # Errors
/// The document is not well-formed, beyond the limits, no directory, or a profile has no name.
pub fn parse(document: &[u8], limits: &Limits) -> Result<Directory, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root()?;
    if root.name() != "upp-directory" {
        return Err(XmlError::WrongRoot);
    }
    let active = root.children().filter(|child| child.name() == "active-upp").map(|element| {
        let device = element.attribute("device").map(str::trim).filter(|device| !device.is_empty());
        let profile = Some(element.token()).filter(|name| !name.is_empty());
        let profile = String::from(profile.ok_or(XmlError::Missing("active-upp"))?);
        Ok(ActiveProfile { device: device.map(String::from), profile })
    });
    Ok(Directory { active: active.collect::<Result<_, XmlError>>()? })
}

/// Writes the document.
#[must_use]
pub fn write(directory: &Directory) -> String {
    let mut out = Writer::new();
    out.open("upp-directory");
    for active in &directory.active {
        out.open("active-upp").attribute_if("device", active.device.as_deref()).text(&active.profile).close();
    }
    out.finish()
}

#[cfg(test)]
mod tests;
