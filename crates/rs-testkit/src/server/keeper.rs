//! Ends a server and removes its folder when the test is over, whatever happened to the test.

use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use crate::error::Error;

/// Waits for the end of its input, which comes with the end of the test's process at the latest,
/// because only that process holds the other end. Then kills every process whose working folder is
/// the server's or inside it, and removes the folder and the shared memory that they had.
///
/// It looks again after the removal: what was about to start now runs in a deleted folder.
const SCRIPT: &str = r#"
folder=$1 tidy=$2
trap '' HUP INT QUIT TERM
read -r _

processes() {
    find /proc/[0-9]* -maxdepth 1 -name cwd -lname "$folder*" |
        while IFS=/ read -r _ _ process _; do echo "$process"; done
}
shared_memory() {
    for process in "$@"; do grep -o '/dev/shm/[^ ]*' "/proc/$process/maps"; done
}

memory= tidied= look=0
while [ $((look += 1)) -le 200 ]; do
    found=$(processes)
    if [ -n "$found" ]; then
        # None can start another one, or take more memory, between being seen and being killed.
        kill -STOP $found
        memory="$memory $(shared_memory $found)"
        kill -KILL $found
        sleep 0.005
    elif [ -z "$tidied" ]; then
        if [ -d "$folder" ]; then (cd "$folder" && eval "$tidy"); fi
        rm -f -- $memory
        rm -rf -- "$folder"
        tidied=yes
    elif [ -e "$folder" ]; then
        rm -rf -- "$folder"
        sleep 0.05
    else
        break
    fi
done
"#;

/// The process that runs the script; dropping this does the work and waits for it.
#[derive(Debug)]
pub(super) struct Keeper {
    process: Child,
    input: Option<ChildStdin>,
}

impl Keeper {
    /// Starts watching over `folder`, which must not exist yet, so that no moment is unwatched.
    pub(super) fn start(folder: &Path, tidy: &str) -> Result<Self, Error> {
        let mut process = super::process::detached("sh")
            .args(["-c", SCRIPT, "rs-testkit-keeper"])
            .arg(folder)
            .arg(tidy)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::os("start the shell that cleans up after a server"))?;
        let input = process.stdin.take();
        Ok(Self { process, input })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
