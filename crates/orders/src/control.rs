//! Faults from a second terminal: a socket in a folder that is this run's own.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rs_patterns::core::ConfigError;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader as Lines},
    net::UnixListener,
    task::JoinSet,
};

use crate::{
    args::parse_rate,
    demo::Demo,
    say::say,
    service::{Kind, Mood},
    workers::REFRESH,
};

pub(crate) const HELP: &str = "\
do TARGET FAULT   TARGET is inventory, payments, notifications, one instance (payments-1), or all

  fail            answers 500                      kill      the process is killed
  slow [TIME]     each answer takes 200ms longer   start     it is started again
  close           closes the socket instead        stop      it is stopped (SIGSTOP)
  ok              nothing is wrong with it         continue  it goes on (SIGCONT)

do cache migrate        prices move to the new cache, as the gates say
do cache fail|slow|wrong|ok   what is wrong with the new cache
do workers fail|ok      the price refresh fails, or does not any more
do rate N               so many orders a second
do heal                 all are well again
";

const PREFIX: &str = "rs-patterns-orders-";
const FAULTS: [&str; 8] = [
    "fail", "slow", "close", "ok", "kill", "start", "stop", "continue",
];

/// A folder for the ledger and the socket; the keeper removes it.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
    // Of a run that was killed together with its keeper.
    let _ = fs::remove_dir_all(&folder);
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("control")
}

/// Takes orders of `orders do`.
pub(crate) fn listen(demo: &Arc<Demo>, tasks: &mut JoinSet<()>) -> Result<()> {
    let path = socket(&demo.folder);
    let listener =
        UnixListener::bind(&path).with_context(|| format!("cannot make {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let demo = Arc::clone(demo);
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reader, mut writer) = stream.into_split();
            let mut line = String::new();
            if Lines::new(reader).read_line(&mut line).await.is_err() {
                continue;
            }
            let said = match apply(&demo, line.trim()).await {
                Ok(done) => format!("ok {done}\n"),
                Err(error) => format!("no {error:#}\n"),
            };
            // Whoever asked and left does not want to know.
            let _ = writer.write_all(said.as_bytes()).await;
        }
    });
    Ok(())
}

/// Does what a line says: `payments fail`.
pub(crate) async fn apply(demo: &Demo, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        // For the test of what a panic leaves behind.
        ["panic"] => panic!("somebody ordered a panic"),
        ["cache", "migrate"] => {
            demo.shop.prices.migrate()?;
            Ok("prices move to the new cache, as the gates say".to_owned())
        }
        ["cache", trouble] => {
            if !demo.shop.prices.trouble.set(trouble) {
                let known = ["migrate", "fail", "slow", "wrong", "ok"];
                bail!("{}", ConfigError::unknown("trouble", trouble, known));
            }
            Ok(format!("the new cache: {trouble}"))
        }
        ["heal"] => {
            demo.shop.prices.trouble.set("ok");
            demo.fleet.heal().await?;
            refresh(demo, false).await;
            Ok("all are well".to_owned())
        }
        ["rate", rate] => {
            demo.load.set_rate(parse_rate(rate)?);
            Ok(format!("{rate} orders a second"))
        }
        ["workers", "fail"] => {
            refresh(demo, true).await;
            Ok("the price refresh fails".to_owned())
        }
        ["workers", "ok"] => {
            refresh(demo, false).await;
            Ok("the price refresh is well".to_owned())
        }
        [target, fault] => harm(demo, target, fault, "200ms").await,
        [target, fault, time] => harm(demo, target, fault, time).await,
        _ => bail!("`{line}` means nothing here; `do help` lists what does"),
    }
}

async fn harm(demo: &Demo, target: &str, fault: &str, time: &str) -> Result<String> {
    let harmed = demo.fleet.named(target);
    if harmed.is_empty() {
        let instances = demo.fleet.all().iter().map(|process| process.name.as_str());
        let known = Kind::ALL
            .map(Kind::name)
            .into_iter()
            .chain(instances)
            .chain(["all", "cache", "workers"]);
        bail!("{}", ConfigError::unknown("target", target, known));
    }
    let mood = match fault {
        "kill" | "start" | "stop" | "continue" => None,
        "ok" => Some(Mood::default()),
        "fail" => Some(Mood {
            fails: true,
            ..Mood::default()
        }),
        "close" => Some(Mood {
            closes: true,
            ..Mood::default()
        }),
        "slow" => {
            let latency = rs_patterns::core::humane::parse_duration(time)?;
            Some(Mood {
                latency,
                ..Mood::default()
            })
        }
        _ => bail!("{}", ConfigError::unknown("fault", fault, FAULTS)),
    };
    for process in &harmed {
        match (mood, fault) {
            (Some(mood), _) => process.set(mood, Duration::from_secs(2)).await?,
            (None, "kill") => process.kill()?,
            (None, "stop") => process.stop()?,
            (None, "continue") => process.go_on()?,
            (None, _) => process.revive()?,
        }
    }
    let names: Vec<&str> = harmed.iter().map(|process| process.name.as_str()).collect();
    Ok(format!("{fault}: {}", names.join(", ")))
}

async fn refresh(demo: &Demo, fails: bool) {
    demo.desk.spoil_refresh(fails);
    if !fails {
        // If it runs, there is nothing to start.
        let _ = demo.workers.start(REFRESH).await;
    }
}

/// `orders do payments fail`: tells the demo that runs.
pub(crate) fn tell(args: &[String]) -> Result<()> {
    if args.is_empty() || args == ["help"] || args == ["--help"] {
        say!("{}", HELP.trim_end());
        return Ok(());
    }
    let mut running = Vec::new();
    for entry in fs::read_dir(std::env::temp_dir())? {
        let folder = entry?.path();
        let is_ours = folder.file_name().and_then(|name| name.to_str());
        if is_ours.is_some_and(|name| name.starts_with(PREFIX))
            && let Ok(stream) = UnixStream::connect(socket(&folder))
        {
            running.push((folder, stream));
        }
    }
    let [(_, stream)] = &mut running[..] else {
        match running.len() {
            0 => bail!("no demo runs; `cargo xtask demo` in another terminal starts one"),
            count => bail!("{count} demos run at the same time; end all but one"),
        }
    };
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    writeln!(stream, "{}", args.join(" "))?;
    let mut said = String::new();
    BufReader::new(&*stream)
        .read_line(&mut said)
        .context("the demo does not answer")?;
    match said.trim().split_once(' ') {
        Some(("ok", done)) => say!("{done}"),
        Some(("no", why)) => bail!("{why}"),
        _ => bail!("the demo ended"),
    }
    Ok(())
}
