#!/usr/bin/env python3
"""What rtalink is made of: a CycloneDX 1.6 bill of materials (JSON), on stdout.

  deploy/sbom.py [--binary FILE] [--rootfs FOLDER] [--target TRIPLE]

The crates that are linked into the binary (no build scripts, no macros, no tests), as cargo resolves them for the target; the C
libraries that some of them compile in, with the versions that their sources say; and with --rootfs, the root file system of an image,
the Debian packages of its base. --binary adds the binary's SHA-256.

The same sources, the same files and the same SOURCE_DATE_EPOCH give the same bytes. Needs cargo and the crates' sources, which a
build has; Python 3.11, and nothing else.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
SPEC = "1.6"

# A C library: the crate that compiles it, where its version stands, its licence, and by which names scanners know it. `within` is a
# library whose sources carry it.
C_LIBRARIES = [
    dict(name="librdkafka", crate="rdkafka-sys", file="librdkafka/src/rdkafka.h", version=r"#define RD_KAFKA_VERSION 0x(..)(..)(..)ff",
         licence="BSD-2-Clause", purl="pkg:github/confluentinc/librdkafka@v{}"),
    dict(name="lz4", within="librdkafka", crate="rdkafka-sys", file="librdkafka/src/lz4.h",
         version=r"#define LZ4_VERSION_MAJOR +(\d+)(?s:.*?)#define LZ4_VERSION_MINOR +(\d+)(?s:.*?)#define LZ4_VERSION_RELEASE +(\d+)",
         licence="BSD-2-Clause", purl="pkg:github/lz4/lz4@v{}", cpe="lz4_project:lz4"),
    dict(name="cJSON", within="librdkafka", crate="rdkafka-sys", file="librdkafka/src/cJSON.h",
         version=r"#define CJSON_VERSION_MAJOR (\d+)\s+#define CJSON_VERSION_MINOR (\d+)\s+#define CJSON_VERSION_PATCH (\d+)",
         licence="MIT", purl="pkg:github/DaveGamble/cJSON@v{}", cpe="davegamble:cjson"),
    dict(name="nanopb", within="librdkafka", crate="rdkafka-sys", file="librdkafka/src/nanopb/pb.h",
         version=r'#define NANOPB_VERSION "nanopb-([^"]+)"', licence="Zlib", purl="pkg:github/nanopb/nanopb@{}"),
    dict(name="openssl", crate="openssl-src", file="openssl/VERSION.dat", version=r"MAJOR=(\d+)\s+MINOR=(\d+)\s+PATCH=(\d+)",
         licence="Apache-2.0", purl="pkg:github/openssl/openssl@openssl-{}", cpe="openssl:openssl"),
    dict(name="zlib", crate="libz-sys", file="src/zlib/zlib.h", version=r'#define ZLIB_VERSION "([^"]+)"',
         licence="Zlib", purl="pkg:github/madler/zlib@v{}", cpe="zlib:zlib"),
    dict(name="zstd", crate="zstd-sys", file="zstd/lib/zstd.h",
         version=r"#define ZSTD_VERSION_MAJOR +(\d+)\s+#define ZSTD_VERSION_MINOR +(\d+)\s+#define ZSTD_VERSION_RELEASE +(\d+)",
         licence="BSD-3-Clause OR GPL-2.0-only", purl="pkg:github/facebook/zstd@v{}", cpe="facebook:zstandard"),
    dict(name="sqlite", crate="libsqlite3-sys", file="sqlite3/sqlite3.h", version=r'#define SQLITE_VERSION +"([^"]+)"',
         licence="blessing", purl="pkg:generic/sqlite@{}", cpe="sqlite:sqlite"),
    dict(name="jemalloc", crate="tikv-jemalloc-sys", file="jemalloc/ChangeLog", version=r"(?m)^\* (\d+\.\d+\.\d+) \(",
         licence="BSD-2-Clause", purl="pkg:github/jemalloc/jemalloc@{}"),
    dict(name="aws-lc", crate="aws-lc-sys", file="aws-lc/include/openssl/base.h", version=r'#define AWSLC_VERSION_NUMBER_STRING "([^"]+)"',
         licence="ISC AND (Apache-2.0 OR ISC) AND OpenSSL", purl="pkg:github/aws/aws-lc@v{}", cpe="amazon:aws_libcrypto"),
]

# Of a crate that has the sources and is a build script's: the crate that is linked with them.
CALLERS = {"openssl-src": "openssl-sys"}


def cargo(*arguments: str) -> str:
    command = [os.environ.get("CARGO", "cargo"), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: failed")
    return done.stdout


def linked(target: str) -> tuple[dict, dict]:
    """The crates of the binary, by name and version, and what each depends on. The features are those that it is built with."""
    tree = cargo("tree", "--locked", "--edges", "normal,no-proc-macro", "--target", target, "--prefix", "depth", "--format", "|{p}|{l}")
    crates, edges, path = {}, {}, []
    for line in filter(None, tree.splitlines()):
        depth, package, licence = line.removesuffix(" (*)").split("|")
        name, version = package.split()[:2]
        key = (name, version.removeprefix("v"))
        crates[key] = licence.removesuffix(" (*)")
        edges.setdefault(key, set())
        path[int(depth):] = [key]
        if int(depth) > 0:
            edges[path[-2]].add(key)
    return crates, edges


def crate_reference(key: tuple[str, str]) -> str:
    return f"pkg:cargo/{key[0]}@{quote(key[1], safe='')}"


def licences(expression: str) -> list:
    # The slash is how it was written before SPDX.
    return [{"expression": expression.replace("/", " OR ")}] if expression else []


def crate_component(key, licence, package, checksum) -> dict:
    component = {"type": "library", "bom-ref": crate_reference(key), "name": key[0], "version": key[1], "scope": "required"}
    if package.get("description"):
        component["description"] = " ".join(package["description"].split())
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    component["licenses"] = licences(licence)
    component["purl"] = crate_reference(key)
    if package.get("repository"):
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    component["properties"] = [{"name": "rtalink:language", "value": "Rust"}]
    return component


def version_in(source: Path, pattern: str) -> str:
    found = re.search(pattern, source.read_text(encoding="utf-8", errors="replace"))
    if not found:
        sys.exit(f"{source}: no version")
    # librdkafka's are hexadecimal.
    base = 16 if "0x" in pattern else 10
    parts = found.groups()
    return parts[0] if len(parts) == 1 else ".".join(str(int(part, base)) for part in parts)


def only(name: str, keys) -> tuple[str, str]:
    found = [key for key in keys if key[0] == name]
    if len(found) != 1:
        sys.exit(f"deploy/sbom.py expects one {name}, and there are {found}")
    return found[0]


def c_components(crates, folders, checksums) -> tuple[list, dict]:
    components, edges, by_name = [], {}, {}
    for library in C_LIBRARIES:
        key = only(library["crate"], folders)
        # Whose code calls it; a crate that only builds is not linked itself.
        caller = only(CALLERS.get(library["crate"], library["crate"]), crates)
        version = version_in(folders[key] / library["file"], library["version"])
        purl = library["purl"].format(version)
        component = {"type": "library", "bom-ref": purl, "name": library["name"], "version": version, "scope": "required"}
        component["licenses"] = licences(library["licence"])
        if "cpe" in library:
            component["cpe"] = f"cpe:2.3:a:{library['cpe']}:{version}:*:*:*:*:*:*:*"
        component["purl"] = purl
        component["properties"] = [
            {"name": "rtalink:language", "value": "C"},
            {"name": "rtalink:sources", "value": crate_reference(key)},
            {"name": "rtalink:sources:sha256", "value": checksums[key]},
        ]
        components.append(component)
        by_name[library["name"]] = purl
        user = by_name[library["within"]] if "within" in library else crate_reference(caller)
        edges.setdefault(user, set()).add(purl)
        edges.setdefault(purl, set())
    return components, edges


def debian_components(rootfs: Path) -> list:
    """The packages of a base without dpkg, as distroless images list them, or of one with it."""
    status = rootfs / "var/lib/dpkg"
    files = sorted((status / "status.d").glob("*")) if (status / "status.d").is_dir() else [status / "status"]
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', (rootfs / "etc/os-release").read_text(), re.M))
    components = []
    for file in files:
        if file.suffix == ".md5sums" or not file.is_file():
            continue
        for paragraph in file.read_text(encoding="utf-8").strip().split("\n\n"):
            fields = dict(re.findall(r"^(\S+): (.*)$", paragraph, re.M))
            if "Package" not in fields or not fields.get("Status", "install ok installed").endswith(" installed"):
                continue
            name, version = fields["Package"], fields["Version"]
            purl = f"pkg:deb/{release['ID']}/{quote(name, safe='')}@{quote(version, safe='')}"
            purl += f"?arch={fields['Architecture']}&distro={release['ID']}-{release['VERSION_ID']}"
            component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "scope": "required"}
            if "Maintainer" in fields:
                component["supplier"] = {"name": fields["Maintainer"]}
            component["purl"] = purl
            component["properties"] = [{"name": "rtalink:layer", "value": "base of the image"}]
            components.append(component)
    if not components:
        sys.exit(f"{status}: no package")
    return components


def brings_c(folder: Path) -> bool:
    return any(folder.rglob("*.c")) or any(folder.rglob("*.cc"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--rootfs", type=Path)
    parser.add_argument("--target")
    arguments = parser.parse_args()
    host = next(line.split()[1] for line in cargo("-vV").splitlines() if line.startswith("host:"))
    target = arguments.target or host

    crates, edges = linked(target)
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    folders = {key: Path(package["manifest_path"]).parent for key, package in packages.items()}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}

    known = {library["crate"] for library in C_LIBRARIES} | set(CALLERS.values())
    unknown = [key[0] for key in crates if key[0] not in known and packages[key].get("links") and brings_c(folders[key])]
    if unknown:
        sys.exit(f"crates with C sources that deploy/sbom.py does not know: {', '.join(unknown)}")

    top = next(key for key in crates if key[0] == "rtalink")
    components = [
        crate_component(key, crates[key], packages[key], checksums.get(key)) for key in sorted(crates) if key != top
    ]
    libraries, of_libraries = c_components(crates, folders, checksums)
    components += libraries
    dependencies = {crate_reference(key): {crate_reference(other) for other in others} for key, others in edges.items()}
    for user, used in of_libraries.items():
        dependencies.setdefault(user, set()).update(used)
    rtalink = crate_component(top, crates[top], packages[top], None) | {"type": "application"}
    del rtalink["scope"]
    if arguments.binary:
        rtalink["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(arguments.binary.read_bytes()).hexdigest()}]
    subject = rtalink
    if arguments.rootfs:
        base = debian_components(arguments.rootfs)
        components = [rtalink | {"scope": "required"}] + components + base
        reference = f"pkg:oci/rtalink@{top[1]}"
        subject = {"type": "container", "bom-ref": reference, "name": "rtalink", "version": top[1]}
        dependencies[reference] = {rtalink["bom-ref"]} | {component["bom-ref"] for component in base}
        dependencies |= {component["bom-ref"]: set() for component in base}

    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    bom = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "component": subject,
            "properties": [{"name": "rtalink:target", "value": target}],
        },
        "components": components,
        "dependencies": [
            {"ref": reference} | ({"dependsOn": sorted(used)} if used else {}) for reference, used in sorted(dependencies.items())
        ],
    }
    # The same contents have the same number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True))
    json.dump({**dict(list(bom.items())[:3]), "serialNumber": f"urn:uuid:{number}", **bom}, sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
