//! Reading, merging, and configuration, without a server.

use std::{fs, path::Path, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    config::KubernetesConfig,
    kubeconfig,
    merged::Merged,
    slice,
    wire::{self, Event},
};
use crate::{InstanceHealth, ServiceInstance};

fn config() -> KubernetesConfig {
    KubernetesConfig::new("https://127.0.0.1:6443").unwrap()
}

fn a_slice(name: &str, endpoints: &Value) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    })
}

/// The instances of these slices, by id, and how many endpoints were left out.
fn read(config: &KubernetesConfig, slices: &[Value]) -> (Vec<Arc<ServiceInstance>>, u64) {
    let mut merged = Merged::default();
    let skipped = slices
        .iter()
        .map(|slice| merged.put("a", config, slice.clone()));
    let skipped = skipped.sum();
    let mut instances = merged.instances().unwrap();
    instances.sort_by(|one, other| one.id().cmp(other.id()));
    (instances, skipped)
}

fn ids(instances: &[Arc<ServiceInstance>]) -> Vec<&str> {
    instances.iter().map(|instance| instance.id()).collect()
}

#[track_caller]
fn check_health(conditions: Value, expected: InstanceHealth) {
    let endpoints = json!([{"addresses": ["10.0.0.1"], "conditions": conditions}]);
    let (instances, _) = read(&config(), &[a_slice("s", &endpoints)]);
    assert_eq!(instances[0].health(), expected, "{conditions}");
}

#[test]
fn conditions_are_read_as_the_api_says() {
    use InstanceHealth::{Critical, Draining, Passing};
    check_health(Value::Null, Passing);
    check_health(json!({}), Passing);
    check_health(
        json!({"ready": null, "serving": null, "terminating": null}),
        Passing,
    );
    check_health(
        json!({"ready": true, "serving": true, "terminating": false}),
        Passing,
    );
    check_health(json!({"ready": false}), Critical);
    check_health(json!({"ready": false, "serving": true}), Critical);
    check_health(
        json!({"ready": false, "serving": true, "terminating": true}),
        Draining,
    );
    check_health(
        json!({"ready": false, "serving": false, "terminating": true}),
        Critical,
    );
    check_health(json!({"ready": false, "terminating": true}), Critical);
    // As in a service that publishes addresses that are not ready.
    check_health(json!({"ready": true, "terminating": true}), Draining);
}

#[test]
fn everything_that_a_slice_says_is_there() {
    let slice = json!({
        "metadata": {"name": "s", "labels": {
            "kubernetes.io/service-name": "a", "endpointslice.kubernetes.io/managed-by": "x",
            "service.kubernetes.io/headless": "", "app.kubernetes.io/version": "1.4.2", "team": "red",
        }},
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.0.0.1", "10.0.0.99"], "zone": "eu-1a", "nodeName": "n1", "hostname": "a-0",
            "hints": {"forZones": [{"name": "eu-1a"}, {"name": "eu-1b"}]},
            "targetRef": {"kind": "Pod", "name": "a-7f", "uid": "u1"},
        }],
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "grpc", "port": 9000, "appProtocol": "kubernetes.io/h2c"},
            {"name": "http", "port": 80, "protocol": "TCP"},
        ],
    });
    let (instances, skipped) = read(&config(), std::slice::from_ref(&slice));
    assert_eq!((ids(&instances), skipped), (vec!["10.0.0.1:9000"], 0));
    let instance = &instances[0];
    assert_eq!(
        (instance.zone(), instance.version()),
        (Some("eu-1a"), Some("1.4.2"))
    );
    let ports: Vec<_> = instance.ports().collect();
    assert_eq!(ports, [("dns", 53), ("http", 80)]);
    let metadata: Vec<_> = instance.metadata().collect();
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let expected = "app-protocol=kubernetes.io/h2c for-zones=eu-1a,eu-1b hostname=a-0 node=n1 pod=a-7f \
                    port-name=grpc team=red";
    assert_eq!(metadata.join(" "), expected);

    let named = config().with_port_name("http").unwrap();
    assert_eq!(
        ids(&read(&named, std::slice::from_ref(&slice)).0),
        ["10.0.0.1:80"]
    );
    let other = config().with_port_name("admin").unwrap();
    assert_eq!(read(&other, &[slice]), (vec![], 1), "left out, and counted");
}

#[test]
fn an_endpoint_in_two_slices_is_one_and_ready_wins() {
    let leaving = json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true,
        "terminating": true}}]);
    let ready = json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]);
    for slices in [[&leaving, &ready], [&ready, &leaving]] {
        let slices = [a_slice("x", slices[0]), a_slice("y", slices[1])];
        let (instances, skipped) = read(&config(), &slices);
        assert_eq!((ids(&instances), skipped), (vec!["10.0.0.1:80"], 0));
        assert_eq!(instances[0].health(), InstanceHealth::Passing);
    }
}

#[test]
fn an_address_that_went_to_another_pod_is_one() {
    let endpoint = |uid: &str, ready: bool| {
        json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": ready},
            "targetRef": {"kind": "Pod", "name": uid, "uid": uid}}])
    };
    let (old, new) = (endpoint("old", false), endpoint("new", true));
    let (instances, _) = read(&config(), &[a_slice("x", &old), a_slice("y", &new)]);
    assert_eq!(ids(&instances), ["10.0.0.1:80"]);
    assert_eq!(instances[0].metadata_of("pod"), Some("new"));
}

#[test]
fn a_pod_with_two_families_of_addresses_is_one() {
    let endpoint = |address: &str| json!([{"addresses": [address], "targetRef": {"kind": "Pod", "name": "p", "uid": "u"}}]);
    let mut six = a_slice("y", &endpoint("fd00::7"));
    six["addressType"] = "IPv6".into();
    let slices = [a_slice("x", &endpoint("10.0.0.1")), six];
    assert_eq!(ids(&read(&config(), &slices).0), ["10.0.0.1:80"]);
    assert_eq!(
        ids(&read(&config().with_ipv6(), &slices).0),
        ["[fd00::7]:80"]
    );
    let (alone, _) = read(&config(), &slices[1..]);
    assert_eq!(ids(&alone), ["[fd00::7]:80"], "better than none");
}

#[test]
fn one_bad_endpoint_spoils_nothing() {
    let endpoints = json!([
        {"addresses": []}, {"addresses": [""]}, {"addresses": "10.0.0.2"}, {"addresses": [7]}, 3, null,
        {"addresses": ["not an address"]}, {"addresses": ["10.0.0.1"], "conditions": {"ready": "yes"}},
        {"addresses": ["a\u{0}b"]}, {"addresses": ["10.0.0.9"]}, {"addresses": ["ünïcode.example"]},
    ]);
    let (instances, skipped) = read(&config(), &[a_slice("s", &endpoints)]);
    assert_eq!((ids(&instances), skipped), (vec!["10.0.0.9:80"], 10));
    for ports in [
        json!(null),
        json!([]),
        json!([{"port": null}]),
        json!([{"port": 0}]),
    ] {
        let mut slice = a_slice("s", &json!([{"addresses": ["10.0.0.9"]}]));
        slice["ports"] = ports;
        assert_eq!(read(&config(), &[slice]), (vec![], 1));
    }
    for (field, wrong) in [
        ("ports", json!([{"port": 65536}])),
        ("addressType", json!(4)),
        ("endpoints", json!({})),
    ] {
        let mut slice = a_slice("s", &json!([{"addresses": ["10.0.0.9"]}]));
        slice[field] = wrong;
        assert_eq!(read(&config(), &[slice]), (vec![], 1), "{field}");
    }
}

#[test]
fn a_slice_of_another_service_is_none_of_ours() {
    let mut slice = a_slice("s", &json!([{"addresses": ["10.0.0.9"]}]));
    slice["metadata"]["labels"]["kubernetes.io/service-name"] = "b".into();
    assert_eq!(read(&config(), &[slice]), (vec![], 0));
}

#[test]
fn what_is_registered_is_a_slice_that_others_understand() {
    let instance = ServiceInstance::builder("a", "10.0.0.7", 8443)
        .port_named("Admin_1", 9000)
        .zone("eu-1a")
        .health(InstanceHealth::Draining)
        .build()
        .unwrap();
    let owned = config().with_owner("a-7f", "u1").unwrap();
    let slice = slice::write(&instance, owned.owner.as_ref()).unwrap();
    assert_eq!(slice["addressType"], "IPv4");
    assert_eq!(
        slice["endpoints"],
        json!([{
            "addresses": ["10.0.0.7"], "zone": "eu-1a",
            "conditions": {"ready": false, "serving": true, "terminating": true},
        }])
    );
    assert_eq!(
        slice["ports"],
        json!([
            {"port": 8443, "protocol": "TCP"}, {"name": "admin-1", "port": 9000, "protocol": "TCP"},
        ])
    );
    let owner = &slice["metadata"]["ownerReferences"][0];
    assert_eq!(
        owner,
        &json!({"apiVersion": "v1", "kind": "Pod", "name": "a-7f", "uid": "u1"})
    );
    assert_eq!(
        *read(&config(), std::slice::from_ref(&slice)).0[0],
        instance
    );

    // What others say about it afterwards counts where it is worse.
    let mut not_ready = slice;
    not_ready["endpoints"][0]["conditions"] = json!({"ready": false});
    let (instances, _) = read(&config(), &[not_ready]);
    assert_eq!(instances[0].health(), InstanceHealth::Critical);
}

#[test]
fn events_are_read() {
    let object =
        json!({"kind": "EndpointSlice", "metadata": {"name": "s", "resourceVersion": "7"}});
    let event = |kind: &str, object: &Value| {
        wire::event(
            json!({"type": kind, "object": object})
                .to_string()
                .as_bytes(),
        )
    };
    let version = || "7".to_owned();
    let is = Event::Is {
        version: version(),
        object: object.clone(),
    };
    assert_eq!(event("ADDED", &object).unwrap(), is);
    assert_eq!(event("MODIFIED", &object).unwrap(), is);
    let gone = Event::Gone {
        version: version(),
        object: object.clone(),
    };
    assert_eq!(event("DELETED", &object).unwrap(), gone);
    assert_eq!(
        event("BOOKMARK", &object).unwrap(),
        Event::Bookmark { version: version() }
    );
    assert_eq!(event("LATER", &object).unwrap(), Event::Unknown);
    let expired = json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"});
    assert_eq!(event("ERROR", &expired).unwrap(), Event::Expired);
    let failed = json!({"kind": "Status", "code": 500, "message": "etcd is away"});
    assert_eq!(
        event("ERROR", &failed).unwrap(),
        Event::Failed("500 etcd is away".to_owned())
    );
    assert!(
        event("ADDED", &json!({"metadata": {}})).is_err(),
        "no version"
    );
}

#[test]
fn an_answer_that_is_no_list_is_an_error_and_not_empty() {
    for wrong in [
        "",
        "{}",
        "null",
        "[]",
        r#"{"metadata": {"resourceVersion": "1"}}"#,
        r#"{"metadata": {"resourceVersion": ""}, "items": []}"#,
        r#"{"metadata": {}, "items": []}"#,
        r#"{"metadata": {"resourceVersion": 1}, "items": []}"#,
    ] {
        assert!(wire::page(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let page = wire::page(br#"{"metadata": {"resourceVersion": "1"}, "items": null}"#).unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
}

#[test]
fn versions_that_are_no_numbers_are_not_compared() {
    assert!(wire::went_back("12", "5") && !wire::went_back("5", "12"));
    assert!(!wire::went_back("9", "9") && !wire::went_back("b", "a"));
}

const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters:
- name: one
  cluster: {server: "https://10.0.0.1:6443", certificate-authority: ca.crt}
- name: proxied
  cluster: {server: "https://10.0.0.1:6443", proxy-url: "http://proxy"}
- name: unchecked
  cluster: {server: "https://10.0.0.1:6443", insecure-skip-tls-verify: true}
- name: plain
  cluster: {server: "http://10.0.0.1:8080"}
users:
- name: by-token
  user: {token: s3cret}
- name: by-file
  user: {token: s3cret, tokenFile: token}
- name: by-program
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, args: [s3cret]}
- name: by-half
  user: {client-key-data: czNjcmV0}
- name: by-nonsense
  user: {client-key-data: "s3cret!", client-certificate-data: "s3cret!"}
contexts:
- name: token
  context: {cluster: one, user: by-token, namespace: shop}
- {name: file, context: {cluster: one, user: by-file}}
- {name: program, context: {cluster: one, user: by-program}}
- {name: half, context: {cluster: one, user: by-half}}
- {name: nonsense, context: {cluster: one, user: by-nonsense}}
- {name: proxied, context: {cluster: proxied, user: by-token}}
- {name: unchecked, context: {cluster: unchecked, user: by-token}}
- {name: lost, context: {cluster: nowhere, user: by-token}}
- {name: plain, context: {cluster: plain}}
- {name: plain-token, context: {cluster: plain, user: by-token}}
current-context: token
"#;

fn authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::default();
    params.self_signed(&key).unwrap().pem()
}

#[test]
fn a_kubeconfig_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.crt"), authority()).unwrap();
    let path = folder.path().join("config");
    fs::write(&path, KUBECONFIG).unwrap();
    let current = KubernetesConfig::kubeconfig(&path).unwrap();
    assert_eq!(current.namespace, "shop");
    assert_eq!(format!("{:?}", current.token), "Known(***)");
    assert!(!format!("{current:?}").contains("s3cret"), "{current:?}");
    let file = KubernetesConfig::kubeconfig_context(&path, "file").unwrap();
    assert_eq!(file.namespace, "default");
    assert!(format!("{:?}", file.token).contains("File("), "{file:?}");
    assert!(KubernetesConfig::kubeconfig_context(&path, "plain").is_ok());

    #[track_caller]
    fn refused(path: &Path, context: &str, why: &str) {
        let error = KubernetesConfig::kubeconfig_context(path, context)
            .unwrap_err()
            .to_string();
        assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
    }
    refused(&path, "program", "`exec`, which is not supported");
    refused(&path, "proxied", "proxy-url");
    refused(&path, "unchecked", "insecure-skip-tls-verify");
    refused(&path, "half", "need each other");
    refused(&path, "nonsense", "is not Base64");
    refused(&path, "lost", "has no cluster `nowhere`");
    refused(&path, "no-such", "has no context `no-such`");
    refused(&path, "plain-token", "would go over http");
    let error = KubernetesConfig::kubeconfig(&folder.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn a_broken_kubeconfig_is_not_repeated() {
    for broken in [
        "users: [{token: s3cret",
        "users: {token: s3cret}",
        "s3cret",
        "users:\n- s3cret\n",
    ] {
        let error = kubeconfig::parse(broken, None, Path::new("."))
            .unwrap_err()
            .to_string();
        assert!(
            !error.contains("s3cret") && error.contains("is no kubeconfig"),
            "{error}"
        );
    }
}

#[test]
fn a_service_account_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let read = || KubernetesConfig::service_account("https://10.0.0.1", folder.path());
    write("ca.crt", &authority());
    write("namespace", "shop\n");
    assert!(read().unwrap_err().to_string().contains("token"));
    write("token", "s3cret");
    assert_eq!(read().unwrap().namespace, "shop");
    assert!(!format!("{:?}", read()).contains("s3cret"));
    write("ca.crt", "nonsense");
    assert!(read().is_err());
    let outside = KubernetesConfig::in_cluster().unwrap_err().to_string();
    assert!(outside.contains("this is no pod"), "{outside}");
}

#[test]
fn wrong_settings_are_refused() {
    for wrong in ["", "ftp://a", "https://user:s3cret@a", "127.0.0.1"] {
        let error = KubernetesConfig::new(wrong).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
    for wrong in ["", "A", "a/b", "../kube-system", &"x".repeat(64)] {
        assert!(config().with_namespace(wrong).is_err(), "{wrong}");
    }
    assert!(config().with_token("a\nb").is_err() && config().with_token("").is_err());
    assert!(config().with_port_name("").is_err() && config().with_owner("", "u").is_err());
}

/// JSON of any shape, with the words that matter in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[a-z]{0,3}",
        Just("IPv4".to_owned()),
        Just("10.0.0.1".to_owned()),
        Just("fd00::1".to_owned()),
        Just("a".to_owned()),
        ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (0..70_000).prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop::sample::select(vec![
            "metadata",
            "name",
            "labels",
            "annotations",
            "kubernetes.io/service-name",
            "addressType",
            "endpoints",
            "ports",
            "port",
            "addresses",
            "conditions",
            "ready",
            "zone",
            "hints",
            "targetRef",
            "uid",
            "resourceVersion",
            "items",
            "type",
            "object",
            "code",
            "rs-backends/instance",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6).prop_map(|map| map
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = wire::page(&bytes);
        let _ = wire::event(&bytes);
        let _ = wire::refusal(500, &bytes);
        let _ = kubeconfig::parse(&String::from_utf8_lossy(&bytes), None, Path::new("."));
    }

    #[test]
    fn any_json_is_an_answer_or_an_error(value in any_json()) {
        let text = value.to_string();
        let _ = wire::page(text.as_bytes());
        let _ = wire::event(text.as_bytes());
        let _ = kubeconfig::parse(&text, None, Path::new("."));
    }

    #[test]
    fn half_an_answer_is_an_error(count in 0_usize..20, cut in 0.0_f64..1.0) {
        let items: Vec<_> = (0..count).map(|number| a_slice(&number.to_string(), &json!([]))).collect();
        let whole = json!({"metadata": {"resourceVersion": "5"}, "items": items}).to_string();
        prop_assert_eq!(wire::page(whole.as_bytes()).unwrap().items.len(), count);
        let half = (whole.len() as f64 * cut) as usize;
        prop_assert!(wire::page(&whole.as_bytes()[..half]).is_err());
    }

    /// Whatever else is in a slice, what can be understood is a right instance, and all is counted.
    #[test]
    fn any_endpoints_are_instances_or_counted(
        endpoints in prop::collection::vec(
            prop_oneof![
                any_json(),
                (any_json(), "(10\\.0\\.0\\.[0-9]|fd00::[0-9]|.{0,3})").prop_map(|(zone, address)| {
                    json!({"addresses": [address], "zone": zone})
                }),
            ],
            0..12,
        ),
        port in any_json(),
    ) {
        let mut slice = a_slice("s", &endpoints.clone().into());
        slice["ports"] = json!([{"port": 80}, port]);
        let contents = slice::read("a", &config(), slice);
        let (found, skipped) = (contents.candidates.len() as u64, contents.skipped);
        let all = endpoints.len() as u64;
        prop_assert!(found + skipped == all || (found == 0 && skipped == 1), "{} {}", found, skipped);
        for candidate in contents.candidates {
            prop_assert_eq!((candidate.instance.service(), candidate.instance.port()), ("a", 80));
        }
    }

    /// However slices come and go, the set is that of those that are there, each once.
    #[test]
    fn slices_merge_to_those_that_are_there(
        changes in prop::collection::vec((0_u8..4, prop::collection::btree_set(0_u8..6, 0..5)), 0..20),
    ) {
        let (mut merged, mut model) = (Merged::default(), std::collections::BTreeMap::new());
        for (name, addresses) in changes {
            let endpoints = addresses.iter().map(|last| json!({"addresses": [format!("10.0.0.{last}")]}));
            let slice = a_slice(&name.to_string(), &endpoints.collect::<Vec<_>>().into());
            if addresses.is_empty() {
                merged.remove(&slice);
            } else {
                merged.put("a", &config(), slice);
            }
            model.insert(name, addresses);
            let mut found: Vec<_> = merged.instances().unwrap();
            found.sort_by(|one, other| one.id().cmp(other.id()));
            let expected: std::collections::BTreeSet<_> = model.values().flatten().collect();
            let expected: Vec<_> = expected.iter().map(|last| format!("10.0.0.{last}:80")).collect();
            prop_assert_eq!(ids(&found), expected);
        }
    }

    #[test]
    fn any_instance_comes_back_as_it_was(
        service in "\\PC{1,60}", id in "\\PC{1,60}", zone in proptest::option::of("\\PC{0,60}"),
        host in "(10\\.0\\.0\\.[0-9]|fd00::[0-9]|[a-z]{1,9}\\.example)", port: u16, weight: u16,
    ) {
        let mut builder = ServiceInstance::builder(&service, host, port).id(id).weight(weight);
        if let Some(zone) = zone {
            builder = builder.zone(zone);
        }
        prop_assume!(builder.clone().build().is_ok());
        let instance = builder.build().unwrap();
        let written = slice::write(&instance, None).unwrap();
        let read = slice::read(&service, &config(), written);
        prop_assert_eq!(read.candidates.len(), 1);
        prop_assert_eq!(&*read.candidates[0].instance, &instance);
    }
}
