//! Rubbish is refused, and never a panic.

use proptest::prelude::*;
use rs_backends::ServiceInstance;

proptest! {
    #[test]
    fn an_instance_from_any_text(text in "\\PC{0,200}") {
        let _ = serde_json::from_str::<ServiceInstance>(&text);
    }

    #[test]
    fn an_instance_with_any_fields(
        service in ".{0,300}",
        id in ".{0,300}",
        host in ".{0,40}",
        port: u32,
        weight: i64,
        ttl in ".{0,10}",
        health in "(passing|critical|warning|[a-z]{1,9})",
    ) {
        let json = serde_json::json!({
            "service": service, "id": id, "host": host, "port": port, "weight": weight, "ttl": ttl,
            "health": health,
        });
        if let Ok(instance) = serde_json::from_value::<ServiceInstance>(json) {
            prop_assert!((1..=ServiceInstance::MAX_NAME).contains(&instance.service().len()));
            prop_assert!((1..=ServiceInstance::MAX_NAME).contains(&instance.id().len()));
            prop_assert!(!instance.id().chars().any(char::is_control));
            prop_assert!(instance.port() > 0 && instance.weight() > 0);
            let again = serde_json::to_string(&instance).unwrap();
            prop_assert_eq!(serde_json::from_str::<ServiceInstance>(&again).unwrap(), instance);
        }
    }
}
