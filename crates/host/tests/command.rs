//! The `cpm` command as scripts see it: what it prints, its exit status, the files it writes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn cpm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cpm"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (Output, String, String) {
    let output = cpm(arguments).output().unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// A directory for one test's files, removed at its end.
struct Files(std::path::PathBuf);

impl Files {
    fn new(name: &str) -> Files {
        let path = std::env::temp_dir().join(format!("cpm-host-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Files(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The octets of stream and datagram payloads in a capture of link type RAW over IPv4.
fn payloads(capture: &[u8]) -> Vec<u8> {
    assert_eq!(capture[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let (mut rest, mut found) = (&capture[24..], Vec::new());
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let packet = &rest[16..16 + length];
        let header = if packet[9] == 17 { 28 } else { 40 };
        found.extend_from_slice(&packet[header..]);
        rest = &rest[16 + length..];
    }
    found
}

fn contains(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_pager_demonstration_ends_well() {
    let files = Files::new("pager");
    let (trace, pcap) = (files.path("trace.txt"), files.path("capture.pcap"));
    let (output, out, err) = run(&["demo", "--trace", &trace, "--pcap", &pcap]);
    assert!(output.status.success(), "{out}{err}");
    let last = out.lines().last().unwrap();
    assert!(
        last.starts_with("delivered: pager message \"Hello Bob, this is CPM.\" from sip:alice@"),
        "{last}"
    );
    assert!(last.contains("bob-phone") && last.contains("bob-tablet"), "{last}");
    assert!(last.contains("; reported: sent after ") && last.contains(", read after "), "{last}");
    // Plain when piped.
    assert!(!out.contains('\x1b'), "{out}");
    for label in ["MESSAGE", "200 OK MESSAGE", "IMDN delivered", "IMDN displayed"] {
        assert!(out.contains(label), "{label} in\n{out}");
    }
    let trace = std::fs::read(&trace).unwrap();
    let pcap = payloads(&std::fs::read(&pcap).unwrap());
    for text in ["REGISTER sip:", "Hello Bob, this is CPM.", "<delivered", "<displayed"] {
        assert!(contains(&trace, text), "{text} in the trace");
        assert!(contains(&pcap, text), "{text} in the capture");
    }
}

#[test]
fn the_large_demonstration_ends_well() {
    let files = Files::new("large");
    let pcap = files.path("capture.pcap");
    let (output, out, err) = run(&["demo", "large", "--color", "always", "--pcap", &pcap]);
    assert!(output.status.success(), "{out}{err}");
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("delivered: large message of 100000 octets from sip:alice@"), "{last}");
    assert!(out.contains('\x1b'), "coloured on demand");
    for label in ["INVITE", "200 OK INVITE", "ACK", "MSRP SEND", "BYE", "IMDN delivered", "IMDN displayed"] {
        assert!(out.contains(label), "{label} in\n{out}");
    }
    let pcap = payloads(&std::fs::read(&pcap).unwrap());
    assert!(contains(&pcap, "m=message ") && contains(&pcap, "MSRP ") && contains(&pcap, "Line 1."));
}

#[test]
fn the_demonstrations_of_calls_end_well() {
    let (output, out, err) = run(&["demo", "fork", "--color", "never"]);
    assert!(output.status.success(), "{err}");
    for label in ["CANCEL", "487 INVITE", "200 OK BYE", "the tablet was cancelled"] {
        assert!(out.contains(label), "{label} is missing:\n{out}");
    }
    let (output, out, err) = run(&["demo", "bridge", "--color", "never"]);
    assert!(output.status.success(), "{err}");
    assert!(!out.contains("CANCEL"), "{out}");
    assert_eq!(out.matches("200 OK INVITE").count(), 3, "{out}");
}

/// Two endpoints: registration is left to the interop tests, the steps of a call are here.
#[test]
fn endpoints_call_each_other() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_cpm"))
        .args(["endpoint", "--bind", "127.0.0.1:0", "--ring", "50", "--timeout", "30"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open: what the server says has to go somewhere.
    let mut said = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let at = line.trim().rsplit(' ').next().unwrap().to_owned();
    let to = |word: &str, rest: &str| format!("{word} sip:bob@{at}{rest}");
    let steps = [
        to("message", " hello"),
        to("invite", ""),
        "reinvite".to_owned(),
        "update".to_owned(),
        "refer sip:carol@example.com".to_owned(),
        "bye".to_owned(),
        to("subscribe", " presence"),
        "unsubscribe".to_owned(),
    ];
    let mut args = vec!["endpoint", "--bind", "127.0.0.1:0", "--timeout", "20"];
    for step in &steps {
        args.extend(["--do", step]);
    }
    let (output, out, err) = run(&args);
    server.kill().unwrap();
    server.wait().unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(output.status.success(), "{out}\n{err}");
    assert!(rest.contains("REFER came") && rest.contains("BYE came in the call"), "{rest}");
    assert!(out.contains("NOTIFY came: active") && out.contains("the call is over"), "{out}");
    let (output, _, err) = run(&["endpoint", "--bind", "127.0.0.1:0", "--do", "bye"]);
    assert!(!output.status.success() && err.contains("there is no call"), "{err}");
}

#[test]
fn a_demonstration_that_is_not_through_in_time_fails() {
    let (output, _, err) = run(&["demo", "--timeout", "0.001"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.starts_with("cpm: not through after "), "{err}");
}

#[test]
fn a_port_in_use_is_one_clear_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let (output, out, err) = run(&["listen", "--bind", &at]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(err, format!("cpm: cannot listen on {at} for SIP over TCP: another program uses this port\n"));
    assert_eq!(out, "");
    let (output, _, err) = run(&["listen", "--bind", "127.0.0.1:0", "--trace", "/nowhere/trace"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.starts_with("cpm: cannot write /nowhere/trace: ") && err.lines().count() == 1, "{err}");
}

/// A listener that runs.
struct Listening {
    child: Child,
    out: BufReader<ChildStdout>,
    sip: SocketAddr,
}

impl Listening {
    fn start(arguments: &[&str]) -> Listening {
        let mut command = cpm(&[&["listen", "--bind", "127.0.0.1:0"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        let rest = ready.strip_prefix("listening on udp ").unwrap_or_else(|| panic!("{ready}"));
        let (udp, rest) = rest.split_once(", tcp ").unwrap();
        let (tcp, msrp) = rest.split_once(", msrp ").unwrap();
        assert_eq!(udp, tcp);
        assert!(msrp.trim_end().parse::<SocketAddr>().is_ok(), "{ready}");
        Listening { child, out, sip: udp.parse().unwrap() }
    }

    /// All that it printed, and its exit status.
    fn end(mut self) -> (String, Option<i32>) {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        (text, self.child.wait().unwrap().code())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn message(from: SocketAddr, to: SocketAddr, id: &str, text: &str) -> String {
    let cpim = format!(
        "From: Mallory <sip:mallory@{from}>\r\nTo: <sip:listen@{to}>\r\nDateTime: 2026-03-01T12:30:00Z\r\n\
         Subject: Hello\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {id}\r\n\
         imdn.Disposition-Notification: positive-delivery, display\r\n\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"
    );
    format!(
        "MESSAGE sip:listen@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{id};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:mallory@{from}>;tag=1\r\nTo: <sip:listen@{to}>\r\nCall-ID: {id}\r\n\
         CSeq: 1 MESSAGE\r\n\
         Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"\r\n\
         Conversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6\r\n\
         Contribution-ID: abcdef00-7dec-11d0-a765-00a0c91e6bf6\r\n\
         Content-Type: message/cpim\r\nContent-Length: {}\r\n\r\n{cpim}",
        cpim.len()
    )
}

/// What comes to a socket until `enough` says so; answers requests with 200.
fn talk(socket: &UdpSocket, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(10);
    let mut seen = Vec::new();
    let mut buffer = [0; 65_536];
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while !enough(&seen) && Instant::now() < until {
        let Ok((count, peer)) = socket.recv_from(&mut buffer) else { continue };
        let text = String::from_utf8(buffer[..count].to_vec()).unwrap();
        if !text.starts_with("SIP/2.0") {
            answer(socket, peer, &text);
        }
        seen.push(text);
    }
    seen
}

fn answer(socket: &UdpSocket, peer: SocketAddr, request: &str) {
    let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"];
    let head = request.split("\r\n\r\n").next().unwrap();
    let mut lines: Vec<&str> = vec!["SIP/2.0 200 OK"];
    lines.extend(head.lines().filter(|line| kept.iter().any(|name| line.starts_with(name))));
    let answer = format!("{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n"));
    socket.send_to(answer.as_bytes(), peer).unwrap();
}

fn count(seen: &[String], word: &str) -> usize {
    seen.iter().filter(|text| text.contains(word)).count()
}

#[test]
fn a_message_is_printed_once_answered_and_reported() {
    let listening = Listening::start(&["--count", "1", "--timeout", "30"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let text = "good \x1b[31mnews\u{202e}\nof two lines";
    let request = message(socket.local_addr().unwrap(), listening.sip, "one", text);
    socket.send_to(request.as_bytes(), listening.sip).unwrap();
    let seen = talk(&socket, |seen| count(seen, "<displayed") > 0 && count(seen, "<delivered") > 0);
    assert_eq!(count(&seen, "SIP/2.0 200 OK"), 1, "{seen:?}");
    assert!(count(&seen, "<delivered") == 1 && count(&seen, "<displayed") == 1, "{seen:?}");
    let (out, status) = listening.end();
    assert_eq!(status, Some(0));
    assert!(out.starts_with("[1] pager message from sip:mallory@127.0.0.1:"), "{out}");
    assert!(out.contains("    subject       Hello\n"), "{out}");
    assert!(out.contains("    | good \\u{1b}[31mnews\\u{202e}\n    | of two lines\n"), "{out}");
    assert!(out.ends_with("    (read report sent)\n"), "{out}");
}

/// The server may know where a chat is before the chat knows that it is registered.
#[test]
fn a_chat_shows_what_came_before_it_was_registered() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let server = socket.local_addr().unwrap();
    let chat = cpm(&["chat", "--as", "sip:bob@example.com", "--server", &server.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut buffer = [0; 65_536];
    let (count, client) = socket.recv_from(&mut buffer).unwrap();
    let register = String::from_utf8(buffer[..count].to_vec()).unwrap();
    assert!(register.starts_with("REGISTER "), "{register}");
    socket.send_to(message(server, client, "early", "good morning").as_bytes(), client).unwrap();
    let (count, _) = socket.recv_from(&mut buffer).unwrap();
    assert!(buffer[..count].starts_with(b"SIP/2.0 200"), "{}", String::from_utf8_lossy(&buffer[..count]));
    answer(&socket, client, &register);
    // Its input has ended: it goes when what is under way is settled.
    let ends = |seen: &[String]| seen.last().is_some_and(|text| is_deregistration(text));
    talk(&socket, ends);
    let output = chat.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("good morning"), "{out}{}", String::from_utf8_lossy(&output.stderr));
}

fn is_deregistration(text: &str) -> bool {
    text.starts_with("REGISTER ") && (text.contains("Expires: 0\r\n") || text.contains("expires=0"))
}

#[test]
fn reports_that_are_not_wished_are_not_sent() {
    let listening = Listening::start(&["--count", "1", "--timeout", "30", "--no-delivery", "--no-read"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let request = message(socket.local_addr().unwrap(), listening.sip, "one", "quiet");
    socket.send_to(request.as_bytes(), listening.sip).unwrap();
    let seen = talk(&socket, |seen| count(seen, "200 OK") > 0);
    assert_eq!(count(&seen, "200 OK"), 1, "{seen:?}");
    let (out, status) = listening.end();
    assert_eq!(status, Some(0));
    assert!(out.contains("    | quiet\n") && !out.contains("read report"), "{out}");
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(socket.recv_from(&mut [0; 10]).is_err(), "a report was sent");
}

#[test]
fn too_few_messages_in_time_is_a_failure_and_any_number_is_not() {
    let (output, _, err) = run(&["listen", "--bind", "127.0.0.1:0", "--count", "2", "--timeout", "0.2"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(err, "cpm: 0 of 2 messages came in time\n");
    let (output, _, err) = run(&["listen", "--bind", "127.0.0.1:0", "--timeout", "0.2"]);
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn signals_end_it_in_good_order() {
    for signal in ["TERM", "INT"] {
        let listening = Listening::start(&[]);
        let id = listening.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        assert_eq!(listening.end(), (String::new(), Some(0)), "{signal}");
    }
}

#[test]
fn help_and_version_say_what_there_is() {
    let (output, out, _) = run(&["--help"]);
    assert!(output.status.success());
    assert!(out.contains("demo") && out.contains("listen") && out.contains("Examples:"), "{out}");
    let (_, out, _) = run(&["--version"]);
    assert_eq!(out, format!("cpm {}\n", env!("CARGO_PKG_VERSION")));
    let (output, _, err) = run(&["demo", "fax"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("fax") && err.contains("pager"), "{err}");
}
