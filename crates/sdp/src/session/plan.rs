//! What the next offer shall say.

use alloc::vec::Vec;

use super::local::{LocalMedium, SlotLine};
use crate::media::Direction;

/// One `m=` line of a plan; off without `local`.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) line: SlotLine,
    pub(super) local: Option<LocalMedium>,
}

/// The media of a session as the next offer shall have them. Media are named by their place.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    media: Vec<Planned>,
}

impl Plan {
    pub(super) fn new(media: Vec<Planned>) -> Plan {
        Plan { media }
    }

    pub(super) fn media(&self) -> &[Planned] {
        &self.media
    }

    /// Adds a medium, in the first place that is off (RFC 3264 §8.1), else behind the last; tells its place.
    pub fn add(&mut self, medium: impl Into<LocalMedium>) -> usize {
        let local: LocalMedium = medium.into();
        let planned = Planned { line: local.line(), local: Some(local) };
        match self.media.iter().position(|medium| medium.local.is_none()) {
            Some(at) => {
                if let Some(place) = self.media.get_mut(at) {
                    *place = planned;
                }
                at
            }
            None => {
                self.media.push(planned);
                self.media.len().saturating_sub(1)
            }
        }
    }

    /// Puts another medium in this place: the next file in the line of one that is through (RFC 5547 §8.2.1,
    /// TS 7.4.1-2.b.i), or the same with other parameters. Whether there is such a place.
    pub fn replace(&mut self, place: usize, medium: impl Into<LocalMedium>) -> bool {
        let local: LocalMedium = medium.into();
        match self.media.get_mut(place) {
            Some(planned) => {
                *planned = Planned { line: local.line(), local: Some(local) };
                true
            }
            None => false,
        }
    }

    /// Turns a medium off: port 0 (RFC 3264 §8.2, TS 7.4.1-2.b.ii). Whether it was on.
    // req: 7.4.1-2.b.ii
    pub fn disable(&mut self, place: usize) -> bool {
        self.media.get_mut(place).is_some_and(|planned| planned.local.take().is_some())
    }

    /// Sets the direction of a medium, seen from us. Whether it is on.
    pub fn set_direction(&mut self, place: usize, direction: Direction) -> bool {
        let Some(planned) = self.media.get_mut(place) else { return false };
        planned.local = planned.local.take().map(|local| local.with_direction(direction));
        planned.local.is_some()
    }

    /// Puts a medium on hold: nothing comes in any more (RFC 3264 §8.4). Whether it is on.
    pub fn hold(&mut self, place: usize) -> bool {
        match self.local(place).map(LocalMedium::direction) {
            Some(direction) => self.set_direction(place, direction.and(Direction::SendOnly)),
            None => false,
        }
    }

    /// A medium, where it is on.
    #[must_use]
    pub fn local(&self, place: usize) -> Option<&LocalMedium> {
        self.media.get(place)?.local.as_ref()
    }

    /// How many places there are, on or off.
    #[must_use]
    pub fn len(&self) -> usize {
        self.media.len()
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.media.is_empty()
    }
}
