//! The VFS itself: all that is unsafe here, and nothing else.
//!
//! SQLite gives each file a piece of memory of `szOsFile` bytes. Ours begins with a [`Shim`], and the
//! wrapped VFS's file follows behind it. A file outside of watched folders is the wrapped one alone, in the
//! same memory: then SQLite calls the wrapped methods, and nothing of ours.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Once};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use crate::disk::{Call, Extent, Fault, Watched};

/// What stands at the beginning of a file's memory.
#[repr(C)]
struct Shim {
    base: sqlite3_file,
    /// Made by `Box::into_raw` when the file was opened, and taken back when it is closed.
    open: *mut OpenFile,
}

/// Where the wrapped file begins. SQLite aligns the whole to 8 bytes.
const WRAPPED_AT: usize = size_of::<Shim>();
const _: () = assert!(WRAPPED_AT.is_multiple_of(8) && align_of::<Shim>() <= 8);

/// What we know of an open file.
struct OpenFile {
    disk: Arc<Watched>,
    name: Arc<str>,
    number: usize,
    /// The next sync brings the folder to disk as well.
    syncs_folder: bool,
}

/// Registers the VFS as the default one, once for the process.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: a null name asks for the default VFS. SQLite initialises itself first.
        let wrapped = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!wrapped.is_null(), "SQLite has no VFS");
        // SAFETY: a registered VFS is valid and is not changed, but for its link to the next one.
        let vfs = Box::leak(Box::new(unsafe { around(wrapped) }));
        // SAFETY: `vfs` is complete, and leaked so that it lives as long as the process.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 1) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite does not take the VFS");
    });
}

/// # Safety
/// `wrapped` is a registered VFS.
unsafe fn around(wrapped: *mut sqlite3_vfs) -> sqlite3_vfs {
    // SAFETY: by contract, and a registered VFS is initialised.
    let inner = unsafe { &*wrapped };
    let ours = c_int::try_from(WRAPPED_AT).unwrap_or(c_int::MAX);
    sqlite3_vfs {
        iVersion: inner.iVersion,
        szOsFile: ours + inner.szOsFile,
        mxPathname: inner.mxPathname,
        pNext: ptr::null_mut(),
        zName: c"faulty".as_ptr(),
        pAppData: wrapped.cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: Some(dl_open),
        xDlError: Some(dl_error),
        xDlSym: Some(dl_sym),
        xDlClose: Some(dl_close),
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(get_last_error),
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: Some(set_system_call),
        xGetSystemCall: Some(get_system_call),
        xNextSystemCall: Some(next_system_call),
    }
}

/// Version 2: with shared memory, without mapped pages, so that every read comes by.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// # Safety
/// `vfs` is ours.
unsafe fn wrapped_vfs(vfs: *mut sqlite3_vfs) -> *mut sqlite3_vfs {
    // SAFETY: by contract; `around` has put the wrapped VFS there.
    unsafe { (*vfs).pAppData.cast() }
}

/// # Safety
/// `file` is memory of SQLite's for a file of this VFS.
unsafe fn wrapped_file(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: the memory is `WRAPPED_AT` bytes longer than a file of the wrapped VFS.
    unsafe { file.cast::<u8>().add(WRAPPED_AT).cast() }
}

/// # Safety
/// `file` was opened by `open` as a watched one, and is not closed. SQLite uses a file from one thread at
/// a time, so nobody else has the reference.
unsafe fn open_file<'f>(file: *mut sqlite3_file) -> &'f mut OpenFile {
    // SAFETY: by contract; `open` has put a box there.
    unsafe { &mut *(*file.cast::<Shim>()).open }
}

/// # Safety
/// `name` is null or a C string.
unsafe fn watched(name: *const c_char) -> Option<(Arc<Watched>, Arc<str>)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by contract.
    let name = unsafe { CStr::from_ptr(name) };
    Watched::of(Path::new(OsStr::from_bytes(name.to_bytes())))
}

/// Calls a method of the wrapped file; one that is missing is a failed call.
///
/// Safe only where the arguments are those of SQLite's own call, or within them.
macro_rules! of_wrapped {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let wrapped = wrapped_file($file);
        match (*(*wrapped).pMethods).$method {
            Some(method) => method(wrapped $(, $argument)*),
            None => ffi::SQLITE_IOERR,
        }
    }};
}

/// Makes a method that counts its calls, fails by plan, and does else what the wrapped file does.
macro_rules! counted {
    ($name:ident, $method:ident, $call:expr $(, $argument:ident: $type:ty)*) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $type)*) -> c_int {
            // SAFETY: SQLite calls this for an open file of ours, with arguments for the wrapped one.
            unsafe {
                match open_file(file).disk.fault_of($call) {
                    Some(Fault { extent: Extent::Nothing, code }) => code,
                    fault => {
                        let done = of_wrapped!(file, $method $(, $argument)*);
                        fault.map_or(done, |fault| fault.code)
                    }
                }
            }
        }
    };
}

/// Makes a method that is the wrapped file's.
macro_rules! forwarded {
    ($name:ident, $method:ident $(, $argument:ident: $type:ty)*) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $type)*) -> c_int {
            // SAFETY: SQLite calls this for an open file of ours, with arguments for the wrapped one.
            unsafe { of_wrapped!(file, $method $(, $argument)*) }
        }
    };
}

/// Makes a method of the VFS that is the wrapped one's.
macro_rules! forwarded_by_vfs {
    ($name:ident, $method:ident, ($($argument:ident: $type:ty),*) -> $result:ty, $missing:expr) => {
        unsafe extern "C" fn $name(vfs: *mut sqlite3_vfs, $($argument: $type),*) -> $result {
            // SAFETY: SQLite calls this with our VFS and with arguments for any.
            unsafe {
                let wrapped = wrapped_vfs(vfs);
                match (*wrapped).$method {
                    Some(method) => method(wrapped, $($argument),*),
                    None => $missing,
                }
            }
        }
    };
}

counted!(file_size, xFileSize, Call::FileSize, size: *mut sqlite3_int64);
counted!(lock, xLock, Call::Lock, level: c_int);
counted!(unlock, xUnlock, Call::Unlock, level: c_int);
counted!(check_reserved_lock, xCheckReservedLock, Call::CheckReservedLock, held: *mut c_int);
counted!(
    shm_map, xShmMap, Call::ShmMap,
    page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void
);
forwarded!(file_control, xFileControl, op: c_int, argument: *mut c_void);
forwarded!(sector_size, xSectorSize);
forwarded!(device_characteristics, xDeviceCharacteristics);
forwarded!(shm_unmap, xShmUnmap, delete: c_int);

type Symbol = Option<unsafe extern "C" fn(*mut sqlite3_vfs, *mut c_void, *const c_char)>;

forwarded_by_vfs!(
    full_pathname, xFullPathname, (name: *const c_char, size: c_int, out: *mut c_char) -> c_int,
    ffi::SQLITE_CANTOPEN
);
forwarded_by_vfs!(dl_open, xDlOpen, (name: *const c_char) -> *mut c_void, ptr::null_mut());
forwarded_by_vfs!(dl_error, xDlError, (size: c_int, out: *mut c_char) -> (), ());
forwarded_by_vfs!(dl_sym, xDlSym, (library: *mut c_void, name: *const c_char) -> Symbol, None);
forwarded_by_vfs!(dl_close, xDlClose, (library: *mut c_void) -> (), ());
forwarded_by_vfs!(randomness, xRandomness, (size: c_int, out: *mut c_char) -> c_int, 0);
forwarded_by_vfs!(sleep, xSleep, (microseconds: c_int) -> c_int, 0);
forwarded_by_vfs!(current_time, xCurrentTime, (now: *mut f64) -> c_int, ffi::SQLITE_ERROR);
forwarded_by_vfs!(get_last_error, xGetLastError, (size: c_int, out: *mut c_char) -> c_int, 0);
forwarded_by_vfs!(
    current_time_int64, xCurrentTimeInt64, (now: *mut sqlite3_int64) -> c_int, ffi::SQLITE_ERROR
);
forwarded_by_vfs!(
    set_system_call, xSetSystemCall,
    (name: *const c_char, call: ffi::sqlite3_syscall_ptr) -> c_int, ffi::SQLITE_NOTFOUND
);
forwarded_by_vfs!(
    get_system_call, xGetSystemCall, (name: *const c_char) -> ffi::sqlite3_syscall_ptr, None
);
forwarded_by_vfs!(
    next_system_call, xNextSystemCall, (name: *const c_char) -> *const c_char, ptr::null()
);

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with our VFS, a name that stays while the file is open or null, and
    // memory of `szOsFile` bytes for the file.
    unsafe {
        let inner = wrapped_vfs(vfs);
        let Some(inner_open) = (*inner).xOpen else { return ffi::SQLITE_CANTOPEN };
        let Some((disk, name_here)) = watched(name) else {
            return inner_open(inner, name, file, flags, out_flags);
        };
        // Without methods, SQLite closes nothing that was not opened.
        (*file).pMethods = ptr::null();
        if let Some(fault) = disk.fault_of(Call::Open) {
            return fault.code;
        }
        let wrapped = wrapped_file(file);
        (*wrapped).pMethods = ptr::null();
        let code = inner_open(inner, name, wrapped, flags, out_flags);
        if code != ffi::SQLITE_OK {
            if !(*wrapped).pMethods.is_null() {
                let _closed: c_int = of_wrapped!(file, xClose);
            }
            return code;
        }
        let number = disk.opened(&name_here);
        let journals =
            ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
        let syncs_folder = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journals != 0;
        let open = OpenFile { disk, name: name_here, number, syncs_folder };
        (*file.cast::<Shim>()).open = Box::into_raw(Box::new(open));
        (*file).pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: SQLite calls this with our VFS and a C string.
    unsafe {
        let inner = wrapped_vfs(vfs);
        let Some(inner_delete) = (*inner).xDelete else { return ffi::SQLITE_IOERR_DELETE };
        let Some((disk, name_here)) = watched(name) else {
            return inner_delete(inner, name, sync_folder);
        };
        let fault = disk.fault_of(Call::Delete);
        if let Some(Fault { extent: Extent::Nothing, code }) = fault {
            return code;
        }
        let code = inner_delete(inner, name, sync_folder);
        if code == ffi::SQLITE_OK {
            disk.deleted(&name_here);
            // One that is carried out and fails has failed in syncing the folder.
            if sync_folder & 1 != 0 && fault.is_none() {
                disk.synced_folder();
            }
        }
        fault.map_or(code, |fault| fault.code)
    }
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with our VFS, a C string and a place for the answer.
    unsafe {
        let inner = wrapped_vfs(vfs);
        if let Some((disk, _)) = watched(name)
            && let Some(fault) = disk.fault_of(Call::Access)
        {
            return fault.code;
        }
        match (*inner).xAccess {
            Some(inner_access) => inner_access(inner, name, flags, answer),
            None => ffi::SQLITE_IOERR_ACCESS,
        }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file of ours once, and uses it no more.
    unsafe {
        let code = of_wrapped!(file, xClose);
        drop(Box::from_raw((*file.cast::<Shim>()).open));
        (*file).pMethods = ptr::null();
        code
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls this for an open file of ours, with a buffer of `amount` bytes.
    unsafe {
        let fault = open_file(file).disk.fault_of(Call::Read);
        if let Some(Fault { extent: Extent::Nothing, code }) = fault {
            return code;
        }
        let code = of_wrapped!(file, xRead, buffer, amount, offset);
        let Some(fault) = fault else { return code };
        let size = usize::try_from(amount).unwrap_or(0);
        // The wrapped read has set all of them, to zeros where the file ends before.
        let bytes = std::slice::from_raw_parts_mut(buffer.cast::<u8>(), size);
        match fault.extent {
            Extent::Half => bytes.iter_mut().skip(size / 2).for_each(|byte| *byte = 0),
            Extent::Garbled => bytes.iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55),
            Extent::Nothing | Extent::All => {}
        }
        if fault.code == ffi::SQLITE_OK { code } else { fault.code }
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    buffer: *const c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls this for an open file of ours, with `amount` bytes.
    unsafe {
        let OpenFile { disk, name, number, .. } = open_file(file);
        let whole = usize::try_from(amount).unwrap_or(0);
        let at = offset.unsigned_abs();
        let fault = disk.fault_of(Call::Write);
        let wanted = match fault.map(|fault| fault.extent) {
            None | Some(Extent::All | Extent::Garbled) => whole,
            Some(Extent::Half) => whole / 2,
            Some(Extent::Nothing) => 0,
        };
        let fitting = disk.fitting(*number, at, wanted);
        if fitting > 0 {
            let length = c_int::try_from(fitting).unwrap_or(amount);
            let code = of_wrapped!(file, xWrite, buffer, length, offset);
            if code != ffi::SQLITE_OK {
                return code;
            }
            let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), fitting);
            disk.written(*number, name, at, bytes);
        }
        match fault {
            Some(fault) => fault.code,
            None if fitting < whole => ffi::SQLITE_FULL,
            None => ffi::SQLITE_OK,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls this for an open file of ours.
    unsafe {
        let OpenFile { disk, name, number, .. } = open_file(file);
        let fault = disk.fault_of(Call::Truncate);
        if let Some(Fault { extent: Extent::Nothing, code }) = fault {
            return code;
        }
        let code = of_wrapped!(file, xTruncate, size);
        if code == ffi::SQLITE_OK {
            disk.truncated(*number, name, size.unsigned_abs());
        }
        fault.map_or(code, |fault| fault.code)
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls this for an open file of ours.
    unsafe {
        let OpenFile { disk, name, number, syncs_folder } = open_file(file);
        disk.about_to_sync(name);
        let fault = disk.fault_of(Call::Sync);
        if let Some(Fault { extent: Extent::Nothing, code }) = fault {
            return code;
        }
        let code = of_wrapped!(file, xSync, flags);
        if code == ffi::SQLITE_OK {
            disk.synced(*number, name);
            if std::mem::take(syncs_folder) {
                disk.synced_folder();
            }
        }
        fault.map_or(code, |fault| fault.code)
    }
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: SQLite calls this for an open file of ours.
    unsafe {
        if flags & ffi::SQLITE_SHM_LOCK != 0
            && let Some(fault) = open_file(file).disk.fault_of(Call::ShmLock)
        {
            return fault.code;
        }
        of_wrapped!(file, xShmLock, offset, count, flags)
    }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite calls this for an open file of ours.
    unsafe {
        let wrapped = wrapped_file(file);
        if let Some(method) = (*(*wrapped).pMethods).xShmBarrier {
            method(wrapped);
        }
    }
}
