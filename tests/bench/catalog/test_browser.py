"""The catalog in a browser: filters combine and can be undone, addresses show their view, code is copied, no request leaves."""

from pathlib import Path

import pytest
from headless_browser import Browser, find_browser

from medzoo.bench.catalog.build import build_catalog
from medzoo.bench.catalog.render import catalog_html

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="needs Chromium (Debian: apt-get install chromium) on the PATH"
)
DEMO = Path(__file__).resolve().parents[3] / "benchmarks" / "tables" / "demo"


@pytest.fixture(scope="module")
def made():
    return build_catalog(DEMO)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(find_browser(), tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def file(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "catalog.html"
    path.write_text(catalog_html(made), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    """The page, opened at an address; without errors and requests at the end."""

    def opened(fragment="", **size):
        browser.open(f"file://{file}#{fragment}", **size)
        return browser

    yield opened
    assert browser.problems == [] and {address.partition("#")[0] for address in browser.requests} == {f"file://{file}"}


def shown(tab, part="checkpoints"):
    """The names of the shown entries, in their order."""
    return tab.run(
        f"[...document.querySelectorAll('#{part} > li:not([hidden]) summary > b')].map(name => name.textContent)"
    )


def choose(tab, value, part="checkpoints"):
    """Press the filter of a value; returns the count next to it."""
    line = (
        f"[...document.querySelectorAll('#part-{part} .facets label')]"
        f".find(one => one.children[1].textContent.startsWith({value!r}))"
    )
    count = tab.run(f"{line}.querySelector('small').textContent")
    tab.run(f"{line}.querySelector('input').click()")
    return int(count)


def press(tab, selector):
    tab.run(f"document.querySelector({selector!r}).click()")


def find(tab, words, part="checkpoints"):
    tab.run(f"document.querySelector('#part-{part} input[type=search]').focus()")
    for letter in words:
        tab.write(letter)


def test_filters_combine_show_counts_and_can_be_undone(page, made):
    tab = page()
    everything = [one.name for one in made.checkpoints]
    assert shown(tab) == everything
    assert choose(tab, "CXR") == len(shown(tab)) == sum("CXR" in (one.facts.pretraining or one.facts).modalities
        for one in made.checkpoints if one.facts.pretraining)  # fmt: skip
    first = shown(tab)
    assert choose(tab, "by hand") == len(shown(tab)) == 0 and not tab.run("document.querySelector('.none').hidden")
    more = choose(tab, "recipe")  # two values of one filter: either
    assert len(shown(tab)) == more > 3 and tab.run("location.hash") == "#modality=CXR&weights=by+hand&weights=recipe"
    assert tab.run("document.querySelector('.count').textContent") == f"{more} of {len(everything)} checkpoints"
    press(tab, ".undo")
    press(tab, ".undo")
    assert shown(tab) == first
    press(tab, ".active button")  # a chosen filter takes itself away
    assert shown(tab) == everything and tab.run("location.hash") == ""
    choose(tab, "CT")
    press(tab, ".reset")
    assert shown(tab) == everything


def test_the_search_reads_names_old_names_data_and_papers(page):
    tab = page()
    find(tab, "rad-dino")
    assert shown(tab) == ["vit_base-dinov2-cxr_raddino"]
    press(tab, ".undo")  # all letters
    find(tab, "birds simclr")  # every word, in the title of the paper and in the line
    assert shown(tab) and all("simclr" in name for name in shown(tab))
    tab = page("tab=tasks")
    find(tab, "pneumothorax", "tasks")
    assert "siim_pneumothorax" in shown(tab, "tasks") and "chestxray14" in shown(tab, "tasks")
    assert tab.run("document.getElementById('part-checkpoints').hidden")


def test_the_order_is_by_name_parameters_or_year(page, made):
    tab = page("sort=parameters.down")
    counts = {one.name: one.facts.facts["parameters"] for one in made.checkpoints}
    years = {one.name: one.facts.citation.year if one.facts.citation else None for one in made.checkpoints}
    numbers = [counts[name] for name in shown(tab)]
    assert numbers == sorted(numbers, reverse=True)
    tab.run("[...document.querySelectorAll('.head button')].find(one => one.textContent.startsWith('Year')).click()")
    known = [years[name] for name in shown(tab) if years[name]]
    assert known == sorted(known, reverse=True) and all(years[name] is None for name in shown(tab)[len(known) :])
    assert tab.run("location.hash") == "#sort=year.down"
    tab.run("document.querySelector('.tools select').value = 'name.down'")
    tab.run("document.querySelector('.tools select').dispatchEvent(new Event('change'))")
    assert shown(tab) == [one.name for one in made.checkpoints][::-1]


def test_an_address_shows_its_view_and_leaves_out_what_it_does_not_know(page):
    tab = page(
        "tab=tasks&task-modality=OCT&task-modality=nothing&method=simclr&sort=year.up&open=t-octmnist&open=c-nothing&x=1"
    )
    assert shown(tab, "tasks") == ["oct", "octmnist", "phantom_oct"]
    assert tab.run("[...document.querySelectorAll('.entries details[open] > div')].map(one => one.id)") == [
        "t-octmnist"
    ]
    assert tab.run("location.hash") == "#tab=tasks&sort=year.up&method=simclr&task-modality=OCT&open=t-octmnist"
    tab = page("t-folder:PATH")  # as links without the script are
    assert tab.run("document.getElementById('t-folder:PATH').closest('details').open")
    tab.run("location.hash = '#c-resnet18-random'")
    tab.wait("document.getElementById('c-resnet18-random').closest('details').open")
    assert not tab.run("document.getElementById('part-checkpoints').hidden")


def test_an_entry_opens_by_keyboard_and_its_code_is_copied(page, made):
    tab = page("find=radimagenet_keras")
    tab.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    one = next(one for one in made.checkpoints if one.name == "resnet50-radimagenet_keras")
    tab.run(f"document.getElementById('c-{one.name}').closest('details').querySelector('summary').focus()")
    tab.press("Enter")
    tab.wait(f"document.querySelectorAll('#c-{one.name} .copy').length === 4")
    assert tab.run("location.hash") == f"#find=radimagenet_keras&open=c-{one.name}"
    for number, code in enumerate(("medzoo convert", one.code.medzoo, one.code.timm, one.code.transformers)):
        tab.run(f"document.querySelectorAll('#c-{one.name} .copy')[{number}].click()")
        tab.wait(f"document.querySelectorAll('#c-{one.name} .copy')[{number}].textContent === 'Copied'")
        copied = tab.run("navigator.clipboard.readText()")
        assert copied == code or (number == 0 and copied.startswith(code) and copied.endswith(one.name))
    tab.press("Enter")
    tab.wait("location.hash === '#find=radimagenet_keras'")


def test_a_link_of_the_lineage_opens_the_other_checkpoint(page):
    tab = page("find=gmml&open=c-vit_small-gmml-imagenet-oct")
    tab.run(
        "document.querySelector('#c-vit_small-gmml-imagenet-oct .lineage a[href=\"#c-vit_small-imagenet\"]').click()"
    )
    tab.wait("document.getElementById('c-vit_small-imagenet').closest('details').open")
    assert "vit_small-imagenet" in shown(tab) and tab.run("document.activeElement.textContent").strip().startswith(
        "vit_small-imagenet"
    )
    box = tab.run("document.activeElement.getBoundingClientRect().top")
    assert 0 <= box < 800
    press(tab, ".undo")  # the search that hid it is back
    assert all("gmml" in name for name in shown(tab))


@pytest.mark.parametrize("width", [390, 790, 990, 1010, 1240, 1260, 1400])
def test_the_page_is_never_wider_than_the_screen(page, width):
    tab = page(width=width, height=844)
    for part in ("checkpoints", "tasks"):
        tab.run(f"document.getElementById('tab-{part}').click()")
        tab.run(f"document.querySelectorAll('#part-{part} details').forEach(one => {{ one.open = true; }})")
        assert tab.run("document.documentElement.scrollWidth") == width
        parts = f"[...document.querySelectorAll('#{part} pre, #{part} dl, .lineage > li')]"
        wide = f"{parts}.filter(one => one.getBoundingClientRect().right > {width}).length"
        assert tab.run(wide) == 0


def test_print_shows_both_lists_without_controls(page):
    tab = page("modality=OCT")
    tab.call("Emulation.setEmulatedMedia", media="print")
    hidden = "['.tools', '.facets', '#tabs'].every(name => getComputedStyle(document.querySelector(name)).display === 'none')"
    assert tab.run(hidden) and tab.run("document.getElementById('part-tasks').getBoundingClientRect().height") > 500
    assert shown(tab) == ["vit_small-gmml-imagenet-oct"]  # what is filtered is printed
    tab.call("Emulation.setEmulatedMedia", media="")


def test_every_control_has_a_name_for_screen_readers(page):
    tab = page("open=c-resnet50-imagenet")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "link", "combobox", "searchbox", "checkbox", "tab", "DisclosureTriangle")
    controls = [node for node in nodes if not node["ignored"] and node.get("role", {}).get("value") in roles]
    assert len(controls) > 100 and all(node.get("name", {}).get("value", "").strip() for node in controls)


def test_without_a_script_every_entry_is_there_and_opens(browser, file):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(f"file://{file}#c-resnet18-imagenet")
        texts = browser.call("DOMSnapshot.captureSnapshot", computedStyles=["display"])["strings"]
        assert "resnet50-radimagenet" in texts and "chestxray14" in texts and "none" in texts
        layout = browser.call("Page.getLayoutMetrics")["cssContentSize"]["height"]
        assert layout > 146 * 30
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        names = [node.get("name", {}).get("value", "") for node in nodes if not node["ignored"]]
        assert any(name.startswith("import medzoo") for name in names), "the linked entry is open"
        assert not [
            node
            for node in nodes
            if not node["ignored"] and node.get("role", {}).get("value") in ("checkbox", "button", "combobox")
        ]
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
