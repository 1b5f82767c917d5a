//! In which order things start and stop.

use std::collections::HashMap;

use rs_core::Name;

use super::{Id, Phase, Task, Tree};

/// Why something cannot be where it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OrderError {
    Duplicate(Name),
    NoGroup,
    /// From a name back to itself.
    Cycle(Vec<Name>),
    Missing {
        name: Name,
        wants: Name,
    },
    Running(Name),
    Needed {
        name: Name,
        by: Name,
    },
}

impl Tree {
    /// Whether everything that somebody starts after is there.
    pub(crate) fn check_names(&self) -> Result<(), OrderError> {
        let mut missing: Vec<_> = self
            .wanted_by
            .iter()
            .filter(|(name, _)| !self.names.contains_key(*name))
            .filter_map(|(name, by)| Some((self.node(*by.first()?)?.name, *name)))
            .collect();
        missing.sort();
        match missing.first() {
            Some(&(name, wants)) => Err(OrderError::Missing { name, wants }),
            None => Ok(()),
        }
    }

    /// What has to be ready before this is: for a group its members, for both what they start after.
    fn needs(&self, id: Id) -> Vec<Id> {
        let mut needs = self.members(id).to_vec();
        let mut next = Some(id);
        while let Some(node) = next.and_then(|id| self.node(id).map(|node| (id, node))) {
            let (id, node) = node;
            needs.extend(node.after.iter().filter_map(|name| self.find(*name)));
            needs.extend(self.before(id).next_back());
            next = node.parent;
        }
        needs
    }

    /// Those before this in a group whose members build on each other.
    fn before(&self, id: Id) -> impl DoubleEndedIterator<Item = Id> {
        let (before, _) = self.neighbours(id);
        before.iter().copied()
    }

    /// Those after this in a group whose members build on each other.
    fn behind(&self, id: Id) -> impl DoubleEndedIterator<Item = Id> {
        let (_, behind) = self.neighbours(id);
        behind.iter().copied()
    }

    fn neighbours(&self, id: Id) -> (&[Id], &[Id]) {
        let parent = self.node(id).and_then(|node| node.parent);
        let ordered = parent
            .and_then(|parent| self.node(parent))
            .filter(|parent| parent.is_in_order());
        let Some(group) = ordered.and_then(|parent| parent.group()) else {
            return (&[], &[]);
        };
        let place = group.members.iter().rposition(|member| *member == id);
        let split = place.and_then(|place| {
            let (before, from) = group.members.split_at_checked(place)?;
            Some((before, from.get(1..)?))
        });
        split.unwrap_or((&[], &[]))
    }

    /// Whether this has to be ready before itself.
    pub(super) fn check_cycle(&self, id: Id) -> Result<(), OrderError> {
        if !self.is_wanted(id) {
            return Ok(());
        }
        // How each was come to.
        let mut from: HashMap<Id, Id> = HashMap::new();
        let mut next = vec![id];
        while let Some(at) = next.pop() {
            for need in self.needs(at) {
                if need == id {
                    return Err(OrderError::Cycle(self.way(id, at, &from)));
                }
                if let std::collections::hash_map::Entry::Vacant(e) = from.entry(need) {
                    e.insert(at);
                    next.push(need);
                }
            }
        }
        Ok(())
    }

    /// Only through its own name or that of a group it is in can anybody need it.
    fn is_wanted(&self, id: Id) -> bool {
        let mut next = Some(id);
        while let Some(node) = next.and_then(|id| self.node(id)) {
            if self.wanted_by.contains_key(&node.name) {
                return true;
            }
            next = node.parent;
        }
        false
    }

    fn way(&self, start: Id, end: Id, from: &HashMap<Id, Id>) -> Vec<Name> {
        let mut way = vec![self.name(start)];
        let mut at = end;
        while at != start {
            way.push(self.name(at));
            match from.get(&at) {
                Some(before) => at = *before,
                None => break,
            }
        }
        way.push(self.name(start));
        way.reverse();
        way
    }

    /// What this worker still has to wait for.
    fn missing(&self, id: Id) -> Option<Id> {
        let mut next = Some(id);
        while let Some((id, node)) = next.and_then(|id| Some((id, self.node(id)?))) {
            let mut after = node.after.iter().filter_map(|name| self.find(*name));
            if let Some(missing) = after.find(|id| !self.is_ready(*id)) {
                return Some(missing);
            }
            // Those that are off for good are not waited for.
            let before = self
                .before(id)
                .rev()
                .find(|id| self.is_ready(*id) || self.is_pending(*id));
            if let Some(missing) = before.filter(|id| !self.is_ready(*id)) {
                return Some(missing);
            }
            next = node.parent;
        }
        None
    }

    /// Who is being stopped and builds on this worker.
    fn builder(&self, id: Id) -> Option<Id> {
        let is_stopping = |id: &Id| self.node(*id).is_some_and(|node| node.flags.stopping);
        let mut next = Some(id);
        while let Some((id, node)) = next.and_then(|id| Some((id, self.node(id)?))) {
            let mut by = self
                .wanted_by
                .get(&node.name)
                .into_iter()
                .flatten()
                .copied();
            let by = by
                .find(is_stopping)
                .or_else(|| self.behind(id).rev().find(is_stopping));
            if by.is_some() {
                return by;
            }
            next = node.parent;
        }
        None
    }

    /// What this worker waits for before it starts.
    pub(crate) fn waits_for(&self, id: Id) -> Option<Id> {
        matches!(self.phase(id), Some(Phase::Waiting)).then(|| self.missing(id))?
    }

    /// Whether this worker has to wait before it starts; whoever it waits for will tell it.
    pub(super) fn is_blocked(&mut self, id: Id) -> bool {
        let Some(missing) = self.missing(id) else {
            return false;
        };
        let watched = self
            .node_mut(id)
            .is_some_and(|node| node.blocked_on.replace(missing) == Some(missing));
        if let Some(node) = self.node_mut(missing).filter(|_| !watched) {
            node.ready_watchers.push(id);
        }
        true
    }

    /// Whether this worker is not told to stop yet; whoever stops first will tell it.
    pub(super) fn is_held(&mut self, id: Id) -> bool {
        let Some(builder) = self.builder(id) else {
            return false;
        };
        let watched = self
            .node_mut(id)
            .is_some_and(|node| node.held_by.replace(builder) == Some(builder));
        if let Some(node) = self.node_mut(builder).filter(|_| !watched) {
            node.calm_watchers.push(id);
        }
        true
    }

    pub(super) fn told_ready(&mut self, id: Id) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        for watcher in std::mem::take(&mut node.ready_watchers) {
            if let Some(node) = self
                .node_mut(watcher)
                .filter(|node| node.blocked_on == Some(id))
            {
                node.blocked_on = None;
            }
            self.tasks.push_back(Task::TryStart(watcher));
        }
    }

    pub(super) fn told_calm(&mut self, id: Id) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        for watcher in std::mem::take(&mut node.calm_watchers) {
            if let Some(node) = self
                .node_mut(watcher)
                .filter(|node| node.held_by == Some(id))
            {
                node.held_by = None;
            }
            self.tasks.push_back(Task::TryStop(watcher));
        }
    }
}
