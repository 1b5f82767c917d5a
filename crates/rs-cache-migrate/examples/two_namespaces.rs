//! A service moves its prompt cache (an hour) and its response cache (five minutes) to another cache by itself,
//! each at its own pace. The new cache of the responses becomes slow on the way and is left; the prompts arrive.
//! Flags say how far both may go. Time is virtual: hours pass in seconds.
//!
//! ```sh
//! cargo run -p rs-cache-migrate --example two_namespaces
//! ```

use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_cache_migrate::{
    CacheAdapter, CacheError, CacheMigration, Capabilities, Entry, FlagSource, Flags, FlagsError,
    GatesConfig, MigrationConfig, PilotConfig, PilotMode, Stage, TtlCache,
};
use rs_core::{Clock, Share};
use rs_metrics::Surroundings;

const PROMPTS: Duration = Duration::from_secs(3600);
const RESPONSES: Duration = Duration::from_secs(300);

/// A cache behind a network: it takes a while.
struct Far {
    cache: TtlCache<String, String>,
    micros: Arc<AtomicU64>,
}

impl CacheAdapter<String, String> for Far {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    async fn get(&self, key: &String) -> Result<Option<Entry<String>>, CacheError> {
        Clock::tokio()
            .sleep(Duration::from_micros(self.micros.load(Relaxed)))
            .await;
        CacheAdapter::get(&self.cache, key).await
    }

    async fn set(&self, key: &String, entry: Entry<String>) -> Result<(), CacheError> {
        CacheAdapter::set(&self.cache, key, entry).await
    }

    async fn delete(&self, key: &String) -> Result<(), CacheError> {
        CacheAdapter::delete(&self.cache, key).await
    }

    async fn clear(&self) -> Result<(), CacheError> {
        CacheAdapter::clear(&self.cache).await
    }
}

/// What an operator sets in the environment or a file; here, in the program.
struct Board<'a>(&'a Mutex<Vec<(&'static str, &'static str)>>);

impl FlagSource for Board<'_> {
    async fn read(&self, migration: &str) -> Result<Flags, FlagsError> {
        let set = self
            .0
            .lock()
            .map_err(|_| FlagsError::Away("poisoned".to_owned()))?
            .clone();
        Ok(Flags::of(migration, set)?)
    }
}

type Moving = CacheMigration<String, String, Far, Far>;

fn moving(
    around: &Surroundings,
    name: &'static str,
    ttl: Duration,
) -> Result<(Moving, Arc<AtomicU64>), Box<dyn Error>> {
    let micros = Arc::new(AtomicU64::new(2000));
    let far = |micros: &Arc<AtomicU64>| Far {
        cache: TtlCache::within(around, ttl),
        micros: Arc::clone(micros),
    };
    // A small service: few reads make a window, and an error rate of a thousandth would take hours to prove.
    let gates = GatesConfig::default()
        .with_minimum_reads(40)
        .with_errors(Share::percent(2.0)?)
        .advancing_after(6);
    let pilot = PilotConfig::default()
        .with_mode(PilotMode::Automatic)
        .with_window(Duration::from_secs(20))
        .with_gates(gates);
    let config = MigrationConfig::default()
        .with_shadow(Share::percent(25.0)?)
        .with_pilot(pilot);
    let (old, new) = (far(&Arc::new(AtomicU64::new(2000))), far(&micros));
    let same = |old: &String, new: &String| old == new;
    Ok((
        CacheMigration::comparing(around, name, old, new, config, same)?,
        micros,
    ))
}

/// What a service does all day: about twenty requests a second.
async fn serve(cache: &Moving, ttl: Duration) -> Result<(), CacheError> {
    for request in 0_u64.. {
        let key = format!("request {}", request * 7 % 100);
        if cache.get(&key).await?.is_miss() || request % 4 == 0 {
            cache.set(&key, "an answer".to_owned(), ttl).await?;
        }
        Clock::tokio().sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let around = Surroundings::apart();
    let (prompts, _) = moving(&around, "prompts", PROMPTS)?;
    let (responses, slow) = moving(&around, "responses", RESPONSES)?;
    let board = Mutex::new(vec![("MIGRATION_STAGE", "shadow")]);

    let story = async {
        let minutes =
            async |count: u64| Clock::tokio().sleep(Duration::from_secs(60 * count)).await;
        minutes(10).await;
        println!("after ten minutes, flags allow `shadow`:");
        println!(
            "  prompts {}, responses {}",
            prompts.state(),
            responses.state()
        );
        assert_eq!(prompts.state().stage, Stage::Shadow);

        *board.lock().map_err(|_| "poisoned")? = vec![("MIGRATION_PROMPTS_PERCENTAGE", "100%")];
        while responses.state().stage != Stage::Live {
            minutes(1).await;
        }
        println!("flags allow all; the new cache of the responses becomes half as fast");
        slow.store(4000, Relaxed);
        minutes(2).await;
        println!(
            "  prompts {}, responses {}",
            prompts.state(),
            responses.state()
        );
        assert!(responses.state().held, "{}", responses.report());

        minutes(20).await;
        assert_eq!(
            prompts.state().stage,
            Stage::RampDown,
            "{}",
            prompts.report()
        );
        println!(
            "\nprompts: {}\nresponses: {}",
            prompts.report(),
            responses.report()
        );
        Ok::<(), Box<dyn Error>>(())
    };
    let second = Duration::from_secs(1);
    tokio::select! {
        told = story => told,
        served = serve(&prompts, PROMPTS) => Ok(served?),
        served = serve(&responses, RESPONSES) => Ok(served?),
        () = prompts.run() => Ok(()),
        () = responses.run() => Ok(()),
        () = prompts.follow(Board(&board), second) => Ok(()),
        () = responses.follow(Board(&board), second) => Ok(()),
    }
}
