//! Where results of nodes are kept, to be reused.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowcore::{Digest, NodeOutput, Timestamp};
use lru::LruCache;

/// Where the results of nodes with a `cache` are kept, for all executions of a runtime.
///
/// Drivers call it between two events, from any thread, so it must be quick and must not wait: no
/// I/O. What is lost in it is computed again, so it may forget whatever it likes at any time. It is
/// asked only about results that may be shown: none that comes from a secret.
pub trait ResultCache: Send + Sync {
    /// The result under a key, if one is kept that is good at this moment.
    fn get(&self, key: &Digest, now: Timestamp) -> Option<NodeOutput>;

    /// Keeps a result that is good until this moment, and not at it; one under the same key is
    /// replaced.
    fn put(&self, key: Digest, outputs: NodeOutput, until: Timestamp);
}

/// A cache in memory, bounded: when it is full, what was not asked for longest goes first.
///
/// Values are shared with the executions that made them and that use them, not copied. Results that
/// are no longer good are let go when they are asked for, or when the cache is full.
pub struct MemoryCache {
    max_entries: usize,
    max_bytes: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Unbounded: that one would take the memory for all its entries at once.
    entries: LruCache<Digest, Entry>,
    bytes: usize,
}

struct Entry {
    outputs: NodeOutput,
    until: Timestamp,
    bytes: usize,
}

/// What an entry takes besides its values: the key, the list and the table.
const ENTRY_BYTES: usize = 128;

impl MemoryCache {
    /// Results that are kept, unless said otherwise.
    pub const DEFAULT_ENTRIES: usize = 10_000;
    /// Bytes that they may take, unless said otherwise: 64 MiB.
    pub const DEFAULT_BYTES: usize = 64 * 1024 * 1024;

    /// A cache of so many results that take so many bytes at most, measured roughly, as JSON. One
    /// result that is larger alone is not kept; with 0 of either nothing is.
    pub fn new(max_entries: usize, max_bytes: usize) -> Self {
        let kept = Kept { entries: LruCache::unbounded(), bytes: 0 };
        Self { max_entries, max_bytes, kept: Mutex::new(kept) }
    }

    /// How many results are kept, those included that are no longer good.
    pub fn len(&self) -> usize {
        self.kept().entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the results take, measured roughly.
    pub fn bytes(&self) -> usize {
        self.kept().bytes
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &Digest) {
        let bytes = self.entries.pop(key).map_or(0, |entry| entry.bytes);
        self.bytes -= bytes;
    }
}

impl ResultCache for MemoryCache {
    fn get(&self, key: &Digest, now: Timestamp) -> Option<NodeOutput> {
        let mut kept = self.kept();
        let entry = kept.entries.get(key)?;
        if now < entry.until {
            return Some(entry.outputs.clone());
        }
        kept.remove(key);
        None
    }

    fn put(&self, key: Digest, outputs: NodeOutput, until: Timestamp) {
        // Before the lock: it walks over the values.
        let values = outputs.iter().map(|(port, value)| port.len() + value.approximate_size());
        let bytes = values.sum::<usize>() + ENTRY_BYTES;
        let mut kept = self.kept();
        kept.remove(&key);
        if bytes > self.max_bytes {
            return;
        }
        kept.entries.push(key, Entry { outputs, until, bytes });
        kept.bytes += bytes;
        while kept.entries.len() > self.max_entries || kept.bytes > self.max_bytes {
            let Some((_, oldest)) = kept.entries.pop_lru() else { return };
            kept.bytes -= oldest.bytes;
        }
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new(Self::DEFAULT_ENTRIES, Self::DEFAULT_BYTES)
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("MemoryCache")
            .field("entries", &kept.entries.len())
            .field("bytes", &kept.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use flowcore::Value;

    use super::*;

    fn key(number: i64) -> Digest {
        Digest::of(&Value::from(number))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn result(size: usize) -> NodeOutput {
        NodeOutput::of("x", "a".repeat(size))
    }

    fn held(cache: &MemoryCache, numbers: std::ops::Range<i64>) -> Vec<i64> {
        numbers.filter(|number| cache.get(&key(*number), at(0)).is_some()).collect()
    }

    #[test]
    fn results_are_good_until_their_time() {
        let cache = MemoryCache::default();
        cache.put(key(1), result(1), at(10));
        assert_eq!(cache.get(&key(1), at(9)), Some(result(1)));
        assert_eq!(cache.get(&key(2), at(9)), None);
        assert_eq!(cache.get(&key(1), at(10)), None);
        assert_eq!((cache.len(), cache.bytes()), (0, 0), "what is over is let go");
        cache.put(key(1), result(1), at(20));
        cache.put(key(1), result(2), at(30));
        assert_eq!(cache.get(&key(1), at(25)), Some(result(2)));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let cache = MemoryCache::new(3, usize::MAX);
        (0..3).for_each(|number| cache.put(key(number), result(1), at(10)));
        assert!(cache.get(&key(0), at(0)).is_some());
        cache.put(key(3), result(1), at(10));
        assert_eq!(held(&cache, 0..4), [0, 2, 3]);
    }

    #[test]
    fn bytes_are_bounded() {
        let each = ENTRY_BYTES + "x".len() + 100 + 2;
        let cache = MemoryCache::new(usize::MAX, 3 * each);
        (0..5).for_each(|number| cache.put(key(number), result(100), at(10)));
        assert_eq!(held(&cache, 0..5), [2, 3, 4]);
        assert_eq!(cache.bytes(), 3 * each);
        cache.put(key(5), result(100 + each), at(10));
        assert_eq!(held(&cache, 0..6), [4, 5], "a large one takes the place of several");
        cache.put(key(5), result(3 * each), at(10));
        assert_eq!(held(&cache, 0..6), [4], "one that never fits is not kept");
        let nothing = MemoryCache::new(0, usize::MAX);
        nothing.put(key(1), result(1), at(10));
        assert!(nothing.is_empty() && nothing.bytes() == 0);
    }
}
