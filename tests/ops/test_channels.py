"""Any number of channels: what an op does to a channel depends on that channel alone, unless it says otherwise."""

from __future__ import annotations

import pytest
import torch

from ablate.errors import UsageError
from ablate.ops import Op, get, names, parse_op
from ablate.ops.op import ANY_CHANNELS
from tests.support.pictures import generator, pictures

OWN_DRAWS = {"channel_drop", "channel_shuffle", "noise", "poisson"}  # every channel has draws of its own
ALIKE = [name for name in names() if get(name).channels == ANY_CHANNELS and name not in OWN_DRAWS]


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
@pytest.mark.parametrize("text", [*ALIKE, "sobel(signed=True)"])
def test_each_channel_is_changed_as_if_it_were_alone(text, channels):
    op, images = parse_op(text).acting(1.0), pictures(4, channels, (24, 24))
    params = op.sample(4, (24, 24), generator())
    together = op.apply(images, params)
    for channel in range(channels):
        alone = op.apply(images[:, channel : channel + 1], params)
        torch.testing.assert_close(together[:, channel : channel + 1], alone, atol=2e-6, rtol=0)


def test_ops_of_colour_take_three_channels_and_name_the_ops_that_take_others():
    for name in names():
        op = get(name)
        assert tuple(op.channels) == (3,) or op.channels[-1] == ANY_CHANNELS[-1]
        if op.channels != ANY_CHANNELS:
            assert all(get(other).channels != op.channels for other in op.instead)


def test_an_op_of_ones_own_takes_any_number_of_channels_or_those_that_it_declares():
    class Mine(Op):
        def transform(self, images, params):
            return 1 - images

    class OnPairs(Mine):
        channels = (2, 4)

    for channels in (1, 7, 32):
        assert Mine().apply(pictures(2, channels, (8, 8)), {}).shape == (2, channels, 8, 8)
    with pytest.raises(UsageError, match="c = 1 to 32, not"):
        Mine().apply(pictures(2, 33, (8, 8)), {})
    with pytest.raises(UsageError, match="c = 2 or 4, not"):
        OnPairs().apply(pictures(2, 3, (8, 8)), {})
