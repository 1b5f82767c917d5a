//! Calls that are dropped while they wait.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;
use rs_core::{Call, Guard, Rejection};
use rs_policies::RateLimit;

use super::{MS, Stand, bucket};

/// A call on its way in, polled by hand.
pub(crate) struct Entered<'l>(Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'l>>);

impl<'l> Entered<'l> {
    pub(crate) fn by(limit: &'l RateLimit, call: &'l Call) -> Self {
        Self(Box::pin(limit.enter(call)))
    }

    pub(crate) fn poll(&mut self) -> Poll<Result<(), Rejection>> {
        self.0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    pub(crate) fn is_waiting(&mut self) -> bool {
        self.poll().is_pending()
    }

    pub(crate) fn is_admitted(&mut self) -> bool {
        matches!(self.poll(), Poll::Ready(Ok(())))
    }

    #[track_caller]
    pub(crate) fn refused(mut self) -> Rejection {
        match self.poll() {
            Poll::Ready(Err(refused)) => refused,
            other => panic!("{other:?}"),
        }
    }
}

fn stand() -> Stand {
    Stand::new(bucket(1, 10.0).with_wait(1000 * MS))
}

#[test]
fn never_polled_it_takes_nothing() {
    let stand = stand();
    drop(Entered::by(&stand.limit, &Call::new("look up")));
    assert_eq!((stand.limit.waiting(), stand.admitted()), (0, 1));
}

/// At every poll: before its turn has come, when it has, and long after.
#[test]
fn the_last_leaves_no_trace() {
    for polls in 1..=5 {
        let stand = stand();
        let call = Call::new("look up");
        assert!(stand.admits());
        let mut dropped = Entered::by(&stand.limit, &call);
        for _ in 0..polls {
            assert!(dropped.is_waiting());
            stand.hand.advance(20 * MS);
        }
        drop(dropped);
        assert_eq!(stand.limit.waiting(), 0);
        stand.hand.advance((100 - 20 * polls) * MS);
        assert_eq!(stand.admitted(), 1, "after {polls} polls");
    }
}

#[test]
fn all_of_them_from_the_last_to_the_first_leave_no_trace() {
    let stand = stand();
    let call = Call::new("look up");
    assert!(stand.admits());
    let mut all: Vec<_> = (0..5).map(|_| Entered::by(&stand.limit, &call)).collect();
    assert!(all.iter_mut().all(Entered::is_waiting));
    while let Some(last) = all.pop() {
        drop(last);
        assert_eq!(stand.limit.waiting() as usize, all.len());
        assert_eq!(stand.limit.available(), -(all.len() as f64));
    }
}

/// Tokens are lost then, and nobody goes on earlier, or two would go on together.
#[test]
fn one_with_others_behind_it() {
    let stand = stand();
    let call = Call::new("look up");
    assert!(stand.admits());
    let first = Entered::by(&stand.limit, &call);
    let mut all = [first, Entered::by(&stand.limit, &call)];
    assert!(all.iter_mut().all(Entered::is_waiting));
    let [first, mut second] = all;
    drop(first);
    assert_eq!((stand.limit.waiting(), stand.limit.available()), (1, -2.0));
    stand.hand.advance(100 * MS);
    assert!(second.is_waiting() && !stand.admits());
    stand.hand.advance(100 * MS);
    assert!(second.is_admitted() && !stand.admits());
}

#[test]
fn after_its_end_nothing_is_given_back() {
    let stand = stand();
    let call = Call::new("look up");
    assert!(stand.admits());
    let mut entered = Entered::by(&stand.limit, &call);
    assert!(entered.is_waiting());
    stand.hand.advance(100 * MS);
    assert!(entered.is_admitted());
    drop(entered);
    assert_eq!((stand.limit.waiting(), stand.admitted()), (0, 0));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Enter,
    Drop(usize),
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Enter),
        2 => (0_usize..8).prop_map(Step::Drop),
        3 => (1_u32..30).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// Whoever comes, goes and gives up: in no stretch of time do more go on than the burst and the rate
    /// allow, and in the end nobody waits.
    #[test]
    fn whatever_happens_the_limit_holds(burst in 1_u32..4, steps in steps()) {
        let stand = Stand::new(bucket(burst, 100.0).with_wait(1000 * MS).with_waiters(8));
        let call = Call::new("look up");
        let (mut waiting, mut went, mut now) = (Vec::new(), Vec::new(), 0_u32);
        for step in steps {
            match step {
                Step::Enter => waiting.push(Entered::by(&stand.limit, &call)),
                Step::Drop(at) if at < waiting.len() => drop(waiting.remove(at)),
                Step::Wait(millis) => {
                    // By the millisecond, so that everybody goes on when their time comes.
                    for _ in 0..millis {
                        now += 1;
                        stand.hand.advance(MS);
                        waiting.retain_mut(|one: &mut Entered<'_>| match one.poll() {
                            Poll::Ready(Ok(())) => { went.push(now); false }
                            Poll::Ready(Err(_)) => false,
                            Poll::Pending => true,
                        });
                    }
                }
                Step::Drop(_) => {}
            }
            waiting.retain_mut(|one| match one.poll() {
                Poll::Ready(Ok(())) => { went.push(now); false }
                Poll::Ready(Err(_)) => false,
                Poll::Pending => true,
            });
            prop_assert_eq!(stand.limit.waiting() as usize, waiting.len());
        }
        for (first, from) in went.iter().enumerate() {
            for (last, to) in went.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u32;
                prop_assert!(count * 10 <= burst * 10 + (to - from), "{went:?}");
            }
        }
        waiting.clear();
        prop_assert_eq!(stand.limit.waiting(), 0);
    }
}
