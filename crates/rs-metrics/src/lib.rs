//! Metrics declared once and bound once, exported to Prometheus; tracing and correlation ids set up in one call.
