//! Conversation-ID and Contribution-ID (TS 5.3, C.1.1 to C.1.3): which conversation a message belongs to, and which
//! contribution to it it is.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use cpm_base::Random;

/// The longest identifier that is read, in octets; a UUID has 36.
const MAX_ID: usize = 256;

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    /// It is empty.
    Empty,
    /// It is longer than 256 octets.
    TooLong,
    /// It holds an octet that the `word` of RFC 3261 §25.1 (TS C.2) does not allow.
    NotAWord,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdError::Empty => "the identifier is empty",
            IdError::TooLong => "the identifier is longer than 256 octets",
            IdError::NotAWord => "the identifier holds an octet that a word does not allow",
        })
    }
}

impl core::error::Error for IdError {}

fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-.!%*_+`'~()<>:\\\"/[]?{}".contains(&octet)
}

fn check(text: &str) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        n if n > MAX_ID => Err(IdError::TooLong),
        _ if !text.bytes().all(is_word) => Err(IdError::NotAWord),
        _ => Ok(()),
    }
}

/// An identifier type: a lower-case UUID when we make one (TS C.1.1, C.1.2), any `word` when a peer did (TS C.2 allows
/// it, and UUIDs without hyphens are seen in the field); compared without regard to case, written back as it came.
macro_rules! identifier {
    ($name:ident, $header:literal) => {
        #[doc = concat!("The value of a ", $header, " header field: a UUID, compared without regard to case; any SIP `word` is read.")]
        #[derive(Debug, Clone)]
        pub struct $name(String);

        impl $name {
            /// A new one: a random UUID in lower case.
            pub fn generate(random: &mut Random) -> Self {
                $name(random.uuid())
            }

            /// One that a peer sent, or that was kept.
            ///
            /// # Errors
            /// The text is empty, too long, or no `word` of RFC 3261.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok($name(text.to_owned()))
            }

            /// As it came, or as it was made.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let lower = |text: &'_ str| text.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<u8>>();
                lower(&self.0).cmp(&lower(&other.0))
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                for octet in self.0.bytes() {
                    state.write_u8(octet.to_ascii_lowercase());
                }
            }
        }
    };
}

// req: C.1.1-p2.3, C.1.2-p2.3
identifier!(ConversationId, "Conversation-ID");
identifier!(ContributionId, "Contribution-ID");

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_base::Seed;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashSet};

    // req: C.1.1-p2.3, C.1.2-p2.3
    #[test]
    fn what_is_made_is_a_uuid_in_lower_case() {
        let mut random = Random::new(Seed::new([5; 32]));
        let id = ConversationId::generate(&mut random);
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(id.as_str(), id.as_str().to_ascii_lowercase());
        assert_ne!(id, ConversationId::generate(&mut random));
    }

    // req: C.1.1-p2.3, C.1.2-p2.3
    #[test]
    fn case_does_not_count_but_is_kept() {
        let lower = ContributionId::parse("dfb4e64f-2c98-46a1-8e14-98eb5736a268").unwrap();
        let upper = ContributionId::parse("DFB4E64F-2C98-46A1-8E14-98EB5736A268").unwrap();
        assert_eq!(lower, upper);
        assert_eq!(HashSet::from([lower.clone(), upper.clone()]).len(), 1);
        assert_eq!(BTreeSet::from([lower, upper.clone()]).len(), 1);
        assert_eq!(upper.to_string(), "DFB4E64F-2C98-46A1-8E14-98EB5736A268");
    }

    #[test]
    fn words_are_read_and_nothing_else() {
        assert!(ConversationId::parse("f81d4fae7dec11d0a76500a0c91e6bf6").is_ok());
        assert!(ConversationId::parse("abcdef-1234-5678-90ab-cdef01234567").is_ok());
        assert_eq!(ConversationId::parse(""), Err(IdError::Empty));
        assert_eq!(ConversationId::parse("a b"), Err(IdError::NotAWord));
        assert_eq!(ConversationId::parse("a\r\nX: y"), Err(IdError::NotAWord));
        assert!(ConversationId::parse(&"a".repeat(256)).is_ok());
        assert_eq!(ConversationId::parse(&"a".repeat(257)), Err(IdError::TooLong));
    }

    proptest! {
        #[test]
        fn equality_order_and_hash_agree(a in "[a-cA-C]{1,3}", b in "[a-cA-C]{1,3}") {
            let (x, y) = (ConversationId::parse(&a).unwrap(), ConversationId::parse(&b).unwrap());
            prop_assert_eq!(x == y, x.cmp(&y) == Ordering::Equal);
            prop_assert_eq!(x == y, HashSet::from([x.clone(), y.clone()]).len() == 1);
        }
    }
}
