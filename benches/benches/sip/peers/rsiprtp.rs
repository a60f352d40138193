use super::{Case, Outcome, Sink, making, reading, why, writing};
use crate::INVITE;
use bytes::Bytes;
use rsiprtp::sip::{SipMessage, SipRequest};
use std::hint::black_box;

fn read(message: &[u8]) -> Outcome<SipRequest> {
    match SipMessage::parse(black_box(message)).map_err(why)? {
        SipMessage::Request(request) => Ok(request),
        SipMessage::Response(_) => Err("a response".into()),
    }
}

pub fn parse() -> Case {
    making("rsiprtp 0.4", || SipMessage::parse(black_box(INVITE)))
}

/// Gives no access to fields that it does not type: Accept-Contact is left out.
pub fn values(message: &Bytes) -> Case {
    reading!("rsiprtp 0.4 (no Accept-Contact)", message, read_values)
}

fn read_values<S: Sink>(message: &Bytes, sink: &mut S) -> Outcome<()> {
    let request = read(message)?;
    sink.text(request.via_branch().map_err(why)?.as_bytes());
    sink.text(request.from_tag().map_err(why)?.as_bytes());
    sink.text(request.to_tag().ok_or("no To tag")?.as_bytes());
    sink.text(request.call_id().map_err(why)?.as_bytes());
    sink.number(request.cseq().map_err(why)?);
    sink.text(request.cseq_method().map_err(why)?.to_string().as_bytes());
    sink.other(request.contact_uri().ok_or("no Contact")?);
    sink.other(());
    Ok(())
}

pub fn write() -> Case {
    let message = match read(INVITE) {
        Ok(message) => message,
        Err(why) => return Case::Cannot("rsiprtp 0.4", why),
    };
    writing("rsiprtp 0.4", move || Ok(black_box(black_box(&message).to_bytes()).len()))
}
