//! The server's side: whether credentials answer the challenge, and what proves the server (RFC 7616 §3.5, §3.6).

use crate::client::proof;
use crate::compute::{Material, equal};
use crate::{Account, AuthError, AuthenticationInfo, Challenge, Credentials, RequestParts, SessionStart};
use core::fmt;
use cpm_base::Sensitive;

/// Deviations that a server may let pass. The default admits none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Credentials without quality of protection, from a client of RFC 2069 or RFC 2543: they can be replayed for as long
    /// as the nonce lives.
    pub without_qop: bool,
    /// A `uri` that is not the Request-URI: proxies on the way may have retargeted the request (RFC 8760 §2.6 item 6).
    /// Who admits it has to look whether `uri` names somebody served here.
    pub other_uri: bool,
    /// An `opaque` that is missing though the challenge had one: RFC 2617 only wished for it.
    pub missing_opaque: bool,
}

/// Why credentials do not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Nonce and digest are empty: the client waits for a challenge.
    Unanswered,
    /// Another realm.
    Realm,
    /// Another nonce than the challenge's: challenge again, saying that it was stale.
    Nonce,
    /// `opaque` is not given back as it was.
    Opaque,
    /// Another algorithm than the challenge's.
    Algorithm,
    /// A quality of protection that was not offered, or none though one was offered.
    Qop,
    /// `uri` is not the Request-URI.
    Uri,
    /// Another user.
    Username,
    /// The stored secret is not for this algorithm.
    Secret,
    /// The digest is wrong.
    Response,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Unanswered => "the client waits for a challenge",
            Refusal::Realm => "credentials for another realm",
            Refusal::Nonce => "credentials for another nonce",
            Refusal::Opaque => "opaque is not the challenge's",
            Refusal::Algorithm => "another algorithm than the challenge's",
            Refusal::Qop => "a quality of protection that was not offered",
            Refusal::Uri => "uri is not the Request-URI",
            Refusal::Username => "credentials of another user",
            Refusal::Secret => "the stored secret is not for this algorithm",
            Refusal::Response => "the digest is wrong",
        })
    }
}

impl core::error::Error for Refusal {}

/// What credentials are held against.
#[derive(Debug, Clone, Copy)]
pub struct Verifier<'a> {
    /// The challenge that was sent, or would be sent again for this nonce.
    pub challenge: &'a Challenge,
    /// Whom they are said to be from. For a user that does not exist, verify against an account with a random password:
    /// the answer and its time then say nothing about who exists.
    pub account: &'a Account,
    /// Where the session of a `-sess` algorithm began; `None`: with these credentials.
    pub start: Option<&'a SessionStart>,
    /// What is let pass.
    pub leniency: Leniency,
}

impl Verifier<'_> {
    /// Whether the credentials answer the challenge. `request` is the one that carries them.
    ///
    /// That the nonce is alive and its count new is for [`Nonces`](crate::Nonces), asked after this: a stranger must not
    /// use counts up.
    ///
    /// # Errors
    /// What does not fit, first what everybody can see, the digest last.
    pub fn verify(&self, credentials: &Credentials, request: RequestParts<'_>) -> Result<(), Refusal> {
        self.check_echo(credentials)?;
        if !self.leniency.other_uri && credentials.uri != request.uri {
            return Err(Refusal::Uri);
        }
        let account = self.account;
        let algorithm = self.challenge.algorithm();
        if !credentials.username.is(account.username(), account.realm(), algorithm.hash()) {
            return Err(Refusal::Username);
        }
        let material = Material {
            algorithm,
            account,
            nonce: &credentials.nonce,
            protection: credentials.protection.as_ref(),
            start: self.start,
            method: request.method,
            uri: &credentials.uri,
            body: request.body,
        };
        let expected = material.digest().ok_or(Refusal::Secret)?;
        if equal(&expected, credentials.response.expose()) { Ok(()) } else { Err(Refusal::Response) }
    }

    /// What a client gives back of the challenge.
    fn check_echo(&self, credentials: &Credentials) -> Result<(), Refusal> {
        let challenge = self.challenge;
        if credentials.realm != challenge.realm || credentials.realm != self.account.realm() {
            return Err(Refusal::Realm);
        }
        if credentials.response.expose().is_empty() {
            return Err(Refusal::Unanswered);
        }
        if credentials.nonce != challenge.nonce {
            return Err(Refusal::Nonce);
        }
        let opaque_missing = credentials.opaque.is_none() && self.leniency.missing_opaque;
        if credentials.opaque != challenge.opaque && !opaque_missing {
            return Err(Refusal::Opaque);
        }
        if credentials.algorithm() != challenge.algorithm() {
            return Err(Refusal::Algorithm);
        }
        let fits = match (&credentials.protection, &challenge.qop) {
            (Some(protection), Some(offered)) => offered.contains(&protection.qop),
            (Some(_), None) => false,
            (None, Some(_)) => self.leniency.without_qop,
            (None, None) => true,
        };
        if fits { Ok(()) } else { Err(Refusal::Qop) }
    }

    /// What the server says in its 2xx: the proof that it knows the secret, for a response with that body, and the nonce
    /// for the next request where there is to be another one.
    ///
    /// # Errors
    /// [`Refusal::Secret`]: the stored secret is not for the algorithm of these credentials.
    pub fn authentication_info(
        &self,
        credentials: &Credentials,
        body: &[u8],
        nextnonce: Option<&str>,
    ) -> Result<AuthenticationInfo, Refusal> {
        let digest = proof(self.account, credentials, self.start, body).ok_or(Refusal::Secret)?;
        Ok(AuthenticationInfo {
            nextnonce: nextnonce.map(Into::into),
            rspauth: Some(Sensitive::new(digest)),
            protection: credentials.protection.clone(),
            extensions: alloc::vec::Vec::new(),
        })
    }
}

/// Reads credentials out of several header fields: those for one realm (RFC 3261 §22.3: each proxy takes its own).
/// Values that are no digest credentials for this realm are passed over.
///
/// # Errors
/// [`AuthError`]: what was wrong with the last value that is no digest credentials, where none is for this realm.
pub fn find_credentials<'a>(
    values: impl IntoIterator<Item = &'a str>,
    realm: &str,
) -> Result<Option<Credentials>, AuthError> {
    let mut fault = None;
    for value in values {
        match Credentials::parse(value) {
            Ok(credentials) if credentials.realm == realm => return Ok(Some(credentials)),
            Ok(_) | Err(AuthError::OtherScheme(_)) => {}
            Err(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(None), Err)
}
