//! A pre-defined group: who is in it and what its members may do (TS 9.1.1, 9.2.1 to 9.2.8). A `<group>` with one
//! `<list-service>`.

use crate::resource_lists::DisplayName;
use crate::ruleset::{self, ActionNames, Context, Ruleset};
use crate::tree::{ElementRef, Tree, boolean, display_name};
use crate::writer::{Writer, write_display_name};
use crate::{Limits, XmlError};

/// The namespace of the document.
pub const NAMESPACE: &str = "urn:oma:xml:poc:list-service";

/// The namespace of `<supported-services>`, where it is written.
pub const GROUP_NAMESPACE: &str = "urn:oma:xml:xdm:group";

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupDocument {
    /// `uri`: the address of the group.
    pub uri: String,
    /// `<display-name>`.
    pub display_name: Option<DisplayName>,
    /// `<subject>`.
    pub subject: Option<String>,
    /// `<list>`: the members.
    pub members: Vec<Member>,
    /// `<invite-members>`: whether all members are invited when one begins.
    pub invite_members: bool,
    /// `<max-participant-count>`.
    pub max_participant_count: Option<u32>,
    /// `<supported-services>`: the enablers that may use the group; none: nothing is said, and none supports CPM.
    pub supported_services: Option<Vec<String>>,
    /// `<ruleset>`.
    pub ruleset: Ruleset,
}

/// A member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// `uri`.
    pub uri: String,
    /// `<display-name>`: the name in this group (TS 6.3).
    pub display_name: Option<DisplayName>,
}

/// What somebody may do in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// `<allow-anonymity>`: stay anonymous.
    Anonymity,
    /// `<allow-initiate-conference>`: begin a session.
    InitiateConference,
    /// `<join-handling>`: join a session.
    Join,
    /// `<allow-invite-users-dynamically>`: add others.
    InviteUsers,
    /// `<allow-expelling>`: remove others.
    Expel,
    /// `<allow-media-handling>`: change the media.
    MediaHandling,
    /// `<allow-conference-state>`: learn who takes part.
    ConferenceState,
}

const NAMES: [(Permission, &str); 7] = [
    (Permission::Anonymity, "allow-anonymity"),
    (Permission::InitiateConference, "allow-initiate-conference"),
    (Permission::Join, "join-handling"),
    (Permission::InviteUsers, "allow-invite-users-dynamically"),
    (Permission::Expel, "allow-expelling"),
    (Permission::MediaHandling, "allow-media-handling"),
    (Permission::ConferenceState, "allow-conference-state"),
];

impl Permission {
    /// All of them.
    pub const ALL: [Permission; 7] = [
        Permission::Anonymity,
        Permission::InitiateConference,
        Permission::Join,
        Permission::InviteUsers,
        Permission::Expel,
        Permission::MediaHandling,
        Permission::ConferenceState,
    ];

    /// The name of its element.
    #[must_use]
    pub fn element(self) -> &'static str {
        NAMES.iter().find(|(permission, _)| *permission == self).map_or("", |(_, name)| name)
    }
}

impl GroupDocument {
    /// Whether the group is there for a service (TS 9.1.1-4).
    #[must_use]
    pub fn supports(&self, enabler: &str) -> bool {
        self.supported_services.iter().flatten().any(|known| known == enabler)
    }

    /// Whether this address, in the form in which the document has it, is a member.
    #[must_use]
    pub fn is_member(&self, uri: &str) -> bool {
        self.members.iter().any(|member| member.uri == uri)
    }

    /// Whether a rule of the group gives a permission.
    #[must_use]
    pub fn permits(&self, context: &Context<'_>, permission: Permission) -> bool {
        self.ruleset.allows(context, permission.element())
    }
}

/// Reads a document.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no group.
pub fn parse(document: &[u8], limits: &Limits) -> Result<GroupDocument, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root_of(&[(Some(NAMESPACE), "group")])?;
    let group = root.required("list-service")?;
    let members = match group.child("list")? {
        None => Vec::new(),
        Some(list) => list.children_named("entry").map(member).collect::<Result<_, _>>()?,
    };
    let rules = group.child_of(ruleset::NAMESPACE, "ruleset")?;
    Ok(GroupDocument {
        uri: String::from(group.required_attribute("uri")?),
        display_name: display_name(group)?,
        subject: anywhere(group, "subject")?.map(|subject| String::from(subject.text())),
        members,
        invite_members: match anywhere(group, "invite-members")? {
            None => false,
            Some(said) => boolean(said.token()).ok_or(XmlError::Value("invite-members"))?,
        },
        max_participant_count: match anywhere(group, "max-participant-count")? {
            None => None,
            Some(said) => Some(said.token().parse().map_err(|_| XmlError::Value("max-participant-count"))?),
        },
        supported_services: anywhere(group, "supported-services")?.map(|list| {
            let enablers = list.children().filter_map(|service| service.attribute("enabler"));
            enablers.map(|enabler| String::from(enabler.trim())).collect()
        }),
        ruleset: rules.map(ruleset::read).transpose()?.unwrap_or_default(),
    })
}

/// The one element of this name directly inside, of whatever namespace: versions of the schema moved them.
fn anywhere<'t>(parent: ElementRef<'t>, name: &'static str) -> Result<Option<ElementRef<'t>>, XmlError> {
    let mut found = parent.children().filter(|child| child.name() == name);
    let first = found.next();
    if found.next().is_some() { Err(XmlError::Repeated(name)) } else { Ok(first) }
}

fn member(entry: ElementRef<'_>) -> Result<Member, XmlError> {
    let name = anywhere(entry, "display-name")?;
    let display_name = name.map(|name| DisplayName {
        text: String::from(name.text()),
        language: name.attribute_anywhere("lang").map(String::from),
    });
    Ok(Member { uri: String::from(entry.required_attribute("uri")?), display_name })
}

/// Writes the document; of its rules what [`access_policy::write`](crate::access_policy::write) would.
#[must_use]
pub fn write(group: &GroupDocument) -> String {
    let names = NAMES.map(|(_, name)| (name, name));
    let mut out = Writer::new();
    out.open("group")
        .attribute("xmlns", NAMESPACE)
        .attribute("xmlns:cr", ruleset::NAMESPACE)
        .attribute("xmlns:oma", ruleset::OMA_NAMESPACE)
        .attribute("xmlns:oxg", GROUP_NAMESPACE);
    out.open("list-service").attribute("uri", &group.uri);
    write_display_name(&mut out, group.display_name.as_ref());
    out.leaf_if("subject", group.subject.as_deref()).open("list");
    for member in &group.members {
        out.open("entry").attribute("uri", &member.uri);
        write_display_name(&mut out, member.display_name.as_ref());
        out.close();
    }
    out.close();
    out.leaf("invite-members", if group.invite_members { "true" } else { "false" });
    out.leaf_if(
        "max-participant-count",
        group.max_participant_count.map(|count| count.to_string()).as_deref(),
    );
    out.open("cr:ruleset");
    ruleset::write(&mut out, &group.ruleset, ActionNames(&names));
    out.close();
    if let Some(services) = &group.supported_services {
        out.open("oxg:supported-services");
        for enabler in services {
            out.open("oxg:service").attribute("enabler", enabler).close();
        }
        out.close();
    }
    out.finish()
}

#[cfg(test)]
mod tests;
