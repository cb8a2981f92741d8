//! What comes with a call beside its command: who makes it, under which claim, and why.

use std::sync::Arc;

use super::{Caller, FenceToken, Tenure};

/// What comes with a call. The default is a call that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Signature {
    /// Who calls.
    pub(crate) caller: Option<Arc<Caller>>,
    /// The claim that the caller believes to hold.
    pub(crate) token: Option<FenceToken>,
    /// The caller means to act on a feature that somebody else holds.
    pub(crate) overrides: bool,
    /// For how long a claim is to last.
    pub(crate) tenure: Tenure,
    /// Why the call is made, for the history.
    pub(crate) reason: Option<Arc<str>>,
}

impl Signature {
    /// A call that names nobody.
    pub(crate) const NONE: &'static Self = &Self {
        caller: None,
        token: None,
        overrides: false,
        tenure: Tenure::Unowned,
        reason: None,
    };

    /// The same, where it is silent as `outer` says.
    pub(crate) fn within(&self, outer: &Self) -> Self {
        let tenure = if self.tenure == Tenure::Unowned { outer.tenure } else { self.tenure };
        Self {
            caller: self.caller.clone().or_else(|| outer.caller.clone()),
            token: self.token.or(outer.token),
            overrides: self.overrides || outer.overrides,
            tenure,
            reason: self.reason.clone().or_else(|| outer.reason.clone()),
        }
    }
}
