//! What a pool shows and can be told through the directory, and what it exports.

use std::sync::Arc;

use rs_core::{Inspect, Value};

use super::{
    Connect, Inner,
    metrics::{self, ConnectionState},
};

/// Endpoints that a snapshot shows.
const SHOWN: usize = 1000;

/// Lists it in the directory and exports its numbers.
pub(super) fn list<C: Connect>(inner: &Arc<Inner<C>>) {
    let home = &inner.shared.home;
    home.register(inner);
    inner.observed.get_or_init(|| {
        [
            home.observe(&metrics::CONNECTIONS, inner, |inner, state| {
                inner.sum(|shelf| match state {
                    ConnectionState::Idle => shelf.stock().idle(),
                    ConnectionState::Leased => shelf.stock().taken(),
                }) as f64
            }),
            home.observe(&metrics::WAITING, inner, |inner, ()| {
                inner.sum(|shelf| shelf.stock().waiting()) as f64
            }),
        ]
    });
}

impl<C: Connect> Inner<C> {
    pub(super) fn snapshot_value(&self) -> Value {
        let config = self.shared.rules.get();
        let mut endpoints: Vec<(Box<str>, [usize; 3])> = self
            .shelves()
            .iter()
            .map(|(id, shelf)| {
                let stock = shelf.stock();
                (id.clone(), [stock.idle(), stock.taken(), stock.waiting()])
            })
            .collect();
        endpoints.sort_unstable();
        let total = |place: fn(&[usize; 3]) -> usize| -> usize {
            endpoints.iter().map(|(_, counts)| place(counts)).sum()
        };
        let totals = [
            total(|[idle, _, _]| *idle),
            total(|[_, leased, _]| *leased),
            total(|[_, _, waiting]| *waiting),
        ];
        let shown = endpoints.iter().take(SHOWN).map(|(id, counts)| {
            let id = ("id", Value::from(id.to_string()));
            Value::map([id].into_iter().chain(named(counts)))
        });
        let shown: Vec<Value> = shown.collect();
        let about = [
            ("size", Value::from(config.size())),
            ("queue", config.queue().into()),
            ("known", endpoints.len().into()),
            ("endpoints", shown.into()),
            ("not_shown", endpoints.len().saturating_sub(SHOWN).into()),
            ("config_version", self.shared.rules.version().into()),
        ];
        Value::map(named(&totals).into_iter().chain(about))
    }
}

fn named([idle, leased, waiting]: &[usize; 3]) -> [(&'static str, Value); 3] {
    [
        ("idle", (*idle).into()),
        ("leased", (*leased).into()),
        ("waiting", (*waiting).into()),
    ]
}

impl<C: Connect> Inspect for Inner<C> {
    rs_metrics::inspect_rules!("balanced_pool", shared.home);

    fn snapshot(&self) -> Value {
        self.snapshot_value()
    }
}
