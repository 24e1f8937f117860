"""`medzoo info`: one screen for every checkpoint and folder, with one command at its end; `--all` and `--json` keep all facts."""

import json
import re
from dataclasses import asdict, replace

import pytest
import timm

import medzoo
from medzoo.commands.terminal.info_page import checkpoint_page, folder_page, next_command
from medzoo.zoo.folder.summary import folder_facts

ADDRESS = re.compile(r"https?://[^\s'\"`]+")


def lines_of(page: str) -> list[str]:
    lines = page.splitlines()
    assert len(lines) <= 24 and max(map(len, map(without_address, lines))) <= 100, page
    return lines


def without_address(line: str) -> str:
    """A line that is one URL may be long: it is never broken."""
    return "" if re.fullmatch(r" *https?://\S+", line) else line


@pytest.mark.parametrize("name", medzoo.list_models())
def test_every_checkpoint_fits_a_screen(name, private_home):
    entry = medzoo.info(name)
    page = checkpoint_page(entry, None, None)
    lines = lines_of(page)
    assert lines[0].split()[0] == name and entry.license.id in page and f"mean {entry.input.mean[0]:.4g}" in page
    # the last paragraph is the command, whole
    ending = page.split("\n\n")[-1]
    assert ending.startswith("next")
    words = " ".join(part.rstrip("\\ ").strip() for part in ending.splitlines()).split(": ", 1)[1]
    assert words == next_command(entry)
    narrow = checkpoint_page(entry, None, 80).splitlines()
    assert len(narrow) <= 24 and max(map(len, map(without_address, narrow))) <= 80
    for width in (None, 80, 50):
        shown = ADDRESS.findall(checkpoint_page(entry, None, width))
        assert shown == [one for one in shown if one in ADDRESS.findall(str(asdict(entry)))]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("resnet50-random", "medzoo.load('resnet50-random')"),
        ("resnet50-imagenet", "medzoo fetch resnet50-imagenet"),
        ("resnet50-mocov2-imagenet", "medzoo fetch resnet50-mocov2-imagenet --accept-license"),
        ("resnet50-radimagenet", "medzoo convert ResNet50.pt resnet50-radimagenet"),
    ],
)
def test_the_next_command(name, command, private_home):
    assert next_command(medzoo.info(name)) == command


def test_recipes_end_with_their_command(private_home):
    names = [name for name in medzoo.list_models() if (up := medzoo.info(name).upstream) and up.access == "recipe"]
    assert len(names) == 8
    for name in names:
        command = next_command(medzoo.info(name))
        assert command.startswith("accelerate launch recipes/") and f"--out runs/{name}" in command
        instructions = medzoo.info(name).upstream.instructions
        assert command in instructions


def test_the_longest_entry_fits_a_screen(private_home):
    """Every text of an entry is far too long, and the command takes several lines."""
    long = "a sentence that has no end and says nothing new, " * 60
    entry = medzoo.info("vit_small-mocov3-imagenet-mimic")
    entry = replace(
        entry,
        alias=tuple(f"alias{number}-of-this-entry" for number in range(40)),
        model=replace(
            entry.model, kwargs={f"keyword{n}": n for n in range(60)}, labels=tuple(f"label {n}" for n in range(99))
        ),
        input=replace(entry.input, note=long),
        license=replace(entry.license, note=long, url=f"https://example.org/{'x' * 300}"),
        citation=replace(entry.citation, title=long, paper=f"https://example.org/{'x' * 300}"),
        pretraining=replace(entry.pretraining, data=tuple(f"data{number}" for number in range(80))),
        upstream=replace(
            entry.upstream, url="https://example.org", instructions=f"{long}`{next_command(entry)}`{long}"
        ),
    )
    page = checkpoint_page(entry, None, None)
    lines_of(page)
    assert page.count(f"https://example.org/{'x' * 300}\n") == 2


def test_what_is_shortened_is_in_all_and_json(run):
    code, short, _ = run("info", "resnet50-radimagenet")
    assert code == 0 and "--all shows it" in short and "Juodelyte" not in short
    assert "--all" not in run("info", "resnet50-random")[1]
    for option in ("--all", "--json"):
        code, text, _ = run("info", "resnet50-radimagenet", option)
        assert code == 0 and "(Juodelyte et al.)" in text and "convert your own copy" in text


def test_folders_fit_a_screen_too(run, tmp_path):
    labels = [f"a finding with a long name, number {number}" for number in range(30)]
    note = "One more sentence that says nothing new. " * 30
    card = {"name": "test_resnet-ours", "license": "mit", "data": ["ours", "theirs"] * 4, "labels": labels}
    card |= {"input": {"mean": [0.5] * 3, "std": [0.25] * 3, "note": note}}
    card["results"] = [{"task": f"phantom_{n}", "metric": "auroc", "value": 0.5 + n / 100} for n in range(20)]
    network = timm.create_model("test_resnet", num_classes=30)
    folder = medzoo.save(network, tmp_path / ("long" * 20) / "net", card=card)
    code, page, _ = run("info", folder)
    facts, command = page.split("\n\n")
    assert code == 0 and max(map(len, facts.splitlines())) <= 100 and len(page.splitlines()) <= 24, page
    lines = facts.splitlines()
    assert lines[0] == "test_resnet-ours" and lines[1].endswith("/net") and "phantom_1 auroc 0.51" in page
    assert "30: a finding" in page and "mit; may be published again" in page
    assert command.replace("\\\n", "").split() == [
        "next:", "medzoo", "predict", str(folder), "IMAGES", "--out", "predictions.csv"
    ]  # fmt: skip
    assert json.loads(run("info", folder, "--json")[1])["model"]["labels"] == labels
    code, text, _ = run("info", folder, "--all")
    assert code == 0 and labels[-1] in text


def test_a_folder_without_a_head_is_loaded_in_python(tiny_hub, run):
    folder = tiny_hub / "lab" / "tiny"
    page = folder_page(folder_facts(folder), "lab/tiny", tiny_hub, None)
    assert page.endswith(f"next, in Python: medzoo.load('lab/tiny', hub='{tiny_hub}')")
    assert "medzoo predict lab/tiny" not in page
