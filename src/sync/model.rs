//! The half for loom.
