//! A broker with a second listener, where only TLS and a password let in and ACLs say who may do what.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::certificates::{Authority, DAY, Valid};
use super::kafka::{Broker, free_port, unique};
use super::python::python;

/// The name that the certificate of the broker is made out to. `127.0.0.1` leads there too, and is not in it.
const HOST: &str = "localhost";

/// Password of every user.
pub(crate) const PASSWORD: &str = "geheim-%41+/=\"und' lang";

/// A right as Kafka knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acl {
    pub(crate) principal: String,
    pub(crate) operation: String,
    /// `TOPIC`, `GROUP`, `TRANSACTIONAL_ID`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// `LITERAL` or `PREFIXED`.
    pub(crate) pattern: String,
}

impl Acl {
    /// The same right for somebody else.
    pub(crate) fn of(&self, user: &str) -> Self {
        Self { principal: format!("User:{user}"), ..self.clone() }
    }

    fn to_json(&self) -> Value {
        json!([self.principal, self.operation, self.kind, self.name, self.pattern])
    }

    fn from_json(value: &Value) -> Self {
        let text = |index: usize| value[index].as_str().expect("text").to_owned();
        Self { principal: text(0), operation: text(1), kind: text(2), name: text(3), pattern: text(4) }
    }
}

pub(crate) struct Secure {
    admin: Broker,
    port: u16,
    folder: PathBuf,
}

impl Secure {
    /// The broker of this test process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Secure> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("secure-kafka"));
        fs::create_dir_all(&folder).expect("a folder");
        let pair = Authority::new(&folder, "kafka").sign("broker", HOST, Valid::For(DAY));
        let pem = folder.join("broker.pem");
        fs::write(&pem, fs::read_to_string(&pair.key).unwrap() + &fs::read_to_string(&pair.certificate).unwrap())
            .unwrap();
        let port = Mutex::new(0);
        let admin = Broker::start_with(|| {
            *port.lock() = free_port();
            vec!["--secure".to_owned(), format!("{},{}", port.lock(), pem.display())]
        });
        let port = *port.lock();
        Self { admin, port, folder }
    }

    /// Where everything is allowed.
    pub(crate) fn admin(&self) -> &Broker {
        &self.admin
    }

    /// `host:port` of the listener that asks for TLS and a password.
    pub(crate) fn bootstrap(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// The same by a name that is not in the certificate.
    pub(crate) fn bootstrap_by_address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Certificate of the CA.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.join("kafka.ca.crt")
    }

    /// Makes users, gives rights and takes some away; all that there are afterwards.
    pub(crate) fn change(&self, users: &[&str], grant: &[Acl], revoke: &[Acl]) -> Vec<Acl> {
        let users: BTreeMap<&str, &str> = users.iter().map(|user| (*user, PASSWORD)).collect();
        let list = |acls: &[Acl]| acls.iter().map(Acl::to_json).collect::<Vec<_>>();
        let wanted = json!({ "users": users, "grant": list(grant), "revoke": list(revoke) });
        let mut command = python("consumer");
        command.arg("tests/kafka/acls.py").arg(self.admin.bootstrap());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python");
        child.stdin.take().unwrap().write_all(wanted.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "acls.py: {}", output.status);
        let acls: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a list");
        acls.iter().map(Acl::from_json).collect()
    }

    /// Runs a shell script in which `kafka-acls.sh` is Kafka's own, turned to this broker.
    pub(crate) fn run(&self, script: &str) {
        let kafka = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/kafka.sh");
        let turned = format!(
            "#!/usr/bin/env bash\nset -euo pipefail\n[ \"$1 $3\" = '--bootstrap-server --command-config' ]\nshift 4\n\
             exec {} acls --bootstrap-server {} \"$@\"\n",
            kafka.display(),
            self.admin.bootstrap()
        );
        let command = self.folder.join("kafka-acls.sh");
        fs::write(&command, turned).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("bash").args(["-euo", "pipefail", "-c", script]).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
