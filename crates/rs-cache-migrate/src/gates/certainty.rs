//! How sure a count makes us of a rate.

/// Within 97.5 % on each side.
pub(super) const LIKELY: f64 = 1.96;
/// For what is looked at again with every window, and stays what it was for long.
pub(super) const CERTAIN: f64 = 3.3;

pub(crate) fn rate(some: u64, of: u64) -> f64 {
    if of == 0 {
        return 0.0;
    }
    some as f64 / of as f64
}

/// Between which two the true rate is (Wilson's interval).
pub(super) fn wilson(some: u64, of: u64, z: f64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, rate(some.min(of), of));
    let middle = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z * z / n;
    ((middle - spread) / whole, (middle + spread) / whole)
}
