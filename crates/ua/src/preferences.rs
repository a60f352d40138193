//! Whom a request is tried at, in what order, by the wishes of its sender: caller preferences (RFC 3841) over the
//! capabilities of contacts (RFC 3840). A pure function; how well one contact fits is [`cpm_sip::caller_preference`].

use alloc::vec::Vec;
use core::cmp::Reverse;
use cpm_sip::{
    AcceptContact, ContactAddr, Event, HeaderError, Method, Params, RejectContact, Request,
    RequestDisposition, caller_preference,
};

/// What the sender wants done with its request (Request-Disposition, RFC 3841 §9.1). Of two directives that contradict
/// one another, the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition {
    /// `redirect`: tell the targets instead of trying them.
    pub redirect: bool,
    /// Not `no-cancel`: the branches that lose are cancelled.
    pub cancel: bool,
    /// Not `no-fork`: more than one target may be tried.
    pub fork: bool,
    /// Not `no-recurse`: targets of a 3xx may be tried.
    pub recurse: bool,
    /// `parallel` or `sequential`; absent: by the preferences of the called side.
    pub parallel: Option<bool>,
    /// `queue`: wait for a busy called side.
    pub queue: bool,
}

impl Disposition {
    /// Nothing said: what a proxy does by itself.
    pub const DEFAULT: Disposition = Disposition {
        redirect: false,
        cancel: true,
        fork: true,
        recurse: true,
        parallel: None,
        queue: false,
    };

    /// What a request says.
    ///
    /// # Errors
    /// The field cannot be read.
    pub fn of(request: &Request) -> Result<Disposition, HeaderError> {
        let directives = request.typed_list::<RequestDisposition>()?;
        let first = |yes: &str, no: &str| {
            let said = directives.iter().map(RequestDisposition::as_str);
            let mut said = said.filter(|d| d.eq_ignore_ascii_case(yes) || d.eq_ignore_ascii_case(no));
            said.next().map(|directive| directive.eq_ignore_ascii_case(yes))
        };
        let default = Disposition::DEFAULT;
        Ok(Disposition {
            redirect: first("redirect", "proxy").unwrap_or(default.redirect),
            cancel: first("cancel", "no-cancel").unwrap_or(default.cancel),
            fork: first("fork", "no-fork").unwrap_or(default.fork),
            recurse: first("recurse", "no-recurse").unwrap_or(default.recurse),
            parallel: first("parallel", "sequential"),
            queue: first("queue", "no-queue").unwrap_or(default.queue),
        })
    }
}

/// Whom to try, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Groups to be tried one after the other, the members of each at once: positions in the list of contacts. Empty when
    /// no contact is left: 480 (RFC 3841 §7.2.4).
    pub groups: Vec<Vec<usize>>,
    /// What else the sender wants.
    pub disposition: Disposition,
}

/// The targets of a request among the contacts of its addressee (RFC 3841 §7.2): what the sender must not reach is left
/// out; the others stand by the `q` of the called side first (absent: 1), then by how well they fit what the sender
/// prefers. Equals are tried at once, unless the sender says otherwise.
///
/// Without Accept-Contact and Reject-Contact, contacts that say that they do not know the method, or the event package of
/// a SUBSCRIBE, are left out (§7.2.2), unless nobody would be left.
///
/// ```
/// use cpm_sip::{Contact, HeaderName, HeaderText, Method, Request, TypedHeader, Uri};
/// let contacts: Vec<_> = ["<sip:a@x>;q=0.2;audio", "<sip:b@x>;q=0.5", "<sip:c@x>;q=0.2;audio;video"]
///     .iter()
///     .map(|text| Contact::parse(text.as_bytes()).unwrap().as_addr().unwrap().clone())
///     .collect();
/// let request = Request::new(Method::Invite, Uri::parse("sip:bob@example.com").unwrap())
///     .with_header(HeaderName::AcceptContact, HeaderText::new("*;video").unwrap());
/// let targets = cpm_ua::targets(&request, &contacts).unwrap();
/// assert_eq!(targets.groups, [vec![1], vec![2], vec![0]]);
/// ```
///
/// # Errors
/// Accept-Contact, Reject-Contact, Request-Disposition or Event cannot be read: 400.
pub fn targets(request: &Request, contacts: &[ContactAddr]) -> Result<Targets, HeaderError> {
    let disposition = Disposition::of(request)?;
    let mut accept = request.typed_list::<AcceptContact>()?;
    let reject = request.typed_list::<RejectContact>()?;
    let implicit = accept.is_empty() && reject.is_empty();
    if implicit {
        accept.extend(implied(request)?);
    }
    let mut ranked: Vec<(u16, u32, usize)> = Vec::with_capacity(contacts.len());
    for (index, contact) in contacts.iter().enumerate() {
        if let Some(score) = caller_preference(contact, &accept, &reject).score() {
            // What is implied only leaves out: it is no preference of one contact over another.
            ranked.push((contact.q().unwrap_or(1000), if implicit { 1000 } else { score }, index));
        }
    }
    if ranked.is_empty() && implicit {
        ranked = contacts.iter().enumerate().map(|(i, c)| (c.q().unwrap_or(1000), 1000, i)).collect();
    }
    ranked.sort_by_key(|(q, score, _)| Reverse((*q, *score)));
    Ok(Targets { groups: grouped(&ranked, disposition), disposition })
}

fn grouped(ranked: &[(u16, u32, usize)], disposition: Disposition) -> Vec<Vec<usize>> {
    let ranked = if disposition.fork { ranked } else { ranked.get(..1).unwrap_or_default() };
    let together = |a: &(u16, u32, usize), b: &(u16, u32, usize)| match disposition.parallel {
        Some(parallel) => parallel,
        None => (a.0, a.1) == (b.0, b.1),
    };
    ranked.chunk_by(together).map(|group| group.iter().map(|(_, _, index)| *index).collect()).collect()
}

/// RFC 3841 §7.2.2: what a request prefers although it does not say so.
fn implied(request: &Request) -> Result<Option<AcceptContact>, HeaderError> {
    let mut params = Params::new();
    let mut said = params.set_quoted("methods", request.method().as_str());
    if *request.method() == Method::Subscribe
        && let Some(event) = request.typed::<Event>()?
    {
        said = said.and_then(|()| params.set_quoted("events", event.package()));
    }
    said = said.and_then(|()| params.set("require", None));
    Ok(said.is_ok().then(|| AcceptContact::new(params)))
}

#[cfg(test)]
mod tests;
