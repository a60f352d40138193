//! What User-Agent and Server say (RFC 3261 §20.41, TS Appendix D): products and comments.

use super::scalar::{Server, UserAgent};
use crate::error::HeaderError;
use crate::grammar::{
    Parsed, bounded_token, comment, complete, failure, parse_u32, separator, spaces, syntax,
};
use crate::limits::Limits;
use crate::text::{HeaderText, InvalidText, is_token};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One part of User-Agent or Server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductPart {
    /// `name` or `name/version`.
    Product {
        /// Who made it, or what it is.
        name: String,
        /// Its version.
        version: Option<String>,
    },
    /// A comment with its parentheses, escapes as they were written.
    Comment(String),
}

impl ProductPart {
    /// Checks a product.
    ///
    /// # Errors
    /// The name or the version is no token.
    pub fn product(name: &str, version: Option<&str>) -> Result<ProductPart, InvalidText> {
        if !is_token(name) || !version.is_none_or(is_token) {
            return Err(InvalidText::NotToken);
        }
        Ok(ProductPart::Product { name: name.into(), version: version.map(String::from) })
    }
}

impl fmt::Display for ProductPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProductPart::Product { name, version: Some(version) } => write!(f, "{name}/{version}"),
            ProductPart::Product { name, version: None } => f.write_str(name),
            ProductPart::Comment(comment) => f.write_str(comment),
        }
    }
}

/// Which side of CPM a product is (TS Appendix D).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpmSide {
    /// `CPM-client`.
    Client,
    /// `CPM-serv`: a Participating or a Controlling Function.
    Server,
}

/// The CPM release that a product token names (TS Appendix D): `CPM-client/OMA2.1`. Read without case (reading C16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpmProduct {
    /// Which side.
    pub side: CpmSide,
    /// The release before the dot.
    pub major: u32,
    /// The release after the dot.
    pub minor: u32,
}

impl CpmProduct {
    /// Reads a product; `None` when it names no release of CPM.
    #[must_use]
    pub fn of(part: &ProductPart) -> Option<CpmProduct> {
        let ProductPart::Product { name, version: Some(version) } = part else { return None };
        let side = if name.eq_ignore_ascii_case("CPM-client") {
            CpmSide::Client
        } else if name.eq_ignore_ascii_case("CPM-serv") {
            CpmSide::Server
        } else {
            return None;
        };
        let (oma, release) = version.split_at_checked(3)?;
        let (major, minor) = release.split_once('.').filter(|_| oma.eq_ignore_ascii_case("OMA"))?;
        Some(CpmProduct { side, major: parse_u32(major.as_bytes())?, minor: parse_u32(minor.as_bytes())? })
    }
}

impl fmt::Display for CpmProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.side == CpmSide::Client { "client" } else { "serv" };
        write!(f, "CPM-{side}/OMA{}.{}", self.major, self.minor)
    }
}

/// `server-val *( LWS server-val )`.
fn products<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Vec<ProductPart>> {
    let (mut rest, mut parts) = (input, Vec::new());
    loop {
        limits.max_list_values(parts.len().saturating_add(1)).map_err(failure)?;
        let (after, part) = product(rest, limits)?;
        parts.push(part);
        rest = spaces(after);
        if rest.is_empty() {
            return Ok((rest, parts));
        }
        if rest.len() == after.len() {
            return syntax("no space between two products");
        }
    }
}

fn product<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, ProductPart> {
    if input.starts_with('(') {
        let (rest, comment) = comment(input, limits)?;
        return Ok((rest, ProductPart::Comment(comment.into())));
    }
    let (rest, name) = bounded_token(input, limits)?;
    match separator('/')(rest) {
        Ok((after, ())) => {
            let (rest, version) = bounded_token(after, limits)?;
            Ok((rest, ProductPart::Product { name: name.into(), version: Some(version.into()) }))
        }
        Err(_) => Ok((rest, ProductPart::Product { name: name.into(), version: None })),
    }
}

macro_rules! product_fields {
    ($($name:ident, $label:literal;)*) => {$(
        impl $name {
            /// The text of these products: a CPM release first, where one is claimed. Control characters in comments
            /// become spaces.
            #[must_use]
            pub fn of(cpm: Option<CpmProduct>, products: &[ProductPart]) -> $name {
                let cpm = cpm.map(|cpm| cpm.to_string());
                let parts: Vec<String> = cpm.into_iter().chain(products.iter().map(ProductPart::to_string)).collect();
                $name(HeaderText::sanitized(&parts.join(" ")).as_str().into())
            }

            /// The products and comments in order, within the default limits.
            ///
            /// # Errors
            /// The text is not products and comments; it can be printed all the same.
            pub fn products(&self) -> Result<Vec<ProductPart>, HeaderError> {
                complete($label, products(self.as_str(), &Limits::DEFAULT))
            }

            /// The CPM release, which the first product names (TS Appendix D).
            #[must_use]
            pub fn cpm(&self) -> Option<CpmProduct> {
                let (_, first) = product(self.as_str(), &Limits::DEFAULT).ok()?;
                CpmProduct::of(&first)
            }
        }
    )*};
}

product_fields! {
    UserAgent, "User-Agent";
    Server, "Server";
}
