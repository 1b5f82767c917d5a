//! What is written in a file more briefly than a table.

/// A time limit: `"2s"`, or a table with all that it has.
pub(super) mod limit {
    use rs_core::{Value, config, humane};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::TimeoutConfig;

    pub(in crate::manager) fn deserialize<'de, D>(
        deserializer: D,
    ) -> Result<Option<TimeoutConfig>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let read = match Value::deserialize(deserializer)? {
            Value::Null => return Ok(None),
            Value::Text(time) => humane::parse_duration(&time).map(TimeoutConfig::of),
            table => config::read(table),
        };
        read.map(Some).map_err(D::Error::custom)
    }

    pub(in crate::manager) fn serialize<S: Serializer>(
        limit: &Option<TimeoutConfig>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        limit.serialize(serializer)
    }
}

/// A budget: the name of one that is shared, or a table of its own.
pub(super) mod budget {
    use rs_core::{Value, config};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::manager::config::BudgetChoice;

    pub(in crate::manager) fn deserialize<'de, D>(
        deserializer: D,
    ) -> Result<Option<BudgetChoice>, D::Error>
    where
        D: Deserializer<'de>,
    {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(None),
            Value::Text(name) => Ok(Some(BudgetChoice::Shared(name.into_owned()))),
            table => match config::read(table) {
                Ok(budget) => Ok(Some(BudgetChoice::Own(budget))),
                Err(error) => Err(D::Error::custom(error)),
            },
        }
    }

    pub(in crate::manager) fn serialize<S: Serializer>(
        budget: &Option<BudgetChoice>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match budget {
            None => serializer.serialize_none(),
            Some(BudgetChoice::Shared(name)) => name.serialize(serializer),
            Some(BudgetChoice::Own(budget)) => budget.serialize(serializer),
        }
    }
}
