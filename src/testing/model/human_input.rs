//! Questions to a human, and their answers.

use serde_json::{Value, json};

use crate::{EventKind, Feature, Field, Limits, Timestamp};

use super::super::form::{FormField, Given, fits, is_form};
use super::super::op::{Answer, Expect};
use super::{Model, Verdict, one};

impl Model {
    pub(super) fn request(&mut self, id: i64, prompt: &str, fields: &[FormField]) -> Verdict {
        let fields: Vec<Value> = fields.iter().map(FormField::to_json).collect();
        if prompt.is_empty()
            || fields.is_empty()
            || fields.len() > Limits::FIELDS
            || !is_form(&fields)
        {
            return Err("invalid_request");
        }
        let feature = self.unfinished(id)?;
        let name = feature.name.clone();
        let asked = Feature {
            needs_human_input: true,
            human_input_request: Some(json!({"prompt": prompt, "fields": fields})),
            human_input_response: None,
            ..feature
        };
        self.ask(
            asked,
            &[
                Field::InProgress,
                Field::NeedsHumanInput,
                Field::HumanInputRequest,
                Field::HumanInputResponse,
            ],
        )?;
        Ok(Answer::Name(name))
    }

    pub(super) fn answer(
        &mut self,
        id: i64,
        given: &[(String, Given)],
        at: Timestamp,
        answered: Expect,
    ) -> Verdict {
        let fields: Value = given.iter().map(|(id, given)| (id.clone(), given.to_json())).collect();
        let mut feature = self.unfinished(id)?;
        if !feature.needs_human_input {
            return Err("not_waiting");
        }
        if let Some(request) = &feature.human_input_request {
            if answered == Expect::Stale {
                return Err("request_changed");
            }
            if !fits(&fields, request) {
                return Err("invalid_answer");
            }
        }
        feature.needs_human_input = false;
        feature.human_input_response =
            Some(json!({"fields": fields, "responded_at": at.to_iso8601()}));
        let fields = [Field::NeedsHumanInput, Field::HumanInputResponse];
        self.change(&feature, &fields, EventKind::Answered.into());
        Ok(one(&feature))
    }
}
