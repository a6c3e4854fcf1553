import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thinfile.errors import ParameterError, TrainingError
from thinfile.nn.interaction import DeepFMNetwork
from thinfile.training.batches import TensorBatches
from thinfile.training.loop import train
from thinfile.training.phase import Phase
from thinfile.training.touched_adam import TouchedAdam


class SlowLazyAdam:
    """Adam of the paper, row by row, for those rows whose gradient is given."""

    def __init__(self, table, rate, decay=0.0, betas=(0.9, 0.999), eps=1e-8):
        self.table = table.detach().double().clone()
        self.first, self.second = torch.zeros_like(self.table), torch.zeros_like(self.table)
        self.rate, self.decay, self.betas, self.eps, self.n = rate, decay, betas, eps, 0

    def step(self, gradients):
        self.n += 1
        (b1, b2), eps = self.betas, self.eps
        for row, gradient in gradients.items():
            g = gradient.double() + self.decay * self.table[row]
            self.first[row] = b1 * self.first[row] + (1 - b1) * g
            self.second[row] = b2 * self.second[row] + (1 - b2) * g * g
            mean = self.first[row] / (1 - b1**self.n)
            size = (self.second[row] / (1 - b2**self.n)).sqrt()
            self.table[row] -= self.rate * mean / (size + eps)


def sparse_table(n_rows=12, width=3, seed=0):
    torch.manual_seed(seed)
    return nn.Embedding(n_rows, width, sparse=True)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=8), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.1]),
)
def test_it_is_adam_on_the_rows_that_were_touched(batches, decay):
    table = sparse_table()
    slow = SlowLazyAdam(table.weight, 0.05, decay)
    optimizer = TouchedAdam(table.parameters(), 0.05, decay)
    for number, rows in enumerate(batches):
        factors = torch.randn(len(rows), 3, generator=torch.Generator().manual_seed(number))
        gradients = {}
        for row, factor in zip(rows, factors, strict=True):
            gradients[row] = gradients.get(row, torch.zeros(3)) + factor
        optimizer.zero_grad()
        (table(torch.tensor(rows)) * factors).sum().backward()
        optimizer.step()
        slow.step(gradients)
    torch.testing.assert_close(table.weight.detach().double(), slow.table, atol=1e-4, rtol=1e-4)


def test_with_every_row_in_every_batch_it_is_torch_s_adam():
    sparse, dense = sparse_table(), nn.Embedding(12, 3)
    dense.load_state_dict(sparse.state_dict())
    ours = TouchedAdam(sparse.parameters(), 0.01, 0.1)
    theirs = torch.optim.Adam(dense.parameters(), lr=0.01, weight_decay=0.1)
    for seed in range(5):
        torch.manual_seed(seed)
        rows = torch.cat([torch.arange(12), torch.randint(0, 12, (7,))])
        target = torch.randn(len(rows), 3)
        for table, optimizer in ((sparse, ours), (dense, theirs)):
            optimizer.zero_grad()
            (table(rows) - target).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(sparse.weight, dense.weight)


def test_dense_parameters_get_torch_s_adam():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    first = TouchedAdam(ours.parameters(), 0.01, 0.2)
    second = torch.optim.Adam(theirs.parameters(), lr=0.01, weight_decay=0.2)
    for seed in range(4):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
        for net, optimizer in ((ours, first), (theirs, second)):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_untouched_rows_keep_every_bit():
    table = sparse_table()
    before = table.weight.detach().clone()
    optimizer = TouchedAdam(table.parameters(), 0.1, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        table(torch.tensor([[4, 4], [9, 4]])).sum().backward()
        optimizer.step()
    changed = (table.weight != before).any(dim=1).nonzero().flatten()
    assert changed.tolist() == [4, 9]
    state = optimizer.state[table.weight]
    assert state["exp_avg"].any(dim=1).nonzero().flatten().tolist() == [4, 9]
    assert {state["exp_avg"].dtype, state["exp_avg_sq"].dtype} == {torch.float32}
    assert state["exp_avg"].shape == state["exp_avg_sq"].shape == table.weight.shape


def test_a_gradient_from_several_look_ups_counts_once():
    tables = sparse_table(), sparse_table()
    for table, rows in zip(tables, ([[1, 2], [2, 3]], [[1, 2, 2, 3]]), strict=True):
        optimizer = TouchedAdam(table.parameters(), 0.1)
        sum((table(torch.tensor(part)) ** 2).sum() for part in rows).backward()
        optimizer.step()
    torch.testing.assert_close(tables[0].weight, tables[1].weight)


def test_it_goes_on_from_a_saved_state():
    tables = sparse_table(), sparse_table()
    whole = TouchedAdam(tables[0].parameters(), 0.1)
    first = TouchedAdam(tables[1].parameters(), 0.1)
    one_step(tables[0], whole, [1, 2])
    one_step(tables[1], first, [1, 2])
    second = TouchedAdam(tables[1].parameters(), 0.1)
    second.load_state_dict(first.state_dict())
    one_step(tables[0], whole, [2, 5])
    one_step(tables[1], second, [2, 5])
    assert torch.equal(tables[0].weight, tables[1].weight)


def one_step(table, optimizer, rows):
    optimizer.zero_grad()
    table(torch.tensor(rows)).square().sum().backward()
    optimizer.step()


def test_groups_may_differ():
    table, layer = sparse_table(), nn.Linear(3, 1)
    groups = [{"params": table.parameters(), "lr": 0.0}, {"params": layer.parameters()}]
    optimizer = TouchedAdam(groups, 0.1)
    before = [p.detach().clone() for p in (table.weight, layer.weight)]
    layer(table(torch.tensor([1, 2]))).sum().backward()
    optimizer.step()
    assert torch.equal(table.weight, before[0])
    assert not torch.equal(layer.weight, before[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate=-1.0 must be a number ≥ 0"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
        ({"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\)"),
        ({"betas": (0.9,)}, r"betas=\(0.9,\)"),
        ({"eps": 0.0}, "eps=0.0"),
    ],
)
def test_unusable_arguments_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        TouchedAdam(nn.Linear(1, 1).parameters(), **options)


def clicks(n_rows=600, n_ids=40):
    """Ids 0 … 19 are liked by users 0 … 19 and the others by the others: a rule in pairs."""
    torch.manual_seed(0)
    codes = torch.randint(0, n_ids, (n_rows, 2), dtype=torch.int32)
    y = ((codes[:, 0] < n_ids // 2) == (codes[:, 1] < n_ids // 2)).float()
    return codes, y


def fit(sparse, **options):
    codes, y = clicks()
    torch.manual_seed(1)
    net = DeepFMNetwork(0, [40, 40], dim=4, widths=(16,), norm=None, sparse_gradient=sparse)
    criterion = nn.BCEWithLogitsLoss()
    phase = Phase(
        TouchedAdam(net.parameters(), 0.02),
        lambda rows: {"loss": criterion(net(torch.zeros(len(rows[0]), 0), rows[0]), rows[1])},
        **{name: value for name, value in options.items() if name == "clip_norm"},
    )
    loop = {name: value for name, value in options.items() if name != "clip_norm"}
    history = train(net, phase, TensorBatches((codes, y), 64), max_epochs=12, **loop)
    return net, history


@pytest.mark.parametrize(
    "options", [{}, {"clip_norm": 0.5}, {"average": 0.5}, {"precision": "bfloat16"}]
)
def test_it_learns_pairs_within_the_loop(options):
    net, history = fit(sparse=True, **options)
    codes, y = clicks()
    right = (net(torch.zeros(len(y), 0), codes) > 0) == (y > 0)
    assert history.records[-1]["loss"] < 0.3
    assert float(right.float().mean()) > 0.9


def test_within_the_loop_it_is_repeatable():
    first, second = fit(sparse=True)[0], fit(sparse=True)[0]
    assert torch.equal(first.table.weight, second.table.weight)


def test_the_loop_s_clipping_sees_the_gradient_once_per_row():
    # Row 3 is looked up twice: its gradient is 2, not two entries of 1 (norm 2, not √2).
    table = nn.Embedding(5, 1, sparse=True)
    seen = []

    class Spy(TouchedAdam):
        def step(self, closure=None):
            seen.append(self.param_groups[0]["params"][0].grad.to_dense().norm())
            return super().step(closure)

    phase = Phase(
        Spy(table.parameters(), 0.1),
        lambda rows: {"sum": 10 * table(rows[0]).sum()},
        clip_norm=1.0,
    )
    train(table, phase, TensorBatches((torch.tensor([3, 3]),), 2, shuffle=False), max_epochs=1)
    assert float(seen[0]) == pytest.approx(1.0, abs=1e-5)


def test_a_loss_that_is_not_finite_names_the_gradient():
    table = nn.Embedding(5, 1, sparse=True)
    scale = torch.tensor([1.0, float("inf")])
    step = iter([0, 1])
    phase = Phase(
        TouchedAdam(table.parameters(), 0.1),
        lambda rows: {"sum": table(rows[0]).sum() * scale[next(step)]},
    )
    batches = TensorBatches((torch.tensor([3, 3, 1, 1]),), 2, shuffle=False)
    with pytest.raises(TrainingError, match="largest gradient of the last update 2 in 'weight'"):
        train(table, phase, batches, max_epochs=1)
