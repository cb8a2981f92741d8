//! Each rule on small trees: one that it must complain about, one that it must leave alone.

use super::source::{File, Tree};
use super::{FILE_LINES, FN_LINES, import_direction, invariants, lengths, undeclared_files};
use super::{
    Rule, banned_tokens, codes_without_exit, commands_without_op, fenced_paths, functions_in_lib,
    out_of_reach,
};

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| File::new(path, text)).collect();
    Tree { files, design: None }
}

/// The complaints about a tree are exactly these, each given by how it begins.
fn expect(rule: Rule, tree: &Tree, beginnings: &[&str]) {
    let complaints = rule(tree);
    let fits = complaints.iter().zip(beginnings).all(|(text, start)| text.starts_with(start));
    assert!(
        complaints.len() == beginnings.len() && fits,
        "expected {beginnings:#?}, got {complaints:#?}"
    );
    assert!(complaints.iter().all(|complaint| complaint.contains("Instead: ")), "{complaints:#?}");
}

fn imports(path: &str, text: &str, beginnings: &[&str]) {
    let lib = "mod error; pub mod types;\npub use error::{Error, sub::Fault};\n\
               pub use crate::store::Store; pub use mcp::serve;";
    expect(import_direction, &tree(&[("src/lib.rs", lib), (path, text)]), beginnings);
}

#[test]
fn an_import_to_the_right_is_found() {
    imports(
        "src/tx.rs",
        "use crate::error::Error;\nuse crate::engine::Engine;",
        &["src/tx.rs:2: `crate::engine::Engine` reaches into module `engine`"],
    );
    imports(
        "src/actor/reply.rs",
        "use crate::{\n    sync::Mutex,\n    error::{self, Error},\n};",
        &["src/actor/reply.rs:3: `crate::error`", "src/actor/reply.rs:3: `crate::error::Error`"],
    );
    imports("src/sync.rs", "fn f() { crate::store::g(); }", &["src/sync.rs:1: "]);
    imports("src/sync.rs", "pub(in crate::store) fn f() {}", &["src/sync.rs:1: "]);
    imports("src/engine.rs", "use crate::store::*;", &["src/engine.rs:1: "]);
}

#[test]
fn an_import_by_a_detour_is_found() {
    imports("src/tx.rs", "use super::engine::Engine;", &["src/tx.rs:1: `super::engine::Engine`"]);
    imports("src/tx/read.rs", "use super::super::engine;", &["src/tx/read.rs:1: "]);
    imports(
        "src/engine.rs",
        "use crate::Store;",
        &["src/engine.rs:1: `crate::Store` reaches into module `store`"],
    );
    imports("src/types.rs", "use crate::Fault;", &["src/types.rs:1: `crate::Fault`"]);
}

#[test]
fn an_import_to_the_left_is_left_alone() {
    imports("src/store.rs", "use crate::{actor::serve, engine::Engine, sync, Error};", &[]);
    imports("src/tx/read.rs", "use super::WriteTx; use super::super::error::Error;", &[]);
    imports("src/engine/open.rs", "use crate::engine::Engine; use super::schema;", &[]);
}

#[test]
fn tests_comments_and_strings_may_name_anything() {
    imports("src/tx.rs", "#[cfg(test)]\nmod tests {\n use crate::store::Store;\n}\n", &[]);
    imports("src/tx.rs", "#[cfg(test)]\n#[expect(x)]\nmod t { fn f() {} use crate::store; }", &[]);
    imports("src/tx.rs", "#[cfg(all(test, autoforge_loom))] use crate::store::S; fn f() {}", &[]);
    imports("src/actor/loom_tests.rs", "use crate::store::Store;", &[]);
    imports("src/tx.rs", "//! crate::store\n/* /* */ crate::store */ fn f() {}", &[]);
    imports("src/tx.rs", "const A: &str = \"\\\"crate::store::\"; const B: char = '\"';", &[]);
    imports("src/tx.rs", "const A: &str = r#\"\" crate::store::\"#; fn f<'a>() {}", &[]);
    // What follows them is seen again.
    imports("src/tx.rs", "#[cfg(test)] mod t;\nuse crate::store;", &["src/tx.rs:2: "]);
    imports("src/tx.rs", "const A: char = '\\'';\nuse crate::store;", &["src/tx.rs:2: "]);
    imports("src/tx.rs", "#[cfg(not(test))]\nuse crate::store;", &["src/tx.rs:2: "]);
}

#[test]
fn a_front_end_that_reaches_behind_lib_rs_is_found() {
    imports("src/mcp/tools.rs", "use crate::{Error, Store, types::Steps};", &[]);
    imports("src/mcp.rs", "use crate::store::Store;", &["src/mcp.rs:1: `crate::store::Store`"]);
    imports("src/cli.rs", "use crate::mcp;", &["src/cli.rs:1: `crate::mcp` reaches"]);
    imports("src/cli.rs", "use crate::serve;", &["src/cli.rs:1: `crate::serve` reaches"]);
}

#[test]
fn a_group_of_commands_that_names_another_is_found() {
    let path = "src/command/schedule/pause.rs";
    imports(path, "use crate::command::Command; use crate::command::schedule::Window;", &[]);
    imports(path, "use crate::command::feature::Claim;", &["src/command/schedule/pause.rs:1: "]);
}

#[test]
fn a_module_without_a_place_is_found() {
    imports("src/helpers.rs", "", &["src/helpers.rs:1: module `helpers` has no place"]);
}

#[test]
fn a_fenced_path_outside_its_modules_is_found() {
    let fenced = |path: &str, text: &str, beginnings: &[&str]| {
        expect(fenced_paths, &tree(&[(path, text)]), beginnings);
    };
    fenced("src/tx.rs", "use rusqlite::{Connection, params};", &[]);
    fenced("src/sync/model.rs", "use loom::sync::Mutex; use std::thread;", &[]);
    fenced("src/store.rs", "use std::sync::Arc; fn f() { std::sync::Arc::new(1) }", &[]);
    fenced("src/store.rs", "fn f(loom: u8) { g(loom, cfg!(parking_lot)) }", &[]);
    fenced("tests/it/main.rs", "use std::thread;", &[]);
    fenced("src/store.rs", "use rusqlite as sql;", &["src/store.rs:1: names `rusqlite`"]);
    fenced("src/mcp.rs", "fn f(c: &rusqlite::Connection) {}", &["src/mcp.rs:1: "]);
    fenced(
        "src/store.rs",
        "use std::{\n    sync::{Arc, OnceLock},\n    thread,\n};",
        &["src/store.rs:2: names `std::sync::OnceLock`", "src/store.rs:3: names `std::thread`"],
    );
    fenced("src/bin/x.rs", "fn main() { ::std::thread::yield_now() }", &["src/bin/x.rs:1: "]);
    fenced("src/lib.rs", "extern crate parking_lot;", &["src/lib.rs:1: names `parking_lot`"]);
    fenced("src/actor.rs", "use std::sync::*;", &["src/actor.rs:1: names `std::sync`"]);
}

#[test]
fn a_long_function_and_a_long_file_are_found() {
    let body = |lines: usize| format!("fn f(a: [u8; 2])\n{{{}}}\n", "\n".repeat(lines - 2));
    let (fits, long) = (body(FN_LINES), body(FN_LINES + 1));
    expect(lengths, &tree(&[("src/tx.rs", &fits), ("tests/it/main.rs", &long)]), &[]);
    let found = tree(&[("src/tx.rs", &format!("trait T {{\n fn g();\n {long}}}"))]);
    expect(lengths, &found, &["src/tx.rs:3: 71 lines in fn `f`"]);
    let tests = format!("#[cfg(test)]\nmod tests {{\n {long} }}");
    expect(lengths, &tree(&[("src/tx.rs", &tests)]), &[]);
    let (fits, long) = ("\n".repeat(FILE_LINES), "\n".repeat(FILE_LINES + 1));
    let found = tree(&[("tests/a.rs", &fits), ("tests/b.rs", &long)]);
    expect(lengths, &found, &["tests/b.rs:601: 601 lines in a file"]);
}

#[test]
fn a_function_in_lib_rs_is_found() {
    let lib = "//! fn main() {}\nmod tx;\npub use tx::WriteTx;\n";
    expect(functions_in_lib, &tree(&[("src/lib.rs", lib)]), &[]);
    let lib = format!("{lib}pub fn open() {{}}");
    expect(functions_in_lib, &tree(&[("src/lib.rs", &lib)]), &["src/lib.rs:4: fn `open`"]);
}

#[test]
fn a_forgotten_file_is_found() {
    let files = [
        ("src/lib.rs", "mod command;"),
        ("src/command.rs", "pub(crate) mod feature; // mod schedule;"),
        ("src/command/feature.rs", "mod claim;"),
        ("src/command/feature/claim.rs", ""),
        ("src/command/feature/skip.rs", ""),
        ("src/command/schedule.rs", ""),
        ("src/bin/x.rs", ""),
    ];
    let beginnings = ["src/command/feature/skip.rs:1: no module", "src/command/schedule.rs:1: "];
    expect(undeclared_files, &tree(&files), &beginnings);
}

#[test]
fn an_invariant_without_its_test_is_found() {
    let sources = [
        ("src/tx.rs", "#[test]\n#[should_panic(expected = \"x\")]\nfn stands() {}"),
        ("tests/it/main.rs", "proptest! { #[test] fn holds(x in 0..9) {} }\nfn helper() {}"),
    ];
    let design = |rows: &str| Tree { design: Some(rows.to_owned()), ..tree(&sources) };
    expect(invariants, &tree(&sources), &[]);
    let good = "| I | s | g | t |\n|---|---|---|---|\n| I1 | a | b | `stands`, `it::holds` |\n\
                | I2 | a \\| c | `b` | `holds` |\n";
    expect(invariants, &design(good), &[]);
    expect(invariants, &design("# Title"), &["DESIGN.md:1: no invariants"]);
    let gap = format!("{good}| I4 | a | b | `holds` |\n");
    expect(invariants, &design(&gap), &[]);
    let again = format!("{gap}| I4 | a | b | `holds` |\n| I3 | a | b | `holds` |");
    expect(
        invariants,
        &design(&again),
        &["DESIGN.md:6: I4 follows I4", "DESIGN.md:7: I3 follows I4"],
    );
    let bare = "| I1 | a | `holds` | by care |\n| I2 | a | `holds` |";
    expect(
        invariants,
        &design(bare),
        &["DESIGN.md:1: I1 names no test", "DESIGN.md:2: I2 names no"],
    );
    let stale = "| I1 | a | b | `holds`, `helper` |";
    expect(invariants, &design(stale), &["DESIGN.md:1: I1 names `helper`"]);
}

#[test]
fn unfinished_code_is_found() {
    let found = "fn f() {\n todo!()\n}\n#[ignore = \"slow\"]\nfn g() { dbg!(1); unimplemented!() }";
    let lines =
        ["src/a.rs:2: `todo!`", "src/a.rs:4: `#[ignore`", "src/a.rs:5: `dbg!`", "src/a.rs:5"];
    expect(banned_tokens, &tree(&[("src/a.rs", found)]), &lines);
    expect(banned_tokens, &tree(&[("tests/a.rs", "// todo!()\nfn f() { todo != 1; }")]), &[]);
}

#[test]
fn a_failure_without_an_exit_is_found() {
    let exits =
        ("src/cli/exit.rs", "fn listed_of_data(code: &str) { match code { \"known\" => (), } }");
    let refusal = "fn code(&self) -> &'static str {\n match self { A => \"known\", B => \"new\", \
                   C => c.code() }\n}\nconst D: &str = \"other\";";
    let rule = codes_without_exit;
    let beginnings = ["src/command/x.rs:1: no exit code is chosen for `new`"];
    expect(rule, &tree(&[exits, ("src/command/x.rs", refusal)]), &beginnings);
    let failed = "fn f() { Failed::new(\n \"odd\", \"a message\"); Failed::new(code, \"x\") }\n\
                  #[cfg(test)] mod tests { fn f() { Failed::new(\"made_up\", \"\") } }";
    let beginnings = ["src/cli/x.rs:1: no exit code is chosen for `odd`"];
    expect(rule, &tree(&[exits, ("src/cli/x.rs", failed)]), &beginnings);
}

#[test]
fn a_command_that_the_model_does_not_know_is_found() {
    let op = ("src/testing/op.rs", "fn f(op: Op) { match op { Self::Known(id) => (), } }");
    let commands = "impl Command for Known {}\nimpl Command for New {}";
    let rule = commands_without_op;
    let beginnings = ["src/command/x.rs:2: command `New`"];
    expect(rule, &tree(&[op, ("src/command/x.rs", commands)]), &beginnings);
    expect(rule, &tree(&[("src/command/x.rs", commands)]), &[]);
    let made_of_others = "impl<C: Command> Command for Signed<C> {}";
    expect(rule, &tree(&[op, ("src/command/x.rs", made_of_others)]), &[]);
}

#[test]
fn an_operation_that_no_fuzz_target_makes_is_found() {
    let op =
        "/// All.\nenum Op {\n    A,\n    #[x(y)]\n    /// B.\n    B(i64),\n    C { a: B },\n}";
    let op = ("src/testing/op.rs", op);
    let made = "fn op() { f(Op::A); Op::C { a: Raw::B } }";
    let beginnings = ["src/testing/op.rs:6: no fuzz target makes `Op::B`"];
    expect(out_of_reach, &tree(&[op, ("fuzz/src/ops.rs", made)]), &beginnings);
    let made = "use x::Op; fn op() { Op::A; Op::B(1); Op::C }";
    expect(out_of_reach, &tree(&[op, ("fuzz/src/ops.rs", made)]), &[]);
}
