//! `cpm decode`: SIP messages, MSRP streams and bodies out of files, every header field as it is read, bodies inside
//! bodies, and the verdict.

mod alone;
mod bodies;
mod documents;
mod fields;
mod json;
mod judge;
mod msrp;
mod report;
mod text;

use crate::args::Decode;
use bytes::Bytes;
use cpm_sip::{Frame, Limits, StreamFramer, parse_datagram};
use report::{Decoded, FileReport};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// Octets of a file that are taken.
const MAX_FILE: u64 = 64 << 20;
/// One of the messages is not well-formed or not valid.
const INVALID: u8 = 1;
/// A file cannot be read; also what the command line parser ends with on wrong usage.
const USAGE: u8 = 2;

/// Decodes and prints all files. The exit status is that of the worst.
pub(crate) fn decode(options: &Decode) -> ExitCode {
    let mut reports = Vec::new();
    let mut unread = false;
    for path in &options.files {
        match read(path) {
            Ok(octets) => {
                let name = path.display().to_string();
                reports.push(report(name, octets, options));
            }
            Err(why) => {
                unread = true;
                eprintln!("cpm: {}: {why}", crate::terminal::harmless(&path.display().to_string(), false));
            }
        }
    }
    let printed = if options.json { json::render(&reports) } else { Ok(text::render(&reports)) };
    let written = printed.and_then(|text| {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
    });
    if let Err(why) = written {
        eprintln!("cpm: cannot print: {why}");
        return ExitCode::from(USAGE);
    }
    match (unread, reports.iter().all(|report| report.valid)) {
        (true, _) => ExitCode::from(USAGE),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(INVALID),
    }
}

/// A file for what it is: a body of the type that was said; an MSRP stream; a body that is known without a message around
/// it; SIP.
fn report(name: String, octets: Bytes, options: &Decode) -> FileReport {
    if let Some(content_type) = &options.body {
        return alone::body(name, content_type, octets);
    }
    if octets.starts_with(msrp::START) {
        return msrp::stream(name, octets);
    }
    match alone::sniff(&octets) {
        Some(content_type) => alone::body(name, content_type, octets),
        None if options.stream => stream(name, octets),
        None => datagram(name, octets),
    }
}

/// The octets of a file, or of standard input where it is called `-`.
fn read(path: &Path) -> Result<Bytes, String> {
    let mut octets = Vec::new();
    let taken = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut octets)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut octets))
    };
    taken.map_err(|error| error.to_string())?;
    if u64::try_from(octets.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(format!("more than {} MiB", MAX_FILE >> 20));
    }
    Ok(Bytes::from(octets))
}

/// A file with one message, as a datagram has it: what stands behind the body is no part of it (RFC 3261 §18.3).
fn datagram(file: String, octets: Bytes) -> FileReport {
    let decoded = match parse_datagram(octets.clone(), &Limits::default()) {
        Ok(message) => judge::message(0, octets.len(), &message),
        Err(failure) => judge::failure(0, &octets, &failure),
    };
    FileReport::new(file, octets.len(), vec![decoded])
}

/// A file with messages one behind the other, as a connection brings them.
fn stream(file: String, octets: Bytes) -> FileReport {
    let total = octets.len();
    let mut framer = StreamFramer::new(Limits::default());
    framer.push(octets.clone());
    let (mut messages, mut at) = (Vec::new(), 0);
    while let Some(frame) = framer.next() {
        let end = total.saturating_sub(framer.buffered());
        let piece = octets.get(at..end).unwrap_or_default();
        messages.push(match frame {
            Frame::Message(message) => judge::message(at, piece.len(), &message),
            Frame::Broken(failure) => judge::failure(at, piece, &failure),
            // All that follows is lost with it.
            Frame::Lost(failure) => {
                messages.push(judge::failure(at, octets.get(at..).unwrap_or_default(), &failure));
                return FileReport::new(file, total, messages);
            }
            Frame::KeepAlivePing => Decoded::keep_alive(at, "keep-alive ping"),
            Frame::Pong => Decoded::keep_alive(at, "keep-alive"),
        });
        at = end;
    }
    if at < total {
        messages.push(judge::cut(at, octets.get(at..).unwrap_or_default()));
    }
    FileReport::new(file, total, messages)
}
