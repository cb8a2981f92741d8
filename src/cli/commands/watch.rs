//! `watch`: the events as they come, until somebody has enough of them.
//!
//! One task reads the feed and prints; it sleeps until the store tells of a commit. Another waits for
//! whatever ends the watch: a signal, the time, or a reader that is gone. It closes the store, which
//! wakes the first one. Nothing is decided in a signal handler.
//!
//! On a terminal, the project and its agents are drawn below the events.

mod picture;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::{Args, value_parser};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::picture::Picture;
use crate::cli::args::{Arguments, parse_event};
use crate::cli::events;
use crate::cli::exit::{Exit, Failed};
use crate::cli::output::{self, Answer, Output};
use crate::cli::page::Page;
use crate::cli::session::Session;
use crate::cli::time::parse_duration;
use crate::{
    ChangesRefusal, Commits, Error, Event, EventId, FeatureId, GetChanges, GetSummary,
    StorageError, Store,
};

/// So many events are read at once; each may hold texts of megabytes.
const PAGE: usize = 32;
/// How long at most nobody looks at the file: that it was replaced is told by no commit.
const QUIET: Duration = Duration::from_mins(1);
/// The same while there is a picture, on which agents say something.
const LISTEN: Duration = Duration::from_secs(1);
/// How long a line that is being written may take when the watch ends.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Options of `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Begin after this event, and miss none. Default: from now on.
    #[arg(long, value_name = "EVENT", value_parser = parse_event)]
    since: Option<EventId>,
    /// End after so many events.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so long, such as 90s or 5m; with --count, code 6 if there were fewer.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Print the events alone, also on a terminal.
    #[arg(long)]
    plain: bool,
}

impl WatchArgs {
    /// The picture is for people at a terminal that shows both, the events and it.
    fn picture(&self, arguments: &Arguments) -> Option<Picture> {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        (terminal && !self.plain && !arguments.json).then(Picture::new)
    }
}

/// How a watch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As many events came as were wanted.
    Counted,
    /// Nobody reads any more.
    ReaderGone,
    /// Somebody told the program to end.
    Told,
    /// The time is up.
    TimeUp,
}

/// Watches, and gives how the program ends.
pub(crate) fn run(args: &WatchArgs, arguments: &Arguments) -> Exit {
    let mut session = Session::new(arguments);
    let output = session.output();
    let watched = watch(args, args.picture(arguments), &mut session);
    for note in session.close() {
        output::note(&note);
    }
    match watched {
        Ok(()) => Exit::Success,
        Err(failed) => output.failure(&failed),
    }
}

fn watch(
    args: &WatchArgs,
    picture: Option<Picture>,
    session: &mut Session<'_>,
) -> Result<(), Failed> {
    let system = |error: io::Error| Failed::new("system", format_args!("watching failed: {error}"));
    let store = session.open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(system)?;
    let attended = runtime.block_on(async {
        let signals = Signals::listen().map_err(system)?;
        let feed = Feed::new(store.clone(), session.output(), args, picture)?;
        attend(feed, signals, args.timeout, &store).await
    });
    // Two threads may be left: one waits for the reader to go, the other for it to read on.
    runtime.shutdown_background();
    let (end, feed) = attended?;
    match (end, args.count.zip(args.timeout), feed) {
        (End::TimeUp, Some((count, timeout)), Some(feed)) => {
            let seen = count.saturating_sub(feed.wanted.unwrap_or(0));
            let message = format!("only {seen} of {count} events came within {timeout:?}");
            Err(Failed::new("timed_out", message).for_now())
        }
        (End::Told | End::TimeUp, _, Some(feed)) if io::stdout().is_terminal() => {
            let last = feed.since;
            session.hint(format!("`autoforge-store watch --since {last}` goes on from here"));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Lets the feed run until it ends, or until something ends it. Gives the feed back, unless it hangs
/// in a write.
async fn attend(
    feed: Feed,
    mut signals: Signals,
    timeout: Option<Duration>,
    store: &Store,
) -> Result<(End, Option<Feed>), Failed> {
    let mut following = tokio::task::spawn_blocking(move || feed.follow());
    let time_up = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        followed = &mut following => return ended(followed),
        () = signals.next() => End::Told,
        () = reader_gone() => End::ReaderGone,
        () = time_up => End::TimeUp,
    };
    // Wakes the feed, which finds its store closed.
    store.close();
    match tokio::time::timeout(LAST_LINE, &mut following).await {
        Ok(followed) => {
            let (own_end, feed) = ended(followed)?;
            // It may have come to an end of its own in the same moment.
            Ok((if own_end == End::Told { end } else { own_end }, feed))
        }
        Err(_) => Ok((end, None)),
    }
}

type Followed = Result<Result<(End, Feed), Failed>, tokio::task::JoinError>;

fn ended(followed: Followed) -> Result<(End, Option<Feed>), Failed> {
    let followed = followed.map_err(|error| Failed::new("panicked", error))?;
    followed.map(|(end, feed)| (end, Some(feed)))
}

/// The events after one, and where they go.
struct Feed {
    store: Store,
    commits: Commits,
    output: Output,
    /// The last event that was printed, or that came before the watch.
    since: EventId,
    /// How many more are wanted.
    wanted: Option<u64>,
    picture: Option<Picture>,
}

impl Feed {
    fn new(
        store: Store,
        output: Output,
        args: &WatchArgs,
        picture: Option<Picture>,
    ) -> Result<Self, Failed> {
        // Before the first look: what is committed after it is told.
        let commits = store.commits();
        let since = match args.since {
            Some(since) => since,
            None => last_event(&store)?,
        };
        Ok(Self { store, commits, output, since, wanted: args.count, picture })
    }

    /// Prints what comes until it is enough, until nobody reads, or until the store is closed.
    fn follow(mut self) -> Result<(End, Self), Failed> {
        loop {
            let (since, limit) = (self.since, PAGE);
            let events = match self.store.call(GetChanges { since, limit }) {
                Ok(events) => events,
                // Only whoever ends the watch closes it.
                Err(Error::Storage(StorageError::Closed { .. })) => return Ok((End::Told, self)),
                Err(error) => return Err(error.into()),
            };
            let idle = events.is_empty();
            match self.draw(idle).and_then(|()| if idle { self.wait() } else { Ok(()) }) {
                Err(StorageError::Closed { .. }) => return Ok((End::Told, self)),
                shown => shown?,
            }
            let mut names = Names::default();
            for event in events {
                let name = names.of(&self.store, &event);
                match self.print(&event, name) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok((End::ReaderGone, self));
                    }
                    Err(error) => return Err(unwritten(&error)),
                    Ok(()) => {}
                }
                self.since = event.id;
                self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(1));
                if self.wanted == Some(0) {
                    return Ok((End::Counted, self));
                }
            }
        }
    }

    /// Draws the picture, where there is one, when nothing else is to be told or it is far behind.
    fn draw(&mut self, idle: bool) -> Result<(), StorageError> {
        match &mut self.picture {
            Some(picture) if idle || picture.is_behind() => picture.draw(&self.store),
            _ => Ok(()),
        }
    }

    /// Waits for the next commit, and keeps the picture of the agents alive meanwhile.
    fn wait(&mut self) -> Result<(), StorageError> {
        let Some(picture) = &mut self.picture else {
            self.commits.wait(QUIET);
            return Ok(());
        };
        while !self.commits.wait(LISTEN) {
            picture.draw_agents(&self.store)?;
        }
        Ok(())
    }

    fn print(&self, event: &Event, name: Option<&str>) -> io::Result<()> {
        let row = events::row(event, name, events::just_now(event));
        let item = Answer::new(events::json(event, name), Page::default().record(row));
        match &self.picture {
            Some(picture) => picture.aside(|| self.output.item(&item)),
            None => self.output.item(&item),
        }
    }
}

fn unwritten(error: &io::Error) -> Failed {
    Failed::new("system", format_args!("writing to stdout failed: {error}"))
}

/// The last event that ever was, which is more than the last one that is kept: asking for what comes
/// after all others is refused, and the refusal tells.
fn last_event(store: &Store) -> Result<EventId, Failed> {
    let since = EventId::from(i64::MAX);
    match store.call(GetChanges { since, limit: 0 }) {
        Ok(_) => Ok(since),
        Err(Error::Refused(ChangesRefusal::Unknown { last, .. })) => Ok(last),
        Err(error) => Err(error.into()),
    }
}

/// The names of the features that a few events are about.
#[derive(Default)]
struct Names(BTreeMap<FeatureId, Option<String>>);

impl Names {
    /// The name as it is now, or as the event tells it.
    fn of<'a>(&'a mut self, store: &Store, event: &'a Event) -> Option<&'a str> {
        let id = event.feature;
        let known = self.0.entry(id).or_insert_with(|| {
            // A feature that is gone has none, and a fault will be met by the next look at the feed.
            store.call(GetSummary { id }).ok().map(|summary| summary.name)
        });
        known.as_deref().or_else(|| events::name_in(event))
    }
}

/// The signals that end a watch. The runtime's handlers write to a pipe and do nothing else.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Waits until the other end of stdout is closed. Without it, a watch would outlive its reader until
/// the next event. Never ends where that cannot happen, as with a file.
async fn reader_gone() {
    if !matches!(tokio::task::spawn_blocking(await_hangup).await, Ok(Ok(()))) {
        std::future::pending::<()>().await;
    }
}

fn await_hangup() -> rustix::io::Result<()> {
    let stdout = io::stdout();
    // Asked for nothing, the system tells of errors and of hanging up alone.
    let mut stdout = [PollFd::new(&stdout, PollFlags::empty())];
    rustix::io::retry_on_intr(|| poll(&mut stdout, None)).map(drop)
}
