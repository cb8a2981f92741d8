//! Signals that ask the program to end.

use std::io;
use std::os::unix::net::UnixStream as BlockingStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// The signals that have come and were not looked at yet. Their handler writes one byte and does
/// nothing else, which is all that a handler may safely do.
#[derive(Debug)]
pub(super) struct Signals(UnixStream);

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = BlockingStream::pair()?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        reader.set_nonblocking(true)?;
        Ok(Self(UnixStream::from_std(reader)?))
    }

    /// Nothing is ever heard, and no handler is put in place.
    #[cfg(feature = "testing")]
    pub(super) fn none() -> io::Result<Self> {
        let (reader, _) = BlockingStream::pair()?;
        reader.set_nonblocking(true)?;
        Ok(Self(UnixStream::from_std(reader)?))
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        if self.0.read_u8().await.is_err() {
            // Nobody holds the other end, so no signal will come.
            std::future::pending::<()>().await;
        }
    }
}
