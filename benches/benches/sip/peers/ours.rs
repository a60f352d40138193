use super::{Case, Outcome, Sink, making, reading, why, writing};
use bytes::Bytes;
use cpm_sip::{
    AcceptContact, AcceptContactRef, CSeq, CSeqRef, CallId, CallIdRef, Contact, ContactRef, From, FromRef,
    HeaderView, Headers, Limits, MaxForwards, Message, To, ToRef, TypedHeader, Via, ViaRef, parse_datagram,
};
use std::hint::black_box;

fn read(message: &Bytes) -> Outcome<Message> {
    parse_datagram(black_box(message).clone(), &Limits::DEFAULT).map_err(why)
}

pub fn parse(message: &Bytes) -> Case {
    let message = message.clone();
    making("cpm-sip", move || parse_datagram(black_box(&message).clone(), &Limits::DEFAULT))
}

/// The same INVITE with one field folded: the tolerant reading, which no plain head needs.
pub fn parse_folded(message: &Bytes) -> Case {
    let text = String::from_utf8_lossy(message).replacen(";require;explicit", ";require\r\n ;explicit", 1);
    let message = Bytes::from(text);
    let message = (message.clone(), message).0;
    making("cpm-sip, one field folded", move || parse_datagram(black_box(&message).clone(), &Limits::DEFAULT))
}

pub fn values(message: &Bytes) -> Case {
    reading!("cpm-sip, borrowed views", message, read_values)
}

pub fn typed_values(message: &Bytes) -> Case {
    reading!("cpm-sip, owned values", message, read_typed)
}

fn view<'a, V: HeaderView<'a>>(headers: &'a Headers) -> Outcome<V> {
    headers.view::<V>().map_err(why)?.ok_or_else(|| "missing".into())
}

fn read_values<S: Sink>(message: &Bytes, sink: &mut S) -> Outcome<()> {
    let message = read(message)?;
    let headers = message.headers();
    sink.text(view::<ViaRef<'_>>(headers)?.branch().ok_or("no branch")?.as_bytes());
    sink.text(view::<FromRef<'_>>(headers)?.tag().ok_or("no tag")?.as_bytes());
    sink.text(view::<ToRef<'_>>(headers)?.tag().ok_or("no tag")?.as_bytes());
    sink.text(view::<CallIdRef<'_>>(headers)?.as_str().as_bytes());
    let cseq = view::<CSeqRef<'_>>(headers)?;
    sink.number(cseq.number());
    sink.text(cseq.method().as_bytes());
    let contact = view::<ContactRef<'_>>(headers)?;
    sink.other(contact.uri().ok_or("a star")?.host().map_err(why)?.ok_or("no SIP URI")?);
    sink.other(view::<AcceptContactRef<'_>>(headers)?.params().get("+g.3gpp.icsi-ref").ok_or("no feature")?);
    Ok(())
}

fn one<H: TypedHeader>(message: &Message) -> Outcome<H> {
    message.typed::<H>().map_err(why)?.ok_or_else(|| "missing".into())
}

fn read_typed<S: Sink>(message: &Bytes, sink: &mut S) -> Outcome<()> {
    let message = read(message)?;
    sink.text(one::<Via>(&message)?.branch().ok_or("no branch")?.as_bytes());
    sink.text(one::<From>(&message)?.tag().ok_or("no tag")?.as_bytes());
    sink.text(one::<To>(&message)?.tag().ok_or("no tag")?.as_bytes());
    sink.text(one::<CallId>(&message)?.as_str().as_bytes());
    let cseq = one::<CSeq>(&message)?;
    sink.number(cseq.number);
    sink.text(cseq.method.as_str().as_bytes());
    let contact = one::<Contact>(&message)?;
    sink.other(contact.uri().and_then(|uri| uri.as_sip()).ok_or("no SIP URI")?.host());
    sink.other(one::<AcceptContact>(&message)?.params().get("+g.3gpp.icsi-ref").ok_or("no feature")?);
    Ok(())
}

pub fn write(message: &Bytes) -> Case {
    let Ok(message) = read(message) else { return Case::Cannot("cpm-sip", "does not read it".into()) };
    writing("cpm-sip, into a Vec with room", move || {
        let mut out = Vec::with_capacity(4096);
        black_box(&message).write_to(&mut out);
        Ok(black_box(out).len())
    })
}

pub fn share(message: &Bytes) -> Case {
    let Ok(message) = read(message) else { return Case::Cannot("cpm-sip", "does not read it".into()) };
    writing("cpm-sip, untouched octets shared", move || Ok(black_box(black_box(&message).to_bytes()).len()))
}

pub fn write_edited(message: &Bytes) -> Case {
    let Ok(mut message) = read(message) else { return Case::Cannot("cpm-sip", "does not read it".into()) };
    message.headers_mut().set_typed(&MaxForwards(66));
    writing("cpm-sip, after an edit, the same", move || {
        let mut out = Vec::with_capacity(4096);
        black_box(&message).write_to(&mut out);
        Ok(black_box(out).len())
    })
}
