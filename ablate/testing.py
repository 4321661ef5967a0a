"""The contract of an op as a test class, for ops of your own; needs pytest.

Register the op, then let pytest collect a subclass that names it::

    from ablate.testing import OpContract

    class TestTint(OpContract):
        op = "tint"

``ablate``'s own ops keep the same contract in ``tests/ops/test_contract.py``.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ablate.errors import UsageError
from ablate.ops import Op, describe, from_spec, get, parse_op, spec, to_string
from ablate.ops.op import counts

SIZES = ((32, 32), (96, 96), (224, 224), (32, 48))
CHANNELS = (1, 2, 3, 4, 13)


def generator(seed: int = 0) -> torch.Generator:
    """Return a CPU generator with this seed."""
    return torch.Generator().manual_seed(seed)


def pictures(n: int, channels: int, size: tuple[int, int], seed: int = 1) -> Tensor:
    """Return smooth noise that uses the whole range, float32 ``[n, channels, *size]`` in [0, 1].

    Neighbouring pixels are alike, as they are in images.

    Args:
        n: the number of pictures.
        channels: the number of channels.
        size: height and width in pixels.
        seed: the seed of the noise.
    """
    coarse = torch.rand(n, channels, 7, 7, generator=generator(seed))
    fine = torch.rand(n, channels, *size, generator=generator(seed + 1))
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    return (0.8 * smooth + 0.2 * fine).clamp(0, 1)


class OpContract:
    """The contract that every op keeps, as tests; :attr:`op` is the name under which the op is registered."""

    op: str

    @pytest.fixture
    def name(self) -> str:
        """Return the op's name; override it with a parametrised fixture to test several ops."""
        return self.op

    def make(self, name: str, **parameters: Any) -> Op:
        """Return the op with these parameters, acting on every image unless ``p`` says otherwise."""
        return get(name)(**{"p": 1.0, **parameters})

    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_shape_dtype_range_and_input_untouched(self, name: str, size: tuple[int, int]) -> None:
        op, images = self.make(name), pictures(4, 3, size)
        if op.square_only and size[0] != size[1]:
            with pytest.raises(UsageError, match="square"):
                op.apply(images, op.sample(4, size, generator()))
            return
        before = images.clone()
        result = op.apply(images, op.sample(4, size, generator()))
        assert result.shape == images.shape
        assert result.dtype == images.dtype
        assert torch.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 1
        assert torch.equal(images, before)

    def test_float64_stays_float64(self, name: str) -> None:
        op, images = self.make(name), pictures(2, 3, (32, 32)).double()
        assert op.apply(images, op.sample(2, (32, 32), generator())).dtype == torch.float64

    def test_p_zero_is_bit_exact_identity(self, name: str) -> None:
        op, images = self.make(name, p=0.0), pictures(4, 3, (32, 32))
        assert torch.equal(op.apply(images, op.sample(4, (32, 32), generator())), images)

    def test_strength_zero_is_bit_exact_identity(self, name: str) -> None:
        if has_strength(name):
            op, images = self.make(name, strength=0.0), pictures(4, 3, (32, 32))
            assert torch.equal(op.apply(images, op.sample(4, (32, 32), generator())), images)

    def test_more_strength_changes_more(self, name: str) -> None:
        if not has_strength(name):
            with pytest.raises(UsageError, match="strength"):
                parse_op(f"{name}(strength=0.5)")
            return
        images, moved = pictures(64, 3, (32, 32)), []
        for strength in (0.1, 0.4, 1.0):
            op = self.make(name, strength=strength)
            moved.append((op.apply(images, op.sample(64, (32, 32), generator())) - images).abs().mean().item())
        assert moved[0] < moved[1] < moved[2]

    def test_apply_rate_is_p(self, name: str) -> None:
        """Expect the rate p = 0.5 within four standard deviations of the binomial; unmasked images pass bit for bit."""
        n, op = 4000, self.make(name, p=0.5)
        rate = op.sample(n, (16, 16), generator())["mask"].float().mean().item()
        assert abs(rate - 0.5) < 4 * math.sqrt(0.25 / n)
        images, params = pictures(64, 3, (16, 16)), op.sample(64, (16, 16), generator())
        same = (op.apply(images, params) == images).flatten(1).all(1)
        assert same[~params["mask"]].all()
        assert not same.all()

    def test_images_of_one_batch_differ(self, name: str) -> None:
        """Expect copies of one picture to differ at p = 0.5, and at p = 1 if more than the mask is drawn."""
        images = pictures(1, 3, (32, 32)).expand(16, -1, -1, -1).contiguous()
        op = self.make(name, p=0.5)
        assert (op.apply(images, op.sample(16, (32, 32), generator())) != images[0]).any()
        halves = op.apply(images, op.sample(16, (32, 32), generator()))
        assert not all(torch.equal(halves[0], other) for other in halves)
        op = self.make(name)
        drawn = op.sample(16, (32, 32), generator())
        if set(drawn) - {"mask"}:
            results = op.apply(images, drawn)
            assert len({tuple(image.flatten()[:300].tolist()) for image in results}) > 1

    def test_same_generator_state_same_pixels(self, name: str) -> None:
        op, images = self.make(name, p=0.5), pictures(8, 3, (32, 32))
        a, b, other = (op.apply(images, op.sample(8, (32, 32), generator(seed))) for seed in (3, 3, 4))
        assert torch.equal(a, b)
        assert not torch.equal(a, other)

    def test_an_image_does_not_depend_on_its_batch(self, name: str) -> None:
        """Expect images of a batch to give alone what they gave together, since parameters are per image."""
        op, images = self.make(name, p=0.5), pictures(6, 3, (32, 32))
        params = op.sample(6, (32, 32), generator())
        together = op.apply(images, params)
        for i in range(6):
            alone = op.apply(images[i : i + 1], {key: value[i : i + 1] for key, value in params.items()})
            torch.testing.assert_close(alone[0], together[i], atol=2e-6, rtol=0)

    def test_parameters_are_per_image_small_and_on_the_asked_device(self, name: str) -> None:
        params = self.make(name).sample(5, (64, 64), generator())
        assert params["mask"].dtype == torch.bool
        for value in params.values():
            assert value.shape[0] == 5
            assert value.numel() <= 5 * 64
            assert value.device.type == "cpu"

    @pytest.mark.parametrize("channels", CHANNELS)
    def test_numbers_of_channels(self, name: str, channels: int) -> None:
        """Expect shape, range and the untouched input for every number of channels that the op declares to take."""
        op, images = self.make(name), pictures(8, channels, (32, 32))
        params, before = op.sample(8, (32, 32), generator()), images.clone()
        if channels not in op.channels:
            with pytest.raises(UsageError, match=f"c = {counts(op.channels)}, not"):
                op.apply(images, params)
            return
        result = op.apply(images, params)
        assert result.shape == images.shape
        assert result.dtype == images.dtype
        assert ((result >= 0) & (result <= 1)).all()
        assert not torch.equal(result, before)
        assert torch.equal(images, before)

    def test_no_image(self, name: str) -> None:
        op = self.make(name)
        none = op.apply(pictures(1, 3, (32, 32))[:0], op.sample(0, (32, 32), generator()))
        assert none.shape == (0, 3, 32, 32)

    def test_integers_are_refused(self, name: str) -> None:
        op = self.make(name)
        with pytest.raises(UsageError, match="float images"):
            op.apply((255 * pictures(1, 3, (32, 32))).byte(), op.sample(1, (32, 32), generator()))

    def test_one_image(self, name: str) -> None:
        op = self.make(name)
        single = op.apply(pictures(1, 3, (32, 32)), op.sample(1, (32, 32), generator()))
        assert single.shape == (1, 3, 32, 32)

    def test_text_and_data_round_trips(self, name: str) -> None:
        op = self.make(name)
        assert parse_op(to_string(op)) == op
        assert from_spec(spec(op)) == op
        assert spec(op).version == op.version

    def test_every_parameter_has_a_range_and_a_meaning(self, name: str) -> None:
        (entry,) = describe([name])
        assert entry.summary.endswith((".", ")"))
        for parameter in entry.parameters:
            assert parameter.doc
            assert parameter.range
            if parameter.high is not None:
                outside = parameter.high + 1e6
                value = f"({outside}, {outside})" if isinstance(parameter.default, tuple) else outside
                with pytest.raises(UsageError, match=parameter.name):
                    parse_op(f"{name}({parameter.name}={value})")


def has_strength(name: str) -> bool:
    """Return True if the op has a parameter ``strength``."""
    return "strength" in get(name).__dataclass_fields__
