"""The model card as Markdown."""

from __future__ import annotations

from collections.abc import Callable

from thinfile.compare.result import Result
from thinfile.report.card import model_card

MakeResult = Callable[..., Result]


def test_the_card_of_a_comparison(make_result: MakeResult) -> None:
    card = model_card(make_result())
    assert card.startswith("# Model card: Boosted trees, pooled\n")
    for title in ("What it is for", "Model and data", "Performance on the target", "Limits"):
        assert f"\n## {title}\n" in card
    assert "| Source rows | 65,000 |" in card
    assert "| Event rate, target | 6.8% |" in card
    assert "| AUC | 0." in card
    assert "Test on held-out rows: 1,545 rows of the target" in card


def test_names_from_the_data_stay_names(make_result: MakeResult) -> None:
    settings = {**make_result().settings, "label": "a|b <script>x</script>\n# [link](y) `c`"}
    card = model_card(make_result(settings=settings))
    assert "<script>" not in card
    assert "\n# [link]" not in card
    assert "a\\|b &lt;script&gt;" in card


def test_few_events_are_warned_of(make_result: MakeResult) -> None:
    assert "intervals are wide" in model_card(make_result(n_test=300))
    assert "intervals are wide" not in model_card(make_result())


def test_the_card_of_a_single_fit() -> None:
    card = model_card(
        {
            "title": "DAN",
            "summary": "Trained on one portfolio.",
            "metrics": {"auc": 0.68149, "rows": 1200},
            "notes": ["first", "second"],
        }
    )
    assert card == (
        "# DAN\n\n## Summary\n\n- Trained on one portfolio.\n\n"
        "## Metrics\n\n| | |\n|---|---|\n| auc | 0.681 |\n| rows | 1200 |\n\n"
        "## Notes\n\n- first\n- second\n"
    )


def test_without_a_choice_there_is_no_model(make_result: MakeResult) -> None:
    card = model_card(make_result(methods=["dann"], budgets=[100], verdict={}))
    assert card.startswith("# Model card: no model chosen")
    assert "No method has a result." in card
