//! `cpm demo`: a message, its delivery and its read report, through a SIP/IP core and two Participating Functions.

mod calls;
mod file;
mod nodes;

use crate::args::{Demo as Options, Mode};
use crate::ladder::Ladder;
use crate::record;
use cpm_base::Instant;
use cpm_client::{ClientEvent, Disposition, NewMessage};
use cpm_host::{Clock, Once, Tap};
use cpm_sim::ladder::Options as Drawing;
use nodes::{ALICE, BOB, DEVICES, NAMES, Nodes, Told};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const TEXT: &str = "Hello Bob, this is CPM.";
/// Octets of the text of a large message.
const LARGE: usize = 100_000;
/// Nothing crosses any more when nothing did for so long.
const CALM: Duration = Duration::from_millis(30);
/// Wide enough for six lanes with the labels used here.
const WIDTH: usize = 121;

/// Runs it, draws it and says how it ended.
pub(crate) async fn demo(options: &Options) -> Result<(), String> {
    if options.mode == Mode::File {
        return file::demo(options).await;
    }
    let clock = Clock::start();
    let ladder = Ladder::default();
    let tap = record::tap(clock, &options.record, vec![Box::new(Once::new(ladder.clone()))])?;
    if matches!(options.mode, Mode::Fork | Mode::Bridge) {
        return demo_call(options, clock, &tap, &ladder).await;
    }
    let mut nodes = Nodes::start(clock, &tap, &ladder)?;
    let mut story = Story::new(options.mode == Mode::Large);
    let end = timeout(options.timeout, play(&mut nodes, &ladder, clock, &mut story)).await;
    nodes.stop().await;
    record::finish(&tap)?;
    let drawing = Drawing { color: options.color.wanted(), width: WIDTH, ..Drawing::default() };
    print(&format!("{}\n", ladder.draw(&NAMES, &drawing)))?;
    match end {
        Ok(Ok(())) => print(&format!("{}\n", story.summary())),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("not through after {} s: {}", options.timeout.as_secs_f32(), story.progress())),
    }
}

/// A call in the place of a message.
async fn demo_call(options: &Options, clock: Clock, tap: &Tap, ladder: &Ladder) -> Result<(), String> {
    let end = timeout(options.timeout, calls::call(options.mode, clock, tap, ladder)).await;
    record::finish(tap)?;
    let drawing = Drawing { color: options.color.wanted(), width: WIDTH, ..Drawing::default() };
    print(&format!("{}\n", ladder.draw(&calls::NAMES, &drawing)))?;
    match end {
        Ok(Ok(summary)) => print(&format!("{summary}\n")),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("the call is not through after {} s", options.timeout.as_secs_f32())),
    }
}

/// What has happened to the message.
struct Story {
    large: bool,
    text: String,
    began: Instant,
    /// When each thing happened, after the beginning.
    sent: Option<Duration>,
    delivered: Option<Duration>,
    displayed: Option<Duration>,
    /// The devices that have shown it.
    shown: Vec<&'static str>,
}

impl Story {
    fn new(large: bool) -> Self {
        let text = match large {
            false => TEXT.to_owned(),
            true => {
                let mut text: String = (1..)
                    .map(|n| format!("{TEXT} Line {n}.\n"))
                    .scan(0, |sum, line| {
                        *sum += line.len();
                        (*sum < LARGE).then_some(line)
                    })
                    .collect();
                text.extend(std::iter::repeat_n('.', LARGE.saturating_sub(text.len())));
                text
            }
        };
        Story {
            large,
            text,
            began: Instant::ZERO,
            sent: None,
            delivered: None,
            displayed: None,
            shown: Vec::new(),
        }
    }

    /// A pager message reaches every device; a session for a large one is taken by the device that is fastest.
    fn devices(&self) -> usize {
        match self.large {
            false => DEVICES.len(),
            true => 1,
        }
    }

    fn is_over(&self) -> bool {
        let told = self.sent.and(self.delivered).and(self.displayed).is_some();
        told && self.shown.len() >= self.devices()
    }

    fn summary(&self) -> String {
        let what = match self.large {
            false => format!("pager message {:?}", self.text),
            true => format!("large message of {} octets", self.text.len()),
        };
        let mut text = format!("delivered: {what} from {ALICE} to {BOB} ({})", self.shown.join(", "));
        let told = [("sent", self.sent), ("delivered", self.delivered), ("read", self.displayed)];
        text.push_str("; reported:");
        for (index, (name, at)) in told.into_iter().enumerate() {
            let millis = at.unwrap_or_default().as_secs_f64() * 1000.0;
            // Writing to a String cannot fail.
            let _ = write!(text, "{} {name} after {millis:.1} ms", if index == 0 { "" } else { "," });
        }
        text
    }

    fn progress(&self) -> String {
        let word = |at: Option<Duration>| if at.is_some() { "yes" } else { "no" };
        format!(
            "accepted by the network: {}; shown on {} of {} devices; delivery notification: {}; read report: {}",
            word(self.sent),
            self.shown.len(),
            self.devices(),
            word(self.delivered),
            word(self.displayed)
        )
    }
}

async fn play(nodes: &mut Nodes, ladder: &Ladder, clock: Clock, story: &mut Story) -> Result<(), String> {
    register(nodes).await?;
    calm(ladder, clock).await;
    ladder.clear();
    story.began = clock.now().mono;
    let bob = cpm_sip::Uri::parse(BOB).map_err(|error| error.to_string())?;
    let mut message = NewMessage::text(bob, &story.text).with_reports();
    message.subject = Some("Demonstration".to_owned());
    let sent = nodes
        .client("alice")?
        .command(move |now, client, ports| {
            client.send_message(now, ports, message).map_err(|error| error.why.to_string())
        })
        .await
        .map_err(|error| error.to_string())??;
    if sent.large != (story.large) {
        return Err("the message took the other way".to_owned());
    }
    while !story.is_over() {
        let (name, told) = nodes.told().await?;
        let Told::Client(event) = told else { continue };
        let after = clock.now().mono;
        tell(nodes, ladder, story, name, *event, after).await?;
    }
    settle(nodes).await
}

/// All clients register; the core tells the Participating Functions of all devices.
async fn register(nodes: &mut Nodes) -> Result<(), String> {
    for name in nodes::CLIENTS {
        let asked = nodes
            .client(name)?
            .command(|now, client, ports| client.register(now, ports).map_err(|error| error.to_string()));
        asked.await.map_err(|error| error.to_string())??;
    }
    let (mut registered, mut alices, mut bobs) = (0, 0, 0);
    while registered < nodes::CLIENTS.len() || alices < 1 || bobs < DEVICES.len() {
        match nodes.told().await? {
            (name, Told::Client(event)) => match *event {
                ClientEvent::Registered { .. } => registered += 1,
                ClientEvent::RegistrationFailed(why) => return Err(format!("{name} cannot register: {why}")),
                _ => {}
            },
            ("pf-a", Told::Devices(count)) => alices = count,
            ("pf-b", Told::Devices(count)) => bobs = count,
            _ => {}
        }
    }
    Ok(())
}

/// Waits until the last answers of the registrations have passed.
async fn calm(ladder: &Ladder, clock: Clock) {
    while ladder.last().is_some_and(|last| clock.now().mono.since(last) < CALM) {
        sleep(CALM).await;
    }
}

/// One event of a client: into the diagram, and on with the story.
async fn tell(
    nodes: &Nodes,
    ladder: &Ladder,
    story: &mut Story,
    name: &'static str,
    event: ClientEvent,
    at: Instant,
) -> Result<(), String> {
    let after = at.since(story.began);
    match event {
        ClientEvent::Received(message) => {
            if message.content != story.text.as_bytes() {
                return Err(format!("{name} received something else than alice sent"));
            }
            ladder.note(at, name, "message shown");
            story.shown.push(name);
            // Bob reads it where it came first.
            if story.shown.len() == 1 {
                let id = message.id;
                let read =
                    nodes.client(name)?.command(move |now, client, ports| client.mark_read(now, ports, id));
                ladder.note(at, name, "Bob reads it");
                if !read.await.map_err(|error| error.to_string())? {
                    return Err("no read report was asked for".to_owned());
                }
            }
        }
        ClientEvent::Sent { .. } => {
            ladder.note(at, name, "message accepted");
            story.sent = Some(after);
        }
        ClientEvent::SendFailed { why, .. } => return Err(format!("the message was not taken: {why}")),
        ClientEvent::Disposition { disposition, .. } => match disposition {
            Disposition::Delivered => {
                ladder.note(at, name, "told: delivered");
                story.delivered = Some(after);
            }
            Disposition::Displayed => {
                ladder.note(at, name, "told: read");
                story.displayed = Some(after);
            }
            Disposition::DeliveryFailed => return Err("the delivery was reported as failed".to_owned()),
            _ => {}
        },
        _ => {}
    }
    Ok(())
}

/// What is still under way (the second device's notification, the end of a session) belongs into the diagram.
async fn settle(nodes: &Nodes) -> Result<(), String> {
    for name in nodes::CLIENTS {
        let idle = || async {
            let asked = nodes.client(name)?.with_node(|node, _| node.function().is_idle());
            asked.await.map_err(|error| error.to_string())
        };
        while !idle().await? {
            sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot print: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_message_has_its_size() {
        assert_eq!(Story::new(true).text.len(), LARGE);
        assert!(Story::new(true).text.len() > cpm_client::MAX_PAGER);
        assert!(Story::new(false).text.len() < 100);
    }

    #[test]
    fn it_is_over_when_everything_is_known() {
        let mut story = Story::new(false);
        let at = Some(Duration::from_millis(5));
        (story.sent, story.delivered, story.displayed) = (at, at, at);
        story.shown.push("bob-phone");
        assert!(!story.is_over(), "the second device is missing");
        assert!(story.progress().contains("shown on 1 of 2 devices"));
        story.shown.push("bob-tablet");
        assert!(story.is_over());
        assert!(story.summary().ends_with("sent after 5.0 ms, delivered after 5.0 ms, read after 5.0 ms"));
        story.displayed = None;
        assert!(!story.is_over());
        assert!(story.progress().ends_with("read report: no"));
    }
}
