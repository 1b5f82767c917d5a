//! The words as a user meets them: the public API only, and no patience for surprises.

#[cfg(test)]
mod auto_traits;
#[cfg(test)]
mod backoff;
#[cfg(test)]
mod cancellation;
#[cfg(test)]
mod child;
#[cfg(feature = "serde")]
#[cfg(test)]
mod config;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod humane;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod names;
#[cfg(test)]
mod owning;
#[cfg(test)]
mod permit;
#[cfg(test)]
mod signals;
#[cfg(test)]
mod stacking;
#[cfg(test)]
mod support;
#[cfg(test)]
mod time;
#[cfg(test)]
mod words;
