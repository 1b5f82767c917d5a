//! The source is the tutorial: short enough to be read, and what the README quotes is what runs.

const MAIN: &str = include_str!("../../src/main.rs");
const WIRING: &str = include_str!("../../src/wiring.rs");
const README: &str = include_str!("../../../../README.md");

#[test]
fn main_and_the_wiring_fit_on_two_screens() {
    const SCREEN: usize = 75;
    let lines = [MAIN, WIRING].map(|text| text.lines().count());
    println!("main.rs {}, wiring.rs {} lines", lines[0], lines[1]);
    assert!(lines.iter().sum::<usize>() <= 2 * SCREEN, "{lines:?}");
}

#[test]
fn the_readme_quotes_the_wiring_as_it_is() {
    let (_, after) = README.split_once("(crates/orders/src/wiring.rs)").unwrap();
    let (_, after) = after.split_once("```rs\n").unwrap();
    let (quoted, _) = after.split_once("```").unwrap();
    let unindented = |text: &str| -> String {
        let lines = text.lines().map(str::trim_start);
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    assert!(quoted.lines().count() > 10, "{quoted}");
    assert!(
        unindented(WIRING).contains(&unindented(quoted)),
        "the README quotes something else: {quoted}"
    );
}
