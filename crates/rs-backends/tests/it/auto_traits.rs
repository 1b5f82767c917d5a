//! What the public types can be used for: a change here breaks somebody.

use rs_backends::{
    BackendError, BackendHealth, File, FileConfig, InstanceSet, Memory, ServiceInstance,
    StaticList, Watch,
};

const fn shared<T: Send + Sync + Unpin + 'static>() {}
const fn handle<T: Clone + Send + Sync + Unpin + 'static>() {}

#[test]
fn all_can_cross_threads() {
    handle::<BackendError>();
    handle::<BackendHealth>();
    handle::<InstanceSet>();
    handle::<ServiceInstance>();
    handle::<Memory>();
    handle::<StaticList>();
    handle::<File>();
    handle::<FileConfig>();
    const fn sent<T: Send + Unpin + 'static>() {}
    sent::<Watch>();
    shared::<Box<dyn rs_backends::Backend>>();
}

#[test]
fn an_instance_in_a_set_is_small() {
    assert_eq!(size_of::<ServiceInstance>(), 8);
}
