"""thinfile: models of customers of whom little is known.

Every public class is here by name and imported when it is first asked for, so that importing
thinfile brings in neither torch nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thinfile._version import __version__

if TYPE_CHECKING:
    from thinfile.anomaly.boosted_codes import BoostedCodesClassifier
    from thinfile.anomaly.deep_sad import DeepSADClassifier
    from thinfile.anomaly.detected import DetectorClassifier
    from thinfile.anomaly.devnet import DevNetClassifier
    from thinfile.artifact.folder import load, save
    from thinfile.baselines.best_column import BestColumnClassifier
    from thinfile.baselines.bg_nbd import BGNBDClassifier
    from thinfile.baselines.boosted import BoostedTreesClassifier
    from thinfile.baselines.boosted_rest import BoostedRestClassifier
    from thinfile.baselines.forest import RandomForestOnSourceClassifier
    from thinfile.baselines.logistic import LogisticClassifier
    from thinfile.baselines.prior import PriorClassifier
    from thinfile.baselines.refit import ScoreRefitClassifier
    from thinfile.data.buys import Buys
    from thinfile.data.encode import TableEncoder
    from thinfile.data.event_columns import EventColumns
    from thinfile.data.events import EventLog
    from thinfile.data.read import read_table
    from thinfile.generative.augmented import AugmentedClassifier
    from thinfile.generative.autoencoder import Autoencoder
    from thinfile.generative.dcgan import DCGAN
    from thinfile.generative.sgan import SGANClassifier
    from thinfile.generative.smote import SMOTE
    from thinfile.generative.table_gan import TableGAN
    from thinfile.generative.vae import VAE
    from thinfile.nn.divergence import mk_mmd
    from thinfile.schema.model import Schema
    from thinfile.sequence.cnn_lstm import CNNLSTMClassifier
    from thinfile.sequence.embedded import EmbeddedClassifier
    from thinfile.sequence.lstm_autoencoder import LSTMAutoencoder
    from thinfile.sequence.sequence_vae import SequenceVAE
    from thinfile.tabular.deepfm import DeepFMClassifier
    from thinfile.tabular.mlp import MLPClassifier
    from thinfile.transfer.dan import DANClassifier
    from thinfile.transfer.dann import DANNClassifier
    from thinfile.transfer.deep_coral import DeepCORALClassifier
    from thinfile.transfer.fine_tune import FineTuneClassifier
    from thinfile.transfer.tradaboost import TrAdaBoostClassifier

_HOME = {
    "AugmentedClassifier": "generative.augmented",
    "Autoencoder": "generative.autoencoder",
    "BGNBDClassifier": "baselines.bg_nbd",
    "BestColumnClassifier": "baselines.best_column",
    "BoostedCodesClassifier": "anomaly.boosted_codes",
    "BoostedRestClassifier": "baselines.boosted_rest",
    "BoostedTreesClassifier": "baselines.boosted",
    "Buys": "data.buys",
    "CNNLSTMClassifier": "sequence.cnn_lstm",
    "DANClassifier": "transfer.dan",
    "DANNClassifier": "transfer.dann",
    "DCGAN": "generative.dcgan",
    "DeepCORALClassifier": "transfer.deep_coral",
    "DeepFMClassifier": "tabular.deepfm",
    "DeepSADClassifier": "anomaly.deep_sad",
    "DetectorClassifier": "anomaly.detected",
    "DevNetClassifier": "anomaly.devnet",
    "EmbeddedClassifier": "sequence.embedded",
    "EventColumns": "data.event_columns",
    "EventLog": "data.events",
    "FineTuneClassifier": "transfer.fine_tune",
    "LSTMAutoencoder": "sequence.lstm_autoencoder",
    "LogisticClassifier": "baselines.logistic",
    "MLPClassifier": "tabular.mlp",
    "PriorClassifier": "baselines.prior",
    "RandomForestOnSourceClassifier": "baselines.forest",
    "SGANClassifier": "generative.sgan",
    "SMOTE": "generative.smote",
    "Schema": "schema.model",
    "ScoreRefitClassifier": "baselines.refit",
    "SequenceVAE": "sequence.sequence_vae",
    "TableEncoder": "data.encode",
    "TableGAN": "generative.table_gan",
    "TrAdaBoostClassifier": "transfer.tradaboost",
    "VAE": "generative.vae",
    "load": "artifact.folder",
    "mk_mmd": "nn.divergence",
    "read_table": "data.read",
    "save": "artifact.folder",
}

__all__ = [
    "DCGAN",
    "SMOTE",
    "VAE",
    "AugmentedClassifier",
    "Autoencoder",
    "BGNBDClassifier",
    "BestColumnClassifier",
    "BoostedCodesClassifier",
    "BoostedRestClassifier",
    "BoostedTreesClassifier",
    "Buys",
    "CNNLSTMClassifier",
    "DANClassifier",
    "DANNClassifier",
    "DeepCORALClassifier",
    "DeepFMClassifier",
    "DeepSADClassifier",
    "DetectorClassifier",
    "DevNetClassifier",
    "EmbeddedClassifier",
    "EventColumns",
    "EventLog",
    "FineTuneClassifier",
    "LSTMAutoencoder",
    "LogisticClassifier",
    "MLPClassifier",
    "PriorClassifier",
    "RandomForestOnSourceClassifier",
    "SGANClassifier",
    "Schema",
    "ScoreRefitClassifier",
    "SequenceVAE",
    "TableEncoder",
    "TableGAN",
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
