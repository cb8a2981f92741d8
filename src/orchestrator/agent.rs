//! One agent: its process, what it says, and its end.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::happening::{AgentExit, AgentId};
use super::log::Log;
use super::process::{Ended, Mark, Tree, VARIABLE};

/// A longer line is cut into lines.
const LINE_BYTES: usize = 16 << 10;
/// Lines that nobody has looked at yet; more are left out of the view, never out of the log.
const UNSEEN_LINES: usize = 64;
/// How long the last words of processes that have ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Everything that is needed to start an agent.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) id: AgentId,
    pub(super) words: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) folder: PathBuf,
    pub(super) mark: Mark,
    pub(super) log: PathBuf,
    pub(super) limits: Limits,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) silence: Option<Duration>,
    pub(super) time: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) log_bytes: u64,
}

/// How much of a hurry there is for agents to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Urge {
    /// They work.
    #[default]
    None,
    /// They are asked to end.
    End,
    /// They are killed.
    Hurry,
}

/// What comes from agents.
#[derive(Debug)]
pub(super) enum Heard {
    Said(AgentId, String),
    Ended(AgentId, AgentExit, Ended),
}

/// A process that has been started.
#[derive(Debug)]
pub(super) struct Agent {
    id: AgentId,
    child: Child,
    tree: Tree,
    log: Log,
    limits: Limits,
}

impl Agent {
    /// Starts the process, in a group of its own and with its mark.
    pub(super) fn start(orders: Orders) -> std::io::Result<Self> {
        let Orders { id, words, environment, folder, mark, log, limits } = orders;
        let log = Log::create(log, limits.log_bytes)?;
        let Some((program, arguments)) = words.split_first() else {
            return Err(std::io::Error::other("its command line is empty"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment)
            .env(VARIABLE, mark.as_str())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn()?;
        let tree = Tree::of(child.id().unwrap_or(0), mark);
        Ok(Self { id, child, tree, log, limits })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    pub(super) fn log(&self) -> &Path {
        self.log.path()
    }

    /// Stays with the agent until all of its processes have ended, and tells what it hears.
    pub(super) async fn attend(
        mut self,
        mut urge: watch::Receiver<Urge>,
        heard: mpsc::Sender<Heard>,
    ) {
        let (lines, mut said) = mpsc::channel(UNSEEN_LINES);
        let readers = [
            self.child.stdout.take().map(|out| tokio::spawn(read(out, lines.clone()))),
            self.child.stderr.take().map(|out| tokio::spawn(read(out, lines.clone()))),
        ];
        drop(lines);
        let exit = self.until_its_end(&mut urge, &mut said, &heard).await;
        let grace = match *urge.borrow() {
            Urge::Hurry => Duration::ZERO,
            Urge::None | Urge::End => self.limits.grace,
        };
        let mut hurried = urge.clone();
        let ended = tokio::select! {
            ended = self.tree.end(grace) => ended,
            // Whoever is in a hurry waits no longer for those that were asked.
            () = until_hurry(&mut hurried) => self.tree.end(Duration::ZERO).await,
        };
        // Reaped by now or soon; nobody waits for a process that cannot be killed.
        drop(timeout(LAST_WORDS, self.child.wait()).await);
        let words = async {
            while let Some(line) = said.recv().await {
                self.hear(&line, &heard);
            }
        };
        drop(timeout(LAST_WORDS, words).await);
        readers.into_iter().flatten().for_each(|reader| reader.abort());
        // Nobody listens any more where this fails.
        drop(heard.send(Heard::Ended(self.id, exit, ended)).await);
    }

    /// Until the agent's own process has ended, or has to.
    async fn until_its_end(
        &mut self,
        urge: &mut watch::Receiver<Urge>,
        said: &mut mpsc::Receiver<Vec<u8>>,
        heard: &mpsc::Sender<Heard>,
    ) -> AgentExit {
        let started = Instant::now();
        let mut last_word = started;
        loop {
            let silent = self.limits.silence.and_then(|limit| last_word.checked_add(limit));
            let late = self.limits.time.and_then(|limit| started.checked_add(limit));
            tokio::select! {
                status = self.child.wait() => return exit_of(status),
                Some(line) = said.recv() => {
                    last_word = Instant::now();
                    self.hear(&line, heard);
                }
                () = until(silent) => {
                    return AgentExit::Silent(self.limits.silence.unwrap_or_default());
                }
                () = until(late) => return AgentExit::TooLong(self.limits.time.unwrap_or_default()),
                _ = urge.wait_for(|urge| *urge > Urge::None) => return AgentExit::Stopped,
            }
        }
    }

    fn hear(&mut self, line: &[u8], heard: &mpsc::Sender<Heard>) {
        self.log.line(line);
        let line = String::from_utf8_lossy(line).into_owned();
        // A flood must not make the agent wait, nor fill the memory: what nobody can follow is left
        // out.
        let _ = heard.try_send(Heard::Said(self.id, line));
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn until_hurry(urge: &mut watch::Receiver<Urge>) {
    if urge.wait_for(|urge| *urge == Urge::Hurry).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn exit_of(status: std::io::Result<ExitStatus>) -> AgentExit {
    match status {
        Ok(status) => match (status.code(), signal(status)) {
            (Some(code), _) => AgentExit::Code(code),
            (None, signal) => AgentExit::Signal(signal.unwrap_or(0)),
        },
        Err(error) => AgentExit::NotStarted(error.to_string()),
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Reads lines until the end. A process that nobody listens to any more is not held up: what it says
/// is read all the same.
async fn read(output: impl AsyncRead + Unpin, lines: mpsc::Sender<Vec<u8>>) {
    let mut output = BufReader::with_capacity(LINE_BYTES, output);
    let mut line = Vec::new();
    while let Ok(bytes) = output.fill_buf().await {
        if bytes.is_empty() {
            break;
        }
        let room = LINE_BYTES - line.len();
        let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
        let taken = end.unwrap_or_else(|| bytes.len().min(room));
        line.extend(bytes.iter().take(taken));
        output.consume(taken + usize::from(end.is_some()));
        if end.is_some() || line.len() == LINE_BYTES {
            let whole = std::mem::take(&mut line);
            if lines.send(whole).await.is_err() {
                break;
            }
        }
    }
    if !line.is_empty() {
        drop(lines.send(line).await);
    }
}
