"""The words below the table of `benchmarks/gan_speed.py` follow what was measured."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PATH = Path(__file__).parents[2] / "benchmarks" / "gan_speed.py"


def test_rows_are_called_narrower_only_where_they_are(monkeypatch):
    monkeypatch.syspath_prepend(str(PATH.parent))
    spec = importlib.util.spec_from_file_location("gan_speed", PATH)
    speed = importlib.util.module_from_spec(spec)
    sys.modules["gan_speed"] = speed
    spec.loader.exec_module(speed)
    widths = {"credit": (175, 180), "cards": (251, 139)}
    turn = {
        name: {"ctgan": {"width": theirs}, speed.FORMS[1]: {"width": ours}}
        for name, (theirs, ours) in widths.items()
    }
    assert speed._widths([turn]) == (
        "Modes that say nothing are merged; on `credit` rows are wider (180 beside 175); on "
        "`cards` rows are narrower (139 beside 251): part of the ratio is due to it. "
    )
    assert speed._widths([{}]) == ""
