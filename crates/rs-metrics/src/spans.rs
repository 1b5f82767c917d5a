/// What filters know the spans of calls and attempts by, whichever crate makes them.
///
/// `Tracing` keeps them whatever the level, because they carry the correlation id into warnings and errors.
pub const CALL_SPANS: &str = "rs_metrics::call";
