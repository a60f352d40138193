//! What SIP messages of the demonstration are, in a few letters for a narrow ladder.

use bytes::Bytes;
use cpm_cpim::{CpimMessage, Leniency};
use cpm_sim::ladder::Kind;
use cpm_sim::summary::{Summary, datagram};
use cpm_sip::{CSeq, CallId, Limits, Message, Method, Request, Response};
use cpm_xml::imdn::{self, DeliveryStatus, DisplayStatus, Notification};
use std::collections::BTreeSet;

/// Reads labels; remembers which calls carried notifications, so that their responses say so.
#[derive(Default)]
pub(crate) struct Labels {
    notifications: BTreeSet<String>,
}

impl Labels {
    /// One datagram.
    pub(crate) fn of(&mut self, bytes: &[u8]) -> Summary {
        match cpm_sip::parse_datagram(Bytes::copy_from_slice(bytes), &Limits::default()) {
            Ok(Message::Request(request)) => self.request(&request),
            Ok(Message::Response(response)) => self.response(&response),
            Err(_) => datagram(bytes),
        }
    }

    fn request(&mut self, request: &Request) -> Summary {
        let notification =
            (*request.method() == Method::Message).then(|| notification(request.body())).flatten();
        let label = match notification {
            Some(label) => {
                self.notifications.extend(call(request.typed().ok().flatten()));
                label.to_owned()
            }
            None => request.method().to_string(),
        };
        Summary { label, kind: Kind::Request }
    }

    fn response(&self, response: &Response) -> Summary {
        let status = response.status();
        let is_notification =
            call(response.typed().ok().flatten()).is_some_and(|id| self.notifications.contains(&id));
        let what = match response.typed::<CSeq>() {
            Ok(Some(_)) if is_notification => "IMDN".to_owned(),
            Ok(Some(cseq)) => cseq.method.to_string(),
            _ => String::new(),
        };
        let (label, kind) = if status.is_provisional() {
            (format!("{} {}", status.as_u16(), response.reason()), Kind::Provisional)
        } else if status.is_success() {
            (format!("{} {} {what}", status.as_u16(), response.reason()), Kind::Success)
        } else {
            (format!("{} {what}", status.as_u16()), Kind::Failure)
        };
        Summary { label: label.trim_end().to_owned(), kind }
    }
}

fn call(id: Option<CallId>) -> Option<String> {
    id.map(|id| id.as_str().to_owned())
}

/// What a disposition notification says; `None` for any other body.
fn notification(body: &Bytes) -> Option<&'static str> {
    let (cpim, _) =
        CpimMessage::parse(body.clone(), &cpm_cpim::Limits::default(), &Leniency::field()).ok()?;
    if !cpim.is_imdn() {
        return None;
    }
    let document = imdn::parse(&cpim.content().decoded().ok()?, &cpm_xml::Limits::default()).ok()?;
    Some(match document.notifications().next() {
        Some(Notification::Delivery(DeliveryStatus::Delivered)) => "IMDN delivered",
        Some(Notification::Display(DisplayStatus::Displayed)) => "IMDN displayed",
        _ => "IMDN",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_base::DateTime;
    use cpm_cpim::{Address, CpimBuilder};
    use cpm_mime::{ContentType, Part};

    fn message(id: &str, content_type: &str, content: &str) -> Vec<u8> {
        let content_type = ContentType::parse(content_type).unwrap();
        let cpim = CpimBuilder::new(Address::new("sip:a@example.com"), Address::new("sip:b@example.com"))
            .date_time(DateTime::UNIX_EPOCH)
            .content(Part::new(&content_type, Bytes::copy_from_slice(content.as_bytes())))
            .build()
            .unwrap()
            .to_bytes();
        let head = format!(
            "MESSAGE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>\r\nCall-ID: {id}\r\nCSeq: 1 MESSAGE\r\nContent-Type: message/cpim\r\n\r\n"
        );
        [head.as_bytes(), &cpim].concat()
    }

    fn response(id: &str, status: &str, method: &str) -> Vec<u8> {
        format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>;tag=2\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn messages_and_notifications_are_told_apart() {
        let mut labels = Labels::default();
        let report = imdn::write(&imdn::Imdn::new(
            "id1",
            "2026-01-01T00:00:00Z",
            Notification::Display(DisplayStatus::Displayed),
        ));
        let mut of = |bytes: Vec<u8>| labels.of(&bytes).label;
        assert_eq!(of(message("m", "text/plain", "<displayed/>")), "MESSAGE");
        assert_eq!(of(message("n", "message/imdn+xml", &report)), "IMDN displayed");
        assert_eq!(of(response("m", "200 OK", "MESSAGE")), "200 OK MESSAGE");
        assert_eq!(of(response("n", "200 OK", "MESSAGE")), "200 OK IMDN");
        assert_eq!(of(response("i", "100 Trying", "INVITE")), "100 Trying");
        assert_eq!(of(response("i", "487 Request Terminated", "INVITE")), "487 INVITE");
        assert_eq!(of(b"\r\n\r\n".to_vec()), "keep-alive");
    }
}
