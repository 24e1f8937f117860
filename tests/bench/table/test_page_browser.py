"""The page of a table in a browser: sort, filter, undo, open a cell, copy a command, and no request leaves."""

import csv
import io
from dataclasses import replace

import pytest
from headless_browser import Browser, find_browser

from medzoo.bench.statistics.comparison import Comparison
from medzoo.bench.statistics.intervals import Interval
from medzoo.bench.table.statistics import CellStatistics, ControlDifference
from medzoo.bench.table.table import table

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="needs Chromium (Debian: apt-get install chromium) on the PATH"
)
NETS = {
    "resnet18-random": 0.6,
    "resnet18-imagenet": 0.9,
    "resnet50-radimagenet": 0.8,
    "resnet18-simclr-phantom_ct": 0.7,
}
ORDER = list(NETS)
SHOWN = "[...document.querySelectorAll('#table tbody tr:not(.group) th')].map(th => th.textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(find_browser(), tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


def compared(value, control=0.6):
    verdict = "better" if value > control else "undecided"
    against = Comparison(value - control, value - control - 0.03, value - control + 0.03, 0.01, verdict)
    return CellStatistics(
        Interval(value, value - 0.02, value + 0.02, 9.0, 2, 80),
        (ControlDifference("random", against, 0.02, 6),),
        (1, 2) if value > 0.75 else (3, 4),
        value > 0.75,
        reliability=((0.1, 0.2), (0.5, 0.45), (0.9, 0.8)),
    )


@pytest.fixture
def made(make_run):
    """Four checkpoints, a task at two shares of the images, and a task that two of them have."""
    runs = []
    for number, (net, value) in enumerate(NETS.items()):
        for seed in range(2):
            named = {"checkpoint": net, "seed": seed, "checkpoint__arch": net.split("-")[0]}
            runs += [make_run(value=value - (1 - s) / 9, protocol__label_fraction=s, **named)[0] for s in (0.1, 1.0)]
            if number < 2:
                runs.append(make_run(value=value, task="phantom_ct", **named)[0])
    for run in runs:
        run["train"]["wall_s"] = 10.0 + len(run["identity"]["checkpoint"]["id"])
    whole = table(runs, title="Four checkpoints")
    grid = tuple(
        tuple(replace(cell, statistics=compared(cell.mean) if cell.runs else None) for cell in cells)
        for cells in whole.grid
    )
    return replace(whole, grid=grid)


@pytest.fixture
def page(browser, made, tmp_path):
    """The page, opened at an address; without errors and requests at the end."""
    path = tmp_path / "table.html"
    path.write_text(made.to_html(), encoding="utf-8")

    def opened(fragment="", **size):
        browser.open(f"file://{path}#{fragment}", **size)
        return browser

    yield opened
    assert browser.problems == [] and {address.partition("#")[0] for address in browser.requests} == {f"file://{path}"}


def column(made, title):
    return [c.title for c in made.columns].index(title)


def press(browser, selector, number=0):
    browser.run(f"document.querySelectorAll({selector!r})[{number}].click()")


def test_a_heading_sorts_best_first_and_missing_values_last(page, made):
    tab, ct = page(), column(made, "phantom_ct") + 1
    assert tab.run(SHOWN) == [
        "resnet18-random",
        "resnet18-imagenet",
        "resnet18-simclr-phantom_ct",
        "resnet50-radimagenet",
    ]
    first = tab.run(SHOWN)
    press(tab, "#table thead button", ct)
    assert tab.run(SHOWN)[:2] == ["resnet18-imagenet", "resnet18-random"]
    assert tab.run("heads.map(head => head.getAttribute('aria-sort'))").count("descending") == 1
    press(tab, "#table thead button", ct)
    assert tab.run(SHOWN)[:2] == ["resnet18-random", "resnet18-imagenet"]
    assert set(tab.run(SHOWN)[2:]) == {"resnet50-radimagenet", "resnet18-simclr-phantom_ct"}
    press(tab, "#table thead button", ct)
    assert tab.run(SHOWN) == first and tab.run("location.hash") == ""


def test_filters_are_in_the_address_and_can_be_undone(page):
    tab = page()
    press(tab, "#filters button")  # the first architecture
    assert tab.run("location.hash") == "#architecture=resnet18" and len(tab.run(SHOWN)) == 3
    tab.run("document.getElementById('find').focus()")
    for letter in "simclr":
        tab.write(letter)
    assert tab.run(SHOWN) == ["resnet18-simclr-phantom_ct"]
    assert tab.run("document.getElementById('count').textContent") == "1 of 4 checkpoints, 3 of 3 columns"
    press(tab, "#undo")  # all letters
    assert len(tab.run(SHOWN)) == 3
    press(tab, "#undo")
    assert len(tab.run(SHOWN)) == 4 and tab.run("document.getElementById('undo').disabled")
    press(tab, "#filters button")
    press(tab, ".active button")  # a filter that is shown takes itself away
    assert len(tab.run(SHOWN)) == 4
    tab.run("location.hash = '#method=simclr&method=supervised&sort=name.down'")
    tab.wait("document.querySelectorAll('#table tbody tr').length === 3")
    press(tab, "#reset")
    assert len(tab.run(SHOWN)) == 4


def test_an_address_shows_its_view_again(page):
    tab = page("group=method&sort=name.down&architecture=resnet18&architecture=unknown&hide=zzz&full=1")
    groups = tab.run("[...document.querySelectorAll('tr.group')].map(row => row.textContent)")
    assert groups == ["random weights (1)", "simclr (1)", "supervised (1)"] and len(tab.run(SHOWN)) == 3
    assert tab.run("document.querySelectorAll('.fact').length") > 0
    assert tab.run("location.hash") == "#sort=name.down&group=method&full=1&architecture=resnet18"


def test_a_cell_opens_by_keyboard_and_its_command_is_copied(page, made):
    tab = page()
    tab.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    tab.run("document.querySelector('#table summary').focus()")
    tab.press("ArrowDown")
    tab.press("Enter")
    tab.wait("document.getElementById('cell').open")
    text = tab.run("document.getElementById('cell').textContent")
    assert "resnet18-imagenet" in text and "95 % interval" in text and "better, adjusted p 0.020" in text
    assert "Possible ranks1–2, may be the best" in text
    press(tab, "#cell tbody button", 1)
    command = str(made.grid[1][0].runs[1].command)
    assert tab.run("document.getElementById('command').textContent") == command and "--seed 1" in command
    press(tab, "#copy")
    tab.wait("document.getElementById('copy').textContent === 'Copied'")
    assert tab.run("navigator.clipboard.readText()") == command
    linked = tab.run("location.hash")
    tab.press("Escape")
    tab.wait("!document.getElementById('cell').open")
    tab.wait("document.activeElement.tagName === 'SUMMARY'")
    assert tab.run("location.hash") == ""
    assert page(linked.lstrip("#")).run("document.getElementById('cell').open")


def test_every_command_on_the_page_is_that_of_the_run(page, made):
    shown = page().run(
        "ROWS.map(row => row.cells.map(cell => (cell ? cell.runs : []).map(run => commandOf(row, run))))"
    )
    assert shown == [[[str(run.command) for run in cell.runs] for cell in cells] for cells in made.grid]


def test_the_view_is_saved_as_csv(page, made):
    tab = page("sort=name.up")
    press(tab, "#columns fieldset:last-child button", 1 + column(made, "phantom_chest"))
    rows = list(csv.DictReader(io.StringIO(tab.run("csv()"))))
    assert len(rows) == 4 * 2 and [row["checkpoint"] for row in rows[::2]] == sorted(NETS)
    missing = [row for row in rows if row["mean"] == ""]
    assert {row["task"] for row in missing} == {"phantom_ct"} and len(missing) == 2 and missing[0]["n"] == ""
    best = next(row for row in rows if row["checkpoint"] == "resnet18-imagenet" and row["task"] == "phantom_ct")
    assert float(best["mean"]) == pytest.approx(0.9) and float(best["low"]) == pytest.approx(0.88)
    assert best["method"] == "supervised" and best["reported"] == "no"


def test_plots_follow_the_view_and_are_shown_only_with_data(page, browser, make_run, tmp_path):
    tab = page()
    assert tab.run("[...document.querySelectorAll('#plots > details')].map(one => one.id)") == [
        "plot-forest", "plot-ranks", "plot-curves", "plot-reliability", "plot-cost",
    ]  # fmt: skip
    tab.run("document.querySelectorAll('#plots > details').forEach(one => { one.open = true; })")
    tab.wait("document.querySelectorAll('#plot-forest figure').length === 3")
    assert tab.run("document.querySelectorAll('#plot-curves polyline').length") == 4
    assert tab.run("document.querySelectorAll('#plot-ranks svg')[0].getAttribute('aria-label')").count("1–2") >= 1
    tab.run("set({only: {architecture: ['resnet50']}})")
    assert tab.run("document.querySelectorAll('#plot-curves polyline').length") == 1
    assert "no data" in tab.run("document.getElementById('plot-ranks').textContent")


def test_a_table_of_one_run_has_no_plots(browser, make_run, tmp_path):
    (tmp_path / "one.html").write_text(table([make_run()[0]]).to_html(), encoding="utf-8")
    browser.open(f"file://{tmp_path}/one.html")
    assert browser.run("document.getElementById('plots').hidden") and browser.problems == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_is_never_wider_than_the_screen(page, width):
    tab = page(width=width, height=844)
    tab.run("document.querySelectorAll('details, .panel').forEach(one => { one.open = true; one.hidden = false; })")
    assert tab.run("document.documentElement.scrollWidth") == width
    press(tab, "#table summary")
    assert tab.run("document.getElementById('cell').getBoundingClientRect().right") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(page, scheme):
    """The ratio that the guidelines for web content ask for (4.5), for each colour of a text on both grounds."""
    tab = page()
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    ratios = tab.run(
        """(() => { const light = name => { const made = el("i"); document.body.append(made); made.style.color = `var(${name})`;
        const parts = getComputedStyle(made).color.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
          .map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
        made.remove(); return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2]; };
        return ["--ink", "--soft", "--link", "--better", "--worse", "--same", "--warn"]
          .flatMap(name => ["--paper", "--band"].map(ground => {
          const [a, b] = [light(name), light(ground)].sort((x, y) => y - x); return [name, (a + .05) / (b + .05)]; })); })()"""
    )
    assert len(ratios) == 14 and not [one for one in ratios if one[1] < 4.5]


def test_every_control_has_a_name_for_screen_readers(page):
    tab = page()
    press(tab, "#table summary")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node for node in nodes
        if not node["ignored"] and node.get("role", {}).get("value") in ("button", "link", "combobox", "searchbox", "dialog")
    ]  # fmt: skip
    assert len(controls) > 4 and all(node.get("name", {}).get("value", "").strip() for node in controls)


def test_print_shows_the_table_without_controls(page):
    tab = page()
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.getElementById('tools')).display") == "none"
    assert tab.run("getComputedStyle(document.getElementById('wide')).maxHeight") == "none"
    tab.call("Emulation.setEmulatedMedia", media="")


def test_hostile_names_stay_text(browser, make_run, tmp_path):
    name = "<img src=x onerror=alert(1)>{checkpoint}$&'\""
    runs = [make_run(checkpoint=name, task="=cmd()<b>", seed=seed)[0] for seed in range(2)]
    made = table(runs, checkpoints={name: f"{name}</script>"}, title="<i>t")
    (tmp_path / "t.html").write_text(made.to_html(), encoding="utf-8")
    browser.open(f"file://{tmp_path}/t.html")
    press(browser, "#table summary")
    assert browser.run("document.querySelector('#table tbody th').firstChild.textContent")[0] == "<"
    assert browser.run("document.getElementById('cell-title').textContent") == f"{name}</script>"
    assert browser.run("document.getElementById('command').textContent") == str(made.grid[0][0].runs[0].command)
    assert browser.run("document.querySelectorAll('img').length") == 0 and browser.problems == []
    assert "'=cmd()" in browser.run("csv()")
