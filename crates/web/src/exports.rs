//! The functions that the host calls.
//!
//! Each takes the bytes that were last written to [`argument`] and replaces the [`result`]. WebAssembly here
//! has one thread, so one session does.

use crate::{Error, Session};
use std::cell::RefCell;
use zeroize::Zeroizing;

#[derive(Default)]
struct State {
    session: Session,
    argument: Zeroizing<Vec<u8>>,
    result: Zeroizing<Vec<u8>>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Room for an argument of so many bytes, which the next operation takes.
#[unsafe(no_mangle)]
pub extern "C" fn argument(length: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.argument = Zeroizing::new(vec![0; length]);
        state.argument.as_mut_ptr()
    })
}

/// Where the last operation's result lies, until the next one.
#[unsafe(no_mangle)]
pub extern "C" fn result() -> *const u8 {
    STATE.with_borrow(|state| state.result.as_ptr())
}

/// How many bytes it has.
#[unsafe(no_mangle)]
pub extern "C" fn result_length() -> usize {
    STATE.with_borrow(|state| state.result.len())
}

/// Wipes the last result.
#[unsafe(no_mangle)]
pub extern "C" fn wipe_result() {
    STATE.with_borrow_mut(|state| state.result = Zeroizing::default());
}

/// Defines operations: exported functions that call the session's methods.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $body:expr;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            operate($body)
        }
    )*};
}

operations! {
    /// Takes a plan as the server sends it; its summary as JSON.
    open_plan = |session, plan| json(&session.open_plan(plan)?);
    /// What lies in each slot of a request, 32-bit numbers with the lowest byte first.
    layout = |session, _| {
        Ok(Zeroizing::new(session.layout()?.into_iter().flat_map(u32::to_le_bytes).collect()))
    };
    /// Makes a secret key.
    generate_key = |session, _| session.generate_key().map(|()| Zeroizing::default());
    /// Takes a secret key that [`secret_key`] gave.
    restore_key = |session, key| session.restore_key(key).map(|()| Zeroizing::default());
    /// The secret key, for the visitor's own store.
    secret_key = |session, _| session.secret_key();
    /// Makes evaluation keys, for the server.
    evaluation_keys = |session, _| session.evaluation_keys().map(Zeroizing::new);
    /// Takes grey pixels, row by row; the request, for the server.
    encrypt = |session, pixels| session.encrypt(pixels).map(Zeroizing::new);
    /// Takes numbers, 64-bit floats with the lowest byte first; the request, for the server.
    encrypt_numbers = |session, numbers| session.encrypt_numbers(numbers).map(Zeroizing::new);
    /// Takes such numbers; what is to be said of them, as JSON: a text, or null.
    check_numbers = |session, numbers| json(&session.check_numbers(numbers)?);
    /// Takes the server's reply; the classification as JSON.
    decrypt = |session, reply| json(&session.decrypt(reply)?);
    /// Takes evaluation keys; the address that they are registered under, in hexadecimal digits.
    address = |_, keys| Ok(Zeroizing::new(Session::address(keys).into_bytes()));
}

/// Why an operation was refused, as the host reads it.
#[derive(serde::Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

/// Runs an operation on the argument, which is wiped, and stores its result: 0, or 1 and the reason as JSON.
fn operate(operation: impl FnOnce(&mut Session, &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>) -> u32 {
    STATE.with_borrow_mut(|state| {
        let argument = std::mem::take(&mut state.argument);
        let (status, result) = match operation(&mut state.session, &argument) {
            Ok(result) => (0, result),
            Err(error) => (1, written(&Failure { code: error.code(), message: error.to_string() })),
        };
        state.result = result;
        status
    })
}

fn json(value: &impl serde::Serialize) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(written(value))
}

fn written(value: &impl serde::Serialize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(value).expect("strings, numbers and lists can be written as JSON"))
}
