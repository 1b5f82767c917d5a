//! The words that resilience patterns share: calls, outcomes, guards, permits, policies, deadlines, clocks and signals.
