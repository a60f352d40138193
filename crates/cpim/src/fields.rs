//! Message header fields read by meaning: RFC 3862 §4, RFC 5438 §6, TS C.1.9.

use crate::grammar;
use crate::{
    Address, CPIM_NAMESPACE, CpimError, DispositionRequest, Headers, IMDN_NAMESPACE, MessageDirection,
    Subject,
};
use alloc::string::String;
use alloc::vec::Vec;
use cpm_base::DateTime;

impl Headers {
    /// From: who sent it.
    ///
    /// # Errors
    /// It stands twice or is no address.
    pub fn from(&self) -> Result<Option<Address>, CpimError> {
        self.single_address(CPIM_NAMESPACE, "From")
    }

    /// To: all of them, in order.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn to(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(CPIM_NAMESPACE, "To")
    }

    /// cc: all of them, in order.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn cc(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(CPIM_NAMESPACE, "cc")
    }

    /// DateTime: when it was sent.
    ///
    /// # Errors
    /// It stands twice or is no date of RFC 3339.
    pub fn date_time(&self) -> Result<Option<DateTime>, CpimError> {
        let header = self.single(CPIM_NAMESPACE, "DateTime")?;
        header.map(|h| DateTime::parse(h.value()).map_err(|_| CpimError::DateTimeSyntax)).transpose()
    }

    /// DateTime as it is written: what an IMDN gives back (RFC 5438 §11.1.2).
    #[must_use]
    pub fn date_time_text(&self) -> Option<String> {
        self.get_all(CPIM_NAMESPACE, "DateTime").first().map(|h| h.text())
    }

    /// Subject: all of them, in order; several say the same in several languages.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        let all = self.get_all(CPIM_NAMESPACE, "Subject");
        all.into_iter().map(|h| Subject { text: h.text(), language: h.param("lang") }).collect()
    }

    /// The first Subject.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.get_all(CPIM_NAMESPACE, "Subject").first().map(|h| h.text())
    }

    /// What the NS fields declare, in order: (prefix, namespace URI); without prefix the default for what follows.
    #[must_use]
    pub fn namespaces(&self) -> Vec<(Option<String>, String)> {
        let declarations = self.iter().filter(|h| h.name() == "NS");
        let declarations = declarations.filter_map(|h| grammar::namespace(h.value()));
        declarations.map(|(prefix, uri)| (prefix.map(String::from), String::from(uri))).collect()
    }

    /// Require: what the sender insists on, as (namespace URI, name). Whoever does not know one of them must not show
    /// the message (RFC 3862 §3.5).
    ///
    /// # Errors
    /// It is no list of names, or one has a prefix that nobody declared.
    pub fn require(&self) -> Result<Vec<(String, String)>, CpimError> {
        let mut required = Vec::new();
        let scope = self.scope_at_end();
        for header in self.get_all(CPIM_NAMESPACE, "Require") {
            for (prefix, name) in grammar::required_names(header.value()).ok_or(CpimError::RequireSyntax)? {
                let namespace = scope.namespace(prefix).ok_or_else(|| CpimError::UndeclaredPrefix {
                    prefix: String::from(prefix.unwrap_or_default()),
                })?;
                required.push((String::from(namespace), String::from(name)));
            }
        }
        Ok(required)
    }

    /// Message-ID (RFC 5438 §6.3). It is taken for what it is, an opaque mark of visible characters: peers put more into
    /// it than a token.
    ///
    /// # Errors
    /// It stands twice, is empty or holds a blank.
    pub fn imdn_message_id(&self) -> Result<Option<String>, CpimError> {
        let Some(header) = self.single(IMDN_NAMESPACE, "Message-ID")? else { return Ok(None) };
        let id = header.value();
        if id.is_empty() || id.contains(char::is_whitespace) {
            return Err(CpimError::MessageIdSyntax);
        }
        Ok(Some(String::from(id)))
    }

    /// Disposition-Notification: which notifications are wanted; none where the field is absent or empty. Several fields
    /// add up.
    ///
    /// # Errors
    /// It is no list of tokens.
    pub fn disposition_notification(&self) -> Result<DispositionRequest, CpimError> {
        let mut request = DispositionRequest::default();
        for header in self.get_all(IMDN_NAMESPACE, "Disposition-Notification") {
            request.add(header.value())?;
        }
        Ok(request)
    }

    /// Original-To: whom the message was for before an intermediary changed To (RFC 5438 §6.4).
    ///
    /// # Errors
    /// It stands twice or is no address.
    pub fn original_to(&self) -> Result<Option<Address>, CpimError> {
        self.single_address(IMDN_NAMESPACE, "Original-To")
    }

    /// IMDN-Record-Route: which intermediaries want to see the notification, topmost first.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn record_route(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(IMDN_NAMESPACE, "IMDN-Record-Route")
    }

    /// IMDN-Route: where the notification goes next, topmost first.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn route(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(IMDN_NAMESPACE, "IMDN-Route")
    }

    /// Message-Direction (TS C.1.9); `None` where it is absent, says something else, or stands more than once.
    // req: C.1.9-T4, C.1.9-abnf, C.1.9-p2
    #[must_use]
    pub fn message_direction(&self) -> Option<MessageDirection> {
        match self.single(CPIM_NAMESPACE, "Message-Direction").ok()??.value() {
            "sent" => Some(MessageDirection::Sent),
            "received" => Some(MessageDirection::Received),
            _ => None,
        }
    }

    fn single_address(&self, namespace: &str, name: &'static str) -> Result<Option<Address>, CpimError> {
        self.single(namespace, name)?.map(|header| Address::read(name, header.value())).transpose()
    }

    fn addresses(&self, namespace: &str, name: &'static str) -> Result<Vec<Address>, CpimError> {
        self.get_all(namespace, name).into_iter().map(|header| Address::read(name, header.value())).collect()
    }
}
