//! SQLite's own points for tests: places in its code where it calls back whoever asked for that.

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::Once;

use rusqlite::ffi;

type Hook = (c_int, Box<dyn FnMut()>);

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Runs `body`, and `at` whenever SQLite comes by its point of this number in this thread meanwhile. What
/// `at` does with SQLite itself calls nobody back.
///
/// # Panics
/// Where SQLite was built without such points.
pub fn at_fault_point<T>(number: i32, at: impl FnMut() + 'static, body: impl FnOnce() -> T) -> T {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let callback: unsafe extern "C" fn(c_int) -> c_int = came_by;
        // SAFETY: this operation takes one function of this type, which lives as long as the process.
        let code =
            unsafe { ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_FAULT_INSTALL, callback) };
        assert_eq!(code, ffi::SQLITE_OK, "this SQLite was built without its points for tests");
    });
    HOOK.set(Some((number, Box::new(at))));
    let done = body();
    HOOK.set(None);
    done
}

/// Zero means that nothing shall fail.
unsafe extern "C" fn came_by(number: c_int) -> c_int {
    // A thread that is ending has no hook any more.
    let hook = HOOK.try_with(|hook| {
        let is_wanted = hook.borrow().as_ref().is_some_and(|(wanted, _)| *wanted == number);
        is_wanted.then(|| hook.take()).flatten()
    });
    if let Ok(Some(mut hook)) = hook {
        hook.1();
        HOOK.set(Some(hook));
    }
    0
}
