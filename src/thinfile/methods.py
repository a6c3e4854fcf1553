# ruff: noqa: E501
"""The registry: one line per method, read by the CLI, compare, the docs and the contract tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from thinfile.errors import ParameterError

if TYPE_CHECKING:
    from thinfile.estimator import Estimator

SOURCE, TARGET_LABELS, UNLABELLED = "source", "target_labels", "unlabelled_target"
AGGREGATES, HISTORIES = "aggregates", "histories"
ONE_TABLE = "one_table"
"""Needed by methods for rare events: one table with few labels and no populations."""
GROUPS = ("transfer", "intent", "fraud")
"""What methods are compared for: a new portfolio, who will buy, rare events in one table."""
EVENT_NEEDS = frozenset({AGGREGATES, HISTORIES})
"""What only an event log gives: methods that need it are run by `thinfile intent`."""


@dataclass(frozen=True)
class Method:
    """A way to build a model, by name.

    Attributes
    ----------
    name : str
        What users type.
    title : str
        What tables and pictures show.
    family : {"baseline", "tabular", "sequence", "transfer", "generative", "anomaly"}
    path : str
        "module:class" of the estimator.
    needs : frozenset of {"source", "target_labels", "unlabelled_target"}
        Rows without which it makes no sense. Or, for an event log, {"aggregates", "histories"}:
        the columns that it reads. Or {"one_table"}.
    summary : str
        What it does, in a line.
    paper : str
        Where it comes from.
    params : mapping
        Constructor arguments that make the class this method.
    uses_target_labels : bool
        Whether labels of the target change what it learns.
    """

    name: str
    title: str
    family: str
    path: str
    needs: frozenset[str]
    summary: str
    paper: str
    params: Mapping[str, Any] = field(default_factory=dict)
    uses_target_labels: bool = True

    @property
    def needs_events(self) -> bool:
        """Whether it is for event logs only."""
        return bool(self.needs & EVENT_NEEDS)

    @property
    def group(self) -> str:
        """What it is compared for, one of `GROUPS`."""
        if ONE_TABLE in self.needs:
            return "fraud"
        return "intent" if self.needs_events else "transfer"

    def estimator_class(self) -> type[Estimator]:
        """The class, imported now."""
        cls: type[Estimator] = _import(self.path)
        return cls

    def build(self, **common: Any) -> Estimator:
        """An unfitted estimator; `common` goes over the method's own arguments.

        Raises
        ------
        ParameterError
            If the class has no argument of a name.
        """
        cls = self.estimator_class()
        known = cls._get_param_names()
        unknown = [name for name in common if name not in known]
        if unknown:
            raise ParameterError(
                f"{self.name} has no argument {', '.join(map(repr, unknown))}; it has "
                + ", ".join(known)
            )
        return cls(**{**self.params, **common})


@dataclass(frozen=True)
class Model:
    """A model that is no classifier, by name: a detector, an encoder, a generator.

    Attributes
    ----------
    name, title, path, summary, paper
        As of a method.
    roles : frozenset of {"detector", "encoder", "generator"}
        detector: `score_samples`; encoder: `transform`; generator: `sample`.
    """

    name: str
    title: str
    path: str
    roles: frozenset[str]
    summary: str
    paper: str

    def estimator_class(self) -> type[Any]:
        """The class, imported now."""
        cls: type[Any] = _import(self.path)
        return cls


def _import(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)


def _method(
    name: str,
    title: str,
    path: str,
    needs: str,
    summary: str,
    paper: str,
    *,
    source_only: bool = False,
    baseline: bool = False,
    **params: Any,
) -> Method:
    folder = path.split(".")[0]
    return Method(
        name,
        title,
        "baseline" if baseline or folder == "baselines" else folder,
        f"thinfile.{path}",
        frozenset(needs.split()),
        summary,
        paper,
        params,
        uses_target_labels=not source_only,
    )


_BOOSTED = "baselines.boosted:BoostedTreesClassifier"
_LOGISTIC = "baselines.logistic:LogisticClassifier"
_DETECTED = "anomaly.detected:DetectorClassifier"
_AUGMENTED = "generative.augmented:AugmentedClassifier"
_SEQUENCE = "sequence.cnn_lstm:CNNLSTMClassifier"
_GUO = "Guo et al., DeepFM, IJCAI 2017"
_HOCHREITER = "Hochreiter, Schmidhuber, Neural Computation 1997"
_SAINATH = "Sainath et al., ICASSP 2015"
_BABAEV = "Babaev et al., CoLES, SIGMOD 2022"
_KE = "Ke et al., LightGBM, NeurIPS 2017"
_THOMAS = "Thomas, Edelman, Crook, Credit scoring and its applications, SIAM 2002"

# fmt: off
METHODS: dict[str, Method] = {m.name: m for m in (
    _method("boosted_source", "Boosted trees, source", _BOOSTED, "source", "Gradient boosting on the source's labels alone", _KE, rows="source", source_only=True),
    _method("boosted_target", "Boosted trees, target", _BOOSTED, "target_labels", "Gradient boosting on the target's few labels alone", _KE, rows="target"),
    _method("boosted_pooled", "Boosted trees, pooled", _BOOSTED, "source target_labels", "Gradient boosting on both, with a population column and weights", _KE, rows="pooled"),
    _method("boosted_weighted", "Boosted trees, importance-weighted", _BOOSTED, "source unlabelled_target", "Source rows weighted by how much they look like the target", "Bickel, Brückner, Scheffer, JMLR 2009", rows="pooled", importance=True),
    _method("boosted_scaled", "Boosted trees, scaled per population", _BOOSTED, "source unlabelled_target", "Numbers centred and scaled within their own population", _KE, rows="pooled", align="scale"),
    _method("boosted_coral", "Boosted trees, CORAL", _BOOSTED, "source unlabelled_target", "Source numbers given the target's covariance", "Sun, Feng, Saenko, AAAI 2016", rows="pooled", align="coral"),
    _method("logistic_source", "Logistic regression, source", _LOGISTIC, "source", "Logistic regression on the source's labels alone", _THOMAS, rows="source", source_only=True),
    _method("logistic_target", "Logistic regression, target", _LOGISTIC, "target_labels", "Logistic regression on the target's few labels alone", _THOMAS, rows="target"),
    _method("logistic_pooled", "Logistic regression, pooled", _LOGISTIC, "source target_labels", "Logistic regression on both, with a population column and weights", _THOMAS, rows="pooled"),
    _method("score_refit", "Source score refitted", "baselines.refit:ScoreRefitClassifier", "source target_labels", "The source's boosted score corrected on the target's labels", _THOMAS),
    _method("forest_source", "Random forest, source", "baselines.forest:RandomForestOnSourceClassifier", "source", "Random forest on the source's labels alone", "Breiman, Machine Learning 2001", source_only=True),
    _method("mlp", "Network, pooled", "tabular.mlp:MLPClassifier", "source", "Plain network on all labelled rows", "Goodfellow, Bengio, Courville, Deep learning, MIT Press 2016"),
    _method("dan", "DAN (MK-MMD)", "transfer.dan:DANClassifier", "source unlabelled_target", "Hidden layers of both populations drawn together by MK-MMD", "Long et al., ICML 2015"),
    _method("dann", "DANN (adversarial)", "transfer.dann:DANNClassifier", "source unlabelled_target", "Hidden layer from which populations cannot be told apart", "Ganin et al., JMLR 2016"),
    _method("deep_coral", "Deep CORAL", "transfer.deep_coral:DeepCORALClassifier", "source unlabelled_target", "Covariances of hidden layers drawn together", "Sun, Saenko, ECCV workshops 2016"),
    _method("fine_tune", "Fine-tuned network", "transfer.fine_tune:FineTuneClassifier", "source target_labels", "Network trained on the source, then on the target's few labels", "Yosinski et al., NeurIPS 2014"),
    _method("tradaboost", "TrAdaBoost (boosted trees)", "transfer.tradaboost:TrAdaBoostClassifier", "source target_labels", "Boosting that trusts misleading source rows less and less", "Dai et al., ICML 2007"),
    _method("deepfm", "DeepFM", "tabular.deepfm:DeepFMClassifier", "source", "Linear part, factorisation machine and network on embedded fields", _GUO),
    _method("prior", "Base rate", "baselines.prior:PriorClassifier", "aggregates", "The same probability for everybody", _THOMAS),
    _method("best_column", "Best sort by one column", "baselines.best_column:BestColumnClassifier", "aggregates", "The single column that ranks the training labels best", _THOMAS),
    _method("bg_nbd", "BG/NBD", "baselines.bg_nbd:BGNBDClassifier", "aggregates", "Purchase rate and drop-out of each customer, without any label", "Fader, Hardie, Lee, Marketing Science 2005"),
    _method("logistic_aggregates", "Logistic regression on aggregates", _LOGISTIC, "aggregates", "Logistic regression on counts, recency and amounts per category and window", _THOMAS, rows="source"),
    _method("boosted_aggregates", "Boosted trees on aggregates", _BOOSTED, "aggregates", "Gradient boosting on counts, recency and amounts per category and window", _KE, rows="source"),
    _method("deepfm_aggregates", "DeepFM on aggregates", "tabular.deepfm:DeepFMClassifier", "aggregates", "DeepFM on counts, recency and amounts per category and window", _GUO),
    _method("mean_bag", "Mean of embedded events", _SEQUENCE, "histories", "Mean of the embedded events of a history, and a layer", "Iyyer et al., ACL 2015", baseline=True, convolution=False, recurrent=False),
    _method("cnn_lstm", "CNN + LSTM", _SEQUENCE, "histories", "Convolution and pooling over a history, read by an LSTM", _SAINATH),
    _method("lstm", "LSTM", _SEQUENCE, "histories", "An LSTM reads the events of a history", _HOCHREITER, convolution=False),
    _method("gru", "GRU", _SEQUENCE, "histories", "A GRU reads the events of a history", "Cho et al., EMNLP 2014", convolution=False, cell="gru"),
    _method("cnn", "CNN", _SEQUENCE, "histories", "Convolution over a history, then mean and maximum", "Kim, EMNLP 2014", recurrent=False),
    _method("cnn_lstm_pretrained", "CNN + LSTM, pretrained", _SEQUENCE, "histories", "CNN + LSTM that has first learnt from all histories without labels", _BABAEV, pretrain="next_event"),
    _method("boosted_embedded", "Boosted trees on aggregates and embedding", "sequence.embedded:EmbeddedClassifier", "aggregates histories", "Gradient boosting on aggregates beside what a pretrained network sees in a history", _BABAEV),
    _method("logistic", "Logistic regression", _LOGISTIC, "one_table", "Logistic regression on the labels alone", _THOMAS, rows="source"),
    _method("boosted", "Boosted trees", _BOOSTED, "one_table", "Gradient boosting on the labels alone", _KE, rows="source"),
    _method("boosted_rest", "Boosted trees, rest as genuine", "baselines.boosted_rest:BoostedRestClassifier", "one_table", "Gradient boosting that takes rows without a label as genuine", "Elkan, Noto, KDD 2008"),
    _method("boosted_smote", "Boosted trees with SMOTE", _AUGMENTED, "one_table", "Gradient boosting on labels and frauds made between neighbours", "Chawla et al., JAIR 2002", baseline=True, generator="smote", codes=False),
    _method("isolation_forest", "Isolation forest", _DETECTED, "one_table", "How few random cuts set a row apart, without labels", "Liu, Ting, Zhou, ICDM 2008", source_only=True, baseline=True, detector="isolation_forest"),
    _method("ecod", "ECOD", _DETECTED, "one_table", "How far out a row lies in each column, without labels", "Li et al., ECOD, TKDE 2022", source_only=True, baseline=True, detector="ecod"),
    _method("mlp_few", "Network, labels alone", "tabular.mlp:MLPClassifier", "one_table", "Plain network on the labels alone", "Goodfellow, Bengio, Courville, Deep learning, MIT Press 2016", max_epochs=60, batch_size=64, weight_decay=0.03, validation_fraction=0.0, patience=None),
    _method("autoencoder_score", "Autoencoder's error", _DETECTED, "one_table", "How badly a row is reconstructed, without labels", "Sakurada, Yairi, MLSDA 2014", source_only=True, detector="autoencoder"),
    _method("vae_score", "VAE's bound", _DETECTED, "one_table", "How unlikely a row is under a VAE, without labels", "An, Cho, SNU 2015", source_only=True, detector="vae"),
    _method("deep_sad", "Deep SAD", "anomaly.deep_sad:DeepSADClassifier", "one_table", "Normal rows drawn to a centre, known frauds pushed away", "Ruff et al., ICLR 2020"),
    _method("devnet", "DevNet", "anomaly.devnet:DevNetClassifier", "one_table", "Known frauds made to deviate from what is usual", "Pang, Shen, van den Hengel, KDD 2019"),
    _method("boosted_codes", "Boosted trees on codes and detectors", "anomaly.boosted_codes:BoostedCodesClassifier", "one_table", "Gradient boosting on columns, codes and detector scores", "Zhao, Hryniewicki, IJCNN 2018"),
    _method("boosted_vae", "Boosted trees with a VAE", _AUGMENTED, "one_table", "Gradient boosting on columns, codes and generated frauds", "Kingma, Welling, ICLR 2014", generator="vae"),
    _method("sgan", "SGAN", "generative.sgan:SGANClassifier", "one_table", "Discriminator that also classifies, taught by a generator's rows", "Salimans et al., NeurIPS 2016"),
)}
# fmt: on


# fmt: off
MODELS: dict[str, Model] = {m.name: m for m in (
    Model("autoencoder", "Autoencoder", "thinfile.generative.autoencoder:Autoencoder", frozenset({"detector", "encoder"}), "Rows through a bottleneck and back", "Hinton, Salakhutdinov, Science 2006"),
    Model("vae", "VAE", "thinfile.generative.vae:VAE", frozenset({"detector", "encoder", "generator"}), "Codes with a spread, from which new rows are drawn", "Kingma, Welling, ICLR 2014"),
    Model("table_gan", "Table GAN", "thinfile.generative.table_gan:TableGAN", frozenset({"generator"}), "A generator of mixed columns, taught by a critic", "Xu et al., CTGAN, NeurIPS 2019"),
    Model("dcgan", "DCGAN", "thinfile.generative.dcgan:DCGAN", frozenset({"generator"}), "A convolutional generator of images, taught by a critic", "Radford, Metz, Chintala, ICLR 2016"),
    Model("lstm_autoencoder", "LSTM autoencoder", "thinfile.sequence.lstm_autoencoder:LSTMAutoencoder", frozenset({"detector", "encoder"}), "Windows of several channels through a bottleneck and back", "Srivastava, Mansimov, Salakhutdinov, ICML 2015"),
    Model("sequence_vae", "Sequence VAE", "thinfile.sequence.sequence_vae:SequenceVAE", frozenset({"detector", "encoder", "generator"}), "Codes of windows with a spread, from which new paths are drawn", "Bowman et al., CoNLL 2016"),
    Model("smote", "SMOTE", "thinfile.generative.smote:SMOTE", frozenset({"generator"}), "New rows between neighbours", "Chawla et al., JAIR 2002"),
)}
# fmt: on


def get_method(name: str, near: Iterable[str] = METHODS) -> Method:
    """The method of that name.

    Parameters
    ----------
    name
        What the user has typed.
    near
        Names that the message may propose in its place.

    Raises
    ------
    ParameterError
        If there is none; the message has the names that are most like it.
    """
    if name not in METHODS:
        names = list(near)
        alike = get_close_matches(name, names) or [n for n in names if name and name in n][:3]
        meant = f"; near it: {', '.join(alike)}" if alike else ""
        raise ParameterError(
            f"method={name!r} is no method{meant}; `thinfile methods` lists them all"
        )
    return METHODS[name]


def names_of_group(
    group: str, wanted: Sequence[str] | None, overrides: Iterable[str], elsewhere: str
) -> list[str]:
    """The wanted methods of a group, or all of it, in the registry's order.

    Raises
    ------
    ParameterError
        If one is unknown, here or among the overrides, or of another group; `elsewhere` says what
        is wrong with it.
    """
    able = [name for name, method in METHODS.items() if method.group == group]
    for name in overrides:
        get_method(name, able)
    names = [get_method(name, able).name for name in (wanted or able)]
    barred = [name for name in names if name not in able]
    if barred:
        raise ParameterError(
            f"methods: {', '.join(barred)} {elsewhere}; those that do: {', '.join(able)}"
        )
    return [name for name in able if name in names]
