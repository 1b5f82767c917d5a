//! However it ends, nothing is left: no process, no folder.

use crate::running::{Running, send, stat, wait_until};

/// A dead process whose parent has not noticed is no process.
fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == 'Z')
}

#[track_caller]
fn check(end: impl FnOnce(&Running), code: Option<i32>, said: &str) {
    let demo = Running::start(&["--rate", "20"]);
    let children = demo.children();
    assert_eq!(children.len(), 7, "a keeper and six services");
    assert_eq!(demo.files().len(), 1);
    // The one that cannot end by itself.
    assert!(demo.tell("inventory-3 stop").status.success());
    end(&demo);
    wait_until("all processes are gone", || {
        children.iter().all(|pid| is_gone(*pid))
    });
    wait_until("the folder is gone", || demo.files().is_empty());
    let (ended, output) = demo.end();
    assert_eq!(ended, code, "{output}");
    assert!(output.contains(said), "{output}");
}

#[test]
fn after_ctrl_c() {
    check(
        |demo| demo.signal("-INT"),
        Some(0),
        "flight recorder, the last",
    );
}

#[test]
fn after_a_kill() {
    check(|demo| demo.signal("-KILL"), None, "");
}

#[test]
fn after_a_panic() {
    let panic = |demo: &Running| {
        demo.tell("panic");
    };
    check(panic, Some(2), "flight recorder, the last");
}

/// The second line of defence: a keeper that is killed, too.
#[test]
fn after_a_kill_of_the_keeper() {
    let demo = Running::start(&["--rate", "20"]);
    let children = demo.children();
    // It was started first.
    send(*children.iter().min().unwrap(), "-KILL");
    demo.signal("-KILL");
    wait_until("all processes are gone", || {
        children.iter().all(|pid| is_gone(*pid))
    });
}
