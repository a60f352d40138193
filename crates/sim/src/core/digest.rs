//! Who has to prove who he is, and how (RFC 3261 §22, RFC 7616, RFC 8760).
//!
//! With [`Authentication`] every REGISTER carries credentials of the user whose address it registers, else it gets 401.
//! Whatever else comes from outside on a flow from which nobody is registered carries credentials, else it gets 407; what
//! comes on a registered flow is its user's. A source address alone proves nothing then.

use super::{CorePorts, SipIpCore};
use cpm_auth::{
    Account, Algorithm, Challenge, Credentials, Leniency, LimitsError, NonceLimits, Nonces, RequestParts,
    Secret, Username, Verifier, find_credentials,
};
use cpm_base::{FlowId, Now, Random};
use cpm_sip::{HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode, Uri};
use cpm_ua::RequestId;
use std::collections::BTreeMap;

/// Proofs by digest.
#[derive(Debug, Clone)]
pub struct Authentication {
    /// Whose passwords are asked for.
    pub realm: String,
    /// What is offered, best first: one challenge for each.
    pub algorithms: Vec<Algorithm>,
    /// Who has which password, by any identity of the user. Several of one user name are tried in turn: hashes for
    /// different algorithms. Those of another realm, or of somebody who is no user here, are never asked.
    pub accounts: Vec<(Uri, Account)>,
    /// How many nonces live, and for how long.
    pub nonces: NonceLimits,
    /// What is let pass.
    pub leniency: Leniency,
}

impl Authentication {
    /// SHA-256 before MD5, default nonces, nothing let pass.
    #[must_use]
    pub fn new(realm: &str, accounts: Vec<(Uri, Account)>) -> Self {
        Authentication {
            realm: realm.to_owned(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            accounts,
            nonces: NonceLimits::default(),
            leniency: Leniency::default(),
        }
    }
}

/// What credentials prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Who it is.
    User(usize),
    /// Nothing; the password may have been right when the nonce was `stale`.
    None { stale: bool },
    /// They cannot be read.
    Unreadable,
}

/// Asks for proofs and looks at them.
#[derive(Debug)]
pub(super) struct Guard {
    realm: String,
    algorithms: Vec<Algorithm>,
    leniency: Leniency,
    accounts: BTreeMap<String, Vec<(usize, Account)>>,
    /// For names that nobody has: the answer and its time do not tell.
    nobody: Option<Account>,
    nonces: Nonces,
}

impl Guard {
    /// `user` says whose identity one is.
    pub(super) fn new(
        config: &Authentication,
        random: &mut Random,
        user: impl Fn(&Uri) -> Option<usize>,
    ) -> Result<Guard, LimitsError> {
        let mut accounts: BTreeMap<String, Vec<(usize, Account)>> = BTreeMap::new();
        for (identity, account) in &config.accounts {
            if let Some(user) = user(identity).filter(|_| account.realm() == config.realm) {
                let of_name = accounts.entry(account.username().to_owned()).or_default();
                of_name.push((user, account.clone()));
            }
        }
        let password = Secret::password(&random.secret_token(32));
        Ok(Guard {
            realm: config.realm.clone(),
            algorithms: config.algorithms.clone(),
            leniency: config.leniency,
            accounts,
            nobody: Account::new("nobody", &config.realm, password).ok(),
            nonces: Nonces::new(config.nonces.clone())?,
        })
    }

    /// Whose credentials stand in these header fields of a request.
    pub(super) fn proof(&mut self, now: Now, request: &Request, fields: &HeaderName) -> Proof {
        let values: Vec<String> =
            request.headers().get_all(fields).filter_map(|value| value.to_text().map(Into::into)).collect();
        let credentials = match find_credentials(values.iter().map(String::as_str), &self.realm) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return Proof::None { stale: false },
            Err(_) => return Proof::Unreadable,
        };
        let Some(user) = self.user(&credentials, request) else { return Proof::None { stale: false } };
        match self.nonces.accept(now.mono, &credentials) {
            Ok(()) => Proof::User(user),
            Err(_) => Proof::None { stale: true },
        }
    }

    /// Whose password made these credentials, if it is one that is asked for.
    fn user(&self, credentials: &Credentials, request: &Request) -> Option<usize> {
        let algorithm = credentials.algorithm();
        if !self.algorithms.contains(&algorithm) {
            return None;
        }
        let challenge = Challenge::new(&self.realm, &credentials.nonce, algorithm);
        let uri = request.uri().to_string();
        let parts = RequestParts { method: request.method().as_str(), uri: &uri, body: request.body() };
        let right = |account: &Account| {
            let verifier = Verifier { challenge: &challenge, account, start: None, leniency: self.leniency };
            verifier.verify(credentials, parts).is_ok()
        };
        let known = match &credentials.username {
            Username::Plain(name) | Username::Extended(name) => self.accounts.get(name),
            Username::Hashed(_) => None,
        };
        let Some(accounts) = known else {
            if let Some(nobody) = &self.nobody {
                right(nobody);
            }
            return None;
        };
        let fitting = |(_, account): &&(usize, Account)| account.secret().fits(algorithm);
        accounts.iter().filter(fitting).find(|(_, account)| right(account)).map(|(user, _)| *user)
    }

    /// Writes the challenges into a response.
    pub(super) fn challenge(
        &mut self,
        now: Now,
        nonce: &str,
        stale: bool,
        name: &HeaderName,
        headers: &mut Headers,
    ) {
        self.nonces.issue(now.mono, nonce);
        for algorithm in &self.algorithms {
            let mut challenge = Challenge::new(&self.realm, nonce, *algorithm);
            challenge.stale = stale;
            // A realm that cannot be written was refused with its accounts.
            let text = challenge.to_text().ok().and_then(|text| HeaderText::new(&text).ok());
            if let Some(text) = text {
                headers.push(name.clone(), text);
            }
        }
    }

    /// Takes credentials for this realm out: what is passed on does not need them (RFC 3261 §22.3).
    pub(super) fn take_credentials_out(&self, headers: &mut Headers, name: &HeaderName) {
        if !headers.contains(name) {
            return;
        }
        let ours = |text: &str| Credentials::parse(text).is_ok_and(|found| found.realm == self.realm);
        let others: Vec<HeaderText> = headers
            .get_all(name)
            .filter_map(|value| value.to_text())
            .filter(|text| !ours(text))
            .filter_map(|text| HeaderText::new(&text).ok())
            .collect();
        headers.remove(name);
        for other in others {
            headers.push(name.clone(), other);
        }
    }
}

/// Who sent a request from outside, as far as is known.
pub(super) enum Sender {
    /// This user, or nobody known where nobody has to prove anything.
    Is(Option<usize>),
    /// It was answered.
    Answered,
}

impl SipIpCore {
    /// Who registers: the user that the credentials prove; `None` where none are asked for.
    pub(super) fn registering(
        &mut self,
        now: Now,
        id: RequestId,
        request: &Request,
        ports: &mut CorePorts<'_>,
    ) -> Sender {
        let Some(guard) = &mut self.guard else { return Sender::Is(None) };
        match guard.proof(now, request, &HeaderName::Authorization) {
            Proof::User(user) => Sender::Is(Some(user)),
            proof => {
                self.ask_for_proof(now, id, request, proof, ports);
                Sender::Answered
            }
        }
    }

    /// Who sent this request, which is no REGISTER, on a flow from outside.
    pub(super) fn identify(
        &mut self,
        now: Now,
        id: RequestId,
        flow: FlowId,
        request: &Request,
        ports: &mut CorePorts<'_>,
    ) -> Sender {
        let Some(guard) = &mut self.guard else {
            return match self.sender(flow, request) {
                Ok(sender) => Sender::Is(sender),
                Err(_) => {
                    Self::refuse(now, id, request, StatusCode::BAD_REQUEST, ports);
                    Sender::Answered
                }
            };
        };
        // Nothing answers an ACK, not even a challenge.
        if let Some(user) = self.proven.get(&flow) {
            return Sender::Is(Some(*user));
        }
        if *request.method() == Method::Ack {
            return Sender::Is(None);
        }
        match guard.proof(now, request, &HeaderName::ProxyAuthorization) {
            Proof::User(user) => {
                self.adopt(flow, user);
                Sender::Is(Some(user))
            }
            proof => {
                self.ask_for_proof(now, id, request, proof, ports);
                Sender::Answered
            }
        }
    }

    /// 401 to a REGISTER, 407 to anything else.
    fn ask_for_proof(
        &mut self,
        now: Now,
        id: RequestId,
        request: &Request,
        proof: Proof,
        ports: &mut CorePorts<'_>,
    ) {
        let Some(guard) = &mut self.guard else { return };
        let stale = match proof {
            Proof::Unreadable => return Self::refuse(now, id, request, StatusCode::BAD_REQUEST, ports),
            Proof::None { stale } => stale,
            Proof::User(_) => false,
        };
        let (status, name) = match request.method() {
            Method::Register => (StatusCode::UNAUTHORIZED, HeaderName::WwwAuthenticate),
            _ => (StatusCode::PROXY_AUTHENTICATION_REQUIRED, HeaderName::ProxyAuthenticate),
        };
        let nonce = self.random.public_token(26);
        let mut response = Response::for_request(request, status);
        guard.challenge(now, &nonce, stale, &name, response.headers_mut());
        ports.host.event(super::CoreEvent::Challenged { method: request.method().clone() });
        Self::respond(now, id, response, ports);
    }
}
