"""What a push and a publication are told by their options and facts: each gate on each way, and nothing pinned unproved."""

import json
from dataclasses import replace

import pytest
from expect import raises
from huggingface_hub import HfApi
from zoo_samples import CARD, small_model

import medzoo
from medzoo.errors import LicenseError, PublishError
from medzoo.zoo.download import hub_client
from medzoo.zoo.download.hub_client import RemoteFile
from medzoo.zoo.folder.card import render
from medzoo.zoo.folder.facts import Source
from medzoo.zoo.folder.read_write import read_folder
from medzoo.zoo.publish.publish import notice, publish
from medzoo.zoo.publish.push import plan_push
from medzoo.zoo.registry import registry
from medzoo.zoo.registry.locations import WEIGHTS, cached_folder


@pytest.fixture
def hub(hub_server):
    for name in ("org", "medzoo"):
        hub_server.members[name] = {hub_server.owner}
    return hub_server


@pytest.mark.parametrize(("options", "private"), [((), True), (("--private",), True), (("--public",), False)])
def test_the_command_makes_a_repository_as_asked(run, folder, hub, options, private):
    assert run("push", folder, "org/name", *options)[0] == 0
    assert HfApi().repo_info("org/name").private is private


def test_the_command_opens_a_pull_request_or_commits_to_a_branch(run, folder, hub):
    HfApi().create_repo("org/name")
    code, out, _ = run("push", folder, "org/name", "--pr")
    assert code == 0 and "/discussions/1" in out
    assert "config.json" not in HfApi().list_repo_files("org/name")
    assert run("push", folder, "org/name", "--revision", "v2")[0] == 0
    assert "config.json" in HfApi().list_repo_files("org/name", revision="v2")
    assert "config.json" not in HfApi().list_repo_files("org/name")


BARRED = {
    "an unknown licence": {"license": "unknown"},
    "terms that forbid it": {"license": {"id": "other", "redistributable": False, "url": "https://example.org"}},
    "barred weights behind it": {
        "lineage": [{"data": "a", "name": "base", "redistributable": False}, {"data": "drawn"}]
    },
    "an earlier licence without derivatives": {
        "lineage": [{"data": "a", "name": "base", "license": "CC-BY-NC-ND-4.0"}, {"data": "drawn"}]
    },
}


@pytest.mark.parametrize("why", BARRED)
def test_every_way_to_the_hub_has_the_gate(run, tmp_path, hub, why):
    folder = medzoo.save(small_model(), tmp_path / "f", card={**CARD, **BARRED[why]})
    for call in (
        lambda: medzoo.push(folder, "org/name"), lambda: medzoo.push(folder, "org/name", dry_run=True),
        lambda: medzoo.push(folder, "org/name", create_pr=True), lambda: plan_push(folder, "org/name"),
        lambda: medzoo.push(small_model(), "org/name", card={**CARD, **BARRED[why]}),
    ):  # fmt: skip
        with pytest.raises(LicenseError):
            call()
    for options in ((), ("--dry-run",), ("--pr",), ("--public",)):
        code, _, err = run("push", folder, "org/name", *options)
        assert code == 1 and "Traceback" not in err
    assert hub.log == []
    assert plan_push(folder, "org/name", hub=tmp_path / "hub").texts  # a directory of one's own is no publication


@pytest.mark.parametrize("identifier", ["cc-by-nd-4.0", "CC-BY-NC-ND-3.0"])
def test_terms_without_derivatives_are_for_the_weights_themselves(tmp_path, hub, identifier):
    lineage = [{"data": "a", "name": "base", "license": identifier}, {"data": "drawn"}]
    changed = medzoo.save(small_model(), tmp_path / "changed", card={**CARD, "license": identifier, "lineage": lineage})
    with raises(LicenseError, "license-forbids-derivatives", match="base"):
        plan_push(changed, "org/name")
    own = medzoo.save(small_model(), tmp_path / "own", card={**CARD, "license": identifier})
    assert plan_push(own, "org/name").texts


@pytest.mark.parametrize(
    ("identifier", "source", "needed"),
    [("MIT", True, True), ("bsd-3-clause", True, True), ("mit", False, False), ("cc-by-4.0", True, False)],
)
def test_a_licence_that_needs_its_text(tmp_path, hub, identifier, source, needed):
    """Of weights that others made: the text names the holders of the copyright."""
    folder = medzoo.save(small_model(), tmp_path / "f", card={**CARD, "license": identifier})
    config = json.loads((folder / "config.json").read_text())
    if source:
        config["medzoo"]["source"] = {"format": "timm", "file": "x.pt", "sha256": "0" * 64, "size": 1}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text(render(read_folder(folder)))
    if needed:
        for call in (lambda: medzoo.push(folder, "org/name", dry_run=True), lambda: plan_push(folder, "org/name")):
            with raises(LicenseError, "license-text-required", match="LICENSE"):
                call()
        assert medzoo.push(folder, "lab/name", hub=tmp_path / "hub")  # a directory of the user is not a publication
        (folder / "LICENSE").write_text("Copyright (c) 2020 The authors")
    assert ("LICENSE" in plan_push(folder, "org/name").texts) == needed


def test_a_card_is_judged_with_an_exit_code(run, folder):
    assert run("card", folder, "--check")[0] == 0
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace('license: "apache-2.0"', "license: free"))
    code, out, _ = run("card", folder, "--check")
    assert code == 1 and "free" in out


def test_what_the_hub_holds_is_looked_at_before_anything_is_pinned(entry, hub, monkeypatch):
    name = entry(
        'access = "direct"\nurl = "https://example.org/x"', license="CC-BY-4.0", extra='[citation]\ntitle = "A"\n'
    )
    medzoo.save(small_model(num_classes=0), cached_folder(name), card=medzoo.info(name))
    text = (registry.config_dir() / f"{name}.toml").read_text()
    look_up = hub_client.look_up

    def other(*arguments):
        head = look_up(*arguments)
        return replace(head, files={**head.files, WEIGHTS: RemoteFile(0, "0" * 64)})

    monkeypatch.setattr("medzoo.zoo.publish.publish.look_up", other)
    with raises(PublishError, "published-differs", match="0" * 64):
        publish(name)
    assert (registry.config_dir() / f"{name}.toml").read_text() == text


@pytest.mark.parametrize(
    ("layout", "told", "untold"),
    [
        (
            "keras-resnet50",
            ("order RGB, not BGR", "kernels are transposed", "biases of convolutions are folded"),
            ("position",),
        ),
        ("radimagenet-torch-resnet50", ("order RGB, not BGR",), ("transposed", "folded")),
        (
            "dinov2-vitb14-reg4",
            ("the class token has its position added", "token of masked patches"),
            ("BGR", "transposed"),
        ),
        ("moco-v2", ("projection head", "queue of negatives"), ("BGR", "folded", "state of the training")),
        ("timm", (), ("BGR", "transposed", "folded", "position")),
    ],
)
def test_a_notice_says_what_was_changed(entry, folder, layout, told, untold):
    """CC-BY and Apache-2.0 ask for it; by hand for each kind of change."""
    name = entry(
        'access = "direct"\nurl = "https://example.org/x.pth"', extra='[citation]\ntitle = "A paper"\nyear = 2020\n'
    )
    config = read_folder(folder)
    facts = replace(config.facts, source=Source(layout, "x.pth", "0" * 64, 1))
    text = notice(medzoo.info(name), replace(config, facts=facts))
    changes = next(line for line in text.splitlines() if line.startswith("Changes: "))
    assert "timm's names" in changes and all(words in changes for words in told)
    assert not any(words in changes for words in untold)
    assert "A paper, 2020" in text and "https://example.org/x.pth, file x.pth" in text and "MIT" in text
