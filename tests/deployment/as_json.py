"""YAML as JSON: the documents of the files named, or of stdin, as one list on stdout."""

import json
import sys

import yaml


def main() -> None:
    texts = [open(name, encoding="utf-8").read() for name in sys.argv[1:]] or [sys.stdin.read()]
    json.dump([document for text in texts for document in yaml.safe_load_all(text)], sys.stdout)


main()
