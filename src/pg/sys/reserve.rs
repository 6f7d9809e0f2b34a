//! The extension's allocator: the system's, with a small reserve for when that refuses.
//!
//! Much of Rust cannot be told that a block was refused: a `format!`, a node of a tree, the payload of a panic. A small one then
//! comes from the reserve and [`SHORT`] is raised: the work is ended at its next look, and its error has the room to be told. The
//! reserve is memory that nothing touches until then, and is whole again once all its blocks were given back.
//!
//! The C library has its own small blocks, as for the variables of a thread, and ends the process without one. So a block of its
//! heap is kept, and freed for it when memory is first refused.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::algo::memory::{self, SHORT};

#[global_allocator]
static ALLOCATOR: Reserved = Reserved;

struct Reserved;

const SIZE: usize = 2 << 20;
/// What asks for more than this can be told no.
const LARGEST: usize = SIZE / 2;

#[repr(align(64))]
struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: the bytes are reached through blocks alone, each of which is one owner's.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; SIZE]));

/// How many blocks are out (the high half), and how many bytes are used up (the low half): both change together.
static STATE: AtomicU64 = AtomicU64::new(0);

/// Kept for the C library; null while it is out.
static KEPT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// Not so large that the C library would map it apart from its heap.
const KEPT_LAYOUT: Layout = match Layout::from_size_align(64 << 10, 16) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<u64>(),
};

/// A computation begins: what was short before is another's.
pub(crate) fn begin() {
    memory::begin();
    if KEPT.load(Ordering::Relaxed).is_null() {
        // SAFETY: the layout is not of size 0; one thread begins computations.
        KEPT.store(unsafe { System.alloc(KEPT_LAYOUT) }, Ordering::Release);
    }
}

fn is_of_reserve(block: *mut u8) -> bool {
    block.addr().wrapping_sub(MEMORY.0.get().addr()) < SIZE
}

#[cold]
fn from_reserve(layout: Layout) -> *mut u8 {
    let kept = KEPT.swap(std::ptr::null_mut(), Ordering::AcqRel);
    if !kept.is_null() {
        // SAFETY: allocated above with this layout, and out of the one place where it was.
        unsafe { System.dealloc(kept, KEPT_LAYOUT) };
    }
    if layout.size() > LARGEST || layout.align() > 64 {
        return std::ptr::null_mut();
    }
    let place = |state: u64| (state as u32 as usize).next_multiple_of(layout.align());
    let taken = |state: u64| {
        let end = place(state) + layout.size();
        (end <= SIZE).then_some(((state >> 32) + 1) << 32 | end as u64)
    };
    match STATE.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken) {
        Ok(before) => {
            SHORT.store(true, Ordering::Relaxed);
            // SAFETY: the block ends within the reserve, and no other has its bytes until it is given back.
            unsafe { MEMORY.0.get().cast::<u8>().add(place(before)) }
        }
        Err(_) => std::ptr::null_mut(),
    }
}

#[cold]
fn give_back() {
    let given = |state: u64| match (state >> 32).saturating_sub(1) {
        0 => Some(0),
        blocks => Some(blocks << 32 | u64::from(state as u32)),
    };
    let _ = STATE.fetch_update(Ordering::AcqRel, Ordering::Acquire, given);
}

// SAFETY: blocks are the system's, or parts of the reserve that no other block has; neither path unwinds.
unsafe impl GlobalAlloc for Reserved {
    // SAFETY: the caller promises what the trait asks for.
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { from_reserve(layout) } else { block }
    }

    // SAFETY: the caller promises what the trait asks for.
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise; a block of the reserve has the layout's size.
        unsafe {
            let block = System.alloc_zeroed(layout);
            if !block.is_null() {
                return block;
            }
            let block = from_reserve(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    // SAFETY: the caller promises what the trait asks for.
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_of_reserve(block) {
            return give_back();
        }
        // SAFETY: the block is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    // SAFETY: the caller promises what the trait asks for.
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's promise; both blocks are as long as what is copied, and apart.
        unsafe {
            if !is_of_reserve(block) {
                let larger = System.realloc(block, layout, size);
                if !larger.is_null() {
                    return larger;
                }
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                block.copy_to_nonoverlapping(moved, size.min(layout.size()));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
