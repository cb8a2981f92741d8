//! A backlog as projects have them, for benchmarks.

use crate::{NewFeature, PlannedFeature};

const AREAS: [&str; 8] =
    ["Accounts", "Catalogue", "Search", "Basket", "Payment", "Orders", "Reports", "Settings"];
const VERBS: [&str; 6] = ["list", "create", "edit", "delete", "filter", "export"];
const STEPS: [&str; 6] = [
    "Sign in as an ordinary user and open the page from the main menu",
    "Fill in the form with valid values and send it",
    "Leave a required field empty and check that it is named",
    "Reload the page and check that the change is still there",
    "Repeat it with a second user and check that nothing of the first one shows",
    "Check the layout on a narrow screen",
];

/// How far back a feature looks for what it depends on: areas grow side by side, so chains are long
/// but not as long as the list.
const REACH: usize = 60;

/// `count` features with texts of usual length, three steps to six, and up to three dependencies
/// each. The same seed gives the same list.
///
/// ```
/// use autoforge_store::testing::realistic_backlog;
/// let backlog = realistic_backlog(100, 1);
/// assert_eq!(backlog, realistic_backlog(100, 1));
/// assert!(backlog.iter().any(|planned| planned.depends_on.len() == 3));
/// ```
#[must_use]
pub fn realistic_backlog(count: usize, seed: u64) -> Vec<PlannedFeature> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|at| planned(at, &mut random)).collect()
}

#[expect(clippy::expect_used, reason = "texts this short are within every limit")]
fn planned(at: usize, random: &mut fastrand::Rng) -> PlannedFeature {
    let area = random.choice(AREAS).unwrap_or_default();
    let verb = random.choice(VERBS).unwrap_or_default();
    let name = format!("{area}: {verb} entries, part {at}");
    let description = format!(
        "People who work with {area} can {verb} entries from the overview and from the page of a \
         single entry. Errors say what to do next, and nothing is lost when the connection drops."
    );
    let steps = STEPS.iter().copied().take(random.usize(3..=STEPS.len()));
    let feature = NewFeature::new(area, name, description, steps).expect("within the limits");
    let mut depends_on: Vec<usize> = (0..random.usize(0..=3))
        .filter(|_| at > 0)
        .map(|_| random.usize(at.saturating_sub(REACH)..at))
        .collect();
    depends_on.sort_unstable();
    depends_on.dedup();
    PlannedFeature { feature, depends_on }
}
