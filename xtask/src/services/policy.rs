//! Keeps packages from starting their services while they are installed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::invocation::Invocation;

/// What Debian's packages ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where the machine's own policy waits meanwhile.
const SAVED: &str = "/usr/sbin/policy-rc.d.before-xtask";

/// Our policy: "forbidden". The comment is how a later run knows it, should this one be killed.
const NOTHING_STARTS: &str = "#!/bin/sh\n# Written by `cargo xtask services install`.\nexit 101\n";

/// While this lives, no package starts a service; afterwards the machine's own policy is back.
#[derive(Debug)]
pub(super) struct NoServices {
    replaced: bool,
}

impl NoServices {
    pub(super) fn enforce() -> Result<Self> {
        restore()?;
        if forbids_already() {
            return Ok(Self { replaced: false });
        }
        if Path::new(POLICY).exists() {
            fs::rename(POLICY, SAVED).with_context(|| format!("cannot move {POLICY} aside"))?;
        }
        let enforced = Self { replaced: true };
        fs::write(POLICY, NOTHING_STARTS).with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, Permissions::from_mode(0o755))?;
        Ok(enforced)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.replaced
            && let Err(error) = restore()
        {
            eprintln!("warning: {error:#}");
        }
    }
}

/// As in container images, where nothing is ever to start.
fn forbids_already() -> bool {
    let asked =
        Invocation::new("sh").args(["-c", r#""$0" any-service start; test $? = 101"#, POLICY]);
    asked.capture().is_ok_and(|answer| answer.success)
}

/// Puts the machine's own policy back, also after an earlier run that could not.
fn restore() -> Result<()> {
    let ours = fs::read_to_string(POLICY).is_ok_and(|text| text == NOTHING_STARTS);
    if Path::new(SAVED).exists() {
        return fs::rename(SAVED, POLICY)
            .with_context(|| format!("cannot put {SAVED} back to {POLICY}"));
    }
    if ours {
        fs::remove_file(POLICY).with_context(|| format!("cannot remove {POLICY}"))?;
    }
    Ok(())
}
