"""How a page shows a stored analysis: all texts escaped, figures inside of the page, long tables cut with a note."""

import base64

from analysis_samples import SVG, analysis_content, put_sample

from medzoo.bench.analyses import section
from medzoo.bench.analyses.record import put_analysis
from medzoo.bench.analyses.section import section_html, shown


def test_a_section_has_question_answer_figure_and_table(tmp_path):
    (one,) = shown([put_sample(tmp_path)])
    page = section_html(one)
    assert "How far did each layer move?" in page and "layer4 moved most: 0.500." in page
    assert base64.b64encode(SVG).decode() in page and '<td class="n">0.250</td>' in page
    assert "layer4 &lt;b&gt;" in page and "<b>" not in page and "—" in page
    assert one.numeric == (False, True) and ("input", "32 px") in one.facts


def test_a_large_drawing_is_a_picture_and_a_page_has_a_limit(tmp_path, monkeypatch):
    made = put_sample(tmp_path)
    monkeypatch.setattr(section, "LARGEST_SVG", 10)
    assert shown([made])[0].figure.startswith("data:image/png")
    monkeypatch.setattr(section, "LARGEST_PAGE", 10)
    (one,) = shown([made])
    assert not one.figure and made.path.name in section_html(one)


def test_a_long_table_is_cut_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(section, "LONGEST_TABLE", 3)
    content = analysis_content(table=[{"row": number} for number in range(8)])
    (one,) = shown([put_analysis(tmp_path, content, {"svg": SVG, "png": b"p"})])
    assert len(one.lines) == 3 and one.left_out == 5 and "5 more rows" in section_html(one)


def test_an_analysis_without_a_table_is_shown(tmp_path):
    (one,) = shown([put_analysis(tmp_path, analysis_content(table=[]), {"svg": SVG, "png": b"p"})])
    assert one.lines == () and "<table" not in section_html(one)


def test_an_analysis_of_training_images_says_which(tmp_path):
    content = analysis_content()
    content["identity"]["inputs"]["training_images"] = {"sha256": "0" * 64, "count": 1200, "split": "train", "seed": 3}
    (one,) = shown([put_analysis(tmp_path, content, {"svg": SVG, "png": b"p"})])
    assert ("images", "1,200 of the train split, seed 3") in one.facts
