//! Attributes of connections, messages and chat rooms.

use super::Value;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::grammar::{self, is_token};

/// `a=connection` (RFC 4145 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionUse {
    /// A new connection.
    New,
    /// The connection that stands.
    Existing,
}

impl Value for ConnectionUse {
    fn read(value: Option<&str>) -> Option<Self> {
        match value? {
            text if text.eq_ignore_ascii_case("new") => Some(ConnectionUse::New),
            text if text.eq_ignore_ascii_case("existing") => Some(ConnectionUse::Existing),
            _ => None,
        }
    }

    fn write(&self) -> Option<String> {
        let text = match self {
            ConnectionUse::New => "new",
            ConnectionUse::Existing => "existing",
        };
        Some(text.to_string())
    }
}

/// `a=path`: MSRP URIs, the nearest first, each with host and port (RFC 4975 §8.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// Takes URIs; at least one, each an MSRP URI with an explicit port.
    #[must_use]
    pub fn new(uris: Vec<String>) -> Option<Path> {
        let good = !uris.is_empty() && uris.iter().all(|uri| grammar::msrp_authority(uri).is_some());
        good.then_some(Path(uris))
    }

    /// The URIs.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Debug for Path {
    /// Says nothing of the URIs: who knows them can bind the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({} URIs)", self.0.len())
    }
}

impl Value for Path {
    fn read(value: Option<&str>) -> Option<Self> {
        Path::new(words(value?))
    }

    fn write(&self) -> Option<String> {
        Some(self.0.join(" "))
    }
}

/// `a=accept-types`, `a=accept-wrapped-types` (RFC 4975 §8.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeList(Vec<String>);

impl TypeList {
    /// Takes entries: `*`, `type/*`, `type/subtype`, with parameters or without; at least one.
    #[must_use]
    pub fn new(entries: Vec<String>) -> Option<TypeList> {
        let good = !entries.is_empty() && entries.iter().all(|entry| grammar::is_type_entry(entry));
        good.then_some(TypeList(entries))
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.0
    }
}

impl Value for TypeList {
    fn read(value: Option<&str>) -> Option<Self> {
        TypeList::new(words(value?))
    }

    fn write(&self) -> Option<String> {
        Some(self.0.join(" "))
    }
}

/// A token of RFC 8866 §9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a text that is a token.
    #[must_use]
    pub fn new(text: &str) -> Option<Token> {
        is_token(text).then(|| Token(text.to_string()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Token {
    fn read(value: Option<&str>) -> Option<Self> {
        Token::new(value?)
    }

    fn write(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// Tokens with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens(Vec<String>);

impl Tokens {
    /// Takes tokens; at least one.
    #[must_use]
    pub fn new(tokens: Vec<String>) -> Option<Tokens> {
        (!tokens.is_empty() && tokens.iter().all(|token| is_token(token))).then_some(Tokens(tokens))
    }

    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.0
    }
}

impl Value for Tokens {
    fn read(value: Option<&str>) -> Option<Self> {
        Tokens::new(value?.split(',').map(|token| token.trim_ascii().to_string()).collect())
    }

    fn write(&self) -> Option<String> {
        Some(self.0.join(","))
    }
}

/// `a=group` (RFC 5888 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `LS`, `FID`, `BUNDLE`…
    pub semantics: Token,
    /// What `a=mid` of its media says.
    pub mids: Vec<Token>,
}

impl Value for Group {
    fn read(value: Option<&str>) -> Option<Self> {
        let mut tokens = value?.split(' ').map(Token::new);
        let semantics = tokens.next()??;
        Some(Group { semantics, mids: tokens.collect::<Option<_>>()? })
    }

    fn write(&self) -> Option<String> {
        let mut text = self.semantics.0.clone();
        for mid in &self.mids {
            text.push(' ');
            text.push_str(&mid.0);
        }
        Some(text)
    }
}

/// `a=chatroom` (RFC 7701 §8): what a chat room can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chatroom {
    tokens: Vec<String>,
}

impl Chatroom {
    /// CPM's word for a closed group (TS 7.3.1.2-13).
    pub const CLOSED_GROUP: &'static str = "org.openmobilealliance.groupchat.closed";

    /// Takes tokens: none twice.
    #[must_use]
    pub fn new(tokens: Vec<String>) -> Option<Chatroom> {
        let mut sorted: Vec<&String> = tokens.iter().collect();
        sorted.sort_unstable();
        let twice = sorted.windows(2).any(|pair| pair.first() == pair.get(1));
        (!twice && tokens.iter().all(|token| is_token(token))).then_some(Chatroom { tokens })
    }

    /// A closed group, and nothing else.
    // req: 7.3.1.2-13
    #[must_use]
    pub fn closed_group() -> Chatroom {
        Chatroom { tokens: Vec::from([Self::CLOSED_GROUP.to_string()]) }
    }

    /// Whether it says that the group is closed.
    #[must_use]
    pub fn is_closed_group(&self) -> bool {
        self.has(Self::CLOSED_GROUP)
    }

    /// Whether it holds this token: `nickname`, `private-messages`…
    #[must_use]
    pub fn has(&self, token: &str) -> bool {
        self.tokens.iter().any(|known| known.eq_ignore_ascii_case(token))
    }

    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

impl Value for Chatroom {
    fn read(value: Option<&str>) -> Option<Self> {
        match value {
            None => Some(Chatroom::default()),
            Some(text) => Chatroom::new(words(text)).filter(|chatroom| !chatroom.tokens.is_empty()),
        }
    }

    fn write(&self) -> Option<String> {
        (!self.tokens.is_empty()).then(|| self.tokens.join(" "))
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(ToString::to_string).collect()
}
