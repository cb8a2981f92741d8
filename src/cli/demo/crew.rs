//! The worker processes: starting them, hearing them, killing them, and seeing them gone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::DemoError;
use super::event::Event;
use super::told::Told;

/// Events that may wait to be looked at; a worker that tells more waits.
const UNREAD: usize = 1024;
/// How long a process may take to be gone after its end was asked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a worker is called as an agent.
pub(super) fn name(number: u32) -> String {
    format!("worker-{number}")
}

/// What came from a worker.
#[derive(Debug)]
pub(super) enum Heard {
    Event(Event),
    /// The worker has closed its output: it told everything it will ever tell.
    End,
}

/// A worker and all it has told. Dropping it kills it and its server.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) told: Told,
    pub(super) pid: u32,
    /// It has closed its output.
    pub(super) ended: bool,
    /// Where its own messages go, and those of its server.
    pub(super) messages: PathBuf,
    child: Child,
    group: Group,
}

impl Worker {
    /// Whether it works, as far as anybody knows.
    pub(super) fn is_alive(&self) -> bool {
        !self.told.killed && !self.ended
    }

    /// Kills it and its server at this moment, without a chance to clean up.
    pub(super) fn kill(&mut self) {
        self.told.killed = true;
        self.group.kill();
    }

    /// Waits until the process is gone; `true` where it ended well.
    pub(super) async fn wait(&mut self) -> bool {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        matches!(ended, Ok(Ok(status)) if status.success())
    }
}

/// The process group of a worker, killed when this is dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(leader) = self.0 {
            // It is gone already where this fails, which is all that is wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// All workers, those that are gone too.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) workers: Vec<Worker>,
    project: PathBuf,
    messages: PathBuf,
    seed: u64,
    sender: mpsc::Sender<(u32, Heard)>,
    receiver: mpsc::Receiver<(u32, Heard)>,
}

impl Crew {
    /// Nobody yet. What the workers say beside their events goes to files in `messages`.
    pub(super) fn new(project: &Path, messages: &Path, seed: u64) -> Self {
        let (sender, receiver) = mpsc::channel(UNREAD);
        let (project, messages) = (project.to_owned(), messages.to_owned());
        Self { workers: Vec::new(), project, messages, seed, sender, receiver }
    }

    /// Starts one more worker; gives its number.
    pub(super) fn start(&mut self) -> Result<u32, DemoError> {
        let failed = |source| DemoError::System { action: "starting a worker", source };
        let number = u32::try_from(self.workers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let messages = self.messages.join(format!("worker-{number}.log"));
        #[expect(clippy::disallowed_methods, reason = "a text file in a folder of its own")]
        let file = File::create(&messages).map_err(failed)?;
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .arg("demo-worker")
            .arg("--project")
            .arg(&self.project)
            .args(["--name", &name(number)])
            .arg("--seed")
            .arg(self.seed.wrapping_add(u64::from(number)).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            // A group of its own, so that one signal reaches the worker and its server, and a
            // Ctrl-C at the terminal only this process, which then ends the others.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().unwrap_or(0);
        let group = Group(i32::try_from(pid).ok().and_then(Pid::from_raw));
        let output = child.stdout.take();
        let told = Told { number, killed: false, events: Vec::new() };
        self.workers.push(Worker { told, pid, ended: false, messages, child, group });
        if let Some(output) = output {
            tokio::spawn(listen(number, output, self.sender.clone()));
        }
        Ok(number)
    }

    /// Waits for the next that any worker tells, and notes it.
    pub(super) async fn hear(&mut self) -> Option<(u32, Heard)> {
        let (number, heard) = self.receiver.recv().await?;
        let worker = self.worker(number)?;
        match &heard {
            Heard::Event(event) => worker.told.events.push(event.clone()),
            Heard::End => worker.ended = true,
        }
        Some((number, heard))
    }

    pub(super) fn worker(&mut self, number: u32) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.told.number == number)
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(|worker| worker.is_alive())
    }

    /// Kills everybody and waits until they are gone.
    pub(super) async fn end(&mut self) {
        for worker in &self.workers {
            worker.group.kill();
        }
        self.gone().await;
    }

    /// Waits until no process of the crew is left, and names those that stay all the same.
    pub(super) async fn gone(&mut self) -> Vec<u32> {
        for worker in &mut self.workers {
            worker.wait().await;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pids =
                self.workers.iter().flat_map(|worker| [Some(worker.pid), worker.told.server()]);
            let left: Vec<u32> = pids.flatten().filter(|pid| is_running(*pid)).collect();
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn listen(number: u32, output: ChildStdout, sender: mpsc::Sender<(u32, Heard)>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // Half a line is the last word of a killed worker.
        let Some(event) = Event::from_line(&line) else { continue };
        if sender.send((number, Heard::Event(event))).await.is_err() {
            return;
        }
    }
    // Nobody listens any more where this fails.
    drop(sender.send((number, Heard::End)).await);
}

/// Whether the process exists and is more than an entry that its new parent has not collected yet.
fn is_running(pid: u32) -> bool {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    if test_kill_process(process).is_err() {
        return false;
    }
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state follows the name, which is in parentheses and may hold anything.
        Ok(stat) => !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => !Path::new("/proc/self/stat").exists(),
    }
}
