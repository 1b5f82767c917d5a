//! Every story, shortened: its promises hold.

use crate::running::orders;

#[track_caller]
fn play(story: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = orders(&["--short", "--scenario", story])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("held") && !said.contains("BROKEN"), "{said}");
}

#[test]
fn payment_outage() {
    play("payment-outage");
}

#[test]
fn slow_instance() {
    play("slow-instance");
}

#[test]
fn killed_instance() {
    play("killed-instance");
}

#[test]
fn flapping_instance() {
    play("flapping-instance");
}

#[test]
fn overload() {
    play("overload");
}

#[test]
fn worker_crash_loop() {
    play("worker-crash-loop");
}

#[test]
fn cache_migration() {
    play("cache-migration");
}

#[test]
fn cache_rollback() {
    play("cache-rollback");
}
