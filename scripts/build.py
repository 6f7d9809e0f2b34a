"""Builds the extension with plain cargo and installs it into a server: `make build`, `make install`, `make package`, `make lint`.

Each server version has its own target directory, so that going from one to the other rebuilds nothing.
"""

import argparse
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

import house
import messages
import rooms
import setup
import sql_parts
from house import ROOT, Trouble, say

SCORER = ROOT / "target" / "release" / "persona-onnx"


def server_of(config):
    version = house.pg_config_value(config, "--version")
    found = re.match(r"PostgreSQL (1[5-8])\b", version)
    if not found:
        raise Trouble(f"{config} says {version}; PostgreSQL 15, 16, 17 and 18 are supported")
    return found.group(1)


def cargo(arguments, config=None, timeout=2400):
    environment = dict(os.environ)
    if config:
        place = setup.libclang()
        if not place:
            raise Trouble("libclang with its headers is missing: make setup (on Debian: libclang-14-dev)")
        environment |= {"PGRX_PG_CONFIG_PATH": str(Path(config).absolute()), "LIBCLANG_PATH": place}
    house.run(["cargo", *arguments], timeout=timeout, env=environment, cwd=ROOT)


def server_arguments(server):
    return ["--features", f"pg{server}", "--target-dir", f"target/pg{server}"]


def library(server):
    return ROOT / "target" / f"pg{server}" / "release" / "libpg_persona.so"


def build(configs):
    for config in configs:
        server = server_of(config)
        say(f"building pg_persona for PostgreSQL {server} (minutes the first time)")
        cargo(["build", "--release", "--lib", *server_arguments(server)], config)
    say("building persona-onnx")
    cargo(["build", "--release", "--features", "onnx-runtime", "--bin", "persona-onnx"])


def install_script():
    guard = r'\echo Use "CREATE EXTENSION pg_persona" to load this file. \quit'
    return f"-- Made of sql/*.sql by scripts/build.py.\n{guard}\n\n{sql_parts.joined()}"


def files_to_install(server):
    """(what, where under pkglibdir or sharedir/extension) for one server; what is a path or the text itself."""
    version = house.extension_version()
    libraries = [(library(server), "pg_persona.so", 0o755), (SCORER, "persona-onnx", 0o755)]
    if setup.ONNXRUNTIME.exists():
        libraries.append((setup.ONNXRUNTIME, "libonnxruntime.so", 0o755))
    scripts = [
        (ROOT / "pg_persona.control", "pg_persona.control", 0o644),
        (install_script(), f"pg_persona--{version}.sql", 0o644),
        *((path, path.name, 0o644) for path in sorted((ROOT / "sql").glob("pg_persona--*--*.sql"))),
    ]
    return libraries, scripts


def install(config):
    server = server_of(config)
    libraries, scripts = files_to_install(server)
    folders = (Path(house.pg_config_value(config, "--pkglibdir")),
               Path(house.pg_config_value(config, "--sharedir")) / "extension")
    try:
        for folder, files in zip(folders, (libraries, scripts)):
            for source, name, mode in files:
                put(source, folder / name, mode)
    except PermissionError as refused:
        raise Trouble(f"{refused.filename} cannot be written: run the install as the owner of that server's files") from None
    say(f"installed pg_persona {house.extension_version()} into {folders[0]}")


def put(source, target, mode):
    """Replaces by rename: a running server keeps the file that it has mapped."""
    if isinstance(source, Path):
        if not source.exists():
            raise Trouble(f"{source.relative_to(ROOT)} is missing: make build")
        had, has = target.stat() if target.exists() else None, source.stat()
        if had and (had.st_size, had.st_mtime_ns) == (has.st_size, has.st_mtime_ns):
            return
    fresh = target.with_name(f".{target.name}.new")
    if isinstance(source, Path):
        shutil.copy2(source, fresh)
    else:
        fresh.write_text(source)
    fresh.chmod(mode)
    fresh.rename(target)


def package(configs):
    """A tarball per server, laid out as pkglibdir/ and extension/ with the licences beside them."""
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    for config in configs:
        server = server_of(config)
        stem = f"pg_persona-{house.extension_version()}-pg{server}-linux-x86_64"
        libraries, scripts = files_to_install(server)
        stage = dist / stem
        shutil.rmtree(stage, ignore_errors=True)
        for folder, files in (("pkglibdir", libraries), ("extension", scripts)):
            (stage / folder).mkdir(parents=True)
            for source, name, mode in files:
                put(source, stage / folder / name, mode)
        for document in ("LICENSE", "README.md", "CHANGELOG.md"):
            put(ROOT / document, stage / document, 0o644)
        for notice in ("LICENSE", "ThirdPartyNotices.txt"):
            if (setup.ONNXRUNTIME.parent / notice).exists():
                put(setup.ONNXRUNTIME.parent / notice, stage / f"onnxruntime-{notice}", 0o644)
        with tarfile.open(dist / f"{stem}.tar.gz", "w:gz") as tarball:
            tarball.add(stage, stem)
        shutil.rmtree(stage)
        say(f"dist/{stem}.tar.gz")


def lint(configs):
    deny = ["--", "-D", "warnings"]
    spot()
    rooms.check()
    messages.check()
    say("cargo fmt --check")
    cargo(["fmt", "--check"])
    say("clippy: the maths alone")
    cargo(["clippy", "--all-targets", *deny])
    say("clippy: the ONNX process")
    cargo(["clippy", "--all-targets", "--features", "onnx-runtime", *deny])
    for config in configs:
        server = server_of(config)
        say(f"clippy: PostgreSQL {server}")
        # In the release profile, so that the generated bindings are shared with the build.
        cargo(["clippy", "--release", "--all-targets", *server_arguments(server), *deny], config)


def spot():
    """pgspot over the install script: names and operators that a hostile search_path could take over."""
    say("pgspot: the install script")
    # It does not read bodies of the forms RETURN … and BEGIN ATOMIC …; they are parsed when they are made, with the script's own search_path.
    script = re.sub(r"CREATE FUNCTION [^;]*\bBEGIN ATOMIC\b[^;]*;\s*END;", "", install_script())
    script = re.sub(r"CREATE FUNCTION [^;]*\bRETURN [^;]*;", "", script)
    folder = ROOT / "target"
    folder.mkdir(exist_ok=True)
    file = folder / "install.sql"
    file.write_text(script)
    # A procedure that commits can have no search_path of its own; every name in this one is qualified.
    job = "persona.refit_job(model text,force boolean,max_loss double precision)"
    done = house.run([house.venv("lint").parent / "pgspot", "--proc-without-search-path", job, file], quiet=True, check=False)
    if done.returncode != 0 or not re.search(r"Errors: 0 Warnings: 0 Unknown: 0", done.stdout):
        raise Trouble(f"pgspot:\n{done.stdout}")


def body():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["build", "install", "package", "lint"], nargs="+")
    parser.add_argument("--pg-config", action="append", help="default: the servers under .pg")
    arguments = parser.parse_args()
    configs = [Path(shutil.which(one) or one) for one in arguments.pg_config or []]
    if not configs:
        # There is a package for every supported server; the rest is done for those that `make test` runs on.
        servers = house.ALL_SERVERS if "package" in arguments.step else house.SERVERS
        setup.setup(servers)
        configs = [house.pg_config(server) for server in servers]
        if "lint" in arguments.step:
            setup.postgresql_16()
    linted = configs if arguments.pg_config else [*configs, house.pg_config("16")]
    steps = {"build": build, "package": package, "lint": lambda _: lint(linted),
             "install": lambda all_of_them: [install(config) for config in all_of_them]}
    for step in arguments.step:
        steps[step](configs)


if __name__ == "__main__":
    house.main(body)
