//! A call whose attempts may run beside each other.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;
use rs_core::{Call, Deadline, Failure, Operation, Outcome};

use super::{HedgeEnd, Inner};

type Attempted<O> = Result<<O as Operation>::Output, Failure<<O as Operation>::Error>>;

pin_project! {
    /// The first attempt, and beside it whatever the race needs, on the heap: what does not wait is not
    /// charged for it, and the future does not grow by the hedges that it may have.
    pub(super) struct Hedged<'h, 'c, 'o, O, F, M, H>
    where
        O: Operation,
    {
        hedge: &'h Inner,
        deposits: bool,
        call: &'c Call,
        operation: &'o O,
        another: M,
        #[pin]
        first: First<F>,
        // Whether it has never had to wait.
        is_new: bool,
        race: Option<Box<Race<'h, O, H>>>,
    }
}

pin_project! {
    #[project = FirstProjection]
    enum First<F> {
        Running { #[pin] attempt: F },
        Over,
    }
}

impl<'h, 'c, 'o, O: Operation, F, M, H> Hedged<'h, 'c, 'o, O, F, M, H>
where
    M: Fn(Call) -> H,
{
    #[inline(always)]
    pub(super) const fn new(
        hedge: &'h Inner,
        deposits: bool,
        call: &'c Call,
        operation: &'o O,
        attempt: F,
        another: M,
    ) -> Self {
        Self {
            hedge,
            deposits,
            call,
            operation,
            another,
            first: First::Running { attempt },
            is_new: true,
            race: None,
        }
    }
}

impl<O, F, M, H> Future for Hedged<'_, '_, '_, O, F, M, H>
where
    O: Operation,
    F: Future<Output = Attempted<O>>,
    M: Fn(Call) -> H,
    H: Future<Output = Attempted<O>>,
{
    type Output = Attempted<O>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted<O>> {
        let mut this = self.project();
        let (hedge, call, operation) = (*this.hedge, *this.call, *this.operation);
        let mut answer = match this.first.as_mut().project() {
            FirstProjection::Running { attempt } => attempt.poll(context),
            FirstProjection::Over if this.race.is_some() => Poll::Pending,
            FirstProjection::Over => unreachable!("polled again after it was over"),
        };
        if *this.is_new {
            match &answer {
                Poll::Ready(result) => {
                    hedge.hear_at_once(call, || operation.classify(call, result));
                }
                Poll::Pending => *this.race = hedge.enter(call),
            }
            *this.is_new = false;
        }
        if let Some(race) = this.race {
            let finished = race.poll(
                answer,
                this.first.as_mut(),
                call,
                operation,
                this.another,
                context,
            );
            if finished.is_ready() {
                this.first.set(First::Over);
                *this.race = None;
            }
            answer = finished;
        }
        let result = ready!(answer);
        if *this.deposits {
            hedge.deposit(call, &result);
        }
        Poll::Ready(result)
    }
}

impl Inner {
    /// The first attempt has to wait: gets ready to start others beside it, if there may be any.
    #[inline(never)]
    fn enter<O: Operation, H>(&self, call: &Call) -> Option<Box<Race<'_, O, H>>> {
        if !call.is_safe_to_repeat() {
            return None;
        }
        let clock = self.home.around.clock();
        let begun = clock.now();
        let rules = self.rules.get();
        let delay = self.pace.delay(begun, || *rules);
        if delay.is_none() && !self.pace.measures() {
            return None;
        }
        Some(Box::new(Race {
            hedge: self,
            call: call.begun_at(begun),
            begun,
            delay,
            timer: delay.map(|delay| self.timer(begun, delay)),
            first: Standing::Running,
            others: Vec::new(),
            started: 0,
            most: rules.hedges(),
            end: None,
        }))
    }

    fn timer(&self, now: Instant, delay: Duration) -> Timer<'_> {
        let clock = self.home.around.clock();
        Box::pin(clock.sleep_until(Deadline::after(now, delay).moment()))
    }

    /// An answer that was there at once is one of those that make the quantile.
    #[inline]
    fn hear_at_once(&self, call: &Call, outcome: impl FnOnce() -> Outcome) {
        if self.pace.measures() && call.is_safe_to_repeat() && outcome().is_success() {
            self.pace.add_at_once();
        }
    }

    /// A call that reached the dependency for the first time adds to the budget.
    #[inline]
    fn deposit<T, E>(&self, call: &Call, result: &Result<T, Failure<E>>) {
        if let Some(budget) = &self.budget
            && call.attempt() == 1
            && !matches!(result, Err(Failure::Rejected(_)))
        {
            budget.deposit();
        }
    }
}

type Timer<'h> = Pin<Box<dyn Future<Output = ()> + Send + 'h>>;

/// The attempts of a call that had to wait, the first of which runs elsewhere.
struct Race<'h, O: Operation, H> {
    hedge: &'h Inner,
    call: Call,
    begun: Instant,
    delay: Option<Duration>,
    timer: Option<Timer<'h>>,
    first: Standing<O>,
    others: Vec<Other<'h, H>>,
    started: u8,
    most: u8,
    /// How it ended; none if it is dropped before that.
    end: Option<HedgeEnd>,
}

/// How the first attempt stands.
enum Standing<O: Operation> {
    Running,
    /// It failed while others ran: what the call ends with if all do.
    Failed(Attempted<O>),
    Over,
}

struct Other<'h, H> {
    number: u8,
    attempt: Pin<Box<H>>,
    _counted: Counted<'h>,
}

/// Is counted as running as long as it lives.
struct Counted<'h>(&'h Inner);

impl<'h> Counted<'h> {
    fn new(hedge: &'h Inner) -> Self {
        hedge.started.increment();
        hedge.running.add(1.0);
        Self(hedge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.running.add(-1.0);
    }
}

impl<O, H> Race<'_, O, H>
where
    O: Operation,
    H: Future<Output = Attempted<O>>,
{
    fn poll<F>(
        &mut self,
        first: Poll<Attempted<O>>,
        mut running: Pin<&mut First<F>>,
        call: &Call,
        operation: &O,
        another: &impl Fn(Call) -> H,
        context: &mut Context<'_>,
    ) -> Poll<Attempted<O>> {
        if let Poll::Ready(result) = first {
            running.set(First::Over);
            let outcome = operation.classify(call, &result);
            self.hear_first(outcome);
            if is_good(&result, outcome) {
                self.finish(HedgeEnd::Lost);
                return Poll::Ready(result);
            }
            self.first = Standing::Failed(result);
        }
        let mut asked = 0;
        loop {
            if let Some(result) = self.poll_others(asked, call, operation, context) {
                return Poll::Ready(result);
            }
            let Some(timer) = &mut self.timer else {
                return Poll::Pending;
            };
            ready!(timer.as_mut().poll(context));
            asked = self.others.len();
            self.start(operation, another);
        }
    }

    /// Asks those from here on. What the call ends with, if one of them decided it.
    fn poll_others(
        &mut self,
        mut from: usize,
        call: &Call,
        operation: &O,
        context: &mut Context<'_>,
    ) -> Option<Attempted<O>> {
        while let Some(other) = self.others.get_mut(from) {
            let Poll::Ready(result) = other.attempt.as_mut().poll(context) else {
                from += 1;
                continue;
            };
            let number = other.number;
            self.others.remove(from);
            let outcome = operation.classify(&call.as_hedge(number), &result);
            if is_good(&result, outcome) {
                self.finish(HedgeEnd::Won);
                return Some(result);
            }
        }
        if !self.others.is_empty() {
            return None;
        }
        match std::mem::replace(&mut self.first, Standing::Over) {
            Standing::Failed(result) => {
                self.finish(HedgeEnd::Failed);
                Some(result)
            }
            before => {
                self.first = before;
                None
            }
        }
    }

    /// The delay is over: starts another attempt if one may be, and if more may be, the next delay.
    fn start(&mut self, operation: &O, another: &impl Fn(Call) -> H) {
        self.timer = None;
        let (hedge, now) = (self.hedge, self.hedge.home.around.clock().now());
        let call = &self.call;
        if call.deadline().is_some_and(|by| by.has_passed(now))
            || !operation.can_repeat()
            || !hedge.may_start(call, self.started)
        {
            return;
        }
        self.started += 1;
        self.others.push(Other {
            number: self.started,
            _counted: Counted::new(hedge),
            attempt: Box::pin(another(call.as_hedge(self.started))),
        });
        if self.started < self.most
            && let Some(delay) = self.delay
        {
            self.timer = Some(hedge.timer(now, delay));
        }
    }
}

impl<O: Operation, H> Race<'_, O, H> {
    /// It is decided: whoever still runs is dropped now.
    fn finish(&mut self, end: HedgeEnd) {
        self.end = Some(end);
        self.others.clear();
    }

    fn hear_first(&mut self, outcome: Outcome) {
        self.first = Standing::Over;
        if outcome.is_success() && self.hedge.pace.measures() {
            let now = self.hedge.home.around.clock().now();
            self.hedge.hear(now, self.begun);
        }
    }

    /// A first attempt that is dropped took longer than the delay, if it was not dropped before that.
    /// How much longer is not known, and to count it with what is known keeps the quantile right: one
    /// that only counts attempts that may finish finds itself ever shorter.
    fn hear_dropped(&self) {
        if !matches!(self.first, Standing::Running) || !self.hedge.pace.measures() {
            return;
        }
        let now = self.hedge.home.around.clock().now();
        let passed = now.saturating_duration_since(self.begun);
        if self.delay.is_some_and(|delay| passed >= delay) {
            self.hedge.hear(now, self.begun);
        }
    }
}

impl<O: Operation, H> Drop for Race<'_, O, H> {
    fn drop(&mut self) {
        self.hear_dropped();
        if self.started > 0 {
            self.hedge.ends[self.end.unwrap_or(HedgeEnd::Cancelled)].increment();
        }
    }
}

/// Whether nobody need wait for another answer. What a guard refused is none, and an error of the
/// caller's own is one: others would say the same.
fn is_good<T, E>(result: &Result<T, Failure<E>>, outcome: Outcome) -> bool {
    !outcome.is_failure() && !matches!(result, Err(Failure::Rejected(_)))
}
