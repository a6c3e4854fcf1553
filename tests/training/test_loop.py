from __future__ import annotations

import copy
import itertools
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from thinfile.errors import DataError, ParameterError, TrainingError
from thinfile.training.batches import TensorBatches
from thinfile.training.loop import Phase, evaluating, train
from thinfile.training.optimizer import adam
from thinfile.training.schedules import dann_ramp, linear_warm_up
from thinfile.training.stopping import Plateau

_BCE = nn.functional.binary_cross_entropy_with_logits


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _data(n_rows=200, width=6):
    x = torch.randn(n_rows, width, generator=_generator(1))
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).float()
    return x, y


def _net(width=6, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(width, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Dropout(0.2), nn.Linear(8, 1)
        )


def _phase(net, rate=0.01, **options):
    def loss(batch):
        x, y = batch
        return {"loss": _BCE(net(x).squeeze(1), y)}

    return Phase(adam(net.parameters(), rate), loss, **options)


def _same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


class _Fixed:
    """Batches that are always the same, and a count of how many were taken."""

    def __init__(self, n_batches=4, n_rows=16):
        x, y = _data(n_batches * n_rows)
        self.batches = list(zip(x.split(n_rows), y.split(n_rows), strict=True))
        self.n_taken = 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for batch in self.batches:
            self.n_taken += 1
            yield batch


def _scripted(values, name="auc"):
    """A check that gives these values one after another."""
    script = iter(values)
    return lambda: {name: next(script)}


# The same numbers as loops written out by hand


def test_it_is_a_bare_loop_bit_for_bit():
    x, y = _data()
    ours, bare = _net(), _net()
    torch.manual_seed(5)
    train(ours, _phase(ours), TensorBatches((x, y), 64, generator=_generator()), max_epochs=3)

    torch.manual_seed(5)
    optimizer, generator = adam(bare.parameters(), 0.01), _generator()
    bare.train()
    for _ in range(3):
        order = torch.randperm(200, generator=generator)
        for start in range(0, 200, 64):
            rows = order[start : start + 64]
            optimizer.zero_grad()
            _BCE(bare(x[rows]).squeeze(1), y[rows]).backward()
            optimizer.step()
    assert _same(ours, bare)
    assert not ours.training


def test_schedules_clipping_and_warm_up_are_a_bare_loop_bit_for_bit():
    ours, bare, batches = _net(), _net(), _Fixed()
    ramp, rate = dann_ramp(10), linear_warm_up(5, 0.02)

    def terms(net, batch):
        logit = net(batch[0]).squeeze(1)
        return {"fit": _BCE(logit, batch[1]), "size": logit.square().mean()}

    torch.manual_seed(2)
    phase = Phase(
        torch.optim.SGD(ours.parameters(), lr=9.0),
        lambda batch: terms(ours, batch),
        weights={"size": ramp, "fit": 2.0},
        clip_norm=0.1,
        learning_rate=rate,
    )
    history = train(ours, phase, batches, max_epochs=2, check_every=1)

    torch.manual_seed(2)
    optimizer = torch.optim.SGD(bare.parameters(), lr=9.0)
    sizes = []
    for step, batch in enumerate(itertools.chain(batches, batches)):
        optimizer.param_groups[0]["lr"] = rate(step)
        given = terms(bare, batch)
        optimizer.zero_grad()
        (2.0 * given["fit"] + ramp(step) * given["size"]).backward()
        nn.utils.clip_grad_norm_(bare.parameters(), 0.1)
        optimizer.step()
        sizes.append(float(given["size"].detach()))
    assert _same(ours, bare)
    assert history.column("size") == sizes
    assert history.column("weight_size") == [ramp(step) for step in range(8)]
    assert history.column("learning_rate") == [rate(step) for step in range(8)]
    first = history[0]
    assert first["total"] == pytest.approx(2 * first["fit"] + ramp(0) * first["size"])


def test_two_optimisers_take_turns_and_each_moves_only_its_own_weights():
    def networks():
        return nn.ModuleDict({"maker": _net(seed=1)[0], "judge": nn.Linear(8, 1)})

    ours = networks()
    bare = copy.deepcopy(ours)
    batches = _Fixed(n_batches=7)

    def judge_loss(nets, x):
        return nets["judge"](nets["maker"](x)).square().mean()

    def maker_loss(nets, x):
        return -nets["judge"](nets["maker"](x)).mean()

    def optimizers(nets):
        return adam(nets["judge"].parameters(), 0.01), adam(nets["maker"].parameters(), 0.02)

    judge, maker = optimizers(ours)
    trainable_in_turn = []

    def judging(batch):
        trainable_in_turn.append([p.requires_grad for p in ours["maker"].parameters()])
        return {"judge": judge_loss(ours, batch[0])}

    phases = [
        Phase(judge, judging, n_steps=2),
        Phase(maker, lambda batch: {"maker": maker_loss(ours, batch[0])}),
    ]
    history = train(ours, phases, batches, max_epochs=2)

    judge, maker = optimizers(bare)
    for step, (x, _) in enumerate(itertools.chain(batches, batches)):
        optimizer, loss = ((judge, judge_loss), (maker, maker_loss))[step % 3 == 2]
        judge.zero_grad()
        maker.zero_grad()
        loss(bare, x).backward()
        optimizer.step()
    assert _same(ours, bare)
    assert history.column("learning_rate_2") == [0.02, 0.02]
    assert not any(any(flags) for flags in trainable_in_turn)
    assert all(parameter.requires_grad for parameter in ours.parameters())


def test_a_frozen_weight_stays_frozen_through_the_turns():
    nets = nn.ModuleDict({"a": nn.Linear(6, 1), "b": nn.Linear(6, 1)})
    nets["a"].bias.requires_grad_(False)
    before = nets["a"].bias.clone()
    phases = [
        Phase(
            adam(nets[name].parameters(), 0.1),
            lambda batch, name=name: {name: nets[name](batch[0]).mean()},
        )
        for name in ("a", "b")
    ]
    train(nets, phases, _Fixed(), max_epochs=1)
    assert torch.equal(before, nets["a"].bias)
    assert [p.requires_grad for p in nets.parameters()] == [True, False, True, True]


def test_averaged_weights_are_checked_and_kept_and_training_goes_on_from_the_others():
    ours, bare, batches = nn.Linear(6, 1), nn.Linear(6, 1), _Fixed()
    bare.load_state_dict(ours.state_dict())
    checked = []

    def check():
        checked.append(ours.weight.clone())
        return {"auc": 0.5}

    train(ours, _phase(ours), batches, max_epochs=3, check=check, average=0.6)

    optimizer = adam(bare.parameters(), 0.01)
    mean, expected = bare.weight.detach().clone(), []
    for update in range(1, 13):
        x, y = batches.batches[(update - 1) % 4]
        optimizer.zero_grad()
        _BCE(bare(x).squeeze(1), y).backward()
        optimizer.step()
        decay = min(0.6, update / (update + 9))
        mean = decay * mean + (1 - decay) * bare.weight.detach()
        if update % 4 == 0:
            expected.append(mean)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(checked, expected, strict=True))
    assert torch.allclose(ours.weight, expected[-1], atol=1e-6)


def test_bfloat16_trains_float32_weights():
    x, y = _data(400)
    net = _net()
    seen = []

    def loss(batch):
        logit = net(batch[0]).squeeze(1)
        seen.append(logit.dtype)
        return {"fit": _BCE(logit.float(), batch[1]), "size": logit.mean().square()}

    batches = TensorBatches((x, y), 50, generator=_generator())
    phase = Phase(adam(net.parameters(), 0.05), loss)
    history = train(net, phase, batches, max_epochs=15, precision="bfloat16")
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert history[-1]["fit"] < 0.8 * history[0]["fit"]


# Checks, stopping and what is kept


def test_checks_run_in_evaluation_mode_without_gradients_at_the_right_steps():
    net, steps = _net(), []
    net[3].eval()  # a part that the caller froze

    def check():
        steps.append((net.training, torch.is_grad_enabled()))
        return {"auc": np.float64(0.5)}

    history = train(net, _phase(net), _Fixed(), max_epochs=3, check=check, check_every=5)
    assert steps == [(False, False)] * 3
    assert history.column("step") == [5, 10, 12]
    assert history.column("epoch") == [2, 3, 3]
    assert history.stopped == "all 3 epochs were run"
    assert history.best_step is None
    keys = ["epoch", "step", "seconds", "cpu_seconds", "learning_rate", "loss", "total", "auc"]
    assert list(history[0]) == keys
    json.dumps(history.to_dict(), allow_nan=False)


def test_evaluating_puts_each_part_back_as_it_was():
    net = _net()
    net[1].eval()
    with evaluating(net):
        assert not any(part.training for part in net.modules())
    assert net.training
    assert [part.training for part in net] == [True, False, True, True, True]


@pytest.mark.parametrize(
    ("mode", "values", "best_step", "n_checks"),
    [
        ("max", [0.5, 0.7, 0.6, 0.65, 0.69, 0.9], 8, 5),
        ("min", [0.5, 0.4, 0.4, 0.41, 0.5, 0.1], 8, 5),
        ("max", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95], 24, 6),
    ],
)
def test_it_stops_on_any_metric_and_puts_the_best_weights_back(mode, values, best_step, n_checks):
    net = _net()
    kept = {}
    history = train(
        net,
        _phase(net),
        _Fixed(),
        max_epochs=6,
        check=_scripted(values, "price"),
        monitor="price",
        mode=mode,
        patience=3,
        on_check=lambda record: kept.update({record["step"]: copy.deepcopy(net)}) or None,
    )
    assert (history.best_step, len(history)) == (best_step, n_checks)
    assert history.best_value == values[best_step // 4 - 1]
    assert _same(net, kept[best_step])
    stopped_early = history.stopped == "price did not get better in 3 checks"
    assert stopped_early is (n_checks < 6)


def test_a_training_term_can_be_monitored_and_the_last_weights_kept():
    net = _net()
    kept = []
    history = train(
        net,
        _phase(net, rate=0.5),
        _Fixed(),
        max_epochs=6,
        monitor="loss",
        mode="min",
        restore_best=False,
        on_check=lambda record: kept.append(copy.deepcopy(net)),
    )
    losses = history.column("loss")
    assert history.best_step == 4 * (1 + losses.index(min(losses)))
    assert _same(net, kept[-1])


def test_min_delta_ends_a_run_that_creeps():
    net = _net()
    values = [0.5 + 0.001 * i for i in range(20)]
    history = train(
        net,
        _phase(net),
        _Fixed(),
        max_epochs=20,
        check=_scripted(values),
        monitor="auc",
        patience=4,
        min_delta=0.0105,
    )
    assert len(history) == 5
    assert history.best_step == 20


def test_a_plateau_reduces_every_rate_down_to_its_minimum():
    net = _net()
    history = train(
        net,
        _phase(net, rate=0.1),
        _Fixed(),
        max_epochs=8,
        check=_scripted([0.5, 0.5, 0.5, 0.6, 0.5, 0.5, 0.5, 0.5]),
        monitor="auc",
        plateau=Plateau(0.1, patience=2, minimum=0.002),
    )
    expected = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.002, 0.002]
    assert history.column("learning_rate") == pytest.approx(expected)


def test_on_check_can_end_the_run():
    net = _net()
    history = train(
        net, _phase(net), _Fixed(), max_epochs=9, on_check=lambda record: record["step"] == 8
    )
    assert len(history) == 2
    assert history.stopped == "on_check asked for it"


def test_means_are_over_the_steps_since_the_last_record():
    net = nn.Linear(6, 1)
    values = itertools.count(1)  # the weights to end with are looked at once more
    phase = Phase(
        torch.optim.SGD(net.parameters(), lr=0.0),
        lambda batch: {"n": next(values) + 0 * net(batch[0]).mean()},
    )
    history = train(net, phase, _Fixed(), max_epochs=3, check_every=5)
    assert history.column("n") == pytest.approx([3.0, 8.0, 11.5])


# Things that go wrong


def _bad_from(net, bad_call, value=math.nan):
    calls = itertools.count(1)

    def loss(batch):
        fit = _BCE(net(batch[0]).squeeze(1), batch[1])
        return {"fit": fit, "mmd": fit * (value if next(calls) >= bad_call else 1.0)}

    return Phase(adam(net.parameters(), 0.03), loss)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(value):
    net, kept = _net(), []
    message = (
        rf"loss term 'mmd' is {value} at step 10 \(learning rate 0.03, largest gradient of the "
        r"last update [0-9.e-]+ in '[0-9]\.(weight|bias)'\); the weights of step 8 are put back"
    )
    with pytest.raises(TrainingError, match=message):
        train(
            net,
            _bad_from(net, 10, value),
            _Fixed(),
            max_epochs=5,
            on_check=lambda record: kept.append(copy.deepcopy(net)),
        )
    assert len(kept) == 2
    assert _same(net, kept[-1])
    assert not net.training


def test_a_first_loss_that_is_not_finite_says_that_there_was_no_gradient_yet():
    net = _net()
    message = r"at step 1 \(learning rate 0.03, no gradient yet: .*\); the weights of step 0 are"
    with pytest.raises(TrainingError, match=message):
        train(net, _bad_from(net, 1), _Fixed(), max_epochs=1)


def test_the_best_weights_are_the_good_ones_where_something_is_monitored():
    net, kept = _net(), []
    with pytest.raises(TrainingError, match="the weights of step 4 are put back"):
        train(
            net,
            _bad_from(net, 14),
            _Fixed(),
            max_epochs=5,
            check=_scripted([0.9, 0.8, 0.7]),
            monitor="auc",
            on_check=lambda record: kept.append(copy.deepcopy(net)),
        )
    assert _same(net, kept[0])


def test_a_loss_that_is_read_late_still_names_its_step(monkeypatch):
    monkeypatch.setattr("thinfile.training.phase._STEPS_BETWEEN_LOOKS", {"cpu": 7})
    net = _net()
    with pytest.raises(TrainingError, match=r"'mmd' is nan at step 10 .*weights of step 8"):
        train(net, _bad_from(net, 10), _Fixed(), max_epochs=5)
    assert all(bool(torch.isfinite(p).all()) for p in net.parameters())


def test_terms_that_are_read_late_give_the_same_record(monkeypatch):
    def losses():
        net = _net()
        torch.manual_seed(4)
        return train(net, _phase(net), _Fixed(), max_epochs=4, check_every=5).column("loss")

    at_once = losses()
    monkeypatch.setattr("thinfile.training.phase._STEPS_BETWEEN_LOOKS", {"cpu": 7})
    assert losses() == at_once


def test_an_update_that_spoils_the_weights_is_seen_at_the_check():
    net = nn.Linear(6, 1)
    before = copy.deepcopy(net)
    phase = Phase(
        torch.optim.SGD(net.parameters(), lr=1e38),
        lambda batch: {"loss": 1e30 * net(batch[0]).sum()},
    )
    with pytest.raises(
        TrainingError, match=r"a weight is not finite after step 1 .*weights of step 0"
    ):
        train(net, phase, _Fixed(n_batches=1), max_epochs=1)
    assert _same(net, before)


def _wild(net):
    """A phase whose first update throws the weights far off, with no weight that is not finite."""
    return Phase(
        adam(net.parameters(), 1e30), lambda batch: {"loss": net(batch[0]).square().square().mean()}
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("bad_check", "best_step"), [(1, 0), (3, 4)])
def test_a_monitored_metric_that_is_not_finite_stops_the_run(value, bad_check, best_step):
    net, kept = _net(), []
    kept.append(copy.deepcopy(net))
    values = [0.9, 0.8, 0.7, 0.6]
    values[bad_check - 1] = value
    message = (
        rf"^price is {value} after step {4 * bad_check} \(learning rate 0.01, largest gradient of "
        rf"the last update .*\); the weights of step {best_step} are put back$"
    )
    with pytest.raises(TrainingError, match=message):
        train(
            net,
            _phase(net),
            _Fixed(),
            max_epochs=4,
            check=_scripted(values, "price"),
            monitor="price",
            on_check=lambda record: kept.append(copy.deepcopy(net)),
        )
    assert len(kept) == bad_check
    assert _same(net, kept[best_step // 4])


def test_a_check_that_cannot_judge_weights_that_diverged_is_told_apart_from_bad_data():
    def check():
        raise DataError("score: 39 of 39 values are not finite")

    net = nn.Linear(6, 1)
    with pytest.raises(
        TrainingError, match=r"loss term 'loss' is inf after step 1 .* of step 0 are"
    ):
        train(net, _wild(net), _Fixed(1), max_epochs=1, check=check, monitor="auc")
    sound = _net()
    with pytest.raises(DataError, match="39 of 39"):
        train(sound, _phase(sound), _Fixed(1), max_epochs=1, check=check, monitor="auc")


def test_a_metric_that_nothing_is_decided_by_may_be_missing():
    net = _net()
    history = train(net, _phase(net), _Fixed(), max_epochs=1, check=lambda: {"auc": math.nan})
    assert history[0]["auc"] is None


@pytest.mark.parametrize("average", [None, 0.5])
def test_a_last_update_that_leads_to_no_finite_loss_is_seen(average):
    net = nn.Linear(6, 1)
    before = copy.deepcopy(net)
    message = (
        r"loss term 'loss' is inf after step 1 \(learning rate 1e\+30, .*\); "
        "the weights of step 0 are put back"
    )
    with pytest.raises(TrainingError, match=message):
        train(net, _wild(net), _Fixed(n_batches=1), max_epochs=1, average=average)
    assert _same(net, before)
    assert not net.training


def test_weights_of_a_check_are_good_only_once_a_finite_loss_came_after():
    net = nn.Linear(6, 1)
    before = copy.deepcopy(net)
    with pytest.raises(TrainingError, match=r"at step 2 .*the weights of step 0 are put back"):
        train(net, _wild(net), _Fixed(), max_epochs=1, check_every=1)
    assert _same(net, before)


def test_a_failure_names_the_learning_rate_of_every_phase():
    nets = nn.ModuleDict({"judge": _net(), "maker": _net()})
    bad = _bad_from(nets["judge"], 2)
    maker = Phase(
        adam(nets["maker"].parameters(), 0.5),
        lambda batch: {"maker": nets["maker"](batch[0]).square().mean()},
    )
    rates = r"\(learning rates 0.03 of fit, mmd; 0.5 of maker, largest gradient"
    with pytest.raises(TrainingError, match=rf"'mmd' is nan at step 3 {rates}"):
        train(nets, [bad, maker], _Fixed(), max_epochs=1)
    with pytest.raises(TrainingError, match=r"learning rates 0.03 of fit, mmd; 0.5 of phase 2"):
        train(nets, [_bad_from(nets["judge"], 1), maker], _Fixed(), max_epochs=1)


def test_looking_at_the_last_weights_changes_and_draws_nothing():
    x, y = _data()

    def state(monitored):
        net = _net()
        torch.manual_seed(3)
        phase = _phase(net)
        batches = TensorBatches((x, y), 50, generator=_generator())
        values = {"check": lambda: {"auc": 0.5}, "monitor": "auc"} if monitored else {}
        train(net, phase, batches, max_epochs=1, **values)
        return net.state_dict(), torch.get_rng_state()

    (one, drawn), (other, drawn_too) = state(monitored=True), state(monitored=False)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(drawn, drawn_too)


def test_sparse_gradients_are_trained_and_named_in_a_failure():
    table = nn.Embedding(50, 1, sparse=True)
    touched, calls = torch.tensor([3, 7]), itertools.count(1)
    before = table.weight.detach().clone()

    def loss(batch):
        size = table(touched).square().mean()
        return {"size": size * (math.nan if next(calls) > 5 else 1.0)}

    phase = Phase(torch.optim.SparseAdam(table.parameters(), lr=0.1), loss)
    with pytest.raises(TrainingError, match=r"step 6 .*largest gradient .* in 'weight'"):
        train(table, phase, _Fixed(), max_epochs=2)
    moved = (table.weight != before).flatten().nonzero().flatten()
    assert torch.equal(moved, touched)


@pytest.mark.parametrize("where", ["loss", "check"])
def test_an_interrupt_puts_the_best_weights_back_and_goes_on(where):
    net, kept, told = _net(), [], []
    phase = _phase(net)

    def interrupt(here):
        if where == here and len(kept) == 3:
            raise KeyboardInterrupt

    def loss(batch):
        interrupt("loss")
        return phase.loss(batch)

    def check():
        interrupt("check")
        kept.append(copy.deepcopy(net))
        return {"auc": [0.5, 0.9, 0.6][len(kept) - 1]}

    with pytest.raises(KeyboardInterrupt):
        train(
            net,
            Phase(phase.optimizer, loss),
            _Fixed(),
            max_epochs=6,
            check=check,
            monitor="auc",
            average=0.9,
            progress=_Told(told),
        )
    assert len(kept) == 3
    assert all(
        torch.equal(a, b) for a, b in zip(net.parameters(), kept[1].parameters(), strict=True)
    )
    assert not net.training
    assert told[-1] == "finish"


class _Told:
    def __init__(self, calls):
        self.calls = calls

    def start(self, total, text):
        self.calls.append(("start", total, text))

    def advance(self, n=1, **metrics):
        self.calls.append((n, metrics))

    def finish(self):
        self.calls.append("finish")


def test_progress_is_told_of_every_step():
    told = []
    net = _net()
    train(
        net,
        _phase(net),
        _Fixed(),
        max_epochs=3,
        check=_scripted([0.5, 0.6, 0.7]),
        monitor="auc",
        progress=_Told(told),
    )
    assert told[0] == ("start", 12, "training")
    assert told[-1] == "finish"
    assert sum(n for n, _ in told[1:-1]) == 12
    assert [m["auc"] for _, m in told[1:-1] if "auc" in m] == [0.5, 0.6, 0.7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 0}, r"max_epochs=0 must be a whole number"),
        ({"mode": "up", "min_delta": -1}, r"mode='up' must be .*; min_delta=-1 must be"),
        ({"patience": 3}, "patience need monitor"),
        ({"average": 1.0}, "average=1.0 must be"),
        ({"precision": "float16"}, "precision='float16' must be"),
        ({"monitor": "auc"}, "monitor='auc' must be one of epoch, step, .*loss, total"),
        ({"check": lambda: {"loss": 1.0}}, r"check gives \['loss'\]"),
    ],
)
def test_arguments_that_break_their_rule_are_refused(options, message):
    net = _net()
    with pytest.raises(ParameterError, match=message):
        train(net, _phase(net), _Fixed(), **{"max_epochs": 1, **options})


def test_phases_that_cannot_work_are_refused():
    net, other = _net(), _net()

    def attempt(phases, module=net):
        train(module, phases, _Fixed(), max_epochs=1)

    with pytest.raises(ParameterError, match="phases is empty"):
        attempt([])
    with pytest.raises(ParameterError, match="phase 1: its optimizer holds 6 parameters that are"):
        attempt(_phase(other))
    with pytest.raises(ParameterError, match=r"n_steps is 0.*clip_norm is -1"):
        attempt(_phase(net, n_steps=0, clip_norm=-1))
    with pytest.raises(ParameterError, match=r"weights name \['mmd'\], the loss gives \['loss'\]"):
        attempt(_phase(net, weights={"mmd": 1.0}))
    with pytest.raises(ParameterError, match=r"phase 2: term 'loss' is a name already taken"):
        attempt([_phase(net), _phase(net)])
    with pytest.raises(ParameterError, match=r"term 'loss' has shape \(16, 1\)"):
        attempt(Phase(adam(net.parameters(), 0.1), lambda batch: {"loss": net(batch[0])}))
    with pytest.raises(ParameterError, match=r"the loss gives \[\]"):
        attempt(Phase(adam(net.parameters(), 0.1), lambda batch: {}))


def test_batches_that_run_dry_are_refused():
    class Once:
        def __init__(self):
            self.source = iter(_Fixed().batches)

        def __iter__(self):
            return self.source

        def __len__(self):
            return 4

    net = _net()
    with pytest.raises(DataError, match="epoch 2 has no batch; batches must be re-iterable"):
        train(net, _phase(net), Once(), max_epochs=2)


def test_an_error_in_the_loss_passes_through_and_leaves_a_usable_module():
    net = _net()

    def loss(batch):
        raise LookupError("mine")

    told = []
    phases = [_phase(net), Phase(adam(net[0].parameters(), 0.1), loss)]
    with pytest.raises(LookupError, match="mine"):
        train(net, phases, _Fixed(), max_epochs=1, progress=_Told(told))
    assert told[-1] == "finish"
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not net.training


def test_random_numbers_are_drawn_from_nowhere_else():
    x, y = _data()
    net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(
        net,
        _phase(net),
        TensorBatches((x, y), 32, generator=_generator()),
        max_epochs=2,
        check=lambda: {"auc": 0.5},
        monitor="auc",
        average=0.9,
    )
    assert torch.equal(torch_before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002
