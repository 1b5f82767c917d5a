//! Which programs there are.

use std::path::{Path, PathBuf};

use super::build::Recipe;
use super::{Scope, programs};
use crate::invocation::Invocation;

/// A program that something in this workspace starts.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Debian's package for it.
    pub(super) package: &'static str,
    pub(super) origin: Origin,
    pub(super) scope: Scope,
    pub(super) needed_by: &'static str,
    version: Version,
}

/// How Debian has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the release that the machine runs.
    Installed,
    /// In an earlier release, as a static binary that is unpacked for this workspace alone.
    UnpackedFrom(&'static str),
    /// As source alone, which takes minutes to build; the result is kept for all workspaces.
    Built(&'static Recipe),
}

#[derive(Debug)]
enum Version {
    /// The program says it when started with this.
    Flag(&'static str),
    /// Asking would take seconds, but a folder it lives in is called by it.
    InPath,
}

/// The API server of Kubernetes for resources that are defined at run time.
pub(super) const KUBERNETES: &str = "apiextensions-apiserver";

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: "consul",
        package: "consul",
        origin: Origin::UnpackedFrom("bullseye"),
        scope: Scope::Tests,
        needed_by: "registries, discovery",
        version: Version::Flag("version"),
    },
    Program {
        name: "etcd",
        package: "etcd-server",
        origin: Origin::Installed,
        scope: Scope::Tests,
        needed_by: "registries, discovery",
        version: Version::Flag("--version"),
    },
    Program {
        name: KUBERNETES,
        package: "golang-k8s-apiextensions-apiserver-dev",
        origin: Origin::Built(&Recipe {
            release: "sid",
            compiler: "golang-1.26-go",
            import: "k8s.io/apiextensions-apiserver",
        }),
        scope: Scope::Tests,
        needed_by: "registries: Kubernetes",
        version: Version::InPath,
    },
    Program {
        name: "redis-server",
        package: "redis-server",
        origin: Origin::Installed,
        scope: Scope::Tests,
        needed_by: "registries, cache migration, breaker state",
        version: Version::Flag("--version"),
    },
    Program {
        name: "dnsmasq",
        package: "dnsmasq-base",
        origin: Origin::Installed,
        scope: Scope::Tests,
        needed_by: "registries: DNS",
        version: Version::Flag("--version"),
    },
    Program {
        name: "rabbitmq-server",
        package: "rabbitmq-server",
        origin: Origin::Installed,
        scope: Scope::Tests,
        needed_by: "messaging",
        version: Version::InPath,
    },
    Program {
        name: "postgres",
        package: "postgresql",
        origin: Origin::Installed,
        scope: Scope::Tests,
        needed_by: "outbox, sagas, idempotency, repositories",
        version: Version::Flag("--version"),
    },
    Program {
        name: "prometheus",
        package: "prometheus",
        origin: Origin::Installed,
        scope: Scope::Tests,
        needed_by: "metrics, dashboards",
        version: Version::Flag("--version"),
    },
    Program {
        name: "promtool",
        package: "prometheus",
        origin: Origin::Installed,
        scope: Scope::Tests,
        needed_by: "alert rules",
        version: Version::Flag("--version"),
    },
    Program {
        name: "haproxy",
        package: "haproxy",
        origin: Origin::Installed,
        scope: Scope::All,
        needed_by: "balancing comparisons",
        version: Version::Flag("-v"),
    },
    Program {
        name: "nginx",
        package: "nginx-light",
        origin: Origin::Installed,
        scope: Scope::All,
        needed_by: "balancing comparisons",
        version: Version::Flag("-v"),
    },
    Program {
        name: "chromium",
        package: "chromium",
        origin: Origin::Installed,
        scope: Scope::All,
        needed_by: "the console's page",
        version: Version::Flag("--version"),
    },
];

impl Program {
    pub(super) fn find(&self) -> Option<PathBuf> {
        programs::find(self.name)
    }

    /// The command that puts it in place.
    pub(super) fn remedy(&self) -> &'static str {
        match (self.origin, self.scope) {
            (Origin::Built(_), _) => "cargo xtask services install --kubernetes",
            (_, Scope::Tests) => "cargo xtask services install",
            (_, Scope::All) => "cargo xtask services install --all",
        }
    }

    /// The version of the program in `file`, or why there is none.
    pub(super) fn version(&self, file: &Path) -> Result<String, String> {
        let said = match self.version {
            Version::InPath => file.display().to_string(),
            Version::Flag(flag) => {
                let run = Invocation::new(file.display().to_string())
                    .arg(flag)
                    .capture();
                let output = run.map_err(|error| error.to_string())?;
                if !output.success {
                    return Err(format!("`{} {flag}` fails", self.name));
                }
                // Some say it on one, some on the other.
                output.stdout + &output.stderr
            }
        };
        first_version(&said).ok_or_else(|| "says no version".to_owned())
    }
}

/// The first thing in `text` that looks like `1.2` or `1.2.3`.
fn first_version(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, expected: Option<&str>) {
        assert_eq!(first_version(said).as_deref(), expected);
    }

    #[test]
    fn versions_are_read_from_what_programs_say() {
        check("Consul v1.8.7\nProtocol 2 spoken by default", Some("1.8.7"));
        check(
            "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
            Some("7.0.15"),
        );
        check(
            "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
            Some("15.18"),
        );
        check(
            "/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server",
            Some("3.10.8"),
        );
        check(
            "/caches/rs-patterns/apiextensions-apiserver-0.36.4-1/bin/apiextensions-apiserver",
            Some("0.36.4"),
        );
        check(
            "HAProxy version 2.6.12-1+deb12u2 2025/04/17 - https://haproxy.org/",
            Some("2.6.12"),
        );
        check("no idea... 7", None);
    }
}
