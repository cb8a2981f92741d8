//! The MCP server in this process, over pipes in memory, and a client of it.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use autoforge_store::Store;
use autoforge_store::mcp::{Options, run_over};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::project::{empty, folder};
use crate::raw::Table;
use crate::scene::Watch;

/// Whoever needs longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const PIPE: usize = 64 << 10;
/// Short enough that a line beyond it costs little.
pub(crate) const MAX_LINE: usize = 64 << 10;

/// A project that servers come to one after the other.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) foreign: Connection,
    runtime: Runtime,
}

impl Place {
    fn new() -> Self {
        let folder = folder();
        let store = Store::open_project(folder.path()).unwrap();
        let foreign = Connection::open(store.path()).unwrap();
        assert_eq!(store.close().fault, None);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder, foreign, runtime }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whatever is done, it comes to an end.
    pub(crate) fn block_on<T>(&self, talk: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { timeout(PATIENCE, talk).await.expect("it hangs") })
    }

    /// The file is sound: claims stand where the flags are, and the history leads to the table.
    pub(crate) fn check(&self) {
        let sound: String =
            self.foreign.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        let mut watch = Watch::new(Table::new());
        let checked = watch.check(&self.foreign);
        if let Err(fault) = checked.and_then(|()| watch.check_history(&self.foreign)) {
            panic!("{fault}");
        }
    }
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Runs in an empty project.
pub(crate) fn with_place(run: impl FnOnce(&Place)) {
    PLACE.with_borrow_mut(|place| {
        let place = place.get_or_insert_with(Place::new);
        empty(&place.foreign);
        run(place);
    });
}

/// The client's end of a server.
pub(crate) struct Client {
    input: DuplexStream,
    output: BufReader<DuplexStream>,
    server: JoinHandle<std::io::Result<()>>,
    last_id: u64,
}

/// The revision that needs no handshake; its requests say so themselves, in any session.
pub(crate) fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

impl Client {
    /// A client that has not introduced itself.
    pub(crate) fn start(options: Options) -> Self {
        let (server_input, input) = duplex(PIPE);
        let (server_output, output) = duplex(PIPE);
        let server =
            tokio::spawn(
                async move { run_over(&options, MAX_LINE, server_input, server_output).await },
            );
        Self { input, output: BufReader::new(output), server, last_id: 0 }
    }

    /// Sends bytes as they are, and hears meanwhile what the server says, up to the answer to the
    /// request of this id; the lines in between are kept.
    pub(crate) async fn say(&mut self, bytes: &[u8], last: &str, heard: &mut Vec<Value>) {
        let Self { input, output, .. } = self;
        let said = async {
            input.write_all(bytes).await.expect("the server takes what it is sent");
            input.flush().await.unwrap();
        };
        let listened = async {
            loop {
                let message = hear(output).await.expect("the server answers");
                let is_last = message["id"] == last;
                heard.push(message);
                if is_last {
                    return;
                }
            }
        };
        // Both at once: neither side may wait for the other to read.
        let mut said = std::pin::pin!(said);
        let mut listened = std::pin::pin!(listened);
        let mut sent = false;
        std::future::poll_fn(|context| {
            if !sent {
                sent = said.as_mut().poll(context).is_ready();
            }
            listened.as_mut().poll(context)
        })
        .await;
    }

    /// The answer to a request, with nothing before it.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.input.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        let answer = hear(&mut self.output).await.expect("the server answers");
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Hangs up; gives what the server still says, and sees it end in order.
    pub(crate) async fn end(self) -> Vec<Value> {
        let Self { input, mut output, server, .. } = self;
        drop(input);
        let mut rest = Vec::new();
        while let Some(message) = hear(&mut output).await {
            rest.push(message);
        }
        server.await.expect("no panic").expect("an orderly end");
        rest
    }
}

/// The next line, which must be a message.
async fn hear(output: &mut BufReader<DuplexStream>) -> Option<Value> {
    let mut line = String::new();
    if output.read_line(&mut line).await.expect("UTF-8") == 0 {
        return None;
    }
    let message: Value =
        serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault}: {line:?}"));
    assert!(line.ends_with('\n'), "a line that was cut off: {line:?}");
    assert_eq!(message["jsonrpc"], "2.0", "{message}");
    Some(message)
}
