//! What a user wants done with what comes for him: the User Access Policy (TS 8.4.1, and the steps of 8.3 that look into
//! it): a [`Ruleset`] with CPM's actions. TS 8.3.1.1-4 asks it about `standalone-message`, 8.3.1.6 about
//! `deferred-messages`.

use crate::ruleset::{self, Action, ActionNames, Rule, Ruleset};
use crate::tree::Tree;
use crate::writer::Writer;
use crate::{Limits, XmlError};

/// The enabler that rules about CPM name.
pub const ENABLER: &str = "CPM";

/// The wishes of a user that are yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// `<allow-reject-invite>`: refuse it.
    RejectInvite,
    /// `<allow-do-not-disturb>`: keep it for later.
    DoNotDisturb,
    /// `<allow-interwork>`: send it by another technology.
    Interwork,
    /// `<allow-deliver-and-interwork>`: the same, and deliver it.
    DeliverAndInterwork,
    /// `<allow-store>`: into the message store.
    Store,
    /// `<allow-forward>`: to another address.
    Forward,
    /// `<allow-defer>`: keep it for later.
    Defer,
    /// `<allow-offline-storage>`: record what goes by.
    OfflineStorage,
    /// `<allow-push>`: deliver what was kept as soon as a device is there.
    Push,
    /// `<allow-pull>`: deliver what was kept when it is asked for.
    Pull,
    /// `<allow-deliver-reference-media>`: deliver references in the place of media.
    DeliverReferenceMedia,
}

/// The wishes with their elements, as read and as written; what is no yes or no last.
const NAMES: [(Wish, &str, &str); 11] = [
    (Wish::RejectInvite, "allow-reject-invite", "oma:allow-reject-invite"),
    (Wish::DoNotDisturb, "allow-do-not-disturb", "oma:allow-do-not-disturb"),
    (Wish::Interwork, "allow-interwork", "oma:allow-interwork"),
    (Wish::DeliverAndInterwork, "allow-deliver-and-interwork", "oma:allow-deliver-and-interwork"),
    (Wish::Store, "allow-store", "oma:allow-store"),
    (Wish::Forward, "allow-forward", "oma:allow-forward"),
    (Wish::Defer, "allow-defer", "oma:allow-defer"),
    (Wish::OfflineStorage, "allow-offline-storage", "oma:allow-offline-storage"),
    (Wish::Push, "allow-push", "oma:allow-push"),
    (Wish::Pull, "allow-pull", "oma:allow-pull"),
    (Wish::DeliverReferenceMedia, "allow-deliver-reference-media", "oma:allow-deliver-reference-media"),
];

const FORWARD_TO: (&str, &str) = ("forward-to", "oma:forward-to");
const MAX_FILE_SIZE: (&str, &str) = ("max-file-transfer-size", "oma:max-file-transfer-size");
const EXPIRED: (&str, &str) = ("expired", "oma:expired");

impl Wish {
    /// All of them.
    pub const ALL: [Wish; 11] = [
        Wish::RejectInvite,
        Wish::DoNotDisturb,
        Wish::Interwork,
        Wish::DeliverAndInterwork,
        Wish::Store,
        Wish::Forward,
        Wish::Defer,
        Wish::OfflineStorage,
        Wish::Push,
        Wish::Pull,
        Wish::DeliverReferenceMedia,
    ];

    /// The name of its element.
    #[must_use]
    pub fn element(self) -> &'static str {
        NAMES.iter().find(|(wish, _, _)| *wish == self).map_or("", |(_, name, _)| name)
    }
}

/// What becomes of a deferred message that expired (TS 8.3.1.6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// It is thrown away.
    Discard,
    /// It goes into the message store.
    Store,
}

impl Rule {
    /// Whether the rule has this wish.
    #[must_use]
    pub fn wishes(&self, wish: Wish) -> bool {
        self.allows(wish.element())
    }

    /// Where to forward to, where [`Wish::Forward`] says that: `<forward-to>`.
    #[must_use]
    pub fn forward_to(&self) -> Option<&str> {
        self.action(FORWARD_TO.0).filter(|uri| !uri.is_empty())
    }

    /// `<max-file-transfer-size>`: octets; none where it is 0 (TS 8.2.3.1: no bound).
    #[must_use]
    pub fn max_file_transfer_size(&self) -> Option<u64> {
        self.action(MAX_FILE_SIZE.0)?.parse().ok().filter(|size| *size > 0)
    }

    /// `<expired>`.
    #[must_use]
    pub fn expired(&self) -> Option<Expired> {
        match self.action(EXPIRED.0)? {
            "discard" => Some(Expired::Discard),
            "store" => Some(Expired::Store),
            _ => None,
        }
    }

    /// The same rule with one wish more.
    #[must_use]
    pub fn with_wish(self, wish: Wish) -> Self {
        self.with_action(wish.element(), "true")
    }

    /// The same rule with one action more.
    #[must_use]
    pub fn with_action(mut self, name: &str, value: &str) -> Self {
        self.actions.push(Action { name: String::from(name), value: String::from(value) });
        self
    }
}

/// Reads a document: `<ruleset>`.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no set of rules.
pub fn parse(document: &[u8], limits: &Limits) -> Result<Ruleset, XmlError> {
    let tree = Tree::read(document, limits)?;
    ruleset::read(tree.root_of(&[(Some(ruleset::NAMESPACE), "ruleset")])?)
}

/// Writes the document. Actions that are none of CPM, and conditions that are not known, are left out: a rule with one of
/// the latter is left out with them, because without it the rule would hold more often.
#[must_use]
pub fn write(policy: &Ruleset) -> String {
    let mut names: Vec<(&str, &str)> = NAMES.iter().map(|(_, name, written)| (*name, *written)).collect();
    names.extend([FORWARD_TO, MAX_FILE_SIZE, EXPIRED]);
    let mut out = Writer::new();
    out.open("cr:ruleset")
        .attribute("xmlns:cr", ruleset::NAMESPACE)
        .attribute("xmlns:oma", ruleset::OMA_NAMESPACE);
    ruleset::write(&mut out, policy, ActionNames(&names));
    out.finish()
}

#[cfg(test)]
mod tests;
