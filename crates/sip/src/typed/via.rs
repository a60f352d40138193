//! Via (RFC 3261 §20.42, RFC 3581).

use super::TypedHeader;
use crate::error::HeaderError;
use crate::grammar::{Parsed, bounded_token, complete, number, separator, spaces, syntax};
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::{tokenised, write_number};
use crate::uri::{Host, parse_port, parse_v4, parse_v6};
use alloc::borrow::{Cow, ToOwned};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

/// One Via value: the way that a response takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    transport: Cow<'static, str>,
    host: Host,
    port: Option<u16>,
    params: Params,
}

/// The `rport` parameter (RFC 3581 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rport {
    /// Not there.
    Absent,
    /// There without a value: the server is asked to fill it in.
    Requested,
    /// Filled in.
    Port(u16),
}

impl Via {
    /// What begins the branch of every transaction of RFC 3261 (§8.1.1.7).
    pub const MAGIC_COOKIE: &'static str = "z9hG4bK";

    /// `SIP/2.0/transport host:port` without parameters. What a token cannot hold in the transport becomes a dash.
    #[must_use]
    pub fn new(transport: &str, host: Host, port: Option<u16>) -> Via {
        let transport = usual(transport).unwrap_or_else(|| Cow::Owned(tokenised(transport)));
        Via { transport, host, port, params: Params::new() }
    }

    /// The same with this branch; what a token cannot hold in it becomes a dash.
    #[must_use]
    pub fn with_branch(mut self, branch: &str) -> Via {
        self.params.set_token("branch", branch);
        self
    }

    /// The same with an empty `rport`: a request for symmetric response routing (RFC 3581 §3).
    #[must_use]
    pub fn with_rport(mut self) -> Via {
        self.params.set_plain("rport", None);
        self
    }

    /// The transport as it was written: `UDP`.
    #[must_use]
    pub fn transport(&self) -> &str {
        &self.transport
    }

    /// The host of sent-by.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port of sent-by, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Sent-by in one spelling, for comparison (RFC 3261 §17.2.3).
    #[must_use]
    pub fn sent_by_key(&self) -> String {
        match self.port {
            Some(port) => alloc::format!("{}:{port}", self.host.key()),
            None => self.host.key(),
        }
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// The branch when it names a transaction of RFC 3261: the magic cookie and something after it.
    #[must_use]
    pub fn rfc3261_branch(&self) -> Option<&str> {
        let cookie = Via::MAGIC_COOKIE;
        let begins = |b: &&str| b.get(..cookie.len()).is_some_and(|c| c.eq_ignore_ascii_case(cookie));
        self.branch().filter(begins).filter(|b| b.len() > cookie.len())
    }

    /// Where the request was received from, when a server noted it.
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        parse_ip(self.params.get("received")?)
    }

    /// Notes where the request was received from.
    pub fn set_received(&mut self, address: IpAddr) {
        self.params.set_plain("received", Some(address.to_string()));
    }

    /// The `rport` parameter.
    #[must_use]
    pub fn rport(&self) -> Rport {
        match self.params.get("rport") {
            None => Rport::Absent,
            Some(port) => parse_port(port).map_or(Rport::Requested, Rport::Port),
        }
    }

    /// Fills in the port that the request was received from.
    pub fn set_rport(&mut self, port: u16) {
        self.params.set_plain("rport", Some(port.to_string()));
    }

    /// `maddr`, where responses to a multicast request go.
    #[must_use]
    pub fn maddr(&self) -> Option<Host> {
        Host::parse(self.params.get("maddr")?).ok()
    }

    /// `ttl` of a multicast request, 0 to 255.
    #[must_use]
    pub fn ttl(&self) -> Option<u8> {
        crate::grammar::parse_u32(self.params.get("ttl")?.as_bytes()).and_then(|ttl| u8::try_from(ttl).ok())
    }

    /// All parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// All parameters, to be edited.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}

impl TypedHeader for Via {
    const NAME: HeaderName = HeaderName::Via;

    fn read(text: &str, limits: &Limits) -> Result<Via, HeaderError> {
        let via = complete("Via", via_parm(text, limits))?;
        let malformed = |what| Err(HeaderError::Malformed { header: "Via", what });
        if via.params.get("rport").is_some_and(|port| !port.is_empty() && parse_port(port).is_none()) {
            return malformed("rport is no port");
        }
        if via.params.get("received").is_some_and(|address| parse_ip(address).is_none()) {
            return malformed("received is no address");
        }
        if via.params.contains("ttl") && via.ttl().is_none() {
            return malformed("ttl is no number up to 255");
        }
        if let Some(branch) = via.params.get("branch") {
            limits
                .max_token(branch.len())
                .map_err(|exceeded| HeaderError::Limit { header: "Via", exceeded })?;
        }
        Ok(via)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SIP/2.0/");
        out.extend_from_slice(self.transport.as_bytes());
        out.push(b' ');
        self.host.write(out);
        if let Some(port) = self.port {
            out.push(b':');
            write_number(u32::from(port), out);
        }
        self.params.write(out);
    }
}

/// A transport that stands in nearly every Via: it is not copied.
fn usual(transport: &str) -> Option<Cow<'static, str>> {
    ["UDP", "TCP", "TLS"].into_iter().find(|usual| *usual == transport).map(Cow::Borrowed)
}

pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    if let Some(address) = parse_v4(text) {
        return Some(IpAddr::V4(address));
    }
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    parse_v6(inside).map(IpAddr::V6)
}

/// `sent-protocol LWS sent-by *( SEMI via-params )`.
fn via_parm<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Via> {
    let (rest, protocol) = bounded_token(input, limits)?;
    let (rest, ()) = separator('/')(rest)?;
    let (rest, version) = bounded_token(rest, limits)?;
    let (rest, ()) = separator('/')(rest)?;
    if !protocol.eq_ignore_ascii_case("SIP") || version != "2.0" {
        return syntax("not SIP/2.0");
    }
    let (rest, transport) = bounded_token(rest, limits)?;
    let after = spaces(rest);
    if after.len() == rest.len() {
        return syntax("no space before sent-by");
    }
    let (rest, (host, port)) = sent_by(after)?;
    let (rest, params) = Params::read(rest, limits)?;
    let transport = usual(transport).unwrap_or_else(|| Cow::Owned(transport.to_owned()));
    Ok((rest, Via { transport, host, port, params }))
}

/// `host [ COLON port ]`; white space may surround the colon.
fn sent_by(input: &str) -> Parsed<'_, (Host, Option<u16>)> {
    let end = if input.starts_with('[') {
        input.find(']').map_or(input.len(), |at| at.saturating_add(1))
    } else {
        input.find([':', ';', ' ', '\t', ',']).unwrap_or(input.len())
    };
    let Some((host, rest)) = input.split_at_checked(end) else { return syntax("bad sent-by") };
    let Ok(host) = Host::parse(host) else { return syntax("sent-by is no host") };
    let Ok((rest, ())) = separator(':')(rest) else { return Ok((rest, (host, None))) };
    let (rest, port) = number(rest)?;
    match u16::try_from(port) {
        Ok(port) => Ok((rest, (host, Some(port)))),
        Err(_) => syntax("the port is too great"),
    }
}
