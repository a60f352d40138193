//! What follows from what both sides say of one MSRP medium (RFC 4975 §8, RFC 6135, RFC 6714, TS 5.2.1): the one place
//! where roles, addresses, directions and chunk sizes are decided.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::attribute::{Chatroom, FileDescription};
use crate::grammar::Host;
use crate::media::{Direction, MediaError, MediumFault, MsrpMedia, MsrpTransport, PeerMedia, Setup, accepts};

/// Who connects (RFC 6135).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We open the connection and send the first request at once.
    Active,
    /// We listen.
    Passive,
}

/// Where an active side connects to. Names have to be resolved, and every target is the host's to allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Remote {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// What both sides agreed on.
#[derive(Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Who connects.
    pub role: Role,
    /// The far side's `a=path`: the To-Path of our requests, in this order.
    pub remote_path: Vec<String>,
    /// Where to connect to when we are active: `c=` and `m=` where anchoring allows it, else the first URI of the path.
    pub remote: Remote,
    /// Whether both sides said `msrp-cema`.
    pub cema: bool,
    /// Whether the far side is of the legacy kind: sessions are matched by session-id alone (TS 5.2.1.4.1).
    pub legacy: bool,
    /// TCP or TLS.
    pub transport: MsrpTransport,
    /// Which ways messages go, seen from us.
    pub direction: Direction,
    /// What the far side takes as a whole message.
    pub remote_accept_types: Vec<String>,
    /// What the far side takes inside of such messages besides.
    pub remote_accept_wrapped_types: Vec<String>,
    /// The longest message, in octets, that the far side wants: a hint.
    pub remote_max_size: Option<u64>,
    /// What the far side says of a file, or of the size of a message.
    pub remote_file: Option<FileDescription>,
    /// What the far side's chat room can do.
    pub remote_chatroom: Option<Chatroom>,
    /// The longest chunk, in octets, that either side sends (TS C.1.8); `None`: no limit was agreed on.
    pub max_chunk_size_octets: Option<u64>,
}

impl Negotiated {
    /// By which rule the first request is matched to the session.
    #[must_use]
    pub const fn matching(&self) -> SessionMatching {
        match (self.legacy, self.cema) {
            (true, _) => SessionMatching::Legacy,
            (false, true) => SessionMatching::Cema,
            (false, false) => SessionMatching::Rfc4975,
        }
    }

    /// Whether the far side takes a whole message of this type.
    #[must_use]
    pub fn accepts(&self, media_type: &str) -> bool {
        accepts(&self.remote_accept_types, media_type)
    }

    /// Whether the far side takes this type inside of a message: what it takes as a whole, it takes inside too.
    #[must_use]
    pub fn accepts_wrapped(&self, media_type: &str) -> bool {
        accepts(&self.remote_accept_wrapped_types, media_type) || self.accepts(media_type)
    }
}

impl fmt::Debug for Negotiated {
    /// Says nothing of the path: who knows it can bind the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiated")
            .field("role", &self.role)
            .field("remote", &self.remote)
            .field("cema", &self.cema)
            .field("transport", &self.transport)
            .field("direction", &self.direction)
            .field("remote_accept_types", &self.remote_accept_types)
            .field("max_chunk_size_octets", &self.max_chunk_size_octets)
            .finish_non_exhaustive()
    }
}

/// Why an answer is of no use. The session cannot be used as answered; the one before, if any, stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// It has more or fewer media than the offer (RFC 3264 §6).
    MediaCount,
    /// It refuses the medium (port 0).
    Refused,
    /// It answers another medium or transport than was offered.
    OtherMedium,
    /// The medium in it cannot be used.
    Medium(MediumFault),
    /// Both sides are passive: nobody would connect.
    BothPassive,
    /// We are to connect, and the port is 0 or the address is no address of anybody.
    UnusableAddress,
    /// A middlebox without MSRP stands in the way: a new offer without `msrp-cema` has to be made (RFC 6714 §4.2).
    FallBack,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::MediaCount => f.write_str("the answer has another number of media than the offer"),
            AnswerError::Refused => f.write_str("the answer refuses the medium"),
            AnswerError::OtherMedium => f.write_str("the answer is about another medium or transport"),
            AnswerError::Medium(fault) => write!(f, "the medium of the answer cannot be used: {fault}"),
            AnswerError::BothPassive => f.write_str("both sides are passive"),
            AnswerError::UnusableAddress => f.write_str("the answer names no address to connect to"),
            AnswerError::FallBack => f.write_str("a new offer without msrp-cema is needed"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// Why an offer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It offers no MSRP medium.
    NoMsrp,
    /// Its MSRP medium cannot be used.
    Medium(MediumFault),
    /// There is no type that both sides accept (RFC 4975 §8.6).
    NoCommonType,
    /// Both sides would be passive.
    BothPassive,
    /// The offerer connects, and we cannot be reached (our port is 9).
    BothActive,
    /// We are to connect, and the port is 0 or the address is no address of anybody.
    UnusableAddress,
    /// A middlebox without MSRP changed the address of an offer without `msrp-cema` (RFC 6714 §4.3).
    Middlebox,
    /// It is of another transport than we were to answer with.
    Transport,
    /// The medium is not wanted.
    Declined,
    /// We can do nothing with media of this kind, or were to answer with another one.
    OtherMedium,
    /// No format is known to both sides.
    NoCommonFormat,
    /// Files are not taken.
    NoFiles,
    /// The file that is asked for is not here.
    NoSuchFile,
    /// The file or message is longer than what is taken.
    TooLarge,
    /// What we were to answer with is wrong: our own mistake.
    Ours(MediaError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoMsrp => f.write_str("no MSRP medium is offered"),
            Refusal::Medium(fault) => write!(f, "the offered medium cannot be used: {fault}"),
            Refusal::NoCommonType => f.write_str("no media type is acceptable to both sides"),
            Refusal::BothPassive => f.write_str("both sides would be passive"),
            Refusal::BothActive => f.write_str("the offerer wants to connect, and we cannot be reached"),
            Refusal::UnusableAddress => f.write_str("the offer names no address to connect to"),
            Refusal::Middlebox => f.write_str("a middlebox changed the address of the offer"),
            Refusal::Transport => f.write_str("the offered transport is not ours"),
            Refusal::Declined => f.write_str("the medium is not wanted"),
            Refusal::OtherMedium => f.write_str("media of this kind are not taken"),
            Refusal::NoCommonFormat => f.write_str("no format is known to both sides"),
            Refusal::NoFiles => f.write_str("files are not taken"),
            Refusal::NoSuchFile => f.write_str("the file that is asked for is not here"),
            Refusal::TooLarge => f.write_str("the file or message is too long"),
            Refusal::Ours(error) => write!(f, "our own media description is wrong: {error}"),
        }
    }
}

/// By which rule the first request is matched to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionMatching {
    /// Whole URIs (RFC 4975 §6.1).
    Rfc4975,
    /// Whole URIs, on a connection to where `c=` and `m=` pointed (RFC 6714).
    Cema,
    /// The session-id of the URI alone (TS 5.2.1.4.1).
    Legacy,
}

/// The offerer reads its answer.
pub(crate) fn answered(ours: &MsrpMedia, peer: PeerMedia) -> Result<Negotiated, AnswerError> {
    let role = role_of_offerer(ours, peer.setup);
    let remote = if offerer_uses_lines(ours, &peer, role)? { by_lines(&peer) } else { by_path(&peer) };
    if role == Role::Active && !remote.is_usable() {
        return Err(AnswerError::UnusableAddress);
    }
    // Without a value in the answer there is no limit but our own.
    // req: 5.2.1.1-p8
    let chunk = ours.max_chunk_size_kb.map(u64::from);
    let agreed = peer.max_chunk_size_kb.map(|kb| chunk.map_or(kb, |own| own.min(kb)));
    Ok(negotiated(peer, role, remote, ours, agreed))
}

/// RFC 6135, TS 5.2.1.1 and 5.2.1.2: `active` in the answer: we listen; anything else: we connect. Where we offered
/// `active` we connect whatever the answer says.
// req: 5.2.1.1-B.i
// req: 5.2.1.1-B.ii
// req: 5.2.1.2-setup-A.1
// req: 5.2.1.2-setup-A.2
fn role_of_offerer(ours: &MsrpMedia, answered: Option<Setup>) -> Role {
    match (ours.setup, answered) {
        (Setup::ActPass, Some(Setup::Active)) => Role::Passive,
        _ => Role::Active,
    }
}

/// Whether `c=` and `m=` say where to connect to, as RFC 6714 §4.2 has it for an offerer without relay. A leg of the
/// legacy kind takes them as they are (TS 5.2.1.4-2): what stands between has changed them, and only the session-id
/// of the path is compared.
// req: 5.2.1.4-2
fn offerer_uses_lines(ours: &MsrpMedia, peer: &PeerMedia, role: Role) -> Result<bool, AnswerError> {
    if ours.legacy && !peer.cema {
        return Ok(!peer.relayed());
    }
    if !ours.cema {
        return Ok(false);
    }
    if peer.cema {
        return Ok(true);
    }
    match (peer.addresses_agree(), role) {
        (Some(false), Role::Passive) => Err(AnswerError::FallBack),
        (Some(false), Role::Active) if peer.relayed() => Err(AnswerError::FallBack),
        _ => Ok(!peer.relayed()),
    }
}

/// The answerer decides: what it says, and what was agreed on. `wished.setup` and `wished.direction` are wishes.
pub(crate) fn answer(wished: &MsrpMedia, peer: PeerMedia) -> Result<(MsrpMedia, Negotiated), Refusal> {
    let role = role_of_answerer(wished, peer.setup)?;
    let mut ours = wished.clone();
    ours.setup = if role == Role::Active { Setup::Active } else { Setup::Passive };
    ours.direction = peer.direction.mirrored().and(wished.direction);
    ours.cema = wished.cema && anchoring_possible(&peer) && (peer.cema || !wished.legacy);
    let agreed = chunk_size(wished, &peer);
    // What was offered is repeated when it is the smaller, even below the 100 KB that we would propose.
    ours.max_chunk_size_kb = None;
    ours.validate().map_err(Refusal::Ours)?;
    ours.max_chunk_size_kb = wished.max_chunk_size_kb.and(agreed).and_then(|kb| u32::try_from(kb).ok());
    if ours.transport != peer.transport {
        return Err(Refusal::Transport);
    }
    if !shares_a_type(wished, &peer) {
        return Err(Refusal::NoCommonType);
    }
    let remote = remote_of_answerer(wished, ours.cema, &peer)?;
    if role == Role::Active && !remote.is_usable() {
        return Err(Refusal::UnusableAddress);
    }
    let negotiated =
        negotiated(peer, role, remote, &MsrpMedia { direction: wished.direction, ..ours.clone() }, agreed);
    Ok((ours, negotiated))
}

/// RFC 6135 §4.2.2, threats I5. Without `a=setup` (or with `holdconn`) the offerer connects (RFC 4975 §5.4).
fn role_of_answerer(wished: &MsrpMedia, offered: Option<Setup>) -> Result<Role, Refusal> {
    match (offered, wished.setup) {
        (Some(Setup::ActPass), Setup::Active) => Ok(Role::Active),
        (Some(Setup::ActPass), _) => Ok(Role::Passive),
        (Some(Setup::Passive), Setup::Passive) => Err(Refusal::BothPassive),
        (Some(Setup::Passive), _) => Ok(Role::Active),
        (Some(Setup::Active | Setup::HoldConn) | None, _) if wished.port == 9 => Err(Refusal::BothActive),
        (Some(Setup::Active | Setup::HoldConn) | None, _) => Ok(Role::Passive),
    }
}

/// RFC 6714 §4.3, second point: an offerer behind a relay that will connect knows nothing of anchoring.
fn anchoring_possible(peer: &PeerMedia) -> bool {
    !(peer.relayed() && matches!(peer.setup, None | Some(Setup::Active)))
}

/// The smaller of both sides' chunk sizes, in units of 1024 octets (TS 5.2.1.3).
// req: 5.2.1.3-b4
fn chunk_size(wished: &MsrpMedia, peer: &PeerMedia) -> Option<u64> {
    let theirs = peer.max_chunk_size_kb?;
    Some(wished.max_chunk_size_kb.map_or(theirs, |own| theirs.min(u64::from(own))))
}

fn shares_a_type(wished: &MsrpMedia, peer: &PeerMedia) -> bool {
    let theirs = &peer.accept_types;
    wished.accept_types.iter().any(|own| own == "*" || accepts(theirs, own))
        || theirs.iter().any(|entry| accepts(&wished.accept_types, entry))
}

/// RFC 6714 §4.3: where the offerer is. On a leg of the legacy kind `c=` and `m=` are taken as they are.
// req: 5.2.1.4-1.c
fn remote_of_answerer(wished: &MsrpMedia, anchored: bool, peer: &PeerMedia) -> Result<Remote, Refusal> {
    let legacy = wished.legacy && !peer.cema;
    if !legacy && wished.cema && !peer.cema && peer.addresses_agree() == Some(false) {
        return Err(Refusal::Middlebox);
    }
    let by_lines_here = anchored || (legacy && !peer.relayed());
    Ok(if by_lines_here { by_lines(peer) } else { by_path(peer) })
}

/// `c=` and `m=`.
fn by_lines(peer: &PeerMedia) -> Remote {
    Remote { host: peer.host.clone(), port: peer.port }
}

/// The first URI of `a=path`.
fn by_path(peer: &PeerMedia) -> Remote {
    let (host, port) = peer.first.clone();
    Remote { host, port }
}

impl Remote {
    /// Whether it can be the address of somebody (threats I4: port 0 and the unspecified address are not).
    fn is_usable(&self) -> bool {
        let nobody = match &self.host {
            Host::Ip(address) => address.is_unspecified() || address.is_multicast(),
            Host::Name(_) => false,
        };
        self.port != 0 && !nobody
    }
}

fn negotiated(
    peer: PeerMedia,
    role: Role,
    remote: Remote,
    ours: &MsrpMedia,
    chunk_kb: Option<u64>,
) -> Negotiated {
    Negotiated {
        role,
        remote,
        cema: ours.cema && peer.cema,
        legacy: ours.legacy && !peer.cema,
        transport: peer.transport,
        direction: peer.direction.mirrored().and(ours.direction),
        remote_path: peer.path,
        remote_accept_types: peer.accept_types,
        remote_accept_wrapped_types: peer.accept_wrapped_types,
        remote_max_size: peer.max_size,
        remote_file: peer.file,
        remote_chatroom: peer.chatroom,
        max_chunk_size_octets: chunk_kb.map(|kb| kb.saturating_mul(1024)),
    }
}
