//! Digests that are compared between processes which were built apart, and kept in files.

use std::hash::Hasher;
use std::io;

/// FNV-1a: the standard library's hasher may change between releases. It detects changes, not
/// attacks.
#[derive(Debug)]
pub(crate) struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Takes a text as it is written, so that nobody has to hold it.
impl io::Write for Fnv1a {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Hasher::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vectors of the function.
    #[test]
    fn known_texts_have_their_known_digests() {
        for (text, digest) in [
            ("", 0xcbf2_9ce4_8422_2325_u64),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut hasher = Fnv1a::default();
            io::Write::write_all(&mut hasher, text.as_bytes()).unwrap();
            assert_eq!(hasher.finish(), digest, "{text}");
        }
    }
}
