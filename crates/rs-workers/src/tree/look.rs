//! What can be asked of a tree.

use std::time::Instant;

use rs_core::Name;

use super::{GroupPhase, Id, Instance, Phase, Step, Tree, node::Node};

impl Tree {
    pub(crate) fn find(&self, name: Name) -> Option<Id> {
        self.names.get(&name).copied()
    }

    pub(crate) fn name(&self, id: Id) -> Name {
        self.node(id).map_or(Name::OTHER, |node| node.name)
    }

    pub(crate) fn phase(&self, id: Id) -> Option<Phase> {
        self.node(id).and_then(Node::phase)
    }

    pub(crate) fn group_phase(&self, id: Id) -> Option<GroupPhase> {
        self.node(id).and_then(Node::group_phase)
    }

    pub(crate) fn members(&self, id: Id) -> &[Id] {
        self.node(id)
            .and_then(Node::group)
            .map_or(&[], |group| &group.members)
    }

    pub(crate) fn timer(&self, id: Id) -> Option<Instant> {
        self.node(id).and_then(|node| node.timer)
    }

    /// Whether the outermost group gave up, whatever it was told since but to start.
    pub(crate) const fn gave_up(&self) -> bool {
        self.gave_up
    }

    pub(crate) fn is_live(&self, id: Id) -> bool {
        self.node(id).is_some_and(|node| node.flags.live)
    }

    pub(crate) fn is_pending(&self, id: Id) -> bool {
        self.node(id).is_some_and(|node| node.flags.pending)
    }

    pub(crate) fn is_ready(&self, id: Id) -> bool {
        self.node(id).is_some_and(|node| node.flags.ready)
    }

    /// Whether nothing of it is left but what is lost.
    pub(crate) fn is_calm(&self, id: Id) -> bool {
        self.node(id)
            .is_none_or(|node| !node.flags.live || (!node.flags.stopping && self.is_only_lost(id)))
    }

    fn is_only_lost(&self, id: Id) -> bool {
        let lost = |phase| match phase {
            Phase::Running { .. } => false,
            Phase::Stopping { step, .. } => step == Step::Lost,
            _ => true,
        };
        self.lost > 0
            && self
                .beneath(id)
                .into_iter()
                .filter_map(|id| self.phase(id))
                .all(lost)
    }

    /// How many members of the outermost group run, or have something that does.
    pub(crate) fn running(&self) -> usize {
        let root = self.node(Self::ROOT).and_then(Node::group);
        root.map_or(0, |root| root.live)
    }

    /// How many workers and groups there are, the outermost included.
    pub(crate) const fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    pub(crate) const fn instances(&self) -> Instance {
        self.instances
    }

    /// This and all that is in it, groups before their members.
    pub(crate) fn beneath(&self, id: Id) -> Vec<Id> {
        let mut all = vec![id];
        let mut next = 0;
        while let Some(&id) = all.get(next) {
            all.extend(self.members(id));
            next += 1;
        }
        all
    }
}
