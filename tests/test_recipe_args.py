"""What ends a command or a recipe: one clear line and a documented exit code."""

import os

import pytest

from medzoo.errors import ImageError, MedzooError, UsageError
from medzoo.recipe_args import parse, run_main, said_by_system
from medzoo.training.options.trainer import TrainerOptions


def ending(error: BaseException, capsys) -> tuple[int, str]:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        run_main(fail)
    return int(end.value.code), capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotADirectoryError(20, "Not a directory", "/data/file/x"), "error: /data/file/x: Not a directory.\n"),
        (PermissionError(13, "Permission denied", "/data/x"), "error: /data/x: Permission denied.\n"),
        (OSError(18, "Invalid cross-device link", "/a", None, "/b"), "error: /a and /b: Invalid cross-device link.\n"),
        (ConnectionResetError(104, "Connection reset by peer"), "error: Connection reset by peer.\n"),
        (OSError("something odd"), "error: something odd.\n"),
        (TimeoutError(), "error: TimeoutError.\n"),
        (FileNotFoundError(2, "No such file or directory", b"/bytes"), "error: /bytes: No such file or directory.\n"),
    ],
)
def test_what_the_system_refuses_is_one_line(error, says, capsys):
    assert ending(error, capsys) == (1, says)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (UsageError("The size is 0.", code="size-below-one"), (2, "error: The size is 0. [size-below-one]\n")),
        (ImageError("It is cut off.", code="image-cut"), (1, "error: It is cut off. [image-cut]\n")),
        (MedzooError("No code."), (1, "error: No code.\n")),
    ],
)
def test_an_error_is_one_line_with_its_code(error, ends, capsys):
    assert ending(error, capsys) == ends


def test_an_error_of_the_options_has_its_code_too(capsys):
    with pytest.raises(SystemExit):
        parse([TrainerOptions], "", ["--config"], program="x")
    assert capsys.readouterr().err.endswith("x: error: --config needs the path of a TOML file. [config-path-missing]\n")


def test_below_its_home_medzoo_says_which_variable_leads_elsewhere(private_home, capsys):
    code, said = ending(NotADirectoryError(20, "Not a directory", str(private_home / "checkpoints")), capsys)
    assert code == 1 and "MEDZOO_HOME" in said and said.count("\n") == 1


def test_faults_of_the_program_keep_their_traceback():
    def fault() -> None:
        raise KeyError("a fault")

    with pytest.raises(KeyError):
        run_main(fault)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch, capsys):
    (tmp_path / "home").mkdir(mode=0o500)
    with pytest.raises(PermissionError) as refused:
        (tmp_path / "home" / "x").write_text("x")
    assert said_by_system(refused.value) == f"{tmp_path / 'home' / 'x'}: Permission denied."


@pytest.mark.parametrize(
    "command", [("convert", "w.pth", "resnet50-barlowtwins-imagenet"), ("fetch", "resnet50-imagenet")]
)
def test_a_home_that_is_a_file(command, tmp_path, monkeypatch, capsys):
    from medzoo.cli import main

    (tmp_path / "home").write_text("no folder")
    (tmp_path / "w.pth").write_bytes(b"x")
    monkeypatch.setenv("MEDZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["medzoo", *command])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 1 and said.count("\n") == 1 and "Not a directory" in said and "MEDZOO_HOME" in said
