//! What consumers rely on does not change: each line of `proto/rtalink/v1/contract.lock` is still true.
//!
//! A line is never taken out of the file, and `RTALINK_WRITE=1` only adds what is new. `docs/events.md` says what may change.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use rtalink::config::topics::Topic;
use rtalink::contract::{self, header};

const FILE: &str = "proto/rtalink/v1/contract.lock";
const HEAD: &str = "\
# What consumers of rtalink.v1 rely on: a line each. No line may ever be changed or taken out; tests/core/contract.rs compares
# them with the program, and adds new ones with RTALINK_WRITE=1. docs/events.md says what may change.
";

/// `message.number name jsonName type`: protobuf needs number and type, JSON the names, programs all of them.
fn field(message: &MessageDescriptor, field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}"),
    };
    let is_optional = field.field_descriptor_proto().proto3_optional();
    let cardinality = if field.is_list() {
        "repeated "
    } else if is_optional {
        "optional "
    } else {
        ""
    };
    let (number, name, json) = (field.number(), field.name(), field.json_name());
    format!("field {} {number} {name} {json} {cardinality}{kind}", message.full_name())
}

fn values(of: &EnumDescriptor) -> Vec<String> {
    of.values().map(|value| format!("value {} {} {}", of.full_name(), value.number(), value.name())).collect()
}

/// Everything that is so now, in order.
fn lines() -> BTreeSet<String> {
    let pool = contract::descriptors();
    let is_published = |package: &str| package == "rtalink.v1";
    let messages: Vec<MessageDescriptor> =
        pool.all_messages().filter(|message| is_published(message.package_name())).collect();
    let enums = pool.all_enums().filter(|of| is_published(of.package_name()));
    let mut lines: BTreeSet<String> = messages
        .iter()
        .flat_map(|message| message.fields().map(|found| field(message, &found)).collect::<Vec<_>>())
        .chain(enums.flat_map(|of| values(&of)))
        .collect();
    for schema in [contract::AGENT_STATE_EVENT, contract::FEED_STATUS, contract::AUDIT_EVENT] {
        assert!(messages.iter().any(|message| message.full_name() == schema), "{schema}");
        lines.insert(format!("schema {schema}"));
    }
    lines.extend(header::ALL.map(|name| format!("header {name}")));
    lines.extend([header::PROTOBUF, header::JSON].map(|value| format!("content-type {value}")));
    let consumed = Topic::ALL.into_iter().map(Topic::spec).filter(|spec| spec.argument.is_some());
    lines.extend(consumed.map(|spec| format!("topic {} {}", spec.key, spec.default_name)));
    lines
}

#[test]
fn what_consumers_rely_on_is_still_so() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let locked = fs::read_to_string(&path).unwrap_or_default();
    let locked: BTreeSet<String> = locked.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let now = lines();
    let broken: Vec<&String> = locked.difference(&now).collect();
    assert!(
        broken.is_empty(),
        "consumers rely on what is not so any more. Undo it, or give it a new name and number:\n{broken:#?}"
    );
    let new: Vec<&String> = now.difference(&locked).collect();
    if std::env::var_os("RTALINK_WRITE").is_some() {
        let all: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, HEAD.to_owned() + &all).unwrap();
        return;
    }
    assert!(new.is_empty(), "{FILE} lacks what consumers will rely on: RTALINK_WRITE=1 adds it\n{new:#?}");
}

/// Else a number or a name that was in use could mean something else one day.
#[test]
fn the_lock_has_all_that_makes_a_message() {
    let now = lines();
    let some = [
        "field rtalink.v1.AgentStateEvent 12 evidence evidence optional rtalink.v1.Evidence.Value",
        "field rtalink.v1.AgentStateEvent 10 sequence sequence uint64",
        "field rtalink.v1.State 9 skills skills repeated rtalink.v1.Skill",
        "field rtalink.v1.FeedStatus 6 gap_from gapFrom google.protobuf.Timestamp",
        "value rtalink.v1.State.Mode 0 UNKNOWN",
        "header content-type",
        "topic current rta.agent-state.current",
    ];
    for line in some {
        assert!(now.contains(line), "{line}:\n{now:#?}");
    }
    assert!(now.iter().all(|line| !line.contains("rtalink.store")));
}
