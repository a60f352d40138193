use super::*;
use crate::{Action, Function, Input, Node, NodeConfig, Ports, Reply};
use cpm_base::{DateTime, Seed};

/// A function that writes what it is told to, and tells what was written.
struct Writer(StateWriter);

impl Function for Writer {
    type Event = Written;
    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Written>) {
        if let Input::Reply(query, Reply::Stored(result)) = input
            && let Some(written) = self.0.replied(now, ports.host, query, result)
        {
            ports.host.event(written);
        }
    }
    fn handle_timeout(&mut self, now: Now, ports: &mut Ports<'_, Written>) {
        while let Some(written) = self.0.given_up(now, ports.host) {
            ports.host.event(written);
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.0.next_timeout()
    }
}

fn at(seconds: u64) -> Now {
    let now = Now::new(Instant::ZERO, DateTime::parse("2026-11-21T10:00:00Z").unwrap());
    now.plus(Duration::from_secs(seconds))
}

fn node() -> Node<Writer> {
    let writer = Writer(StateWriter::new(Duration::from_secs(30)));
    Node::new(writer, NodeConfig::user_agent(Seed::new([1; 32]), "test")).unwrap()
}

fn keep(node: &mut Node<Writer>, key: &str, value: &'static str) {
    node.command(at(0), |writer, ports| writer.0.keep(at(0), ports.host, key, value));
}

/// What the node asks the store for, as `id key=value`, and what it tells, as `key ok` (or `failed`, or `silent`) with `+` when
/// more follows.
fn said(node: &mut Node<Writer>) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(action) = node.poll_action() {
        said.push(match action {
            Action::Query(id, Query::Store(Record::State(record))) => {
                let value = record.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
                format!("{} {}={}", id.0, record.key, value.unwrap_or_default())
            }
            Action::Event(written) => {
                let result = if written.result.is_ok() { "ok" } else { "failed" };
                let result = if written.silent { "silent" } else { result };
                format!("{} {result}{}", written.key, if written.goes_on { "+" } else { "" })
            }
            other => panic!("{other:?}"),
        });
    }
    said
}

#[test]
fn one_write_at_a_time_for_each_name() {
    let mut node = node();
    keep(&mut node, "a", "1");
    keep(&mut node, "b", "1");
    keep(&mut node, "a", "2");
    keep(&mut node, "a", "3");
    assert_eq!(said(&mut node), ["1 a=1", "2 b=1"]);
    // Whatever the store says of one, the other waits for its own answer.
    node.handle_reply(at(1), QueryId(2), Reply::Stored(Err(StoreError::Full)));
    assert_eq!(said(&mut node), ["b failed"]);
    node.handle_reply(at(1), QueryId(1), Reply::Stored(Ok(())));
    assert_eq!(said(&mut node), ["3 a=3", "a ok+"]);
    node.command(at(1), |writer, ports| writer.0.remove(at(1), ports.host, "a"));
    assert!(said(&mut node).is_empty());
    node.handle_reply(at(1), QueryId(3), Reply::Stored(Ok(())));
    assert_eq!(said(&mut node), ["4 a=", "a ok+"]);
    node.handle_reply(at(1), QueryId(4), Reply::Stored(Ok(())));
    assert_eq!(said(&mut node), ["a ok"]);
    assert!(node.function().0.is_idle() && node.next_timeout().is_none());
    // What was never asked, or is answered twice, is nothing.
    node.handle_reply(at(1), QueryId(4), Reply::Stored(Ok(())));
    node.handle_reply(at(1), QueryId(9), Reply::Stored(Ok(())));
    assert!(said(&mut node).is_empty());
}

#[test]
fn a_silent_store_failed() {
    let mut node = node();
    keep(&mut node, "a", "1");
    keep(&mut node, "a", "2");
    assert_eq!(said(&mut node), ["1 a=1"]);
    assert_eq!(node.next_timeout(), Some(at(30).mono));
    node.handle_timeout(at(29));
    assert!(said(&mut node).is_empty());
    node.handle_timeout(at(30));
    assert_eq!(said(&mut node), ["2 a=2", "a silent+"]);
    assert!(node.function().0.is_writing("a") && !node.function().0.is_writing("b"));
    node.handle_reply(at(31), QueryId(1), Reply::Stored(Ok(())));
    assert!(said(&mut node).is_empty());
    node.handle_timeout(at(60));
    assert_eq!(said(&mut node), ["a silent"]);
    assert!(!node.function().0.is_writing("a") && node.next_timeout().is_none());
}
