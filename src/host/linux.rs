//! Linux: what lies under `/proc`.

#[cfg(test)]
mod process_tests;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use rustix::time::{ClockId, clock_gettime};

use super::Fate;
use crate::types::{ProcessIdentity, Uptime};

/// The namespace of the machine's own processes, which has one number on every kernel.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";
const HEX_DIGITS_OF_A_MACHINE_ID: usize = 32;

pub(super) fn process() -> Option<ProcessIdentity> {
    let pid = std::process::id();
    if !numbers_as_we_do(&text("/proc/self/status")?, pid) {
        return None;
    }
    let boot = boot()?;
    Some(ProcessIdentity {
        host: host(&text("/proc/sys/kernel/hostname")?, &machine_id()?, &boot),
        namespace: format!("{} {}", namespace("pid").ok()?, time_namespace()?),
        boot,
        pid,
        started: Stat::parse(&text("/proc/self/stat")?)?.started,
    })
}

pub(super) fn clock() -> Option<Uptime> {
    Some(Uptime { boot: boot()?.into(), namespace: time_namespace()?.into(), microseconds: 0 })
}

/// The clock that neither the user nor a time server sets, and that stands while the machine sleeps.
pub(super) fn microseconds() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000) + u64::try_from(time.tv_nsec / 1_000).unwrap_or(0)
}

pub(super) fn fate(of: &ProcessIdentity, own: &ProcessIdentity) -> Fate {
    judge(of, own, look)
}

/// The table at the head of the parent module.
fn judge(of: &ProcessIdentity, own: &ProcessIdentity, look: impl FnOnce(u32) -> Sighting) -> Fate {
    if of.host != own.host {
        return Fate::Unknown;
    }
    if of.boot != own.boot {
        let outside =
            |process: &ProcessIdentity| process.namespace.starts_with(INITIAL_PID_NAMESPACE);
        return if outside(of) && outside(own) { Fate::Dead } else { Fate::Unknown };
    }
    if of.namespace != own.namespace {
        return Fate::Unknown;
    }
    match look(of.pid) {
        Sighting::Unclear => Fate::Unknown,
        Sighting::Nobody => Fate::Dead,
        Sighting::Seen(stat) if stat.started != of.started || stat.has_ended() => Fate::Dead,
        Sighting::Seen(_) | Sighting::Hidden => Fate::Alive,
    }
}

/// What a process number leads to.
#[derive(Debug, Clone, Copy)]
enum Sighting {
    /// The number cannot be looked for.
    Unclear,
    Nobody,
    /// There is a process, and no more is told.
    Hidden,
    Seen(Stat),
}

fn look(pid: u32) -> Sighting {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Sighting::Unclear;
    };
    match test_kill_process(number) {
        // Asked of the number, not of `/proc`, which hides other users' processes on some machines.
        Err(Errno::SRCH) => Sighting::Nobody,
        Ok(()) | Err(Errno::PERM) => text(&format!("/proc/{pid}/stat"))
            .and_then(|line| Stat::parse(&line))
            .map_or(Sighting::Hidden, Sighting::Seen),
        Err(_) => Sighting::Unclear,
    }
}

/// What is needed of a line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u64,
    started: u64,
}

impl Stat {
    /// Fields 3, 20 and 22. The second one is the program's name in parentheses; programs choose it
    /// freely, with parentheses and spaces as they like, but none of the fields behind it has any.
    fn parse(line: &str) -> Option<Self> {
        let (_, fields) = line.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let mut state = fields.next()?.chars();
        let (Some(state), None) = (state.next(), state.next()) else { return None };
        let threads = fields.nth(16)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        Some(Self { state, threads, started })
    }

    /// No thread but the first, and that one has exited. No thread at all is seen in the middle of
    /// an `exec` as well as at the very end, so it proves nothing.
    fn has_ended(self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads == 1
    }
}

/// Whether `/proc` gives processes the numbers that this one gives them. It may have been mounted in
/// an outer container; then it lists the process under several numbers, ours last, and what it says
/// under one of our numbers is about somebody else.
fn numbers_as_we_do(status: &str, pid: u32) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.trim() == pid.to_string())
}

/// What is no machine id, such as the empty file of many containers, is not compared.
fn host(name: &str, machine_id: &str, boot: &str) -> String {
    let id = machine_id.trim();
    let is_one =
        id.len() == HEX_DIGITS_OF_A_MACHINE_ID && id.bytes().all(|c| c.is_ascii_hexdigit());
    format!("{}/{:08x}", name.trim(), hash(if is_one { id } else { boot }))
}

/// Empty if there is none. A file that is out of reach for now is not none: all processes of a
/// machine have to name it alike.
fn machine_id() -> Option<String> {
    match read("/etc/machine-id") {
        Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            Some(String::new())
        }
        id => id.ok(),
    }
}

/// FNV-1a: the machine id is confidential, and a quarter of its bits do not give it away.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn boot() -> Option<String> {
    text("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty())
}

/// The kernel may have been built without time namespaces; then all read one clock.
fn time_namespace() -> Option<String> {
    match namespace("time") {
        Err(fault) if fault.kind() == ErrorKind::NotFound => Some("time:all".to_owned()),
        namespace => namespace.ok(),
    }
}

/// What the link says; following it would open the namespace.
fn namespace(kind: &str) -> io::Result<String> {
    let target =
        fs::read_link(Path::new("/proc/self/ns").join(kind)).map(PathBuf::into_os_string)?;
    Ok(target.to_string_lossy().into_owned())
}

fn text(path: &str) -> Option<String> {
    read(path).ok()
}

#[expect(clippy::disallowed_methods, reason = "files of the system, never a database")]
fn read(path: &str) -> io::Result<String> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a process called `name`, with fields as long as they get.
    fn line(name: &str, state: char, threads: u64, started: u64) -> String {
        format!(
            "4711 ({name}) {state} 1 4711 4711 -1 -1 4194560 1 2 3 4 5 6 -7 8 20 -19 {threads} 0 \
             {started} 18446744073709551615 3 4 5\n"
        )
    }

    fn owner() -> ProcessIdentity {
        ProcessIdentity {
            host: "laptop/5fb2a1c9".to_owned(),
            boot: "this".to_owned(),
            namespace: format!("{INITIAL_PID_NAMESPACE} time:[4026531834]"),
            pid: 4711,
            started: 77,
        }
    }

    fn fate_of(of: &ProcessIdentity, sighting: Sighting) -> Fate {
        judge(of, &owner(), |_| sighting)
    }

    fn fate_with(state: char, threads: u64) -> Fate {
        fate_of(&owner(), Sighting::Seen(Stat { state, threads, started: 77 }))
    }

    fn fate_unseen(of: &ProcessIdentity, own: &ProcessIdentity) -> Fate {
        judge(of, own, |_| panic!("another machine's numbers are not looked for here"))
    }

    #[test]
    fn of_another_host_nothing_is_known() {
        let other = ProcessIdentity { host: "laptop/00000000".to_owned(), ..owner() };
        assert_eq!(fate_unseen(&other, &owner()), Fate::Unknown);
        let restarted = ProcessIdentity { boot: "earlier".to_owned(), ..other };
        assert_eq!(fate_unseen(&restarted, &owner()), Fate::Unknown);
    }

    #[test]
    fn nothing_outlives_a_restart_of_the_machine() {
        let earlier = ProcessIdentity { boot: "earlier".to_owned(), ..owner() };
        assert_eq!(fate_unseen(&earlier, &owner()), Fate::Dead);
    }

    #[test]
    fn a_boot_that_a_container_shows_proves_nothing() {
        let inside = ProcessIdentity { namespace: "pid:[4026532177]".to_owned(), ..owner() };
        let earlier = |of| ProcessIdentity { boot: "earlier".to_owned(), ..of };
        assert_eq!(fate_unseen(&earlier(inside.clone()), &owner()), Fate::Unknown);
        assert_eq!(fate_unseen(&earlier(owner()), &inside), Fate::Unknown);
        assert_eq!(fate_unseen(&earlier(inside.clone()), &inside), Fate::Unknown);
    }

    #[test]
    fn a_number_of_another_namespace_is_not_looked_for() {
        for namespace in ["pid:[4026532177] time:[4026531834]", "", INITIAL_PID_NAMESPACE] {
            let other = ProcessIdentity { namespace: namespace.to_owned(), ..owner() };
            assert_eq!(fate_unseen(&other, &owner()), Fate::Unknown, "{namespace:?}");
        }
    }

    #[test]
    fn a_free_number_is_a_death_and_a_hidden_process_is_none() {
        assert_eq!(fate_of(&owner(), Sighting::Nobody), Fate::Dead);
        assert_eq!(fate_of(&owner(), Sighting::Hidden), Fate::Alive);
        assert_eq!(fate_of(&owner(), Sighting::Unclear), Fate::Unknown);
    }

    #[test]
    fn a_number_that_was_given_out_again_is_a_death_whatever_has_it_now() {
        for state in ['R', 'S', 'T', 'Z'] {
            let successor = Stat { state, threads: 3, started: 78 };
            assert_eq!(fate_of(&owner(), Sighting::Seen(successor)), Fate::Dead, "{state}");
        }
    }

    #[test]
    fn only_what_has_exited_with_all_threads_is_dead() {
        for state in ['Z', 'X', 'x'] {
            assert_eq!(fate_with(state, 1), Fate::Dead, "{state}");
            assert_eq!(fate_with(state, 2), Fate::Alive, "another thread of it runs");
            assert_eq!(fate_with(state, 0), Fate::Alive, "it may be in the middle of an exec");
        }
        for state in ['R', 'S', 'D', 'T', 't', 'I', 'K', 'W', 'P', '?'] {
            assert_eq!(fate_with(state, 1), Fate::Alive, "{state}");
        }
    }

    #[test]
    fn a_programs_name_does_not_pass_for_its_state() {
        let names =
            ["cat", "", ") Z (", "a) Z 1 1 1 1 (b", "(((", ")))", "tab\tline\n) X", "\u{fffd}"];
        for name in names {
            let stat = Stat::parse(&line(name, 'S', 12, 154_370));
            assert_eq!(stat, Some(Stat { state: 'S', threads: 12, started: 154_370 }), "{name:?}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_nothing() {
        let whole = line("cat", 'S', 1, 5);
        let too_short = whole.split(" 5 ").next().unwrap();
        let lines = ["", "4711", "4711 (cat", "4711 (cat)", "4711 (cat) S", too_short];
        for line in lines {
            assert_eq!(Stat::parse(line), None, "{line:?}");
        }
        assert_eq!(Stat::parse(&whole.replace(" S ", " Sleeping ")), None);
        assert_eq!(Stat::parse(&whole.replace(" 5 ", " -5 ")), None);
        assert_eq!(Stat::parse(&whole.replace(" 5 ", " 18446744073709551616 ")), None);
    }

    #[test]
    fn numbers_that_no_process_can_have_are_not_looked_for() {
        for pid in [0, 1 << 31, u32::MAX] {
            assert!(matches!(look(pid), Sighting::Unclear), "{pid}");
        }
        assert!(matches!(look(i32::MAX as u32), Sighting::Nobody));
    }

    #[test]
    fn a_proc_of_an_outer_container_is_recognised() {
        assert!(numbers_as_we_do("Name:\tcat\nPid:\t7\nNSpid:\t7\nNSpgid:\t7\n", 7));
        assert!(!numbers_as_we_do("Name:\tcat\nPid:\t7\nNSpid:\t7\t7\n", 7));
        assert!(!numbers_as_we_do("Name:\tcat\nPid:\t4711\nNSpid:\t4711\t7\n", 7));
        assert!(!numbers_as_we_do("Name:\tcat\nPid:\t7\n", 7));
    }

    #[test]
    fn machines_of_one_name_are_told_apart() {
        let [one, other] =
            ["0123456789abcdef0123456789abcdef\n", "0123456789abcdef0123456789abcdee\n"];
        assert_ne!(host("localhost\n", one, "a"), host("localhost\n", other, "a"));
        assert_eq!(host("localhost\n", one, "a"), host("localhost\n", one, "b"));
        assert!(host("localhost\n", one, "a").starts_with("localhost/"));
    }

    #[test]
    fn a_machine_without_an_id_is_another_one_after_a_restart() {
        for id in ["", "uninitialized\n", "0123"] {
            assert_ne!(host("box", id, "first"), host("box", id, "second"), "{id:?}");
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // From the list of test values by the authors of FNV.
        assert_eq!(hash(""), 0x811c_9dc5);
        assert_eq!(hash("foobar"), 0xbf9c_f968);
    }
}
