//! What comes back is what was there, to the byte; and how it is told.

use super::*;

#[test]
fn every_kind_of_value_comes_back_with_its_type() {
    let (project, store) = Project::with_features(1);
    let bad = "UPDATE features SET
        description = CAST(x'ff6120' AS TEXT), name = x'00ff', category = 'nul' || char(0) || 'l',
        steps = 2.5, dependencies = 'no json', human_input_request = x'80'";
    project.foreign().execute_batch(bad).unwrap();
    let before = content(&project);
    let changes = FeatureChanges {
        category: Some("Category".to_owned()),
        name: Some("Name".to_owned()),
        description: Some("Description.".to_owned()),
        steps: Some(vec!["Step".to_owned()]),
        dependencies: Some(Vec::new()),
        ..FeatureChanges::default()
    };
    store.call(UpdateFeature { id: 1.into(), changes, expected: None }).unwrap();
    let content_after = content(&project);
    let undone = undo(&project, &store, &last(1));
    assert_eq!(content(&project), before);
    let description = undone.steps[0].changes.iter().find(|c| c.field == Field::Description);
    assert_eq!(description.unwrap().after, Stored::BadText(vec![0xff, 0x61, 0x20]));
    undo(&project, &store, &one(&newest(&store)));
    assert_eq!(content(&project), content_after);
}

#[test]
fn the_tools_are_told_each_step() {
    let (project, store) = Project::with_features(1);
    let feature = new_feature("Short");
    store.call(CreateFeature { dependencies: ids(&[1]), ..CreateFeature::new(feature) }).unwrap();
    store.call(MarkPassing { id: 2.into() }).unwrap();
    let undone = undo(&project, &store, &last(2)).to_json();
    let changes = json!([{"field": "passes", "before": 1, "after": 0}]);
    assert_eq!(
        undone,
        json!({
            "steps": [{
                "event": 3, "kind": "passed", "feature_id": 2, "name": "Short",
                "effect": "changes", "changes": changes,
            }],
            "left": [],
        })
    );
    let removed = undo(&project, &store, &last(2)).to_json();
    let step = &removed["steps"][0];
    assert_eq!((&step["effect"], &step["name"]), (&json!("removes"), &json!("Short")));
    assert_eq!(step["changes"].as_array().unwrap().len(), 11);
}
