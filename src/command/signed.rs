//! A command and what comes with its call.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Command;
use crate::error::Failure;
use crate::tx::{Circumstances, Tx};
use crate::types::{Caller, FenceToken, Signature, Tenure};

/// A command together with who calls it, under which claim, and why.
///
/// It is a command itself, with the same output and the same refusals. Where one signed command is
/// signed again, what was said first counts.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use std::sync::Arc;
/// use std::time::Duration;
/// use autoforge_store::{
///     Caller, ClaimFeature, Command, CreateFeature, MarkPassing, NewFeature, ProcessIdentity, Store,
/// };
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let id = store.call(CreateFeature::new(login)).unwrap().id;
///
/// let me = Caller::new("coder-1", "monday").in_process(ProcessIdentity::current());
/// let me = Arc::new(me);
/// let lease = Some(Duration::from_secs(120));
/// let claim = store.call(ClaimFeature { id }.by(&me).owning(lease)).unwrap();
///
/// // Nobody else can end the claim by accident, and neither can the caller once it is over.
/// assert!(store.call(MarkPassing { id }).is_err());
/// let token = claim.token.unwrap();
/// assert!(store.call(MarkPassing { id }.by(&me).under(token)).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct Signed<C> {
    command: C,
    signature: Signature,
    circumstances: Option<Arc<Circumstances>>,
}

impl<C> Signed<C> {
    pub(super) fn new(command: C) -> Self {
        Self { command, signature: Signature::NONE.clone(), circumstances: None }
    }

    /// Says who calls.
    #[must_use]
    pub fn by(mut self, caller: &Arc<Caller>) -> Self {
        self.signature.caller.get_or_insert_with(|| Arc::clone(caller));
        self
    }

    /// Makes the caller the owner of what the command claims, until it is released, its process is
    /// dead, or `lease` has run out since the claim was last renewed; `None` sets no such limit.
    /// Says nothing where nobody says who calls.
    #[must_use]
    pub fn owning(mut self, lease: Option<Duration>) -> Self {
        self.signature.tenure = Tenure::Owned { lease };
        self
    }

    /// Says under which claim the call is made: it is refused if that claim is over.
    #[must_use]
    pub fn under(mut self, token: FenceToken) -> Self {
        self.signature.token.get_or_insert(token);
        self
    }

    /// Means to act on a feature even if somebody else owns it; the history will say so.
    #[must_use]
    pub fn overriding(mut self) -> Self {
        self.signature.overrides = true;
        self
    }

    /// Says why, for the history.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        self.signature.reason.get_or_insert_with(|| Arc::from(reason));
        self
    }

    /// Has the command believe this of the world outside the file.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn in_circumstances(mut self, circumstances: Circumstances) -> Self {
        self.circumstances = Some(Arc::new(circumstances));
        self
    }
}

/// The form of its command alone: what comes with a call is no part of what is asked.
impl<C: Serialize> Serialize for Signed<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.command.serialize(serializer)
    }
}

impl<C: Command> Command for Signed<C> {
    const NAME: &'static str = C::NAME;
    type Database = C::Database;
    type Access = C::Access;
    type Output = C::Output;
    type Rejection = C::Rejection;

    fn run(&self, tx: &Tx<'_, C::Access>) -> Result<C::Output, Failure<C::Rejection>> {
        let signature = self.signature.within(tx.signature());
        let circumstances = self.circumstances.as_deref();
        self.command.run(&tx.signed(&signature, circumstances))
    }
}
