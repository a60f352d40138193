//! What CPM wants of a session description: the contents that TS 5.2.1.1 and 5.2.1.3 ask for, with what messages
//! (7.2.1.2), files (7.4.1) and events (6.7.3) add, as functions of who speaks and for what.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::attribute::{Chatroom, FileDescription};
use crate::exchange::OfferedMsrp;
use crate::media::{Direction, MsrpMedia, Setup, accepts, wrapped_types};
use crate::negotiate::Refusal;

/// Notifications that somebody is writing (RFC 3994): a whole message, never inside of one.
pub const IS_COMPOSING: &str = "application/im-iscomposing+xml";
/// Management of a group's data (TS 6.8).
pub const GROUP_DATA: &str = "application/vnd.oma.cpm-groupdata+xml";

/// Whether this is the type of a CPM event (TS 6.7.4): `application/vnd.oma.cpm-<name>+xml`.
#[must_use]
pub fn is_event_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let name = essence.strip_prefix("application/vnd.oma.cpm-").and_then(|rest| rest.strip_suffix("+xml"));
    name.is_some_and(|name| !name.is_empty()) && essence != GROUP_DATA
}

/// Which of CPM's functions speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entity {
    /// A CPM Client: it answers that it connects.
    Client,
    /// Any other: it answers that it listens.
    Server,
}

/// What a function takes and how it is configured, whatever the session is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpmRules {
    /// Who speaks.
    pub entity: Entity,
    /// Every type that we consume inside of messages: `text/plain`, `image/*`…
    pub consumed: Vec<String>,
    /// Whether disposition notifications are asked for, or sent.
    pub notifications: bool,
    /// Whether notifications of composing are taken.
    pub composing: bool,
    /// Types of the events that are taken.
    pub events: Vec<String>,
    /// Whether group data is managed.
    pub group_data: bool,
    /// Sizes of chunks; `None`: they are not negotiated.
    pub chunks: Option<ChunkSizes>,
    /// Whether to work with CPM 1.0 and SIMPLE IM (TS 5.2.1.4).
    pub legacy: bool,
    /// Whether an offer that is to be made goes to a leg that is known to be of the legacy kind.
    pub legacy_ahead: bool,
}

/// What a session is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Chat messages, between two or in a group.
    Chat {
        /// Whether the group shall be closed (TS 7.3.1.2-13).
        closed_group: bool,
    },
    /// One message (TS 7.2.1.2).
    LargeMessage {
        /// Octets of the message.
        octets: u64,
        /// Types of what is inside of it.
        content: Vec<String>,
    },
    /// A file is sent (TS 7.4.1-1.e.i).
    Push(FileDescription),
    /// A file is asked for (TS 7.4.1-1.e.ii).
    Pull(FileDescription),
    /// CPM events (TS 6.7.3.3).
    Events,
}

/// What a purpose lacks: the caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PurposeError {
    /// A file that is sent needs name, size and type (TS 7.4.1-1.e.i).
    FileSelector,
    /// A file needs an id of its transfer (RFC 5547 §8.1).
    FileTransferId,
    /// A file that is asked for needs one selector (RFC 5547 §6).
    NoSelector,
    /// Events need a type.
    NoEvents,
}

impl core::fmt::Display for PurposeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            PurposeError::FileSelector => "a file that is sent needs name, size and type",
            PurposeError::FileTransferId => "a file needs an id of its transfer",
            PurposeError::NoSelector => "a file that is asked for needs a selector",
            PurposeError::NoEvents => "a session for events needs a type of event",
        })
    }
}

impl core::error::Error for PurposeError {}

impl CpmRules {
    /// The medium that is offered. `place` says where our end is; its other fields are set here.
    ///
    /// # Errors
    /// The purpose lacks something.
    // req: 5.2.1.1-b1
    // req: 5.2.1.1-p6
    pub fn offered(&self, purpose: &Purpose, place: MsrpMedia) -> Result<MsrpMedia, PurposeError> {
        let mut media = MsrpMedia {
            accept_types: Vec::from(["message/cpim".to_string()]),
            accept_wrapped_types: self.wrapped(&[], true),
            setup: Setup::ActPass,
            // req: 5.2.1.4-1.b
            cema: !(self.legacy && self.legacy_ahead),
            legacy: self.legacy,
            direction: Direction::SendRecv,
            file: None,
            chatroom: None,
            // req: 5.2.1.1-p7
            max_chunk_size_kb: self.chunks.as_ref().map(ChunkSizes::proposed),
            ..place
        };
        match purpose {
            Purpose::Chat { closed_group } => {
                media.accept_types = self.chat_types(true, true);
                media.chatroom = closed_group.then(Chatroom::closed_group);
            }
            // req: 7.2.1.2-18
            // req: 7.2.1.2-18.a
            // req: 7.2.1.2-18.b
            // req: 7.2.1.2-18.d
            // req: 7.2.1.2-18.e
            // req: 7.2.1.2-18.f
            // req: 7.2.1.2-18.g
            // req: 7.2.1.2-18.g-n1
            Purpose::LargeMessage { octets, content } => {
                let content: Vec<&str> = content.iter().map(String::as_str).collect();
                media.accept_wrapped_types = wrapped_types(&content, self.notifications);
                media.direction = Direction::SendOnly;
                media.file = Some(FileDescription::of_size(*octets));
            }
            Purpose::Push(file) => {
                let selector = &file.selector;
                // req: 7.4.1-1.e.i
                if selector.name.is_none() || selector.size.is_none() || selector.media_type.is_none() {
                    return Err(PurposeError::FileSelector);
                }
                file.transfer_id.as_ref().ok_or(PurposeError::FileTransferId)?;
                media.direction = Direction::SendOnly;
                media.file = Some(file.clone());
            }
            // req: 7.4.1-1.e.ii
            Purpose::Pull(file) => {
                if file.selector == crate::FileSelector::default() {
                    return Err(PurposeError::NoSelector);
                }
                file.transfer_id.as_ref().ok_or(PurposeError::FileTransferId)?;
                media.direction = Direction::RecvOnly;
                // RFC 5547 §8.2.2: these are the sender's to say.
                media.file =
                    Some(FileDescription { disposition: None, date: None, icon: None, ..file.clone() });
            }
            // req: 6.7.3.3-9.a
            // req: 6.7.3.3-9.b
            // req: 6.7.3.3-9.d
            // req: 6.7.3.3-9.e
            // req: 6.7.3.3-9.f
            Purpose::Events => {
                if self.events.is_empty() {
                    return Err(PurposeError::NoEvents);
                }
                let events: Vec<&str> = self.events.iter().map(String::as_str).collect();
                media.accept_wrapped_types = wrapped_types(&events, self.notifications);
            }
        }
        Ok(media)
    }

    /// The medium that an MSRP medium of an offer is answered with: what [`MediaSession::answer`] and
    /// [`RemoteOffer::answer`] take. `file` describes the file that a pull asks for, as it is here.
    ///
    /// # Errors
    /// Why the medium is refused: the file that is asked for is not the one that we have; no event that is sent is
    /// taken (TS 6.7.3.4-2).
    ///
    /// [`MediaSession::answer`]: crate::MediaSession::answer
    /// [`RemoteOffer::answer`]: crate::RemoteOffer::answer
    // req: 5.2.1.3-b1
    pub fn answered(
        &self,
        offer: &OfferedMsrp,
        file: Option<&FileDescription>,
        place: MsrpMedia,
    ) -> Result<MsrpMedia, Refusal> {
        let offers_events = offer.accept_wrapped_types().iter().any(|entry| is_event_type(entry));
        let for_events = offer
            .accept_wrapped_types()
            .iter()
            .all(|entry| is_event_type(entry) || entry.eq_ignore_ascii_case("message/imdn+xml"));
        let takes = self.events.iter().any(|event| accepts(offer.accept_wrapped_types(), event));
        // req: 6.7.3.4-2
        if offers_events && for_events && !takes {
            return Err(Refusal::NoCommonType);
        }
        // req: 5.2.1.3-1
        // req: 6.7.3.4-5.d
        let wrapped = self.wrapped(offer.accept_wrapped_types(), offers_events && takes);
        Ok(MsrpMedia {
            transport: offer.transport(),
            accept_types: self.chat_types(offer.accepts(IS_COMPOSING), offer.accepts(GROUP_DATA)),
            accept_wrapped_types: wrapped,
            // req: 5.2.1.4-b4
            // req: 5.2.1.4-b5
            // req: 5.2.1.2-setup-B
            setup: match self.entity {
                Entity::Client => Setup::Active,
                Entity::Server => Setup::Passive,
            },
            cema: self.entity == Entity::Client || offer.cema(),
            legacy: self.legacy,
            direction: Direction::SendRecv,
            file: answered_file(offer, file)?,
            chatroom: None,
            // req: 5.2.1.3-p4
            // req: 6.7.3.4-5.g
            max_chunk_size_kb: self.chunks.as_ref().and_then(|sizes| {
                sizes.answered(offer.max_chunk_size_octets().map(|octets| octets.div_euclid(1024)))
            }),
            ..place
        })
    }

    /// What we consume, always; events where they are wanted; notifications where they are asked for.
    // req: 5.2.1.1-p5
    fn wrapped(&self, offered: &[String], events: bool) -> Vec<String> {
        let all = self.consumed.iter().chain(self.events.iter().filter(|_| events));
        let all: Vec<&str> = all.map(String::as_str).collect();
        wrapped_types(&all, self.notifications || accepts(offered, "message/imdn+xml"))
    }

    /// Whole messages of a chat: what the far side does not know is not asked of it.
    // req: 5.2.1.1-p4
    fn chat_types(&self, composing: bool, group_data: bool) -> Vec<String> {
        let mut types = Vec::from(["message/cpim".to_string()]);
        types.extend((composing && self.composing).then(|| IS_COMPOSING.to_string()));
        types.extend((group_data && self.group_data).then(|| GROUP_DATA.to_string()));
        types
    }
}

/// What an answer repeats of a file (RFC 5547 §8.3): selector, transfer and range; for a file that is asked for the
/// selector is ours.
fn answered_file(
    offer: &OfferedMsrp,
    ours: Option<&FileDescription>,
) -> Result<Option<FileDescription>, Refusal> {
    let Some(offered) = offer.file().filter(|file| file.is_transfer()) else { return Ok(None) };
    let pulled = offer.direction() == Direction::RecvOnly;
    let selector = match (pulled, ours) {
        (true, None) => return Err(Refusal::NoSuchFile),
        (true, Some(ours)) if !ours.selector.agrees_with(&offered.selector) => {
            return Err(Refusal::NoSuchFile);
        }
        (true, Some(ours)) => ours.selector.clone(),
        (false, _) => offered.selector.clone(),
    };
    Ok(Some(FileDescription {
        selector,
        transfer_id: offered.transfer_id.clone(),
        range: offered.range,
        ..FileDescription::default()
    }))
}

/// Sizes of chunks that a function is configured for, in units of 1024 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSizes {
    /// From the smallest to the largest, none twice, each 100 or more.
    sizes: Vec<u32>,
    between: bool,
}

impl ChunkSizes {
    /// Takes 1 to 64 sizes of 100 or more (TS C.1.8). `between`: every other size up to the largest will do too.
    // req: C.1.8-p1
    #[must_use]
    pub fn new(mut sizes: Vec<u32>, between: bool) -> Option<ChunkSizes> {
        sizes.sort_unstable();
        sizes.dedup();
        let good = (1..=64).contains(&sizes.len()) && sizes.iter().all(|size| *size >= 100);
        good.then_some(ChunkSizes { sizes, between })
    }

    /// What is offered: the largest.
    #[must_use]
    pub fn proposed(&self) -> u32 {
        self.sizes.last().copied().unwrap_or(100)
    }

    /// Whether a size that a peer proposes will do.
    #[must_use]
    pub fn acceptable(&self, proposed: u64) -> bool {
        let same = |size: &u32| u64::from(*size) == proposed;
        self.sizes.iter().any(same) || (self.between && proposed <= u64::from(self.proposed()))
    }

    /// What is answered: the size that was proposed where it will do, else the closest below it; where there is none
    /// below, ours is no limit and theirs stands. `None` where none was proposed (RFC 4975: no limit).
    // req: 5.2.1.3-b4
    // req: 5.2.1.2-b.ii.1
    #[must_use]
    pub fn answered(&self, proposed: Option<u64>) -> Option<u32> {
        let proposed = proposed?;
        if self.acceptable(proposed) {
            return u32::try_from(proposed).ok();
        }
        let below = self.sizes.iter().rev().find(|size| u64::from(**size) < proposed);
        Some(below.copied().unwrap_or_else(|| self.proposed()))
    }
}

/// Which sizes hold where (TS 5.2.1.2-a): by agreement with another network, else by the kind of access, else always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkTable {
    /// By the domain of the other network.
    pub peers: Vec<(String, ChunkSizes)>,
    /// By the kind of access, as P-Access-Network-Info names it: `3GPP-E-UTRAN-FDD`, `IEEE-802.11`…
    pub accesses: Vec<(String, ChunkSizes)>,
    /// Everywhere else.
    pub other: Option<ChunkSizes>,
}

impl ChunkTable {
    /// The sizes for a session with this network over this access.
    // req: 5.2.1.2-a
    // req: 5.2.1.2-a.1
    // req: 5.2.1.2-a.2
    #[must_use]
    pub fn choose(&self, peer: Option<&str>, access: Option<&str>) -> Option<&ChunkSizes> {
        let find = |list: &'_ [(String, ChunkSizes)], name: Option<&str>| {
            list.iter().position(|(known, _)| name.is_some_and(|name| known.eq_ignore_ascii_case(name)))
        };
        let by_peer = find(&self.peers, peer).and_then(|at| self.peers.get(at));
        let by_access = find(&self.accesses, access).and_then(|at| self.accesses.get(at));
        by_peer.or(by_access).map(|(_, sizes)| sizes).or(self.other.as_ref())
    }
}

#[cfg(test)]
mod tests;
