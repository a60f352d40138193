//! One exchange of offer and answer for one MSRP medium (RFC 3264, RFC 4975 §8, RFC 6135, RFC 6714).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::attribute::{Chatroom, FileDescription};
use crate::description::{SdpError, SessionDescription};
use crate::limits::Limits;
use crate::media::{
    Direction, MediaError, MsrpMedia, MsrpTransport, PeerMedia, Setup, accepts, connection_text,
};
use crate::negotiate::{self, AnswerError, Negotiated, Refusal};
use crate::session::SlotLine;

/// The numbers of `o=`: the id stays for the life of a session, the version grows with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionIds {
    /// The session id.
    pub id: u64,
    /// The version.
    pub version: u64,
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
        write!(f, "{}", self.reason)
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
    let mut text = session_part(session, media.address, "0 0");
    media.write(&mut text, media.address);
    let description = own_description(&text)?;
    Ok((description, PendingOffer { ours: media.clone() }))
}

/// `v=` to `t=`.
pub(crate) fn session_part(session: &SessionIds, address: IpAddr, timing: &str) -> String {
    let address = connection_text(address);
    format!("v=0\r\no=- {} {} {address}\r\ns=-\r\nc={address}\r\nt={timing}\r\n", session.id, session.version)
}

/// What we write is read by the same rules as what others write, at the widest limits that exist.
pub(crate) fn own_description(text: &str) -> Result<SessionDescription, MediaError> {
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
        negotiate::answered(&self.ours, peer)
    }
}

/// An MSRP medium of an offer: what a function decides on before it answers.
#[derive(Clone)]
pub struct OfferedMsrp {
    peer: PeerMedia,
}

impl fmt::Debug for OfferedMsrp {
    /// Says nothing of the path: who knows it can bind the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfferedMsrp")
            .field("accept_types", &self.peer.accept_types)
            .field("direction", &self.peer.direction)
            .field("setup", &self.peer.setup)
            .finish_non_exhaustive()
    }
}

/// An offer with one MSRP medium that counts: the whole of what a large message needs. Sessions with more media are
/// [`MediaSession`](crate::MediaSession)s.
#[derive(Debug, Clone)]
pub struct RemoteOffer {
    msrp: OfferedMsrp,
    /// `m=` lines of the offer; the answer has as many, in the same order.
    lines: Vec<SlotLine>,
    chosen: usize,
    /// `t=`, which the answer repeats (RFC 3264 §6).
    timing: String,
}

impl core::ops::Deref for RemoteOffer {
    type Target = OfferedMsrp;

    /// What is offered.
    fn deref(&self) -> &OfferedMsrp {
        &self.msrp
    }
}

impl OfferedMsrp {
    pub(crate) fn new(peer: PeerMedia) -> OfferedMsrp {
        OfferedMsrp { peer }
    }

    pub(crate) fn peer(&self) -> &PeerMedia {
        &self.peer
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
        self.peer.file.as_ref().and_then(|file| file.selector.size)
    }

    /// What the offerer says of a file, or of the size of a message.
    #[must_use]
    pub fn file(&self) -> Option<&FileDescription> {
        self.peer.file.as_ref()
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

    /// What the offerer's chat room can do.
    #[must_use]
    pub fn chatroom(&self) -> Option<&Chatroom> {
        self.peer.chatroom.as_ref()
    }
}

/// `t=` of an offer, as its answer repeats it.
pub(crate) fn timing(offer: &SessionDescription) -> String {
    let zero = || String::from("0 0");
    offer.times().first().map_or_else(zero, |time| format!("{} {}", time.timing.start, time.timing.stop))
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
                    return Ok(RemoteOffer {
                        msrp: OfferedMsrp { peer },
                        lines: offer.media().iter().map(SlotLine::of).collect(),
                        chosen,
                        timing: timing(offer),
                    });
                }
                Err(fault) if refusal == Refusal::NoMsrp => refusal = Refusal::Medium(fault),
                Err(_) => {}
            }
        }
        Err(refusal.into())
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
        let (ours, negotiated) = negotiate::answer(media, self.msrp.peer.clone())?;
        Ok((self.description(session, &ours)?, negotiated))
    }

    fn description(&self, session: &SessionIds, ours: &MsrpMedia) -> Result<SessionDescription, Refusal> {
        let mut text = session_part(session, ours.address, &self.timing);
        for (index, line) in self.lines.iter().enumerate() {
            if index == self.chosen {
                ours.write(&mut text, ours.address);
            } else {
                line.write_refused(&mut text);
            }
        }
        own_description(&text).map_err(Refusal::Ours)
    }
}

#[cfg(test)]
mod tests;
