//! One message a line, over any pair of byte streams.
//!
//! The SDK's own transport drops lines that are no message without a word, so a client waits for
//! ever for the answer to a request that was cut or held half a surrogate pair. This one answers
//! with an error wherever the request's id can be found, and goes on with the next line.
//!
//! Limits: a line longer than [`MAX_LINE`] is refused unread, and nothing more is read while
//! [`MAX_UNSENT`] answers wait for a client that does not read them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorData, GetMeta, JsonRpcMessage, ProtocolVersion,
    ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde_json::Value;
use serde_json::error::Category;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, watch};

use super::message_id::IdFinder;

/// Bytes of one message, its line end included: room for the largest values that the store accepts.
const MAX_LINE: usize = 32 << 20;
/// Answers that may wait to be written.
const MAX_UNSENT: usize = 1024;
const READ_BUFFER: usize = 64 << 10;
/// A buffer that one large line has made larger than this is given back.
const KEPT_BUFFER: usize = 1 << 20;
/// How long the end of the connection waits for answers to be written.
const FLUSH: Duration = Duration::from_secs(2);

/// The transport of a server.
pub(super) struct Lines<R, W> {
    input: BufReader<R>,
    line: PartialLine,
    /// What is left of an array of messages, which one of the older revisions allows.
    batch: VecDeque<Value>,
    output: Arc<Output<W>>,
    /// A request that begins a session has been seen.
    in_session: bool,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(super) fn new(input: R, output: W) -> Self {
        Self::limited_to(MAX_LINE, input, output)
    }

    /// With another limit for the length of a line.
    pub(super) fn limited_to(max_line: usize, input: R, output: W) -> Self {
        Self {
            input: BufReader::with_capacity(READ_BUFFER, input),
            line: PartialLine::new(max_line),
            batch: VecDeque::new(),
            output: Arc::new(Output {
                writer: Mutex::new(output),
                state: watch::Sender::default(),
            }),
            in_session: false,
        }
    }

    /// The message of a line, if it holds one.
    fn read_line(&mut self, line: io::Result<Line>) -> Result<Option<ClientJsonRpcMessage>, Ended> {
        match line {
            Ok(Line::Whole(line)) => {
                let message = self.read(&line);
                self.line.give_back(line);
                Ok(message)
            }
            Ok(Line::TooLong(id)) => {
                let max = self.line.max;
                let problem = format!("the message is longer than {max} bytes, the limit");
                self.refuse(id, ErrorData::invalid_request(problem, None));
                Ok(None)
            }
            Ok(Line::End) => Err(Ended),
            Err(fault) => {
                tracing::error!("reading failed: {fault}");
                Err(Ended)
            }
        }
    }

    /// The message of a line, if it is one; what is none is answered where that makes sense.
    fn read(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return None;
        }
        match serde_json::from_slice(line) {
            Ok(message) => Some(message),
            Err(_) if line.starts_with(b"[") => {
                match serde_json::from_slice(line) {
                    Ok(messages) => self.batch = messages,
                    Err(fault) => tracing::warn!("ignored an array that is no JSON: {fault}"),
                }
                None
            }
            Err(fault) => {
                let error = match fault.classify() {
                    Category::Data => no_message(),
                    _ => no_json(&fault),
                };
                self.refuse(IdFinder::of(line), error);
                None
            }
        }
    }

    /// The next message of an array.
    fn next_of_batch(&mut self) -> Option<ClientJsonRpcMessage> {
        while let Some(item) = self.batch.pop_front() {
            let text = item.to_string();
            match serde_json::from_value(item) {
                Ok(message) => return Some(message),
                Err(_) => self.refuse(IdFinder::of(text.as_bytes()), no_message()),
            }
        }
        None
    }

    /// Answers with an error where the request can be named. Without an id there is no answer: most
    /// clients cannot read one, and one that echoes what it gets would never come to an end.
    fn refuse(&mut self, id: IdFinder, error: ErrorData) {
        if let Some(id) = id.found() {
            // Awaiting it here could lose it: whoever receives may stop at any point.
            tokio::spawn(self.send(JsonRpcMessage::error(error, Some(id))));
        } else {
            tracing::warn!("ignored a line: {}", error.message);
        }
    }

    /// Before a session begins, the SDK ends the connection over anything that is no request.
    fn admits(&mut self, message: &ClientJsonRpcMessage) -> bool {
        if let JsonRpcMessage::Request(request) = message {
            self.in_session |= begins_session(&request.request);
            return true;
        }
        self.in_session
    }
}

fn no_json(fault: &serde_json::Error) -> ErrorData {
    let mut problem = format!("the message is no JSON: {fault}");
    // What models get wrong most often: they cut a text in the middle of an emoji.
    if problem.contains("hex escape") {
        problem.push_str("; a \\u escape is cut off, or is half of a surrogate pair");
    }
    ErrorData::parse_error(problem, None)
}

fn no_message() -> ErrorData {
    ErrorData::invalid_request("this is no JSON-RPC 2.0 request, notification or answer", None)
}

fn begins_session(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        other => {
            let meta = other.get_meta();
            let known = |version| ProtocolVersion::KNOWN_VERSIONS.contains(&version);
            meta.protocol_version().is_some_and(known)
                && meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
        }
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let output = Arc::clone(&self.output);
        output.state.send_modify(|state| state.unsent += 1);
        async move {
            let written = output.write(&message).await;
            output.state.send_modify(|state| {
                state.unsent -= 1;
                state.broken |= written.is_err();
            });
            written
        }
    }

    /// May be dropped at any await: what was read so far is kept in `self`.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        let mut output = self.output.state.subscribe();
        loop {
            let ready = output.wait_for(|state| state.broken || state.unsent < MAX_UNSENT).await;
            if ready.ok()?.broken {
                return None;
            }
            let message = if self.batch.is_empty() {
                let line = tokio::select! {
                    line = self.line.complete(&mut self.input) => line,
                    // A client that no longer listens gets no more work done.
                    _ = output.wait_for(|state| state.broken) => return None,
                };
                self.read_line(line).ok()?
            } else {
                self.next_of_batch()
            };
            if let Some(message) = message
                && self.admits(&message)
            {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        let mut state = self.output.state.subscribe();
        let written = state.wait_for(|state| state.broken || state.unsent == 0);
        match tokio::time::timeout(FLUSH, written).await {
            Ok(_) => Ok(()),
            Err(late) => Err(late.into()),
        }
    }
}

struct Output<W> {
    writer: Mutex<W>,
    state: watch::Sender<OutputState>,
}

#[derive(Debug, Default)]
struct OutputState {
    /// Messages on their way to the client.
    unsent: usize,
    /// Writing has failed.
    broken: bool,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    async fn write(&self, message: &ServerJsonRpcMessage) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let mut writer = self.writer.lock().await;
        writer.write_all(&line).await?;
        writer.flush().await
    }
}

/// Nothing more will come.
struct Ended;

/// What an attempt to read a line gives.
enum Line {
    Whole(Vec<u8>),
    /// It was longer than allowed, and is gone.
    TooLong(IdFinder),
    End,
}

/// The line that is being read.
struct PartialLine {
    bytes: Vec<u8>,
    max: usize,
    /// It is too long already, and only its id still matters.
    too_long: Option<IdFinder>,
}

impl PartialLine {
    fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, too_long: None }
    }

    /// Reads on to the end of the line. Between reading and keeping what was read there is no
    /// await, so a dropped future loses nothing.
    async fn complete<R: AsyncRead + Unpin>(
        &mut self,
        input: &mut BufReader<R>,
    ) -> io::Result<Line> {
        loop {
            let available = input.fill_buf().await?;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = available.get(..end.unwrap_or(available.len())).unwrap_or(available);
            let used = part.len() + usize::from(end.is_some());
            // Input that ends without a line end has a last line all the same.
            let over = used == 0;
            self.add(part);
            input.consume(used);
            if over && self.bytes.is_empty() && self.too_long.is_none() {
                return Ok(Line::End);
            }
            if over || end.is_some() {
                let bytes = std::mem::take(&mut self.bytes);
                return Ok(self.too_long.take().map_or(Line::Whole(bytes), Line::TooLong));
            }
        }
    }

    fn add(&mut self, part: &[u8]) {
        if let Some(id) = &mut self.too_long {
            id.feed(part);
        } else if self.bytes.len() + part.len() < self.max {
            self.bytes.extend_from_slice(part);
        } else {
            let mut id = IdFinder::of(&self.bytes);
            id.feed(part);
            self.bytes = Vec::new();
            self.too_long = Some(id);
        }
    }

    /// Takes a line's buffer back for the next one.
    fn give_back(&mut self, mut buffer: Vec<u8>) {
        if self.bytes.is_empty() && buffer.capacity() <= KEPT_BUFFER {
            buffer.clear();
            self.bytes = buffer;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use rmcp::model::{EmptyResult, RequestId, ServerResult};
    use tokio::io::duplex;

    use super::*;

    fn answer() -> ServerJsonRpcMessage {
        let result = ServerResult::EmptyResult(EmptyResult {});
        JsonRpcMessage::response(result, RequestId::Number(1))
    }

    #[test]
    fn nothing_is_read_while_too_many_answers_wait_for_the_client() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut requests, input) = duplex(1024);
            let (output, answers) = duplex(16);
            let mut lines = Lines::new(input, output);
            requests
                .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n")
                .await
                .unwrap();
            for _ in 0..MAX_UNSENT {
                tokio::spawn(lines.send(answer()));
            }
            {
                let mut receiving = std::pin::pin!(lines.receive());
                let polled = std::future::poll_fn(|context| {
                    Poll::Ready(receiving.as_mut().poll(context).is_pending())
                });
                assert!(polled.await);
            }
            let mut line = String::new();
            BufReader::new(answers).read_line(&mut line).await.unwrap();
            assert!(lines.receive().await.is_some());
        });
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_whole_in_the_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut requests, input) = duplex(1024);
            let mut lines = Lines::new(input, Vec::new());
            for byte in b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}" {
                requests.write_all(&[*byte]).await.unwrap();
                // Whoever receives looks, finds nothing yet, and turns to something else.
                let mut receiving = std::pin::pin!(lines.receive());
                let polled = std::future::poll_fn(|context| {
                    Poll::Ready(receiving.as_mut().poll(context).is_pending())
                });
                assert!(polled.await);
            }
            requests.write_all(b"\n").await.unwrap();
            assert!(lines.receive().await.is_some());
        });
    }
}
