//! The least that the machine takes for what a balancer does.

use std::{
    cell::Cell,
    hint::black_box,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::peers::Body;

/// Three additions to counts that all threads share.
pub(crate) fn three_additions() -> Body {
    let counts: [AtomicU64; 3] = Default::default();
    Box::new(move |times| {
        for _ in 0..times {
            for count in &counts {
                black_box(count.fetch_add(1, Relaxed));
            }
        }
    })
}

/// One of so many at random, held and counted: an array of references, an upgrade, a count, a drop. Each
/// index depends on what the one before has found, as each call of a service comes after another: otherwise
/// the processor fetches the next ones while it waits for the first.
pub(crate) fn one_of(count: usize) -> Body {
    struct One {
        ended: AtomicU64,
        value: u64,
    }
    let all: Vec<Arc<One>> = (0..count as u64)
        .map(|value| {
            let ended = AtomicU64::new(0);
            Arc::new(One { ended, value })
        })
        .collect();
    let view: Vec<Weak<One>> = all.iter().map(Arc::downgrade).collect();
    Box::new(move |times| {
        let state = Cell::new(times | 1);
        for _ in 0..times {
            let next = state
                .get()
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(1);
            let place = ((u128::from(next) * view.len() as u128) >> 64) as usize;
            let Some(one) = view.get(place).and_then(Weak::upgrade) else {
                panic!("all are held");
            };
            one.ended.fetch_add(1, Relaxed);
            state.set(next ^ (black_box(one.value) & 1));
        }
        // Whoever is in the view is alive.
        black_box(&all);
    })
}
