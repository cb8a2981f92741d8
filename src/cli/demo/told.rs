//! All that one worker has told, and what follows from it.

use super::event::{Event, What};

/// The events of a worker, in their order.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) number: u32,
    /// It did not end by itself.
    pub(super) killed: bool,
    pub(super) events: Vec<Event>,
}

impl Told {
    /// The server's process, once known.
    pub(super) fn server(&self) -> Option<u32> {
        self.events.iter().find_map(|event| match event.what {
            What::Ready { server } => Some(server),
            _ => None,
        })
    }

    /// All features that it may have held at any time between two moments, answers included that
    /// were still on their way then.
    pub(super) fn held(&self, from: u64, until: u64) -> Vec<i64> {
        let mut held = None;
        let mut within = Vec::new();
        for event in &self.events {
            match event.what {
                What::Claimed { id, .. } => held = Some(id),
                What::GaveUp { .. } | What::Passed { .. } if event.at < from => held = None,
                _ => {}
            }
            if event.at >= from {
                within.extend(held);
            }
            if event.at > until {
                break;
            }
        }
        within.extend(held);
        within
    }

    /// What a killed worker had announced as passing without telling of the answer.
    pub(super) fn in_flight(&self) -> Option<i64> {
        match self.events.last()?.what {
            What::Passes { id } if self.killed => Some(id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: impl IntoIterator<Item = (u64, What)>) -> Told {
        let events = events.into_iter().map(|(at, what)| Event { at, took: None, what });
        Told { number: 1, killed: false, events: events.collect() }
    }

    fn claimed(id: i64) -> What {
        What::Claimed { id, name: String::new() }
    }

    #[test]
    fn a_feature_is_held_from_its_claim_until_the_answer_to_letting_go() {
        let told =
            told([(10, claimed(1)), (20, What::Passes { id: 1 }), (30, What::Passed { id: 1 })]);
        assert_eq!(told.held(15, 16), [1, 1]);
        assert!(told.held(25, 26).contains(&1), "the answer may have been on its way");
        assert!(told.held(40, 41).is_empty());
    }

    #[test]
    fn a_claim_that_is_told_after_the_look_counts() {
        let told = told([(10, What::Asks), (30, claimed(2))]);
        assert!(told.held(20, 21).contains(&2));
    }
}
