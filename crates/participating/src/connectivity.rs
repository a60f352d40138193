//! What other sources than the registration say of a device: whether it can be reached over IP at all (TS 8.3.1.1-8.b).

use crate::Device;
use std::collections::BTreeSet;

/// Devices that are registered and cannot be reached. What nobody said anything of is reached as it registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connectivity {
    unreachable: BTreeSet<String>,
}

impl Connectivity {
    /// Says of a device, by its `+sip.instance` without angle brackets, or by its contact where it has none, whether it
    /// can be reached.
    pub fn set(&mut self, device: &str, reachable: bool) {
        if reachable {
            self.unreachable.remove(device);
        } else {
            self.unreachable.insert(device.to_owned());
        }
    }

    /// Whether a device can be reached.
    #[must_use]
    pub fn permits(&self, device: &Device) -> bool {
        self.unreachable.is_empty()
            || match &device.instance {
                Some(instance) => !self.unreachable.contains(instance),
                None => !self.unreachable.contains(device.contact.as_str()),
            }
    }
}
