//! What we can do, said of no medium in particular (RFC 3264 §9).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{OfferedContent, OfferedMedium};
use crate::description::SessionDescription;
use crate::exchange::{SessionIds, own_description, session_part};
use crate::media::{MediaError, MsrpTransport, accepts};
use crate::negotiate::Refusal;

/// What an answerer takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Transports of MSRP; none: no MSRP.
    pub msrp: Vec<MsrpTransport>,
    /// Whole messages.
    pub accept_types: Vec<String>,
    /// What is inside of them.
    pub accept_wrapped_types: Vec<String>,
    /// Whether transfers of files are taken (RFC 5547).
    pub files: bool,
    /// The longest message or file, in octets; `None`: any.
    pub max_size: Option<u64>,
    /// Other media.
    pub others: Vec<FormatCapability>,
}

/// A medium other than MSRP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatCapability {
    /// `audio`, `video`…
    pub media: String,
    /// `RTP/AVP`…
    pub proto: String,
    /// Its formats.
    pub formats: Vec<String>,
}

impl Capabilities {
    /// Whether a medium can be taken.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, medium: &OfferedMedium) -> Result<(), Refusal> {
        match medium.content() {
            OfferedContent::Disabled => Err(Refusal::Declined),
            OfferedContent::Unusable(refusal) => Err(*refusal),
            OfferedContent::Msrp(msrp) => {
                if !self.msrp.contains(&msrp.transport()) {
                    return Err(Refusal::Transport);
                }
                let shares = self.accept_types.iter().any(|own| own == "*" || msrp.accepts(own))
                    || msrp.accept_types().iter().any(|theirs| accepts(&self.accept_types, theirs));
                if !shares {
                    return Err(Refusal::NoCommonType);
                }
                let file = msrp.file();
                if file.is_some_and(|file| file.is_transfer()) && !self.files {
                    return Err(Refusal::NoFiles);
                }
                // Only what comes to us has to fit.
                let size = file.and_then(|file| file.selector.size).filter(|_| msrp.direction().sends());
                match (size, self.max_size) {
                    (Some(size), Some(max)) if size > max => Err(Refusal::TooLarge),
                    _ => Ok(()),
                }
            }
            OfferedContent::Other(other) => {
                let same = |own: &&FormatCapability| {
                    own.media.eq_ignore_ascii_case(&other.media)
                        && own.proto.eq_ignore_ascii_case(&other.proto)
                };
                let mut same = self.others.iter().filter(same).peekable();
                if same.peek().is_none() {
                    return Err(Refusal::OtherMedium);
                }
                let shared = same.any(|own| own.formats.iter().any(|format| other.formats.contains(format)));
                shared.then_some(()).ok_or(Refusal::NoCommonFormat)
            }
        }
    }

    /// A description of what we can do, for a 488 or for the answer to OPTIONS: every medium with port 0.
    ///
    /// # Errors
    /// Something in it cannot be written.
    pub fn describe(&self, ids: &SessionIds, address: IpAddr) -> Result<SessionDescription, MediaError> {
        let mut text = session_part(ids, address, "0 0");
        for transport in &self.msrp {
            text.push_str(&format!("m=message 0 {} *\r\n", transport.as_str()));
            for (name, list) in
                [("accept-types", &self.accept_types), ("accept-wrapped-types", &self.accept_wrapped_types)]
            {
                if !list.is_empty() {
                    text.push_str(&format!("a={name}:{}\r\n", list.join(" ")));
                }
            }
            if let Some(size) = self.max_size {
                text.push_str(&format!("a=max-size:{size}\r\n"));
            }
            // RFC 5547 §8.5: without a selector it says that files are understood.
            if self.files {
                text.push_str("a=file-selector\r\n");
            }
        }
        for other in &self.others {
            text.push_str(&format!("m={} 0 {} {}\r\n", other.media, other.proto, other.formats.join(" ")));
        }
        own_description(&text)
    }
}
