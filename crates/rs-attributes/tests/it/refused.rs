//! What is refused, and what is said about it.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
