//! Where a database may lie and what may stand at its path: odd names work, what is no database is
//! refused, and a refused file keeps every byte.
#![expect(clippy::disallowed_methods, reason = "plain files, read while nobody has them open")]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use autoforge_store::{Features, GetStats, OpenError, OpenOptions, StorageError, Store};

use crate::support::{Project, create, foreign, names, texts};

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::<Features>::open_file(path, &OpenOptions::default())
}

#[test]
fn names_that_mean_something_elsewhere_are_plain_names_here() {
    let project = Project::new();
    for name in [
        "with space",
        "quote's and \"double\"",
        "100%25",
        "what?mode=memory",
        "hash#tag",
        "file:uri",
        "\u{fc}n\u{ef}c\u{f6}de \u{65e5}\u{672c} \u{1f980}",
        "new\nline",
        "tab\tand\\backslash",
        ":memory:",
        "-rf",
        "semi;colon & ampersand",
        "\u{1b}[31mred",
    ] {
        let folder = project.folder().join(name);
        let store = Store::open_project(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        store.call(create("x")).unwrap();
        store.close();
        let database = folder.join(".autoforge/features.db");
        assert_eq!(texts(&foreign(&database), "SELECT name FROM features"), ["x"], "{name}");

        let odd_file = project.folder().join(format!("{name}.db"));
        let store = open(&odd_file).unwrap_or_else(|error| panic!("{name}: {error}"));
        store.call(create("y")).unwrap();
        store.close();
        assert!(odd_file.is_file(), "{name}");
        assert_eq!(names(&open(&odd_file).unwrap()), ["y"], "{name}");
    }
}

#[test]
fn a_name_that_is_no_utf8_works() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let project = Project::new();
    let path = project.folder().join(OsStr::from_bytes(b"\xff\xfe.db"));
    let store = open(&path).unwrap();
    store.call(create("x")).unwrap();
    store.close();
    assert_eq!(names(&open(&path).unwrap()), ["x"]);
}

#[test]
fn a_path_as_long_as_sqlite_handles_works_and_a_longer_one_is_refused() {
    let project = Project::new();
    let max = 503;
    let path = |length: usize| {
        let mut folder = project.folder().to_path_buf();
        // Names end at 255 bytes, so the length is reached through folders.
        while folder.as_os_str().len() + 210 < length {
            folder.push("f".repeat(100));
        }
        std::fs::create_dir_all(&folder).unwrap();
        let name = "n".repeat(length - folder.as_os_str().len() - 1);
        folder.join(name)
    };
    let longest = path(max);
    assert_eq!(longest.as_os_str().len(), max);
    let store = open(&longest).unwrap();
    store.call(create("x")).unwrap();
    assert!(store.close().checkpoint.unwrap().complete);
    assert_eq!(names(&open(&longest).unwrap()), ["x"]);

    let error = open(&path(max + 1)).unwrap_err();
    assert!(matches!(error, OpenError::PathTooLong { bytes: 504, max: 503, .. }), "{error}");
    assert!(!path(max + 1).exists());
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let project = Project::new();
    let at = |name: &str| project.folder().join(name);
    std::fs::create_dir(at("folder")).unwrap();
    let fifo = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, fifo, 0).unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    symlink(at("folder"), at("link-to-folder")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    for (name, what) in [
        ("folder", "a folder"),
        ("link-to-folder", "a folder"),
        ("pipe", "a named pipe"),
        ("socket", "a socket"),
        ("dangling", "a link that leads nowhere"),
    ] {
        let error = open(&at(name)).unwrap_err();
        assert!(matches!(error, OpenError::NotAFile { found, .. } if found == what), "{error}");
    }
    assert!(matches!(open(Path::new("/dev/null")), Err(OpenError::NotAFile { .. })));
    assert!(matches!(open(&at("..")), Err(OpenError::NotAFile { .. })));
    assert!(open(Path::new("")).is_err());
    assert!(!at("nowhere").exists());
}

#[test]
fn a_dangling_link_in_the_place_of_the_database_is_not_overlooked() {
    let project = Project::new();
    std::fs::create_dir(project.folder().join(".autoforge")).unwrap();
    symlink("/nowhere/at/all.db", project.database()).unwrap();
    let error = Store::open_project(project.folder()).unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error}");
}

#[test]
fn a_loop_of_links_is_refused() {
    let project = Project::new();
    let at = |name: &str| project.folder().join(name);
    symlink(at("b"), at("a")).unwrap();
    symlink(at("a"), at("b")).unwrap();
    assert!(matches!(open(&at("a")), Err(OpenError::System { .. })));
}

#[test]
fn a_hard_linked_database_is_refused_by_either_name() {
    let (project, store) = Project::with_features(1);
    store.close();
    let other = project.folder().join("second-name.db");
    std::fs::hard_link(project.database(), &other).unwrap();
    let before = std::fs::read(project.database()).unwrap();
    for path in [project.database(), other.clone()] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::HardLinked { links: 2, .. }), "{error}");
    }
    assert_eq!(std::fs::read(project.database()).unwrap(), before);
    std::fs::remove_file(&other).unwrap();
    assert_eq!(names(&project.open()), ["Feature 1"]);
}

/// Opening the project must fail and leave the file byte for byte as it was, with no side file that
/// was not there.
fn refuses(project: &Project, bytes: &[u8]) -> OpenError {
    std::fs::write(project.database(), bytes).unwrap();
    let opened = Store::open_project(project.folder());
    let error = opened.expect_err(&format!("{} bytes are no database", bytes.len()));
    assert_eq!(std::fs::read(project.database()).unwrap(), bytes);
    let folder = project.folder().join(".autoforge");
    let left: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(".gitignore") && *path != project.database())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    error
}

fn with_folder() -> Project {
    let project = Project::new();
    std::fs::create_dir(project.folder().join(".autoforge")).unwrap();
    project
}

#[test]
fn a_file_that_is_no_database_is_refused_untouched() {
    let project = with_folder();
    for bytes in [
        b"just some notes, and no database at all".repeat(40),
        vec![0xff; 8192],
        vec![0; 8192],
        b"{\"features\": []}".to_vec(),
        b"SQLite format 3".to_vec(),
    ] {
        let error = refuses(&project, &bytes);
        let code = error.code();
        assert!(["not_a_database", "corrupt"].contains(&code), "{} bytes: {error}", bytes.len());
    }
}

#[test]
fn a_database_that_was_cut_is_refused_untouched() {
    let (other, store) = Project::with_features(200);
    store.close();
    let whole = std::fs::read(other.database()).unwrap();
    let project = with_folder();
    for length in [2, 16, 99, 100, 511, 512, 4095, 4096, 8192, 4096 * 5, whole.len() / 2] {
        let error = refuses(&project, &whole[..length]);
        let code = error.code();
        assert!(["not_a_database", "corrupt"].contains(&code), "{length} bytes: {error}");
    }
}

#[test]
fn an_error_about_the_file_is_never_taken_for_a_project_without_features() {
    let project = with_folder();
    let list = project.folder().join("feature_list.json");
    std::fs::write(&list, r#"[{"name": "From the list"}]"#).unwrap();
    refuses(&project, &[b'x'; 5000]);
    assert!(list.exists(), "nothing was imported, so nothing is renamed");

    // The same for a table that cannot be read any more.
    let (other, store) = Project::with_features(300);
    store.close();
    let mut damaged = std::fs::read(other.database()).unwrap();
    let last_half = damaged.len() / 2;
    damaged[last_half..].fill(0x5a);
    std::fs::write(project.database(), &damaged).unwrap();
    match Store::open_project(project.folder()) {
        Err(OpenError::Storage(StorageError::Corrupt { .. })) => {}
        Err(error) => panic!("{error}"),
        Ok(store) => {
            assert_eq!(store.opening().imported, None);
            match store.call(GetStats) {
                Err(error) => assert_eq!(error.code(), "corrupt"),
                Ok(stats) => assert_eq!(stats.total, 300),
            }
        }
    }
    assert!(list.exists());
}

#[test]
fn an_empty_file_becomes_a_database() {
    // SQLite, and so AutoForge, takes a file without a byte for a new database, and one of a single
    // byte as well, since it once marked new files that way.
    for bytes in ["", "S"] {
        let project = with_folder();
        std::fs::write(project.database(), bytes).unwrap();
        let store = project.open();
        store.call(create("x")).unwrap();
        assert_eq!(names(&store), ["x"]);
    }
}

#[test]
fn a_folder_that_cannot_hold_a_project_is_an_error() {
    let project = Project::new();
    let file = project.folder().join("file");
    std::fs::write(&file, b"text").unwrap();
    assert!(matches!(Store::open_project(&file), Err(OpenError::System { .. })));
    assert!(matches!(Store::open_project(file.join("below")), Err(OpenError::System { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), b"text");
}
