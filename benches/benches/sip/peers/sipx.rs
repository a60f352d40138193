use super::{Case, Outcome, Sink, making, reading, why, writing};
use bytes::Bytes;
use sipx_sip::headers::address::{ContactValue, From, To};
use sipx_sip::{CSeq, CallId, HeaderName, Limits, Message, Via, parse_datagram};
use std::hint::black_box;

fn read(message: &Bytes) -> Outcome<Message> {
    parse_datagram(black_box(message).clone(), &Limits::datagram()).map_err(why)
}

pub fn parse(message: &Bytes) -> Case {
    let message = message.clone();
    making("sipx-sip 1.0", move || parse_datagram(black_box(&message).clone(), &Limits::datagram()))
}

pub fn values(message: &Bytes) -> Case {
    reading!("sipx-sip 1.0", message, read_values)
}

fn read_values<S: Sink>(message: &Bytes, sink: &mut S) -> Outcome<()> {
    let message = read(message)?;
    let headers = message.headers();
    let via = headers.typed::<Via>().ok_or("no Via")?.map_err(why)?;
    sink.text(via.branch().ok_or("no branch")?);
    sink.text(headers.typed::<From>().ok_or("no From")?.map_err(why)?.tag().ok_or("no tag")?);
    sink.text(headers.typed::<To>().ok_or("no To")?.map_err(why)?.tag().ok_or("no tag")?);
    sink.text(&headers.typed::<CallId>().ok_or("no Call-ID")?.map_err(why)?.0);
    let cseq = headers.typed::<CSeq>().ok_or("no CSeq")?.map_err(why)?;
    sink.number(cseq.sequence);
    sink.text(cseq.method.as_bytes());
    match headers.typed::<ContactValue>().ok_or("no Contact")?.map_err(why)? {
        ContactValue::Address(address) => sink.other(address.uri.host().ok_or("no host")?),
        ContactValue::Wildcard => return Err("a star".into()),
    }
    sink.other(headers.get(&HeaderName::AcceptContact).ok_or("no Accept-Contact")?.raw_value());
    Ok(())
}

pub fn write(message: &Bytes) -> Case {
    let message = match read(message) {
        Ok(message) => message,
        Err(why) => return Case::Cannot("sipx-sip 1.0", why),
    };
    writing("sipx-sip 1.0, into a Vec with room", move || {
        let mut out = Vec::with_capacity(4096);
        black_box(&message).write_to(&mut out);
        Ok(black_box(out).len())
    })
}
