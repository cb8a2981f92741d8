//! A client of the MCP server: a child process, one line a message, nothing hidden.
#![cfg(test)]

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

/// A server process, and the client's end of its streams. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Messages that came while another one was waited for.
    early: VecDeque<Value>,
    last_id: u64,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) is_error: bool,
    pub(crate) text: String,
    /// The structured content; null for a plain sentence.
    pub(crate) body: Value,
}

/// The server's command line, without an environment of its own.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoforge-store"));
    command.arg("mcp").env_clear();
    command
}

/// The server of a project that its environment names.
pub(crate) fn command_for(project: impl AsRef<OsStr>) -> Command {
    let mut command = command();
    command.env("PROJECT_DIR", project);
    command
}

impl Server {
    /// A server of a project, introduced.
    pub(crate) fn of(project: impl AsRef<Path>) -> Self {
        let mut server = Self::spawn(&mut command_for(project.as_ref()));
        server.introduce("2025-06-18");
        server
    }

    /// A server of a project that was started with these options, introduced.
    pub(crate) fn with(project: impl AsRef<Path>, options: &[&str]) -> Self {
        let mut server = Self::spawn(command_for(project.as_ref()).args(options));
        server.introduce("2025-06-18");
        server
    }

    /// A server that nobody has spoken to yet.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output, early: VecDeque::new(), last_id: 0 }
    }

    /// The handshake; gives what the server says of itself.
    pub(crate) fn introduce(&mut self, revision: &str) -> Value {
        let client = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": client});
        let answer = self.request("initialize", params);
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer["result"].clone()
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_bytes(format!("{message}\n").as_bytes());
    }

    /// Sends a call without waiting for its answer.
    pub(crate) fn send_call(&mut self, id: &str, tool: &str, arguments: &Value) {
        let params = json!({"name": tool, "arguments": arguments});
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        self.send(&call);
    }

    /// The next message, whatever it is.
    pub(crate) fn receive(&mut self) -> Value {
        self.try_receive().unwrap_or_else(|| panic!("the server ended: {}", self.stderr()))
    }

    /// The next message; `None` at the end.
    pub(crate) fn try_receive(&mut self) -> Option<Value> {
        if let Some(message) = self.early.pop_front() {
            return Some(message);
        }
        let mut line = String::new();
        if self.output.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let message: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error} in {line:?}; stderr: {}", self.stderr()));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        Some(message)
    }

    /// The answer to a request; others stay for later.
    pub(crate) fn answer_to(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        let mut others = VecDeque::new();
        loop {
            let message = self.receive();
            if message["id"] == id {
                others.append(&mut self.early);
                self.early = others;
                return message;
            }
            others.push_back(message);
        }
    }

    /// The answer to a call that was sent before.
    pub(crate) fn result_of(&mut self, id: &str) -> Answer {
        Answer::of(&self.answer_to(id))
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            request["params"] = params;
        }
        self.send(&request);
        self.answer_to(id)
    }

    pub(crate) fn ping(&mut self) {
        assert_eq!(self.request("ping", Value::Null)["result"], json!({}));
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Answer {
        let mut params = json!({"name": tool});
        params["arguments"] = arguments;
        Answer::of(&self.request("tools/call", params))
    }

    /// The object that a tool answers with where it does its work.
    pub(crate) fn done(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments);
        assert!(!answer.is_error && answer.body["error"].is_null(), "{answer:?}");
        answer.body
    }

    /// The code with which the data forbids a call.
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments);
        assert!(!answer.is_error && answer.body["error"].is_string(), "{answer:?}");
        assert!(answer.body["retryable"].is_boolean() && answer.body["feature_ids"].is_array());
        answer.body["code"].as_str().unwrap().to_owned()
    }

    /// The sentence with which a call is rejected, and its code.
    pub(crate) fn rejected(&mut self, tool: &str, arguments: Value) -> (String, String) {
        let answer = self.call(tool, arguments);
        assert!(answer.is_error, "{answer:?}");
        let text = |key: &str| answer.body[key].as_str().unwrap_or_default().to_owned();
        (text("error"), text("code"))
    }

    /// A feature that waits for these.
    pub(crate) fn create(&mut self, name: &str, dependencies: &[i64]) -> i64 {
        let arguments = json!({"category": "A", "name": name, "description": "d", "steps": ["s"]});
        let id = self.done("feature_create", arguments)["feature"]["id"].as_i64().unwrap();
        if !dependencies.is_empty() {
            let arguments = json!({"feature_id": id, "dependency_ids": dependencies});
            self.done("feature_set_dependencies", arguments);
        }
        id
    }

    /// Ends the process at this moment, without a chance to clean up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Closes stdin, as a client does that has no more to say.
    pub(crate) fn hang_up(&mut self) {
        drop(self.input.take());
    }

    /// Hangs up and waits for the end; nothing may come after the last answer.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.hang_up();
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        self.child.wait().unwrap()
    }

    /// All that the server said on stderr; ends it.
    pub(crate) fn stderr(&mut self) -> String {
        self.hang_up();
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text).unwrap();
        }
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    fn of(message: &Value) -> Self {
        let result = &message["result"];
        let [content] = result["content"].as_array().unwrap().as_slice() else {
            panic!("not one content block: {message}");
        };
        assert_eq!(content["type"], "text");
        let text = content["text"].as_str().unwrap().to_owned();
        let body = result["structuredContent"].clone();
        // Some clients show the model only the one, some only the other.
        let same = serde_json::to_string(&body).unwrap();
        assert!(body.is_null() || same == text, "{message}");
        Self { is_error: result["isError"] == true, text, body }
    }
}
