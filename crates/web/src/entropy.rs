//! Randomness from the host: the backend that the `getrandom` crate asks for where the target has none of its
//! own.

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Fills `length` bytes of linear memory with `crypto.getRandomValues`, which gives all or throws.
    fn fill_random(address: *mut u8, length: usize);
}

/// # Safety
/// `length` bytes at `address` can be written; `getrandom` sees to that.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    address: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: the caller's promise, passed on.
    unsafe { fill_random(address, length) };
    Ok(())
}
