//! The actor, the reply slots and the engine cache under a scheduler that chooses every order.
//!
//! This crate has no code of its own. It compiles `src/actor` and `src/sync` of the package, the files
//! that ship, since these two name nothing else: so a model is built within seconds, where the whole
//! package with its tests takes minutes. CONTRIBUTING.md says how to run it; without a scheduler there is
//! nothing to build.
#![cfg(all(test, any(autoforge_loom, autoforge_shuttle)))]

#[path = "../../../src"]
#[expect(
    dead_code,
    unused_imports,
    reason = "what the models leave alone, the package itself uses"
)]
mod shipped {
    pub(crate) mod actor;
    pub(crate) mod sync;
}

use shipped::sync;
