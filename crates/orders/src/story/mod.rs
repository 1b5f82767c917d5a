//! Stories: something breaks, and promises are held or not.

mod cache;
mod outages;
mod overload;
mod stage;
mod workers;

use std::{future::Future, pin::Pin};

use anyhow::{Result, bail};
use rs_patterns::{
    core::{ConfigError, FlightRecorder},
    metrics::Exported,
};
use tokio::task::JoinSet;

use self::stage::Stage;
use crate::{args::Options, demo::Demo, run::Told, say::say};

type Playing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// A story by name.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    about: &'static str,
    play: for<'a> fn(&'a mut Stage) -> Playing<'a>,
}

static STORIES: [Story; 8] = [
    Story {
        name: "payment-outage",
        about: "no payment instance answers: orders are queued, none is lost, all are charged once",
        play: |stage| Box::pin(outages::payments(stage)),
    },
    Story {
        name: "slow-instance",
        about: "one of three takes 200ms longer, or more: p99 is back within 5s",
        play: |stage| Box::pin(outages::slow_instance(stage)),
    },
    Story {
        name: "killed-instance",
        about: "one of three is killed and started again: no order fails",
        play: |stage| Box::pin(outages::killed_instance(stage)),
    },
    Story {
        name: "flapping-instance",
        about: "one of two fails, recovers, fails: no order fails, no breaker opens",
        play: |stage| Box::pin(outages::flapping_instance(stage)),
    },
    Story {
        name: "overload",
        about: "three times as many orders as can be done: as many are done as before",
        play: |stage| Box::pin(overload::overload(stage)),
    },
    Story {
        name: "cache-migration",
        about: "prices move to the new cache, step by step, by evidence: no order fails",
        play: |stage| Box::pin(cache::to_the_end(stage)),
    },
    Story {
        name: "cache-rollback",
        about: "the new cache turns bad on the way: the migration goes back by itself",
        play: |stage| Box::pin(cache::and_back(stage)),
    },
    Story {
        name: "worker-crash-loop",
        about: "a worker fails whenever it is started: it is given up, and no other part notices",
        play: |stage| Box::pin(workers::crash_loop(stage)),
    },
];

/// All stories, a line each.
pub(crate) fn list() -> String {
    let line = |story: &Story| format!("{:<18} {}\n", story.name, story.about);
    STORIES.iter().map(line).collect()
}

/// The story of this name, or all.
pub(crate) fn named(name: &str) -> Result<Vec<&'static Story>> {
    if name == "all" {
        return Ok(STORIES.iter().collect());
    }
    match STORIES.iter().find(|story| story.name == name) {
        Some(story) => Ok(vec![story]),
        None => {
            let known = STORIES.iter().map(|story| story.name).chain(["all"]);
            bail!("{}", ConfigError::unknown("scenario", name, known))
        }
    }
}

/// Plays them one after the other, each with a shop of its own. Whether all promises held.
pub(crate) async fn play(
    stories: &[&Story],
    options: &Options,
    metrics: &Exported,
    told: &mut Told,
) -> Result<bool> {
    let mut outcomes = Vec::new();
    for story in stories {
        say!("{}: {}", story.name, story.about);
        let mut tasks = JoinSet::new();
        let demo = Demo::start(options, metrics, &mut tasks).await?;
        let mut stage = Stage::new(demo, options);
        let played = tokio::select! {
            played = (story.play)(&mut stage) => Some(played),
            () = told.ended() => None,
        };
        stage.demo.stop(&mut tasks).await;
        let Some(played) = played else {
            eprintln!("\n{}", FlightRecorder::global().log(20));
            bail!("ended before the story did");
        };
        played?;
        let has_held = stage.has_held();
        say!("{stage}");
        if !has_held {
            for (reason, times) in stage.demo.load.reasons() {
                say!("  {times} x {reason}");
            }
            say!("{}\n", FlightRecorder::global().log(40));
        }
        outcomes.push((story.name, has_held));
    }
    let held = outcomes.iter().filter(|(_, held)| *held).count();
    if stories.len() > 1 {
        say!("{held} of {} stories held what they promise", stories.len());
    }
    if options.json {
        let each = outcomes
            .iter()
            .map(|(name, held)| format!(r#""{name}": {held}"#));
        say!("{{{}}}", each.collect::<Vec<_>>().join(", "));
    }
    Ok(held == stories.len())
}
