//! Whether the project's files lie where AutoForge's programs look first.

use super::Check;
use crate::{LayoutError, ProjectLayout};

const NAME: &str = "layout";
const MIGRATE: &str = "`autoforge-store migrate` moves it, once nobody works on the project";

pub(super) fn checks(layout: &ProjectLayout) -> Vec<Check> {
    let plan = layout.plan_migration();
    let mut checks = Vec::new();
    if plan.interrupted {
        let found = "a move of the project's files was cut short; every database is complete";
        let advice = "end the project's programs: the next start of this one, or `autoforge-store \
                      migrate`, finishes it";
        checks.push(Check::warning(NAME, found, advice));
    }
    for problem in &plan.problems {
        match problem {
            LayoutError::TwoPlaces { .. } if plan.interrupted => {}
            LayoutError::TwoPlaces { used, other, .. } => {
                let found = format!(
                    "{} and {} both exist, and programs use the first",
                    used.display(),
                    other.display()
                );
                let advice = "look into both, and move away the one that you do not want";
                checks.push(Check::warning(NAME, found, advice));
            }
            LayoutError::Running { lock, what } => {
                let found = format!("{} says that {what} runs", lock.display());
                checks.push(Check::ok("lock file", found));
            }
            _ => {}
        }
    }
    for planned in plan.moves.iter().filter(|planned| planned.file.is_database()) {
        let found = format!("{} lies in the place of an older release", planned.from.display());
        let advice = Some(MIGRATE.to_owned());
        checks.push(Check { advice, ..Check::ok(NAME, found) });
    }
    if checks.iter().all(|check| check.name != NAME) {
        checks.push(Check::ok(NAME, "the databases lie in .autoforge/"));
    }
    checks
}
