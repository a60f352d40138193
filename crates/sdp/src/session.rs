//! The state of one dialog's session description: offer and answer of the whole session (RFC 3264 §4 to §8, RFC 6337).
//!
//! ```text
//!                    offer                          answered, rollback
//!          ┌────────────────────► LocalOffer ───────────────────────────┐
//!       Stable                                                         Stable
//!          └────────────────────► RemoteOffer ──────────────────────────┘
//!              receive_offer                   answer, answer_nothing, refuse
//! ```
//!
//! Whatever is called in another state is an error and changes nothing (threats I3); an exchange that fails leaves the
//! session before it as it was (threats I2).

mod capabilities;
mod local;
mod outcome;
mod plan;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use cpm_base::LimitExceeded;

use crate::description::{Origin, SessionDescription};
use crate::exchange::{OfferedMsrp, SessionIds, own_description, session_part, timing};
use crate::limits::Limits;
use crate::media::PeerMedia;
use crate::negotiate::{self, AnswerError, Refusal};

pub use capabilities::{Capabilities, FormatCapability};
pub use local::{LocalMedium, OtherMedia};
pub use outcome::{
    Agreed, AnswerRejected, Change, MediumOutcome, Off, OfferError, OfferFault, OriginFinding, OtherAgreed,
    Outcome, Unanswered, WhyUnanswered,
};
pub use plan::Plan;

pub(crate) use local::SlotLine;

use outcome::{compare_agreed, other_agreed};
use plan::Planned;

/// What a session is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// The numbers of `o=`; the version is that of the first description that is sent.
    pub ids: SessionIds,
    /// Our address in `o=` and `c=`.
    pub address: IpAddr,
    /// `sdp.max_media` holds for what we offer too.
    pub limits: Limits,
    /// What is accepted in `o=` of later descriptions.
    pub leniency: OriginLeniency,
}

/// Deviations in `o=` of later descriptions (RFC 3264 §8, RFC 6337 §5.2.5) that are accepted and told; each is refused
/// where its switch is off. Both are on by default: elements in the middle do both, and nothing here depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginLeniency {
    /// Another user, session id or address than before.
    pub changed_origin: bool,
    /// A version that grows by more than one, that does not grow though the text changed, or that goes back.
    pub odd_version: bool,
}

impl Default for OriginLeniency {
    fn default() -> Self {
        OriginLeniency { changed_origin: true, odd_version: true }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Stable,
    /// We offered; the number is that of the token.
    LocalOffer(u64),
    /// The far side offered.
    RemoteOffer(u64),
}

/// One `m=` line of the session, agreed on or off. Lines never go away (RFC 3264 §8).
#[derive(Debug, Clone)]
struct Slot {
    line: SlotLine,
    /// What we want of it; `None`: off.
    local: Option<LocalMedium>,
    agreed: Agreed,
}

#[derive(Debug, Clone)]
struct Sent {
    version: u64,
    body: String,
}

#[derive(Debug, Clone)]
struct Peer {
    origin: Origin,
    text: bytes::Bytes,
}

/// The session description of one dialog, both sides of it.
#[derive(Debug, Clone)]
pub struct MediaSession {
    settings: SessionSettings,
    state: State,
    serial: u64,
    slots: Vec<Slot>,
    sent: Option<Sent>,
    /// What the far side said last, whether it came to anything or not: `o=` is judged by it.
    heard: Option<Peer>,
    /// What the far side said when what stands was agreed on.
    standing: Option<bytes::Bytes>,
}

/// An offer of ours that waits: for one answer, or for being taken back. It can be used once.
#[derive(Debug)]
#[must_use = "an offer waits for its answer"]
pub struct OfferToken {
    serial: u64,
    media: Vec<Planned>,
}

/// An offer of the far side that waits for our answer. It can be used once.
#[derive(Debug)]
#[must_use = "an offer waits for its answer"]
pub struct ReceivedOffer {
    serial: u64,
    media: Vec<OfferedMedium>,
    text: bytes::Bytes,
    timing: String,
    findings: Vec<OriginFinding>,
    refresh: bool,
}

/// One `m=` line of an offer of the far side.
#[derive(Debug, Clone)]
pub struct OfferedMedium {
    line: SlotLine,
    content: OfferedContent,
}

/// What an `m=` line offers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OfferedContent {
    /// MSRP.
    Msrp(Box<OfferedMsrp>),
    /// Another medium: RTP and whatever there is.
    Other(Box<OtherAgreed>),
    /// Nothing: port 0.
    Disabled,
    /// Something that cannot be used.
    Unusable(Refusal),
}

impl OfferedMedium {
    /// The media of the `m=` line.
    #[must_use]
    pub fn media(&self) -> &str {
        &self.line.media
    }

    /// The transport protocol of the `m=` line.
    #[must_use]
    pub fn proto(&self) -> &str {
        &self.line.proto
    }

    /// What is offered.
    #[must_use]
    pub fn content(&self) -> &OfferedContent {
        &self.content
    }
}

impl ReceivedOffer {
    /// The `m=` lines, in their order: the answer says something to each.
    #[must_use]
    pub fn media(&self) -> &[OfferedMedium] {
        &self.media
    }

    /// What is odd in its `o=`.
    #[must_use]
    pub fn findings(&self) -> &[OriginFinding] {
        &self.findings
    }

    /// Whether it is, octet for octet, what the far side said last: nothing shall change (a session refresh).
    #[must_use]
    pub fn is_refresh(&self) -> bool {
        self.refresh
    }

    /// Which media these capabilities can take, each with the reason why not.
    #[must_use]
    pub fn assess(&self, capabilities: &Capabilities) -> Vec<Result<(), Refusal>> {
        self.media.iter().map(|medium| capabilities.judge(medium)).collect()
    }
}

impl MediaSession {
    /// A session without media.
    #[must_use]
    pub fn new(settings: SessionSettings) -> MediaSession {
        MediaSession {
            settings,
            state: State::Stable,
            serial: 0,
            slots: Vec::new(),
            sent: None,
            heard: None,
            standing: None,
        }
    }

    /// What was agreed on, medium by medium.
    pub fn agreed(&self) -> impl Iterator<Item = &Agreed> {
        self.slots.iter().map(|slot| &slot.agreed)
    }

    /// Whether no exchange is under way.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// The session as it stands, to be changed and offered. MSRP is offered as `actpass` again, whatever was answered
    /// before; `active` where we cannot be reached.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let planned = |slot: &Slot| Planned {
            line: slot.line.clone(),
            local: slot.local.clone().map(LocalMedium::for_offer),
        };
        Plan::new(self.slots.iter().map(planned).collect())
    }

    /// Offers: the first offer of a dialog, an offer in answer to a request without one (a late offer), a change.
    ///
    /// # Errors
    /// An exchange is under way; the plan has fewer media than the session; a medium cannot be said so.
    // req: 5.2.1.1-p2
    pub fn offer(&mut self, plan: &Plan) -> Result<(SessionDescription, OfferToken), OfferError> {
        if self.state != State::Stable {
            return Err(OfferError::Busy);
        }
        let media = plan.media();
        if media.len() < self.slots.len() {
            return Err(OfferError::FewerMedia);
        }
        LimitExceeded::check("sdp.max_media", media.len(), self.settings.limits.max_media)
            .map_err(OfferError::Limit)?;
        let mut body = String::new();
        for (medium, planned) in media.iter().enumerate() {
            match &planned.local {
                Some(local) => {
                    local.check_offer().map_err(|error| OfferError::Medium { medium, error })?;
                    local.write(&mut body, self.settings.address);
                }
                None => planned.line.write_refused(&mut body),
            }
        }
        let (description, sent) = self.describe("0 0", body)?;
        self.sent = Some(sent);
        let serial = self.next_serial();
        self.state = State::LocalOffer(serial);
        Ok((description, OfferToken { serial, media: media.to_vec() }))
    }

    /// Takes the answer to our offer. A medium that cannot be used as it was answered is off on our side and says why
    /// in the outcome; the next offer has to turn it off on the far side too, or to offer it otherwise.
    ///
    /// # Errors
    /// The answer is none to this offer; the session before the offer stands.
    pub fn answered(
        &mut self,
        token: OfferToken,
        answer: &SessionDescription,
    ) -> Result<Outcome, AnswerRejected> {
        if self.state != State::LocalOffer(token.serial) {
            return Err(AnswerRejected::Stale);
        }
        self.state = State::Stable;
        // Threats I2.
        if answer.media().len() != token.media.len() {
            return Err(AnswerRejected::MediaCount {
                offered: token.media.len(),
                answered: answer.media().len(),
            });
        }
        for (medium, (planned, line)) in token.media.iter().zip(answer.media()).enumerate() {
            let same = line.media().eq_ignore_ascii_case(&planned.line.media)
                && line.proto().eq_ignore_ascii_case(&planned.line.proto);
            if !same {
                return Err(AnswerRejected::OtherMedium { medium });
            }
        }
        let findings = self.judge_origin(answer).map_err(AnswerRejected::Origin)?;
        let mut outcome = Outcome { media: Vec::new(), findings };
        let mut slots = Vec::with_capacity(token.media.len());
        for (index, (planned, line)) in token.media.into_iter().zip(answer.media()).enumerate() {
            let agreed = read_answer(planned.local.as_ref(), answer, line);
            let local = planned.local.filter(|_| !matches!(agreed, Agreed::Off(_)));
            self.settle(&mut slots, &mut outcome, index, Slot { line: planned.line, local, agreed });
        }
        self.slots = slots;
        self.standing = Some(answer.to_bytes());
        Ok(outcome)
    }

    /// Takes our offer back: the request that carried it was refused or its answer never came. The session before it
    /// stands (RFC 3264 §8, RFC 6337 §5.2.5: the next version is one more than that of the offer nevertheless).
    ///
    /// # Errors
    /// The token is of another offer.
    pub fn rollback(&mut self, token: OfferToken) -> Result<(), AnswerRejected> {
        if self.state != State::LocalOffer(token.serial) {
            return Err(AnswerRejected::Stale);
        }
        self.state = State::Stable;
        Ok(())
    }

    /// For another early dialog of the same request: a session of its own that waits for its own answer.
    pub fn fork(&self, token: &OfferToken) -> (MediaSession, OfferToken) {
        (self.clone(), OfferToken { serial: token.serial, media: token.media.clone() })
    }

    /// Takes an offer of the far side.
    ///
    /// # Errors
    /// It crosses an exchange that is under way, or it is none that may follow on what was agreed;
    /// [`OfferFault::status`] is what the request deserves.
    pub fn receive_offer(&mut self, offer: &SessionDescription) -> Result<ReceivedOffer, OfferFault> {
        match self.state {
            State::LocalOffer(_) => return Err(OfferFault::Glare),
            State::RemoteOffer(_) => return Err(OfferFault::Unanswered),
            State::Stable => {}
        }
        // Threats I1: media never go away.
        if offer.media().len() < self.slots.len() {
            return Err(OfferFault::FewerMedia { before: self.slots.len(), now: offer.media().len() });
        }
        let findings = self.judge_origin(offer).map_err(OfferFault::Origin)?;
        let media = offer
            .media()
            .iter()
            .map(|media| OfferedMedium { line: SlotLine::of(media), content: read_offered(offer, media) });
        let text = offer.to_bytes();
        let timing = timing(offer);
        let media = media.collect();
        let refresh = self.standing.as_ref() == Some(&text);
        let serial = self.next_serial();
        self.state = State::RemoteOffer(serial);
        Ok(ReceivedOffer { serial, media, text, timing, findings, refresh })
    }

    /// What stands of our side, medium by medium, for the answer to an offer: what was on before and is offered again,
    /// in the role that it has.
    #[must_use]
    pub fn standing(&self, offer: &ReceivedOffer) -> Vec<Option<LocalMedium>> {
        let of = |(index, medium): (usize, &OfferedMedium)| {
            let slot = self.slots.get(index)?;
            let same_kind = slot.line.media.eq_ignore_ascii_case(&medium.line.media)
                && slot.line.proto.eq_ignore_ascii_case(&medium.line.proto);
            let offered = matches!(medium.content, OfferedContent::Msrp(_) | OfferedContent::Other(_));
            let local = slot.local.clone().filter(|_| same_kind && offered)?;
            Some(local.for_answer(&slot.agreed))
        };
        offer.media.iter().enumerate().map(of).collect()
    }

    /// Answers: to every medium of the offer what we want of it, or `None` to refuse it. A medium that does not fit is
    /// refused and says why in the outcome, as long as another one is accepted.
    ///
    /// # Errors
    /// Nothing can be accepted, with the reason for each medium, or `media` is not what an answer can be. The offer is
    /// given back: it waits for another answer, or for [`refuse`](Self::refuse).
    pub fn answer(
        &mut self,
        offer: ReceivedOffer,
        media: Vec<Option<LocalMedium>>,
    ) -> Result<(SessionDescription, Outcome), Unanswered> {
        if self.state != State::RemoteOffer(offer.serial) {
            return Err(Unanswered::new(offer, WhyUnanswered::Stale));
        }
        if media.len() != offer.media.len() {
            return Err(Unanswered::new(offer, WhyUnanswered::Count));
        }
        let mut body = String::new();
        let mut slots = Vec::with_capacity(media.len());
        let mut outcome = Outcome { media: Vec::new(), findings: offer.findings.clone() };
        let mut refusals = Vec::new();
        let wanted = offer.media.iter().any(|m| !matches!(m.content, OfferedContent::Disabled));
        for (index, (offered, local)) in offer.media.iter().zip(media).enumerate() {
            let (agreed, local) = answer_medium(offered, local, &mut body, self.settings.address);
            if let Agreed::Off(Off::RefusedByUs(reason)) = &agreed {
                refusals.push((index, *reason));
            }
            self.settle(&mut slots, &mut outcome, index, Slot { line: offered.line.clone(), local, agreed });
        }
        if wanted && slots.iter().all(|slot| matches!(slot.agreed, Agreed::Off(_))) {
            return Err(Unanswered::new(offer, WhyUnanswered::Refused(refusals)));
        }
        match self.describe(&offer.timing, body) {
            Ok((description, sent)) => {
                self.take(offer, slots, sent);
                Ok((description, outcome))
            }
            Err(_) => Err(Unanswered::new(offer, WhyUnanswered::Ours)),
        }
    }

    /// Answers that nothing is wanted: every medium with port 0. For an offer that came where it cannot be refused
    /// with a status code: in a 2xx, a PRACK or a 1xx (RFC 6337 §5.2.4).
    ///
    /// # Errors
    /// The offer is of another exchange; it is given back.
    pub fn answer_nothing(&mut self, offer: ReceivedOffer) -> Result<SessionDescription, Unanswered> {
        if self.state != State::RemoteOffer(offer.serial) {
            return Err(Unanswered::new(offer, WhyUnanswered::Stale));
        }
        let mut body = String::new();
        let mut slots = Vec::with_capacity(offer.media.len());
        for offered in &offer.media {
            offered.line.write_refused(&mut body);
            let agreed = Agreed::Off(Off::RefusedByUs(Refusal::Declined));
            slots.push(Slot { line: offered.line.clone(), local: None, agreed });
        }
        match self.describe(&offer.timing, body) {
            Ok((description, sent)) => {
                self.take(offer, slots, sent);
                Ok(description)
            }
            Err(_) => Err(Unanswered::new(offer, WhyUnanswered::Ours)),
        }
    }

    /// The request that carried the offer is refused: the session before it stands.
    ///
    /// # Errors
    /// The offer is of another exchange; it is given back.
    pub fn refuse(&mut self, offer: ReceivedOffer) -> Result<(), Unanswered> {
        if self.state != State::RemoteOffer(offer.serial) {
            return Err(Unanswered::new(offer, WhyUnanswered::Stale));
        }
        self.state = State::Stable;
        Ok(())
    }

    fn next_serial(&mut self) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    fn take(&mut self, offer: ReceivedOffer, slots: Vec<Slot>, sent: Sent) {
        self.state = State::Stable;
        self.slots = slots;
        self.sent = Some(sent);
        self.standing = Some(offer.text);
    }

    fn settle(&self, slots: &mut Vec<Slot>, outcome: &mut Outcome, index: usize, slot: Slot) {
        let before = self.slots.get(index);
        let change = compare_agreed(
            before.map(|slot| (&slot.agreed, slot.local.as_ref())),
            (&slot.agreed, slot.local.as_ref()),
        );
        outcome.media.push(MediumOutcome { agreed: slot.agreed.clone(), change });
        slots.push(slot);
    }

    /// The description around these media, with the version that it has to have: that of the last one when nothing
    /// else changes, else one more (RFC 3264 §8).
    fn describe(&self, timing: &str, media: String) -> Result<(SessionDescription, Sent), OfferError> {
        let mut body = String::from(timing);
        body.push_str("\r\n");
        body.push_str(&media);
        let version = match &self.sent {
            None => self.settings.ids.version,
            Some(sent) if sent.body == body => sent.version,
            Some(sent) => sent.version.saturating_add(1),
        };
        let ids = SessionIds { version, ..self.settings.ids };
        let mut text = session_part(&ids, self.settings.address, timing);
        text.push_str(&media);
        let description = own_description(&text).map_err(|error| OfferError::Medium { medium: 0, error })?;
        Ok((description, Sent { version, body }))
    }

    /// RFC 3264 §8, RFC 6337 §5.2.5.
    fn judge_origin(&mut self, now: &SessionDescription) -> Result<Vec<OriginFinding>, OriginFinding> {
        let peer = Peer { origin: now.origin(), text: now.to_bytes() };
        let Some(before) = self.heard.clone() else {
            self.heard = Some(peer);
            return Ok(Vec::new());
        };
        let mut findings = Vec::new();
        let origin = now.origin();
        let same = (&origin.username, &origin.session_id, &origin.address)
            == (&before.origin.username, &before.origin.session_id, &before.origin.address);
        if !same {
            if !self.settings.leniency.changed_origin {
                return Err(OriginFinding::Changed);
            }
            findings.push(OriginFinding::Changed);
        }
        self.heard = Some(peer);
        let number = |origin: &Origin| origin.version.parse::<u128>().ok();
        let odd = match (number(&before.origin), number(&origin)) {
            (Some(old), Some(new)) if old == new => {
                (before.text != now.to_bytes()).then_some(OriginFinding::VersionStands)
            }
            (Some(old), Some(new)) if new < old => Some(OriginFinding::VersionBack),
            (Some(old), Some(new)) if old.checked_add(1) != Some(new) => Some(OriginFinding::VersionSkips),
            _ => None,
        };
        if let Some(odd) = odd.filter(|_| same) {
            if !self.settings.leniency.odd_version {
                return Err(odd);
            }
            findings.push(odd);
        }
        Ok(findings)
    }
}

fn read_offered(offer: &SessionDescription, media: &crate::Media) -> OfferedContent {
    match media.port() {
        Some(0) => OfferedContent::Disabled,
        None => OfferedContent::Unusable(Refusal::Medium(crate::MediumFault::Port)),
        Some(_) if PeerMedia::transport_of(media).is_some() => match PeerMedia::read(offer, media) {
            Ok(peer) => OfferedContent::Msrp(Box::new(OfferedMsrp::new(peer))),
            Err(fault) => OfferedContent::Unusable(Refusal::Medium(fault)),
        },
        // Threats I1: who sends something needs to be somewhere.
        Some(port) => match other_agreed(offer, media, port) {
            Some(other) => OfferedContent::Other(Box::new(other)),
            None => OfferedContent::Unusable(Refusal::Medium(crate::MediumFault::Connection)),
        },
    }
}

/// What we say to one medium, and what comes of it.
fn answer_medium(
    offered: &OfferedMedium,
    local: Option<LocalMedium>,
    body: &mut String,
    address: IpAddr,
) -> (Agreed, Option<LocalMedium>) {
    let outcome = match (&offered.content, local) {
        (OfferedContent::Disabled, _) => Err(None),
        (OfferedContent::Unusable(refusal), _) => Err(Some(*refusal)),
        (_, None) => Err(Some(Refusal::Declined)),
        (OfferedContent::Msrp(msrp), Some(LocalMedium::Msrp(wished))) => {
            negotiate::answer(&wished, msrp.peer().clone()).map_err(Some).map(|(ours, negotiated)| {
                ours.write(body, address);
                (Agreed::Msrp(Box::new(negotiated)), LocalMedium::Msrp(wished))
            })
        }
        (OfferedContent::Other(theirs), Some(LocalMedium::Other(wished))) => {
            wished.answer(theirs).map_err(Some).map(|(ours, agreed)| {
                ours.write(body, address);
                (Agreed::Other(Box::new(agreed)), LocalMedium::Other(wished))
            })
        }
        (_, Some(_)) => Err(Some(Refusal::OtherMedium)),
    };
    match outcome {
        Ok((agreed, local)) => (agreed, Some(local)),
        Err(reason) => {
            offered.line.write_refused(body);
            (Agreed::Off(reason.map_or(Off::Disabled, Off::RefusedByUs)), None)
        }
    }
}

/// What the far side's answer to one medium means.
fn read_answer(local: Option<&LocalMedium>, answer: &SessionDescription, line: &crate::Media) -> Agreed {
    let Some(local) = local else { return Agreed::Off(Off::Disabled) };
    match (line.port(), local) {
        (Some(0), _) => Agreed::Off(Off::RefusedByPeer),
        (None, _) => Agreed::Off(Off::Unusable(AnswerError::Medium(crate::MediumFault::Port))),
        (Some(_), LocalMedium::Msrp(ours)) => {
            let read = PeerMedia::read(answer, line).map_err(AnswerError::Medium);
            match read.and_then(|peer| negotiate::answered(ours, peer)) {
                Ok(negotiated) => Agreed::Msrp(Box::new(negotiated)),
                Err(error) => Agreed::Off(Off::Unusable(error)),
            }
        }
        (Some(port), LocalMedium::Other(ours)) => match other_agreed(answer, line, port) {
            Some(mut theirs) => {
                theirs.direction = theirs.direction.mirrored().and(ours.direction);
                Agreed::Other(Box::new(theirs))
            }
            None => Agreed::Off(Off::Unusable(AnswerError::Medium(crate::MediumFault::Connection))),
        },
    }
}

#[cfg(test)]
mod tests;
