//! What a balancer shows and can be told through the directory, and what it exports.

use std::sync::{Arc as Std, atomic::Ordering};

use rs_core::{
    Action, ActionSpec, ConfigError, ControlError, Guard, Inspect, Mandate, Name, Value,
};

use crate::{
    common::{NEVER, millis},
    inner::Inner,
    metrics::{self, Ended, EndpointState},
    roster::{Entry, NOWHERE, Roster},
};

const ID: (&str, &str) = ("id", "the id of the endpoint");

static ACTIONS: &[ActionSpec] = &[
    ActionSpec::new("eject", "sends nothing to an endpoint until it is restored").taking(&[ID]),
    ActionSpec::new(
        "drain",
        "sends no new calls to an endpoint until it is restored",
    )
    .taking(&[ID]),
    ActionSpec::new("restore", "takes an endpoint back that is out").taking(&[ID]),
    #[cfg(feature = "serde")]
    ActionSpec::new("reconfigure", "goes by other rules and keeps its state")
        .taking(&[("config", "the whole configuration, as in a file")]),
];

/// Endpoints that a snapshot shows; of more it says how many there are.
const SHOWN: usize = 1000;

/// Lists it in the directory and exports its numbers.
pub(crate) fn list<T, G>(inner: &Std<Inner<T, G>>)
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    let home = &inner.home;
    home.register(inner);
    inner.observed.get_or_init(|| {
        [
            home.observe(&metrics::CALLS, inner, |inner, how| inner.ended(how)),
            home.observe(&metrics::IN_FLIGHT, inner, |inner, ()| {
                inner.in_flight() as f64
            }),
            home.observe(&metrics::ENDPOINTS, inner, |inner, state| {
                let counts = inner.roster().counts;
                let count = match state {
                    EndpointState::Up => counts.up,
                    EndpointState::Ejected => counts.ejected,
                    EndpointState::Unhealthy => counts.unhealthy,
                    EndpointState::Draining => counts.draining,
                    EndpointState::LeftOut => counts.left_out,
                };
                count as f64
            }),
            home.observe(&metrics::PANICKING, inner, |inner, ()| {
                f64::from(u8::from(inner.view().panicking))
            }),
        ]
        .into()
    });
}

impl<T, G> Inner<T, G>
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    /// How many calls ended so.
    pub(crate) fn ended(&self, how: Ended) -> u64 {
        let how = how as usize;
        let mut roster = self.roster();
        roster.entries.iter_mut().for_each(Entry::carry);
        let here = roster.entries.iter().map(|entry| entry.node.ended(how));
        let here: u64 = here.map(u64::from).sum();
        let retired = self.common.retired.get(how);
        here + retired.map_or(0, |retired| retired.load(Ordering::Relaxed))
    }

    pub(crate) fn snapshot_value(&self) -> Value {
        let config = self.rules.get();
        let view = self.view();
        let now = self.common.now();
        let ended = <Ended as rs_core::Label>::ALL.iter();
        let ended = ended.map(|how| (how.as_str(), self.ended(*how).into()));
        let ended = Value::map(ended);
        let roster = self.roster();
        let counts = roster.counts;
        let shown = roster.entries.iter().take(SHOWN);
        let endpoints: Vec<Value> = shown.map(|entry| self.show(&roster, entry, now)).collect();
        Value::map([
            ("strategy", Value::from(config.strategy().name().to_owned())),
            ("generation", view.generation.into()),
            ("panicking", view.panicking.into()),
            ("known", roster.entries.len().into()),
            ("up", counts.up.into()),
            ("ejected", counts.ejected.into()),
            ("unhealthy", counts.unhealthy.into()),
            ("draining", counts.draining.into()),
            ("left_out", counts.left_out.into()),
            ("calls", ended),
            ("endpoints", endpoints.into()),
            (
                "not_shown",
                roster.entries.len().saturating_sub(SHOWN).into(),
            ),
            ("config_version", self.rules.version().into()),
        ])
    }

    fn show(&self, roster: &Roster<T, G>, entry: &Entry<T, G>, now: u64) -> Value {
        let node = &entry.node;
        let latency = node.vitals().map(crate::node::Vitals::latency);
        let latency = latency.filter(|latency| latency.is_known());
        let time = |until: u64| std::time::Duration::from_nanos(until.saturating_sub(now));
        let order = entry.order.as_ref().map(|order| {
            Value::map([
                (
                    "is",
                    Value::from(if order.drain { "drain" } else { "eject" }),
                ),
                ("author", order.mandate.author().to_owned().into()),
                ("reason", order.mandate.reason().to_owned().into()),
                (
                    "ends_in",
                    (order.until != NEVER).then(|| time(order.until)).into(),
                ),
            ])
        });
        let zone = match entry.zone {
            NOWHERE => None,
            zone => roster.zones.get(usize::from(zone)).copied(),
        };
        Value::map([
            ("id", Value::from(node.id.to_string())),
            ("state", entry.standing().as_str().into()),
            ("in_flight", entry.in_flight().into()),
            ("weight", f64::from(entry.weight).into()),
            ("priority", u32::from(entry.priority).into()),
            ("zone", zone.into()),
            ("registry", entry.registry.as_str().into()),
            ("checked", entry.checked.as_str().into()),
            ("failures_in_a_row", node.streak().into()),
            (
                "ejected_for",
                (entry.ejected_until > 0)
                    .then(|| time(entry.ejected_until))
                    .into(),
            ),
            (
                "latency",
                latency
                    .map(|latency| f64::from(latency.at(millis(now), self.common.decay())))
                    .into(),
            ),
            ("order", order.unwrap_or_default()),
        ])
    }
}

impl<T, G> Inspect for Inner<T, G>
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    fn kind(&self) -> &'static str {
        "balancer"
    }

    fn name(&self) -> Name {
        self.home.name
    }

    fn snapshot(&self) -> Value {
        self.snapshot_value()
    }

    fn actions(&self) -> &'static [ActionSpec] {
        ACTIONS
    }

    fn control(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        action.check(ACTIONS)?;
        #[cfg(feature = "serde")]
        if action.name() == "reconfigure" {
            let config = action.argument("config").cloned();
            let config = config.ok_or_else(|| ConfigError::missing("config"))?;
            let config = rs_core::config::read(config);
            let taken = config.and_then(|config| self.reconfigure(config));
            return match taken {
                Ok(_) => Ok(()),
                Err(error) => Err(error.in_field("config").into()),
            };
        }
        let id = action.argument("id").and_then(Value::as_str);
        let id = id.ok_or_else(|| ConfigError::missing("id"))?;
        if self.roster().find(id).is_none() {
            return Err(ControlError::NotNow(format!("there is no endpoint `{id}`")));
        }
        let done = match action.name() {
            "eject" => self.order(id, false, mandate.clone()),
            "drain" => self.order(id, true, mandate.clone()),
            "restore" => self.restore(id, mandate.clone()),
            _ => return Err(ControlError::unknown(action, ACTIONS)),
        };
        if done {
            Ok(())
        } else {
            Err(ControlError::NotNow(format!("`{id}` is not out")))
        }
    }
}
