use super::{Case, Outcome, Sink, making, reading, why, writing};
use bytes::Bytes;
use rsipstack::sip::prelude::{HasHeaders, HeadersExt, ToTypedHeader};
use rsipstack::sip::{Header, SipMessage};
use std::hint::black_box;

fn read(message: &Bytes) -> Outcome<SipMessage> {
    SipMessage::try_from(&black_box(message)[..]).map_err(why)
}

pub fn parse(message: &Bytes) -> Case {
    let message = message.clone();
    making("rsipstack 0.7", move || SipMessage::try_from(&black_box(&message)[..]))
}

pub fn values(message: &Bytes) -> Case {
    reading!("rsipstack 0.7", message, read_values)
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

pub fn write(message: &Bytes) -> Case {
    let message = match read(message) {
        Ok(message) => message,
        Err(why) => return Case::Cannot("rsipstack 0.7", why),
    };
    writing("rsipstack 0.7", move || Ok(black_box(black_box(&message).to_bytes()).len()))
}
