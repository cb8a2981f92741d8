//! Finding the id of a request that cannot be read.

use rmcp::model::RequestId;

/// Bytes of a key or of an id that are kept; longer ones are none of ours.
const KEPT: usize = 256;

/// Follows the outermost object of a message just closely enough to find its `id`: the rest may be
/// cut off, too long, nested too deeply, or no JSON at all.
#[derive(Debug, Default)]
pub(super) struct IdFinder {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// What stands at the outermost level since the last `{`, `:` or `,`.
    token: Vec<u8>,
    key: Vec<u8>,
    id: Vec<u8>,
    is_answer: bool,
}

impl IdFinder {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut finder = Self::default();
        finder.feed(bytes);
        finder
    }

    /// Goes on with the next bytes of the message.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return self.keep(byte);
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 {
                    return self.token.clear();
                }
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_value();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => {
                self.key = std::mem::take(&mut self.token);
                return;
            }
            b',' if self.depth == 1 => return self.end_value(),
            _ => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() < KEPT {
            self.token.push(byte);
        }
    }

    fn end_value(&mut self) {
        let value = std::mem::take(&mut self.token);
        match self.key.trim_ascii() {
            b"\"id\"" if value.len() < KEPT => self.id = value,
            b"\"result\"" | b"\"error\"" => self.is_answer = true,
            _ => {}
        }
        self.key.clear();
    }

    /// The id; `None` where there is none, or where the message is an answer, to which none is due.
    pub(super) fn found(self) -> Option<RequestId> {
        let id = serde_json::from_slice(&self.id).ok();
        id.filter(|_| !self.is_answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(message: &[u8]) -> Option<String> {
        // One byte at a time: parts may end anywhere.
        let mut finder = IdFinder::default();
        for byte in message {
            finder.feed(&[*byte]);
        }
        let id = finder.found();
        assert_eq!(id, IdFinder::of(message).found());
        id.map(|id| id.into_json_value().to_string())
    }

    #[test]
    fn an_id_is_found_wherever_it_stands_in_the_outermost_object() {
        for message in [
            r#"{"id":7,"method":"ping"}"#,
            r#" { "jsonrpc" : "2.0" , "method":"x","params":{"id":1,"a":[{"id":2}]}, "id" : 7 } "#,
            r#"{"id":7,"params":{"text":"cut of"#,
            r#"{"params":{"text":"\ud83d \" } ] , \\"},"id":7}"#,
            r#"{"id":7, "x": nonsense, [}}}}"#,
        ] {
            assert_eq!(found(message.as_bytes()).as_deref(), Some("7"), "{message}");
        }
        assert_eq!(
            found(br#"{"id":"a, \"b\" {","method":"x"}"#).as_deref(),
            Some(r#""a, \"b\" {""#)
        );
        assert_eq!(found(b"{\"x\":\"\xff\xfe\",\"id\":\"u\"}").as_deref(), Some("\"u\""));
    }

    #[test]
    fn there_is_no_id_where_none_can_be_meant() {
        for message in [
            "",
            "nonsense",
            "7",
            r#"[{"id":7}]"#,
            r#"{"method":"x","params":{"id":7}}"#,
            r#"{"id":null,"method":"x"}"#,
            r#"{"id":1.5,"method":"x"}"#,
            r#"{"id":{"id":7},"method":"x"}"#,
            r#"{"id":7,"result":{}}"#,
            r#"{"error":{},"id":7}"#,
            "}}}]]],,,:::",
            r#"{"method":"x","id":7"#,
        ] {
            assert_eq!(found(message.as_bytes()), None, "{message}");
        }
        let long = format!(r#"{{"id":"{}","method":"x"}}"#, "x".repeat(KEPT));
        assert_eq!(found(long.as_bytes()), None);
    }
}
