//! Writing requests and responses. Field order is fixed: paths, Message-ID, reports, Byte-Range, Content-Type last.

use alloc::string::String;
use alloc::vec::Vec;

use crate::uri::MsrpUri;
use crate::values::{ByteRange, ContinuationFlag, FailureReport, Status};

/// `MSRP`, transaction, what follows it, and both paths.
fn begin(transaction: &str, what: &str, to: &[MsrpUri], from: &MsrpUri) -> String {
    let mut out = String::with_capacity(512);
    for text in ["MSRP ", transaction, " ", what, "\r\nTo-Path:"] {
        out.push_str(text);
    }
    for uri in to {
        out.push(' ');
        out.push_str(uri.as_str());
    }
    field(&mut out, "\r\nFrom-Path: ", from.as_str());
    out
}

fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(value);
    out.push_str("\r\n");
}

/// The end-line of a message without body.
fn end(mut out: String, transaction: &str, flag: ContinuationFlag) -> Vec<u8> {
    out.push_str("-------");
    out.push_str(transaction);
    out.push(char::from(flag.octet()));
    out.push_str("\r\n");
    out.into_bytes()
}

/// What a SEND says besides its paths.
pub(crate) struct SendFields<'a> {
    pub(crate) message_id: &'a str,
    pub(crate) success_report: bool,
    pub(crate) failure_report: FailureReport,
    pub(crate) range: ByteRange,
}

fn send(transaction: &str, to: &[MsrpUri], from: &MsrpUri, fields: &SendFields<'_>) -> String {
    let mut out = begin(transaction, "SEND", to, from);
    field(&mut out, "Message-ID: ", fields.message_id);
    if fields.success_report {
        out.push_str("Success-Report: yes\r\n");
    }
    match fields.failure_report {
        FailureReport::Yes => {}
        FailureReport::No => out.push_str("Failure-Report: no\r\n"),
        FailureReport::Partial => out.push_str("Failure-Report: partial\r\n"),
    }
    field(&mut out, "Byte-Range: ", &alloc::format!("{}", fields.range));
    out
}

/// A SEND up to its body, the empty line included.
pub(crate) fn send_head(
    transaction: &str,
    to: &[MsrpUri],
    from: &MsrpUri,
    fields: &SendFields<'_>,
    content_type: &str,
) -> Vec<u8> {
    let mut out = send(transaction, to, from, fields);
    field(&mut out, "Content-Type: ", content_type);
    out.push_str("\r\n");
    out.into_bytes()
}

/// A SEND without body. Its Byte-Range starts at 1, as that of all content that is not there (RFC 4975 §7.1.1).
pub(crate) fn bodiless_send(
    transaction: &str,
    to: &[MsrpUri],
    from: &MsrpUri,
    fields: &SendFields<'_>,
    flag: ContinuationFlag,
) -> Vec<u8> {
    end(send(transaction, to, from, fields), transaction, flag)
}

/// A REPORT (RFC 4975 §7.1.2, §7.1.3).
pub(crate) fn report(
    transaction: &str,
    to: &[MsrpUri],
    from: &MsrpUri,
    message_id: &str,
    range: ByteRange,
    status: Status,
) -> Vec<u8> {
    let mut out = begin(transaction, "REPORT", to, from);
    field(&mut out, "Message-ID: ", message_id);
    field(&mut out, "Byte-Range: ", &alloc::format!("{range}"));
    field(&mut out, "Status: 000 ", &alloc::format!("{status}"));
    end(out, transaction, ContinuationFlag::End)
}

/// A response (RFC 4975 §7.2).
pub(crate) fn response(transaction: &str, status: Status, to: &MsrpUri, from: &MsrpUri) -> Vec<u8> {
    let out = begin(transaction, &alloc::format!("{status}"), core::slice::from_ref(to), from);
    end(out, transaction, ContinuationFlag::End)
}

/// The end-line behind a body: the CRLF before it is not of the body.
pub(crate) fn end_line(transaction: &str, flag: ContinuationFlag) -> Vec<u8> {
    end(String::from("\r\n"), transaction, flag)
}
