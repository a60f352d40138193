//! Via: what is read from and written into it on the way in and out (RFC 3261 §18.1, §18.2, RFC 3581), and the head
//! fields that transactions and dialogs are found by.

use super::Endpoint;
use super::dialogs::DialogKey;
use super::fingerprint::{Fingerprint, Hash};
use super::outgoing::default_port;
use super::proxy::LoopMark;
use crate::config::Config;
use crate::correlation::Correlation;
use crate::flows::Flow;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};
use cpm_base::{FlowId, FlowInfo, Protocol, Random, Target, Transport};
use cpm_sip::{
    CSeqRef, CallIdRef, FromRef, HeaderError, HeaderName, HeaderText, Headers, Host, Method, Request, To,
    ToRef, UserAgent, Via, ViaRef,
};

/// What begins every branch of RFC 3261.
pub(super) const MAGIC_COOKIE: &str = Via::MAGIC_COOKIE;

/// Letters of a branch after the magic cookie: 100 random bits.
const BRANCH_LETTERS: usize = 20;

/// The way of a response (RFC 3261 §18.2.2, RFC 3581 §4).
#[derive(Debug, Clone)]
pub(super) struct ReplyTo {
    /// The flow that the request came on, when the response goes back there.
    pub(super) flow: Option<FlowId>,
    /// Where it goes otherwise: the address the request came from, at the port of sent-by.
    pub(super) target: Target,
}

/// The fields of a request that decide where it belongs.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) via: TopVia,
    pub(super) reply: ReplyTo,
    pub(super) correlation: Correlation,
    /// What a request whose To has a tag finds its dialog by.
    pub(super) dialog: Option<DialogKey>,
    /// The number of CSeq; its method is that of the request.
    pub(super) cseq: u32,
    /// What the server transaction is found by (RFC 3261 §17.2.3).
    pub(super) server_key: Fingerprint,
    /// That of the INVITE which an ACK or a CANCEL is for.
    pub(super) invite_key: Option<Fingerprint>,
}

impl Head {
    /// Reads the fields and completes the topmost Via of the request. `key` is that of the fingerprints.
    pub(super) fn take(
        key: u64,
        request: &mut Request,
        flow: FlowId,
        info: &FlowInfo,
    ) -> Result<Head, HeaderError> {
        let (headers, method) = (request.headers(), request.method());
        let (view, via, stamped) = read_top(headers, info)?;
        let from = headers.view::<FromRef<'_>>()?.ok_or(missing("From"))?;
        let to = headers.view::<ToRef<'_>>()?.ok_or(missing("To"))?;
        let call_id = headers.view::<CallIdRef<'_>>()?.ok_or(missing("Call-ID"))?.as_str();
        let cseq = headers.view::<CSeqRef<'_>>()?.ok_or(missing("CSeq"))?;
        if !cseq.is(method) {
            let what = "the method is not that of the request";
            return Err(HeaderError::Malformed { header: "CSeq", what });
        }
        let from_tag = || from.tag().unwrap_or_default();
        // Branch with the magic cookie, sent-by and method; without the cookie (RFC 2543) Request-URI, From tag, Call-ID,
        // CSeq, method and topmost Via.
        let key_for = |method: &Method| {
            let mut hash = Hash::new(key);
            hash.text(method.as_str().as_bytes());
            via.mix_sent_by(&mut hash);
            let branch = view.branch().unwrap_or_default();
            hash.text(branch.as_bytes());
            if !names_a_transaction(&branch) {
                hash.text(request.uri().key().as_bytes());
                hash.text(from_tag().as_bytes());
                hash.text(call_id.as_bytes());
                hash.text(&cseq.number().to_be_bytes());
            }
            hash.finish()
        };
        let of_invite = matches!(method, Method::Ack | Method::Cancel);
        let dialog =
            |to_tag: Cow<'_, str>| (call_id.to_string(), to_tag.into_owned(), from_tag().into_owned());
        let head = Head {
            reply: via.reply_to(flow, info),
            correlation: Correlation::of(call_id),
            dialog: to.tag().map(dialog),
            cseq: cseq.number(),
            server_key: key_for(method),
            invite_key: of_invite.then(|| key_for(&Method::Invite)),
            via,
        };
        head.via.note_source(request.headers_mut(), stamped, info.peer)?;
        Ok(head)
    }
}

/// What copies of one request that came on different ways share (RFC 3261 §8.2.2.2): From tag, Call-ID, CSeq.
pub(super) fn merge_key(key: u64, request: &Request) -> Fingerprint {
    let headers = request.headers();
    let from = headers.view::<FromRef<'_>>().ok().flatten();
    let call_id = headers.view::<CallIdRef<'_>>().ok().flatten();
    let cseq = headers.view::<CSeqRef<'_>>().ok().flatten();
    let mut hash = Hash::new(key);
    hash.text(from.and_then(|from| from.tag()).unwrap_or_default().as_bytes());
    hash.text(call_id.map_or("", |call_id| call_id.as_str()).as_bytes());
    hash.text(&cseq.map_or(0, |cseq| cseq.number()).to_be_bytes());
    hash.text(request.method().as_str().as_bytes());
    hash.finish()
}

/// What the topmost Via of a message says that decides where it belongs.
#[derive(Debug, Clone)]
pub(super) struct TopVia {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    /// It asks for an answer to where the request came from (RFC 3581 §3).
    symmetric: bool,
    received: bool,
    /// It says something about its connection (RFC 6223 `keep`, RFC 5923 `alias`).
    pub(super) of_flow: bool,
}

impl TopVia {
    fn mix_sent_by(&self, hash: &mut Hash) {
        hash.text(if self.host.ip().is_some() { b"address" } else { b"name" });
        match &self.host {
            Host::V4(address) => hash.text(&address.octets()),
            Host::V6(address) => hash.text(&address.octets()),
            Host::Name(_) => hash.text(self.host.key().as_bytes()),
        }
        match self.port {
            Some(port) => hash.text(&port.to_be_bytes()),
            None => hash.text(b""),
        }
    }

    /// RFC 3261 §18.2.2, RFC 3581 §4: where the response goes.
    fn reply_to(&self, flow: FlowId, info: &FlowInfo) -> ReplyTo {
        let port = self.port.unwrap_or(default_port(info.transport));
        let remote = SocketAddr::new(info.peer.ip(), port);
        let target = Target { protocol: Protocol::Sip, transport: info.transport, remote };
        let same_flow = info.transport.is_stream() || self.symmetric || remote == info.peer;
        ReplyTo { flow: same_flow.then_some(flow), target }
    }

    /// RFC 3261 §18.2.1 and RFC 3581 §4: notes in the topmost Via where the message really came from, `received`, and
    /// `rport` where it was asked for. `stamped` is what [`read_top`] made of it.
    fn note_source(
        &self,
        headers: &mut Headers,
        stamped: Option<String>,
        source: SocketAddr,
    ) -> Result<(), HeaderError> {
        if !(self.symmetric || self.received || self.host.ip() != Some(source.ip())) {
            return Ok(());
        }
        match stamped.and_then(|text| HeaderText::new(&text).ok()) {
            Some(text) => drop(headers.replace_first_value(&HeaderName::Via, &text)),
            None => self.note_typed(headers, source)?,
        }
        Ok(())
    }

    fn note_typed(&self, headers: &mut Headers, source: SocketAddr) -> Result<(), HeaderError> {
        let mut via = headers.typed::<Via>()?.ok_or(missing("Via"))?;
        via.set_received(source.ip());
        if self.symmetric {
            via.set_rport(source.port());
        }
        headers.replace_first_typed(&via);
        Ok(())
    }
}

/// Reads the topmost Via once: as it stands there, what decides, and its text with where the message really came from in it
/// (`None` for the rare Via with quoted text, which the typed value spells anew).
fn read_top<'a>(
    headers: &'a Headers,
    info: &FlowInfo,
) -> Result<(ViaRef<'a>, TopVia, Option<String>), HeaderError> {
    let Ok(view) = headers.view::<ViaRef<'_>>() else {
        // What is wrong with it, the typed value says.
        return Err(headers.typed::<Via>().err().unwrap_or(missing("Via")));
    };
    let view = view.ok_or(missing("Via"))?;
    let (host, port) = (view.to_host(), view.port());
    let mut top = TopVia { host, port, symmetric: false, received: false, of_flow: false };
    let mut text = String::with_capacity(192);
    text.push_str("SIP/2.0/");
    text.push_str(view.transport());
    text.push(' ');
    push_host(&mut text, &top.host);
    push_port(&mut text, top.port);
    let mut plain = true;
    for (name, value) in view.params().iter() {
        text.push(';');
        text.push_str(name);
        if name.eq_ignore_ascii_case("received") {
            top.received = true;
            text.push('=');
            push_address(&mut text, info.peer.ip());
        } else if name.eq_ignore_ascii_case("rport") {
            top.symmetric = true;
            text.push('=');
            push_number(&mut text, info.peer.port());
        } else {
            top.of_flow |= name.eq_ignore_ascii_case("keep") || name.eq_ignore_ascii_case("alias");
            match value.map(|value| value.plain()) {
                Some(Some(value)) => {
                    text.push('=');
                    text.push_str(value);
                }
                Some(None) => plain = false,
                None => {}
            }
        }
    }
    if !top.received {
        text.push_str(";received=");
        push_address(&mut text, info.peer.ip());
    }
    Ok((view, top, plain.then_some(text)))
}

fn names_a_transaction(branch: &str) -> bool {
    let begins =
        branch.get(..MAGIC_COOKIE.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(MAGIC_COOKIE));
    begins && branch.len() > MAGIC_COOKIE.len()
}

/// The same for a message that is no request to be placed: notes where it came from, and says where its response goes.
pub(super) fn stamp(headers: &mut Headers, flow: FlowId, info: &FlowInfo) -> Result<ReplyTo, HeaderError> {
    let (_, via, stamped) = read_top(headers, info)?;
    via.note_source(headers, stamped, info.peer)?;
    Ok(via.reply_to(flow, info))
}

fn missing(header: &'static str) -> HeaderError {
    HeaderError::Missing { header }
}

/// The branch of the topmost Via.
pub(super) fn top_branch(headers: &Headers) -> Cow<'_, str> {
    headers.view::<ViaRef<'_>>().ok().flatten().and_then(|via| via.branch()).unwrap_or_default()
}

/// Whether To has a tag.
pub(super) fn is_tagged(headers: &Headers) -> bool {
    headers.view::<ToRef<'_>>().is_ok_and(|to| to.is_some_and(|to| to.tag().is_some()))
}

/// The To tag of a message.
pub(super) fn to_tag(headers: &Headers) -> Option<String> {
    headers.typed::<To>().ok().flatten().and_then(|to| to.tag().map(ToString::to_string))
}

/// Adds a tag to a To field that has none.
pub(super) fn add_to_tag(headers: &mut Headers, tag: &str) {
    if lacks_to_tag(headers) {
        append_to_tag(headers, tag);
    }
}

/// Adds a tag to the To field; what was there stays as it was written.
pub(super) fn append_to_tag(headers: &mut Headers, tag: &str) {
    let as_written = headers.get(&HeaderName::To).and_then(|value| value.to_text());
    let with_tag = as_written.and_then(|text| HeaderText::new(&[&text, ";tag=", tag].concat()).ok());
    match with_tag {
        Some(text) => headers.replace(HeaderName::To, text),
        None => {
            if let Ok(Some(to)) = headers.typed::<To>() {
                headers.set_typed(&to.with_tag(tag));
            }
        }
    }
}

/// Whether there is a To, and no tag in it.
pub(super) fn lacks_to_tag(headers: &Headers) -> bool {
    matches!(headers.view::<ToRef<'_>>(), Ok(Some(to)) if to.tag().is_none())
}

/// 64 bits of a keyed hash (FNV-1a over key, lengths and octets) as 16 hexadecimal digits. It marks what this endpoint
/// wrote; nothing secret hangs on it.
pub(super) fn hash_text(key: u64, parts: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |octet: u8| {
        hash = (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
    };
    key.to_be_bytes().into_iter().for_each(&mut mix);
    for part in parts {
        part.len().to_be_bytes().into_iter().for_each(&mut mix);
        part.bytes().for_each(&mut mix);
    }
    key.to_be_bytes().into_iter().for_each(&mut mix);
    format!("{hash:016x}")
}

/// A branch that nobody can guess; a proxied request's ends in the mark by which a loop is seen.
pub(super) fn new_branch(random: &mut Random, mark: Option<LoopMark>) -> String {
    let random = random.public_token(BRANCH_LETTERS);
    let mut branch = String::with_capacity(64);
    branch.push_str(MAGIC_COOKIE);
    branch.push_str(&random);
    if let Some(mark) = mark {
        branch.push('.');
        branch.extend(hexadecimal(mark).map(char::from));
    }
    branch
}

/// Our Via for a request on this flow, with a request for symmetric response routing (RFC 3581 §3). The branch is one of
/// ours.
pub(super) fn own_via(config: &Config, flow: &Flow, branch: &str) -> String {
    let info = &flow.info;
    let (host, port) = sent_by(config, info);
    let name = match info.transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    };
    let mut via = String::with_capacity(128);
    for part in ["SIP/2.0/", name, " "] {
        via.push_str(part);
    }
    push_host(&mut via, &host);
    push_port(&mut via, port);
    for part in [";branch=", branch, ";rport"] {
        via.push_str(part);
    }
    for name in super::upkeep::flow_params(config, flow) {
        via.push(';');
        via.push_str(name);
    }
    via
}

/// How we name ourselves on a flow.
pub(super) fn sent_by(config: &Config, info: &FlowInfo) -> (Host, Option<u16>) {
    match config.sent_by.iter().find(|own| own.transport == info.transport) {
        Some(own) => (own.host.clone(), own.port),
        None => (Host::from(info.local.ip()), Some(info.local.port())),
    }
}

impl Endpoint {
    /// Says who we are, unless that is said already.
    pub(super) fn add_product(&self, headers: &mut Headers, name: HeaderName) {
        let ours = if name == HeaderName::Server { HeaderName::To } else { HeaderName::From };
        let product = match &self.config.anonymous_product {
            Some(product) if names_nobody(headers, &ours) => Some(product),
            _ => self.config.product.as_ref(),
        };
        if let Some(product) = product
            && !headers.contains(&name)
            && (name != HeaderName::Server || !headers.contains(&HeaderName::UserAgent))
        {
            headers.push(name, product.clone());
        }
    }

    /// `User-Agent` of a request.
    pub(super) fn add_user_agent(&self, request: &mut Request) {
        self.add_product(request.headers_mut(), <UserAgent as cpm_sip::TypedHeader>::NAME);
    }
}

// What goes into every Via is written without `core::fmt`, which takes ten times as many instructions (28,000 of a
// message's way through five proxies).

/// `:` and the port, where there is one.
fn push_port(text: &mut String, port: Option<u16>) {
    if let Some(port) = port {
        text.push(':');
        push_number(text, port);
    }
}

fn push_host(text: &mut String, host: &Host) {
    match host {
        Host::V4(address) => push_address(text, IpAddr::V4(*address)),
        Host::Name(name) => text.push_str(name),
        Host::V6(_) => {
            let _ = write!(text, "{host}");
        }
    }
}

fn push_address(text: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        let _ = write!(text, "{address}");
        return;
    };
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        push_number(text, u16::from(octet));
    }
}

/// A number in decimal digits.
fn push_number(text: &mut String, number: u16) {
    let digit = |number: u16| char::from(b'0'.saturating_add(u8::try_from(number % 10).unwrap_or(0)));
    for place in [10_000, 1_000, 100, 10] {
        if number >= place {
            text.push(digit(number.checked_div(place).unwrap_or(0)));
        }
    }
    text.push(digit(number));
}

/// A number in 16 hexadecimal digits.
pub(super) fn hexadecimal(number: u64) -> [u8; 16] {
    let mut digits = number.rotate_left(4);
    [(); 16].map(|()| {
        let digit = u8::try_from(digits & 0xf).unwrap_or(0);
        digits = digits.rotate_left(4);
        if digit < 10 { b'0'.saturating_add(digit) } else { b'a'.saturating_add(digit).saturating_sub(10) }
    })
}

/// Whether our end of a message is nobody.
fn names_nobody(headers: &Headers, ours: &HeaderName) -> bool {
    const NOBODY: &[u8] = b"@anonymous.invalid";
    let value = headers.get(ours).map(|value| value.as_bytes());
    value.is_some_and(|value| value.windows(NOBODY.len()).any(|part| part.eq_ignore_ascii_case(NOBODY)))
}

#[cfg(test)]
mod tests;
