//! The rules of a file: how long it remembers, and how often a feature is tried.

use std::convert::Infallible;

use serde::Serialize;

use super::Command;
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Read, Tx, Write};
use crate::types::Policy;

/// The rules as they are.
#[derive(Debug, Clone, Copy)]
pub struct GetPolicy;

impl Command for GetPolicy {
    const NAME: &'static str = "get_policy";
    type Database = Features;
    type Access = Read;
    type Output = Policy;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Policy, Failure<Infallible>> {
        Ok(tx.policy()?)
    }
}

/// Sets the rules for everybody who uses the file, and gives them as they were. What is beyond a
/// bound that was lowered is forgotten little by little, as new events and claims come.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SetPolicy(
    /// The rules from now on.
    pub Policy,
);

impl Command for SetPolicy {
    const NAME: &'static str = "set_policy";
    type Database = Features;
    type Access = Write;
    type Output = Policy;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Policy, Failure<Infallible>> {
        let before = tx.policy()?;
        tx.set_policy(&self.0)?;
        Ok(before)
    }
}
