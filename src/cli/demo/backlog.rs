//! The backlog of the demonstration: an online shop.

use std::collections::HashMap;

use serde_json::Value;

use crate::{NewFeature, PlannedFeature};

/// The features, each behind those it depends on, so that every beginning of the list is a backlog
/// too.
const SHOP: &str = include_str!("backlog.json");

/// The first `count` features of the shop; where there are not so many, those of a second shop
/// follow, and so on. `None` where the list above breaks a rule.
pub(super) fn plan(count: usize) -> Option<Vec<PlannedFeature>> {
    let shop: Vec<Value> = serde_json::from_str(SHOP).ok()?;
    let mut positions = HashMap::new();
    let mut planned = Vec::with_capacity(count);
    for (at, entry) in shop.iter().cycle().take(count).enumerate() {
        let branch = at / shop.len();
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let texts = |key: &str| -> Option<Vec<&str>> {
            entry.get(key)?.as_array()?.iter().map(Value::as_str).collect()
        };
        let name = match branch {
            0 => text("name")?.to_owned(),
            more => format!("{} (shop {})", text("name")?, more + 1),
        };
        let (category, description) = (text("category")?, text("description")?);
        let feature = NewFeature::new(category, name, description, texts("steps")?).ok()?;
        let position = |key: &&str| positions.get(&(branch, (*key).to_owned())).copied();
        let depends_on = texts("after")?.iter().map(position).collect::<Option<Vec<usize>>>()?;
        positions.insert((branch, text("key")?.to_owned()), at);
        planned.push(PlannedFeature { feature, depends_on });
    }
    Some(planned)
}

/// How many features deep the longest chain of dependencies is.
pub(super) fn depth(planned: &[PlannedFeature]) -> usize {
    let mut depths: Vec<usize> = Vec::with_capacity(planned.len());
    for feature in planned {
        let below = feature.depends_on.iter().filter_map(|at| depths.get(*at)).max();
        depths.push(1 + below.copied().unwrap_or(0));
    }
    depths.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_is_a_backlog_of_some_sixty_features_in_several_levels() {
        let planned = plan(60).unwrap();
        assert_eq!(planned.len(), 60);
        assert!(depth(&planned) >= 5, "{}", depth(&planned));
        assert!(planned.iter().any(|feature| feature.depends_on.len() >= 3));
    }

    #[test]
    fn a_longer_backlog_repeats_the_shop_under_other_names() {
        let planned = plan(200).unwrap();
        let mut names: Vec<_> = planned.iter().map(|planned| planned.feature.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 200);
    }
}
