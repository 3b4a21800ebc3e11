//! What is under `deploy/` is valid, asks for what it should, and agrees with itself, with the binary and with the documents.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rtalink::journal::limits::WAITING_BYTES;
use rtalink::mapping::files::USERS_HEADER;
use rtalink::simulate::SimulatedFeedSettings;
use rtalink::simulate::feed::SimulatedFeed;
use rtalink::time::Timestamp;
use rtalink::wire::layout::builtin;
use serde_json::{Value, json};

use crate::support;

mod declared;
mod files;

use declared::{Manifests, compose, containerfile, image_environment, saved, unit};
use files::{root, text, text_of, well};
use support::process::rtalink;
use support::python::python;

const FEED: u16 = 7001;
const HTTP: u16 = 9464;
const USER: u32 = 65532;
const DATA: &str = "/var/lib/rtalink";
const CONFIGURATION: &str = "/etc/rtalink/rtalink.toml";

/// Folders under deploy/kubernetes that are applied as they are.
const KUBERNETES: [&str; 2] = ["base", "overlays/example"];

// ---- valid

#[test]
fn the_composition_is_one() {
    let mut check = python("deploy");
    check.args(["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose/compose.yaml"]);
    well(&mut check);
}

/// The validator has no schema of the one custom resource; its fields are compared below.
#[test]
fn the_manifests_are_valid() {
    for folder in KUBERNETES {
        let (_folder, file) = saved("manifests.yaml", &Manifests::of(folder).yaml);
        let output = well(python("deploy").args(["-m", "kubernetes_validate", "--strict"]).arg(file));
        let said = String::from_utf8_lossy(&output.stdout);
        let unknown: Vec<&str> = said.lines().filter(|line| line.contains("Couldn't find schema")).collect();
        assert!(unknown.iter().all(|line| line.contains("kind ServiceMonitor ")), "{folder}: {unknown:?}");
        let validated = said.lines().filter(|line| line.contains(" passed for resource ")).count();
        assert_eq!(validated + unknown.len(), Manifests::of(folder).kinds().len(), "{folder}: {said}");
    }
}

#[test]
fn the_unit_is_valid_and_exposes_little() {
    // The path of the binary is that of an installed one.
    let installed =
        text("deploy/systemd/rtalink.service").replace("/usr/local/bin/rtalink", env!("CARGO_BIN_EXE_rtalink"));
    let (_folder, file) = saved("rtalink.service", installed.as_bytes());
    let verified = well(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file));
    assert_eq!(String::from_utf8_lossy(&verified.stderr), "", "systemd-analyze verify");

    // In tenths, of 10 for a service without any protection.
    well(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=15"]).arg(&file));
}

// ---- what the composition asks for

#[test]
fn each_service_of_the_composition_may_do_little() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        // The start script of Kafka's image writes beside its programs.
        assert_eq!(service["read_only"] == true, name != "kafka", "{name}");
        assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{name} has a limit of memory");
        let health = &service["healthcheck"];
        assert_eq!(health["test"].is_array(), name != "cms", "{name}: {health}");
        let image = text_of(&service["image"]);
        let tag = image.rsplit_once(':').expect("a tag").1;
        assert!(!tag.contains("latest") && tag.contains('.'), "{name}: {image} is no fixed version");
    }
}

/// Eight integrations, Kafka away, and the store in memory: what waits fits, with the service itself.
#[test]
fn the_limits_of_memory_have_room_for_what_waits() {
    const INTEGRATIONS: usize = 8;
    const STORE_IN_MEMORY: usize = 1 << 30;
    const SERVICE: usize = 64 << 20;
    let needed = INTEGRATIONS * WAITING_BYTES + STORE_IN_MEMORY + SERVICE;
    let compose = compose();
    let manifest = text("deploy/kubernetes/base/statefulset.yaml");
    let of_manifest = manifest.split("limits: { memory: ").nth(1).and_then(|rest| rest.split(' ').next());
    let of_composition = text_of(&compose["services"]["rtalink"]["deploy"]["resources"]["limits"]["memory"]);
    for limit in [of_manifest.unwrap().to_owned(), of_composition] {
        let mebibytes: usize = limit.trim_end_matches(['M', 'i']).parse().unwrap();
        assert!(mebibytes << 20 >= needed, "{limit} allowed, {} MiB needed", needed >> 20);
    }
    assert!(
        text("docs/deployment.md").contains(&format!("up to {} MiB of each integration", WAITING_BYTES >> 20)),
        "docs/deployment.md"
    );
}

/// Other machines reach the feed, where somebody says at which address, and nothing else.
#[test]
fn only_the_feed_can_be_opened_to_other_machines() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let ports = services.values().filter_map(|service| service["ports"].as_array()).flatten().map(text_of);
    let (local, others): (Vec<String>, Vec<String>) = ports.partition(|port| port.starts_with("127.0.0.1:"));
    assert_eq!(others, [format!("${{RTALINK_FEED_ADDRESS:-127.0.0.1}}:{FEED}:{FEED}")]);
    assert!(local.contains(&format!("127.0.0.1:{HTTP}:{HTTP}")), "{local:?}");
}

/// Two builds at once of the same image are twice the work, and which of them gets the name is left to chance.
#[test]
fn an_image_is_built_by_one_service_and_the_others_wait_for_it() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let builders: Vec<&String> =
        services.iter().filter(|(_, service)| !service["build"].is_null()).map(|(name, _)| name).collect();
    assert_eq!(builders, ["rtalink"]);
    let users: Vec<&String> = services
        .iter()
        .filter(|(name, service)| *name != "rtalink" && service["image"] == services["rtalink"]["image"])
        .map(|(name, _)| name)
        .collect();
    assert_eq!(users, ["cms"]);
    assert_eq!(services["cms"]["pull_policy"], "never");
    assert!(services["cms"]["depends_on"]["rtalink"].is_object());
}

/// An engine refuses more CPUs than the machine has.
#[test]
fn the_composition_starts_on_a_machine_with_one_cpu() {
    for (name, service) in compose()["services"].as_object().unwrap() {
        let cpus = text_of(&service["deploy"]["resources"]["limits"]["cpus"]);
        let default = cpus.split_once(":-").map_or(cpus.as_str(), |(_, default)| default.trim_end_matches('}'));
        assert!(default.parse::<f64>().unwrap() <= 1.0, "{name}: {cpus}");
    }
}

/// Everybody whom the simulated CMS of the composition ever sends is somebody, and nobody else is.
///
/// RTALINK_WRITE=1 writes the file anew.
#[test]
fn the_people_of_the_composition_are_those_of_its_cms() {
    let command = compose()["services"]["cms"]["command"].as_array().unwrap().iter().map(text_of).collect::<Vec<_>>();
    let option = |name: &str| command.iter().skip_while(|word| *word != name).nth(1).cloned();
    assert_eq!((option("--seed"), option("--scenario")), (None, None), "the people depend on these");
    let layout = Arc::new(builtin::get(&option("--layout").unwrap()).unwrap());
    let mut settings = SimulatedFeedSettings::new(layout);
    settings.agents = option("--agents").unwrap().parse().unwrap();
    let feed = SimulatedFeed::new(&settings, Timestamp::from_millis(0)).unwrap();

    let mut expected = csv::Writer::from_writer(Vec::new());
    expected.write_record(USERS_HEADER).unwrap();
    for (number, agent) in (10_001..).zip(feed.agents()) {
        expected.write_record([&*agent.login_id, &number.to_string(), &*agent.name]).unwrap();
    }
    let expected = String::from_utf8(expected.into_inner().unwrap()).unwrap();
    let file = "deploy/mapping/users.csv";
    if std::env::var_os("RTALINK_WRITE").is_some() {
        fs::write(root().join(file), &expected).unwrap();
    }
    assert!(text(file) == expected, "{file} is not what the simulated CMS sends: RTALINK_WRITE=1 writes it anew");
}

#[test]
fn volumes_of_the_composition_are_declared_and_used() {
    let compose = compose();
    let declared: Vec<&String> = compose["volumes"].as_object().unwrap().keys().collect();
    let mut used: Vec<String> = mounts(&compose).into_iter().filter(|source| !source.starts_with('.')).collect();
    used.sort();
    used.dedup();
    assert_eq!(used.iter().collect::<Vec<_>>(), {
        let mut declared = declared;
        declared.sort();
        declared
    });
}

#[test]
fn what_the_composition_mounts_is_in_the_repository() {
    let missing: Vec<String> = mounts(&compose())
        .into_iter()
        .filter(|source| source.starts_with('.') && !root().join("deploy/compose").join(source).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let home = text_of(&compose()["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]);
    let name = home.strip_prefix("/var/lib/grafana/dashboards/").expect("a dashboard that is mounted");
    assert!(root().join("deploy/grafana/dashboards").join(name).exists(), "{home}");
}

fn mounts(compose: &Value) -> Vec<String> {
    let services = compose["services"].as_object().unwrap();
    let volumes = services.values().filter_map(|service| service["volumes"].as_array()).flatten().map(text_of);
    volumes.map(|volume| volume.split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn the_configuration_of_the_composition_is_one() {
    let mut check = rtalink();
    for (name, value) in image_environment() {
        check.env(name, value);
    }
    for (name, value) in compose()["services"]["rtalink"]["environment"].as_object().unwrap() {
        check.env(name, text_of(value));
    }
    well(check.args(["check", "--config", "deploy/rtalink.toml"]).current_dir(root()));
}

/// With another address and an end.
#[test]
fn the_simulated_cms_of_the_composition_dials_in() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let command = compose()["services"]["cms"]["command"].as_array().unwrap().iter().map(text_of).collect::<Vec<_>>();
    assert!(command.contains(&format!("rtalink:{FEED}")), "{command:?}");
    let here = listener.local_addr().unwrap().to_string();
    let arguments = command.into_iter().map(|word| if word.starts_with("rtalink:") { here.clone() } else { word });
    let feed = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    let summary = well(rtalink().args(arguments).args(["--duration", "100ms"])).stdout;
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["records"].as_u64() > Some(0), "{summary}");
    assert!(feed.join().unwrap() > 0);
}

// ---- what Kubernetes is asked for

#[test]
fn the_manifests_ask_for_what_they_should() {
    let expected = json!({
        "StatefulSet": {
            "/spec/replicas": 1,
            "/spec/serviceName": "rtalink",
            "/spec/template/spec/automountServiceAccountToken": false,
            "/spec/template/spec/enableServiceLinks": false,
            "/spec/template/spec/securityContext/runAsNonRoot": true,
            "/spec/template/spec/securityContext/runAsUser": USER,
            "/spec/template/spec/securityContext/runAsGroup": USER,
            "/spec/template/spec/securityContext/fsGroup": USER,
            "/spec/template/spec/securityContext/seccompProfile/type": "RuntimeDefault",
            "/spec/template/spec/containers/0/securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
            "/spec/template/spec/containers/0/ports": [
                { "name": "feed", "containerPort": FEED },
                { "name": "http", "containerPort": HTTP },
            ],
            "/spec/template/spec/containers/0/livenessProbe/httpGet": { "path": "/health/live", "port": "http" },
            "/spec/template/spec/containers/0/startupProbe/httpGet": { "path": "/health/live", "port": "http" },
            "/spec/template/spec/containers/0/readinessProbe/httpGet": { "path": "/health/ready", "port": "http" },
            "/spec/volumeClaimTemplates/0/metadata/name": "data",
        },
        // Else the allow-list sees a node, and an unready pod is cut off.
        "Service/rtalink-feed": {
            "/spec/type": "LoadBalancer",
            "/spec/externalTrafficPolicy": "Local",
            "/spec/publishNotReadyAddresses": true,
            "/spec/ports": [{ "name": "feed", "port": FEED, "targetPort": "feed" }],
        },
        "Service/rtalink": {
            "/spec/clusterIP": "None",
            "/spec/ports": [{ "name": "http", "port": HTTP, "targetPort": "http" }],
        },
        "NetworkPolicy": {
            "/spec/policyTypes": ["Ingress", "Egress"],
            "/spec/ingress/0/ports": [{ "protocol": "TCP", "port": "feed" }],
            "/spec/ingress/1/ports": [{ "protocol": "TCP", "port": "http" }],
            "/spec/ingress/1/from/0/namespaceSelector/matchLabels": { "kubernetes.io/metadata.name": "monitoring" },
            "/spec/egress/0/to/0/podSelector/matchLabels": { "k8s-app": "kube-dns" },
        },
        // More would let nobody drain the node.
        "PodDisruptionBudget": { "/spec/maxUnavailable": 1 },
    });
    for folder in KUBERNETES {
        let manifests = Manifests::of(folder);
        for (which, fields) in expected.as_object().unwrap() {
            for (pointer, value) in fields.as_object().unwrap() {
                let found = manifests.get(which).pointer(pointer);
                assert_eq!(found, Some(value), "{folder}: {which} {pointer}");
            }
        }
    }
}

/// Each selector finds the pod, and none takes in others.
#[test]
fn selectors_find_the_pod() {
    let label = json!({ "app.kubernetes.io/name": "rtalink" });
    let selectors = [
        ("StatefulSet", "/spec/selector/matchLabels"),
        ("Service/rtalink-feed", "/spec/selector"),
        ("Service/rtalink", "/spec/selector"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
    ];
    for folder in KUBERNETES {
        let manifests = Manifests::of(folder);
        assert_eq!(manifests.get("StatefulSet")["spec"]["template"]["metadata"]["labels"], label, "{folder}");
        for (which, pointer) in selectors {
            assert_eq!(manifests.get(which).pointer(pointer), Some(&label), "{folder}: {which}");
        }
    }
}

#[test]
fn the_pod_mounts_what_the_image_reads_and_writes() {
    for folder in KUBERNETES {
        let manifests = Manifests::of(folder);
        let mounts = manifests.container()["volumeMounts"].as_array().unwrap();
        let path_of = |name: &str| mounts.iter().find(|mount| mount["name"] == name).map(|mount| &mount["mountPath"]);
        assert_eq!(path_of("data"), Some(&json!(DATA)), "{folder}");
        assert_eq!(path_of("config"), Some(&json!("/etc/rtalink")), "{folder}");
    }
}

#[test]
fn configurations_on_kubernetes_are_ones() {
    for folder in KUBERNETES {
        let manifests = Manifests::of(folder);
        let place = tempfile::tempdir().unwrap();
        manifests.write_config_map("rtalink-config", place.path());
        if folder != "base" {
            manifests.write_config_map("rtalink-mapping", &place.path().join("mapping"));
        }
        let mut check = rtalink();
        for (name, value) in image_environment() {
            check.env(name, value);
        }
        // Secrets are mounted where the pod runs.
        let secret = place.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        for variable in manifests.container()["env"].as_array().into_iter().flatten() {
            let name = text_of(&variable["name"]);
            assert!(
                name.ends_with("_FILE") && text_of(&variable["value"]).starts_with("/run/secrets/kafka/"),
                "{name}"
            );
            check.env(name, &secret);
        }
        well(check.args(["check", "--config"]).arg(place.path().join("rtalink.toml")));
    }
}

/// By hand, for want of a schema: the fields that the operator's documentation names for this kind.
#[test]
fn the_operator_of_prometheus_finds_the_metrics() {
    let manifests = Manifests::of("overlays/example");
    let monitor = manifests.get("ServiceMonitor");
    assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(
        monitor["spec"],
        json!({
            "selector": { "matchLabels": { "app.kubernetes.io/name": "rtalink" } },
            "endpoints": [{ "port": "http", "path": "/metrics", "interval": "15s", "scrapeTimeout": "10s" }],
        })
    );
    let service = manifests.get("Service/rtalink");
    assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/name"], "rtalink");
    assert_eq!(service["spec"]["ports"][0]["name"], "http");
    // Clusters without the operator refuse the kind.
    assert!(!Manifests::of("base").kinds().contains(&"ServiceMonitor".to_owned()));
}

// ---- agreement

#[test]
fn image_composition_cluster_and_unit_name_the_same_things() {
    let image = containerfile();
    let variables = image_environment();
    let variable = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(image["EXPOSE"], [format!("{FEED} {HTTP}")]);
    assert_eq!(image["USER"], [format!("{USER}:{USER}")]);
    assert_eq!(image["VOLUME"], [DATA]);
    assert_eq!(image["STOPSIGNAL"], ["SIGTERM"]);
    assert_eq!(image["CMD"], [format!("[\"run\", \"--config\", \"{CONFIGURATION}\"]")]);
    assert_eq!(variable("RTALINK__STORE__DIRECTORY"), Some(DATA));
    assert_eq!(variable("RTALINK__HTTP__LISTEN"), Some(format!("0.0.0.0:{HTTP}").as_str()));
    assert_eq!(variable("RTALINK__LOG__FORMAT"), Some("json"));
    assert!(image["ARG"].contains(&format!("VERSION={}", env!("CARGO_PKG_VERSION"))), "{:?}", image["ARG"]);

    assert!(unit("ExecStart")[0].ends_with(&format!("run --config {CONFIGURATION}")));
    assert_eq!(unit("StateDirectory"), ["rtalink"]);
    assert!(unit("Environment")[0].contains("RTALINK__STORE__DIRECTORY=%S/rtalink"));

    let rtalink = &compose()["services"]["rtalink"];
    let mounted: Vec<String> = rtalink["volumes"].as_array().unwrap().iter().map(text_of).collect();
    assert!(mounted.contains(&format!("rtalink-data:{DATA}")), "{mounted:?}");
    assert!(mounted.contains(&format!("../rtalink.toml:{CONFIGURATION}:ro")), "{mounted:?}");
    let version = format!("{{RTALINK_VERSION:-{}}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(rtalink["image"], format!("rtalink:${version}"));
    assert_eq!(rtalink["build"]["args"]["VERSION"], format!("${version}"));
    for folder in KUBERNETES {
        let image = text_of(&Manifests::of(folder).container()["image"]);
        assert!(image.ends_with(&format!("rtalink:{}", env!("CARGO_PKG_VERSION"))), "{image}");
    }

    let guide = text("docs/deployment.md");
    for word in [&FEED.to_string(), &HTTP.to_string(), &USER.to_string(), DATA, CONFIGURATION] {
        assert!(guide.contains(word), "docs/deployment.md does not name {word}");
    }
}

/// Whoever ends it waits longer than it takes to end.
#[test]
fn the_end_is_given_time() {
    let loaded = rtalink::config::load(&root().join("deploy/rtalink.toml"), []);
    let grace = loaded.config.expect("a configuration").shutdown_grace;
    let seconds = |text: String| Duration::from_secs(text.trim_end_matches('s').parse().expect("seconds"));
    let patience = [
        seconds(text_of(&compose()["services"]["rtalink"]["stop_grace_period"])),
        seconds(unit("TimeoutStopSec").remove(0)),
        Duration::from_secs(
            Manifests::of("base").get("StatefulSet")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
                .as_u64()
                .unwrap(),
        ),
    ];
    assert!(patience.iter().all(|patience| *patience >= grace + Duration::from_secs(5)), "{patience:?} for {grace:?}");
}

#[test]
fn docker_and_podman_leave_out_the_same_files() {
    assert_eq!(text(".dockerignore"), text(".containerignore"));
}
