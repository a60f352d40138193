//! Editing message header fields in passing: those that intermediaries change (RFC 5438 §8, TS 8.2), all others octet for
//! octet as they were.

use crate::builder::{check_limits, namespace_header};
use crate::header::{Header, Headers};
use crate::{Address, BuildError, CPIM_NAMESPACE, CpimMessage, DispositionRequest, IMDN_NAMESPACE};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use cpm_base::DateTime;
use cpm_mime::Part;

impl Headers {
    /// Replaces From, in its place.
    ///
    /// # Errors
    /// The address cannot be written; then nothing is changed. So everywhere below.
    pub fn set_from(&mut self, from: &Address) -> Result<(), BuildError> {
        self.set(CPIM_NAMESPACE, "From", &from.to_text("From")?)
    }

    /// Replaces all To by one, in the place of the first.
    ///
    /// # Errors
    /// The address cannot be written.
    pub fn set_to(&mut self, to: &Address) -> Result<(), BuildError> {
        self.set(CPIM_NAMESPACE, "To", &to.to_text("To")?)
    }

    /// Replaces DateTime, in its place, or adds it.
    ///
    /// # Errors
    /// The message would get beyond the default limits.
    pub fn set_date_time(&mut self, date_time: DateTime) -> Result<(), BuildError> {
        self.set(CPIM_NAMESPACE, "DateTime", &date_time.to_string())
    }

    /// Replaces Disposition-Notification; wanting nothing drops the field.
    ///
    /// # Errors
    /// An extension is no token.
    pub fn set_disposition_notification(&mut self, request: &DispositionRequest) -> Result<(), BuildError> {
        let name = "Disposition-Notification";
        if request.is_empty() {
            self.remove(IMDN_NAMESPACE, name);
            return Ok(());
        }
        self.set(IMDN_NAMESPACE, name, &request.to_text()?)
    }

    /// Replaces Original-To, or adds it. RFC 5438 §6.4 forbids to change one that is there: ask
    /// [`original_to`](Headers::original_to) first.
    ///
    /// # Errors
    /// The address cannot be written.
    pub fn set_original_to(&mut self, address: &Address) -> Result<(), BuildError> {
        self.set(IMDN_NAMESPACE, "Original-To", &address.to_text("Original-To")?)
    }

    /// Adds an IMDN-Record-Route above those that are there (RFC 5438 §8).
    ///
    /// # Errors
    /// The address cannot be written, or there are `imdn.max_route` already.
    pub fn push_record_route(&mut self, address: &Address) -> Result<(), BuildError> {
        let name = "IMDN-Record-Route";
        let value = address.to_text(name)?;
        self.edited(|fields| {
            let topmost = fields.positions(IMDN_NAMESPACE, name).first().copied();
            fields.insert(topmost, IMDN_NAMESPACE, name, &value)
        })
    }

    /// Takes the topmost IMDN-Route off (RFC 5438 §8); says whether there was one.
    pub fn pop_route(&mut self) -> bool {
        let Some(&topmost) = self.positions(IMDN_NAMESPACE, "IMDN-Route").first() else { return false };
        self.list_mut().remove(topmost);
        true
    }

    /// Drops all fields of that name in that namespace; says how many there were.
    pub fn remove(&mut self, namespace: &str, name: &str) -> usize {
        let positions = self.positions(namespace, name);
        for position in positions.iter().rev() {
            self.list_mut().remove(*position);
        }
        positions.len()
    }

    /// One field of that name in place of all: in the place of the first, or at the end.
    fn set(&mut self, namespace: &str, name: &str, value: &str) -> Result<(), BuildError> {
        self.edited(|fields| {
            let positions = fields.positions(namespace, name);
            fields.insert(positions.first().copied(), namespace, name, value)?;
            // The new field pushed the old ones down by one.
            for position in positions.iter().rev() {
                fields.list_mut().remove(position.saturating_add(1));
            }
            Ok(())
        })
    }

    /// Does an edit on a copy, and takes it over only when it went well and keeps to the limits.
    fn edited(
        &mut self,
        edit: impl FnOnce(&mut Headers) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let mut copy = self.clone();
        edit(&mut copy)?;
        check_limits(&copy)?;
        *self = copy;
        Ok(())
    }

    /// Writes a field before the one at `before`, with that one's prefix; or at the end, with a prefix that means the
    /// namespace there, declared now where there is none.
    fn insert(
        &mut self,
        before: Option<usize>,
        namespace: &str,
        name: &str,
        value: &str,
    ) -> Result<(), BuildError> {
        if let Some(before) = before {
            let prefix = self.list_mut().get(before).and_then(Header::prefix).map(String::from);
            let header = Header::written(prefix.as_deref(), name, "", value)?;
            self.list_mut().insert(before, header);
            return Ok(());
        }
        let known = self.scope_at_end().prefix_of(namespace).map(|prefix| prefix.map(String::from));
        let prefix = match known {
            Some(prefix) => prefix,
            None => Some(self.declare(namespace)?),
        };
        let header = Header::written(prefix.as_deref(), name, "", value)?;
        self.list_mut().push(header);
        Ok(())
    }

    /// Declares a prefix for a namespace at the end.
    fn declare(&mut self, namespace: &str) -> Result<String, BuildError> {
        let base = if namespace == IMDN_NAMESPACE { "imdn" } else { "cpim" };
        let mut prefix = String::from(base);
        let mut number = 1_usize;
        // There are fewer declarations than header fields, so one of these is free.
        while self.scope_at_end().namespace(Some(&prefix)).is_some() {
            prefix = alloc::format!("{base}{number}");
            number = number.saturating_add(1);
        }
        let header = namespace_header(&prefix, namespace)?;
        self.list_mut().push(header);
        Ok(prefix)
    }

    /// Where the fields of that name in that namespace are.
    fn positions(&self, namespace: &str, name: &str) -> Vec<usize> {
        self.named(namespace, name).map(|(at, _)| at).collect()
    }
}

/// What is edited is written anew: the header fields as they stand now, a blank line, the content.
impl CpimMessage {
    /// See [`Headers::set_from`].
    ///
    /// # Errors
    /// The address cannot be written; then nothing is changed. So everywhere below.
    pub fn set_from(&mut self, from: &Address) -> Result<(), BuildError> {
        self.edit(|headers| headers.set_from(from))
    }

    /// See [`Headers::set_to`].
    ///
    /// # Errors
    /// The address cannot be written.
    pub fn set_to(&mut self, to: &Address) -> Result<(), BuildError> {
        self.edit(|headers| headers.set_to(to))
    }

    /// See [`Headers::set_date_time`].
    ///
    /// # Errors
    /// The message would get beyond the default limits.
    pub fn set_date_time(&mut self, date_time: DateTime) -> Result<(), BuildError> {
        self.edit(|headers| headers.set_date_time(date_time))
    }

    /// See [`Headers::set_disposition_notification`].
    ///
    /// # Errors
    /// An extension is no token.
    pub fn set_disposition_notification(&mut self, request: &DispositionRequest) -> Result<(), BuildError> {
        self.edit(|headers| headers.set_disposition_notification(request))
    }

    /// See [`Headers::set_original_to`].
    ///
    /// # Errors
    /// The address cannot be written.
    pub fn set_original_to(&mut self, address: &Address) -> Result<(), BuildError> {
        self.edit(|headers| headers.set_original_to(address))
    }

    /// See [`Headers::push_record_route`].
    ///
    /// # Errors
    /// The address cannot be written, or there are `imdn.max_route` already.
    pub fn push_record_route(&mut self, address: &Address) -> Result<(), BuildError> {
        self.edit(|headers| headers.push_record_route(address))
    }

    /// See [`Headers::pop_route`].
    pub fn pop_route(&mut self) -> bool {
        let popped = self.headers.pop_route();
        if popped {
            self.source = None;
        }
        popped
    }

    /// See [`Headers::remove`].
    pub fn remove(&mut self, namespace: &str, name: &str) -> usize {
        let removed = self.headers.remove(namespace, name);
        if removed > 0 {
            self.source = None;
        }
        removed
    }

    /// Replaces the content.
    ///
    /// # Errors
    /// [`BuildError::NoContentType`].
    pub fn set_content(&mut self, content: Part) -> Result<(), BuildError> {
        if content.headers.get("Content-Type").is_none() || content.content_type().is_err() {
            return Err(BuildError::NoContentType);
        }
        self.content = content;
        self.source = None;
        Ok(())
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Headers) -> Result<(), BuildError>) -> Result<(), BuildError> {
        edit(&mut self.headers)?;
        self.source = None;
        Ok(())
    }
}
