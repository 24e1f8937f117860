from medzoo.data.validation.extra_files import extra_files
from medzoo.errors import DataContractError


def test_problems_are_recognized_by_code_and_not_by_their_words(tmp_path):
    absent = DataContractError("any words", code="images-missing", offenders=["x/b 1.png"])
    refused = DataContractError("is not below, does not exist", code="label-empty", offenders=["c.png: ''"])
    for name in ("a.png", "c.png", "old/b 1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = extra_files(tmp_path, ["a.png"], [absent, refused])
    assert len(found.problems) == 1 and "another place: old/b 1.png." in found.problems[0] and found.notes == []
