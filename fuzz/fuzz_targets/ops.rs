//! Whatever several owners, other programs, deaths and clocks do to a file, every command has the
//! outcome, and the file the claims and the history, that the reference model says, also after it was
//! opened again.
#![no_main]

use autoforge_store_fuzz::{RawStep, take_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: Vec<RawStep>| take_all(&raw));
