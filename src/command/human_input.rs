//! Questions to a human, and their answers.

use serde::Serialize;

use super::Command;
use super::feature::{FeatureRefusal, authority, existing};
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Tx, Write};
use crate::types::{
    AnswerProblem, AttemptOutcome, EventKind, Feature, FeatureId, Field, Fields, HumanInputAnswer,
    HumanInputRequest, Revision, Timestamp,
};

/// Why a question or an answer changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HumanInputRefusal {
    /// It does not exist, or it passes.
    #[error(transparent)]
    Feature(#[from] FeatureRefusal),
    /// Only who works on a feature may ask about it.
    #[error("feature {id} is not in progress")]
    NotInProgress {
        /// Which one.
        id: FeatureId,
    },
    /// Nobody asked.
    #[error("feature {id} is not waiting for human input")]
    NotWaiting {
        /// Which one.
        id: FeatureId,
    },
    /// The feature asks something else by now.
    #[error("feature {id} has a newer request than the one answered; read it again")]
    RequestChanged {
        /// Which one.
        id: FeatureId,
    },
    /// The answer does not fit the request.
    #[error("the answer to feature {id} does not fit its request: {problem}")]
    Answer {
        /// Which one.
        id: FeatureId,
        /// What is wrong with it.
        problem: AnswerProblem,
    },
}

impl Refusal for HumanInputRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Feature(refusal) => refusal.code(),
            Self::NotInProgress { .. } => "not_in_progress",
            Self::NotWaiting { .. } => "not_waiting",
            Self::RequestChanged { .. } => "request_changed",
            Self::Answer { .. } => "invalid_answer",
        }
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::Feature(refusal) => refusal.features(),
            Self::NotInProgress { id }
            | Self::NotWaiting { id }
            | Self::RequestChanged { id }
            | Self::Answer { id, .. } => vec![*id],
        }
    }
}

/// The feature, unless it passes.
fn unfinished(tx: &Tx<'_, Write>, id: FeatureId) -> Result<Feature, Failure<HumanInputRefusal>> {
    let feature = existing(tx, id).map_err(Failure::widen)?;
    if feature.passes {
        return Err(Failure::Refused(FeatureRefusal::AlreadyPassing { id }.into()));
    }
    Ok(feature)
}

/// Asks a human about a feature that is in progress: its claim ends and it waits for the answer. An
/// earlier answer is cleared. Gives the feature's name.
#[derive(Debug, Clone, Serialize)]
pub struct RequestHumanInput {
    /// Which feature.
    pub id: FeatureId,
    /// What to ask.
    pub request: HumanInputRequest,
}

impl Command for RequestHumanInput {
    const NAME: &'static str = "request_human_input";
    type Database = Features;
    type Access = Write;
    type Output = String;
    type Rejection = HumanInputRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<String, Failure<HumanInputRefusal>> {
        let id = self.id;
        let mut feature = unfinished(tx, id)?;
        let authority = authority(tx, &mut feature).map_err(Failure::widen)?;
        if !feature.in_progress {
            return Err(Failure::Refused(HumanInputRefusal::NotInProgress { id }));
        }
        (feature.needs_human_input, feature.in_progress) = (true, false);
        feature.human_input_request = Some(self.request.to_json());
        feature.human_input_response = None;
        let fields = Fields::of(&[
            Field::NeedsHumanInput,
            Field::InProgress,
            Field::HumanInputRequest,
            Field::HumanInputResponse,
        ]);
        tx.change_feature(&feature, fields, authority.occasion(EventKind::Asked))?;
        authority.end(tx, AttemptOutcome::WaitingForHuman)?;
        Ok(feature.name)
    }
}

/// Answers a feature's question: the answer is stored and the feature can be claimed again. Gives
/// the feature as it is afterwards.
#[derive(Debug, Clone, Serialize)]
pub struct AnswerHumanInput {
    /// Which feature.
    pub id: FeatureId,
    /// The answer.
    pub answer: HumanInputAnswer,
    /// When it was given. No part of what is asked: a repetition is made later.
    #[serde(skip)]
    pub responded_at: Timestamp,
    /// The request it answers, from [`HumanInputRequest::revision_of`]; `None` answers whatever is
    /// asked at the moment.
    pub request: Option<Revision>,
}

impl Command for AnswerHumanInput {
    const NAME: &'static str = "answer_human_input";
    type Database = Features;
    type Access = Write;
    type Output = Feature;
    type Rejection = HumanInputRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Feature, Failure<HumanInputRefusal>> {
        let id = self.id;
        let refuse = |refusal| Err(Failure::Refused(refusal));
        let feature = unfinished(tx, id)?;
        if !feature.needs_human_input {
            return refuse(HumanInputRefusal::NotWaiting { id });
        }
        if let Some(request) = &feature.human_input_request {
            let found = HumanInputRequest::revision_of(request);
            if self.request.is_some_and(|answered| answered != found) {
                return refuse(HumanInputRefusal::RequestChanged { id });
            }
            if let Err(problem) = self.answer.check(request) {
                return refuse(HumanInputRefusal::Answer { id, problem });
            }
        }
        let response = Some(self.answer.to_json(self.responded_at));
        let after = Feature { needs_human_input: false, human_input_response: response, ..feature };
        let fields = Fields::of(&[Field::NeedsHumanInput, Field::HumanInputResponse]);
        tx.change_feature(&after, fields, EventKind::Answered.into())?;
        Ok(after)
    }
}
