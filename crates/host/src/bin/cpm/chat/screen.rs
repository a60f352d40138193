//! The terminal of a chat: a line that is typed, and lines that appear above it meanwhile. Without a terminal: lines in,
//! lines out.

use crate::listen::say;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use std::io::{BufRead, IsTerminal, stdin, stdout};
use tokio::sync::mpsc;

/// Octets of a typed or piped line that are taken.
const LINE: u64 = 1 << 20;
/// Lines that wait to be dealt with.
const BACKLOG: usize = 16;

/// The screen of a chat.
pub(crate) struct Screen {
    /// Typed lines, until there are no more.
    pub(crate) lines: mpsc::Receiver<String>,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    _terminal: Option<Terminal>,
}

impl Screen {
    /// Takes the terminal, where there is one. A thread of its own waits for what is typed.
    pub(crate) fn take() -> Result<Screen, String> {
        let (sender, lines) = mpsc::channel(BACKLOG);
        let at_terminal = stdin().is_terminal() && stdout().is_terminal();
        if !at_terminal {
            std::thread::spawn(move || read_lines(&sender));
            return Ok(Screen { lines, printer: None, _terminal: None });
        }
        let terminal = Terminal::as_it_is();
        let cannot = |error: ReadlineError| format!("cannot use the terminal: {error}");
        let config = Config::builder().auto_add_history(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(cannot)?;
        let printer = editor.create_external_printer().map_err(cannot)?;
        std::thread::spawn(move || {
            // Ctrl-C and Ctrl-D end a chat alike.
            while let Ok(line) = editor.readline("> ") {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Screen { lines, printer: Some(Box::new(printer)), _terminal: terminal })
    }

    /// Shows text; what is being typed stays below it.
    pub(crate) fn show(&mut self, text: &str) -> Result<(), String> {
        match &mut self.printer {
            Some(printer) => printer.print(text.to_owned()).map_err(|error| format!("cannot print: {error}")),
            None => say(text),
        }
    }
}

/// How a terminal was before a line was edited on it; it is so again when this is dropped, whatever ends the chat.
struct Terminal {
    #[cfg(unix)]
    modes: nix::sys::termios::Termios,
}

impl Terminal {
    #[cfg(unix)]
    fn as_it_is() -> Option<Terminal> {
        nix::sys::termios::tcgetattr(stdin()).ok().map(|modes| Terminal { modes })
    }

    #[cfg(not(unix))]
    fn as_it_is() -> Option<Terminal> {
        None
    }
}

#[cfg(unix)]
impl Drop for Terminal {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        // A terminal that is gone needs nothing. The sequence ends bracketed paste.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.modes);
        let _ = say("\x1b[?2004l");
    }
}

/// Lines of a pipe or a file; what is no UTF-8 is replaced. A line beyond the limit goes out in pieces.
fn read_lines(sender: &mpsc::Sender<String>) {
    let mut input = stdin().lock();
    loop {
        let mut line = Vec::new();
        let mut part = std::io::Read::take(&mut input, LINE);
        match part.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}
