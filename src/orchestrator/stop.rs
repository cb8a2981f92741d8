//! Telling a run from outside that it has to end.

use std::sync::Arc;

use tokio::sync::watch;

use super::agent::Urge;

/// Ends a run before its time. Clones are the same one; it may be used from any thread, but not from
/// a signal handler, which should only set a flag that some thread looks at.
///
/// ```
/// use autoforge_store::orchestrator::Stop;
/// let stop = Stop::new();
/// stop.stop();
/// assert!(stop.is_asked());
/// ```
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<Urge>>);

impl Stop {
    /// One that nobody has used yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::channel(Urge::None).0))
    }

    /// Asks for an orderly end: agents are asked to end, and have [`Settings::grace`] for it. Asked
    /// for the second time, it kills them.
    ///
    /// [`Settings::grace`]: super::Settings::grace
    pub fn stop(&self) {
        self.0.send_modify(|urge| {
            *urge = if *urge == Urge::None { Urge::End } else { Urge::Hurry };
        });
    }

    /// Whether anybody has asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() > Urge::None
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Urge> {
        self.0.subscribe()
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
