"""thinfile: models of customers of whom little is known.

Every public class is here by name and imported when it is first asked for, so that importing
thinfile brings in neither torch nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thinfile._version import __version__

if TYPE_CHECKING:
    from thinfile.artifact.folder import load, save
    from thinfile.baselines.best_column import BestColumnClassifier
    from thinfile.baselines.bg_nbd import BGNBDClassifier
    from thinfile.baselines.boosted import BoostedTreesClassifier
    from thinfile.baselines.forest import RandomForestOnSourceClassifier
    from thinfile.baselines.logistic import LogisticClassifier
    from thinfile.baselines.prior import PriorClassifier
    from thinfile.baselines.refit import ScoreRefitClassifier
    from thinfile.data.buys import Buys
    from thinfile.data.encode import TableEncoder
    from thinfile.data.event_columns import EventColumns
    from thinfile.data.events import EventLog
    from thinfile.data.read import read_table
    from thinfile.nn.divergence import mk_mmd
    from thinfile.schema.model import Schema
    from thinfile.sequence.cnn_lstm import CNNLSTMClassifier
    from thinfile.sequence.embedded import EmbeddedClassifier
    from thinfile.tabular.deepfm import DeepFMClassifier
    from thinfile.tabular.mlp import MLPClassifier
    from thinfile.transfer.dan import DANClassifier
    from thinfile.transfer.dann import DANNClassifier
    from thinfile.transfer.deep_coral import DeepCORALClassifier
    from thinfile.transfer.fine_tune import FineTuneClassifier
    from thinfile.transfer.tradaboost import TrAdaBoostClassifier

_HOME = {
    "BGNBDClassifier": "baselines.bg_nbd",
    "BestColumnClassifier": "baselines.best_column",
    "BoostedTreesClassifier": "baselines.boosted",
    "Buys": "data.buys",
    "CNNLSTMClassifier": "sequence.cnn_lstm",
    "DANClassifier": "transfer.dan",
    "DANNClassifier": "transfer.dann",
    "DeepCORALClassifier": "transfer.deep_coral",
    "DeepFMClassifier": "tabular.deepfm",
    "EmbeddedClassifier": "sequence.embedded",
    "EventColumns": "data.event_columns",
    "EventLog": "data.events",
    "FineTuneClassifier": "transfer.fine_tune",
    "LogisticClassifier": "baselines.logistic",
    "MLPClassifier": "tabular.mlp",
    "PriorClassifier": "baselines.prior",
    "RandomForestOnSourceClassifier": "baselines.forest",
    "Schema": "schema.model",
    "ScoreRefitClassifier": "baselines.refit",
    "TableEncoder": "data.encode",
    "TrAdaBoostClassifier": "transfer.tradaboost",
    "load": "artifact.folder",
    "mk_mmd": "nn.divergence",
    "read_table": "data.read",
    "save": "artifact.folder",
}

__all__ = [
    "BGNBDClassifier",
    "BestColumnClassifier",
    "BoostedTreesClassifier",
    "Buys",
    "CNNLSTMClassifier",
    "DANClassifier",
    "DANNClassifier",
    "DeepCORALClassifier",
    "DeepFMClassifier",
    "EmbeddedClassifier",
    "EventColumns",
    "EventLog",
    "FineTuneClassifier",
    "LogisticClassifier",
    "MLPClassifier",
    "PriorClassifier",
    "RandomForestOnSourceClassifier",
    "Schema",
    "ScoreRefitClassifier",
    "TableEncoder",
    "TrAdaBoostClassifier",
    "__version__",
    "load",
    "mk_mmd",
    "read_table",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'thinfile' has no attribute {name!r}")
    return getattr(import_module(f"thinfile.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
