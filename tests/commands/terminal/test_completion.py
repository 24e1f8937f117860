"""A press of TAB: names and values that fit the typed text, from a process that imports no torch, and never an error."""

import os
import shutil
import subprocess
import sys

import pytest

import medzoo
from medzoo.commands.terminal import completion
from medzoo.commands.terminal.columns import COLUMNS
from medzoo.data.task_registry import list_tasks

SCRIPT = "import sys; sys.argv = ['medzoo']; from medzoo.cli import main; main()"


@pytest.fixture
def tab(commands, monkeypatch, capsys):
    """The completions of a line at its end, as bash asks for them, in this process."""

    def press(line: str) -> list[str]:
        words = line.split()
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) if line.endswith(" ") else len(words) - 1))
        monkeypatch.setenv("_MEDZOO_COMPLETE", "complete_bash")
        with pytest.raises(SystemExit) as end:
            commands(prog_name="medzoo")
        out, err = capsys.readouterr()
        assert not end.value.code and err == ""
        return out.split()

    return press


@pytest.mark.parametrize(
    "command",
    ["info", "fetch", "check", "convert file.pt", "card", "publish", "predict", "table --control", "compare a"],
)
def test_names_of_checkpoints(tab, command):
    assert tab(f"medzoo {command} resnet50-si") == [n for n in medzoo.list_models() if n.startswith("resnet50-si")]


@pytest.mark.parametrize(
    "command", ["tasks info", "tasks check", "tasks duplicates", "shards", "table --task", "results list s --task"]
)
def test_names_of_tasks(tab, command):
    assert tab(f"medzoo {command} phantom_") == [name for name in list_tasks() if name.startswith("phantom_")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("medzoo inf", ["info"]),
        ("medzoo tasks ch", ["check"]),
        ("medzoo list --meth", ["--method"]),
        ("medzoo list --method mocov", ["mocov1", "mocov2", "mocov3"]),
        ("medzoo list --modality C", ["CT", "CXR"]),
        ("medzoo list --license cc", ["cc-by-nc-4.0"]),
        ("medzoo list --license CC", ["CC-BY-NC-4.0"]),
        ("medzoo list --architecture resnet1", ["resnet101", "resnet10t", "resnet152", "resnet18", "resnet18_cifar"]),
        ("medzoo list --data radnet", ["radnet12m", "radnet1m"]),
        ("medzoo list --columns name,ye", ["name,year"]),
        ("medzoo tasks list --kind multi", ["multiclass", "multilabel"]),
        ("medzoo tasks list --source d", ["drawn", "download"]),
        ("medzoo table --suite jonske", ["jonske2023", "jonske2023_linear"]),
        ("medzoo results list store --protocol dinov2", ["dinov2_linear"]),
        ("medzoo predict --device ", ["auto", "cpu"]),
        ("medzoo info no-such", []),
    ],
)
def test_commands_options_and_values(tab, line, found):
    assert tab(line) == found


def test_columns_are_not_offered_twice():
    assert completion.columns("") == list(COLUMNS)
    assert "name,size,size" not in completion.columns("name,size,") and "name,size,year" in completion.columns(
        "name,size,"
    )


def test_the_cache_lists_what_is_in_it(tab, private_home):
    assert tab("medzoo cache prune ") == []  # there is no cache yet
    (private_home / "checkpoints" / "resnet50-imagenet").mkdir(parents=True)
    (private_home / "checkpoints" / ".tmp-x").mkdir()
    assert tab("medzoo cache prune ") == ["resnet50-imagenet"]


def test_a_broken_entry_of_the_user_stays_silent(tab, private_home, recwarn):
    (private_home / "hub_configs").mkdir(parents=True)
    (private_home / "hub_configs" / "resnet18-broken.toml").write_text("not toml")
    assert "resnet18-broken" in tab("medzoo info resnet18")
    assert tab("medzoo list --method byo") == ["byol"] and not recwarn.list


def test_an_error_is_no_completion(tab, monkeypatch):
    def fail():
        raise OSError("disk on fire")

    monkeypatch.setattr("medzoo.zoo.registry.registry.names", fail)
    assert tab("medzoo info res") == []


@pytest.mark.parametrize("line", ["medzoo info res", "medzoo list --method s", "medzoo tasks info ph"])
def test_no_heavy_library_is_imported(line):
    code = f"{SCRIPT[:-8]}\ntry: main()\nexcept SystemExit: pass\n"
    code += "print([name for name in ('torch', 'timm', 'pandas', 'huggingface_hub') if name in sys.modules])"
    environment = {**os.environ, "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "_MEDZOO_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == "" and done.stdout.splitlines()[-1] == "[]" and len(done.stdout.splitlines()) > 1


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish(shell):
    environment = {**os.environ, "_MEDZOO_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**environment, "_TYPER_COMPLETE_ARGS": "medzoo info resnet50-rad"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "resnet50-radimagenet" in done.stdout and "resnet50-imagenet" not in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_a_real_bash(tmp_path):
    """The script that --show-completion prints, in a bash that finds `medzoo` on its PATH."""
    program = tmp_path / "medzoo"
    program.write_text(f"#!{sys.executable}\n{SCRIPT}\n")
    program.chmod(0o755)
    lines = [
        'eval "$(_MEDZOO_COMPLETE=source_bash medzoo)"',
        "complete -p medzoo",
        "COMP_WORDS=(medzoo tasks info phantom_c) COMP_CWORD=3",
        "_medzoo_completion medzoo",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == "" and "-F _medzoo_completion medzoo" in done.stdout
    assert done.stdout.splitlines()[1:] == ["phantom_chest", "phantom_ct"]
