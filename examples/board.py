"""Who does what right now: reads the topic `current` and prints each change.

    pip install confluent-kafka grpcio-tools protobuf
    python -m grpc_tools.protoc -Iproto --python_out=. proto/rtalink/v1/*.proto
    python examples/board.py localhost:9092

It shows what every consumer has to do: begin at the beginning of `current`, which holds the last event of every agent;
leave out copies, since delivery is at least once; read the value as its header says; and take a message without a value
for an agent who is forgotten. docs/events.md explains the fields.
"""

import sys
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from google.protobuf import json_format

sys.path.insert(0, str(Path.cwd()))  # where protoc has written to
from rtalink.v1 import agent_state_pb2  # noqa: E402


def from_the_beginning(servers, topic):
    """A consumer in no group: each of them reads the whole table."""
    consumer = Consumer({
        "bootstrap.servers": servers,
        "group.id": "rtalink-board",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    })
    found = consumer.list_topics(topic, timeout=10).topics[topic]
    if found.error:
        sys.exit(f"{topic}: {found.error}")
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions])
    return consumer


def event_of(message):
    """The value, as the header says how it is written."""
    headers = dict(message.headers() or [])
    event = agent_state_pb2.AgentStateEvent()
    if headers.get("content-type") == b"application/json":
        return json_format.Parse(message.value(), event)
    event.ParseFromString(message.value())
    return event


def main():
    arguments = sys.argv[1:] + ["localhost:9092", "rta.agent-state.current"][len(sys.argv) - 1:]
    servers, topic = arguments[:2]
    consumer = from_the_beginning(servers, topic)
    latest = {}
    while True:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            print(message.error(), file=sys.stderr)
            continue
        key = message.key()
        if message.value() is None:
            if latest.pop(key, None):
                print(f"{key.decode()}: forgotten")
            continue
        event = event_of(message)
        known, observed_at = latest.get(key), event.observed_at.ToNanoseconds()
        if known and known[0] >= event.sequence and known[1] >= observed_at:
            continue  # a copy, which at-least-once delivery sends
        latest[key] = (event.sequence, observed_at)
        employee = event.user.employee_name if event.HasField("user") else event.external_user
        activity = event.activity.activity_name if event.HasField("activity") else "no activity"
        since = event.activity_since.ToJsonString() if event.HasField("activity_since") else ""
        print(f"{employee}: {activity} ({event.external_activity}) since {since}", flush=True)


if __name__ == "__main__":
    main()
