//! Flows that last: connection reuse by alias (RFC 5923), keep-alives (RFC 5626 §4.4.1, RFC 6223), closing idle ones.

use super::Endpoint;
use super::via::TopVia;
use crate::config::Config;
use crate::error::Refusal;
use crate::flows::Flow;
use crate::timers::TimerKey;
use core::time::Duration;
use cpm_base::{CloseReason, FlowId, Now, Protocol, Target, Transport};
use cpm_sip::{Headers, Via};

/// How long a pong may take (RFC 5626 §4.4.1).
const PONG_WITHIN: Duration = Duration::from_secs(10);

impl Endpoint {
    /// Sends a keep-alive on a stream flow every so often, from 80 % to 100 % of the time at random, and closes the flow as
    /// failed when no answer comes within 10 s (RFC 5626 §4.4.1): the peer is known to answer (it gave a Flow-Timer).
    /// `None` ends it. With [`Config::keep_alive`](crate::Config::keep_alive) this happens by itself where the peer agrees
    /// by the `keep` parameter of RFC 6223.
    ///
    /// # Errors
    /// The flow is not open, or has datagrams (which are kept alive by STUN, the host's work).
    pub fn keep_alive(&mut self, now: Now, flow: FlowId, every: Option<Duration>) -> Result<(), Refusal> {
        let Some(stream) = self.stream(flow) else { return Err(Refusal::UnknownFlow) };
        stream.ping_every = every.filter(|every| !every.is_zero());
        stream.for_registration = false;
        stream.pong_by = None;
        stream.ping_at = None;
        self.arm_ping(now, flow);
        Ok(())
    }

    /// Closes a flow. What is under way on it fails, or goes another way.
    ///
    /// # Errors
    /// It is not open.
    pub fn close_flow(&mut self, now: Now, flow: FlowId) -> Result<(), Refusal> {
        if self.flows.get(flow).is_none() {
            return Err(Refusal::UnknownFlow);
        }
        self.doom(flow, CloseReason::Done);
        self.settle(now);
        Ok(())
    }

    /// A registration stands on this flow, whose edge wants to hear of us within so many seconds (RFC 5626 §4.4.1,
    /// Flow-Timer). Pings that are more frequent already stay.
    pub(super) fn keep_for_registration(&mut self, now: Now, flow: FlowId, seconds: Option<u32>) {
        let Some(every) = seconds.filter(|seconds| *seconds > 0) else { return self.keep_no_more(flow) };
        let every = Duration::from_secs(every.into());
        let Some(stream) = self.stream(flow) else { return };
        let mine = stream.for_registration || stream.ping_every.is_none();
        let enough = stream.ping_every.is_some_and(|now| if mine { now == every } else { now <= every });
        if !enough
            && self.keep_alive(now, flow, Some(every)).is_ok()
            && let Some(stream) = self.stream(flow)
        {
            stream.for_registration = mine;
        }
    }

    /// No registration stands on this flow any more: the pings that its Flow-Timer asked for end.
    pub(super) fn keep_no_more(&mut self, flow: FlowId) {
        let stands = self.usages.registrations.values().any(|registration| {
            registration.flow == Some(flow)
                && registration.bindings.as_ref().is_some_and(|bindings| bindings.flow_timer.is_some())
        });
        if stands {
            return;
        }
        if let Some(stream) = self.stream(flow).filter(|stream| stream.for_registration) {
            stream.for_registration = false;
            (stream.ping_every, stream.ping_at, stream.pong_by) = (None, None, None);
            self.schedule_flow(flow);
        }
    }

    /// The next ping, 80 % to 100 % of the interval from now.
    fn arm_ping(&mut self, now: Now, flow: FlowId) {
        let share = u32::try_from(self.random.public_u64() % 201).unwrap_or(0).saturating_add(800);
        if let Some(stream) = self.stream(flow)
            && let Some(every) = stream.ping_every
        {
            stream.ping_at =
                Some(now.mono.plus(every.saturating_mul(share).checked_div(1000).unwrap_or(every)));
        }
        self.schedule_flow(flow);
    }

    pub(super) fn schedule_flow(&mut self, flow: FlowId) {
        let at = self.stream(flow).and_then(|stream| stream.next_alarm());
        self.timers.set(TimerKey::Flow(flow), at);
    }

    /// A stream flow is there.
    pub(super) fn begin_upkeep(&mut self, now: Now, flow: FlowId, accepted: bool) {
        let first_message = self.config.limits.first_message;
        let idle = self.config.flow_idle;
        let Some(stream) = self.stream(flow) else { return };
        stream.accepted = accepted;
        stream.first_by = accepted.then(|| now.mono.plus(first_message));
        stream.idle_at = idle.map(|idle| now.mono.plus(idle));
        self.schedule_flow(flow);
    }

    /// A CRLF between messages. The framer counts them in pairs; after a ping of ours the next one is its pong, whatever
    /// its number.
    pub(super) fn line_end(&mut self, flow: FlowId, second: bool) {
        let pong = self.stream(flow).is_some_and(|stream| core::mem::take(&mut stream.awaits_pong));
        if second && !pong {
            // RFC 5626 §4.4.1: a double CRLF is answered with one.
            self.metrics.count("ua.keepalive_pings");
            self.transmit(flow, bytes::Bytes::from_static(b"\r\n"));
        } else {
            self.metrics.count("ua.keepalive_pongs");
        }
    }

    /// Something came, which shows that the far side lives.
    pub(super) fn alive(&mut self, flow: FlowId) {
        if let Some(stream) = self.stream(flow)
            && stream.pong_by.take().is_some()
        {
            self.schedule_flow(flow);
        }
    }

    pub(super) fn flow_timeout(&mut self, now: Now, flow: FlowId) {
        let idle = self.config.flow_idle;
        let Some(stream) = self.stream(flow) else { return };
        let due = |at: Option<cpm_base::Instant>| at.is_some_and(|at| at <= now.mono);
        if due(stream.first_by) {
            return self.doom(flow, CloseReason::Idle);
        }
        if due(stream.pong_by) {
            self.metrics.count("ua.keepalive_unanswered");
            return self.doom(flow, CloseReason::Failed);
        }
        if due(stream.idle_at) {
            if !core::mem::take(&mut stream.used) {
                self.metrics.count("ua.idle_flows_closed");
                return self.doom(flow, CloseReason::Idle);
            }
            stream.idle_at = idle.map(|idle| now.mono.plus(idle));
        }
        if due(stream.ping_at) {
            stream.awaits_pong = true;
            stream.pong_by = stream.pong_by.or(Some(now.mono.plus(PONG_WITHIN)));
            self.metrics.count("ua.keepalive_pings_sent");
            self.transmit(flow, bytes::Bytes::from_static(b"\r\n\r\n"));
            self.arm_ping(now, flow);
        }
        self.schedule_flow(flow);
    }

    /// A response says in the topmost Via, ours, whether and how often the next hop wants keep-alives (RFC 6223 §4.3).
    pub(super) fn keep_as_agreed(&mut self, now: Now, flow: FlowId, via: &Via) {
        let Some(most) = self.config.keep_alive else { return };
        let Some(asked) = via.params().get("keep").and_then(|seconds| seconds.parse::<u32>().ok()) else {
            return;
        };
        let every = match asked {
            0 => most,
            seconds => most.min(Duration::from_secs(seconds.into())),
        };
        if self.stream(flow).is_some_and(|stream| !stream.accepted && stream.ping_every != Some(every)) {
            let _ = self.keep_alive(now, flow, Some(every));
        }
    }

    /// What the topmost Via of a received request says about its flow.
    pub(super) fn flow_params_received(&mut self, flow: FlowId, top: &TopVia, headers: &mut Headers) {
        let Some(via) = top.of_flow.then(|| headers.typed::<Via>().ok().flatten()).flatten() else { return };
        let Some(known) = self.flows.by_id.get(&flow).filter(|known| known.reliable()) else { return };
        if via.params().get("keep") == Some("")
            && let Some(every) = self.config.keep_alive
        {
            let mut via = via.clone();
            let _ = via.params_mut().set("keep", Some(&alloc::format!("{}", every.as_secs())));
            headers.replace_first_typed(&via);
        }
        if via.params().contains("alias") && known.may_alias(&via) {
            let port = via.port().unwrap_or(super::outgoing::default_port(known.info.transport));
            let remote = core::net::SocketAddr::new(known.info.peer.ip(), port);
            let target = Target { protocol: Protocol::Sip, transport: known.info.transport, remote };
            self.metrics.count("ua.aliases");
            self.flows.alias(flow, target);
        }
    }
}

/// What the Via of a request on this flow says about the flow itself: that we would keep it alive (RFC 6223 §4.1), and that
/// requests may come back on it (RFC 5923 §4).
pub(super) fn flow_params(config: &Config, flow: &Flow) -> impl Iterator<Item = &'static str> + use<> {
    let stream = flow.stream.as_ref().filter(|stream| !stream.accepted);
    let keep = stream.is_some_and(|stream| stream.ping_every.is_none()) && config.keep_alive.is_some();
    let alias = stream.is_some() && flow.info.transport == Transport::Tls && config.reuse_connections;
    [(keep, "keep"), (alias, "alias")].into_iter().filter_map(|(wanted, name)| wanted.then_some(name))
}
