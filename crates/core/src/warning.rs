//! Refusals that say why (TS 6.4): a response with a Warning 399.

use cpm_sip::{Request, Response, StatusCode, Warning};

/// The code of a Warning of CPM (TS 6.4.1).
pub const CODE: u16 = 399;
/// Who warns: a pseudonym (RFC 3261 §20.43), so that no response tells the host's name.
const AGENT: &str = "cpm";

/// The reasons that CPM has a text for (TS 6.4.2, Table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// More participants than a session may have.
    TooManyParticipants,
    /// The session has a focus already.
    FocusAssigned,
    /// The sender wants to be anonymous and may not.
    Anonymity,
    /// Not allowed, for a reason that has no text of its own.
    NotAllowed,
    /// The Request-URI names no session.
    NoSession,
    /// Nothing is there to be retrieved.
    NoMessages,
    /// The user may not use this service.
    NotAuthorised,
    /// Nobody is left to send to.
    NoDestinations,
    /// This version of CPM is not spoken.
    Version,
    /// A file, or a message, is larger than is taken.
    Size,
}

impl Reason {
    /// Every reason with its code and text.
    // req: 6.4.2-T1-102, 6.4.2-T1-105, 6.4.2-T1-119, 6.4.2-T1-122, 6.4.2-T1-123, 6.4.2-T1-125, 6.4.2-T1-127
    // req: 6.4.2-T1-129, 6.4.2-T1-132, 6.4.2-T1-133, 6.4.2-p1
    pub const TABLE: [(Reason, &str); 10] = [
        (Reason::TooManyParticipants, "102 Too many participants"),
        (Reason::FocusAssigned, "105 Isfocus already assigned"),
        (Reason::Anonymity, "119 Anonymity not allowed"),
        (Reason::NotAllowed, "122 Function not allowed"),
        (Reason::NoSession, "123 Session does not exist"),
        (Reason::NoMessages, "125 No messages"),
        (Reason::NotAuthorised, "127 Service not authorised"),
        (Reason::NoDestinations, "129 No destinations"),
        (Reason::Version, "132 Version not supported"),
        (Reason::Size, "133 Size exceeded"),
    ];

    /// Code and text as they stand in a Warning: `133 Size exceeded`.
    #[must_use]
    pub fn text(self) -> &'static str {
        Reason::TABLE.iter().find(|(reason, _)| *reason == self).map_or("", |(_, text)| text)
    }

    /// The reason that a text begins with. The number counts: what stands behind it may be in any language (readings F1).
    #[must_use]
    pub fn of(text: &str) -> Option<Reason> {
        let number = text.trim_start().get(..3)?;
        Reason::TABLE.iter().find(|(_, known)| known.starts_with(number)).map(|(reason, _)| *reason)
    }

    /// The same with what it is about: `122 Function not allowed: no messages at night`.
    #[must_use]
    pub fn about(self, detail: &str) -> String {
        format!("{}: {detail}", self.text())
    }
}

/// A final response that refuses a request; `why`, where there is something to say, goes into a Warning. What cannot stand
/// there is left out of it.
// req: 6.4.1-p2, 6.4.1-p3
#[must_use]
pub fn refusal(request: &Request, status: StatusCode, why: Option<&str>) -> Response {
    let mut response = Response::for_request(request, status);
    let printable =
        |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    if let Some(warning) = why.and_then(|text| Warning::new(CODE, AGENT, &printable(text)).ok()) {
        response.headers_mut().push_typed(&warning);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_sip::{Method, Uri};

    fn warning_of(why: Option<&str>) -> Option<(u16, String)> {
        let request = Request::new(Method::Message, Uri::parse("sip:bob@example.org").unwrap());
        let response = refusal(&request, StatusCode::FORBIDDEN, why);
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        response.typed::<Warning>().unwrap().map(|warning| (warning.code(), warning.text().to_owned()))
    }

    // req: 6.4.1-p2, 6.4.1-p3, 6.4.2-p1, 6.4.2-T1-102, 6.4.2-T1-105, 6.4.2-T1-119, 6.4.2-T1-122, 6.4.2-T1-123
    // req: 6.4.2-T1-125, 6.4.2-T1-127, 6.4.2-T1-129, 6.4.2-T1-132, 6.4.2-T1-133
    #[test]
    fn every_reason_has_its_text() {
        let expected = [
            (Reason::TooManyParticipants, "102 Too many participants"),
            (Reason::FocusAssigned, "105 Isfocus already assigned"),
            (Reason::Anonymity, "119 Anonymity not allowed"),
            (Reason::NotAllowed, "122 Function not allowed"),
            (Reason::NoSession, "123 Session does not exist"),
            (Reason::NoMessages, "125 No messages"),
            (Reason::NotAuthorised, "127 Service not authorised"),
            (Reason::NoDestinations, "129 No destinations"),
            (Reason::Version, "132 Version not supported"),
            (Reason::Size, "133 Size exceeded"),
        ];
        for (reason, text) in expected {
            assert_eq!(warning_of(Some(reason.text())), Some((399, text.to_owned())));
            assert_eq!(Reason::of(text), Some(reason));
            assert_eq!(Reason::of(&format!(" {} in other words", text.get(..3).unwrap())), Some(reason));
        }
        for none in ["", "12", "999 Who knows", "\u{e9}\u{e9}"] {
            assert_eq!(Reason::of(none), None);
        }
        assert_eq!(Reason::NotAllowed.about("no focus"), "122 Function not allowed: no focus");
    }

    /// Threat E4: what a peer wrote cannot end the header field that it is quoted in.
    #[test]
    fn what_is_quoted_stays_in_its_line() {
        let injected = warning_of(Some("bad \"id\" \\ x\r\nContact: <sip:mallory@example.net>\0"));
        assert_eq!(injected, Some((399, "bad \"id\" \\ x  Contact: <sip:mallory@example.net> ".to_owned())));
        assert_eq!(warning_of(None), None);
    }
}
