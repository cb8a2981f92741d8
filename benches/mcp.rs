//! How long does an agent wait for the MCP server: for its start, for an answer, and while somebody else writes?
//!
//! The server is the program, a child process that is spoken to over its stdin and stdout, one request at a time.
//! Times are those of the client, from the first byte of a request to the last one of its answer.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, or says where it fails"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use autoforge_store::testing::realistic_backlog;
use autoforge_store::{CreateFeatures, PlannedFeature, Store};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

/// So many calls each.
const CALLS: usize = 2_000;
/// Fewer than there are features.
const PAIRS: usize = 900;
const STARTS: usize = 30;
/// Servers that start at once.
const CROWD: usize = 16;

#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn main() {
    // Cargo runs benchmarks as tests too; there is nothing to find out then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("median / 99 % / longest");
    let (small, large) = (project(1_000), project(10_000));
    let started =
        (0..STARTS).map(|_| timed(|| Server::of(small.path()).request("tools/list", &json!({}))));
    print("from its start to the answer of tools/list", started.collect());

    let mut server = Server::of(small.path());
    print("ping", calls(|| server.request("ping", &json!({}))));
    print(
        "feature_get_stats, 1,000 features",
        calls(|| server.call("feature_get_stats", &json!({}))),
    );
    let pairs: Vec<_> = (0..PAIRS).map(|_| timed(|| claim_and_pass(&mut server))).collect();
    let mean = pairs.iter().map(Duration::as_secs_f64).sum::<f64>() / pairs.len() as f64;
    println!("claim and pass: {:.0} pairs a second", 1.0 / mean);
    print("claim and pass", pairs);
    if let Some(resident) = server.resident() {
        println!("memory of a server, 1,000 features: {:.1} MB", resident / 1e6);
    }

    let mut of_large = Server::of(large.path());
    let ten = json!({"limit": 10});
    print(
        "feature_get_ready(10), 10,000 features",
        calls(|| of_large.call("feature_get_ready", &ten)),
    );

    let file = Connection::open(large.path().join(".autoforge/features.db")).unwrap();
    file.execute_batch("BEGIN IMMEDIATE; UPDATE features SET priority = priority").unwrap();
    print(
        "the same while another program writes",
        calls(|| of_large.call("feature_get_ready", &ten)),
    );
    print("ping meanwhile", calls(|| of_large.request("ping", &json!({}))));
    file.execute_batch("ROLLBACK").unwrap();

    let crowd = timed(|| start_together(small.path()));
    println!("{CROWD} servers at once, all have answered: {}", milliseconds(crowd));
}

/// Features that wait for nothing.
fn project(features: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_project(folder.path()).unwrap();
    let free = |planned| PlannedFeature { depends_on: Vec::new(), ..planned };
    let features = realistic_backlog(features, 1).into_iter().map(free).collect();
    store.call(CreateFeatures::new(features)).unwrap();
    store.close();
    folder
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    std::hint::black_box(work());
    began.elapsed()
}

fn calls<T>(mut call: impl FnMut() -> T) -> Vec<Duration> {
    (0..CALLS).map(|_| timed(&mut call)).collect()
}

fn claim_and_pass(server: &mut Server) {
    let claimed = server.call("feature_claim_next", &json!({}));
    let text = claimed.pointer("/result/content/0/text").and_then(Value::as_str).unwrap();
    let claimed: Value = serde_json::from_str(text).unwrap();
    let id = claimed.pointer("/feature/id").unwrap();
    server.call("feature_mark_passing", &json!({"feature_id": id}));
}

fn start_together(folder: &Path) -> Vec<Value> {
    let mut servers: Vec<Server> = (0..CROWD).map(|_| Server::spawn(folder)).collect();
    for server in &mut servers {
        server.send_introduction();
    }
    servers
        .iter_mut()
        .map(|server| {
            server.receive();
            server.call("feature_get_stats", &json!({}))
        })
        .collect()
}

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| {
        let one = took.get(took.len() * percent / 100).or(took.last());
        milliseconds(one.copied().unwrap_or_default())
    };
    println!("{what}: {} / {} / {}", at(50), at(99), at(100));
}

fn milliseconds(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1_000.0)
}

/// A server, and the client's ends of its streams.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn spawn(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_autoforge-store"))
            .args(["mcp", "--dir"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// One that has been introduced.
    fn of(folder: &Path) -> Self {
        let mut server = Self::spawn(folder);
        server.send_introduction();
        server.receive();
        server
    }

    fn send_introduction(&mut self) {
        let client = json!({"name": "bench", "version": "1"});
        let params =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        self.send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}));
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_ne!(answer.pointer("/result/isError"), Some(&json!(true)), "{answer}");
        answer
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
        self.receive()
    }

    fn send(&mut self, message: &Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    /// The next answer; what else the server has to say is passed over.
    fn receive(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server has ended");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message.get("id").is_some() {
                return message;
            }
        }
    }

    /// Bytes in memory, where the system tells.
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    fn resident(&self) -> Option<f64> {
        let status = format!("/proc/{}/status", self.child.id());
        #[expect(clippy::disallowed_methods, reason = "a file of the kernel, never a database")]
        let status = std::fs::read_to_string(status).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some((kibibytes << 10) as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input at the latest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
