//! Patterns for services that keep working when what they depend on fails, slows down, moves or changes.
