//! Editing a message in passing: the fields that intermediaries change (RFC 5438 §8, TS 8.2), all others octet for octet
//! as they were.

use crate::builder::{check_limits, namespace_header};
use crate::header::Header;
use crate::{Address, BuildError, CPIM_NAMESPACE, CpimMessage, DispositionRequest, IMDN_NAMESPACE};
use alloc::string::{String, ToString};
use cpm_base::DateTime;
use cpm_mime::Part;

impl CpimMessage {
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
    /// [`original_to`](CpimMessage::original_to) first.
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
        self.edited(|message| {
            let topmost = message.positions(IMDN_NAMESPACE, name).first().copied();
            message.insert(topmost, IMDN_NAMESPACE, name, &value)
        })
    }

    /// Takes the topmost IMDN-Route off (RFC 5438 §8); says whether there was one.
    pub fn pop_route(&mut self) -> bool {
        let Some(&topmost) = self.positions(IMDN_NAMESPACE, "IMDN-Route").first() else { return false };
        self.headers.list_mut().remove(topmost);
        self.source = None;
        true
    }

    /// Drops all fields of that name in that namespace; says how many there were.
    pub fn remove(&mut self, namespace: &str, name: &str) -> usize {
        let positions = self.positions(namespace, name);
        for position in positions.iter().rev() {
            self.headers.list_mut().remove(*position);
            self.source = None;
        }
        positions.len()
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

    /// One field of that name in place of all: in the place of the first, or at the end.
    fn set(&mut self, namespace: &str, name: &str, value: &str) -> Result<(), BuildError> {
        self.edited(|message| {
            let positions = message.positions(namespace, name);
            message.insert(positions.first().copied(), namespace, name, value)?;
            // The new field pushed the old ones down by one.
            for position in positions.iter().rev() {
                message.headers.list_mut().remove(position.saturating_add(1));
            }
            Ok(())
        })
    }

    /// Does an edit on a copy, and takes it over only when it went well and keeps to the limits.
    fn edited(
        &mut self,
        edit: impl FnOnce(&mut CpimMessage) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let mut copy = self.clone();
        edit(&mut copy)?;
        check_limits(&copy)?;
        copy.source = None;
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
            let prefix = self.headers.list_mut().get(before).and_then(Header::prefix).map(String::from);
            let header = Header::written(prefix.as_deref(), name, "", value)?;
            self.headers.list_mut().insert(before, header);
            return Ok(());
        }
        let known = self.headers.scope_at_end().prefix_of(namespace).map(|prefix| prefix.map(String::from));
        let prefix = match known {
            Some(prefix) => prefix,
            None => Some(self.declare(namespace)?),
        };
        let header = Header::written(prefix.as_deref(), name, "", value)?;
        self.headers.list_mut().push(header);
        Ok(())
    }

    /// Declares a prefix for a namespace at the end.
    fn declare(&mut self, namespace: &str) -> Result<String, BuildError> {
        let base = if namespace == IMDN_NAMESPACE { "imdn" } else { "cpim" };
        let mut prefix = String::from(base);
        let mut number = 1_usize;
        // There are fewer declarations than header fields, so one of these is free.
        while self.headers.scope_at_end().namespace(Some(&prefix)).is_some() {
            prefix = alloc::format!("{base}{number}");
            number = number.saturating_add(1);
        }
        let header = namespace_header(&prefix, namespace)?;
        self.headers.list_mut().push(header);
        Ok(prefix)
    }

    /// Where the fields of that name in that namespace are.
    fn positions(&self, namespace: &str, name: &str) -> alloc::vec::Vec<usize> {
        let all = self.headers.resolved();
        let all = all.into_iter().enumerate();
        all.filter(|(_, (of, header))| *of == Some(namespace) && header.name() == name)
            .map(|(at, _)| at)
            .collect()
    }
}
