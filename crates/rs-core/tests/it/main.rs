//! Behaviour of the words, through the public API.
