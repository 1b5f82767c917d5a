use std::{
    collections::HashSet,
    fmt,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The name of an instance: a breaker, a pool, a dependency, an operation.
///
/// A name is `Copy` and sixteen bytes, so that a call, a rejection or a signal carries it without
/// an allocation or a reference count. Names written in code cost nothing; names that come from
/// outside ([`Name::new`]) are kept once for the life of the process. That set is bounded by
/// [`Name::LIMIT`]: beyond it every new name reads [`Name::OTHER`] and [`Name::folded`] counts it,
/// so that a hostile stream of names can blur diagnostics but never fill the memory.
///
/// ```
/// use rs_core::Name;
///
/// const PAYMENTS: Name = Name::of("payments");
/// let host = String::from("10.0.0.7:8443");
/// assert_eq!(PAYMENTS.as_str(), "payments");
/// assert_eq!(Name::new(&host), Name::new("10.0.0.7:8443"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(&'static str);

struct Interned {
    names: Mutex<HashSet<&'static str>>,
    folded: AtomicU64,
}

static INTERNED: LazyLock<Interned> = LazyLock::new(|| Interned {
    names: Mutex::new(HashSet::new()),
    folded: AtomicU64::new(0),
});

impl Name {
    /// How many names from outside are kept.
    pub const LIMIT: usize = 262_144;

    /// How many bytes of a name from outside are kept; longer ones end in a hash of the whole.
    pub const MAX_LEN: usize = 128;

    /// What a name reads once the limit is reached.
    pub const OTHER: Name = Name("other");

    /// A name written in code.
    #[must_use]
    pub const fn of(text: &'static str) -> Self {
        Self(text)
    }

    /// A name that came from outside: configuration, a registry, a host.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let shortened = shorten(text);
        let text = shortened.as_deref().unwrap_or(text);
        let mut names = INTERNED
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(text) {
            return Self(known);
        }
        if names.len() >= Self::LIMIT {
            INTERNED.folded.fetch_add(1, Ordering::Relaxed);
            return Self::OTHER;
        }
        let kept: &'static str = Box::leak(text.into());
        names.insert(kept);
        Self(kept)
    }

    /// How often a new name found the set full and became [`Name::OTHER`].
    #[must_use]
    pub fn folded() -> u64 {
        INTERNED.folded.load(Ordering::Relaxed)
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

fn shorten(text: &str) -> Option<String> {
    const TAIL: usize = 17;
    if text.len() <= Name::MAX_LEN {
        return None;
    }
    let cut = text.floor_char_boundary(Name::MAX_LEN - TAIL);
    let head = text.get(..cut).unwrap_or_default();
    Some(format!(
        "{head}~{:016x}",
        crate::hash::stable(text.as_bytes())
    ))
}

impl From<&'static str> for Name {
    fn from(text: &'static str) -> Self {
        Self::of(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Names up to a number; all later ones are [`Name::OTHER`].
///
/// What a metric label or a keyed map uses so that a value from outside cannot make it grow for
/// ever. The names that were there first stay.
///
/// ```
/// use rs_core::{BoundedNames, Name};
///
/// let services = BoundedNames::up_to(2);
/// services.fold("payments");
/// services.fold("inventory");
/// assert_eq!(services.fold("shipping"), Name::OTHER);
/// assert_eq!(services.fold("payments"), Name::of("payments"));
/// assert_eq!(services.folded(), 1);
/// ```
#[derive(Debug)]
pub struct BoundedNames {
    limit: usize,
    known: Mutex<HashSet<Name>>,
    folded: AtomicU64,
}

impl BoundedNames {
    /// At most `limit` names, then [`Name::OTHER`].
    #[must_use]
    pub fn up_to(limit: usize) -> Self {
        Self {
            limit,
            known: Mutex::new(HashSet::new()),
            folded: AtomicU64::new(0),
        }
    }

    /// This name, or [`Name::OTHER`] if the set is full and does not hold it.
    pub fn fold(&self, name: impl AsRef<str>) -> Name {
        let name = name.as_ref();
        let shortened = shorten(name);
        let name = shortened.as_deref().unwrap_or(name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&known) = known.get(name) {
            return known;
        }
        if known.len() >= self.limit {
            self.folded.fetch_add(1, Ordering::Relaxed);
            return Name::OTHER;
        }
        let kept = Name::new(name);
        if kept.as_str() != name {
            // The names of the whole process are at their limit.
            self.folded.fetch_add(1, Ordering::Relaxed);
            return kept;
        }
        known.insert(kept);
        kept
    }

    /// How often a name was folded into [`Name::OTHER`].
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.0
    }
}
