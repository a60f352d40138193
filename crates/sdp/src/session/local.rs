//! What our side says of a medium.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::outcome::{Agreed, OtherAgreed};
use crate::description::Media;
use crate::grammar::{is_text, is_token};
use crate::media::{Direction, MediaError, MsrpMedia, Setup};
use crate::negotiate::{Refusal, Role};

/// A medium as we want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalMedium {
    /// MSRP.
    Msrp(Box<MsrpMedia>),
    /// Another medium: RTP and whatever there is.
    Other(Box<OtherMedia>),
}

impl From<MsrpMedia> for LocalMedium {
    fn from(media: MsrpMedia) -> Self {
        LocalMedium::Msrp(Box::new(media))
    }
}

impl From<OtherMedia> for LocalMedium {
    fn from(media: OtherMedia) -> Self {
        LocalMedium::Other(Box::new(media))
    }
}

/// A medium that is not MSRP: the lines are the application's, the exchange is ours (RFC 3264 §5.1, §6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherMedia {
    /// `audio`, `video`…
    pub media: String,
    /// Not 0: a medium that is not wanted is none.
    pub port: u16,
    /// `RTP/AVP`…
    pub proto: String,
    /// 1 to 32 formats. In an answer those count that were offered too.
    pub formats: Vec<String>,
    /// Our address, where it is not the session's.
    pub address: Option<IpAddr>,
    /// Which ways it goes, seen from us.
    pub direction: Direction,
    /// Lines with their letters, `i=`, `b=`, `k=` and `a=` alone, without a direction. In an answer an `a=rtpmap` or
    /// `a=fmtp` of a format that was not offered is left out.
    pub lines: Vec<String>,
}

impl LocalMedium {
    /// Whether it can be offered.
    pub(super) fn check_offer(&self) -> Result<(), MediaError> {
        match self {
            LocalMedium::Msrp(media) if media.setup == Setup::Passive => Err(MediaError::PassiveOffer),
            LocalMedium::Msrp(media) => media.validate(),
            LocalMedium::Other(media) => media.validate(),
        }
    }

    pub(super) fn write(&self, out: &mut String, session: IpAddr) {
        match self {
            LocalMedium::Msrp(media) => media.write(out, session),
            LocalMedium::Other(media) => media.write(out, session),
        }
    }

    /// The same with another direction.
    #[must_use]
    pub fn with_direction(mut self, direction: Direction) -> LocalMedium {
        match &mut self {
            LocalMedium::Msrp(media) => media.direction = direction,
            LocalMedium::Other(media) => media.direction = direction,
        }
        self
    }

    /// Which ways it goes, seen from us.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self {
            LocalMedium::Msrp(media) => media.direction,
            LocalMedium::Other(media) => media.direction,
        }
    }

    pub(super) fn for_offer(mut self) -> LocalMedium {
        if let LocalMedium::Msrp(media) = &mut self {
            media.setup = if media.port == 9 { Setup::Active } else { Setup::ActPass };
        }
        self
    }

    /// A connection that stands keeps its roles.
    pub(super) fn for_answer(mut self, agreed: &Agreed) -> LocalMedium {
        if let (LocalMedium::Msrp(media), Agreed::Msrp(negotiated)) = (&mut self, agreed) {
            media.setup = match negotiated.role {
                Role::Active => Setup::Active,
                Role::Passive => Setup::Passive,
            };
        }
        self
    }

    pub(super) fn line(&self) -> SlotLine {
        match self {
            LocalMedium::Msrp(media) => SlotLine {
                media: "message".to_string(),
                proto: media.transport.as_str().to_string(),
                formats: "*".to_string(),
            },
            LocalMedium::Other(media) => SlotLine {
                media: media.media.clone(),
                proto: media.proto.clone(),
                formats: media.formats.join(" "),
            },
        }
    }
}

impl OtherMedia {
    fn validate(&self) -> Result<(), MediaError> {
        let names = is_token(&self.media) && self.proto.split('/').all(is_token) && self.port != 0;
        let formats = (1..=32).contains(&self.formats.len()) && self.formats.iter().all(|f| is_token(f));
        let line = |line: &String| {
            let typed = line.as_bytes().split_first().and_then(|(kind, rest)| {
                matches!(kind, b'i' | b'b' | b'k' | b'a').then_some(())?;
                crate::Line::read(*kind, rest.strip_prefix(b"=")?)
            });
            let direction =
                matches!(line.as_str(), "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive");
            is_text(line) && typed.is_some() && !direction
        };
        let lines = self.lines.len() < 64 && self.lines.iter().all(line);
        (names && formats && lines).then_some(()).ok_or(MediaError::Lines)
    }

    pub(super) fn write(&self, out: &mut String, session: IpAddr) {
        out.push_str(&format!(
            "m={} {} {} {}\r\n",
            self.media,
            self.port,
            self.proto,
            self.formats.join(" ")
        ));
        let first = |letter| self.lines.iter().filter(move |line| line.starts_with(letter));
        let mut lines: Vec<String> = first('i').cloned().collect();
        if let Some(address) = self.address.filter(|address| *address != session) {
            lines.push(format!("c={}", crate::media::connection_text(address)));
        }
        lines.extend(first('b').chain(first('k')).chain(first('a')).cloned());
        lines.push(format!("a={}", self.direction.as_str()));
        for line in lines {
            out.push_str(&line);
            out.push_str("\r\n");
        }
    }

    /// What we say to an offer: the formats that both have, in the order of the offer (RFC 3264 §6.1).
    pub(super) fn answer(&self, theirs: &OtherAgreed) -> Result<(OtherMedia, OtherAgreed), Refusal> {
        self.validate().map_err(Refusal::Ours)?;
        let same =
            self.media.eq_ignore_ascii_case(&theirs.media) && self.proto.eq_ignore_ascii_case(&theirs.proto);
        if !same {
            return Err(Refusal::OtherMedium);
        }
        let formats: Vec<String> =
            theirs.formats.iter().filter(|format| self.formats.contains(format)).cloned().collect();
        if formats.is_empty() {
            return Err(Refusal::NoCommonFormat);
        }
        let direction = theirs.direction.mirrored().and(self.direction);
        let of_a_format = |line: &&String| {
            let value = line.strip_prefix("a=rtpmap:").or_else(|| line.strip_prefix("a=fmtp:"));
            value.is_none_or(|v| formats.iter().any(|format| v.split(' ').next() == Some(format)))
        };
        let lines = self.lines.iter().filter(of_a_format).cloned().collect();
        let agreed = OtherAgreed { formats: formats.clone(), direction, ..theirs.clone() };
        Ok((OtherMedia { formats, direction, lines, ..self.clone() }, agreed))
    }
}

/// What is repeated of an `m=` line that is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotLine {
    pub(super) media: String,
    pub(super) proto: String,
    pub(super) formats: String,
}

impl SlotLine {
    pub(crate) fn of(media: &Media) -> SlotLine {
        SlotLine {
            media: media.media().to_string(),
            proto: media.proto().to_string(),
            formats: media.formats().to_string(),
        }
    }

    /// RFC 3264 §6: a refused medium has port 0 and repeats the rest of its line.
    pub(crate) fn write_refused(&self, out: &mut String) {
        out.push_str(&format!("m={} 0 {} {}\r\n", self.media, self.proto, self.formats));
    }
}
