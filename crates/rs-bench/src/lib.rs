//! Every crate beside its peers, in one run.
