use super::{Case, Outcome, Sink, making, reading, why, writing};
use bytes::Bytes;
use ezk_sip_types::header::typed::{CSeq, CallID, Contact, FromTo, Via};
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse;
use ezk_sip_types::print::{AppendCtx, PrintCtx};
use ezk_sip_types::{Headers, Name};
use std::fmt::Write;
use std::hint::black_box;

struct Message {
    line: MessageLine,
    headers: Headers,
    body: Bytes,
}

/// The pull parser, put together the way its documentation shows.
fn read(message: &Bytes) -> Outcome<Message> {
    let message = black_box(message);
    let mut parser = PullParser::new(message, 0);
    let mut line = None;
    let mut headers = Headers::new();
    for piece in &mut parser {
        let text = std::str::from_utf8(piece.map_err(why)?).map_err(why)?;
        if line.is_none() {
            line = Some(MessageLine::parse(message)(text).map_err(why)?.1);
        } else {
            let field = Line::parse(message, text).map_err(why)?.1;
            headers.insert(field.name, field.value);
        }
    }
    let body = message.slice(parser.head_end()..);
    Ok(Message { line: line.ok_or("no start-line")?, headers, body })
}

pub fn parse(message: &Bytes) -> Case {
    let message = message.clone();
    making("ezk-sip-types 0.6", move || read(&message))
}

pub fn values(message: &Bytes) -> Case {
    reading!("ezk-sip-types 0.6", message, read_values)
}

fn read_values<S: Sink>(message: &Bytes, sink: &mut S) -> Outcome<()> {
    let message = read(message)?;
    let headers = &message.headers;
    let via: Vec<Via> = headers.get(Name::VIA).map_err(why)?;
    sink.text(via.first().and_then(|via| via.params.get_val("branch")).ok_or("no branch")?.as_bytes());
    let from: FromTo = headers.get(Name::FROM).map_err(why)?;
    sink.text(from.tag.ok_or("no tag")?.as_bytes());
    let to: FromTo = headers.get(Name::TO).map_err(why)?;
    sink.text(to.tag.ok_or("no tag")?.as_bytes());
    sink.text(headers.get_named::<CallID>().map_err(why)?.0.as_bytes());
    let cseq = headers.get_named::<CSeq>().map_err(why)?;
    sink.number(cseq.cseq);
    sink.text(cseq.method.to_string().as_bytes());
    sink.other(headers.get_named::<Contact>().map_err(why)?.uri.uri.host_port);
    sink.other(headers.get_raw(&Name::from("Accept-Contact")).next().ok_or("no Accept-Contact")?);
    Ok(())
}

pub fn write(message: &Bytes) -> Case {
    let message = match read(message) {
        Ok(message) => message,
        Err(why) => return Case::Cannot("ezk-sip-types 0.6", why),
    };
    writing("ezk-sip-types 0.6", move || {
        let message = black_box(&message);
        let mut text = String::new();
        write!(text, "{}\r\n{}\r\n", message.line.print_ctx(PrintCtx::default()), message.headers)
            .map_err(why)?;
        let mut out = text.into_bytes();
        out.extend_from_slice(&message.body);
        Ok(black_box(out).len())
    })
}
