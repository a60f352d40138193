//! Which stored object is which short message (TS Appendix N): the client's side of interworking.
//!
//! How a Message-Correlator is computed from a short message is said in another specification; a host that has its units
//! computes it. Here are the address forms of N.1, the default of a prefix of the text, and the matching of N.2.

use std::collections::BTreeMap;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To this user.
    Incoming,
    /// From this user.
    Outgoing,
}

/// The type of number of an address (3GPP TS 23.040).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeOfNumber {
    /// International: a `+` stands before it.
    International,
    /// Unknown: the digits alone.
    Unknown,
    /// Alphanumeric: text.
    Alphanumeric,
}

/// An address as N.1 writes it.
// req: N.1-1.b1, N.1-2.b1
#[must_use]
pub fn address(kind: TypeOfNumber, number: &str) -> String {
    match kind {
        TypeOfNumber::International => format!("+{}", number.trim_start_matches('+')),
        TypeOfNumber::Unknown | TypeOfNumber::Alphanumeric => String::from(number),
    }
}

/// Whether two addresses are the same: alphanumeric ones as they are; numbers also when one is written with and the other
/// without its international prefix, as long as seven digits of them agree (N.1: differences of presentation).
// req: N.1-p2
#[must_use]
pub fn same_address(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (Some(a), Some(b)) = (digits(a), digits(b)) else { return false };
    // A national number has a trunk prefix of its own.
    let (a, b) = (a.strip_prefix('0').unwrap_or(&a), b.strip_prefix('0').unwrap_or(&b));
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    short.len() >= 7 && long.ends_with(short)
}

fn digits(address: &str) -> Option<String> {
    let number = address.strip_prefix('+').unwrap_or(address);
    let plain: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
    (!plain.is_empty() && plain.bytes().all(|c| c.is_ascii_digit())).then_some(plain)
}

/// An object of the message store that was delivered by SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its UID.
    pub uid: u32,
    /// Which way it went.
    pub direction: Direction,
    /// The other side: To of an outgoing one, From of an incoming one (N.1: the other field is not used).
    pub address: String,
    /// Its Message-Correlator.
    pub correlator: String,
}

/// A short message on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortMessage {
    /// Its name on the device; messages that came or went earlier have the smaller one.
    pub id: u64,
    /// Which way it went.
    pub direction: Direction,
    /// The other side.
    pub address: String,
    /// What stands for its text: the Message-Correlator that the host computed for it, or the text.
    pub correlator: String,
}

/// How two correlators are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The whole, with case (N.1-3).
    Exact,
    /// The stored one is a prefix of the text, with case: for hosts without access to the units of the short message.
    Prefix,
}

/// Which stored object is which short message: pairs of UID and [`ShortMessage::id`]. Where several are alike, the earliest
/// message is the object with the lowest UID, and so on (N.2); what is left over on either side has no partner yet.
// req: N-p1.2, N.1-3.b1, N.1-3.b2, N.1-3.b3, N.2-p1.1, N.2-p1.3, N.2-p2, N.2-p4
#[must_use]
pub fn correlate(
    stored: &[StoredObject],
    messages: &[ShortMessage],
    comparison: Comparison,
) -> Vec<(u32, u64)> {
    let mut waiting: BTreeMap<u64, &ShortMessage> =
        messages.iter().map(|message| (message.id, message)).collect();
    let mut objects: Vec<&StoredObject> = stored.iter().collect();
    objects.sort_by_key(|object| object.uid);
    let mut pairs = Vec::new();
    for object in objects {
        let fits = |message: &&ShortMessage| {
            message.direction == object.direction
                && match comparison {
                    Comparison::Exact => message.correlator == object.correlator,
                    Comparison::Prefix => {
                        !object.correlator.is_empty() && message.correlator.starts_with(&object.correlator)
                    }
                }
                && same_address(&message.address, &object.address)
        };
        let first = waiting.values().copied().find(fits).map(|message| message.id);
        if let Some(id) = first {
            waiting.remove(&id);
            pairs.push((object.uid, id));
        }
    }
    pairs
}

#[cfg(test)]
mod tests;
