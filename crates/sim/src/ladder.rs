//! Ladder diagrams: who sent what to whom and when, one column for each participant, as text.
//!
//! ```
//! use cpm_sim::ladder::{Entry, Kind, Options, render};
//! use std::time::Duration;
//!
//! let entries = [
//!     Entry::new(Duration::ZERO, "alice", "bob", "MESSAGE", Kind::Request),
//!     Entry::new(Duration::from_millis(20), "bob", "alice", "200 OK", Kind::Success),
//! ];
//! let text = render(&["alice", "bob"], &entries, &Options { width: 40, ..Options::default() });
//! assert_eq!(
//!     text,
//!     concat!(
//!         "            alice                    bob\n",
//!         " 0.000 ms     │─ MESSAGE ────────────▶│\n",
//!         "20.000 ms     │◀─ 200 OK ─────────────│\n",
//!     )
//! );
//! ```

use std::fmt::Write as _;
use std::time::Duration;

/// What an entry is: it decides about colour and arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A request.
    Request,
    /// A provisional response.
    Provisional,
    /// A success response.
    Success,
    /// A failure response.
    Failure,
    /// Media: MSRP.
    Media,
    /// Something that was sent and did not arrive.
    Lost,
    /// A flow opened or closed.
    Flow,
    /// A remark at one participant (`from`); `to` does not count.
    Note,
}

impl Kind {
    /// The ANSI attribute that shows it.
    const fn color(self) -> &'static str {
        match self {
            Kind::Request => "\x1b[1;36m",
            Kind::Provisional => "\x1b[36m",
            Kind::Success => "\x1b[32m",
            Kind::Failure => "\x1b[1;31m",
            Kind::Media => "\x1b[35m",
            Kind::Lost => "\x1b[31m",
            Kind::Flow => "\x1b[2m",
            Kind::Note => "\x1b[1;33m",
        }
    }
}

/// One line of the diagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, since an origin of the caller's choice.
    pub at: Duration,
    /// Who sent it, or whose remark it is.
    pub from: String,
    /// Who gets it.
    pub to: String,
    /// What it is, in a few words.
    pub label: String,
    /// Its kind.
    pub kind: Kind,
}

impl Entry {
    /// All of it.
    #[must_use]
    pub fn new(at: Duration, from: &str, to: &str, label: &str, kind: Kind) -> Self {
        Entry { at, from: from.to_owned(), to: to.to_owned(), label: label.to_owned(), kind }
    }
}

/// How to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// With ANSI colours; for a terminal.
    pub color: bool,
    /// Columns of text to stay within; lanes are never narrower than 12 columns. Default 120.
    pub width: usize,
    /// With `|`, `-`, `>` in place of the box-drawing characters.
    pub ascii: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { color: false, width: 120, ascii: false }
    }
}

const NARROWEST_LANE: usize = 12;
const WIDEST_LANE: usize = 30;

/// Draws. Entries of which a participant is not in `participants` are left out.
#[must_use]
pub fn render(participants: &[&str], entries: &[Entry], options: &Options) -> String {
    let Some(board) = Board::new(participants, entries, options) else { return String::new() };
    let mut text = board.head(participants);
    for entry in entries {
        let lane = |name: &str| participants.iter().position(|participant| *participant == name);
        let Some(from) = lane(&entry.from) else { continue };
        if entry.kind == Kind::Note {
            board.note(&mut text, from, entry);
        } else if let Some(to) = lane(&entry.to) {
            if from == to {
                board.note(&mut text, from, entry);
            } else {
                board.arrow(&mut text, from, to, entry);
            }
        }
    }
    text
}

struct Glyphs {
    lane: char,
    line: char,
    right: char,
    left: char,
    lost: char,
}

const BOXES: Glyphs = Glyphs { lane: '│', line: '─', right: '▶', left: '◀', lost: '✗' };
const ASCII: Glyphs = Glyphs { lane: '|', line: '-', right: '>', left: '<', lost: 'x' };

/// The geometry of one diagram.
struct Board {
    glyphs: &'static Glyphs,
    color: bool,
    /// Columns of the time in front.
    margin: usize,
    /// Columns from one lane to the next.
    lane: usize,
    lanes: usize,
    width: usize,
}

impl Board {
    fn new(participants: &[&str], entries: &[Entry], options: &Options) -> Option<Board> {
        let gaps = participants.len().checked_sub(1)?.max(1);
        let stamp = entries.iter().map(|entry| time(entry.at).chars().count()).max().unwrap_or(0);
        // Half the name of the first participant stands left of its lane.
        let name = participants.first().map_or(0, |name| name.chars().count());
        let margin = stamp + 2 + name.div_ceil(2);
        let last = participants.last().map_or(0, |name| name.chars().count()).div_ceil(2);
        let room = options.width.saturating_sub(margin + last) / gaps;
        let lane = room.clamp(NARROWEST_LANE, WIDEST_LANE);
        Some(Board {
            glyphs: if options.ascii { &ASCII } else { &BOXES },
            color: options.color,
            margin,
            lane,
            lanes: participants.len(),
            width: options.width.max(margin + lane * gaps + 1),
        })
    }

    fn column(&self, lane: usize) -> usize {
        self.margin + self.lane * lane
    }

    fn head(&self, participants: &[&str]) -> String {
        let mut line: Vec<char> = Vec::new();
        for (i, name) in participants.iter().enumerate() {
            let short: String = clean(name).chars().take(self.lane.saturating_sub(1)).collect();
            let start = self.column(i).saturating_sub(short.chars().count() / 2);
            let start = start.max(line.len());
            put(&mut line, start, &short);
        }
        let text: String = line.into_iter().collect();
        format!("{}\n", text.trim_end())
    }

    /// A line with the time in front and all lanes drawn.
    fn blank(&self, at: Option<Duration>) -> Vec<char> {
        let mut line = Vec::new();
        if let Some(at) = at {
            put(&mut line, 0, &time(at));
        }
        for lane in 0..self.lanes {
            put(&mut line, self.column(lane), &self.glyphs.lane.to_string());
        }
        line
    }

    fn note(&self, text: &mut String, lane: usize, entry: &Entry) {
        let mut line = self.blank(Some(entry.at));
        let label = shorten(&clean(&entry.label), self.width.saturating_sub(self.margin + 2));
        let (columns, column) = (label.chars().count(), self.column(lane));
        // Right of the lane; left of it where there is no room.
        let start = match column + 2 + columns <= self.width {
            true => column + 2,
            false => column.saturating_sub(columns + 1).max(self.margin + 2),
        };
        put(&mut line, start, &label);
        self.write(text, &line, entry.kind, start, start + columns);
    }

    fn arrow(&self, text: &mut String, from: usize, to: usize, entry: &Entry) {
        let (left, right) = (self.column(from.min(to)), self.column(from.max(to)));
        let label = clean(&entry.label);
        // Between the lanes: arrow head, a dash and a blank before and behind the label, at least one dash.
        let inside = right - left - 1;
        let embed = label.chars().count() + 5 <= inside;
        if !embed {
            let mut line = self.blank(None);
            let label = shorten(&label, self.width.saturating_sub(self.margin + 2));
            let columns = label.chars().count();
            let start = (left + 2).min(self.width.saturating_sub(columns)).max(self.margin + 2);
            put(&mut line, start, &label);
            self.write(text, &line, entry.kind, start, start + columns);
        }
        let mut line = self.blank(Some(entry.at));
        let glyphs = self.glyphs;
        put(&mut line, left + 1, &glyphs.line.to_string().repeat(inside));
        if from < to {
            put(&mut line, right - 1, &glyphs.right.to_string());
        } else {
            put(&mut line, left + 1, &glyphs.left.to_string());
        }
        let start = if from < to { left + 2 } else { left + 3 };
        if embed {
            put(&mut line, start, &format!(" {label} "));
        }
        if entry.kind == Kind::Lost {
            // It got nearly there.
            let cross = if from < to { right - 2 } else { left + 2 };
            put(&mut line, cross, &glyphs.lost.to_string());
        }
        self.write(text, &line, entry.kind, left + 1, right);
    }

    /// One line, with the columns from `start` to `end` in the colour of `kind`.
    fn write(&self, text: &mut String, line: &[char], kind: Kind, start: usize, end: usize) {
        let mut out = String::new();
        for (i, glyph) in line.iter().enumerate() {
            if self.color && i == start {
                out.push_str(kind.color());
            }
            if self.color && i == end {
                out.push_str("\x1b[0m");
            }
            out.push(*glyph);
        }
        if self.color && end >= line.len() {
            out.push_str("\x1b[0m");
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
}

/// Writes `text` into a line at a column, over what is there.
fn put(line: &mut Vec<char>, column: usize, text: &str) {
    for (i, glyph) in text.chars().enumerate() {
        let at = column + i;
        if line.len() <= at {
            line.resize(at + 1, ' ');
        }
        line[at] = glyph;
    }
}

/// Milliseconds with three decimals, right-aligned to at least 9 columns.
fn time(at: Duration) -> String {
    let micros = at.as_micros();
    format!("{:>9}", format!("{}.{:03} ms", micros / 1000, micros % 1000))
}

/// Without what a terminal would act on.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests;
