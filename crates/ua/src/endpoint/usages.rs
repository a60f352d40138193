//! What a dialog is used for beside a call, and what ends with what (RFC 5057).

use super::Endpoint;
use crate::event::{DialogEnd, DialogId};
use cpm_base::Now;
use cpm_sip::StatusCode;

/// A usage of a dialog other than the INVITE usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Usage {
    /// A subscription, or the SUBSCRIBE or REFER that may make one, of either side: by its number.
    Subscription(u64),
}

/// What a response other than 2xx to a request in a dialog ends (RFC 5057 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The transaction alone.
    Transaction,
    /// The usage that the request belongs to.
    Usage,
    /// The dialog with all its usages.
    Dialog,
}

/// The table of RFC 5057 §5.1. A 408 counts like silence (§5.2): it ends the usage.
pub(super) fn effect(status: StatusCode) -> Effect {
    match status.as_u16() {
        404 | 410 | 416 | 482..=485 | 502 | 604 => Effect::Dialog,
        405 | 408 | 480 | 481 | 489 | 501 => Effect::Usage,
        _ => Effect::Transaction,
    }
}

impl Endpoint {
    /// A request of the call, or of the function in the dialog, got this answer.
    pub(super) fn response_in_dialog(&mut self, now: Now, id: DialogId, status: StatusCode) {
        let missing =
            [StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST, StatusCode::REQUEST_TIMEOUT].contains(&status);
        match effect(status) {
            Effect::Dialog => self.end_whole_dialog(now, id, DialogEnd::Gone),
            // Methods that a call can do without end nothing when the far side refuses them.
            Effect::Usage if missing => self.end_call(now, id, DialogEnd::Gone),
            Effect::Usage | Effect::Transaction => {}
        }
    }

    /// The dialog is used for one thing more. `false` when it is gone.
    pub(super) fn add_usage(&mut self, id: DialogId, usage: Usage) -> bool {
        self.dialogs.get_mut(&id).is_some_and(|dialog| {
            dialog.usages.insert(usage);
            true
        })
    }

    /// One usage is over: the dialog goes with the last one.
    pub(super) fn end_usage(&mut self, id: DialogId, usage: Usage) {
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.usages.remove(&usage);
        }
        self.drop_unused(id);
    }

    /// The dialog is over with everything that it was used for.
    pub(super) fn end_whole_dialog(&mut self, now: Now, id: DialogId, why: DialogEnd) {
        let usages = self.dialogs.get_mut(&id).map(|dialog| core::mem::take(&mut dialog.usages));
        for usage in usages.unwrap_or_default() {
            self.usage_lost(now, usage);
        }
        self.end_call(now, id, why);
        self.drop_unused(id);
    }

    /// The dialog of a usage is gone.
    fn usage_lost(&mut self, now: Now, usage: Usage) {
        let Usage::Subscription(number) = usage;
        self.metrics.count("ua.subscriptions_lost");
        self.subscribe_lost(crate::SubscribeId(number));
        self.subscription_lost(now, crate::SubscriptionId(number));
        self.notifier_lost(now, crate::NotifierId(number));
    }
}
