//! The session description at a node in the middle (TS 5.2.1.2): one offer that came in becomes one for each of N
//! legs, N answers become one. What is not changed for a reason named there is passed on octet for octet.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::IpAddr;

use crate::attribute::{Chatroom, TypedAttribute};
use crate::cpm::{ChunkSizes, is_event_type};
use crate::description::{Media, SdpError, SessionDescription};
use crate::edit::{self, MediaEdit};
use crate::exchange::SessionIds;
use crate::limits::Limits;
use crate::media::{Direction, MsrpMedia, PeerMedia, Setup, accepts, connection_text};
use crate::negotiate::{self, AnswerError, Negotiated, Refusal};
use crate::session::{AnswerRejected, SlotLine};

/// Which media may pass (TS 5.2.1.2-b1): policy of the operator, of a group, of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPolicy {
    /// MSRP.
    pub msrp: bool,
    /// Other media that may pass: `audio`, `video`…
    pub others: Vec<String>,
}

/// Our end of one MSRP medium of one leg.
#[derive(Clone, PartialEq, Eq)]
pub struct End {
    /// Where we are (`c=`).
    pub address: IpAddr,
    /// Where we listen (`m=`): the port of `path`.
    pub port: u16,
    /// Our MSRP URI of this leg; nobody may guess it.
    pub path: String,
}

impl fmt::Debug for End {
    /// Says nothing of the path: who knows it can bind the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End")
            .field("address", &self.address)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// How one leg is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegRules {
    /// Whether `msrp-cema` is said in the offer of this leg (TS 5.2.1.2-b3); not where the leg is known to be of the
    /// legacy kind.
    pub cema: bool,
    /// Whether the far side may be of the legacy kind (TS 5.2.1.4).
    pub legacy: bool,
    /// Sizes of chunks on this leg, by access and peering; `None`: what came in is passed on.
    pub chunks: Option<ChunkSizes>,
    /// Whether chunks are cut anew between the legs (TS 5.2.1.2-b.i).
    pub rechunk: bool,
    /// Whether CPM events may pass: not to another user (TS 5.2.1.2-b4).
    pub events: bool,
    /// Whether to say that the group is closed (TS 9.2.1: policy of the operator).
    pub closed_group: bool,
}

/// `o=` of one leg: the id stays, the version grows with each text that differs (RFC 3264 §8).
#[derive(Debug, Clone)]
pub struct LegOrigin {
    ids: SessionIds,
    address: IpAddr,
    sent: Option<(u64, Vec<u8>)>,
}

impl LegOrigin {
    /// For a new leg.
    #[must_use]
    pub fn new(ids: SessionIds, address: IpAddr) -> LegOrigin {
        LegOrigin { ids, address, sent: None }
    }

    /// The description with these lines behind `o=`.
    fn describe(&mut self, body: Vec<u8>) -> Result<SessionDescription, RelayError> {
        let version = match &self.sent {
            None => self.ids.version,
            Some((version, sent)) if *sent == body => *version,
            Some((version, _)) => version.saturating_add(1),
        };
        let mut text =
            alloc::format!("v=0\r\no=- {} {version} {}\r\n", self.ids.id, connection_text(self.address))
                .into_bytes();
        text.extend_from_slice(&body);
        let limits = Limits {
            max_bytes: 1024 * 1024,
            max_media: 256,
            max_formats: 256,
            max_attrs: 1024,
            ..Limits::default()
        };
        let description =
            SessionDescription::parse_bytes(Bytes::from(text), &limits).map_err(RelayError::Text)?;
        self.sent = Some((version, body));
        Ok(description)
    }
}

/// Why a description cannot be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayError {
    /// No medium may pass: which and why, for the warning of a 488.
    Refused(Vec<(usize, Refusal)>),
    /// An end is missing for this medium, or its path is no MSRP URI of its transport: the caller's mistake.
    End(usize),
    /// There is no such leg, or it has not answered: the caller's mistake.
    Leg,
    /// What came of it is no description.
    Text(SdpError),
}

impl RelayError {
    /// The SIP status code for the request whose offer it was.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            RelayError::Refused(_) => 488,
            _ => 500,
        }
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayError::Refused(refusals) => {
                f.write_str("no medium may pass")?;
                refusals.iter().try_for_each(|(medium, refusal)| write!(f, "; medium {medium}: {refusal}"))
            }
            RelayError::End(medium) => write!(f, "medium {medium} has no end on this leg"),
            RelayError::Leg => f.write_str("no such leg has answered"),
            RelayError::Text(error) => write!(f, "what would be passed on is no description: {error}"),
        }
    }
}

impl core::error::Error for RelayError {}

/// What came of one medium on one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegMedium {
    /// We stand in its path: an MSRP session of this leg, with its own chunk size, direction and matching.
    Msrp(alloc::boxed::Box<Negotiated>),
    /// It passes us by: both sides speak to one another.
    Passed,
    /// Off, by whomever.
    Off,
    /// The far side's answer cannot be used.
    Unusable(AnswerError),
}

/// Whose answers make up ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// That of one leg: the device that took the call.
    Leg(usize),
    /// Those of all legs that answered: types that each of them takes, directions that one of them has. Lines that
    /// are not MSRP's are those of the first.
    All,
}

/// One offer on its way through us.
#[derive(Debug)]
pub struct OfferBridge {
    offer: SessionDescription,
    media: Vec<Bridged>,
    refusals: Vec<(usize, Refusal)>,
    legs: Vec<Leg>,
}

#[derive(Debug)]
enum Bridged {
    Msrp(alloc::boxed::Box<PeerMediaBox>),
    Other,
    Off,
}

/// An MSRP medium as the offerer says it.
struct PeerMediaBox(PeerMedia);

impl fmt::Debug for PeerMediaBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerMedia")
    }
}

#[derive(Debug)]
struct Leg {
    /// What we said of each MSRP medium.
    ours: Vec<Option<MsrpMedia>>,
    answer: Option<(SessionDescription, Vec<LegMedium>)>,
}

impl OfferBridge {
    /// Takes an offer. Media that may not pass are turned off on every leg and in the answer.
    ///
    /// # Errors
    /// Nothing of it may pass.
    // req: 5.2.1.2-b1
    pub fn new(offer: &SessionDescription, policy: &MediaPolicy) -> Result<OfferBridge, RelayError> {
        let mut media = Vec::with_capacity(offer.media().len());
        let mut refusals = Vec::new();
        for (index, line) in offer.media().iter().enumerate() {
            let msrp = PeerMedia::transport_of(line).is_some();
            let allowed = policy.others.iter().any(|kind| kind.eq_ignore_ascii_case(line.media()));
            let bridged = match line.port() {
                Some(0) => Ok(Bridged::Off),
                None => Err(Refusal::Medium(crate::MediumFault::Port)),
                Some(_) if msrp && policy.msrp => PeerMedia::read(offer, line)
                    .map(|peer| Bridged::Msrp(alloc::boxed::Box::new(PeerMediaBox(peer))))
                    .map_err(Refusal::Medium),
                Some(_) if !msrp && allowed => Ok(Bridged::Other),
                Some(_) => Err(Refusal::Declined),
            };
            media.push(bridged.unwrap_or_else(|refusal| {
                refusals.push((index, refusal));
                Bridged::Off
            }));
        }
        if !refusals.is_empty() && media.iter().all(|bridged| matches!(bridged, Bridged::Off)) {
            return Err(RelayError::Refused(refusals));
        }
        Ok(OfferBridge { offer: offer.clone(), media, refusals, legs: Vec::new() })
    }

    /// Media that may not pass, and why.
    #[must_use]
    pub fn refusals(&self) -> &[(usize, Refusal)] {
        &self.refusals
    }

    /// Which media need an end of ours on each leg: the MSRP ones that pass.
    pub fn anchored(&self) -> impl Iterator<Item = usize> {
        let msrp = |bridged: &Bridged| matches!(bridged, Bridged::Msrp(_));
        self.media.iter().enumerate().filter(move |(_, bridged)| msrp(bridged)).map(|(index, _)| index)
    }

    /// The offer for one more leg: `ends` has one place for each medium of the offer, filled for each that is
    /// [`anchored`](Self::anchored). Tells the number of the leg.
    ///
    /// # Errors
    /// An end is missing or wrong.
    // req: 5.2.1.2-p1.1
    // req: 5.2.1.2-b2
    pub fn add_leg(
        &mut self,
        origin: &mut LegOrigin,
        rules: &LegRules,
        ends: &[Option<End>],
    ) -> Result<(usize, SessionDescription), RelayError> {
        let mut body = edit::session_lines(self.offer.lines());
        let mut all_ours = Vec::with_capacity(self.media.len());
        for (index, (bridged, line)) in self.media.iter().zip(self.offer.media()).enumerate() {
            let ours = match bridged {
                Bridged::Off => {
                    write_off(line, &mut body);
                    None
                }
                Bridged::Other => {
                    edit::untouched(line, &mut body);
                    None
                }
                Bridged::Msrp(peer) => {
                    let end = ends.get(index).and_then(Option::as_ref).ok_or(RelayError::End(index))?;
                    let ours = ours_offered(&peer.0, rules, end);
                    check_end(&ours).map_err(|()| RelayError::End(index))?;
                    write_msrp(line, &ours, rules, &mut body);
                    Some(ours)
                }
            };
            all_ours.push(ours);
        }
        let description = origin.describe(body)?;
        self.legs.push(Leg { ours: all_ours, answer: None });
        Ok((self.legs.len().saturating_sub(1), description))
    }

    /// Takes the answer of a leg: what came of each medium there. A later answer of the same leg takes the place of
    /// the one before.
    ///
    /// # Errors
    /// It is none to the offer of this leg.
    // req: 5.2.1.2-setup-A
    pub fn answered(
        &mut self,
        leg: usize,
        answer: &SessionDescription,
    ) -> Result<&[LegMedium], AnswerRejected> {
        let state = self.legs.get_mut(leg).ok_or(AnswerRejected::Stale)?;
        if answer.media().len() != self.media.len() {
            return Err(AnswerRejected::MediaCount {
                offered: self.media.len(),
                answered: answer.media().len(),
            });
        }
        let mut media = Vec::with_capacity(self.media.len());
        for (index, (ours, (asked, line))) in
            state.ours.iter().zip(self.offer.media().iter().zip(answer.media())).enumerate()
        {
            let same = line.media().eq_ignore_ascii_case(asked.media())
                && line.proto().eq_ignore_ascii_case(asked.proto());
            if !same {
                return Err(AnswerRejected::OtherMedium { medium: index });
            }
            let off = matches!(self.media.get(index), Some(Bridged::Off) | None);
            media.push(match (line.port(), ours) {
                (Some(0), _) => LegMedium::Off,
                _ if off => LegMedium::Off,
                (_, None) => LegMedium::Passed,
                (_, Some(ours)) => {
                    let read = PeerMedia::read(answer, line).map_err(AnswerError::Medium);
                    match read.and_then(|peer| negotiate::answered(ours, peer)) {
                        Ok(negotiated) => LegMedium::Msrp(alloc::boxed::Box::new(negotiated)),
                        Err(error) => LegMedium::Unusable(error),
                    }
                }
            });
        }
        let (_, media) = state.answer.insert((answer.clone(), media));
        Ok(media)
    }

    /// The one answer to the offer that came in, and what came of each medium on that side.
    ///
    /// # Errors
    /// The leg has not answered; an end is missing or wrong; no medium is taken by anybody.
    // req: 5.2.1.2-setup-B
    pub fn answer(
        &self,
        merge: Merge,
        origin: &mut LegOrigin,
        rules: &LegRules,
        ends: &[Option<End>],
    ) -> Result<(SessionDescription, Vec<LegMedium>), RelayError> {
        let legs: Vec<&(SessionDescription, Vec<LegMedium>)> = match merge {
            Merge::Leg(leg) => self.legs.get(leg).and_then(|leg| leg.answer.as_ref()).into_iter().collect(),
            Merge::All => self.legs.iter().filter_map(|leg| leg.answer.as_ref()).collect(),
        };
        let (first, _) = legs.first().ok_or(RelayError::Leg)?;
        let mut body = edit::session_lines(first.lines());
        let mut outcome = Vec::with_capacity(self.media.len());
        let mut refusals = self.refusals.clone();
        for (index, (bridged, line)) in self.media.iter().zip(self.offer.media()).enumerate() {
            outcome.push(match bridged {
                Bridged::Off => {
                    write_off(line, &mut body);
                    LegMedium::Off
                }
                Bridged::Other => write_passed(&legs, index, line, &mut body),
                Bridged::Msrp(peer) => {
                    let end = ends.get(index).and_then(Option::as_ref).ok_or(RelayError::End(index))?;
                    match answer_msrp(&peer.0, &legs, index, rules, end) {
                        Ok((base, ours, negotiated)) => {
                            write_msrp(base, &ours, rules, &mut body);
                            LegMedium::Msrp(alloc::boxed::Box::new(negotiated))
                        }
                        Err(Refusal::Ours(_)) => return Err(RelayError::End(index)),
                        Err(refusal) => {
                            refusals.push((index, refusal));
                            write_off(line, &mut body);
                            LegMedium::Off
                        }
                    }
                }
            });
        }
        if !refusals.is_empty() && outcome.iter().all(|medium| *medium == LegMedium::Off) {
            return Err(RelayError::Refused(refusals));
        }
        Ok((origin.describe(body)?, outcome))
    }
}

/// What we say to a leg of what the offerer said to us.
fn ours_offered(peer: &PeerMedia, rules: &LegRules, end: &End) -> MsrpMedia {
    MsrpMedia {
        accept_types: peer.accept_types.clone(),
        accept_wrapped_types: passing_types(&peer.accept_wrapped_types, rules),
        setup: Setup::ActPass,
        cema: rules.cema,
        legacy: rules.legacy,
        direction: peer.direction,
        chatroom: chatroom(peer, rules),
        max_size: peer.max_size,
        max_chunk_size_kb: passing_chunk(peer.max_chunk_size_kb, rules),
        ..MsrpMedia::new(peer.transport, end.address, end.port, end.path.clone())
    }
}

/// The answer to one MSRP medium: the section of a leg's answer that is passed on, what we say in it, what it means.
fn answer_msrp<'a>(
    peer: &PeerMedia,
    legs: &[&'a (SessionDescription, Vec<LegMedium>)],
    index: usize,
    rules: &LegRules,
    end: &End,
) -> Result<(&'a Media, MsrpMedia, Negotiated), Refusal> {
    let mut taken: Vec<(&SessionDescription, &Media, &Negotiated)> = Vec::new();
    for (answer, media) in legs.iter().map(|leg| (&leg.0, &leg.1)) {
        if let (Some(LegMedium::Msrp(negotiated)), Some(line)) = (media.get(index), answer.media().get(index))
        {
            taken.push((answer, line, negotiated));
        }
    }
    let (_, base, first) = *taken.first().ok_or(Refusal::Declined)?;
    // What each of them takes: an entry of the first that the lists of all others let through.
    let common = |list: fn(&Negotiated) -> &Vec<String>| -> Vec<String> {
        let by_all = |entry: &&String| taken.iter().all(|(_, _, other)| accepts(list(other), entry));
        list(first).iter().filter(by_all).cloned().collect()
    };
    // Seen from a leg's far side: what one of them sends, we send on; what one of them takes, we take.
    let sides = || taken.iter().map(|(_, _, leg)| leg.direction.mirrored());
    let direction = match (sides().any(Direction::sends), sides().any(Direction::receives)) {
        (true, true) => Direction::SendRecv,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::RecvOnly,
        (false, false) => Direction::Inactive,
    };
    // Where chunks are not cut anew, the smallest of all legs holds for this side too.
    let chunks = taken.iter().filter_map(|(_, _, leg)| leg.max_chunk_size_octets).min();
    let chunks = chunks.map(|octets| octets.div_euclid(1024));
    let own = rules.chunks.as_ref().and_then(|sizes| sizes.answered(peer.max_chunk_size_kb));
    let wished = MsrpMedia {
        accept_types: common(|leg| &leg.remote_accept_types),
        accept_wrapped_types: passing_types(&common(|leg| &leg.remote_accept_wrapped_types), rules),
        setup: Setup::Passive,
        // TS 8.2.1.2: as the offer has it.
        cema: peer.cema,
        legacy: rules.legacy,
        direction,
        chatroom: first.remote_chatroom.clone(),
        max_chunk_size_kb: match (rules.rechunk, chunks) {
            (true, _) => own.or_else(|| chunks.and_then(|kb| u32::try_from(kb).ok())),
            (false, None) => None,
            (false, Some(least)) => u32::try_from(own.map_or(least, |own| least.min(u64::from(own)))).ok(),
        },
        ..MsrpMedia::new(peer.transport, end.address, end.port, end.path.clone())
    };
    if wished.accept_types.is_empty() {
        return Err(Refusal::NoCommonType);
    }
    let (mut ours, negotiated) = negotiate::answer(&wished, peer.clone())?;
    if rules.closed_group {
        ours.chatroom = chatroom_closed(ours.chatroom.as_ref());
    }
    Ok((base, ours, negotiated))
}

fn check_end(ours: &MsrpMedia) -> Result<(), ()> {
    let types = Vec::from([String::from("*")]);
    let check = MsrpMedia {
        max_chunk_size_kb: None,
        accept_types: types.clone(),
        accept_wrapped_types: types,
        chatroom: None,
        ..ours.clone()
    };
    check.validate().map_err(|_| ())
}

/// TS 5.2.1.2-b4: events are between a user's devices and functions, not for another user.
// req: 5.2.1.2-b4
fn passing_types(types: &[String], rules: &LegRules) -> Vec<String> {
    types.iter().filter(|entry| rules.events || !is_event_type(entry)).cloned().collect()
}

/// TS 5.2.1.2-a to c: a size that will do is passed on; one that will not gives way to what is configured, where
/// chunks are cut anew, else to the closest below it.
// req: 5.2.1.2-a
// req: 5.2.1.2-b.i.1
// req: 5.2.1.2-b.ii.1
// req: 5.2.1.2-c
// req: 5.2.1.2-b5
fn passing_chunk(received: Option<u64>, rules: &LegRules) -> Option<u32> {
    let same = || received.and_then(|kb| u32::try_from(kb).ok());
    match &rules.chunks {
        None => same(),
        Some(sizes) if received.is_none_or(|kb| sizes.acceptable(kb)) => same(),
        Some(sizes) if rules.rechunk => Some(sizes.proposed()),
        // Where nothing is configured below it, theirs is the smaller already.
        Some(sizes) => match (sizes.answered(received), same()) {
            (Some(own), Some(theirs)) => Some(own.min(theirs)),
            (own, _) => own,
        },
    }
}

fn chatroom(peer: &PeerMedia, rules: &LegRules) -> Option<Chatroom> {
    if rules.closed_group { chatroom_closed(peer.chatroom.as_ref()) } else { peer.chatroom.clone() }
}

fn chatroom_closed(said: Option<&Chatroom>) -> Option<Chatroom> {
    match said {
        Some(chatroom) if chatroom.is_closed_group() => Some(chatroom.clone()),
        said => {
            let mut tokens: Vec<String> = said.map(|chatroom| chatroom.tokens().to_vec()).unwrap_or_default();
            tokens.push(String::from(Chatroom::CLOSED_GROUP));
            Chatroom::new(tokens)
        }
    }
}

/// A section that came in, with what is ours in it. Everything else in it stays.
// req: 5.2.1.2-a.2-n1
// req: 5.2.1.2-b3
// req: 5.2.1.2-p5
fn write_msrp(line: &Media, ours: &MsrpMedia, rules: &LegRules, body: &mut Vec<u8>) {
    let mut section = MediaEdit::of(line);
    section.set_port(line, ours.port);
    section.set_connection(&connection_text(ours.address));
    section.set_attribute("path", Some(&ours.path));
    section.set_attribute("setup", Some(ours.setup.as_str()));
    section.remove_attribute("connection");
    section.set_direction(ours.direction);
    section.set_attribute("accept-types", Some(&edit::list(&ours.accept_types)));
    if ours.accept_wrapped_types.is_empty() {
        section.remove_attribute("accept-wrapped-types");
    } else {
        section.set_attribute("accept-wrapped-types", Some(&edit::list(&ours.accept_wrapped_types)));
    }
    if ours.cema {
        section.set_attribute("msrp-cema", None);
    } else {
        section.remove_attribute("msrp-cema");
    }
    match ours.max_chunk_size_kb {
        Some(kb) => section.set_attribute("max-chunk-size", Some(&alloc::format!("{kb}"))),
        None => section.remove_attribute("max-chunk-size"),
    }
    if let Some(chatroom) = ours.chatroom.as_ref().filter(|_| rules.closed_group) {
        section.set_attribute("chatroom", TypedAttribute::Chatroom(chatroom.clone()).value().as_deref());
    }
    section.write(body);
}

/// A medium that passes us by: what the first leg that took it says.
fn write_passed(
    legs: &[&(SessionDescription, Vec<LegMedium>)],
    index: usize,
    offered: &Media,
    body: &mut Vec<u8>,
) -> LegMedium {
    let taken = legs.iter().enumerate().find(|(_, leg)| leg.1.get(index) == Some(&LegMedium::Passed));
    match taken.and_then(|(number, leg)| Some((number, leg, leg.0.media().get(index)?))) {
        // The lines of the session are those of the first leg.
        Some((0, _, line)) => {
            edit::untouched(line, body);
            LegMedium::Passed
        }
        // The address of another leg's session goes with its medium.
        Some((_, leg, line)) => {
            let mut section = MediaEdit::of(line);
            if let (None, Some(value)) = (line.connection(), leg.0.value('c')) {
                section.set_connection(&String::from_utf8_lossy(value));
            }
            section.write(body);
            LegMedium::Passed
        }
        None => {
            write_off(offered, body);
            LegMedium::Off
        }
    }
}

fn write_off(line: &Media, body: &mut Vec<u8>) {
    let mut text = String::new();
    SlotLine::of(line).write_refused(&mut text);
    body.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;
