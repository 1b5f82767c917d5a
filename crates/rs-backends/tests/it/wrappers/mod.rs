//! Wrappers, around registries that come and go.

mod cached;
mod failover;
mod guarded;
mod merge;

use std::{fs, path::PathBuf, time::Duration};

use rs_backends::{File, FileConfig, ServiceInstance};
use rs_metrics::Surroundings;
use tempfile::TempDir;

/// A registry that can be away: a file.
struct Comes {
    _folder: TempDir,
    path: PathBuf,
}

impl Comes {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instances.json");
        Self {
            _folder: folder,
            path,
        }
    }

    fn says(&self, instances: &[ServiceInstance]) {
        let new = self.path.with_extension("new");
        let text = serde_json::json!({ "instances": instances }).to_string();
        fs::write(&new, text).unwrap();
        fs::rename(&new, &self.path).unwrap();
    }

    fn goes_away(&self) {
        let _ = fs::remove_file(&self.path);
    }

    fn connect(&self, name: &'static str) -> File {
        self.connect_in(&Surroundings::of_process(), name)
    }

    fn connect_in(&self, around: &Surroundings, name: &'static str) -> File {
        let config = FileConfig::new(&self.path).unwrap();
        let every = Duration::from_millis(500);
        File::within(around, name, config.with_poll_interval(every).unwrap())
    }
}
