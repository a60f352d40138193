//! Disposition-Notification (RFC 5438 §10, TS O.1).

use crate::grammar;
use crate::{BuildError, CpimError};
use alloc::string::String;
use alloc::vec::Vec;

/// Which notifications the sender of a message wants. The default wants none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DispositionRequest {
    /// `positive-delivery`: say when it was delivered.
    pub positive_delivery: bool,
    /// `negative-delivery`: say when it could not be delivered.
    pub negative_delivery: bool,
    /// `processing`: say what an intermediary did with it.
    pub processing: bool,
    /// `display`: say when it was shown.
    pub display: bool,
    /// `interworking`: say when it left for another technology (TS O.1).
    pub interworking: bool,
    /// Others, which nobody here understands, as written.
    pub extensions: Vec<String>,
}

// req: O.1-abnf
/// The literals, case-sensitive, with their place.
const LITERALS: [&str; 5] =
    ["positive-delivery", "negative-delivery", "processing", "display", "interworking"];

impl DispositionRequest {
    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == DispositionRequest::default()
    }

    /// Adds what the value of a header field asks for.
    pub(crate) fn add(&mut self, value: &str) -> Result<(), CpimError> {
        for wish in grammar::dispositions(value).ok_or(CpimError::DispositionSyntax)? {
            match self.flag(wish) {
                Some(flag) => *flag = true,
                None => self.extensions.push(String::from(wish)),
            }
        }
        Ok(())
    }

    fn flag(&mut self, literal: &str) -> Option<&mut bool> {
        match literal {
            "positive-delivery" => Some(&mut self.positive_delivery),
            "negative-delivery" => Some(&mut self.negative_delivery),
            "processing" => Some(&mut self.processing),
            "display" => Some(&mut self.display),
            "interworking" => Some(&mut self.interworking),
            _ => None,
        }
    }

    /// The value as it is written.
    pub(crate) fn to_text(&self) -> Result<String, BuildError> {
        if !self.extensions.iter().all(|extension| grammar::is_token(extension)) {
            return Err(BuildError::Disposition);
        }
        let mut copy = self.clone();
        let wanted = LITERALS.into_iter().filter(|literal| copy.flag(literal).is_some_and(|flag| *flag));
        let wanted: Vec<&str> = wanted.chain(self.extensions.iter().map(String::as_str)).collect();
        Ok(wanted.join(", "))
    }
}
