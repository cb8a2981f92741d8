//! Whatever a client writes to the MCP server, each answer is one line with an id that was asked, no
//! request has two, none that is in order goes without, a sound request is still answered afterwards,
//! and the file is sound. The byte `FE`, a number and a byte stand for a long run of that byte.
#![no_main]

use autoforge_store_fuzz::converse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| converse(bytes));
