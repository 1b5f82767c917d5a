use std::{cell::RefCell, fmt};

use rs_core::{Call, Guard, Name, Rejection, Value};

use crate::{
    Lease, NoEndpoint,
    common::{NEVER, millis},
    inner::{Inner, Wish},
    roster::NOWHERE,
    view::{Part, Watch},
};

/// Why a call went where it went, or why it went nowhere.
///
/// ```
/// use rs_balance::{Balancer, BalancerConfig, Endpoint, EndpointHealth, Strategy};
/// use rs_core::Call;
///
/// let search = Balancer::new("search", BalancerConfig::new(Strategy::LeastConnections))?;
/// search.update([
///     Endpoint::new("a", ()),
///     Endpoint::new("b", ()),
///     Endpoint::new("c", ()).with_health(EndpointHealth::Unhealthy),
/// ]);
/// let busy = search.pick(&Call::new("query"));
/// let why = search.explain(&Call::new("query"));
/// assert_ne!(why.chosen.as_deref(), busy.as_ref().map(|lease| lease.id()));
/// assert!(why.to_string().contains("by least_connections"));
/// assert_eq!((why.known, why.up), (3, 2));
/// assert_eq!(why.considered.len(), 2, "c was none to consider");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The balancer.
    pub balancer: Name,
    /// How it chooses.
    pub strategy: String,
    /// The generation of the set.
    pub generation: u64,
    /// The endpoint that was chosen.
    pub chosen: Option<Box<str>>,
    /// Why none was.
    pub refused: Option<Rejection>,
    /// How many endpoints there are.
    pub known: usize,
    /// How many of them may be chosen.
    pub up: usize,
    /// Whether no health is believed.
    pub panicking: bool,
    /// The priority of the endpoints among which it was chosen.
    pub priority: Option<u16>,
    /// Of which zones they are.
    pub zones: ZonePart,
    /// The key of the call, where the strategy looks at keys.
    pub key: Option<u64>,
    /// The endpoints that were looked at, in that order, as they were then.
    pub considered: Vec<Considered>,
    /// Those that the call had tried before.
    pub tried: Vec<Box<str>>,
    /// Those whose guards refused, and why.
    pub moved_on: Vec<(Box<str>, Rejection)>,
}

/// From which zones an endpoint was chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZonePart {
    /// From all.
    #[default]
    All,
    /// From the own one.
    Local,
    /// From the others, for the own one cannot carry everything.
    Others,
}

/// An endpoint that was looked at.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Considered {
    /// Which one.
    pub id: Box<str>,
    /// How many calls are in flight there, the one that is explained left out.
    pub in_flight: u32,
    /// How much it can carry.
    pub weight: f64,
    /// How long its calls took lately in seconds, where that is known.
    pub latency: Option<f64>,
    /// Where it is.
    pub zone: Option<Name>,
    /// How it is: `up`, or what it was chosen in spite of in a panic.
    pub state: &'static str,
}

/// Remembers what a pick looked at.
#[derive(Default)]
struct Seen {
    looked_at: RefCell<Vec<u32>>,
    entered: RefCell<Option<(u16, Part)>>,
    refused: RefCell<Vec<(u32, Rejection)>>,
}

impl Watch for Seen {
    fn looks_at(&self, number: u32) {
        let mut looked_at = self.looked_at.borrow_mut();
        if !looked_at.contains(&number) {
            looked_at.push(number);
        }
    }

    fn enters(&self, priority: u16, part: Part) {
        *self.entered.borrow_mut() = Some((priority, part));
    }

    fn refuses(&self, number: u32, refusal: &Rejection) {
        self.refused.borrow_mut().push((number, *refusal));
    }
}

impl<T, G> Inner<T, G>
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    pub(crate) fn pick_explained(
        &self,
        call: &Call,
    ) -> (Result<Lease<T, G>, Rejection>, Explanation) {
        let tried = self.common.tried.by(call);
        let seen = Seen::default();
        let picked = self.pick_elsewhere(&Wish { call, but: None }, None, &seen);
        let config = self.rules.get();
        let view = self.view();
        let now = if view.timed { self.common.now() } else { NEVER };
        let roster = self.roster();
        let chosen = picked.as_ref().ok().map(Lease::number);
        let find = |number: u32| {
            let entry = roster
                .entries
                .iter()
                .find(|entry| entry.node.number == number);
            entry.map(|entry| (entry, entry.node.id.clone()))
        };
        let considered = seen.looked_at.take().into_iter().filter_map(|number| {
            let (entry, id) = find(number)?;
            let own = u32::from(chosen == Some(number));
            let latency = entry.node.vitals().map(crate::node::Vitals::latency);
            Some(Considered {
                id,
                in_flight: entry.in_flight().saturating_sub(own),
                weight: entry.weight.into(),
                latency: latency
                    .filter(|latency| latency.is_known() && now != NEVER)
                    .map(|latency| latency.at(millis(now), self.common.decay()).into()),
                zone: match entry.zone {
                    NOWHERE => None,
                    zone => roster.zones.get(usize::from(zone)).copied(),
                },
                state: entry.standing().as_str(),
            })
        });
        let entered = seen.entered.take();
        let explanation = Explanation {
            balancer: self.home.name,
            strategy: config.strategy().name().to_owned(),
            generation: view.generation,
            chosen: picked.as_ref().ok().map(|lease| lease.id().into()),
            refused: picked.as_ref().err().copied(),
            known: roster.entries.len(),
            up: roster.counts.up,
            panicking: view.panicking,
            priority: entered.map(|(priority, _)| priority),
            zones: entered.map_or(ZonePart::All, |(_, part)| match part {
                Part::Whole => ZonePart::All,
                Part::Local => ZonePart::Local,
                Part::Remote => ZonePart::Others,
            }),
            key: call.key().map(rs_core::RoutingKey::get),
            considered: considered.collect(),
            tried: tried
                .known()
                .iter()
                .filter_map(|number| Some(find(*number)?.1))
                .collect(),
            moved_on: seen
                .refused
                .take()
                .into_iter()
                .filter_map(|(number, refusal)| Some((find(number)?.1, refusal)))
                .collect(),
        };
        drop(roster);
        (picked, explanation)
    }
}

impl Explanation {
    /// Why there was no endpoint, if the balancer had none.
    #[must_use]
    pub fn no_endpoint(&self) -> Option<NoEndpoint> {
        NoEndpoint::of(self.refused.as_ref()?)
    }

    /// The same as data of no type, for a console or a log.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let text = |text: &str| Value::from(text.to_owned());
        let considered = self.considered.iter().map(|considered| {
            Value::map([
                ("id", text(&considered.id)),
                ("in_flight", considered.in_flight.into()),
                ("weight", considered.weight.into()),
                ("latency", considered.latency.into()),
                ("zone", considered.zone.into()),
                ("state", considered.state.into()),
            ])
        });
        let moved_on = self.moved_on.iter().map(|(id, refusal)| {
            Value::map([("id", text(id)), ("refusal", refusal.to_string().into())])
        });
        let zones = match self.zones {
            ZonePart::All => "all",
            ZonePart::Local => "local",
            ZonePart::Others => "others",
        };
        Value::map([
            ("balancer", Value::from(self.balancer)),
            ("strategy", text(&self.strategy)),
            ("generation", self.generation.into()),
            ("chosen", self.chosen.as_deref().map_or(Value::Null, text)),
            (
                "refused",
                self.refused.map(|refused| refused.to_string()).into(),
            ),
            ("known", self.known.into()),
            ("up", self.up.into()),
            ("panicking", self.panicking.into()),
            ("priority", self.priority.map(u32::from).into()),
            ("zones", zones.into()),
            ("key", self.key.into()),
            ("considered", considered.collect::<Vec<_>>().into()),
            (
                "tried",
                self.tried
                    .iter()
                    .map(|id| text(id))
                    .collect::<Vec<_>>()
                    .into(),
            ),
            ("moved_on", moved_on.collect::<Vec<_>>().into()),
        ])
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.chosen, &self.refused) {
            (Some(chosen), _) => write!(f, "`{chosen}`")?,
            (None, Some(refused)) => write!(f, "none: {refused}")?,
            (None, None) => f.write_str("none")?,
        }
        write!(f, " by {}", self.strategy)?;
        write!(f, ", of {} endpoints {} are up", self.known, self.up)?;
        if self.panicking {
            f.write_str(", no health is believed")?;
        }
        match self.zones {
            ZonePart::All => {}
            ZonePart::Local => f.write_str(", from the own zone")?,
            ZonePart::Others => f.write_str(", from other zones")?,
        }
        if let Some(priority @ 1..) = self.priority {
            write!(f, ", of priority {priority}")?;
        }
        for (place, considered) in self.considered.iter().enumerate() {
            f.write_str(if place == 0 { "; looked at " } else { ", " })?;
            write!(f, "`{}` ({} in flight", considered.id, considered.in_flight)?;
            if let Some(latency) = considered.latency {
                let latency = std::time::Duration::try_from_secs_f64(latency).unwrap_or_default();
                write!(f, ", {}", rs_core::humane::show_duration(latency))?;
            }
            if considered.weight != 1.0 {
                write!(f, ", weight {}", considered.weight)?;
            }
            f.write_str(")")?;
        }
        for id in &self.tried {
            write!(f, "; the call has tried `{id}`")?;
        }
        for (id, refusal) in &self.moved_on {
            write!(f, "; `{id}` was passed over: {refusal}")?;
        }
        Ok(())
    }
}
