//! What an agent is told to do.

use std::fmt::Write;

use super::happening::Kind;
use crate::FeatureId;

const CODING: &str = "\
Build these features of the project in the current folder, in this order:

{features}
For each of them: read it whole with feature_get_by_id, build it, check every one of its steps by
running what you have built, then call feature_mark_passing. Commit your work before you go on to
the next. They are claimed for you already; other agents work on other features at the same time.

If one cannot be built, say why in the call: feature_mark_failing when you have tried and failed,
feature_skip when something outside of your reach is missing, feature_request_human_input when only a
person can decide. End when all of them are settled; what is not settled then counts as failed.
";

const TESTING: &str = "\
These features of the project in the current folder pass. Find out whether that is still so:

{features}
For each of them: read it whole with feature_get_by_id and go through its steps. Where one does not
work any more, mend it if the cause is small; else call feature_mark_failing with the reason. Do not
build anything new. End when you have been through all of them.
";

const INITIALIZING: &str = "\
The project in the current folder has no features yet. Read its specification, and create the whole
backlog with feature_create_bulk: small features that can be built and checked one by one, in the order
in which to build them, each with the steps by which to check it, and with depends_on_indices for what
must be there first. Build nothing yourself. End when the backlog is complete.
";

/// The prompt for an agent of this kind.
pub(super) fn prompt(kind: Kind, features: &[(FeatureId, String)]) -> String {
    let text = match kind {
        Kind::Coding => CODING,
        Kind::Testing => TESTING,
        Kind::Initializing => INITIALIZING,
    };
    let mut list = String::new();
    for (id, name) in features {
        // A name is somebody's text; on one line it cannot pass for more than a name.
        let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(list, "- #{id} {name}");
    }
    text.replace("{features}", &list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_stand_in_the_prompt_each_on_one_line() {
        let features = [(7.into(), "Log\nin {features}".to_owned()), (8.into(), "Out".to_owned())];
        for kind in [Kind::Coding, Kind::Testing] {
            let text = prompt(kind, &features);
            assert!(text.contains("\n- #7 Log in {features}\n- #8 Out\n"), "{text}");
        }
        assert!(!prompt(Kind::Initializing, &[]).contains('{'));
    }
}
