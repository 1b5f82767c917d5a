//! One file per rule, each with a test that it fires and that it does not.

pub(super) mod default_members;
pub(super) mod doc_versions;
pub(super) mod doctests;
pub(super) mod examples;
pub(super) mod file_length;
pub(super) mod leftovers;
pub(super) mod lib_rs;
pub(super) mod machine_paths;
pub(super) mod manifests;
pub(super) mod published;
pub(super) mod ranks;
pub(super) mod shared_dependencies;
pub(super) mod unused_keys;
