//! What comes with a call beside its own arguments: under which claim, why, and under which request
//! id.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Call;
use crate::mcp::agent::Extras;
use crate::mcp::arguments::{BadArgument, Flag, Integer, Optional, Text};
use crate::mcp::present::Trouble;
use crate::{Command, FeatureId, Features, FenceToken, Limits, RequestId, Write};

pub(super) const CLAIM_TOKEN: Optional<Integer> = Optional(Integer::id(
    "claim_token",
    "The token of your claim: refused if that claim is over. Rarely needed; the server knows the \
     claims that it took for you.",
));
pub(super) const OVERRIDE: Flag = Flag {
    name: "override",
    description: "Act even though somebody else owns the claim. Only if you know that they are gone.",
    default: false,
};
pub(super) const REASON: Optional<Text> = Optional(Text {
    name: "reason",
    description: "Why, in a sentence, for the history.",
    max_chars: Some(Limits::REASON_CHARS),
});
pub(super) const REQUEST_ID: Optional<Text> = Optional(Text {
    name: "request_id",
    description: "A name of your own for this call. If no answer comes, send the same call again \
                  under the same name: it is carried out once.",
    max_chars: Some(Limits::REQUEST_ID_CHARS),
});

impl Call {
    /// Runs a command that changes something.
    pub(super) async fn change<C>(&mut self, command: C) -> Result<C::Output, Trouble>
    where
        C: Command<Database = Features, Access = Write> + Serialize,
        C::Output: Serialize + DeserializeOwned,
    {
        let reason = self.reason()?;
        self.send(None, Extras { reason, ..Extras::default() }, command).await
    }

    /// Runs a command that claims a feature, or would if the agent had not.
    pub(super) async fn claim<C>(
        &mut self,
        feature: FeatureId,
        command: C,
    ) -> Result<C::Output, Trouble>
    where
        C: Command<Database = Features, Access = Write> + Serialize,
        C::Output: Serialize + DeserializeOwned,
    {
        let reason = self.reason()?;
        self.send(Some(feature), Extras { reason, ..Extras::default() }, command).await
    }

    /// Runs a command that ends the work on a feature, which needs the say over it.
    pub(super) async fn end<C>(
        &mut self,
        feature: FeatureId,
        command: C,
    ) -> Result<C::Output, Trouble>
    where
        C: Command<Database = Features, Access = Write> + Serialize,
        C::Output: Serialize + DeserializeOwned,
    {
        let token = CLAIM_TOKEN.read(&mut self.arguments)?.map(FenceToken::from);
        let overriding = OVERRIDE.read(&mut self.arguments)?;
        let reason = self.reason()?;
        let extras = Extras { token, overriding, reason };
        let held = self.project.agent().token_of(feature).await;
        let output = self.send(Some(feature), extras, command).await?;
        if let Some(held) = held {
            self.project.agent().forget(feature, held).await;
        }
        Ok(output)
    }

    async fn send<C>(
        &mut self,
        feature: Option<FeatureId>,
        extras: Extras,
        command: C,
    ) -> Result<C::Output, Trouble>
    where
        C: Command<Database = Features, Access = Write> + Serialize,
        C::Output: Serialize + DeserializeOwned,
    {
        let request = self.request_id()?;
        let pen = self.project.agent().pen(feature, extras).await;
        match request {
            Some(id) => self.project.run(pen.sign(command.once(id))).await,
            None => self.project.run(pen.sign(command)).await,
        }
    }

    fn reason(&mut self) -> Result<Option<String>, BadArgument> {
        let reason = REASON.read(&mut self.arguments)?.filter(|reason| !reason.trim().is_empty());
        let chars = reason.as_ref().map_or(0, |reason| reason.chars().count());
        if chars > Limits::REASON_CHARS {
            let max = Limits::REASON_CHARS;
            let problem = format!("the reason has {chars} characters, the limit is {max}");
            return Err(BadArgument::rule(REASON.0.name, &problem));
        }
        Ok(reason)
    }

    fn request_id(&mut self) -> Result<Option<RequestId>, BadArgument> {
        let id = REQUEST_ID.read(&mut self.arguments)?.map(RequestId::new);
        id.transpose().map_err(|problem| BadArgument::rule(REQUEST_ID.0.name, &problem))
    }
}
