//! What an agent says, kept in a file of bounded size.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Caller, Store};

/// The last line of an agent is looked for in so many bytes.
const TAIL: u64 = 4 << 10;

/// A file that keeps the last lines written to it: at half of its size it becomes the older half, and
/// a new file begins.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    half: u64,
    written: u64,
}

impl Log {
    /// A new file for at most so many bytes.
    pub(super) fn create(path: PathBuf, bytes: u64) -> io::Result<Self> {
        let file = create(&path)?;
        Ok(Self { path, file, half: bytes / 2, written: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line. What cannot be written is lost: an agent must not wait for its log.
    pub(super) fn line(&mut self, line: &[u8]) {
        if self.written > 0 && self.written + line.len() as u64 >= self.half && self.turn().is_err()
        {
            return;
        }
        let written = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        if written.is_ok() {
            self.written += line.len() as u64 + 1;
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        fs::rename(&self.path, older(&self.path))?;
        self.file = create(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

/// Where the older half of a log is.
fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The last thing that an agent of any orchestrator of this project has said, as its log tells; `None`
/// where there is no log of it.
pub(crate) fn last_words(store: &Store, agent: &Caller) -> Option<String> {
    let process = agent.process.as_ref()?;
    let name = format!("{}-{}", agent.agent, process.pid);
    let is_its = |path: &PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let rest = stem.and_then(|stem| stem.strip_prefix(&name));
        let is_its = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-feature-"));
        is_its && path.extension().is_some_and(|extension| extension == "log")
    };
    let files = fs::read_dir(store.path().with_file_name("agents")).ok()?;
    let log = files.flatten().map(|file| file.path()).find(is_its)?;
    // Whatever somebody has put there: opening a database's file would cost its locks.
    let plain = fs::metadata(&log).is_ok_and(|log| log.is_file()) && !store.is_own_file(&log);
    let tail = plain.then(|| tail(&log).ok()).flatten()?;
    let line = tail.split(|byte| *byte == b'\n').rfind(|line| !line.trim_ascii().is_empty())?;
    Some(String::from_utf8_lossy(line).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "looked at: no file of the database")]
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Agents may print secrets, so nobody else reads it.
#[expect(clippy::disallowed_methods, reason = "a text file in a folder of agents' output")]
fn create(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_keeps_its_end_and_stays_within_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut log = Log::create(path.clone(), 1_000).unwrap();
        for n in 0..10_000 {
            log.line(format!("line {n}").as_bytes());
        }
        #[expect(clippy::disallowed_methods, reason = "a log")]
        let text = [older(&path), path].map(|path| fs::read_to_string(path).unwrap()).concat();
        assert!(text.len() <= 1_000 && text.len() > 400, "{}", text.len());
        assert!(text.ends_with("line 9998\nline 9999\n"));
        let first: usize = text.lines().next().unwrap()[5..].parse().unwrap();
        assert_eq!(text.lines().count(), 10_000 - first, "no gap");
    }
}
