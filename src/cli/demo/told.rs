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

    #[test]
    fn only_what_a_killed_worker_announced_last_is_on_its_way() {
        let told = |killed, events: &[What]| Told {
            number: 1,
            killed,
            events: events
                .iter()
                .map(|what| Event { at: 10, took: None, what: what.clone() })
                .collect(),
        };
        let (announced, done) = (What::Passes { id: 7 }, What::Passed { id: 7 });
        assert_eq!(told(true, std::slice::from_ref(&announced)).in_flight(), Some(7));
        assert_eq!(told(false, std::slice::from_ref(&announced)).in_flight(), None);
        assert_eq!(told(true, &[announced, done]).in_flight(), None);
    }
}
