//! What the commands store and show.

use autoforge_store::{
    AddMessage, ConversationTitle, CreateConversation, DeleteConversation, Error, GetConversation,
    GetMessages, ListConversations, MessageSpan, NewConversation, RenameConversation, Role,
    Timestamp,
};

use super::{Project, answers, begin, begun, message, messages, says, texts};
use crate::support::{number, text, together};

fn title(text: &str) -> ConversationTitle {
    ConversationTitle::new(text).unwrap()
}

#[test]
fn a_conversation_is_what_was_said_in_it_in_that_order() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    store.call(says(id, "Where is the login?")).unwrap();
    store.call(answers(id, "In `auth.py`. 日本語")).unwrap();
    let system = AddMessage { conversation: id, message: message(Role::System, "") };
    store.call(system).unwrap();
    store.close();
    let store = project.open();
    let whole = store.call(GetConversation { id, latest: usize::MAX }).unwrap();
    assert_eq!(whole.count, 3);
    let said: Vec<_> =
        whole.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
    let expected =
        [("user", "Where is the login?"), ("assistant", "In `auth.py`. 日本語"), ("system", "")];
    assert_eq!(said, expected);
    assert_eq!(
        store.call(GetConversation { id, latest: 1 }).unwrap().messages,
        whole.messages[2..]
    );
}

#[test]
fn the_first_user_message_names_an_untitled_conversation_and_no_other_does() {
    let project = Project::new();
    let store = project.open();
    let name = |id| store.call(GetConversation { id, latest: 0 }).unwrap().conversation.title;
    let id = begin(&store);
    store
        .call(AddMessage { conversation: id, message: message(Role::System, "Be kind.") })
        .unwrap();
    store.call(answers(id, "How can I help?")).unwrap();
    assert_eq!(name(id), None);
    store.call(says(id, " \n")).unwrap();
    assert_eq!(name(id), None, "a name that nobody can see is none");
    let question = "é".repeat(60);
    store.call(says(id, &question)).unwrap();
    let expected = "é".repeat(50) + "...";
    assert_eq!(name(id), Some(expected.clone()));
    store.call(says(id, "Thanks")).unwrap();
    assert_eq!(name(id), Some(expected));

    let titled = NewConversation::new("shop").unwrap().titled(title("By hand"));
    let id = store.call(CreateConversation(titled)).unwrap().id;
    store.call(says(id, "Hi")).unwrap();
    assert_eq!(name(id).as_deref(), Some("By hand"));
    // Python's programs may leave an empty title, which names as little as none.
    project.foreign().execute("UPDATE conversations SET title = ''", []).unwrap();
    assert_eq!(name(id), None);
    store.call(says(id, "Now")).unwrap();
    assert_eq!(name(id).as_deref(), Some("Now"));
}

#[test]
fn of_two_first_messages_at_once_one_names_the_conversation() {
    let project = Project::new();
    let store = project.open();
    for _ in 0..20 {
        let id = begin(&store);
        let texts = together(2, |at| {
            let text = format!("text {at}");
            store.clone().call(says(id, &text)).unwrap();
            text
        });
        let whole = store.call(GetConversation { id, latest: usize::MAX }).unwrap();
        assert_eq!(whole.messages.len(), 2);
        assert!(texts.contains(&whole.conversation.title.unwrap()));
    }
}

#[test]
fn times_are_stored_as_python_stores_them_and_read_as_they_were() {
    let project = Project::new();
    let store = project.open();
    let before = Timestamp::now();
    let conversation = begun(&store);
    let added = store.call(says(conversation.id, "Hi")).unwrap();
    let after = Timestamp::now();
    let file = project.foreign();
    let at = added.at.unwrap();
    assert!(before <= conversation.created_at.unwrap() && at <= after);
    let stored = text(&file, "SELECT timestamp FROM conversation_messages");
    assert_eq!(stored, at.to_sqlite_text());
    assert_eq!(text(&file, "SELECT updated_at FROM conversations"), stored);
    let created = text(&file, "SELECT created_at FROM conversations");
    assert_eq!(created, conversation.created_at.unwrap().to_sqlite_text());
    // `%Y-%m-%d %H:%M:%S.%f`, six digits always.
    for time in [stored, created] {
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000000");
    }
    let kinds = "SELECT count(*) FROM conversation_messages WHERE typeof(timestamp) = 'text'";
    assert_eq!(number(&file, kinds), 1);
}

#[test]
fn a_clock_that_was_set_back_brings_no_answer_before_its_question() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    store.call(says(id, "question")).unwrap();
    let file = project.foreign();
    file.execute("UPDATE conversation_messages SET timestamp = '2999-01-01 00:00:00.000001'", [])
        .unwrap();
    let answer = store.call(answers(id, "answer")).unwrap();
    assert_eq!(answer.at.unwrap().to_sqlite_text(), "2999-01-01 00:00:00.000001");
    assert_eq!(texts(&store, id), ["question", "answer"]);
    // When the conversation was used is another matter.
    let used = store.call(GetConversation { id, latest: 0 }).unwrap().conversation.updated_at;
    assert!(used.unwrap() <= Timestamp::now());
}

#[test]
fn conversations_are_listed_by_their_last_update_with_the_number_of_messages() {
    let project = Project::new();
    let store = project.open();
    let ids: Vec<_> = (0..4).map(|_| begin(&store)).collect();
    let other = NewConversation::new("blog").unwrap();
    let elsewhere = store.call(CreateConversation(other)).unwrap().id;
    for (at, count) in [(2, 3), (0, 1)] {
        for _ in 0..count {
            store.call(says(ids[at], "x")).unwrap();
        }
    }
    // All in one group of commands have one time, in which order then tells the younger one.
    project
        .foreign()
        .execute_batch(
            "UPDATE conversations SET updated_at = '2026-01-0' || (CASE id WHEN 1 THEN 9 WHEN 3
             THEN 8 ELSE 1 END) || ' 00:00:00.000000'",
        )
        .unwrap();
    let list = |command: ListConversations| {
        let page = store.call(command).unwrap();
        assert_eq!(page.next, None);
        let listed = page.conversations.into_iter();
        listed.map(|listed| (listed.conversation.id, listed.messages)).collect::<Vec<_>>()
    };
    let shop = [(ids[0], 1), (ids[2], 3), (ids[3], 0), (ids[1], 0)];
    assert_eq!(list(ListConversations::of("shop")), shop);
    assert_eq!(list(ListConversations::of("blog")), [(elsewhere, 0)]);
    assert_eq!(list(ListConversations::of("nothing")), []);
    assert_eq!(list(ListConversations::all()).len(), 5);
    let first = store.call(ListConversations { limit: 0, ..ListConversations::all() }).unwrap();
    assert!(first.conversations.is_empty() && first.next.is_none());
}

#[test]
fn a_page_of_the_list_stays_valid_while_conversations_move_and_go() {
    let project = Project::new();
    let store = project.open();
    let ids: Vec<_> = (0..5).map(|_| begin(&store)).collect();
    let page = |after| {
        let command = ListConversations { after, limit: 2, ..ListConversations::of("shop") };
        let page = store.call(command).unwrap();
        let ids: Vec<_> = page.conversations.iter().map(|listed| listed.conversation.id).collect();
        (ids, page.next)
    };
    let (first, next) = page(None);
    assert_eq!(first, [ids[4], ids[3]]);
    // What was on the page goes, and what is behind it comes to the top.
    store.call(DeleteConversation { id: ids[3] }).unwrap();
    store.call(says(ids[2], "x")).unwrap();
    let (second, next) = page(next);
    assert_eq!((second, next), (vec![ids[1], ids[0]], None));
}

#[test]
fn renaming_changes_the_title_and_nothing_else() {
    let project = Project::new();
    let store = project.open();
    let before = begun(&store);
    let (id, to) = (before.id, Some(title("Log in")));
    let after = store.call(RenameConversation { id, title: to }).unwrap();
    assert_eq!(after.title.as_deref(), Some("Log in"));
    let read = store.call(GetConversation { id, latest: 0 }).unwrap().conversation;
    assert_eq!((read.updated_at, &read), (before.updated_at, &after));
    assert_eq!(store.call(RenameConversation { id, title: None }).unwrap(), before);
}

#[test]
fn a_conversation_goes_with_its_messages_and_with_no_others() {
    let project = Project::new();
    let store = project.open();
    let (one, two) = (begin(&store), begin(&store));
    for id in [one, two, one] {
        store.call(says(id, "x")).unwrap();
    }
    let deleted = store.call(DeleteConversation { id: one }).unwrap();
    assert_eq!((deleted.conversation.id, deleted.messages), (one, 2));
    assert_eq!(messages(&store, two).len(), 1);
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM conversation_messages"), 1);
}

#[test]
fn a_conversation_that_does_not_exist_is_said_by_every_command() {
    let project = Project::new();
    let store = project.open();
    let id = 7.into();
    let span = MessageSpan::Latest;
    let refusals = [
        store.call(says(id, "x")).map(drop),
        store.call(RenameConversation { id, title: None }).map(drop),
        store.call(DeleteConversation { id }).map(drop),
        store.call(GetConversation { id, latest: 1 }).map(drop),
        store.call(GetMessages { conversation: id, span, limit: 1 }).map(drop),
    ];
    for refusal in refusals {
        let Err(error @ Error::Refused(_)) = refusal else { panic!("{refusal:?}") };
        assert_eq!((error.code(), error.retryable()), ("unknown_conversation", false));
        assert!(error.to_string().contains("conversation 7 does not exist"), "{error}");
    }
    assert_eq!(number(&project.foreign(), "SELECT count(*) FROM conversation_messages"), 0);
}

#[test]
fn an_id_of_a_conversation_is_never_given_out_again() {
    let project = Project::new();
    let store = project.open();
    let (one, two) = (begin(&store), begin(&store));
    store.call(DeleteConversation { id: two }).unwrap();
    store.close();
    let store = project.open();
    assert_eq!(begin(&store), 3.into());
    // As AutoForge deletes.
    project.foreign().execute("DELETE FROM conversations WHERE id = 3", []).unwrap();
    assert_eq!(begin(&store), 4.into());
    // An answer that is still on its way to a deleted conversation reaches no other one.
    assert!(
        store.call(answers(two, "late")).is_err() && store.call(answers(3.into(), "")).is_err()
    );
    assert!(store.call(answers(one, "in time")).is_ok());
}

#[test]
fn a_new_conversation_inherits_nothing_that_another_program_left_behind() {
    let project = Project::new();
    let store = project.open();
    // What AutoForge leaves when a conversation is deleted while an answer to it streams in.
    let orphans = "INSERT INTO conversation_messages (conversation_id, role, content) VALUES
        (1, 'user', 'orphan'), (2, 'assistant', 'orphan'), ('text', 'user', 'odd')";
    project.foreign().execute_batch(orphans).unwrap();
    let id = begin(&store);
    assert_eq!(id, 3.into());
    assert!(messages(&store, id).is_empty());
}

#[test]
fn whatever_python_left_in_a_column_is_read() {
    let project = Project::new();
    let store = project.open();
    project
        .foreign()
        .execute_batch(
            "INSERT INTO conversations VALUES
                (1, 'shop', NULL, NULL, 'soon'),
                (2, CAST(x'ff' AS TEXT), 7, '2026-01-01', '2026-01-01T01:02:03+01:00');
             INSERT INTO conversation_messages VALUES
                (1, 1, 'tool', x'ff00', NULL), (2, 1, 7, 8, 9);",
        )
        .unwrap();
    let odd = store.call(GetConversation { id: 1.into(), latest: 9 }).unwrap();
    assert_eq!((odd.conversation.created_at, odd.conversation.updated_at), (None, None));
    let said: Vec<_> =
        odd.messages.iter().map(|m| (m.role.as_str(), m.content.as_str(), m.at)).collect();
    assert_eq!(said, [("tool", "\u{fffd}\0", None), ("7", "8", None)]);
    let odd = store.call(GetConversation { id: 2.into(), latest: 9 }).unwrap().conversation;
    assert_eq!((odd.project.as_str(), odd.title.as_deref()), ("\u{fffd}", Some("7")));
    assert_eq!(odd.created_at.unwrap().to_sqlite_text(), "2026-01-01 00:00:00.000000");
    assert_eq!(odd.updated_at.unwrap().to_sqlite_text(), "2026-01-01 00:02:03.000000");
}
