//! `cpm msrp listen` and `cpm msrp send` as scripts see them. A peer of raw sockets is in tests/interop.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

fn cpm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cpm"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// A directory for one test's files, removed at its end.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Files {
        let path = std::env::temp_dir().join(format!("cpm-msrp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Files(path)
    }

    fn write(&self, name: &str, length: usize) -> (String, Vec<u8>) {
        let octets: Vec<u8> = (0..length).map(|n| (n * n / 7 % 251) as u8).collect();
        let path = self.0.join(name);
        std::fs::write(&path, &octets).unwrap();
        (path.to_str().unwrap().to_owned(), octets)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Listener {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    uri: String,
}

impl Listener {
    fn start(arguments: &[&str]) -> Listener {
        let mut all = vec!["msrp", "listen", "--bind", "127.0.0.1:0", "--timeout", "30"];
        all.extend_from_slice(arguments);
        let mut child = cpm(&all).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut uri = String::new();
        out.read_line(&mut uri).unwrap();
        Listener { child, out, uri: uri.trim_end().to_owned() }
    }

    /// The rest of what it prints, when it ends by itself.
    fn end(mut self) -> (bool, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().success(), out, err)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(arguments: &[&str]) -> (Output, String, String) {
    let mut all = vec!["msrp", "send"];
    all.extend_from_slice(arguments);
    let output = cpm(&all).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// The columns that both sides print.
fn columns(line: &str) -> Vec<&str> {
    line.split('\t').take(4).collect()
}

#[test]
fn both_sides_print_the_same_line_and_the_file_is_the_same() {
    let files = Files::new("same");
    let (path, octets) = files.write("some.bin", 300_001);
    let (empty, _) = files.write("empty", 0);
    let inbox = files.0.join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    let listener = Listener::start(&["--count", "2", "--save", inbox.to_str().unwrap()]);
    assert!(
        listener.uri.starts_with("msrp://127.0.0.1:") && listener.uri.ends_with(";tcp"),
        "{}",
        listener.uri
    );
    let options = ["--chunk", "4096", "--success-report", "--type", "image/x-test"];
    let (output, sent, err) = send(&[&options[..], &[&listener.uri, &path, &empty]].concat());
    assert!(output.status.success(), "{err}");
    assert_eq!(err, "", "no progress bar when piped");
    let (success, received, err) = Listener::end(listener);
    assert!(success, "{err}");
    let (sent, received): (Vec<_>, Vec<_>) = (sent.lines().collect(), received.lines().collect());
    assert_eq!((sent.len(), received.len()), (2, 2));
    for (sent, received) in sent.iter().zip(&received) {
        assert_eq!(columns(sent), columns(received));
    }
    assert_eq!(columns(received[0])[1..3], ["image/x-test", "300001"]);
    let kept = received[0].split('\t').nth(4).unwrap();
    assert!(std::fs::read(kept).unwrap() == octets);
    // The SHA-256 of nothing.
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(columns(received[1])[2..], ["0", nothing]);
}

#[test]
fn standard_input_has_no_length_and_the_next_peer_uses_the_same_uri() {
    let listener = Listener::start(&["--count", "2"]);
    for round in 0..2 {
        let mut child = cpm(&["msrp", "send", &listener.uri, "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for _ in 0..100 {
            stdin.write_all(&[b'x'; 1000]).unwrap();
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "round {round}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("\t100000\t"), "{}", text(&output.stdout));
    }
    let (success, received, err) = Listener::end(listener);
    assert!(success && received.lines().count() == 2, "{received}{err}");
}

#[test]
fn what_is_refused_or_cannot_be_is_said_in_words_with_status_1() {
    let files = Files::new("refused");
    let (path, _) = files.write("large", 2000);
    let listener = Listener::start(&["--max-size", "1999"]);
    let (output, out, err) = send(&[&listener.uri, &path]);
    assert_eq!((output.status.code(), &*out), (Some(1), ""));
    assert!(err.contains("large: the far side refused it: 413"), "{err}");

    let other = format!("{}x", listener.uri.strip_suffix(";tcp").unwrap());
    let (output, _, err) = send(&[&format!("{other};tcp"), &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("the far side answered 481"), "{err}");

    let (output, _, err) = send(&[&listener.uri, "/does/not/exist"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.starts_with("cpm: cannot read /does/not/exist: "), "{err}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (output, _, err) = send(&[&format!("msrp://{free}/abcdefgh;tcp"), &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("the far side refused the connection"), "{err}");

    for wrong in ["msrps://127.0.0.1:1/a;tcp", "msrp://127.0.0.1:1;tcp", "sip:a@b", "msrp://h/a"] {
        let (output, _, err) = send(&[wrong, &path]);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {err}");
    }
}

#[test]
fn listening_ends_with_1_when_too_little_came() {
    let output = cpm(&["msrp", "listen", "--bind", "127.0.0.1:0", "--count", "1", "--timeout", "0.2"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "cpm: 0 of 1 messages came in time\n");
    let output = cpm(&["msrp", "listen", "--save", "/does/not/exist"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "cpm: /does/not/exist is no directory\n");
}

#[test]
fn the_file_demonstration_is_cut_and_ends_whole() {
    let files = Files::new("demo");
    let trace = files.0.join("trace.txt");
    let output = cpm(&["demo", "file", "--trace", trace.to_str().unwrap()]).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(err, "", "no progress bar when piped");
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("\"holiday video.mpg\", 2000000 octets: cut, resumed behind octet "), "{last}");
    assert_eq!(last.split("SHA-256 ").nth(1).map(str::len), Some(64), "{last}");
    assert_eq!(out.matches("─ INVITE ─").count(), 2, "{out}");
    let behind: u64 = last.split("octet ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(behind > 0 && behind < 1_000_000, "{last}");
    let trace = std::fs::read(&trace).unwrap();
    let says = |text: &str| trace.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(says("a=file-selector:name:\"holiday video.mpg\""));
    assert!(says(&format!("a=file-range:{}-2000000", behind + 1)));
}
