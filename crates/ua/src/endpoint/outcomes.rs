//! Whom the outcome of a client transaction is for.

use super::Endpoint;
use super::client::User;
use crate::event::{DialogEnd, Event, InviteFailure, TransactionFailure, TransactionId};
use crate::session::exchange::Message;
use cpm_base::Now;
use cpm_sip::{Response, StatusCode};

impl Endpoint {
    /// Hands a response to whom its transaction works for.
    pub(super) fn deliver(&mut self, now: Now, transaction: TransactionId, user: User, response: Response) {
        match user {
            User::Nobody => {}
            User::Prack(_) | User::Update(_) if response.status().is_provisional() => {}
            User::Prack(dialog) => self.prack_response(dialog, &response),
            User::Update(dialog) => self.update_response(now, dialog, transaction, response),
            User::Invite(invite) => self.invite_response(now, invite, response),
            User::Branch(proxy, index) => self.branch_response(now, proxy, index, response),
            User::Usage(usage) => {
                let flow = self.clients.get(&transaction).and_then(|client| client.flow());
                self.usage_response(now, usage, flow, response);
            }
            User::Function | User::Dialog(_) | User::Bye(_) if response.status().is_provisional() => {
                if response.status() != StatusCode::TRYING {
                    self.event(Event::Provisional { transaction, response });
                }
            }
            User::Function => self.event(Event::Response { transaction, response }),
            User::Dialog(dialog) => {
                let status = response.status();
                self.event(Event::Response { transaction, response });
                self.response_in_dialog(now, dialog, status);
            }
            User::Bye(dialog) => {
                self.event(Event::Response { transaction, response });
                self.end_call(now, dialog, DialogEnd::LocalBye);
            }
        }
    }

    /// Tells whom a transaction works for that no response will come.
    pub(super) fn deliver_failure(
        &mut self,
        now: Now,
        transaction: TransactionId,
        user: User,
        why: TransactionFailure,
    ) {
        match user {
            User::Nobody => {}
            User::Branch(proxy, index) => self.branch_failure(now, proxy, index, why),
            User::Usage(usage) => self.usage_failed(now, usage, why),
            User::Prack(dialog) => self.exchange_over(dialog, Message::PrackOver),
            User::Update(dialog) => self.update_unanswered(now, dialog, transaction, why),
            User::Invite(id) => {
                if let Some(dialog) = self.invites.get(&id).and_then(|invite| invite.within) {
                    return self.reinvite_unanswered(now, id, dialog, why);
                }
                let cancelled = self.invites.get(&id).is_some_and(|invite| invite.cancelled);
                let why = match why {
                    _ if cancelled => InviteFailure::Cancelled,
                    TransactionFailure::Timeout => InviteFailure::Timeout,
                    TransactionFailure::Transport => InviteFailure::Transport,
                };
                self.invite_failed(id, None, why);
            }
            User::Function => self.event(Event::TransactionFailed { transaction, why }),
            User::Dialog(dialog) => {
                self.event(Event::TransactionFailed { transaction, why });
                if why == TransactionFailure::Timeout {
                    self.end_call(now, dialog, DialogEnd::Gone);
                }
            }
            User::Bye(dialog) => {
                self.event(Event::TransactionFailed { transaction, why });
                self.end_call(now, dialog, DialogEnd::LocalBye);
            }
        }
    }
}
