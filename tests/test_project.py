"""The project as a whole: what lies where, what is locked, which way the imports go."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.databases import PROJECT

TOP_LEVEL = {
    *(
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "requirements.lock",
        "requirements-dev.lock",
    ),
    *("src", "rules", "migrations", "tests", "deploy"),
    *(".ci", ".gitignore", ".editorconfig"),
}
LOCKS = ("requirements.lock", "requirements-dev.lock")
LONGEST_MODULE = 500
# Spelt in parts, so that this file does not hold what it looks for.
MACHINE_FOLDERS = ("wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers", "t" + "mp")
MACHINE_PATH = re.compile(rf"(?<![\w.$}}/-])/(?:{'|'.join(MACHINE_FOLDERS)})/")
PURE = ("model", "rules", "duties", "decide", "ledger")
# Calls that read something other than their arguments. `verifier.py` is a program of its own.
IMPURE_CALLS = {"open", "input", "print", "now", "today", "utcnow", "uuid1", "uuid4", "uuid7", "read_text"}


def tracked_files() -> list[Path]:
    """The files under version control, or all but the ignored ones where there is no git."""
    if shutil.which("git") is None or not (PROJECT / ".git").exists():
        pytest.skip("no git checkout: which files belong to the project cannot be told")
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "-z"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (PROJECT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def locked(name: str) -> dict[str, Requirement]:
    """The requirements of a lock file that apply to this interpreter, by canonical name."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    return {
        canonicalize_name(requirement.name): requirement
        for requirement in found
        if requirement.marker is None or requirement.marker.evaluate()
    }


def test_the_top_level_holds_exactly_the_agreed_names() -> None:
    """At the top level lie the agreed files and folders, all of them and no others."""
    assert {path.relative_to(PROJECT).parts[0] for path in tracked_files()} == TOP_LEVEL


def test_no_tracked_file_names_a_folder_of_one_machine() -> None:
    """The project works wherever it is checked out."""
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:100]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_the_search_for_machine_paths_finds_one() -> None:
    """The pattern of the test above knows a path when it sees one, and leaves addresses alone."""
    assert MACHINE_PATH.search('"/' + 'work/main"')
    assert MACHINE_PATH.search("cd /" + "root/.cache")
    assert not MACHINE_PATH.search("https://example.org/" + "home/page")


def test_no_module_is_too_long() -> None:
    """A module of more than 500 lines holds two things.

    Except the verifier: an auditor copies one file, which must stand alone.
    """
    long = {
        str(path.relative_to(PROJECT)): count
        for path in [*(PROJECT / "src").rglob("*.py"), *(PROJECT / "migrations").rglob("*.py")]
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
        and path != PROJECT / "src/controls/ledger/verifier.py"
    }
    assert long == {}


def test_the_frozen_distribution_of_casbin_is_not_installed() -> None:
    """`casbin` and `pycasbin` write the same folder; only `pycasbin` is maintained."""
    installed = {
        canonicalize_name(distribution.metadata["Name"]) for distribution in metadata.distributions()
    }
    assert "pycasbin" in installed
    assert "casbin" not in installed
    for name in LOCKS:
        assert "casbin" not in locked(name)


@pytest.mark.parametrize("name", LOCKS)
def test_everything_locked_has_an_exact_version_and_hashes(name: str) -> None:
    """Each requirement is pinned with `==` and at least one SHA-256."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)[1:]
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9._-]+==\S+( ; [^\\]+)? \\\n", block), block[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block[:80]


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_file_names_an_index(name: str) -> None:
    """Where packages come from is the business of the machine, not of the project."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|file:|--index-url|--extra-index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize(("name", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("dev",))])
def test_the_lock_files_fit_pyproject(name: str, extras: tuple[str, ...]) -> None:
    """Every direct dependency is locked at a version that pyproject.toml allows."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    lock = locked(name)
    for text in wanted:
        requirement = Requirement(text)
        pinned = lock[canonicalize_name(requirement.name)]
        (version,) = (item.version for item in pinned.specifier)
        assert requirement.specifier.contains(version), f"{text}, but {name} has {version}: run `make lock`"


def test_both_lock_files_agree() -> None:
    """What runs in production is what was tested."""
    production, development = locked("requirements.lock"), locked("requirements-dev.lock")
    for name, requirement in production.items():
        assert str(development[name].specifier) == str(requirement.specifier)


def test_the_environment_is_the_locked_one() -> None:
    """The versions under test are those of requirements.lock."""
    for name, requirement in locked("requirements.lock").items():
        assert requirement.specifier.contains(metadata.version(name), prereleases=True), name


def test_the_import_contracts_are_kept() -> None:
    """Arrows go one way (the contracts are in pyproject.toml)."""
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_layers_that_decide_read_only_their_arguments() -> None:
    """No clock, no file, no randomness in model, rules, duties, decide and ledger: all is passed in."""
    found = [
        f"{path.relative_to(PROJECT)}:{node.lineno}: {called(node)}()"
        for path in pure_modules()
        if path.name != "zones.py"  # reads the pinned package tzdata: a constant, in the form of files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and called(node) in IMPURE_CALLS
    ]
    assert found == []


def pure_modules() -> list[Path]:
    """The modules without input and output."""
    package = PROJECT / "src" / "controls"
    files = [file for name in PURE for file in sorted((package / name).rglob("*.py"))]
    return [file for file in files if file != package / "ledger" / "verifier.py"]


def called(node: ast.Call) -> str:
    """The last part of the name that is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""
