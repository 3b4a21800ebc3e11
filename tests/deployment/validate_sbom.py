"""Checks a bill of materials, on stdin, against the strict JSON schema of its CycloneDX version; exits 1 with what is wrong."""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = sys.stdin.read()
version = SchemaVersion.from_version(json.loads(text)["specVersion"])
error = JsonStrictValidator(version).validate_str(text)
if error is not None:
    sys.exit(str(error)[:2000])
