//! Arrays that lie in memory, or in a file of their own that is mapped into it: what is larger than a fit may hold is then kept
//! by the kernel's cache, which gives memory back when others need it.
//!
//! Either way an array is a slice, so a computation knows nothing of it and its result is the same, bit for bit.
#![allow(unsafe_code, reason = "files are mapped, and the kernel is asked for huge pages")]

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytemuck::Pod;
use memmap2::{MmapMut, RemapOptions};

/// Where the large arrays of a computation lie.
#[derive(Debug, Clone, Default)]
pub enum Place {
    #[default]
    Memory,
    Disk(Arc<Disk>),
}

/// Makes files, and counts what they take.
pub struct Disk {
    /// An empty file for reading and writing that goes when it is closed.
    open: Box<dyn Fn() -> io::Result<File> + Send + Sync>,
    limit: u64,
    used: AtomicU64,
}

impl Disk {
    /// All files together take at most `limit` bytes.
    pub fn new(limit: u64, open: impl Fn() -> io::Result<File> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), limit, used: AtomicU64::new(0) }
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let used = self.used.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if used <= self.limit {
            return Ok(());
        }
        self.used.fetch_sub(bytes, Relaxed);
        Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!("{used} bytes of temporary files are more than the limit of {}", self.limit),
        ))
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Disk({} of {} bytes)", self.used.load(Relaxed), self.limit)
    }
}

/// An array of words, which are plain numbers, that can grow.
pub struct Store<T>(Inner<T>);

enum Inner<T> {
    Memory(Vec<T>),
    Disk(Mapped, std::marker::PhantomData<T>),
}

/// A file and where it is mapped; none of both while nothing is in it.
struct Mapped {
    disk: Arc<Disk>,
    file: Option<(File, MmapMut)>,
    /// In words.
    len: usize,
}

impl<T: Pod> Store<T> {
    pub fn new(place: &Place) -> Self {
        Self(match place {
            Place::Memory => Inner::Memory(Vec::new()),
            Place::Disk(disk) => {
                let mapped = Mapped { disk: disk.clone(), file: None, len: 0 };
                Inner::Disk(mapped, std::marker::PhantomData)
            }
        })
    }

    pub fn filled(place: &Place, len: usize, value: T) -> io::Result<Self> {
        let mut store = Self::zeroed(place, len)?;
        store.fill(value);
        Ok(store)
    }

    /// So many zeros. Their memory is taken only where something else is written, by the thread that does.
    pub fn zeroed(place: &Place, len: usize) -> io::Result<Self> {
        let mut store = Self::new(place);
        match &mut store.0 {
            Inner::Memory(words) => {
                *words = zeros(len)?;
                ask_for_huge_pages(words);
            }
            // A new file is nothing but zeros.
            Inner::Disk(mapped, _) => {
                mapped.grow(len.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?)?;
                mapped.len = len;
            }
        }
        Ok(store)
    }

    /// Room for so many words more; an error when there is none.
    pub fn reserve_exact(&mut self, additional: usize) -> io::Result<()> {
        match &mut self.0 {
            Inner::Memory(words) => {
                words
                    .try_reserve_exact(additional)
                    .map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
                ask_for_huge_pages(words);
                Ok(())
            }
            Inner::Disk(mapped, _) => {
                let words = mapped.len.checked_add(additional);
                let bytes = words.and_then(|words| words.checked_mul(size_of::<T>()));
                mapped.grow(bytes.ok_or(io::ErrorKind::OutOfMemory)?)
            }
        }
    }

    /// Appends a word; there must be room for it in a file.
    #[inline]
    pub fn push(&mut self, word: T) {
        match &mut self.0 {
            Inner::Memory(words) => words.push(word),
            Inner::Disk(mapped, _) => {
                let len = mapped.len;
                let Some(place) = mapped.words_mut().get_mut(len) else {
                    panic!("no room was made")
                };
                *place = word;
                mapped.len += 1;
            }
        }
    }

    /// Where the words are, and the room behind them.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        match &mut self.0 {
            Inner::Memory(words) => words.as_mut_ptr(),
            Inner::Disk(mapped, _) => mapped.words_mut().as_mut_ptr(),
        }
    }

    /// # Safety
    /// There is room for so many words, and in memory all of them were written.
    pub unsafe fn set_len(&mut self, len: usize) {
        match &mut self.0 {
            // SAFETY: by the caller's promise.
            Inner::Memory(words) => unsafe { words.set_len(len) },
            Inner::Disk(mapped, _) => mapped.len = len,
        }
    }

    pub fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Inner::Memory(words) => words.truncate(len),
            Inner::Disk(mapped, _) => mapped.len = mapped.len.min(len),
        }
    }
}

/// As `vec![0; len]`, and without the memory an error.
pub(super) fn zeros<T: Pod>(len: usize) -> io::Result<Vec<T>> {
    let words = bytemuck::try_zeroed_slice_box(len);
    words.map(Vec::from).map_err(|()| io::ErrorKind::OutOfMemory.into())
}

/// Large room is to come in pages of 2 MB where the system has them: making small ones takes four times as long, which is half
/// of a short fit. The whole of the room, as malloc mapped it: a part would keep it from growing where it lies.
fn ask_for_huge_pages<T>(words: &Vec<T>) {
    const LEAST_BYTES: usize = 2 << 20;
    const PAGE: usize = 4 << 10;
    let bytes = words.capacity() * size_of::<T>();
    if bytes >= LEAST_BYTES {
        let first = words.as_ptr().addr() & !(PAGE - 1);
        let end = (words.as_ptr().addr() + bytes).next_multiple_of(PAGE);
        // No library has a safe form, as other advice empties the pages.
        // SAFETY: this advice changes no memory's contents, and where it cannot be followed it is refused.
        #[cfg(target_os = "linux")]
        unsafe {
            libc::madvise(first as *mut _, end - first, libc::MADV_HUGEPAGE)
        };
    }
}

impl Mapped {
    fn capacity(&self) -> usize {
        self.file.as_ref().map_or(0, |(_, map)| map.len())
    }

    /// All that there is room for.
    #[inline]
    fn words<T: Pod>(&self) -> &[T] {
        self.file.as_ref().map_or(&[], |(_, map)| bytemuck::cast_slice(&map[..]))
    }

    #[inline]
    fn words_mut<T: Pod>(&mut self) -> &mut [T] {
        self.file.as_mut().map_or(&mut [], |(_, map)| bytemuck::cast_slice_mut(&mut map[..]))
    }

    /// The file has room for so many bytes on the disk, so that no write into the mapping can find it full.
    fn grow(&mut self, bytes: usize) -> io::Result<()> {
        let before = self.capacity();
        if bytes <= before {
            return Ok(());
        }
        self.disk.take((bytes - before) as u64)?;
        let grown = self.grow_file(bytes);
        if grown.is_err() {
            self.disk.used.fetch_sub((bytes - before) as u64, Relaxed);
        }
        grown
    }

    fn grow_file(&mut self, bytes: usize) -> io::Result<()> {
        match &mut self.file {
            None => {
                let file = (self.disk.open)()?;
                allocate(&file, bytes)?;
                // SAFETY: the file is ours alone: it has no name any more.
                let map = unsafe { MmapMut::map_mut(&file)? };
                self.file = Some((file, map));
            }
            Some((file, map)) => {
                allocate(file, bytes)?;
                // SAFETY: the file is that long now; who had a pointer into the mapping asks for it again.
                unsafe { map.remap(bytes, RemapOptions::new().may_move(true))? };
            }
        }
        Ok(())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.disk.used.fetch_sub(self.capacity() as u64, Relaxed);
    }
}

/// Gives the file that many bytes with their blocks on the disk, so that no store into a mapping of it can find the disk full.
pub fn allocate(file: &File, bytes: usize) -> io::Result<()> {
    let length = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
    loop {
        // The call of a library is fallocate, which some file systems refuse; the C library then writes the blocks.
        // SAFETY: the descriptor is open.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
            0 => return Ok(()),
            libc::EINTR => continue,
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl<T: Pod> Deref for Store<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Inner::Memory(words) => words,
            Inner::Disk(mapped, _) => &mapped.words()[..mapped.len],
        }
    }
}

impl<T: Pod> DerefMut for Store<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Inner::Memory(words) => words,
            Inner::Disk(mapped, _) => {
                let len = mapped.len;
                &mut mapped.words_mut()[..len]
            }
        }
    }
}

impl<'a, T: Pod> IntoIterator for &'a Store<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> From<Vec<T>> for Store<T> {
    fn from(words: Vec<T>) -> Self {
        Self(Inner::Memory(words))
    }
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self(Inner::Memory(Vec::new()))
    }
}

/// Into memory.
impl<T: Pod> Clone for Store<T> {
    fn clone(&self) -> Self {
        Self(Inner::Memory(self.to_vec()))
    }
}

impl<T: Pod + PartialEq> PartialEq for Store<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + std::fmt::Debug> std::fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod tests;
