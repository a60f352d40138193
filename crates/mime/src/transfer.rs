//! Content-Transfer-Encoding (RFC 2045 §6).

use crate::MimeError;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// How the octets of a body are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEncoding {
    /// As they are: lines of ASCII. Also what a part means that does not say.
    SevenBit,
    /// As they are: lines.
    EightBit,
    /// As they are.
    Binary,
    /// RFC 2045 §6.8.
    Base64,
    /// RFC 2045 §6.7.
    QuotedPrintable,
}

impl TransferEncoding {
    /// Reads the value of a Content-Transfer-Encoding header field.
    ///
    /// # Errors
    /// [`MimeError::UnknownTransferEncoding`].
    pub fn parse(text: &str) -> Result<Self, MimeError> {
        match text.to_ascii_lowercase().as_str() {
            "7bit" => Ok(TransferEncoding::SevenBit),
            "8bit" => Ok(TransferEncoding::EightBit),
            "binary" => Ok(TransferEncoding::Binary),
            "base64" => Ok(TransferEncoding::Base64),
            "quoted-printable" => Ok(TransferEncoding::QuotedPrintable),
            _ => Err(MimeError::UnknownTransferEncoding(String::from(text))),
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TransferEncoding::SevenBit => "7bit",
            TransferEncoding::EightBit => "8bit",
            TransferEncoding::Binary => "binary",
            TransferEncoding::Base64 => "base64",
            TransferEncoding::QuotedPrintable => "quoted-printable",
        }
    }

    /// The octets meant. Never longer than what was written.
    ///
    /// # Errors
    /// [`MimeError::Base64`] or [`MimeError::QuotedPrintable`]: the body does not keep to its encoding.
    pub fn decode(self, body: &Bytes) -> Result<Bytes, MimeError> {
        match self {
            TransferEncoding::SevenBit | TransferEncoding::EightBit | TransferEncoding::Binary => {
                Ok(body.clone())
            }
            TransferEncoding::Base64 => decode_base64(body),
            TransferEncoding::QuotedPrintable => decode_quoted_printable(body),
        }
    }
}

/// Octets of the body that make one line of base64: 76 characters (RFC 2045 §6.8).
const LINE: usize = 57;

/// Base64 in lines of 76 characters, written piece by piece: what it keeps is less than a line.
#[derive(Debug, Clone, Default)]
pub struct Base64Encoder {
    rest: Vec<u8>,
    lines: bool,
}

impl Base64Encoder {
    /// At the beginning of a body.
    #[must_use]
    pub const fn new() -> Self {
        Base64Encoder { rest: Vec::new(), lines: false }
    }

    /// Takes octets of the body, appends the lines that are whole.
    pub fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        let missing = LINE.saturating_sub(self.rest.len());
        if let Some((head, tail)) = octets.split_at_checked(missing).filter(|_| !self.rest.is_empty()) {
            self.rest.extend_from_slice(head);
            let line = core::mem::take(&mut self.rest);
            self.line(&line, out);
            octets = tail;
        }
        if self.rest.is_empty() {
            let mut lines = octets.chunks_exact(LINE);
            for line in lines.by_ref() {
                self.line(line, out);
            }
            octets = lines.remainder();
        }
        self.rest.extend_from_slice(octets);
    }

    /// The body is at its end: appends the last line. No line end follows it.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        let line = core::mem::take(&mut self.rest);
        if !line.is_empty() {
            self.line(&line, out);
        }
    }

    fn line(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if core::mem::replace(&mut self.lines, true) {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(STANDARD.encode(octets).as_bytes());
    }
}

/// Line ends and blanks are skipped; anything else outside the alphabet is taken for damage, as §6.8 allows.
fn decode_base64(body: &[u8]) -> Result<Bytes, MimeError> {
    let symbols: Vec<u8> =
        body.iter().copied().filter(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n')).collect();
    STANDARD.decode(symbols).map(Bytes::from).map_err(|_| MimeError::Base64)
}

/// §6.7: blanks at the end of a line are transport's, `=` and a line end join lines, `=XX` is an octet.
fn decode_quoted_printable(body: &[u8]) -> Result<Bytes, MimeError> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let (line, line_end) = match memchr::memchr(b'\n', rest) {
            Some(at) => {
                let line = rest.get(..at).unwrap_or_default();
                rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
                match line.strip_suffix(b"\r") {
                    Some(line) => (line, &b"\r\n"[..]),
                    None => (line, &b"\n"[..]),
                }
            }
            None => (core::mem::take(&mut rest), &b""[..]),
        };
        if !decode_line(line.trim_ascii_end(), &mut out)? {
            out.extend_from_slice(line_end);
        }
    }
    Ok(Bytes::from(out))
}

/// Decodes one line without its end; says whether the line goes on in the next one.
fn decode_line(line: &[u8], out: &mut Vec<u8>) -> Result<bool, MimeError> {
    let (line, joined) = match line.strip_suffix(b"=") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let mut octets = line.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            b'=' => {
                let mut digit = || octets.next().and_then(|b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(MimeError::QuotedPrintable);
                };
                let octet = high.saturating_mul(16).saturating_add(low);
                out.push(u8::try_from(octet).map_err(|_| MimeError::QuotedPrintable)?);
            }
            b'\t' | b' '..=b'~' => out.push(octet),
            _ => return Err(MimeError::QuotedPrintable),
        }
    }
    Ok(joined)
}
