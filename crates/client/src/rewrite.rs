//! State that the store did not keep is written again, a while later and not for ever.

use crate::outgoing::SENT_KEY;
use crate::received_state::id_of_key;
use crate::{Client, ClientEvent, SentId};
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_core::{Ports, Written};

/// The pause before the first further try; it doubles up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(64);
/// So often a record is written again: for about six minutes, and more where the store is silent.
const MAX_TRIES: u32 = 10;

/// A record that is not kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rewrite {
    tries: u32,
    /// When it is tried again; `None` while it is being written.
    at: Option<Instant>,
}

impl Client {
    /// A write came to its end: what failed is tried again, but for what is written anew already.
    pub(crate) fn note_written(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, written: &Written) {
        if written.result.is_ok() {
            if !written.goes_on {
                self.rewrites.remove(&written.key);
            }
            return;
        }
        self.metrics.count("client.state_not_stored");
        if written.goes_on || self.state.is_writing(&written.key) {
            return;
        }
        let rewrite = self.rewrites.entry(written.key.clone()).or_insert(Rewrite { tries: 0, at: None });
        if rewrite.tries >= MAX_TRIES {
            self.rewrites.remove(&written.key);
            self.metrics.count("client.state_given_up");
            return self.given_up(now, ports, &written.key);
        }
        let pause = PAUSE.saturating_mul(1 << rewrite.tries.min(16)).min(MAX_PAUSE);
        *rewrite = Rewrite { tries: rewrite.tries.saturating_add(1), at: Some(now.mono.plus(pause)) };
    }

    /// The user of a store that keeps nothing still hears what became of a message.
    fn given_up(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, key: &str) {
        if let Some(id) = self.letter_of(key) {
            self.tell_outcome(now, ports, id);
        }
    }

    fn letter_of(&self, key: &str) -> Option<SentId> {
        let message_id = key.strip_prefix(SENT_KEY)?;
        self.letters.values().find(|letter| letter.message_id == message_id).map(|letter| letter.id)
    }

    pub(crate) fn rewrite_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        let is_due = |rewrite: &Rewrite| rewrite.at.is_some_and(|at| at <= now.mono);
        let due = self.rewrites.iter().filter(|(_, rewrite)| is_due(rewrite));
        let due: Vec<String> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            if let Some(rewrite) = self.rewrites.get_mut(&key) {
                rewrite.at = None;
            }
            // What is written at this moment is the newest.
            if !self.state.is_writing(&key) {
                self.write_again(now, ports, &key);
            }
            // There was nothing to write any more.
            if !self.state.is_writing(&key) {
                self.rewrites.remove(&key);
            }
        }
    }

    fn write_again(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, key: &str) {
        if key.starts_with(SENT_KEY) {
            match self.letter_of(key) {
                Some(id) => self.write_sent(now, ports, id),
                // It was to be taken out.
                None => self.state.remove(now, ports.host, key),
            }
        } else if let Some(id) = id_of_key(key) {
            self.change(now, ports, id, |_| {});
        } else {
            self.keep_numbers(now, ports);
        }
    }

    pub(crate) fn rewrite_next_timeout(&self) -> Option<Instant> {
        self.rewrites.values().filter_map(|rewrite| rewrite.at).min()
    }
}
