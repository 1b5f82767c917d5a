//! Everything around the code.
fn main() {}
