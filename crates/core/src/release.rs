//! Release versions in User-Agent and Server (TS Appendix D).

use core::fmt;

/// Whether a product token speaks for a client or for a server function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProductKind {
    /// `CPM-client`
    Client,
    /// `CPM-serv`: Participating and Controlling Function.
    Server,
}

/// The CPM release of a peer, as the first product token of its User-Agent or Server says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Release {
    /// Client or server.
    pub kind: ProductKind,
    /// Major version of the enabler.
    pub major: u16,
    /// Minor version of the enabler.
    pub minor: u16,
}

impl Release {
    /// What a CPM Client of this release says: `CPM-client/OMA2.1`.
    pub const CLIENT_2_1: Release = Release { kind: ProductKind::Client, major: 2, minor: 1 };
    /// What a Participating or Controlling Function of this release says: `CPM-serv/OMA2.1`.
    pub const SERVER_2_1: Release = Release { kind: ProductKind::Server, major: 2, minor: 1 };

    /// The release that a User-Agent or Server value names. The token is to be the first; one further on, and any
    /// case, is read as well. `None` where no token names a CPM release.
    #[must_use]
    pub fn find(value: &str) -> Option<Release> {
        value.split([' ', '\t', '\r', '\n']).find_map(Release::read)
    }

    fn read(token: &str) -> Option<Release> {
        let (name, version) = token.split_once('/')?;
        let kind = match name {
            _ if name.eq_ignore_ascii_case("CPM-client") => ProductKind::Client,
            _ if name.eq_ignore_ascii_case("CPM-serv") => ProductKind::Server,
            _ => return None,
        };
        let (oma, numbers) = version.split_at_checked(3)?;
        let (major, minor) = numbers.split_once('.')?;
        let digits =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        oma.eq_ignore_ascii_case("OMA").then_some(Release {
            kind,
            major: digits(major)?,
            minor: digits(minor)?,
        })
    }

    /// The header value of this release with a product of one's own behind it: `CPM-client/OMA2.1 acme/1.0`.
    #[must_use]
    pub fn with_product(self, product: &str) -> String {
        if product.is_empty() { self.to_string() } else { format!("{self} {product}") }
    }
}

impl fmt::Display for Release {
    // req: D.3-p1
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            ProductKind::Client => "CPM-client",
            ProductKind::Server => "CPM-serv",
        };
        write!(f, "{name}/OMA{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: D.3-p1
    #[test]
    fn writes_the_token_of_this_release() {
        assert_eq!(Release::CLIENT_2_1.to_string(), "CPM-client/OMA2.1");
        assert_eq!(Release::SERVER_2_1.with_product("acme/1.0"), "CPM-serv/OMA2.1 acme/1.0");
    }

    #[test]
    fn reads_any_release_and_nothing_else() {
        let one = Release { kind: ProductKind::Client, major: 1, minor: 0 };
        assert_eq!(Release::find("CPM-client/OMA1.0 Arena-Messaging1000/v1.01"), Some(one));
        assert_eq!(Release::find("acme/2 (beta) cpm-CLIENT/oma1.0"), Some(one));
        assert_eq!(Release::find("CPM-serv/OMA2.1"), Some(Release::SERVER_2_1));
        for other in
            ["", "CPM-client", "CPM-client/2.1", "CPM-client/OMA2", "CPM-client/OMA+2.1", "CPM-x/OMA2.1"]
        {
            assert_eq!(Release::find(other), None, "{other}");
        }
    }
}
