//! What the scripts are asked and what they answer.

use redis::{Script, ScriptInvocation};

use super::Redis;
use crate::{BackendError, ServiceInstance, remote::Listed};

/// The scripts, and where everything is.
pub(super) struct Scripts {
    put: Script,
    remove: Script,
    list: Script,
    prefix: String,
}

/// How many there are, the last change, how long until the next one is over, the digest of all, and ids and
/// texts in turn, unless the reader knows them.
pub(super) type Rows = (usize, String, i64, String, Vec<Vec<u8>>);

impl Scripts {
    pub(super) fn new(prefix: String) -> Self {
        Self {
            put: Script::new(include_str!("put.lua")),
            remove: Script::new(include_str!("remove.lua")),
            list: Script::new(include_str!("list.lua")),
            prefix,
        }
    }

    pub(super) fn key(&self, service: &str, what: &str) -> String {
        format!("{{{}:{service}}}:{what}", self.prefix)
    }

    fn on<'a>(&self, script: &'a Script, service: &str) -> ScriptInvocation<'a> {
        let mut ask = script.prepare_invoke();
        for what in ["instances", "deadlines", "changes"] {
            ask.key(self.key(service, what));
        }
        ask
    }

    pub(super) fn put(
        &self,
        instance: &ServiceInstance,
    ) -> Result<ScriptInvocation<'_>, BackendError> {
        let mut ask = self.renew(instance);
        ask.arg(serde_json::to_vec(instance).map_err(BackendError::malformed)?);
        Ok(ask)
    }

    pub(super) fn renew(&self, instance: &ServiceInstance) -> ScriptInvocation<'_> {
        let mut ask = self.on(&self.put, instance.service());
        let ttl = u64::try_from(instance.ttl().as_millis()).unwrap_or(u64::MAX);
        ask.arg(instance.id()).arg(ttl);
        ask
    }

    pub(super) fn remove(&self, service: &str, id: &str) -> ScriptInvocation<'_> {
        let mut ask = self.on(&self.remove, service);
        ask.arg(id);
        ask
    }

    /// All, unless their digest is the known one.
    pub(super) fn list(&self, service: &str, known: &str) -> ScriptInvocation<'_> {
        let mut ask = self.on(&self.list, service);
        ask.arg(Redis::MAX_INSTANCES).arg(known);
        ask
    }
}

/// The instances of these rows. One that says it is another than it is listed as is left out.
pub(crate) fn read(service: &str, count: usize, rows: &[Vec<u8>]) -> Result<Listed, BackendError> {
    if count > Redis::MAX_INSTANCES {
        let limit = Redis::MAX_INSTANCES;
        return Err(BackendError::TooMany {
            what: "instances",
            limit,
        });
    }
    let mut listed = Listed::default();
    for row in rows.chunks(2) {
        let instance = match row {
            [id, text] => serde_json::from_slice::<ServiceInstance>(text)
                .ok()
                .filter(|found| {
                    found.service() == service && found.id().as_bytes() == id.as_slice()
                }),
            _ => None,
        };
        match instance {
            Some(instance) => listed.instances.push(instance),
            None => listed.skipped += 1,
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(id: &str, text: &str) -> Vec<Vec<u8>> {
        vec![id.into(), text.into()]
    }

    #[test]
    fn one_bad_instance_spoils_nothing() {
        let good = r#"{"service":"a","id":"1","host":"h","port":1}"#;
        for bad in [
            row("2", good),
            row("2", r#"{"service":"b","id":"2","host":"h","port":1}"#),
            row("2", r#"{"service":"a","id":"2","host":"h","port":0}"#),
            row("2", r#"{"service":"a","id":"2","host":"h"}"#),
            row("2", ""),
            row("2", "null"),
            vec![b"2".to_vec()],
        ] {
            let rows = [row("1", good), bad].concat();
            let listed = read("a", 2, &rows).unwrap();
            assert_eq!((listed.instances.len(), listed.skipped), (1, 1), "{rows:?}");
        }
        assert!(
            read("a", Redis::MAX_INSTANCES + 1, &[]).is_err(),
            "too many is not none"
        );
    }

    proptest! {
        #[test]
        fn rubbish_is_no_panic(rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6)) {
            let listed = read("a", rows.len(), &rows).unwrap();
            prop_assert_eq!(listed.skipped as usize + listed.instances.len(), rows.len().div_ceil(2));
        }
    }
}
