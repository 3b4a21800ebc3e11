"""An independent consumer: reads a topic with other code than ours and prints one JSON line per message.

The schema is compiled from proto/ by protoc, the bytes are decoded by Python's protobuf and printed as the proto3
mapping with default values. Values whose content-type is application/json are read as such a mapping, and must print
the same again. Nothing of rtalink is involved, so what is printed is what any consumer would see. Only
committed messages are read. Fields that the schema does not have are an error: they would be ours alone.

    tests/tools/python.sh run consumer tests/kafka/consume.py 127.0.0.1:9092 rta.agent-state.events --schema rtalink.v1.AgentStateEvent
"""

import argparse
import base64
import json
import sys
import tempfile
import time
from pathlib import Path

import grpc_tools
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def compile_schema(name):
    """The message class of the schema `name`, e.g. rtalink.v1.AgentStateEvent."""
    files = sorted(PROTO.glob("rtalink/v1/*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as out:
        arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}", *map(str, files)]
        if protoc.main(arguments) != 0:
            sys.exit("protoc refused the schema")
        sys.path.insert(0, out)
        for file in files:
            __import__(".".join(file.relative_to(PROTO).with_suffix("").parts) + "_pb2")
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        sys.exit(f"no message {name} in {PROTO}")
    return message_factory.GetMessageClass(descriptor)


def decode(message_class, data, is_json):
    """The proto3 JSON mapping of `data`; its base64 form where there is no schema."""
    if data is None:
        return None
    if message_class is None:
        return base64.b64encode(data).decode()
    if is_json:
        message = json_format.Parse(data, message_class())
        mapping = to_mapping(message)
        if json.loads(data) != mapping:
            raise ValueError(f"not the proto3 mapping with defaults printed, which is {json.dumps(mapping)}")
        return mapping
    message = message_class.FromString(data)
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise ValueError("fields that the schema does not have")
    return to_mapping(message)


def to_mapping(message):
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def text(data):
    """Keys and headers are text; bytes that are none show as \\xNN."""
    return None if data is None else data.decode("utf-8", errors="backslashreplace")


def read(bootstrap, topic, count, timeout):
    """The messages of `topic` from its beginning: `count` of them, or up to the end of all partitions."""
    deadline = time.monotonic() + timeout
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "rtalink-independent-consumer",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    })
    try:
        metadata = consumer.list_topics(topic, timeout=timeout).topics[topic]
        if metadata.error is not None:
            sys.exit(f"topic {topic}: {metadata.error.str()}")
        unfinished = set(metadata.partitions)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in unfinished])
        seen = 0
        while seen < count if count is not None else unfinished:
            if time.monotonic() > deadline:
                sys.exit(f"topic {topic}: {seen} messages in {timeout:g} s, then nothing more")
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is None:
                seen += 1
                yield message
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
            else:
                sys.exit(f"topic {topic}: {message.error().str()}")
    finally:
        consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bootstrap", help="host:port of a broker")
    parser.add_argument("topic")
    parser.add_argument("--schema", help="message type of the values; without it they are printed as base64")
    parser.add_argument("--count", type=int, help="stop after so many messages, instead of at the end of the topic")
    parser.add_argument("--timeout", type=float, default=30, help="give up after so many seconds (default 30)")
    arguments = parser.parse_args()

    message_class = compile_schema(arguments.schema) if arguments.schema else None
    for message in read(arguments.bootstrap, arguments.topic, arguments.count, arguments.timeout):
        headers = {name: text(header) for name, header in message.headers() or []}
        try:
            value = decode(message_class, message.value(), headers.get("content-type") == "application/json")
        except Exception as error:  # whatever the decoder raises, say which message it was
            sys.exit(f"topic {arguments.topic}, {message.partition()}:{message.offset()}: no {arguments.schema}: {error}")
        line = {
            "partition": message.partition(),
            "offset": message.offset(),
            "key": text(message.key()),
            "headers": headers,
            "value": value,
        }
        print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
