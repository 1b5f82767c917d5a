//! A service has two caches, one for prompts and one for responses. Both move, each at its own pace; one of
//! them has to go back.
//!
//! ```sh
//! cargo run -p rs-cache-migrate --features moka --example move_two_caches
//! ```

use std::{error::Error, time::Duration};

use rs_cache_migrate::{
    CacheMigration, MigrationConfig, ModularCache, ModularCacheConfig, Stage, TtlCache,
};
use rs_core::{Mandate, Share};

const PROMPTS: Duration = Duration::from_secs(3600);
const RESPONSES: Duration = Duration::from_secs(300);

type Moving =
    CacheMigration<String, String, TtlCache<String, String>, ModularCache<String, String>>;

fn moving(name: &'static str, ttl: Duration) -> Result<Moving, Box<dyn Error>> {
    let old = TtlCache::new(ttl);
    let new = ModularCache::new(ModularCacheConfig::of(10_000).with_ttl(ttl))?;
    let carefully = MigrationConfig::default().with_steps([Share::percent(1.0)?, Share::ALL]);
    Ok(CacheMigration::new(name, old, new, carefully)?)
}

/// What a service does all day.
async fn serve(cache: &Moving, ttl: Duration) -> Result<u32, Box<dyn Error>> {
    let mut hits = 0;
    for request in 0..1000 {
        let key = format!("request {}", request % 100);
        match cache.get(&key).await?.hit() {
            Some(_) => hits += 1,
            None => cache.set(&key, "an answer".to_owned(), ttl).await?,
        }
    }
    Ok(hits)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let prompts = moving("prompts", PROMPTS)?;
    let responses = moving("responses", RESPONSES)?;
    serve(&prompts, PROMPTS).await?;
    serve(&responses, RESPONSES).await?;

    while !prompts.is_complete() {
        prompts
            .advance(Mandate::new("anna", "it looks well"))
            .await?;
        let hits = serve(&prompts, PROMPTS).await?;
        println!("prompts at {}: {hits} of 1000 hits", prompts.state());
        assert!(
            hits >= 900,
            "what was not read while it was live comes again"
        );
    }

    while responses.state().stage != Stage::Live {
        responses
            .advance(Mandate::new("anna", "it looks well"))
            .await?;
    }
    serve(&responses, RESPONSES).await?;
    responses.rollback(Mandate::new("ben", "a drill"))?;
    assert_eq!(
        serve(&responses, RESPONSES).await?,
        1000,
        "legacy has everything"
    );

    println!(
        "\nprompts\n{}\nresponses\n{}",
        prompts.report(),
        responses.report()
    );
    prompts.shutdown().await;
    responses.shutdown().await;
    Ok(())
}
