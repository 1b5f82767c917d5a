//! A registry that two services share: one registers, the other listens.

use rs_backends::{Backend, Filter, Memory, ServiceInstance};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Memory::new("registry");

    let near = Filter::new(registry.clone(), |instance| {
        instance.zone() == Some("eu-1a")
    });
    let mut payments = near.watch("payments")?;
    println!(
        "at first: {} instances",
        payments.changed().await.map_or(0, |set| set.len())
    );

    for (host, zone) in [
        ("10.0.0.7", "eu-1a"),
        ("10.0.0.8", "eu-1a"),
        ("10.1.0.7", "us-1a"),
    ] {
        let instance = ServiceInstance::builder("payments", host, 8443)
            .zone(zone)
            .build()?;
        registry.register(instance).await?;
    }
    if let Some(set) = payments.changed().await {
        for instance in set.usable() {
            println!("near: {}", instance.authority());
        }
    }

    registry.close().await?;
    println!("closed: {}", payments.changed().await.is_none());
    Ok(())
}
