//! Which lines were checked already: a message is validated at every hop that it passes inside of one process, and each of its
//! lines but those of the last hop was validated at the hop before.

use super::{HeaderValue, Headers};
use crate::name::HeaderName;
use core::sync::atomic::{AtomicU16, Ordering};

/// How many values a line holds that were all found sound; 0 when nobody has looked. A line never changes (who edits a field
/// makes a new one), nor do the limits of its message, so that whoever looks finds the same: it does not matter who notes it.
#[derive(Debug, Default)]
pub(super) struct Sound(AtomicU16);

impl Clone for Sound {
    fn clone(&self) -> Self {
        Sound(AtomicU16::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Sound {
    fn get(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|count| *count > 0).map(usize::from)
    }

    fn set(&self, count: usize) {
        self.0.store(u16::try_from(count).unwrap_or(0), Ordering::Relaxed);
    }
}

impl Headers {
    /// How many values the fields of this name hold together, when all are sound. `count` says it of one field, given how many
    /// stand before it; it is asked once for each field.
    pub(crate) fn sound_values(
        &self,
        name: &HeaderName,
        count: impl Fn(HeaderValue<'_>, usize) -> Option<usize>,
    ) -> Option<usize> {
        let mut before = 0usize;
        for field in self.0.of(name) {
            let known = field.sound.get();
            let sum = match known {
                Some(known) => before.saturating_add(known),
                None => before.saturating_add(count(self.0.value_of(field), before)?),
            };
            // The limit is on all of them together, so that it is looked at anew.
            self.check_count(name, sum.saturating_sub(1)).ok()?;
            if known.is_none() {
                field.sound.set(sum.saturating_sub(before));
            }
            before = sum;
        }
        Some(before)
    }

    /// Whether there is one field of this name and it is sound, which is asked once.
    pub(crate) fn sound_single(&self, name: &HeaderName, sound: impl Fn(HeaderValue<'_>) -> bool) -> bool {
        let mut fields = self.0.of(name);
        let (Some(field), None) = (fields.next(), fields.next()) else { return false };
        if field.sound.get().is_none() {
            if !sound(self.0.value_of(field)) {
                return false;
            }
            field.sound.set(1);
        }
        true
    }
}
