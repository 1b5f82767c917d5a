//! Which fault each connection has.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::fault::Fault;

/// The fault for connections to come, and a line to each that is there.
#[derive(Debug, Default)]
pub(super) struct Switch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    newcomers: Fault,
    present: HashMap<u64, watch::Sender<Fault>>,
    next: u64,
}

/// A connection's end of the line, until it is dropped.
#[derive(Debug)]
pub(super) struct Line<'a> {
    switch: &'a Switch,
    number: u64,
    pub(super) fault: watch::Receiver<Fault>,
}

impl Switch {
    pub(super) fn set(&self, fault: Fault) {
        let mut state = self.lock();
        state.newcomers = fault;
        state.tell_present(fault);
    }

    pub(super) fn set_for_new(&self, fault: Fault) {
        self.lock().newcomers = fault;
    }

    pub(super) fn set_for_present(&self, fault: Fault) {
        self.lock().tell_present(fault);
    }

    pub(super) fn connect(&self) -> Line<'_> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let (sender, fault) = watch::channel(state.newcomers);
        state.present.insert(number, sender);
        Line {
            switch: self,
            number,
            fault,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell_present(&self, fault: Fault) {
        for line in self.present.values() {
            line.send_if_modified(|present| {
                // A connection that is to be reset has no future, even if it has not seen so yet.
                let lives = !present.resets();
                if lives {
                    *present = fault;
                }
                lives
            });
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.switch.lock().present.remove(&self.number);
    }
}
