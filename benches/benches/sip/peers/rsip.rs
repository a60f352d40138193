use super::{Case, Outcome, Sink, making, reading, why, writing};
use crate::INVITE;
use bytes::Bytes;
use rsip::prelude::{HasHeaders, HeadersExt, ToTypedHeader, UntypedHeader};
use rsip::{Header, SipMessage};
use std::hint::black_box;

fn read(message: &[u8]) -> Outcome<SipMessage> {
    SipMessage::try_from(black_box(message)).map_err(why)
}

pub fn parse() -> Case {
    making("rsip 0.4", || SipMessage::try_from(black_box(INVITE)))
}

pub fn values(message: &Bytes) -> Case {
    reading!("rsip 0.4", message, read_values)
}

fn read_values<S: Sink>(message: &Bytes, sink: &mut S) -> Outcome<()> {
    let SipMessage::Request(request) = read(message)? else { return Err("a response".into()) };
    sink.text(
        request
            .via_header()
            .map_err(why)?
            .typed()
            .map_err(why)?
            .branch()
            .ok_or("no branch")?
            .value()
            .as_bytes(),
    );
    sink.text(
        request.from_header().map_err(why)?.typed().map_err(why)?.tag().ok_or("no tag")?.value().as_bytes(),
    );
    sink.text(
        request.to_header().map_err(why)?.typed().map_err(why)?.tag().ok_or("no tag")?.value().as_bytes(),
    );
    sink.text(request.call_id_header().map_err(why)?.value().as_bytes());
    let cseq = request.cseq_header().map_err(why)?.typed().map_err(why)?;
    sink.number(cseq.seq);
    sink.text(cseq.method.to_string().as_bytes());
    sink.other(request.contact_header().map_err(why)?.typed().map_err(why)?.uri.host());
    let accept_contact = request.headers().iter().find_map(|header| match header {
        Header::Other(name, value) if name.eq_ignore_ascii_case("Accept-Contact") => Some(value),
        _ => None,
    });
    sink.other(accept_contact.ok_or("no Accept-Contact")?);
    Ok(())
}

pub fn write() -> Case {
    let message = match read(INVITE) {
        Ok(message) => message,
        Err(why) => return Case::Cannot("rsip 0.4", why),
    };
    writing("rsip 0.4", move || Ok(black_box(black_box(&message).to_string()).len()))
}
