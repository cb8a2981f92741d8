//! Which process, and when: what a claim notes about its owner.
//!
//! Values only. The module `host` asks the system for them; a file gives back what was stored.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One process of one machine, told apart from all others that ever had its number.
///
/// Two identities are equal only if they mean the same process. The texts are for comparing: nothing
/// else follows from them, but that the part of `host` before its last `/` is the machine's name.
///
/// ```
/// use autoforge_store::ProcessIdentity;
/// let owner = ProcessIdentity {
///     host: "laptop/5fb2a1c9".to_owned(),
///     boot: "6d1e9f0a-27c4-4c8e-9a53-0b7a3f1c2d4e".to_owned(),
///     namespace: "pid:[4026531836] time:[4026531834]".to_owned(),
///     pid: 4711,
///     started: 154_370,
/// };
/// assert_eq!(owner.to_string(), "process 4711 on laptop");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The machine's name, `/`, and a short hash that keeps machines of one name apart.
    pub host: String,
    /// Which run of the machine's kernel: its random boot id.
    pub boot: String,
    /// The namespaces that give `pid` and `started` their meaning.
    pub namespace: String,
    /// The process number within the namespace.
    pub pid: u32,
    /// When the process started, in clock ticks (mostly 10 ms) since the machine was started. Later
    /// processes of the same number have another start.
    pub started: u64,
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.host.rsplit_once('/').map_or(self.host.as_str(), |(name, _)| name);
        write!(f, "process {} on {name}", self.pid)
    }
}

/// A point on the clock that starts with a machine and is never set.
///
/// The clock stands still while the machine sleeps, as do the processes that could renew something.
/// All processes of one boot and one time namespace read the same clock.
///
/// ```
/// use autoforge_store::Uptime;
/// use std::time::Duration;
/// let at = |boot: &str, microseconds| Uptime {
///     boot: boot.into(),
///     namespace: "time:[4026531834]".into(),
///     microseconds,
/// };
/// assert_eq!(at("a", 2_500).since(&at("a", 1_000)), Some(Duration::from_micros(1_500)));
/// assert_eq!(at("b", 2_500).since(&at("a", 1_000)), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Uptime {
    /// Which run of the machine's kernel, as in [`ProcessIdentity::boot`].
    pub boot: Arc<str>,
    /// The time namespace, without the other namespaces of a [`ProcessIdentity::namespace`].
    pub namespace: Arc<str>,
    /// Microseconds on that clock; its zero is about when the machine was started.
    pub microseconds: u64,
}

impl Uptime {
    /// The time that passed on the clock since `earlier`; `None` where the two are of different
    /// clocks.
    ///
    /// Zero if `earlier` is the later one: a process that waited for its turn may meet what another
    /// one noted after it looked at the clock.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        let same = self.boot == earlier.boot && self.namespace == earlier.namespace;
        same.then(|| Duration::from_micros(self.microseconds.saturating_sub(earlier.microseconds)))
    }
}

/// One look at both clocks: the one on the wall, which people and other machines understand, and the
/// one that nobody sets.
///
/// ```
/// use autoforge_store::{Moment, Timestamp, Uptime};
/// use std::time::Duration;
/// let at = |wall: i64, uptime| Moment {
///     wall: Timestamp::from_microseconds(wall * 1_000_000).unwrap(),
///     uptime: Some(Uptime { boot: "a".into(), namespace: "b".into(), microseconds: uptime }),
/// };
/// // In between, somebody set the clock on the wall an hour forward.
/// let (claimed, now) = (at(1_767_225_600, 1_000_000), at(1_767_229_200, 3_000_000));
/// let lease = Duration::from_secs(900);
/// assert!(now.since(&claimed) < lease, "only two seconds have passed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// The clock on the wall. It may be set, forward and back.
    pub wall: Timestamp,
    /// The clock that nobody sets, where the system tells which one it is.
    pub uptime: Option<Uptime>,
}

impl Moment {
    /// The time that passed since `earlier`, which may have been noted by another process, before
    /// the machine was started anew, or on another machine. A lease of length `l` that began at
    /// `earlier` has run out if this is at least `l`.
    ///
    /// The clocks that nobody sets answer if they are one and the same; otherwise the difference on
    /// the wall, which is as good as the people who set those clocks. Zero if `earlier` is the later
    /// one, so a clock that was set back lengthens a lease and never ends it.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let uptimes = self.uptime.as_ref().zip(earlier.uptime.as_ref());
        uptimes.and_then(|(now, then)| now.since(then)).unwrap_or_else(|| {
            let passed = self.wall.to_microseconds() - earlier.wall.to_microseconds();
            Duration::from_micros(u64::try_from(passed).unwrap_or(0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uptime(boot: &str, namespace: &str, microseconds: u64) -> Uptime {
        Uptime { boot: boot.into(), namespace: namespace.into(), microseconds }
    }

    fn moment(wall: i64, uptime: Option<Uptime>) -> Moment {
        Moment { wall: Timestamp::from_microseconds(wall).unwrap(), uptime }
    }

    #[test]
    fn uptimes_of_other_clocks_are_not_compared() {
        let earlier = uptime("boot", "time", 10);
        assert_eq!(uptime("boot", "time", 17).since(&earlier), Some(Duration::from_micros(7)));
        assert_eq!(uptime("other", "time", 17).since(&earlier), None);
        assert_eq!(uptime("boot", "other", 17).since(&earlier), None);
    }

    #[test]
    fn an_uptime_noted_after_ours_is_no_time_ago() {
        assert_eq!(uptime("b", "t", 10).since(&uptime("b", "t", 17)), Some(Duration::ZERO));
    }

    #[test]
    fn a_jump_of_the_wall_clock_does_not_change_what_passed() {
        let then = moment(1_000_000, Some(uptime("b", "t", 10)));
        for wall in [0, 1_000_000, 9_000_000_000] {
            let now = moment(wall, Some(uptime("b", "t", 17)));
            assert_eq!(now.since(&then), Duration::from_micros(7));
        }
    }

    #[test]
    fn the_wall_clock_answers_where_uptimes_cannot() {
        let then = moment(1_000_000, Some(uptime("b", "t", 10)));
        for uptime in [None, Some(uptime("other", "t", 99)), Some(uptime("b", "other", 99))] {
            let now = moment(1_000_025, uptime);
            assert_eq!(now.since(&then), Duration::from_micros(25));
            assert_eq!(then.since(&now), Duration::ZERO);
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let [first, last] = [-377_705_023_201_000_000, 253_402_207_200_000_000];
        let passed = moment(last, None).since(&moment(first, None));
        assert_eq!(passed, Duration::from_micros(last.abs_diff(first)));
        assert_eq!(moment(first, None).since(&moment(last, None)), Duration::ZERO);
    }

    #[test]
    fn a_host_without_a_hash_is_shown_whole() {
        let process = ProcessIdentity {
            host: "laptop".to_owned(),
            boot: String::new(),
            namespace: String::new(),
            pid: 1,
            started: 0,
        };
        assert_eq!(process.to_string(), "process 1 on laptop");
    }
}
