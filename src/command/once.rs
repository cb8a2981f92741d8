//! A command that is carried out once, however often it is sent.

use std::hash::Hasher;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Command;
use crate::database::Features;
use crate::error::{Failure, Refusal};
use crate::tx::{Tx, Write};
use crate::types::{FeatureId, Fnv1a, Limits, RequestId, read_answer};

/// A writing command together with the name of the request that it is; made by [`Command::once`].
///
/// Its first success is kept in the file, in the same transaction as what it did. The same command
/// under the same id gives that answer again and changes nothing: from any handle, from another
/// process, after a crash or a restart. So whoever does not know whether a command took effect
/// ([`StorageError::OutcomeUnknown`](crate::StorageError::OutcomeUnknown), a process that died while
/// it waited) sends it again under its id.
///
/// - **The answer is that of then.** A claim that was given back meanwhile is still told as taken;
///   its token tells, since what is done under it is refused.
/// - **A refusal is not kept**: it changed nothing, so the same id may be tried again, and with
///   another command, too.
/// - **The same command** means the same kind with the same arguments. Who calls, under which claim
///   and why ([`Signed`](super::Signed)) is no part of it, nor is a time that a command carries.
/// - **For a while.** A file keeps [`Policy::answers`](crate::Policy::answers) of them for
///   [`Policy::answers_for`](crate::Policy::answers_for), and forgets older ones little by little; an
///   answer that is still there is given, however old it is. A request whose answer is forgotten is
///   a new one.
/// - **As large as what it tells.** An answer that shows a whole feature is kept with all its texts,
///   beside the feature and its history.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{Command, CreateFeature, NewFeature, OnceRefusal, RequestId, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let feature = |name| {
///     CreateFeature::new(NewFeature::new("Auth", name, "As usual.", ["Try it"]).unwrap())
/// };
/// let id = RequestId::random();
/// let first = store.call(feature("Log in").once(id.clone())).unwrap();
/// let again = store.call(feature("Log in").once(id.clone())).unwrap();
/// assert_eq!(again, first);
///
/// let other = store.call(feature("Log out").once(id)).unwrap_err();
/// assert_eq!(other.code(), "request_id_reused");
/// ```
#[derive(Debug, Clone)]
pub struct Once<C> {
    command: C,
    id: RequestId,
    /// Of the command's JSON. Taken where the request is made, not under the write lock.
    digest: Result<i64, String>,
}

impl<C: Serialize> Once<C> {
    pub(super) fn new(command: C, id: RequestId) -> Self {
        let mut hasher = Fnv1a::default();
        let digest = serde_json::to_writer(&mut hasher, &command)
            .map(|()| hasher.finish().cast_signed())
            .map_err(|fault| fault.to_string());
        Self { command, id, digest }
    }
}

/// Why a command under a request id gave no answer. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnceRefusal<R> {
    /// The command itself refuses. The id is as free as before.
    #[error(transparent)]
    Command(#[from] R),
    /// Another command was carried out under the id, or the same with other arguments.
    #[error(
        "request id {:?} belongs to another call, of {command}; nothing was changed, give a new \
         request an id of its own", .id.as_str()
    )]
    OtherCommand {
        /// The id.
        id: RequestId,
        /// What was carried out under it.
        command: String,
    },
    /// The command was carried out, but this release cannot read what was answered: a later one
    /// wrote it.
    #[error(
        "request {:?} was carried out, but a newer release wrote the answer; update \
         autoforge-store, or look at the features", .id.as_str()
    )]
    Unreadable {
        /// The id.
        id: RequestId,
    },
    /// The answer is too large to be kept, so the command was not carried out.
    #[error(
        "the answer to request {:?} takes {bytes} bytes, the limit is {max}; nothing was changed, \
         send it without a request id", .id.as_str()
    )]
    AnswerTooLarge {
        /// The id.
        id: RequestId,
        /// How many bytes it takes as JSON.
        bytes: usize,
        /// How many it may take.
        max: usize,
    },
}

impl<R: Refusal> Refusal for OnceRefusal<R> {
    fn code(&self) -> &'static str {
        match self {
            Self::Command(refusal) => refusal.code(),
            Self::OtherCommand { .. } => "request_id_reused",
            Self::Unreadable { .. } => "answer_unreadable",
            Self::AnswerTooLarge { .. } => "answer_too_large",
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, Self::Command(refusal) if refusal.retryable())
    }

    fn features(&self) -> Vec<FeatureId> {
        match self {
            Self::Command(refusal) => refusal.features(),
            _ => Vec::new(),
        }
    }
}

impl<C> Command for Once<C>
where
    C: Command<Database = Features, Access = Write> + Serialize,
    C::Output: Serialize + DeserializeOwned,
{
    const NAME: &'static str = C::NAME;
    type Database = Features;
    type Access = Write;
    type Output = C::Output;
    type Rejection = OnceRefusal<C::Rejection>;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<C::Output, Failure<Self::Rejection>> {
        let digest = self.digest.clone().map_err(no_json)?;
        let id = || self.id.clone();
        let refuse = |refusal| Err(Failure::Refused(refusal));
        if let Some(kept) = tx.kept_answer(&self.id)? {
            if kept.command != C::NAME || kept.digest != Some(digest) {
                return refuse(OnceRefusal::OtherCommand { id: id(), command: kept.command });
            }
            return match read_answer(&kept.answer) {
                Some(answer) => Ok(answer),
                None => refuse(OnceRefusal::Unreadable { id: id() }),
            };
        }
        // Invariant: the answer is kept in the savepoint of what it tells, so that both are in the
        // file or neither is.
        let output = self.command.run(tx).map_err(Failure::widen)?;
        let answer = serde_json::to_string(&output).map_err(no_json)?;
        let (bytes, max) = (answer.len(), Limits::ANSWER_BYTES);
        if bytes > max {
            return refuse(OnceRefusal::AnswerTooLarge { id: id(), bytes, max });
        }
        tx.keep_answer(&self.id, C::NAME, digest, &answer)?;
        Ok(output)
    }
}

/// No command of this crate gets here: each has a form in JSON.
fn no_json<R>(fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure<R> {
    Failure::Sqlite(rusqlite::Error::ToSqlConversionFailure(fault.into()))
}
