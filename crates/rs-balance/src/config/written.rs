//! A part of a configuration, or `off`: where nothing stands the default applies, and TOML has no other
//! nothing.

pub(super) mod or_off {
    use std::{fmt, marker::PhantomData};

    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
    };

    const OFF: &str = "off";

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        part: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match part {
            Some(part) => part.serialize(to),
            None => to.serialize_str(OFF),
        }
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        from.deserialize_any(PartOrOff(PhantomData))
    }

    struct PartOrOff<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for PartOrOff<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table or \"off\"")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
            if text == OFF {
                Ok(None)
            } else {
                Err(E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
    }
}
