#!/usr/bin/env python3
"""What the `blindsight` binary is made of, from `cargo metadata` and the sources of each crate.

    python3 tools/dependencies.py --table docs/dependencies.md   # writes the table
    python3 tools/dependencies.py --check docs/dependencies.md   # ends with 1 where the table is old
    python3 tools/dependencies.py --sbom blindsight.cdx.json     # CycloneDX 1.5, the same each time

Counts what is compiled for Linux on x86-64: crates that the binary links, and those that only build them.
Needs the crates' sources, which `cargo fetch --locked` brings, and Python 3.11; no other tool.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRODUCT = "blindsight-cli"
INTRODUCTION = """# Dependencies

<!-- Made by tools/dependencies.py --table docs/dependencies.md -->

Everything from elsewhere that is compiled for the `blindsight` binary on Linux, x86-64: {linked} crates
that it links, {build} that only run while it is built. `python3 tools/dependencies.py --sbom
blindsight.cdx.json` writes the same as a CycloneDX document, with the checksums of `Cargo.lock`. Licences
and sources are held to [`deny.toml`](../deny.toml) by `.ci/run`, and every version is pinned by
`Cargo.lock`.

*Unsafe* counts the word in a crate's Rust sources, outside of comments and strings: how much there is to
trust, not how much is wrong, and for all platforms and features. *Runs at build time* says what code of a
crate runs on the machine that builds: a build script, or a macro. *Native code* is what is compiled from
C or assembly.

| crate | version | licence | unsafe | runs at build time | native code | asked for by |
| --- | --- | --- | --- | --- | --- | --- |
"""


def metadata():
    """The packages by id, and the graph between them."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    command += ["--filter-platform", "x86_64-unknown-linux-gnu"]
    read = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in read["packages"]}
    return packages, {node["id"]: node for node in read["resolve"]["nodes"]}


def needed(node, packages, build):
    """The ids that a package needs: to be linked, or to be built, too."""
    for dependency in node["deps"]:
        kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
        if None in kinds or (build and "build" in kinds):
            macro = is_macro(packages[dependency["pkg"]])
            if build or not macro:
                yield dependency["pkg"]


def is_macro(package):
    """Whether a package is a procedural macro, which runs in the compiler."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def reachable(packages, nodes, build):
    """All that the product needs."""
    start = next(id for id, package in packages.items() if package["name"] == PRODUCT)
    found, open_ids = {start}, [start]
    while open_ids:
        for id in needed(nodes[open_ids.pop()], packages, build):
            if id not in found:
                found.add(id)
                open_ids.append(id)
    return found


def sources(package):
    """The folder of a package."""
    return pathlib.Path(package["manifest_path"]).parent


def unsafe_words(package):
    """How often `unsafe` stands in the code."""
    noise = re.compile(r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"', re.S)
    count = 0
    for path in sorted((sources(package) / "src").rglob("*.rs")):
        code = noise.sub(" ", path.read_text(encoding="utf-8", errors="replace"))
        count += len(re.findall(r"\bunsafe\b", code))
    return count


def at_build_time(package):
    """What of a package runs on the machine that builds."""
    kinds = {kind for target in package["targets"] for kind in target["kind"]}
    names = {"custom-build": "build script", "proc-macro": "macro"}
    return " and ".join(name for kind, name in names.items() if kind in kinds)


def native(package):
    """Whether a package's build script calls a compiler of C."""
    tools = {d["name"] for d in package["dependencies"] if d["kind"] == "build"}
    compilers = tools & {"cc", "cmake", "nasm-rs"}
    files = [path for path in sources(package).rglob("*") if path.suffix in {".c", ".S", ".asm"}]
    return "C, assembly" if compilers and files else ""


def foreign(ids, packages):
    """Those from elsewhere, by name and version."""
    of_others = [id for id in ids if packages[id]["source"]]
    return sorted(of_others, key=lambda id: (packages[id]["name"], packages[id]["version"]))


def table():
    """The page."""
    packages, nodes = metadata()
    linked, all_ids = reachable(packages, nodes, False), reachable(packages, nodes, True)
    rows = []
    for id in foreign(all_ids, packages):
        package = packages[id]
        askers = {packages[a]["name"] for a in all_ids if any(d["pkg"] == id for d in nodes[a]["deps"])}
        shown = sorted(askers, key=lambda name: (not name.startswith("blindsight-"), name))
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        name = package["name"] if id in linked else f"*{package['name']}*"
        cells = [name, package["version"], package["license"] or "?", str(unsafe_words(package))]
        cells += [at_build_time(package), native(package), ", ".join(shown[:3]) + more]
        rows.append("| " + " | ".join(cells) + " |\n")
    counts = {"linked": len(foreign(linked, packages)), "build": len(foreign(all_ids - linked, packages))}
    ending = "\n*Slanted*: not linked, only used while building.\n"
    return INTRODUCTION.format(**counts) + "".join(rows) + ending


def sbom():
    """The CycloneDX document."""
    packages, nodes = metadata()
    ids = reachable(packages, nodes, True)
    linked = reachable(packages, nodes, False)
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in locked}

    def purl(id):
        return f"pkg:cargo/{packages[id]['name']}@{packages[id]['version']}"

    def component(id):
        package = packages[id]
        read = {"type": "library", "bom-ref": purl(id), "name": package["name"]}
        scope = "required" if id in linked else "excluded"
        read |= {"version": package["version"], "purl": purl(id), "scope": scope}
        if package["license"]:
            read["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = checksums.get((package["name"], package["version"]))
        return read | ({"hashes": [{"alg": "SHA-256", "content": checksum}]} if checksum else {})

    product = next(id for id in ids if packages[id]["name"] == PRODUCT)
    order = sorted(ids - {product}, key=purl)
    graph = [
        {"ref": purl(id), "dependsOn": sorted({purl(d) for d in needed(nodes[id], packages, True)})}
        for id in [product, *order]
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(product) | {"type": "application"}},
        "components": [component(id) for id in order],
        "dependencies": graph,
    }


def main():
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    group = parser.add_mutually_exclusive_group(required=True)
    for name in ["table", "check", "sbom"]:
        group.add_argument(f"--{name}", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.sbom:
        arguments.sbom.write_text(json.dumps(sbom(), indent=2) + "\n")
    elif arguments.table:
        arguments.table.write_text(table())
    elif arguments.check.read_text() != table():
        sys.exit(f"{arguments.check} is old: run python3 tools/dependencies.py --table {arguments.check}")


if __name__ == "__main__":
    main()
