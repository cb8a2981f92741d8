//! The rules of the source tree that no compiler checks: who may name whom, how long a function or
//! a file may be, that no file is forgotten, and that DESIGN.md's invariants name tests that exist.
//!
//! To change a rule, change its table below. Every rule is a function from a tree to complaints;
//! it is run on the real tree here, and on small wrong ones in `bites.rs`, to show that it bites.
//! Rules see tokens, not lines: comments and strings may say anything.

mod bites;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use source::{File, PathUse, Tree, functions, paths, starts_with, text};

/// A module of the library and the modules to its left, which it may name.
struct Layer {
    module: &'static str,
    may_name: &'static [&'static str],
}

/// `types ← error ← tx ← database ← command ← engine ← store`, `types ← host ← tx`,
/// `sync ← actor ← store`.
const LAYERS: &[Layer] = &[
    Layer { module: "types", may_name: &[] },
    Layer { module: "sync", may_name: &[] },
    Layer { module: "crash", may_name: &["sync"] },
    Layer { module: "error", may_name: &["types"] },
    Layer { module: "host", may_name: &["types"] },
    Layer { module: "logging", may_name: &[] },
    Layer { module: "project", may_name: &["types", "error", "crash"] },
    Layer { module: "home", may_name: &["types", "error", "project"] },
    Layer { module: "tx", may_name: &["types", "host", "error"] },
    Layer { module: "database", may_name: &["types", "host", "error", "tx"] },
    Layer { module: "command", may_name: &["types", "host", "error", "tx", "database"] },
    Layer {
        module: "engine",
        may_name: &["types", "host", "error", "crash", "tx", "database", "command"],
    },
    Layer { module: "actor", may_name: &["sync"] },
    Layer {
        module: "store",
        may_name: &[
            "types", "host", "error", "crash", "project", "home", "tx", "database", "command",
            "engine", "sync", "actor",
        ],
    },
    Layer { module: "webhook", may_name: &["sync"] },
    Layer {
        module: "testing",
        may_name: &["types", "error", "crash", "project", "tx", "database", "command", "store"],
    },
];

/// `store ← orchestrator, mcp, cli`: they see the library as any other crate would, through what
/// lib.rs exports, and never each other, but for [`MAY_DRIVE`].
const FRONT_ENDS: &[&str] = &["orchestrator", "mcp", "cli"];

/// `orchestrator ← cli`: what the orchestrator does, the command line shows.
const MAY_DRIVE: (&str, &str) = ("cli", "orchestrator");

/// A path of another crate that only a few modules may name.
struct Fence {
    path: &'static [&'static str],
    only_in: &'static [&'static str],
    except: &'static [&'static str],
    instead: &'static str,
}

const FENCES: &[Fence] = &[
    Fence {
        path: &["rusqlite"],
        only_in: &["error", "tx", "database", "command", "engine"],
        except: &[],
        instead: "write a command, or a method in src/engine",
    },
    Fence { path: &["std", "sync"], only_in: &["sync"], except: &["Arc"], instead: USE_SYNC },
    Fence { path: &["core", "sync"], only_in: &["sync"], except: &[], instead: USE_SYNC },
    Fence { path: &["std", "thread"], only_in: &["sync"], except: &[], instead: USE_SYNC },
    Fence { path: &["crossbeam_channel"], only_in: &["sync"], except: &[], instead: USE_SYNC },
    Fence { path: &["parking_lot"], only_in: &["sync"], except: &[], instead: USE_SYNC },
    Fence { path: &["once_cell"], only_in: &["sync"], except: &[], instead: USE_SYNC },
    Fence { path: &["loom"], only_in: &["sync"], except: &[], instead: USE_SYNC },
];

const USE_SYNC: &str = "take it from `crate::sync`, which has a half for the models";

/// Tokens that may stand nowhere, and what to do about them.
const BANNED: &[(&[&str], &str)] = &[
    (&["todo", "!"], "finish it, or return an error that says what is missing"),
    (&["unimplemented", "!"], "finish it, or return an error that says what is missing"),
    (&["dbg", "!"], "remove it, or use tracing"),
    (&["#", "[", "ignore"], "assert today's behaviour with a FIXME, or remove the test"),
];

/// Where the commands stand once more as plain data, for the reference model of each kind of file.
const MODELS: &[&str] = &[
    "src/testing/op.rs",
    "src/testing/schedules.rs",
    "src/testing/conversations.rs",
    "src/testing/registry.rs",
];

/// What the fuzz targets run: an enum of the reference model, and where each of its variants is made of
/// few bytes.
const RUN_BY_TARGETS: &[(&str, &str, &str)] = &[
    ("src/testing/op.rs", "Op", "fuzz/src/ops.rs"),
    ("src/testing/step.rs", "Step", "fuzz/src/steps.rs"),
    ("src/testing/foreign.rs", "Foreign", "fuzz/src/steps.rs"),
    ("src/testing/call.rs", "Token", "fuzz/src/steps.rs"),
];

/// Commands that the reference model does not say a second time, since what they must do is a property
/// of the others, and the tests that hold them to it.
const PROVEN_BY_PROPERTY: &[(&str, &str)] = &[
    ("Undo", "any_history_is_taken_back_step_by_step_and_brought_back"),
    ("ExplainFeature", "what_is_ready_has_nothing_in_its_way_and_what_is_not_has_something"),
    ("PreviewUndo", "any_event_is_refused_or_taken_back_exactly"),
    ("GetProgress", "every_old_state_is_counted_as_after_its_migration_and_nothing_is_changed"),
    (
        "ClaimProgress",
        "whoever_claims_whatever_passes_is_reported_once_and_an_increase_is_what_is_reported",
    ),
    (
        "GetReportedProgress",
        "whoever_claims_whatever_passes_is_reported_once_and_an_increase_is_what_is_reported",
    ),
];

/// The functions of src/cli/exit.rs that map stable names of failures to exit codes.
const EXIT_TABLES: &[&str] = &["listed_of_input", "listed_of_data", "listed_of_faults"];

const FN_LINES: usize = 70;
const FILE_LINES: usize = 600;

type Rule = fn(&Tree) -> Vec<String>;

#[test]
fn imports_point_one_way() -> io::Result<()> {
    check(import_direction)
}

#[test]
fn fenced_crates_stay_in_their_modules() -> io::Result<()> {
    check(fenced_paths)
}

#[test]
fn functions_and_files_stay_short() -> io::Result<()> {
    check(lengths)
}

#[test]
fn lib_rs_is_a_contents_page() -> io::Result<()> {
    check(functions_in_lib)
}

#[test]
fn no_source_file_is_forgotten() -> io::Result<()> {
    check(undeclared_files)
}

#[test]
fn every_command_is_in_the_reference_model() -> io::Result<()> {
    check(commands_without_op)
}

#[test]
fn every_operation_is_within_reach_of_the_fuzz_targets() -> io::Result<()> {
    check(out_of_reach)
}

#[test]
fn invariants_of_the_design_name_their_tests() -> io::Result<()> {
    check(invariants)
}

#[test]
fn every_failure_has_an_exit_of_its_own_choice() -> io::Result<()> {
    check(codes_without_exit)
}

#[test]
fn nothing_unfinished_is_left() -> io::Result<()> {
    check(banned_tokens)
}

fn check(rule: Rule) -> io::Result<()> {
    let complaints = rule(&Tree::read()?);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    Ok(())
}

fn import_direction(tree: &Tree) -> Vec<String> {
    let exports = Exports::of(tree);
    let mut complaints = Vec::new();
    for file in tree.crate_files() {
        let own = file.top();
        let layer = LAYERS.iter().find(|layer| layer.module == own);
        if layer.is_none() && !FRONT_ENDS.contains(&own) {
            let what = format!("module `{own}` has no place in the order of imports");
            complaints.push(file.complaint(
                1,
                &what,
                "give it one in LAYERS in tests/tidy/main.rs",
            ));
            continue;
        }
        for path in paths(&file.shipped()) {
            let Some((target, exported)) = exports.target(file, &path.segments) else { continue };
            if target == own {
                complaints.extend(other_group(file, &path));
                continue;
            }
            let (allowed, instead) = match layer {
                Some(layer) => (
                    layer.may_name.contains(&target),
                    format!("`{own}` may name [{}] only: move down what both need", list(layer)),
                ),
                None => (
                    exported && (!FRONT_ENDS.contains(&target) || (own, target) == MAY_DRIVE),
                    "a front end names what lib.rs exports, as `crate::Name`".to_owned(),
                ),
            };
            if !allowed {
                let what = format!("`{}` reaches into module `{target}`", path.segments.join("::"));
                complaints.push(file.complaint(path.line, &what, &instead));
            }
        }
    }
    complaints
}

fn list(layer: &Layer) -> String {
    layer.may_name.join(", ")
}

/// A file of one group of commands names no other group.
fn other_group(file: &File, path: &PathUse<'_>) -> Option<String> {
    let [own, group, ..] = file.module.as_slice() else { return None };
    let ["crate", "command", other, _, ..] = path.segments.as_slice() else { return None };
    (own == "command" && group != other).then(|| {
        let what = format!("`{}` reaches into another group", path.segments.join("::"));
        file.complaint(path.line, &what, "move SQL that both need to src/database")
    })
}

/// What lib.rs exports.
struct Exports<'a> {
    /// The module that each re-exported name comes from.
    names: BTreeMap<&'a str, &'a str>,
    modules: BTreeSet<&'a str>,
}

impl<'a> Exports<'a> {
    fn of(tree: &'a Tree) -> Self {
        let mut exports = Self { names: BTreeMap::new(), modules: BTreeSet::new() };
        let Some(lib) = tree.file("src/lib.rs") else { return exports };
        let tokens = lib.tokens();
        for path in paths(&tokens).iter().filter(|path| path.in_use) {
            let local = path.segments.strip_prefix(&["crate"]).unwrap_or(&path.segments);
            if let [module, .., name] = local {
                exports.names.insert(name, module);
            }
        }
        for at in (0..tokens.len()).filter(|&at| starts_with(&tokens, at, &["pub", "mod"])) {
            exports.modules.insert(text(&tokens, at + 2));
        }
        exports
    }

    /// The module of ours that a path leads to, and whether lib.rs exports what it names.
    fn target<'t>(&self, file: &File, segments: &[&'t str]) -> Option<(&'t str, bool)>
    where
        'a: 't,
    {
        let supers = segments.iter().take_while(|segment| **segment == "super").count();
        let name = match segments {
            ["crate", name, ..] => *name,
            _ if supers > 0 && supers >= file.module.len() => *segments.get(supers)?,
            _ => return None,
        };
        if FRONT_ENDS.contains(&name) || LAYERS.iter().any(|layer| layer.module == name) {
            return Some((name, self.modules.contains(name)));
        }
        self.names.get(name).map(|module| (*module, true))
    }
}

fn fenced_paths(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in &tree.files {
        for path in paths(&file.shipped()) {
            // A lone word is a path only in a `use`: elsewhere it may be any variable.
            if path.segments.len() == 1 && !path.in_use {
                continue;
            }
            for fence in FENCES.iter().filter(|fence| !fence.only_in.contains(&file.top())) {
                let Some(rest) = path.segments.strip_prefix(fence.path) else { continue };
                if !rest.first().is_some_and(|name| fence.except.contains(name)) {
                    let what = format!("names `{}`", path.segments.join("::"));
                    complaints.push(file.complaint(path.line, &what, fence.instead));
                }
            }
        }
    }
    complaints
}

fn lengths(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in &tree.files {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            let what = format!("{lines} lines in a file, more than {FILE_LINES}");
            complaints.push(file.complaint(lines, &what, "split it by what its parts are about"));
        }
        for function in functions(&file.shipped()) {
            let lines = function.last - function.first + 1;
            if lines > FN_LINES {
                let what = format!("{lines} lines in fn `{}`, more than {FN_LINES}", function.name);
                let instead = "give its steps names of their own";
                complaints.push(file.complaint(function.first, &what, instead));
            }
        }
    }
    complaints
}

fn functions_in_lib(tree: &Tree) -> Vec<String> {
    let Some(lib) = tree.file("src/lib.rs") else { return Vec::new() };
    let instead = "move it to the module that it belongs to, and re-export it";
    functions(&lib.tokens())
        .iter()
        .map(|function| lib.complaint(function.first, &format!("fn `{}`", function.name), instead))
        .collect()
}

fn undeclared_files(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.crate_files() {
        let Some((name, parents)) = file.module.split_last() else { continue };
        let parent = match parents {
            [] => "src/lib.rs".to_owned(),
            _ => format!("src/{}.rs", parents.join("/")),
        };
        let declared = tree.file(&parent).is_some_and(|parent| {
            let tokens = parent.tokens();
            (0..tokens.len()).any(|at| starts_with(&tokens, at, &["mod", name, ";"]))
        });
        if !declared {
            let instead = format!("write `mod {name};` in {parent}, or remove the file");
            complaints.push(file.complaint(1, "no module declares this file", &instead));
        }
    }
    complaints
}

/// Each command has a variant of its name in one of the [`MODELS`], so tests and fuzz targets run it. One that is
/// made of any other (`impl<C: Command> Command for Signed<C>`) does what that does and needs none.
fn commands_without_op(tree: &Tree) -> Vec<String> {
    let models: Vec<_> =
        MODELS.iter().filter_map(|path| tree.file(path)).map(File::tokens).collect();
    if models.is_empty() {
        return Vec::new();
    }
    let ops: BTreeSet<&str> = models
        .iter()
        .flat_map(|tokens| paths(tokens))
        .filter_map(|path| path.segments.strip_prefix(&["Self"])?.first().copied())
        .collect();
    let tests: BTreeSet<&str> = tree.files.iter().flat_map(File::test_names).collect();
    let proven = PROVEN_BY_PROPERTY.iter().filter(|(_, test)| tests.contains(test));
    let known = |name| ops.contains(name) || proven.clone().any(|(command, _)| *command == name);
    let mut complaints = Vec::new();
    for file in tree.crate_files() {
        let tokens = file.shipped();
        for at in 0..tokens.len() {
            let name = text(&tokens, at + 3);
            if starts_with(&tokens, at, &["impl", "Command", "for"]) && !known(name) {
                let line = tokens.get(at).map_or(1, |token| token.line);
                let instead = "give it one in src/testing, and say in the model what it does";
                let what = format!("command `{name}` has no variant among the operations");
                complaints.push(file.complaint(line, &what, instead));
            }
        }
    }
    complaints
}

/// Each variant of what the fuzz targets run is made there.
fn out_of_reach(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, name, maker) in RUN_BY_TARGETS {
        let (Some(file), Some(maker)) = (tree.file(path), tree.file(maker)) else { continue };
        let tokens = maker.tokens();
        let made = paths(&tokens);
        let is_made = |variant| made.iter().any(|path| path.segments.starts_with(&[name, variant]));
        for (line, variant) in file.variants_of(name) {
            if !is_made(variant) {
                let what = format!("no fuzz target makes `{name}::{variant}`");
                let instead = format!("make it of few bytes in {}", maker.path);
                complaints.push(file.complaint(line, &what, &instead));
            }
        }
    }
    complaints
}

/// Each stable name of a failure, a refusal's or a fault's, stands in the table that maps them to
/// exit codes, so that none gets the code of the rest by accident.
fn codes_without_exit(tree: &Tree) -> Vec<String> {
    let Some(exits) = tree.file("src/cli/exit.rs") else { return Vec::new() };
    let tables = EXIT_TABLES.iter().flat_map(|table| exits.bodies_of(table));
    let listed: BTreeSet<&str> = tables.flat_map(|(_, body)| codes(body)).collect();
    let mut complaints = Vec::new();
    for file in tree.crate_files() {
        let mut given = Vec::new();
        for (line, body) in file.bodies_of("code") {
            given.extend(codes(body).map(|code| (line, code)));
        }
        for (line, arguments) in file.calls_of("Failed::new") {
            let code = arguments.trim_start().strip_prefix('"').and_then(|a| a.split('"').next());
            given.extend(code.map(|code| (line, code)));
        }
        for (line, code) in given.into_iter().filter(|(_, code)| !listed.contains(code)) {
            let what = format!("no exit code is chosen for `{code}`");
            let instead = "list it in its table in src/cli/exit.rs";
            complaints.push(file.complaint(line, &what, instead));
        }
    }
    complaints
}

/// The words in quotes that look like a stable name.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('"').skip(1).step_by(2);
    quoted.filter(|word| {
        word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

fn invariants(tree: &Tree) -> Vec<String> {
    let Some(design) = &tree.design else { return Vec::new() };
    let tests: BTreeSet<&str> = tree.files.iter().flat_map(File::test_names).collect();
    let mut complaints = Vec::new();
    let mut last = 0_u32;
    for (index, row) in design.lines().enumerate() {
        let Some((number, guards)) = invariant_row(row) else { continue };
        let mut complain = |what: String, instead: &str| {
            complaints.push(format!("DESIGN.md:{}: {what}. Instead: {instead}.", index + 1));
        };
        // Comments name a promise by its number, so a number is for ever; work side by side leaves gaps.
        if number <= last {
            complain(format!("I{number} follows I{last}"), "give it a number that only grows");
        }
        last = number;
        // Every second piece of a text split at its backticks stands between two.
        let mut named = guards.split('`').skip(1).step_by(2).peekable();
        if named.peek().is_none() {
            let instead = "name one in the last column, in backticks";
            complain(format!("I{number} names no test"), instead);
        }
        for name in named {
            if !name.rsplit("::").next().is_some_and(|name| tests.contains(name)) {
                let what = format!("I{number} names `{name}`, but no #[test] has that name");
                complain(what, "name the test that guards it now, or write it");
            }
        }
    }
    if last == 0 {
        let instead = "a table with rows `| I1 | statement | guard | `a_test` |`";
        complaints.push(format!("DESIGN.md:1: no invariants. Instead: {instead}."));
    }
    complaints
}

/// The number and the last column of a row `| I1 | statement | guard | tests |`.
fn invariant_row(row: &str) -> Option<(u32, &str)> {
    let mut cells = row.trim().strip_prefix('|')?.strip_suffix('|')?.split('|');
    let number = cells.next()?.trim().strip_prefix('I')?.parse().ok()?;
    Some((number, cells.nth(2).map_or("", |guard| cells.next_back().unwrap_or(guard))))
}

fn banned_tokens(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in &tree.files {
        let tokens = file.tokens();
        for (at, token) in tokens.iter().enumerate() {
            let banned = BANNED.iter().filter(|(words, _)| starts_with(&tokens, at, words));
            complaints.extend(banned.map(|(words, instead)| {
                file.complaint(token.line, &format!("`{}`", words.concat()), instead)
            }));
        }
    }
    complaints
}
