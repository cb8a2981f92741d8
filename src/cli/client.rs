//! A small MCP client: one server process of its own, one call at a time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The oldest revision of the protocol that every server of today speaks.
const PROTOCOL: &str = "2025-06-18";
/// More than the longest time for which a command waits for a lock.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the server did not answer {0} in time")]
    Silent(String),
    #[error("the server ended")]
    Ended,
    #[error("{0} is no answer of an MCP server")]
    Garbled(String),
    #[error("{tool} was refused: {message}")]
    Refused { tool: String, message: String },
    #[error("talking to the server failed: {0}")]
    Io(#[from] std::io::Error),
}

/// A server process and the way to it. Dropping it kills the server.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    last_id: u64,
}

/// What a tool answered, and the microseconds it took.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    pub(crate) took: u64,
}

impl Client {
    /// Starts a server that finds in the environment for which project and whom, and introduces
    /// itself.
    pub(crate) async fn start() -> Result<Self, CallError> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("mcp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let requests = child.stdin.take().ok_or(CallError::Ended)?;
        let answers = BufReader::new(child.stdout.take().ok_or(CallError::Ended)?).lines();
        let mut client = Self { child, requests, answers, last_id: 0 };
        let introduction = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "autoforge-store simulated-agent", "version": env!("CARGO_PKG_VERSION")},
        });
        client.request("initialize", &introduction).await?;
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(client)
    }

    /// Calls a tool.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Result<Answer, CallError> {
        let started = Instant::now();
        let call = json!({"name": tool, "arguments": arguments});
        let result = self.request("tools/call", &call).await?;
        let elapsed = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let body = body_of(&result).ok_or_else(|| CallError::Garbled(result.to_string()))?;
        let failed = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
        if failed || body.get("error").is_some() {
            let message = body.get("error").and_then(Value::as_str).map(str::to_owned);
            let message = message.unwrap_or_else(|| body.to_string());
            return Err(CallError::Refused { tool: tool.to_owned(), message });
        }
        Ok(Answer { body, took: elapsed })
    }

    /// Closes the server's input, which ends it, and waits until it is gone.
    pub(crate) async fn close(self) -> Result<(), CallError> {
        let Self { mut child, requests, .. } = self;
        drop(requests);
        let status = timeout(PATIENCE, child.wait())
            .await
            .map_err(|_| CallError::Silent("the end of its input".to_owned()))??;
        if status.success() { Ok(()) } else { Err(CallError::Ended) }
    }

    async fn request(&mut self, method: &str, params: &Value) -> Result<Value, CallError> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request).await?;
        timeout(PATIENCE, self.answer(id))
            .await
            .map_err(|_| CallError::Silent(method.to_owned()))?
    }

    async fn send(&mut self, message: &Value) -> Result<(), CallError> {
        self.requests.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(self.requests.flush().await?)
    }

    /// The result of request `id`; messages of other kinds are passed over.
    async fn answer(&mut self, id: u64) -> Result<Value, CallError> {
        while let Some(line) = self.answers.next_line().await? {
            let Ok(mut message) = serde_json::from_str::<Value>(&line) else {
                return Err(CallError::Garbled(line));
            };
            if message.get("id").and_then(Value::as_u64) != Some(id) {
                continue;
            }
            return match message.get_mut("result") {
                Some(result) => Ok(result.take()),
                None => Err(CallError::Garbled(line)),
            };
        }
        Err(CallError::Ended)
    }
}

/// The object that a tool gave: the structured one, else the one in the text.
fn body_of(result: &Value) -> Option<Value> {
    if let Some(body) = result.get("structuredContent").filter(|body| body.is_object()) {
        return Some(body.clone());
    }
    let text = result.get("content")?.as_array()?.first()?.get("text")?.as_str()?;
    Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
}
