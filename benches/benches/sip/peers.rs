//! The contenders: what each does in each case, checked once before it is timed.
//!
//! A peer that reads a value with more care than ours or with less is taken as it is: what is compared is what an
//! application calls to get these values. None of the peers types Accept-Contact; its octets are enough there.

mod ezk;
mod floors;
mod ours;
mod parsip;
mod rsip;
mod rsiprtp;
mod rsipstack;
mod sipx;

use bytes::Bytes;
use std::hint::black_box;

/// One contender in one case.
pub enum Case {
    Runs(&'static str, Box<dyn FnMut()>),
    Cannot(&'static str, String),
}

/// What is read of the INVITE, in this order; numbers as text.
const VALUES: [&str; 6] = [
    "z9hG4bK8c1f0e7a2d.1.3",
    "9fxced76sl",
    "8h3kPzQ0",
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@2001-db8-41-7--1f3a",
    "4711",
    "INVITE",
];

/// Takes what a contender read.
pub trait Sink {
    fn text(&mut self, text: &[u8]);
    fn number(&mut self, number: u32);
    /// Anything that stands for a host, or for the field that nobody types.
    fn other<T>(&mut self, value: T);
}

/// Keeps the compiler from dropping the work.
pub struct Timed;

impl Sink for Timed {
    fn text(&mut self, text: &[u8]) {
        black_box(text);
    }
    fn number(&mut self, number: u32) {
        black_box(number);
    }
    fn other<T>(&mut self, value: T) {
        black_box(value);
    }
}

/// Keeps the values, to be compared with `VALUES`.
#[derive(Default)]
struct Checked(Vec<String>, usize);

impl Sink for Checked {
    fn text(&mut self, text: &[u8]) {
        self.0.push(String::from_utf8_lossy(text).into_owned());
    }
    fn number(&mut self, number: u32) {
        self.0.push(number.to_string());
    }
    fn other<T>(&mut self, _: T) {
        self.1 += 1;
    }
}

pub type Outcome<T> = Result<T, String>;

/// What a peer says when it fails, on one line.
pub fn why<E: core::fmt::Debug>(error: E) -> String {
    let mut text = format!("{error:?}").replace(['\r', '\n'], " ");
    if let Some((cut, _)) = text.char_indices().nth(110) {
        text.truncate(cut);
    }
    text
}

/// A case that makes something of the message.
pub fn making<T, E: core::fmt::Debug>(name: &'static str, make: impl Fn() -> Result<T, E> + 'static) -> Case {
    match make() {
        // What was made is shown where it stands: to move it about is no part of making it.
        Ok(_) => Case::Runs(
            name,
            Box::new(move || {
                black_box(&make());
            }),
        ),
        Err(error) => Case::Cannot(name, why(error)),
    }
}

/// A case that reads the values; `read` reads them into any sink.
macro_rules! reading {
    ($name:expr, $message:expr, $read:path) => {{
        let message = $message.clone();
        crate::peers::checked($name, |sink| $read(&message, sink), {
            let message = $message.clone();
            move || drop(std::hint::black_box($read(&message, &mut crate::peers::Timed)))
        })
    }};
}
pub(crate) use reading;

fn checked(
    name: &'static str,
    check: impl FnOnce(&mut Checked) -> Outcome<()>,
    run: impl FnMut() + 'static,
) -> Case {
    let mut values = Checked::default();
    match check(&mut values) {
        Err(why) => Case::Cannot(name, why),
        Ok(()) if values.0 != VALUES => Case::Cannot(name, format!("reads {:?}", values.0)),
        Ok(()) if values.1 != 2 => Case::Cannot(name, "no Contact host or no Accept-Contact".into()),
        Ok(()) => Case::Runs(name, Box::new(run)),
    }
}

/// A case that writes the message back; what is written is compared with what was read, where the peer keeps it.
pub fn writing(name: &'static str, write: impl Fn() -> Outcome<usize> + 'static) -> Case {
    match write() {
        Ok(_) => Case::Runs(name, Box::new(move || drop(black_box(write())))),
        Err(why) => Case::Cannot(name, why),
    }
}

/// All cases with their contenders, ours first.
pub fn all(message: &Bytes) -> [(&'static str, Vec<Case>); 3] {
    [
        (
            "parse",
            vec![
                ours::parse(message),
                ours::parse_folded(message),
                floors::memchr(),
                floors::httparse(),
                parsip::parse(),
                sipx::parse(message),
                rsipstack::parse(message),
                ezk::parse(message),
                rsiprtp::parse(),
                rsip::parse(),
            ],
        ),
        (
            "parse and read Via branch, From tag, To tag, Call-ID, CSeq, Contact host, Accept-Contact",
            vec![
                ours::values(message),
                ours::typed_values(message),
                Case::Cannot("parsip", "types no header field".into()),
                sipx::values(message),
                rsipstack::values(message),
                ezk::values(message),
                rsiprtp::values(message),
                rsip::values(message),
            ],
        ),
        (
            "write back",
            vec![
                ours::write(message),
                ours::share(message),
                ours::write_edited(message),
                floors::copy(),
                Case::Cannot("parsip", "writes nothing".into()),
                sipx::write(message),
                rsipstack::write(message),
                ezk::write(message),
                rsiprtp::write(),
                rsip::write(),
            ],
        ),
    ]
}
