//! Static memory of drivers that are created repeatedly.

use core::cell::UnsafeCell;

/// Bytes for one driver at a time.
pub struct Buffer<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: the bytes are only reached through `take`, whose callers guarantee exclusive use.
unsafe impl<const N: usize> Sync for Buffer<N> {}

impl<const N: usize> Buffer<N> {
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; N]))
    }

    /// The bytes.
    ///
    /// # Safety
    /// The previous user must no longer exist.
    #[allow(clippy::mut_from_ref)] // as with a cell: that is what the promise is for
    pub unsafe fn take(&self) -> &mut [u8; N] {
        // SAFETY: promised by the caller.
        unsafe { &mut *self.0.get() }
    }
}
