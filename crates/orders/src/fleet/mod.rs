//! The processes of the services: started, killed, stopped, and gone with this one whatever happens to it.

pub(crate) mod keeper;
mod process;

pub(crate) use process::{Process, ledger};

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;

use self::keeper::Keeper;
use crate::service::{Kind, Mood};

/// All instances of all services.
pub(crate) struct Fleet {
    processes: Vec<Arc<Process>>,
    keeper: Keeper,
}

const INSTANCES: [(Kind, usize); 3] = [
    (Kind::Inventory, 3),
    (Kind::Payments, 2),
    (Kind::Notifications, 1),
];

impl Drop for Fleet {
    fn drop(&mut self) {
        self.keeper.stop();
    }
}

impl Fleet {
    /// Starts them side by side; they are ready when this returns.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let keeper = Keeper::start(folder)?;
        let mut starting = Vec::new();
        for (kind, count) in INSTANCES {
            for number in 1..=count {
                starting.push(Process::spawn(kind, number, folder, keeper.group())?);
            }
        }
        let ready: Result<Vec<_>> = starting.into_iter().map(process::Starting::ready).collect();
        Ok(Self {
            processes: ready?,
            keeper,
        })
    }

    pub(crate) fn of(&self, kind: Kind) -> Vec<Arc<Process>> {
        let of_kind = |process: &&Arc<Process>| process.kind == kind;
        self.processes
            .iter()
            .filter(of_kind)
            .map(Arc::clone)
            .collect()
    }

    /// By the name of an instance, of a service, or `all`.
    pub(crate) fn named(&self, name: &str) -> Vec<Arc<Process>> {
        let is_named = |process: &&Arc<Process>| {
            name == "all" || process.name == name || process.kind.name() == name
        };
        self.processes
            .iter()
            .filter(is_named)
            .map(Arc::clone)
            .collect()
    }

    pub(crate) fn all(&self) -> &[Arc<Process>] {
        &self.processes
    }

    /// All are well again: running, and in no mood.
    pub(crate) async fn heal(&self) -> Result<()> {
        for process in &self.processes {
            process.revive()?;
            process.set(Mood::default(), Duration::from_secs(2)).await?;
        }
        Ok(())
    }

    /// Ends all of them, and returns when they are gone.
    pub(crate) fn stop(&self) {
        self.keeper.stop();
    }
}
