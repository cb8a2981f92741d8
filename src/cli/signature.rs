//! Who makes a call, under which claim, and why: the options that commands share, and the one place
//! that signs what they send.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::exit::Failed;
use crate::{
    Caller, Command, Error, Features, FenceToken, OnceRefusal, RequestId, Signed, Store, Write,
};

/// The variable that names the agent where no option does.
const AGENT_VARIABLE: &str = "AUTOFORGE_AGENT";
/// The variable that names the session where no option does.
const SESSION_VARIABLE: &str = "AUTOFORGE_SESSION";
/// The session of whoever names none: always the same, so that a second call is the same caller's.
const SESSION: &str = "cli";

const HEADING: &str = "Who and why";

/// Who calls, and why.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct IdentityArgs {
    /// The agent in whose name this is done. Default: `$AUTOFORGE_AGENT`, else nobody's.
    #[arg(long = "as", value_name = "AGENT", value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// Its session. Default: `$AUTOFORGE_SESSION`, else `cli`.
    #[arg(long, value_name = "SESSION", value_parser = NonEmptyStringValueParser::new())]
    session: Option<String>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Who calls, why, and under which request id.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct SignatureArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Do it once, however often it is sent under this id; a repetition gets the first answer.
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
}

/// The same, and by which right.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct AuthorityArgs {
    #[command(flatten)]
    signature: SignatureArgs,
    /// The token of the claim under which this is done; refused once that claim is over.
    #[arg(long, value_name = "N", value_parser = parse_token, allow_negative_numbers = true)]
    token: Option<FenceToken>,
    /// Do it even if somebody else owns the feature; the history will say so.
    #[arg(long, conflicts_with = "token")]
    force: bool,
}

/// The number of a claim.
pub(crate) fn parse_token(text: &str) -> Result<FenceToken, String> {
    let number = text.parse::<i64>().map_err(|_| "a token is a whole number".to_owned())?;
    Ok(FenceToken::from(number))
}

impl IdentityArgs {
    pub(crate) fn signer(&self) -> Result<Signer, Failed> {
        Signer::new(self.agent.as_deref(), self.session.as_deref(), self.reason.as_deref())
    }
}

impl SignatureArgs {
    pub(crate) fn signer(&self) -> Result<Signer, Failed> {
        Ok(Signer { request: self.request_id.clone(), ..self.identity.signer()? })
    }

    /// Whether this may be a repetition.
    pub(crate) fn has_request_id(&self) -> bool {
        self.request_id.is_some()
    }
}

impl AuthorityArgs {
    pub(crate) fn signer(&self) -> Result<Signer, Failed> {
        Ok(Signer { token: self.token, overrides: self.force, ..self.signature.signer()? })
    }
}

/// Signs commands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signer {
    caller: Option<Arc<Caller>>,
    reason: Option<String>,
    request: Option<RequestId>,
    token: Option<FenceToken>,
    overrides: bool,
    /// As of [`Signed::owning`].
    lease: Option<Duration>,
}

impl Signer {
    /// The name and the session of variables count where those are not given.
    ///
    /// The caller has no process: this one ends at once, and its end is not the agent's.
    pub(crate) fn new(
        agent: Option<&str>,
        session: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Self, Failed> {
        let variables = [AGENT_VARIABLE, SESSION_VARIABLE].map(std::env::var_os);
        let caller = caller(agent, session, variables)?;
        Ok(Self { caller, reason: reason.map(str::to_owned), ..Self::default() })
    }

    /// In whose name it signs.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.caller.as_deref()
    }

    /// How long claims last that are made.
    pub(crate) fn lease(&self) -> Option<Duration> {
        self.lease
    }

    /// Claims last so long unless they are renewed; `None` sets no limit.
    pub(crate) fn owning(self, lease: Option<Duration>) -> Self {
        Self { lease, ..self }
    }

    /// What is done is done under this claim.
    pub(crate) fn under(self, token: Option<FenceToken>) -> Self {
        Self { token, ..self }
    }

    /// The command with who calls, under which claim, and why.
    pub(crate) fn sign<C: Command>(&self, command: C) -> Signed<C> {
        // Says nothing as long as nobody says who calls.
        let mut signed = command.owning(self.lease);
        if let Some(caller) = &self.caller {
            signed = signed.by(caller);
        }
        if let Some(token) = self.token {
            signed = signed.under(token);
        }
        if self.overrides {
            signed = signed.overriding();
        }
        match &self.reason {
            Some(reason) => signed.because(reason),
            None => signed,
        }
    }

    /// Sends a command: signed, and once if it has a request id.
    pub(crate) fn call<C>(
        &self,
        store: &Store,
        command: C,
    ) -> Result<C::Output, Error<OnceRefusal<C::Rejection>>>
    where
        C: Command<Database = Features, Access = Write> + Serialize,
        C::Output: Serialize + DeserializeOwned,
    {
        let signed = self.sign(command);
        match &self.request {
            Some(id) => store.call(signed.once(id.clone())),
            None => store.call(signed).map_err(|error| match error {
                Error::Refused(refusal) => Error::Refused(refusal.into()),
                Error::Storage(fault) => Error::Storage(fault),
            }),
        }
    }
}

/// Who calls, by what options say, else by what variables say.
fn caller(
    agent: Option<&str>,
    session: Option<&str>,
    variables: [Option<OsString>; 2],
) -> Result<Option<Arc<Caller>>, Failed> {
    let [agent_variable, session_variable] = variables.map(|variable| {
        let text = variable.filter(|text| !text.is_empty())?;
        Some(text.to_string_lossy().into_owned())
    });
    match agent.map(str::to_owned).or(agent_variable) {
        Some(agent) => {
            let session = session.map(str::to_owned).or(session_variable);
            let session = session.unwrap_or_else(|| SESSION.to_owned());
            Ok(Some(Arc::new(Caller::new(agent, session))))
        }
        None if session.is_some() => {
            let message = "--session means nothing without the agent whose session it is";
            Err(Failed::new("usage", message).hint("name it with --as, or in $AUTOFORGE_AGENT"))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(
        agent: Option<&str>,
        session: Option<&str>,
        variables: [Option<&str>; 2],
    ) -> Option<(String, String)> {
        let variables = variables.map(|variable| variable.map(OsString::from));
        let caller = caller(agent, session, variables).unwrap()?;
        assert_eq!(caller.process, None);
        Some((caller.agent.clone(), caller.session.clone()))
    }

    #[test]
    fn options_win_over_variables_and_an_empty_variable_says_nothing() {
        let expect = |agent: &str, session: &str| Some((agent.to_owned(), session.to_owned()));
        assert_eq!(named(None, None, [None, Some("s")]), None);
        assert_eq!(named(None, None, [Some(""), None]), None);
        assert_eq!(named(None, None, [Some("a"), Some("")]), expect("a", "cli"));
        assert_eq!(named(None, None, [Some("a"), Some("s")]), expect("a", "s"));
        assert_eq!(named(Some("b"), None, [Some("a"), Some("s")]), expect("b", "s"));
        assert_eq!(named(Some("b"), Some("t"), [Some("a"), Some("s")]), expect("b", "t"));
        assert_eq!(named(None, Some("t"), [Some("a"), None]), expect("a", "t"));
    }

    #[test]
    fn a_session_of_nobody_is_refused() {
        assert_eq!(caller(None, Some("s"), [None, None]).unwrap_err().code(), "usage");
    }
}
