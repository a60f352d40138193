//! One exchange of offer and answer for one MSRP medium (RFC 3264, RFC 4975 §8, RFC 6135, RFC 6714).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::description::{SdpError, SessionDescription};
use crate::grammar::Host;
use crate::limits::Limits;
use crate::media::{Direction, MediaError, MediumFault, MsrpMedia, MsrpTransport, PeerMedia, Setup, accepts};

/// The numbers of `o=`: the id stays for the life of a session, the version grows with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionIds {
    /// The session id.
    pub id: u64,
    /// The version.
    pub version: u64,
}

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
    /// The size, in octets, that the far side's `a=file-selector` announces.
    pub remote_file_size: Option<u64>,
    /// The longest chunk, in octets, that either side sends (TS C.1.8); `None`: no limit was agreed on.
    pub max_chunk_size_octets: Option<u64>,
}

impl Negotiated {
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

/// An offer that was made and waits for its answer. There is one answer to an offer: it is consumed by it.
pub struct PendingOffer {
    ours: MsrpMedia,
}

impl fmt::Debug for PendingOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingOffer").field("ours", &self.ours).finish()
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
    /// What we were to answer with is wrong: our own mistake.
    Ours(MediaError),
}

/// An offer that cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferRefused {
    /// Why.
    pub reason: Refusal,
}

impl OfferRefused {
    /// The SIP status code for the request that carried the offer: 488; 500 where the mistake is our own.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.reason {
            Refusal::Ours(_) => 500,
            _ => 488,
        }
    }
}

impl From<Refusal> for OfferRefused {
    fn from(reason: Refusal) -> Self {
        OfferRefused { reason }
    }
}

impl fmt::Display for OfferRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Refusal::NoMsrp => f.write_str("no MSRP medium is offered"),
            Refusal::Medium(fault) => write!(f, "the offered medium cannot be used: {fault}"),
            Refusal::NoCommonType => f.write_str("no media type is acceptable to both sides"),
            Refusal::BothPassive => f.write_str("both sides would be passive"),
            Refusal::BothActive => f.write_str("the offerer wants to connect, and we cannot be reached"),
            Refusal::UnusableAddress => f.write_str("the offer names no address to connect to"),
            Refusal::Middlebox => f.write_str("a middlebox changed the address of the offer"),
            Refusal::Transport => f.write_str("the offered transport is not ours"),
            Refusal::Ours(error) => write!(f, "our own media description is wrong: {error}"),
        }
    }
}

impl core::error::Error for OfferRefused {}

/// Makes an offer with one MSRP medium.
///
/// # Errors
/// `media` is not what an offer can say (see [`MediaError`]).
pub fn offer(
    session: &SessionIds,
    media: &MsrpMedia,
) -> Result<(SessionDescription, PendingOffer), MediaError> {
    media.validate()?;
    if media.setup == Setup::Passive {
        return Err(MediaError::PassiveOffer);
    }
    let mut text = session_part(session, media.address);
    media.write(&mut text);
    let description = own_description(&text)?;
    Ok((description, PendingOffer { ours: media.clone() }))
}

/// `v=` to `t=`.
fn session_part(session: &SessionIds, address: IpAddr) -> String {
    let kind = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- {} {} IN {kind} {address}\r\ns=-\r\nc=IN {kind} {address}\r\nt=0 0\r\n",
        session.id, session.version
    )
}

/// What we write is read by the same rules as what others write, at the widest limits that exist.
fn own_description(text: &str) -> Result<SessionDescription, MediaError> {
    let limits = Limits { max_bytes: 1024 * 1024, max_media: 256, max_formats: 256, ..Limits::default() };
    SessionDescription::parse(text.as_bytes(), &limits).map_err(|error| match error {
        SdpError::Limit(limit) if limit.limit.starts_with("sdp.max_type") => MediaError::Types,
        _ => MediaError::Path,
    })
}

impl PendingOffer {
    /// Takes the answer: who connects, where to, and what may be sent.
    ///
    /// # Errors
    /// The answer cannot be used; see [`AnswerError`].
    pub fn answered(self, answer: &SessionDescription) -> Result<Negotiated, AnswerError> {
        let [media] = answer.media() else { return Err(AnswerError::MediaCount) };
        if media.port() == Some(0) {
            return Err(AnswerError::Refused);
        }
        if PeerMedia::transport_of(media) != Some(self.ours.transport) {
            return Err(AnswerError::OtherMedium);
        }
        let peer = PeerMedia::read(answer, media).map_err(AnswerError::Medium)?;
        let role = self.role(peer.setup);
        let remote = if self.by_connection_line(&peer, role)? { by_lines(&peer) } else { by_path(&peer) };
        let remote = remote.ok_or(AnswerError::Medium(MediumFault::Connection))?;
        if role == Role::Active && !remote.is_usable() {
            return Err(AnswerError::UnusableAddress);
        }
        // Without a value in the answer there is no limit but our own.
        // req: 5.2.1.1-p8
        let chunk = self.ours.max_chunk_size_kb.map(u64::from);
        let agreed = peer.max_chunk_size_kb.map(|kb| chunk.map_or(kb, |own| own.min(kb)));
        Ok(negotiated(peer, role, remote, self.ours.cema, self.ours.direction, agreed))
    }

    /// RFC 6135, TS 5.2.1.1 and 5.2.1.2: `active` in the answer: we listen; anything else: we connect. Where we
    /// offered `active` we connect whatever the answer says.
    // req: 5.2.1.1-B.i
    // req: 5.2.1.1-B.ii
    // req: 5.2.1.2-setup-A.1
    // req: 5.2.1.2-setup-A.2
    fn role(&self, answered: Option<Setup>) -> Role {
        match (self.ours.setup, answered) {
            (Setup::ActPass, Some(Setup::Active)) => Role::Passive,
            _ => Role::Active,
        }
    }

    /// Whether `c=` and `m=` say where to connect to, as RFC 6714 §4.2 has it for an offerer without relay.
    fn by_connection_line(&self, peer: &PeerMedia, role: Role) -> Result<bool, AnswerError> {
        if !self.ours.cema {
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
}

/// An offer that was read: what a function decides on before it answers.
#[derive(Clone)]
pub struct RemoteOffer {
    peer: PeerMedia,
    /// `m=` lines of the offer; the answer has as many, in the same order.
    lines: Vec<RefusedLine>,
    chosen: usize,
}

/// What an answer repeats of an `m=` line that it refuses.
#[derive(Clone)]
struct RefusedLine {
    media: String,
    proto: String,
    formats: String,
}

impl fmt::Debug for RemoteOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOffer")
            .field("accept_types", &self.peer.accept_types)
            .field("direction", &self.peer.direction)
            .field("setup", &self.peer.setup)
            .finish_non_exhaustive()
    }
}

impl RemoteOffer {
    /// Finds the MSRP medium of an offer: the first that can be used. The other media will be answered with port 0.
    ///
    /// # Errors
    /// There is none; where one was malformed, its fault.
    pub fn read(offer: &SessionDescription) -> Result<RemoteOffer, OfferRefused> {
        let mut refusal = Refusal::NoMsrp;
        for (chosen, media) in offer.media().iter().enumerate() {
            if PeerMedia::transport_of(media).is_none() || media.port() == Some(0) {
                continue;
            }
            match PeerMedia::read(offer, media) {
                Ok(peer) => {
                    let refused = |media: &crate::Media| RefusedLine {
                        media: media.media().into(),
                        proto: media.proto().into(),
                        formats: media.formats().into(),
                    };
                    return Ok(RemoteOffer {
                        peer,
                        lines: offer.media().iter().map(refused).collect(),
                        chosen,
                    });
                }
                Err(fault) if refusal == Refusal::NoMsrp => refusal = Refusal::Medium(fault),
                Err(_) => {}
            }
        }
        Err(refusal.into())
    }

    /// TCP or TLS: what the answer has to use too.
    #[must_use]
    pub fn transport(&self) -> MsrpTransport {
        self.peer.transport
    }

    /// What the offerer takes (and, for a message that it will send, what that message is) as a whole.
    #[must_use]
    pub fn accept_types(&self) -> &[String] {
        &self.peer.accept_types
    }

    /// What the offerer takes inside of such messages besides.
    #[must_use]
    pub fn accept_wrapped_types(&self) -> &[String] {
        &self.peer.accept_wrapped_types
    }

    /// Whether the offer lets this type through as a whole message (`*` and `type/*` included).
    #[must_use]
    pub fn accepts(&self, media_type: &str) -> bool {
        accepts(&self.peer.accept_types, media_type)
    }

    /// Whether the offer lets this type through inside of a message.
    #[must_use]
    pub fn accepts_wrapped(&self, media_type: &str) -> bool {
        accepts(&self.peer.accept_wrapped_types, media_type) || self.accepts(media_type)
    }

    /// Which ways messages go, seen from the offerer.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.peer.direction
    }

    /// `a=setup`, where one that counts is there.
    #[must_use]
    pub fn setup(&self) -> Option<Setup> {
        self.peer.setup
    }

    /// Whether the offerer supports connection establishment for media anchoring (RFC 6714).
    #[must_use]
    pub fn cema(&self) -> bool {
        self.peer.cema
    }

    /// The size, in octets, of what will be sent (`a=file-selector:size`).
    #[must_use]
    pub fn file_size(&self) -> Option<u64> {
        self.peer.file_size
    }

    /// `a=file-selector` as received, all its selectors.
    #[must_use]
    pub fn file_selector(&self) -> Option<&str> {
        self.peer.file_selector.as_deref()
    }

    /// The longest message, in octets, that the offerer wants.
    #[must_use]
    pub fn max_size(&self) -> Option<u64> {
        self.peer.max_size
    }

    /// `a=max-chunk-size`, in octets.
    #[must_use]
    pub fn max_chunk_size_octets(&self) -> Option<u64> {
        self.peer.max_chunk_size_kb.map(|kb| kb.saturating_mul(1024))
    }

    /// Answers. `media.setup` and `media.direction` are wishes: the offer may leave less.
    ///
    /// # Errors
    /// What both want does not fit together; `status()` of the error is the SIP status code (488).
    pub fn answer(
        self,
        session: &SessionIds,
        media: &MsrpMedia,
    ) -> Result<(SessionDescription, Negotiated), OfferRefused> {
        let role = self.role(media)?;
        let mut ours = media.clone();
        ours.setup = if role == Role::Active { Setup::Active } else { Setup::Passive };
        ours.direction = self.peer.direction.mirrored().and(media.direction);
        ours.cema = media.cema && self.anchoring_possible();
        let agreed = self.chunk_size(media);
        // What was offered is repeated when it is the smaller, even below the 100 KB that we would propose.
        ours.max_chunk_size_kb = None;
        ours.validate().map_err(Refusal::Ours)?;
        ours.max_chunk_size_kb = media.max_chunk_size_kb.and(agreed).and_then(|kb| u32::try_from(kb).ok());
        if ours.transport != self.peer.transport {
            return Err(Refusal::Transport.into());
        }
        if !self.shares_a_type(media) {
            return Err(Refusal::NoCommonType.into());
        }
        let remote = self.remote(media.cema, ours.cema)?;
        if role == Role::Active && !remote.is_usable() {
            return Err(Refusal::UnusableAddress.into());
        }
        let description = self.description(session, &ours)?;
        Ok((description, negotiated(self.peer, role, remote, ours.cema, media.direction, agreed)))
    }

    /// RFC 6135 §4.2.2, threats I5. Without `a=setup` (or with `holdconn`) the offerer connects (RFC 4975 §5.4).
    fn role(&self, media: &MsrpMedia) -> Result<Role, Refusal> {
        match (self.peer.setup, media.setup) {
            (Some(Setup::ActPass), Setup::Active) => Ok(Role::Active),
            (Some(Setup::ActPass), Setup::Passive | Setup::ActPass) => Ok(Role::Passive),
            (Some(Setup::Passive), Setup::Passive) => Err(Refusal::BothPassive),
            (Some(Setup::Passive), Setup::Active | Setup::ActPass) => Ok(Role::Active),
            (Some(Setup::Active) | None, _) if media.port == 9 => Err(Refusal::BothActive),
            (Some(Setup::Active) | None, _) => Ok(Role::Passive),
        }
    }

    /// RFC 6714 §4.3, second point: an offerer behind a relay that will connect knows nothing of anchoring.
    fn anchoring_possible(&self) -> bool {
        !(self.peer.relayed() && matches!(self.peer.setup, None | Some(Setup::Active)))
    }

    /// The smaller of both sides' chunk sizes, in units of 1024 octets (TS 5.2.1.3).
    // req: 5.2.1.3-b4
    fn chunk_size(&self, media: &MsrpMedia) -> Option<u64> {
        let theirs = self.peer.max_chunk_size_kb?;
        Some(media.max_chunk_size_kb.map_or(theirs, |own| theirs.min(u64::from(own))))
    }

    fn shares_a_type(&self, media: &MsrpMedia) -> bool {
        let theirs = &self.peer.accept_types;
        media.accept_types.iter().any(|own| own == "*" || accepts(theirs, own))
            || theirs.iter().any(|entry| accepts(&media.accept_types, entry))
    }

    /// RFC 6714 §4.3: where the offerer is.
    fn remote(&self, wanted: bool, anchored: bool) -> Result<Remote, Refusal> {
        if wanted && !self.peer.cema && self.peer.addresses_agree() == Some(false) {
            return Err(Refusal::Middlebox);
        }
        let remote = if anchored { by_lines(&self.peer) } else { by_path(&self.peer) };
        remote.ok_or(Refusal::Medium(MediumFault::Connection))
    }

    fn description(&self, session: &SessionIds, ours: &MsrpMedia) -> Result<SessionDescription, Refusal> {
        let mut text = session_part(session, ours.address);
        for (index, line) in self.lines.iter().enumerate() {
            if index == self.chosen {
                ours.write(&mut text);
            } else {
                text.push_str(&format!("m={} 0 {} {}\r\n", line.media, line.proto, line.formats));
            }
        }
        own_description(&text).map_err(Refusal::Ours)
    }
}

/// `c=` and `m=`.
fn by_lines(peer: &PeerMedia) -> Option<Remote> {
    peer.host.clone().map(|host| Remote { host, port: peer.port })
}

/// The first URI of `a=path`.
fn by_path(peer: &PeerMedia) -> Option<Remote> {
    peer.first.clone().map(|(host, port)| Remote { host, port })
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
    our_cema: bool,
    our_direction: Direction,
    chunk_kb: Option<u64>,
) -> Negotiated {
    Negotiated {
        role,
        remote,
        cema: our_cema && peer.cema,
        transport: peer.transport,
        direction: peer.direction.mirrored().and(our_direction),
        remote_path: peer.path,
        remote_accept_types: peer.accept_types,
        remote_accept_wrapped_types: peer.accept_wrapped_types,
        remote_max_size: peer.max_size,
        remote_file_size: peer.file_size,
        max_chunk_size_octets: chunk_kb.map(|kb| kb.saturating_mul(1024)),
    }
}

#[cfg(test)]
mod tests;
