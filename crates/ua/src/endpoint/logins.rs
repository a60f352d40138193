//! Logins: challenges to the endpoint's own requests (RFC 3261 §22, RFC 7616, RFC 8760) are answered here, where the account
//! is for the one who asks, and so often that nobody can make a loop of it.

use super::Endpoint;
use super::client::User;
use crate::event::TransactionId;
use alloc::string::String;
use alloc::vec::Vec;
use cpm_auth::{Account, AnswerPolicy, AuthenticationInfo, Challenge, RequestParts, Session};
use cpm_base::{LimitExceeded, Now};
use cpm_sip::{From, HeaderName, HeaderText, Headers, Host, Request, Response, StatusCode, Uri};

use crate::event::LoginId;

/// An account, and where its secret may be proved. A challenge for another realm, of another server, to another user's
/// request gets no digest: the response comes up as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// User name, realm and secret.
    pub account: Account,
    /// Algorithms that are answered, and which of several challenges.
    pub policy: AnswerPolicy,
    /// Whose requests it is for: the From of them (or the same number). `None`: all requests of this endpoint.
    pub address: Option<Uri>,
    /// The hosts that may ask for it: of the Request-URI. Requests to them get credentials ahead of the next challenge, too.
    pub hosts: Vec<Host>,
    /// Whether 407 is answered whatever the Request-URI is, in dialogs as well: where the next hop is a proxy of the
    /// account's realm. The far side of a call can send a 407, too: leave it off where the home network challenges
    /// nothing but requests to its own hosts.
    pub proxies: bool,
}

/// A login with what it learned.
#[derive(Debug)]
pub(super) struct KeptLogin {
    login: Login,
    /// Nonces in use, and the cnonce with them: of servers (401), of proxies (407).
    server: Option<(Session, String)>,
    proxy: Option<(Session, String)>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Server,
    Proxy,
}

impl Asker {
    const ALL: [Asker; 2] = [Asker::Server, Asker::Proxy];

    fn of(status: StatusCode) -> Option<Asker> {
        match status {
            StatusCode::UNAUTHORIZED => Some(Asker::Server),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some(Asker::Proxy),
            _ => None,
        }
    }

    const fn challenge(self) -> HeaderName {
        match self {
            Asker::Server => HeaderName::WwwAuthenticate,
            Asker::Proxy => HeaderName::ProxyAuthenticate,
        }
    }

    const fn credentials(self) -> HeaderName {
        match self {
            Asker::Server => HeaderName::Authorization,
            Asker::Proxy => HeaderName::ProxyAuthorization,
        }
    }
}

impl Login {
    /// Whether its secret may be proved for this request at all.
    fn is_for(&self, asker: Asker, request: &Request) -> bool {
        let own = match (&self.address, request.typed::<From>()) {
            (None, _) => true,
            (Some(address), Ok(Some(from))) => from.uri().address_key() == address.address_key(),
            (Some(_), _) => false,
        };
        own && (self.is_to_host(request) || (asker == Asker::Proxy && self.proxies))
    }

    fn is_to_host(&self, request: &Request) -> bool {
        match request.uri() {
            Uri::Sip(uri) => self.hosts.iter().any(|host| host.equivalent(uri.host())),
            _ => false,
        }
    }
}

impl KeptLogin {
    fn session(&mut self, asker: Asker) -> &mut Option<(Session, String)> {
        match asker {
            Asker::Server => &mut self.server,
            Asker::Proxy => &mut self.proxy,
        }
    }

    const fn knows(&self, asker: Asker) -> bool {
        match asker {
            Asker::Server => self.server.is_some(),
            Asker::Proxy => self.proxy.is_some(),
        }
    }

    /// Puts credentials into a request; `false` when it cannot.
    fn sign(&mut self, asker: Asker, request: &mut Request) -> bool {
        let account = self.login.account.clone();
        let uri = String::from(request.uri().as_str());
        let body = request.body().clone();
        let method = String::from(request.method().as_str());
        let Some((session, _)) = self.session(asker) else { return false };
        let parts = RequestParts { method: &method, uri: &uri, body: &body };
        let text = match session.credentials(&account, parts).map(|credentials| credentials.to_text()) {
            Ok(Ok(text)) => text,
            _ => return false,
        };
        let Ok(text) = HeaderText::new(&text) else { return false };
        // Those for other realms stay: each of several proxies takes its own (RFC 3261 §22.3).
        let name = asker.credentials();
        let others = others_credentials(request.headers(), &name, account.realm());
        request.headers_mut().remove(&name);
        for other in others {
            request.headers_mut().push(name.clone(), other);
        }
        request.headers_mut().push(name, text);
        true
    }
}

impl Endpoint {
    /// Lets the endpoint answer challenges with this account (at most two per request). Where several logins fit, the
    /// first added counts.
    ///
    /// # Errors
    /// Too many logins.
    pub fn add_login(&mut self, login: Login) -> Result<LoginId, LimitExceeded> {
        let count = self.usages.logins.len().saturating_add(1);
        LimitExceeded::check("auth.max_logins", count, self.config.limits.max_logins)?;
        let id = LoginId(self.next_id());
        self.usages.logins.insert(id, KeptLogin { login, server: None, proxy: None });
        Ok(id)
    }

    /// Takes a login back; `None` when there is none.
    pub fn remove_login(&mut self, id: LoginId) -> Option<Login> {
        self.usages.logins.remove(&id).map(|kept| kept.login)
    }

    /// Adds the credentials that a request to a host of a login will be asked for, when they are known already.
    pub(super) fn sign_ahead(&mut self, request: &mut Request) {
        for asker in Asker::ALL {
            if request.headers().contains(&asker.credentials()) {
                continue;
            }
            let mut fitting = self
                .usages
                .logins
                .values_mut()
                .filter(|kept| kept.login.is_for(asker, request) && kept.login.is_to_host(request));
            if let Some(kept) = fitting.find(|kept| kept.knows(asker)) {
                kept.sign(asker, request);
            }
        }
    }

    /// The final response to a request may be a challenge: when it is one to be answered, the request goes out again in the
    /// same transaction of its user, and nobody hears of the response.
    // Threats C12, C13.
    pub(super) fn challenged(&mut self, now: Now, id: TransactionId, response: &Response) -> bool {
        self.take_next_nonces(response);
        let Some(asker) = Asker::of(response.status()) else { return false };
        let Some((user, mut request)) = self.challengeable(id) else { return false };
        let Some(login) = self.answer_to(asker, id, &request, response) else { return false };
        let Some(cseq) = self.next_cseq_of(user, &request) else { return false };
        request.headers_mut().set_typed(&cseq);
        let signed = self.usages.logins.get_mut(&login).is_some_and(|kept| kept.sign(asker, &mut request));
        if !signed {
            return false;
        }
        self.metrics.count("ua.challenges_answered");
        self.again(now, id, request);
        true
    }

    /// The login that answers, with a session for the challenge.
    fn answer_to(
        &mut self,
        asker: Asker,
        id: TransactionId,
        request: &Request,
        response: &Response,
    ) -> Option<LoginId> {
        let challenges = challenges(response.headers(), asker);
        let cnonce = self.random.public_token(16);
        for (login, kept) in &mut self.usages.logins {
            if !kept.login.is_for(asker, request) {
                continue;
            }
            let Ok(chosen) = cpm_auth::choose(&challenges, &kept.login.account, &kept.login.policy) else {
                self.metrics.count("ua.challenges_foreign");
                continue;
            };
            let attempts = self.clients.get_mut(&id)?.attempts_mut();
            // Credentials that went out ahead, for a nonce of before, prove nothing about the secret: the first
            // challenge is answered whatever it says.
            if attempts.count(chosen).is_err() {
                self.metrics.count("ua.challenges_unanswered");
                return None;
            }
            let session = Session::new(chosen.clone(), &kept.login.account, &kept.login.policy, &cnonce);
            *kept.session(asker) = Some((session.ok()?, cnonce));
            return Some(*login);
        }
        None
    }

    /// Servers give the nonce for the next request along (RFC 7616 §3.5).
    fn take_next_nonces(&mut self, response: &Response) {
        if !response.status().is_success() {
            return;
        }
        let Some(text) = response
            .headers()
            .get(&HeaderName::AuthenticationInfo)
            .and_then(|value| value.to_text().map(|text| String::from(&*text)))
        else {
            return;
        };
        let Ok(info) = AuthenticationInfo::parse(&text) else { return };
        for kept in self.usages.logins.values_mut() {
            // Only who got the credentials knows the cnonce: nobody else chooses the next nonce.
            if let (Some((session, cnonce)), Some(protection)) = (&mut kept.server, &info.protection)
                && *cnonce == protection.cnonce
            {
                session.take_next_nonce(&info);
            }
        }
    }

    /// The number of a request that goes out again: the next of its dialog, of its usage, or of itself.
    fn next_cseq_of(&mut self, user: User, request: &Request) -> Option<cpm_sip::CSeq> {
        let before = request.typed::<cpm_sip::CSeq>().ok().flatten()?;
        let mut number = before.number.checked_add(1).filter(|n| *n <= cpm_sip::CSeq::MAX)?;
        match user {
            User::Dialog(dialog) | User::Bye(dialog) | User::Update(dialog) | User::Prack(dialog) => {
                number = self.dialogs.get_mut(&dialog)?.take_cseq();
            }
            User::Invite(id) => {
                let within = self.invites.get(&id)?.within;
                if let Some(dialog) = within {
                    number = self.dialogs.get_mut(&dialog)?.take_cseq();
                }
                self.invites.get_mut(&id)?.origin.cseq = number;
            }
            User::Usage(usage) => number = self.usage_cseq(usage, number)?,
            _ => {}
        }
        Some(cpm_sip::CSeq::new(number, before.method))
    }
}

/// The credentials of a request for other realms than this.
fn others_credentials(headers: &Headers, name: &HeaderName, realm: &str) -> Vec<HeaderText> {
    let values = headers.get_all(name).filter_map(|value| value.to_text());
    let others = values.filter(|text| {
        cpm_auth::Credentials::parse(text).is_ok_and(|credentials| credentials.realm != realm)
    });
    others.filter_map(|text| HeaderText::new(&text).ok()).collect()
}

/// The challenges of a response that can be read.
fn challenges(headers: &Headers, asker: Asker) -> Vec<Challenge> {
    let values = headers.get_all(&asker.challenge());
    values.filter_map(|value| Challenge::parse(&value.to_text()?).ok()).collect()
}
