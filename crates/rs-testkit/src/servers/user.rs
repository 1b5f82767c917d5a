//! Running a server as another user, for those that refuse root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;

use crate::error::Error;
use crate::server::Place;

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    id: u32,
    group: u32,
}

/// A command for `program` that does not run as root: as root, it gives itself to `preferred` or
/// `nobody`, and the folder with it; otherwise the present user will do.
pub(super) fn not_as_root(program: &str, preferred: &str, place: &Place) -> Result<Command, Error> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        return Ok(Command::new(program));
    }
    let users =
        fs::read_to_string("/etc/passwd").map_err(Error::os("read the users of this machine"))?;
    let User { id, group } = User::named(preferred, &users)
        .or_else(|| User::named("nobody", &users))
        .ok_or(io::ErrorKind::NotFound.into())
        .map_err(Error::os(format!("find the user {preferred} or nobody")))?;
    let given = chown(place.folder(), Some(id), Some(group));
    given.map_err(Error::os(format!("give a folder to {preferred}")))?;
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={id}"))
        .arg(format!("--regid={group}"))
        .args(["--clear-groups", "--", program]);
    Ok(command)
}

impl User {
    /// Reads lines of `name:password:user:group:…`.
    fn named(name: &str, users: &str) -> Option<Self> {
        let fields = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let fields = fields
            .into_iter()
            .find(|fields| fields.first() == Some(&name))?;
        Some(Self {
            id: fields.get(2)?.parse().ok()?,
            group: fields.get(3)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0::/:/bin/sh\npostgres2:x:7:7::/:/bin/sh\npostgres:x:104:110:,,,:/var:/bin/bash\n";
        assert_eq!(
            User::named("postgres", users),
            Some(User {
                id: 104,
                group: 110
            })
        );
        assert_eq!(User::named("nobody", users), None);
    }
}
