//! The bytes of a file, given out in measured amounts: the HDF5 library walks trees and lists that a file describes, and a
//! file may describe them without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_pure::{FormatError, Source};

/// A file that can be read so often, and no oftener.
pub(super) struct Meter {
    bytes: Arc<[u8]>,
    reads_left: AtomicU64,
    bytes_left: AtomicU64,
}

impl Meter {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let len = bytes.len() as u64;
        // A sound file is read about twice, in pieces of tens of bytes where it describes itself.
        Self {
            bytes: bytes.into(),
            reads_left: AtomicU64::new((1 << 19) + len / 16),
            bytes_left: AtomicU64::new((1 << 27) + 8 * len),
        }
    }
}

/// Takes `n` from what is left.
fn take(left: &AtomicU64, n: u64) -> Result<(), FormatError> {
    let rest = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n));
    rest.map(|_| ()).map_err(|_| FormatError::Source("its parts refer to each other without end".to_owned()))
}

impl Source for Meter {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        take(&self.reads_left, 1)?;
        take(&self.bytes_left, buffer.len() as u64)?;
        let from = usize::try_from(offset).ok();
        let to = from.and_then(|from| from.checked_add(buffer.len()));
        let part = from.zip(to).and_then(|(from, to)| self.bytes.get(from..to));
        let Some(part) = part else {
            let expected = to.unwrap_or(usize::MAX);
            return Err(FormatError::UnexpectedEof { expected, available: self.bytes.len() });
        };
        buffer.copy_from_slice(part);
        Ok(())
    }
}
