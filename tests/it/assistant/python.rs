//! AutoForge's own programs beside us: Python's sqlite3 with the statements that they issue. Not run
//! where there is no Python; what it must find is checked without it in `content`.

use std::process::{Command as Program, Stdio};

use autoforge_store::{GetConversation, ListConversations, Role};

use super::migration::AUTOFORGE;
use super::{Project, answers, begin, messages, says};
use crate::support::say_note;

/// What Python prints for a script on the file.
fn python(project: &Project, script: &str, arguments: &[&str]) -> Option<String> {
    let mut program = Program::new("python3");
    program.args(["-c", script]).arg(project.database()).args(arguments);
    let Ok(output) = program.stderr(Stdio::inherit()).output() else {
        say_note("not run: there is no python3");
        return None;
    };
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

/// As AutoForge adds a message: looks for the conversation, then inserts, then touches it, with the
/// times that `SQLAlchemy` writes.
const ADD: &str = r#"
import sqlite3, sys
from datetime import datetime, timezone
db = sqlite3.connect(sys.argv[1], timeout=60)
def stored(at):
    return at.strftime("%Y-%m-%d %H:%M:%S.") + "%06d" % at.microsecond
def now():
    return stored(datetime.now(timezone.utc).replace(tzinfo=None))
for n in range(int(sys.argv[3])):
    row = db.execute("SELECT id, title FROM conversations WHERE id = ?", (sys.argv[2],)).fetchone()
    text = "theirs %d" % n
    db.execute("INSERT INTO conversation_messages (conversation_id, role, content, timestamp)"
               " VALUES (?, 'user', ?, ?)", (row[0], text, now()))
    db.execute("UPDATE conversations SET updated_at = ?, title = coalesce(title, ?) WHERE id = ?",
               (now(), text, row[0]))
    db.commit()
"#;

/// Reads every time as `SQLAlchemy` does, writes it back, and says where that makes a difference.
const READ: &str = r#"
import sqlite3, sys
from datetime import datetime
db = sqlite3.connect(sys.argv[1])
for table, columns in (("conversations", ("created_at", "updated_at")),
                       ("conversation_messages", ("timestamp",))):
    for column in columns:
        for (text,) in db.execute("SELECT %s FROM %s" % (column, table)):
            at = datetime.fromisoformat(text)
            again = at.strftime("%Y-%m-%d %H:%M:%S.") + "%06d" % at.microsecond
            assert text == again and at.tzinfo is None, text
for row in db.execute("SELECT title FROM conversations ORDER BY id"):
    print(row[0])
for row in db.execute("SELECT role, content FROM conversation_messages"
                      " WHERE conversation_id = 3 ORDER BY timestamp"):
    print(row[0], row[1].encode("unicode_escape").decode())
"#;

#[test]
fn python_reads_what_we_wrote_to_the_byte() {
    let project = Project::with_database(AUTOFORGE);
    let store = project.open();
    let id = begin(&store);
    store.call(says(id, &"日".repeat(51))).unwrap();
    store.call(answers(id, "nul \0, quote ', \u{1f980}")).unwrap();
    let Some(said) = python(&project, READ, &[]) else { return };
    let title = "日".repeat(50) + "...";
    let escaped = "\\u65e5".repeat(51);
    let expected = [
        "Where is the login handled? Please explain it in d...",
        "None",
        &title,
        &format!("user {escaped}"),
        r"assistant nul \x00, quote ', \U0001f980",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn beside_python_writers_no_message_is_lost_and_each_is_read_as_it_was_said() {
    const EACH: usize = 60;
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    let count = EACH.to_string();
    let ran = std::thread::scope(|scope| {
        let theirs: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| python(&project, ADD, &[&id.to_string(), &count])))
            .collect();
        for n in 0..EACH {
            store.call(answers(id, &format!("ours {n}"))).unwrap();
        }
        theirs.into_iter().all(|thread| thread.join().unwrap().is_some())
    });
    if !ran {
        return;
    }
    let all = messages(&store, id);
    let by = |role: Role| all.iter().filter(|message| message.role == role).count();
    assert_eq!((by(Role::User), by(Role::Assistant)), (2 * EACH, EACH));
    assert!(all.iter().all(|message| message.at.is_some()));
    let ours: Vec<_> =
        all.iter().filter(|m| m.role == Role::Assistant).map(|m| m.content.as_str()).collect();
    let expected: Vec<_> = (0..EACH).map(|n| format!("ours {n}")).collect();
    assert_eq!(ours, expected);
    let whole = store.call(GetConversation { id, latest: 0 }).unwrap();
    assert_eq!(whole.conversation.title.as_deref(), Some("theirs 0"));
    let page = store.call(ListConversations::all()).unwrap();
    assert_eq!(page.conversations[0].messages, 3 * EACH as u64);
}
