//! What the handles of a balancer share, and how an endpoint is picked.

use std::sync::{
    Arc as Std, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64 as Plain, Ordering},
};

use rs_core::{Call, Guard, Rejection};
use rs_metrics::{
    Counter, Family, Observed,
    pattern::{Home, Rules},
};

use crate::{
    BalancerConfig, Cause, Lease, NoEndpoint,
    common::{Common, NEVER, Nanos, is_alarmed, millis},
    desk::{self, AtHand},
    dice::Dice,
    event, lease,
    node::Node,
    roster::Roster,
    sync::{Arc, Published},
    tend::Tended,
    tried::{self, Avoid},
    view::{View, Watch},
};

pub(crate) struct Inner<T, G> {
    /// Which one it is, in this process.
    id: u64,
    pub(crate) home: Home,
    pub(crate) rules: Rules<BalancerConfig>,
    pub(crate) common: Std<Common>,
    current: Published<View<T, G>>,
    roster: Mutex<Roster<T, G>>,
    /// Held by whoever changes which endpoints there are.
    pub(crate) updating: Mutex<()>,
    pub(crate) guard: MakeGuard<T, G>,
    pub(crate) refused: Family<Counter, NoEndpoint>,
    pub(crate) ejections: Family<Counter, Cause>,
    pub(crate) moved_on: Family<Counter>,
    pub(crate) observed: OnceLock<Box<[Observed]>>,
}

/// Makes the guard of an endpoint from its id and value.
pub(crate) type MakeGuard<T, G> = Box<dyn Fn(&str, &T) -> G + Send + Sync>;

/// The longest time that a thread rests from looking after endpoints, and how many times as long as looking
/// takes it rests.
const LONGEST_REST: Nanos = 100_000_000;
const REST: u64 = 20;

/// Whether an endpoint is not wanted, by its id and value.
type IsExcluded<'a, T> = dyn Fn(&str, &T) -> bool + 'a;

/// What an endpoint is picked for.
pub(crate) struct Wish<'a, T> {
    pub(crate) call: &'a Call,
    /// Endpoints that the caller does not want.
    pub(crate) but: Option<&'a IsExcluded<'a, T>>,
}

impl<T, G> Inner<T, G>
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    pub(crate) fn new(home: Home, rules: Rules<BalancerConfig>, guard: MakeGuard<T, G>) -> Self {
        static NEXT: Plain = Plain::new(1);
        let around = &home.around;
        let seed = around
            .seed()
            .map(|_| around.dice(home.name.as_str()).u64(..));
        let registry = home.metrics();
        let inner = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            common: Std::new(Common::new(around.clock().clone(), seed)),
            current: Published::new(Std::new(View::empty())),
            roster: Mutex::new(Roster::new()),
            updating: Mutex::new(()),
            guard,
            refused: crate::metrics::REFUSED.bind_in(&registry, home.name),
            ejections: crate::metrics::EJECTIONS.bind_in(&registry, home.name),
            moved_on: crate::metrics::MOVED_ON.bind_in(&registry, home.name),
            observed: OnceLock::new(),
            rules,
            home,
        };
        inner.tell_rules(&inner.rules.get());
        inner
    }

    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster<T, G>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view(&self) -> Std<View<T, G>> {
        self.current.get()
    }

    /// What endpoints and leases go by.
    pub(crate) fn tell_rules(&self, config: &BalancerConfig) {
        let streak = config
            .outliers()
            .map_or(0, crate::Outliers::consecutive_failures);
        let latency = match config.strategy() {
            crate::Strategy::LatencyBased(latency) => *latency,
            _ => crate::Latency::default().with_failure_counting_as(std::time::Duration::ZERO),
        };
        self.common
            .set_rules(streak, latency.decay(), latency.failure_counts_as());
    }

    /// An endpoint for a call.
    ///
    /// Nearly all picks find that this thread has the view in force, that nothing is due, that nobody is to
    /// be avoided and that the first choice is there.
    #[inline]
    pub(crate) fn try_pick(&self, call: &Call) -> Result<Lease<T, G>, Rejection> {
        match self.pick_at_once(call) {
            Ok(lease) => Ok(lease),
            Err(refused) => self.pick_elsewhere(&Wish { call, but: None }, refused, &()),
        }
    }

    /// The same; nobody asks why there is none.
    #[inline]
    pub(crate) fn pick(&self, call: &Call) -> Option<Lease<T, G>> {
        match self.pick_at_once(call) {
            Ok(lease) => Some(lease),
            Err(refused) => self.pick_maybe(call, refused),
        }
    }

    #[cold]
    fn pick_maybe(&self, call: &Call, refused: Option<Refused>) -> Option<Lease<T, G>> {
        let wish = Wish { call, but: None };
        self.pick_elsewhere(&wish, refused, &()).ok()
    }

    /// A lease without further ado; otherwise who refused, if it was a guard.
    #[inline(always)]
    fn pick_at_once(&self, call: &Call) -> Result<Lease<T, G>, Option<Refused>> {
        let version = self.common.version();
        if is_alarmed(version) || !tried::is_first(call) {
            return Err(None);
        }
        let chosen = desk::with_kept(self.id, version, |at_hand| {
            self.choose_at_once(call, &at_hand)
        });
        let Some((node, begun, counted)) = chosen else {
            return Err(None);
        };
        match node.guard.try_enter(call) {
            Ok(ticket) => Ok(self.lease(node, ticket, begun, counted, call)),
            Err(refusal) => Err(Some((node.number, refusal))),
        }
    }

    #[inline(always)]
    fn choose_at_once(&self, call: &Call, at_hand: &AtHand<'_, T, G>) -> Option<AtOnce<T, G>> {
        let view = at_hand.view;
        let mut begun = NEVER;
        if at_hand.picks & view.glance == 0 {
            begun = self.moment(view);
            if view.is_due(begun) {
                return None;
            }
        }
        let seeded;
        let dice = match &self.common.seeded {
            None => Dice(at_hand.dice.0),
            Some(seed) => {
                seeded = roll(seed);
                Dice(&seeded)
            }
        };
        let node = view.choose_at_once(&self.common, call, &dice, millis(begun))?;
        let begun = if view.timed { begun } else { NEVER };
        Some((node, begun, view.counted))
    }

    /// The time, if somebody has to know it; else [`NEVER`].
    #[inline(never)]
    fn moment(&self, view: &View<T, G>) -> Nanos {
        if view.timed || view.sweep_at != NEVER || !self.common.has_keeper() {
            self.common.now()
        } else {
            NEVER
        }
    }

    /// Chooses an endpoint when it takes longer.
    fn choose<W: Watch>(
        &self,
        call: &Call,
        avoid: &Avoid,
        watch: &W,
    ) -> Result<Chosen<T, G>, NoEndpoint> {
        let version = self.common.version();
        let (mut view, mut now) = (self.current.get(), NEVER);
        if view.glance != u32::MAX {
            now = self.common.now();
        }
        if is_alarmed(version) || view.is_due(now) {
            self.look_after(!is_alarmed(version));
            view = self.current.get();
        }
        // In this order: a view that is newer than its version is fetched once more, never the other way.
        desk::keep_and(self.id, version, &view, |at_hand| {
            let seeded;
            let dice = match &self.common.seeded {
                None => &at_hand.dice,
                Some(seed) => {
                    seeded = roll(seed);
                    &Dice(&seeded)
                }
            };
            let node = view.choose(&self.common, call, avoid, dice, millis(now), watch)?;
            Ok(Chosen::of(node, &view, now))
        })
    }

    #[inline(always)]
    fn lease(
        &self,
        node: Arc<Node<T, G>>,
        ticket: G::Ticket,
        begun: Nanos,
        counted: bool,
        call: &Call,
    ) -> Lease<T, G> {
        let id = call.id().get();
        self.common.tried.picks(id, node.number);
        // Not afterwards: a lease that nobody refers to stays in registers.
        let id = if counted { lease::count(&node, id) } else { id };
        Lease::new(node, ticket, begun, id)
    }

    /// An endpoint, when the first choice is none: its guard refuses, the caller does not want it, the call
    /// has tried it, this thread has an old view, or there is nobody.
    #[cold]
    pub(crate) fn pick_elsewhere<W: Watch>(
        &self,
        wish: &Wish<'_, T>,
        first: Option<Refused>,
        watch: &W,
    ) -> Result<Lease<T, G>, Rejection> {
        // Those that must not be: refused in this pick, or not wanted. Those that should not be: tried.
        let tried = self.common.tried.by(wish.call);
        let mut out = Avoid::default();
        let mut refused = 0;
        let mut last = None;
        if let Some((number, refusal)) = first {
            self.moved_on.increment();
            out.add(number);
            (refused, last) = (1, Some(refusal));
        }
        let mut avoid = out.and(&tried);
        let mut looked_after = false;
        loop {
            let chosen = match self.choose(wish.call, &avoid, watch) {
                Ok(chosen) => chosen,
                // Rather one that was tried than none.
                Err(NoEndpoint::Excluded) if avoid.is_more_than(&out) => {
                    avoid = out;
                    continue;
                }
                Err(why) if !looked_after && why != NoEndpoint::Excluded => {
                    looked_after = true;
                    if self.look_after(true) {
                        continue;
                    }
                    return Err(self.refuse(why));
                }
                Err(why) => {
                    return Err(match last {
                        Some(refusal) => self.guard_refuses(refusal),
                        None => self.refuse(why),
                    });
                }
            };
            let node = &chosen.node;
            if wish.but.is_some_and(|but| but(&node.id, &node.value)) {
                if out.is_full() {
                    return self.pick_among_all(wish, watch);
                }
                out.add(node.number);
                avoid.add(node.number);
                continue;
            }
            match node.guard.try_enter(wish.call) {
                Ok(ticket) => {
                    let Chosen {
                        node,
                        begun,
                        counted,
                        ..
                    } = chosen;
                    return Ok(self.lease(node, ticket, begun, counted, wish.call));
                }
                Err(refusal) => {
                    self.moved_on.increment();
                    watch.refuses(node.number, &refusal);
                    refused += 1;
                    if refused >= u32::from(chosen.tries) || out.is_full() {
                        return Err(self.guard_refuses(refusal));
                    }
                    out.add(node.number);
                    avoid.add(node.number);
                    last = Some(refusal);
                }
            }
        }
    }

    /// The caller wants few of many: looks at all that may be chosen, from anywhere on.
    fn pick_among_all<W: Watch>(
        &self,
        wish: &Wish<'_, T>,
        watch: &W,
    ) -> Result<Lease<T, G>, Rejection> {
        let view = self.view();
        let begun = if view.timed { self.common.now() } else { NEVER };
        let mut last = None;
        let mut refused = 0;
        for node in view.all(fastrand::usize(..)) {
            if wish.but.is_some_and(|but| but(&node.id, &node.value)) {
                continue;
            }
            match node.guard.try_enter(wish.call) {
                Ok(ticket) => {
                    watch.looks_at(node.number);
                    return Ok(self.lease(node, ticket, begun, view.counted, wish.call));
                }
                Err(refusal) => {
                    self.moved_on.increment();
                    refused += 1;
                    if refused >= view.tries {
                        return Err(self.guard_refuses(refusal));
                    }
                    last = Some(refusal);
                }
            }
        }
        Err(match last {
            Some(refusal) => self.guard_refuses(refusal),
            None => self.refuse(NoEndpoint::Excluded),
        })
    }

    #[cold]
    fn refuse(&self, why: NoEndpoint) -> Rejection {
        self.refused[why].increment();
        why.reject(self.home.name)
    }

    /// The guards refused: the last of them says why.
    #[cold]
    fn guard_refuses(&self, refusal: Rejection) -> Rejection {
        self.refused[NoEndpoint::Refused].increment();
        refusal
    }

    /// Does what is due about endpoints, unless somebody does or has just done it. Whether the view in
    /// force is another now.
    #[cold]
    pub(crate) fn look_after(&self, surely: bool) -> bool {
        let now = self.common.now();
        let Ok(mut roster) = self.roster.try_lock() else {
            return false;
        };
        if now < roster.rest_until && !surely {
            return false;
        }
        let config = self.rules.get();
        self.common.calm();
        let tended = roster.tend(self.home.name, &config, now);
        let view = self.view();
        let changed = tended.changed || now >= view.due || now >= view.sweep_at;
        let old = changed.then(|| self.publish(&mut roster, &config, now));
        let took = self.common.now().saturating_sub(now);
        roster.rest_until = now.saturating_add((took * REST).min(LONGEST_REST));
        drop(roster);
        self.announce(tended);
        if let Some((_, signal)) = old
            && let Some(signal) = signal
        {
            self.home.record(|| signal);
        }
        changed
    }

    pub(crate) fn announce(&self, tended: Tended) {
        for cause in tended.ejected {
            self.ejections[cause].increment();
        }
        for signal in tended.signals {
            self.home.record(|| signal);
        }
    }

    /// Puts a new view in force; the old one is to be dropped when nobody waits for it.
    pub(crate) fn publish(
        &self,
        roster: &mut Roster<T, G>,
        config: &BalancerConfig,
        now: Nanos,
    ) -> (Std<View<T, G>>, Option<rs_core::Signal>) {
        let before = self.current.get();
        let random = match &self.common.seeded {
            Some(seed) => rs_core::hash::spread(seed.load(Ordering::Relaxed)),
            None => fastrand::u64(..),
        };
        let view = roster.arrange(config, &before, random >> 32, now);
        let (panicking, generation) = (view.panicking, view.generation);
        let old = self.current.replace(Std::new(view));
        self.common.publish(generation);
        let counts = roster.counts;
        let known = roster.entries.len();
        let signal = (panicking != before.panicking)
            .then(|| event::panic(self.home.name, panicking, counts.up, known));
        self.common.news.notify_one();
        (old, signal)
    }
}

/// The number of an endpoint, and what its guard says.
type Refused = (u32, Rejection);

/// An endpoint, when the call began if it is timed, and whether it counts among all calls in flight.
type AtOnce<T, G> = (Arc<Node<T, G>>, Nanos, bool);

/// An endpoint, and how it goes on.
struct Chosen<T, G> {
    node: Arc<Node<T, G>>,
    begun: Nanos,
    tries: u8,
    counted: bool,
}

impl<T, G> Chosen<T, G> {
    #[inline(always)]
    fn of(node: Arc<Node<T, G>>, view: &View<T, G>, moment: Nanos) -> Self {
        Self {
            node,
            begun: if view.timed { moment } else { NEVER },
            tries: view.tries,
            counted: view.counted,
        }
    }
}

/// A state for the dice of one pick, if all is to be repeated.
fn roll(seed: &Plain) -> std::cell::Cell<u64> {
    let state = seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    std::cell::Cell::new(rs_core::hash::spread(state))
}
