//! Instances from a file that changes.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use crate::{ids, until};
use rs_backends::{
    Backend, BackendError, File, FileConfig, ServiceInstance, Standing, async_trait,
    conformance::{self, Subject},
};
use tempfile::TempDir;

struct OnDisk {
    folder: TempDir,
    end: &'static str,
}

impl OnDisk {
    fn new(end: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Self { folder, end };
        disk.replace(&disk.empty());
        disk
    }

    fn empty(&self) -> String {
        match self.end {
            "json" => r#"{"instances": []}"#.to_owned(),
            _ => "instances = []".to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder
            .path()
            .join("instances")
            .with_extension(self.end)
    }

    /// As careful people write a file.
    fn replace(&self, text: &str) {
        let beside = self.folder.path().join("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path()).unwrap();
    }

    fn open(&self) -> File {
        let config = FileConfig::new(self.path()).unwrap();
        let often = config
            .with_poll_interval(Duration::from_millis(20))
            .unwrap();
        File::new("disk", often)
    }
}

#[async_trait]
impl Subject for OnDisk {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.open())
    }

    async fn write(&self, instances: &[ServiceInstance]) -> bool {
        let text = serde_json::json!({ "instances": instances });
        self.replace(&match self.end {
            "json" => text.to_string(),
            _ => toml::to_string(&text).unwrap(),
        });
        true
    }
}

#[tokio::test]
async fn a_file_of_either_format_keeps_all_promises() {
    for end in ["json", "toml"] {
        conformance::check_reading(&OnDisk::new(end)).await;
    }
}

fn lines(ids: &[&str]) -> String {
    let one = |id: &&str| {
        format!("[[instances]]\nservice = \"a\"\nid = \"{id}\"\nhost = \"h\"\nport = 1\n")
    };
    ids.iter().map(one).collect()
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() {
    let disk = OnDisk::new("toml");
    disk.replace(&lines(&["1", "2"]));
    let file = disk.open();
    let mut watch = file.watch("a").unwrap();
    until(&mut watch, "both", |set| ids(set) == ["1", "2"]).await;
    for wrong in [
        "",
        "instances = 3",
        "[[instances]]\nservice = \"a\"\nhost = \"h\"\nport = 70000",
        "\u{0}",
    ] {
        disk.replace(wrong);
        let kept = until(&mut watch, "what was there", |set| !set.is_current()).await;
        assert_eq!(ids(&kept), ["1", "2"], "{wrong:?}");
        assert!(
            matches!(kept.standing(), Standing::Kept(BackendError::Malformed(_))),
            "{kept:?}"
        );
        disk.replace(&lines(&["1", "2"]));
        until(&mut watch, "mended", |set| set.is_current()).await;
    }
    fs::remove_file(disk.path()).unwrap();
    let kept = until(&mut watch, "gone", |set| !set.is_current()).await;
    assert!(
        matches!(
            kept.standing(),
            Standing::Kept(BackendError::Unreachable(_))
        ),
        "{kept:?}"
    );
    disk.replace(&disk.empty());
    until(&mut watch, "said to be empty", |set| {
        set.is_empty() && set.is_current()
    })
    .await;
}

#[tokio::test]
async fn half_a_file_is_never_believed() {
    let disk = OnDisk::new("toml");
    disk.replace(&lines(&["1", "2", "3"]));
    let file = disk.open();
    let mut watch = file.watch("a").unwrap();
    until(&mut watch, "all", |set| set.len() == 3).await;
    // In place, and then at once whole again, as an editor does.
    let whole = lines(&["1", "2", "3", "4"]);
    for _ in 0..20 {
        fs::write(disk.path(), lines(&["1"])).unwrap();
        fs::write(disk.path(), &whole).unwrap();
    }
    let next = until(&mut watch, "a change", |set| set.len() != 3).await;
    assert_eq!(next.len(), 4, "half a file was believed");
}

#[tokio::test]
async fn a_huge_file_is_refused() {
    let disk = OnDisk::new("json");
    let file = fs::File::create(disk.path()).unwrap();
    file.set_len(File::MAX_BYTES as u64 + 1).unwrap();
    let huge = disk.open().discover("a").await;
    assert!(
        matches!(huge, Err(BackendError::TooMany { what: "bytes", .. })),
        "{huge:?}"
    );
}

#[test]
fn only_formats_that_are_known() {
    let wrong = FileConfig::new("instances.yaml").unwrap_err().to_string();
    assert_eq!(
        wrong,
        "path: `instances.yaml` is of no known format; end it in .toml or .json"
    );
}
