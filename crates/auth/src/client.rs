//! The client's side: which challenge is answered, how, and how often (RFC 7616 §3.4 to §3.6, RFC 8760 §2.4).

use crate::compute::{Material, equal};
use crate::{
    Account, Algorithm, AuthenticationInfo, Challenge, Credentials, Protection, Qop, Secret, SessionStart,
    Username,
};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use cpm_base::Sensitive;

/// What credentials are made over: the request as it will be sent.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method.
    pub method: &'a str,
    /// The Request-URI.
    pub uri: &'a str,
    /// The body; for `auth-int`.
    pub body: &'a [u8],
}

/// Which of several challenges is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The one with the strongest hash; of equal ones, the topmost.
    #[default]
    Strongest,
    /// The topmost that can be answered: the server's wish (RFC 8760 §2.4).
    Topmost,
}

/// What a client is ready to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerPolicy {
    /// Algorithms that are answered. By default all; leave out those with MD5 where no server needs them.
    pub algorithms: Vec<Algorithm>,
    /// Which of several challenges is answered.
    pub order: Order,
    /// Whether the body is covered when the server offers both. A proxy that changes a body breaks it, so the default
    /// is not to.
    pub cover_body: bool,
}

impl Default for AnswerPolicy {
    fn default() -> Self {
        AnswerPolicy { algorithms: Algorithm::ALL.to_vec(), order: Order::Strongest, cover_body: false }
    }
}

/// Why a challenge is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// No challenge at all, or none with an algorithm that the policy admits and the secret is for.
    NothingToAnswer,
    /// Only challenges for other realms than the account's; the first of them.
    ForeignRealm(String),
    /// The server offers no quality of protection that is known here.
    QopUnknown,
    /// A session algorithm without quality of protection: there is no cnonce to make its key of.
    SessionWithoutQop,
    /// The cnonce holds what a header field cannot hold, or nothing.
    Cnonce,
    /// The nonce was used 4,294,967,295 times.
    NonceWornOut,
    /// The server refused this account's answer: the same secret is not sent again.
    Rejected,
    /// As many challenges as one request may meet were answered.
    TooManyChallenges,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AnswerError::NothingToAnswer => "no challenge that this account can answer",
            AnswerError::ForeignRealm(realm) => return write!(f, "no account for the realm {realm:?}"),
            AnswerError::QopUnknown => "no known quality of protection is offered",
            AnswerError::SessionWithoutQop => "a session algorithm without quality of protection",
            AnswerError::Cnonce => "not a cnonce",
            AnswerError::NonceWornOut => "the nonce is worn out",
            AnswerError::Rejected => "the server refused the answer",
            AnswerError::TooManyChallenges => "too many challenges to one request",
        })
    }
}

impl core::error::Error for AnswerError {}

/// The challenge to answer among those of a response, in their order.
///
/// # Errors
/// [`AnswerError::ForeignRealm`], [`AnswerError::QopUnknown`], [`AnswerError::SessionWithoutQop`] or
/// [`AnswerError::NothingToAnswer`]: none can be answered, and the most telling reason.
pub fn choose<'a>(
    challenges: impl IntoIterator<Item = &'a Challenge>,
    account: &Account,
    policy: &AnswerPolicy,
) -> Result<&'a Challenge, AnswerError> {
    let mut best: Option<&Challenge> = None;
    let mut reason = AnswerError::NothingToAnswer;
    for challenge in challenges {
        if let Err(why) = answerable(challenge, account, policy) {
            // A fault of a challenge that is meant for this account tells more than a challenge for others.
            let first = reason == AnswerError::NothingToAnswer;
            if first
                || (matches!(reason, AnswerError::ForeignRealm(_))
                    && !matches!(why, AnswerError::ForeignRealm(_)))
            {
                reason = why;
            }
            continue;
        }
        let better = best.is_none_or(|best| {
            policy.order == Order::Strongest && challenge.algorithm().hash() > best.algorithm().hash()
        });
        if better {
            best = Some(challenge);
        }
    }
    best.ok_or(reason)
}

fn answerable(challenge: &Challenge, account: &Account, policy: &AnswerPolicy) -> Result<(), AnswerError> {
    if challenge.realm != account.realm() {
        return Err(AnswerError::ForeignRealm(challenge.realm.clone()));
    }
    let algorithm = challenge.algorithm();
    if !policy.algorithms.contains(&algorithm) || !account.secret().fits(algorithm) {
        return Err(AnswerError::NothingToAnswer);
    }
    match &challenge.qop {
        Some(offered) if offered.is_empty() => Err(AnswerError::QopUnknown),
        None if algorithm.is_session() => Err(AnswerError::SessionWithoutQop),
        _ => Ok(()),
    }
}

/// Answers one challenge once, with nonce count 1. For more requests with the same nonce take a [`Session`].
///
/// `cnonce` should hold 64 random bits at least, in characters of a token.
///
/// # Errors
/// As [`Session::new`].
pub fn answer(
    challenge: &Challenge,
    account: &Account,
    policy: &AnswerPolicy,
    request: RequestParts<'_>,
    cnonce: &str,
) -> Result<Credentials, AnswerError> {
    Session::new(challenge.clone(), account, policy, cnonce)?.credentials(account, request)
}

/// A challenge that was accepted, for as many requests as follow: counts the uses of the nonce, takes the next nonce that
/// the server gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    challenge: Challenge,
    qop: Option<Qop>,
    start: SessionStart,
    count: u32,
}

impl Session {
    /// A session that answers this challenge.
    ///
    /// # Errors
    /// The challenge is for another realm, its algorithm is not admitted or not the secret's, no known quality of
    /// protection is offered, or the cnonce is none.
    pub fn new(
        challenge: Challenge,
        account: &Account,
        policy: &AnswerPolicy,
        cnonce: &str,
    ) -> Result<Self, AnswerError> {
        answerable(&challenge, account, policy)?;
        if cnonce.is_empty() || cnonce.contains(char::is_control) {
            return Err(AnswerError::Cnonce);
        }
        let qop = challenge.qop.as_ref().and_then(|offered| {
            let wish = if policy.cover_body { Qop::AuthInt } else { Qop::Auth };
            offered.iter().find(|qop| **qop == wish).or(offered.first()).copied()
        });
        let start = SessionStart { nonce: challenge.nonce.clone(), cnonce: String::from(cnonce) };
        Ok(Session { challenge, qop, start, count: 0 })
    }

    /// The challenge that is answered, with the nonce in use.
    #[must_use]
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Credentials for the next request.
    ///
    /// # Errors
    /// [`AnswerError::ForeignRealm`], [`AnswerError::NothingToAnswer`]: another account than the session's;
    /// [`AnswerError::NonceWornOut`].
    pub fn credentials(
        &mut self,
        account: &Account,
        request: RequestParts<'_>,
    ) -> Result<Credentials, AnswerError> {
        let challenge = &self.challenge;
        if challenge.realm != account.realm() {
            return Err(AnswerError::ForeignRealm(challenge.realm.clone()));
        }
        let count = self.count.checked_add(1).ok_or(AnswerError::NonceWornOut)?;
        let protection = self.qop.map(|qop| Protection { qop, cnonce: self.start.cnonce.clone(), count });
        let material = Material {
            algorithm: challenge.algorithm(),
            account,
            nonce: &challenge.nonce,
            protection: protection.as_ref(),
            start: Some(&self.start),
            method: request.method,
            uri: request.uri,
            body: request.body,
        };
        let response = material.digest().ok_or(AnswerError::NothingToAnswer)?;
        self.count = count;
        Ok(Credentials {
            username: username(challenge, account),
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            uri: String::from(request.uri),
            response: Sensitive::new(response),
            algorithm: challenge.algorithm,
            opaque: challenge.opaque.clone(),
            protection,
            auts: match account.secret() {
                Secret::AkaSynchronisation(auts) => Some(*auts),
                _ => None,
            },
            extensions: Vec::new(),
        })
    }

    /// Whether the server proved that it knows the secret: its `rspauth` is right for the answer to these credentials.
    /// `body` is the response's. Without `rspauth` nothing is proved.
    #[must_use]
    pub fn is_proved(
        &self,
        account: &Account,
        credentials: &Credentials,
        info: &AuthenticationInfo,
        body: &[u8],
    ) -> bool {
        let Some(given) = &info.rspauth else { return false };
        if info.protection != credentials.protection {
            return false;
        }
        let expected = proof(account, credentials, Some(&self.start), body);
        expected.is_some_and(|expected| equal(&expected, given.expose()))
    }

    /// Takes the nonce for the next request, where the server gives one; its uses are counted from 1 again.
    pub fn take_next_nonce(&mut self, info: &AuthenticationInfo) {
        match &info.nextnonce {
            Some(nonce) if *nonce != self.challenge.nonce => {
                self.challenge.nonce = nonce.clone();
                self.count = 0;
            }
            _ => {}
        }
    }
}

/// The digest by which a server proves that it knows the secret (RFC 7616 §3.5).
pub(crate) fn proof(
    account: &Account,
    credentials: &Credentials,
    start: Option<&SessionStart>,
    body: &[u8],
) -> Option<String> {
    let material = Material {
        algorithm: credentials.algorithm(),
        account,
        nonce: &credentials.nonce,
        protection: credentials.protection.as_ref(),
        start,
        method: "",
        uri: &credentials.uri,
        body,
    };
    material.digest()
}

/// Hashed where the server reads that; the extended spelling for names outside of ASCII where the server says that it
/// knows UTF-8; SIP's quoted strings hold all others.
fn username(challenge: &Challenge, account: &Account) -> Username {
    let name = account.username();
    if challenge.userhash {
        Username::hashed(name, account.realm(), challenge.algorithm().hash())
    } else if challenge.utf8 && !name.is_ascii() {
        Username::Extended(String::from(name))
    } else {
        Username::Plain(String::from(name))
    }
}

/// How often the challenges to one request are answered: never twice with a secret that was refused, never without end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempts {
    left: u32,
    answered: Vec<String>,
}

impl Attempts {
    /// `auth.max_retries`: challenges that one request answers unless somebody wants it otherwise.
    pub const DEFAULT_MAX: u32 = 2;

    /// None yet, at most `max`.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Attempts { left: max, answered: Vec::new() }
    }

    /// Whether this challenge is to be answered; counts it.
    ///
    /// # Errors
    /// [`AnswerError::Rejected`]: the realm was answered already and does not say that only the nonce was stale
    /// (RFC 3261 §22.2). [`AnswerError::TooManyChallenges`]: enough, whatever the server says.
    pub fn count(&mut self, challenge: &Challenge) -> Result<(), AnswerError> {
        let again = self.answered.contains(&challenge.realm);
        if again && !challenge.stale {
            return Err(AnswerError::Rejected);
        }
        self.left = self.left.checked_sub(1).ok_or(AnswerError::TooManyChallenges)?;
        if !again {
            self.answered.push(challenge.realm.clone());
        }
        Ok(())
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Attempts::new(Attempts::DEFAULT_MAX)
    }
}
