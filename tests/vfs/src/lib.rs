//! An SQLite VFS for tests. It wraps the system's own, and what a test has not asked for passes through.
//!
//! A test watches a folder ([`Disk::below`]). From then on, of the files in it:
//!
//! - every call is **counted**, and one of them, or all from one on, can be made to **fail** ([`Plan`]);
//! - the disk can be **full** after so many bytes ([`Disk::limit_space`]);
//! - what changes the disk is **recorded** in order, with what was synced, and [`Log`] says what the disk
//!   may hold after a **power cut** at any moment.
//!
//! The VFS becomes the process's default one, so the code under test opens files through it without
//! knowing. Locks and shared memory are those of the wrapped VFS. Files outside of watched folders are
//! not even wrapped.
//!
//! ```
//! use faulty_vfs::{Call, Disk, Fault, Plan};
//!
//! let folder = std::env::temp_dir().join(format!("faulty-vfs-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let disk = Disk::below(&folder)?;
//! let db = rusqlite::Connection::open(folder.join("a.db")).unwrap();
//! disk.plan(Plan::once(Call::Sync, 0, Fault::refused(rusqlite::ffi::SQLITE_IOERR_FSYNC)));
//! assert!(db.execute_batch("CREATE TABLE a (b)").is_err());
//! assert!(disk.has_fired());
//! # drop(db);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Limits
//! Temporary files, which have no name, pass through. What SQLite does not do through a VFS is not seen:
//! the shared memory of a log, and files that the code under test makes itself. Syncs of the folder are
//! taken from what SQLite's unix VFS is written to do, not observed: it syncs the folder with the first
//! sync of a journal or log that was opened to be created, and after a removal that asks for it.
#![expect(
    clippy::disallowed_types,
    reason = "no code of the store, so no model has to see its locks"
)]

mod disk;
mod fault_point;
mod log;
mod power;
mod shim;

pub use disk::{Call, Disk, Fault, Plan};
pub use fault_point::at_fault_point;
pub use log::{Log, Step};
pub use power::{Image, Loss, Replay};
