//! Emoticons (TS Appendix L): which sequences of characters mean which picture, both ways.
//!
//! ```
//! use cpm_core::emoticons::{Emoticon, find};
//!
//! let found = find("Fine :-) see http://x(y) :'(");
//! let found: Vec<_> = found.iter().map(|(range, emoticon)| (range.start, *emoticon)).collect();
//! assert_eq!(found, [(5, Emoticon::Happy), (25, Emoticon::Crying)]);
//! assert_eq!(Emoticon::Happy.text(), ":-)");
//! ```

use core::ops::Range;

/// One table: emoticons, their sequences (the first one is what is sent), what they show.
macro_rules! emoticons {
    ($($(#[$doc:meta])* $name:ident = [$($sequence:literal),+],)*) => {
        /// An emoticon of TS Appendix L.1, Table 8.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Emoticon {
            $($(#[$doc])* $name,)*
        }

        impl Emoticon {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Emoticon] = &[$(Emoticon::$name,)*];

            /// The sequences that mean it, the preferred one first.
            #[must_use]
            pub fn sequences(self) -> &'static [&'static str] {
                match self {
                    $(Emoticon::$name => &[$($sequence),+],)*
                }
            }
        }
    };
}

// req: L.1-T8
emoticons! {
    /// A happy or smiling face.
    Happy = [":-)", ":)"],
    /// A sad face.
    Sad = [":-(", ":("],
    /// A winking face.
    Wink = [";-)", ";)", ";o)", ";O)"],
    /// A big grin.
    BigGrin = [":-D", ":D", ":oD", ":-d", ":d", ":od", ":Od", ":OD"],
    /// A confused face.
    Confused = [":-/", ":-\\"],
    /// A blushing, embarrassed face.
    Blushing = [":\"-)", ":\")", ":\">", ":-$", ":$"],
    /// A face with its tongue out.
    TongueOut = [":-P", ":P", ":oP", ":-p", ":p", ":op", ":OP", ":Op"],
    /// A kissing face or red lips.
    Kiss = [":-*", ":*"],
    /// A shocked, surprised face.
    Shocked = [":-O", ":-o", ":o", ":O"],
    /// An angry face.
    Angry = [":-@", ":@", "X-(", "X(", "x-(", "x(", "xo(", "XO("],
    /// A face with sunglasses.
    Cool = ["B)", "B-)", "(H)", "(h)", "Bo)", "BO)"],
    /// A worried face.
    Worried = [":-S", ":S", ":-s", ":s", ":oS"],
    /// A devilish face.
    Devilish = [">:-)", ">:)", ">:o)", ">:O)"],
    /// A crying face.
    Crying = [":,-(", ":,(", ":'-(", ":'(", ":,o(", ":'o(", ":,O(", ":'O("],
    /// A laughing face.
    Laughing = [":-))", ":))", ":o))", ":O))"],
    /// A straight face.
    Straight = [":-|", ":|", ":o|", ":O|"],
    /// An innocent face.
    Angel = ["O:-)", "O:)", "o:-)", "o:)"],
    /// A nerdish face.
    Nerd = [":-B", ":B"],
    /// A sleepy face.
    Sleepy = ["|-O", "|O", "|-o", "|o"],
    /// A face that rolls its eyes.
    RollingEyes = ["8-)", "8)", "8o)", "8O)"],
    /// A sick face.
    Sick = [":-&", ":&", ";o&", ":O&"],
    /// A face with sealed lips.
    SealedLips = [":-SS", ":SS", ":ss", ":-ss"],
    /// A pensive face.
    Thinking = [":-?", ":?"],
    /// A face with a raised eyebrow.
    RaisedEyebrow = ["/:-)", "/:)", "/:o)", "/:O)"],
    /// A rose.
    Rose = ["@):-"],
    /// A cup of coffee.
    Coffee = ["~o)"],
    /// A cocktail glass.
    Drink = [")-|"],
    /// A light bulb.
    Idea = ["*-:-)", "*-:)"],
    /// A heart.
    Heart = ["(L)", "<3"],
}

impl Emoticon {
    /// What is sent for it: the first sequence of the table (TS L.2.1).
    // req: L.2.1-p1.3
    #[must_use]
    pub fn text(self) -> &'static str {
        self.sequences().first().copied().unwrap_or_default()
    }
}

/// Text with emoticons in it, as a user composes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text.
    Text(&'t str),
    /// An emoticon.
    Emoticon(Emoticon),
}

/// What is sent of a composed message: every emoticon as its sequence (TS L.2.1).
// req: L.2.1-p1.4
#[must_use]
pub fn to_text(pieces: &[Piece<'_>]) -> String {
    let text = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => String::from(*text),
        Piece::Emoticon(emoticon) => String::from(emoticon.text()),
    };
    pieces.iter().map(text).collect()
}

/// The emoticons in a text with the octets that they take, in their order, none overlapping: at each place the longest
/// sequence. One counts only where no letter or digit stands right before or behind it, so that neither `max(x)` nor a URI
/// has any. The quotation marks and apostrophes that phones put in their place are read as well.
// req: L.2.2-p1
#[must_use]
pub fn find(text: &str) -> Vec<(Range<usize>, Emoticon)> {
    let mut found = Vec::new();
    let mut behind_word = false;
    let mut resume = 0;
    for (at, c) in text.char_indices() {
        if at < resume {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        if !behind_word && let Some((length, emoticon)) = longest(rest) {
            let end = at.saturating_add(length);
            found.push((at..end, emoticon));
            resume = end;
            behind_word = false;
            continue;
        }
        behind_word = c.is_alphanumeric();
    }
    found
}

fn longest(rest: &str) -> Option<(usize, Emoticon)> {
    let mut best: Option<(usize, Emoticon)> = None;
    for emoticon in Emoticon::ALL {
        for sequence in emoticon.sequences() {
            let Some(length) = matched(rest, sequence) else { continue };
            let ends = rest.get(length..).and_then(|behind| behind.chars().next());
            if ends.is_none_or(|c| !c.is_alphanumeric()) && best.is_none_or(|(known, _)| known < length) {
                best = Some((length, *emoticon));
            }
        }
    }
    best
}

/// The octets that a sequence takes at the beginning of a text.
fn matched(text: &str, sequence: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    for expected in sequence.chars() {
        let (_, c) = chars.next()?;
        let plain = match c {
            '\u{2019}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            c => c,
        };
        if plain != expected {
            return None;
        }
    }
    Some(chars.next().map_or(text.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests;
