//! Whatever arguments come with calls of the MCP server's tools, each call is answered or refused in
//! words, never with a fault. A command does what the reference model says, however its arguments are
//! spelled; a refusal and a reading tool change nothing; and the file is sound afterwards.
#![no_main]

use autoforge_store_fuzz::{RawCalls, call_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: RawCalls| call_all(&raw));
