//! What each thread keeps at hand: the view of each balancer that it has used lately, and its dice.
//!
//! A pick then reads one word that all threads share, the version, and writes none but the count of the
//! endpoint it chose. A view holds no endpoint alive; what a thread that has stopped to pick keeps is the
//! lists of a view, until it uses another balancer of the same place or ends.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    sync::Arc,
};

use crate::{common::same_view, dice::Dice, view::View};

/// So many balancers have a place of their own.
const PLACES: usize = 32;

struct Desk {
    views: RefCell<[Kept; PLACES]>,
    dice: Cell<u64>,
    /// Counts picks, for what is done at some of them.
    picks: Cell<u32>,
}

struct Kept {
    balancer: u64,
    version: u64,
    view: Option<Arc<dyn Any + Send + Sync>>,
}

impl Kept {
    const NOTHING: Self = Self {
        balancer: 0,
        version: 0,
        view: None,
    };
}

/// What a pick works with.
pub(crate) struct AtHand<'a, T, G> {
    pub(crate) view: &'a View<T, G>,
    pub(crate) dice: Dice<'a>,
    /// How many picks this thread has made.
    pub(crate) picks: u32,
}

impl Desk {
    const fn new() -> Self {
        Self {
            views: RefCell::new([Kept::NOTHING; PLACES]),
            dice: Cell::new(0),
            picks: Cell::new(0),
        }
    }

    /// Before anybody throws them the first time, the dice are shaken.
    fn shake(&self) {
        if self.dice.get() == 0 {
            self.dice.set(fastrand::u64(1..));
        }
    }

    #[inline(always)]
    fn at_hand<'a, T, G>(&'a self, view: &'a View<T, G>) -> AtHand<'a, T, G> {
        let picks = self.picks.get().wrapping_add(1);
        self.picks.set(picks);
        AtHand {
            view,
            dice: Dice(&self.dice),
            picks,
        }
    }
}

#[cfg(not(loom))]
thread_local! {
    static DESK: Desk = const { Desk::new() };
}
#[cfg(loom)]
loom::thread_local! {
    static DESK: Desk = Desk::new();
}

/// Works with the view of this version; `None` if this thread does not have it.
#[inline(always)]
pub(crate) fn with_kept<T: 'static, G: 'static, R>(
    balancer: u64,
    version: u64,
    work: impl FnOnce(AtHand<'_, T, G>) -> Option<R>,
) -> Option<R>
where
    View<T, G>: Send + Sync,
{
    let done = DESK.try_with(|desk| {
        let views = desk.views.try_borrow().ok()?;
        let kept = &views[place(balancer)];
        if kept.balancer != balancer || !same_view(kept.version, version) {
            return None;
        }
        let view = kept.view.as_ref()?.downcast_ref::<View<T, G>>()?;
        work(desk.at_hand(view))
    });
    done.ok().flatten()
}

/// Keeps the view of this version and works with it.
#[cold]
pub(crate) fn keep_and<T: 'static, G: 'static, R>(
    balancer: u64,
    version: u64,
    view: &Arc<View<T, G>>,
    work: impl FnOnce(AtHand<'_, T, G>) -> R,
) -> R
where
    View<T, G>: Send + Sync,
{
    let kept: Arc<dyn Any + Send + Sync> = Arc::clone(view) as _;
    let put = DESK.try_with(|desk| {
        // Busy when a strategy or a guard picks itself: then this pick does without.
        let mut views = desk.views.try_borrow_mut().ok()?;
        let place = &mut views[place(balancer)];
        let new = Kept {
            balancer,
            version,
            view: Some(kept),
        };
        // Dropped by the caller, when nobody is at the desk: it may hold a strategy of somebody.
        Some(std::mem::replace(place, new))
    });
    drop(put);
    let mut work = Some(work);
    let done = DESK.try_with(|desk| {
        desk.shake();
        work.take().map(|work| work(desk.at_hand(view)))
    });
    match (done, work) {
        (Ok(Some(result)), _) => result,
        // The thread ends.
        (_, Some(work)) => {
            let dice = Cell::new(fastrand::u64(..));
            work(AtHand {
                view,
                dice: Dice(&dice),
                picks: 1,
            })
        }
        (_, None) => unreachable!("what is done has a result"),
    }
}

/// The mask keeps it inside.
#[inline]
const fn place(balancer: u64) -> usize {
    balancer as usize & (PLACES - 1)
}
