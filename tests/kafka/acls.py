"""Users and ACLs of a test broker, through its administrator's listener.

Reads one JSON object from stdin: `users` (name to password), `grant` and `revoke`, lists of ACLs, each
`[principal, operation, resource type, resource name, pattern type]`, such as `["User:rtalink", "WRITE", "TOPIC",
"rta.audit", "LITERAL"]`. Prints all ACLs that there are afterwards, as a list of the same form, sorted.

    echo '{"users": {"rtalink": "…"}}' | tests/tools/python.sh run consumer tests/kafka/acls.py 127.0.0.1:9092
"""

import json
import sys

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

TIMEOUT = 20

# As Kafka's own tools spell them, where the client has another word.
SPELLINGS = {"CLUSTER": "BROKER"}


def resource_type(name):
    return ResourceType[SPELLINGS.get(name, name)]


def told(kind):
    return {client: kafka for kafka, client in SPELLINGS.items()}.get(kind, kind)


def arguments(acl):
    principal, operation, kind, name, pattern = acl
    return (resource_type(kind), name, ResourcePatternType[pattern], principal, "*", AclOperation[operation],
            AclPermissionType.ALLOW)


def main():
    admin = AdminClient({"bootstrap.servers": sys.argv[1]})
    wanted = json.load(sys.stdin)
    users = [
        UserScramCredentialUpsertion(name, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), password.encode())
        for name, password in wanted.get("users", {}).items()
    ]
    answers = []
    if users:
        answers += admin.alter_user_scram_credentials(users, request_timeout=TIMEOUT).values()
    if wanted.get("grant"):
        answers += admin.create_acls([AclBinding(*arguments(acl)) for acl in wanted["grant"]]).values()
    if wanted.get("revoke"):
        answers += admin.delete_acls([AclBindingFilter(*arguments(acl)) for acl in wanted["revoke"]]).values()
    for answer in answers:
        answer.result(TIMEOUT)
    everything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY,
                                  AclPermissionType.ANY)
    there = admin.describe_acls(everything).result(TIMEOUT)
    acls = [
        [acl.principal, acl.operation.name, told(acl.restype.name), acl.name, acl.resource_pattern_type.name]
        for acl in there
    ]
    print(json.dumps(sorted(acls)))


if __name__ == "__main__":
    main()
