//! What a watcher believes: the rules for disconnects and for empty answers, and nothing else.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    BackendError, InstanceSet, ServiceInstance, Standing,
    set::{reuse, sort},
};

type Instances = Arc<[Arc<ServiceInstance>]>;

/// The state of one watched service. Whoever drives it passes the time in, and publishes what
/// [`take_news`](Belief::take_news) hands out.
#[derive(Debug)]
pub(crate) struct Belief {
    service: Arc<str>,
    grace: Duration,
    known: Option<Known>,
    news: bool,
}

#[derive(Debug)]
struct Known {
    instances: Instances,
    standing: Standing,
    confirmed: Instant,
    /// Since when the registry has said that there are none.
    empty_since: Option<Instant>,
}

impl Belief {
    pub(crate) const fn new(service: Arc<str>, grace: Duration) -> Self {
        Self {
            service,
            grace,
            known: None,
            news: false,
        }
    }

    /// From now on with this grace.
    pub(crate) const fn go_by(&mut self, grace: Duration) {
        self.grace = grace;
    }

    /// The registry answered with these. How many had an id that another has.
    pub(crate) fn hear(&mut self, now: Instant, mut heard: Vec<Arc<ServiceInstance>>) -> u64 {
        let twice = sort(&mut heard);
        let Some(known) = &mut self.known else {
            self.believe(now, heard.into());
            return twice;
        };
        if heard.is_empty() && !known.instances.is_empty() && !self.grace.is_zero() {
            let since = *known.empty_since.get_or_insert(now);
            if known.standing != Standing::Doubted {
                known.standing = Standing::Doubted;
                self.news = true;
            }
            if now.saturating_duration_since(since) >= self.grace {
                self.believe(now, Arc::new([]));
            }
            return twice;
        }
        if *known.instances == *heard {
            known.confirm(now, &mut self.news);
            return twice;
        }
        reuse(&known.instances, &mut heard);
        self.believe(now, heard.into());
        twice
    }

    /// The registry said that what it said last still holds.
    pub(crate) fn same(&mut self, now: Instant) {
        match &mut self.known {
            Some(known) if known.empty_since.is_some() => {
                self.hear(now, Vec::new());
            }
            Some(known) => known.confirm(now, &mut self.news),
            None => {}
        }
    }

    /// The registry cannot be asked.
    pub(crate) fn lose(&mut self, error: BackendError) {
        let Some(known) = &mut self.known else { return };
        // The doubt begins anew: an empty answer counts only for as long as it is repeated.
        known.empty_since = None;
        let was_kept = matches!(known.standing, Standing::Kept(_));
        known.standing = Standing::Kept(error);
        self.news |= !was_kept;
    }

    /// When time alone will change something.
    pub(crate) fn due(&self) -> Option<Instant> {
        let since = self.known.as_ref()?.empty_since?;
        since.checked_add(self.grace)
    }

    /// Time has passed, and the registry has not said otherwise.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.believe(now, Arc::new([]));
        }
    }

    /// What is believed, if that has changed since it was last asked.
    pub(crate) fn take_news(&mut self) -> Option<InstanceSet> {
        mem::take(&mut self.news).then(|| self.set()).flatten()
    }

    /// What is believed.
    pub(crate) fn set(&self) -> Option<InstanceSet> {
        let known = self.known.as_ref()?;
        Some(InstanceSet::known(
            Arc::clone(&self.service),
            Arc::clone(&known.instances),
            known.standing.clone(),
            known.confirmed,
        ))
    }

    fn believe(&mut self, now: Instant, instances: Instances) {
        self.known = Some(Known {
            instances,
            standing: Standing::Current,
            confirmed: now,
            empty_since: None,
        });
        self.news = true;
    }
}

impl Known {
    fn confirm(&mut self, now: Instant, news: &mut bool) {
        self.confirmed = now;
        self.empty_since = None;
        if self.standing != Standing::Current {
            self.standing = Standing::Current;
            *news = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rs_core::Clock;

    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    #[derive(Debug, Clone)]
    enum Step {
        Hear(u8),
        Same,
        Lose,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_u8..4).prop_map(Step::Hear),
            Just(Step::Hear(0)),
            Just(Step::Same),
            Just(Step::Lose),
            (1_u64..20).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..80)
    }

    fn instances(count: u8) -> Vec<Arc<ServiceInstance>> {
        let one = |id: u8| {
            ServiceInstance::builder("a", "h", 1)
                .id(id.to_string())
                .build()
        };
        (0..count).map(|id| Arc::new(one(id).unwrap())).collect()
    }

    /// The rules in their plainest form: how many are believed, and how many seconds the registry has
    /// said without an interruption that there are none.
    #[derive(Default)]
    struct Model {
        believed: Option<u8>,
        said: Option<u8>,
        empty_for: Option<u64>,
        lost: bool,
    }

    impl Model {
        fn hear(&mut self, count: u8) {
            (self.said, self.lost) = (Some(count), false);
            match (self.believed, count) {
                (Some(1..), 0) => self.empty_for = self.empty_for.or(Some(0)),
                _ => (self.believed, self.empty_for) = (Some(count), None),
            }
        }

        fn wait(&mut self, seconds: u64) {
            if let Some(empty_for) = &mut self.empty_for {
                *empty_for += seconds;
                if *empty_for >= GRACE.as_secs() {
                    (self.believed, self.empty_for) = (Some(0), None);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn goes_by_the_rules(steps in steps()) {
            let (clock, hand) = Clock::manual();
            let (mut belief, mut model) = (Belief::new("a".into(), GRACE), Model::default());
            let mut told = None;
            for step in steps {
                match step {
                    Step::Hear(count) => {
                        belief.hear(clock.now(), instances(count));
                        model.hear(count);
                    }
                    Step::Same => {
                        // "As it was" is only said by those that have said something.
                        if let (Some(said), false) = (model.said, model.lost) {
                            belief.same(clock.now());
                            model.hear(said);
                        }
                    }
                    Step::Lose => {
                        belief.lose(BackendError::unreachable("gone"));
                        (model.lost, model.empty_for) = (model.believed.is_some(), None);
                    }
                    Step::Wait(seconds) => {
                        hand.advance(Duration::from_secs(seconds));
                        belief.tick(clock.now());
                        model.wait(seconds);
                    }
                }
                let standing = match (model.lost, model.empty_for) {
                    (true, _) => Standing::Kept(BackendError::unreachable("gone")),
                    (false, Some(_)) => Standing::Doubted,
                    (false, None) => Standing::Current,
                };
                let set = belief.set();
                prop_assert_eq!(set.as_ref().map(|set| set.len() as u8), model.believed);
                if let Some(set) = set {
                    prop_assert_eq!(set.standing(), &standing);
                }
                if let Some(news) = belief.take_news() {
                    told = Some((news.len() as u8, news.standing().clone()));
                }
                let now = model.believed.map(|believed| (believed, standing));
                prop_assert_eq!(&told, &now, "whatever changes is told");
            }
        }
    }

    #[test]
    fn what_stays_is_the_same_allocation_and_no_news() {
        let (clock, _hand) = Clock::manual();
        let mut belief = Belief::new("a".into(), GRACE);
        belief.hear(clock.now(), instances(2));
        let first = belief.take_news().unwrap();
        belief.hear(clock.now(), instances(2));
        assert!(belief.take_news().is_none(), "unchanged is unchanged");
        belief.hear(clock.now(), instances(3));
        let second = belief.take_news().unwrap();
        assert!(Arc::ptr_eq(
            first.get("1").unwrap(),
            second.get("1").unwrap()
        ));
    }

    #[test]
    fn of_several_with_one_id_the_first_counts() {
        let (clock, _hand) = Clock::manual();
        let mut belief = Belief::new("a".into(), GRACE);
        let twice = [instances(2), instances(3)].concat();
        assert_eq!(belief.hear(clock.now(), twice), 2);
        assert_eq!(belief.set().unwrap().len(), 3);
    }
}
