//! Logs: structured, to standard error. Never passwords, never what messages say.

use super::config::{LogConfig, LogFormat, LogLevel};
use crate::LinkedEvent;
use cpm_participating::ParticipatingEvent;
use cpm_sim::CoreEvent;
use tracing::{debug, info, warn};
use tracing_subscriber::filter::LevelFilter;

/// Starts logging for the whole process; a process that logs already goes on as it did.
pub fn start_logs(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let logs = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false);
    let _ = match config.format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}

/// What the nodes tell.
pub(super) fn event(event: &LinkedEvent<CoreEvent, ParticipatingEvent>) {
    match event {
        LinkedEvent::First(CoreEvent::Registered { user, bindings }) => {
            info!(%user, devices = bindings, "registered");
        }
        LinkedEvent::First(CoreEvent::NotTold { user }) => {
            warn!(%user, "the function did not take a registration; it is told again with the next");
        }
        LinkedEvent::First(CoreEvent::Challenged { method }) => debug!(%method, "asked for proof"),
        LinkedEvent::First(CoreEvent::Refused { method, status }) => {
            debug!(%method, status = status.as_u16(), "the core refused");
        }
        LinkedEvent::Second(ParticipatingEvent::Registration { user, devices }) => {
            debug!(%user, devices, "the function knows of devices");
        }
        LinkedEvent::Second(ParticipatingEvent::Handled { role, method, status }) => {
            debug!(?role, %method, status = status.as_u16(), "handled");
        }
        LinkedEvent::Second(ParticipatingEvent::Unanswered { role, method }) => {
            debug!(?role, %method, "unanswered");
        }
        #[allow(unreachable_patterns)]
        _ => {}
    }
}
