//! Writing requests and responses. Field order is fixed: paths, Message-ID, reports, Byte-Range, Content-Type last.

use alloc::string::String;
use alloc::vec::Vec;

use crate::uri::MsrpUri;
use crate::values::{ByteRange, ContinuationFlag, FailureReport, Status};

/// `MSRP`, transaction and what follows it.
fn begin(out: &mut Vec<u8>, transaction: &[u8], what: &str) {
    out.extend_from_slice(b"MSRP ");
    out.extend_from_slice(transaction);
    out.push(b' ');
    out.extend_from_slice(what.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    for text in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(text.as_bytes());
    }
}

/// To-Path and From-Path, as every request of a session begins with them.
pub(crate) fn paths<'a>(
    to: impl Iterator<Item = &'a MsrpUri>,
    from: impl Iterator<Item = &'a MsrpUri>,
) -> String {
    let mut out = String::with_capacity(160);
    path(&mut out, "To-Path:", to);
    path(&mut out, "From-Path:", from);
    out
}

fn path<'a>(out: &mut String, name: &str, uris: impl Iterator<Item = &'a MsrpUri>) {
    out.push_str(name);
    for uri in uris {
        out.push(' ');
        out.push_str(uri.as_str());
    }
    out.push_str("\r\n");
}

/// An end-line.
pub(crate) fn end(out: &mut Vec<u8>, transaction: &[u8], flag: ContinuationFlag) {
    out.extend_from_slice(b"-------");
    out.extend_from_slice(transaction);
    out.extend_from_slice(&[flag.octet(), b'\r', b'\n']);
}

/// What a SEND says besides its paths.
pub(crate) struct SendFields<'a> {
    pub(crate) message_id: &'a [u8],
    pub(crate) success_report: bool,
    pub(crate) failure_report: FailureReport,
    pub(crate) range: ByteRange,
}

/// What the constant parts of a SEND and its numbers need.
const ROOM: usize = 192;

fn send(out: &mut Vec<u8>, transaction: &[u8], paths: &str, fields: &SendFields<'_>) {
    let length = transaction.len().saturating_add(paths.len()).saturating_add(fields.message_id.len());
    out.reserve(length.saturating_add(ROOM));
    begin(out, transaction, "SEND");
    out.extend_from_slice(paths.as_bytes());
    out.extend_from_slice(b"Message-ID: ");
    out.extend_from_slice(fields.message_id);
    out.extend_from_slice(b"\r\n");
    if fields.success_report {
        field(out, "Success-Report", "yes");
    }
    match fields.failure_report {
        FailureReport::Yes => {}
        FailureReport::No => field(out, "Failure-Report", "no"),
        FailureReport::Partial => field(out, "Failure-Report", "partial"),
    }
    byte_range(out, fields.range);
}

fn byte_range(out: &mut Vec<u8>, range: ByteRange) {
    out.extend_from_slice(b"Byte-Range: ");
    number(out, Some(range.start));
    out.push(b'-');
    number(out, range.end);
    out.push(b'/');
    number(out, range.total);
    out.extend_from_slice(b"\r\n");
}

/// Digits, or `*`.
fn number(out: &mut Vec<u8>, n: Option<u64>) {
    let Some(mut n) = n else { return out.push(b'*') };
    let mut digits = [b'0'; 20];
    let mut used = 0usize;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(n % 10).unwrap_or(0));
        used = used.saturating_add(1);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len().saturating_sub(used)..).unwrap_or_default());
}

/// A SEND up to its body, the empty line included.
pub(crate) fn send_head(
    out: &mut Vec<u8>,
    transaction: &[u8],
    paths: &str,
    fields: &SendFields<'_>,
    content_type: &str,
) {
    send(out, transaction, paths, fields);
    out.extend_from_slice(b"Content-Type: ");
    out.extend_from_slice(content_type.as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// A SEND without body. Its Byte-Range starts at 1, as that of all content that is not there (RFC 4975 §7.1.1).
pub(crate) fn bodiless_send(
    out: &mut Vec<u8>,
    transaction: &[u8],
    paths: &str,
    fields: &SendFields<'_>,
    flag: ContinuationFlag,
) {
    send(out, transaction, paths, fields);
    end(out, transaction, flag);
}

/// A REPORT (RFC 4975 §7.1.2, §7.1.3).
pub(crate) fn report(
    out: &mut Vec<u8>,
    transaction: &[u8],
    paths: &str,
    message_id: &str,
    range: ByteRange,
    status: Status,
) {
    begin(out, transaction, "REPORT");
    out.extend_from_slice(paths.as_bytes());
    field(out, "Message-ID", message_id);
    byte_range(out, range);
    field(out, "Status", &alloc::format!("000 {status}"));
    end(out, transaction, ContinuationFlag::End);
}

/// A request without body: AUTH (RFC 4976 §5.1), NICKNAME (RFC 7701 §7).
pub(crate) fn request(
    out: &mut Vec<u8>,
    transaction: &[u8],
    method: &str,
    paths: &str,
    fields: &[(String, String)],
) {
    begin(out, transaction, method);
    out.extend_from_slice(paths.as_bytes());
    for (name, value) in fields {
        field(out, name, value);
    }
    end(out, transaction, ContinuationFlag::End);
}

/// A response (RFC 4975 §7.2).
pub(crate) fn response(
    out: &mut Vec<u8>,
    transaction: &[u8],
    status: Status,
    to: &[MsrpUri],
    from: &MsrpUri,
) {
    short_response(out, transaction, status, &paths(to.iter(), core::iter::once(from)));
}

/// The same with its paths as they are written.
pub(crate) fn short_response(out: &mut Vec<u8>, transaction: &[u8], status: Status, paths: &str) {
    out.extend_from_slice(b"MSRP ");
    out.extend_from_slice(transaction);
    if status == Status::OK {
        out.extend_from_slice(b" 200 OK\r\n");
    } else {
        out.push(b' ');
        number(out, Some(u64::from(status.code())));
        if !status.comment().is_empty() {
            out.push(b' ');
            out.extend_from_slice(status.comment().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(paths.as_bytes());
    end(out, transaction, ContinuationFlag::End);
}
