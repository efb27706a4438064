#!/usr/bin/env python3
"""Checks the dependencies against deny.toml: licences, sources, bans and duplicates.

    python3 .ci/dependencies.py [Cargo.toml]

The same rules as `cargo deny check licenses sources bans`, for machines that do not have it.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def resolved(manifest, rules):
    """What is built. The tree tells it; the metadata also hold optional parts that nobody asked for."""
    features = ["--all-features"] if rules["graph"]["all-features"] else []
    common = ["--locked", "--manifest-path", manifest, *features]
    built = set()
    for target in rules["graph"]["targets"]:
        tree = ["tree", *common, "--target", target, "--edges", "normal,build,dev", "--prefix", "none"]
        for line in cargo(*tree, "--format", "{p}").splitlines():
            if line:
                name, version = line.split()[:2]
                built.add((name, version.removeprefix("v")))
    platforms = [it for target in rules["graph"]["targets"] for it in ("--filter-platform", target)]
    metadata = json.loads(cargo("metadata", "--format-version", "1", *common, *platforms))
    packages = metadata["packages"]
    return [package for package in packages if (package["name"], package["version"]) in built]


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def is_allowed(expression, allowed):
    """An SPDX expression: `AND` binds closer than `OR`; old manifests write `/` for it."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def either():
        outcome = both()
        while words and words[0] == "OR":
            words.pop(0)
            outcome |= both()
        return outcome

    def both():
        outcome = one()
        while words and words[0] == "AND":
            words.pop(0)
            outcome &= one()
        return outcome

    def one():
        word = words.pop(0)
        if word == "(":
            outcome = either()
            words.pop(0)
            return outcome
        if words and words[0] == "WITH":
            word = " ".join([word, words.pop(0), words.pop(0)])
        return word in allowed

    return either()


def matches(package, pattern):
    name, _, version = pattern.partition("@")
    return package["name"] == name and (f"{package['version']}.").startswith(f"{version}." if version else "")


def faults(packages, rules):
    allowed, skipped = set(rules["licenses"]["allow"]), [it["crate"] for it in rules["bans"]["skip"]]
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["source"] not in (None, CRATES_IO):
            yield f"{name} comes from {package['source']}"
        if not is_allowed(package["license"] or "none", allowed):
            yield f"{name} has the licence {package['license']}"
        for denied in rules["bans"]["deny"]:
            if matches(package, denied["crate"]):
                yield f"{name} is denied: {denied['reason']}"
    versions = collections.defaultdict(list)
    for package in packages:
        versions[package["name"]].append(package)
    for name, several in versions.items():
        known = [it for it in several if any(matches(it, pattern) for pattern in skipped)]
        if len(several) - len(known) > 1:
            yield f"{name} is there {len(several)} times: " + ", ".join(it["version"] for it in several)


def main():
    manifest = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "Cargo.toml")
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    packages = resolved(manifest, rules)
    found = list(faults(packages, rules))
    print("\n".join(found) if found else f"{len(packages)} packages are as deny.toml wants them")
    sys.exit(bool(found))


# The rules of the reader itself.
for expression, outcome in [
    ("MIT", True), ("GPL-3.0", False), ("GPL-3.0 OR MIT", True), ("MIT AND GPL-3.0", False),
    ("GPL-3.0/MIT", True), ("(GPL-3.0 OR MIT) AND MIT", True), ("GPL-3.0 OR MIT AND GPL-3.0", False),
    ("MIT WITH x", False), ("none", False),
]:
    assert is_allowed(expression, {"MIT"}) == outcome, expression

main()
