//! What a fleet knows: who has joined, what was ordered here and is still to be told, what the storage
//! said. Nobody's code runs while it is locked: it says what is to be done, and the fleet does it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Instant,
};

use rs_core::{Mandate, Name};

use super::standing::Standing;
use crate::{FleetOrder, Forced, Report, View, shared::Shared};

#[derive(Default)]
pub(super) struct Book {
    /// By name: breakers of one name, in several registries, are as one.
    members: HashMap<Name, Vec<Member>>,
    /// The dead are cleared away when there are this many names.
    clear_at: usize,
    /// Orders that the storage has yet to take.
    outbox: HashMap<Name, Standing>,
    /// Orders that the storage knows.
    known: HashMap<Box<str>, Standing>,
    /// Whose breakers may have advice to need less evidence.
    advised: HashSet<Name>,
}

/// A breaker here.
pub(super) struct Member {
    breaker: Weak<Shared>,
    /// The last order that it heard of.
    heard: u64,
    /// The order that the fleet put it under.
    under: Option<Arc<Mandate>>,
    /// The order that somebody here put it under.
    own: Option<Arc<Mandate>>,
}

/// Something to be done, outside the lock.
pub(super) struct Task {
    breaker: Arc<Shared>,
    todo: Todo,
}

enum Todo {
    Force(Forced, Arc<Mandate>),
    /// If it is under one of these orders, by order of this one.
    Release {
        under: [Option<Arc<Mandate>>; 2],
        by: Arc<Mandate>,
    },
}

impl Book {
    /// How many breakers and orders a report names at most; orders beyond go with the next one.
    pub(super) const MOST: usize = 1000;

    // Who is there.

    /// Who wants to join, and what it has to do before it does: a kill switch holds for a breaker that
    /// is made later, too.
    pub(super) fn greet(&self, breaker: &Arc<Shared>, now: Instant) -> (Member, Option<Task>) {
        let mut member = Member {
            breaker: Arc::downgrade(breaker),
            heard: 0,
            under: None,
            own: None,
        };
        let wanted = wanted(&self.outbox, &self.known, breaker.name);
        let task = wanted.and_then(|order| member.hear(order, now));
        (member, task)
    }

    pub(super) fn join(&mut self, name: Name, member: Member) {
        if self.members.len() >= self.clear_at {
            self.forget_the_dead();
            self.clear_at = (2 * self.members.len()).max(64);
        }
        self.members.entry(name).or_default().push(member);
    }

    pub(super) fn breakers(&mut self) -> Vec<Arc<Shared>> {
        self.forget_the_dead();
        let members = self.members.values().flatten();
        members
            .filter_map(|member| member.breaker.upgrade())
            .collect()
    }

    fn forget_the_dead(&mut self) {
        self.members.retain(|_, members| {
            members.retain(|member| member.breaker.strong_count() > 0);
            !members.is_empty()
        });
    }

    // Orders.

    /// Somebody here ordered this. `false` if the breaker has not joined.
    pub(super) fn ordered(&mut self, breaker: &Shared, order: Standing) -> bool {
        let Some(members) = self.members.get_mut(&breaker.name) else {
            return false;
        };
        let Some(member) = members
            .iter_mut()
            .find(|member| member.breaker.ptr_eq(&breaker.this))
        else {
            return false;
        };
        if order.forced.is_some() {
            member.own = Some(Arc::clone(&order.mandate));
        }
        self.outbox.insert(breaker.name, order);
        true
    }

    /// What the storage is to be told. What has ended by itself meanwhile is not, and what was in force
    /// before holds again: for the others it has never ended.
    pub(super) fn untold(&mut self, now: Instant) -> Vec<FleetOrder> {
        for (name, _) in self.outbox.extract_if(|_, order| order.is_over(now)) {
            let members = self.members.get_mut(&name).into_iter().flatten();
            members.for_each(|member| member.heard = 0);
        }
        let orders = self.outbox.iter().take(Self::MOST);
        orders
            .map(|(name, order)| order.to_tell(name.as_str(), now))
            .collect()
    }

    /// The storage took the report and told this.
    pub(super) fn told(&mut self, report: &Report, view: &View, now: Instant) {
        let mut before = std::mem::take(&mut self.known);
        for order in &report.orders {
            let taken = |own: &Standing| own.id == order.id;
            if self.outbox.get(&*order.breaker).is_some_and(taken)
                && let Some((name, own)) = self.outbox.remove_entry(&*order.breaker)
            {
                before.insert(name.as_str().into(), own);
            }
        }
        for order in &view.orders {
            let joined = self.members.contains_key(&*order.breaker);
            if joined || self.known.len() < Self::MOST {
                let told = match before.remove(&*order.breaker) {
                    Some(same) if same.id == order.id => same,
                    _ => Standing::told(order, now),
                };
                self.known.insert(order.breaker.as_str().into(), told);
            }
        }
        for (name, order) in before {
            self.bring_back(&name, order, now);
        }
    }

    /// The storage has lost an order that this replica has heard: an order ends when somebody lifts it,
    /// or by itself.
    fn bring_back(&mut self, name: &str, order: Standing, now: Instant) {
        let Some((name, members)) = self.members.get_key_value(name) else {
            return;
        };
        let heard = members.iter().any(|member| member.heard == order.id);
        if heard && order.is_to_be_known(now) {
            self.outbox.entry(*name).or_insert(order);
        }
    }

    /// What members have to do that have not heard of the last order yet. What was ordered here goes
    /// before what the storage said.
    pub(super) fn orders(&mut self, now: Instant) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (name, members) in &mut self.members {
            if let Some(order) = wanted(&self.outbox, &self.known, *name) {
                tasks.extend(
                    members
                        .iter_mut()
                        .filter_map(|member| member.hear(order, now)),
                );
            }
        }
        tasks
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    // Advice.

    /// The breakers that this may concern, and on how many replicas each is open: those that are open on
    /// several, and those that had advice.
    pub(super) fn concerned(&mut self, view: &View) -> Vec<(Arc<Shared>, u32)> {
        let open = view.open.iter().filter(|(_, open)| *open >= 2);
        let open = open.filter_map(|(name, open)| {
            let (name, _) = self.members.get_key_value(name.as_str())?;
            Some((*name, *open))
        });
        let mut open: HashMap<Name, u32> = open.collect();
        let advised = open.keys().copied().collect();
        for name in std::mem::replace(&mut self.advised, advised) {
            open.entry(name).or_insert(0);
        }
        let each = open.into_iter().flat_map(|(name, open)| {
            let members = self.members.get(&name).into_iter().flatten();
            members.filter_map(move |member| Some((member.breaker.upgrade()?, open)))
        });
        each.collect()
    }
}

fn wanted<'a>(
    outbox: &'a HashMap<Name, Standing>,
    known: &'a HashMap<Box<str>, Standing>,
    name: Name,
) -> Option<&'a Standing> {
    outbox.get(&name).or_else(|| known.get(name.as_str()))
}

impl Member {
    fn hear(&mut self, order: &Standing, now: Instant) -> Option<Task> {
        if self.heard == order.id {
            return None;
        }
        let breaker = self.breaker.upgrade()?;
        self.heard = order.id;
        let todo = match order.forced {
            Some(forced) if order.is_in_force(now) => {
                let own = self.own.take();
                let own = own.filter(|own| Arc::ptr_eq(own, &order.mandate));
                let mandate = own.unwrap_or_else(|| order.mandate_left(now));
                self.under = Some(Arc::clone(&mandate));
                Todo::Force(forced, mandate)
            }
            // Lifted, or expired; then it has ended the one before, too.
            _ => Todo::Release {
                under: [self.under.take(), self.own.take()],
                by: Arc::clone(&order.mandate),
            },
        };
        Some(Task { breaker, todo })
    }
}

impl Task {
    pub(super) fn carry_out(self) {
        let Self { breaker, todo } = self;
        let now = breaker.clock().now();
        breaker.act(now, |machine| {
            let is_under = |mandate: &Arc<Mandate>| {
                machine
                    .order()
                    .is_some_and(|(_, current)| Arc::ptr_eq(current, mandate))
            };
            match todo {
                // Whoever ordered it here has done it already.
                Todo::Force(_, mandate) if is_under(&mandate) => {}
                Todo::Force(forced, mandate) => machine.force(forced, mandate, now),
                Todo::Release { under, by } if under.iter().flatten().any(is_under) => {
                    machine.end_order(by, now);
                }
                Todo::Release { .. } => {}
            }
        });
    }
}
