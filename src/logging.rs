//! Where the program's own log goes: to stderr, as much as `RUST_LOG` says.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. Where `RUST_LOG` says nothing, `otherwise` is logged; where it says what is not
/// understood, that is logged too.
///
/// It is understood as `level` and `target=level`, separated by commas. Does nothing where the process has
/// set up its logging already.
pub(crate) fn start_log(otherwise: Targets) {
    let asked = std::env::var_os("RUST_LOG");
    let asked = asked.map(|asked| asked.to_string_lossy().parse::<Targets>());
    let (filter, fault) = match asked {
        None => (otherwise, None),
        Some(Ok(asked)) => (asked, None),
        Some(Err(fault)) => (otherwise.with_default(LevelFilter::WARN), Some(fault)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        // It would report that stderr is closed on stderr, and panic.
        .log_internal_errors(false);
    let started = tracing_subscriber::registry().with(lines).with(filter).try_init();
    if let (Ok(()), Some(fault)) = (started, fault) {
        tracing::warn!(
            "RUST_LOG is not understood ({fault}): it is `level` or `target=level`, by commas"
        );
    }
}
