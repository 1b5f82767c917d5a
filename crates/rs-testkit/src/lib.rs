//! Private real servers and bad networks for tests.
