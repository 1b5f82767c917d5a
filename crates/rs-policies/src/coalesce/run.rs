//! A call that runs, or waits for the run of another.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use rs_core::{Call, Deadline, Failure, TimeScope, TimedOut};

use super::{
    CoalesceRole, Inner,
    flight::Heard,
    table::{Joined, Lead, Place},
};

type Answer<T, E> = Result<T, Failure<E>>;

pin_project! {
    /// A call that runs or waits. It is written out so that one that runs costs no more than its own future
    /// and who leads.
    pub(super) struct Coalesced<'p, 'c, T, E, F, M, H, N> {
        coalesce: &'p Inner<T, E>,
        call: &'c Call,
        at_once: M,
        later: N,
        #[pin]
        state: State<'p, T, E, F, H>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[project_replace = StateBefore]
    enum State<'p, T, E, F, H> {
        New,
        Waits { waiting: Box<Waiting<'p, T, E>> },
        // The run is dropped before another call hears that it is to run.
        Runs { #[pin] running: F, lead: Option<Lead<'p, Answer<T, E>>> },
        // It waited before: its time counts from then, so its call is another one.
        RunsLate { running: Pin<Box<H>>, lead: Option<Lead<'p, Answer<T, E>>> },
        Over,
    }
}

struct Waiting<'p, T, E> {
    coalesce: &'p Inner<T, E>,
    /// As it was when it began to wait.
    call: Call,
    place: Place<'p, Answer<T, E>>,
    timer: Pin<Box<dyn Future<Output = ()> + Send + 'p>>,
    limit: Duration,
    /// Whether the time that ends is that of the call, not only that of waiting.
    is_deadline: bool,
    is_over: bool,
}

/// What a call that waited does next.
enum Next<'p, T, E> {
    Answers(Answer<T, E>),
    Runs(Option<Lead<'p, Answer<T, E>>>),
}

impl<'p, 'c, T, E, F, M, H, N> Coalesced<'p, 'c, T, E, F, M, H, N>
where
    M: Fn() -> F,
    N: Fn(Call) -> H,
{
    #[inline(always)]
    pub(super) const fn new(
        coalesce: &'p Inner<T, E>,
        call: &'c Call,
        at_once: M,
        later: N,
    ) -> Self {
        Self {
            coalesce,
            call,
            at_once,
            later,
            state: State::New,
        }
    }
}

impl<T, E, F, M, H, N> Future for Coalesced<'_, '_, T, E, F, M, H, N>
where
    T: Clone,
    E: Clone,
    F: Future<Output = Answer<T, E>>,
    M: Fn() -> F,
    H: Future<Output = Answer<T, E>>,
    N: Fn(Call) -> H,
{
    type Output = Answer<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<T, E>> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::New => match this.coalesce.begin(this.call, context) {
                    Begun::Waits(waiting) => State::Waits { waiting },
                    Begun::Runs(lead) => {
                        let running = (this.at_once)();
                        State::Runs { running, lead }
                    }
                },
                StateProjection::Waits { waiting } => match ready!(waiting.poll(context)) {
                    Next::Answers(answer) => {
                        this.state.set(State::Over);
                        return Poll::Ready(answer);
                    }
                    Next::Runs(lead) => {
                        let running = Box::pin((this.later)(waiting.call));
                        State::RunsLate { running, lead }
                    }
                },
                StateProjection::Runs { running, .. } => {
                    let answer = ready!(running.poll(context));
                    return Poll::Ready(this.state.end(answer));
                }
                StateProjection::RunsLate { running, .. } => {
                    let answer = ready!(running.as_mut().poll(context));
                    return Poll::Ready(this.state.end(answer));
                }
                StateProjection::Over => unreachable!("polled again after it was over"),
            };
            this.state.set(next);
        }
    }
}

impl<T: Clone, E: Clone, F, H> State<'_, T, E, F, H> {
    /// It ran, and this is the answer, for those who wait as well.
    fn end(self: Pin<&mut Self>, answer: Answer<T, E>) -> Answer<T, E> {
        let lead = match self.project_replace(State::Over) {
            StateBefore::Runs { lead, .. } | StateBefore::RunsLate { lead, .. } => lead,
            StateBefore::New | StateBefore::Waits { .. } | StateBefore::Over => None,
        };
        if let Some(lead) = lead
            && !is_own_limit(&answer)
        {
            lead.share(&answer);
        }
        answer
    }
}

/// Whether it ended because its caller had no more time: others may have.
const fn is_own_limit<T, E>(answer: &Answer<T, E>) -> bool {
    match answer {
        Err(Failure::TimedOut(what)) => {
            matches!(what.scope(), TimeScope::Deadline | TimeScope::Total)
        }
        _ => false,
    }
}

enum Begun<'p, T, E> {
    Waits(Box<Waiting<'p, T, E>>),
    Runs(Option<Lead<'p, Answer<T, E>>>),
}

impl<T, E> Inner<T, E> {
    fn begin(&self, call: &Call, context: &Context<'_>) -> Begun<'_, T, E> {
        let alone = |role| {
            self.roles[role].increment();
            Begun::Runs(None)
        };
        let Some(key) = call.key() else {
            return alone(CoalesceRole::Alone);
        };
        let key = (call.name(), key);
        match self.table.join(key, self.may_follow(call), context.waker()) {
            Joined::Leads(lead) => {
                self.roles[CoalesceRole::Leader].increment();
                Begun::Runs(Some(lead))
            }
            Joined::Follows(place) => Begun::Waits(Box::new(self.wait(call, place))),
            Joined::Dark => alone(CoalesceRole::Dark),
            Joined::Crowded => alone(CoalesceRole::Crowded),
        }
    }

    fn wait<'p>(&'p self, call: &Call, place: Place<'p, Answer<T, E>>) -> Waiting<'p, T, E> {
        let longest = self.rules.get().longest_wait();
        let clock = self.home.around.clock();
        let now = clock.now();
        let left = call
            .deadline_at(now)
            .map(|deadline| deadline.remaining(now));
        let limit = left.map_or(longest, |left| left.min(longest));
        Waiting {
            coalesce: self,
            call: call.begun_at(now),
            place,
            timer: Box::pin(clock.sleep_until(Deadline::after(now, limit).moment())),
            limit,
            is_deadline: left.is_some_and(|left| left <= longest),
            is_over: false,
        }
    }
}

impl<'p, T: Clone, E: Clone> Waiting<'p, T, E> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next<'p, T, E>> {
        let (role, next) = match self.place.hear(context.waker()) {
            Heard::Answer(answer) => {
                let answer = Arc::unwrap_or_clone(answer);
                (CoalesceRole::Follower, Next::Answers(answer))
            }
            Heard::Lead => (CoalesceRole::Heir, Next::Runs(Some(self.place.lead()))),
            Heard::Nothing => {
                ready!(self.timer.as_mut().poll(context));
                if self.is_deadline {
                    let late = TimedOut::new(TimeScope::Deadline, self.limit);
                    (CoalesceRole::Left, Next::Answers(Err(late.into())))
                } else {
                    (CoalesceRole::Impatient, Next::Runs(None))
                }
            }
        };
        self.is_over = true;
        self.coalesce.roles[role].increment();
        Poll::Ready(next)
    }
}

impl<T, E> Drop for Waiting<'_, T, E> {
    fn drop(&mut self) {
        if !self.is_over {
            self.coalesce.roles[CoalesceRole::Left].increment();
        }
    }
}
