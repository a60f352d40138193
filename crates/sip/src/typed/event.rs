//! Header fields of event notification and of INFO packages (RFC 6665, RFC 6086).

use super::TypedHeader;
use super::shape::{check_seconds, is_token_without_dot, number_in, token_and_params, token_fields};
use crate::error::HeaderError;
use crate::grammar::complete;
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::InvalidText;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

token_fields! {
    /// Event (RFC 6665 §8.2.1): the event package of a subscription, with an `id` in old usage.
    Event, false, |event: &Event| check_event("Event", &event.token);
    /// One Allow-Events value (RFC 6665 §8.2.2): an event package that is served here.
    AllowEvents, false, |event: &AllowEvents| {
        let plain = if event.params.is_empty() { Ok(()) } else { Err("an event package has no parameters here") };
        plain.map_err(|what| HeaderError::Malformed { header: "Allow-Events", what })
            .and_then(|()| check_event("Allow-Events", &event.token))
    };
    /// Subscription-State (RFC 6665 §8.2.3): where the subscription of a NOTIFY stands.
    SubscriptionState, false, |state: &SubscriptionState| {
        check_seconds::<SubscriptionState>(&state.params, "expires")
            .and_then(|()| check_seconds::<SubscriptionState>(&state.params, "retry-after"))
    };
    /// Info-Package (RFC 6086 §7.2): the package that an INFO request belongs to.
    InfoPackage, false, |_: &InfoPackage| Ok::<(), HeaderError>(());
    /// One Recv-Info value (RFC 6086 §7.3): a package that INFO requests may belong to. An empty field: none.
    RecvInfo, true, |_: &RecvInfo| Ok::<(), HeaderError>(());
}

/// `event-package *( "." event-template )`.
fn check_event(header: &'static str, token: &str) -> Result<(), HeaderError> {
    if token.split('.').all(is_token_without_dot) {
        Ok(())
    } else {
        Err(HeaderError::Malformed { header, what: "an event package or template is empty" })
    }
}

impl Event {
    /// The event package: `presence` in `presence.winfo`.
    #[must_use]
    pub fn package(&self) -> &str {
        self.token.split('.').next().unwrap_or("")
    }

    /// The templates after the package, in order.
    pub fn templates(&self) -> impl Iterator<Item = &str> + '_ {
        self.token.split('.').skip(1)
    }

    /// The `id` parameter.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.params.get("id")
    }

    /// Whether both name the same subscription of a dialog: type and id, octet for octet (RFC 6665 §8.2.1).
    #[must_use]
    pub fn is_same(&self, other: &Event) -> bool {
        self.token == other.token && self.id() == other.id()
    }
}

impl SubscriptionState {
    /// `active` with the seconds that are left.
    #[must_use]
    pub fn active(expires: u32) -> SubscriptionState {
        SubscriptionState::timed("active", expires)
    }

    /// `pending` with the seconds that are left.
    #[must_use]
    pub fn pending(expires: u32) -> SubscriptionState {
        SubscriptionState::timed("pending", expires)
    }

    /// `terminated` for this reason: `deactivated`, `probation`, `rejected`, `timeout`, `giveup`, `noresource`, `invariant`.
    /// What a token cannot hold becomes a dash.
    #[must_use]
    pub fn terminated(reason: &str) -> SubscriptionState {
        let mut params = Params::new();
        params.set_token("reason", reason);
        SubscriptionState { token: "terminated".to_owned(), params }
    }

    fn timed(state: &str, expires: u32) -> SubscriptionState {
        let mut params = Params::new();
        params.set_plain("expires", Some(alloc::format!("{expires}")));
        SubscriptionState { token: state.to_owned(), params }
    }

    /// The same with `retry-after` in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> SubscriptionState {
        self.params.set_plain("retry-after", Some(alloc::format!("{seconds}")));
        self
    }

    /// `active`.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.token.eq_ignore_ascii_case("active")
    }

    /// `pending`.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.token.eq_ignore_ascii_case("pending")
    }

    /// `terminated`: the subscription is over.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.token.eq_ignore_ascii_case("terminated")
    }

    /// Why it is over.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.params.get("reason")
    }

    /// Seconds that are left.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        number_in(&self.params, "expires")
    }

    /// Seconds to wait before another try.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        number_in(&self.params, "retry-after")
    }
}
