from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinfile.errors import DataError
from thinfile.training.history import History

_numbers = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@given(
    records=st.lists(st.dictionaries(st.text(min_size=1), _numbers)),
    best_step=st.one_of(st.none(), st.integers(0)),
    stopped=st.text(),
)
def test_a_history_survives_json(records, best_step, stopped):
    history = History(records, best_step, 0.5, stopped)
    text = json.dumps(history.to_dict(), allow_nan=False)
    assert History.from_dict(json.loads(text)) == history


def test_it_is_a_sequence_of_records_with_columns():
    history = History([{"step": 1, "loss": 0.5}, {"step": 2}])
    assert len(history) == 2
    assert history[-1] == {"step": 2}
    assert [record["step"] for record in history] == [1, 2]
    assert history.column("loss") == [0.5, None]
    with pytest.raises(DataError, match="no record has 'auc'; there is loss, step"):
        history.column("auc")
