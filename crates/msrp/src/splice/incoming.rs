//! What comes in: put in order, its head to be rewritten, the rest to the log.

use bytes::Bytes;
use cpm_base::Now;

use super::{HeadState, Splice, SpliceEvent, skip, wide};
use crate::endpoint::Endpoint;
use crate::event::ChunkId;
use crate::piece::{cost, parts};
use crate::values::Status;

impl Splice {
    /// Octets of the message: put in order, then to the head or to the log.
    pub(super) fn data(&mut self, now: Now, endpoint: &mut Endpoint, offset: u64, octets: &Bytes) {
        let mut at = offset;
        for part in parts(octets) {
            if self.refused.is_some() || self.over {
                return;
            }
            let end = at.saturating_add(wide(part.len()));
            self.part(now, endpoint, at, part);
            at = end;
        }
        self.pump(now, endpoint);
    }

    fn part(&mut self, now: Now, endpoint: &mut Endpoint, offset: u64, octets: Bytes) {
        let end = offset.saturating_add(wide(octets.len()));
        if offset > self.received {
            let early = self.early_cost.saturating_add(cost(&octets));
            if early > wide(self.options.reorder) {
                return self.refuse(now, endpoint, Status::STOP);
            }
            if self.early.get(&offset).is_none_or(|known| known.len() < octets.len()) {
                let before = self.early.insert(offset, octets);
                self.early_cost = early.saturating_sub(before.map_or(0, |before| cost(&before)));
            }
            return;
        }
        if end > self.received {
            self.accept(skip(octets, self.received.saturating_sub(offset)));
        }
        while let Some(first) = self.early.first_entry().filter(|first| *first.key() <= self.received) {
            let (offset, octets) = first.remove_entry();
            self.early_cost = self.early_cost.saturating_sub(cost(&octets));
            let known = self.received.saturating_sub(offset);
            if known < wide(octets.len()) {
                self.accept(skip(octets, known));
            }
        }
    }

    pub(super) fn accept(&mut self, octets: Bytes) {
        if self.options.tap {
            self.events.push_back(SpliceEvent::Tapped { offset: self.received, octets: octets.clone() });
        }
        self.received = self.received.saturating_add(wide(octets.len()));
        let HeadState::Coming(head) = &mut self.head_state else { return self.log.push(octets) };
        let before = head.len();
        let full = before.saturating_add(octets.len()) >= self.options.max_head;
        head.extend_from_slice(octets.get(..self.options.max_head.min(octets.len())).unwrap_or_default());
        match head_end(head, self.options.head_lines).filter(|end| *end <= self.options.max_head) {
            Some(end) => {
                head.truncate(end);
                let head = Bytes::from(core::mem::take(head));
                self.log.push(skip(octets, wide(end.saturating_sub(before))));
                self.ask_head(head);
            }
            None if full => {
                head.truncate(before);
                let begun = Bytes::from(core::mem::take(head));
                self.log.push(begun);
                self.log.push(octets);
                self.ask_head(Bytes::new());
            }
            None => {}
        }
    }

    fn ask_head(&mut self, head: Bytes) {
        self.old_head = wide(head.len());
        self.head_state = HeadState::Asked;
        self.events.push_back(SpliceEvent::Head(head));
    }

    /// Chunks before the last are answered at once: what matters hangs on the last answer alone, and a sender that waits
    /// for an answer before it goes on would never end the chunk that the legs wait in.
    pub(super) fn chunk_end(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        chunk: ChunkId,
        complete: Option<u64>,
    ) {
        if let Some(status) = self.refused {
            return endpoint.respond(now, chunk, status);
        }
        let Some(total) = complete else { return endpoint.respond(now, chunk, Status::OK) };
        self.whole = Some(total);
        self.held_since = None;
        self.last_chunk = Some(chunk);
        if let HeadState::Coming(head) = &mut self.head_state {
            // The message ends before its head does: it has none.
            let begun = Bytes::from(core::mem::take(head));
            self.log.push(begun);
            self.ask_head(Bytes::new());
        }
        self.events.push_back(SpliceEvent::Whole(total));
        self.pump(now, endpoint);
        self.settle(now, endpoint);
    }
}

/// Where a head with so many blank lines ends.
fn head_end(text: &[u8], blank_lines: u8) -> Option<usize> {
    let mut from = 0usize;
    for _ in 0..blank_lines {
        let at = memchr::memmem::find(text.get(from..)?, b"\r\n\r\n")?;
        from = from.saturating_add(at).saturating_add(4);
    }
    Some(from)
}
