//! An MSRP medium: what one side says of itself, and how the other side reads it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write;
use core::net::IpAddr;

use crate::attribute::{Chatroom, FileDescription, TypedAttribute};
use crate::description::{Attribute, Media, SessionDescription};
use crate::grammar::{self, Authority, Host};

/// How MSRP travels: the protocol of the `m=` line (RFC 4975 §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MsrpTransport {
    /// `TCP/MSRP`.
    Tcp,
    /// `TCP/TLS/MSRP`.
    Tls,
}

impl MsrpTransport {
    /// As the `m=` line writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MsrpTransport::Tcp => "TCP/MSRP",
            MsrpTransport::Tls => "TCP/TLS/MSRP",
        }
    }

    fn read(proto: &str) -> Option<Self> {
        [MsrpTransport::Tcp, MsrpTransport::Tls].into_iter().find(|t| proto.eq_ignore_ascii_case(t.as_str()))
    }
}

/// Which ways messages go, seen from the side that says it (RFC 4975 §8.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// Only out.
    SendOnly,
    /// Only in.
    RecvOnly,
    /// No way.
    Inactive,
}

impl Direction {
    /// As the attribute is called.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// What a description says of a medium, there or for all of its media; both ways where it says nothing.
    pub(crate) fn of(session: &SessionDescription, media: &Media) -> Self {
        let named = |attribute: Attribute<'_>| {
            [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
                .into_iter()
                .find(|direction| direction.as_str() == attribute.name)
        };
        media.attributes().chain(session.attributes()).find_map(named).unwrap_or_default()
    }

    /// The same, seen from the other side.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            other => other,
        }
    }

    /// Only the ways that both have.
    #[must_use]
    pub const fn and(self, other: Direction) -> Self {
        match (self.sends() && other.sends(), self.receives() && other.receives()) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether this side sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether this side receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

/// `a=setup` (RFC 4145 §4, RFC 6135 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// This side connects.
    Active,
    /// This side listens.
    Passive,
    /// The answerer chooses.
    ActPass,
    /// No connection for now: never sent for MSRP, and taken there as if nothing stood there (RFC 6135 §4.2.1).
    HoldConn,
}

impl Setup {
    /// As the attribute writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
            Setup::HoldConn => "holdconn",
        }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        [Setup::Active, Setup::Passive, Setup::ActPass, Setup::HoldConn]
            .into_iter()
            .find(|s| text.eq_ignore_ascii_case(s.as_str()))
    }
}

/// What our side says of one MSRP medium, in an offer or in an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct MsrpMedia {
    /// TCP or TLS.
    pub transport: MsrpTransport,
    /// Where we can be reached (`c=`).
    pub address: IpAddr,
    /// The port (`m=`): the one of `path`, or 9 where we never listen (RFC 6135 §4.2.2).
    pub port: u16,
    /// Our MSRP URI; nobody may guess it.
    pub path: String,
    /// What we take as a whole message: `message/cpim`, `text/*`, `*`… 1 to 64 entries.
    pub accept_types: Vec<String>,
    /// What we take inside of such messages besides (see [`wrapped_types`]); up to 64 entries, none: no attribute.
    pub accept_wrapped_types: Vec<String>,
    /// In an offer `ActPass` (or `Active`, where we cannot be reached); in an answer the wish: `Active` or `Passive`.
    pub setup: Setup,
    /// Whether to use connection establishment for media anchoring (RFC 6714).
    pub cema: bool,
    /// Whether to work with a far side of CPM 1.0 or SIMPLE IM that does not know `msrp-cema` (TS 5.2.1.4).
    pub legacy: bool,
    /// Which ways messages shall go, seen from us.
    pub direction: Direction,
    /// The file of this medium (RFC 5547), or the size of the message to come (TS 7.2.1.2-18.e).
    pub file: Option<FileDescription>,
    /// What the chat room can do, and whether the group is closed (RFC 7701, TS 7.3.1.2-13).
    pub chatroom: Option<Chatroom>,
    /// `a=max-size`: the longest message, in octets, that we want to get.
    pub max_size: Option<u64>,
    /// `a=max-chunk-size` in units of 1024 octets, at least 100 (TS 5.2.1.1, C.1.8).
    pub max_chunk_size_kb: Option<u32>,
}

impl fmt::Debug for MsrpMedia {
    /// Says nothing of the path: who knows it can bind the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MsrpMedia")
            .field("transport", &self.transport)
            .field("address", &self.address)
            .field("port", &self.port)
            .field("accept_types", &self.accept_types)
            .field("accept_wrapped_types", &self.accept_wrapped_types)
            .field("setup", &self.setup)
            .field("cema", &self.cema)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

/// What is wrong with an [`MsrpMedia`]: the caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaError {
    /// The path is not one MSRP URI with an explicit port, or not of the transport's scheme.
    Path,
    /// The path names another address or port than the medium, though we offer to listen there.
    PathElsewhere,
    /// No accepted type, too many, or one that is no media type.
    Types,
    /// An offer never says `passive` (RFC 6135 §4.2.2).
    PassiveOffer,
    /// A chunk size below 100 KB is never proposed (TS 5.2.1.1).
    ChunkSize,
    /// `holdconn` is never said of MSRP (RFC 6135 §4.2.1).
    HoldConn,
    /// The file cannot be described so: an empty name, one of more than 255 octets, a type with blanks…
    File,
    /// The lines of another medium are not what they can be, or its port is 0.
    Lines,
}

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MediaError::Path => "the path is not an MSRP URI with a port and of the transport's scheme",
            MediaError::PathElsewhere => "the path names another address or port than the medium",
            MediaError::Types => "the accepted types are not 1 to 64 media types of at most 128 octets",
            MediaError::PassiveOffer => "an offer cannot say that it is passive",
            MediaError::ChunkSize => "a chunk size below 100 KB is never proposed",
            MediaError::HoldConn => "holdconn is never said of MSRP",
            MediaError::File => "the file cannot be described so",
            MediaError::Lines => "the medium has a line that it cannot have, or port 0",
        })
    }
}

impl core::error::Error for MediaError {}

impl MsrpMedia {
    /// A medium that takes message/cpim, offers `actpass`, both directions and `msrp-cema`, and says nothing else.
    #[must_use]
    pub fn new(transport: MsrpTransport, address: IpAddr, port: u16, path: String) -> MsrpMedia {
        MsrpMedia {
            transport,
            address,
            port,
            path,
            accept_types: Vec::from([String::from("message/cpim")]),
            accept_wrapped_types: Vec::new(),
            setup: Setup::ActPass,
            cema: true,
            legacy: false,
            direction: Direction::SendRecv,
            file: None,
            chatroom: None,
            max_size: None,
            max_chunk_size_kb: None,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), MediaError> {
        let authority = grammar::msrp_authority(&self.path).ok_or(MediaError::Path)?;
        if self.path.len() > 1024 || authority.secure != (self.transport == MsrpTransport::Tls) {
            return Err(MediaError::Path);
        }
        let elsewhere =
            authority.port != self.port || authority.host.same(&Host::Ip(self.address)) == Some(false);
        if self.setup != Setup::Active && elsewhere {
            return Err(MediaError::PathElsewhere);
        }
        let types = |list: &[String]| {
            list.len() <= 64 && list.iter().all(|entry| entry.len() <= 128 && grammar::is_type_entry(entry))
        };
        if self.accept_types.is_empty() || !types(&self.accept_types) || !types(&self.accept_wrapped_types) {
            return Err(MediaError::Types);
        }
        if self.max_chunk_size_kb.is_some_and(|kb| kb < 100) {
            return Err(MediaError::ChunkSize);
        }
        if self.setup == Setup::HoldConn {
            return Err(MediaError::HoldConn);
        }
        if self.file.as_ref().is_some_and(|file| !file.is_writable()) {
            return Err(MediaError::File);
        }
        Ok(())
    }

    /// The `m=` line, `c=` where it is not the session's, and the attributes. `a=connection` is not among them
    /// (RFC 6135 §4.4).
    pub(crate) fn write(&self, out: &mut String, session: IpAddr) {
        let mut line = |name: &str, value: &dyn fmt::Display| {
            let _ = write!(out, "{name}{value}\r\n");
        };
        line("m=message ", &format_args!("{} {} *", self.port, self.transport.as_str()));
        if self.address != session {
            line("c=", &connection_text(self.address));
        }
        line("a=accept-types:", &self.accept_types.join(" "));
        if !self.accept_wrapped_types.is_empty() {
            line("a=accept-wrapped-types:", &self.accept_wrapped_types.join(" "));
        }
        line("a=", &self.direction.as_str());
        line("a=setup:", &self.setup.as_str());
        line("a=path:", &self.path);
        if self.cema {
            line("a=msrp-cema", &"");
        }
        for attribute in self.file.iter().flat_map(FileDescription::attributes) {
            line("a=", &attribute);
        }
        if let Some(chatroom) = &self.chatroom {
            line("a=", &TypedAttribute::Chatroom(chatroom.clone()));
        }
        if let Some(size) = self.max_size {
            line("a=max-size:", &size);
        }
        if let Some(size) = self.max_chunk_size_kb {
            line("a=max-chunk-size:", &size);
        }
    }
}

/// What stands behind `c=` for an address.
pub(crate) fn connection_text(address: IpAddr) -> String {
    alloc::format!("IN {} {address}", if address.is_ipv4() { "IP4" } else { "IP6" })
}

/// A list for `accept_wrapped_types`: what is consumed, each once, in this order, and `message/imdn+xml` when
/// notifications are wanted (TS 5.2.1.1, RFC 5438: peers that do not find it there send none).
#[must_use]
pub fn wrapped_types(consumed: &[&str], notifications: bool) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for entry in consumed.iter().copied().chain(notifications.then_some("message/imdn+xml")) {
        if !list.iter().any(|known| known.eq_ignore_ascii_case(entry)) {
            list.push(entry.to_string());
        }
    }
    list
}

/// Whether a list of `a=accept-types` or `a=accept-wrapped-types` lets this media type through: by name, by `type/*`
/// or by `*`; letter case and parameters do not count (RFC 4975 §8.6).
#[must_use]
pub fn accepts(list: &[String], media_type: &str) -> bool {
    let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let wanted = essence(media_type);
    let family = wanted.split_once('/').map(|(family, _)| family);
    list.iter().map(|entry| essence(entry)).any(|entry| {
        entry == "*" || entry == wanted || (entry.strip_suffix("/*").is_some_and(|f| Some(f) == family))
    })
}

/// What a description says of its MSRP medium.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PeerMedia {
    pub(crate) transport: MsrpTransport,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) path: Vec<String>,
    /// Where the first URI of the path points to.
    pub(crate) first: (Host, u16),
    pub(crate) accept_types: Vec<String>,
    pub(crate) accept_wrapped_types: Vec<String>,
    pub(crate) setup: Option<Setup>,
    pub(crate) cema: bool,
    pub(crate) direction: Direction,
    pub(crate) file: Option<FileDescription>,
    pub(crate) chatroom: Option<Chatroom>,
    pub(crate) max_size: Option<u64>,
    pub(crate) max_chunk_size_kb: Option<u64>,
}

/// What is wrong with a peer's MSRP medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediumFault {
    /// The port is no port number.
    Port,
    /// There is no `a=path`, or it holds no MSRP URIs with explicit ports, or its scheme is not the transport's.
    Path,
    /// There is no `a=accept-types`, or an entry is no media type.
    AcceptTypes,
    /// `a=file-selector` does not follow its grammar: its size is no number of octets, a selector stands twice…
    FileSelector,
    /// `a=file-transfer-id` or `a=file-range` does not follow its grammar.
    File,
    /// Neither the medium nor the session has a `c=` line that can be read.
    Connection,
}

impl fmt::Display for MediumFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MediumFault::Port => "its port is no port number",
            MediumFault::Path => "it has no usable a=path",
            MediumFault::AcceptTypes => "it has no usable a=accept-types",
            MediumFault::FileSelector => "its a=file-selector cannot be read",
            MediumFault::File => "its a=file-transfer-id or a=file-range cannot be read",
            MediumFault::Connection => "it has no usable c= line",
        })
    }
}

impl PeerMedia {
    /// Whether an `m=` line speaks of MSRP at all.
    pub(crate) fn transport_of(media: &Media) -> Option<MsrpTransport> {
        media.media().eq_ignore_ascii_case("message").then(|| MsrpTransport::read(media.proto())).flatten()
    }

    pub(crate) fn read(session: &SessionDescription, media: &Media) -> Result<PeerMedia, MediumFault> {
        let transport = Self::transport_of(media).ok_or(MediumFault::Port)?;
        let port = media.port().ok_or(MediumFault::Port)?;
        let (path, first) = read_path(media, transport)?;
        let accept_types = type_list(media, "accept-types")?.ok_or(MediumFault::AcceptTypes)?;
        let accept_wrapped_types = type_list(media, "accept-wrapped-types")?.unwrap_or_default();
        let (file, chatroom) = read_file_and_chatroom(media)?;
        // Attributes of the session hold for a medium that does not say otherwise (RFC 8866 §5.13).
        let both = || media.attributes().chain(session.attributes());
        let number = |name| text_of(media, name).and_then(grammar::decimal);
        Ok(PeerMedia {
            transport,
            // Threats I1: who takes part is somewhere.
            host: media.connection().or_else(|| session.connection()).ok_or(MediumFault::Connection)?,
            port,
            path,
            first: (first.host, first.port),
            accept_types,
            accept_wrapped_types,
            setup: both()
                .find(|a| a.name == "setup")
                .and_then(|a| Setup::read(a.text()?))
                .filter(|setup| *setup != Setup::HoldConn),
            cema: media.attribute("msrp-cema").is_some(),
            direction: Direction::of(session, media),
            file,
            chatroom,
            max_size: number("max-size"),
            // req: C.4-abnf
            // Zero octets would forbid every chunk: as if absent. Blanks around the colon: readings D5.
            max_chunk_size_kb: number("max-chunk-size").filter(|kb| *kb > 0),
        })
    }

    /// Whether `c=` and `m=` say the same as the first URI of the path (RFC 6714 §4.4); `None` when names would have
    /// to be resolved first.
    pub(crate) fn addresses_agree(&self) -> Option<bool> {
        let (host, port) = &self.first;
        if *port != self.port { Some(false) } else { host.same(&self.host) }
    }

    /// Whether the far side uses a relay (more than one URI in its path, RFC 4975 §8.3).
    pub(crate) fn relayed(&self) -> bool {
        self.path.len() > 1
    }
}

fn text_of<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    media.attribute(name).as_ref().and_then(Attribute::text)
}

/// The attributes of a file and of a chat room. Those that are mere hints do not count where they cannot be read.
fn read_file_and_chatroom(media: &Media) -> Result<(Option<FileDescription>, Option<Chatroom>), MediumFault> {
    let mut file: Option<FileDescription> = None;
    let mut chatroom = None;
    for attribute in media.attributes() {
        match attribute.typed() {
            Ok(Some(TypedAttribute::Chatroom(read))) => chatroom = chatroom.or(Some(read)),
            Ok(Some(read)) if read.name().starts_with("file-") => {
                file.get_or_insert_default().take(read);
            }
            Err(error) if error.name == "file-selector" => return Err(MediumFault::FileSelector),
            Err(error) if matches!(error.name, "file-transfer-id" | "file-range") => {
                return Err(MediumFault::File);
            }
            _ => {}
        }
    }
    Ok((file, chatroom))
}

fn read_path(media: &Media, transport: MsrpTransport) -> Result<(Vec<String>, Authority), MediumFault> {
    let text = text_of(media, "path").ok_or(MediumFault::Path)?;
    let path: Vec<String> = text.split(' ').filter(|uri| !uri.is_empty()).map(ToString::to_string).collect();
    if path.iter().any(|uri| grammar::msrp_authority(uri).is_none()) {
        return Err(MediumFault::Path);
    }
    let first = path.first().and_then(|uri| grammar::msrp_authority(uri)).ok_or(MediumFault::Path)?;
    if first.secure != (transport == MsrpTransport::Tls) {
        return Err(MediumFault::Path);
    }
    Ok((path, first))
}

fn type_list(media: &Media, name: &str) -> Result<Option<Vec<String>>, MediumFault> {
    let Some(text) = text_of(media, name) else { return Ok(None) };
    let list: Vec<String> = text.split(' ').filter(|e| !e.is_empty()).map(ToString::to_string).collect();
    let good = !list.is_empty() && list.iter().all(|entry| grammar::is_type_entry(entry));
    if good { Ok(Some(list)) } else { Err(MediumFault::AcceptTypes) }
}
