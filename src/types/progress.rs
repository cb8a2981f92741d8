//! What was last reported of a project's progress, also as AutoForge's programs keep it in a file of
//! their own, `.progress_cache`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FeatureId, ids_json, parse_json, to_json_text};

/// What was last reported: how many features passed then, and which.
///
/// ```
/// use autoforge_store::ReportedProgress;
/// let text = r#"{"count": 2, "passing_ids": [7, 9]}"#;
/// let reported = ReportedProgress::from_cache_text(text).unwrap();
/// assert_eq!((reported.count, reported.to_cache_text().as_str()), (2, text));
/// let early = ReportedProgress::from_cache_text(r#"{"count": 2}"#).unwrap();
/// assert_eq!(early.ids, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedProgress {
    /// How many features passed.
    pub count: u64,
    /// Which ones; `None` where early releases noted nothing but their number.
    pub ids: Option<Vec<FeatureId>>,
}

impl ReportedProgress {
    /// What a `.progress_cache` says; `None` where it says nothing that can be understood, which is
    /// also what a program leaves that is killed while it writes.
    #[must_use]
    pub fn from_cache_text(text: &str) -> Option<Self> {
        let cache = parse_json(text)?;
        let count = cache.get("count")?.as_u64()?;
        // Early releases wrote numbers as texts.
        let id = |id: &Value| id.as_i64().or_else(|| id.as_str()?.parse().ok());
        let ids = cache.get("passing_ids").and_then(Value::as_array);
        let ids: Vec<FeatureId> =
            ids.into_iter().flatten().filter_map(id).map(FeatureId::from).collect();
        Some(Self::new(count, ids))
    }

    /// Whoever counted features and names none did not know which.
    pub(crate) fn new(count: u64, ids: Vec<FeatureId>) -> Self {
        Self { count, ids: (count == 0 || !ids.is_empty()).then_some(ids) }
    }

    /// What a `.progress_cache` holds, byte for byte as AutoForge's programs write it.
    #[must_use]
    pub fn to_cache_text(&self) -> String {
        match &self.ids {
            Some(ids) => to_json_text(&json!({"count": self.count, "passing_ids": ids_json(ids)})),
            None => to_json_text(&json!({"count": self.count})),
        }
    }

    /// Of two memories of one project the one that was reported last: the count only grows. Of two with
    /// the same count, what either of them names was reported.
    pub(crate) fn newer(self, other: Self) -> Self {
        match self.count.cmp(&other.count) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal => {
                let ids = match (self.ids, other.ids) {
                    (Some(ids), Some(more)) => {
                        let known: BTreeSet<FeatureId> = ids.iter().copied().collect();
                        let more = more.into_iter().filter(|id| !known.contains(id));
                        Some(ids.iter().copied().chain(more).collect())
                    }
                    (ids, more) => ids.or(more),
                };
                Self { count: self.count, ids }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(count: u64, ids: Option<&[i64]>) -> ReportedProgress {
        let ids = ids.map(|ids| ids.iter().copied().map(FeatureId::from).collect());
        ReportedProgress { count, ids }
    }

    #[test]
    fn a_cache_of_any_release_is_read() {
        for (text, expected) in [
            (r#"{"count": 2, "passing_ids": [3, 1]}"#, reported(2, Some(&[3, 1]))),
            (r#"{"count": 0, "passing_ids": []}"#, reported(0, Some(&[]))),
            (r#"{"count": 0}"#, reported(0, Some(&[]))),
            (r#"{"count": 5}"#, reported(5, None)),
            (r#"{"count": 5, "passing_ids": []}"#, reported(5, None)),
            (r#"{"count": 5, "passing_indices": [0, 1]}"#, reported(5, None)),
            (
                r#"{"count": 2, "passing_ids": ["3", "x", null, 1.5, 4]}"#,
                reported(2, Some(&[3, 4])),
            ),
            (r#" {"more": {}, "count": 1, "passing_ids": {"a": 1}} "#, reported(1, None)),
        ] {
            assert_eq!(ReportedProgress::from_cache_text(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_cache_says_nothing() {
        for text in ["", "{", "[]", "3", "null", "{}", r#"{"count": -1}"#, r#"{"count": "5"}"#] {
            assert_eq!(ReportedProgress::from_cache_text(text), None, "{text}");
        }
        let cut = r#"{"count": 2, "passing_ids": [3, "#;
        assert_eq!(ReportedProgress::from_cache_text(cut), None);
    }

    #[test]
    fn the_later_report_counts_and_of_equal_ones_both() {
        let (one, two) = (reported(1, Some(&[1])), reported(2, Some(&[1, 2])));
        assert_eq!(one.clone().newer(two.clone()), two);
        assert_eq!(two.clone().newer(one), two);
        let other = reported(2, Some(&[3, 1]));
        assert_eq!(two.clone().newer(other), reported(2, Some(&[1, 2, 3])));
        assert_eq!(two.clone().newer(reported(2, None)), two);
        assert_eq!(reported(3, None).newer(two), reported(3, None));
    }
}
