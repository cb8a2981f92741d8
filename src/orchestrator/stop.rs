//! Telling a run from outside that it has to end.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::agent::Urge;

/// Ends a run before its time. Clones are the same one; it may be used from any thread, but not from
/// a signal handler: [`Stop::on_signals`] is for signals.
///
/// ```
/// use autoforge_store::orchestrator::Stop;
/// let stop = Stop::new();
/// stop.stop();
/// assert!(stop.is_asked());
/// ```
#[derive(Debug, Clone)]
pub struct Stop {
    urge: Arc<watch::Sender<Urge>>,
    signals: Option<Arc<Signals>>,
}

/// The signals that have come and were not looked at yet.
#[cfg(unix)]
type Signals = std::os::unix::net::UnixStream;
#[cfg(not(unix))]
type Signals = std::convert::Infallible;

impl Stop {
    /// One that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self { urge: Arc::new(watch::channel(Urge::None).0), signals: None }
    }

    /// One that SIGTERM, SIGINT and SIGHUP use, each as [`Stop::stop`] does. Their handlers write one
    /// byte into a pipe and do nothing else, which is all that a handler may safely do; the run looks
    /// at the pipe. For a program whose purpose is the run: these signals do nothing else any more.
    ///
    /// # Errors
    /// Where the system refuses the pipe or the handlers.
    #[cfg(unix)]
    pub fn on_signals() -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let (reader, writer) = Signals::pair()?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        reader.set_nonblocking(true)?;
        Ok(Self { signals: Some(Arc::new(reader)), ..Self::new() })
    }

    /// Asks for an orderly end: agents are asked to end, and have [`Settings::grace`] for it. Asked
    /// for the second time, it kills them.
    ///
    /// [`Settings::grace`]: super::Settings::grace
    pub fn stop(&self) {
        self.urge.send_modify(|urge| {
            *urge = if *urge == Urge::None { Urge::End } else { Urge::Hurry };
        });
    }

    /// Whether anybody has asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.urge.borrow() > Urge::None
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Urge> {
        self.urge.subscribe()
    }

    /// Looks at signals from now on, within a runtime.
    #[cfg(unix)]
    pub(super) fn listen(&self) -> io::Result<()> {
        let Some(signals) = &self.signals else { return Ok(()) };
        let mut signals = tokio::net::UnixStream::from_std(signals.try_clone()?)?;
        let stop = self.clone();
        tokio::spawn(async move {
            while signals.read_u8().await.is_ok() {
                stop.stop();
            }
        });
        Ok(())
    }

    #[cfg(not(unix))]
    pub(super) fn listen(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
