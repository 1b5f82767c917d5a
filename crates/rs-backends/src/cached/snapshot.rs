//! How sets are kept in a file: one line that says what it is, and JSON.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rs_core::hash;
use serde::{Deserialize, Serialize};

use crate::{ServiceInstance, set::sort};

const MARK: &str = "rs-backends snapshot 1 ";

/// A moment on both clocks: ages must outlive the process, and only the wall clock does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) monotonic: Instant,
    /// Since the epoch.
    pub(crate) wall: Duration,
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) instances: Arc<[Arc<ServiceInstance>]>,
    pub(crate) confirmed: Instant,
}

pub(crate) type Sets = BTreeMap<Arc<str>, Known>;

/// The JSON, with owned instances when it is read and borrowed ones when it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<N: Ord, I> {
    services: BTreeMap<N, Service<I>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service<I> {
    /// When the registry said so, in milliseconds since the epoch.
    confirmed_ms: u64,
    instances: Vec<I>,
}

impl Moment {
    #[expect(
        clippy::disallowed_methods,
        reason = "an age that outlives the process needs the wall clock; one that was put back makes ages smaller"
    )]
    pub(super) fn at(monotonic: Instant) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = wall.unwrap_or_default();
        Self { monotonic, wall }
    }

    fn wall_ms_of(self, moment: Instant) -> u64 {
        let age = self.monotonic.saturating_duration_since(moment);
        let at = self.wall.saturating_sub(age).as_millis();
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    fn moment_of(self, wall_ms: u64) -> (Instant, Duration) {
        let age = self.wall.saturating_sub(Duration::from_millis(wall_ms));
        let mut shown = age;
        // Some systems have no moments from before they were started.
        let moment = loop {
            match self.monotonic.checked_sub(shown) {
                Some(moment) => break moment,
                None => shown /= 2,
            }
        };
        (moment, age)
    }
}

pub(super) fn write(sets: &Sets, now: Moment) -> Result<Vec<u8>, serde_json::Error> {
    let services = sets.iter().map(|(name, known)| {
        let service = Service {
            confirmed_ms: now.wall_ms_of(known.confirmed),
            instances: known.instances.iter().map(|one| &**one).collect(),
        };
        (&**name, service)
    });
    let services: BTreeMap<&str, Service<&ServiceInstance>> = services.collect();
    let body = serde_json::to_vec(&Body { services })?;
    let mut text = format!("{MARK}{:016x}\n", hash::stable(&body)).into_bytes();
    text.extend(body);
    Ok(text)
}

/// What such a file says, without what is older than that. It is believed whole or not at all.
pub(crate) fn read(text: &[u8], now: Moment, max_age: Option<Duration>) -> Result<Sets, String> {
    let body = text
        .strip_prefix(MARK.as_bytes())
        .ok_or("it is no snapshot, or one of another version")?;
    let (sum, body) = body.split_at_checked(16).ok_or("it ends early")?;
    let body = body.strip_prefix(b"\n").ok_or("its first line is wrong")?;
    if sum != format!("{:016x}", hash::stable(body)).as_bytes() {
        return Err("its sum is wrong: half of it is missing, or it was changed".to_owned());
    }
    let body: Body<String, ServiceInstance> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut sets = Sets::new();
    for (name, service) in body.services {
        let mut instances: Vec<_> = service.instances.into_iter().map(Arc::new).collect();
        if let Some(other) = instances.iter().find(|one| one.service() != name) {
            return Err(format!(
                "an instance of {:?} is listed in {name:?}",
                other.service()
            ));
        }
        if sort(&mut instances) > 0 {
            return Err(format!("two instances of {name:?} have the same id"));
        }
        let (confirmed, age) = now.moment_of(service.confirmed_ms);
        if max_age.is_some_and(|most| age > most) {
            continue;
        }
        let instances = instances.into();
        sets.insert(
            name.into(),
            Known {
                instances,
                confirmed,
            },
        );
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rs_core::Clock;

    use super::*;

    fn moment(clock: &Clock, wall: u64) -> Moment {
        Moment {
            monotonic: clock.now(),
            wall: Duration::from_secs(wall),
        }
    }

    fn sets(clock: &Clock, count: usize) -> Sets {
        let one = |id: usize| {
            let host = format!("10.0.0.{id}");
            Arc::new(ServiceInstance::builder("a", host, 80).build().unwrap())
        };
        let known = Known {
            instances: (0..count).map(one).collect(),
            confirmed: clock.now(),
        };
        Sets::from([("a".into(), known)])
    }

    #[test]
    fn the_age_goes_on_while_nobody_runs() {
        let (clock, hand) = Clock::manual();
        let known = sets(&clock, 3);
        hand.advance(Duration::from_secs(10));
        let text = write(&known, moment(&clock, 1_000_000)).unwrap();
        // Another process, an hour later, whose monotonic clock began anew.
        let (clock, _hand) = Clock::manual();
        let read = read(&text, moment(&clock, 1_003_600), None).unwrap();
        assert_eq!(read["a"].instances, known["a"].instances);
        let age = clock.now() - read["a"].confirmed;
        assert_eq!(age, Duration::from_secs(3610));
    }

    #[test]
    fn a_wall_clock_that_was_put_back_is_no_panic_and_no_negative_age() {
        let (clock, _hand) = Clock::manual();
        let text = write(&sets(&clock, 1), moment(&clock, 1_000_000)).unwrap();
        let read = read(&text, moment(&clock, 5), None).unwrap();
        assert_eq!(read["a"].confirmed, clock.now());
    }

    #[test]
    fn what_is_too_old_is_left_out() {
        let (clock, _hand) = Clock::manual();
        let text = write(&sets(&clock, 1), moment(&clock, 1_000_000)).unwrap();
        let later = moment(&clock, 1_000_061);
        let minute = Some(Duration::from_secs(60));
        assert!(read(&text, later, minute).unwrap().is_empty());
        assert_eq!(read(&text, later, None).unwrap().len(), 1);
    }

    #[test]
    fn one_that_lists_what_does_not_belong_there_is_refused_whole() {
        let (clock, _hand) = Clock::manual();
        let now = moment(&clock, 5);
        let signed = |body: &str| format!("{MARK}{:016x}\n{body}", hash::stable(body.as_bytes()));
        let one = r#"{"service":"a","host":"h","port":1}"#;
        let listed = |list: &str| {
            let body =
                format!(r#"{{"services":{{"a":{{"confirmed_ms":1,"instances":[{list}]}}}}}}"#);
            read(signed(&body).as_bytes(), now, None)
        };
        assert_eq!(listed(one).unwrap().len(), 1);
        assert!(
            listed(&format!("{one},{one}"))
                .unwrap_err()
                .contains("same id")
        );
        let other = r#"{"service":"b","host":"h","port":1}"#;
        assert!(listed(other).unwrap_err().contains("is listed in"));
        assert!(listed(r#"{"service":"a","host":"h","port":0}"#).is_err());
        let version_2 = signed("{}").replacen("snapshot 1", "snapshot 2", 1);
        assert!(
            read(version_2.as_bytes(), now, None)
                .unwrap_err()
                .contains("version")
        );
    }

    proptest! {
        #[test]
        fn any_damage_is_seen(at in 0_usize..10_000, flip in 1_u8.., cut in any::<bool>()) {
            let (clock, _hand) = Clock::manual();
            let now = moment(&clock, 1_000_000);
            let mut text = write(&sets(&clock, 3), now).unwrap();
            let at = at % text.len();
            if cut { text.truncate(at); } else { text[at] ^= flip; }
            prop_assert!(read(&text, now, None).is_err());
        }

        #[test]
        fn rubbish_is_no_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let (clock, _hand) = Clock::manual();
            prop_assert!(read(&text, moment(&clock, 5), None).is_err());
        }
    }
}
