//! When the log is copied back, and how thoroughly.

use super::maintenance::Mode;

/// Frames in the log at which it is copied back.
const CHECKPOINT_FRAMES: u32 = 250;
/// After a checkpoint that could not copy everything, at least so many more frames are waited for, and
/// a quarter of what there was where that is more: where a reader stands in the way, trying after every
/// commit would cost much and bring nothing.
const RETRY_FRAMES: u32 = 100;
/// Frames from which on the log is also cut, since a reader has kept it from being used anew.
const TRUNCATE_FRAMES: u32 = 1_000;

/// What has come of the last attempt, which decides when the next one is due.
#[derive(Debug, Default)]
pub(super) struct CheckpointSchedule {
    /// Frames in the log at the last attempt, unless that one copied all of them.
    incomplete_at: Option<u32>,
}

impl CheckpointSchedule {
    /// Whether a log of so many frames is to be copied back.
    pub(super) fn is_due(&mut self, frames: u32) -> bool {
        // A shorter log was begun anew since, so nobody stands in the way any more.
        self.incomplete_at = self.incomplete_at.filter(|tried| frames >= *tried);
        let later = |tried: u32| tried + RETRY_FRAMES.max(tried / 4);
        frames >= self.incomplete_at.map_or(CHECKPOINT_FRAMES, later)
    }

    /// How a log of so many frames is copied back. It is begun anew once all of it is in the file, and
    /// whoever writes meanwhile adds to it: so nobody can where somebody does.
    pub(super) fn mode(frames: u32, beside_writers: bool) -> Mode {
        match frames {
            TRUNCATE_FRAMES.. => Mode::Truncate,
            _ if beside_writers => Mode::Full,
            _ => Mode::Passive,
        }
    }

    /// Notes what came of an attempt on so many frames.
    pub(super) fn tried(&mut self, frames: u32, complete: bool) {
        self.incomplete_at = (!complete).then_some(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest log that is due.
    fn due_at(mut schedule: CheckpointSchedule, from: u32) -> u32 {
        (from..10_000).find(|frames| schedule.is_due(*frames)).unwrap()
    }

    fn after(frames: u32, complete: bool) -> CheckpointSchedule {
        let mut schedule = CheckpointSchedule::default();
        schedule.tried(frames, complete);
        schedule
    }

    #[test]
    fn a_log_is_due_long_before_an_old_client_would_copy_it_back() {
        assert_eq!(due_at(CheckpointSchedule::default(), 0), 250);
        assert_eq!(due_at(after(260, true), 0), 250);
    }

    #[test]
    fn what_could_not_be_copied_is_tried_again_when_it_has_grown() {
        assert_eq!(due_at(after(260, false), 260), 360);
        assert_eq!(due_at(after(400, false), 400), 500);
        assert_eq!(due_at(after(1_000, false), 1_000), 1_250);
    }

    #[test]
    fn a_log_that_was_begun_anew_is_due_as_if_nothing_had_been_in_the_way() {
        assert_eq!(due_at(after(1_000, false), 0), 250);
        assert_eq!(due_at(after(1_000, false), 999), 999);
        let mut schedule = after(1_000, false);
        assert!(!schedule.is_due(10));
        assert_eq!(due_at(schedule, 1_000), 1_000, "it has grown anew");
    }

    #[test]
    fn a_long_log_is_cut_and_one_to_which_others_add_is_copied_while_they_wait() {
        assert_eq!(CheckpointSchedule::mode(999, false), Mode::Passive);
        assert_eq!(CheckpointSchedule::mode(250, true), Mode::Full);
        assert_eq!(CheckpointSchedule::mode(999, true), Mode::Full);
        assert_eq!(CheckpointSchedule::mode(1_000, false), Mode::Truncate);
        assert_eq!(CheckpointSchedule::mode(1_000, true), Mode::Truncate);
    }
}
