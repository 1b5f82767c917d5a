//! What the builder of pipelines is made of: needed by name only to write a function over builders.

pub use crate::pipeline::{
    AddCoalesce, AddFallback, AddHedge, Adds, LimitSlot, LimitSlots, Limits, WithSlots, Within,
};
