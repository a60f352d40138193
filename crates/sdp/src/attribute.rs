//! Attributes with a meaning: one table makes the names, the reader and the printer.

mod file;
mod rtp;
mod session;

use alloc::string::{String, ToString};
use core::fmt;

use crate::grammar::{decimal, is_text};
use crate::media::Setup;

pub use file::{FileDate, FileDescription, FileIcon, FileRange, FileSelector, Hash};
pub use rtp::{Crypto, Fingerprint, Fmtp, Number, Rtcp, RtpMap};
pub use session::{Chatroom, ConnectionUse, Group, Path, Token, Tokens, TypeList};

/// An attribute whose name is known and whose value does not follow its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeError {
    /// The name.
    pub name: &'static str,
}

impl fmt::Display for AttributeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a={} does not follow its grammar", self.name)
    }
}

impl core::error::Error for AttributeError {}

/// What an attribute's value can be: read from what stands behind the colon, and written as that.
pub(crate) trait Value: Sized {
    /// `None` stands for an attribute without a colon.
    fn read(value: Option<&str>) -> Option<Self>;
    /// `None`: the name stands alone.
    fn write(&self) -> Option<String>;
}

macro_rules! attributes {
    (
        flags { $( $(#[$flag_doc:meta])* $flag:ident = $flag_name:literal, )* }
        values { $( $(#[$doc:meta])* $variant:ident($value:ty) = $name:literal, )* }
    ) => {
        /// An attribute with a meaning. Written, it is what stands behind `a=`.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum TypedAttribute {
            $( $(#[$flag_doc])* $flag, )*
            $( $(#[$doc])* $variant($value), )*
        }

        impl TypedAttribute {
            /// Every name that is known.
            pub const NAMES: &'static [&'static str] = &[$( $flag_name, )* $( $name, )*];

            /// The name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $( TypedAttribute::$flag => $flag_name, )*
                    $( TypedAttribute::$variant(_) => $name, )*
                }
            }

            /// What stands behind the colon; `None` where there is no colon.
            #[must_use]
            pub fn value(&self) -> Option<String> {
                match self {
                    $( TypedAttribute::$flag => None, )*
                    $( TypedAttribute::$variant(value) => value.write(), )*
                }
            }

            /// Reads by name; `Ok(None)` where the name is unknown. Octets that are not UTF-8 count as unknown
            /// characters (U+FFFD), blanks around the value do not count.
            ///
            /// # Errors
            /// The value does not follow the grammar of its name.
            pub fn read(name: &str, value: Option<&[u8]>) -> Result<Option<TypedAttribute>, AttributeError> {
                let text = value.map(String::from_utf8_lossy);
                let text = text.as_deref().map(str::trim_ascii);
                Ok(Some(match name {
                    $( $flag_name if text.is_none() => TypedAttribute::$flag,
                       $flag_name => return Err(AttributeError { name: $flag_name }), )*
                    $( $name => TypedAttribute::$variant(
                           <$value as Value>::read(text).ok_or(AttributeError { name: $name })?,
                    ), )*
                    _ => return Ok(None),
                }))
            }
        }
    };
}

attributes! {
    flags {
        /// Both ways (RFC 8866 §6.7).
        SendRecv = "sendrecv",
        /// Only out.
        SendOnly = "sendonly",
        /// Only in.
        RecvOnly = "recvonly",
        /// No way.
        Inactive = "inactive",
        /// Connection establishment for media anchoring (RFC 6714).
        MsrpCema = "msrp-cema",
        /// RTP and RTCP on one port (RFC 5761).
        RtcpMux = "rtcp-mux",
    }
    values {
        /// Who connects (RFC 4145 §4, RFC 6135).
        Setup(Setup) = "setup",
        /// A new connection or one that stands (RFC 4145 §5): read, never sent for MSRP (RFC 6135 §4.4).
        Connection(ConnectionUse) = "connection",
        /// MSRP URIs (RFC 4975 §8.2).
        Path(Path) = "path",
        /// Media types of whole messages (RFC 4975 §8.6).
        AcceptTypes(TypeList) = "accept-types",
        /// Media types inside of such messages (RFC 4975 §8.6).
        AcceptWrappedTypes(TypeList) = "accept-wrapped-types",
        /// The longest message, in octets, that is wanted (RFC 4975 §8.6).
        MaxSize(u64) = "max-size",
        /// The longest chunk, in units of 1024 octets (TS C.1.8, C.4).
        MaxChunkSize(u64) = "max-chunk-size",
        /// Which file (RFC 5547 §6).
        FileSelector(FileSelector) = "file-selector",
        /// Which transfer of it (RFC 5547 §6).
        FileTransferId(Token) = "file-transfer-id",
        /// `render`, `attachment`… (RFC 5547 §7).
        FileDisposition(Token) = "file-disposition",
        /// When the file was made, changed, read (RFC 5547 §6).
        FileDate(FileDate) = "file-date",
        /// The body that holds a small picture of it (RFC 5547 §6).
        FileIcon(FileIcon) = "file-icon",
        /// Which octets of it (RFC 5547 §6).
        FileRange(FileRange) = "file-range",
        /// What a chat room can do, and CPM's closed groups (RFC 7701 §8, TS 7.3.1.2-13).
        Chatroom(Chatroom) = "chatroom",
        /// Payload type and encoding (RFC 8866 §6.6).
        RtpMap(RtpMap) = "rtpmap",
        /// Parameters of a format (RFC 8866 §6.15).
        Fmtp(Fmtp) = "fmtp",
        /// Milliseconds in a packet (RFC 8866 §6.4).
        Ptime(Number) = "ptime",
        /// Milliseconds in a packet at most (RFC 8866 §6.5).
        MaxPtime(Number) = "maxptime",
        /// Frames in a second (RFC 8866 §6.13).
        FrameRate(Number) = "framerate",
        /// Where RTCP goes (RFC 3605).
        Rtcp(Rtcp) = "rtcp",
        /// Keys of SRTP (RFC 4568).
        Crypto(Crypto) = "crypto",
        /// The hash of a certificate (RFC 8122 §5).
        Fingerprint(Fingerprint) = "fingerprint",
        /// The name of a medium (RFC 5888 §4).
        Mid(Token) = "mid",
        /// Media that belong together (RFC 5888 §5).
        Group(Group) = "group",
        /// What an application calls a medium (RFC 4574).
        Label(Token) = "label",
        /// What a medium shows: `main`, `alt`, `slides`… (RFC 4796).
        Content(Tokens) = "content",
        /// The category of a session (RFC 8866 §6.1).
        Category(Text) = "cat",
        /// Keywords of a session (RFC 8866 §6.2).
        Keywords(Text) = "keywds",
        /// What made the description (RFC 8866 §6.3).
        Tool(Text) = "tool",
        /// `portrait`, `landscape`, `seascape` (RFC 8866 §6.8).
        Orientation(Token) = "orient",
        /// The kind of a conference (RFC 8866 §6.9).
        ConferenceType(Token) = "type",
        /// The character set of the names in it (RFC 8866 §6.10).
        Charset(Token) = "charset",
        /// The language of the description (RFC 8866 §6.11).
        SdpLanguage(Token) = "sdplang",
        /// A language of the medium (RFC 8866 §6.12).
        Language(Token) = "lang",
        /// 0 to 10 (RFC 8866 §6.14).
        Quality(u64) = "quality",
    }
}

impl fmt::Display for TypedAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.value().map_or(Ok(()), |value| write!(f, ":{value}"))
    }
}

/// A text without NUL and line ends; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Takes a text for what it is.
    #[must_use]
    pub fn new(text: &str) -> Option<Text> {
        let text = text.trim_ascii();
        (!text.is_empty() && is_text(text)).then(|| Text(text.to_string()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Text {
    fn read(value: Option<&str>) -> Option<Self> {
        Text::new(value?)
    }

    fn write(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

impl Value for u64 {
    fn read(value: Option<&str>) -> Option<Self> {
        decimal(value?)
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Setup {
    fn read(value: Option<&str>) -> Option<Self> {
        Setup::read(value?)
    }

    fn write(&self) -> Option<String> {
        Some(self.as_str().to_string())
    }
}

#[cfg(test)]
mod tests;
