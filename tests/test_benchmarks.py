"""The benchmarks: what they make of readings, and that their sides can be asked. They measure nothing here."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import svg, table
from benchmarks.case import BARE_ON_SQLITE, OURS_ON_SQLITE, Case, Limit, Measure, Plus, Result, Sizes, Target, Times
from benchmarks.cases import MODULES
from benchmarks.page import Page
from benchmarks.sides import process

ROOT = Path(__file__).resolve().parent.parent


def result(ours: list[float], other: list[float], *targets: Target) -> Result:
    case = Case(
        what="a walk",
        unit="ms",
        ours=Measure("ours", OURS_ON_SQLITE, "walk"),
        others=(Measure("a loop", BARE_ON_SQLITE, "walk"),),
        targets=targets,
    )
    return Result(case, [ours, other], [ours, other])


def test_ratios_are_taken_round_by_round() -> None:
    assert result([1, 4, 9], [1, 2, 3]).ratios("a loop") == [1, 2, 3]


def test_a_round_in_which_the_other_was_not_measured_has_no_ratio() -> None:
    assert result([1, 4, 9], [1]).ratios("a loop") == [1]


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (Times(2, "a loop"), True),
        (Times(1.9, "a loop"), False),
        (Times(2, "a loop", at_least=True), True),
        (Times(2.1, "a loop", at_least=True), False),
        (Plus(2, "a loop", "ms"), True),
        (Plus(1.9, "a loop", "ms"), False),
        (Limit(4, "ms"), True),
        (Limit(3.9, "ms"), False),
        (Limit(9, "ms", share=0.95), True),
        (Limit(8.9, "ms", share=0.95), False),
    ],
)
def test_a_target_is_reached_by_the_median(target: Target, reached: bool) -> None:
    found = result([1, 4, 9], [1, 2, 3], target)
    assert target.reached(found) is reached
    assert ("**missed**" in table.markdown([found])) is not reached


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    found = result([1, 4, 9], [], Times(2, "a loop"))
    assert "not measured" in table.markdown([found])


def test_a_row_shows_median_least_and_most() -> None:
    (row,) = table.rows(result([1, 4, 9], [1, 2, 3], Times(2, "a loop")))
    assert row == (
        "a walk",
        "4.00 ms (1.00 to 9.00)",
        "a loop: 2.00 ms (1.00 to 3.00)",
        "2.00 (1.00 to 3.00)",
        "≤ 2 × a loop",  # noqa: RUF001
        "reached",
    )


@pytest.mark.parametrize("value", [0.12345, 1.2345, 12.345, 123.45, 1234.5])
def test_three_digits_are_shown(value: float) -> None:
    assert table.number(value) in {"0.123", "1.23", "12.3", "123", "1,234"}


def test_every_target_is_about_something_that_is_measured() -> None:
    for cases in MODULES.values():
        for case in cases(Sizes(quick=True)):
            labels = {measure.label for measure in case.others}
            assert {target.other for target in case.targets if hasattr(target, "other")} <= labels
            assert case.targets, case.what


def test_a_page_is_filled_between_its_comments_and_only_there(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- table -->\nold\n<!-- end -->\nafter\n")
    Page(path).fill("a machine", [result([1], [1])], None)
    text = path.read_text()
    assert text.startswith("before\n<!-- table -->\nMeasured on ")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "a walk" in text


def test_a_page_without_a_place_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match="no place"):
        Page(path).fill("a machine", [], None)


def test_the_page_of_the_docs_can_be_filled() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    for name in ("table", "growth"):
        assert text.count(f"<!-- {name} -->\n") == 1


def test_plots_are_pictures_with_a_dot_for_each_value() -> None:
    plots = [svg.Plot("a beat", "µs", {1000: 400.0, 10_000: 410.0}), svg.Plot("a <look>", "ms", {1000: 0.5})]
    root = ElementTree.fromstring(svg.draw(plots))
    space = f"{{{svg.NAMESPACE}}}"
    dots = root.findall(f".//{space}circle")
    assert len(dots) == 3
    assert all(0 <= float(dot.attrib["cy"]) <= svg.HEIGHT for dot in dots)
    title = root.find(f"{space}title")
    assert title is not None
    assert title.text == "a beat, µs: 400 at 1,000, 410 at 10,000; a <look>, ms: 0.5 at 1,000"


def test_a_side_answers_until_its_input_ends() -> None:
    """What it prints is no answer, and an error is one."""
    code = """
from benchmarks.sides.process import serve

def double(n):
    print("noise")
    return n * 2

def fail():
    raise ValueError("no luck")

serve(double, fail)
"""
    asked = '{"measure": "double", "options": {"n": 3}}\n{"measure": "fail", "options": {}}\n'
    done = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True, text=True, cwd=ROOT)
    first, second = done.stdout.splitlines()
    assert first == '{"readings": [6]}'
    assert "ValueError: no luck" in second
    assert done.returncode == 0


@pytest.mark.parametrize("module", ["bare", "ours", "plain_rq"])
def test_a_side_knows_every_measure_that_a_case_asks_of_it(module: str) -> None:
    source = (ROOT / "benchmarks" / "sides" / f"{module}.py").read_text()
    served = source[source.rindex("serve(") :]
    for cases in MODULES.values():
        for case in cases(Sizes(quick=True)):
            for measure in case.measures:
                if measure.side.module == module:
                    assert f"{measure.call}," in served.replace(")", ","), measure.call


def test_the_protocol_is_importable_without_django() -> None:
    """absurd and dbos have no Django in their environments."""
    assert "django" not in Path(process.__file__ or "").read_text().partition("def set_up_django")[0]
