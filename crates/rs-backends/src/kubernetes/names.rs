//! Names that Kubernetes takes, for names of all kinds.

/// The label by which Kubernetes says what service a slice is of.
pub(super) const SERVICE: &str = "kubernetes.io/service-name";

/// Before a label for a name that is no label.
const ODD: &str = "rs-x-";

/// What a slice of this service has for a label: the name itself where it can be one.
pub(super) fn label(service: &str) -> String {
    match is_label(service) && !service.starts_with(ODD) {
        true => service.to_owned(),
        false => format!("{ODD}{:032x}", fingerprint(&[service])),
    }
}

/// The name of the slice of one registered instance, the same whoever registers it.
pub(super) fn slice(service: &str, id: &str) -> String {
    let readable: String = service
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .take(40)
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    format!("rs-{readable}-{:032x}", fingerprint(&[service, id]))
}

fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = [name.bytes().next(), name.bytes().next_back()];
    let ends = ends
        .iter()
        .all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()));
    ends && name.len() <= 63 && name.bytes().all(inner)
}

/// FNV-1a in 128 bits: the same in every process and version, and by chance never the same for two. The
/// whole names are written beside it, so that what a stranger makes collide is still told apart.
fn fingerprint(parts: &[&str]) -> u128 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_is_a_label_stays_as_it_is() {
        for name in ["payments", "a", "Payments_v2.eu-1"] {
            assert_eq!(label(name), name);
        }
        for name in ["-a", "a.", "a/b", "", "ü", &"x".repeat(64), "rs-x-0"] {
            assert!(label(name).starts_with(ODD), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_that_is_taken(service in ".{1,255}", id in ".{1,255}") {
            prop_assert!(is_label(&label(&service)));
            let name = slice(&service, &id);
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            prop_assert!(name.len() <= 253 && name.bytes().all(plain), "{}", name);
            prop_assert_ne!(&slice(&service, &format!("{id}x")), &name);
            prop_assert_ne!(slice(&format!("{service}x"), &id), name);
        }
    }
}
