//! Conversations as their readers meet them.

use autoforge_store::{
    AddMessage, Assistant, ConversationTitle, CreateConversation, NewConversation, NewMessage,
    Role, Store,
};
use serde_json::{Value, json};

use super::Project;

/// A project with three conversations: 1 has a question and its answer, 2 is of another name and has
/// a hostile message, 3 has nothing.
fn with_conversations() -> Project {
    let project = Project::empty();
    let store = Store::<Assistant>::open_assistant(project.path()).unwrap();
    let begin = |name: &str| {
        store.call(CreateConversation(NewConversation::new(name).unwrap())).unwrap().id
    };
    let (one, two, three) = (begin("shop"), begin("other"), begin("shop"));
    assert_eq!((one.get(), two.get(), three.get()), (1, 2, 3));
    let says = |conversation, role, text: &str| {
        let message = NewMessage::new(role, text).unwrap();
        store.call(AddMessage { conversation, message }).unwrap();
    };
    says(two, Role::System, "\u{1b}[31mred\u{7}\n\tand\u{202e} more\n");
    says(one, Role::User, "Where is the login?");
    says(one, Role::Assistant, "In `auth.py`:\n\n```\nfn\tmain\n```");
    assert_eq!(store.close().fault, None);
    project
}

#[test]
fn conversations_are_listed_shown_and_deleted() {
    let project = with_conversations();
    let listed = project.json(["conversations", "list"]).data();
    let ids: Vec<_> =
        listed["conversations"].as_array().unwrap().iter().map(|c| &c["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!(3)]);
    let first = &listed["conversations"][0];
    assert_eq!(
        (&first["title"], &first["message_count"], &first["project_name"]),
        (&json!("Where is the login?"), &json!(2), &json!("shop"))
    );
    assert_eq!(listed["more"], false);
    let page = project.json(["conversations", "list", "--project", "shop", "--limit", "1"]).data();
    assert_eq!((page["conversations"].as_array().unwrap().len(), &page["more"]), (1, &json!(true)));
    let lines = project.run(["conversations", "list"]).ok();
    assert!(lines.starts_with("1\tWhere is the login?\t2\t"), "{lines}");

    let shown = project.json(["conversations", "show", "1"]).data();
    let said: Vec<_> = shown["messages"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
    assert_eq!(said, [&json!("user"), &json!("assistant")]);
    let latest = project.run(["conversations", "show", "#1", "--last", "1"]);
    assert!(latest.err.contains("1 earlier messages are not shown"), "{latest:?}");
    let text = latest.ok();
    assert!(text.contains("  fn\tmain\n") && !text.contains("Where is the login?\n  "), "{text}");

    let renamed = project.json(["conversations", "rename", "1", "Login"]).data();
    assert_eq!(
        (&renamed["title"], &renamed["updated_at"]),
        (&json!("Login"), &first["updated_at"])
    );
    assert_eq!(
        project.json(["conversations", "rename", "1", " "]).error(2)["code"],
        "invalid_conversation"
    );
    assert_eq!(project.json(["conversations", "rename", "1"]).data()["title"], Value::Null);

    let refused = project.run(["conversations", "delete", "1"]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert_eq!(project.json(["conversations", "show", "1"]).data()["message_count"], 2);
    let gone = project.json(["conversations", "delete", "1", "--yes"]).data();
    assert_eq!((&gone["deleted"]["id"], &gone["messages"]), (&json!(1), &json!(2)));
    for args in [["show", "1"], ["export", "1"], ["rename", "1"], ["show", "77"]] {
        let error = project.json(["conversations", args[0], args[1]]).error(3);
        assert_eq!(error["code"], "unknown_conversation");
    }
}

#[test]
fn what_steers_a_terminal_is_in_no_text_that_goes_there() {
    let project = with_conversations();
    for args in [["show", "2"], ["export", "2"]] {
        let text = project.run(["conversations", args[0], args[1]]).ok();
        assert!(text.contains("[31mred"), "{text}");
        let hostile = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || c == '\u{202e}';
        assert!(!text.contains(hostile), "{text:?}");
    }
    // A file keeps what was said.
    project.run(["conversations", "export", "2", "out.md"]).ok();
    assert!(project.read("out.md").contains("\u{1b}[31mred\u{7}\n\tand\u{202e} more\n"));
}

#[test]
fn a_conversation_becomes_markdown_as_it_was_said() {
    let project = with_conversations();
    let said = project.run(["conversations", "export", "1", "talk.md"]).ok();
    assert!(said.contains("exported conversation 1 to"), "{said}");
    let text = project.read("talk.md");
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let time = "0000-00-00 00:00:00 UTC";
    let expected = format!(
        "# Where is the login?\n\n- Project: shop\n- Created: {time}\n- Updated: {time}\n\n\
         ## User ({time})\n\nWhere is the login?\n\n\
         ## Assistant ({time})\n\nIn `auth.py`:\n\n```\nfn\tmain\n```\n"
    );
    assert_eq!(shape, expected);
    assert_eq!(project.run(["conversations", "export", "1"]).ok(), text);
    let whole = project.json(["conversations", "export", "1"]).data();
    assert_eq!(whole["messages"][0]["content"], "Where is the login?");

    assert_eq!(
        project.json(["conversations", "export", "3", "talk.md"]).error(4)["code"],
        "file_exists"
    );
    assert_eq!(project.read("talk.md"), text);
    project.run(["conversations", "export", "3", "talk.md", "--force"]).ok();
    assert!(project.read("talk.md").starts_with("# Conversation 3\n"));
    let database = ".autoforge/assistant.db";
    let over = project.run(["conversations", "export", "1", database, "--force"]);
    assert_eq!(over.code, 2, "{over:?}");
    assert_eq!(project.json(["conversations", "list"]).data()["conversations"][2]["id"], 3);
}

#[test]
fn a_title_that_somebody_gave_heads_the_text_in_one_line() {
    let project = Project::empty();
    let store = Store::<Assistant>::open_assistant(project.path()).unwrap();
    let title = ConversationTitle::new("two\nlines").unwrap();
    let new = NewConversation::new("shop").unwrap().titled(title);
    store.call(CreateConversation(new)).unwrap();
    store.close();
    let text = project.run(["conversations", "export", "1"]).ok();
    assert!(text.starts_with("# two lines\n"), "{text}");
}

#[test]
fn looking_for_conversations_makes_no_file() {
    let project = Project::empty();
    let listed = project.json(["conversations", "list"]).data();
    assert_eq!(listed, json!({"conversations": Value::Array(Vec::new()), "more": false}));
    let error = project.json(["conversations", "show", "1"]).error(3);
    assert_eq!(error["message"], "conversation 1 does not exist: the project has none");
    assert!(!project.path().join(".autoforge/assistant.db").exists());
    let nowhere = Project::none();
    for args in [["list", "--json"], ["show", "1"]] {
        assert_eq!(nowhere.run(["conversations", args[0], args[1]]).code, 3);
    }
    assert!(nowhere.names().is_empty());
}
