"""Who does what right now: reads the topic `current` and prints each change.

    pip install confluent-kafka grpcio-tools protobuf
    python -m grpc_tools.protoc -Iproto --python_out=. proto/rtalink/v1/*.proto
    python examples/board.py localhost:9092

It shows what every consumer has to do: begin at the beginning of `current`, which holds the last event of every agent;
leave out copies, since delivery is at least once; read the value as its headers say, and leave out what it does not know; and take
a message without a value for an agent who is forgotten. docs/events.md explains the fields, and how they may change.
Partitions that are added meanwhile are read from the next start on.
"""

import sys
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from google.protobuf import json_format
from google.protobuf.message import DecodeError

sys.path.insert(0, str(Path.cwd()))  # where protoc has written to
from rtalink.v1 import agent_state_pb2  # noqa: E402

NO_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


def from_the_beginning(servers, topic):
    """A consumer in no group: each of them reads the whole table."""
    consumer = Consumer({
        "bootstrap.servers": servers,
        "group.id": "rtalink-board",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    })
    try:
        found = consumer.list_topics(topic, timeout=5).topics[topic]
    except KafkaException as error:
        sys.exit(f"no answer from Kafka at {servers}: {error.args[0].str()}")
    if found.error:
        sys.exit(refused(found.error, topic))
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions])
    return consumer


def refused(error, topic):
    if error.code() in NO_TOPIC:
        return f"there is no topic {topic}: has rtalink been started with this Kafka, and is that the name in [kafka.topics]?"
    return f"{topic}: {error.str()}"


def event_of(message):
    """The value, as the headers say how it is written: an error where they say something else."""
    headers = dict(message.headers() or [])
    if headers.get("schema") != b"rtalink.v1.AgentStateEvent":
        raise ValueError(f"it is no AgentStateEvent, but {headers.get('schema')}")
    event = agent_state_pb2.AgentStateEvent()
    match headers.get("content-type"):
        case b"application/x-protobuf":
            event.ParseFromString(message.value())
        case b"application/json":
            json_format.Parse(message.value(), event, ignore_unknown_fields=True)
        case other:
            raise ValueError(f"an unknown content-type: {other}")
    return event


class Board:
    """The last event of each agent."""

    def __init__(self):
        self.latest = {}

    def take(self, message):
        """What to say of a message; None if it is no news."""
        key = message.key()
        if message.value() is None:
            return f"{key.decode()}: forgotten" if self.latest.pop(key, None) else None
        event = event_of(message)
        known, observed_at = self.latest.get(key), event.observed_at.ToNanoseconds()
        if known and known[0] >= event.sequence and known[1] >= observed_at:
            return None  # a copy, or an event that a later one has overtaken
        self.latest[key] = (event.sequence, observed_at)
        employee = event.user.employee_name if event.HasField("user") else event.external_user
        activity = event.activity.activity_name if event.HasField("activity") else "no activity"
        since = event.activity_since.ToJsonString() if event.HasField("activity_since") else event.state_since.ToJsonString()
        return f"{employee}: {activity} ({event.external_activity}) since {since}"


def main():
    arguments = sys.argv[1:] + ["localhost:9092", "rta.agent-state.current"][len(sys.argv) - 1:]
    servers, topic = arguments[:2]
    consumer = from_the_beginning(servers, topic)
    board = Board()
    while True:
        message = consumer.poll(1)
        if message is None:
            continue
        if error := message.error():
            if error.code() in NO_TOPIC:
                sys.exit(refused(error, topic))
            print(error, file=sys.stderr)  # the library connects again by itself
            continue
        try:
            if line := board.take(message):
                print(line, flush=True)
        except (ValueError, DecodeError, json_format.ParseError) as error:
            place = f"{topic}, partition {message.partition()}, offset {message.offset()}"
            print(f"{place} is left out: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
