//! Enumerations of words: elements or values that a schema lists, and what it does not list.

/// One enumeration: variants, their words, what they mean.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// Something else, as it is written: the name of the element, whatever its namespace, or the text.
            Other(String),
        }

        impl $name {
            /// The word for it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$variant => $text,)*
                    $name::Other(other) => other,
                }
            }

            fn from_name(name: &str) -> Self {
                match name {
                    $($text => $name::$variant,)*
                    other => $name::Other(String::from(other)),
                }
            }
        }
    };
}

pub(crate) use words;
