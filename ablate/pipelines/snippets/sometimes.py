"""Several steps with one probability; see the package."""

from torch import Tensor, nn

from ablate.pipelines.snippets.per_image import PerImage


class Sometimes(PerImage):
    """All of the steps, one after the other, or none."""

    def __init__(self, *steps: nn.Module, p: float) -> None:
        super().__init__(p)
        self.steps = nn.Sequential(*steps)

    def change(self, images: Tensor) -> Tensor:
        """The images that were drawn go through every step."""
        changed: Tensor = self.steps(images)
        return changed
