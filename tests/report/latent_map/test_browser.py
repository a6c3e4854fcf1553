"""The page in headless Chromium, driven by real mouse and key events."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from thinfile.latent_map.columns import columns_of
from thinfile.latent_map.island import differences, event_share, find_rule
from thinfile.report.latent_map import write_map

SHIFT, CTRL = 8, 2


@pytest.fixture(scope="module")
def path(faked, tmp_path_factory):
    return write_map(faked, tmp_path_factory.mktemp("page") / "map.html", title="A map")


@pytest.fixture
def page(browser, path):
    browser.open(path, part="#webgl")
    return browser


def inside_polygon(polygon, x, y):
    """The slow way, one edge after the other."""
    inside = False
    for (ax, ay), (bx, by) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
    return inside


def rows_inside(made, view, polygon):
    found = []
    for row, (x, y) in enumerate(made.positions.astype(float)):
        across = view["width"] / 2 + (x - view["x"]) * view["scale"]
        down = view["height"] / 2 - (y - view["y"]) * view["scale"]
        if inside_polygon(polygon, across, down):
            found.append(row)
    return found


def screen(made, view, row):
    x, y = made.positions[row].astype(float)
    return (
        view["width"] / 2 + (x - view["x"]) * view["scale"],
        view["height"] / 2 - (y - view["y"]) * view["scale"],
    )


def star(x, y, radius, points=9):
    """A polygon with dents, in whole pixels as a mouse gives them."""
    corners = []
    for place in range(2 * points):
        reach = radius * (1 if place % 2 else 0.55)
        angle = math.pi * place / points
        corners.append((round(x + reach * math.cos(angle)), round(y + reach * math.sin(angle))))
    return corners


def around_frauds(made, view, radius=130):
    x, y = np.mean([screen(made, view, row) for row in np.flatnonzero(made.label == 1)], axis=0)
    return star(x, y, radius)


def take(page, made, **more):
    polygon = around_frauds(made, page.run("latentMap.view()"))
    page.click("#lasso")
    page.drag(polygon, **more)
    return polygon


def test_the_page_draws_by_webgl_and_asks_for_nothing(page):
    assert page.run("document.documentElement.dataset.ready") == "WebGL"
    assert all(each.startswith(("file:", "about:")) for each in page.requests())
    assert page.faults() == []


def test_a_lasso_by_mouse_gives_the_rows_inside_it(page, faked):
    polygon = take(page, faked)
    wanted = rows_inside(faked, page.run("latentMap.view()"), polygon)
    assert 20 < len(wanted) < 800
    assert page.run("latentMap.island()") == wanted
    assert page.run("document.getElementById('island-count').firstChild.data") == str(len(wanted))


def test_a_lasso_is_right_after_moving_and_zooming(page, faked):
    before = page.run("latentMap.view()")
    page.drag([(300, 400), (340, 380), (380, 330)])
    page.mouse("mouseWheel", 420, 300, deltaX=0, deltaY=-400, button="none", buttons=0)
    view = page.wait(f"latentMap.view().scale > {before['scale']} && latentMap.view()")
    assert view["x"] != before["x"]
    polygon = star(400, 380, 260)
    page.drag(polygon, modifiers=SHIFT)
    wanted = rows_inside(faked, view, polygon)
    assert wanted
    assert page.run("latentMap.island()") == wanted


def test_the_wheel_keeps_what_is_under_the_mouse(page, faked):
    row = 5
    x, y = screen(faked, page.run("latentMap.view()"), row)
    page.mouse("mouseWheel", round(x), round(y), deltaX=0, deltaY=-300, button="none", buttons=0)
    view = page.wait("latentMap.view().scale > 12 && latentMap.view()")
    assert np.hypot(*np.subtract(screen(faked, view, row), (x, y))) < 2


def test_with_ctrl_an_island_grows(page, faked):
    first = take(page, faked)
    view = page.run("latentMap.view()")
    second = star(250, 400, 70)
    page.drag(second, modifiers=CTRL)
    wanted = set(rows_inside(faked, view, first)) | set(rows_inside(faked, view, second))
    assert page.run("latentMap.island()") == sorted(wanted)


def test_the_page_and_python_say_the_same_of_an_island(page, faked):
    take(page, faked)
    inside = np.zeros(len(faked.rows), dtype=bool)
    inside[page.run("latentMap.island()")] = True
    columns = columns_of(faked.frame, faked.roles)
    told = page.run("latentMap.summary()")

    share = event_share(faked.label, inside)
    assert (told["share"]["rows"], told["share"]["events"]) == (share.n_rows, share.n_events)
    assert [told["share"][name] for name in ("share", "low", "high")] == pytest.approx(
        [share.share, share.low, share.high]
    )
    for mine, other in zip(differences(columns, inside), told["differences"], strict=True):
        assert (mine.column, mine.word) == (other["column"], other["word"])
        assert other["standardised"] == pytest.approx(mine.standardised)
        assert [other["inside"], other["outside"]] == pytest.approx([mine.inside, mine.outside])

    rule = find_rule(columns, inside)
    assert rule.terms
    assert [(t.column, t.words or None) for t in rule.terms] == [
        (t["column"], tuple(t["words"]) if t["words"] else None) for t in told["rule"]
    ]
    for mine, other in zip(rule.terms, told["rule"], strict=True):
        if not mine.words:
            ends = [float(other[end].replace("Infinity", "inf")) for end in ("low", "high")]
            assert ends == [mine.low, mine.high]
    assert told["nCovered"] == rule.n_covered
    assert [told["precision"], told["coverage"]] == pytest.approx([rule.precision, rule.coverage])


def test_a_rule_in_sql_finds_the_rows_it_says(page, faked):
    take(page, faked)
    sql = page.run("latentMap.rule()")
    rows = faked.frame.with_columns(pl.col(pl.Float64).fill_nan(None)).with_row_index("at")
    found = pl.SQLContext(frame=rows, eager=True).execute(f"SELECT at FROM frame WHERE {sql}")
    assert found.height == page.run("latentMap.summary().nCovered")


def test_the_csv_holds_the_island(page, faked):
    take(page, faked)
    wanted = page.run("latentMap.island()")
    rows = list(csv.DictReader(io.StringIO(page.run("latentMap.csv()"))))
    assert [int(row["row"]) for row in rows] == [2 * row for row in wanted]
    assert [row["id"] for row in rows] == [faked.ids[row] for row in wanted]
    for row, at in zip(rows, wanted, strict=True):
        amount, day = faked.frame[at, "amount"], faked.frame[at, "day"]
        assert (row["amount"] == "") == math.isnan(amount)
        assert math.isnan(amount) or np.float32(row["amount"]) == np.float32(amount)
        assert row["kind"] == (faked.frame[at, "kind"] or "")
        assert row["day"] == day.isoformat()


def test_files_are_saved_on_a_click(page, faked, tmp_path):
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    take(page, faked)
    for button, name in (("#save-csv", "island.csv"), ("#save-rule", "island-rule.sql")):
        page.click(button)
        for _ in range(200):
            if (tmp_path / name).exists():
                break
            page.run("new Promise((done) => setTimeout(done, 50))")
    assert (tmp_path / "island.csv").read_text() == page.run("latentMap.csv()")
    assert page.run("latentMap.rule()") in (tmp_path / "island-rule.sql").read_text()


def test_a_click_shows_a_row_and_its_nearest_in_the_original_space(page, faked):
    view = page.run("latentMap.view()")
    gaps = np.linalg.norm(faked.positions[:, None] - faked.positions[None], axis=2)
    alone = int(np.sort(gaps, axis=1)[:, 1].argmax())
    x, y = screen(faked, view, alone)
    page.drag([(round(x), round(y))])
    assert page.run("latentMap.chosen()") == alone
    near = page.run(f"latentMap.nearest({alone})")
    assert [row for row, _ in near] == faked.neighbours[alone].tolist()
    assert [d for _, d in near] == pytest.approx(faked.distances[alone].tolist(), abs=0.01)
    text = page.run("document.getElementById('row').innerText")
    assert f"t{alone} (row {2 * alone})" in text


@pytest.mark.parametrize(("text", "row"), [("t77", 77), ("row 154", 77), ("154", 77)])
def test_a_row_is_found_by_id_or_number(page, text, row):
    page.run("document.getElementById('find').focus()")
    page.call("Input.insertText", text=text)
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r", code="Enter")
    assert page.wait("latentMap.chosen() >= 0")
    assert page.run("latentMap.chosen()") == row


def test_an_unknown_id_is_said(page):
    page.run("document.getElementById('find').focus()")
    page.call("Input.insertText", text="t99999")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r", code="Enter")
    assert page.run("document.getElementById('status').textContent") == "t99999 is not on this map"


def test_keys_do_what_the_mouse_does(page, faked):
    page.run("document.getElementById('points').focus()")
    before = page.run("latentMap.view()")
    page.key("+")
    page.key("ArrowLeft")
    view = page.run("latentMap.view()")
    assert view["scale"] > before["scale"]
    assert view["x"] < before["x"]
    page.key("v")
    island = page.run("latentMap.island()")
    corners = [(0, 0), (view["width"], 0), (view["width"], view["height"]), (0, view["height"])]
    assert island == rows_inside(faked, view, corners)
    page.key("Escape")
    assert page.run("latentMap.island()") is None
    page.key("0")
    assert page.run("latentMap.view()") == before


def test_every_column_colours_and_has_a_legend(page, faked):
    for place in page.run("[...document.getElementById('colour').options].map((o) => o.value)"):
        page.run(
            f"(() => {{ const s = document.getElementById('colour'); s.value = '{place}';"
            "s.dispatchEvent(new Event('change')) })()"
        )
        title = page.run("document.querySelector('#legend p').textContent")
        assert title == ("fraud" if place == "label" else faked.frame.columns[int(place)])
    assert page.faults() == []


def test_frauds_are_drawn_over_the_others(browser, faked, tmp_path):
    stacked = np.zeros((900, 2), dtype=np.float32)
    stacked[:2] = [[-9, -9], [9, 9]]
    made = replace(faked, layout=replace(faked.layout, positions=stacked))
    browser.open(write_map(made, tmp_path / "map.html"), part="#webgl")
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    x, y = screen(made, browser.run("latentMap.view()"), 5)
    assert_orange(browser, x, y)


def assert_orange(browser, x, y):
    """The point at a place of the page, seen through a screenshot that the page reads itself."""
    shot = browser.call(
        "Page.captureScreenshot", clip={"x": x - 1, "y": y - 1, "width": 3, "height": 3, "scale": 1}
    )["data"]
    pixel = browser.run(
        f"(async () => {{ const bytes = Uint8Array.from(atob('{shot}'), (c) => c.charCodeAt(0));"
        "const image = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));"
        "const c = new OffscreenCanvas(3, 3).getContext('2d'); c.drawImage(image, 0, 0);"
        "return [...c.getImageData(1, 1, 1, 1).data] })()"
    )
    assert np.abs(np.array(pixel[:3]) - [213, 94, 0]).max() < 12


def test_without_a_graphics_card_the_canvas_is_quicker(browser, path):
    browser.open(path)
    assert browser.run("document.documentElement.dataset.ready") == "canvas"


def test_without_webgl_the_page_still_works(flat_browser, path, faked):
    flat_browser.open(path, part="#webgl")
    assert flat_browser.run("document.documentElement.dataset.ready") == "canvas"
    polygon = take(flat_browser, faked)
    wanted = rows_inside(faked, flat_browser.run("latentMap.view()"), polygon)
    assert flat_browser.run("latentMap.island()") == wanted
    assert flat_browser.faults() == []


def test_points_are_drawn_although_no_frame_ever_comes(browser, path):
    """As where a picture is taken under virtual time."""
    never = "window.requestAnimationFrame = () => 1;"
    kept = browser.call("Page.addScriptToEvaluateOnNewDocument", source=never)
    try:
        browser.open(path, part="#canvas")
        # The observer of the stage reports its size once more, which empties the canvas.
        browser.run("new Promise((done) => setTimeout(done, 300))")
        shades = browser.run(
            "(() => { const c = document.getElementById('points');"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "return new Set(new Uint32Array(d.buffer)).size })()"
        )
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=kept["identifier"])
    assert shades > 3


def test_a_map_without_labels_ids_or_many_rows(browser, make_map, tmp_path):
    made = replace(make_map(6), label=None, ids=None)
    browser.open(write_map(made, tmp_path / "map.html"))
    browser.key("v")
    assert browser.run("latentMap.island()") == list(range(6))
    assert browser.faults() == []
